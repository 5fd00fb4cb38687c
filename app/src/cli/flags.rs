//! Every setting as a flag, made from the table of settings.

use std::path::PathBuf;

use cartwright::settings::{Settings, Sources};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// The flag that names another file than `cartwright.toml`.
const CONFIG: &str = "config";

/// Settings given as flags. All of them work everywhere; help lists those that the verb needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    texts: Vec<(String, String)>,
    config: Option<PathBuf>,
}

impl Flags {
    /// What is said by these flags and everywhere else.
    pub(crate) fn sources(&self) -> Sources {
        Sources::gather(self.texts.iter().cloned(), self.config.as_deref())
    }

    fn augment(command: Command, is_listed: impl Fn(&str) -> bool) -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help_heading("Settings")
            .help("Read this file instead of cartwright.toml");
        Settings::table().into_iter().fold(command.arg(config), |command, setting| {
            let more = match setting.default {
                None | Some("") => format!(" [{}]", setting.env()),
                Some(default) => format!(" [{}={default}]", setting.env()),
            };
            let flag = Arg::new(setting.name)
                .long(setting.flag())
                .value_name("VALUE")
                .action(ArgAction::Set)
                .hide(!is_listed(setting.name))
                .help_heading("Settings")
                .help(format!("{}{more}", setting.help));
            command.arg(flag)
        })
    }

    fn matched(matches: &ArgMatches) -> Self {
        let said = Settings::table().into_iter().filter_map(|setting| {
            let text = matches.get_one::<String>(setting.name)?;
            Some((setting.name.to_owned(), text.clone()))
        });
        Self { texts: said.collect(), config: matches.get_one::<PathBuf>(CONFIG).cloned() }
    }
}

/// All settings, for the verbs that run or explain a shop.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllFlags(pub(crate) Flags);

/// The settings of a verb that only has to find the shop; the others are taken too, but not listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FewFlags(pub(crate) Flags);

impl FromArgMatches for AllFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Flags::matched(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = Flags::matched(matches);
        Ok(())
    }
}

impl Args for AllFlags {
    fn augment_args(command: Command) -> Command {
        Flags::augment(command, |_| true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FewFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Flags::matched(matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = Flags::matched(matches);
        Ok(())
    }
}

impl Args for FewFlags {
    fn augment_args(command: Command) -> Command {
        Flags::augment(command, |name| name == "data_dir")
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
