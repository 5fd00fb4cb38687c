//! Why somebody is written to, and the identity by which one occasion makes one message.
//!
//! Ids, amounts and reasons only: addresses and names are asked of their owners when the message is sent. The exception is
//! a message that somebody asked for with an address of their own choice.

use std::collections::BTreeMap;

use cartwright_contracts::{CancelReason, OrderCancelled, OrderConfirmed, PaymentRefunded, UserRegistered};
use cartwright_vocabulary::{Email, Money, NotificationId, OrderId, RefundId, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::built_in::BuiltIn;
use crate::domain::datum::Datum;

/// Why somebody is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Occasion {
    /// They have an account now.
    Registered {
        /// Who.
        user: UserId,
    },
    /// Their order is confirmed.
    OrderConfirmed {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
    },
    /// Their order was cancelled.
    OrderCancelled {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// Why.
        reason: CancelReason,
    },
    /// Money went back to them.
    Refunded {
        /// The order it had been paid for.
        order: OrderId,
        /// The refund.
        refund: RefundId,
        /// How much.
        amount: Money,
    },
    /// A service or an admin asked for it.
    Asked {
        /// Who it goes to.
        recipient: Recipient,
        /// The template's name.
        template: String,
        /// What the template is told.
        data: BTreeMap<String, Datum>,
    },
}

/// Who a message goes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Recipient {
    /// This address.
    Address(Email),
    /// Whatever address this user has when it is sent.
    User(UserId),
}

impl Occasion {
    /// The name of the template that tells it.
    pub fn template(&self) -> &str {
        match self {
            Self::Registered { .. } => BuiltIn::Welcome.name(),
            Self::OrderConfirmed { .. } => BuiltIn::OrderConfirmed.name(),
            Self::OrderCancelled { .. } => BuiltIn::OrderCancelled.name(),
            Self::Refunded { .. } => BuiltIn::Refund.name(),
            Self::Asked { template, .. } => template,
        }
    }

    /// Whom it is about, as far as it is known before its owner was asked.
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::Registered { user }
            | Self::OrderConfirmed { user, .. }
            | Self::OrderCancelled { user, .. }
            | Self::Asked { recipient: Recipient::User(user), .. } => Some(*user),
            Self::Refunded { .. } | Self::Asked { recipient: Recipient::Address(_), .. } => None,
        }
    }

    /// The id of the one message about it; `None` where each time it is asked for is another one.
    pub fn id(&self) -> Option<NotificationId> {
        let template = self.template();
        match self {
            Self::Registered { user } => Some(derived(&[template, &user.to_string()])),
            Self::OrderConfirmed { order, .. } | Self::OrderCancelled { order, .. } => {
                Some(derived(&[template, &order.to_string()]))
            }
            Self::Refunded { order, refund, .. } => Some(derived(&[template, &order.to_string(), &refund.to_string()])),
            Self::Asked { .. } => None,
        }
    }
}

/// The id of the message that a caller names by a key of its own.
pub(crate) fn deduplicated(key: &str) -> NotificationId {
    derived(&["asked", key])
}

/// The same id for the same parts: a UUID of version 8 (RFC 9562) made of their SHA-256.
fn derived(parts: &[&str]) -> NotificationId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, hashed)| *byte = hashed);
    NotificationId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl From<&UserRegistered> for Occasion {
    fn from(event: &UserRegistered) -> Self {
        Self::Registered { user: event.user }
    }
}

impl From<&OrderConfirmed> for Occasion {
    fn from(event: &OrderConfirmed) -> Self {
        Self::OrderConfirmed { order: event.order, user: event.user }
    }
}

impl From<&OrderCancelled> for Occasion {
    fn from(event: &OrderCancelled) -> Self {
        Self::OrderCancelled { order: event.order, user: event.user, reason: event.reason }
    }
}

impl From<&PaymentRefunded> for Occasion {
    fn from(event: &PaymentRefunded) -> Self {
        Self::Refunded { order: event.order, refund: event.refund, amount: event.amount }
    }
}

#[cfg(test)]
mod tests {
    use cartwright_vocabulary::Currency;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_occasion_has_one_id_and_two_have_two() {
        let order = OrderId::new(Uuid::from_u128(1));
        let user = UserId::new(Uuid::from_u128(2));
        let refunded = |refund| Occasion::Refunded {
            order,
            refund: RefundId::new(Uuid::from_u128(refund)),
            amount: Money::from_minor(500, Currency::EUR),
        };
        let confirmed = Occasion::OrderConfirmed { order, user };
        let cancelled = Occasion::OrderCancelled { order, user, reason: CancelReason::ByAdmin };
        let ids =
            [confirmed.id(), cancelled.id(), refunded(1).id(), refunded(2).id(), Occasion::Registered { user }.id()];
        for (place, id) in ids.iter().enumerate() {
            assert!(id.is_some() && !ids[..place].contains(id), "{place}");
        }
        assert_eq!(refunded(1).id(), refunded(1).id());
        assert_ne!(deduplicated("a"), deduplicated("b"));
    }
}
