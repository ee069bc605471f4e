//! Logging in: a token that lives as long as it is used (spec, section 2.1).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::header::SET_COOKIE;
use identity::Face as Dialect;
use serde_json::json;
use store::{Error as StoreError, Micros};

use crate::call::Open;
use crate::error::Error;
use crate::person::{self, Person};
use crate::speech::{self, Reply};
use crate::{Face, wire};

/// The cookie that a login sets, beside the token in its answer.
pub const COOKIE: &str = "Authorization";
/// How long a token lives after a call.
const IDLE_S: i64 = 20 * 60;
/// A call this soon after the last one does not write that it was made: bounds the commits of a busy caller.
const NEXT_US: Micros = 1_000_000;

/// `POST /session/login`: begins a session, by a user's id or e-mail address and their password.
pub async fn login(
    State(face): State<Face>,
    address: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    Open { body }: Open,
) -> Result<Response, Error> {
    let asked = wire::Login::read(&body)?;
    let from = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0.0.ip());
    let id = asked.user.clone();
    let email = face.store.read(move |tx| person::email_of(tx, &id)).await?.unwrap_or(asked.user);
    let who = face.identity.password(&email, &asked.password, from).await?;
    let user = who.user;
    // Whoever is no user of this API gets in nowhere here.
    let known = face.store.read(move |tx| person::by_user(tx, user)).await?;
    known.ok_or(Error::Unauthenticated)?;
    let session = face.identity.open_session(&who, Dialect::KooDrive, IDLE_S).await?;
    let cookie = format!("{COOKIE}={}; Path=/koodrive; HttpOnly; SameSite=Strict", session.cookie);
    let reply = Reply::with(speech::SUCCESS, json!({ "accessToken": session.cookie }))?;
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), reply).into_response())
}

/// Whose session this token is; the session lives on from here.
pub async fn resume(face: &Face, token: &str) -> Result<Option<Person>, Error> {
    let Some((who, session)) = face.identity.session(token, Dialect::KooDrive).await? else { return Ok(None) };
    let left = session.expires_at - face.store.now();
    if left <= IDLE_S * 1_000_000 - NEXT_US {
        match face.identity.prolong_session(token, IDLE_S).await {
            // It is good for this call all the same.
            Err(error @ (StoreError::Full | StoreError::Busy { .. })) => {
                tracing::debug!(%error, "a session was not prolonged");
            }
            prolonged => prolonged?,
        }
    }
    Ok(face.store.read(move |tx| person::by_user(tx, who.user)).await?)
}
