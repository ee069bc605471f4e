//! `Idempotency-Key`: a POST sent twice has one effect.
//!
//! **Shape.** A unit of work takes the key along ([`guard`]), so the key's row is in the commit of the effect. What identity
//! makes has units of its own: for those an id is set aside under the key first ([`set_aside`]), and a second request finds
//! the id and what was made with it.
//! **Always.** A refusal is not remembered. The same key with another body is a conflict.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use store::{Applied, Error as StoreError, Idempotency, Unit};
use uuid::Uuid;

use crate::Api;
use crate::auth::Caller;
use crate::error::Error;

/// The header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Says that an answer is an earlier one's.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A key as it came.
#[derive(Clone, Debug)]
pub struct Key {
    /// The method and path it came on; of a long path its hash.
    pub route: String,
    /// The key.
    pub key: String,
    /// The SHA-256 of the body.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// The key of one of many parts of a request.
    pub fn part(&self, number: usize) -> Key {
        Key { key: format!("{}#{number}", self.key), ..self.clone() }
    }

    fn store(self, caller: &Caller, render: impl Fn(&Applied) -> String + Send + Sync + 'static) -> Idempotency {
        let Key { route, key, fingerprint } = self;
        Idempotency { principal: caller.actor().as_str().to_owned(), route, key, fingerprint, render: Box::new(render) }
    }
}

/// The unit, with one effect under this key. `body` makes the body of the answer; it comes with `status` again.
pub fn guard<T, B: Serialize>(
    unit: Unit<T>,
    caller: &Caller,
    key: Option<Key>,
    status: StatusCode,
    body: impl Fn(&Applied) -> B + Send + Sync + 'static,
) -> Unit<T> {
    let Some(key) = key else { return unit };
    let render = move |applied: &Applied| {
        format!("{} {}", status.as_u16(), serde_json::to_string(&body(applied)).unwrap_or_default())
    };
    unit.idempotent(key.store(caller, render))
}

/// The answer that was given before, as [`guard`] has kept it.
pub fn replay(kept: &str) -> Response {
    let (status, body) = kept.split_once(' ').unwrap_or(("200", kept));
    let status = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    let json = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, json), (REPLAYED, HeaderValue::from_static("true"))], body.to_owned()).into_response()
}

/// The body of an answer that was given before.
pub fn body_of(kept: &str) -> &str {
    kept.split_once(' ').map_or(kept, |(_, body)| body)
}

/// What was set aside under a key.
#[derive(Clone, Copy, Debug)]
pub struct Aside {
    /// An id nobody else has.
    pub id: Uuid,
    /// Whether an earlier request set it aside, and may have used it.
    pub is_old: bool,
}

impl Api {
    /// An id for what is about to be made: under the same key the same again.
    pub async fn set_aside(&self, caller: &Caller, key: Option<Key>) -> Result<Aside, Error> {
        let id = self.store.new_id();
        let Some(key) = key else { return Ok(Aside { id, is_old: false }) };
        let unit = Unit::by(caller.actor()).idempotent(key.store(caller, move |_| id.to_string()));
        match self.store.write(unit).await {
            Ok(_) => Ok(Aside { id, is_old: false }),
            Err(StoreError::Replayed(kept)) => match Uuid::try_parse(&kept) {
                Ok(id) => Ok(Aside { id, is_old: true }),
                Err(_) => Err(StoreError::Broken(format!("{kept:?} was set aside, which is no id")).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Notes a key without an answer: [`StoreError::KeyReused`] comes before anything else is done.
    pub async fn note_key(&self, caller: &Caller, key: &Key) -> Result<(), Error> {
        let unit = Unit::by(caller.actor()).idempotent(key.clone().store(caller, |_| String::new()));
        match self.store.write(unit).await {
            Ok(_) | Err(StoreError::Replayed(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
