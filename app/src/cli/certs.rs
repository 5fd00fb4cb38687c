//! `cartwright certs`: certificates by which the processes of a shop know each other.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use cartwright::callers::GATEWAY;
use cartwright::role::Role;
use cartwright_runtime::Clock;
use cartwright_tls::{Authority, Issued};
use clap::builder::PossibleValuesParser;

use super::{Ending, say};

const HOUR: Duration = Duration::from_secs(3_600);

/// As long as a certificate is good when nothing else was said, hours.
const LIFE_HOURS: u32 = 24;

/// Make or renew the certificates by which the processes of a shop know each other
///
/// The first run makes an authority: ca.pem, which every process trusts, and ca.key, which only this command needs; keep
/// it to yourself. Each run writes a new certificate and key for every service and the gateway. Running processes take
/// them over by themselves, without a failed request, so a timer that runs this twice a day is all that renewal needs.
/// Give each machine ca.pem and the two files of the processes that it runs. For development and for shops that have no
/// authority of their own. Reads no settings and talks to nobody.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  cartwright certs                              into certs/, good for a day
  cartwright certs --dir /etc/shop --days 7
  cartwright certs --for order,payment          only these
  cartwright certs --edge-name shop.example     one for the address for shoppers as well")]
pub(crate) struct Certs {
    /// The folder of the certificates; made, for its owner only, where there is none
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    dir: PathBuf,

    /// How long certificates are good, in hours [default: 24]
    #[arg(long, value_name = "N", conflicts_with = "days", value_parser = clap::value_parser!(u32).range(1..=HOURS_MAX))]
    hours: Option<u32>,

    /// How long certificates are good, in days
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=HOURS_MAX / 24))]
    days: Option<u32>,

    /// Only for these, separated by commas [default: all of them]
    #[arg(long = "for", value_name = "SERVICES", value_delimiter = ',', value_parser = services())]
    services: Vec<String>,

    /// Also for the address for shoppers, under this host name; may be given several times
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    edge_name: Vec<String>,
}

/// A year: what lives longer is forgotten before it ends.
const HOURS_MAX: i64 = 366 * 24;

/// Everybody who talks to another process.
fn names() -> impl Iterator<Item = &'static str> {
    [GATEWAY].into_iter().chain(Role::ALL.map(Role::name))
}

fn services() -> PossibleValuesParser {
    names().collect::<Vec<_>>().into()
}

impl Certs {
    pub(crate) async fn run(self) -> Result<Ending> {
        say(&self.issue(&Clock::system())?)?;
        Ok(Ending::Good)
    }

    /// Writes the certificates and says what was written.
    fn issue(&self, clock: &Clock) -> Result<String> {
        let authority = Authority::open_or_create(&self.dir, clock)?;
        let life = self.life();
        let asked = |name: &&str| self.services.is_empty() || self.services.iter().any(|it| it == name);
        let mut issued = Vec::new();
        for service in names().filter(asked) {
            issued.push((service, authority.issue(service, life)?));
        }
        if !self.edge_name.is_empty() {
            issued.push(("edge", authority.issue_edge(&self.edge_name, life)?));
        }
        let Some((_, Issued { not_after, .. })) = issued.first() else { bail!("there is nothing to write") };
        let root = if authority.is_new() { "new; its key in ca.key stays with you" } else { "kept" };
        let mut said = format!("{}  the root that every process trusts ({root})\n", self.dir.join("ca.pem").display());
        for (name, Issued { certificate, key, .. }) in &issued {
            said += &format!("{}, {}  {name}\n", certificate.display(), key.display());
        }
        said += &format!("\nThey are good until {not_after}; run this again before then, while the shop runs.\n");
        Ok(said + &self.what_to_set(&issued))
    }

    fn life(&self) -> Duration {
        let hours = self.days.map(|days| days * 24).or(self.hours).unwrap_or(LIFE_HOURS);
        HOUR * hours
    }

    fn what_to_set(&self, issued: &[(&str, Issued)]) -> String {
        let mut said = format!("\nSet for every process:\n  CERTS_DIR={}\n", self.dir.display());
        if let Some((_, Issued { certificate, key, .. })) = issued.iter().find(|(name, _)| *name == "edge") {
            let (certificate, key) = (certificate.display(), key.display());
            said += &format!("For the one that shoppers reach:\n  TLS_CERTIFICATE={certificate}\n  TLS_KEY={key}\n");
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use cartwright_tls::{EdgeCertificate, EdgeFiles, Identity, IdentityFiles};
    use clap::{Args, Command, FromArgMatches};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Certs, clap::Error> {
        let command = Certs::augment_args(Command::new("certs"));
        Certs::from_arg_matches(&command.try_get_matches_from(["certs"].iter().chain(arguments))?)
    }

    #[test]
    fn everybody_gets_an_identity_that_can_be_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let dir = folder.path().join("certs");

        let said = parse(&["--dir", dir.to_str().unwrap(), "--edge-name", "shop.example"]).unwrap().issue(&clock);

        let said = said.unwrap();
        for name in names() {
            let identity = Identity::load(IdentityFiles::in_folder(&dir, name), &clock).unwrap();
            assert_eq!(identity.service(), name);
            assert!(said.contains(&format!("{name}.pem")), "{said}");
        }
        EdgeCertificate::load(EdgeFiles::in_folder(&dir), &clock).unwrap();
        for setting in ["CERTS_DIR=", "TLS_CERTIFICATE=", "TLS_KEY="] {
            assert!(said.contains(setting), "{said}");
        }
    }

    #[test]
    fn running_it_again_renews_what_is_asked_for_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let dir = folder.path().to_str().unwrap();
        parse(&["--dir", dir]).unwrap().issue(&clock).unwrap();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let before = ["order.pem", "cart.pem", "ca.pem"].map(read);

        let said = parse(&["--dir", dir, "--for", "order", "--days", "7"]).unwrap().issue(&clock).unwrap();

        let after = ["order.pem", "cart.pem", "ca.pem"].map(read);
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1..], after[1..]);
        assert!(said.contains("order.pem") && !said.contains("cart.pem"), "{said}");
        let order = Identity::load(IdentityFiles::in_folder(folder.path(), "order"), &clock).unwrap();
        assert!(order.not_after() > clock.now().plus(HOUR * 24 * 6));
    }

    #[test]
    fn nobody_else_and_no_other_life_is_accepted() {
        assert!(parse(&["--for", "order,warehouse"]).is_err());
        assert!(parse(&["--hours", "0"]).is_err());
        assert!(parse(&["--days", "367"]).is_err());
        assert!(parse(&["--days", "1", "--hours", "1"]).is_err());
        assert_eq!(parse(&[]).unwrap().life(), HOUR * 24);
        assert_eq!(parse(&["--hours", "2"]).unwrap().life(), HOUR * 2);
    }
}
