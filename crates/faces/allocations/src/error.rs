//! What can go wrong, and what it is in this API: the one place of its statuses and error bodies.
//!
//! The bodies are those of Django REST Framework: `{"detail": …}`, or one list of sentences a field.

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use content::Error as ContentError;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use identity::LoginError;
use ledger::{Refusal, Resource, Side};
use serde_json::{Map, Value as Json_, json};
use store::Error as StoreError;

use crate::routes;

/// Why a call was not done.
#[derive(Debug)]
pub enum Error {
    /// Nobody is logged in.
    Anonymous,
    /// The bearer token is none.
    BadToken,
    /// The call may come from somebody else's page.
    Csrf,
    /// They may see it, and not do this.
    Denied,
    /// It is not there, or not theirs.
    NotFound,
    /// A page behind the last.
    NoSuchPage,
    /// The body is no JSON, or no form; the sentence says why.
    Parse(String),
    /// A body of a kind that is not taken here.
    MediaType(String),
    /// A body longer than is taken here.
    TooLarge,
    /// Fields with faults, in order.
    Fields(Vec<Fault>),
    /// What was asked cannot be, for no single field's fault.
    Refused(String),
    /// It cannot be done in the state things are in.
    Conflict(String),
    /// A part of a content that lies behind its end.
    Range {
        /// How many bytes there are.
        size: u64,
    },
    /// A login that was not let in.
    Login(LoginError),
    /// The store's answer.
    Store(StoreError),
    /// The answer of content.
    Content(ContentError),
}

/// What is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which; `non_field_errors` for none.
    pub field: String,
    /// Why, in the framework's words.
    pub why: String,
}

impl Error {
    /// One field with one fault.
    pub fn field(field: &str, why: impl Into<String>) -> Error {
        Error::Fields(vec![Fault { field: field.to_owned(), why: why.into() }])
    }

    /// Through the store's closures and back: see the conversion below.
    pub fn noun(self) -> StoreError {
        match self {
            Error::Store(error) => error,
            own => StoreError::noun(own),
        }
    }

    /// The same, but for what only says that somebody else was faster: then it is not there any more.
    pub fn gone(error: StoreError) -> Error {
        match error {
            StoreError::Conflict(_) | StoreError::NotFound { .. } => Error::NotFound,
            other => other.into(),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        error.downcast::<Error>().unwrap_or_else(Error::Store)
    }
}

impl From<ContentError> for Error {
    fn from(error: ContentError) -> Error {
        match error {
            ContentError::Store(error) => error.into(),
            other => Error::Content(other),
        }
    }
}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Error {
        Error::Login(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::Anonymous => detail(StatusCode::FORBIDDEN, "Authentication credentials were not provided."),
            Error::BadToken => {
                let answer = detail(StatusCode::UNAUTHORIZED, "Invalid token.");
                with(answer, WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Error::Csrf => detail(StatusCode::FORBIDDEN, "CSRF Failed: CSRF token missing or incorrect."),
            Error::Denied => detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action."),
            Error::NotFound => detail(StatusCode::NOT_FOUND, "Not found."),
            Error::NoSuchPage => detail(StatusCode::NOT_FOUND, "Invalid page."),
            Error::Parse(why) => detail(StatusCode::BAD_REQUEST, &why),
            Error::MediaType(kind) => {
                let why = format!("Unsupported media type \"{kind}\" in request.");
                detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why)
            }
            Error::TooLarge => detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large."),
            Error::Fields(faults) => (StatusCode::BAD_REQUEST, Json(by_field(&faults))).into_response(),
            Error::Refused(why) => detail(StatusCode::BAD_REQUEST, &why),
            Error::Conflict(why) => detail(StatusCode::CONFLICT, &why),
            Error::Range { size } => {
                let answer = detail(StatusCode::RANGE_NOT_SATISFIABLE, "The requested range is not satisfiable.");
                with(answer, CONTENT_RANGE, text(format!("bytes */{size}")))
            }
            Error::Login(error) => login(error),
            Error::Store(error) => store(error),
            Error::Content(error) => content(error),
        }
    }
}

fn login(error: LoginError) -> Response {
    match error {
        LoginError::Wrong => {
            let why = "Unable to log in with provided credentials.";
            Error::field("non_field_errors", why).into_response()
        }
        LoginError::Throttled { retry_after_s } => {
            let unit = if retry_after_s == 1 { "second" } else { "seconds" };
            let why = format!("Request was throttled. Expected available in {retry_after_s} {unit}.");
            with(detail(StatusCode::TOO_MANY_REQUESTS, &why), RETRY_AFTER, retry_after_s.into())
        }
        LoginError::Busy => unavailable(1),
        LoginError::Store(error) => store(error),
    }
}

fn store(error: StoreError) -> Response {
    match error {
        StoreError::Refused(refusals) => refused(&refusals),
        StoreError::Overcommitted(why) | StoreError::Invalid(why) => detail(StatusCode::BAD_REQUEST, &why),
        StoreError::NotFound { .. } => Error::NotFound.into_response(),
        StoreError::Frozen(why) | StoreError::Conflict(why) | StoreError::Replayed(why) => {
            detail(StatusCode::CONFLICT, &why)
        }
        StoreError::Stale | StoreError::Managed(_) | StoreError::KeyReused => {
            detail(StatusCode::CONFLICT, &error.to_string())
        }
        StoreError::Full => detail(StatusCode::INSUFFICIENT_STORAGE, "The storage of this server is full."),
        StoreError::Busy { retry_after_s } => unavailable(retry_after_s),
        StoreError::Noun(_) | StoreError::Broken(_) | StoreError::Retry(_) => broken(&error),
    }
}

fn content(error: ContentError) -> Response {
    match error {
        ContentError::Store(error) => store(error),
        ContentError::Body(why) => detail(StatusCode::BAD_REQUEST, &format!("Parse error - {why}")),
        ContentError::Length { declared, received } => {
            let why = format!("The body was to have {declared} bytes and has {received}.");
            detail(StatusCode::BAD_REQUEST, &why)
        }
        ContentError::Damaged(_) | ContentError::Locked(_) | ContentError::Disk { .. } => broken(&error),
    }
}

/// The nearest limit that refused: from the leaf up to the root, then where it would have lain. On one node bytes are
/// told before records.
fn refused(refusals: &[Refusal]) -> Response {
    let distance = |refusal: &&Refusal| {
        let depth = refusal.path.matches('/').count();
        (refusal.side == Side::Supply, std::cmp::Reverse(depth), refusal.resource)
    };
    let Some(nearest) = refusals.iter().min_by_key(distance) else {
        return detail(StatusCode::BAD_REQUEST, "Limit exceeded.");
    };
    let (id, max) = (nearest.allotment, nearest.limit);
    let body = match (nearest.side, nearest.resource) {
        (Side::Demand, resource) => {
            let what = if resource == Resource::BYTES { "data size" } else { "record count" };
            let why = format!("Allocation {what} exceeded (max: {max})");
            json!({ "detail": why, "code": "allocation_exceeded", "allocation_id": id })
        }
        (Side::Supply, resource) => {
            let what = if resource == Resource::BYTES { "capacity" } else { "record count" };
            let why = format!("Repository {what} exceeded (max: {max})");
            json!({ "detail": why, "code": "repository_exceeded", "repository_id": id })
        }
    };
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

fn unavailable(retry_after_s: u64) -> Response {
    let answer = detail(StatusCode::SERVICE_UNAVAILABLE, "The server cannot commit right now.");
    with(answer, RETRY_AFTER, retry_after_s.into())
}

/// A fault of ours: the caller is told that much, the log the rest.
fn broken(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a call of the Allocations API failed");
    detail(StatusCode::INTERNAL_SERVER_ERROR, "A server error occurred.")
}

fn by_field(faults: &[Fault]) -> Map<String, Json_> {
    let mut map = Map::new();
    for Fault { field, why } in faults {
        let list = map.entry(field.as_str()).or_insert_with(|| json!([]));
        if let Json_::Array(list) = list {
            list.push(json!(why));
        }
    }
    map
}

fn detail(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "detail": why }))).into_response()
}

fn with(mut answer: Response, name: HeaderName, value: HeaderValue) -> Response {
    answer.headers_mut().insert(name, value);
    answer
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A method that a path of ours does not have; the router adds `Allow`.
pub async fn method_not_allowed(method: Method) -> Response {
    detail(StatusCode::METHOD_NOT_ALLOWED, &format!("Method \"{method}\" not allowed."))
}

/// A path below `/api` that is not in the table: perhaps it only lacks its slash.
pub async fn no_such_path(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/2.0/") {
        return another_face(path);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && !path.ends_with('/') && routes::is_known(&format!("{path}/")) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let answer = StatusCode::MOVED_PERMANENTLY.into_response();
        return with(answer, LOCATION, text(format!("{path}/{query}")));
    }
    Error::NotFound.into_response()
}

/// `/api/2.0` belongs to another API: where that one is not served, the answer is nobody's, and not in our form.
fn another_face(path: &str) -> Response {
    let body = json!({ "type": "not-found", "title": "Not found", "status": 404,
        "detail": format!("there is nothing at {path}") });
    let answer = (StatusCode::NOT_FOUND, Json(body)).into_response();
    with(answer, CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))
}
