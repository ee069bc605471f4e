//! The people of the site file, applied.
//!
//! **Shape.** What the file's changes come down to, one function each, with plain parameters: `put_…` for what the file
//! names for the first time (made, or taken over if it is there), `change_…` for what it says anew, `remove_…` for what it
//! no longer names.
//! **Always.** Each can be done again and then does nothing: no commit, no entry in the journal. What is not spoken of
//! stays. Secrets come as hashes only.

use ledger::{Limits, Name, Resource};
use store::{Actor, Allotment, AllotmentPatch, AllotmentRef, Error, TenantId, UserId};
use uuid::Uuid;

use crate::account;
use crate::password::{self, PasswordHash};
use crate::token::{self, TokenId, Wanted};
use crate::user::Fields;
use crate::{Identity, NewTenant, NewUser, User};

/// Limits that the file speaks of; none inside: unlimited from now on.
pub type LimitChanges = Vec<(Resource, Option<u64>)>;

/// A tenant as the file has it.
#[derive(Clone, Debug)]
pub struct TenantWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Its name, by which it is found.
    pub name: Name,
    /// What people call it; none: its name.
    pub title: Option<String>,
    /// What it may use.
    pub limits: Limits,
}

/// A user or operator as the file has them.
#[derive(Clone, Debug)]
pub struct UserWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Whose customer; none is an operator.
    pub tenant: Option<TenantId>,
    /// The login, by which they are found.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// None: the file does not speak of it.
    pub password: Option<PasswordHash>,
    /// Whether all of the tenant is theirs to run.
    pub admin: bool,
    /// Whether they hand out allocations.
    pub repository_admin: bool,
    /// What they may use themselves.
    pub limits: Limits,
}

/// What the file says anew of a user.
#[derive(Clone, Default, Debug)]
pub struct UserChanges {
    /// What people call them.
    pub name: Option<String>,
    /// None inside: no login by password any more.
    pub password: Option<Option<PasswordHash>>,
    /// Whether all of the tenant is theirs to run.
    pub admin: Option<bool>,
    /// Whether they hand out allocations.
    pub repository_admin: Option<bool>,
    /// What they may use themselves.
    pub limits: LimitChanges,
}

/// Answers `before` while it is a hash of this password, else a new hash: so that an unchanged password is no change.
/// Blocks for some 20 ms, so not for an async task.
pub fn keep_password(identity: &Identity, password: &str, before: Option<&str>) -> Result<PasswordHash, Error> {
    password::keep(password, before, identity.store.secret())
}

/// The tenant is there, with this title and these limits.
pub async fn put_tenant(identity: &Identity, by: Actor, wanted: TenantWanted) -> Result<TenantId, Error> {
    let title = wanted.title.unwrap_or_else(|| wanted.name.to_string());
    match identity.tenant_by_name(wanted.name.as_str()).await? {
        Some(tenant) => {
            check_id("tenant", wanted.name.as_str(), wanted.id, tenant.id.0)?;
            change_tenant(identity, by, wanted.name.as_str(), Some(title), stated(&wanted.limits)).await?;
            Ok(tenant.id)
        }
        None => {
            let new = NewTenant { id: wanted.id, name: wanted.name, title, limits: wanted.limits };
            Ok(identity.create_tenant(by, new).await?.id)
        }
    }
}

/// The file says something else of a tenant.
pub async fn change_tenant(
    identity: &Identity,
    by: Actor,
    name: &str,
    title: Option<String>,
    limits: LimitChanges,
) -> Result<(), Error> {
    let tenant = identity.tenant_by_name(name).await?.ok_or_else(|| Error::not_found("tenant", name))?;
    let patch = AllotmentPatch { title: title.filter(|title| *title != tenant.title), ..AllotmentPatch::default() };
    match node_patch(identity, tenant.id.into(), patch, limits).await? {
        Some(patch) => identity.change_tenant(by, tenant.id, patch).await,
        None => Ok(()),
    }
}

/// The file no longer names a tenant. Says whether it was there.
pub async fn remove_tenant(identity: &Identity, by: Actor, name: &str) -> Result<bool, Error> {
    match identity.tenant_by_name(name).await? {
        Some(tenant) => identity.remove_tenant(by, tenant.id).await.map(|()| true),
        None => Ok(false),
    }
}

/// The user is there, with all that the file says. One with this e-mail address elsewhere is a conflict.
pub async fn put_user(identity: &Identity, by: Actor, wanted: UserWanted) -> Result<UserId, Error> {
    let Some(user) = identity.user_by_email(&wanted.email).await? else {
        let UserWanted { id, tenant, email, name, password, admin, repository_admin, limits } = wanted;
        let new = NewUser { id, tenant, email, name, password: None, admin, repository_admin, limits };
        return Ok(identity.insert_user(by, new, password).await?.id);
    };
    check_id("user", &wanted.email, wanted.id, user.id.0)?;
    if user.tenant != wanted.tenant {
        return Err(Error::Conflict(format!("user {} is another tenant's", wanted.email)));
    }
    let changes = UserChanges {
        name: Some(wanted.name),
        password: wanted.password.map(Some),
        admin: Some(wanted.admin),
        repository_admin: Some(wanted.repository_admin),
        limits: stated(&wanted.limits),
    };
    change(identity, by, &user, changes).await?;
    Ok(user.id)
}

/// The file says something else of a user.
pub async fn change_user(identity: &Identity, by: Actor, email: &str, changes: UserChanges) -> Result<(), Error> {
    let user = identity.user_by_email(email).await?.ok_or_else(|| Error::not_found("user", email))?;
    change(identity, by, &user, changes).await
}

/// The file no longer names a user. Says whether they were there.
pub async fn remove_user(identity: &Identity, by: Actor, email: &str) -> Result<bool, Error> {
    match identity.user_by_email(email).await? {
        Some(user) => identity.remove_user(by, user.id).await.map(|()| true),
        None => Ok(false),
    }
}

/// The token with this SHA-256 is this user's.
pub async fn put_token(identity: &Identity, by: Actor, sha256: [u8; 32], email: &str) -> Result<TokenId, Error> {
    let user = identity.user_by_email(email).await?.ok_or_else(|| Error::not_found("user", email))?;
    if let Some((id, owner)) = find_token(identity, sha256).await? {
        if owner == user.id {
            return Ok(id);
        }
        identity.revoke_token(by.clone(), id).await?;
    }
    let id = TokenId(identity.store.new_id());
    let wanted = Wanted { id, user: user.id, name: "site".to_owned(), expires_at: None, sha256 };
    Ok(identity.insert_token(by, wanted).await?.id)
}

/// The file no longer names a token. Says whether it was there.
pub async fn remove_token(identity: &Identity, by: Actor, sha256: [u8; 32]) -> Result<bool, Error> {
    match find_token(identity, sha256).await? {
        Some((id, _)) => identity.revoke_token(by, id).await.map(|()| true),
        None => Ok(false),
    }
}

async fn find_token(identity: &Identity, sha256: [u8; 32]) -> Result<Option<(TokenId, UserId)>, Error> {
    identity.store.read(move |tx| token::find_id(tx, &sha256)).await
}

async fn change(identity: &Identity, by: Actor, user: &User, changes: UserChanges) -> Result<(), Error> {
    let is_operator = user.tenant.is_none();
    let id = user.id;
    let hash = identity.store.read(move |tx| account::stored_hash(tx, id)).await?;
    let fields = Fields {
        name: changes.name.filter(|name| *name != user.name),
        hash: changes.password.filter(|password| *password != hash),
        admin: changes.admin.filter(|admin| *admin != user.admin && !is_operator),
        repository_admin: changes.repository_admin.filter(|set| *set != user.repository_admin && !is_operator),
        disabled: None,
    };
    let patch = match user.allotment {
        Some(node) => node_patch(identity, node.into(), AllotmentPatch::default(), changes.limits).await?,
        None => None,
    };
    if fields.is_empty() && patch.is_none() {
        return Ok(());
    }
    identity.change_fields(by, id, fields, patch.unwrap_or_default()).await.map(drop)
}

/// `patch` with what is new in `limits`; none when nothing is left to change.
async fn node_patch(
    identity: &Identity,
    node: AllotmentRef,
    patch: AllotmentPatch,
    limits: LimitChanges,
) -> Result<Option<AllotmentPatch>, Error> {
    let known = identity.store.read(move |tx| store::allotments::find(tx, &node)).await?;
    let known: Option<Allotment> = known;
    let limit = |resource| known.as_ref().and_then(|node| node.balance(resource).limit);
    let limits: LimitChanges = limits.into_iter().filter(|(resource, to)| limit(*resource) != *to).collect();
    let is_nothing = limits.is_empty() && patch.title.is_none();
    Ok((!is_nothing).then_some(AllotmentPatch { limits, ..patch }))
}

fn stated(limits: &Limits) -> LimitChanges {
    limits.iter().map(|(resource, units)| (resource, Some(units))).collect()
}

fn check_id(noun: &str, name: &str, wanted: Option<Uuid>, found: Uuid) -> Result<(), Error> {
    match wanted.filter(|wanted| *wanted != found) {
        Some(wanted) => Err(Error::Conflict(format!("{noun} {name} is there as {found}, not as {wanted}"))),
        None => Ok(()),
    }
}
