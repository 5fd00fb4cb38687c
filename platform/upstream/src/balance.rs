//! Chooses an instance: the better of two drawn by lot.
//!
//! Two choices are enough to keep away from the slow and the busy, and the lot keeps many callers from choosing alike.

use std::sync::Arc;

use crate::instance::{Fitness, Instance};

/// Why no instance was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// Those who could take the call have all they may.
    Busy,
    /// None could take it.
    Fit,
    /// There was no time to ask anybody.
    InTime,
}

/// The cheaper of two of `instances`, drawn by `lots`, among those that are fit; among the doubtful where none is.
pub(crate) fn choose<'a>(
    instances: impl Iterator<Item = &'a Arc<Instance>>,
    now_ms: u64,
    lots: impl FnOnce() -> [u8; 2],
) -> Result<Arc<Instance>, Nobody> {
    let (mut fit, mut doubtful, mut is_busy) = (Vec::new(), Vec::new(), false);
    for instance in instances {
        match instance.fitness(now_ms) {
            Fitness::Fit => fit.push(instance),
            Fitness::Doubtful => doubtful.push(instance),
            Fitness::Full => is_busy = true,
            Fitness::Unfit => {}
        }
    }
    let able = if fit.is_empty() && !is_busy { doubtful } else { fit };
    match able[..] {
        [] if is_busy => Err(Nobody::Busy),
        [] => Err(Nobody::Fit),
        [only] => Ok(Arc::clone(only)),
        _ => Ok(Arc::clone(cheaper(&able, now_ms, lots()))),
    }
}

fn cheaper<'a>(able: &[&'a Arc<Instance>], now_ms: u64, [first, step]: [u8; 2]) -> &'a Arc<Instance> {
    let one = usize::from(first) % able.len();
    let other = (one + 1 + usize::from(step) % (able.len() - 1)) % able.len();
    if able[one].cost(now_ms) <= able[other].cost(now_ms) { able[one] } else { able[other] }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cartwright_runtime::Clock;

    use super::*;
    use crate::Options;
    use crate::instance::Unready;
    use crate::targets::Place;

    fn instances(count: u16) -> Vec<Arc<Instance>> {
        let at = |port| Place { address: ([127, 0, 0, 1], port).into(), is_tls: false };
        let options = Options { in_flight_max: 8, ..Options::default() };
        (1..=count).map(|port| Arc::new(Instance::new(at(port), None, options, Clock::system()))).collect()
    }

    #[tokio::test]
    async fn of_two_the_faster_is_chosen_until_it_has_more_to_do() {
        let instances = instances(2);
        instances[0].answered(Duration::from_millis(40), false, 0);
        instances[1].answered(Duration::from_millis(10), false, 0);
        let port = |lot| choose(instances.iter(), 0, || [lot, 0]).unwrap().place.address.port();
        assert_eq!((port(0), port(1)), (2, 2));
        let held: Vec<_> = (0..4).map(|_| instances[1].occupy()).collect();
        assert_eq!((port(0), port(1)), (1, 1));
        drop(held);
    }

    #[tokio::test]
    async fn each_pair_can_be_drawn() {
        let instances = instances(3);
        let draws = (0..6).map(|lot| choose(instances.iter(), 0, || [lot % 3, lot / 3]).unwrap().place.address.port());
        assert_eq!(draws.collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[tokio::test]
    async fn the_doubtful_are_chosen_only_where_nobody_is_fit_and_the_unready_never() {
        let instances = instances(2);
        instances[0].probed(Err(Unready::Silent));
        instances[1].probed(Err(Unready::Refusing));
        let chosen = |now| choose(instances.iter(), now, || [0, 0]).map(|instance| instance.place.address.port());
        assert_eq!(chosen(0), Ok(1));
        instances[1].probed(Ok(()));
        assert_eq!(chosen(0), Ok(2));
        let held: Vec<_> = (0..8).map(|_| instances[1].occupy()).collect();
        assert_eq!(chosen(0), Err(Nobody::Busy));
        drop(held);
        for instance in instances.iter().chain(&instances) {
            instance.probed(Err(Unready::Refusing));
        }
        assert_eq!(chosen(0), Err(Nobody::Fit));
    }
}
