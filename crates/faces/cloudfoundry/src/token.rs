//! The tokens that the login hands out: what they claim, and for how long (specification, section 1.2).

use identity::{Principal, Standing};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::Error;
use crate::{Face, ids};

/// For whom they are, among others.
pub const AUDIENCE: &str = "cloud_controller";
/// The claim that names the person, whichever grant it was.
pub const PERSON: &str = "plimsoll_user";
/// How long an access token is good.
pub const ACCESS_S: i64 = 12 * 3600;
/// How long it can be refreshed.
const REFRESH_S: i64 = 30 * 24 * 3600;
const _: () = assert!(REFRESH_S * 1_000_000 <= identity::LIFE_MAX_US, "a key outlives what it signs");

/// What everybody may ask for.
const EVERYBODY: [&str; 4] = ["cloud_controller.read", "cloud_controller.write", "openid", "uaa.user"];
/// What an admin gets beside, and what they get only when they name it: tokens weaker than they are.
const ADMINS: [&str; 3] = ["cloud_controller.admin", "scim.read", "scim.write"];
const ADMINS_IF_NAMED: [&str; 2] = ["cloud_controller.admin_read_only", "cloud_controller.global_auditor"];

/// Who is named as the tokens' maker: the site, never what the request calls it.
pub fn issuer(face: &Face) -> String {
    let site = face.settings.public_url.as_deref().map(|url| url.trim_end_matches('/'));
    format!("{}/oauth/token", site.unwrap_or("https://plimsoll.invalid"))
}

/// What of the scopes asked for they may have; with none asked for, all. None, if nothing is left.
pub fn scopes(who: &Principal, asked: &str) -> Option<Vec<String>> {
    let is_admin = who.is_operator() || who.admin;
    let always = EVERYBODY.into_iter().chain(ADMINS.into_iter().filter(|_| is_admin));
    if asked.trim().is_empty() {
        return Some(always.map(str::to_owned).collect());
    }
    let named: Vec<&str> = asked.split_whitespace().collect();
    let all = always.chain(ADMINS_IF_NAMED.into_iter().filter(|_| is_admin));
    let kept: Vec<String> = all.filter(|scope| named.contains(scope)).map(str::to_owned).collect();
    (!kept.is_empty()).then_some(kept)
}

/// By which way somebody came in.
pub struct Grant<'g> {
    /// The client they use.
    pub client: &'g str,
    /// `password`, `client_credentials`; a refreshed token keeps the grant it began with.
    pub kind: &'g str,
    /// What it lets them do.
    pub scopes: &'g [String],
    /// When they proved who they are, in seconds.
    pub auth_time: i64,
}

/// The answer of `/oauth/token`: an access token, and one to refresh it with where a person came in.
pub async fn issue(face: &Face, standing: &Standing, grant: Grant<'_>) -> Result<Value, Error> {
    let jti = ids::guid(&face.store).simple().to_string();
    let now = face.store.now() / 1_000_000;
    let access = face.keys.sign(&claims(face, standing, &grant, &jti, now + ACCESS_S)).await?;
    let mut answer = json!({ "access_token": access, "token_type": "bearer" });
    if grant.kind == "password" {
        let jti = format!("{}-r", ids::guid(&face.store).simple());
        answer["refresh_token"] = face.keys.sign(&claims(face, standing, &grant, &jti, now + REFRESH_S)).await?.into();
    }
    answer["expires_in"] = (ACCESS_S - 1).into();
    answer["scope"] = grant.scopes.join(" ").into();
    answer["jti"] = jti.into();
    Ok(answer)
}

fn claims(face: &Face, standing: &Standing, grant: &Grant<'_>, jti: &str, exp: i64) -> Value {
    let now = face.store.now() / 1_000_000;
    let who = &standing.who;
    let is_client = grant.kind == "client_credentials";
    let mut audience: Vec<&str> = vec![grant.client];
    for scope in grant.scopes {
        let owner = scope.rsplit_once('.').map_or(scope.as_str(), |(owner, _)| owner);
        if !audience.contains(&owner) {
            audience.push(owner);
        }
    }
    let mut claims = json!({ "jti": jti });
    let subject = if is_client { grant.client.to_owned() } else { who.user.to_string() };
    claims["sub"] = subject.into();
    if !is_client {
        claims["user_id"] = who.user.to_string().into();
        claims["user_name"] = who.email.as_ref().into();
        claims["email"] = who.email.as_ref().into();
        claims["origin"] = "uaa".into();
        claims["auth_time"] = grant.auth_time.into();
    }
    let more = json!({
        "scope": grant.scopes,
        "client_id": grant.client,
        "cid": grant.client,
        "azp": grant.client,
        "grant_type": grant.kind,
        "rev_sig": standing.mark,
        "iat": now,
        "exp": exp,
        "iss": issuer(face),
        "zid": "uaa",
        "aud": audience,
    });
    if let (Some(all), Value::Object(more)) = (claims.as_object_mut(), more) {
        all.extend(more);
        all.insert(PERSON.to_owned(), who.user.to_string().into());
    }
    claims
}

/// A text of a token's claims.
pub fn text<'c>(claims: &'c Value, name: &str) -> &'c str {
    claims[name].as_str().unwrap_or_default()
}

/// The person a token's claims name.
pub fn person(claims: &Value) -> Option<store::UserId> {
    Uuid::try_parse(text(claims, PERSON)).ok().map(store::UserId)
}
