//! Answers: JSON as this API sends it, and 204.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;

/// What a JSON answer calls itself: clients compare the whole.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// JSON with a status.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => (status, [(CONTENT_TYPE, JSON)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// 200 with one object, or whatever is answered bare.
pub struct Bare<T>(pub T);

impl<T: Serialize> IntoResponse for Bare<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// 201 with what was made, in order; `Location` is the first one's URI.
pub struct Created<T> {
    /// The URI of the first.
    pub location: String,
    /// All of them.
    pub objects: Vec<T>,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut answer = json(StatusCode::CREATED, &json!({ "objects": self.objects }));
        if let Ok(location) = HeaderValue::try_from(self.location) {
            answer.headers_mut().insert(LOCATION, location);
        }
        answer
    }
}

/// 200 with what was changed, wrapped.
pub struct Wrapped<T>(pub T);

impl<T: Serialize> IntoResponse for Wrapped<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &json!({ "objects": [self.0] }))
    }
}

/// 202: the action goes on. Wrapped or bare as the action's page has it (spec, section 7.5).
pub enum Accepted<T> {
    /// `{"objects": […]}`.
    Wrapped(T),
    /// The object itself.
    Bare(T),
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        match self {
            Accepted::Wrapped(object) => json(StatusCode::ACCEPTED, &json!({ "objects": [object] })),
            Accepted::Bare(object) => json(StatusCode::ACCEPTED, &object),
        }
    }
}

/// 204, which calls its nothing HTML (spec, section 1.1).
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        (StatusCode::NO_CONTENT, [(CONTENT_TYPE, HTML)]).into_response()
    }
}

/// 204 as driveusers answers it.
pub struct NoJson;

impl IntoResponse for NoJson {
    fn into_response(self) -> Response {
        (StatusCode::NO_CONTENT, [(CONTENT_TYPE, JSON)]).into_response()
    }
}
