//! What an operation on payments has at hand, and waiting for the outcome of what it began.

use std::sync::Arc;
use std::time::Duration;

use cartwright_bus::Broadcast;
use cartwright_contracts::Orders;
use cartwright_http::{Caller, Role};
use cartwright_runtime::Tasks;
use cartwright_store::{Lane, Store, Stored};
use cartwright_vocabulary::{OrderId, PaymentId, UserId};

use crate::Settings;
use crate::documents::{Payment, payment_for, payment_of};
use crate::error::PaymentError;
use crate::provider::PaymentProvider;

/// How often a waiter looks where no hint comes, for what another process did.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Everything the routes need.
#[derive(Clone)]
pub(crate) struct Till {
    pub(crate) store: Store,
    pub(crate) orders: Arc<dyn Orders>,
    pub(crate) provider: Arc<dyn PaymentProvider>,
    settings: Settings,
    hints: Broadcast,
}

impl Till {
    pub(crate) fn new(
        store: Store,
        orders: Arc<dyn Orders>,
        provider: Arc<dyn PaymentProvider>,
        settings: Settings,
        hints: Broadcast,
    ) -> Self {
        Self { store, orders, provider, settings, hints }
    }

    /// Tells waiters of each payment that this process writes, until the program stops.
    pub(crate) async fn pass_hints_on(self, tasks: Tasks) {
        self.hints.hint_writes::<Payment>(self.store, tasks).await;
    }

    /// The payment of `order` once `settled` holds for it, or as it is when that takes too long.
    pub(crate) async fn outcome(
        &self,
        order: OrderId,
        settled: impl Fn(&Payment) -> bool,
    ) -> Result<Payment, PaymentError> {
        let mut hints = self.hints.listen(order.to_string());
        let clock = self.store.clock();
        let waited = clock
            .timeout(self.settings.outcome_within, async {
                loop {
                    let stored = self.of_order(order).await?;
                    if settled(&stored.doc) {
                        return Ok(stored.doc);
                    }
                    tokio::select! {
                        () = hints.next() => {}
                        () = clock.pause(LOOK_EVERY) => {}
                    }
                }
            })
            .await;
        match waited {
            Some(outcome) => outcome,
            None => self.of_order(order).await.map(|stored| stored.doc),
        }
    }

    async fn of_order(&self, order: OrderId) -> Result<Stored<Payment>, PaymentError> {
        payment_for(&self.store, order).await?.ok_or(PaymentError::UnknownOrder)
    }

    /// The payment that this attempt belongs to, where the caller may know of it.
    pub(crate) async fn located(&self, caller: &Caller, id: PaymentId) -> Result<Stored<Payment>, PaymentError> {
        let found = payment_of(&self.store, id).await?;
        found.filter(|stored| caller.is_staff() || may_see(caller, stored.doc.user)).ok_or(PaymentError::UnknownPayment)
    }
}

/// Whether the caller may know of what belongs to `user`: the owner, and whoever runs the shop.
pub(crate) fn may_see(caller: &Caller, user: UserId) -> bool {
    caller.id == user.to_string() || caller.role == Role::Admin
}

/// The lane of an order's payment.
pub(crate) fn lane(order: OrderId) -> Lane {
    Lane::of::<Payment>(order.to_string())
}
