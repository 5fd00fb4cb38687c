//! The comparison as Markdown: medians over the rounds, beside what was aimed at.

mod cluster;

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    compare::{Comparison, Round},
    figures::{Figures, Latency, median, ratio},
    peer::Peer,
    run::Scenario,
};

/// The parts of the page that are written anew, by the names in their markers.
const WHOLE_SHOP: &str = "bench";
const PROCESSES: &str = "bench-processes";

const REFERENCE: (Peer, &str) = (Peer::Reference, "reference, with its database");

/// The level at which the peers are compared.
const CROWD: usize = 64;

const NEW_PAGE: &str = "# Performance\n\nWritten by `cargo xtask bench`; see [bench/README.md](../bench/README.md) for \
                        what is measured and how.\n\n";

/// One window in one line, for a person who watches.
pub(crate) fn line(figures: &Figures) -> String {
    format!(
        "  {:?} × {}: {} per s, {} ms p50/p95/p99, processor {} µs (load {} µs)",
        figures.scenario,
        figures.connections,
        figures.per_second,
        latencies(&figures.latency),
        figures.server_cpu_us,
        figures.load_cpu_us
    )
}

/// What a comparison has to say, each table with the name of the part of the page that it replaces.
///
/// # Errors
/// The machine does not say its date or its processor.
pub(crate) fn tables(comparison: &Comparison) -> Result<Vec<(&'static str, String)>> {
    let measured = |peer| comparison.of(peer).next().is_some();
    let mut tables = Vec::new();
    if measured(Peer::Cartwright) || !measured(Peer::Cluster) {
        tables.push((WHOLE_SHOP, markdown(comparison)?));
    }
    if measured(Peer::Cluster) {
        tables.push((PROCESSES, cluster::markdown(comparison)?));
    }
    Ok(tables)
}

fn markdown(comparison: &Comparison) -> Result<String> {
    let mut page = vec![header(comparison)?, String::new()];
    page.push("| aimed at | measured | |".to_owned());
    page.push("|---|---|---|".to_owned());
    page.extend(goals(comparison).iter().map(Goal::row));
    page.push(String::new());
    page.extend(carts_table(comparison, Peer::Cartwright));
    page.push(String::new());
    page.extend(checkout_table(comparison, Peer::Cartwright));
    page.push(String::new());
    page.extend(footprint_table(comparison, &[(Peer::Cartwright, "the whole shop"), REFERENCE]));
    Ok(page.join("\n"))
}

/// Replaces what stands between the markers of this `block` of the page, or appends them.
///
/// # Errors
/// The page cannot be read or written.
pub(crate) fn write_page(page: &Path, block: &str, table: &str) -> Result<()> {
    let present = if page.exists() { fs::read_to_string(page)? } else { NEW_PAGE.to_owned() };
    if let Some(folder) = page.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(page, replaced(&present, block, table)).with_context(|| format!("cannot write {}", page.display()))
}

fn replaced(present: &str, block: &str, table: &str) -> String {
    let (start, end) = (format!("<!-- {block}:start -->"), format!("<!-- {block}:end -->"));
    let block = format!("{start}\n{table}\n{end}");
    match (present.split_once(&start), present.split_once(&end)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{block}{after}"),
        _ => format!("{}\n\n{block}\n", present.trim_end()),
    }
}

fn header(comparison: &Comparison) -> Result<String> {
    let date = Command::new("date").args(["-u", "+%F"]).output().context("cannot ask for the date")?;
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let cores = std::thread::available_parallelism()?;
    let beside = comparison.reference_versions.as_deref().unwrap_or("no reference");
    Ok(format!(
        "{}, `{}`: medians. {cores} cores ({}), the load on the same cores. Reference: {beside}. \
         Latencies are p50 / p95 / p99 in milliseconds; processor time is the server's per operation, database included.",
        String::from_utf8_lossy(&date.stdout).trim(),
        comparison.command,
        model.trim_start_matches([' ', '\t', ':']),
    ))
}

/// Something aimed at: `measured` in words, and whether it is there.
struct Goal {
    aim: String,
    measured: String,
    met: bool,
}

impl Goal {
    fn at_least(aim: &str, times: u64, ours: u64, theirs: u64) -> Self {
        Self { aim: aim.to_owned(), measured: format!("{}×", ratio(ours, theirs, 1)), met: ours >= theirs * times }
    }

    fn at_most(aim: &str, measured: String, value: u64, limit: u64) -> Self {
        Self { aim: aim.to_owned(), measured, met: value <= limit }
    }

    fn row(&self) -> String {
        format!("| {} | {} | {} |", self.aim, self.measured, if self.met { "met" } else { "**missed**" })
    }
}

fn goals(comparison: &Comparison) -> Vec<Goal> {
    let mut goals = Vec::new();
    let ours = |scenario, pick: fn(&Figures) -> u64| comparison.median(Peer::Cartwright, scenario, CROWD, pick);
    let theirs = |scenario, pick: fn(&Figures) -> u64| comparison.median(Peer::Reference, scenario, CROWD, pick);
    if let (Some(our_add), Some(their_add)) = (ours(Scenario::Add, rate), theirs(Scenario::Add, rate)) {
        goals.push(Goal::at_least("add, 64 shoppers: 12× the reference's throughput", 12, our_add, their_add));
    }
    if let (Some(our_p99), Some(their_p99)) = (ours(Scenario::Add, p99), theirs(Scenario::Add, p99)) {
        let measured = format!("{}×", ratio(our_p99, their_p99, 2));
        goals.push(Goal::at_most("add, 64 shoppers: at most a quarter of its p99", measured, our_p99 * 4, their_p99));
    }
    if let (Some(our_get), Some(their_get)) = (ours(Scenario::Get, rate), theirs(Scenario::Get, rate)) {
        goals.push(Goal::at_least("get, 64 shoppers: 8× the reference's throughput", 8, our_get, their_get));
    }
    goals.extend(commit_goal(comparison));
    goals.extend(footprint_goals(comparison));
    goals
}

fn commit_goal(comparison: &Comparison) -> Option<Goal> {
    let order = comparison.median(Peer::Cartwright, Scenario::Checkout, 1, |figures| {
        figures.create_order.map_or(0, |latency| latency.p50_us)
    })?;
    let commits = comparison.of(Peer::Cartwright).flat_map(|round| &round.commits);
    let commit = median(commits.map(|commits| commits.p50_us));
    let measured = format!("{} commits ({} ms, {} ms)", ratio(order, commit, 1), millis(order), millis(commit));
    Some(Goal::at_most("create-order, one shopper: the time of 10 durable commits", measured, order, commit * 10))
}

fn footprint_goals(comparison: &Comparison) -> Vec<Goal> {
    let of = |pick: fn(&Round) -> u64| median(comparison.of(Peer::Cartwright).map(pick));
    let (idle, peak, start) = (of(|round| round.idle_kib), of(|round| round.peak_kib), of(|round| round.start_ms));
    if comparison.of(Peer::Cartwright).next().is_none() {
        return Vec::new();
    }
    let mib = |kib: u64| format!("{} MiB", ratio(kib, 1024, 1));
    let size = format!("{} MB", ratio(comparison.binary_bytes, 1_000_000, 1));
    vec![
        Goal::at_most("resident memory of the whole shop, idle: 60 MiB", mib(idle), idle, 60 * 1024),
        Goal::at_most("its peak under load: 150 MiB", mib(peak), peak, 150 * 1024),
        Goal::at_most("start on an existing store until healthy: 300 ms", format!("{start} ms"), start, 300),
        Goal::at_most("the binary: 40 MB", size, comparison.binary_bytes, 40_000_000),
    ]
}

/// The carts of `ours` beside those of the reference.
fn carts_table(comparison: &Comparison, ours: Peer) -> Vec<String> {
    let mut rows = vec![
        "| scenario | shoppers | shop: per s | latency | processor | reference: per s | latency | processor | throughput | p99 |"
            .to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for scenario in [Scenario::Add, Scenario::Get] {
        for connections in &comparison.connections {
            let cell = |peer| comparison.cells(peer, scenario, *connections);
            let beside = |pick: fn(&Figures) -> u64, digits| {
                let of = |peer| comparison.median(peer, scenario, *connections, pick);
                match (of(ours), of(Peer::Reference)) {
                    (Some(ours), Some(theirs)) => format!("{}×", ratio(ours, theirs, digits)),
                    _ => "–".to_owned(),
                }
            };
            rows.push(format!(
                "| {} | {connections} | {} | {} | {} | {} |",
                name(scenario),
                cell(ours),
                cell(Peer::Reference),
                beside(rate, 1),
                beside(p99, 2),
            ));
        }
    }
    rows
}

fn checkout_table(comparison: &Comparison, ours: Peer) -> Vec<String> {
    let mut rows = vec![
        "| checkout (3 adds, quote, confirmed order): shoppers | per s | latency of the whole | of create-order alone | processor |"
            .to_owned(),
        "|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for connections in &comparison.connections {
        let of = |pick: fn(&Figures) -> u64| comparison.median(ours, Scenario::Checkout, *connections, pick);
        let latency = |pick| comparison.latency(ours, Scenario::Checkout, *connections, pick);
        let (whole, create) = (latency(|figures| Some(figures.latency)), latency(|figures| figures.create_order));
        if let (Some(rate), Some(cpu), Some(whole), Some(create)) = (of(rate), of(cpu), whole, create) {
            rows.push(format!(
                "| {connections} | {rate} | {} | {} | {cpu} µs |",
                latencies(&whole),
                latencies(&create)
            ));
        }
    }
    rows
}

/// How heavy the `peers` are, by the names that people know them by.
fn footprint_table(comparison: &Comparison, peers: &[(Peer, &str)]) -> Vec<String> {
    let mut rows = vec![
        "| | start until healthy | resident idle | resident at its peak |".to_owned(),
        "|---|--:|--:|--:|".to_owned(),
    ];
    for (peer, title) in peers.iter().copied() {
        if comparison.of(peer).next().is_some() {
            let of = |pick: fn(&Round) -> u64| median(comparison.of(peer).map(pick));
            rows.push(format!(
                "| {title} | {} ms | {} MiB | {} MiB |",
                of(|round| round.start_ms),
                of(|round| round.idle_kib) / 1024,
                of(|round| round.peak_kib) / 1024
            ));
        }
    }
    rows
}

impl Comparison {
    fn of(&self, peer: Peer) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(move |round| round.peer == peer)
    }

    fn windows(&self, peer: Peer, scenario: Scenario, connections: usize) -> impl Iterator<Item = &Figures> {
        let figures = self.of(peer).flat_map(|round| &round.figures);
        figures.filter(move |figures| figures.scenario == scenario && figures.connections == connections)
    }

    fn median(&self, peer: Peer, scenario: Scenario, connections: usize, pick: fn(&Figures) -> u64) -> Option<u64> {
        self.windows(peer, scenario, connections).next()?;
        Some(median(self.windows(peer, scenario, connections).map(pick)))
    }

    fn latency(
        &self,
        peer: Peer,
        scenario: Scenario,
        connections: usize,
        pick: fn(&Figures) -> Option<Latency>,
    ) -> Option<Latency> {
        let all: Vec<Latency> = self.windows(peer, scenario, connections).filter_map(pick).collect();
        let of = |pick: fn(&Latency) -> u64| median(all.iter().map(pick));
        all.first()?;
        Some(Latency {
            p50_us: of(|latency| latency.p50_us),
            p95_us: of(|latency| latency.p95_us),
            p99_us: of(|latency| latency.p99_us),
            max_us: of(|latency| latency.max_us),
        })
    }

    fn cells(&self, peer: Peer, scenario: Scenario, connections: usize) -> String {
        let of = |pick: fn(&Figures) -> u64| self.median(peer, scenario, connections, pick);
        match (of(rate), of(cpu), self.latency(peer, scenario, connections, |figures| Some(figures.latency))) {
            (Some(rate), Some(cpu), Some(latency)) => format!("{rate} | {} | {cpu} µs", latencies(&latency)),
            _ => "– | – | –".to_owned(),
        }
    }
}

fn rate(figures: &Figures) -> u64 {
    figures.per_second
}

fn p99(figures: &Figures) -> u64 {
    figures.latency.p99_us
}

fn cpu(figures: &Figures) -> u64 {
    figures.server_cpu_us
}

fn name(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Add => "add",
        Scenario::Get => "get",
        Scenario::Checkout => "checkout",
    }
}

fn latencies(latency: &Latency) -> String {
    format!("{} / {} / {}", millis(latency.p50_us), millis(latency.p95_us), millis(latency.p99_us))
}

fn millis(micros: u64) -> String {
    ratio(micros, 1000, 2)
}

#[cfg(test)]
mod tests {
    use super::{Goal, replaced};

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = "above\n<!-- bench:start -->\nold\n<!-- bench:end -->\nbelow\n";
        assert_eq!(replaced(page, "bench", "new"), "above\n<!-- bench:start -->\nnew\n<!-- bench:end -->\nbelow\n");
        let appended = "above\n\n<!-- bench-other:start -->\nnew\n<!-- bench-other:end -->\n";
        assert_eq!(replaced("above", "bench-other", "new"), appended);
        assert!(replaced(page, "bench-other", "new").contains("old"));
    }

    #[test]
    fn a_goal_is_met_at_its_limit_and_missed_beyond() {
        assert!(Goal::at_least("", 12, 1200, 100).met);
        assert!(!Goal::at_least("", 12, 1199, 100).met);
        assert!(Goal::at_most("", String::new(), 10, 10).met);
        assert!(!Goal::at_most("", String::new(), 11, 10).met);
    }
}
