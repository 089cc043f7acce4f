//! A snapshot in the text format of OpenMetrics, for Prometheus.
//!
//! Each metric is one row: of [`SENSOR_FAMILIES`], of [`SINK_FAMILIES`] for every sink, or of [`PROCESS_FAMILIES`]. A test
//! checks the dashboard in `deploy/` against them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::snapshot::{Interface, Recording, Snapshot, State, Traffic};
use crate::metrics::{LATENCY_BOUNDS, LatencySummary};
use crate::publish::SINKS;
use crate::publish::sink::{Sink, SinkHealth};
use crate::sensor::confine::Level;

/// The content type of [`exposition`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a sensor, as Prometheus reads them.
pub fn exposition(snapshot: Snapshot) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Page(Arc::new(snapshot))));
    let mut page = String::new();
    // Writing to a string cannot fail; if it did, the missing end mark would show that the page is cut.
    let _cannot_fail = text::encode(&mut page, &registry);
    page
}

/// The names of all metrics in Prometheus.
pub fn metric_names() -> impl Iterator<Item = String> {
    metrics().flat_map(|metric| {
        let name = format!("{PREFIX}_{}", metric.name);
        let endings: &[&str] = match metric.kind {
            Kind::Counter => &["_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["_bucket", "_sum", "_count"],
        };
        endings.iter().map(move |ending| format!("{name}{ending}"))
    })
}

/// A metric of the sensor or of its process.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Write,
}

/// A metric of each sink.
struct SinkFamily {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    value: fn(&SinkHealth) -> f64,
}

/// Writes the samples of one metric.
type Write = fn(&Snapshot, &mut Samples<'_, '_>) -> fmt::Result;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The metrics of the sensor, in the order of the page.
const SENSOR_FAMILIES: &[Family] = &[
    gauge("info", "The sensor and its policy; always 1", |now, out| {
        let Snapshot { sensor, site, version, policy, .. } = now;
        let names: [Label<'_>; 6] = [
            ("sensor", sensor),
            ("site", site),
            ("version", version),
            ("policy", &policy.id),
            ("policy_version", &policy.version),
            ("policy_sha256", &policy.sha256),
        ];
        out.add(&names, 1.0)
    }),
    gauge("state", "1 for the state that the sensor is in", |now, out| {
        State::ALL.iter().try_for_each(|state| out.add(&[("state", state.name())], one_if(*state == now.state)))
    }),
    gauge("confinement", "1 for how far the sensor is confined", |now, out| {
        let level = now.confinement.level;
        Level::ALL.iter().try_for_each(|one| out.add(&[("level", one.name())], one_if(*one == level)))
    }),
    gauge("degraded_reason", "1 for each reason for which the sensor is degraded", |now, out| {
        let mut reasons: Vec<&str> = now.reasons.iter().map(|reason| reason.what.as_str()).collect();
        reasons.dedup();
        reasons.into_iter().try_for_each(|reason| out.add(&[("reason", reason)], 1.0))
    }),
    gauge("start_time_seconds", "When the sensor started, seconds since 1970", |now, out| {
        out.add(&[], now.started.as_second() as f64)
    }),
    gauge("policy_loaded_seconds", "When the policy came into force, seconds since 1970", |now, out| {
        now.policy.loaded.map_or(Ok(()), |loaded| out.add(&[], loaded.as_second() as f64))
    }),
    gauge(
        "policy_rejected",
        "1 while the policy that should be in force is not, because it is wrong or cannot be read",
        |now, out| out.add(&[], one_if(now.policy.rejected.is_some())),
    ),
    gauge("interface_listening", "1 while an interface is listened to", |now, out| {
        each(now, out, |interface| one_if(interface.state == "listening"))
    }),
    counter("interface_packets", "Packets read from an interface", |now, out| {
        each(now, out, |interface| interface.packets as f64)
    }),
    counter("interface_bytes", "Bytes of them on the wire", |now, out| {
        each(now, out, |interface| interface.bytes as f64)
    }),
    counter("interface_drops", "Packets lost before they were looked at, by where", |now, out| {
        now.interfaces.iter().try_for_each(|interface| {
            let Interface { name, kernel_drops, interface_drops, channel_drops, .. } = interface;
            let places = [("kernel", kernel_drops), ("interface", interface_drops), ("channel", channel_drops)];
            places
                .into_iter()
                .try_for_each(|(place, drops)| out.add(&[("interface", name), ("where", place)], *drops as f64))
        })
    }),
    counter("interface_cut", "Packets of an interface that its snap length cut", |now, out| {
        each(now, out, |interface| interface.cut as f64)
    }),
    gauge("interface_backlog", "Packets that were read and wait for the pipeline", |now, out| {
        each(now, out, |interface| interface.backlog as f64)
    }),
    gauge("interface_silent_seconds", "Time since the latest packet", |now, out| {
        each(now, out, |interface| interface.silent_seconds.unwrap_or(now.uptime_seconds) as f64)
    }),
    counter("packets", "Packets judged", |now, out| out.add(&[], now.traffic.packets as f64)),
    counter("bytes", "Bytes of them on the wire", |now, out| out.add(&[], now.traffic.bytes as f64)),
    counter("flows", "Conversations begun", |now, out| out.add(&[], now.traffic.flows as f64)),
    gauge("flows_open", "Conversations that are followed", |now, out| out.add(&[], now.traffic.flows_open as f64)),
    gauge("one_way_share", "Share of the conversations of which only one direction was seen", |now, out| {
        out.add(&[], now.traffic.one_way_share)
    }),
    counter("operations", "Operations by protocol and class", |now, out| {
        now.operations.iter().try_for_each(|(protocol, classes)| {
            classes
                .iter()
                .try_for_each(|(class, count)| out.add(&[("protocol", protocol), ("class", class)], *count as f64))
        })
    }),
    counter("operations_not_judged", "Operations on which there is no verdict, by why", |now, out| {
        now.not_judged.iter().try_for_each(|(why, count)| out.add(&[("why", why)], *count as f64))
    }),
    counter("alerts", "Alerts by rule and severity, updates not counted", |now, out| {
        now.alerts
            .iter()
            .try_for_each(|count| out.add(&[("rule", &count.rule), ("severity", &count.severity)], count.alerts as f64))
    }),
    counter("losses", "What was not seen or was given up, by name", |now, out| {
        now.losses.iter().try_for_each(|(name, count)| out.add(&[("name", name)], *count as f64))
    }),
    counter("unread_packets", "Packets that were not read, or not all of them, by why", |now, out| {
        now.unread.iter().try_for_each(|(kind, count)| out.add(&[("kind", kind)], *count as f64))
    }),
    counter("tunnels", "Tunnels begun: pairs of hosts that send packets inside others", |now, out| {
        out.add(&[], now.traffic.tunnels as f64)
    }),
    counter("failed_connections", "TCP connections that were asked for and came to nothing, by how", |now, out| {
        let Traffic { connections_unanswered, connections_refused, .. } = now.traffic;
        let ways = [("unanswered", connections_unanswered), ("refused", connections_refused)];
        ways.into_iter().try_for_each(|(how, count)| out.add(&[("how", how)], count as f64))
    }),
    gauge("recording_files", "Files with recorded packets", |now, out| recording(now, out, |disk| disk.files as f64)),
    gauge("recording_bytes", "Bytes of them", |now, out| recording(now, out, |disk| disk.bytes as f64)),
];

/// The metrics of each sink, whose name precedes theirs. `{receiver}` stands for its receiver.
const SINK_FAMILIES: &[SinkFamily] = &[
    of_sink("connected", Kind::Gauge, "1 while the {receiver} answers", |health| one_if(health.connected)),
    of_sink("connections", Kind::Counter, "How often the {receiver} was connected", |health| health.connections as f64),
    of_sink("backlog", Kind::Gauge, "Alert records that wait for the {receiver}", |health| health.backlog as f64),
    of_sink("delivered", Kind::Counter, "Alert records that the {receiver} acknowledged", |health| {
        health.delivered as f64
    }),
    of_sink("refused", Kind::Counter, "Alert records that the {receiver} refused", |health| health.refused as f64),
    of_sink("dropped", Kind::Counter, "Alert records dropped because too many waited for the {receiver}", |health| {
        health.dropped as f64
    }),
    of_sink(
        "retried",
        Kind::Counter,
        "Alert records refused for now by the {receiver} and sent again, each time",
        |health| health.retried as f64,
    ),
    of_sink(
        "overdue",
        Kind::Counter,
        "Alert records sent again because they were not acknowledged in time, each time",
        |health| health.overdue as f64,
    ),
    of_sink("unexpected", Kind::Counter, "Acknowledgements by the {receiver} of what was not sent", |health| {
        health.unexpected as f64
    }),
];

/// The metrics of the process. `{acknowledgements}` stands for the stages of the sinks.
const PROCESS_FAMILIES: &[Family] = &[
    Family {
        name: "latency_seconds",
        help: "Time from the packet to a stage: verdict, alert{acknowledgements}",
        kind: Kind::Histogram,
        samples: |now, out| now.latency.iter().try_for_each(|(stage, latency)| out.histogram(stage, latency)),
    },
    gauge("resident_memory_bytes", "Resident memory of the process", |now, out| out.add(&[], now.memory_bytes as f64)),
];

const fn gauge(name: &'static str, help: &'static str, samples: Write) -> Family {
    Family { name, help, kind: Kind::Gauge, samples }
}

const fn counter(name: &'static str, help: &'static str, samples: Write) -> Family {
    Family { name, help, kind: Kind::Counter, samples }
}

fn each(now: &Snapshot, out: &mut Samples<'_, '_>, value: impl Fn(&Interface) -> f64) -> fmt::Result {
    now.interfaces.iter().try_for_each(|interface| out.add(&[("interface", &interface.name)], value(interface)))
}

fn recording(now: &Snapshot, out: &mut Samples<'_, '_>, value: impl Fn(&Recording) -> f64) -> fmt::Result {
    now.recording.as_ref().map_or(Ok(()), |disk| out.add(&[], value(disk)))
}

const fn of_sink(name: &'static str, kind: Kind, help: &'static str, value: fn(&SinkHealth) -> f64) -> SinkFamily {
    SinkFamily { name, help, kind, value }
}

const fn one_if(condition: bool) -> f64 {
    if condition { 1.0 } else { 0.0 }
}

/// One metric of the page.
struct Metric {
    name: String,
    help: String,
    kind: Kind,
    samples: Samplers,
}

/// What writes the samples of a metric.
enum Samplers {
    Sensor(Write),
    Sink(&'static Sink, fn(&SinkHealth) -> f64),
}

/// All metrics, in the order of the page.
fn metrics() -> impl Iterator<Item = Metric> {
    let stages: String = SINKS.iter().map(|sink| format!(", {} of the {}", sink.stage, sink.receiver)).collect();
    let of_sinks = SINKS.iter().flat_map(|sink| SINK_FAMILIES.iter().map(|family| family.metric(sink)));
    let of_process = PROCESS_FAMILIES
        .iter()
        .map(Family::metric)
        .map(move |metric| Metric { help: metric.help.replace("{acknowledgements}", &stages), ..metric });
    SENSOR_FAMILIES.iter().map(Family::metric).chain(of_sinks).chain(of_process)
}

impl Family {
    fn metric(&self) -> Metric {
        let Self { name, help, kind, samples } = *self;
        Metric { name: name.to_owned(), help: help.to_owned(), kind, samples: Samplers::Sensor(samples) }
    }
}

impl SinkFamily {
    fn metric(&self, sink: &'static Sink) -> Metric {
        let help = self.help.replace("{receiver}", sink.receiver);
        let name = format!("{}_{}", sink.name, self.name);
        Metric { name, help, kind: self.kind, samples: Samplers::Sink(sink, self.value) }
    }
}

impl Metric {
    fn write(&self, snapshot: &Snapshot, out: &mut Samples<'_, '_>) -> fmt::Result {
        match self.samples {
            Samplers::Sensor(write) => write(snapshot, out),
            Samplers::Sink(sink, value) => {
                snapshot.sinks.get(sink).map_or(Ok(()), |health| out.add(&[], value(health)))
            }
        }
    }
}

type Label<'a> = (&'a str, &'a str);

/// The encoder of the samples of one metric.
struct Samples<'a, 'e> {
    kind: Kind,
    encoder: &'a mut MetricEncoder<'e>,
}

impl Samples<'_, '_> {
    fn add(&mut self, labels: &[Label<'_>], value: f64) -> fmt::Result {
        let mut one = self.encoder.encode_family(&labels)?;
        match self.kind {
            Kind::Counter => one.encode_counter(&value, None::<&Exemplar<[Label<'_>; 0], f64>>),
            Kind::Gauge | Kind::Histogram => one.encode_gauge(&value),
        }
    }

    fn histogram(&mut self, stage: &str, latency: &LatencySummary) -> fmt::Result {
        let mut below = 0;
        let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(LATENCY_BOUNDS.len() + 1);
        for (bound, within) in LATENCY_BOUNDS.iter().zip(latency.within) {
            buckets.push((seconds(*bound), within.saturating_sub(below)));
            below = within;
        }
        buckets.push((f64::INFINITY, latency.count.saturating_sub(below)));
        let labels: &[Label<'_>] = &[("stage", stage)];
        let mut one = self.encoder.encode_family(&labels)?;
        one.encode_histogram::<[Label<'_>; 0]>(seconds(latency.sum), latency.count, &buckets, None)
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A snapshot as a collector of the registry.
#[derive(Debug)]
struct Page(Arc<Snapshot>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        metrics().try_for_each(|metric| {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut encoder = encoder.encode_descriptor(&metric.name, &metric.help, None, kind)?;
            metric.write(&self.0, &mut Samples { kind: metric.kind, encoder: &mut encoder })
        })
    }
}

/// The prefix of every name.
const PREFIX: &str = "lockkeeper";

#[cfg(test)]
mod tests {
    use super::super::testing::snapshot;
    use super::*;

    #[test]
    fn every_metric_is_on_the_page_with_its_numbers() {
        let page = exposition(snapshot());
        let samples = [
            "lockkeeper_info{sensor=\"lock-1\",site=\"lock\",",
            "lockkeeper_state{state=\"ready\"} 1.0",
            "lockkeeper_state{state=\"degraded\"} 0.0",
            "lockkeeper_confinement{level=\"full\"} 1.0",
            "lockkeeper_interface_packets_total{interface=\"span\\\"0\"} 1000000.0",
            "lockkeeper_interface_drops_total{interface=\"span\\\"0\",where=\"kernel\"} 0.0",
            "lockkeeper_operations_total{protocol=\"modbus\",class=\"write\"} 7.0",
            "lockkeeper_operations_not_judged_total{why=\"no_zone\"} 12.0",
            "lockkeeper_alerts_total{rule=\"operation.undeclared\",severity=\"high\"} 3.0",
            "lockkeeper_losses_total{name=\"stream_gaps\"} 2.0",
            "lockkeeper_unread_packets_total{kind=\"ethernet/0x88e5\"} 9.0",
            "lockkeeper_tunnels_total 2.0",
            "lockkeeper_failed_connections_total{how=\"refused\"} 4.0",
            "lockkeeper_mqtt_delivered_total 5.0",
            "lockkeeper_recording_bytes 1048576.0",
            "lockkeeper_latency_seconds_bucket{le=\"0.001\",stage=\"verdict\"} 20",
            "lockkeeper_latency_seconds_bucket{le=\"+Inf\",stage=\"verdict\"} 100",
            "lockkeeper_latency_seconds_count{stage=\"verdict\"} 100",
        ];
        for sample in samples {
            assert!(page.contains(sample), "{sample} is not in\n{page}");
        }
        for name in metric_names().filter(|name| !name.contains("reason")) {
            assert!(page.lines().any(|line| line.starts_with(&name)), "{name} is not in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn every_loss_has_a_sample_from_the_start() {
        let page = exposition(snapshot());
        for (name, _) in crate::metrics::Losses::default().named() {
            assert!(page.contains(&format!("lockkeeper_losses_total{{name=\"{name}\"}}")), "{name}");
        }
    }
}
