//! The payment of one order: its attempts, what of it is to be done next, and what an answer of the provider makes of it.
//!
//! Promises that at most one attempt ever holds money that is wanted, that a success which comes after the order was
//! cancelled is let go or given back by itself and never announced, and that each piece of news is told once.

use std::time::Duration;

use cartwright_runtime::Time;
use cartwright_store::Lease;
use cartwright_vocabulary::{Money, OrderId, PaymentId, RefundId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attempt::{Attempt, AttemptState, Standing, Turn};
use super::refund::{Refund, RefundState};
use crate::provider::ProviderError;

/// Attempts to pay one order, at most.
pub const MOST_ATTEMPTS: usize = 5;
/// How long a capture, or a refund that somebody asked for, is tried before somebody has to look at it (R-S).
pub const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How the payment of an order stands. A document without attempts and with `closed` set is the tombstone of an order that
/// was cancelled before anybody asked for its money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The order, which is also the document's key.
    pub order: OrderId,
    /// Whose order.
    pub user: UserId,
    /// What is to be paid, once somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// What was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<Money>,
    /// What went back or is on its way.
    pub refunds: Vec<Refund>,
    /// The order was cancelled: no money may stay.
    pub closed: bool,
    /// The order was confirmed: the money is due.
    pub sold: bool,
    /// Who does what is to be done next, and when.
    pub lease: Lease,
    /// When it was made.
    pub created_at: Time,
}

/// The one thing to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell the provider of an attempt that it cannot have heard of.
    Authorise(PaymentId),
    /// Ask the provider where an attempt stands.
    Ask(PaymentId),
    /// Let go of what an attempt holds, or keep it from ever holding anything.
    Void(PaymentId),
    /// Take what an attempt holds.
    Capture(PaymentId),
    /// Give back some of what an attempt took.
    Refund(PaymentId, RefundId),
}

/// What the provider answered to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Where the attempt stands.
    Stands(Standing),
    /// It has never heard of the attempt.
    NeverHeard,
    /// The refund was made.
    Refunded,
}

/// Something that others have to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The order's money is held.
    Authorized(PaymentId),
    /// An attempt failed.
    Declined(PaymentId),
    /// An attempt waits for the shopper.
    ActionRequired(PaymentId),
    /// The money was taken.
    Captured(PaymentId),
    /// The money could not be taken for a day.
    CaptureFailed(PaymentId, String),
    /// Money went back.
    Refunded(PaymentId, RefundId),
    /// A refund was given up.
    RefundFailed(RefundId),
    /// Money is held no longer.
    Voided(PaymentId),
    /// The provider says what cannot be: somebody has to look at it.
    Contradiction(PaymentId),
}

/// When to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Now,
    /// After a pause that starts at `first` and doubles up to `most` for as long as nothing changes.
    Later {
        /// The first pause.
        first: Duration,
        /// The longest one.
        most: Duration,
        /// Whether something changed, so that the pauses start anew.
        anew: bool,
    },
}

/// Why an order cannot be paid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotPay {
    /// An attempt is under way.
    #[error("an attempt to pay this order is under way; wait for its outcome")]
    InProgress,
    /// There were as many attempts as there may be.
    #[error("this order was tried to be paid {MOST_ATTEMPTS} times; there will be no more attempts")]
    TooMany,
    /// It is paid already, or cancelled.
    #[error("this order does not wait for a payment")]
    NotWanted,
}

/// Public states of an attempt to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The outcome is not known yet.
    Processing,
    /// The shopper must take a step.
    RequiresAction,
    /// The money is held.
    Authorized,
    /// The money was taken.
    Captured,
    /// Some of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
    /// The money was held and is no longer.
    Voided,
    /// The money was never held.
    Failed,
}

impl Payment {
    /// The payment of an order of which nothing is known yet but that it exists.
    pub const fn new(order: OrderId, user: UserId, now: Time) -> Self {
        Self {
            order,
            user,
            amount: None,
            attempts: Vec::new(),
            captured: None,
            refunds: Vec::new(),
            closed: false,
            sold: false,
            lease: Lease::due(now),
            created_at: now,
        }
    }

    /// The attempt of this id.
    pub fn attempt(&self, payment: PaymentId) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.payment == payment)
    }

    /// The same, to be changed.
    pub fn attempt_mut(&mut self, payment: PaymentId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.payment == payment)
    }

    /// The refund of this id.
    pub fn refund(&self, refund: RefundId) -> Option<&Refund> {
        self.refunds.iter().find(|it| it.id == refund)
    }

    /// The attempt that holds or took the money, if one does.
    pub fn funded(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.state.has_money())
    }

    /// The state of an attempt as callers see it.
    pub fn status(&self, attempt: &Attempt) -> PaymentStatus {
        match attempt.state {
            AttemptState::Processing => PaymentStatus::Processing,
            AttemptState::RequiresAction => PaymentStatus::RequiresAction,
            AttemptState::Authorized => PaymentStatus::Authorized,
            AttemptState::Voided => PaymentStatus::Voided,
            AttemptState::Failed => PaymentStatus::Failed,
            AttemptState::Captured => match (self.refunded(), self.captured) {
                (Some(back), Some(taken)) if back.minor() >= taken.minor() => PaymentStatus::Refunded,
                (Some(back), _) if back.minor() > 0 => PaymentStatus::PartiallyRefunded,
                _ => PaymentStatus::Captured,
            },
        }
    }

    /// What went back so far; `None` where nothing was taken.
    pub fn refunded(&self) -> Option<Money> {
        self.sum_of_refunds(|state| state == RefundState::Succeeded)
    }

    /// What may still be given back; `None` where nothing was taken.
    pub fn refundable(&self) -> Option<Money> {
        let promised = self.sum_of_refunds(|state| state != RefundState::Failed)?;
        self.captured?.minus(promised).ok()
    }

    fn sum_of_refunds(&self, counts: impl Fn(RefundState) -> bool) -> Option<Money> {
        let taken = self.captured?;
        let amounts = self.refunds.iter().filter(|refund| counts(refund.state)).map(|refund| refund.amount);
        // Refunds are never more than what was taken, so this always counts; where it did not, all of it would be gone.
        Some(Money::sum(taken.currency(), amounts).unwrap_or(taken))
    }

    /// Writes down another attempt to pay `amount`.
    ///
    /// # Errors
    /// Why there cannot be one; see [`CannotPay`].
    pub fn begin(&mut self, payment: PaymentId, amount: Money, method: String, now: Time) -> Result<(), CannotPay> {
        if self.closed || self.funded().is_some() {
            return Err(CannotPay::NotWanted);
        }
        if self.attempts.iter().any(|attempt| attempt.state == AttemptState::Processing) {
            return Err(CannotPay::InProgress);
        }
        if self.attempts.len() >= MOST_ATTEMPTS {
            return Err(CannotPay::TooMany);
        }
        let number = self.attempts.last().map_or(1, |last| last.number.saturating_add(1));
        self.amount = Some(amount);
        self.attempts.push(Attempt::new(payment, number, method, now));
        Ok(())
    }

    /// The order was cancelled. `undo` names the refund that this may take.
    pub fn close(&mut self, undo: RefundId, now: Time) {
        self.closed = true;
        self.give_back(undo, now);
    }

    /// On a closed payment: ends what nobody was told of, and writes down the refund of what was taken.
    fn give_back(&mut self, undo: RefundId, now: Time) {
        if !self.closed {
            return;
        }
        let untold = |it: &&mut Attempt| it.state == AttemptState::Processing && it.first_fence.is_none();
        self.attempts.iter_mut().filter(untold).for_each(|attempt| attempt.fail("order_cancelled", now));
        if let Some(amount) = self.refundable().filter(|left| left.minor() > 0) {
            let (reason, state) = ("order cancelled".to_owned(), RefundState::Pending);
            self.refunds.push(Refund {
                id: undo,
                amount,
                reason,
                state,
                undoes_sale: true,
                started_at: now,
                changed_at: now,
            });
        }
    }

    /// What is to be done next, if anything. Attempts come in order, so an earlier one has ended before a later one begins.
    pub fn next_step(&self) -> Option<Step> {
        self.attempts.iter().find_map(|attempt| self.step_of(attempt))
    }

    fn step_of(&self, attempt: &Attempt) -> Option<Step> {
        let payment = attempt.payment;
        if attempt.in_doubt {
            return Some(Step::Ask(payment));
        }
        match attempt.state {
            AttemptState::Processing if attempt.unheard => Some(Step::Void(payment)),
            AttemptState::Processing if self.closed => Some(Step::Ask(payment)),
            AttemptState::Processing => match attempt.first_fence {
                Some(first) if first != self.lease.fence => Some(Step::Ask(payment)),
                Some(_) | None => Some(Step::Authorise(payment)),
            },
            AttemptState::RequiresAction if self.wants(attempt) => Some(Step::Ask(payment)),
            AttemptState::RequiresAction => Some(Step::Void(payment)),
            AttemptState::Authorized if !self.wants(attempt) => Some(Step::Void(payment)),
            AttemptState::Authorized if self.sold && !attempt.capture_failed => Some(Step::Capture(payment)),
            AttemptState::Authorized | AttemptState::Voided | AttemptState::Failed => None,
            AttemptState::Captured => {
                let pending = self.refunds.iter().find(|refund| refund.state == RefundState::Pending);
                pending.map(|refund| Step::Refund(payment, refund.id))
            }
        }
    }

    /// Whether the attempt's success is still wanted.
    fn wants(&self, attempt: &Attempt) -> bool {
        !attempt.given_up && self.announces(attempt)
    }

    fn announces(&self, attempt: &Attempt) -> bool {
        !self.closed && self.attempts.last().is_some_and(|last| last.payment == attempt.payment)
    }

    /// Puts what is to be done under `lease`, and notes where the provider hears of an attempt for the first time.
    pub fn put_under(&mut self, lease: Lease) {
        self.lease = lease;
        if let Some(Step::Authorise(payment)) = self.next_step() {
            let fence = self.lease.fence;
            if let Some(attempt) = self.attempt_mut(payment) {
                attempt.first_fence = Some(fence);
            }
        }
    }

    /// Records what came of `step`. `undo` names the refund that this may take.
    pub fn record(
        &mut self,
        step: Step,
        outcome: Result<Reply, ProviderError>,
        undo: RefundId,
        now: Time,
    ) -> (Vec<News>, Changed) {
        let recorded = match outcome {
            Ok(Reply::Stands(standing)) => self.stands(step.payment(), standing, now),
            Ok(Reply::NeverHeard) => self.never_heard(step.payment()),
            Ok(Reply::Refunded) => self.gave_back(step, now),
            Err(error) => self.troubled(step, &error, now),
        };
        self.give_back(undo, now);
        recorded
    }

    /// Takes over where the provider says that an attempt stands.
    pub fn stands(&mut self, payment: PaymentId, standing: Standing, now: Time) -> (Vec<News>, Changed) {
        let Some(attempt) = self.attempt_mut(payment) else { return (Vec::new(), Changed::No) };
        let turn = attempt.stands(standing, now);
        let news = self.news_of(payment, turn);
        let same = matches!(turn, Turn::Same | Turn::Contradiction);
        (news, if same { Changed::No } else { Changed::Yes })
    }

    fn news_of(&mut self, payment: PaymentId, turn: Turn) -> Vec<News> {
        let Some(attempt) = self.attempt(payment) else { return Vec::new() };
        let (wanted, told, given_up) = (self.wants(attempt), self.announces(attempt), attempt.given_up);
        let mut news = Vec::new();
        match turn {
            Turn::Same => {}
            Turn::NeedsShopper => news.extend(wanted.then_some(News::ActionRequired(payment))),
            Turn::Held => news.extend(wanted.then_some(News::Authorized(payment))),
            Turn::Failed => news.extend(told.then_some(News::Declined(payment))),
            Turn::LetGo => {
                news.push(News::Voided(payment));
                news.extend((told && given_up).then_some(News::Declined(payment)));
            }
            Turn::Taken { held_too } => {
                self.captured = self.amount;
                news.extend((wanted && held_too).then_some(News::Authorized(payment)));
                news.push(News::Captured(payment));
            }
            Turn::Contradiction => news.push(News::Contradiction(payment)),
        }
        news
    }

    fn never_heard(&mut self, payment: PaymentId) -> (Vec<News>, Changed) {
        let closed = self.closed;
        let Some(attempt) = self.attempt_mut(payment) else { return (Vec::new(), Changed::No) };
        if attempt.state != AttemptState::Processing {
            return (vec![News::Contradiction(payment)], Changed::No);
        }
        attempt.in_doubt = false;
        if closed {
            attempt.unheard = true;
        } else {
            attempt.first_fence = None;
        }
        (Vec::new(), Changed::Yes)
    }

    fn gave_back(&mut self, step: Step, now: Time) -> (Vec<News>, Changed) {
        let Step::Refund(payment, id) = step else { return (Vec::new(), Changed::No) };
        let pending = self.refunds.iter_mut().find(|it| it.id == id && it.state == RefundState::Pending);
        let Some(refund) = pending else { return (Vec::new(), Changed::No) };
        (refund.state, refund.changed_at) = (RefundState::Succeeded, now);
        (vec![News::Refunded(payment, id)], Changed::Yes)
    }

    fn troubled(&mut self, step: Step, error: &ProviderError, now: Time) -> (Vec<News>, Changed) {
        let news = match step {
            Step::Authorise(_) | Step::Ask(_) => None,
            Step::Void(payment) => {
                let refused = matches!(error, ProviderError::Refused(_));
                if let Some(attempt) = self.attempt_mut(payment) {
                    attempt.in_doubt |= refused;
                }
                None
            }
            Step::Capture(payment) => self.capture_troubled(payment, error, now),
            Step::Refund(_, refund) => self.refund_troubled(refund, now),
        };
        (news.into_iter().collect(), Changed::No)
    }

    fn capture_troubled(&mut self, payment: PaymentId, error: &ProviderError, now: Time) -> Option<News> {
        let attempt = self.attempt_mut(payment)?;
        let since = *attempt.capture_failing_since.get_or_insert(now);
        if now.since(since) < PATIENCE {
            return None;
        }
        attempt.capture_failed = true;
        Some(News::CaptureFailed(payment, error.to_string()))
    }

    fn refund_troubled(&mut self, id: RefundId, now: Time) -> Option<News> {
        let refund = self.refunds.iter_mut().find(|refund| refund.id == id)?;
        if refund.undoes_sale || now.since(refund.started_at) < PATIENCE {
            return None;
        }
        (refund.state, refund.changed_at) = (RefundState::Failed, now);
        Some(News::RefundFailed(id))
    }

    /// When to take the next step, where there is one. `ask_first_after` is the first pause before asking.
    pub fn pace(&self, changed: Changed, ask_first_after: Duration) -> Option<Pace> {
        const SECOND: Duration = Duration::from_secs(1);
        let step = self.next_step()?;
        let anew = changed == Changed::Yes;
        let later = |first: Duration, most_s: u64| Pace::Later {
            first,
            most: SECOND * u32::try_from(most_s).unwrap_or(u32::MAX),
            anew,
        };
        let waits = self.attempt(step.payment()).is_some_and(|it| it.state == AttemptState::RequiresAction);
        Some(match step {
            Step::Ask(_) if waits => later(SECOND * 2, 15),
            Step::Ask(_) => later(ask_first_after, 30),
            Step::Authorise(_) | Step::Void(_) | Step::Capture(_) | Step::Refund(..) if anew => Pace::Now,
            Step::Authorise(_) | Step::Void(_) => later(SECOND, 60),
            Step::Capture(_) | Step::Refund(..) => later(SECOND, 900),
        })
    }
}

/// Whether an answer brought the payment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It did: what comes next has not been tried yet.
    Yes,
    /// It did not: what comes next is what was tried.
    No,
}

impl Step {
    /// The attempt that it is about.
    pub const fn payment(self) -> PaymentId {
        match self {
            Self::Authorise(payment)
            | Self::Ask(payment)
            | Self::Void(payment)
            | Self::Capture(payment)
            | Self::Refund(payment, _) => payment,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use cartwright_vocabulary::{Currency, Id};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const NOW: Time = Time::from_millis(1_795_340_000_000);

    fn price() -> Money {
        Money::from_minor(4_999, Currency::USD)
    }

    fn id<K>(number: u128) -> Id<K> {
        Id::new(Uuid::from_u128(number))
    }

    fn begun(method: &str) -> Payment {
        let mut payment = Payment::new(id(1), id(2), NOW);
        payment.begin(id(10), price(), method.to_owned(), NOW).unwrap();
        go_on(&mut payment);
        payment
    }

    fn go_on(payment: &mut Payment) {
        let lease = Lease { fence: payment.lease.fence + 1, ..Lease::due(NOW) };
        payment.put_under(lease);
    }

    fn held() -> Standing {
        Standing::Authorised { reference: "r".to_owned() }
    }

    fn unknown() -> Result<Reply, ProviderError> {
        Err(ProviderError::Unknown("cut".to_owned()))
    }

    #[test]
    fn after_an_unknown_outcome_the_provider_is_asked_and_told_again_only_if_it_never_heard() {
        let mut payment = begun("ok");
        assert_eq!(payment.next_step(), Some(Step::Authorise(id(10))));
        payment.record(Step::Authorise(id(10)), unknown(), id(99), NOW);
        go_on(&mut payment);
        assert_eq!(payment.next_step(), Some(Step::Ask(id(10))));
        payment.record(Step::Ask(id(10)), unknown(), id(99), NOW);
        go_on(&mut payment);
        assert_eq!(payment.next_step(), Some(Step::Ask(id(10))));

        payment.record(Step::Ask(id(10)), Ok(Reply::NeverHeard), id(99), NOW);
        go_on(&mut payment);

        assert_eq!(payment.next_step(), Some(Step::Authorise(id(10))));
    }

    #[test]
    fn another_actor_than_the_first_asks_before_it_tells() {
        let mut payment = begun("ok");
        payment.lease.fence += 1;
        assert_eq!(payment.next_step(), Some(Step::Ask(id(10))));
    }

    #[test]
    fn a_new_attempt_first_cancels_the_one_that_waits_for_the_shopper() {
        let mut payment = begun("action");
        let waits = Standing::ActionRequired { url: "u".to_owned(), expires_at: None };
        payment.record(Step::Authorise(id(10)), Ok(Reply::Stands(waits)), id(99), NOW);
        payment.begin(id(11), price(), "ok".to_owned(), NOW).unwrap();
        go_on(&mut payment);
        assert_eq!(payment.next_step(), Some(Step::Void(id(10))));

        let (news, _) = payment.record(Step::Void(id(10)), Ok(Reply::Stands(Standing::Voided)), id(99), NOW);
        go_on(&mut payment);

        assert_eq!((news, payment.next_step()), (Vec::new(), Some(Step::Authorise(id(11)))));
    }

    #[test]
    fn a_lower_rank_never_overwrites_a_higher_one() {
        let mut payment = begun("ok");
        let taken = Standing::Captured { reference: "r".to_owned() };
        let (news, _) = payment.stands(id(10), taken, NOW);
        assert_eq!(news, [News::Authorized(id(10)), News::Captured(id(10))]);

        let late = [Standing::Pending, held(), Standing::ActionRequired { url: "u".to_owned(), expires_at: None }];
        for standing in late {
            assert_eq!(payment.stands(id(10), standing, NOW), (Vec::new(), Changed::No));
        }
        assert_eq!(payment.status(&payment.attempts[0]), PaymentStatus::Captured);
    }

    #[test]
    fn a_success_on_a_closed_payment_is_let_go_and_never_told() {
        let mut payment = begun("ok");
        payment.close(id(99), NOW);
        let (news, _) = payment.record(Step::Authorise(id(10)), Ok(Reply::Stands(held())), id(99), NOW);
        assert_eq!((news, payment.next_step()), (Vec::new(), Some(Step::Void(id(10)))));
    }

    /// A provider in a few lines, which fails where it is told to.
    #[derive(Default)]
    struct Model {
        charges: HashMap<PaymentId, Standing>,
        refunded: HashMap<RefundId, i64>,
    }

    impl Model {
        fn answer(&mut self, payment: &Payment, step: Step) -> Reply {
            let key = step.payment();
            match step {
                Step::Authorise(_) => {
                    let fresh = match payment.attempt(key).unwrap().method.as_str() {
                        "ok" => held(),
                        "action" => Standing::ActionRequired { url: "u".to_owned(), expires_at: None },
                        _ => Standing::Declined { code: "no".to_owned() },
                    };
                    self.charges.entry(key).or_insert(fresh);
                }
                Step::Ask(_) if !self.charges.contains_key(&key) => return Reply::NeverHeard,
                Step::Ask(_) => {}
                Step::Void(_) => {
                    let charge = self.charges.entry(key).or_insert(Standing::Voided);
                    if matches!(charge, Standing::Authorised { .. } | Standing::ActionRequired { .. }) {
                        *charge = Standing::Voided;
                    }
                }
                Step::Capture(_) => {
                    let charge = self.charges.get_mut(&key).unwrap();
                    if *charge == held() {
                        *charge = Standing::Captured { reference: "r".to_owned() };
                    }
                }
                Step::Refund(_, refund) => {
                    self.refunded.insert(refund, payment.refund(refund).unwrap().amount.minor());
                    return Reply::Refunded;
                }
            }
            Reply::Stands(self.charges[&key].clone())
        }

        fn money_left(&self) -> i64 {
            i64::try_from(self.taken()).unwrap() * price().minor() - self.refunded.values().sum::<i64>()
        }

        fn taken(&self) -> usize {
            self.charges.values().filter(|it| matches!(it, Standing::Captured { .. })).count()
        }

        fn holding(&self) -> usize {
            self.charges.values().filter(|it| **it == held()).count()
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Move {
        Begin(&'static str),
        Approve,
        Confirm,
        Close,
        Act,
        LoseRequest,
        LoseAnswer,
    }

    fn play(payment: &mut Payment, model: &mut Model, it: Move, number: u128) -> Vec<News> {
        let step = payment.next_step();
        let outcome = match (it, step) {
            (Move::Begin(method), _) => {
                let _refused: bool = payment.begin(id(number), price(), method.to_owned(), NOW).is_err();
                None
            }
            (Move::Approve, _) => {
                let waiting = model.charges.values_mut().find(|it| matches!(it, Standing::ActionRequired { .. }));
                waiting.into_iter().for_each(|charge| *charge = held());
                None
            }
            (Move::Confirm, _) => {
                payment.sold = true;
                None
            }
            (Move::Close, _) => {
                payment.close(id(number), NOW);
                None
            }
            (Move::Act, Some(step)) => Some((step, Ok(model.answer(payment, step)))),
            (Move::LoseAnswer, Some(step)) => {
                model.answer(payment, step);
                Some((step, unknown()))
            }
            (Move::LoseRequest, Some(step)) => Some((step, unknown())),
            (Move::Act | Move::LoseAnswer | Move::LoseRequest, None) => None,
        };
        let news = outcome.map(|(step, outcome)| payment.record(step, outcome, id(number), NOW).0);
        go_on(payment);
        news.unwrap_or_default()
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            2 => prop_oneof![Just("ok"), Just("action"), Just("declined")].prop_map(Move::Begin),
            1 => Just(Move::Approve),
            1 => Just(Move::Confirm),
            1 => Just(Move::Close),
            5 => Just(Move::Act),
            2 => Just(Move::LoseRequest),
            2 => Just(Move::LoseAnswer),
        ];
        prop::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn whatever_happens_at_most_one_attempt_has_money_and_a_cancelled_order_keeps_none(moves in moves()) {
            let (mut payment, mut model) = (Payment::new(id(1), id(2), NOW), Model::default());
            let mut told = Vec::new();
            let all = moves.into_iter().chain(std::iter::repeat_n(Move::Act, 40));
            for (number, it) in all.enumerate() {
                let closed = payment.closed;
                let news = play(&mut payment, &mut model, it, 100 + number as u128);
                let with_money = model.holding() + model.taken();
                prop_assert!(with_money <= 1);
                let announced = news.iter().any(|it| matches!(it, News::Authorized(_) | News::ActionRequired(_)));
                prop_assert!(!(closed && announced));
                told.extend(news);
            }
            prop_assert!(!told.iter().any(|it| matches!(it, News::Contradiction(_))), "{told:?}");
            prop_assert_eq!(told.iter().filter(|it| matches!(it, News::Captured(_))).count(), usize::from(payment.captured.is_some()));
            if payment.closed {
                prop_assert_eq!((model.holding(), model.money_left(), payment.next_step()), (0, 0, None));
            } else if payment.sold && payment.funded().is_some() {
                prop_assert_eq!(model.money_left(), price().minor());
            }
        }
    }
}
