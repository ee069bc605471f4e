//! Answers.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::Error;

/// What most answers fit.
const ROOM: usize = 512;

/// A value as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Error> {
    let mut body = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut body, value)
        .map_err(|error| store::Error::Broken(format!("an answer could not be written: {error}")))?;
    Ok(bytes(status, body))
}

/// What is JSON already.
pub fn bytes(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// 200, with a value as JSON.
pub fn ok(value: &impl Serialize) -> Result<Response, Error> {
    json(StatusCode::OK, value)
}

/// 204.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The version of what is answered.
pub fn tagged(mut response: Response, version: i64) -> Response {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// What a step of a unit did: one in, one out.
pub fn only<T>(mut done: Vec<T>) -> Result<T, Error> {
    done.pop().ok_or_else(|| store::Error::Broken("a step was done and left nothing".to_owned()).into())
}

/// A page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; none is the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of what was found. One more was looked for: it shows that there is another page.
    pub fn of<F>(mut found: Vec<F>, limit: usize, cursor: impl Fn(&F) -> String, item: impl Fn(&F) -> T) -> Page<T> {
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let next = found.last().filter(|_| !is_last).map(cursor);
        Page { items: found.iter().map(item).collect(), next }
    }
}
