//! Places an order: quote, freeze the cart, and one commit that makes it an order.
//!
//! Everything that can refuse does so before the freeze. From the commit on the order goes its way by events, whether
//! anybody waits for it or not.

use cartwright_contracts::{Freeze, FreezeRefused, FrozenCart, LineQuantity, OrderCreated, PeerError, PricedCart};
use cartwright_runtime::Time;
use cartwright_store::{Changes, Decision, KeyReused, Lane, Request, Store, change};
use cartwright_vocabulary::{Address, DecimalText, Email, MoneyError, OrderId, UserId};

use super::quote_cart::quote_lines;
use super::{Destination, quote_cart};
use crate::documents::{Checkout, Order, PlacedUnder, Step};
use crate::domain::{Quote, Stage, Status};
use crate::{Desk, OrderError};

/// How often a cart that moves under the order is read again.
const TRIES: u32 = 5;

/// What is to be ordered.
#[derive(Clone, Debug)]
pub(crate) struct Placing {
    /// Whose cart.
    pub(crate) user: UserId,
    /// Where to write to.
    pub(crate) email: Email,
    /// Where and how it is sent.
    pub(crate) destination: Destination,
    /// Where it is billed to.
    pub(crate) billing_address: Address,
    /// The provider's token for how it is paid.
    pub(crate) payment_method: String,
    /// What the shopper agreed to pay.
    pub(crate) expected_total: Option<DecimalText>,
    /// The version of the cart that the shopper saw.
    pub(crate) cart_version: Option<u64>,
}

/// An order that was placed, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The order.
    pub(crate) order: OrderId,
    /// Whether the request's key had placed it before.
    pub(crate) replayed: bool,
}

/// Places an order of the caller's cart, or finds the one that this cart version made.
///
/// # Errors
/// See [`OrderError`]; no order was made then.
pub(crate) async fn place_order(desk: &Desk, request: &Request, placing: &Placing) -> Result<Placed, OrderError> {
    if let Some(order) = placed_under(&desk.store, request).await? {
        return Ok(Placed { order, replayed: true });
    }
    let mut refused = OrderError::CartEmpty;
    for _ in 0..TRIES {
        match place_once(desk, request, placing).await? {
            Attempt::Placed(order) => return Ok(Placed { order, replayed: false }),
            Attempt::Again(because) => refused = because,
        }
    }
    Err(refused)
}

enum Attempt {
    Placed(OrderId),
    /// The cart moved under the order: read it again. The error is told when it does not come to rest.
    Again(OrderError),
}

async fn place_once(desk: &Desk, request: &Request, placing: &Placing) -> Result<Attempt, OrderError> {
    let cart = desk.carts.priced(placing.user).await?;
    if let Some(order) = made_before(desk, &cart, placing).await? {
        return remember(desk, request, order).await.map(Attempt::Placed);
    }
    if let Some(version) = placing.cart_version.filter(|version| *version != cart.version) {
        tracing::debug!(version, present = cart.version, "the cart moved on");
        return Err(OrderError::CartChanged { present: cart.version });
    }
    let quote = quote_cart(desk, &cart, &placing.destination).await?;
    as_expected(placing, &quote)?;
    if desk.backlog.is_full() {
        return Err(OrderError::Backlogged);
    }
    let freeze = Freeze {
        user: placing.user,
        order: OrderId::new(desk.store.ids().uuid()),
        version: cart.version,
        lines: cart.lines.clone(),
    };
    match desk.carts.freeze(freeze).await {
        Ok(frozen) => insert(desk, request, placing, &cart, quote, frozen).await,
        Err(FreezeRefused::Unavailable(cause)) => Err(PeerError { peer: "cart", cause }.into()),
        Err(FreezeRefused::Changed { present }) => Ok(Attempt::Again(OrderError::CartChanged { present })),
        Err(FreezeRefused::PriceChanged) => Ok(Attempt::Again(OrderError::PriceChanged { quote: Box::new(quote) })),
        Err(FreezeRefused::Empty) => Ok(Attempt::Again(OrderError::CartEmpty)),
    }
}

/// The order that this cart made already, where the request can only mean that one.
async fn made_before(desk: &Desk, cart: &PricedCart, placing: &Placing) -> Result<Option<OrderId>, OrderError> {
    let version = placing.cart_version.unwrap_or(cart.version);
    let checkout = desk.store.get::<Checkout>(Checkout::key_of(cart.id, version)).await?;
    if let Some(order) = checkout.and_then(|stored| stored.doc.order) {
        return Ok(Some(order));
    }
    Ok(if placing.cart_version.is_none() && cart.lines.is_empty() && cart.unavailable.is_empty() {
        cart.last_order
    } else {
        None
    })
}

/// The one commit that makes an order of a frozen cart. Loses to an order, or the marker that there will be none, which
/// stands under the same cart version.
async fn insert(
    desk: &Desk,
    request: &Request,
    placing: &Placing,
    cart: &PricedCart,
    quoted: Quote,
    frozen: FrozenCart,
) -> Result<Attempt, OrderError> {
    // Frozen before by somebody else, it is sold at the prices of that freeze.
    let quote = if frozen.lines == cart.lines {
        quoted
    } else {
        quote_lines(desk, cart.currency, &frozen.lines, &placing.destination).await?
    };
    as_expected(placing, &quote)?;
    let key = Checkout::key_of(frozen.id, frozen.version);
    let (quote, frozen, key) = (&quote, &frozen, key.as_str());
    change(&desk.store, Lane::of::<Checkout>(key), |view| async move {
        if let Some(order) = placed_under(&view, request).await? {
            return Ok(Decision::unchanged(Attempt::Placed(order)));
        }
        let at = view.clock().now();
        match view.get::<Checkout>(key).await?.map(|stored| stored.doc.order) {
            Some(Some(order)) => {
                Ok(Decision::new(remembering(Changes::new(), request, order, at), Attempt::Placed(order)))
            }
            Some(None) => Ok(Decision::unchanged(Attempt::Again(OrderError::CartChanged { present: frozen.version }))),
            None => {
                let order = order(desk, placing, quote, frozen, at);
                let created = OrderCreated { order: order.id, user: order.user_id, items: quantities(&order) };
                let checkout = Checkout { cart: frozen.id, version: frozen.version, order: Some(order.id), at };
                let changes = Changes::new().insert(&order).insert(&checkout).publish(&created);
                Ok(Decision::new(remembering(changes, request, order.id, at), Attempt::Placed(order.id)))
            }
        }
    })
    .await
}

fn order(desk: &Desk, placing: &Placing, quote: &Quote, frozen: &FrozenCart, at: Time) -> Order {
    Order {
        id: frozen.order,
        order_number: order_number(desk, at),
        user_id: placing.user,
        cart_id: frozen.id,
        cart_version: frozen.version,
        stage: Stage::HoldingStock,
        last_payment_news: (0, 0),
        deadline: Some(at.plus(desk.settings.payment_deadline)),
        payment_method: placing.payment_method.clone(),
        items: quote.items.clone(),
        totals: quote.totals.clone(),
        email: placing.email.clone(),
        shipping_address: placing.destination.address.clone(),
        billing_address: placing.billing_address.clone(),
        shipping_method: placing.destination.method.clone(),
        history: vec![Step { status: Status::Pending, at }],
        version: 1,
        created_at: at,
        updated_at: at,
    }
}

/// A number for people: the day, and eight random characters that cannot be mistaken for each other (Crockford base 32).
fn order_number(desk: &Desk, at: Time) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let day: String = at.to_string().chars().filter(char::is_ascii_digit).take(8).collect();
    let random = desk.store.ids().bytes::<8>();
    let letters = random.iter().filter_map(|byte| DIGITS.get(usize::from(byte % 32)));
    format!("{day}-{}", letters.map(|letter| char::from(*letter)).collect::<String>())
}

fn quantities(order: &Order) -> Vec<LineQuantity> {
    order.items.iter().map(|item| LineQuantity { product: item.product, quantity: item.quantity }).collect()
}

fn as_expected(placing: &Placing, quote: &Quote) -> Result<(), OrderError> {
    let Some(expected) = &placing.expected_total else { return Ok(()) };
    match expected.in_currency(quote.currency) {
        Ok(expected) if expected == quote.totals.total => Ok(()),
        Err(error @ MoneyError::NotDecimal) => Err(OrderError::invalid("/expectedTotal", error)),
        Ok(_)
        | Err(
            MoneyError::TooManyDigits(_)
            | MoneyError::Overflow
            | MoneyError::CurrencyMismatch { .. }
            | MoneyError::NothingToAllocateTo
            | MoneyError::UnknownCurrency,
        ) => Err(OrderError::PriceChanged { quote: Box::new(quote.clone()) }),
    }
}

/// The order that a request with this key made before.
async fn placed_under(store: &Store, request: &Request) -> Result<Option<OrderId>, OrderError> {
    let Some((name, fingerprint)) = request.receipt() else { return Ok(None) };
    match store.get::<PlacedUnder>(name).await? {
        Some(stored) if stored.doc.fingerprint == fingerprint => Ok(Some(stored.doc.order)),
        Some(_) => Err(KeyReused.into()),
        None => Ok(None),
    }
}

/// Notes that the request's key answers this order from now on.
async fn remember(desk: &Desk, request: &Request, order: OrderId) -> Result<OrderId, OrderError> {
    change(&desk.store, Lane::none(), |view| async move {
        if let Some(order) = placed_under(&view, request).await? {
            return Ok::<_, OrderError>(Decision::unchanged(order));
        }
        let at = view.clock().now();
        Ok(Decision::new(remembering(Changes::new(), request, order, at), order))
    })
    .await
}

fn remembering(changes: Changes, request: &Request, order: OrderId, at: Time) -> Changes {
    match request.receipt() {
        None => changes,
        Some((name, fingerprint)) => {
            changes.insert(&PlacedUnder { name: name.to_owned(), fingerprint: fingerprint.to_owned(), order, at })
        }
    }
}
