//! Those who call: users, the apps that sign for them, and tokens that do not idle out. The site file makes them.

use identity::Face as Dialect;
use sha2::{Digest, Sha256};
use store::{Error, Row, TenantId, Tx, UserId, params};

use crate::auth::Form;

/// A user of this API, who is a person of the tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Their id here.
    pub id: String,
    /// Who that is.
    pub user: UserId,
    /// Their tenant.
    pub tenant: TenantId,
    /// Whether they may change spaces: the site file said so, or all of the tenant is theirs to run.
    pub admin: bool,
}

/// An app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct App {
    /// Whose users it signs for.
    pub tenant: TenantId,
    /// Which form it expects.
    pub form: Form,
}

/// Whoever is kept out everywhere, or is no person of this tenant any more, is nobody here.
const PERSON: &str = "SELECT k.id, k.user_id, k.tenant_id, k.admin, users.admin FROM koodrive_users k \
    JOIN users ON users.id = k.user_id AND users.tenant_id = k.tenant_id AND NOT users.disabled";

fn person(row: &Row) -> Result<Person, Error> {
    let admin = row.get::<bool>(3)? || row.get::<bool>(4)?;
    Ok(Person { id: row.get(0)?, user: row.get(1)?, tenant: row.get(2)?, admin })
}

fn one(tx: &mut Tx, condition: &str, values: &[store::Value]) -> Result<Option<Person>, Error> {
    tx.query_opt(&format!("{PERSON} {condition}"), values)?.as_ref().map(person).transpose()
}

/// The user of this id.
pub fn by_id(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<Option<Person>, Error> {
    one(tx, "WHERE k.id = $1 AND k.tenant_id = $2", &params![id, tenant])
}

/// The user that a person is; the first, if they are several.
pub fn by_user(tx: &mut Tx, user: UserId) -> Result<Option<Person>, Error> {
    one(tx, "WHERE k.user_id = $1 ORDER BY k.id LIMIT 1", &params![user])
}

/// Whose token this is.
pub fn by_token(tx: &mut Tx, sha256: [u8; 32]) -> Result<Option<Person>, Error> {
    let condition = "JOIN koodrive_tokens t ON t.user_id = k.id WHERE t.sha256 = $1";
    one(tx, condition, &params![sha256.as_slice()])
}

/// The e-mail address that a user logs in with.
pub fn email_of(tx: &mut Tx, id: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT users.email FROM koodrive_users k JOIN users ON users.id = k.user_id WHERE k.id = $1";
    tx.query_opt(sql, &params![id])?.map(|row| row.get(0)).transpose()
}

/// An app by its id.
pub fn app(tx: &mut Tx, id: &str) -> Result<Option<App>, Error> {
    let sql = "SELECT tenant_id, response_form FROM koodrive_apps WHERE id = $1";
    let row = tx.query_opt(sql, &params![id])?;
    row.map(|row| Ok(App { tenant: row.get(0)?, form: Form::from_text(&row.get::<String>(1)?)? })).transpose()
}

impl Form {
    /// The word in the site file and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Table => "table",
            Form::Example => "example",
        }
    }

    /// From that word.
    pub fn from_text(text: &str) -> Result<Form, Error> {
        let form = [Form::Table, Form::Example].into_iter().find(|form| form.as_str() == text);
        form.ok_or_else(|| Error::Invalid(format!("response_form is table or example, not {text:?}")))
    }
}

/// What of a token is stored and looked up.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The user of this id is this person, from now on.
pub fn put(tx: &mut Tx, person: &Person) -> Result<(), Error> {
    let sql = "INSERT INTO koodrive_users (id, tenant_id, user_id, admin) VALUES ($1, $2, $3, $4) ON CONFLICT (id) \
        DO UPDATE SET tenant_id = excluded.tenant_id, user_id = excluded.user_id, admin = excluded.admin";
    tx.execute(sql, &params![&person.id, person.tenant, person.user, person.admin]).map(drop)
}

/// The tenant has no such user any more; their tokens go with them.
pub fn remove(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM koodrive_users WHERE id = $1 AND tenant_id = $2", &params![id, tenant]).map(drop)
}

/// The app of this id is this one, from now on. Its secret is put beside it.
pub fn put_app(tx: &mut Tx, id: &str, app: &App) -> Result<(), Error> {
    let sql = "INSERT INTO koodrive_apps (id, tenant_id, response_form) VALUES ($1, $2, $3) ON CONFLICT (id) \
        DO UPDATE SET tenant_id = excluded.tenant_id, response_form = excluded.response_form";
    tx.execute(sql, &params![id, app.tenant, app.form.as_str()]).map(drop)
}

/// The tenant has no such app any more.
pub fn remove_app(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<(), Error> {
    let sql = "DELETE FROM koodrive_apps WHERE id = $1 AND tenant_id = $2";
    match tx.execute(sql, &params![id, tenant])? {
        0 => Ok(()),
        _ => identity::remove_hmac_key(tx, Dialect::KooDrive, id),
    }
}

/// The token with this SHA-256 is this user's, from now on.
pub fn put_token(tx: &mut Tx, tenant: TenantId, sha256: &[u8], user: &str) -> Result<(), Error> {
    let sql = "INSERT INTO koodrive_tokens (sha256, tenant_id, user_id) VALUES ($1, $2, $3) ON CONFLICT (sha256) \
        DO UPDATE SET tenant_id = excluded.tenant_id, user_id = excluded.user_id";
    tx.execute(sql, &params![sha256, tenant, user]).map(drop)
}

/// The tenant has no such token any more.
pub fn remove_token(tx: &mut Tx, tenant: TenantId, sha256: &[u8]) -> Result<(), Error> {
    let sql = "DELETE FROM koodrive_tokens WHERE sha256 = $1 AND tenant_id = $2";
    tx.execute(sql, &params![sha256, tenant]).map(drop)
}
