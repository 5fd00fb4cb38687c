//! The order's routes: extract, execute, answer.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use cartwright_bus::Hints;
use cartwright_contracts::{CancelReason, OrderItem};
use cartwright_http::{Caller, Command, IdempotencyKey, Json, Page, PageQuery, Problem, Role, answer, etag};
use cartwright_pricing::TaxLine;
use cartwright_runtime::Time;
use cartwright_store::Answer;
use cartwright_vocabulary::{Address, Amount, CartId, Currency, DecimalText, Email, OrderId, ProductId, UserId};
use futures::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Order, order, orders_of};
use crate::domain::{NextAction, Quote, Status};
use crate::operations::{Destination, Placing, await_order, cancel_order, place_order, quote_cart};
use crate::{Desk, OrderError};

/// How long create-order waits for the end of the order, by default and at most.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How often a listener's order is looked at where no hint comes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

pub(crate) fn routes(desk: Desk) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(post_quote))
        .routes(routes!(create_order))
        .routes(routes!(get_orders))
        .routes(routes!(get_status))
        .routes(routes!(get_order))
        .routes(routes!(events))
        .routes(routes!(post_cancel))
        .with_state(desk)
}

/// What is to be ordered: the caller's cart, sent there, paid like this.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreateOrder {
    shipping_address: Address,
    /// Where it is billed to; the shipping address where it is left out.
    billing_address: Option<Address>,
    /// A shipping method's id, for example `standard`.
    shipping_method: String,
    /// The payment provider's token; never a card number.
    payment_method: String,
    /// Where to write to; a guest must give it.
    email: Option<String>,
    /// What the shopper agreed to pay.
    expected_total: Option<DecimalText>,
    /// The version of the cart that the shopper saw.
    cart_version: Option<u64>,
}

/// What is to be quoted: like an order, but only the destination matters.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteRequest {
    shipping_address: Address,
    shipping_method: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ItemView {
    product_id: ProductId,
    product_name: String,
    price: Amount,
    quantity: u32,
    image: String,
    line_total: Amount,
}

impl From<&OrderItem> for ItemView {
    fn from(item: &OrderItem) -> Self {
        Self {
            product_id: item.product,
            product_name: item.name.clone(),
            price: item.unit_price.into(),
            quantity: item.quantity.get(),
            image: item.image.clone(),
            line_total: item.line_total.into(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct TaxLineView {
    title: String,
    /// In millionths of the net price: 82500 is 8.25 %.
    #[serde(rename = "ratePpm")]
    rate_ppm: u32,
    net: Amount,
    amount: Amount,
}

impl From<&TaxLine> for TaxLineView {
    fn from(line: &TaxLine) -> Self {
        let TaxLine { title, rate_ppm, net, amount } = line.clone();
        Self { title, rate_ppm, net: net.into(), amount: amount.into() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ShippingOptionView {
    id: String,
    title: String,
    price: Amount,
}

/// What the cart costs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuoteView {
    items: Vec<ItemView>,
    currency: Currency,
    subtotal: Amount,
    discount_total: Amount,
    shipping: Amount,
    tax: Amount,
    total: Amount,
    tax_lines: Vec<TaxLineView>,
    shipping_options: Vec<ShippingOptionView>,
}

impl From<&Quote> for QuoteView {
    fn from(quote: &Quote) -> Self {
        let option = |option: &crate::domain::ShippingOption| ShippingOptionView {
            id: option.id.clone(),
            title: option.title.clone(),
            price: option.price.into(),
        };
        Self {
            items: quote.items.iter().map(ItemView::from).collect(),
            currency: quote.currency,
            subtotal: quote.totals.subtotal.into(),
            discount_total: quote.totals.discount_total.into(),
            shipping: quote.totals.shipping.into(),
            tax: quote.totals.tax.into(),
            total: quote.totals.total.into(),
            tax_lines: quote.totals.tax_lines.iter().map(TaxLineView::from).collect(),
            shipping_options: quote.shipping_options.iter().map(option).collect(),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct StepView {
    status: Status,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

/// An order as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderView {
    #[serde(rename = "_id")]
    id: OrderId,
    order_number: String,
    user_id: UserId,
    cart_id: CartId,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<CancelReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextAction>,
    items: Vec<ItemView>,
    promotion_codes: Vec<String>,
    subtotal: Amount,
    discount_total: Amount,
    shipping: Amount,
    tax: Amount,
    total: Amount,
    currency: Currency,
    email: Email,
    shipping_address: Address,
    billing_address: Address,
    shipping_method: String,
    history: Vec<StepView>,
    version: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            status: order.stage.status(),
            reason: order.stage.reason(),
            next_action: order.stage.next_action().cloned(),
            items: order.items.iter().map(ItemView::from).collect(),
            promotion_codes: Vec::new(),
            subtotal: order.totals.subtotal.into(),
            discount_total: order.totals.discount_total.into(),
            shipping: order.totals.shipping.into(),
            tax: order.totals.tax.into(),
            total: order.totals.total.into(),
            currency: order.totals.total.currency(),
            history: steps(&order),
            id: order.id,
            order_number: order.order_number,
            user_id: order.user_id,
            cart_id: order.cart_id,
            email: order.email,
            shipping_address: order.shipping_address,
            billing_address: order.billing_address,
            shipping_method: order.shipping_method,
            version: order.version,
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

/// Where an order stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    order_id: OrderId,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<CancelReason>,
    history: Vec<StepView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextAction>,
}

impl From<&Order> for StatusView {
    fn from(order: &Order) -> Self {
        Self {
            order_id: order.id,
            status: order.stage.status(),
            reason: order.stage.reason(),
            history: steps(order),
            next_action: order.stage.next_action().cloned(),
        }
    }
}

fn steps(order: &Order) -> Vec<StepView> {
    order.history.iter().map(|step| StepView { status: step.status, at: step.at }).collect()
}

/// What the caller's cart would cost; nothing is changed.
#[utoipa::path(post, path = "/quote", tag = "order", request_body = QuoteRequest, security(("bearer" = [])),
    responses((status = 200, description = "The quote", body = QuoteView)))]
async fn post_quote(
    State(desk): State<Desk>,
    caller: Caller,
    Json(body): Json<QuoteRequest>,
) -> Result<Json<QuoteView>, Problem> {
    let address =
        body.shipping_address.checked().map_err(|invalid| OrderError::address("/shippingAddress", invalid))?;
    let destination = Destination { address, method: body.shipping_method.unwrap_or_else(|| "standard".to_owned()) };
    let cart = desk.carts.priced(shopper(&caller)?).await.map_err(OrderError::from)?;
    let quote = quote_cart(&desk, &cart, &destination).await?;
    Ok(Json(QuoteView::from(&quote)))
}

/// Orders the caller's cart. Answers as soon as the order is confirmed, cancelled or needs the shopper (`Prefer: wait=N`,
/// 10 s at most and by default), or with 202 when that takes longer.
#[utoipa::path(post, path = "/create-order", tag = "order", request_body = CreateOrder, security(("bearer" = [])),
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: seconds to wait for the end")),
    responses(
        (status = 201, description = "The order", body = OrderView),
        (status = 202, description = "The order is on its way; `Location` tells where to look", body = OrderView)))]
async fn create_order(
    State(desk): State<Desk>,
    headers: HeaderMap,
    command: Command<CreateOrder>,
) -> Result<Response, Problem> {
    let wait = preferred_wait(&headers);
    let placing = placing(&desk, &command.caller, command.body).await?;
    let placed = place_order(&desk, &command.request, &placing).await?;
    let order = await_order(&desk, placed.order, wait).await?;
    let (status, location) = if order.stage.is_worth_telling() {
        (StatusCode::CREATED, None)
    } else {
        (StatusCode::ACCEPTED, HeaderValue::from_str(&format!("/order/order-status/{}", order.id)).ok())
    };
    let tag = etag(order.version);
    let mut response = answer(status, Answer { reply: OrderView::from(order), replayed: placed.replayed });
    let headers = response.headers_mut();
    location.into_iter().for_each(|location| drop(headers.insert(header::LOCATION, location)));
    HeaderValue::from_str(&tag).into_iter().for_each(|tag| drop(headers.insert(header::ETAG, tag)));
    Ok(response)
}

/// A user's orders, newest first.
#[utoipa::path(get, path = "/orders/{userId}", tag = "order", security(("bearer" = [])),
    params(("userId" = String, Path, description = "Whose orders"), PageQuery),
    responses((status = 200, description = "A page of orders", body = Page<OrderView>)))]
async fn get_orders(
    State(desk): State<Desk>,
    caller: Caller,
    Path(user): Path<String>,
    page: PageQuery,
) -> Result<Json<Page<OrderView>>, Problem> {
    caller.may_act_for(&user)?;
    let user: UserId = user.parse().map_err(|_| Problem::not_found("user_unknown", "No such user."))?;
    let limit = page.limit()?;
    let after = match &page.cursor {
        Some(cursor) => Some(last_of_page(&desk, user, cursor).await?),
        None => None,
    };
    let orders = orders_of(&desk.store, user, after.as_ref(), limit + 1).await?;
    Ok(Json(Page::of(orders, limit, |order| order.id.to_string(), OrderView::from)))
}

/// Where an order stands, and what its shopper has to do.
#[utoipa::path(get, path = "/order-status/{orderId}", tag = "order", security(("bearer" = [])),
    params(("orderId" = String, Path, description = "The order")),
    responses((status = 200, description = "Its state", body = StatusView)))]
async fn get_status(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<StatusView>, Problem> {
    Ok(Json(StatusView::from(&own_order(&desk, &caller, &id).await?)))
}

/// An order.
#[utoipa::path(get, path = "/{orderId}", tag = "order", security(("bearer" = [])),
    params(("orderId" = String, Path, description = "The order")),
    responses((status = 200, description = "The order", body = OrderView)))]
async fn get_order(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let order = own_order(&desk, &caller, &id).await?;
    Ok(([(header::ETAG, etag(order.version))], Json(OrderView::from(order))).into_response())
}

/// The order's state now, and again after each change, as server-sent events named `order`; ends with the order.
#[utoipa::path(get, path = "/events/{orderId}", tag = "order", security(("bearer" = [])),
    params(("orderId" = String, Path, description = "The order")),
    responses((status = 200, description = "A stream of `order` events", content_type = "text/event-stream", body = String)))]
async fn events(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = own_order(&desk, &caller, &id).await?.id;
    Ok(Sse::new(states(desk, id)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

fn states(desk: Desk, id: OrderId) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let hints = desk.broadcast.listen(id.to_string());
    stream::unfold(Some((desk, hints, None)), move |state| async move {
        let (desk, mut hints, told) = state?;
        let order = order_after(&desk, id, told, &mut hints).await?;
        let event = Event::default().event("order").id(order.version.to_string()).json_data(StatusView::from(&order));
        let open = order.stage.is_open();
        Some((Ok(event.unwrap_or_default()), open.then_some((desk, hints, Some(order.version)))))
    })
}

/// The order once it is another version than `told`. Hints get lost, and another process gives none.
async fn order_after(desk: &Desk, id: OrderId, told: Option<u64>, hints: &mut Hints) -> Option<Order> {
    loop {
        let order = order(&desk.store, id).await.ok().flatten()?.doc;
        if told != Some(order.version) {
            return Some(order);
        }
        tokio::select! {
            () = hints.next() => {}
            () = desk.store.clock().pause(LOOK_AGAIN) => {}
        }
    }
}

/// Cancels an order before it is shipped: the money goes back, the stock too.
#[utoipa::path(post, path = "/{orderId}/cancel", tag = "order", security(("bearer" = [])),
    params(("orderId" = String, Path, description = "The order")),
    responses((status = 200, description = "The cancelled order", body = OrderView)))]
async fn post_cancel(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let request = key.request(&caller.id, &id)?;
    let id: OrderId = id.parse().map_err(|_| OrderError::Unknown)?;
    let Answer { reply: id, replayed } = cancel_order(&desk, &request, id, &caller).await?;
    let order = order(&desk.store, id).await?.ok_or(OrderError::Unknown)?.doc;
    Ok(answer(StatusCode::OK, Answer { reply: OrderView::from(order), replayed }))
}

async fn own_order(desk: &Desk, caller: &Caller, id: &str) -> Result<Order, OrderError> {
    let id: OrderId = id.parse().map_err(|_| OrderError::Unknown)?;
    let order = order(&desk.store, id).await?.ok_or(OrderError::Unknown)?.doc;
    caller.may_act_for(&order.user_id.to_string()).map_err(|_| OrderError::Unknown)?;
    Ok(order)
}

async fn last_of_page(desk: &Desk, user: UserId, cursor: &str) -> Result<Order, Problem> {
    let stored = match cursor.parse::<OrderId>() {
        Ok(id) => order(&desk.store, id).await?,
        Err(_) => None,
    };
    let last = stored.map(|stored| stored.doc).filter(|order| order.user_id == user);
    last.ok_or_else(|| Problem::invalid("cursor", "a nextCursor of this list"))
}

/// The caller as somebody who can have a cart and orders.
fn shopper(caller: &Caller) -> Result<UserId, Problem> {
    caller.id.parse().map_err(|_| Problem::forbidden("A service has no cart."))
}

async fn placing(desk: &Desk, caller: &Caller, body: CreateOrder) -> Result<Placing, Problem> {
    let user = shopper(caller)?;
    refuse_card_numbers(&body)?;
    let address =
        body.shipping_address.checked().map_err(|invalid| OrderError::address("/shippingAddress", invalid))?;
    let billing_address = match body.billing_address {
        Some(address) => address.checked().map_err(|invalid| OrderError::address("/billingAddress", invalid))?,
        None => address.clone(),
    };
    check_payment_method(&body.payment_method)?;
    Ok(Placing {
        user,
        email: email(desk, caller, user, body.email.as_deref()).await?,
        destination: Destination { address, method: body.shipping_method },
        billing_address,
        payment_method: body.payment_method,
        expected_total: body.expected_total,
        cart_version: body.cart_version,
    })
}

/// No field may hold a card number, which has no business here. Telephone numbers may look like one.
fn refuse_card_numbers(body: &CreateOrder) -> Result<(), Problem> {
    let mut fields = vec![
        ("/paymentMethod".to_owned(), body.payment_method.as_str()),
        ("/shippingMethod".to_owned(), body.shipping_method.as_str()),
        ("/email".to_owned(), body.email.as_deref().unwrap_or_default()),
    ];
    let addresses =
        [("/shippingAddress", Some(&body.shipping_address)), ("/billingAddress", body.billing_address.as_ref())];
    for (pointer, address) in addresses.into_iter().filter_map(|(pointer, address)| Some((pointer, address?))) {
        let Address { name, line1, line2, city, region, postal_code, country: _, phone: _ } = address;
        let texts = [("name", name), ("line1", line1), ("city", city), ("postalCode", postal_code)];
        fields.extend(texts.map(|(field, text)| (format!("{pointer}/{field}"), text.as_str())));
        let more = [("line2", line2), ("region", region)];
        fields.extend(more.map(|(field, text)| (format!("{pointer}/{field}"), text.as_deref().unwrap_or_default())));
    }
    let holding = fields.iter().find(|(_, text)| cartwright_vocabulary::card::holds_card_number(text.as_bytes()));
    holding.map_or(Ok(()), |(pointer, _)| {
        let detail = "Send the provider's token as paymentMethod, and a card number nowhere.";
        Err(Problem::bad_request("card_number_refused", detail).with_error(pointer, "a card number"))
    })
}

fn check_payment_method(token: &str) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=128).contains(&token.len()) && token.chars().all(plain) {
        Ok(())
    } else {
        Err(Problem::invalid("/paymentMethod", "the payment provider's token, for example pm_card_visa"))
    }
}

/// Where to write to: the address of the request, else that of the account.
async fn email(desk: &Desk, caller: &Caller, user: UserId, given: Option<&str>) -> Result<Email, OrderError> {
    if let Some(given) = given {
        return given.parse().map_err(|invalid| OrderError::invalid("/email", invalid));
    }
    let known = if caller.role == Role::Guest { None } else { desk.users.contact(user).await? };
    known
        .map(|contact| contact.email)
        .ok_or_else(|| OrderError::invalid("/email", "a guest must give an e-mail address"))
}

/// The seconds of `Prefer: wait=N` (RFC 7240, 4.3), ten at most and by default.
fn preferred_wait(headers: &HeaderMap) -> Duration {
    let preferences =
        headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let waits = preferences.filter_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
    waits.map(Duration::from_secs).next().unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}
