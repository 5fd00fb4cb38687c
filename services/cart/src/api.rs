//! The cart's routes: extract, execute, answer.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use cartwright_bus::Hints;
use cartwright_http::{Caller, Command, IdempotencyKey, Json, Problem, answer, etag, if_match};
use cartwright_store::Answer;
use cartwright_vocabulary::{DecimalText, Quantity, UserId};
use futures::stream::{self, Stream};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::cart_of;
use crate::domain::CartView;
use crate::operations::{Edit, Item, edit_cart, show_cart};
use crate::{CartError, Shop};

/// How often a listener's cart is looked at where no hint comes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(crate) fn routes(shop: Shop) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(add_to_cart))
        .routes(routes!(add_items))
        .routes(routes!(get_cart))
        .routes(routes!(update_item))
        .routes(routes!(update_cart))
        .routes(routes!(remove_item))
        .routes(routes!(clear))
        .routes(routes!(clear_cart))
        .routes(routes!(events))
        .with_state(shop)
}

/// A product and how many of it. What else is sent is never believed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AddToCart {
    product_id: String,
    /// 1 to 999.
    quantity: Option<u32>,
    /// The same as `quantity`.
    qty: Option<u32>,
    /// What the client believes the price to be; another one only causes a warning.
    #[serde(default, skip_serializing)]
    price: Option<DecimalText>,
    #[serde(default, skip_serializing, rename = "productName")]
    #[schema(value_type = Option<String>)]
    _product_name: Option<IgnoredAny>,
    #[serde(default, skip_serializing, rename = "image")]
    #[schema(value_type = Option<String>)]
    _image: Option<IgnoredAny>,
}

impl AddToCart {
    fn into_item(self, pointer: String) -> Result<Item, CartError> {
        let quantity = quantity(self.quantity, self.qty, &pointer)?;
        Ok(Item { product: self.product_id, quantity, believed_price: self.price, pointer })
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct AddItems {
    items: Vec<AddToCart>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UpdateItem {
    product_id: String,
    /// 0 to 999; 0 removes.
    quantity: Option<u32>,
    /// The same as `quantity`.
    qty: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RemoveItem {
    product_id: Option<String>,
}

/// What was done, and the cart as it is now.
#[derive(Debug, Serialize, ToSchema)]
struct CartChanged {
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cart: Option<CartView>,
}

impl CartChanged {
    fn raw(message: &'static str, cart: Option<CartView>) -> Result<Box<RawValue>, serde_json::Error> {
        to_raw_value(&Self { message, cart })
    }
}

/// Adds some units of a product.
#[utoipa::path(post, path = "/add-to-cart", tag = "cart", request_body = AddToCart, security(("bearer" = [])),
    responses((status = 200, description = "The cart with the item in it", body = CartChanged)))]
async fn add_to_cart(
    State(shop): State<Shop>,
    headers: HeaderMap,
    command: Command<AddToCart>,
) -> Result<Response, Problem> {
    let item = command.body.into_item(String::new())?;
    let user = shopper(&command.caller)?;
    let edit = Edit::Add(vec![item]);
    let added = edit_cart(&shop, user, &command.request, if_match(&headers)?, edit, |cart| {
        CartChanged::raw("Item added to cart", Some(cart))
    });
    Ok(changed(added.await?))
}

/// Adds up to 100 items, all or none.
#[utoipa::path(post, path = "/add-items", tag = "cart", request_body = AddItems, security(("bearer" = [])),
    responses((status = 200, description = "The cart with the items in it", body = CartChanged)))]
async fn add_items(
    State(shop): State<Shop>,
    headers: HeaderMap,
    command: Command<AddItems>,
) -> Result<Response, Problem> {
    let items = command.body.items;
    if !(1..=100).contains(&items.len()) {
        return Err(CartError::ItemCount.into());
    }
    let numbered = items.into_iter().enumerate();
    let items = numbered.map(|(place, item)| item.into_item(format!("/items/{place}"))).collect::<Result<_, _>>()?;
    let user = shopper(&command.caller)?;
    let added = edit_cart(&shop, user, &command.request, if_match(&headers)?, Edit::Add(items), |cart| {
        CartChanged::raw("Items added to cart", Some(cart))
    });
    Ok(changed(added.await?))
}

/// A shopper's cart; an empty one if there is none yet.
#[utoipa::path(get, path = "/get-cart/{userId}", tag = "cart", security(("bearer" = [])),
    params(("userId" = String, Path, description = "Whose cart")),
    responses((status = 200, description = "The cart", body = CartView)))]
async fn get_cart(State(shop): State<Shop>, caller: Caller, Path(user): Path<String>) -> Result<Response, Problem> {
    let user = owner(&caller, &user)?;
    let cart = show_cart(&shop, user).await?;
    Ok(([(header::ETAG, etag(cart.version))], Json(cart)).into_response())
}

/// Sets how many of a product are in the cart; 0 removes it.
#[utoipa::path(put, path = "/update-item", tag = "cart", request_body = UpdateItem, security(("bearer" = [])),
    responses((status = 200, description = "The cart as it is now", body = CartChanged)))]
async fn update_item(
    State(shop): State<Shop>,
    headers: HeaderMap,
    command: Command<UpdateItem>,
) -> Result<Response, Problem> {
    let UpdateItem { product_id, quantity: units, qty } = command.body;
    let quantity = match units.or(qty) {
        Some(0) => None,
        Some(_) | None => Some(quantity(units, qty, "")?),
    };
    let user = shopper(&command.caller)?;
    let edit = Edit::Set { product: product_id, quantity };
    let updated = edit_cart(&shop, user, &command.request, if_match(&headers)?, edit, |cart| {
        CartChanged::raw("Cart updated", Some(cart))
    });
    Ok(changed(updated.await?))
}

/// The same as `update-item`.
#[utoipa::path(put, path = "/update-cart", tag = "cart", request_body = UpdateItem, security(("bearer" = [])),
    responses((status = 200, description = "The cart as it is now", body = CartChanged)))]
async fn update_cart(shop: State<Shop>, headers: HeaderMap, command: Command<UpdateItem>) -> Result<Response, Problem> {
    update_item(shop, headers, command).await
}

/// Takes a product out of the cart; it may be named in the body or in the query.
#[utoipa::path(delete, path = "/remove-item", tag = "cart", request_body = Option<RemoveItem>, security(("bearer" = [])),
    params(("productId" = Option<String>, Query, description = "The product, in place of a body")),
    responses((status = 200, description = "The cart without it", body = CartChanged)))]
async fn remove_item(
    State(shop): State<Shop>,
    caller: Caller,
    key: IdempotencyKey,
    Query(query): Query<RemoveItem>,
    request: Request,
) -> Result<Response, Problem> {
    let expected = if_match(request.headers())?;
    let product = match query.product_id {
        Some(product) => product,
        None => named_in_body(request).await?,
    };
    let user = shopper(&caller)?;
    let request = key.request(&caller.id, &product)?;
    let removed = edit_cart(&shop, user, &request, expected, Edit::Remove { product }, |cart| {
        CartChanged::raw("Item removed from cart", Some(cart))
    });
    Ok(changed(removed.await?))
}

/// The product that the body names. Where there is no body, it has no media type to complain of either.
async fn named_in_body(request: Request) -> Result<String, Problem> {
    let is_absent = !request.headers().contains_key(header::CONTENT_TYPE) && request.body().is_end_stream();
    let named = if is_absent { None } else { Json::<RemoveItem>::from_request(request, &()).await?.0.product_id };
    named.ok_or_else(|| Problem::invalid("/productId", "the product to take out"))
}

/// Takes everything out of the cart.
#[utoipa::path(delete, path = "/clear", tag = "cart", security(("bearer" = [])),
    responses((status = 200, description = "The cart is empty", body = CartChanged)))]
async fn clear(
    State(shop): State<Shop>,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = shopper(&caller)?;
    let request = key.request(&caller.id, &())?;
    let cleared = edit_cart(&shop, user, &request, if_match(&headers)?, Edit::Clear, |_| {
        CartChanged::raw("Cart cleared successfully", None)
    });
    Ok(changed(cleared.await?))
}

/// The same as `clear`.
#[utoipa::path(delete, path = "/clear-cart", tag = "cart", security(("bearer" = [])),
    responses((status = 200, description = "The cart is empty", body = CartChanged)))]
async fn clear_cart(
    shop: State<Shop>,
    caller: Caller,
    key: IdempotencyKey,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    clear(shop, caller, key, headers).await
}

/// The cart now, and again after each change from any device, as server-sent events named `cart`.
#[utoipa::path(get, path = "/events/{userId}", tag = "cart", security(("bearer" = [])),
    params(("userId" = String, Path, description = "Whose cart")),
    responses((status = 200, description = "A stream of `cart` events", content_type = "text/event-stream", body = String)))]
async fn events(State(shop): State<Shop>, caller: Caller, Path(user): Path<String>) -> Result<Response, Problem> {
    let user = owner(&caller, &user)?;
    Ok(Sse::new(carts(shop, user)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

fn carts(shop: Shop, user: UserId) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let hints = shop.broadcast.listen(user.to_string());
    stream::unfold((shop, hints, None), move |(shop, mut hints, told)| async move {
        if let Some(version) = told {
            change_of(&shop, user, version, &mut hints).await;
        }
        let version = version_of(&shop, user).await;
        let event = match show_cart(&shop, user).await {
            Ok(cart) => Event::default().event("cart").id(cart.version.to_string()).json_data(&cart),
            Err(error) => {
                tracing::debug!(%error, "a cart could not be shown to a listener");
                Ok(Event::default().comment("the cart cannot be shown at the moment"))
            }
        };
        Some((Ok(event.unwrap_or_default()), (shop, hints, Some(version))))
    })
}

/// Waits for a hint, or for a version that is not `told`: hints get lost, and another process gives none.
async fn change_of(shop: &Shop, user: UserId, told: Option<u64>, hints: &mut Hints) {
    loop {
        tokio::select! {
            () = hints.next() => return,
            () = shop.store.clock().pause(LOOK_AGAIN) => {}
        }
        if version_of(shop, user).await != told {
            return;
        }
    }
}

/// The version of the cart; `None` where there is none, or the store does not say.
async fn version_of(shop: &Shop, user: UserId) -> Option<u64> {
    cart_of(&shop.store, user).await.ok().flatten().map(|stored| stored.doc.version)
}

fn changed(answered: Answer<Box<RawValue>>) -> Response {
    answer(StatusCode::OK, answered)
}

/// The quantity by either of its names, in the item at `pointer`.
fn quantity(units: Option<u32>, qty: Option<u32>, pointer: &str) -> Result<Quantity, CartError> {
    let name = if units.is_none() && qty.is_some() { "qty" } else { "quantity" };
    let wrong = |reason| CartError::Quantity { reason, pointer: format!("{pointer}/{name}") };
    Quantity::new(units.or(qty).unwrap_or(0)).map_err(wrong)
}

/// The caller as somebody who can have a cart.
fn shopper(caller: &Caller) -> Result<UserId, Problem> {
    caller.id.parse().map_err(|_| Problem::forbidden("A service has no cart."))
}

/// The user of the path, if the caller may act for them.
fn owner(caller: &Caller, user: &str) -> Result<UserId, Problem> {
    caller.may_act_for(user)?;
    user.parse().map_err(|_| Problem::not_found("user_unknown", "No such user."))
}
