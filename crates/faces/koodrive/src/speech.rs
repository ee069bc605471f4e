//! What is said to the caller, in their language; and the trace id, which goes around every call.
//!
//! **Shape.** Handlers answer a [`Reply`] or an error; both are an [`Outcome`] on an empty response. [`speak`] lies around
//! the whole table and makes the body of it (spec, sections 1 and 6).

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

const TRACE: HeaderName = HeaderName::from_static("x-traceid");
const LANGUAGE: HeaderName = HeaderName::from_static("language");
/// How many characters a trace id has. The documentation says bits.
const TRACE_LEN: usize = 58;

/// One sentence, in both languages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// English, the default.
    pub english: &'static str,
    /// Chinese.
    pub chinese: &'static str,
}

const DONE: &str = "操作成功。";
/// What the documentation's samples say, which differs by call.
pub const OPERATION_SUCCESSFUL: Said = Said { english: "Operation successful.", chinese: DONE };
pub const SUCCESSFUL: Said = Said { english: "Successful", chinese: DONE };
pub const OK: Said = Said { english: "OK", chinese: DONE };
pub const SUCCESS: Said = Said { english: "success", chinese: DONE };

/// What came of a call, before it is said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The status.
    pub status: StatusCode,
    /// The code in the body; 0 is success.
    pub code: u32,
    /// The sentence.
    pub said: Said,
    /// What was asked for. An error has none.
    pub data: Option<Value>,
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let mut response = StatusCode::OK.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// A call that was done.
#[derive(Debug)]
pub struct Reply(Outcome);

impl Reply {
    /// That it was.
    pub fn done(said: Said) -> Reply {
        Reply(Outcome { status: StatusCode::OK, code: 0, said, data: None })
    }

    /// The same, with what was asked for.
    pub fn with<T: Serialize>(said: Said, data: T) -> Result<Reply, Error> {
        let data = serde_json::to_value(data).map_err(|error| store::Error::Broken(error.to_string()))?;
        let Reply(outcome) = Reply::done(said);
        Ok(Reply(Outcome { data: Some(data), ..outcome }))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// The body, keys in the documentation's order.
#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    code: u32,
    msg: &'static str,
}

/// Around every call: looks at the trace id, and says what came of it.
pub async fn speak(request: Request, next: Next) -> Response {
    let is_chinese = is_chinese(request.headers());
    let trace = request.headers().get(&TRACE).cloned();
    let response = match trace.as_ref().is_none_or(is_trace) {
        true => next.run(request).await,
        false => Error::Parameters("X-Traceid has 58 characters").into_response(),
    };
    let (mut head, body) = response.into_parts();
    let mut response = match head.extensions.remove::<Outcome>() {
        Some(Outcome { status, code, said, data }) => {
            let msg = if is_chinese { said.chinese } else { said.english };
            let mut response = (status, Json(Body { data, code, msg })).into_response();
            // The empty response may have been measured already.
            head.headers.remove(CONTENT_LENGTH);
            response.headers_mut().extend(head.headers);
            response
        }
        None => Response::from_parts(head, body),
    };
    if let Some(trace) = trace.filter(is_trace) {
        response.headers_mut().insert(TRACE, trace);
    }
    response
}

fn is_trace(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| text.len() == TRACE_LEN)
}

fn is_chinese(headers: &HeaderMap) -> bool {
    let said = headers.get(&LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.trim().get(..2).is_some_and(|start| start.eq_ignore_ascii_case("zh"))
}
