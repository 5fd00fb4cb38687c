//! A question that travels gets the answer that it would have got in the same process.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use cartwright_contracts::over_http::{Line, Remote, carts_routes, orders_routes};
use cartwright_contracts::{
    Carts, Freeze, FreezeRefused, FrozenCart, OrderFacts, OrderState, Orders, Payable, PeerError, PricedCart, Settled,
};
use cartwright_vocabulary::{CartId, Currency, Id, Money, OrderId, UserId};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// A line without a wire: the routes are called.
struct Directly(Router);

#[async_trait]
impl Line for Directly {
    async fn ask(&self, path: &'static str, question: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = Request::post(path).header("content-type", "application/json").body(Body::from(question));
        let answer = self.0.clone().oneshot(request.unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if status.is_success() { Ok(body.into()) } else { Err(String::from_utf8(body.into()).unwrap()) }
    }
}

fn user() -> UserId {
    Id::new(uuid::Uuid::from_u128(1))
}

fn order() -> OrderId {
    Id::new(uuid::Uuid::from_u128(2))
}

fn cart() -> CartId {
    Id::new(uuid::Uuid::from_u128(3))
}

/// Carts that refuse as they are told.
struct Refusing(FreezeRefused);

#[async_trait]
impl Carts for Refusing {
    async fn priced(&self, asked: UserId) -> Result<PricedCart, PeerError> {
        assert_eq!(asked, user());
        Err(PeerError { peer: "cart", cause: "the secret reason".to_owned() })
    }

    async fn freeze(&self, freeze: Freeze) -> Result<FrozenCart, FreezeRefused> {
        assert_eq!((freeze.user, freeze.order, freeze.version), (user(), order(), 7));
        Err(self.0.clone())
    }
}

fn freeze() -> Freeze {
    Freeze { user: user(), order: order(), version: 7, lines: Vec::new() }
}

fn far(carts: Refusing) -> Remote {
    let carts: Arc<dyn Carts> = Arc::new(carts);
    Remote::new("cart", Arc::new(Directly(carts_routes(&carts))))
}

#[tokio::test]
async fn a_refusal_to_freeze_arrives_as_it_was_said() {
    for refusal in [FreezeRefused::Changed { present: 8 }, FreezeRefused::PriceChanged, FreezeRefused::Empty] {
        assert_eq!(far(Refusing(refusal.clone())).freeze(freeze()).await, Err(refusal));
    }
}

#[tokio::test]
async fn a_peer_that_cannot_answer_is_away_and_says_nothing_of_its_inside() {
    let away = far(Refusing(FreezeRefused::Unavailable("the secret reason".to_owned())));
    let Err(FreezeRefused::Unavailable(why)) = away.freeze(freeze()).await else { panic!("it cannot answer") };
    let priced = away.priced(user()).await.unwrap_err();

    assert_eq!(priced.peer, "cart");
    for said in [why, priced.cause] {
        assert!(said.contains("peer_unavailable") && !said.contains("secret"), "{said}");
    }
}

/// One order that waits for its payment.
struct OneOrder;

#[async_trait]
impl Orders for OneOrder {
    async fn settle(&self, asked: CartId, version: u64) -> Result<Settled, PeerError> {
        assert_eq!(asked, cart());
        let settled = Settled::Order { order: order(), state: OrderState::Open };
        Ok(if version == 7 { settled } else { Settled::Abandoned })
    }

    async fn state(&self, id: OrderId) -> Result<Option<OrderState>, PeerError> {
        Ok((id == order()).then_some(OrderState::Open))
    }

    async fn payable(&self, id: OrderId) -> Result<Option<Payable>, PeerError> {
        let amount = Money::from_minor(9_007_199_254_740_993, Currency::USD);
        Ok((id == order()).then(|| Payable { user: user(), amount, awaiting_payment: true }))
    }

    async fn facts(&self, _: OrderId) -> Result<Option<OrderFacts>, PeerError> {
        Ok(None)
    }
}

#[tokio::test]
async fn answers_about_orders_arrive_exactly_and_so_does_their_absence() {
    let orders: Arc<dyn Orders> = Arc::new(OneOrder);
    let far = Remote::new("order", Arc::new(Directly(orders_routes(&orders))));
    let other = Id::new(uuid::Uuid::from_u128(9));

    for version in [7, 8] {
        assert_eq!(far.settle(cart(), version).await.unwrap(), orders.settle(cart(), version).await.unwrap());
    }
    for id in [order(), other] {
        assert_eq!(far.state(id).await.unwrap(), orders.state(id).await.unwrap());
        assert_eq!(far.payable(id).await.unwrap(), orders.payable(id).await.unwrap(), "to the last unit");
        assert!(far.facts(id).await.unwrap().is_none());
    }
}
