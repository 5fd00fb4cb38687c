//! How far a consumer has come in each partition, when events are applied out of order.

use std::collections::{BTreeSet, HashMap};

/// For each partition, which events are not applied yet.
#[derive(Debug, Default)]
pub(crate) struct Offsets(HashMap<i32, Progress>);

#[derive(Debug, Default)]
struct Progress {
    in_hand: BTreeSet<i64>,
    next: i64,
    committed: Option<i64>,
}

impl Offsets {
    /// An event was delivered. After partitions were dealt out anew, that may go back.
    pub(crate) fn delivered(&mut self, partition: i32, offset: i64) {
        let progress = self.0.entry(partition).or_default();
        progress.in_hand.insert(offset);
        progress.next = offset + 1;
    }

    /// An event was applied.
    pub(crate) fn applied(&mut self, partition: i32, offset: i64) {
        if let Some(progress) = self.0.get_mut(&partition) {
            progress.in_hand.remove(&offset);
        }
    }

    /// The partitions in which everything before some place is applied and more than was committed, and these places.
    pub(crate) fn take_news(&mut self) -> Vec<(i32, i64)> {
        let mut news = Vec::new();
        for (partition, progress) in &mut self.0 {
            let place = progress.in_hand.first().copied().unwrap_or(progress.next);
            if progress.committed != Some(place) {
                progress.committed = Some(place);
                news.push((*partition, place));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_passed_that_is_not_applied() {
        let mut offsets = Offsets::default();
        for offset in 5..9 {
            offsets.delivered(0, offset);
        }
        offsets.applied(0, 6);
        assert_eq!(offsets.take_news(), [(0, 5)]);
        offsets.applied(0, 5);
        assert_eq!(offsets.take_news(), [(0, 7)]);
        assert_eq!(offsets.take_news(), []);
        offsets.applied(0, 8);
        offsets.applied(0, 7);
        assert_eq!(offsets.take_news(), [(0, 9)]);
    }

    #[test]
    fn a_partition_that_comes_back_from_an_earlier_place_is_counted_from_there() {
        let mut offsets = Offsets::default();
        offsets.delivered(0, 9);
        offsets.applied(0, 9);
        assert_eq!(offsets.take_news(), [(0, 10)]);
        offsets.delivered(0, 5);
        offsets.delivered(0, 6);
        offsets.applied(0, 6);
        assert_eq!(offsets.take_news(), [(0, 5)]);
    }
}
