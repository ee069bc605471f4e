//! Spaces: allotments below their organization's, with a quota of the organization's own or without one.

use ledger::ClaimId;
use store::{AllotmentPatch, Error as StoreError, Managed, Micros, NewAllotment, Row, TenantId, Tx, Unit, params};

use crate::auth::Caller;
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, QuotaId, SpaceId};
use crate::list::Table;
use crate::org::{self, Org};
use crate::quota::{self, Quota};

/// Where spaces are, and what may be asked of their list.
pub const TABLE: Table = Table {
    name: "cf_spaces",
    q: &[
        ("name", "cf_spaces.name {}"),
        ("organization_guid", "cf_spaces.organization_id {}"),
        (
            "developer_guid",
            "cf_spaces.id IN (SELECT space_id FROM cf_roles WHERE kind = 'space_developer' AND user_id {})",
        ),
        ("app_guid", "cf_spaces.id IN (SELECT space_id FROM cf_apps WHERE id {})"),
    ],
    filters: &[("names", "cf_spaces.name {}"), ("organization_guids", "cf_spaces.organization_id {}")],
    by_name: true,
    strict: false,
};

/// A space.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its id, which is its allotment's.
    pub id: SpaceId,
    /// Whose customer's.
    pub tenant: TenantId,
    /// Where it lies.
    pub org: OrgId,
    /// Unique in the organization.
    pub name: String,
    /// The quota applied to it.
    pub quota: Option<QuotaId>,
    /// Kept, and of no consequence.
    pub allow_ssh: bool,
    /// Labels and annotations, as JSON.
    pub metadata: String,
    /// Whether its organization is suspended.
    pub suspended: bool,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

/// The columns of [`from_row`], of [`FROM`].
pub const COLUMNS: &str = "cf_spaces.id, cf_spaces.tenant_id, cf_spaces.organization_id, cf_spaces.name, \
    cf_spaces.quota_id, cf_spaces.allow_ssh, cf_spaces.metadata, cf_organizations.suspended, cf_spaces.created_at, \
    cf_spaces.updated_at";
/// Spaces and their organizations.
pub const FROM: &str = "cf_spaces JOIN cf_organizations ON cf_organizations.id = cf_spaces.organization_id";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<Space, StoreError> {
    Ok(Space {
        id: row.get(0)?,
        tenant: row.get(1)?,
        org: row.get(2)?,
        name: row.get(3)?,
        quota: row.get(4)?,
        allow_ssh: row.get(5)?,
        metadata: row.get(6)?,
        suspended: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// A space by its id.
pub fn find(tx: &mut Tx, id: SpaceId) -> Result<Option<Space>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE cf_spaces.id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

/// One that is there for the caller, whether they see it or not.
pub fn known(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Option<Space>, StoreError> {
    let Some(id) = ids::parse(guid).map(SpaceId) else { return Ok(None) };
    Ok(find(tx, id)?.filter(|space| caller.knows(space.tenant)))
}

/// The same, or that it could not be found.
pub fn need(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Space, StoreError> {
    known(tx, caller, guid)?.ok_or_else(|| Error::NotFound(Noun::Space, guid.to_owned()).noun())
}

/// All of an organization.
pub fn of_org(tx: &mut Tx, org: OrgId) -> Result<Vec<SpaceId>, StoreError> {
    let rows = tx.query("SELECT id FROM cf_spaces WHERE organization_id = $1 ORDER BY place", &params![org])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// A space to be made.
#[derive(Clone, Debug)]
pub struct New {
    /// Its id.
    pub id: SpaceId,
    /// Its name.
    pub name: String,
    /// As in [`Space`].
    pub allow_ssh: bool,
    /// As in [`Space`].
    pub metadata: String,
}

/// The steps and rows that make one.
pub fn create(unit: Unit, org: &Org, new: New, quota: Option<Quota>) -> Result<Unit, StoreError> {
    let name = format!("space-{}", new.id);
    let node = NewAllotment {
        title: new.name.clone(),
        kind: "space".to_owned(),
        limits: quota.as_ref().map(org::limits).transpose()?.unwrap_or_default(),
        managed_by: Some(Managed::new("cloudfoundry", "space", new.id)),
        ..NewAllotment::new(new.id.allotment(), Some(org.id.allotment().into()), org::node_name(&name)?)
    };
    let (org, tenant) = (org.id, org.tenant);
    Ok(unit.create_allotment(node).rows(move |tx| {
        check_name(tx, org, &new.name, new.id)?;
        if let Some(quota) = &quota {
            quota::hold(tx, quota)?;
        }
        let sql = "INSERT INTO cf_spaces (id, tenant_id, organization_id, name, quota_id, allow_ssh, metadata, \
            created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
        let quota = quota.as_ref().map(|quota| quota.id);
        let values = params![new.id, tenant, org, &new.name, quota, new.allow_ssh, &new.metadata, tx.now()];
        tx.execute(sql, &values).map(drop)
    }))
}

fn check_name(tx: &mut Tx, org: OrgId, name: &str, except: SpaceId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_spaces WHERE organization_id = $1 AND name = $2 AND id <> $3";
    let taken = tx.query_opt(sql, &params![org, name, except])?;
    taken.map_or(Ok(()), |_| Err(Error::Taken(Noun::Space, name.to_owned()).noun()))
}

/// Changes what is its own; another quota is applied by `quota`.
pub fn change(caller: &Caller, before: &Space, after: Space) -> Unit {
    let mut unit = caller.unit();
    if before.name != after.name {
        let patch = AllotmentPatch { title: Some(after.name.clone()), ..AllotmentPatch::default() };
        unit = unit.change_allotment(after.id.allotment(), patch);
    }
    unit.rows(move |tx| {
        check_name(tx, after.org, &after.name, after.id)?;
        let sql = "UPDATE cf_spaces SET name = $2, allow_ssh = $3, metadata = $4, updated_at = $5 WHERE id = $1";
        let values = params![after.id, &after.name, after.allow_ssh, &after.metadata, tx.now()];
        quota::moved_if_none(tx.execute(sql, &values)?)
    })
}

/// What has a claim in a space, by the tables' names.
const CHARGED: [(&str, &str); 5] = [
    ("cf_service_keys", "TRUE"),
    ("cf_service_instances", "plan_id IS NOT NULL"),
    ("cf_routes", "TRUE"),
    ("cf_tasks", "running"),
    ("cf_apps", "TRUE"),
];

/// The steps that give back all that spaces take.
pub fn empty(tx: &mut Tx, unit: Unit, spaces: &[SpaceId]) -> Result<Unit, StoreError> {
    let mut unit = unit;
    for space in spaces {
        for (table, charged) in CHARGED {
            let sql = format!("SELECT id FROM {table} WHERE space_id = $1 AND {charged}");
            for row in tx.query(&sql, &params![*space])? {
                unit = unit.release(ClaimId(row.get(0)?));
            }
        }
    }
    Ok(unit)
}

/// The end of a space's rows, and of those of all in it.
pub fn delete_rows(tx: &mut Tx, space: SpaceId) -> Result<(), StoreError> {
    for (table, _) in CHARGED {
        tx.execute(&format!("DELETE FROM {table} WHERE space_id = $1"), &params![space])?;
    }
    tx.execute("DELETE FROM cf_spaces WHERE id = $1", &params![space]).map(drop)
}

/// Whether nothing is in it.
pub fn is_empty(tx: &mut Tx, space: SpaceId) -> Result<Option<&'static str>, StoreError> {
    for (table, what) in [("cf_apps", "apps"), ("cf_service_instances", "service_instances"), ("cf_routes", "routes")] {
        let sql = format!("SELECT 1 FROM {table} WHERE space_id = $1 LIMIT 1");
        if tx.query_opt(&sql, &params![space])?.is_some() {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// A unit that deletes it with all that is in it.
pub fn delete(tx: &mut Tx, unit: Unit, space: SpaceId) -> Result<Unit, StoreError> {
    let unit = empty(tx, unit, &[space])?;
    Ok(unit.remove_allotment(space.allotment()).rows(move |tx| delete_rows(tx, space)))
}
