//! Users: people, one row each, on every face the same.
//!
//! **Always.** An e-mail address is there once on the whole site, whatever its case. A tenant's user has a node of their own,
//! made and removed in the commit of the row. Whoever is disabled, removed, demoted or given a new password has no session
//! left after that commit.

use ledger::{AllotmentId, Limits};
use serde_json::json;
use store::{
    Actor, AllotmentPatch, Error, Managed, Micros, NewAllotment, Row, TenantId, Tx, Unit, UserId, Value, params,
};
use uuid::Uuid;

use crate::account::{EMAIL_MAX, email_key};
use crate::password::PasswordHash;
use crate::{Identity, PAGE_MAX, Secret, session, tenant};

/// The longest name, in bytes.
const NAME_MAX: usize = 255;

/// A person, as their row says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Whose customer they are; none is an operator.
    pub tenant: Option<TenantId>,
    /// The login, as it was written.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// Whether all of the tenant is theirs to run.
    pub admin: bool,
    /// Whether they hand out allocations (Allocations).
    pub repository_admin: bool,
    /// Their own node; an operator has none.
    pub allotment: Option<AllotmentId>,
    /// When they were made.
    pub created_at: Micros,
    /// Whether they are kept out.
    pub disabled: bool,
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The id to have; none makes one.
    pub id: Option<Uuid>,
    /// Whose customer; none makes an operator.
    pub tenant: Option<TenantId>,
    /// The login.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// None: they cannot log in by password.
    pub password: Option<Secret>,
    /// Whether all of the tenant is theirs to run.
    pub admin: bool,
    /// Whether they hand out allocations (Allocations).
    pub repository_admin: bool,
    /// What they may use themselves; an operator has no node to limit.
    pub limits: Limits,
}

/// What to change of a user: what is not said stays.
#[derive(Clone, Default, Debug)]
pub struct UserPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another password; none inside: no login by password any more.
    pub password: Option<Option<Secret>>,
    /// Whether all of the tenant is theirs to run.
    pub admin: Option<bool>,
    /// Whether they hand out allocations.
    pub repository_admin: Option<bool>,
    /// Whether they are kept out.
    pub disabled: Option<bool>,
}

impl Identity {
    /// Makes a user, and a node of their own under the tenant's `users`. The caller has checked that `by` may.
    pub async fn create_user(&self, by: Actor, new: NewUser) -> Result<User, Error> {
        let hash = match &new.password {
            Some(password) => Some(self.hash(password.clone()).await?),
            None => None,
        };
        self.insert_user(by, new, hash).await
    }

    /// The same, with the password's hash at hand.
    pub(crate) async fn insert_user(&self, by: Actor, new: NewUser, hash: Option<PasswordHash>) -> Result<User, Error> {
        let email = new.email.trim().to_owned();
        check_email(&email)?;
        check_name(&new.name)?;
        let id = UserId(new.id.unwrap_or_else(|| self.store.new_id()));
        let mut unit = Unit::by(by);
        let mut node = None;
        if let Some(tenant) = new.tenant {
            let folder = self.store.read(move |tx| tenant::folder(tx, tenant, tenant::USERS)).await?;
            let folder = folder.ok_or_else(|| Error::not_found("tenant", tenant))?;
            let own = own_node(AllotmentId(self.store.new_id()), folder, id, &email, &new);
            node = Some(own.id);
            unit = unit.create_allotment(own);
        }
        let user = User {
            id,
            tenant: new.tenant,
            email,
            name: new.name,
            // An operator may do all there is anyway.
            admin: new.admin && new.tenant.is_some(),
            repository_admin: new.repository_admin && new.tenant.is_some(),
            allotment: node,
            created_at: 0,
            disabled: false,
        };
        let unit = unit.note("user.created", node, Some(id.to_string()), json!({ "email": user.email }));
        self.change_people(unit.rows(move |tx| insert(tx, &user, hash.as_ref()))).await.map(|done| done.value)
    }

    /// A user by id.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        self.store.read(move |tx| find(tx, id)).await
    }

    /// A user by e-mail address, whatever its case.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, Error> {
        let (key, sql) = (email_key(email), format!("{SELECT} WHERE email_key = $1"));
        self.store.read(move |tx| tx.query_opt(&sql, &params![key])?.as_ref().map(from_row).transpose()).await
    }

    /// Users of one tenant, or of the whole site with its operators, in the order of their ids; at most [`PAGE_MAX`].
    pub async fn users(
        &self,
        tenant: Option<TenantId>,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<User>, Error> {
        let condition = if tenant.is_some() { "tenant_id = $3" } else { "TRUE" };
        let sql = format!("{SELECT} WHERE id > $1 AND {condition} ORDER BY id LIMIT $2");
        let after = after.map_or(Value::from(""), Value::from);
        let values: Vec<Value> =
            [after, limit.min(PAGE_MAX).into()].into_iter().chain(tenant.map(Value::from)).collect();
        self.store.read(move |tx| tx.query(&sql, &values)?.iter().map(from_row).collect()).await
    }

    /// Changes a user. A new password, less rights and being kept out end their sessions; their tokens have what rights are
    /// left from the same moment on.
    pub async fn change_user(&self, by: Actor, id: UserId, patch: UserPatch) -> Result<User, Error> {
        let hash = match patch.password {
            Some(Some(password)) => Some(Some(self.hash(password).await?)),
            Some(None) => Some(None),
            None => None,
        };
        let UserPatch { name, admin, repository_admin, disabled, .. } = patch;
        let fields = Fields { name, hash, admin, repository_admin, disabled };
        self.change_fields(by, id, fields, AllotmentPatch::default()).await
    }

    /// The same, with the password's hash at hand, and a change of the user's node in the same commit.
    pub(crate) async fn change_fields(
        &self,
        by: Actor,
        id: UserId,
        fields: Fields,
        node_patch: AllotmentPatch,
    ) -> Result<User, Error> {
        fields.name.as_deref().map_or(Ok(()), check_name)?;
        let user = self.user(id).await?.ok_or_else(|| Error::not_found("user", id))?;
        let mut unit = Unit::by(by).note("user.changed", user.allotment, Some(id.to_string()), fields.told());
        let title = fields.name.as_deref().map(|name| title(name, &user.email));
        let changes_node = title.is_some() || !node_patch.limits.is_empty();
        if let Some(node) = user.allotment.filter(|_| changes_node) {
            unit = unit.change_allotment(node, AllotmentPatch { title, ..node_patch });
        }
        self.change_people(unit.rows(move |tx| change(tx, id, &fields))).await.map(|done| done.value)
    }

    /// Removes a user and their node, sessions, tokens and grants. [`Error::Conflict`] while the node has claims or children,
    /// or other nodes are theirs.
    pub async fn remove_user(&self, by: Actor, id: UserId) -> Result<(), Error> {
        let user = self.user(id).await?.ok_or_else(|| Error::not_found("user", id))?;
        // The node is gone by then, so what happened is told of the tenant.
        let place = user.tenant.map(|tenant| AllotmentId(tenant.0));
        let mut unit = Unit::by(by).note("user.removed", place, Some(id.to_string()), json!({ "email": user.email }));
        if let Some(node) = user.allotment {
            unit = unit.remove_allotment(node);
        }
        self.change_people(unit.rows(move |tx| remove(tx, id))).await.map(drop)
    }

    pub(crate) async fn hash(&self, password: Secret) -> Result<PasswordHash, Error> {
        self.shared.passwords.hash(password, self.store.secret()).await
    }
}

/// A change of a user's row.
#[derive(Clone, Default, Debug)]
pub(crate) struct Fields {
    pub name: Option<String>,
    pub hash: Option<Option<PasswordHash>>,
    pub admin: Option<bool>,
    pub repository_admin: Option<bool>,
    pub disabled: Option<bool>,
}

impl Fields {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        let Fields { name, hash, admin, repository_admin, disabled } = self;
        name.is_none() && hash.is_none() && [admin, repository_admin, disabled].iter().all(|set| set.is_none())
    }

    /// For the journal, which learns that the password is another one, and no more.
    fn told(&self) -> serde_json::Value {
        let mut told = serde_json::Map::new();
        let mut tell = |name: &str, value: Option<serde_json::Value>| {
            value.map(|value| told.insert(name.to_owned(), value));
        };
        tell("name", self.name.as_ref().map(|name| json!(name)));
        tell("password", self.hash.as_ref().map(|_| json!("changed")));
        tell("admin", self.admin.map(|set| json!(set)));
        tell("repository_admin", self.repository_admin.map(|set| json!(set)));
        tell("disabled", self.disabled.map(|set| json!(set)));
        told.into()
    }

    /// Whether whoever is logged in as this user has to do so again.
    fn ends_sessions(&self, before: &User) -> bool {
        let less = |before: bool, after: Option<bool>| before && after == Some(false);
        self.hash.is_some()
            || self.disabled == Some(true)
            || less(before.admin, self.admin)
            || less(before.repository_admin, self.repository_admin)
    }
}

fn own_node(node: AllotmentId, folder: AllotmentId, user: UserId, email: &str, new: &NewUser) -> NewAllotment {
    let name = user.to_string().parse().expect("a UUID is a name");
    NewAllotment {
        title: title(&new.name, email),
        kind: "user".to_owned(),
        limits: new.limits.clone(),
        managed_by: Some(Managed::new("site", "user", user)),
        owner: Some(user),
        ..NewAllotment::new(node, Some(folder.into()), name)
    }
}

fn title(name: &str, email: &str) -> String {
    if name.is_empty() { email.to_owned() } else { name.to_owned() }
}

fn check_email(email: &str) -> Result<(), Error> {
    let halves = email.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    let odd = email.chars().any(|c| c.is_whitespace() || c.is_control());
    if halves.is_none() || odd || email.len() > EMAIL_MAX {
        return Err(Error::Invalid(format!("{:?} is no e-mail address", email.chars().take(64).collect::<String>())));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > NAME_MAX {
        return Err(Error::Invalid(format!("a name has at most {NAME_MAX} bytes")));
    }
    Ok(())
}

const SELECT: &str = "SELECT id, tenant_id, email, name, admin, repository_admin, allotment_id, created_at, disabled \
    FROM users";

fn from_row(row: &Row) -> Result<User, Error> {
    Ok(User {
        id: row.get(0)?,
        tenant: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        admin: row.get(4)?,
        repository_admin: row.get(5)?,
        allotment: row.get(6)?,
        created_at: row.get(7)?,
        disabled: row.get(8)?,
    })
}

pub(crate) fn find(tx: &mut Tx, id: UserId) -> Result<Option<User>, Error> {
    tx.query_opt(&format!("{SELECT} WHERE id = $1"), &params![id])?.as_ref().map(from_row).transpose()
}

fn insert(tx: &mut Tx, user: &User, hash: Option<&PasswordHash>) -> Result<User, Error> {
    let key = email_key(&user.email);
    let taken = "SELECT email_key FROM users WHERE email_key = $1 OR id = $2";
    if let Some(row) = tx.query_opt(taken, &params![&key, user.id])? {
        let what = if row.get::<String>(0)? == key { format!("e-mail {key}") } else { format!("id {}", user.id) };
        return Err(Error::Conflict(format!("there is a user with the {what} already")));
    }
    let sql = "INSERT INTO users (id, tenant_id, allotment_id, email, email_key, name, password, admin, \
        repository_admin, disabled, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, FALSE, $10, $10)";
    let password = hash.map(PasswordHash::expose);
    let now = tx.now();
    let values = params![
        user.id,
        user.tenant,
        user.allotment,
        &user.email,
        key,
        &user.name,
        password,
        user.admin,
        user.repository_admin,
        now
    ];
    tx.execute(sql, &values)?;
    Ok(User { created_at: now, ..user.clone() })
}

fn change(tx: &mut Tx, id: UserId, fields: &Fields) -> Result<User, Error> {
    let before = find(tx, id)?.ok_or_else(|| Error::not_found("user", id))?;
    let of_tenant = before.tenant.is_some();
    let after = User {
        name: fields.name.clone().unwrap_or_else(|| before.name.clone()),
        admin: fields.admin.unwrap_or(before.admin) && of_tenant,
        repository_admin: fields.repository_admin.unwrap_or(before.repository_admin) && of_tenant,
        disabled: fields.disabled.unwrap_or(before.disabled),
        ..before.clone()
    };
    let sql =
        "UPDATE users SET name = $2, admin = $3, repository_admin = $4, disabled = $5, updated_at = $6 WHERE id = $1";
    let values = params![id, &after.name, after.admin, after.repository_admin, after.disabled, tx.now()];
    tx.execute(sql, &values)?;
    if let Some(hash) = &fields.hash {
        let hash = hash.as_ref().map(PasswordHash::expose);
        tx.execute("UPDATE users SET password = $2 WHERE id = $1", &params![id, hash])?;
    }
    if fields.ends_sessions(&before) {
        session::delete_of(tx, id)?;
    }
    Ok(after)
}

fn remove(tx: &mut Tx, id: UserId) -> Result<(), Error> {
    let owned = "SELECT path FROM allotments WHERE owner_id = $1 LIMIT 1";
    if let Some(row) = tx.query_opt(owned, &params![id])? {
        return Err(Error::Conflict(format!("the user still owns {}", row.get::<String>(0)?)));
    }
    // Sessions, tokens and grants go with the row.
    match tx.execute("DELETE FROM users WHERE id = $1", &params![id])? {
        0 => Err(Error::not_found("user", id)),
        _ => Ok(()),
    }
}
