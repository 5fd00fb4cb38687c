//! The routes: read what is sold, find it, and, for an admin, say what is sold.

mod admin;
mod browse;
mod query;
mod view;

use std::sync::Arc;

use cartwright_contracts::Stock;
use cartwright_store::Store;
use cartwright_vocabulary::Currency;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::search::SearchIndex;

pub(crate) use view::ProductView;

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) stock: Arc<dyn Stock>,
    pub(crate) index: Arc<SearchIndex>,
    pub(crate) currency: Currency,
}

/// Every route, without the gateway's prefix.
pub(crate) fn routes(shop: Shop) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(browse::list_products, admin::create_product))
        .routes(routes!(browse::get_product, admin::replace_product, admin::patch_product, admin::archive_product))
        .routes(routes!(browse::get_products))
        .routes(routes!(browse::search))
        .routes(routes!(browse::categories))
        .routes(routes!(admin::import_products))
        .with_state(shop)
}
