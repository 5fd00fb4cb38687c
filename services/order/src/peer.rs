//! Order as the other services ask it, in one process.

use async_trait::async_trait;
use cartwright_contracts::{OrderFacts, OrderState, Orders, Payable, PeerError, Settled};
use cartwright_store::{Changes, Decision, Lane, Store, StoreError, change};
use cartwright_vocabulary::{CartId, OrderId};

use crate::documents::{Checkout, Order, order};
use crate::domain::Stage;

/// Answers from order's own store.
pub(crate) struct LocalOrders(Store);

impl LocalOrders {
    pub(crate) const fn new(store: Store) -> Self {
        Self(store)
    }

    async fn find(&self, id: OrderId) -> Result<Option<Order>, PeerError> {
        order(&self.0, id).await.map(|found| found.map(|stored| stored.doc)).map_err(|error| away(&error))
    }
}

fn away(error: &StoreError) -> PeerError {
    PeerError::store("order", error)
}

const fn state_of(stage: &Stage) -> OrderState {
    match stage {
        Stage::HoldingStock | Stage::HoldingMoney | Stage::AwaitingPayment { .. } => OrderState::Open,
        Stage::Confirmed => OrderState::Confirmed,
        Stage::Cancelled { .. } => OrderState::Cancelled,
    }
}

#[async_trait]
impl Orders for LocalOrders {
    async fn settle(&self, cart: CartId, version: u64) -> Result<Settled, PeerError> {
        let key = Checkout::key_of(cart, version);
        let key = key.as_str();
        let made = change(&self.0, Lane::of::<Checkout>(key), |view| async move {
            if let Some(stored) = view.get::<Checkout>(key).await? {
                return Ok(Decision::unchanged(stored.doc.order));
            }
            let abandoned = Checkout { cart, version, order: None, at: view.clock().now() };
            Ok::<_, StoreError>(Decision::new(Changes::new().insert(&abandoned), None))
        });
        match made.await.map_err(|error| away(&error))? {
            None => Ok(Settled::Abandoned),
            Some(order) => {
                let found = self.find(order).await?;
                let missing = || PeerError { peer: "order", cause: format!("{order} is missing") };
                found.map(|it| Settled::Order { order, state: state_of(&it.stage) }).ok_or_else(missing)
            }
        }
    }

    async fn state(&self, order: OrderId) -> Result<Option<OrderState>, PeerError> {
        Ok(self.find(order).await?.map(|order| state_of(&order.stage)))
    }

    async fn payable(&self, order: OrderId) -> Result<Option<Payable>, PeerError> {
        Ok(self.find(order).await?.map(|order| Payable {
            user: order.user_id,
            amount: order.totals.total,
            awaiting_payment: order.stage.next_action().is_some(),
        }))
    }

    async fn facts(&self, order: OrderId) -> Result<Option<OrderFacts>, PeerError> {
        Ok(self.find(order).await?.map(facts))
    }
}

fn facts(order: Order) -> OrderFacts {
    OrderFacts {
        id: order.id,
        number: order.order_number,
        user: order.user_id,
        email: order.email,
        shipping_address: order.shipping_address,
        items: order.items,
        currency: order.totals.total.currency(),
        subtotal: order.totals.subtotal,
        discount_total: order.totals.discount_total,
        shipping: order.totals.shipping,
        tax: order.totals.tax,
        total: order.totals.total,
        reason: order.stage.reason(),
    }
}
