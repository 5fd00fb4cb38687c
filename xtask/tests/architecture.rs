//! The rules of ARCHITECTURE.md that a machine can check, as tests.
//!
//! They read `cargo metadata` and the sources, compile nothing, and fail with the rule, the place and the fix.
//! Dependencies of tests (`[dev-dependencies]`) are exempt from direction.
#![allow(clippy::unwrap_used, reason = "a file or a manifest that cannot be read fails the test, as it should")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};
use proc_macro2::{TokenStream, TokenTree};

/// Which layer may name which. A crate's layer is the top folder it lives in.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("vocabulary", &[]),
    ("pricing", &["vocabulary"]),
    ("platform", &["platform"]),
    ("contracts", &["vocabulary", "platform"]),
    ("services", &["vocabulary", "contracts", "pricing", "platform"]),
    ("gateway", &["vocabulary", "contracts", "platform"]),
    ("adapters", &["vocabulary", "contracts", "platform", "services"]),
    ("demo", &["vocabulary"]),
    ("app", PRODUCT),
    ("servers", &["platform"]),
    ("testkit", TESTED),
    ("specs", &["vocabulary", "contracts", "platform", "services", "adapters", "app", "testkit"]),
    ("xtask", &[]),
    ("bench", &[]),
];

/// What the tests of a whole shop may name: it, and the servers that it stands on.
const TESTED: &[&str] =
    &["vocabulary", "contracts", "pricing", "platform", "services", "gateway", "adapters", "demo", "app", "servers"];

const PRODUCT: &[&str] =
    &["vocabulary", "contracts", "pricing", "platform", "services", "gateway", "adapters", "demo", "app"];

/// Inside the platform: `runtime ← store ← {bus, http} ← service`, `runtime ← tls` and `http ← upstream` is all there is.
const PLATFORM_MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("platform/runtime", &[]),
    ("platform/store", &["platform/runtime"]),
    ("platform/bus", &["platform/runtime", "platform/store"]),
    ("platform/http", &["platform/runtime", "platform/store"]),
    ("platform/tls", &["platform/runtime"]),
    ("platform/upstream", &["platform/runtime", "platform/http"]),
    ("platform/service", &["platform/runtime", "platform/store", "platform/bus", "platform/http"]),
];

/// One technology each, and each named in one layer only; `servers`, which starts them for tests, aside.
const DRIVERS: &[(&str, &str)] = &[
    ("rusqlite", "adapters"),
    ("mongodb", "adapters"),
    ("lapin", "adapters"),
    ("redis", "adapters"),
    ("rdkafka", "adapters"),
    ("lettre", "adapters"),
];

/// What does I/O, and therefore is not named where only values and arithmetic live.
const IMPURE: &[&str] = &["tokio", "axum", "hyper", "reqwest", "rusqlite", "async-trait", "tracing"];

const PURE_LAYERS: &[&str] = &["vocabulary", "pricing"];

/// The platform serves any shop, so it has no word for what this one sells.
const COMMERCE_WORDS: &[&str] = &["cart", "payment", "sku", "price", "checkout", "stock"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "shared", "base", "manager", "managers", "processor"];

/// What a rule of the domain has no business with: waiting, the world, the time.
const NOT_IN_A_DOMAIN: &[&str] = &["async", "await", "tokio", "axum", "Clock"];

struct Crate {
    name: String,
    folder: String,
    layer: String,
    /// Folders, relative to the root, of the workspace crates that this one names outside tests.
    names: Vec<String>,
    /// Registry crates that it names outside tests.
    uses: Vec<String>,
}

struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

fn layer_of(folder: &str) -> String {
    folder.split('/').next().unwrap_or_default().to_owned()
}

fn crates() -> Vec<Crate> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let crates: Vec<Crate> = metadata.packages.iter().map(read_crate).collect();
    assert!(crates.len() > 10, "only {} crates were found: the check looks in the wrong place", crates.len());
    crates
}

fn read_crate(package: &cargo_metadata::Package) -> Crate {
    let folder = relative(package.manifest_path.parent().unwrap().as_std_path());
    let outside_tests = || package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development);
    Crate {
        name: package.name.to_string(),
        layer: layer_of(&folder),
        folder,
        names: outside_tests().filter_map(|it| it.path.as_ref()).map(|it| relative(it.as_std_path())).collect(),
        uses: outside_tests().filter(|it| it.path.is_none()).map(|it| it.name.clone()).collect(),
    }
}

/// Every Rust file of the workspace's crates.
fn sources() -> Vec<Source> {
    let mut files = BTreeSet::new();
    for member in crates() {
        collect_sources(&root().join(member.folder), &mut files);
    }
    assert!(files.len() > 10, "only {} files were found: the check looks in the wrong place", files.len());
    files
        .into_iter()
        .map(|file| Source { path: relative(&file), text: std::fs::read_to_string(&file).unwrap() })
        .collect()
}

fn collect_sources(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "node_modules"].contains(&name.as_str()) && !name.starts_with('.') {
            collect_sources(&path, files);
        } else if name.ends_with(".rs") {
            files.insert(path);
        }
    }
}

fn allowed(table: &[(&str, &[&str])], from: &str, to: &str) -> bool {
    table.iter().any(|(layer, targets)| *layer == from && targets.contains(&to))
}

/// Every identifier outside comments and literals.
fn identifiers(source: &Source) -> Vec<String> {
    let tokens: TokenStream =
        source.text.parse().unwrap_or_else(|error| panic!("{} is not Rust: {error}", source.path));
    let mut found = Vec::new();
    collect_identifiers(tokens, &mut found);
    found
}

fn collect_identifiers(tokens: TokenStream, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect_identifiers(group.stream(), found),
            TokenTree::Ident(ident) => found.push(ident.to_string()),
            TokenTree::Punct(_) | TokenTree::Literal(_) => (),
        }
    }
}

/// `CartLine`, `cart_line` and `CART_LINE` are the words `cart` and `line`; `cartwright` is one word of its own.
fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lowercase = false;
    for letter in identifier.chars() {
        if letter == '_' || (letter.is_uppercase() && after_lowercase) {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
        after_lowercase = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn commerce_word(identifier: &str) -> Option<&'static str> {
    let words = words(identifier);
    COMMERCE_WORDS
        .iter()
        .copied()
        .find(|commerce| words.iter().any(|word| word == commerce || word.strip_suffix('s') == Some(commerce)))
}

/// Inner attributes may stand above it in a test; nothing else may.
fn opens_with_its_purpose(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!["));
    first.is_some_and(|line| line.starts_with("//! ") && line.len() > 8)
}

fn refuse(rule: &str, fix: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{rule}\n{fix}\n\n  {}\n", wrong.join("\n  "));
}

#[test]
fn crates_depend_only_downwards() {
    let wrong: Vec<String> = crates()
        .iter()
        .flat_map(|from| from.names.iter().map(move |to| (from, to)))
        .filter(|(from, to)| !allowed(MAY_DEPEND_ON, &from.layer, &layer_of(to)))
        .map(|(from, to)| format!("{} -> {to} ({} may not name {})", from.folder, from.layer, layer_of(to)))
        .collect();
    refuse(
        "ARCHITECTURE.md, dependency direction: vocabulary ← pricing, contracts ← services; platform ← contracts, \
         services, gateway; a service names no other service and no adapter; only app names adapters.",
        "Move the item down to where both may see it, pass it in through a peer trait of contracts, or make it a \
         dev-dependency if only a test needs it. A new edge between layers needs an ADR.",
        &wrong,
    );
}

#[test]
fn every_crate_lives_in_a_layer() {
    let wrong: Vec<String> = crates()
        .iter()
        .filter(|it| MAY_DEPEND_ON.iter().all(|(layer, _)| *layer != it.layer))
        .map(|it| format!("{} in {}", it.name, it.folder))
        .collect();
    refuse(
        "ARCHITECTURE.md, the tree: a crate's layer is the top folder it lives in.",
        "Move the crate into an existing layer, or add the layer to ARCHITECTURE.md and to MAY_DEPEND_ON here.",
        &wrong,
    );
}

#[test]
fn platform_crates_of_one_rank_do_not_name_each_other() {
    let wrong: Vec<String> = crates()
        .iter()
        .filter(|from| from.layer == "platform")
        .flat_map(|from| from.names.iter().map(move |to| (from, to)))
        .filter(|(from, to)| !allowed(PLATFORM_MAY_DEPEND_ON, &from.folder, to))
        .map(|(from, to)| format!("{} -> {to}", from.folder))
        .collect();
    refuse(
        "ARCHITECTURE.md, platform: runtime ← store ← {bus, http} ← service is all there is.",
        "Put the item into the lower crate, or take it as an argument.",
        &wrong,
    );
}

#[test]
fn a_technology_is_named_in_one_layer_only() {
    let wrong: Vec<String> = crates()
        .iter()
        .flat_map(|from| from.uses.iter().map(move |used| (from, used)))
        .filter(|(from, _)| from.layer != "servers")
        .filter(|(from, used)| DRIVERS.iter().any(|(driver, layer)| driver == used && from.layer != *layer))
        .map(|(from, used)| format!("{} -> {used}", from.folder))
        .collect();
    refuse(
        "ARCHITECTURE.md, adapters: one technology each, and nothing else names it.",
        "Say what you need as a port, and implement it in an adapter.",
        &wrong,
    );
}

#[test]
fn values_and_prices_are_pure() {
    let wrong: Vec<String> = crates()
        .iter()
        .filter(|from| PURE_LAYERS.contains(&from.layer.as_str()))
        .flat_map(|from| from.uses.iter().map(move |used| (from, used)))
        .filter(|(_, used)| IMPURE.contains(&used.as_str()))
        .map(|(from, used)| format!("{} -> {used}", from.folder))
        .collect();
    refuse(
        "ARCHITECTURE.md, the tree: vocabulary and pricing are values and pure functions; no I/O, no async.",
        "Take what must be read as an argument; the caller reads it.",
        &wrong,
    );
}

#[test]
fn the_platform_knows_no_commerce_words() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|it| it.path.starts_with("platform/") && it.path.contains("/src/")) {
        let found: BTreeSet<String> =
            identifiers(source).into_iter().filter(|identifier| commerce_word(identifier).is_some()).collect();
        wrong.extend(found.iter().map(|identifier| format!("{}: `{identifier}`", source.path)));
    }
    refuse(
        "CONTRIBUTING.md, style: platform/ knows no commerce word; a feature of a service never needs a change of platform.",
        "Move the item into the service that needs it, or name it after what the platform does.",
        &wrong,
    );
}

#[test]
fn every_name_says_what_is_inside() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|it| it.path.trim_end_matches(".rs").split('/').any(|part| EMPTY_NAMES.contains(&part)))
        .map(|it| it.path)
        .collect();
    refuse(
        "CONTRIBUTING.md, style: no utils, helpers, common, misc, shared, base, manager, processor.",
        "Name the file after the one thing it holds; if it holds several, it is several files.",
        &wrong,
    );
}

#[test]
fn every_file_opens_with_its_purpose() {
    let wrong: Vec<String> =
        sources().into_iter().filter(|it| !opens_with_its_purpose(&it.text)).map(|it| it.path).collect();
    refuse(
        "CONTRIBUTING.md, style: every file opens with `//!`, one sentence of what it is, then what it promises or refuses.",
        "Write that sentence on the first line (inner attributes may stand above it).",
        &wrong,
    );
}

#[test]
fn a_domain_does_not_wait_and_has_no_clock() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|it| it.path.contains("/domain/")) {
        let found: BTreeSet<String> =
            identifiers(source).into_iter().filter(|it| NOT_IN_A_DOMAIN.contains(&it.as_str())).collect();
        wrong.extend(found.iter().map(|identifier| format!("{}: `{identifier}`", source.path)));
    }
    refuse(
        "ARCHITECTURE.md, the same rooms in every service: domain/ has no async, no I/O, no clock.",
        "Read and wait in operations/ or reactions.rs, and give the domain the values, the time among them.",
        &wrong,
    );
}

#[test]
fn the_direction_table_refuses_what_it_should() {
    for (from, to) in [
        ("services", "services"),
        ("services", "adapters"),
        ("services", "gateway"),
        ("platform", "vocabulary"),
        ("platform", "contracts"),
        ("vocabulary", "platform"),
        ("pricing", "contracts"),
        ("gateway", "services"),
        ("adapters", "adapters"),
        ("elsewhere", "vocabulary"),
    ] {
        assert!(!allowed(MAY_DEPEND_ON, from, to), "{from} -> {to}");
    }
    assert!(allowed(MAY_DEPEND_ON, "app", "adapters"));
}

#[test]
fn commerce_words_are_found_in_identifiers_and_nowhere_else() {
    let source = Source {
        path: "example.rs".to_owned(),
        text: "//! A cart.\nuse cartwright_store::Store; // sku\nfn f<'a>(unit_prices: &'a str) { \
               g(\"stock\", StockLevel, CHECKOUT_TTL) }"
            .to_owned(),
    };
    let found: Vec<String> =
        identifiers(&source).into_iter().filter(|identifier| commerce_word(identifier).is_some()).collect();
    assert_eq!(found, ["unit_prices", "StockLevel", "CHECKOUT_TTL"]);
}

#[test]
fn an_empty_or_late_purpose_is_no_purpose() {
    assert!(opens_with_its_purpose("//! Holds stock.\n\nfn main() {}"));
    assert!(opens_with_its_purpose("#![allow(clippy::unwrap_used)]\n//! Sentences about stock.\n"));
    assert!(!opens_with_its_purpose("fn main() {}\n//! Holds stock.\n"));
    assert!(!opens_with_its_purpose("//!\nfn main() {}"));
    assert!(!opens_with_its_purpose(""));
}
