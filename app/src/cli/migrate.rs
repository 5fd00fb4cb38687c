//! `cartwright migrate`: from the embedded store to MongoDB, and back.

use anyhow::Result;
use cartwright::migrate::{Direction, Moved, migrate};

use super::flags::AllFlags;
use super::{Ending, say, settings};

/// Move a stopped shop from the embedded store to MongoDB, or back
///
/// Copies every document and every event that still waits, compares both sides, and checks the target as `verify` does.
/// The source is only read. Broken off, it goes on where it was when it is run again. Stop the shop first.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  MONGODB_URI=mongodb://db.example/shop?replicaSet=rs0 cartwright migrate to-mongodb --data-dir /srv/shop
  MONGODB_URI=… cartwright migrate to-embedded --data-dir ./copy")]
pub(crate) struct Migrate {
    /// Where to
    #[arg(value_enum)]
    direction: Where,

    #[command(flatten)]
    flags: AllFlags,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Where {
    /// From the file under DATA_DIR to MONGODB_URI
    ToMongodb,
    /// From MONGODB_URI to the file under DATA_DIR
    ToEmbedded,
}

impl Migrate {
    pub(crate) async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let direction = match self.direction {
            Where::ToMongodb => Direction::ToMongo,
            Where::ToEmbedded => Direction::ToEmbedded,
        };
        let moved = migrate(&settings, direction, |line| eprintln!("{line}")).await?;
        say(&told(&moved))?;
        Ok(Ending::Good)
    }
}

fn told(moved: &Moved) -> String {
    let documents: u64 = moved.documents.values().sum();
    let Moved { written, events, .. } = moved;
    format!(
        "Both sides hold the same {documents} documents; {written} of them were written now, and {events} events wait to \
         be sent.\nStock, money, orders and messages agree on the new side.\n"
    )
}
