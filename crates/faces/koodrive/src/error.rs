//! What can go wrong, and what it is in this API: the one place of its statuses and codes (spec, section 6).

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use identity::LoginError;
use store::Error as StoreError;

use crate::speech::{Outcome, Said};

/// Why a call was not done.
#[derive(Debug)]
pub enum Error {
    /// Who is calling was not proved. Why not is told to nobody but the log.
    Unauthenticated,
    /// What was asked makes no sense; the log says why.
    Parameters(&'static str),
    /// There is no such space.
    NoSpace,
    /// More than there is room for.
    Insufficient,
    /// They are known, and may not do this.
    Denied,
    /// The space is disabled.
    Inactive,
    /// There is no such path.
    NoSuchPath,
    /// The path has no such method.
    MethodNotAllowed,
    /// A login that was not let in.
    Login(LoginError),
    /// The store's answer.
    Store(StoreError),
}

impl Error {
    /// Through the store's closures and back: see the conversion below.
    pub fn noun(self) -> StoreError {
        match self {
            Error::Store(error) => error,
            own => StoreError::noun(own),
        }
    }

    /// The same, of a unit that names one space: what is not there any more is the space.
    pub fn of_space(error: StoreError) -> Error {
        match error {
            StoreError::NotFound { .. } => Error::NoSpace,
            // It is to be smaller than what is used in it: that is what was asked, not what there is room for.
            StoreError::Refused(_) => Error::Parameters("capacity is less than what is used"),
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

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Error {
        Error::Login(error)
    }
}

const UNAUTHENTICATED: Said = Said { english: "Authentication failed.", chinese: "认证失败。" };
const PARAMETERS: Said = Said { english: "Verify parameters failed.", chinese: "参数校验失败。" };
const NO_SPACE: Said = Said { english: "Space not found or abnormal.", chinese: "空间不存在或状态异常。" };
const NOT_FOUND: Said = Said { english: "Resource not found.", chinese: "资源不存在。" };
const INSUFFICIENT: Said = Said { english: "Insufficient space.", chinese: "空间不足。" };
const DENIED: Said =
    Said { english: "The user has no permission on the space.", chinese: "用户没有该空间的权限。" };
const INACTIVE: Said = Said { english: "The space is not active.", chinese: "空间未激活。" };
const NO_SUCH_PATH: Said = Said { english: "Path not found.", chinese: "路径不存在。" };
const METHOD_NOT_ALLOWED: Said = Said { english: "Method not allowed.", chinese: "不支持该方法。" };
const TOO_MANY_LOGINS: Said = Said { english: "Too many failed logins.", chinese: "登录失败次数过多。" };
const BUSY: Said =
    Said { english: "The server cannot commit right now.", chinese: "服务器繁忙,请稍后重试。" };
const FULL: Said = Said { english: "The storage of this server is full.", chinese: "服务器存储已满。" };
const BROKEN: Said = Said { english: "Internal error.", chinese: "内部错误。" };

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::Unauthenticated => answer(StatusCode::UNAUTHORIZED, 13_000_201, UNAUTHENTICATED),
            Error::Parameters(why) => parameters(why),
            Error::NoSpace => answer(StatusCode::BAD_REQUEST, 13_000_301, NO_SPACE),
            Error::Insufficient => answer(StatusCode::BAD_REQUEST, 13_000_311, INSUFFICIENT),
            Error::Denied => answer(StatusCode::BAD_REQUEST, 13_000_410, DENIED),
            Error::Inactive => answer(StatusCode::BAD_REQUEST, 13_000_412, INACTIVE),
            Error::NoSuchPath => plain(StatusCode::NOT_FOUND, NO_SUCH_PATH),
            Error::MethodNotAllowed => plain(StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED),
            Error::Login(error) => login(error),
            Error::Store(error) => store(error),
        }
    }
}

fn login(error: LoginError) -> Response {
    match error {
        LoginError::Wrong => Error::Unauthenticated.into_response(),
        LoginError::Throttled { retry_after_s } => {
            later(plain(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_LOGINS), retry_after_s)
        }
        LoginError::Busy => later(plain(StatusCode::SERVICE_UNAVAILABLE, BUSY), 1),
        LoginError::Store(error) => store(error),
    }
}

fn store(error: StoreError) -> Response {
    match error {
        // A type's total, or a limit above it that its claims would pass.
        StoreError::Refused(_) | StoreError::Overcommitted(_) => Error::Insufficient.into_response(),
        StoreError::Frozen(_) => Error::Inactive.into_response(),
        StoreError::NotFound { .. } => answer(StatusCode::BAD_REQUEST, 13_000_309, NOT_FOUND),
        StoreError::Invalid(why) | StoreError::Conflict(why) | StoreError::Replayed(why) => parameters(&why),
        StoreError::Stale | StoreError::Managed(_) | StoreError::KeyReused => parameters(&error.to_string()),
        StoreError::Full => plain(StatusCode::INSUFFICIENT_STORAGE, FULL),
        StoreError::Busy { retry_after_s } => later(plain(StatusCode::SERVICE_UNAVAILABLE, BUSY), retry_after_s),
        StoreError::Noun(_) | StoreError::Broken(_) | StoreError::Retry(_) => {
            tracing::error!(%error, "a call of the KooDrive API failed");
            plain(StatusCode::INTERNAL_SERVER_ERROR, BROKEN)
        }
    }
}

/// The documentation has one sentence for all that is wrong with what was asked; who looks for it finds it in the log.
fn parameters(why: &str) -> Response {
    tracing::debug!(why, "a call of the KooDrive API asked for what cannot be");
    answer(StatusCode::BAD_REQUEST, 13_000_102, PARAMETERS)
}

/// What the documentation has no code for gets the status as its code.
fn plain(status: StatusCode, said: Said) -> Response {
    answer(status, status.as_u16().into(), said)
}

fn answer(status: StatusCode, code: u32, said: Said) -> Response {
    Outcome { status, code, said, data: None }.into_response()
}

fn later(mut answer: Response, seconds: u64) -> Response {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// A method that a path of ours does not have; the router adds `Allow`.
pub async fn method_not_allowed() -> Error {
    Error::MethodNotAllowed
}

/// A path below `/koodrive` that is not in the table.
pub async fn no_such_path() -> Error {
    Error::NoSuchPath
}
