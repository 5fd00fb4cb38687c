//! Stops calling an upstream that does not answer, and tries it again with one call (R-L 5).
//!
//! Only calls that stayed without an answer count against it: an answer, whatever it says, comes from somebody who is there.

use std::collections::VecDeque;

use crate::Options;

/// The window is kept in this many parts.
const PARTS: u64 = 10;

/// One part of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    number: u64,
    calls: u32,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Closed,
    /// No calls until then.
    Open {
        until_ms: u64,
    },
    /// One call tries.
    Trying,
}

/// The breaker of one upstream. Times are milliseconds since the upstream was made.
#[derive(Debug)]
pub(crate) struct Breaker {
    window_ms: u64,
    calls_min: u32,
    percent: u32,
    open_ms: u64,
    state: State,
    parts: VecDeque<Part>,
}

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// As any other.
    Free,
    /// As the one that tries.
    Trial,
    /// Not for so many milliseconds.
    Closed { for_ms: u64 },
}

impl Breaker {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            window_ms: options.breaker_window_ms.max(PARTS),
            calls_min: options.breaker_calls_min,
            percent: options.breaker_percent,
            open_ms: options.breaker_open_ms,
            state: State::Closed,
            parts: VecDeque::new(),
        }
    }

    pub(crate) fn enter(&mut self, now_ms: u64) -> Entry {
        match self.state {
            State::Closed => Entry::Free,
            State::Open { until_ms } if now_ms >= until_ms => {
                self.state = State::Trying;
                Entry::Trial
            }
            State::Open { until_ms } => Entry::Closed { for_ms: until_ms - now_ms },
            State::Trying => Entry::Closed { for_ms: self.open_ms },
        }
    }

    /// Notes how a call ended. True where the breaker opened by it.
    pub(crate) fn record(&mut self, entry: Entry, is_failure: bool, now_ms: u64) -> bool {
        match (entry, is_failure) {
            (Entry::Trial, false) => {
                self.state = State::Closed;
                self.parts.clear();
                false
            }
            (Entry::Trial, true) => self.open(now_ms),
            (Entry::Free | Entry::Closed { .. }, _) => {
                self.count(is_failure, now_ms);
                matches!(self.state, State::Closed) && self.is_too_much(now_ms) && self.open(now_ms)
            }
        }
    }

    /// Gives a trial back that was not made.
    pub(crate) fn give_back(&mut self, entry: Entry, now_ms: u64) {
        if entry == Entry::Trial && matches!(self.state, State::Trying) {
            self.state = State::Open { until_ms: now_ms };
        }
    }

    /// Lets the next call try: there is news of an instance that is back.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        if let State::Open { until_ms } = &mut self.state {
            *until_ms = now_ms.min(*until_ms);
        }
    }

    fn open(&mut self, now_ms: u64) -> bool {
        self.state = State::Open { until_ms: now_ms + self.open_ms };
        self.parts.clear();
        true
    }

    fn count(&mut self, is_failure: bool, now_ms: u64) {
        let number = now_ms / (self.window_ms / PARTS);
        if self.parts.back().is_none_or(|part| part.number != number) {
            self.parts.push_back(Part { number, ..Part::default() });
        }
        while self.parts.front().is_some_and(|part| part.number + PARTS <= number) {
            self.parts.pop_front();
        }
        if let Some(part) = self.parts.back_mut() {
            part.calls = part.calls.saturating_add(1);
            part.failures = part.failures.saturating_add(u32::from(is_failure));
        }
    }

    fn is_too_much(&self, now_ms: u64) -> bool {
        let oldest = (now_ms / (self.window_ms / PARTS)).saturating_sub(PARTS - 1);
        let parts = self.parts.iter().filter(|part| part.number >= oldest);
        let (calls, failures) = parts.fold((0_u64, 0_u64), |(calls, failures), part| {
            (calls + u64::from(part.calls), failures + u64::from(part.failures))
        });
        calls >= u64::from(self.calls_min) && failures * 100 >= calls * u64::from(self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&Options::default())
    }

    /// Ends `count` calls; whether the breaker opened.
    fn end(breaker: &mut Breaker, count: u32, is_failure: bool, now_ms: u64) -> bool {
        (0..count).any(|_| breaker.record(Entry::Free, is_failure, now_ms))
    }

    #[test]
    fn it_opens_when_half_of_twenty_calls_in_ten_seconds_stay_unanswered() {
        let mut breaker = breaker();
        assert!(!end(&mut breaker, 10, false, 1_000));
        assert!(!end(&mut breaker, 9, true, 2_000));
        assert!(end(&mut breaker, 1, true, 9_000));
        assert_eq!(breaker.enter(9_000), Entry::Closed { for_ms: 5_000 });
    }

    #[test]
    fn fewer_calls_or_older_ones_do_not_open_it() {
        let mut breaker = breaker();
        assert!(!end(&mut breaker, 19, true, 0));
        assert!(!end(&mut breaker, 19, true, 10_000));
        assert!(end(&mut breaker, 1, true, 10_000));
    }

    #[test]
    fn after_five_seconds_one_call_tries_and_decides() {
        let mut breaker = breaker();
        assert!(end(&mut breaker, 20, true, 0));
        assert_eq!(breaker.enter(5_000), Entry::Trial);
        assert!(matches!(breaker.enter(5_000), Entry::Closed { .. }));
        assert!(breaker.record(Entry::Trial, true, 5_500));
        assert!(matches!(breaker.enter(10_000), Entry::Closed { .. }));
        assert_eq!(breaker.enter(10_500), Entry::Trial);
        assert!(!breaker.record(Entry::Trial, false, 10_600));
        assert_eq!(breaker.enter(10_600), Entry::Free);
    }

    #[test]
    fn a_trial_that_was_given_up_is_there_for_the_next() {
        let mut breaker = breaker();
        assert!(end(&mut breaker, 20, true, 0));
        let entry = breaker.enter(5_000);
        breaker.give_back(entry, 5_001);
        assert_eq!(breaker.enter(5_001), Entry::Trial);
    }

    #[test]
    fn news_of_an_instance_that_is_back_shortens_the_wait() {
        let mut breaker = breaker();
        assert!(end(&mut breaker, 20, true, 0));
        breaker.hurry(1_000);
        assert_eq!(breaker.enter(1_000), Entry::Trial);
    }
}
