//! Everything that `cartwright` can be told: one table, read from flags, environment, `.env`, `cartwright.toml` and defaults.
//!
//! Promises that every name, default and explanation stands in one place, that all mistakes are told at once in sentences,
//! and that a misspelt key is one of them. Secrets are never printed.

mod places;
mod reader;
mod services;
mod sources;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cartwright_runtime::{LogFormat, Secret};
use cartwright_vocabulary::{Currency, Email};

pub use places::{BrokerPlace, Places, ServicePlace};
use reader::Reader;
pub use reader::{Reading, Setting, Value};
pub use sources::{Source, Sources};

/// Everything that `cartwright` can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port that clients use; 0 for any that is free.
    pub port: u16,
    /// The address that the shop listens on.
    pub host: IpAddr,
    /// Where the store and the local mailbox live.
    pub data_dir: PathBuf,
    /// An admin made at the start.
    pub admin: Option<(Email, Secret<String>)>,
    /// Signs tokens by HS256 where it is set.
    pub jwt_secret: Option<Secret<String>>,
    /// The life of an access token.
    pub jwt_expires_in: Duration,
    /// The fewest characters of a password.
    pub password_min: usize,
    /// The id and the key of the pepper that goes into password hashes.
    pub password_pepper: Option<(String, Secret<String>)>,
    /// Where shoppers find the shop; its pages may call.
    pub frontend_url: Option<String>,
    /// Further origins whose pages may call.
    pub allowed_origins: Vec<String>,
    /// Where mail is handed over; without it, mail is put into the local mailbox.
    pub smtp_url: Option<Secret<String>>,
    /// The sender of mails.
    pub mail_from: Email,
    /// The shop's name.
    pub shop_name: String,
    /// The currency of all prices.
    pub currency: Currency,
    /// How long an order waits for its payment.
    pub payment_deadline: Duration,
    /// Whether clients on this machine are free of rate limits.
    pub exempt_loopback: bool,
    /// What is logged.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where the parts of the shop are when they are not all in one process.
    pub places: Places,
}

impl Settings {
    /// Reads every setting from `sources`.
    pub fn read(sources: &Sources) -> Reading {
        let mut reader = Reader::new(sources);
        let settings = read(&mut reader);
        reader.finish(settings)
    }

    /// Every setting there is, in the order in which it is explained.
    pub fn table() -> Vec<Setting> {
        let empty = Sources::default();
        let mut reader = Reader::new(&empty);
        drop(read(&mut reader));
        reader.table()
    }

    /// The address that the shop listens on.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Where shoppers find the shop: `FRONTEND_URL`, or this machine's own address.
    pub fn base_url(&self) -> String {
        let here = if self.host.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.host };
        let own = || format!("http://{}", SocketAddr::new(here, self.port));
        self.frontend_url.clone().unwrap_or_else(own)
    }

    /// All origins whose pages may call.
    pub fn origins(&self) -> Vec<String> {
        self.frontend_url.iter().chain(&self.allowed_origins).cloned().collect()
    }

    /// How long inventory holds stock before it asks the order: the payment deadline and two minutes (reliability R-I 3).
    pub fn hold_ttl(&self) -> Duration {
        self.payment_deadline.saturating_add(Duration::from_secs(120))
    }

    /// The store's file.
    pub fn store_file(&self) -> PathBuf {
        self.data_dir.join("cartwright.db")
    }

    /// The folder that all processes of the shop on this machine share.
    pub fn shared_dir(&self) -> &Path {
        self.places.shared_dir.as_deref().unwrap_or(&self.data_dir)
    }

    /// The folder of mails that were not handed to a server.
    pub fn mailbox(&self) -> PathBuf {
        self.shared_dir().join("mail")
    }

    /// The folder of the search index; it is made anew from the store where it is missing.
    pub fn search_index(&self) -> PathBuf {
        self.data_dir.join("search")
    }

    /// The sandbox payment provider's own ledger.
    pub fn sandbox_ledger(&self) -> PathBuf {
        self.shared_dir().join(cartwright_payment_sandbox::LEDGER_FILE)
    }

    /// The socket by which the operator's verbs reach a running shop.
    pub fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }
}

/// The table: each setting is named, explained and understood here and nowhere else.
fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let port = reader
        .value(Setting::new("port", "The port that clients use; 0 takes one that is free").or("3001"), |text| {
            text.parse::<u16>().map_err(|_| "a number from 0 to 65535 is needed".to_owned())
        });
    let host = reader.value(
        Setting::new("host", "The address to listen on; 0.0.0.0 for every network of this machine").or("127.0.0.1"),
        host,
    );
    let data_dir = reader.value(
        Setting::new("data_dir", "The folder of the store, the search index and the local mailbox").or("data"),
        |text| Ok(PathBuf::from(text)),
    );
    let admin_email = reader
        .optional(Setting::new("admin_email", "An admin that is made at the start; needs ADMIN_PASSWORD"), |text| {
            text.parse::<Email>().map_err(|_| "an e-mail address is needed, like anna@shop.example".to_owned())
        });
    let admin_password = reader.optional(Setting::new("admin_password", "The password of that admin").secret(), secret);
    let jwt_secret = reader.optional(
        Setting::new(
            "jwt_secret",
            "Signs tokens by HS256; at least 32 bytes. Without it, a key of the shop's own does",
        )
        .secret(),
        |text| match text.len() {
            32.. => secret(text),
            short => Err(format!("it has {short} bytes and needs 32 at least; `openssl rand -hex 32` makes one")),
        },
    );
    let jwt_expires_in = reader
        .value(Setting::new("jwt_expires_in", "The life of an access token, like 15m, 12h or 7d").or("15m"), |text| {
            duration(text, Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600))
        });
    let password_min =
        reader.value(Setting::new("password_min", "The fewest characters of a password").or("8"), |text| {
            let least = text.parse().ok().filter(|least| (1..=256).contains(least));
            least.ok_or_else(|| "a number from 1 to 256 is needed".to_owned())
        });
    let password_pepper = reader.optional(
        Setting::new("password_pepper", "A key that goes into every password hash, as `id:key`; keep it for ever")
            .secret(),
        |text| {
            let parts = text.split_once(':').filter(|(id, key)| !id.is_empty() && key.len() >= 16);
            let parts = parts.map(|(id, key)| (id.to_owned(), Secret::new(key.to_owned())));
            parts.ok_or_else(|| "an id, a colon and a key of at least 16 bytes are needed".to_owned())
        },
    );
    let frontend_url = reader.optional(
        Setting::new("frontend_url", "Where shoppers find the shop, like https://shop.example; its pages may call"),
        origin,
    );
    let allowed_origins = reader.value(
        Setting::new("allowed_origins", "Further origins whose pages may call, separated by commas").or(""),
        |text| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(origin).collect(),
    );
    let smtp_url = reader.optional(
        Setting::new(
            "smtp_url",
            "The mail server, like smtps://user:password@mail.example; without it, mail stays in DATA_DIR/mail",
        )
        .secret(),
        |text| match text.split_once("://") {
            Some(("smtp" | "smtps", rest)) if !rest.is_empty() => secret(text),
            _ => Err("a URL that begins with smtp:// or smtps:// is needed".to_owned()),
        },
    );
    let mail_from = reader
        .value(Setting::new("mail_from", "The address that mails come from").or("shop@cartwright.example"), |text| {
            text.parse::<Email>().map_err(|_| "an e-mail address is needed, like shop@shop.example".to_owned())
        });
    let shop_name =
        reader.value(Setting::new("shop_name", "The shop's name, in mails and on pages").or("Cartwright"), |text| {
            let fits = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned()).ok_or_else(|| "1 to 100 characters on one line are needed".to_owned())
        });
    let currency = reader
        .value(Setting::new("currency", "The currency of all prices, by its ISO 4217 code").or("USD"), |text| {
            text.parse::<Currency>().map_err(|_| "an ISO 4217 code is needed, like EUR".to_owned())
        });
    let payment_deadline = reader.value(
        Setting::new("payment_deadline", "How long an order holds its stock while it waits for payment").or("15m"),
        |text| duration(text, Duration::from_secs(1), Duration::from_secs(24 * 3600)),
    );
    let exempt_loopback = reader.value(
        Setting::new(
            "exempt_loopback",
            "Whether clients on this machine are free of rate limits; false behind a proxy",
        )
        .or("true"),
        |text| text.parse::<bool>().map_err(|_| "true or false is needed".to_owned()),
    );
    let log = reader.value(
        Setting::new(
            "log",
            "What is logged: error, warn, info, debug, or parts of it like info,cartwright_order=debug",
        )
        .or("info"),
        |text| Ok(text.to_owned()),
    );
    let log_format =
        reader.value(Setting::new("log_format", "How log lines look: text or json").or("text"), |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("text or json is needed".to_owned()),
        });

    let places = places::read(reader);

    let admin =
        reader.both(admin_email, admin_password, "ADMIN_EMAIL and ADMIN_PASSWORD belong together; set both or none.");
    Some(Settings {
        port: port?,
        host: host?,
        data_dir: data_dir?,
        admin: admin?,
        jwt_secret: jwt_secret?,
        jwt_expires_in: jwt_expires_in?,
        password_min: password_min?,
        password_pepper: password_pepper?,
        frontend_url: frontend_url?,
        allowed_origins: allowed_origins?,
        smtp_url: smtp_url?,
        mail_from: mail_from?,
        shop_name: shop_name?,
        currency: currency?,
        payment_deadline: payment_deadline?,
        exempt_loopback: exempt_loopback?,
        log: log?,
        log_format: log_format?,
        places: places?,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside parsers that can refuse")]
fn secret(text: &str) -> Result<Secret<String>, String> {
    Ok(Secret::new(text.to_owned()))
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| "an IP address is needed, like 127.0.0.1, or localhost".to_owned())
}

/// An origin as browsers send it: scheme, host and port, nothing after.
fn origin(text: &str) -> Result<String, String> {
    let bare = text.strip_suffix('/').unwrap_or(text);
    let rest = bare.strip_prefix("https://").or_else(|| bare.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['/', '?', '#', ' ', '@']) => Ok(bare.to_ascii_lowercase()),
        _ => Err(format!("`{text}` is not an origin like https://shop.example, without a path")),
    }
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let read =
        cartwright_auth::parse_lifetime(text).map_err(|_| "a time is needed, like 30s, 15m, 12h or 7d".to_owned())?;
    if (least..=most).contains(&read) {
        Ok(read)
    } else {
        Err(format!("it must lie between {} s and {} s", least.as_secs(), most.as_secs()))
    }
}

/// What `.env.example` holds: every setting, explained, at its default.
pub fn example() -> String {
    let mut text = "# Every setting of cartwright, at its default. Copy this file to .env and change what you need.\n\
                    # A flag goes before the environment, that before .env, that before cartwright.toml.\n"
        .to_owned();
    for setting in Settings::table() {
        text.push_str(&format!("\n# {}.\n# {}={}\n", setting.help, setting.env(), setting.default.unwrap_or("")));
    }
    text
}

/// What is wrong with the folder of the store, where something is: it must be a folder that can be written to, or be
/// possible to make.
pub fn folder_problem(folder: &Path) -> Option<String> {
    let existing = folder.ancestors().find(|part| part.exists() || part.as_os_str().is_empty())?;
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    if !existing.is_dir() {
        return Some(format!("DATA_DIR is {}, but {} is not a folder.", folder.display(), existing.display()));
    }
    let writable = rustix::fs::access(existing, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    writable.err().map(|error| {
        format!("DATA_DIR is {}, but {} cannot be written to: {error}.", folder.display(), existing.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(pairs: &[(Source, &str, &str)]) -> Sources {
        let mut sources = Sources::default();
        pairs.iter().for_each(|(source, name, text)| sources.set(*source, name, text));
        sources
    }

    fn settings(pairs: &[(Source, &str, &str)]) -> Settings {
        Settings::read(&sources(pairs)).settings.unwrap()
    }

    #[test]
    fn without_any_word_the_shop_has_its_defaults() {
        let settings = settings(&[]);
        assert_eq!(settings.address().to_string(), "127.0.0.1:3001");
        assert_eq!((settings.data_dir.as_path(), settings.currency), (Path::new("data"), Currency::USD));
        assert_eq!(settings.hold_ttl(), Duration::from_secs(17 * 60));
        assert!(settings.admin.is_none() && settings.allowed_origins.is_empty());
    }

    #[test]
    fn a_flag_goes_before_the_environment_before_dot_env_before_the_file() {
        let all = [
            (Source::File, "port", "1"),
            (Source::DotEnv, "port", "2"),
            (Source::Environment, "port", "3"),
            (Source::Flag, "port", "4"),
        ];
        for set in 1..=all.len() {
            assert_eq!(settings(&all[..set]).port, u16::try_from(set).unwrap());
        }
    }

    #[test]
    fn an_empty_variable_is_as_good_as_none() {
        assert_eq!(settings(&[(Source::DotEnv, "port", "2"), (Source::Environment, "port", "")]).port, 2);
    }

    #[test]
    fn all_mistakes_are_told_at_once_in_sentences_that_name_them() {
        let reading = Settings::read(&sources(&[
            (Source::Environment, "port", "70000"),
            (Source::DotEnv, "currency", "XYZZY"),
            (Source::File, "allowed_origins", "https://a.example/path"),
            (Source::File, "prot", "3001"),
            (Source::Flag, "jwt_expires_in", "soon"),
            (Source::Environment, "admin_email", "anna@shop.example"),
        ]));

        assert!(reading.settings.is_none());
        let told = reading.problems.join("\n");
        for part in
            ["PORT", "70000", "CURRENCY", "https://a.example/path", "`prot`", "--jwt-expires-in", "ADMIN_PASSWORD"]
        {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        assert_eq!(reading.problems.len(), 6, "{told}");
    }

    #[test]
    fn a_secret_is_told_nowhere_not_even_when_it_is_wrong() {
        let reading = Settings::read(&sources(&[
            (Source::Environment, "jwt_secret", "hunter2"),
            (Source::Environment, "admin_email", "anna@shop.example"),
            (Source::Environment, "admin_password", "hunter2-hunter2"),
            (Source::Environment, "mongodb_uri", "postgres://anna:hunter2@db.example"),
        ]));
        let told = format!("{:?} {:?}", reading.problems, reading.values);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("mongodb://") && told.contains("JWT_SECRET"), "{told}");
    }

    #[test]
    fn every_setting_is_told_with_where_it_came_from() {
        let reading = Settings::read(&sources(&[(Source::File, "shop_name", "Anna's teas")]));
        let name = reading.values.iter().find(|value| value.setting.name == "shop_name").unwrap();
        assert_eq!((name.shown.as_str(), name.source), ("Anna's teas", Some(Source::File)));
        assert_eq!(reading.values.len(), Settings::table().len());
    }

    #[test]
    fn the_example_names_every_setting_and_says_what_is_so_anyway() {
        let uncommented: String = example()
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .fold(String::new(), |all, line| all + line + "\n");
        let mut sources = Sources::default();
        for setting in Settings::table() {
            let line = uncommented.lines().find_map(|line| line.strip_prefix(&format!("{}=", setting.env())));
            sources.set(Source::DotEnv, setting.name, line.unwrap());
        }
        let told = Settings::read(&sources).settings.unwrap();
        assert_eq!(format!("{told:?}"), format!("{:?}", settings(&[])));
    }
}
