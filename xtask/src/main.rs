//! The tasks of this repository, as one typed program.
//!
//! `cargo xtask --help` lists them. Everything that a task needs and a fresh machine lacks it installs
//! by itself under `target/`, or says in one line how to install it.

mod bench;
mod debian;
mod openapi;
mod pipeline;
mod prove;
mod tools;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the whole pipeline: what continuous integration runs, and what to run before a commit
    Test(pipeline::Options),
    /// Write the checked-in files that are made from the code (openapi/gateway.json)
    Gen,
    /// Build everything in release and start the demo shop; further arguments go to `cartwright up`
    Up {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure the shop beside the reference implementation and write docs/performance.md
    Bench {
        /// Options of `cartwright-load compare` (see bench/README.md)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the long proofs (many kills, many seeds): the ignored tests named `prove_…`
    Prove(prove::Options),
}

fn main() -> ExitCode {
    match perform(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(verb: Verb) -> anyhow::Result<()> {
    let workspace = Workspace::here();
    match verb {
        Verb::Test(options) => pipeline::run(&workspace, &options),
        Verb::Gen => openapi::write(&workspace),
        Verb::Up { arguments } => up::run(&workspace, &arguments),
        Verb::Bench { arguments } => bench::run(&workspace, &arguments),
        Verb::Prove(options) => prove::run(&workspace, &options),
    }
}
