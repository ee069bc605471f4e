//! What can go wrong, and what it is in this API: the one place of its statuses and error bodies (section 1.2).
//!
//! The body is `{"message": …, "errors": [{"field", "message"[, "reference_sid"]}]}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use content::Error as ContentError;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, CONTENT_RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use identity::LoginError;
use ledger::{Refusal, Resource, Side};
use serde_json::json;
use store::Error as StoreError;
use uuid::Uuid;

/// Why a call was not done.
#[derive(Debug)]
pub enum Error {
    /// Nobody says who they are.
    Anonymous,
    /// The token or the password is wrong.
    BadCredentials,
    /// The token has not the scope, or what is named is another partner's to use.
    Forbidden,
    /// There is no such item, or it is another partner's.
    NotFound,
    /// There is no such path.
    NoSuchPath,
    /// The body is no JSON object.
    NotJson,
    /// A parameter of the query makes no sense.
    Query(Fault),
    /// The body broke off, or is no form.
    Body(String),
    /// A body of a kind that is not taken here.
    MediaType,
    /// A body longer than is taken here.
    TooLarge,
    /// Fields with faults, in order.
    Fields(Vec<Fault>),
    /// It cannot be done in the state things are in.
    Conflict(&'static str),
    /// A part of a content that lies behind its end.
    Range {
        /// How many bytes there are.
        size: u64,
    },
    /// A password that was not looked at, or is wrong.
    Login(LoginError),
    /// The store's answer.
    Store(StoreError),
    /// The answer of content.
    Content(ContentError),
}

/// What is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which.
    pub field: String,
    /// Why.
    pub message: String,
    /// What stands in the way, where that is something.
    pub reference: Option<Uuid>,
}

impl Fault {
    /// A fault that nothing else stands behind.
    pub fn new(field: &str, message: impl Into<String>) -> Fault {
        Fault { field: field.to_owned(), message: message.into(), reference: None }
    }
}

impl Error {
    /// One field with one fault.
    pub fn field(field: &str, message: impl Into<String>) -> Error {
        Error::Fields(vec![Fault::new(field, message)])
    }

    /// One field, and what stands in its way.
    pub fn taken(field: &str, message: &str, by: Uuid) -> Error {
        Error::Fields(vec![Fault { reference: Some(by), ..Fault::new(field, message) }])
    }

    /// A parameter of the query.
    pub fn query(parameter: &str, why: impl Into<String>) -> Error {
        Error::Query(Fault::new(parameter, why))
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
            Error::Anonymous => unauthorized("Unauthorized"),
            Error::BadCredentials => unauthorized("Bad credentials"),
            Error::Forbidden => message(StatusCode::FORBIDDEN, "Forbidden"),
            Error::NotFound => message(StatusCode::NOT_FOUND, "Cannot find item by SID"),
            Error::NoSuchPath => message(StatusCode::NOT_FOUND, "Not Found"),
            Error::NotJson => message(StatusCode::BAD_REQUEST, "No JSON object could be decoded"),
            Error::Query(fault) => answer(StatusCode::BAD_REQUEST, "Bad Request", &[fault]),
            Error::Body(why) => answer(StatusCode::BAD_REQUEST, "Bad Request", &[Fault::new("data", why)]),
            Error::MediaType => message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type"),
            Error::TooLarge => message(StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large"),
            Error::Fields(faults) => invalid(&faults),
            Error::Conflict(why) => message(StatusCode::CONFLICT, why),
            Error::Range { size } => {
                let answer = message(StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable");
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
        LoginError::Wrong => Error::BadCredentials.into_response(),
        LoginError::Throttled { retry_after_s } => {
            let answer = message(StatusCode::TOO_MANY_REQUESTS, "Too many failed logins");
            with(answer, RETRY_AFTER, retry_after_s.into())
        }
        LoginError::Busy => unavailable(1),
        LoginError::Store(error) => store(error),
    }
}

fn store(error: StoreError) -> Response {
    match error {
        StoreError::Refused(refusals) => refused(&refusals),
        StoreError::Overcommitted(why) => invalid(&[Fault::new("quota_bytes", why)]),
        StoreError::Invalid(why) => answer(StatusCode::BAD_REQUEST, "Bad Request", &[Fault::new("", why)]),
        StoreError::NotFound { .. } => Error::NotFound.into_response(),
        StoreError::Frozen(why) | StoreError::Conflict(why) | StoreError::Replayed(why) => {
            message(StatusCode::CONFLICT, &why)
        }
        StoreError::Stale | StoreError::Managed(_) | StoreError::KeyReused => {
            message(StatusCode::CONFLICT, &error.to_string())
        }
        StoreError::Full => message(StatusCode::INSUFFICIENT_STORAGE, "The storage of this server is full"),
        StoreError::Busy { retry_after_s } => unavailable(retry_after_s),
        StoreError::Noun(_) | StoreError::Broken(_) | StoreError::Retry(_) => broken(&error),
    }
}

fn content(error: ContentError) -> Response {
    match error {
        ContentError::Store(error) => store(error),
        ContentError::Body(why) => Error::Body(why.to_string()).into_response(),
        ContentError::Length { declared, received } => {
            Error::Body(format!("the body was to have {declared} bytes and has {received}")).into_response()
        }
        ContentError::Damaged(_) | ContentError::Locked(_) | ContentError::Disk { .. } => broken(&error),
    }
}

/// The nearest limit that refused (section 7): from the leaf up to the root, then where it would have lain. On one node
/// bytes are told before files.
fn refused(refusals: &[Refusal]) -> Response {
    let distance = |refusal: &&Refusal| {
        let depth = refusal.path.matches('/').count();
        (refusal.side == Side::Supply, std::cmp::Reverse(depth), refusal.resource)
    };
    let Some(nearest) = refusals.iter().min_by_key(distance) else {
        return invalid(&[Fault::new("quota_bytes", "container quota exceeded")]);
    };
    if nearest.resource == Resource::CONTAINERS {
        return invalid(&[Fault::new("partner_sid", "container limit reached")]);
    }
    let field = if nearest.resource == Resource::BYTES { "quota_bytes" } else { "quota_files" };
    let why = match nearest.side {
        Side::Demand => "container quota exceeded",
        Side::Supply => "storage quota exceeded",
    };
    invalid(&[Fault { reference: Some(nearest.allotment.0), ..Fault::new(field, why) }])
}

fn invalid(faults: &[Fault]) -> Response {
    answer(StatusCode::UNPROCESSABLE_ENTITY, "object validation error", faults)
}

fn unauthorized(why: &str) -> Response {
    with(message(StatusCode::UNAUTHORIZED, why), WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn unavailable(retry_after_s: u64) -> Response {
    let answer = message(StatusCode::SERVICE_UNAVAILABLE, "The server cannot commit right now");
    with(answer, RETRY_AFTER, retry_after_s.into())
}

/// A fault of ours: the caller is told that much, the log the rest.
fn broken(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a call of the CarrierX API failed");
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn message(status: StatusCode, why: &str) -> Response {
    answer(status, why, &[])
}

fn answer(status: StatusCode, why: &str, faults: &[Fault]) -> Response {
    let fault = |Fault { field, message, reference }: &Fault| match reference {
        Some(reference) => json!({ "field": field, "message": message, "reference_sid": reference }),
        None => json!({ "field": field, "message": message }),
    };
    let faults: Vec<_> = faults.iter().map(fault).collect();
    (status, Json(json!({ "message": why, "errors": faults }))).into_response()
}

fn with(mut answer: Response, name: HeaderName, value: HeaderValue) -> Response {
    answer.headers_mut().insert(name, value);
    answer
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A method that a path of ours does not have; the router adds `Allow`. `OPTIONS` is a browser that asks whether it may.
pub async fn other_method(method: Method) -> Response {
    if method != Method::OPTIONS {
        return message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let methods = HeaderValue::from_static("GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS");
    let answer = with(StatusCode::NO_CONTENT.into_response(), ACCESS_CONTROL_ALLOW_METHODS, methods);
    with(answer, ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type, Range"))
}

/// A path of this API that is not in the table. One with a slash too many is none (section 1).
pub async fn no_such_path(method: Method) -> Response {
    match method {
        Method::OPTIONS => other_method(method).await,
        _ => Error::NoSuchPath.into_response(),
    }
}
