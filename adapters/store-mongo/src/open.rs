//! Where the databases are, and how they are opened: refusals are sentences, and no secret is in them.

use std::collections::HashMap;
use std::time::Duration;

use bson::{Document, doc};
use cartwright_runtime::{Clock, Secret, Tasks};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, Database};

use crate::failure::code;

/// The wire version of MongoDB 5.0, which stores names with dots and dollars.
const LEAST_WIRE_VERSION: i32 = 13;
/// How long most nodes may take to confirm a write.
const CONFIRMATION: Duration = Duration::from_secs(5);
/// How long a refusal may take, whatever the servers do.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where the databases are.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address of all services' databases: `<name>_<service>` where it names a database, else `cartwright_<service>`.
    pub uri: Secret<String>,
    /// Services whose database is elsewhere, each with an address that is taken as it is.
    pub overrides: Vec<(String, Secret<String>)>,
}

/// How the engine is run. What an address says about the pool and the waits wins.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections to each server at most. 100.
    pub pool: u32,
    /// Connections kept open to each server. 4.
    pub idle_pool: u32,
    /// How long a usable server is looked for. 3 s.
    pub selection: Duration,
    /// How long a connection may take. 2 s.
    pub connect: Duration,
    /// Calls that may be under way; one more is told [`Busy`](cartwright_store::StoreError::Busy). 4,096.
    pub calls: usize,
    /// Unsent events that one document may hold; a commit that adds more is told [`Busy`](cartwright_store::StoreError::Busy). 200.
    pub unsent_events: usize,
    /// What the servers' logs call this program. `cartwright`.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool: 100,
            idle_pool: 4,
            selection: Duration::from_secs(3),
            connect: Duration::from_secs(2),
            calls: 4096,
            unsent_events: 200,
            name: "cartwright".to_owned(),
        }
    }
}

/// Why a database is not opened, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is none.
    #[error(
        "{variable} is not the address of a MongoDB: write mongodb://user:password@host:27017/?replicaSet=name or \
         mongodb+srv://…, with %-escapes for `:/?#[]@%` in the user name and the password"
    )]
    Unreadable {
        /// The variable that holds it.
        variable: String,
    },
    /// Nobody answers there.
    #[error(
        "no MongoDB answers at {hosts} ({variable}): check that it runs, that the address and its TLS settings are right, \
         and that its replica set was initiated (`rs.initiate()` in mongosh)"
    )]
    Unreachable {
        /// The variable that holds the address.
        variable: String,
        /// The servers that were asked.
        hosts: String,
    },
    /// It does not let us in.
    #[error(
        "the MongoDB at {hosts} does not let us in: check the user name and the password in {variable}, and its authSource"
    )]
    NotLetIn {
        /// The variable that holds the address.
        variable: String,
        /// The servers that were asked.
        hosts: String,
    },
    /// It keeps no log that transactions need.
    #[error(
        "the MongoDB at {hosts} ({variable}) is no replica set, so it has no transactions: start mongod with \
         `--replSet rs0` and run `rs.initiate()` once in mongosh; one node is enough"
    )]
    Standalone {
        /// The variable that holds the address.
        variable: String,
        /// The servers that were asked.
        hosts: String,
    },
    /// It cannot do what is needed.
    #[error("the MongoDB at {hosts} ({variable}) is too old: use MongoDB 5.0 or later")]
    TooOld {
        /// The variable that holds the address.
        variable: String,
        /// The servers that were asked.
        hosts: String,
    },
}

/// The databases of all services.
pub(crate) struct Databases {
    /// One of each distinct address.
    pub(crate) clients: Vec<Client>,
    base: Place,
    overrides: HashMap<String, Place>,
}

#[derive(Clone)]
struct Place {
    client: Client,
    database: Option<String>,
}

impl Databases {
    pub(crate) async fn open(
        target: &Target,
        (clock, tasks): (&Clock, &Tasks),
        options: &Options,
    ) -> Result<Self, OpenError> {
        let mut opened: Vec<(&Secret<String>, Place)> = Vec::new();
        let base = connect("MONGODB_URI".to_owned(), &target.uri, (clock, tasks), options).await?;
        opened.push((&target.uri, base.clone()));
        let mut overrides = HashMap::new();
        for (scope, uri) in &target.overrides {
            let known = opened.iter().find(|(other, _)| *other == uri).map(|(_, place)| place.clone());
            let place = match known {
                Some(place) => place,
                None => connect(format!("{}_MONGODB_URI", scope.to_uppercase()), uri, (clock, tasks), options).await?,
            };
            opened.push((uri, place.clone()));
            overrides.insert(scope.clone(), place);
        }
        let mut clients: Vec<Client> = Vec::new();
        for (number, (uri, place)) in opened.iter().enumerate() {
            if !opened[..number].iter().any(|(other, _)| other == uri) {
                clients.push(place.client.clone());
            }
        }
        Ok(Self { clients, base, overrides })
    }

    /// The database of one service, and the client that reaches it.
    pub(crate) fn of(&self, scope: &str) -> (Client, Database) {
        let place = self.overrides.get(scope);
        let name = match place {
            Some(place) => place.database.clone(),
            None => self.base.database.as_ref().map(|name| format!("{name}_{scope}")),
        };
        let client = place.unwrap_or(&self.base).client.clone();
        let database = client.database(&name.unwrap_or_else(|| format!("cartwright_{scope}")));
        (client, database)
    }
}

async fn connect(
    variable: String,
    uri: &Secret<String>,
    (clock, tasks): (&Clock, &Tasks),
    options: &Options,
) -> Result<Place, OpenError> {
    let Ok(mut parsed) = ClientOptions::parse(uri.reveal()).await else {
        return Err(OpenError::Unreadable { variable });
    };
    settle(&mut parsed, options);
    let hosts: Vec<String> = parsed.hosts.iter().map(ToString::to_string).collect();
    let hosts = hosts.join(", ");
    let database = parsed.default_database.clone();
    let Ok(client) = Client::with_options(parsed) else { return Err(OpenError::Unreadable { variable }) };
    let asked = client.clone();
    let answer = tokio::select! {
        answer = tasks.detach(async move { asked.database("admin").run_command(doc! { "hello": 1 }).await }) => answer,
        () = clock.pause(PATIENCE) => return Err(OpenError::Unreachable { variable, hosts }),
    };
    match answer {
        Ok(Ok(hello)) => judge(&hello, variable, hosts).map(|()| Place { client, database }),
        Ok(Err(error)) if keeps_out(&error) => Err(OpenError::NotLetIn { variable, hosts }),
        Ok(Err(_)) | Err(_) => Err(OpenError::Unreachable { variable, hosts }),
    }
}

/// What durability and reading one's own writes depend on is ours; waits and the pool may be the operator's.
fn settle(parsed: &mut ClientOptions, options: &Options) {
    parsed.app_name.get_or_insert_with(|| options.name.clone());
    parsed.max_pool_size.get_or_insert(options.pool);
    let most = parsed.max_pool_size.unwrap_or(options.pool);
    parsed.min_pool_size.get_or_insert(options.idle_pool.min(most));
    parsed.max_connecting.get_or_insert(8);
    parsed.server_selection_timeout.get_or_insert(options.selection);
    parsed.connect_timeout.get_or_insert(options.connect);
    // Also how soon a node is asked again that was taken for gone, and how soon one that hangs is found out.
    parsed.heartbeat_freq.get_or_insert(Duration::from_secs(1));
    parsed.max_idle_time.get_or_insert(Duration::from_secs(300));
    parsed.write_concern = Some(durable());
    parsed.read_concern = Some(ReadConcern::majority());
    parsed.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    parsed.retry_writes = Some(true);
}

/// On the disks of most nodes. Without an end, a write would hold its connection for as long as most nodes are away.
pub(crate) fn durable() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(CONFIRMATION).build()
}

fn judge(hello: &Document, variable: String, hosts: String) -> Result<(), OpenError> {
    let is_router = hello.get_str("msg").is_ok_and(|text| text == "isdbgrid");
    if !is_router && !hello.contains_key("setName") {
        return Err(OpenError::Standalone { variable, hosts });
    }
    if hello.get_i32("maxWireVersion").unwrap_or(0) < LEAST_WIRE_VERSION {
        return Err(OpenError::TooOld { variable, hosts });
    }
    Ok(())
}

fn keeps_out(error: &Error) -> bool {
    // 13 is Unauthorized, 18 is AuthenticationFailed.
    matches!(&*error.kind, ErrorKind::Authentication { .. }) || code(error).is_some_and(|code| [13, 18].contains(&code))
}
