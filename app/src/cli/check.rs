//! `cartwright check`: what the shop would run with, who said so, and what is wrong.

use anyhow::Result;
use cartwright::control::RemoteOperator;
use cartwright::engine::Engine;
use cartwright::role::Role;
use cartwright::settings::{Reading, Settings, Value, example, folder_problem};
use cartwright_runtime::{Clock, Tasks};
use cartwright_store_sqlite::SqliteBackend;

use super::flags::AllFlags;
use super::{Ending, say};

/// Explain the settings that the shop would run with, and say what is wrong
///
/// Prints each setting, its value and where it came from; secrets are not shown. Looks at the folder and the store as
/// well. Changes nothing. Ends with 1 where something is wrong.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright check
  cartwright check --config /etc/cartwright.toml
  cartwright check --example > .env.example      every setting, explained, at its default")]
pub(crate) struct Check {
    /// Print a file of all settings at their defaults instead
    #[arg(long)]
    example: bool,

    #[command(flatten)]
    flags: AllFlags,
}

impl Check {
    pub(crate) async fn run(self) -> Result<Ending> {
        if self.example {
            say(&example())?;
            return Ok(Ending::Good);
        }
        let Reading { settings, values, mut problems } = Settings::read(&self.flags.0.sources());
        say(&table(&values))?;
        if let Some(settings) = &settings {
            problems.extend(folder_problem(&settings.data_dir));
            problems.extend(store_problem(settings).await);
            say(&format!("\n{}\n", presence(settings).await))?;
        }
        if problems.is_empty() {
            say("Nothing is wrong.\n")?;
            return Ok(Ending::Good);
        }
        let wrong: String = problems.iter().map(|problem| format!("- {problem}\n")).collect();
        say(&format!("\nWhat is wrong:\n{wrong}"))?;
        Ok(Ending::Bad)
    }
}

/// Three columns: name, value, source.
fn table(values: &[Value]) -> String {
    let name = values.iter().map(|value| value.setting.env().len()).max().unwrap_or(0);
    let shown = values.iter().map(|value| value.shown.chars().count()).max().unwrap_or(0).clamp(7, 48);
    let lines = values.iter().map(|value| {
        let source = match (value.source, value.shown.as_str()) {
            (Some(source), _) => source.to_string(),
            (None, "") => "not set".to_owned(),
            (None, _) => "default".to_owned(),
        };
        let text = if value.shown.is_empty() { "-" } else { &value.shown };
        format!("{:name$}  {text:shown$}  {source}\n", value.setting.env())
    });
    lines.collect()
}

async fn presence(settings: &Settings) -> String {
    if settings.places.use_mongodb() {
        return "The documents are kept in MongoDB.".to_owned();
    }
    let running = RemoteOperator::new(settings.control_socket()).is_there().await;
    let store = settings.store_file();
    match (running, store.exists()) {
        (true, _) => format!("A shop runs on {}.", store.display()),
        (false, true) => format!("No shop runs; {} is there for the next start.", store.display()),
        (false, false) => format!("There is no store yet; the first start makes {}.", store.display()),
    }
}

/// Why the store could not be opened, where it is there and could not.
async fn store_problem(settings: &Settings) -> Option<String> {
    if settings.places.use_mongodb() {
        let opened = Engine::open(settings, &Role::ALL, &Clock::system(), &Tasks::new()).await;
        return opened.err().map(|error| format!("{error:#}."));
    }
    let file = settings.store_file();
    if !file.exists() {
        return None;
    }
    let opened = SqliteBackend::open_read_only(&file, Clock::system());
    opened.err().map(|error| format!("{error}."))
}
