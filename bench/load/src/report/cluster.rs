//! The shop as processes beside the reference on the same MongoDB, and what its gateway costs.

use anyhow::Result;

use super::{CROWD, Goal, REFERENCE, carts_table, checkout_table, footprint_table, header, millis, name, p99, rate};
use crate::{
    compare::Comparison,
    figures::{Figures, median, ratio},
    peer::Peer,
    run::Scenario,
};

/// What the gateway may add to the median latency of one shopper's request.
const ADDED_US_MAX: u64 = 500;
/// What it may take of the throughput, in percent.
const TAKEN_PERCENT_MAX: u64 = 35;

const TITLE: &str = "the shop as processes, with its database and broker";

/// The part of the page about processes.
///
/// # Errors
/// The machine does not say its date or its processor.
pub(super) fn markdown(comparison: &Comparison) -> Result<String> {
    let direct = comparison.without_gateway();
    let mut page = vec![header(comparison)?, String::new()];
    page.push("| aimed at | measured | |".to_owned());
    page.push("|---|---|---|".to_owned());
    page.extend(against_reference(comparison).iter().map(Goal::row));
    page.extend(gateway_goals(comparison, &direct).iter().map(Goal::row));
    page.push(String::new());
    page.extend(carts_table(comparison, Peer::Cluster));
    page.push(String::new());
    page.extend(gateway_table(comparison, &direct));
    page.push(String::new());
    page.extend(processor_table(comparison));
    page.push(String::new());
    if comparison.windows(Peer::Cluster, Scenario::Checkout, CROWD).next().is_some() {
        page.extend(checkout_table(comparison, Peer::Cluster));
        page.push(String::new());
    }
    page.extend(footprint_table(comparison, &[(Peer::Cluster, TITLE), REFERENCE]));
    Ok(page.join("\n"))
}

fn against_reference(comparison: &Comparison) -> Vec<Goal> {
    let mut goals = Vec::new();
    for connections in comparison.connections.iter().copied().filter(|connections| *connections > 1) {
        let of = |peer, pick: fn(&Figures) -> u64| comparison.median(peer, Scenario::Add, connections, pick);
        if let (Some(ours), Some(theirs)) = (of(Peer::Cluster, rate), of(Peer::Reference, rate)) {
            let aim = format!("add, {connections} shoppers: 4× the reference's throughput");
            goals.push(Goal::at_least(&aim, 4, ours, theirs));
        }
        if let (Some(ours), Some(theirs)) = (of(Peer::Cluster, p99), of(Peer::Reference, p99)) {
            let aim = format!("add, {connections} shoppers: a lower p99");
            goals.push(Goal::at_most(&aim, format!("{}×", ratio(ours, theirs, 2)), ours + 1, theirs));
        }
    }
    goals
}

/// What the gateway adds to a request that waits for nothing else, and takes of what a busy machine can do.
fn gateway_goals(comparison: &Comparison, direct: &Comparison) -> Vec<Goal> {
    let mut goals = Vec::new();
    for scenario in [Scenario::Add, Scenario::Get] {
        for connections in comparison.connections.iter().copied() {
            let of =
                |side: &Comparison, pick: fn(&Figures) -> u64| side.median(Peer::Cluster, scenario, connections, pick);
            if let (1, Some(with), Some(without)) = (connections, of(comparison, p50), of(direct, p50)) {
                let added = with.saturating_sub(without);
                let aim = format!("gateway, {}, one shopper: at most 0.5 ms more at the median", name(scenario));
                goals.push(Goal::at_most(&aim, format!("{} ms", millis(added)), added, ADDED_US_MAX));
            }
            if let (2.., Some(with), Some(without)) = (connections, of(comparison, rate), of(direct, rate)) {
                let taken = taken_percent(with, without);
                let aim = format!("gateway, {}, {connections} shoppers: at most 35 % less throughput", name(scenario));
                goals.push(Goal::at_most(&aim, format!("{taken} %"), taken, TAKEN_PERCENT_MAX));
            }
        }
    }
    goals
}

/// How much less `with` is than `without`, in percent, rounded up.
fn taken_percent(with: u64, without: u64) -> u64 {
    (without.saturating_sub(with) * 100).div_ceil(without.max(1))
}

fn gateway_table(comparison: &Comparison, direct: &Comparison) -> Vec<String> {
    let mut rows = vec![
        "| scenario | shoppers | through the gateway: per s | latency | processor | the cart directly: per s | latency | processor | throughput |"
            .to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    for scenario in [Scenario::Add, Scenario::Get] {
        for connections in comparison.connections.iter().copied() {
            let of = |side: &Comparison| side.median(Peer::Cluster, scenario, connections, rate);
            if let (Some(with), Some(without)) = (of(comparison), of(direct)) {
                rows.push(format!(
                    "| {} | {connections} | {} | {} | {}× |",
                    name(scenario),
                    comparison.cells(Peer::Cluster, scenario, connections),
                    direct.cells(Peer::Cluster, scenario, connections),
                    ratio(with, without, 2),
                ));
            }
        }
    }
    rows
}

/// Where the processor time of an operation goes, at the busiest level.
fn processor_table(comparison: &Comparison) -> Vec<String> {
    let mut rows = Vec::new();
    let Some(connections) = comparison.connections.iter().copied().max() else { return rows };
    for (peer, title) in [(Peer::Cluster, "shop"), (Peer::Reference, "reference")] {
        for scenario in [Scenario::Add, Scenario::Get] {
            let windows: Vec<&Figures> = comparison.windows(peer, scenario, connections).collect();
            let Some(round) = comparison.of(peer).next().filter(|_| !windows.is_empty()) else { continue };
            let spent =
                |place: usize| median(windows.iter().filter_map(|figures| figures.each_cpu_us.get(place).copied()));
            let mut shares: Vec<(u64, &str)> =
                round.processes.iter().enumerate().map(|(place, name)| (spent(place), *name)).collect();
            shares.sort_unstable_by(|one, other| other.cmp(one));
            let shares: Vec<String> =
                shares.iter().filter(|(spent, _)| *spent > 0).map(|(spent, name)| format!("{name} {spent}")).collect();
            rows.push(format!("| {title}, {}, {connections} shoppers | {} |", name(scenario), shares.join(", ")));
        }
    }
    if !rows.is_empty() {
        rows.splice(
            0..0,
            ["| processor time of an operation | µs in each process |".to_owned(), "|---|---|".to_owned()],
        );
    }
    rows
}

fn p50(figures: &Figures) -> u64 {
    figures.latency.p50_us
}

impl Comparison {
    /// The same, with what was asked without the gateway in the place of what was asked through it.
    fn without_gateway(&self) -> Self {
        let mut direct = self.clone();
        for round in &mut direct.rounds {
            round.figures = std::mem::take(&mut round.direct);
        }
        direct
    }
}

#[cfg(test)]
mod tests {
    use super::taken_percent;

    #[test]
    fn what_is_taken_is_rounded_up_so_that_a_limit_is_one() {
        assert_eq!(taken_percent(65, 100), 35);
        assert_eq!(taken_percent(649, 1000), 36);
        assert_eq!((taken_percent(110, 100), taken_percent(0, 0)), (0, 0));
    }
}
