//! What can go wrong, and what it is in this API: the one place of its statuses and error bodies.
//!
//! **Always.** The body is a list, and each element has all three keys: clients take the first element and index all of
//! them (spec, section 1.3).

use axum::extract::{MatchedPath, Request, State};
use axum::response::{IntoResponse, Response};
use content::Error as ContentError;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use identity::LoginError;
use ledger::{Refusal, Resource, Side};
use serde_json::{Value, json};
use store::Error as StoreError;

use crate::{Face, auth, reply, routes};

/// Why a call was not done.
#[derive(Debug)]
pub enum Error {
    /// No credentials.
    Anonymous,
    /// A login that was not let in.
    Login(LoginError),
    /// It is not there, or not theirs. Which: the id as it was asked for.
    NotThere(String),
    /// What is wrong with what was sent, one entry a fault.
    Faults(Vec<Fault>),
    /// They may not, or not in this state; the sentence says which.
    Denied(String),
    /// Nothing that the caller would take.
    NotAcceptable,
    /// A body whose length is not said.
    LengthRequired,
    /// A body longer than is taken here.
    TooLarge,
    /// A chunk that is there.
    ChunkThere(u64),
    /// A part of a drive that lies behind its end.
    Range {
        /// How many bytes there are.
        size: u64,
    },
    /// No room of this storage type.
    NoRoom(String),
    /// Refused for limits, on a storage type.
    Refused {
        /// Where it would have lain.
        storage_type: String,
        /// Every limit that it would pass.
        refusals: Vec<Refusal>,
    },
    /// Somebody else changed it at the same time.
    Lost,
    /// The store's answer.
    Store(StoreError),
    /// The answer of content.
    Content(ContentError),
}

/// What is wrong with one field, or with the whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which field; none: no single one.
    pub point: Option<String>,
    /// Why.
    pub message: String,
}

impl Fault {
    /// A field's fault.
    pub fn at(point: &str, message: impl Into<String>) -> Fault {
        Fault { point: Some(point.to_owned()), message: message.into() }
    }
}

impl Error {
    /// One field with one fault.
    pub fn field(point: &str, message: impl Into<String>) -> Error {
        Error::Faults(vec![Fault::at(point, message)])
    }

    /// A fault of no single field.
    pub fn whole(message: impl Into<String>) -> Error {
        Error::Faults(vec![Fault { point: None, message: message.into() }])
    }

    /// Something that is not there for the caller.
    pub fn not_there(id: impl std::fmt::Display) -> Error {
        Error::NotThere(id.to_string())
    }

    /// An action that the state forbids, in the form of the vendor's own sentences (spec, section 1.3).
    pub fn state(action: &str, noun: &str, state: &str, wanted: &str) -> Error {
        let mut capital = noun.to_owned();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Error::Denied(format!("Cannot {action} {noun} in state \"{state}\". {capital} should be in state \"{wanted}\""))
    }

    /// Through the store's closures and back: see the conversion below.
    pub fn noun(self) -> StoreError {
        match self {
            Error::Store(error) => error,
            own => StoreError::noun(own),
        }
    }

    /// The same, where it is known on which storage type there would have been no room.
    pub fn on(self, storage_type: &str) -> Error {
        match self {
            Error::Store(StoreError::Refused(refusals)) | Error::Refused { refusals, .. } => {
                Error::Refused { storage_type: storage_type.to_owned(), refusals }
            }
            other => other,
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
            Error::Anonymous => credentials("Authentication required"),
            Error::Login(error) => login(error),
            Error::NotThere(id) => {
                one(StatusCode::NOT_FOUND, "notexist", &format!("Object with uuid {id} does not exist"), None)
            }
            Error::Faults(faults) => invalid(&faults),
            Error::Denied(why) => one(StatusCode::FORBIDDEN, "permission", &why, None),
            Error::NotAcceptable => {
                let why = "This server answers application/json only";
                one(StatusCode::NOT_ACCEPTABLE, "permission", why, None)
            }
            Error::LengthRequired => one(StatusCode::LENGTH_REQUIRED, "validation", "Content-Length is required", None),
            Error::TooLarge => one(StatusCode::PAYLOAD_TOO_LARGE, "validation", "The request body is too large", None),
            Error::ChunkThere(number) => {
                let why = format!("Chunk {number} is already uploaded");
                one(StatusCode::RANGE_NOT_SATISFIABLE, "validation", &why, None)
            }
            Error::Range { size } => {
                let why = "The requested range is behind the end of the drive";
                let answer = one(StatusCode::RANGE_NOT_SATISFIABLE, "validation", why, None);
                with(answer, CONTENT_RANGE, text(format!("bytes */{size}")))
            }
            Error::NoRoom(storage_type) => no_room(&storage_type),
            Error::Refused { storage_type, refusals } => refused(&refusals, &storage_type),
            Error::Lost => concurrency(1),
            Error::Store(error) => store(error),
            Error::Content(error) => content(error),
        }
    }
}

fn login(error: LoginError) -> Response {
    match error {
        LoginError::Wrong => credentials("Wrong e-mail address or password"),
        // Still 401: to every client of this API anything else would be a fault of the call itself.
        LoginError::Throttled { retry_after_s } => {
            let why = format!("Too many failed logins, try again in {retry_after_s} s");
            with(credentials(&why), RETRY_AFTER, retry_after_s.into())
        }
        LoginError::Busy => concurrency(1),
        LoginError::Store(error) => store(error),
    }
}

fn store(error: StoreError) -> Response {
    match error {
        StoreError::Refused(refusals) => refused(&refusals, ""),
        StoreError::NotFound { id, .. } => Error::NotThere(id).into_response(),
        StoreError::Invalid(why) => Error::whole(why).into_response(),
        StoreError::Frozen(why) => Error::Denied(why).into_response(),
        StoreError::Managed(_) => Error::Denied(error.to_string()).into_response(),
        StoreError::Conflict(_) | StoreError::Stale | StoreError::KeyReused | StoreError::Replayed(_) => concurrency(1),
        StoreError::Overcommitted(why) => one(StatusCode::SERVICE_UNAVAILABLE, "backend", &why, None),
        StoreError::Full => {
            let why = "We currently cannot provide enough resources: the storage is full";
            one(StatusCode::SERVICE_UNAVAILABLE, "backend", why, None)
        }
        StoreError::Busy { retry_after_s } => concurrency(retry_after_s),
        StoreError::Noun(_) | StoreError::Broken(_) | StoreError::Retry(_) => broken(&error),
    }
}

/// Who asks is told of their own limits before they are told of ours (spec, section 8).
fn refused(refusals: &[Refusal], storage_type: &str) -> Response {
    let Some(refusal) = refusals.iter().find(|refusal| refusal.side == Side::Demand) else {
        // A path with a parent is a storage type's; a pool's own limit has none.
        let lies = refusals.iter().find_map(|refusal| refusal.path.rsplit_once('/')).map(|(_, name)| name);
        return no_room(lies.unwrap_or(storage_type));
    };
    let Refusal { path, resource, limit, used, asked, .. } = refusal;
    let why = format!("The limit of {path} is {limit} {resource}: {used} are used, {asked} more were asked for");
    let point = (*resource == Resource::BYTES).then_some("size");
    one(StatusCode::PAYMENT_REQUIRED, "billing", &why, point)
}

fn no_room(storage_type: &str) -> Response {
    let why = format!("We currently cannot provide enough resources to create a {storage_type} drive");
    one(StatusCode::SERVICE_UNAVAILABLE, "backend", &why, None)
}

fn credentials(why: &str) -> Response {
    let answer = one(StatusCode::UNAUTHORIZED, "permission", why, None);
    // The vendor's own upload tool sends its credentials only after this (spec, section 1.2).
    with(answer, WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"users\""))
}

fn concurrency(retry_after_s: u64) -> Response {
    let why = "The object was changed at the same time, or the server is busy: try again";
    let answer = one(StatusCode::SERVICE_UNAVAILABLE, "concurrency", why, None);
    with(answer, RETRY_AFTER, retry_after_s.into())
}

fn invalid(faults: &[Fault]) -> Response {
    let entry = |fault: &Fault| entry("validation", &fault.message, fault.point.as_deref());
    list(StatusCode::BAD_REQUEST, faults.iter().map(entry).collect())
}

/// A fault of ours: the caller is told that much, the log the rest.
fn broken(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a call of the CloudSigma API failed");
    one(StatusCode::INTERNAL_SERVER_ERROR, "backend", "unknown error", None)
}

fn one(status: StatusCode, kind: &str, why: &str, point: Option<&str>) -> Response {
    list(status, vec![entry(kind, why, point)])
}

fn entry(kind: &str, why: &str, point: Option<&str>) -> Value {
    json!({ "error_type": kind, "error_message": why, "error_point": point })
}

fn list(status: StatusCode, entries: Vec<Value>) -> Response {
    reply::json(status, &Value::Array(entries))
}

fn with(mut answer: Response, name: HeaderName, value: HeaderValue) -> Response {
    answer.headers_mut().insert(name, value);
    answer
}

fn text(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A method that a path of ours does not have: `OPTIONS` is told which it has, others get 405, to which the router adds
/// `Allow`.
pub async fn method_not_allowed(State(face): State<Face>, path: Option<MatchedPath>, request: Request) -> Response {
    if *request.method() != Method::OPTIONS {
        let why = format!("Method {} is not allowed here", request.method());
        return one(StatusCode::METHOD_NOT_ALLOWED, "permission", &why, None);
    }
    if let Err(error) = auth::caller(&face, request.headers(), request.extensions()).await {
        return error.into_response();
    }
    let methods = routes::methods_of(path.as_ref().map_or("", |path| path.as_str()));
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], methods.join(",")).into_response()
}

/// A path below `/api/2.0` that is not in the table: to somebody who may ask, it is not there.
pub async fn no_such_path(caller: Result<auth::Caller, Error>, request: Request) -> Response {
    match caller {
        Ok(_) => {
            let why = format!("There is nothing at {}", request.uri().path());
            one(StatusCode::NOT_FOUND, "notexist", &why, None)
        }
        Err(error) => error.into_response(),
    }
}

fn content(error: ContentError) -> Response {
    match error {
        ContentError::Store(error) => store(error),
        ContentError::Body(why) => {
            one(StatusCode::BAD_REQUEST, "validation", &format!("The body broke off: {why}"), None)
        }
        ContentError::Length { declared, received } => {
            let why = format!("The body was to have {declared} bytes and has {received}");
            one(StatusCode::BAD_REQUEST, "validation", &why, None)
        }
        ContentError::Damaged(_) | ContentError::Locked(_) | ContentError::Disk { .. } => broken(&error),
    }
}
