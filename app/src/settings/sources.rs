//! Where settings come from, and what each source says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::{Setting, Settings};

/// Where a setting came from. A later one goes before an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A line of `cartwright.toml`.
    File,
    /// A line of `.env` in the working folder.
    DotEnv,
    /// A variable of the environment.
    Environment,
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "cartwright.toml",
            Self::DotEnv => ".env",
            Self::Environment => "environment",
            Self::Flag => "flag",
        })
    }
}

/// What all sources say, as text, and what is wrong with the sources themselves.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    texts: BTreeMap<(Source, String), String>,
    problems: Vec<String>,
}

impl Sources {
    /// Reads `flags`, the environment, `.env` and `cartwright.toml` of the working folder; or the file `config` instead of
    /// the latter, which must exist then.
    pub fn gather(flags: impl IntoIterator<Item = (String, String)>, config: Option<&Path>) -> Self {
        let mut sources = Self::default();
        for (name, text) in flags {
            sources.set(Source::Flag, &name, &text);
        }
        sources.read_environment();
        sources.read_dot_env(Path::new(".env"));
        sources.read_file(config.unwrap_or(Path::new("cartwright.toml")), config.is_some());
        sources
    }

    /// Takes over what `source` says about the setting `name`.
    pub fn set(&mut self, source: Source, name: &str, text: &str) {
        drop(self.texts.insert((source, name.to_owned()), text.to_owned()));
    }

    /// Every setting that any source says something about, and what the strongest says.
    pub fn strongest(&self) -> Vec<(Setting, String)> {
        let said = |setting: Setting| self.find(setting.name).map(|(_, text)| (setting, text.to_owned()));
        Settings::table().into_iter().filter_map(said).collect()
    }

    /// What the strongest source says about `name`. An empty text says nothing.
    pub(super) fn find(&self, name: &str) -> Option<(Source, &str)> {
        let strongest = [Source::Flag, Source::Environment, Source::DotEnv, Source::File];
        strongest.into_iter().find_map(|source| {
            let text = self.texts.get(&(source, name.to_owned()))?;
            (!text.is_empty()).then_some((source, text.as_str()))
        })
    }

    /// What is wrong with the sources, and with keys of the file that no setting of `known` has.
    pub(super) fn problems(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        let keys = self.texts.keys().filter(|(source, _)| *source == Source::File);
        let unknown = keys.filter(|(_, name)| !known(name)).map(|(_, name)| {
            format!("cartwright.toml has a key `{name}`, which is no setting; `cartwright check` lists all of them.")
        });
        self.problems.iter().cloned().chain(unknown).collect()
    }

    fn read_environment(&mut self) {
        for setting in Settings::table() {
            let variable = setting.env();
            match std::env::var(&variable) {
                Ok(text) => self.set(Source::Environment, setting.name, &text),
                Err(std::env::VarError::NotPresent) => {}
                Err(std::env::VarError::NotUnicode(_)) => {
                    self.problems.push(format!("{variable} in the environment is not UTF-8 text."));
                }
            }
        }
    }

    /// Other programs' variables may stand in `.env` too, so what is no setting is passed over.
    fn read_dot_env(&mut self, path: &Path) {
        let lines = match dotenvy::from_path_iter(path) {
            Ok(lines) => lines,
            Err(error) if error.not_found() => return,
            Err(error) => return self.problems.push(format!("{} cannot be read: {error}.", path.display())),
        };
        let table = Settings::table();
        for line in lines {
            match line {
                Ok((variable, text)) => {
                    if let Some(setting) = table.iter().find(|setting| setting.env() == variable) {
                        self.set(Source::DotEnv, setting.name, &text);
                    }
                }
                // Its text would show the line, which may hold a secret.
                Err(_) => {
                    self.problems.push(format!("{} has a line that is not of the form NAME=value.", path.display()))
                }
            }
        }
    }

    fn read_file(&mut self, path: &Path, must_exist: bool) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return,
            Err(error) => return self.problems.push(format!("{} cannot be read: {error}.", path.display())),
        };
        match text.parse::<toml::Table>() {
            Ok(table) => table.iter().for_each(|(key, value)| self.take_line(path, key, value)),
            Err(error) => {
                let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or("").lines().count().max(1));
                self.problems.push(format!("{} is not TOML: line {line}: {}.", path.display(), error.message()));
            }
        }
    }

    fn take_line(&mut self, path: &Path, key: &str, value: &toml::Value) {
        match as_text(value) {
            Some(text) => self.set(Source::File, key, &text),
            None => self.problems.push(format!(
                "{} has `{key}` as {}; a text, a number, true or false, or a list of texts is needed.",
                path.display(),
                value.type_str()
            )),
        }
    }
}

fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(all) => {
            let texts: Option<Vec<&str>> = all.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Sources {
        let mut sources = Sources::default();
        let path = std::env::temp_dir().join(format!("cartwright-{}-{}.toml", std::process::id(), text.len()));
        std::fs::write(&path, text).unwrap();
        sources.read_file(&path, true);
        std::fs::remove_file(&path).unwrap();
        sources
    }

    #[test]
    fn a_file_may_hold_numbers_texts_truths_and_lists() {
        let sources = file(
            "port = 8080\nhost = '0.0.0.0'\nexempt_loopback = false\nallowed_origins = ['https://a.example', 'https://b.example']\n",
        );
        assert_eq!(sources.find("port"), Some((Source::File, "8080")));
        assert_eq!(sources.find("exempt_loopback"), Some((Source::File, "false")));
        assert_eq!(sources.find("allowed_origins"), Some((Source::File, "https://a.example,https://b.example")));
        assert!(sources.problems(|_| true).is_empty());
    }

    #[test]
    fn a_file_that_is_no_toml_or_holds_a_section_is_told_with_its_place() {
        let broken = file("port = 1\nhost = = 2\n").problems(|_| true);
        assert!(broken[0].contains("line 2"), "{broken:?}");
        let section = file("[store]\npath = 'x'\n").problems(|_| true);
        assert!(section[0].contains("`store`"), "{section:?}");
    }

    #[test]
    fn a_file_that_was_asked_for_must_exist() {
        let mut sources = Sources::default();
        sources.read_file(Path::new("/nowhere/cartwright.toml"), true);
        assert_eq!(sources.problems(|_| true).len(), 1);
        let mut sources = Sources::default();
        sources.read_file(Path::new("/nowhere/cartwright.toml"), false);
        assert!(sources.problems(|_| true).is_empty());
    }
}
