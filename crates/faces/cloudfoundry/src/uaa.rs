//! The login: the part of the UAA that Cloud Foundry's clients speak to (specification, section 1.2).
//!
//! Clients that act for a person (`cf`) have no secret. A client that acts for itself is a person of the tenant, too: its id
//! is their e-mail address and its secret their password, or a token of theirs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use identity::{Secret, Standing, basic_of};
use serde_json::{Value, json};
use store::Actor;

use crate::auth::Caller;
use crate::body::{Base, Params, Raw};
use crate::error::Error;
use crate::token::{self, Grant};
use crate::{Face, info};

/// Clients that people use, without a secret.
const PUBLIC_CLIENTS: [&str; 2] = ["cf", "cloud_controller"];
/// The most fields of a form.
const FIELDS_MAX: usize = 32;

/// Where a call comes from.
type Peer = Option<axum::Extension<ConnectInfo<SocketAddr>>>;

/// A form's fields, and the client that sent it.
struct Form {
    fields: Vec<(String, String)>,
    client: String,
    secret: Secret,
}

impl Form {
    fn read(headers: &HeaderMap, query: &Params, body: &Bytes) -> Result<Form, Error> {
        let text = std::str::from_utf8(body).map_err(|_| missing("grant_type"))?;
        let pairs = url_pairs(text);
        let fields: Vec<(String, String)> = pairs.into_iter().chain(query.0.iter().cloned()).take(FIELDS_MAX).collect();
        let get = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let (client, secret) = match basic_of(headers) {
            Some((client, secret)) => (client, secret),
            None => (get("client_id").unwrap_or_default(), Secret::from(get("client_secret").unwrap_or_default())),
        };
        Ok(Form { fields, client, secret })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &'static str) -> Result<&str, Error> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Error {
    Error::OAuth(StatusCode::BAD_REQUEST, "invalid_request", format!("Missing parameter: {name}"))
}

fn wrong_client() -> Error {
    Error::OAuth(StatusCode::UNAUTHORIZED, "invalid_client", "Bad credentials".to_owned())
}

fn wrong_token(why: &str) -> Error {
    Error::OAuth(StatusCode::UNAUTHORIZED, "invalid_token", why.to_owned())
}

/// `POST /oauth/token`.
pub async fn token(
    State(face): State<Face>,
    from: Peer,
    headers: HeaderMap,
    query: Params,
    Raw(body): Raw,
) -> Result<Response, Error> {
    let form = Form::read(&headers, &query, &body)?;
    let answer = match form.need("grant_type")? {
        "password" => by_password(&face, from, &form).await?,
        "refresh_token" => by_refresh(&face, &form).await?,
        "client_credentials" => by_client(&face, from, &form).await?,
        other => {
            let why = format!("Unsupported grant type: {}", other.chars().take(64).collect::<String>());
            return Err(Error::OAuth(StatusCode::BAD_REQUEST, "unsupported_grant_type", why));
        }
    };
    let headers = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((headers, Json(answer)).into_response())
}

async fn by_password(face: &Face, from: Peer, form: &Form) -> Result<Value, Error> {
    check_public(form)?;
    let (name, password) = (form.need("username")?, form.need("password")?);
    let who = face.identity.password(name, password, address(from)).await?;
    let scopes = scopes(&who, form.get("scope"))?;
    let standing = standing(face, who.user, "").await?;
    let auth_time = face.store.now() / 1_000_000;
    token::issue(face, &standing, Grant { client: &form.client, kind: "password", scopes: &scopes, auth_time }).await
}

async fn by_refresh(face: &Face, form: &Form) -> Result<Value, Error> {
    check_public(form)?;
    let claims = face.keys.read(form.need("refresh_token")?).await?;
    let claims = claims.ok_or_else(|| wrong_token("Invalid refresh token"))?;
    let jti = token::text(&claims, "jti");
    let is_ours = token::text(&claims, "iss") == token::issuer(face) && token::text(&claims, "cid") == form.client;
    let user = token::person(&claims).filter(|_| jti.ends_with("-r") && is_ours);
    let user = user.ok_or_else(|| wrong_token("Invalid refresh token"))?;
    let standing = standing(face, user, jti).await?;
    if claims["rev_sig"].as_str() != Some(standing.mark.as_str()) {
        return Err(wrong_token("The refresh token was revoked"));
    }
    // Never more than the token it comes from.
    let had: Vec<&str> = claims["scope"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let asked = form.get("scope").unwrap_or_default();
    let asked: Vec<&str> = asked.split_whitespace().collect();
    let kept: Vec<&str> = had.into_iter().filter(|scope| asked.is_empty() || asked.contains(scope)).collect();
    // Nothing kept must not read as nothing asked, which is all.
    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(" ") };
    let scopes = scopes(&standing.who, Some(&kept))?;
    let auth_time = claims["auth_time"].as_i64().unwrap_or_default();
    token::issue(face, &standing, Grant { client: &form.client, kind: "password", scopes: &scopes, auth_time }).await
}

async fn by_client(face: &Face, from: Peer, form: &Form) -> Result<Value, Error> {
    if form.client.is_empty() || form.secret.expose().is_empty() || PUBLIC_CLIENTS.contains(&form.client.as_str()) {
        return Err(wrong_client());
    }
    let who = client(face, from, form).await?;
    let scopes = scopes(&who, form.get("scope"))?;
    let standing = standing(face, who.user, "").await?;
    let grant = Grant { client: &form.client, kind: "client_credentials", scopes: &scopes, auth_time: 0 };
    token::issue(face, &standing, grant).await
}

/// Whoever a client with a secret is.
async fn client(face: &Face, from: Peer, form: &Form) -> Result<identity::Principal, Error> {
    if let Some(who) = face.identity.bearer(form.secret.expose()).await?
        && who.email.eq_ignore_ascii_case(&form.client)
    {
        return Ok(who);
    }
    match face.identity.password(&form.client, form.secret.expose(), address(from)).await {
        Err(identity::LoginError::Wrong) => Err(wrong_client()),
        other => Ok(other?),
    }
}

fn check_public(form: &Form) -> Result<(), Error> {
    let known = PUBLIC_CLIENTS.contains(&form.client.as_str()) && form.secret.expose().is_empty();
    if known { Ok(()) } else { Err(wrong_client()) }
}

fn scopes(who: &identity::Principal, asked: Option<&str>) -> Result<Vec<String>, Error> {
    token::scopes(who, asked.unwrap_or_default()).ok_or_else(|| {
        let why = "The user does not have any of the requested scopes".to_owned();
        Error::OAuth(StatusCode::BAD_REQUEST, "invalid_scope", why)
    })
}

async fn standing(face: &Face, user: store::UserId, jti: &str) -> Result<Standing, Error> {
    face.identity.standing(user, jti).await?.ok_or_else(|| wrong_token("The token was revoked"))
}

fn address(from: Peer) -> IpAddr {
    from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |from| from.0.0.ip())
}

fn jwk(key: &identity::PublicKey) -> Value {
    json!({
        "kid": key.id, "alg": "EdDSA", "value": key.pem, "kty": "OKP", "use": "sig", "crv": "Ed25519", "x": key.x,
    })
}

/// `GET /token_key` and `/oauth/token_key`: what verifies the tokens that are signed now.
pub async fn token_key(State(face): State<Face>) -> Result<Json<Value>, Error> {
    let keys = face.keys.public().await?;
    keys.first().map(|key| Json(jwk(key))).ok_or(Error::BadRequest)
}

/// `GET /token_keys` and `/oauth/token_keys`: what verifies every token that is not over.
pub async fn token_keys(State(face): State<Face>) -> Result<Json<Value>, Error> {
    let keys = face.keys.public().await?;
    Ok(Json(json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() })))
}

/// `POST /check_token`: what a token claims, if it holds.
pub async fn check_token(
    State(face): State<Face>,
    from: Peer,
    headers: HeaderMap,
    query: Params,
    Raw(body): Raw,
) -> Result<Json<Value>, Error> {
    let form = Form::read(&headers, &query, &body)?;
    if check_public(&form).is_err() {
        client(&face, from, &form).await?;
    }
    let wrong = || Error::OAuth(StatusCode::BAD_REQUEST, "invalid_token", "The token is not valid".to_owned());
    let bearer = form.need("token")?;
    crate::auth::admit(&face, bearer).await.map_err(|error| match error {
        Error::InvalidToken => wrong(),
        other => other,
    })?;
    let claims = face.keys.read(bearer).await?.ok_or_else(wrong)?;
    Ok(Json((*claims).clone()))
}

/// `DELETE /oauth/token/revoke/{jti}`: takes the caller's own token back, access or refresh.
pub async fn revoke(State(face): State<Face>, caller: Caller, Path(jti): Path<String>) -> Result<StatusCode, Error> {
    let is_one = (1..=64).contains(&jti.len()) && jti.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_one {
        return Err(Error::BadRequest);
    }
    // Nobody guesses somebody else's: 122 random bits.
    let ends = face.store.now() + identity::LIFE_MAX_US;
    face.identity.revoke_jwt(Actor::user(caller.who.user), &jti, ends).await?;
    Ok(StatusCode::OK)
}

/// `GET /.well-known/openid-configuration`.
pub async fn openid(State(face): State<Face>, Base(base): Base) -> Json<Value> {
    Json(json!({
        "issuer": token::issuer(&face),
        "token_endpoint": format!("{base}/oauth/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "jwks_uri": format!("{base}/token_keys"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "scopes_supported": ["openid", "cloud_controller.read", "cloud_controller.write", "cloud_controller.admin"],
        "response_types_supported": ["token"],
        "grant_types_supported": ["password", "refresh_token", "client_credentials"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

/// `GET /login` and `GET /info`: what to ask a person for.
pub async fn prompts(State(face): State<Face>, Base(base): Base) -> Response {
    let body = json!({
        "app": { "version": face.settings.version },
        "links": { "uaa": base, "login": base, "passwd": "", "register": "" },
        "prompts": { "username": ["text", "Email"], "password": ["password", "Password"] },
        "zone_name": "uaa",
        "entityID": info::NAME,
    });
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

/// `GET /userinfo`: who is calling.
pub async fn userinfo(caller: Caller) -> Json<Value> {
    let who = &caller.who;
    Json(json!({
        "sub": who.user, "user_id": who.user, "user_name": who.email.as_ref(), "email": who.email.as_ref(),
        "name": who.name.as_ref(),
    }))
}

/// The pairs of a form. What is not escaped rightly stays as it is.
fn url_pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty()).take(FIELDS_MAX);
    parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(k, v)| (plain(k), plain(v))).collect()
}

fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = (*byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let code = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, code) {
            (_, Some(code)) => {
                plain.push(code);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (byte, None) => plain.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::url_pairs;

    #[test]
    fn a_form_is_read_with_its_escapes() {
        let pairs = url_pairs("username=a%40b&password=x+y%2B%zz&scope=");
        let texts: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(texts, [("username", "a@b"), ("password", "x y+%zz"), ("scope", "")]);
    }
}
