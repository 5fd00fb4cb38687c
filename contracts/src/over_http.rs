//! Questions between processes: each method of a peer trait is a POST to `/peer/…`, with JSON both ways.
//!
//! A trait's client and its routes stand side by side here, so that they cannot drift apart. Every question may be asked
//! twice: one that froze a cart or settled a checkout gives the first answer again. These routes are for peers alone and
//! never stand on a public listener.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use cartwright_http::{Json, Problem};
use cartwright_runtime::Time;
use cartwright_vocabulary::{CartId, OrderId, ProductId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    Availability, Carts, Catalogue, Contact, Freeze, FreezeRefused, FrozenCart, Guard, OrderFacts, OrderState, Orders,
    Payable, PeerError, PricedCart, ProductSnapshot, Settled, Stock, TokenGuard, Users,
};

/// The way to the instances of one service.
#[async_trait]
pub trait Line: Send + Sync + 'static {
    /// Takes `question` to `path` and brings the answer back, both JSON.
    ///
    /// # Errors
    /// In words for the log: nobody answered, or the answer was a refusal.
    async fn ask(&self, path: &'static str, question: Vec<u8>) -> Result<Vec<u8>, String>;
}

/// A question as it travels: bodies are objects, whatever is asked about.
#[derive(Serialize, Deserialize)]
struct Asked<Q> {
    about: Q,
}

/// A peer in another process. It is every trait whose routes the other side serves.
#[derive(Clone)]
pub struct Remote {
    peer: &'static str,
    line: Arc<dyn Line>,
}

impl Remote {
    /// The service `peer` at the other end of `line`.
    pub fn new(peer: &'static str, line: Arc<dyn Line>) -> Self {
        Self { peer, line }
    }

    async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &'static str,
        question: &Q,
    ) -> Result<A, PeerError> {
        let question = serde_json::to_vec(&Asked { about: question }).map_err(|error| self.error(&error))?;
        let answer = self.line.ask(path, question).await.map_err(|error| self.error(&error))?;
        serde_json::from_slice(&answer).map_err(|error| self.error(&error))
    }

    fn error(&self, cause: &dyn fmt::Display) -> PeerError {
        PeerError { peer: self.peer, cause: cause.to_string() }
    }
}

/// Answers the question `Q` by what `answer` makes of it.
fn question<P, Q, A, F>(peer: &Arc<P>, answer: impl Fn(Arc<P>, Q) -> F + Clone + Send + Sync + 'static) -> MethodRouter
where
    P: ?Sized + Send + Sync + 'static,
    Q: DeserializeOwned + Send + 'static,
    A: Serialize,
    F: Future<Output = Result<A, PeerError>> + Send,
{
    let peer = Arc::clone(peer);
    post(async move |Json(Asked { about }): Json<Asked<Q>>| match answer(Arc::clone(&peer), about).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => away(&error),
    })
}

fn away(error: &PeerError) -> Response {
    tracing::warn!(%error, "a peer's question was not answered");
    Problem::unavailable("peer_unavailable", "The question cannot be answered at the moment.").into_response()
}

/// [`Catalogue`] for peers.
pub fn catalogue_routes(catalogue: &Arc<dyn Catalogue>) -> Router {
    let products = question(catalogue, async |peer: Arc<dyn Catalogue>, ids: Vec<ProductId>| peer.products(&ids).await);
    Router::new().route("/peer/products", products)
}

#[async_trait]
impl Catalogue for Remote {
    async fn products(&self, ids: &[ProductId]) -> Result<Vec<ProductSnapshot>, PeerError> {
        self.ask("/peer/products", &ids).await
    }
}

/// [`Stock`] for peers.
pub fn stock_routes(stock: &Arc<dyn Stock>) -> Router {
    let availability = question(stock, async |peer: Arc<dyn Stock>, ids: Vec<ProductId>| peer.availability(&ids).await);
    Router::new().route("/peer/availability", availability)
}

#[async_trait]
impl Stock for Remote {
    async fn availability(&self, ids: &[ProductId]) -> Result<Vec<Availability>, PeerError> {
        self.ask("/peer/availability", &ids).await
    }
}

/// [`Users`] and [`TokenGuard`] for peers.
pub fn auth_routes(users: &Arc<dyn Users>, tokens: &Arc<dyn TokenGuard>) -> Router {
    let contact = question(users, async |peer: Arc<dyn Users>, user: UserId| peer.contact(user).await);
    let guard = question(tokens, async |peer: Arc<dyn TokenGuard>, since: Option<Time>| peer.guard(since).await);
    Router::new().route("/peer/contact", contact).route("/peer/token-guard", guard)
}

#[async_trait]
impl Users for Remote {
    async fn contact(&self, user: UserId) -> Result<Option<Contact>, PeerError> {
        self.ask("/peer/contact", &user).await
    }
}

#[async_trait]
impl TokenGuard for Remote {
    async fn guard(&self, since: Option<Time>) -> Result<Guard, PeerError> {
        self.ask("/peer/token-guard", &since).await
    }
}

/// [`Orders`] for peers.
pub fn orders_routes(orders: &Arc<dyn Orders>) -> Router {
    let settle = question(orders, async |peer: Arc<dyn Orders>, (cart, version): (CartId, u64)| {
        peer.settle(cart, version).await
    });
    let state = question(orders, async |peer: Arc<dyn Orders>, order: OrderId| peer.state(order).await);
    let payable = question(orders, async |peer: Arc<dyn Orders>, order: OrderId| peer.payable(order).await);
    let facts = question(orders, async |peer: Arc<dyn Orders>, order: OrderId| peer.facts(order).await);
    Router::new()
        .route("/peer/settle-checkout", settle)
        .route("/peer/order-state", state)
        .route("/peer/payable", payable)
        .route("/peer/order-facts", facts)
}

#[async_trait]
impl Orders for Remote {
    async fn settle(&self, cart: CartId, version: u64) -> Result<Settled, PeerError> {
        self.ask("/peer/settle-checkout", &(cart, version)).await
    }

    async fn state(&self, order: OrderId) -> Result<Option<OrderState>, PeerError> {
        self.ask("/peer/order-state", &order).await
    }

    async fn payable(&self, order: OrderId) -> Result<Option<Payable>, PeerError> {
        self.ask("/peer/payable", &order).await
    }

    async fn facts(&self, order: OrderId) -> Result<Option<OrderFacts>, PeerError> {
        self.ask("/peer/order-facts", &order).await
    }
}

/// [`Carts`] for peers.
pub fn carts_routes(carts: &Arc<dyn Carts>) -> Router {
    let priced = question(carts, async |peer: Arc<dyn Carts>, user: UserId| peer.priced(user).await);
    // A refusal is an answer; only silence is an error.
    let freeze = question(carts, async |peer: Arc<dyn Carts>, freeze: Freeze| match peer.freeze(freeze).await {
        Err(FreezeRefused::Unavailable(cause)) => Err(PeerError { peer: "cart", cause }),
        answered => Ok(answered),
    });
    Router::new().route("/peer/priced-cart", priced).route("/peer/freeze-cart", freeze)
}

#[async_trait]
impl Carts for Remote {
    async fn priced(&self, user: UserId) -> Result<PricedCart, PeerError> {
        self.ask("/peer/priced-cart", &user).await
    }

    async fn freeze(&self, freeze: Freeze) -> Result<FrozenCart, FreezeRefused> {
        let answer: Result<Result<FrozenCart, FreezeRefused>, PeerError> = self.ask("/peer/freeze-cart", &freeze).await;
        answer.unwrap_or_else(|away| Err(FreezeRefused::Unavailable(away.to_string())))
    }
}
