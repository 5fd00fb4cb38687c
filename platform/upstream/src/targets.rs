//! Where the instances of an upstream are: addresses, or names that stand for several.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use axum::http::Uri;
use futures::future::{BoxFuture, join_all};

/// Addresses of one name that are used; more than any orchestrator gives.
const ADDRESSES_MAX: usize = 64;

/// Where the instances of an upstream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<Target>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) is_tls: bool,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

/// One instance: where it is and whether it is spoken to by TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
}

/// Why a list of targets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetsError {
    /// There is nothing in it.
    #[error("no address is given; expected http://HOST:PORT, several separated by commas")]
    Empty,
    /// One of them is no address of an instance.
    #[error("{0:?} is not http://HOST:PORT or https://HOST:PORT, without a path")]
    NotAnAddress(String),
    /// One of them is spoken to by TLS, and this process has no certificate to do so.
    #[error("an address begins with https:, and no certificates are set up")]
    NoTls,
}

impl Targets {
    /// Reads `http://127.0.0.1:4001,http://127.0.0.1:4002`, or a name that stands for all addresses it resolves to.
    ///
    /// # Errors
    /// When it is empty or a part of it is no such address.
    pub fn parse(text: &str) -> Result<Self, TargetsError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let targets: Vec<Target> = parts.map(Target::parse).collect::<Result<_, _>>()?;
        if targets.is_empty() { Err(TargetsError::Empty) } else { Ok(Self(targets)) }
    }

    /// The same machines, `ports` higher.
    #[must_use]
    pub fn higher_by(&self, ports: u16) -> Self {
        let higher = |target: &Target| Target { port: target.port.saturating_add(ports), ..target.clone() };
        Self(self.0.iter().map(higher).collect())
    }

    /// Whether all of them are on this machine. Of names only `localhost` is known to be.
    pub fn are_loopback(&self) -> bool {
        self.0.iter().all(|target| match &target.host {
            Host::Address(address) => address.to_canonical().is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        })
    }

    /// Whether all of them are called over TLS.
    pub fn all_use_tls(&self) -> bool {
        self.0.iter().all(|target| target.is_tls)
    }

    pub(crate) fn need_tls(&self) -> bool {
        self.0.iter().any(|target| target.is_tls)
    }

    /// What is known without asking anybody.
    pub(crate) fn fixed(&self) -> Vec<Place> {
        let places = self.0.iter().filter_map(|target| match &target.host {
            Host::Address(ip) => Some(target.at(SocketAddr::new(*ip, target.port))),
            Host::Name(_) => None,
        });
        unique(places)
    }

    pub(crate) fn have_names(&self) -> bool {
        self.0.iter().any(|target| matches!(target.host, Host::Name(_)))
    }

    /// All instances there are now. A name that cannot be resolved keeps the addresses it had, which are among `known`.
    pub(crate) async fn resolve(&self, resolver: &dyn Resolve, known: &mut Known) -> Vec<Place> {
        let lookups = self.0.iter().enumerate().filter_map(|(number, target)| match &target.host {
            Host::Name(name) => Some(async move { (number, name, resolver.lookup(name, target.port).await) }),
            Host::Address(_) => None,
        });
        for (number, name, found) in join_all(lookups).await {
            match found {
                Ok(addresses) if !addresses.is_empty() => known.keep(number, addresses),
                Ok(_) => tracing::warn!(name, "a name has no address; those it had stay in use"),
                Err(error) => tracing::warn!(name, %error, "a name cannot be resolved; its addresses stay in use"),
            }
        }
        let named = known.0.iter().filter_map(|(number, addresses)| {
            let target = self.0.get(*number)?;
            Some(addresses.iter().take(ADDRESSES_MAX).map(|address| target.at(*address)))
        });
        unique(self.fixed().into_iter().chain(named.flatten()))
    }
}

fn unique(places: impl Iterator<Item = Place>) -> Vec<Place> {
    places.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The addresses that each name had when it was last resolved, by the name's place in the list.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<(usize, Vec<SocketAddr>)>);

impl Known {
    fn keep(&mut self, number: usize, addresses: Vec<SocketAddr>) {
        self.0.retain(|(other, _)| *other != number);
        self.0.push((number, addresses));
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, TargetsError> {
        let wrong = || TargetsError::NotAnAddress(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let host = name.parse().map_or_else(|_| Host::Name(name.to_owned()), Host::Address);
        Ok(Self { is_tls, host, port })
    }

    const fn at(&self, address: SocketAddr) -> Place {
        Place { address, is_tls: self.is_tls }
    }
}

/// Who knows the addresses of a name.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `name`, each with `port`.
    fn lookup<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn lookup<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_addresses_and_names_and_nothing_else() {
        let targets = Targets::parse("http://127.0.0.1:4001, https://[::1]:4002,http://127.0.0.1:4001/").unwrap();
        let places = targets.fixed().into_iter().map(|place| (place.address.to_string(), place.is_tls));
        assert_eq!(places.collect::<Vec<_>>(), [("127.0.0.1:4001".to_owned(), false), ("[::1]:4002".to_owned(), true)]);
        assert!(targets.need_tls() && !targets.have_names());
        assert!(Targets::parse("http://cart.shop.local:4000").unwrap().have_names());

        assert_eq!(Targets::parse(" , "), Err(TargetsError::Empty));
        for wrong in ["127.0.0.1:4001", "ftp://a", "http://a/path", "http://a?q", "http://user@a", "http://", "cart"] {
            assert_eq!(Targets::parse(wrong), Err(TargetsError::NotAnAddress(wrong.to_owned())), "{wrong}");
        }
    }
}
