//! Problems (RFC 9457): what the binary itself answers when no face is asked.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// An answer of type `application/problem+json`.
pub fn answer(status: StatusCode, kind: &str, title: &str, detail: &str) -> Response {
    with(status, kind, title, detail, Value::Null)
}

/// What a path of no face gets.
pub fn no_such_path(path: &str) -> Response {
    answer(StatusCode::NOT_FOUND, "not-found", "Not found", &format!("there is nothing at {path}"))
}

/// What was sent has faults.
pub fn invalid(detail: &str, faults: &[String]) -> Response {
    let errors: Vec<Value> = faults.iter().map(|fault| json!({ "pointer": "", "detail": fault })).collect();
    with(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid", detail, json!({ "errors": errors }))
}

/// It cannot be done in the state things are in.
pub fn conflict(detail: &str, reasons: &[String], hint: &str) -> Response {
    let errors: Vec<Value> = reasons.iter().map(|reason| json!({ "pointer": "", "detail": reason })).collect();
    with(StatusCode::CONFLICT, "conflict", "Conflict", detail, json!({ "errors": errors, "hint": hint }))
}

/// The store is busy or away.
pub fn unavailable(retry_after_s: u64) -> Response {
    let mut response =
        answer(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", "the server cannot commit right now");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    response
}

fn with(status: StatusCode, kind: &str, title: &str, detail: &str, more: Value) -> Response {
    let mut body = json!({ "type": kind, "title": title, "status": status.as_u16(), "detail": detail });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}
