//! Which header fields go through the gateway, and which are its own to say.
//!
//! Promises that a service hears nothing from a client that sounds as if the gateway had said it, and that what concerns one
//! connection alone stays on it (RFC 9110, 7.6.1).

use std::net::IpAddr;

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use cartwright_http::{DEADLINE, FORWARDED_FOR, NOT_PROCESSED};

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields that concern one connection alone, whether or not `Connection` names them.
const OF_A_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Beginnings of names by which processes of the shop speak to each other.
const OURS: [&str; 4] = ["x-forwarded-", "x-user-", "x-internal-", "x-cartwright-"];

/// Names of the same kind.
const OURS_BY_NAME: [HeaderName; 5] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("http2-settings"),
    DEADLINE,
];

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// The client, where it came over a socket.
    pub(crate) client: Option<IpAddr>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The host in the request's URI, which HTTP/2 has in place of the header.
    pub(crate) authority: Option<&'a Authority>,
}

/// Makes the header of a client's request the one that a service gets.
pub(crate) fn to_service(headers: &mut HeaderMap, origin: Origin<'_>) {
    remove_connection_fields(headers);
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    // The body is framed anew, and a service that says 100 says it to us.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    join_cookies(headers);
    if let Some(host) = origin.authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.entry(header::HOST).or_insert(host);
    }
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    headers.insert(header::VIA, HeaderValue::from_static("1.1 cartwright"));
    if let Some(client) = origin.client.and_then(|client| HeaderValue::try_from(client.to_canonical().to_string()).ok())
    {
        headers.insert(FORWARDED_FOR, client);
    }
}

/// What a service says of pages of other origins; at the public edge that is for the edge to say.
const OF_OTHER_ORIGINS: [HeaderName; 3] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

/// Makes the header of a service's answer the one that the client gets.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    remove_connection_fields(headers);
    headers.remove(NOT_PROCESSED);
    for name in OF_OTHER_ORIGINS {
        headers.remove(name);
    }
}

fn remove_connection_fields(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&OF_A_CONNECTION) {
        // `Connection: host` would make the service see another request than we did.
        if *name != header::HOST && *name != header::AUTHORIZATION {
            headers.remove(name);
        }
    }
}

fn is_ours(name: &HeaderName) -> bool {
    OURS.iter().any(|start| name.as_str().starts_with(start)) || OURS_BY_NAME.contains(name)
}

/// HTTP/2 may send each cookie for itself, HTTP/1.1 must send them in one field (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn sent(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let client = Some("::ffff:203.0.113.7".parse().unwrap());
        to_service(&mut headers, Origin { client, scheme: "https", authority: None });
        headers
    }

    #[test]
    fn a_service_hears_nothing_that_only_the_gateway_may_say() {
        let sent = sent(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-user", "admin"),
            ("x-user-id", "usr_1"),
            ("x-internal-role", "admin"),
            ("x-cartwright-not-processed", "1"),
            ("x-request-deadline-ms", "1"),
            ("x-real-ip", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("authorization", "Bearer x"),
            ("idempotency-key", "k"),
            ("x-request-id", "r"),
        ]);
        let expected = headers(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 cartwright"),
            ("authorization", "Bearer x"),
            ("idempotency-key", "k"),
            ("x-request-id", "r"),
        ]);
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let sent = sent(&[
            ("connection", "close, X-Trace-Me, host"),
            ("x-trace-me", "1"),
            ("host", "shop.example"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("upgrade", "h2c"),
            ("http2-settings", "AA"),
            ("proxy-authorization", "Basic x"),
            ("expect", "100-continue"),
        ]);
        let names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        assert_eq!(sent[header::HOST], "shop.example");

        let mut answer = headers(&[
            ("connection", "close, x-inside"),
            ("x-inside", "1"),
            ("transfer-encoding", "chunked"),
            ("x-cartwright-not-processed", "1"),
            ("access-control-allow-origin", "https://elsewhere.example"),
            ("etag", "\"1\""),
            ("content-length", "9"),
        ]);
        to_client(&mut answer);
        assert_eq!(answer, headers(&[("etag", "\"1\""), ("content-length", "9")]));
    }

    #[test]
    fn the_host_and_the_cookies_of_http_2_become_those_of_http_1() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        let authority = Authority::from_static("shop.example:3001");
        to_service(&mut headers, Origin { client: None, scheme: "http", authority: Some(&authority) });
        assert_eq!(
            (&headers[header::HOST], &headers[header::COOKIE]),
            (&"shop.example:3001".parse().unwrap(), &"a=1; b=2".parse().unwrap())
        );
        assert!(!headers.contains_key(FORWARDED_FOR));
    }
}
