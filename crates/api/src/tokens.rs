//! Tokens. Everybody makes and ends their own; admins and operators those of the people they run.
//!
//! **Always.** A token's text is in one answer and nowhere else, so a request that is sent again cannot be given what was
//! kept. Its text is made anew instead: from what was set aside under the key, and from what the caller has shown of
//! themselves, which the database does not know either. The local operator shows nothing, so their key counts for nothing
//! here: what was made from it could be made again by whoever reads the database.

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use identity::{NewToken, PAGE_MAX, Secret, Token, TokenId, TokensOf};
use sha2::{Digest, Sha256};
use store::{Micros, UserId};

use crate::auth::Caller;
use crate::error::Error;
use crate::idempotency::Key;
use crate::input::{At, Params, Posted};
use crate::reply::{self, Page};
use crate::{Api, tenants, wire};

/// What every token made here begins with, so that one that has leaked is found by a search.
const PREFIX: &str = "plimsoll_";
/// The longest a token is asked to live, in seconds: a hundred years.
const LIFE_S_MAX: i64 = 100 * 366 * 24 * 3600;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What the caller has shown of themselves, as a hash.
pub struct Shown([u8; 32]);

impl FromRequestParts<Api> for Shown {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Shown, Error> {
        let shown = parts.headers.get(AUTHORIZATION).or_else(|| parts.headers.get(http::header::COOKIE));
        Ok(Shown(Sha256::digest(shown.map_or(&b""[..], |value| value.as_bytes())).into()))
    }
}

/// `POST /tokens`.
pub async fn create(State(api): State<Api>, caller: Caller, shown: Shown, posted: Posted) -> Result<Response, Error> {
    let asked: wire::NewToken = posted.json()?;
    let user = user_of(&api, &caller, &asked).await?;
    let expires_at = end(&api, &asked)?;
    let name = asked.name.unwrap_or_default();
    if name.len() > NAME_BYTES_MAX || name.contains('\0') {
        return Err(Error::invalid("/name", format!("must be at most {NAME_BYTES_MAX} bytes, none of them 0")));
    }
    let (secret, is_old) = text(&api, &caller, &shown, posted.key).await?;
    let known = match is_old {
        true => api.identity.bearer(secret.expose()).await?.and_then(|who| who.token),
        false => None,
    };
    let token = match known {
        Some(known) => api.identity.token(known).await?.ok_or(Error::NotFound("token"))?,
        None => {
            let new = NewToken { name, expires_at, secret: Some(secret.clone()) };
            api.identity.make_token(caller.actor(), user, new).await?
        }
    };
    reply::json(StatusCode::CREATED, &wire::Token::new(&token, Some(&secret)))
}

/// A token's text: 256 random bits, or under a key those that it had before.
async fn text(api: &Api, caller: &Caller, shown: &Shown, key: Option<Key>) -> Result<(Secret, bool), Error> {
    let Some(key) = key.filter(|_| !matches!(caller, Caller::Local)) else {
        return Ok((Secret::from(format!("{PREFIX}{}", hex::encode(api.store.secret()))), false));
    };
    let (salt, aside) = (key.key.clone(), api.set_aside(caller, Some(key)).await?);
    let hash = Sha256::new().chain_update(shown.0).chain_update(aside.id.as_bytes()).chain_update(salt);
    Ok((Secret::from(format!("{PREFIX}{}", hex::encode(hash.finalize()))), aside.is_old))
}

/// Whose token it is to be.
async fn user_of(api: &Api, caller: &Caller, asked: &wire::NewToken) -> Result<UserId, Error> {
    let id = match (&asked.user_id, caller) {
        (Some(text), _) => text.parse().map_err(|_| Error::invalid("/user_id", "must be a user's id"))?,
        (None, Caller::User(who)) => return Ok(who.user),
        (None, Caller::Local) => return Err(Error::invalid("/user_id", "must be a user's id")),
    };
    let user = api.identity.user(id).await?;
    let user = user.filter(|user| caller.runs(user.tenant) || caller.is(user.id)).ok_or(Error::NotFound("user"))?;
    Ok(user.id)
}

fn end(api: &Api, asked: &wire::NewToken) -> Result<Option<Micros>, Error> {
    match (asked.expires_in, &asked.expires_at) {
        (None, None) => Ok(None),
        (Some(seconds), None) if (1..=LIFE_S_MAX).contains(&seconds) => Ok(Some(api.store.now() + seconds * 1_000_000)),
        (Some(_), None) => Err(Error::invalid("/expires_in", format!("must be 1 to {LIFE_S_MAX} seconds"))),
        (None, Some(text)) => match wire::time(text).filter(|end| *end > api.store.now()) {
            Some(end) => Ok(Some(end)),
            None => Err(Error::invalid("/expires_at", "must be a time to come, as in RFC 3339")),
        },
        (Some(_), Some(_)) => Err(Error::invalid("/expires_at", "goes without expires_in")),
    }
}

/// The token, if it is the caller's or of somebody they run.
async fn find(api: &Api, caller: &Caller, at: &At) -> Result<Token, Error> {
    let found = api.identity.token(at.id::<TokenId>("token")?).await?;
    found.filter(|token| caller.runs(token.tenant) || caller.is(token.user)).ok_or(Error::NotFound("token"))
}

/// `GET /tokens`.
pub async fn list(State(api): State<Api>, caller: Caller, params: Params) -> Result<Response, Error> {
    let limit = params.limit()?;
    let after: Option<TokenId> = params.parse("after", "a token's id")?;
    let of = whose(&api, &caller, &params).await?;
    let mut found = api.identity.tokens(of, after, (limit + 1).min(PAGE_MAX)).await?;
    // Of a full page the next shows whether there is one: identity's lists are no longer than pages.
    if found.len() == limit && limit == PAGE_MAX {
        let last = found.last().map(|token| token.id);
        found.extend(api.identity.tokens(of, last, 1).await?);
    }
    let item = |token: &Token| wire::Token::new(token, None);
    reply::ok(&Page::of(found, limit, |token: &Token| token.id.to_string(), item))
}

async fn whose(api: &Api, caller: &Caller, params: &Params) -> Result<TokensOf, Error> {
    let user: Option<UserId> = params.parse("user", "a user's id")?;
    if let Some(id) = user {
        let user = api.identity.user(id).await?;
        let user = user.filter(|user| caller.runs(user.tenant) || caller.is(user.id));
        return user.map(|user| TokensOf::User(user.id)).ok_or(Error::NotFound("user"));
    }
    if let Some(own) = caller.member() {
        return Ok(TokensOf::User(own.user));
    }
    Ok(tenants::of_list(api, caller, params).await?.map_or(TokensOf::Site, TokensOf::Tenant))
}

/// `GET /tokens/{id}`.
pub async fn show(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    reply::ok(&wire::Token::new(&find(&api, &caller, &at).await?, None))
}

/// `DELETE /tokens/{id}`.
pub async fn revoke(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    let token = find(&api, &caller, &at).await?;
    api.identity.revoke_token(caller.actor(), token.id).await?;
    Ok(reply::nothing())
}
