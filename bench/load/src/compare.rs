//! The shop and the reference in turn, each alone on the machine, over several rounds.
//!
//! Both are prepared once, on fresh data, and restarted for every round, so that what is measured runs on an existing store.
//! The order alternates (A B, B A, …), and the report gives medians over the rounds.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    clock,
    figures::Figures,
    http,
    peer::Peer,
    process::{self, Process},
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
    #[arg(long, value_enum, value_delimiter = ',', default_value = "cartwright,reference")]
    peer: Vec<Peer>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "add,get,checkout")]
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
#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(crate) command: String,
    pub(crate) reference_versions: Option<String>,
    pub(crate) binary_bytes: u64,
    pub(crate) connections: Vec<usize>,
    pub(crate) rounds: Vec<Round>,
}

/// One peer, from its start to its end.
#[derive(Serialize)]
pub(crate) struct Round {
    pub(crate) peer: Peer,
    pub(crate) start_ms: u64,
    pub(crate) idle_kib: u64,
    pub(crate) peak_kib: u64,
    pub(crate) figures: Vec<Figures>,
    /// Single durable commits, measured just before and just after the checkouts of one shopper.
    pub(crate) commits: Vec<Commits>,
}

/// What `cartwright bench-commit` prints.
#[derive(Serialize, Deserialize)]
pub(crate) struct Commits {
    pub(crate) commits: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
}

struct Bench {
    options: Options,
    reference: Option<Reference>,
}

/// A peer that was prepared: its address and data stay the same over all rounds.
struct Contestant {
    peer: Peer,
    address: SocketAddr,
    database: SocketAddr,
    data: PathBuf,
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
    let with_reference = options.peer.contains(&Peer::Reference);
    let reference = with_reference.then(|| Reference::install(&options.work)).transpose()?;
    let bench = Bench { options, reference };
    let mut contestants = Vec::new();
    for peer in &bench.options.peer {
        contestants.push(bench.prepare(*peer).await.with_context(|| format!("preparing {peer:?}"))?);
    }
    let mut rounds = Vec::new();
    for number in 0..bench.options.rounds {
        for contestant in &mut contestants {
            eprintln!("round {} of {}: {:?}", number + 1, bench.options.rounds, contestant.peer);
            let round = bench.round(contestant).await;
            rounds.push(round.with_context(|| format!("measuring {:?}", contestant.peer))?);
        }
        contestants.reverse();
    }
    bench.publish(rounds)
}

impl Bench {
    async fn prepare(&self, peer: Peer) -> Result<Contestant> {
        let data = self.options.work.join(match peer {
            Peer::Cartwright => "data-cartwright",
            Peer::Reference => "data-reference",
        });
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let (address, database) = (free_address()?, free_address()?);
        let (processes, _) = self.start(peer, &data, address, database).await?;
        let admin = Admin { email: ADMIN_EMAIL.to_owned(), password: ADMIN_PASSWORD.to_owned() };
        eprintln!("preparing {} shoppers for {peer:?}", self.options.carts);
        let world = World::prepare(peer, address, self.options.carts, &admin).await?;
        stop(processes).await?;
        Ok(Contestant { peer, address, database, data, world })
    }

    /// Starts the peer; also how long it took until it was healthy, in milliseconds.
    async fn start(
        &self,
        peer: Peer,
        data: &Path,
        address: SocketAddr,
        database: SocketAddr,
    ) -> Result<(Vec<Process>, u64)> {
        let began = clock::now();
        let processes = clock::within(Duration::from_secs(START_S), async {
            match (peer, &self.reference) {
                (Peer::Cartwright, _) => self.start_shop(data, address).await,
                (Peer::Reference, Some(reference)) => reference.start(data, address, database).await,
                (Peer::Reference, None) => bail!("the reference is not installed"),
            }
        })
        .await?;
        Ok((processes, u64::try_from(began.elapsed().as_millis())?))
    }

    async fn start_shop(&self, data: &Path, address: SocketAddr) -> Result<Vec<Process>> {
        let mut command = self.shop_command(data);
        command.args(["up", "--demo"]).env("PORT", address.port().to_string()).env("JWT_EXPIRES_IN", "7d");
        let mut shop = Process::start("the shop", command, &data.with_extension("log"))?;
        http::wait_until_healthy(address, "/health", || shop.check_alive()).await?;
        Ok(vec![shop])
    }

    fn shop_command(&self, data: &Path) -> std::process::Command {
        let mut command = process::command(&self.options.shop);
        command.current_dir(&self.options.work).env("DATA_DIR", data);
        command.env("ADMIN_EMAIL", ADMIN_EMAIL).env("ADMIN_PASSWORD", ADMIN_PASSWORD);
        command
    }

    async fn round(&self, contestant: &mut Contestant) -> Result<Round> {
        let peer = contestant.peer;
        let (processes, start_ms) = self.start(peer, &contestant.data, contestant.address, contestant.database).await?;
        let ids: Vec<u32> = processes.iter().map(Process::id).collect();
        clock::pause(IDLE).await;
        let (idle_kib, _) = process::resident_kib(&ids)?;
        let mut round = Round { peer, start_ms, idle_kib, peak_kib: 0, figures: Vec::new(), commits: Vec::new() };
        self.drive(&mut contestant.world, &ids, &mut round).await?;
        round.peak_kib = process::resident_kib(&ids)?.1;
        if peer == Peer::Cartwright {
            self.check_invariants(&contestant.data)?;
        }
        stop(processes).await?;
        Ok(round)
    }

    async fn drive(&self, world: &mut World, ids: &[u32], round: &mut Round) -> Result<()> {
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
                let beside_a_commit = scenario == Scenario::Checkout && *connections == 1;
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

    /// The shop's own checker, beside the running shop.
    fn check_invariants(&self, data: &Path) -> Result<()> {
        let output = self.shop_command(data).arg("verify").output()?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("an invariant does not hold after the load: {}", String::from_utf8_lossy(&said));
        }
        Ok(())
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
        let table = report::markdown(&comparison)?;
        println!("{table}");
        if !self.options.dry {
            report::write_page(&self.options.page, &table)?;
            eprintln!("wrote {} and {}", self.options.page.display(), results.display());
        }
        Ok(())
    }
}

impl Options {
    /// What to type to get the same run.
    fn command_line(&self) -> String {
        let connections: Vec<String> = self.connections.iter().map(usize::to_string).collect();
        format!(
            "cargo xtask bench --rounds {} --seconds {} --warmup {} --prewarm {} --carts {} --connections {}",
            self.rounds,
            self.seconds,
            self.warmup,
            self.prewarm,
            self.carts,
            connections.join(",")
        )
    }
}

async fn stop(processes: Vec<Process>) -> Result<()> {
    for process in processes {
        process.stop().await?;
    }
    Ok(())
}

/// A port that nobody uses at this moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
