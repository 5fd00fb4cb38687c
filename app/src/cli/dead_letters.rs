//! `cartwright dead-letters`: events that could not be applied.

use anyhow::Result;
use cartwright::control::{Letter, Replayed, Which};
use clap::Subcommand;

use super::flags::FewFlags;
use super::operator::Reached;
use super::{Ending, say, settings};

/// Events that could not be applied, with their causes
#[derive(clap::Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    verb: DeadLettersVerb,
}

#[derive(Subcommand)]
enum DeadLettersVerb {
    List(List),
    Replay(Replay),
}

/// List them, the oldest first
///
/// An event is a dead letter when a service has refused it ten times. It blocks nothing else, and nothing of it is lost.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright dead-letters list
  cartwright dead-letters list --json | jq -r '.[].cause'")]
struct List {
    /// Print them as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    flags: FewFlags,
}

/// Apply them once more, when the cause is mended
///
/// One that succeeds is gone; one that fails again stays, and the verb ends with 1.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright dead-letters replay inventory:0199f6a2-6f2b-7c41-9d0e-0d3c8f1f6a55
  cartwright dead-letters replay --all")]
struct Replay {
    /// The id that `list` shows
    #[arg(required_unless_present = "all")]
    id: Option<String>,

    /// All of them, the oldest first
    #[arg(long, conflicts_with = "id")]
    all: bool,

    #[command(flatten)]
    flags: FewFlags,
}

impl DeadLetters {
    pub(crate) async fn run(self) -> Result<Ending> {
        match self.verb {
            DeadLettersVerb::List(list) => list.run().await,
            DeadLettersVerb::Replay(replay) => replay.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let shop = Reached::find(&settings).await?;
        let letters = shop.operator.dead_letters().await;
        shop.leave().await;
        let letters = letters?;
        if self.json {
            say(&format!("{}\n", serde_json::to_string_pretty(&letters)?))?;
        } else {
            say(&listed(&letters))?;
        }
        Ok(Ending::Good)
    }
}

impl Replay {
    async fn run(self) -> Result<Ending> {
        let settings = settings(&self.flags.0)?;
        let which = self.id.map_or(Which::All, Which::One);
        let shop = Reached::find(&settings).await?;
        let replayed = shop.operator.replay(which).await;
        shop.leave().await;
        let replayed = replayed?;
        say(&told(&replayed))?;
        Ok(if replayed.iter().all(|it| it.failed.is_none()) { Ending::Good } else { Ending::Bad })
    }
}

fn listed(letters: &[Letter]) -> String {
    if letters.is_empty() {
        return "No dead letters.\n".to_owned();
    }
    let told = letters.iter().map(|letter| {
        let Letter { id, consumer, event, subject, tries, cause, at } = letter;
        format!("{id}\n  {at}  {consumer} could not apply {event} of {subject} in {tries} tries:\n  {cause}\n")
    });
    told.collect()
}

fn told(replayed: &[Replayed]) -> String {
    if replayed.is_empty() {
        return "No dead letters.\n".to_owned();
    }
    let told = replayed.iter().map(|Replayed { id, failed }| match failed {
        None => format!("{id}: applied\n"),
        Some(why) => format!("{id}: {why}\n"),
    });
    told.collect()
}
