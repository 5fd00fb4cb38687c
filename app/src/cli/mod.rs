//! The verbs of the command line. Each has a file of its own; this one says what they are and how they end.

mod admin;
mod bench_commit;
mod certs;
mod check;
mod cluster;
mod dead_letters;
mod flags;
mod gateway;
mod import;
mod migrate;
mod openapi;
mod operator;
mod password;
mod serve;
mod token;
mod up;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use cartwright::settings::{Reading, Settings};
use clap::{Parser, Subcommand};

use flags::Flags;

/// A whole shop in one program: accounts, carts, catalogue, stock, payments, orders, messages.
#[derive(Parser)]
#[command(name = "cartwright", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Start with:
  cartwright up --demo          a shop with a demo catalogue, on http://localhost:3001
  cartwright check              what it is told, by whom, and what is wrong with that

Settings are flags, variables of the environment, lines of .env or lines of cartwright.toml, the first of these that
says something. `cartwright up --help` explains all of them.")]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Up(up::Up),
    Serve(serve::Serve),
    Gateway(gateway::Gateway),
    Cluster(cluster::Cluster),
    Check(check::Check),
    Certs(certs::Certs),
    Import(import::Import),
    Migrate(migrate::Migrate),
    Admin(admin::Admin),
    Token(token::Token),
    DeadLetters(dead_letters::DeadLetters),
    Verify(verify::Verify),
    Openapi(openapi::Openapi),
    BenchCommit(bench_commit::BenchCommit),
}

/// How a verb ended that did not fail: with good news, or with bad news that it has printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Good,
    Bad,
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let CommandLine { verb } = CommandLine::parse();
    match block_on(verb) {
        Ok(Ending::Good) => ExitCode::SUCCESS,
        Ok(Ending::Bad) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cartwright: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(verb: Verb) -> Result<Ending> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match verb {
            Verb::Up(up) => up.run().await,
            Verb::Serve(serve) => serve.run().await,
            Verb::Gateway(gateway) => gateway.run().await,
            Verb::Cluster(cluster) => cluster.run().await,
            Verb::Check(check) => check.run().await,
            Verb::Certs(certs) => certs.run().await,
            Verb::Import(import) => import.run().await,
            Verb::Migrate(migrate) => migrate.run().await,
            Verb::Admin(admin) => admin.run().await,
            Verb::Token(token) => token.run().await,
            Verb::DeadLetters(letters) => letters.run().await,
            Verb::Verify(verify) => verify.run().await,
            Verb::Openapi(openapi) => openapi.run().await,
            Verb::BenchCommit(bench) => bench.run().await,
        }
    })
}

/// Prints `text`. A reader that has seen enough, like `head`, is no error.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The settings, or everything that is wrong with them.
fn settings(flags: &Flags) -> Result<Settings> {
    let Reading { settings, problems, .. } = Settings::read(&flags.sources());
    settings.ok_or_else(|| anyhow::anyhow!("the settings are not right:\n  {}", problems.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_verb_explains_itself_with_an_example() {
        for verb in CommandLine::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let leaves: Vec<_> = if verb.has_subcommands() { verb.get_subcommands().collect() } else { vec![verb] };
            for leaf in leaves.into_iter().filter(|leaf| leaf.get_name() != "help") {
                let about = leaf.get_about().map(ToString::to_string).unwrap_or_default();
                let examples = leaf.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(!about.is_empty(), "{} does not say what it does", leaf.get_name());
                assert!(examples.contains("cartwright "), "{} shows no example", leaf.get_name());
            }
        }
    }

    #[test]
    fn every_setting_is_a_flag_of_up() {
        let command = CommandLine::command();
        let up = command.find_subcommand("up").unwrap();
        for setting in Settings::table() {
            let flag = setting.flag();
            assert!(up.get_arguments().any(|argument| argument.get_long() == Some(&flag)), "--{flag}");
        }
    }
}
