//! The closed loop: some connections, each sending its next request when the last one was answered and checked.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};

use crate::{
    cart::{Cart, Door, LINES},
    checkout::Buyer,
    clock,
    figures::{Figures, Latency, micros},
    http::Connection,
    peer::{Account, Peer, Product},
    process,
    shop::{self, Admin},
};

const BUYERS: usize = 200;
/// Connections that prepare the world; hashing a password takes the reference a while.
const HANDS: usize = 8;
/// How long a window may run over its end before the run is given up.
const GRACE_S: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// One more unit of a product that the shopper's cart of three lines holds already
    Add,
    /// The shopper reads that cart
    Get,
    /// Three adds, a quote, an order until it is confirmed
    Checkout,
}

/// How hard, and how long.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) warmup_s: u64,
    pub(crate) counted_s: u64,
}

/// A prepared server: shoppers with their carts, and buyers with none.
pub(crate) struct World {
    peer: Peer,
    door: Door,
    products: Vec<Arc<Product>>,
    carts: Vec<Cart>,
    buyers: Vec<Buyer>,
    units_before: u64,
    units_sold: u64,
}

#[derive(Clone, Copy)]
struct Window {
    start: Instant,
    end: Instant,
}

#[derive(Default)]
struct Tally {
    whole_us: Vec<u32>,
    create_order_us: Vec<u32>,
    /// Steps done, counted or not: what the shelves must account for.
    steps: u64,
}

impl World {
    /// Makes the shoppers and fills their carts through the public API.
    ///
    /// # Errors
    /// The server refused, or answered with something else than what was asked.
    pub(crate) async fn prepare(peer: Peer, address: SocketAddr, carts: usize, admin: &Admin) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let products: Vec<Arc<Product>> = peer.catalogue(&mut connection).await?.into_iter().map(Arc::new).collect();
        let door = Door::of_shop(address);
        let mut world =
            Self { peer, door, products, carts: Vec::new(), buyers: Vec::new(), units_before: 0, units_sold: 0 };
        if peer.offers(Scenario::Checkout) {
            shop::fill_shelves(&mut connection, admin, &world.shelf()).await?;
            world.units_before = shop::units_at_rest(&mut connection, &world.shelf()).await?;
            for number in 0..BUYERS {
                let account = peer.sign_up(&mut connection, carts + number).await?;
                let triple = triple(&world.products, number);
                world.buyers.push(Buyer::new(account, triple, &connection));
            }
        }
        world.carts = world.fill_carts(carts).await?;
        Ok(world)
    }

    /// Has all carts asked at `door` from now on.
    pub(crate) fn go_to(&mut self, door: Door) {
        self.door = door;
        self.carts.iter_mut().for_each(|cart| cart.go_to(self.peer, door));
    }

    /// Runs one scenario for one window.
    ///
    /// # Errors
    /// A wrong answer, a broken connection, or no end in time.
    pub(crate) async fn run(&mut self, scenario: Scenario, load: &Load, server: &[u32]) -> Result<Figures> {
        self.lower_carts().await?;
        let limit = Duration::from_secs(load.warmup_s + load.counted_s + GRACE_S);
        clock::within(limit, self.run_window(scenario, load, server))
            .await
            .with_context(|| format!("{scenario:?} with {} connections", load.connections))
    }

    /// Counts what the scenario left behind: every cart's units and total, or the stock that the orders took.
    ///
    /// # Errors
    /// Something is missing, or too much.
    pub(crate) async fn verify(&self, scenario: Scenario) -> Result<()> {
        let mut connection = Connection::open(self.door.address).await?;
        match scenario {
            Scenario::Add | Scenario::Get => {
                for cart in &self.carts {
                    cart.read(&mut connection).await.context("after the run")?;
                }
            }
            Scenario::Checkout => {
                let left = shop::units_at_rest(&mut connection, &self.shelf()).await?;
                let taken = self.units_before.saturating_sub(left);
                ensure!(taken == self.units_sold, "{taken} units left the shelves, {} were sold", self.units_sold);
            }
        }
        Ok(())
    }

    async fn run_window(&mut self, scenario: Scenario, load: &Load, server: &[u32]) -> Result<Figures> {
        let start = clock::now() + Duration::from_secs(load.warmup_s);
        let window = Window { start, end: start + Duration::from_secs(load.counted_s) };
        let address = self.door.address;
        let meter = measure_cpu(window, server);
        let (tally, cpu) = match scenario {
            Scenario::Add => {
                let step = async |cart: &mut Cart, connection: &mut Connection, turn: usize| {
                    cart.add(connection, turn % LINES).await.map(|()| None)
                };
                tokio::join!(drive(address, &mut self.carts, load, window, step), meter)
            }
            Scenario::Get => {
                let step = async |cart: &mut Cart, connection: &mut Connection, _: usize| {
                    cart.read(connection).await.map(|()| None)
                };
                tokio::join!(drive(address, &mut self.carts, load, window, step), meter)
            }
            Scenario::Checkout => {
                let step = async |buyer: &mut Buyer, connection: &mut Connection, _: usize| {
                    buyer.buy(connection).await.map(Some)
                };
                tokio::join!(drive(address, &mut self.buyers, load, window, step), meter)
            }
        };
        let tally = tally?;
        if scenario == Scenario::Checkout {
            self.units_sold += tally.steps * LINES as u64;
        }
        tally.into_figures(scenario, load, cpu?)
    }

    async fn fill_carts(&self, count: usize) -> Result<Vec<Cart>> {
        let mut hands = JoinSet::new();
        for hand in 0..HANDS {
            let (peer, address, products) = (self.peer, self.door.address, self.products.clone());
            hands.spawn(async move {
                let mut connection = Connection::open(address).await?;
                let mut carts = Vec::new();
                for number in (hand..count).step_by(HANDS) {
                    let account: Account = peer.sign_up(&mut connection, number).await?;
                    carts.push(Cart::fill(peer, &mut connection, account, triple(&products, number)).await?);
                }
                Ok::<_, anyhow::Error>(carts)
            });
        }
        let mut carts = Vec::with_capacity(count);
        while let Some(filled) = hands.join_next().await {
            carts.extend(filled??);
        }
        Ok(carts)
    }

    async fn lower_carts(&mut self) -> Result<()> {
        let mut connection = Connection::open(self.door.address).await?;
        for cart in &mut self.carts {
            cart.lower(&mut connection).await?;
        }
        Ok(())
    }

    fn shelf(&self) -> Vec<&Product> {
        self.products.iter().map(Arc::as_ref).collect()
    }
}

impl Tally {
    fn into_figures(self, scenario: Scenario, load: &Load, cpu: Cpu) -> Result<Figures> {
        let operations = self.whole_us.len() as u64;
        Ok(Figures {
            scenario,
            connections: load.connections,
            operations,
            per_second: operations / load.counted_s.max(1),
            latency: Latency::of(self.whole_us).context("nothing was done within the window")?,
            create_order: Latency::of(self.create_order_us),
            server_cpu_us: cpu.server_us.iter().sum::<u64>() / operations.max(1),
            each_cpu_us: cpu.server_us.iter().map(|spent| spent / operations.max(1)).collect(),
            load_cpu_us: cpu.load_us / operations.max(1),
        })
    }
}

/// Three different products for the shopper of this number.
fn triple(products: &[Arc<Product>], number: usize) -> [Arc<Product>; LINES] {
    std::array::from_fn(|line| Arc::clone(&products[(number + line * products.len() / LINES) % products.len()]))
}

/// Deals the actors out to the connections, and takes them back when the window has closed.
async fn drive<A: 'static>(
    address: SocketAddr,
    actors: &mut Vec<A>,
    load: &Load,
    window: Window,
    step: impl AsyncFn(&mut A, &mut Connection, usize) -> Result<Option<Duration>> + Copy + 'static,
) -> Result<Tally> {
    ensure!(load.connections <= actors.len(), "{} connections for {} shoppers", load.connections, actors.len());
    let mut hands: Vec<Vec<A>> = (0..load.connections).map(|_| Vec::new()).collect();
    for (number, actor) in std::mem::take(actors).into_iter().enumerate() {
        hands[number % load.connections].push(actor);
    }
    let mut total = Tally::default();
    let mut loops = JoinSet::new();
    let local = LocalSet::new();
    for mut hand in hands {
        loops.spawn_local_on(
            async move {
                let tally = closed_loop(address, &mut hand, window, step).await;
                (hand, tally)
            },
            &local,
        );
    }
    local
        .run_until(async {
            while let Some(ended) = loops.join_next().await {
                let (hand, tally) = ended?;
                actors.extend(hand);
                total.merge(tally?);
            }
            Ok(total)
        })
        .await
}

async fn closed_loop<A>(
    address: SocketAddr,
    actors: &mut [A],
    window: Window,
    step: impl AsyncFn(&mut A, &mut Connection, usize) -> Result<Option<Duration>>,
) -> Result<Tally> {
    let mut connection = Connection::open(address).await?;
    let mut tally = Tally::default();
    let mut began = clock::now();
    let count = actors.len();
    for turn in 0.. {
        let create_order = step(&mut actors[turn % count], &mut connection, turn / count).await?;
        let ended = clock::now();
        tally.steps += 1;
        if ended >= window.end {
            break;
        }
        if ended >= window.start {
            tally.whole_us.push(micros(ended - began));
            tally.create_order_us.extend(create_order.map(micros));
        }
        began = ended;
    }
    Ok(tally)
}

impl Tally {
    fn merge(&mut self, other: Self) {
        self.whole_us.extend(other.whole_us);
        self.create_order_us.extend(other.create_order_us);
        self.steps += other.steps;
    }
}

/// Processor time spent within a window, in microseconds.
struct Cpu {
    /// Of each process of the server.
    server_us: Vec<u64>,
    load_us: u64,
}

async fn measure_cpu(window: Window, server: &[u32]) -> Result<Cpu> {
    let read = || {
        let servers = server.iter().map(|process| process::cpu_us(*process)).collect::<Result<Vec<u64>>>()?;
        Ok::<_, anyhow::Error>((servers, process::cpu_us(std::process::id())?))
    };
    clock::pause(window.start.saturating_duration_since(clock::now())).await;
    let before = read()?;
    clock::pause(window.end.saturating_duration_since(clock::now())).await;
    let after = read()?;
    let server_us = after.0.iter().zip(before.0).map(|(after, before)| after.saturating_sub(before)).collect();
    Ok(Cpu { server_us, load_us: after.1.saturating_sub(before.1) })
}
