//! Who is calling: HTTP Basic, with the e-mail address and the password of a person (spec, section 1.2).
//!
//! **Always.** No session and no cookie: each call brings its credentials, so no other site's page can make one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{Extensions, HeaderMap};
use identity::Principal;
use ledger::AllotmentId;
use store::{TenantId, Unit};

use crate::Face;
use crate::error::Error;

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
        caller(face, &parts.headers, &parts.extensions).await
    }
}

/// The caller of a request with these headers.
pub async fn caller(face: &Face, headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Error> {
    let (email, password) = identity::basic_of(headers).ok_or(Error::Anonymous)?;
    let from = extensions.get::<ConnectInfo<SocketAddr>>();
    let from = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0.ip());
    Ok(Caller(face.identity.password(&email, password.expose(), from).await?))
}

/// Whose room is taken: a person's own node, in their tenant.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// Their tenant.
    pub tenant: TenantId,
    /// Their node.
    pub node: AllotmentId,
}

impl Caller {
    /// A unit of work in their name, which can name nothing of another tenant.
    pub fn unit(&self) -> Unit {
        let unit = Unit::by(self.actor());
        match self.tenant_scope() {
            Some(tenant) => unit.within(tenant),
            None => unit,
        }
    }

    /// Where what they make is charged. Operators run the site and own nothing in it.
    pub fn home(&self) -> Result<Home, Error> {
        match (self.tenant, self.allotment) {
            (Some(tenant), Some(node)) => Ok(Home { tenant, node }),
            _ => Err(Error::Denied("An operator of the site belongs to no tenant and can own nothing".to_owned())),
        }
    }
}
