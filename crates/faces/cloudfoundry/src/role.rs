//! Roles: what a person is in an organization or a space. The same rows for v2's lists of people and v3's roles.

use store::{Error as StoreError, Micros, Row, TenantId, Tx, UserId, params};
use uuid::Uuid;

use crate::access;
use crate::error::Error;
use crate::ids::{self, OrgId, SpaceId};
use crate::org::Org;

/// v2's names of roles in an organization, and v3's.
pub const ORG_KINDS: [(&str, &str); 4] = [
    ("users", "organization_user"),
    ("managers", "organization_manager"),
    ("billing_managers", "organization_billing_manager"),
    ("auditors", "organization_auditor"),
];
/// The same of roles in a space.
pub const SPACE_KINDS: [(&str, &str); 4] = [
    ("developers", "space_developer"),
    ("managers", "space_manager"),
    ("auditors", "space_auditor"),
    ("supporters", "space_supporter"),
];

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its id.
    pub id: Uuid,
    /// Whose customer's.
    pub tenant: TenantId,
    /// Whose.
    pub user: UserId,
    /// In which organization.
    pub org: OrgId,
    /// In which space of it; none: in the organization itself.
    pub space: Option<SpaceId>,
    /// As what, in v3's words.
    pub kind: String,
    /// Since when.
    pub created_at: Micros,
}

/// The columns of [`from_row`].
pub const COLUMNS: &str = "cf_roles.id, cf_roles.tenant_id, cf_roles.user_id, cf_roles.organization_id, \
    cf_roles.space_id, cf_roles.kind, cf_roles.created_at";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<Role, StoreError> {
    Ok(Role {
        id: row.get(0)?,
        tenant: row.get(1)?,
        user: row.get(2)?,
        org: row.get(3)?,
        space: row.get(4)?,
        kind: row.get(5)?,
        created_at: row.get(6)?,
    })
}

/// A role to be given.
#[derive(Clone, Debug)]
pub struct New {
    /// Its id.
    pub id: Uuid,
    /// Whose customer's.
    pub tenant: TenantId,
    /// Whose.
    pub user: UserId,
    /// In which organization.
    pub org: OrgId,
    /// In which space of it.
    pub space: Option<SpaceId>,
    /// As what.
    pub kind: &'static str,
}

fn find(tx: &mut Tx, new: &New) -> Result<bool, StoreError> {
    let row = match new.space {
        Some(space) => {
            let sql = "SELECT 1 FROM cf_roles WHERE space_id = $1 AND user_id = $2 AND kind = $3";
            tx.query_opt(sql, &params![space, new.user, new.kind])?
        }
        None => {
            let sql = "SELECT 1 FROM cf_roles WHERE organization_id = $1 AND user_id = $2 AND kind = $3 \
                AND space_id IS NULL";
            tx.query_opt(sql, &params![new.org, new.user, new.kind])?
        }
    };
    Ok(row.is_some())
}

/// Gives a role; says whether it is new.
pub fn put(tx: &mut Tx, new: &New) -> Result<bool, StoreError> {
    if find(tx, new)? {
        return Ok(false);
    }
    let sql = "INSERT INTO cf_roles (id, tenant_id, user_id, organization_id, space_id, kind, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    tx.execute(sql, &params![new.id, new.tenant, new.user, new.org, new.space, new.kind, tx.now()])?;
    Ok(true)
}

/// Takes one back.
pub fn take(tx: &mut Tx, org: OrgId, space: Option<SpaceId>, user: UserId, kind: &str) -> Result<(), StoreError> {
    match space {
        Some(space) => {
            let sql = "DELETE FROM cf_roles WHERE space_id = $1 AND user_id = $2 AND kind = $3";
            tx.execute(sql, &params![space, user, kind])?
        }
        None => {
            let sql = "DELETE FROM cf_roles WHERE organization_id = $1 AND user_id = $2 AND kind = $3 \
                AND space_id IS NULL";
            tx.execute(sql, &params![org, user, kind])?
        }
    };
    Ok(())
}

/// Whether somebody is this in a space.
pub fn is(tx: &mut Tx, user: UserId, space: SpaceId, kind: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM cf_roles WHERE space_id = $1 AND user_id = $2 AND kind = $3";
    Ok(tx.query_opt(sql, &params![space, user, kind])?.is_some())
}

/// A person of a tenant by the guid in a path, in the words of v2.
pub fn person(tx: &mut Tx, tenant: TenantId, guid: &str) -> Result<UserId, StoreError> {
    let missing = || Error::Relation(format!("Could not find VCAP::CloudController::User with guid: {guid}")).noun();
    let user = UserId(ids::parse(guid).ok_or_else(missing)?);
    let sql = "SELECT 1 FROM users WHERE id = $1 AND tenant_id = $2";
    tx.query_opt(sql, &params![user, tenant])?.map(|_| user).ok_or_else(missing)
}

/// The same of one who has a role in the organization already: who has none can have none in a space of it.
pub fn member(tx: &mut Tx, org: &Org, guid: &str) -> Result<UserId, StoreError> {
    let user = person(tx, org.tenant, guid)?;
    if access::has_org_role(tx, user, org.id, None)? {
        return Ok(user);
    }
    let why = format!("Could not find a user of the organization {} with guid: {guid}", org.name);
    Err(Error::Relation(why).noun())
}
