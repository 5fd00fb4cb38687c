//! What an admin says about the catalogue.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cartwright_http::{Caller, Command, Json, Problem, answer, etag, if_match};
use cartwright_store::{Answer, Lane, change, execute};
use cartwright_vocabulary::ProductId;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::io::StreamReader;
use utoipa::IntoParams;

use super::Shop;
use super::view::ProductView;
use crate::domain::{Draft, Product, ProductInput, plain_json};
use crate::error::ProductError;
use crate::import::{ImportError, ImportFormat, ImportReport, import};
use crate::operations::{self, Amendment};

/// An admin is calling. Asked before the body is read, so that nobody else learns what is wrong with theirs.
pub(super) struct Admin;

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        caller.must_be_admin().map(|()| Self)
    }
}

/// Lists a product for the first time.
#[utoipa::path(post, path = "/products", tag = "product", operation_id = "productCreate", security(("bearer" = [])), request_body = ProductInput, responses(
    (status = 201, body = ProductView, headers(("ETag" = String), ("Location" = String))),
    (status = 400, body = Problem, description = "`invalid_input`: each field that is wrong, by pointer"),
    (status = 403, body = Problem),
    (status = 409, body = Problem, description = "`sku_taken`, `slug_taken`"),
))]
pub(super) async fn create_product(
    State(shop): State<Shop>,
    _admin: Admin,
    command: Command<ProductInput>,
) -> Result<Response, Problem> {
    let draft = shop.draft(command.body)?;
    let listed = execute(&shop.store, &command.request, Lane::none(), |view| {
        let draft = &draft;
        async move { operations::list_product(&view, draft).await }
    });
    let Answer { reply, replayed } = listed.await?;
    let location = format!("/product/products/{}", reply.id);
    let view = Answer { reply: ProductView::of(&reply), replayed };
    Ok(([(header::ETAG, etag(reply.version)), (header::LOCATION, location)], answer(StatusCode::CREATED, view))
        .into_response())
}

/// Says everything about a product anew.
#[utoipa::path(put, path = "/products/{id}", tag = "product", operation_id = "productReplace", security(("bearer" = [])), request_body = ProductInput,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses(
        (status = 200, body = ProductView, headers(("ETag" = String))),
        (status = 400, body = Problem, description = "`invalid_input`"),
        (status = 403, body = Problem),
        (status = 404, body = Problem, description = "`product_unknown`"),
        (status = 409, body = Problem, description = "`sku_taken`, `slug_taken`"),
        (status = 412, body = Problem, description = "`version_changed`"),
    ))]
pub(super) async fn replace_product(
    State(shop): State<Shop>,
    _admin: Admin,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(input): Json<ProductInput>,
) -> Result<Response, Problem> {
    let amendment = Amendment::Whole(Box::new(shop.draft(input)?));
    shop.amend(&id, &headers, amendment).await
}

/// The fields to change: those of a new product, `null` to take one away.
#[derive(Debug, Deserialize)]
pub(super) struct Patch(#[serde(deserialize_with = "plain_json")] BTreeMap<String, Box<RawValue>>);

/// Says something else about a product, the rest stays (JSON merge patch, RFC 7396).
#[utoipa::path(patch, path = "/products/{id}", tag = "product", operation_id = "productChange", security(("bearer" = [])),
    request_body(content = ProductInput, description = "Any of these fields; `null` takes one away"),
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses(
        (status = 200, body = ProductView, headers(("ETag" = String))),
        (status = 400, body = Problem, description = "`invalid_input`"),
        (status = 403, body = Problem),
        (status = 404, body = Problem, description = "`product_unknown`"),
        (status = 409, body = Problem, description = "`sku_taken`, `slug_taken`"),
        (status = 412, body = Problem, description = "`version_changed`"),
    ))]
pub(super) async fn patch_product(
    State(shop): State<Shop>,
    _admin: Admin,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(Patch(fields)): Json<Patch>,
) -> Result<Response, Problem> {
    shop.amend(&id, &headers, Amendment::Fields(fields)).await
}

/// Takes a product out of the shop. It stays known to the orders and carts that name it.
#[utoipa::path(delete, path = "/products/{id}", tag = "product", operation_id = "productArchive", security(("bearer" = [])),
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The ETag that was read")),
    responses(
        (status = 200, body = ProductView, headers(("ETag" = String))),
        (status = 403, body = Problem),
        (status = 404, body = Problem, description = "`product_unknown`"),
        (status = 412, body = Problem, description = "`version_changed`"),
    ))]
pub(super) async fn archive_product(
    State(shop): State<Shop>,
    _admin: Admin,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, expected) = (known(&id)?, if_match(&headers)?);
    let archived = change(&shop.store, Lane::of::<Product>(id.to_string()), |view| async move {
        operations::archive_product(&view, id, expected).await
    });
    Ok(versioned(&archived.await?))
}

/// How the file is written, where its media type does not say so.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// `csv` or `jsonl`.
    format: Option<String>,
}

/// Imports a file of products: Shopify's product CSV (`text/csv`) or JSON lines (`application/x-ndjson`), of any length.
///
/// Idempotent by SKU, so a file that broke off is simply sent again.
#[utoipa::path(post, path = "/import", tag = "product", operation_id = "productImport", security(("bearer" = [])), params(ImportQuery),
    request_body(content = String, content_type = "text/csv", description = "Or JSON lines as application/x-ndjson"),
    responses(
        (status = 200, body = ImportReport),
        (status = 400, body = Problem, description = "`import_unreadable`: what was read until then is imported"),
        (status = 403, body = Problem),
        (status = 415, body = Problem, description = "`unsupported_media_type`"),
    ))]
pub(super) async fn import_products(
    State(shop): State<Shop>,
    _admin: Admin,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImportReport>, Problem> {
    let format = format(&query, &headers)?;
    let input = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
    let report = import(&shop.store, shop.currency, input, format, |_| {}).await;
    report.map(Json).map_err(|error| match error {
        ImportError::Store(error) => error.into(),
        ImportError::Unreadable(_) => {
            Problem::bad_request("import_unreadable", "The body ended before it was complete; send the file again.")
        }
        other @ (ImportError::TooLong { .. } | ImportError::NoColumn(_) | ImportError::TooManyRejected) => {
            Problem::bad_request("import_unreadable", other)
        }
    })
}

fn format(query: &ImportQuery, headers: &HeaderMap) -> Result<ImportFormat, Problem> {
    if let Some(name) = &query.format {
        return ImportFormat::named(name).ok_or_else(|| Problem::invalid("format", "csv or jsonl"));
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    ImportFormat::of_media_type(media).ok_or_else(|| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "Send the file as text/csv or application/x-ndjson, or name it with ?format=csv or ?format=jsonl.",
        )
    })
}

/// The id in a path; one that cannot be an id names no product.
fn known(id: &str) -> Result<ProductId, ProductError> {
    id.parse().map_err(|_| ProductError::Unknown)
}

fn versioned(product: &Product) -> Response {
    let version = HeaderValue::from_str(&etag(product.version)).ok();
    let headers: HeaderMap = version.map(|version| (header::ETAG, version)).into_iter().collect();
    (headers, Json(ProductView::of(product))).into_response()
}

impl Shop {
    fn draft(&self, input: ProductInput) -> Result<Draft, ProductError> {
        input.draft(self.currency).map_err(ProductError::Invalid)
    }

    async fn amend(&self, id: &str, headers: &HeaderMap, amendment: Amendment) -> Result<Response, Problem> {
        let (id, expected, currency) = (known(id)?, if_match(headers)?, self.currency);
        let amended = change(&self.store, Lane::of::<Product>(id.to_string()), |view| {
            let amendment = &amendment;
            async move { operations::amend_product(&view, id, expected, amendment, currency).await }
        });
        Ok(versioned(&amended.await?))
    }
}
