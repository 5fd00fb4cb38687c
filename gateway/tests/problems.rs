//! The list of problems says what the program says: read from the sources, in both directions.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cartwright_gateway::KNOWN_PROBLEMS;

/// Where problems are made.
const SOURCES: [&str; 6] = ["platform", "contracts", "services", "gateway", "adapters", "app"];

/// Functions whose first argument is a code.
const NAMED: [&str; 5] = ["bad_request(", "unauthorized(", "not_found(", "conflict(", "unavailable("];

/// The sources of the program, without tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && !["tests", "target", "assets", "pages"].contains(&name) {
            sources(&entry, found);
        } else if name.ends_with(".rs") {
            found.push(entry);
        }
    }
}

/// The string that `text` begins with, if it looks like a code.
fn code(text: &str) -> Option<&str> {
    let (code, _) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_code.then_some(code)
}

/// Codes that are given to `Problem::new(STATUS, CODE, …)`, to the functions named after a status, and in tables of them.
fn codes(source: &str) -> BTreeSet<&str> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let after = |start: &'static str| source.split(start).skip(1);
    let of_status = ["Self::new(", "Problem::new("]
        .into_iter()
        .flat_map(after)
        .filter_map(|text| text.split_once(','))
        .map(|(_, rest)| rest);
    let named = NAMED.into_iter().flat_map(after);
    let tables = after("StatusCode::")
        .filter_map(|text| text.split_once("=>"))
        .map(|(_, rest)| rest)
        .map(|rest| rest.trim_start().trim_start_matches('{').trim_start().trim_start_matches('('));
    of_status.chain(named).chain(tables).filter_map(code).collect()
}

#[test]
fn the_list_has_every_code_that_the_program_uses_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    SOURCES.iter().for_each(|folder| sources(&root.join(folder), &mut files));
    let mut used: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        if source.contains("Problem") {
            used.extend(codes(&source).into_iter().map(|code| (code.to_owned(), file.clone())));
        }
    }
    let known: BTreeSet<&str> = KNOWN_PROBLEMS.iter().map(|known| known.code).collect();
    let missing: Vec<_> = used.iter().filter(|(code, _)| !known.contains(code.as_str())).collect();
    assert!(missing.is_empty(), "not in gateway/src/problems.rs: {missing:#?}");
    let surplus: Vec<_> = known.iter().filter(|code| !used.contains_key(**code)).collect();
    assert!(surplus.is_empty(), "in gateway/src/problems.rs and used nowhere: {surplus:#?}");
}

#[test]
fn the_list_is_sorted_and_has_each_code_once() {
    assert!(KNOWN_PROBLEMS.is_sorted_by(|one, next| one.code < next.code));
}

#[test]
fn codes_are_found_however_a_problem_is_made() {
    let source = r#"Problem::conflict("a_b", x) Self::new(
        StatusCode::CONFLICT,
        "c_d", x) StatusCode::OK => ("e_f", "Text.") StatusCode::OK => {
            ("g_h", "Text.") } Problem::invalid("/pointer", "text") #[cfg(test)] Problem::conflict("i_j", x)"#;
    assert_eq!(codes(source), BTreeSet::from(["a_b", "c_d", "e_f", "g_h"]));
}
