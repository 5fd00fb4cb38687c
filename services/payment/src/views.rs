//! Payments as callers see them.

use cartwright_runtime::Time;
use cartwright_vocabulary::{Amount, Currency, Money, OrderId, PaymentId, RefundId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::{Attempt, AttemptState, Payment, PaymentStatus, Refund, RefundState};

/// An attempt to pay an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PaymentView {
    /// The attempt's id.
    payment_id: PaymentId,
    /// The order.
    order_id: OrderId,
    /// How it stands.
    status: PaymentStatus,
    /// What is to be paid.
    amount: Amount,
    /// The currency of the amount.
    currency: Currency,
    /// What the shopper must do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextAction>,
    /// Why it was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
}

/// What the shopper must do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "type")]
pub(crate) enum NextAction {
    /// Take a step with the provider, for example 3-D Secure.
    #[serde(rename_all = "camelCase")]
    Authenticate {
        /// Where.
        url: String,
        /// Until when the provider waits.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        expires_at: Option<Time>,
    },
    /// Pay in another way.
    #[serde(rename_all = "camelCase")]
    ChoosePaymentMethod {
        /// Why this one was declined.
        decline_code: String,
    },
}

impl PaymentView {
    /// The attempt `id` of `payment`.
    pub(crate) fn of(payment: &Payment, id: PaymentId) -> Option<Self> {
        let (attempt, amount) = (payment.attempt(id)?, payment.amount?);
        Some(Self {
            payment_id: id,
            order_id: payment.order,
            status: payment.status(attempt),
            amount: Amount(amount),
            currency: amount.currency(),
            next_action: NextAction::of(attempt),
            decline_code: attempt.decline_code.clone(),
        })
    }
}

impl NextAction {
    fn of(attempt: &Attempt) -> Option<Self> {
        match attempt.state {
            AttemptState::RequiresAction => {
                Some(Self::Authenticate { url: attempt.url.clone()?, expires_at: attempt.url_expires_at })
            }
            AttemptState::Failed => Some(Self::ChoosePaymentMethod { decline_code: attempt.decline_code.clone()? }),
            AttemptState::Processing | AttemptState::Authorized | AttemptState::Captured | AttemptState::Voided => None,
        }
    }
}

/// Money on its way back.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundView {
    /// The refund's id.
    refund_id: RefundId,
    /// How far it came.
    status: RefundState,
    /// How much goes back.
    amount: Amount,
    /// The currency of the amount.
    currency: Currency,
    /// Why.
    reason: String,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
}

impl From<&Refund> for RefundView {
    fn from(refund: &Refund) -> Self {
        Self {
            refund_id: refund.id,
            status: refund.state,
            amount: Amount(refund.amount),
            currency: refund.amount.currency(),
            reason: refund.reason.clone(),
            created_at: refund.started_at,
        }
    }
}

/// One movement of an order's money, made or tried.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase", tag = "type")]
pub(crate) enum TransactionView {
    /// An attempt to pay.
    Payment(AttemptView),
    /// Money that goes back.
    Refund(RefundView),
}

/// An attempt in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptView {
    #[serde(flatten)]
    payment: PaymentView,
    /// Which attempt of its order it is, counted from 1.
    attempt: u32,
    /// The provider's token for how it is paid.
    payment_method: String,
    /// The provider's own name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When its status last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// Every attempt and refund of an order, oldest first.
pub(crate) fn transactions(payment: &Payment) -> Vec<TransactionView> {
    let attempts = payment.attempts.iter().filter_map(|attempt| {
        Some(TransactionView::Payment(AttemptView {
            payment: PaymentView::of(payment, attempt.payment)?,
            attempt: attempt.number,
            payment_method: attempt.method.clone(),
            reference: attempt.reference.clone(),
            created_at: attempt.started_at,
            updated_at: attempt.changed_at,
        }))
    });
    // Refunds follow the attempt whose money they give back, and that is the last one.
    attempts.chain(payment.refunds.iter().map(|refund| TransactionView::Refund(refund.into()))).collect()
}

/// What was paid for an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptView {
    /// The order.
    order_id: OrderId,
    /// The attempt that paid it.
    payment_id: PaymentId,
    /// How it stands.
    status: PaymentStatus,
    /// What was to be paid.
    amount: Amount,
    /// What was taken.
    captured: Amount,
    /// What went back.
    refunded: Amount,
    /// The currency of the amounts.
    currency: Currency,
    /// The provider's token for how it was paid.
    payment_method: String,
    /// The provider's own name of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// When the order was paid.
    #[schema(value_type = String, format = DateTime)]
    paid_at: Time,
    /// What went back or is on its way.
    refunds: Vec<RefundView>,
}

impl ReceiptView {
    /// The receipt of `payment`, where money is held or was taken.
    pub(crate) fn of(payment: &Payment) -> Option<Self> {
        let (attempt, amount) = (payment.funded()?, payment.amount?);
        let nothing = Money::zero(amount.currency());
        Some(Self {
            order_id: payment.order,
            payment_id: attempt.payment,
            status: payment.status(attempt),
            amount: Amount(amount),
            captured: Amount(payment.captured.unwrap_or(nothing)),
            refunded: Amount(payment.refunded().unwrap_or(nothing)),
            currency: amount.currency(),
            payment_method: attempt.method.clone(),
            reference: attempt.reference.clone(),
            paid_at: attempt.changed_at,
            refunds: payment.refunds.iter().map(RefundView::from).collect(),
        })
    }
}
