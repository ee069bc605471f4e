//! Who is calling: the bearer token of every call to `/v2` and `/v3`, and how far it reaches.
//!
//! **Always.** A token's scopes are what its user may at most do: who they are by now is looked up at every call. An admin's
//! scopes reach their tenant, an operator's the site (specification, section 1.2).

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use identity::Principal;
use serde_json::Value;
use store::{TenantId, UserId};
use uuid::Uuid;

use crate::Face;
use crate::error::Error;
use crate::token::{self, AUDIENCE};

/// What a token lets its user do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes {
    /// `cloud_controller.admin`
    pub admin: bool,
    /// `cloud_controller.admin_read_only` or `cloud_controller.global_auditor`
    pub reads_all: bool,
    /// `cloud_controller.read`
    pub read: bool,
    /// `cloud_controller.write`
    pub write: bool,
    /// `scim.write`
    pub scim: bool,
}

impl Scopes {
    fn of(claims: &Value) -> Scopes {
        let mut scopes = Scopes::default();
        for scope in claims["scope"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            match scope {
                "cloud_controller.admin" => scopes.admin = true,
                "cloud_controller.admin_read_only" | "cloud_controller.global_auditor" => scopes.reads_all = true,
                "cloud_controller.read" => scopes.read = true,
                "cloud_controller.write" => scopes.write = true,
                "scim.write" => scopes.scim = true,
                _ => {}
            }
        }
        scopes
    }
}

/// The person that calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who.
    pub who: Principal,
    /// How far their token reaches.
    pub scopes: Scopes,
}

impl FromRequestParts<Face> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let Some(header) = parts.headers.get(AUTHORIZATION) else { return Err(Error::NotAuthenticated) };
        let text = header.to_str().map_err(|_| Error::InvalidToken)?;
        let word = text.split_once(' ').filter(|(word, _)| word.eq_ignore_ascii_case("bearer"));
        let (_, bearer) = word.ok_or(Error::InvalidToken)?;
        let caller = admit(face, bearer.trim()).await?;
        if !parts.uri.path().starts_with("/v2") && !parts.uri.path().starts_with("/v3") {
            return Ok(caller);
        }
        let reads = matches!(parts.method, http::Method::GET | http::Method::HEAD);
        let Scopes { admin, reads_all, read, write, .. } = caller.scopes;
        if admin || (reads && (read || reads_all)) || (!reads && write) { Ok(caller) } else { Err(Error::Scope) }
    }
}

/// Who a bearer token is.
pub async fn admit(face: &Face, bearer: &str) -> Result<Caller, Error> {
    let claims = face.keys.read(bearer).await?.ok_or(Error::InvalidToken)?;
    let jti = claims["jti"].as_str().unwrap_or_default();
    let is_for_us = claims["aud"].as_array().is_some_and(|names| names.iter().any(|name| name == AUDIENCE));
    let is_ours = claims["iss"].as_str().is_none_or(|issuer| issuer == token::issuer(face));
    // A refresh token is no bearer.
    if !is_for_us || !is_ours || jti.ends_with("-r") {
        return Err(Error::InvalidToken);
    }
    let user = claims[token::PERSON].as_str().and_then(|id| Uuid::try_parse(id).ok());
    let user = UserId(user.ok_or(Error::InvalidToken)?);
    let standing = face.identity.standing(user, jti).await?.ok_or(Error::InvalidToken)?;
    if claims["rev_sig"].as_str() != Some(standing.mark.as_str()) {
        return Err(Error::InvalidToken);
    }
    let mut scopes = Scopes::of(&claims);
    let is_admin = standing.who.is_operator() || standing.who.admin;
    // Who is no admin any more has no admin's token any more.
    scopes = Scopes {
        admin: scopes.admin && is_admin,
        reads_all: scopes.reads_all && is_admin,
        scim: scopes.scim && is_admin,
        ..scopes
    };
    let caller = Caller { who: standing.who, scopes };
    if let Some(tenant) = caller.who.tenant {
        face.settle(tenant).await?;
    }
    Ok(caller)
}

impl Caller {
    /// Whether all of the tenant, or of the site, is theirs to run.
    pub fn is_admin(&self) -> bool {
        self.scopes.admin
    }

    /// Whether they see all of it.
    pub fn reads_all(&self) -> bool {
        self.scopes.admin || self.scopes.reads_all
    }

    /// Only this tenant's things are there for them; none: the whole site's.
    pub fn tenant(&self) -> Option<TenantId> {
        self.who.tenant
    }

    /// Whether a thing of this tenant is there for them.
    pub fn knows(&self, tenant: TenantId) -> bool {
        self.who.tenant.is_none_or(|own| own == tenant)
    }

    /// A unit of work in their name, which can name nothing of another tenant.
    pub fn unit(&self) -> store::Unit {
        let unit = store::Unit::by(self.who.actor());
        match self.who.tenant {
            Some(tenant) => unit.within(tenant),
            None => unit,
        }
    }
}
