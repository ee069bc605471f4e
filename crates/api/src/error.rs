//! What can go wrong, and what it is on the wire: RFC 9457 problems. The one place of statuses.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use ledger::Refusal;
use serde::Serialize;

use crate::idempotency;
use crate::wire;

/// Why a call was not done.
#[derive(Debug)]
pub enum Error {
    /// No credentials, or none that are good.
    Unauthorized,
    /// They may see it, and not do this; the sentence says what.
    Forbidden(&'static str),
    /// This noun is not there, or not theirs to see: which of these is not told.
    NotFound(&'static str),
    /// There is nothing at this path.
    NoSuchPath(String),
    /// The path is there, the method is not.
    NoSuchMethod,
    /// What was sent has faults.
    Invalid(Vec<Fault>),
    /// The body is longer than so many bytes.
    TooLarge(usize),
    /// It cannot commit now.
    NotReady,
    /// As many streams as may be are open already.
    TooManyStreams,
    /// The store's answer.
    Store(store::Error),
    /// The answer of content.
    Content(content::Error),
}

/// What is wrong with one part of what was sent.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Fault {
    /// Which part: a JSON pointer into the body, or `/name` of a query's parameter.
    pub pointer: String,
    /// Why.
    pub detail: String,
}

impl Error {
    /// One fault.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Error {
        Error::Invalid(vec![Fault { pointer: pointer.into(), detail: detail.into() }])
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        match error.downcast::<identity::Forbidden>() {
            Ok(identity::Forbidden) => Error::Forbidden("this is not yours to do"),
            Err(error) => Error::Store(error),
        }
    }
}

impl From<content::Error> for Error {
    fn from(error: content::Error) -> Error {
        match error {
            content::Error::Store(error) => error.into(),
            other => Error::Content(other),
        }
    }
}

/// A problem document.
#[derive(Serialize, Debug)]
pub struct Problem {
    r#type: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(flatten)]
    more: More,
    /// When to come again, in seconds: a header.
    #[serde(skip)]
    retry_after_s: Option<u64>,
    /// What is for the log only.
    #[serde(skip)]
    cause: Option<String>,
}

/// The members that only some problems have.
#[derive(Serialize, Debug)]
#[serde(untagged)]
enum More {
    Nothing {},
    Faults { errors: Vec<Fault> },
    Noun { noun: wire::Managed },
    Refusals(wire::Refused),
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(status: StatusCode, r#type: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem { r#type, title, status, detail, more: More::Nothing {}, retry_after_s: None, cause: None }
    }

    fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
    }

    fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    fn invalid(errors: Vec<Fault>) -> Problem {
        let detail = "what was sent is not valid: see errors";
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid", detail);
        Problem { more: More::Faults { errors }, ..problem }
    }

    fn cannot_commit(retry_after_s: u64) -> Problem {
        let detail =
            "the server cannot commit right now; whether this call had its effect is known by its idempotency key";
        Problem::unavailable(retry_after_s, detail)
    }

    fn unavailable(retry_after_s: u64, detail: &str) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail);
        Problem { retry_after_s: Some(retry_after_s), ..problem }
    }

    fn refused(refusals: &[Refusal]) -> Problem {
        let detail = refusals.first().map(ToString::to_string).unwrap_or_default();
        let problem = Problem::new(StatusCode::CONFLICT, "limit-exceeded", "Limit exceeded", detail);
        match wire::Refused::new(refusals) {
            Some(refused) => Problem { more: More::Refusals(refused), ..problem },
            None => problem,
        }
    }

    fn broken(cause: String) -> Problem {
        let detail = "this is a fault of ours; it is in the server's log";
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail);
        Problem { cause: Some(cause), ..problem }
    }

    /// What only the log is to know, if there is anything.
    pub fn take_cause(&mut self) -> Option<String> {
        self.cause.take()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Unauthorized => {
                let detail = "send a valid token: Authorization: Bearer <token>";
                Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail)
            }
            Error::Forbidden(why) => Problem::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", why),
            Error::NotFound(noun) => Problem::not_found(format!("there is no such {noun}")),
            Error::NoSuchPath(path) => Problem::not_found(format!("there is nothing at {path}")),
            Error::NoSuchMethod => {
                let detail = "this path does not take this method; Allow says which it takes";
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
            }
            Error::Invalid(errors) => Problem::invalid(errors),
            Error::TooLarge(max) => {
                let detail = format!("a body has at most {max} bytes here");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
            }
            Error::NotReady => Problem::cannot_commit(1),
            Error::TooManyStreams => {
                Problem::unavailable(10, "too many streams are open already; pages are still answered")
            }
            Error::Store(error) => of_store(error),
            Error::Content(error) => Problem::broken(error.to_string()),
        }
    }
}

fn of_store(error: store::Error) -> Problem {
    match error {
        store::Error::Refused(refusals) => Problem::refused(&refusals),
        store::Error::Overcommitted(why) | store::Error::Frozen(why) | store::Error::Conflict(why) => {
            Problem::conflict(why)
        }
        // Not by which id or path: a path that leads to another tenant would be told from one that leads nowhere.
        store::Error::NotFound { noun, .. } => Problem::not_found(format!("there is no such {noun}")),
        store::Error::Stale => {
            let (kind, detail) = ("precondition-failed", "it has been changed since the version in If-Match");
            Problem::new(StatusCode::PRECONDITION_FAILED, kind, "Precondition failed", detail)
        }
        store::Error::Managed(managed) => {
            let detail = format!("it belongs to {} {} of {}: change it there", managed.noun, managed.id, managed.face);
            let problem = Problem::new(StatusCode::CONFLICT, "managed", "Managed", detail);
            Problem { more: More::Noun { noun: managed.into() }, ..problem }
        }
        store::Error::Invalid(why) => Problem::invalid(vec![Fault { pointer: String::new(), detail: why }]),
        store::Error::KeyReused => Problem::conflict("this idempotency key was used with another request"),
        store::Error::Replayed(_) => Problem::conflict("this was done before under this idempotency key"),
        store::Error::Full => {
            let (kind, detail) = ("insufficient-storage", "the storage of this server is full; deletes still work");
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, kind, "Insufficient storage", detail)
        }
        store::Error::Busy { retry_after_s } => Problem::cannot_commit(retry_after_s),
        store::Error::Noun(cause) => Problem::broken(cause.to_string()),
        store::Error::Broken(cause) | store::Error::Retry(cause) => Problem::broken(cause),
    }
}

/// What the log is still to be told of an answer: see [`log_faults`].
#[derive(Clone)]
struct Cause(String);

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(cause) = self.take_cause() {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            // Not an error to the caller: what they asked for was done, once.
            Error::Store(store::Error::Replayed(answer)) => idempotency::replay(&answer),
            error => Problem::from(error).into_response(),
        }
    }
}

/// Logs a fault of ours once, where the request's id is known, by which the caller can name it.
pub async fn log_faults(request: Request, next: Next) -> Response {
    let id = request.headers().get("x-request-id").cloned();
    let mut response = next.run(request).await;
    if let Some(Cause(cause)) = response.extensions_mut().remove::<Cause>() {
        let id = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
        tracing::error!(request.id = id, cause, "a call of the native API failed");
    }
    response
}
