//! Where a shop's parts are when they are not all in one process: its databases, its broker, its services, its certificates.

use std::path::PathBuf;
use std::time::Duration;

use cartwright_runtime::Secret;
use cartwright_upstream::Targets;

use super::reader::{Reader, Setting};
use super::secret;
use crate::role::Role;

/// Where the parts of the shop are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The MongoDB that holds every service's database; without it, the embedded store does.
    pub mongodb_uri: Option<Secret<String>>,
    /// Services whose database is elsewhere.
    pub own_mongodb_uris: Vec<(Role, Secret<String>)>,
    /// The broker of events; without one, events stay in the process.
    pub broker: Option<BrokerPlace>,
    /// The Redis that hints and rate limits are shared over.
    pub redis_url: Option<Secret<String>>,
    /// Events that may wait for the broker before new orders are refused.
    pub outbox_max: usize,
    /// How long a process may go on with a name and a price that another one changed.
    pub prices_fresh_for: Duration,
    /// Where the instances of each service answer, and where they answer their peers.
    pub services: Vec<(Role, ServicePlace)>,
    /// The port on which this process answers its peers; 0 for any that is free.
    pub peer_port: Option<u16>,
    /// What processes of one shop on one machine share: the local mailbox and the sandbox provider's ledger.
    pub shared_dir: Option<PathBuf>,
    /// The folder of this process's certificates.
    pub certs_dir: Option<PathBuf>,
    /// The certificate and the key of the address for shoppers.
    pub edge_certificate: Option<(PathBuf, PathBuf)>,
}

/// A broker.
#[derive(Clone, Debug)]
pub enum BrokerPlace {
    /// RabbitMQ, by its URL.
    RabbitMq(Secret<String>),
    /// Redis Streams, by its URL.
    Redis(Secret<String>),
    /// Kafka, by its bootstrap servers.
    Kafka(String),
}

/// Where one service is.
#[derive(Clone, Debug)]
pub struct ServicePlace {
    /// Its public routes.
    pub public: Targets,
    /// Its routes for peers.
    pub peers: Targets,
}

impl Places {
    /// Where `role` is, where that was said.
    pub fn of(&self, role: Role) -> Option<&ServicePlace> {
        self.services.iter().find(|(it, _)| *it == role).map(|(_, place)| place)
    }

    /// Whether any service's database is in MongoDB.
    pub fn use_mongodb(&self) -> bool {
        self.mongodb_uri.is_some() || !self.own_mongodb_uris.is_empty()
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Places> {
    let mongodb_uri = reader.optional(
        Setting::new(
            "mongodb_uri",
            "The MongoDB of the shop, like mongodb://db.example/shop?replicaSet=rs0; without it, the embedded store is used",
        )
        .secret(),
        mongodb,
    );
    let mut own_mongodb_uris = Some(Vec::new());
    for role in Role::ALL {
        let uri = reader
            .optional(Setting::new(role.mongodb_setting(), "Another MongoDB for this service alone").secret(), mongodb);
        own_mongodb_uris = own_mongodb_uris.zip(uri).map(|(mut all, uri)| {
            all.extend(uri.map(|uri| (role, uri)));
            all
        });
    }
    let broker = broker(reader);
    let outbox_max = reader.value(
        Setting::new("outbox_max", "Events that may wait for the broker before new orders are refused").or("10000"),
        |text| {
            let bound = text.parse().ok().filter(|bound| (1..=10_000_000).contains(bound));
            bound.ok_or_else(|| "a number from 1 to 10000000 is needed".to_owned())
        },
    );
    let prices_fresh_for = reader.value(
        Setting::new(
            "prices_fresh_for",
            "How long a process may show a price that another one changed, where no hint came",
        )
        .or("2s"),
        |text| super::duration(text, Duration::ZERO, Duration::from_secs(3600)),
    );
    let mut services = Some(Vec::new());
    for role in Role::ALL {
        let place = service(reader, role);
        services = services.zip(place).map(|(mut all, place)| {
            all.extend(place.map(|place| (role, place)));
            all
        });
    }
    let peer_port = reader.optional(
        Setting::new(
            "peer_port",
            "The port on which `serve` answers other services; PORT + 1000 where nothing is said",
        ),
        |text| text.parse::<u16>().map_err(|_| "a number from 0 to 65535 is needed".to_owned()),
    );
    let shared_dir = reader.optional(
        Setting::new(
            "shared_dir",
            "The folder that processes of one shop share: mails and the sandbox provider's ledger; else DATA_DIR",
        ),
        |text| Ok(PathBuf::from(text)),
    );
    let certs_dir = reader.optional(
        Setting::new("certs_dir", "The folder of `cartwright certs`; without it, processes talk on this machine only"),
        |text| Ok(PathBuf::from(text)),
    );
    let path = |text: &str| Ok(PathBuf::from(text));
    let certificate = reader
        .optional(Setting::new("tls_certificate", "The certificate chain of the address for shoppers, PEM"), path);
    let key = reader.optional(Setting::new("tls_key", "The key of that certificate, PEM"), path);
    let edge_certificate =
        reader.both(certificate, key, "TLS_CERTIFICATE and TLS_KEY belong together; set both or none.");
    let (broker, redis_url) = broker?;
    Some(Places {
        mongodb_uri: mongodb_uri?,
        own_mongodb_uris: own_mongodb_uris?,
        broker,
        redis_url,
        outbox_max: outbox_max?,
        prices_fresh_for: prices_fresh_for?,
        services: services?,
        peer_port: peer_port?,
        shared_dir: shared_dir?,
        certs_dir: certs_dir?,
        edge_certificate: edge_certificate?,
    })
}

/// The broker, and the Redis beside it. RabbitMQ goes before Kafka, and both go before Redis, which has more to do.
fn broker(reader: &mut Reader<'_>) -> Option<(Option<BrokerPlace>, Option<Secret<String>>)> {
    let amqp = reader.optional(
        Setting::new("amqp_url", "The RabbitMQ that carries events, like amqp://user:password@mq.example/%2f").secret(),
        |text| url(text, &["amqp", "amqps"]),
    );
    let kafka = reader.optional(
        Setting::new(
            "kafka_brokers",
            "The Kafka that carries events, like k1.example:9092,k2.example:9092 (experimental)",
        ),
        |text| Ok(text.to_owned()),
    );
    let redis = reader.optional(
        Setting::new(
            "redis_url",
            "The Redis that shares rate limits and live hints, and carries events where nothing else does",
        )
        .secret(),
        |text| url(text, &["redis", "rediss"]),
    );
    let (amqp, kafka, redis) = (amqp?, kafka?, redis?);
    let broker = match (amqp, kafka) {
        (Some(url), _) => Some(BrokerPlace::RabbitMq(url)),
        (None, Some(servers)) => Some(BrokerPlace::Kafka(servers)),
        (None, None) => redis.clone().map(BrokerPlace::Redis),
    };
    Some((broker, redis))
}

/// Where `role` is: the peers' list follows from the public one, a thousand ports higher, unless it is said.
fn service(reader: &mut Reader<'_>, role: Role) -> Option<Option<ServicePlace>> {
    let public = reader.optional(
        Setting::new(role.url_setting(), "Where this service answers, like http://10.0.0.7:4001,http://10.0.0.8:4001"),
        |text| Targets::parse(text).map_err(|error| error.to_string()),
    );
    let peers = reader.optional(
        Setting::new(
            role.peer_url_setting(),
            "Where it answers other services; the same, 1000 ports higher, where nothing is said",
        ),
        |text| Targets::parse(text).map_err(|error| error.to_string()),
    );
    Some(match (public?, peers?) {
        (Some(public), Some(peers)) => Some(ServicePlace { public, peers }),
        (Some(public), None) => Some(ServicePlace { peers: public.higher_by(1000), public }),
        (None, Some(peers)) => Some(ServicePlace { public: peers.clone(), peers }),
        (None, None) => None,
    })
}

fn mongodb(text: &str) -> Result<Secret<String>, String> {
    url(text, &["mongodb", "mongodb+srv"])
}

fn url(text: &str, schemes: &[&str]) -> Result<Secret<String>, String> {
    match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) && !rest.is_empty() => secret(text),
        _ => Err(format!("a URL that begins with {}:// is needed", schemes.join(":// or "))),
    }
}
