//! The routes of payment.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cartwright_http::{Caller, Command, Json, Page, Problem, answer};
use cartwright_vocabulary::{OrderId, PaymentId, card};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::documents::{Payment, payment_for};
use crate::error::PaymentError;
use crate::operations::capture_payment::capture_payment;
use crate::operations::process_payment::{self, ProcessPayment};
use crate::operations::refund_payment::{self, RefundPayment};
use crate::operations::validate_payment::validate_payment;
use crate::operations::void_payment::void_payment;
use crate::till::{Till, may_see};
use crate::views::{PaymentView, ReceiptView, RefundView, TransactionView, transactions};

pub(crate) fn routes(till: Till) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(post_process_payment))
        .routes(routes!(post_validate_payment))
        .routes(routes!(post_capture_payment))
        .routes(routes!(post_void_payment))
        .routes(routes!(post_refund_payment))
        .routes(routes!(get_transactions))
        .routes(routes!(get_receipt))
        .with_state(till)
}

/// What came in a body that holds no card number (R-W 1). A body that holds one is refused and not logged.
struct CardFree<T>(T);

impl<T, S> FromRequest<S> for CardFree<T>
where
    T: FromRequest<S, Rejection = Problem>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        <Caller as FromRequestParts<S>>::from_request_parts(&mut parts, state).await?;
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = bytes.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is larger than this route takes.",
            ),
            _ => Problem::bad_request("body_incomplete", "The body ended before it was complete."),
        })?;
        if card::holds_card_number(&bytes) {
            let detail = "Send the provider's token of a payment method, never a card number.";
            return Err(Problem::bad_request("card_number_refused", detail));
        }
        T::from_request(Request::from_parts(parts, bytes.into()), state).await.map(Self)
    }
}

/// Pays an order that waits for it, again or with another method.
#[utoipa::path(post, path = "/process-payment", tag = "payment", request_body = ProcessPayment, security(("bearer" = [])),
    responses(
        (status = 201, description = "The attempt, as far as it came within about 10 seconds", body = PaymentView),
        (status = 400, description = "`card_number_refused`, `invalid_input`", body = Problem),
        (status = 404, description = "`order_not_found`", body = Problem),
        (status = 409, description = "`order_not_payable`, `payment_in_progress`, `too_many_attempts`", body = Problem),
    ))]
async fn post_process_payment(
    State(till): State<Till>,
    CardFree(command): CardFree<Command<ProcessPayment>>,
) -> Result<Response, Problem> {
    let paid = process_payment::process_payment(&till, command).await?;
    Ok(answer(StatusCode::CREATED, paid))
}

/// Which attempt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WhichPayment {
    /// The attempt's id.
    #[schema(value_type = PaymentId)]
    payment_id: String,
}

impl WhichPayment {
    /// Ids are opaque to callers: a text that cannot be one names no payment.
    fn id(&self) -> Result<PaymentId, PaymentError> {
        self.payment_id.parse().map_err(|_| PaymentError::UnknownPayment)
    }
}

/// Asks the provider where an attempt stands, now.
#[utoipa::path(post, path = "/validate-payment", tag = "payment", request_body = WhichPayment, security(("bearer" = [])),
    responses(
        (status = 200, description = "Where it stands", body = PaymentView),
        (status = 404, description = "`payment_not_found`", body = Problem),
        (status = 503, description = "`provider_unavailable`", body = Problem),
    ))]
async fn post_validate_payment(
    State(till): State<Till>,
    Command { caller, body, .. }: Command<WhichPayment>,
) -> Result<Response, Problem> {
    shown(validate_payment(&till, &caller, body.id()?).await)
}

/// Takes the money of a confirmed order, also where that failed before. For admins and services.
#[utoipa::path(post, path = "/capture-payment", tag = "payment", request_body = WhichPayment, security(("bearer" = [])),
    responses(
        (status = 200, description = "Where it stands, as far as it came within about 10 seconds", body = PaymentView),
        (status = 404, description = "`payment_not_found`", body = Problem),
        (status = 409, description = "`not_capturable`", body = Problem),
    ))]
async fn post_capture_payment(
    State(till): State<Till>,
    Command { caller, body, .. }: Command<WhichPayment>,
) -> Result<Response, Problem> {
    caller.must_be_staff()?;
    shown(capture_payment(&till, &caller, body.id()?).await)
}

/// Gives up an attempt that waits for its shopper, or lets go of a cancelled order's money. For admins and services.
#[utoipa::path(post, path = "/void-payment", tag = "payment", request_body = WhichPayment, security(("bearer" = [])),
    responses(
        (status = 200, description = "Where it stands, as far as it came within about 10 seconds", body = PaymentView),
        (status = 404, description = "`payment_not_found`", body = Problem),
        (status = 409, description = "`not_voidable`, `payment_in_progress`", body = Problem),
    ))]
async fn post_void_payment(
    State(till): State<Till>,
    Command { caller, body, .. }: Command<WhichPayment>,
) -> Result<Response, Problem> {
    caller.must_be_staff()?;
    shown(void_payment(&till, &caller, body.id()?).await)
}

/// Gives captured money back, some or all of it. For admins.
#[utoipa::path(post, path = "/refund-payment", tag = "payment", request_body = RefundPayment, security(("bearer" = [])),
    responses(
        (status = 201, description = "The refund, as far as it came within about 10 seconds", body = RefundView),
        (status = 404, description = "`payment_not_found`", body = Problem),
        (status = 409, description = "`refund_too_large`", body = Problem),
    ))]
async fn post_refund_payment(State(till): State<Till>, command: Command<RefundPayment>) -> Result<Response, Problem> {
    command.caller.must_be_admin()?;
    let refund = refund_payment::refund_payment(&till, command).await?;
    Ok(answer(StatusCode::CREATED, refund))
}

/// Whose transactions.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct OfOrder {
    /// The order.
    #[param(value_type = OrderId)]
    order_id: String,
}

/// Every attempt and refund of an order, oldest first.
#[utoipa::path(get, path = "/transactions", tag = "payment", params(OfOrder), security(("bearer" = [])),
    responses(
        (status = 200, description = "All of them, on one page", body = Page<TransactionView>),
        (status = 404, description = "`order_not_found`", body = Problem),
    ))]
async fn get_transactions(
    State(till): State<Till>,
    caller: Caller,
    query: Result<Query<OfOrder>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Page<TransactionView>>, Problem> {
    let Query(OfOrder { order_id }) = query.map_err(|_| Problem::invalid("orderId", "the order, once"))?;
    let order: OrderId = order_id.parse().map_err(|_| PaymentError::UnknownOrder)?;
    let payment = seen(&till, &caller, order).await?.ok_or(PaymentError::UnknownOrder)?;
    Ok(Json(Page { items: transactions(&payment), next_cursor: None }))
}

/// What was paid for an order.
#[utoipa::path(get, path = "/receipts/{orderId}", tag = "payment", security(("bearer" = [])),
    params(("orderId" = OrderId, Path, description = "The order")),
    responses(
        (status = 200, description = "The receipt", body = ReceiptView),
        (status = 404, description = "`receipt_not_found`: nothing was paid, or not by the caller", body = Problem),
    ))]
async fn get_receipt(
    State(till): State<Till>,
    caller: Caller,
    Path(order): Path<String>,
) -> Result<Json<ReceiptView>, Problem> {
    let order: OrderId = order.parse().map_err(|_| PaymentError::NoReceipt)?;
    let payment = seen(&till, &caller, order).await?;
    let receipt = payment.as_ref().and_then(ReceiptView::of).ok_or(PaymentError::NoReceipt)?;
    Ok(Json(receipt))
}

async fn seen(till: &Till, caller: &Caller, order: OrderId) -> Result<Option<Payment>, PaymentError> {
    let stored = payment_for(&till.store, order).await?;
    Ok(stored.map(|stored| stored.doc).filter(|payment| may_see(caller, payment.user)))
}

fn shown(payment: Result<Option<PaymentView>, PaymentError>) -> Result<Response, Problem> {
    let view = payment?.ok_or(PaymentError::UnknownPayment)?;
    Ok(Json(view).into_response())
}
