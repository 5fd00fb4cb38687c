//! Reads that the public contract also has without a prefix.

use axum::http::Method;

/// The service that answers, and its path: both without the gateway's prefix.
const ALIASES: &[(&str, &str)] = &[
    ("auth", "/.well-known/jwks.json"),
    ("product", "/products"),
    ("product", "/products/{id}"),
    ("product", "/search"),
    ("product", "/categories"),
    ("order", "/orders/{userId}"),
];

/// What an alias may be asked with.
pub(crate) const ALLOW: &str = "GET,HEAD";

/// The service that answers `path` without a prefix, if one does.
pub(crate) fn service_of(path: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, alias)| is_same_shape(alias, path)).map(|(service, _)| *service)
}

/// Whether the route `template` of `service` is also served without the prefix.
pub(crate) fn is_alias(service: &str, template: &str) -> bool {
    ALIASES.iter().any(|(owner, alias)| *owner == service && is_same_shape(alias, template))
}

/// Whether an alias takes `method`.
pub(crate) fn takes(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Whether `path` has the segments of `template`; `{…}` stands for any one segment.
fn is_same_shape(template: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == found || (wanted.starts_with('{') && !found.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_stands_for_one_segment_and_no_other_shape_is_an_alias() {
        assert_eq!(service_of("/products"), Some("product"));
        assert_eq!(service_of("/products/prd_1"), Some("product"));
        assert_eq!(service_of("/orders/usr_1"), Some("order"));
        for other in ["/products/", "/products/a/b", "/product", "/orders", "/import", "/me", "/"] {
            assert_eq!(service_of(other), None, "{other}");
        }
        assert!(is_alias("product", "/products/{productId}"));
        assert!(!is_alias("order", "/products"));
    }
}
