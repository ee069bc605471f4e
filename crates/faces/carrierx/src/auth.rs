//! Which partner is calling: a bearer token with scopes, or the partner's login and password (section 1.1).
//!
//! **Always.** What a call needs follows from its method: one of two scopes, `storage.manage` or the method's own. A login has
//! all of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::Method;
use http::header::AUTHORIZATION;
use http::request::Parts;
use store::{Actor, TenantId, Unit};

use crate::Face;
use crate::error::Error;
use crate::ids::PartnerId;
use crate::partner::{self, Account};

/// The scope that is enough for everything.
const MANAGE: &str = "storage.manage";

/// Who is calling, and may do what the request's method does.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The partner.
    pub partner: PartnerId,
    /// Whose customer that is.
    pub tenant: TenantId,
}

impl FromRequestParts<Face> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let headers = &parts.headers;
        if let Some(token) = identity::bearer_of(headers) {
            let sha256 = partner::fingerprint(token);
            let found = face.store.read(move |tx| partner::by_token(tx, &sha256)).await?;
            let (account, scopes) = found.ok_or(Error::BadCredentials)?;
            let wanted = scope_of(&parts.method);
            return match scopes.split(' ').any(|scope| scope == MANAGE || scope == wanted) {
                true => Ok(account.caller()),
                false => Err(Error::Forbidden),
            };
        }
        // The vendor's Python client asks everything once with a user and a password of nothing: told at once, and not
        // counted as a guess.
        match identity::basic_of(headers) {
            Some((login, password)) if !login.is_empty() => {
                let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
                let from = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0.ip());
                basic(face, login, password, from).await
            }
            _ if headers.contains_key(AUTHORIZATION) => Err(Error::BadCredentials),
            _ => Err(Error::Anonymous),
        }
    }
}

async fn basic(face: &Face, login: String, password: identity::Secret, from: IpAddr) -> Result<Caller, Error> {
    let key = format!("carrierx:{login}");
    let found = face.store.read(move |tx| partner::by_login(tx, &login)).await?;
    let (account, hash) = found.map_or((None, None), |(account, hash)| (Some(account), hash));
    let whose = account.map_or_else(uuid::Uuid::nil, |account| account.id.0);
    face.identity.check_password(&key, whose, hash, password, from).await?;
    account.map(|account| account.caller()).ok_or(Error::BadCredentials)
}

fn scope_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "storage.create",
        Method::PATCH | Method::PUT => "storage.update",
        Method::DELETE => "storage.delete",
        _ => "storage.read",
    }
}

impl Account {
    fn caller(self) -> Caller {
        Caller { partner: self.id, tenant: self.tenant }
    }
}

impl Caller {
    /// As the journal names them.
    pub fn actor(&self) -> Actor {
        Actor::of("partner", self.partner)
    }

    /// A unit of work in their name, which can name nothing of another tenant.
    pub fn unit(&self) -> Unit {
        Unit::by(self.actor()).within(self.tenant)
    }
}
