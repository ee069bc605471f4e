//! Roles, and what they let one see and do (specification, sections 2.4 and 3).
//!
//! | | sees | may |
//! |---|---|---|
//! | an admin | all of the tenant | all |
//! | manager of an organization | it, all in it | change it, make spaces and space quotas in it |
//! | any other role there | it | |
//! | a role in a space | the space, what is in it, and the quota applied to it | |
//! | developer of a space | likewise | run apps, make routes, services and keys |
//!
//! In a suspended organization only admins change anything.

use store::{Error as StoreError, Tx, UserId, Value, params};

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{OrgId, SpaceId};
use crate::org::Org;
use crate::select::Select;
use crate::space::Space;

/// The role of one who manages an organization.
pub const MANAGER: &str = "organization_manager";
/// The role of one who runs apps in a space.
pub const DEVELOPER: &str = "space_developer";

/// Whether somebody has one of these roles in an organization itself; with none named, any.
pub fn has_org_role(tx: &mut Tx, user: UserId, org: OrgId, kind: Option<&str>) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM cf_roles WHERE user_id = $1 AND organization_id = $2 AND space_id IS NULL \
        AND (kind = $3 OR $3 = '') LIMIT 1";
    Ok(tx.query_opt(sql, &params![user, org, kind.unwrap_or_default()])?.is_some())
}

fn has_space_role(tx: &mut Tx, user: UserId, space: SpaceId, kind: Option<&str>) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM cf_roles WHERE space_id = $1 AND user_id = $2 AND (kind = $3 OR $3 = '') LIMIT 1";
    Ok(tx.query_opt(sql, &params![space, user, kind.unwrap_or_default()])?.is_some())
}

/// Whether an organization can be seen.
pub fn sees_org(tx: &mut Tx, caller: &Caller, org: OrgId) -> Result<bool, StoreError> {
    if caller.reads_all() {
        return Ok(true);
    }
    let sql = "SELECT 1 FROM cf_roles WHERE user_id = $1 AND organization_id = $2 LIMIT 1";
    Ok(tx.query_opt(sql, &params![caller.who.user, org])?.is_some())
}

/// Whether a space can be seen, and what is in it.
pub fn sees_space(tx: &mut Tx, caller: &Caller, space: &Space) -> Result<bool, StoreError> {
    Ok(caller.reads_all()
        || has_space_role(tx, caller.who.user, space.id, None)?
        || has_org_role(tx, caller.who.user, space.org, Some(MANAGER))?)
}

/// That the caller may manage an organization.
pub fn check_manages(tx: &mut Tx, caller: &Caller, org: &Org) -> Result<(), StoreError> {
    if caller.is_admin() {
        return Ok(());
    }
    if !has_org_role(tx, caller.who.user, org.id, Some(MANAGER))? {
        return Err(Error::Denied.noun());
    }
    if org.suspended { Err(Error::Suspended.noun()) } else { Ok(()) }
}

/// That the caller may run what is in a space.
pub fn check_develops(tx: &mut Tx, caller: &Caller, space: &Space) -> Result<(), StoreError> {
    if caller.is_admin() {
        return Ok(());
    }
    if !has_space_role(tx, caller.who.user, space.id, Some(DEVELOPER))? {
        return Err(Error::Denied.noun());
    }
    let sql = "SELECT suspended FROM cf_organizations WHERE id = $1";
    let row = tx.query_opt(sql, &params![space.org])?;
    match row.map(|row| row.get::<bool>(0)).transpose()? {
        Some(true) => Err(Error::Suspended.noun()),
        _ => Ok(()),
    }
}

/// Narrows a list to the caller's tenant, by the column `tenant_id` of this table.
pub fn narrow_to_tenant(select: &mut Select, caller: &Caller, table: &str) {
    select.and_equal(&format!("{table}.tenant_id"), caller.tenant());
}

/// Narrows a list to organizations the caller sees, whose ids are in `column`.
pub fn narrow_to_orgs(select: &mut Select, caller: &Caller, column: &str) {
    if !caller.reads_all() {
        let user = select.bind(caller.who.user);
        select.and(format!("{column} IN (SELECT organization_id FROM cf_roles WHERE user_id = {user})"));
    }
}

/// Narrows a list to what is in spaces the caller sees: `space` and `org` are the columns with their ids.
pub fn narrow_to_spaces(select: &mut Select, caller: &Caller, space: &str, org: &str) {
    if !caller.reads_all() {
        let user = select.bind(caller.who.user);
        let manager = select.bind(MANAGER);
        select.and(format!(
            "({space} IN (SELECT space_id FROM cf_roles WHERE user_id = {user} AND space_id IS NOT NULL) \
             OR {org} IN (SELECT organization_id FROM cf_roles WHERE user_id = {user} AND kind = {manager}))"
        ));
    }
}

/// Narrows a list to space quotas the caller sees: those of organizations they manage, and those of spaces they are in.
pub fn narrow_to_space_quotas(select: &mut Select, caller: &Caller) {
    narrow_to_tenant(select, caller, "cf_quotas");
    select.and("cf_quotas.organization_id IS NOT NULL");
    if !caller.reads_all() {
        let user = select.bind(caller.who.user);
        let manager = select.bind(Value::from(MANAGER));
        select.and(format!(
            "(cf_quotas.organization_id IN (SELECT organization_id FROM cf_roles WHERE user_id = {user} \
             AND kind = {manager}) OR cf_quotas.id IN (SELECT s.quota_id FROM cf_spaces s JOIN cf_roles r \
             ON r.space_id = s.id WHERE r.user_id = {user} AND s.quota_id IS NOT NULL))"
        ));
    }
}
