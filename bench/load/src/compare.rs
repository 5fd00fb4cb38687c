//! The shop, as one process and as many, and the reference in turn, each alone on the machine, over several rounds.
//!
//! All are prepared once, on fresh data, and restarted for every round, so that what is measured runs on an existing store.
//! The order alternates (A B, B A, …), and the report gives medians over the rounds. The reference and the shop of many
//! processes have one MongoDB: the same data files and settings, started anew for whose turn it is.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{
    cart::Door,
    clock,
    cluster::Cluster,
    figures::Figures,
    http,
    peer::Peer,
    process::{self, Process, Running, free_address},
    reference::Reference,
    report,
    run::{Load, Scenario, World},
    shop::Admin,
};

/// How long a server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(3);
/// How long a server may take to answer its health check.
const START_S: u64 = 60;
const PREWARM_CONNECTIONS: usize = 8;
const DEFAULT_PEERS: &str = "cartwright,reference,cluster";
const DEFAULT_SCENARIOS: &str = "add,get,checkout";
const ADMIN_EMAIL: &str = "admin@bench.example";
const ADMIN_PASSWORD: &str = "measure twice, cut once";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The release build of the shop
    #[arg(long)]
    shop: PathBuf,
    /// Where the reference is installed and the data of the runs lies
    #[arg(long)]
    work: PathBuf,
    #[arg(long, value_enum, value_delimiter = ',', default_value = DEFAULT_PEERS)]
    peer: Vec<Peer>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = DEFAULT_SCENARIOS)]
    scenario: Vec<Scenario>,
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    connections: Vec<usize>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that are counted, for each scenario and number of connections
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before each of them, that are not
    #[arg(long, default_value_t = 2)]
    warmup: u64,
    /// Seconds of each scenario after a start, before anything is counted: compilers need them
    #[arg(long, default_value_t = 5)]
    prewarm: u64,
    #[arg(long, default_value_t = 1000)]
    carts: usize,
    /// The page whose table is written anew
    #[arg(long, default_value = "docs/performance.md")]
    page: PathBuf,
    /// Only print the table
    #[arg(long)]
    dry: bool,
}

/// Everything that a comparison gave.
#[derive(Clone, Serialize)]
pub(crate) struct Comparison {
    pub(crate) command: String,
    pub(crate) reference_versions: Option<String>,
    pub(crate) binary_bytes: u64,
    pub(crate) connections: Vec<usize>,
    pub(crate) rounds: Vec<Round>,
}

/// One peer, from its start to its end.
#[derive(Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) peer: Peer,
    pub(crate) start_ms: u64,
    pub(crate) idle_kib: u64,
    pub(crate) peak_kib: u64,
    /// The names of the server's processes, in the order of [`Figures::each_cpu_us`].
    pub(crate) processes: Vec<&'static str>,
    pub(crate) figures: Vec<Figures>,
    /// The same windows with the cart asked at its own address, where there is a gateway to be left out.
    pub(crate) direct: Vec<Figures>,
    /// Single durable commits, measured just before and just after the checkouts of one shopper.
    pub(crate) commits: Vec<Commits>,
}

/// What `cartwright bench-commit` prints.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Commits {
    pub(crate) commits: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

struct Bench {
    options: Options,
    reference: Option<Reference>,
    /// Where the MongoDB listens that the reference and the cluster have in turn.
    database: SocketAddr,
}

/// Where a peer lives: its address and data stay the same over all rounds.
struct Home {
    peer: Peer,
    address: SocketAddr,
    data: PathBuf,
    cluster: Option<Cluster>,
}

/// A peer that was prepared.
struct Contestant {
    home: Home,
    world: World,
}

/// # Errors
/// A server did not start, or gave a wrong answer: then there is no report.
pub(crate) async fn run(mut options: Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.seconds > 0, "nothing would be measured");
    fs::create_dir_all(&options.work)?;
    // The servers run in folders of their own.
    options.work = fs::canonicalize(&options.work)?;
    options.shop = fs::canonicalize(&options.shop).context("no shop is built there")?;
    // Its database is the cluster's too.
    let with_database = options.peer.iter().any(|peer| *peer != Peer::Cartwright);
    let reference = with_database.then(|| Reference::install(&options.work)).transpose()?;
    let bench = Bench { options, reference, database: free_address()? };
    if with_database {
        emptied(&bench.database_folder())?;
    }
    let mut contestants = Vec::new();
    for peer in &bench.options.peer {
        contestants.push(bench.prepare(*peer).await.with_context(|| format!("preparing {peer:?}"))?);
    }
    let mut rounds = Vec::new();
    for number in 0..bench.options.rounds {
        for contestant in &mut contestants {
            eprintln!("round {} of {}: {:?}", number + 1, bench.options.rounds, contestant.home.peer);
            let round = bench.round(contestant).await;
            rounds.push(round.with_context(|| format!("measuring {:?}", contestant.home.peer))?);
        }
        contestants.reverse();
    }
    bench.publish(rounds)
}

impl Bench {
    async fn prepare(&self, peer: Peer) -> Result<Contestant> {
        let home = self.lay_out(peer)?;
        let (running, _) = self.start(&home).await?;
        eprintln!("preparing {} shoppers for {peer:?}", self.options.carts);
        let world = World::prepare(peer, home.address, self.options.carts, &admin()).await?;
        running.stop().await?;
        Ok(Contestant { home, world })
    }

    /// Gives the peer an address and an empty folder.
    fn lay_out(&self, peer: Peer) -> Result<Home> {
        let data = self.options.work.join(match peer {
            Peer::Cartwright => "data-cartwright",
            Peer::Reference => "data-reference",
            Peer::Cluster => "data-cluster",
        });
        emptied(&data)?;
        if peer == Peer::Cluster {
            let cluster = Cluster::lay_out(&self.options.shop, data.clone(), self.database, admin())?;
            return Ok(Home { peer, address: cluster.gateway().address, data, cluster: Some(cluster) });
        }
        Ok(Home { peer, address: free_address()?, data, cluster: None })
    }

    /// Starts the peer; also how long it took until it was healthy, in milliseconds.
    async fn start(&self, home: &Home) -> Result<(Running, u64)> {
        let began = clock::now();
        let running = clock::within(Duration::from_secs(START_S), async {
            match (home.peer, &self.reference, &home.cluster) {
                (Peer::Cartwright, ..) => self.start_shop(&home.data, home.address).await,
                (Peer::Reference, Some(reference), _) => {
                    let mongod = reference.start_database(&self.database_folder(), self.database).await?;
                    let node = reference.start(&home.data, home.address, self.database).await?;
                    Ok(Running { own: vec![node], servers: vec![mongod] })
                }
                (Peer::Cluster, Some(reference), Some(cluster)) => {
                    let mongod = reference.start_database(&self.database_folder(), self.database).await?;
                    let mut running = cluster.start().await?;
                    running.servers.push(mongod);
                    Ok(running)
                }
                (Peer::Reference | Peer::Cluster, ..) => bail!("{:?} is not installed", home.peer),
            }
        })
        .await?;
        Ok((running, u64::try_from(began.elapsed().as_millis())?))
    }

    fn database_folder(&self) -> PathBuf {
        self.options.work.join("data-mongodb")
    }

    async fn start_shop(&self, data: &Path, address: SocketAddr) -> Result<Running> {
        let mut command = self.shop_command(data);
        command.args(["up", "--demo"]).env("PORT", address.port().to_string()).env("JWT_EXPIRES_IN", "7d");
        let mut shop = Process::start("the shop", command, &data.with_extension("log"))?;
        http::wait_until_healthy(address, "/health", || shop.check_alive()).await?;
        Ok(Running { own: vec![shop], servers: Vec::new() })
    }

    fn shop_command(&self, data: &Path) -> Command {
        let mut command = process::command(&self.options.shop);
        command.current_dir(&self.options.work).env("DATA_DIR", data);
        command.env("ADMIN_EMAIL", ADMIN_EMAIL).env("ADMIN_PASSWORD", ADMIN_PASSWORD);
        command
    }

    async fn round(&self, contestant: &mut Contestant) -> Result<Round> {
        let home = &contestant.home;
        let (running, start_ms) = self.start(home).await?;
        let ids: Vec<u32> = running.all().map(Process::id).collect();
        clock::pause(IDLE).await;
        let (idle_kib, _) = process::resident_kib(&ids)?;
        let mut round = Round {
            peer: home.peer,
            start_ms,
            idle_kib,
            peak_kib: 0,
            processes: running.all().map(Process::name).collect(),
            figures: Vec::new(),
            direct: Vec::new(),
            commits: Vec::new(),
        };
        let doors = home.cluster.as_ref().and_then(|cluster| Some((cluster.gateway(), cluster.cart()?)));
        self.drive(&mut contestant.world, &ids, doors, &mut round).await?;
        round.peak_kib = process::resident_kib(&ids)?.1;
        match (home.peer, &home.cluster) {
            (_, Some(cluster)) => check_invariants(cluster.command("operator"))?,
            (Peer::Cartwright, None) => check_invariants(self.shop_command(&home.data))?,
            (Peer::Reference | Peer::Cluster, None) => {}
        }
        running.stop().await?;
        Ok(round)
    }

    /// All windows of a round; carts are asked behind the second of the `doors` too.
    async fn drive(
        &self,
        world: &mut World,
        ids: &[u32],
        doors: Option<(Door, Door)>,
        round: &mut Round,
    ) -> Result<()> {
        let scenarios: Vec<Scenario> =
            self.options.scenario.iter().copied().filter(|scenario| round.peer.offers(*scenario)).collect();
        if self.options.prewarm > 0 {
            let load = Load { connections: PREWARM_CONNECTIONS, warmup_s: 0, counted_s: self.options.prewarm };
            for scenario in &scenarios {
                world.run(*scenario, &load, ids).await.context("warming up")?;
            }
        }
        for scenario in scenarios {
            for connections in &self.options.connections {
                let beside_a_commit =
                    round.peer == Peer::Cartwright && scenario == Scenario::Checkout && *connections == 1;
                if beside_a_commit {
                    round.commits.push(self.measure_commits()?);
                }
                let load =
                    Load { connections: *connections, warmup_s: self.options.warmup, counted_s: self.options.seconds };
                let figures = world.run(scenario, &load, ids).await?;
                eprintln!("{}", report::line(&figures));
                round.figures.push(figures);
                if beside_a_commit {
                    round.commits.push(self.measure_commits()?);
                }
                if let Some((gateway, cart)) = doors.filter(|_| scenario != Scenario::Checkout) {
                    world.go_to(cart);
                    let figures = world.run(scenario, &load, ids).await.context("without the gateway")?;
                    world.go_to(gateway);
                    eprintln!("{}, without the gateway", report::line(&figures));
                    round.direct.push(figures);
                }
            }
            world.verify(scenario).await?;
        }
        Ok(())
    }

    /// Single durable commits on a store of their own, on the same disk, while the shop idles.
    fn measure_commits(&self) -> Result<Commits> {
        let data = self.options.work.join("data-commits");
        fs::create_dir_all(&data)?;
        let mut command = self.shop_command(&data);
        let output = command.args(["bench-commit", "--seconds", "2"]).output()?;
        ensure!(output.status.success(), "bench-commit failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).context("bench-commit printed something else than figures")
    }

    fn publish(&self, rounds: Vec<Round>) -> Result<()> {
        let comparison = Comparison {
            command: self.options.command_line(),
            reference_versions: self.reference.as_ref().map(Reference::versions).transpose()?,
            binary_bytes: fs::metadata(&self.options.shop)?.len(),
            connections: self.options.connections.clone(),
            rounds,
        };
        let results = self.options.work.join("results.json");
        fs::write(&results, serde_json::to_vec_pretty(&comparison)?)?;
        for (block, table) in report::tables(&comparison)? {
            println!("{table}\n");
            if !self.options.dry {
                report::write_page(&self.options.page, block, &table)?;
                eprintln!("wrote {} and {}", self.options.page.display(), results.display());
            }
        }
        Ok(())
    }
}

impl Options {
    /// What to type to get the same run.
    fn command_line(&self) -> String {
        let mut line = format!(
            "cargo xtask bench --rounds {} --seconds {} --warmup {} --prewarm {} --carts {} --connections {}",
            self.rounds,
            self.seconds,
            self.warmup,
            self.prewarm,
            self.carts,
            listed(&self.connections, usize::to_string)
        );
        let peers = listed(&self.peer, value_name);
        let scenarios = listed(&self.scenario, value_name);
        for (flag, said, default) in [("peer", peers, DEFAULT_PEERS), ("scenario", scenarios, DEFAULT_SCENARIOS)] {
            if said != default {
                line.push_str(&format!(" --{flag} {said}"));
            }
        }
        line
    }
}

fn listed<T>(values: &[T], text: impl Fn(&T) -> String) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(",")
}

/// A value as it is typed.
fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn admin() -> Admin {
    Admin { email: ADMIN_EMAIL.to_owned(), password: ADMIN_PASSWORD.to_owned() }
}

/// Makes the folder anew, with nothing in it.
fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// Runs the shop's own checker, which `shop` is told where it finds it, beside the running shop.
fn check_invariants(mut shop: Command) -> Result<()> {
    let output = shop.arg("verify").output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("an invariant does not hold after the load: {}", String::from_utf8_lossy(&said));
    }
    Ok(())
}
