//! The problem documents of refusals that no service wrote: those of the router, of extractors and of the edge itself.

use axum::http::{StatusCode, header};
use axum::response::Response;

use crate::Problem;

/// The problem that stands for a refusal of which only the status is known. Its text comes from here, never from within.
pub(crate) fn of_status(status: StatusCode) -> Problem {
    let (code, detail) = match status {
        StatusCode::UNAUTHORIZED => ("token_missing", "This needs a token: log in first."),
        StatusCode::FORBIDDEN => ("forbidden", "You may not do this."),
        StatusCode::NOT_FOUND => ("unknown_path", "There is nothing at this path."),
        StatusCode::METHOD_NOT_ALLOWED => {
            ("method_not_allowed", "This path does not take this method; Allow lists those it takes.")
        }
        StatusCode::NOT_ACCEPTABLE => ("not_acceptable", "This cannot be answered in a form that Accept names."),
        StatusCode::REQUEST_TIMEOUT => ("request_timeout", "The request did not arrive in time."),
        StatusCode::LENGTH_REQUIRED => ("length_required", "Send a Content-Length."),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "The body is larger than this route takes."),
        StatusCode::URI_TOO_LONG => ("url_too_long", "The URL is too long."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "This route does not take this media type."),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid_input", "Some of the input is not valid."),
        StatusCode::TOO_MANY_REQUESTS => ("rate_limited", "Too many requests. Try again later."),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ("headers_too_large", "The header is too large."),
        StatusCode::SERVICE_UNAVAILABLE => ("overloaded", "Too busy at the moment. Nothing happened; try again."),
        status if status.is_server_error() => ("internal_error", "Something went wrong on our side."),
        _ => return Problem::new(status, "bad_request", "The request cannot be understood."),
    };
    let problem = Problem::new(status, code, detail);
    match status {
        StatusCode::UNAUTHORIZED => problem.with_header(header::WWW_AUTHENTICATE, "Bearer"),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            problem.with_header(header::RETRY_AFTER, "1")
        }
        _ => problem,
    }
}

/// Makes a refusal a problem document that names the request. What a service answered as JSON of its own stays.
pub(crate) fn name_request(response: &mut Response, request_id: &str) {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return write(response, &problem.with_instance(request_id));
    }
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let media = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
    if media.is_empty() || media.starts_with(b"text/plain") {
        let problem = of_status(status).with_instance(request_id);
        for (name, value) in problem.render().headers() {
            if !response.headers().contains_key(name) {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        write(response, &problem);
    }
}

/// Puts the document into the response and leaves its other headers as they are.
fn write(response: &mut Response, problem: &Problem) {
    let (parts, body) = problem.render().into_parts();
    *response.body_mut() = body;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    if let Some(media) = parts.headers.get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, media.clone());
    }
}
