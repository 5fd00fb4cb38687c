//! Reads settings one by one, and keeps what was found and what is wrong.

use super::{Settings, Source, Sources};

/// One thing that `cartwright` can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in `cartwright.toml`; flag and variable follow from it.
    pub name: &'static str,
    /// What it is, in a sentence without its full stop.
    pub help: &'static str,
    /// What is so where nobody says otherwise.
    pub default: Option<&'static str>,
    /// Whether it must not be printed.
    pub is_secret: bool,
}

impl Setting {
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, default: None, is_secret: false }
    }

    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// Its variable in the environment and in `.env`.
    pub fn env(&self) -> String {
        self.name.to_ascii_uppercase()
    }

    /// Its flag, without the dashes before it.
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// A setting as it was found.
#[derive(Clone, Debug)]
pub struct Value {
    /// Which one.
    pub setting: Setting,
    /// Its text, or `[secret]`; empty where it is not set.
    pub shown: String,
    /// Where it came from; `None` for the default.
    pub source: Option<Source>,
}

/// All settings as they were found.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The settings, where nothing is wrong.
    pub settings: Option<Settings>,
    /// Each setting and where it came from.
    pub values: Vec<Value>,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

/// Reads from `sources`.
pub(super) struct Reader<'a> {
    sources: &'a Sources,
    values: Vec<Value>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(sources: &'a Sources) -> Self {
        Self { sources, values: Vec::new(), problems: Vec::new() }
    }

    /// What a setting with a default is. `None` where what was said is wrong.
    pub(super) fn value<T>(&mut self, setting: Setting, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match self.optional(setting, &parse)? {
            Some(value) => Some(value),
            None => self.understood(setting, None, setting.default.unwrap_or(""), parse),
        }
    }

    /// What a setting without a default is, if anything. `None` where what was said is wrong.
    pub(super) fn optional<T>(
        &mut self,
        setting: Setting,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let found = self.sources.find(setting.name);
        let text = found.map_or(setting.default.unwrap_or(""), |(_, text)| text);
        let shown = if setting.is_secret && !text.is_empty() { "[secret]" } else { text };
        self.values.push(Value { setting, shown: shown.to_owned(), source: found.map(|(source, _)| source) });
        match found {
            None => Some(None),
            Some((source, text)) => self.understood(setting, Some(source), text, parse).map(Some),
        }
    }

    /// Two settings that make sense together only.
    pub(super) fn both<A, B>(
        &mut self,
        one: Option<Option<A>>,
        other: Option<Option<B>>,
        sentence: &str,
    ) -> Option<Option<(A, B)>> {
        match (one?, other?) {
            (Some(one), Some(other)) => Some(Some((one, other))),
            (None, None) => Some(None),
            (Some(_), None) | (None, Some(_)) => {
                self.problems.push(sentence.to_owned());
                None
            }
        }
    }

    fn understood<T>(
        &mut self,
        setting: Setting,
        source: Option<Source>,
        text: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let why = match parse(text) {
            Ok(value) => return Some(value),
            Err(why) => why,
        };
        let name = match source {
            Some(Source::Flag) => format!("--{}", setting.flag()),
            Some(Source::Environment) => format!("{} in the environment", setting.env()),
            Some(Source::DotEnv) => format!("{} in .env", setting.env()),
            Some(Source::File) => format!("{} in cartwright.toml", setting.name),
            None => format!("the default of {}", setting.env()),
        };
        let problem = if setting.is_secret {
            format!("{name} is no good: {why}.")
        } else {
            format!("{name} is `{text}`: {why}.")
        };
        self.problems.push(problem);
        None
    }

    pub(super) fn table(self) -> Vec<Setting> {
        self.values.into_iter().map(|value| value.setting).collect()
    }

    pub(super) fn finish(self, settings: Option<Settings>) -> Reading {
        let Self { sources, values, mut problems } = self;
        problems.extend(sources.problems(|name| values.iter().any(|value| value.setting.name == name)));
        Reading { settings: settings.filter(|_| problems.is_empty()), values, problems }
    }
}
