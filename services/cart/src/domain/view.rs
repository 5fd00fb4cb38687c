//! The cart as a shopper sees it: today's prices, totals, and warnings in place of surprises.

use cartwright_contracts::{Availability, CartLine, ProductSnapshot, ProductStatus};
use cartwright_pricing::{Goods, goods_total};
use cartwright_runtime::Time;
use cartwright_vocabulary::{Amount, CartId, Currency, Money, MoneyError, ProductId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::Cart;

/// A cart at today's prices.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartView {
    /// The cart.
    #[serde(rename = "_id")]
    pub id: CartId,
    /// Whose.
    pub user_id: UserId,
    /// The currency of all amounts.
    pub currency: Currency,
    /// What is in it, in the order it was added.
    pub items: Vec<CartItemView>,
    /// The codes that were applied.
    pub promotion_codes: Vec<String>,
    /// The goods.
    pub subtotal: Amount,
    /// Taken off by promotions.
    pub discount_total: Amount,
    /// What the goods cost after discounts, before shipping and tax.
    pub total_amount: Amount,
    /// What the shopper should know.
    pub warnings: Vec<Warning>,
    /// Counts the changes of the contents; also the `ETag`.
    pub version: u64,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Time,
}

/// One line of a cart.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartItemView {
    /// The product.
    pub product_id: ProductId,
    /// Its title.
    pub product_name: String,
    /// What one costs.
    pub price: Amount,
    /// How many.
    pub quantity: u32,
    /// The address of its picture.
    pub image: String,
    /// What the line costs.
    pub line_total: Amount,
}

/// Something a shopper should know before buying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Warning {
    /// The price is not what the shopper saw before.
    PriceChanged {
        /// The product.
        product_id: ProductId,
        /// What one costs now.
        price: Amount,
    },
    /// Fewer are there than are in the cart; an order would be refused.
    InsufficientStock {
        /// The product.
        product_id: ProductId,
        /// How many are there.
        available: u32,
    },
    /// The product is not sold any more; an order would be refused.
    Unavailable {
        /// The product.
        product_id: ProductId,
    },
}

/// The cart as it is shown: `cart` with today's `products` and `stock`.
///
/// # Errors
/// When the goods cost more than may be charged.
pub fn view(cart: &Cart, products: &[ProductSnapshot], stock: &[Availability]) -> Result<CartView, MoneyError> {
    let mut shown = cart.clone();
    shown.take_prices(products);
    let mut warnings = Vec::new();
    for (line, before) in shown.lines.iter().zip(&cart.lines) {
        warn(line, before, products, stock, &mut warnings);
    }
    let subtotal = goods_total(cart.currency, shown.lines.iter().map(goods_of))?;
    Ok(CartView {
        id: cart.id,
        user_id: cart.user_id,
        currency: cart.currency,
        items: shown.lines.into_iter().map(item_of).collect::<Result<_, _>>()?,
        promotion_codes: Vec::new(),
        subtotal: subtotal.into(),
        discount_total: Money::zero(cart.currency).into(),
        total_amount: subtotal.into(),
        warnings,
        version: cart.version,
        created_at: cart.created_at,
        updated_at: cart.updated_at,
    })
}

fn warn(
    line: &CartLine,
    before: &CartLine,
    products: &[ProductSnapshot],
    stock: &[Availability],
    warnings: &mut Vec<Warning>,
) {
    let product_id = line.product;
    if !products.iter().any(|product| product.id == product_id && product.status == ProductStatus::Active) {
        warnings.push(Warning::Unavailable { product_id });
        return;
    }
    if line.unit_price != before.unit_price {
        warnings.push(Warning::PriceChanged { product_id, price: line.unit_price.into() });
    }
    let available = stock.iter().find(|level| level.product == product_id).map_or(0, |level| level.available);
    if available < line.quantity.get() {
        warnings.push(Warning::InsufficientStock { product_id, available });
    }
}

fn goods_of(line: &CartLine) -> Goods {
    Goods { unit_price: line.unit_price, quantity: line.quantity }
}

fn item_of(line: CartLine) -> Result<CartItemView, MoneyError> {
    Ok(CartItemView {
        line_total: goods_of(&line).total()?.into(),
        product_id: line.product,
        product_name: line.name,
        price: line.unit_price.into(),
        quantity: line.quantity.get(),
        image: line.image,
    })
}
