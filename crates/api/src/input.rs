//! What comes in, within its bounds: bodies, ids in paths, parameters of queries.

use std::borrow::Cow;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_LENGTH, IF_MATCH};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use sha2::{Digest, Sha256};
use store::{Allotment, AllotmentRef};

use crate::Api;
use crate::error::Error;
use crate::idempotency::{self, KEY_BYTES_MAX, Key};

/// The longest body but a batch's.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest batch: 1,000 claims of 4 KiB, which is more than they are.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// The most items of a page, and how many it has when nothing is said.
pub const PAGE_MAX: usize = 1000;
const PAGE: usize = 100;
/// The longest value of a parameter that is looked for, in bytes: a path 32 names deep.
const PARAM_BYTES_MAX: usize = 4096;
/// The longest path that is the route of an idempotency key as it is, in bytes: more than any with a UUID in it.
const ROUTE_BYTES_MAX: usize = 255;

/// The body of a request, read and not yet understood, and its idempotency key.
pub struct Posted<const BYTES_MAX: usize = BODY_BYTES_MAX> {
    body: Bytes,
    /// The key, if it came with one.
    pub key: Option<Key>,
}

impl<const BYTES_MAX: usize> FromRequest<Api> for Posted<BYTES_MAX> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let key = key(&parts)?;
        let declared = text(&parts.headers, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        // Said before it is read.
        if declared.is_some_and(|declared| declared > BYTES_MAX as u64) {
            return Err(Error::TooLarge(BYTES_MAX));
        }
        let body = match Limited::new(body, BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Error::TooLarge(BYTES_MAX)),
            Err(error) => return Err(Error::invalid("", format!("the body did not come whole: {error}"))),
        };
        let key = key.map(|(route, key)| Key { route, key, fingerprint: Sha256::digest(&body).into() });
        Ok(Posted { body, key })
    }
}

fn key(parts: &Parts) -> Result<Option<(String, String)>, Error> {
    let Some(value) = parts.headers.get(idempotency::HEADER) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let form = || Error::invalid("", format!("Idempotency-Key: 1 to {KEY_BYTES_MAX} characters of ASCII"));
    let key = key.ok_or_else(form)?.to_owned();
    Ok(Some((format!("{} {}", parts.method, route(parts.uri.path())), key)))
}

/// A path as the route of a key, without its query, which is no part of it. A long one by its hash: keys are found by an
/// index, whose entries have a bound.
fn route(path: &str) -> Cow<'_, str> {
    match path.len() <= ROUTE_BYTES_MAX {
        true => path.into(),
        false => format!("sha256:{}", hex::encode(Sha256::digest(path))).into(),
    }
}

impl<const BYTES_MAX: usize> Posted<BYTES_MAX> {
    /// The body as this.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // Where a fault is costs something to know: it is looked for when there is one.
        serde_json::from_slice(&self.body).or_else(|_| located(&self.body))
    }

    /// The same, where no body means nothing to say.
    pub fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Error> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

fn located<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let reader = &mut serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut *reader).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_syntax() || inner.is_eof() {
            return Error::invalid("", format!("the body is no JSON: {inner}"));
        }
        let why = without_place(&inner.to_string());
        // What is missing is named by what it would be.
        let missing = why.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        Error::invalid(missing.map_or_else(|| pointer.clone(), |field| format!("{pointer}/{field}")), why.clone())
    })?;
    reader.end().map_err(|error| Error::invalid("", format!("the body is no JSON: {error}")))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", escaped(key)),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// A name as a part of a JSON pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The pointer says where it is; line and column would say it again.
fn without_place(why: &str) -> String {
    why.rsplit_once(" at line ").map_or(why, |(why, _)| why).to_owned()
}

/// A header's text.
pub fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The `{id}` in a path, decoded.
pub struct At(String);

impl FromRequestParts<Api> for At {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<At, Error> {
        let path = parts.uri.path().to_owned();
        let params = RawPathParams::from_request_parts(parts, api).await;
        let id = params.ok().and_then(|params| params.iter().next().map(|(_, value)| value.to_owned()));
        id.map(At).ok_or(Error::NoSuchPath(path))
    }
}

impl At {
    /// An allotment by its id or path. What is neither names nothing.
    pub fn allotment(&self) -> Result<AllotmentRef, Error> {
        reference(&self.0).ok_or(Error::NotFound("allotment"))
    }

    /// An id of this noun. What is no id names nothing.
    pub fn id<T: std::str::FromStr>(&self, noun: &'static str) -> Result<T, Error> {
        self.0.parse().map_err(|_| Error::NotFound(noun))
    }

    /// As it is.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// An allotment by its id, `path:…` or `supply:…`. None for what is none of these, and for what no database can hold.
pub fn reference(text: &str) -> Option<AllotmentRef> {
    let is_fit = text.len() <= PARAM_BYTES_MAX && !text.contains('\0');
    text.parse().ok().filter(|_| is_fit)
}

/// The parameters of a query. Those that nobody asks for are ignored; one without a value was not given.
pub struct Params(Vec<(String, String)>);

impl FromRequestParts<Api> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Params, Error> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs = pairs.map_err(|error| Error::invalid("", format!("the query: {}", error.body_text())))?.0;
        match pairs.iter().find(|(_, value)| value.len() > PARAM_BYTES_MAX || value.contains('\0')) {
            Some((name, _)) => Err(wrong(name, format!("at most {PARAM_BYTES_MAX} bytes, none of them 0"))),
            None => Ok(Params(pairs)),
        }
    }
}

/// What a parameter is not.
pub fn wrong(name: &str, detail: impl Into<String>) -> Error {
    Error::invalid(format!("/{}", escaped(name)), detail)
}

impl Params {
    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The same, owned.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A value of some form.
    pub fn parse<T: std::str::FromStr>(&self, name: &str, form: &str) -> Result<Option<T>, Error> {
        let parse = |text: &str| text.parse().map_err(|_| wrong(name, format!("must be {form}")));
        self.get(name).map(parse).transpose()
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(said) = self.get(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == said).map(|(_, value)| *value);
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        found.map(Some).ok_or_else(|| wrong(name, format!("must be one of {}", known.join(", "))))
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> Result<bool, Error> {
        let words = [("true", true), ("false", false), ("1", true), ("0", false)];
        Ok(self.word(name, &words)?.unwrap_or(false))
    }

    /// How many items a page has.
    pub fn limit(&self) -> Result<usize, Error> {
        match self.parse::<usize>("limit", "a whole number")? {
            None => Ok(PAGE),
            Some(limit) if (1..=PAGE_MAX).contains(&limit) => Ok(limit),
            Some(_) => Err(wrong("limit", format!("must be 1 to {PAGE_MAX}"))),
        }
    }

    /// An allotment by its id or path.
    pub fn allotment(&self, name: &str) -> Result<Option<AllotmentRef>, Error> {
        let read = |text| reference(text).ok_or_else(|| wrong(name, "must be an id, path:… or supply:…"));
        self.get(name).map(read).transpose()
    }
}

/// `If-Match`, as it came.
pub struct IfMatch(Option<String>);

impl FromRequestParts<Api> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<IfMatch, Error> {
        let values = parts.headers.get_all(IF_MATCH).iter().map(|value| value.to_str().unwrap_or_default());
        let values: Vec<&str> = values.collect();
        Ok(IfMatch((!values.is_empty()).then(|| values.join(","))))
    }
}

impl IfMatch {
    /// The version that a change may be made on: none is any. An allotment whose version is not named is stale.
    pub fn version(&self, current: &Allotment) -> Result<Option<i64>, Error> {
        let Some(tags) = &self.0 else { return Ok(None) };
        let tag = format!("\"{}\"", current.version);
        if tags.trim() == "*" {
            return Ok(None);
        }
        match tags.split(',').any(|one| one.trim() == tag) {
            true => Ok(Some(current.version)),
            false => Err(store::Error::Stale.into()),
        }
    }
}

/// Whether a stream of events is wanted rather than a page.
pub struct Streamed(pub bool);

impl FromRequestParts<Api> for Streamed {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Streamed, Error> {
        Ok(Streamed(text(&parts.headers, ACCEPT).is_some_and(|accept| accept.contains("text/event-stream"))))
    }
}
