//! The dashboard in `deploy/` queries only metrics that a sensor exports.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every query expression of the dashboard.
fn expressions() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/grafana.json");
    let text = std::fs::read_to_string(path).expect("deploy/grafana.json");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| target["expr"].as_str().expect("an expression").to_owned()).collect()
}

/// The names of Lockkeeper's metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("lockkeeper_")).map(str::to_owned).collect()
}

#[test]
fn every_panel_queries_metrics_that_exist() {
    let known: BTreeSet<String> = lockkeeper::sensor::health::metric_names().collect();
    let expressions = expressions();
    assert!(!expressions.is_empty());
    for expression in expressions {
        let asked = names(&expression);
        assert!(!asked.is_empty(), "{expression} asks for nothing of ours");
        assert!(asked.is_subset(&known), "{expression}: a sensor tells {known:?}");
    }
}

#[test]
fn every_loss_between_the_cable_and_the_broker_has_a_panel() {
    let asked: BTreeSet<String> = expressions().iter().flat_map(|expression| names(expression)).collect();
    for name in ["interface_drops_total", "losses_total", "mqtt_dropped_total", "mqtt_refused_total", "state"] {
        assert!(asked.contains(&format!("lockkeeper_{name}")), "{name}");
    }
}
