//! A test that cannot run fails if `LOCKKEEPER_REQUIRE=1` is set.

mod support;

use std::path::{Path, PathBuf};

use support::require::{LANDLOCK, MOSQUITTO, VLAN, may_be_missing, note};
use support::root;
use syn::visit::Visit;

#[test]
fn a_test_with_a_missing_need_is_skipped_unless_everything_is_required() {
    assert!(may_be_missing(MOSQUITTO, "", ""));
    assert!(may_be_missing(MOSQUITTO, "0", ""));
    assert!(!may_be_missing(MOSQUITTO, "1", ""));
}

#[test]
fn an_excuse_covers_only_the_needs_that_it_names() {
    assert!(may_be_missing(VLAN, "1", " landlock vlan"));
    assert!(may_be_missing(LANDLOCK, "1", " landlock vlan"));
    assert!(!may_be_missing(MOSQUITTO, "1", " landlock vlan"));
    assert!(!may_be_missing(VLAN, "1", "vlans"));
}

#[test]
fn the_note_names_the_missing_need_and_its_remedy() {
    let note = note(MOSQUITTO, "mosquitto cannot be started");
    for part in ["the MQTT broker mosquitto", "mosquitto cannot be started", ".ci/setup mosquitto"] {
        assert!(note.contains(part), "{note}");
    }
}

/// Every skipped test goes through `support::require`; otherwise it would pass in CI without having run.
#[test]
fn no_test_skips_itself_without_a_need() {
    let helper = root().join("tests/support/require.rs");
    let files: Vec<PathBuf> = ["src", "tests", "protocols/src", "protocols/tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .filter(|path| *path != helper && !path.ends_with(file!()))
        .collect();
    assert!(files.len() > 100, "the sources are missing");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for way in ["return eprintln!", "LOCKKEEPER_CORPUS\")", "eprintln!(\"SKIPPED", "\"skipped:", "LEFT OUT"] {
            assert!(!text.contains(way), "{}: `{way}`: use tests/support/require.rs", path.display());
        }
    }
}

/// A bare `return` under an `if` ends a test without a note; `return missing(...)` and `let ... else` name the need.
#[test]
fn no_test_ends_early_under_a_condition() {
    for path in
        ["src", "tests", "protocols/src", "protocols/tests"].iter().flat_map(|folder| rust_files(&root().join(folder)))
    {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let early = early_returns(&syn::parse_file(&text).expect("Rust"));
        assert!(early.is_empty(), "{}: {early:?} end early: use tests/support/require.rs", path.display());
    }
}

#[test]
fn an_early_return_of_a_test_is_found() {
    let early = |body: &str| early_returns(&syn::parse_file(&format!("#[test] fn t() {{ {body} }}")).expect("Rust"));
    assert_eq!(early("if absent() { return; } assert!(true);"), ["t"]);
    assert!(early("if absent() { return missing(NEED, \"absent\"); } let f = || { if a { return; } };").is_empty());
}

/// Names of the tests of a file that return without a value under an `if`.
fn early_returns(file: &syn::File) -> Vec<String> {
    #[derive(Default)]
    struct Tests(Vec<String>);
    impl<'ast> Visit<'ast> for Tests {
        fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
            let is_test = function.attrs.iter().any(|attribute| attribute.path().is_ident("test"));
            if is_test && function.block.stmts.iter().any(returns_under_a_condition) {
                self.0.push(function.sig.ident.to_string());
            }
        }
    }
    let mut tests = Tests::default();
    tests.visit_file(file);
    tests.0
}

fn returns_under_a_condition(statement: &syn::Stmt) -> bool {
    let syn::Stmt::Expr(syn::Expr::If(condition), _) = statement else { return false };
    condition
        .then_branch
        .stmts
        .iter()
        .any(|statement| matches!(statement, syn::Stmt::Expr(syn::Expr::Return(syn::ExprReturn { expr: None, .. }), _)))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("readable").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let sources = files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    sources.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}
