//! Bearer tokens. A token belongs to a user and can do what that user can, no more.

use store::{Actor, Error, Micros, Row, TenantId, Tx, Unit, UserId, Value, params};

use crate::secret::digest;
use crate::{Identity, PAGE_MAX, Principal, Secret, principal};

ledger::id! {
    /// A bearer token.
    TokenId
}
store::sql_id!(TokenId);

/// The tokens one user can have.
const TOKENS_MAX: u64 = 1000;
/// The longest token that is looked up, in bytes.
const SECRET_MAX: usize = 512;
/// The longest name, in bytes.
const NAME_MAX: usize = 255;
/// How long a token is still listed after it expired.
const LISTED_US: Micros = 30 * 24 * 3_600_000_000;

/// A token, without its secret, which nobody knows any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// Whose customer that is; none is an operator's.
    pub tenant: Option<TenantId>,
    /// What it is for.
    pub name: String,
    /// When it was made.
    pub created_at: Micros,
    /// When it is over; none never is.
    pub expires_at: Option<Micros>,
}

/// A token to be made.
#[derive(Clone, Default, Debug)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// When it is over; none never is.
    pub expires_at: Option<Micros>,
    /// Its text, if it is made elsewhere.
    pub secret: Option<Secret>,
}

/// Which tokens to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokensOf {
    /// A user's.
    User(UserId),
    /// Everybody's of a tenant.
    Tenant(TenantId),
    /// Everybody's, operators' included.
    Site,
}

/// It is there, and not theirs to do. Comes as [`Error::Noun`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this is not yours to do")]
pub struct Forbidden;

impl Identity {
    /// Whose token this is. Tokens that were seen a short while ago cost a hash and a look in memory.
    pub async fn bearer(&self, token: &str) -> Result<Option<Principal>, Error> {
        if token.len() > SECRET_MAX {
            return Ok(None);
        }
        let (sha256, stamp, now) = (digest(token), self.people_stamp(), self.store.now());
        if let Some(known) = self.shared.bearers.get(&sha256, stamp, now) {
            return Ok(Some(known.value.clone()));
        }
        let Some((who, ends)) = self.store.read(move |tx| find(tx, &sha256)).await? else { return Ok(None) };
        self.shared.bearers.put(sha256, who.clone(), stamp, now, ends);
        Ok(Some(who))
    }

    /// Makes a token of `user`; the secret is shown this once. Made by that user, an admin of their tenant or an operator:
    /// for others of the tenant [`Forbidden`], and for strangers there is no such user.
    pub async fn create_token(&self, by: &Principal, user: UserId, new: NewToken) -> Result<(Token, Secret), Error> {
        check_maker(by, user, self.user(user).await?.map(|user| user.tenant))?;
        let secret = new.secret.clone().unwrap_or_else(|| Secret::random(self.store.secret()));
        let token = self.make_token(by.actor(), user, NewToken { secret: Some(secret.clone()), ..new }).await?;
        Ok((token, secret))
    }

    /// The same with a secret that the caller knows. The caller has checked that `by`, who need not be a user, may.
    pub async fn make_token(&self, by: Actor, user: UserId, new: NewToken) -> Result<Token, Error> {
        let secret = new.secret.unwrap_or_else(|| Secret::random(self.store.secret()));
        check(&new.name, &secret)?;
        let (id, sha256) = (TokenId(self.store.new_id()), digest(secret.expose()));
        self.insert_token(by, Wanted { id, user, name: new.name, expires_at: new.expires_at, sha256 }).await
    }

    /// Makes a token of which only the SHA-256 is known.
    pub(crate) async fn insert_token(&self, by: Actor, wanted: Wanted) -> Result<Token, Error> {
        let detail = serde_json::json!({ "token_id": wanted.id, "name": wanted.name });
        let node = self.user(wanted.user).await?.and_then(|user| user.allotment);
        let unit = Unit::by(by).note("token.created", node, Some(wanted.user.to_string()), detail);
        self.change_people(unit.rows(move |tx| insert(tx, &wanted))).await.map(|done| done.value)
    }

    /// A token by its id.
    pub async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        let sql = format!("{SELECT} WHERE tokens.id = $1");
        self.store.read(move |tx| tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()).await
    }

    /// Tokens in the order of their ids, at most [`PAGE_MAX`]; those that expired a while ago are gone.
    pub async fn tokens(&self, of: TokensOf, after: Option<TokenId>, limit: usize) -> Result<Vec<Token>, Error> {
        let (condition, whose) = match of {
            TokensOf::User(user) => ("tokens.user_id = $3", Some(Value::from(user))),
            TokensOf::Tenant(tenant) => ("users.tenant_id = $3", Some(Value::from(tenant))),
            TokensOf::Site => ("TRUE", None),
        };
        let sql = format!("{SELECT} WHERE tokens.id > $1 AND {condition} ORDER BY tokens.id LIMIT $2");
        let after = after.map_or(Value::from(""), Value::from);
        let values: Vec<Value> = [after, limit.min(PAGE_MAX).into()].into_iter().chain(whose).collect();
        self.store.read(move |tx| tx.query(&sql, &values)?.iter().map(from_row).collect()).await
    }

    /// Ends a token, at once.
    pub async fn revoke_token(&self, by: Actor, id: TokenId) -> Result<(), Error> {
        let token = self.token(id).await?.ok_or_else(|| Error::not_found("token", id))?;
        let node = self.user(token.user).await?.and_then(|user| user.allotment);
        let detail = serde_json::json!({ "token_id": id, "name": token.name });
        let unit = Unit::by(by).note("token.revoked", node, Some(token.user.to_string()), detail);
        let unit = unit.rows(move |tx| match tx.execute("DELETE FROM tokens WHERE id = $1", &params![id])? {
            0 => Err(Error::not_found("token", id)),
            _ => Ok(()),
        });
        self.change_people(unit).await.map(drop)
    }
}

/// Whether `by` may make a token of this user, who is of `tenant`, if there is such a user at all.
fn check_maker(by: &Principal, user: UserId, tenant: Option<Option<TenantId>>) -> Result<(), Error> {
    let strange = || Error::not_found("user", user);
    let tenant = tenant.ok_or_else(strange)?;
    if by.user == user || by.is_operator() || tenant.is_some_and(|tenant| by.is_admin_of(tenant)) {
        return Ok(());
    }
    Err(if tenant == by.tenant { Error::noun(Forbidden) } else { strange() })
}

fn check(name: &str, secret: &Secret) -> Result<(), Error> {
    if name.len() > NAME_MAX {
        return Err(Error::Invalid(format!("a token's name has at most {NAME_MAX} bytes")));
    }
    match secret.expose().len() {
        1..=SECRET_MAX => Ok(()),
        _ => Err(Error::Invalid(format!("a token has 1 to {SECRET_MAX} bytes"))),
    }
}

/// A token's row to be.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub id: TokenId,
    pub user: UserId,
    pub name: String,
    pub expires_at: Option<Micros>,
    pub sha256: [u8; 32],
}

fn insert(tx: &mut Tx, new: &Wanted) -> Result<Token, Error> {
    if find_id(tx, &new.sha256)?.is_some() {
        return Err(Error::Conflict("there is this very token already".to_owned()));
    }
    let count = tx.query_opt("SELECT count(*) FROM tokens WHERE user_id = $1", &params![new.user])?;
    if count.map_or(Ok(0), |row| row.get::<u64>(0))? >= TOKENS_MAX {
        return Err(Error::Conflict(format!("a user has at most {TOKENS_MAX} tokens")));
    }
    let sql = "INSERT INTO tokens (id, user_id, name, sha256, created_at, expires_at) \
        SELECT $1, users.id, $3, $4, $5, $6 FROM users WHERE users.id = $2";
    let values = params![new.id, new.user, &new.name, new.sha256.as_slice(), tx.now(), new.expires_at];
    if tx.execute(sql, &values)? == 0 {
        return Err(Error::not_found("user", new.user));
    }
    let row = tx.query_opt(&format!("{SELECT} WHERE tokens.id = $1"), &params![new.id])?;
    row.as_ref().map(from_row).transpose()?.ok_or_else(|| Error::not_found("token", new.id))
}

/// The token of this SHA-256 and its user.
pub(crate) fn find_id(tx: &mut Tx, sha256: &[u8]) -> Result<Option<(TokenId, UserId)>, Error> {
    let row = tx.query_opt("SELECT id, user_id FROM tokens WHERE sha256 = $1", &params![sha256])?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

fn find(tx: &mut Tx, sha256: &[u8]) -> Result<Option<(Principal, Option<Micros>)>, Error> {
    let sql = format!(
        "SELECT {}, tokens.id, tokens.expires_at FROM tokens JOIN users ON users.id = tokens.user_id \
         WHERE tokens.sha256 = $1 AND NOT users.disabled AND (tokens.expires_at IS NULL OR tokens.expires_at > $2)",
        principal::COLUMNS
    );
    let row = tx.query_opt(&sql, &params![sha256, tx.now()])?;
    row.map(|row| Ok((Principal { token: row.get(7)?, ..principal::from_row(&row)? }, row.get(8)?))).transpose()
}

const SELECT: &str = "SELECT tokens.id, tokens.user_id, users.tenant_id, tokens.name, tokens.created_at, \
    tokens.expires_at FROM tokens JOIN users ON users.id = tokens.user_id";

fn from_row(row: &Row) -> Result<Token, Error> {
    Ok(Token {
        id: row.get(0)?,
        user: row.get(1)?,
        tenant: row.get(2)?,
        name: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
    })
}

pub(crate) fn delete_expired(tx: &mut Tx) -> Result<u64, Error> {
    tx.execute("DELETE FROM tokens WHERE expires_at <= $1", &params![tx.now() - LISTED_US])
}
