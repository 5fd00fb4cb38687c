//! Inventory's routes: anyone may ask what is there, services and admins reserve, admins count and read the ledger.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use cartwright_contracts::{Availability, StockStatus};
use cartwright_http::{Caller, Command, Json, Page, PageQuery, Problem, answer};
use cartwright_runtime::Time;
use cartwright_store::{Answer, Lane, Store, execute};
use cartwright_vocabulary::{ProductId, Quantity};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Line, Movement, MovementKind, ReservationState, StockLevel, movements};
use crate::domain::summed;
use crate::operations::{
    AdjustStock, Adjustment, Ending, ReserveStock, Reserved, adjust_stock, end_hold, lane_of_lines,
    lane_of_reservation, reserve_stock,
};
use crate::{InventoryError, Settings};

/// Products or lines in one request, at most.
const MOST_ITEMS: usize = 100;
/// The longest time that something can be reserved for, in seconds: a day.
const LONGEST_TTL_S: u32 = 86_400;
/// The most units that one adjustment moves.
const MOST_UNITS: i64 = StockLevel::MOST as i64;

#[derive(Clone)]
struct Inventory {
    store: Store,
    settings: Settings,
}

/// All of inventory's routes.
pub(crate) fn routes(store: Store, settings: Settings) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(check_stock, check_stock_of_many))
        .routes(routes!(update_inventory))
        .routes(routes!(reserve_items))
        .routes(routes!(release_items))
        .routes(routes!(commit_items))
        .routes(routes!(list_movements))
        .with_state(Inventory { store, settings })
}

/// The stock of a product, in units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StockView {
    /// The product.
    product_id: ProductId,
    /// On the shelf, reserved ones included.
    on_hand: u32,
    /// Held for orders.
    reserved: u32,
    /// What a new order can still get.
    available: u32,
    /// `in_stock`, `low_stock` (5 at most) or `out_of_stock`.
    #[schema(value_type = String)]
    status: StockStatus,
}

impl From<Availability> for StockView {
    fn from(stock: Availability) -> Self {
        let Availability { product, on_hand, reserved, available } = stock;
        Self { product_id: product, on_hand, reserved, available, status: stock.status() }
    }
}

/// The stock of several products.
#[derive(Serialize, ToSchema)]
struct StockList {
    /// One entry a product, in the order of the request.
    items: Vec<StockView>,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct CheckStockQuery {
    /// Product ids, separated by commas; 100 at most.
    product_id: String,
}

/// Tells how many of some products there are.
#[utoipa::path(
    get, path = "/check-stock", tag = "inventory", params(CheckStockQuery),
    responses(
        (status = 200, description = "The stock of each", body = StockList),
        (status = 400, description = "`invalid_input`", body = Problem),
        (status = 404, description = "`product_unknown`, with `productIds`", body = Problem),
    )
)]
async fn check_stock(
    State(inventory): State<Inventory>,
    query: Result<Query<CheckStockQuery>, QueryRejection>,
) -> Result<Json<StockList>, Problem> {
    let Query(query) = query.map_err(|_| Problem::invalid("productId", "product ids, separated by commas"))?;
    let wanted = query.product_id.split(',').map(str::trim).filter(|id| !id.is_empty());
    stock_of(&inventory.store, wanted, "productId").await.map(Json)
}

/// Which products: either `productIds` or `items`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CheckStock {
    /// Products, as in a cart.
    #[serde(default)]
    items: Vec<CheckedItem>,
    /// Products by id.
    #[serde(default)]
    product_ids: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CheckedItem {
    /// The product.
    product_id: String,
}

/// The same for a long list.
#[utoipa::path(
    post, path = "/check-stock", tag = "inventory", request_body = CheckStock,
    responses(
        (status = 200, description = "The stock of each", body = StockList),
        (status = 400, description = "`invalid_input`", body = Problem),
        (status = 404, description = "`product_unknown`, with `productIds`", body = Problem),
    )
)]
async fn check_stock_of_many(
    State(inventory): State<Inventory>,
    Json(body): Json<CheckStock>,
) -> Result<Json<StockList>, Problem> {
    let wanted = body.items.iter().map(|item| &item.product_id).chain(&body.product_ids);
    stock_of(&inventory.store, wanted.map(String::as_str), "/items").await.map(Json)
}

async fn stock_of<'a>(store: &Store, ids: impl Iterator<Item = &'a str>, pointer: &str) -> Result<StockList, Problem> {
    let ids: Vec<&str> = ids.collect();
    if !(1..=MOST_ITEMS).contains(&ids.len()) {
        return Err(Problem::invalid(pointer, "from 1 to 100 products"));
    }
    let products = known_form(ids.into_iter())?;
    let levels = products.iter().map(|product| store.get::<StockLevel>(product.to_string()));
    let levels = futures::future::try_join_all(levels).await.map_err(InventoryError::Store)?;
    let unknown = products.iter().zip(&levels).filter(|(_, level)| level.is_none());
    let unknown: Vec<String> = unknown.map(|(product, _)| product.to_string()).collect();
    if !unknown.is_empty() {
        return Err(InventoryError::ProductUnknown(unknown).into());
    }
    Ok(StockList { items: levels.into_iter().flatten().map(|level| level.doc.availability().into()).collect() })
}

/// Ids are opaque to callers: a text that cannot be one is an unknown product.
fn known_form<'a>(ids: impl Iterator<Item = &'a str>) -> Result<Vec<ProductId>, InventoryError> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        match id.parse() {
            Ok(product) => known.push(product),
            Err(_) => unknown.push(id.chars().take(64).collect()),
        }
    }
    if unknown.is_empty() { Ok(known) } else { Err(InventoryError::ProductUnknown(unknown)) }
}

/// Either `delta` or `onHand`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UpdateInventory {
    /// The product.
    product_id: String,
    /// So many more on the shelf, or fewer where negative.
    #[serde(default)]
    delta: Option<i64>,
    /// So many were counted on the shelf, reserved ones included.
    #[serde(default)]
    on_hand: Option<u32>,
    /// Why, for the ledger; 1 to 200 characters.
    #[serde(default)]
    reason: Option<String>,
}

impl UpdateInventory {
    fn into_command(self) -> Result<AdjustStock, Problem> {
        let adjustment = match (self.delta, self.on_hand) {
            (Some(delta), None) if delta.abs_diff(0) <= MOST_UNITS.unsigned_abs() => Adjustment::By(delta),
            (None, Some(counted)) if i64::from(counted) <= MOST_UNITS => Adjustment::To(counted),
            (Some(_), None) => return Err(Problem::invalid("/delta", "at most 1000000000 units")),
            (None, Some(_)) => return Err(Problem::invalid("/onHand", "at most 1000000000 units")),
            (None, None) => return Err(Problem::invalid("/delta", "either delta or onHand is needed")),
            (Some(_), Some(_)) => return Err(Problem::invalid("/onHand", "either delta or onHand, not both")),
        };
        let reason = self.reason.map(|reason| reason.trim().to_owned());
        if reason.as_ref().is_some_and(|reason| !(1..=200).contains(&reason.chars().count())) {
            return Err(Problem::invalid("/reason", "1 to 200 characters"));
        }
        let product = self.product_id.parse().map_err(|_| InventoryError::ProductUnknown(vec![self.product_id]))?;
        Ok(AdjustStock { product, adjustment, reason })
    }
}

/// Receives stock, writes it off, or sets it to what was counted.
#[utoipa::path(
    post, path = "/update-inventory", tag = "inventory", request_body = UpdateInventory, security(("bearer" = [])),
    responses(
        (status = 200, description = "The stock afterwards", body = StockView),
        (status = 400, description = "`invalid_input`", body = Problem),
        (status = 403, description = "Admins only", body = Problem),
        (status = 404, description = "`product_unknown`", body = Problem),
        (status = 409, description = "`insufficient_stock`, with `onHand` and `reserved`; `too_many_units`", body = Problem),
        (status = 422, description = "`idempotency_key_reused`", body = Problem),
    )
)]
async fn update_inventory(
    State(inventory): State<Inventory>,
    command: Command<UpdateInventory>,
) -> Result<Response, Problem> {
    command.caller.must_be_admin()?;
    let adjust = command.body.into_command()?;
    let lane = Lane::of::<StockLevel>(adjust.product.to_string());
    let adjust = &adjust;
    let Answer { reply, replayed } =
        execute(&inventory.store, &command.request, lane, |store| async move { adjust_stock(&store, adjust).await })
            .await?;
    Ok(answer(StatusCode::OK, Answer { reply: StockView::from(reply), replayed }))
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReserveItems {
    /// What it is for: any text of 1 to 128 characters. Reserving the same again answers with what is held.
    order_id: String,
    /// What is wanted, all or nothing; 1 to 100 lines.
    items: Vec<ReservedItem>,
    /// After how many seconds the hold ends by itself, a day at most; 15 minutes where nothing is said.
    #[serde(default)]
    ttl_seconds: Option<u32>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservedItem {
    /// The product.
    product_id: String,
    /// How many.
    quantity: Quantity,
}

impl ReserveItems {
    fn into_command(self, settings: Settings) -> Result<ReserveStock, Problem> {
        let order = order_name(self.order_id)?;
        if !(1..=MOST_ITEMS).contains(&self.items.len()) {
            return Err(Problem::invalid("/items", "from 1 to 100 items"));
        }
        let ttl = match self.ttl_seconds {
            None => settings.direct_hold_ttl,
            Some(seconds @ 1..=LONGEST_TTL_S) => Duration::from_secs(u64::from(seconds)),
            Some(_) => return Err(Problem::invalid("/ttlSeconds", "from 1 to 86400 seconds")),
        };
        let products = known_form(self.items.iter().map(|item| item.product_id.as_str()))?;
        let quantities = self.items.iter().map(|item| item.quantity.get());
        let lines = products.into_iter().zip(quantities).map(|(product, quantity)| Line { product, quantity });
        Ok(ReserveStock { order, lines: summed(lines), ttl })
    }
}

fn order_name(order: String) -> Result<String, Problem> {
    if (1..=128).contains(&order.chars().count()) && !order.chars().any(char::is_control) {
        Ok(order)
    } else {
        Err(Problem::invalid("/orderId", "1 to 128 characters, no control characters"))
    }
}

/// A reservation that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservationView {
    /// The reservation; the same text as `orderId`.
    reservation_id: String,
    /// What it is for.
    order_id: String,
    /// When it ends by itself.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

impl From<Reserved> for ReservationView {
    fn from(Reserved { order, expires_at }: Reserved) -> Self {
        Self { reservation_id: order.clone(), order_id: order, expires_at }
    }
}

/// Holds every item until it is released, committed, or its time is over.
#[utoipa::path(
    post, path = "/reserve-items", tag = "inventory", request_body = ReserveItems, security(("bearer" = [])),
    responses(
        (status = 201, description = "All items are held", body = ReservationView),
        (status = 400, description = "`invalid_input`", body = Problem),
        (status = 403, description = "Services and admins only", body = Problem),
        (status = 404, description = "`product_unknown`", body = Problem),
        (status = 409, description = "`out_of_stock` with `items: [{productId, wanted, available}]`; `reserved_differently`; `reservation_ended`", body = Problem),
        (status = 422, description = "`idempotency_key_reused`", body = Problem),
    )
)]
async fn reserve_items(
    State(inventory): State<Inventory>,
    command: Command<ReserveItems>,
) -> Result<Response, Problem> {
    command.caller.must_be_staff()?;
    let reserve = command.body.into_command(inventory.settings)?;
    let lane = lane_of_lines(&reserve.order, reserve.lines.iter().map(|line| line.product));
    let reserve = &reserve;
    let Answer { reply, replayed } =
        execute(&inventory.store, &command.request, lane, |store| async move { reserve_stock(&store, reserve).await })
            .await?;
    Ok(answer(StatusCode::CREATED, Answer { reply: ReservationView::from(reply), replayed }))
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EndReservation {
    /// The `orderId` that was reserved for.
    order_id: String,
}

/// How a reservation ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EndedView {
    /// The reservation.
    reservation_id: String,
    /// What it was for.
    order_id: String,
    /// `committed`, `released` or `expired`.
    #[schema(value_type = String)]
    state: ReservationState,
}

/// Makes what was reserved available again. Done twice, it is done once.
#[utoipa::path(
    post, path = "/release-items", tag = "inventory", request_body = EndReservation, security(("bearer" = [])),
    responses(
        (status = 200, description = "Nothing is held any more", body = EndedView),
        (status = 403, description = "Services and admins only", body = Problem),
        (status = 404, description = "`reservation_unknown`", body = Problem),
        (status = 409, description = "`reservation_ended` where it was committed; `order_decides` where a placed order holds it", body = Problem),
        (status = 422, description = "`idempotency_key_reused`", body = Problem),
    )
)]
async fn release_items(
    State(inventory): State<Inventory>,
    command: Command<EndReservation>,
) -> Result<Response, Problem> {
    end_reservation(&inventory.store, command, Ending::GivenBack).await
}

/// Lets what was reserved leave the shelf. Done twice, it is done once.
#[utoipa::path(
    post, path = "/commit-items", tag = "inventory", request_body = EndReservation, security(("bearer" = [])),
    responses(
        (status = 200, description = "Sold", body = EndedView),
        (status = 403, description = "Services and admins only", body = Problem),
        (status = 404, description = "`reservation_unknown`", body = Problem),
        (status = 409, description = "`reservation_ended` where it was released or has expired; `order_decides` where a placed order holds it", body = Problem),
        (status = 422, description = "`idempotency_key_reused`", body = Problem),
    )
)]
async fn commit_items(
    State(inventory): State<Inventory>,
    command: Command<EndReservation>,
) -> Result<Response, Problem> {
    end_reservation(&inventory.store, command, Ending::Sold).await
}

async fn end_reservation(store: &Store, command: Command<EndReservation>, ending: Ending) -> Result<Response, Problem> {
    command.caller.must_be_staff()?;
    let order = order_name(command.body.order_id)?;
    let lane = lane_of_reservation(store, &order).await?;
    let named = order.as_str();
    let ended = execute(store, &command.request, lane, |store| async move { end_hold(&store, named, ending).await });
    let Answer { reply, replayed } = ended.await.map_err(Problem::from)?;
    let view = EndedView { reservation_id: order.clone(), order_id: order, state: reply };
    Ok(answer(StatusCode::OK, Answer { reply: view, replayed }))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct MovementsQuery {
    /// The product.
    product_id: String,
}

/// An entry of the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MovementView {
    /// The entry.
    #[serde(rename = "_id")]
    id: String,
    /// What moved.
    product_id: ProductId,
    /// Units that came (positive) or left (negative).
    delta: i64,
    /// What kind of movement it was.
    kind: MovementKind,
    /// Why, where somebody said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// For which order.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

impl From<Movement> for MovementView {
    fn from(movement: Movement) -> Self {
        let Movement { id, product, delta, kind, reason, order, at } = movement;
        Self { id, product_id: product, delta, kind, reason, order_id: order, at }
    }
}

/// The ledger of one product, newest first.
#[utoipa::path(
    get, path = "/movements", tag = "inventory", params(MovementsQuery, PageQuery), security(("bearer" = [])),
    responses(
        (status = 200, description = "What came onto the shelf and left it", body = Page<MovementView>),
        (status = 400, description = "`invalid_input`", body = Problem),
        (status = 403, description = "Admins only", body = Problem),
        (status = 404, description = "`product_unknown`", body = Problem),
    )
)]
async fn list_movements(
    State(inventory): State<Inventory>,
    caller: Caller,
    query: Result<Query<MovementsQuery>, QueryRejection>,
    page: PageQuery,
) -> Result<Json<Page<MovementView>>, Problem> {
    caller.must_be_admin()?;
    let Query(query) = query.map_err(|_| Problem::invalid("productId", "the id of one product"))?;
    let (store, limit) = (&inventory.store, page.limit()?);
    let unknown = || InventoryError::ProductUnknown(vec![query.product_id.clone()]);
    let product: ProductId = query.product_id.parse().map_err(|_| unknown())?;
    let level = store.get::<StockLevel>(product.to_string()).await?;
    let mut find = level.map(|_| movements(store, product)).ok_or_else(unknown)?;
    if let Some(cursor) = &page.cursor {
        let last = store.get::<Movement>(cursor).await?;
        let last = last.ok_or_else(|| Problem::invalid("cursor", "not the nextCursor of an earlier page"))?;
        find = find.after(&last.doc);
    }
    let found = find.page(limit + 1).await?;
    Ok(Json(Page::of(found, limit, |last| last.doc.id.clone(), |found| found.doc.into())))
}
