//! Answers: what both APIs put around a JSON value, and what every answer carries (specification, section 1.3).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{self, Carried, Dialect, Error};
use crate::{Face, ids};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-vcap-request-id");
/// The server's own, which the binary gives every request.
const OWN_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How much of a client's request id is taken over.
const REQUEST_ID_MAX: usize = 255;

const V2_TYPE: &str = "application/json;charset=utf-8";
const V3_TYPE: &str = "application/json; charset=utf-8";

/// An answer with JSON, or with nothing.
pub struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: Option<String>,
    location: Option<String>,
}

impl Reply {
    /// v2: pretty-printed with two spaces, as it was when the seed was recorded.
    pub fn v2(status: StatusCode, value: &Value) -> Reply {
        // A value of ours is JSON, so this cannot fail; and if it did, it would be an empty body and no panic.
        let body = serde_json::to_string_pretty(value).unwrap_or_default();
        Reply { status, kind: V2_TYPE, body: Some(body), location: None }
    }

    /// v3: compact.
    pub fn v3(status: StatusCode, value: &Value) -> Reply {
        Reply { status, kind: V3_TYPE, body: Some(value.to_string()), location: None }
    }

    /// v2's answer to what was made: where it is stands in its metadata.
    pub fn v2_created(value: &Value) -> Reply {
        let location = value["metadata"]["url"].as_str().map(str::to_owned);
        Reply { location, ..Reply::v2(StatusCode::CREATED, value) }
    }

    /// 204.
    pub fn nothing() -> Reply {
        Reply { status: StatusCode::NO_CONTENT, kind: V2_TYPE, body: None, location: None }
    }

    /// v3's answer to a deletion: a job to look at, and no body.
    pub fn job(location: String) -> Reply {
        Reply { status: StatusCode::ACCEPTED, kind: V3_TYPE, body: None, location: Some(location) }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body.clone().map_or_else(Body::empty, Body::from));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(LOCATION, location);
        }
        response
    }
}

/// Around every handler: errors get their dialect's body, and every answer its request id.
pub async fn finish(State(face): State<Face>, request: Request, next: Next) -> Response {
    let dialect = dialect(request.uri().path());
    let id = request_id(&face, request.headers());
    let mut response = next.run(request).await;
    if let Some(Carried(error)) = response.extensions_mut().remove::<Carried>() {
        response = failure(&error, dialect);
    } else if let Some(error) = framework(&response) {
        response = failure(&error, dialect);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What the router says by itself, in our words.
fn framework(response: &Response) -> Option<Error> {
    let is_ours =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND if !is_ours => Some(Error::UnknownRequest),
        status if status.is_client_error() && !is_ours => Some(Error::BadRequest),
        _ => None,
    }
}

fn dialect(path: &str) -> Dialect {
    match path {
        _ if path == "/v3" || path.starts_with("/v3/") => Dialect::V3,
        _ if path == "/v2" || path.starts_with("/v2/") => Dialect::V2,
        _ => Dialect::Uaa,
    }
}

fn failure(error: &Error, dialect: Dialect) -> Response {
    let told = error::told(error, dialect);
    let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let name = format!("CF-{}", told.name);
    let (kind, body) = match dialect {
        Dialect::V2 => {
            let value = json!({ "description": told.message, "error_code": name, "code": told.code });
            (V2_TYPE, serde_json::to_string_pretty(&value).unwrap_or_default() + "\n")
        }
        Dialect::V3 => {
            let error = json!({ "detail": told.message, "title": name, "code": told.code });
            (V3_TYPE, json!({ "errors": [error] }).to_string())
        }
        Dialect::Uaa => {
            let value = json!({ "error": oauth_name(&told), "error_description": told.message });
            ("application/json", value.to_string())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = told.retry_after_s {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if dialect == Dialect::Uaa {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if told.name == "invalid_client" {
            let asks = r#"Basic realm="UAA/client", error="unauthorized", error_description="Bad credentials""#;
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(asks));
        }
    }
    response
}

/// What the cloud controller's names are among OAuth's.
fn oauth_name(told: &error::Told) -> &'static str {
    match told.name {
        "NotAuthenticated" => "unauthorized",
        "InvalidAuthToken" => "invalid_token",
        "NotAuthorized" | "InsufficientScope" => "insufficient_scope",
        "NotFound" | "ResourceNotFound" => "scim_resource_not_found",
        "ServiceUnavailable" => "temporarily_unavailable",
        "ServerError" => "server_error",
        "InvalidRequest" | "MessageParseError" => "invalid_request",
        "UnprocessableEntity" => "invalid_scim_resource",
        name => name,
    }
}

/// A new id; after a client's own, if it sent one.
fn request_id(face: &Face, headers: &HeaderMap) -> String {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // The binary gives every request an id of version 7: alone, that is no client's.
    let own = header(&OWN_REQUEST_ID);
    let ours = own.filter(|id| Uuid::try_parse(id).is_ok_and(|id| id.get_version_num() == 7));
    let sent = header(&REQUEST_ID).or(own.filter(|_| ours.is_none()));
    let quiet = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).take(REQUEST_ID_MAX).collect()
    };
    let new = match ours {
        Some(own) => own.to_owned(),
        None => ids::guid(&face.store).to_string(),
    };
    match sent.map(quiet) {
        Some(sent) => format!("{sent}::{new}"),
        None => new,
    }
}
