//! The public contract as a checked-in file: `openapi/gateway.json`.
//!
//! The binary prints the document from its own routes; the file is the copy that people review. A difference
//! is a change of the contract, and fails the pipeline until it is written down with `cargo xtask gen`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, output, run};

const FILE: &str = "openapi/gateway.json";

/// Writes the file anew.
///
/// # Errors
/// The binary does not build or does not print a document, or the file cannot be written.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let document = document(workspace)?;
    let file = workspace.path(FILE);
    std::fs::create_dir_all(file.parent().unwrap_or(&file))?;
    std::fs::write(&file, document).with_context(|| format!("cannot write {}", file.display()))?;
    println!("wrote {FILE}");
    Ok(())
}

/// Compares the file with what the binary prints.
///
/// # Errors
/// They differ; the message shows the first line that does.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let printed = document(workspace)?;
    let written = std::fs::read_to_string(workspace.path(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    match first_difference(&written, &printed) {
        None => Ok(()),
        Some(difference) => bail!("{FILE} is not what the routes say; {difference}"),
    }
}

fn document(workspace: &Workspace) -> Result<String> {
    let document = output(workspace.program(build(workspace)?).arg("openapi"))?;
    if document.trim().is_empty() {
        bail!("`cartwright openapi` printed nothing");
    }
    Ok(format!("{}\n", document.trim_end()))
}

/// Built like the tests (the whole workspace with its test features), so that after them only the binary itself is new.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    run(&mut workspace.cargo(["build", "--quiet", "--workspace", "--all-targets"]))?;
    Ok(workspace.target("debug/cartwright"))
}

fn first_difference(written: &str, printed: &str) -> Option<String> {
    if written == printed {
        return None;
    }
    let mut pairs = written.lines().zip(printed.lines()).enumerate();
    Some(match pairs.find(|(_, (file, binary))| file != binary) {
        Some((index, (file, binary))) => {
            format!("first at line {}\n   file:   {file}\n   routes: {binary}", index.saturating_add(1))
        }
        None => format!("the file has {} lines, the routes give {}", written.lines().count(), printed.lines().count()),
    })
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn equal_documents_do_not_differ() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn a_changed_line_and_a_cut_file_are_differences() {
        assert!(first_difference("a\nb\n", "a\nc\n").is_some_and(|text| text.contains("line 2")));
        assert!(first_difference("a\n", "a\nb\n").is_some_and(|text| text.contains("1 lines")));
    }
}
