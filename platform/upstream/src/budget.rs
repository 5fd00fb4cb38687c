//! How much may be sent again: a share of what is sent, so that trouble does not multiply itself (R-L 4).

use std::sync::{Mutex, PoisonError};

/// What one repetition costs, in shares of a call.
const COST: u32 = 100;

/// What may be saved up, which is also what there is at the start: enough for one instance's calls under way at its death.
const SAVED_MAX: u32 = 100 * COST;

/// Each call puts a share in, each repetition takes a whole out.
#[derive(Debug)]
pub(crate) struct Budget {
    percent: u32,
    saved: Mutex<u32>,
}

impl Budget {
    pub(crate) fn new(percent: u32) -> Self {
        Self { percent: percent.min(COST), saved: Mutex::new(if percent == 0 { 0 } else { SAVED_MAX }) }
    }

    /// Notes a call.
    pub(crate) fn deposit(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + self.percent).min(SAVED_MAX);
    }

    /// Whether one more may be sent again.
    pub(crate) fn withdraw(&self) -> bool {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        match saved.checked_sub(COST) {
            Some(rest) => {
                *saved = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_in_ten_may_be_sent_again_once_the_savings_are_spent() {
        let budget = Budget::new(10);
        let saved = std::iter::from_fn(|| budget.withdraw().then_some(())).take(1_000).count();
        assert_eq!(saved, 100);
        let mut repeated = 0;
        for _ in 0..1_000 {
            budget.deposit();
            repeated += usize::from(budget.withdraw());
        }
        assert_eq!(repeated, 100);
    }

    #[test]
    fn nothing_is_sent_again_where_the_share_is_nothing() {
        let budget = Budget::new(0);
        budget.deposit();
        assert!(!budget.withdraw());
    }
}
