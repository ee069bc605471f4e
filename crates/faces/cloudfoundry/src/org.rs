//! Organizations: allotments right below their tenant, under one quota each.
//!
//! **Always.** The limits on the allotment are those of its quota, or what an operator made of them since. An organization
//! that is deleted takes all in it with it, in one unit.

use ledger::Limits;
use store::{AllotmentPatch, Error as StoreError, Managed, Micros, NewAllotment, Row, TenantId, Tx, Unit, params};

use crate::auth::Caller;
use crate::cap;
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, QuotaId};
use crate::list::Table;
use crate::quota::{self, Quota};
use crate::space;

/// The longest name.
pub const NAME_MAX: usize = 255;

/// Where organizations are, and what may be asked of their list.
pub const TABLE: Table = Table {
    name: "cf_organizations",
    q: &[
        ("name", "cf_organizations.name {}"),
        ("status", "(CASE WHEN cf_organizations.suspended THEN 'suspended' ELSE 'active' END) {}"),
        ("space_guid", "cf_organizations.id IN (SELECT organization_id FROM cf_spaces WHERE id {})"),
        ("user_guid", "cf_organizations.id IN (SELECT organization_id FROM cf_roles WHERE user_id {})"),
        (
            "manager_guid",
            "cf_organizations.id IN (SELECT organization_id FROM cf_roles \
             WHERE kind = 'organization_manager' AND user_id {})",
        ),
        (
            "billing_manager_guid",
            "cf_organizations.id IN (SELECT organization_id FROM cf_roles \
             WHERE kind = 'organization_billing_manager' AND user_id {})",
        ),
        (
            "auditor_guid",
            "cf_organizations.id IN (SELECT organization_id FROM cf_roles \
             WHERE kind = 'organization_auditor' AND user_id {})",
        ),
    ],
    filters: &[("names", "cf_organizations.name {}")],
    by_name: true,
    strict: false,
};

/// An organization.
#[derive(Clone, Debug)]
pub struct Org {
    /// Its id, which is its allotment's.
    pub id: OrgId,
    /// Whose customer's.
    pub tenant: TenantId,
    /// Unique in the tenant.
    pub name: String,
    /// The quota it is under.
    pub quota: QuotaId,
    /// Whether only admins change anything in it.
    pub suspended: bool,
    /// Kept, and of no consequence.
    pub billing_enabled: bool,
    /// Labels and annotations, as JSON.
    pub metadata: String,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

/// The columns of [`from_row`].
pub const COLUMNS: &str = "cf_organizations.id, cf_organizations.tenant_id, cf_organizations.name, \
    cf_organizations.quota_id, cf_organizations.suspended, cf_organizations.billing_enabled, \
    cf_organizations.metadata, cf_organizations.created_at, cf_organizations.updated_at";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<Org, StoreError> {
    Ok(Org {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        quota: row.get(3)?,
        suspended: row.get(4)?,
        billing_enabled: row.get(5)?,
        metadata: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// An organization by its id.
pub fn find(tx: &mut Tx, id: OrgId) -> Result<Option<Org>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM cf_organizations WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

/// One that is there for the caller, whether they see it or not.
pub fn known(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Option<Org>, StoreError> {
    let Some(id) = ids::parse(guid).map(OrgId) else { return Ok(None) };
    Ok(find(tx, id)?.filter(|org| caller.knows(org.tenant)))
}

/// The same, or that it could not be found.
pub fn need(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Org, StoreError> {
    known(tx, caller, guid)?.ok_or_else(|| Error::NotFound(Noun::Organization, guid.to_owned()).noun())
}

/// An organization to be made.
#[derive(Clone, Debug)]
pub struct New {
    /// Its id.
    pub id: OrgId,
    /// Whose customer's.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// Whether it begins suspended.
    pub suspended: bool,
    /// As in [`Org`].
    pub billing_enabled: bool,
    /// As in [`Org`].
    pub metadata: String,
}

/// In which tenant a new one is made: the caller's; an operator's is the quota's, or the only one there is.
pub fn home(tx: &mut Tx, caller: &Caller, quota: Option<&Quota>) -> Result<TenantId, StoreError> {
    if let Some(tenant) = caller.tenant().or(quota.map(|quota| quota.tenant)) {
        return Ok(tenant);
    }
    let sql = "SELECT id FROM allotments WHERE side = 'demand' AND parent_id IS NULL AND kind = 'tenant' LIMIT 2";
    match tx.query(sql, &[])?.as_slice() {
        [only] => only.get(0),
        _ => {
            let why = "whose is it? name a quota of the tenant";
            Err(Error::Invalid(Noun::Organization, why.to_owned()).noun())
        }
    }
}

/// The quota of this name among those of a tenant's organizations.
pub fn default_quota(tx: &mut Tx, tenant: TenantId) -> Result<Quota, StoreError> {
    let sql = format!(
        "SELECT {} FROM cf_quotas WHERE tenant_id = $1 AND organization_id IS NULL AND name = $2",
        quota::COLUMNS
    );
    let row = tx.query_opt(&sql, &params![tenant, quota::DEFAULT])?;
    let row = row.ok_or_else(|| Error::NotFound(Noun::OrgQuota, quota::DEFAULT.to_owned()).noun())?;
    quota::from_row(&row)
}

/// The steps and rows that make one.
pub fn create(unit: Unit, new: New, quota: Quota) -> Result<Unit, StoreError> {
    let name = format!("organization-{}", new.id);
    let node = NewAllotment {
        title: new.name.clone(),
        kind: "organization".to_owned(),
        limits: limits(&quota)?,
        managed_by: Some(Managed::new("cloudfoundry", "organization", new.id)),
        ..NewAllotment::new(new.id.allotment(), Some(new.tenant.into()), node_name(&name)?)
    };
    Ok(unit.create_allotment(node).rows(move |tx| {
        check_name(tx, new.tenant, &new.name, new.id)?;
        quota::hold(tx, &quota)?;
        let sql = "INSERT INTO cf_organizations (id, tenant_id, name, quota_id, suspended, billing_enabled, metadata, \
            created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
        let values = params![
            new.id,
            new.tenant,
            &new.name,
            quota.id,
            new.suspended,
            new.billing_enabled,
            &new.metadata,
            tx.now()
        ];
        tx.execute(sql, &values).map(drop)
    }))
}

/// A node's own name; the thing's is its title.
pub fn node_name(text: &str) -> Result<ledger::Name, StoreError> {
    text.parse().map_err(|error: ledger::NameError| StoreError::Broken(error.to_string()))
}

/// A quota's limits for a new node.
pub fn limits(quota: &Quota) -> Result<Limits, StoreError> {
    let mut limits = Limits::new();
    for (resource, units) in cap::limits(&quota.caps) {
        if let Some(units) = units {
            limits.insert(resource, units).map_err(|error| StoreError::Invalid(error.to_string()))?;
        }
    }
    Ok(limits)
}

fn check_name(tx: &mut Tx, tenant: TenantId, name: &str, except: OrgId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_organizations WHERE tenant_id = $1 AND name = $2 AND id <> $3";
    let taken = tx.query_opt(sql, &params![tenant, name, except])?;
    taken.map_or(Ok(()), |_| Err(Error::Taken(Noun::Organization, name.to_owned()).noun()))
}

/// Changes what is its own; another quota is applied by `quota`.
pub fn change(caller: &Caller, before: &Org, after: Org) -> Unit {
    let mut unit = caller.unit();
    if before.name != after.name {
        let patch = AllotmentPatch { title: Some(after.name.clone()), ..AllotmentPatch::default() };
        unit = unit.change_allotment(after.id.allotment(), patch);
    }
    unit.rows(move |tx| {
        check_name(tx, after.tenant, &after.name, after.id)?;
        let sql = "UPDATE cf_organizations SET name = $2, suspended = $3, billing_enabled = $4, metadata = $5, \
            updated_at = $6 WHERE id = $1";
        let values = params![after.id, &after.name, after.suspended, after.billing_enabled, &after.metadata, tx.now()];
        quota::moved_if_none(tx.execute(sql, &values)?)
    })
}

/// A unit that deletes it with all that is in it.
pub fn delete(tx: &mut Tx, unit: Unit, org: &Org) -> Result<Unit, StoreError> {
    let spaces = space::of_org(tx, org.id)?;
    let mut unit = space::empty(tx, unit, &spaces)?;
    for row in tx.query("SELECT id FROM cf_domains WHERE organization_id = $1", &params![org.id])? {
        unit = unit.release(ledger::ClaimId(row.get(0)?));
    }
    unit = spaces.iter().fold(unit, |unit, space| unit.remove_allotment(space.allotment()));
    let id = org.id;
    Ok(unit.remove_allotment(id.allotment()).rows(move |tx| {
        spaces.iter().try_for_each(|space| space::delete_rows(tx, *space))?;
        let statements = [
            "DELETE FROM cf_routes WHERE organization_id = $1",
            "DELETE FROM cf_domains WHERE organization_id = $1",
            "DELETE FROM cf_organizations WHERE id = $1",
            "DELETE FROM cf_quotas WHERE organization_id = $1",
        ];
        for sql in statements {
            tx.execute(sql, &params![id])?;
        }
        Ok(())
    }))
}
