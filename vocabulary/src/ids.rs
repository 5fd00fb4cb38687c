//! Typed identifiers: an order id does not fit where a cart id is wanted.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

/// What an identifier identifies. A new id is an empty enum and a prefix.
pub trait Kind: 'static {
    /// The text that its ids begin with.
    const PREFIX: &'static str;
}

/// An identifier of one `K`, written `prefix_` and 32 hexadecimal digits. Clients take it as opaque.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

impl<K> Id<K> {
    /// The id made of `uuid`.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The UUID in it.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.0.simple())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {0}_…")]
pub struct InvalidId(&'static str);

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix(K::PREFIX).and_then(|rest| rest.strip_prefix('_'));
        let uuid = digits.filter(|digits| digits.len() == 32).and_then(|digits| Uuid::try_parse(digits).ok());
        uuid.map(Self::new).filter(|id| id.to_string() == text).ok_or(InvalidId(K::PREFIX))
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K: Kind> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String).into()
    }
}

impl<K: Kind> ToSchema for Id<K> {}

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident, $kind:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        pub type $id = Id<$kind>;

        #[doc = concat!("The kind of [`", stringify!($id), "`].")]
        #[derive(Debug)]
        pub enum $kind {}

        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
        }
    )*};
}

ids! {
    /// A person or guest known to auth.
    UserId, UserKind, "usr";
    /// A shopper's cart.
    CartId, CartKind, "crt";
    /// A product in the catalogue.
    ProductId, ProductKind, "prd";
    /// An order.
    OrderId, OrderKind, "ord";
    /// An attempt to pay an order.
    PaymentId, PaymentKind, "pay";
    /// A refund of a payment.
    RefundId, RefundKind, "ref";
    /// A message to a person.
    NotificationId, NotificationKind, "ntf";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let order = OrderId::new(Uuid::from_u128(7));
        assert_eq!(order.to_string().parse::<OrderId>(), Ok(order));
        assert!(order.to_string().parse::<CartId>().is_err());
        assert!("ord_".parse::<OrderId>().is_err());
    }
}
