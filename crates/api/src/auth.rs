//! Who is calling: a bearer token, the local socket, or the console's session.
//!
//! **Always.** Whoever shows a token is judged by it and nothing else. A session counts only for calls that come from our own
//! pages: a call that changes something must name this very origin.

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use identity::{Face, Principal};
use store::{Actor, TenantId, Unit, UserId};

use crate::Api;
use crate::error::Error;

/// The cookies that hold a console's session: over TLS, and without.
pub const SESSION_COOKIES: [&str; 2] = ["__Host-plimsoll_session", "plimsoll_session"];

/// The request came through the socket in the data folder, which only its owner can open: an operator without a token. The
/// binary puts it on such requests as an extension; nothing that comes over the network can.
#[derive(Clone, Copy, Debug)]
pub struct LocalOperator;

/// Who is calling.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever can open the data folder: an operator who is no user.
    Local,
    /// A user.
    User(Principal),
}

impl Caller {
    /// As the journal names them.
    pub fn actor(&self) -> Actor {
        match self {
            Caller::Local => Actor::system("local"),
            Caller::User(who) => who.actor(),
        }
    }

    /// The tenant that everything they name must be of; none for an operator.
    pub fn tenant_scope(&self) -> Option<TenantId> {
        match self {
            Caller::Local => None,
            Caller::User(who) => who.tenant_scope(),
        }
    }

    /// Whether they run the site.
    pub fn is_operator(&self) -> bool {
        self.tenant_scope().is_none()
    }

    /// Whether they run this tenant; an operator's users (no tenant) are run by operators.
    pub fn runs(&self, tenant: Option<TenantId>) -> bool {
        match self {
            Caller::Local => true,
            Caller::User(who) => who.is_operator() || tenant.is_some_and(|tenant| who.is_admin_of(tenant)),
        }
    }

    /// Whether this is them.
    pub fn is(&self, user: UserId) -> bool {
        matches!(self, Caller::User(who) if who.user == user)
    }

    /// The member they are, if they have neither a site nor a tenant to run.
    pub fn member(&self) -> Option<&Principal> {
        match self {
            Caller::User(who) if !who.is_operator() && !who.admin => Some(who),
            _ => None,
        }
    }

    /// A unit of work of theirs: within their tenant, and hands off what faces manage.
    pub fn unit(&self) -> Unit {
        let unit = Unit::by(self.actor()).unmanaged();
        match self.tenant_scope() {
            Some(tenant) => unit.within(tenant),
            None => unit,
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Caller, Error> {
        Credentials::of(parts, is_local(parts)).caller(api).await
    }
}

fn is_local(parts: &Parts) -> bool {
    parts.extensions.get::<LocalOperator>().is_some()
}

/// What a request shows of its caller.
struct Credentials<'r> {
    method: &'r Method,
    headers: &'r HeaderMap,
    is_local: bool,
}

impl Credentials<'_> {
    fn of(parts: &Parts, is_local: bool) -> Credentials<'_> {
        Credentials { method: &parts.method, headers: &parts.headers, is_local }
    }

    async fn caller(&self, api: &Api) -> Result<Caller, Error> {
        if self.headers.contains_key(AUTHORIZATION) {
            let token = identity::bearer_of(self.headers).ok_or(Error::Unauthorized)?;
            return api.identity.bearer(token).await?.map(Caller::User).ok_or(Error::Unauthorized);
        }
        if self.is_local {
            return Ok(Caller::Local);
        }
        for cookie in SESSION_COOKIES.iter().filter_map(|name| identity::cookie_of(self.headers, name)) {
            if let Some((who, _)) = api.identity.session(cookie, Face::Console).await? {
                self.check_origin()?;
                return Ok(Caller::User(who));
            }
        }
        Err(Error::Unauthorized)
    }

    /// A browser says where a call comes from whenever that matters: it must be here.
    fn check_origin(&self) -> Result<(), Error> {
        let text = |name: HeaderName| self.headers.get(name).and_then(|value| value.to_str().ok());
        let origin = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        let is_here = match (self.headers.get(ORIGIN), origin, text(HOST)) {
            (None, ..) => matches!(*self.method, Method::GET | Method::HEAD),
            (Some(_), Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
            _ => false,
        };
        if is_here { Ok(()) } else { Err(Error::Forbidden("a session is used from the console's own pages only")) }
    }
}

/// A way to ask again who a request was from: a stream outlives tokens and sessions.
pub struct Again {
    method: Method,
    headers: HeaderMap,
    is_local: bool,
}

impl Again {
    /// The caller as they are now; an error when they are nobody any more.
    pub async fn caller(&self, api: &Api) -> Result<Caller, Error> {
        let Again { method, headers, is_local } = self;
        Credentials { method, headers, is_local: *is_local }.caller(api).await
    }
}

impl FromRequestParts<Api> for Again {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Again, Error> {
        Ok(Again { method: parts.method.clone(), headers: parts.headers.clone(), is_local: is_local(parts) })
    }
}
