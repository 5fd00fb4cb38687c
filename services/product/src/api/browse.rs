//! What everybody may read: lists, products, what is found, and the tree of categories.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use cartwright_contracts::Availability;
use cartwright_http::{Caller, Json, Problem, Role, etag};
use cartwright_vocabulary::ProductId;
use futures::future;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Shop;
use super::query::{Filters, Question, cursor};
use super::view::{CategoryTree, FacetsView, ProductBatch, ProductList, ProductView, SearchResult};
use crate::documents;
use crate::domain::Product;
use crate::error::ProductError;
use crate::search::{Found, Wanted};

/// Ids that may be asked for at once.
const BATCH: usize = 100;

/// Lists products, newest first unless another order is asked for.
#[utoipa::path(get, path = "/products", tag = "product", operation_id = "productList", params(Filters), responses(
    (status = 200, body = ProductList),
    (status = 400, body = Problem, description = "`invalid_input`: a filter, order, limit or cursor that is none"),
    (status = 403, body = Problem, description = "`status` asked for by somebody else than an admin"),
))]
pub(super) async fn list_products(
    State(shop): State<Shop>,
    caller: Option<Caller>,
    filters: Filters,
) -> Result<Json<ProductList>, Problem> {
    let wanted = filters.wanted(caller.as_ref(), shop.currency, String::new(), false)?;
    let found = shop.find(wanted.clone()).await?;
    let items = shop.shown(&found, &wanted).await?;
    Ok(Json(ProductList { items, next_cursor: next(&found), total: found.total }))
}

/// Finds products by words, the beginning of one, or a SKU; typing errors are allowed where nothing else is found.
#[utoipa::path(get, path = "/search", tag = "product", operation_id = "productSearch", params(Question, Filters), responses(
    (status = 200, body = SearchResult),
    (status = 400, body = Problem, description = "`invalid_input`"),
    (status = 403, body = Problem, description = "`status` asked for by somebody else than an admin"),
))]
pub(super) async fn search(
    State(shop): State<Shop>,
    caller: Option<Caller>,
    question: Question,
    filters: Filters,
) -> Result<Json<SearchResult>, Problem> {
    let wanted = filters.wanted(caller.as_ref(), shop.currency, question.text()?, true)?;
    let found = shop.find(wanted.clone()).await?;
    Ok(Json(SearchResult {
        items: shop.shown(&found, &wanted).await?,
        next_cursor: next(&found),
        total: found.total,
        facets: FacetsView::of(found.facets, shop.currency),
        suggestion: found.suggestion,
    }))
}

/// The tree of categories with the number of products on sale in each and below it.
#[utoipa::path(get, path = "/categories", tag = "product", operation_id = "productCategories", responses((status = 200, body = CategoryTree)))]
pub(super) async fn categories(State(shop): State<Shop>) -> Result<Json<CategoryTree>, Problem> {
    let found = shop.find(Wanted::counted()).await?;
    Ok(Json(CategoryTree::of(found.facets.category)))
}

/// One product, by its id or by its part of an address.
#[utoipa::path(get, path = "/products/{id}", tag = "product", operation_id = "productGet",
    params(("id" = String, Path, description = "The product's id or slug")),
    responses(
        (status = 200, body = ProductView, headers(("ETag" = String, description = "The product's version"))),
        (status = 404, body = Problem, description = "`product_unknown`"),
    ))]
pub(super) async fn get_product(
    State(shop): State<Shop>,
    caller: Option<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let stored = match id.parse::<ProductId>() {
        Ok(id) => shop.store.get::<Product>(id.to_string()).await?,
        Err(_) => documents::with_slug(&shop.store, &id).await?,
    };
    let sees_all = caller.is_some_and(|caller| caller.role == Role::Admin);
    let product = stored.map(|stored| stored.doc).filter(|product| sees_all || product.is_public());
    let product = product.ok_or(ProductError::Unknown)?;
    let view = shop.with_stock(std::slice::from_ref(&product)).await?;
    Ok(([(header::ETAG, etag(product.version))], Json(view.into_iter().next())).into_response())
}

/// Products by id.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct BatchGet {
    /// At most 100.
    ids: Vec<String>,
}

/// The products with these ids. It changes nothing; it is a POST because the ids may be many.
#[utoipa::path(post, path = "/batch-get", tag = "product", operation_id = "productBatchGet", request_body = BatchGet, responses(
    (status = 200, body = ProductBatch),
    (status = 400, body = Problem, description = "`invalid_input`: no list, or more than 100 ids"),
))]
pub(super) async fn get_products(
    State(shop): State<Shop>,
    Json(BatchGet { ids }): Json<BatchGet>,
) -> Result<Json<ProductBatch>, Problem> {
    if ids.len() > BATCH {
        return Err(Problem::invalid("/ids", format!("at most {BATCH}")));
    }
    let known = ids.iter().filter_map(|id| id.parse::<ProductId>().ok());
    let mut products: Vec<Product> = Vec::new();
    for product in shop.read(known).await?.into_iter().flatten().filter(Product::is_public) {
        if products.iter().all(|other| other.id != product.id) {
            products.push(product);
        }
    }
    let missing = ids.into_iter().filter(|id| products.iter().all(|product| product.id.to_string() != *id));
    Ok(Json(ProductBatch { missing: missing.collect(), items: shop.with_stock(&products).await? }))
}

fn next(found: &Found) -> Option<String> {
    found.places.last().filter(|_| found.more).map(cursor)
}

impl Shop {
    async fn find(&self, wanted: Wanted) -> Result<Found, Problem> {
        let index = Arc::clone(&self.index);
        let found = tokio::task::spawn_blocking(move || index.find(&wanted)).await;
        let found = found.map_err(|error| Problem::internal(&error))?;
        Ok(found.map_err(ProductError::Search)?)
    }

    async fn read(&self, ids: impl Iterator<Item = ProductId>) -> Result<Vec<Option<Product>>, Problem> {
        let reads = ids.map(|id| self.store.get::<Product>(id.to_string()));
        Ok(future::try_join_all(reads).await?.into_iter().map(|stored| stored.map(|stored| stored.doc)).collect())
    }

    /// The page as the store has it now: what left the wanted state since the index last looked is left out.
    async fn shown(&self, found: &Found, wanted: &Wanted) -> Result<Vec<ProductView>, Problem> {
        let products = self.read(found.places.iter().map(crate::search::Place::product)).await?;
        let fits = |product: &Product| wanted.status.is_none_or(|status| product.listing.status == status);
        let views = products.into_iter().flatten().filter(fits).map(|product| async move {
            let shelf = documents::shelf(&self.store, product.id).await?;
            Ok::<_, Problem>(ProductView::with(&product, &shelf.availability()))
        });
        future::try_join_all(views).await
    }

    /// The products with what inventory says of them; with the last news from it where it does not answer.
    async fn with_stock(&self, products: &[Product]) -> Result<Vec<ProductView>, Problem> {
        let ids: Vec<ProductId> = products.iter().map(|product| product.id).collect();
        let stock = match self.stock.availability(&ids).await {
            Ok(stock) => stock,
            Err(error) => {
                tracing::warn!(%error, "availability is shown as it was last heard of");
                let shelves = ids.iter().map(|id| documents::shelf(&self.store, *id));
                future::try_join_all(shelves).await?.iter().map(crate::domain::Shelf::availability).collect()
            }
        };
        let stock: HashMap<ProductId, Availability> = stock.into_iter().map(|it| (it.product, it)).collect();
        let view = |product: &Product| match stock.get(&product.id) {
            Some(availability) => ProductView::with(product, availability),
            None => ProductView::of(product),
        };
        Ok(products.iter().map(view).collect())
    }
}
