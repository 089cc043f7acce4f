//! The paths that a Rust source file names, such as `crate::policy::Verdict`, each with its line.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemUse, Macro, MetaList, Path, UseTree};

/// A path in a source file, such as `["crate", "policy", "Verdict"]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// Line number, from 1.
    pub(crate) line: usize,
    /// The names in order.
    pub(crate) names: Vec<String>,
}

/// Every path of two or more names in `source`, and every name that is imported on its own, outside of test code.
pub(crate) fn paths(source: &str) -> Vec<NamedPath> {
    let mut found = Found::default();
    found.visit_file(&file(source));
    found.0
}

/// The modules that `source` declares for tests only: `#[cfg(test)] mod testing;`.
pub(crate) fn test_modules(source: &str) -> Vec<String> {
    let declared = file(source).items.into_iter().filter(|item| is_for_tests(attributes(item)));
    let named = declared.filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
        _ => None,
    });
    named.collect()
}

fn file(source: &str) -> File {
    syn::parse_file(source).expect("a source file is Rust")
}

#[derive(Default)]
struct Found(Vec<NamedPath>);

impl Found {
    /// Records a path of at least two names.
    fn path(&mut self, names: &[&Ident]) {
        if let [first, _, ..] = names {
            let line = first.span().start().line;
            self.0.push(NamedPath { line, names: names.iter().map(ToString::to_string).collect() });
        }
    }

    /// Records each leaf of a `use` tree with its prefix: `crate::{alert::Alert, policy}` is two paths.
    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let named = |name: &Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&named(&path.ident), &path.tree),
            UseTree::Name(name) => self.import(&name.ident, named(&name.ident)),
            UseTree::Rename(rename) => self.import(&rename.ident, named(&rename.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.0.push(NamedPath { line, names: before.to_vec() });
            }
        }
    }

    fn import(&mut self, last: &Ident, names: Vec<String>) {
        self.0.push(NamedPath { line: last.span().start().line, names });
    }

    /// Records the paths in the arguments of a macro or an attribute, which need not be Rust: names joined by two colons.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut names: Vec<Ident> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 => {
                    names.push(ident);
                    colons = 0;
                }
                other => {
                    self.path(&names.iter().collect::<Vec<_>>());
                    (names, colons) = (Vec::new(), 0);
                    match other {
                        TokenTree::Ident(ident) => names.push(ident),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.path(&names.iter().collect::<Vec<_>>());
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.path(&path.segments.iter().map(|segment| &segment.ident).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast MetaList) {
        self.visit_path(&list.path);
        self.tokens(list.tokens.clone());
    }
}

/// Whether an item is compiled for tests only, which may use any module.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str) -> Vec<(usize, String)> {
        paths(source).into_iter().map(|path| (path.line, path.names.join("::"))).collect()
    }

    #[test]
    fn a_use_group_is_one_path_for_each_leaf() {
        let source = "use crate::{\n    alert::{Alert, Order as O},\n    policy,\n    worker::*,\n};\nuse etherparse;";
        let expected = ["crate::alert::Alert", "crate::alert::Order", "crate::policy", "crate::worker", "etherparse"];
        let found = named(source);
        assert_eq!(found.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 2, 3, 4, 6]);
    }

    #[test]
    fn a_path_in_code_is_found_with_its_line() {
        let source = "fn f() -> impl Iterator<Item = u8> + use<> {\n    crate::flow::run(1);\n}";
        assert_eq!(named(source), [(2, "crate::flow::run".to_owned())]);
    }

    #[test]
    fn a_path_in_a_type_or_a_pattern_is_found() {
        let source = "fn f(a: Vec<crate::a::B>) {\n    let crate::c::D { e: _ } = a else { return };\n}";
        assert_eq!(named(source), [(1, "crate::a::B".to_owned()), (2, "crate::c::D".to_owned())]);
    }

    #[test]
    fn a_path_in_a_macro_or_an_attribute_is_found() {
        let source = "#[derive(serde::Serialize, Debug)]\nstruct A;\nfn f() {\n    a::b!(c, [d::e(1)], f: g);\n}";
        let expected = [(1, "serde::Serialize"), (4, "a::b"), (4, "d::e")];
        assert_eq!(named(source), expected.map(|(line, path)| (line, path.to_owned())));
    }

    #[test]
    fn comments_strings_and_characters_name_nothing() {
        let source = r####"
            //! crate::a::b
            /* crate::c::d /* crate::e::f */ crate::g::h */
            const A: &str = "crate::i::j \" crate::k::l";
            const B: &str = r#"crate::m::n " crate::o::p"#;
            const C: char = '"'; const D: &'static str = "'";
            fn f<'a>(x: &'a str) -> &'a str { crate::q::r(x) }
        "####;
        assert_eq!(named(source), [(7, "crate::q::r".to_owned())]);
    }

    #[test]
    fn test_code_names_nothing_and_what_follows_it_does() {
        let source =
            "#[cfg(test)]\nmod tests {\n    use crate::a::b;\n}\n#[cfg(test)]\nuse crate::c::d;\nuse crate::e::f;";
        assert_eq!(named(source), [(7, "crate::e::f".to_owned())]);
    }

    #[test]
    fn modules_for_tests_are_found_and_others_are_not() {
        let source = "mod a;\n#[cfg(test)]\npub(crate) mod b;\n#[cfg(test)]\nmod c { fn f() {} }\nmod d;";
        assert_eq!(test_modules(source), ["b"]);
    }
}
