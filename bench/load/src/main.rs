//! A closed-loop load generator for cart APIs, and the comparison of Cartwright with a reference implementation.
//!
//! Every answer is checked (status, lines, prices, totals), and the carts and the stock are counted afterwards: a
//! wrong answer ends the run with an error, so that there is no figure for work that was not done.

mod cart;
mod checkout;
mod clock;
mod cluster;
mod compare;
mod decimal;
mod figures;
mod http;
mod peer;
mod process;
mod rabbitmq;
mod reference;
mod report;
mod run;
mod shop;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{peer::Peer, run::Scenario};

#[derive(Parser)]
#[command(name = "cartwright-load", about = "Closed-loop load on a cart API; every answer is checked")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Drive a server that is already running, and print the figures as JSON
    Run(RunOptions),
    /// Start the shop and the reference in turn, drive both, and write the table
    Compare(compare::Options),
}

#[derive(clap::Args)]
struct RunOptions {
    #[arg(long, value_enum, default_value = "cartwright")]
    peer: Peer,
    #[arg(long, default_value = "127.0.0.1:3001")]
    address: SocketAddr,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "add,get,checkout")]
    scenario: Vec<Scenario>,
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    connections: Vec<usize>,
    /// Carts with three lines each, shared by no two connections
    #[arg(long, default_value_t = 1000)]
    carts: usize,
    /// Seconds that are counted
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before, that are not
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// The admin who fills the shelves before checkouts
    #[arg(long, env = "ADMIN_EMAIL", default_value = "")]
    admin_email: String,
    #[arg(long, env = "ADMIN_PASSWORD", default_value = "", hide_env_values = true)]
    admin_password: String,
    /// Process ids of the server, to account its processor time
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match Arguments::parse().verb {
                Verb::Run(options) => run_once(options).await,
                Verb::Compare(options) => compare::run(options).await,
            }
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_once(options: RunOptions) -> Result<()> {
    let admin = shop::Admin { email: options.admin_email, password: options.admin_password };
    let mut world = run::World::prepare(options.peer, options.address, options.carts, &admin).await?;
    for scenario in options.scenario.into_iter().filter(|scenario| options.peer.offers(*scenario)) {
        for connections in &options.connections {
            let load = run::Load { connections: *connections, warmup_s: options.warmup, counted_s: options.seconds };
            let figures = world.run(scenario, &load, &options.pid).await?;
            println!("{}", serde_json::to_string(&figures)?);
        }
        world.verify(scenario).await?;
    }
    Ok(())
}
