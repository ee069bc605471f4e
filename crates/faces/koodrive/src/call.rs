//! A call as the handlers take it: who it is from, and what it brings. Its body is read before anything else is looked at,
//! because the signature covers it.

use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};

use crate::Face;
use crate::auth::{self, Caller, ID_MAX};
use crate::error::Error;

/// The longest body, in bytes: some hundred times what is asked here.
const BODY_MAX: usize = 64 * 1024;

/// A call by somebody who is known.
pub struct Call {
    /// Who is calling.
    pub caller: Caller,
    body: Bytes,
    query: Vec<(String, String)>,
}

impl FromRequest<Face> for Call {
    type Rejection = Error;

    async fn from_request(request: Request, face: &Face) -> Result<Self, Error> {
        let (parts, body) = taken(request).await?;
        let caller = auth::authenticate(face, &parts, &body).await?;
        let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let query = query.map(|query| query.0).map_err(|_| Error::Parameters("the query is no list of pairs"))?;
        Ok(Call { caller, body, query })
    }
}

impl Call {
    /// The body as an object.
    pub fn json(&self) -> Result<Map<String, Value>, Error> {
        object(&self.body)
    }

    /// One value of the query.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A call that anybody may make.
pub struct Open {
    /// Its body, as an object.
    pub body: Map<String, Value>,
}

impl FromRequest<Face> for Open {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Face) -> Result<Self, Error> {
        let (_, body) = taken(request).await?;
        Ok(Open { body: object(&body)? })
    }
}

async fn taken(request: Request) -> Result<(Parts, Bytes), Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await;
    let body = body.map_err(|_| Error::Parameters("the body is too long, or broke off"))?;
    Ok((parts, body.to_bytes()))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    serde_json::from_slice(body).map_err(|_| Error::Parameters("the body is no JSON object"))
}

/// The owner in a path: text of the caller's, which need not be known to anybody (spec, section 4).
pub struct Owner(pub String);

impl FromRequestParts<Face> for Owner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, face).await.ok();
        let owner = params.as_ref().and_then(|params| params.iter().find(|(key, _)| *key == "owner"));
        let owner = owner.map(|(_, value)| value).filter(|value| is_id(value));
        owner.map(|owner| Owner(owner.to_owned())).ok_or(Error::Parameters("the owner is no id"))
    }
}

/// Whether a text can be an id of this API: opaque, of bounded length, without control characters.
pub fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}
