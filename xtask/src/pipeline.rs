//! `cargo xtask test`: the pipeline, as one list of steps.
//!
//! A step is a name, a function and what to do when it fails. Adding one is adding a line to [`STEPS`]. The
//! cheap ones come first. Everything compiles in the dev profile with the features of the whole workspace, so that
//! no step throws away what another compiled.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    debian, openapi,
    tools::{DENY, NEXTEST},
    workspace::{Workspace, run as run_command},
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the steps of these names, in the order of the pipeline
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Go on after a step that failed
    #[arg(long)]
    keep_going: bool,
    /// Also ask the RustSec advisory database (needs the network)
    #[arg(long)]
    advisories: bool,
}

struct Step {
    name: &'static str,
    run: fn(&Workspace, &Options) -> Result<()>,
    on_failure: &'static str,
}

const STEPS: &[Step] = &[
    Step { name: "format", run: format, on_failure: "run `cargo fmt` and commit what it changes" },
    Step {
        name: "dependencies",
        run: dependencies,
        on_failure: "a licence, a banned crate or a foreign source: read the path above, then choose another crate, \
                     turn its feature off, or argue for a line in deny.toml",
    },
    Step {
        name: "architecture",
        run: architecture,
        on_failure: "the message names the rule, the place and the fix; the rules are in ARCHITECTURE.md",
    },
    Step {
        name: "clippy",
        run: clippy,
        on_failure: "mend the warning; where it is wrong, `#[expect(…, reason = \"…\")]` says why",
    },
    Step {
        name: "tests",
        run: tests,
        on_failure: "run one test alone with `cargo nextest run -E 'test(name)'`; a simulation prints its seed",
    },
    Step {
        name: "specs-cluster",
        run: specs_on_a_cluster,
        on_failure: "run one alone with `CARTWRIGHT_SPECS=cluster cargo nextest run -p cartwright-specs -E 'test(name)'`; \
                     CARTWRIGHT_LOG=info shows what the parts say",
    },
    Step { name: "doctests", run: doctests, on_failure: "the example in the doc comment no longer holds" },
    Step {
        name: "openapi",
        run: |workspace, _| openapi::check(workspace),
        on_failure: "run `cargo xtask gen` and read the diff: it is a change of the public contract",
    },
];

/// Runs the steps and prints what came of each.
///
/// # Errors
/// A name in `--only` is no step, the machine lacks something, or a step failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let steps = chosen(&options.only)?;
    debian::require(workspace, debian::TO_BUILD)?;
    let mut outcomes = Vec::new();
    for step in steps {
        let outcome = perform(step, workspace, options);
        let stop = !outcome.passed && !options.keep_going;
        outcomes.push(outcome);
        if stop {
            break;
        }
    }
    summarise(&outcomes)
}

struct Outcome {
    step: &'static Step,
    passed: bool,
    took: Duration,
}

fn chosen(names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != name.as_str())) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step is called `{unknown}`; the steps are {}", known.join(", "));
    }
    Ok(STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect())
}

fn perform(step: &'static Step, workspace: &Workspace, options: &Options) -> Outcome {
    println!("\n== {}", step.name);
    let started = now();
    let result = (step.run)(workspace, options);
    let took = started.elapsed();
    match &result {
        Ok(()) => println!("== {}: ok after {took:.1?}", step.name),
        Err(error) => println!("== {}: FAILED after {took:.1?}: {error:#}\n   {}", step.name, step.on_failure),
    }
    Outcome { step, passed: result.is_ok(), took }
}

#[expect(clippy::disallowed_methods, reason = "a person waits for these seconds; there is no clock to inject")]
fn now() -> Instant {
    Instant::now()
}

fn summarise(outcomes: &[Outcome]) -> Result<()> {
    println!("\n{:<14} {:>9}", "step", "seconds");
    for outcome in outcomes {
        let result = if outcome.passed { "ok" } else { "FAILED" };
        println!("{:<14} {:>9} {result}", outcome.step.name, outcome.took.as_secs());
    }
    let failed: Vec<&str> = outcomes.iter().filter(|outcome| !outcome.passed).map(|it| it.step.name).collect();
    println!("steps: {} passed, {} failed", outcomes.len().saturating_sub(failed.len()), failed.len());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn format(workspace: &Workspace, _: &Options) -> Result<()> {
    run_command(&mut workspace.cargo(["fmt", "--all", "--check"]))
}

fn dependencies(workspace: &Workspace, options: &Options) -> Result<()> {
    DENY.require(workspace)?;
    // Of all systems, also those that nothing here is compiled for: their licences count too.
    run_command(&mut workspace.cargo(["fetch", "--quiet", "--locked"]))?;
    run_command(&mut workspace.cargo(["deny", "--offline", "--all-features", "check", "bans", "licenses", "sources"]))?;
    if options.advisories {
        run_command(&mut workspace.cargo(["deny", "--all-features", "check", "advisories"]))?;
    }
    Ok(())
}

fn architecture(workspace: &Workspace, _: &Options) -> Result<()> {
    run_command(&mut workspace.cargo(["test", "--quiet", "--package", "xtask", "--test", "architecture"]))
}

fn clippy(workspace: &Workspace, _: &Options) -> Result<()> {
    run_command(&mut workspace.cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

fn tests(workspace: &Workspace, _: &Options) -> Result<()> {
    NEXTEST.require(workspace)?;
    debian::require(workspace, debian::TO_TEST)?;
    debian::require_unless_root(workspace, debian::RUN_BY_TESTS)?;
    run_command(&mut workspace.cargo([
        "nextest",
        "run",
        "--workspace",
        "--locked",
        "--no-tests=fail",
        "--no-fail-fast",
    ]))
}

/// The specs once more, unchanged: two of each service behind a gateway, on MongoDB and RabbitMQ. Those that reach into a
/// process, to let its n-th commit fail or to damage a document, are about one process; what is done to real processes of a
/// cluster is in `app/tests/cluster`.
fn specs_on_a_cluster(workspace: &Workspace, _: &Options) -> Result<()> {
    let chosen = ["-E", "package(cartwright-specs) - binary(faults) - binary(awkward)"];
    let specs = ["nextest", "run", "--workspace", "--locked", "--no-tests=fail", "--no-fail-fast"];
    run_command(workspace.cargo(specs.into_iter().chain(chosen)).env("CARTWRIGHT_SPECS", "cluster"))
}

fn doctests(workspace: &Workspace, _: &Options) -> Result<()> {
    run_command(&mut workspace.cargo(["test", "--quiet", "--doc", "--workspace", "--locked"]))
}
