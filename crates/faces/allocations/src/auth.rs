//! Who is calling: a session's cookie or a bearer token; and the way in and out.
//!
//! **Always.** A session that is good goes before a token. An unsafe call on a session is not taken from another site's page:
//! a foreign `Origin` or a wrong CSRF token ends it. The cookie is `SameSite=Lax` and bodies are JSON, which closes the gap
//! that a missing token leaves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use http::header::{HOST, ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use identity::{Face as Dialect, Principal, Session};

use crate::error::Error;
use crate::input::{self, Input};
use crate::reply::NoContent;
use crate::{Face, access, user, wire};

/// How long a login lasts: 14 days.
const SESSION_S: i64 = 14 * 24 * 3600;

const SESSION_COOKIE: &str = "sessionid";
const CSRF_COOKIE: &str = "csrftoken";
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrftoken");

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller(pub Principal);

impl std::ops::Deref for Caller {
    type Target = Principal;
    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequestParts<Face> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let headers = &parts.headers;
        if let Some(cookie) = identity::cookie_of(headers, SESSION_COOKIE).filter(|cookie| !cookie.is_empty())
            && let Some((who, session)) = face.identity.session(cookie, Dialect::Allocations).await?
        {
            if !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) {
                check_csrf(face, headers, &session)?;
            }
            return Ok(Caller(who));
        }
        let Some(token) = identity::bearer_of(headers) else { return Err(Error::Anonymous) };
        face.identity.bearer(token).await?.map(Caller).ok_or(Error::BadToken)
    }
}

/// A caller who administers their tenant, or the site.
pub struct Administrator(pub Caller);

impl FromRequestParts<Face> for Administrator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, face).await?;
        if access::is_administrator(&caller) { Ok(Administrator(caller)) } else { Err(Error::Denied) }
    }
}

impl Caller {
    /// A unit of work in their name, which can name nothing of another tenant.
    pub fn unit(&self) -> store::Unit {
        let unit = store::Unit::by(self.actor());
        match self.tenant_scope() {
            Some(tenant) => unit.within(tenant),
            None => unit,
        }
    }
}

fn check_csrf(face: &Face, headers: &HeaderMap, session: &Session) -> Result<(), Error> {
    let is_own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority.trim_end_matches('/'));
        let own = face.settings.public_url.as_deref().and_then(|url| url.split_once("://"));
        let own = own.map(|(_, rest)| rest.split('/').next().unwrap_or_default());
        let names = [Some(input::header(headers, &HOST)), own];
        authority
            .is_some_and(|it| names.into_iter().flatten().any(|name| !it.is_empty() && name.eq_ignore_ascii_case(it)))
    };
    if headers.contains_key(ORIGIN) && !is_own(input::header(headers, &ORIGIN)) {
        return Err(Error::Csrf);
    }
    let sent = headers.get(&CSRF_HEADER).map(|sent| sent.to_str().unwrap_or_default());
    let is_right = match sent {
        None => !face.settings.strict_csrf,
        Some(sent) if face.settings.strict_csrf => session.is_csrf(sent),
        Some(sent) => identity::cookie_of(headers, CSRF_COOKIE) == Some(sent) || session.is_csrf(sent),
    };
    if is_right { Ok(()) } else { Err(Error::Csrf) }
}

/// `POST /api/auth/login/`: begins a session.
pub async fn login(
    State(face): State<Face>,
    address: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    Input(asked): Input<wire::Login>,
) -> Result<Response, Error> {
    let from = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0.0.ip());
    let who = face.identity.password(&asked.email, &asked.password, from).await?;
    let session = face.identity.open_session(&who, Dialect::Allocations, SESSION_S).await?;
    let user = user::show(&face, who.user).await?;
    let cookies = cookies(&face, Some(&session)).map(|cookie| (SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies), Json(user)).into_response())
}

/// `POST /api/auth/logout/`: ends the session. Whoever came by a token has none to end.
pub async fn logout(State(face): State<Face>, _: Caller, headers: HeaderMap) -> Result<Response, Error> {
    if let Some(cookie) = identity::cookie_of(&headers, SESSION_COOKIE) {
        face.identity.close_session(cookie).await?;
    }
    let cookies = cookies(&face, None).map(|cookie| (SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies), NoContent).into_response())
}

/// `GET /api/auth/me/`: who is calling.
pub async fn me(State(face): State<Face>, caller: Caller) -> Result<Json<wire::User>, Error> {
    Ok(Json(user::show(&face, caller.user).await?))
}

/// The cookies of a session, or those that take them away.
fn cookies(face: &Face, session: Option<&Session>) -> [String; 2] {
    let is_https = face.settings.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let secure = if is_https { "; Secure" } else { "" };
    let age = if session.is_some() { SESSION_S } else { 0 };
    let (cookie, csrf) = session.map_or(("", ""), |session| (session.cookie.as_str(), session.csrf.as_str()));
    [
        format!("{SESSION_COOKIE}={cookie}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"),
        // Scripts of our own pages read this one, to send it back.
        format!("{CSRF_COOKIE}={csrf}; Path=/; Max-Age={age}; SameSite=Lax{secure}"),
    ]
}
