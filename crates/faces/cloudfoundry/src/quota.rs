//! Quotas: named sets of limits, of a tenant's organizations or of an organization's spaces.
//!
//! **Always.** Whatever a quota limits as a sum is written on the allotments of all it is applied to, in one unit with the
//! quota's own row. The row's version says under which limits somebody was counted in: a unit that was planned with another
//! version is planned again, so no allotment is left with the limits of yesterday.

use store::{Actor, AllotmentPatch, Error as StoreError, Micros, Row, Store, TenantId, Tx, Unit, Value, params};
use uuid::Uuid;

use crate::auth::Caller;
use crate::cap::{self, CAPS, Caps};
use crate::error::{Error, Noun};
use crate::ids::{OrgId, QuotaId, SpaceId};
use crate::select::Select;
use crate::{access, ids};

/// The quota that a new organization gets when it names none.
pub const DEFAULT: &str = "default";
/// To how many organizations or spaces one quota is applied: changing it is one unit.
const APPLIED_MAX: usize = 10_000;
/// The largest number of a limit.
pub const CAP_MAX: i64 = i32::MAX as i64;

/// Cloud Controller's sentence about reserved ports of a space.
pub const PORTS_OF_SPACE: &str = "Total reserved ports must be -1, 0, or a positive integer, must be less than or \
    equal to total routes, and must be less than or equal to total reserved ports for the organization quota.";
/// The same of an organization.
pub const PORTS_OF_ORG: &str =
    "Total reserved ports must be -1, 0, or a positive integer, and must be less than or equal to total routes.";

/// A quota.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Its id.
    pub id: QuotaId,
    /// Whose customer's.
    pub tenant: TenantId,
    /// The organization whose spaces it is for; none: it is for organizations.
    pub org: Option<OrgId>,
    /// Unique in the organization, or in the tenant.
    pub name: String,
    /// Whether plans that are not free may be used.
    pub paid: bool,
    /// Its limits.
    pub caps: Caps,
    /// Grows with each change, and with each application.
    pub version: i64,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

/// The columns of [`from_row`].
pub const COLUMNS: &str = "cf_quotas.id, cf_quotas.tenant_id, cf_quotas.organization_id, cf_quotas.name, cf_quotas.paid, \
    cf_quotas.version, cf_quotas.created_at, cf_quotas.updated_at, cf_quotas.memory_mb, cf_quotas.instance_memory_mb, \
    cf_quotas.instances, cf_quotas.tasks, cf_quotas.log_rate, cf_quotas.services, cf_quotas.service_keys, \
    cf_quotas.routes, cf_quotas.reserved_ports, cf_quotas.domains";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<Quota, StoreError> {
    let mut caps = Caps::default();
    for (at, cap) in caps.iter_mut().enumerate() {
        *cap = row.get(8 + at)?;
    }
    Ok(Quota {
        id: row.get(0)?,
        tenant: row.get(1)?,
        org: row.get(2)?,
        name: row.get(3)?,
        paid: row.get(4)?,
        caps,
        version: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

/// A quota by its id, of whichever kind.
pub fn find(tx: &mut Tx, id: QuotaId) -> Result<Option<Quota>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM cf_quotas WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

/// A quota of organizations that is there for the caller.
pub fn of_orgs(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Option<Quota>, StoreError> {
    let Some(id) = ids::parse(guid).map(QuotaId) else { return Ok(None) };
    Ok(find(tx, id)?.filter(|quota| quota.org.is_none() && caller.knows(quota.tenant)))
}

/// A quota of spaces that is there for the caller, and whether they see it.
pub fn of_spaces(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Option<(Quota, bool)>, StoreError> {
    let Some(id) = ids::parse(guid).map(QuotaId) else { return Ok(None) };
    let Some(quota) = find(tx, id)?.filter(|quota| quota.org.is_some() && caller.knows(quota.tenant)) else {
        return Ok(None);
    };
    let mut select = Select::new();
    access::narrow_to_space_quotas(&mut select, caller);
    select.and_equal("cf_quotas.id", Some(id));
    let sql = format!("SELECT 1 FROM cf_quotas WHERE {}", select.conditions());
    let sees = tx.query_opt(&sql, select.values())?.is_some();
    Ok(Some((quota, sees)))
}

/// The spaces, or organizations, that a quota is applied to.
pub fn applied(tx: &mut Tx, quota: &Quota) -> Result<Vec<Uuid>, StoreError> {
    let table = if quota.org.is_some() { "cf_spaces" } else { "cf_organizations" };
    let sql = format!("SELECT id FROM {table} WHERE quota_id = $1 ORDER BY place LIMIT $2");
    let rows = tx.query(&sql, &params![quota.id, APPLIED_MAX + 1])?;
    if rows.len() > APPLIED_MAX {
        let why = format!("a quota is applied to at most {APPLIED_MAX}");
        return Err(Error::Invalid(noun(quota), why).noun());
    }
    rows.iter().map(|row| row.get(0)).collect()
}

/// Which of the two kinds.
pub fn noun(quota: &Quota) -> Noun {
    if quota.org.is_some() { Noun::SpaceQuota } else { Noun::OrgQuota }
}

/// The rules that are the same in both APIs: the reserved ports' bounds.
pub fn ports_fit(tx: &mut Tx, quota: &Quota) -> Result<bool, StoreError> {
    let Some(ports) = quota.caps[cap::PORTS] else { return Ok(true) };
    if ports < 0 || quota.caps[cap::ROUTES].is_some_and(|routes| ports > routes) {
        return Ok(false);
    }
    let Some(org) = quota.org else { return Ok(true) };
    let sql = "SELECT q.reserved_ports FROM cf_organizations o JOIN cf_quotas q ON q.id = o.quota_id WHERE o.id = $1";
    let row = tx.query_opt(sql, &params![org])?;
    let most = row.map(|row| row.get::<Option<i64>>(0)).transpose()?.flatten();
    Ok(most.is_none_or(|most| ports <= most))
}

/// That no other quota of its kind and place has this name.
pub fn check_name(tx: &mut Tx, quota: &Quota) -> Result<(), StoreError> {
    let row = match quota.org {
        Some(org) => {
            let sql = "SELECT 1 FROM cf_quotas WHERE organization_id = $1 AND name = $2 AND id <> $3";
            tx.query_opt(sql, &params![org, &quota.name, quota.id])?
        }
        None => {
            let sql = "SELECT 1 FROM cf_quotas WHERE organization_id IS NULL AND tenant_id = $1 AND name = $2 \
                AND id <> $3";
            tx.query_opt(sql, &params![quota.tenant, &quota.name, quota.id])?
        }
    };
    row.map_or(Ok(()), |_| Err(Error::Taken(noun(quota), quota.name.clone()).noun()))
}

/// The row of a new one.
pub fn insert(tx: &mut Tx, quota: &Quota) -> Result<(), StoreError> {
    let now = tx.now();
    let mut values = params![quota.id, quota.tenant, quota.org, &quota.name, quota.paid, 1_i64, now, now].to_vec();
    values.extend(quota.caps.iter().map(|cap| Value::from(*cap)));
    let columns: Vec<&str> = CAPS.iter().map(|cap| cap.column).collect();
    let places: Vec<String> = (1..=values.len()).map(|at| format!("${at}")).collect();
    let sql = format!(
        "INSERT INTO cf_quotas (id, tenant_id, organization_id, name, paid, version, created_at, updated_at, {}) \
         VALUES ({})",
        columns.join(", "),
        places.join(", ")
    );
    tx.execute(&sql, &values).map(drop)
}

/// Writes a quota as it is to be. [`Error::Moved`] when it is not at the version it was planned with.
pub fn update(tx: &mut Tx, quota: &Quota) -> Result<(), StoreError> {
    let mut values = params![quota.id, quota.version, &quota.name, quota.paid, tx.now()].to_vec();
    let mut sets = vec!["name = $3, paid = $4, updated_at = $5, version = version + 1".to_owned()];
    for (cap, value) in CAPS.iter().zip(&quota.caps) {
        values.push(Value::from(*value));
        sets.push(format!("{} = ${}", cap.column, values.len()));
    }
    let sql = format!("UPDATE cf_quotas SET {} WHERE id = $1 AND version = $2", sets.join(", "));
    moved_if_none(tx.execute(&sql, &values)?)
}

/// Holds a quota at the version with which somebody was planned to be counted in.
pub fn hold(tx: &mut Tx, quota: &Quota) -> Result<(), StoreError> {
    let sql = "UPDATE cf_quotas SET version = version + 1 WHERE id = $1 AND version = $2";
    moved_if_none(tx.execute(sql, &params![quota.id, quota.version])?)
}

/// That a row at a version was there.
pub fn moved_if_none(touched: u64) -> Result<(), StoreError> {
    if touched == 0 { Err(Error::Moved.noun()) } else { Ok(()) }
}

/// The steps that give allotments the limits of a quota; of none, no limits.
pub fn limit_all(unit: Unit, nodes: &[Uuid], quota: Option<&Quota>) -> Unit {
    let limits = quota.map_or_else(cap::unlimited, |quota| cap::limits(&quota.caps));
    nodes.iter().fold(unit, |unit, node| {
        let patch = AllotmentPatch { limits: limits.clone(), ..AllotmentPatch::default() };
        unit.change_allotment(ledger::AllotmentId(*node), patch)
    })
}

/// A unit that changes a quota, and with it the limits of all it is applied to.
pub fn change(tx: &mut Tx, caller: &Caller, before: &Quota, after: Quota) -> Result<Unit, StoreError> {
    let nodes = if before.caps == after.caps { Vec::new() } else { applied(tx, before)? };
    let unit = limit_all(caller.unit(), &nodes, Some(&after));
    Ok(unit.rows(move |tx| {
        check_name(tx, &after)?;
        // One that has another quota by now would get the limits of this one.
        if !nodes.is_empty() && applied(tx, &after)? != nodes {
            return Err(Error::Moved.noun());
        }
        update(tx, &after)
    }))
}

/// A unit that applies a quota to spaces of its organization, or to organizations of its tenant.
pub fn apply(caller: &Caller, quota: Quota, to: Vec<Uuid>) -> Unit {
    let unit = limit_all(caller.unit(), &to, Some(&quota));
    unit.rows(move |tx| {
        // Changed since it was planned with these limits, it would leave those of yesterday on the allotments.
        hold(tx, &quota)?;
        point(tx, &quota, &to)
    })
}

/// Notes in their rows that these have this quota.
pub fn point(tx: &mut Tx, quota: &Quota, to: &[Uuid]) -> Result<(), StoreError> {
    let table = if quota.org.is_some() { "cf_spaces" } else { "cf_organizations" };
    for node in to {
        let sql = format!("UPDATE {table} SET quota_id = $2, updated_at = $3 WHERE id = $1");
        moved_if_none(tx.execute(&sql, &params![*node, quota.id, tx.now()])?)?;
    }
    Ok(())
}

/// A unit that takes a quota from spaces it is applied to.
pub fn withdraw(caller: &Caller, quota: Quota, from: Vec<SpaceId>) -> Unit {
    let nodes: Vec<Uuid> = from.iter().map(|space| space.0).collect();
    limit_all(caller.unit(), &nodes, None).rows(move |tx| {
        hold(tx, &quota)?;
        for space in &from {
            let sql = "UPDATE cf_spaces SET quota_id = NULL, updated_at = $3 WHERE id = $1 AND quota_id = $2";
            moved_if_none(tx.execute(sql, &params![*space, quota.id, tx.now()])?)?;
        }
        Ok(())
    })
}

/// A unit that deletes a quota; one of spaces is taken from all of them first.
pub fn delete(tx: &mut Tx, caller: &Caller, quota: Quota) -> Result<Unit, StoreError> {
    let nodes = applied(tx, &quota)?;
    if quota.org.is_none() && !nodes.is_empty() {
        return Err(Error::NotEmpty("organization", "quota definition").noun());
    }
    Ok(limit_all(caller.unit(), &nodes, None).rows(move |tx| {
        if applied(tx, &quota)? != nodes {
            return Err(Error::Moved.noun());
        }
        tx.execute("UPDATE cf_spaces SET quota_id = NULL WHERE quota_id = $1", &params![quota.id])?;
        let sql = "DELETE FROM cf_quotas WHERE id = $1 AND version = $2";
        moved_if_none(tx.execute(sql, &params![quota.id, quota.version])?)
    }))
}

/// What every tenant has: the quota `default` as Cloud Foundry ships it, but with ports, and a domain each for HTTP and TCP.
/// Done again it does nothing.
pub async fn settle(store: &Store, tenant: TenantId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_quotas WHERE tenant_id = $1 AND organization_id IS NULL AND name = $2";
    if store.read(move |tx| tx.query_opt(sql, &params![tenant, DEFAULT])).await?.is_some() {
        return Ok(());
    }
    let id = QuotaId(ids::guid(store));
    let mut caps = Caps::default();
    (caps[cap::MEMORY], caps[cap::SERVICES], caps[cap::ROUTES]) = (Some(10_240), Some(100), Some(1000));
    // With the field's own default, 0, the seed's example would be refused in any organization on this quota.
    caps[cap::PORTS] = Some(100);
    let (created_at, updated_at) = (0, 0);
    let quota =
        Quota { id, tenant, org: None, name: DEFAULT.to_owned(), paid: true, caps, version: 1, created_at, updated_at };
    let domains = [("apps.plimsoll.internal", None), ("tcp.plimsoll.internal", Some("default-tcp"))];
    let domains = domains.map(|(name, group)| (ids::guid(store), name, group));
    let unit = Unit::by(Actor::system("cloudfoundry")).rows(move |tx| {
        if tx.query_opt(sql, &params![tenant, DEFAULT])?.is_some() {
            return Ok(());
        }
        insert(tx, &quota)?;
        for (id, name, group) in &domains {
            let sql = "INSERT INTO cf_domains (id, tenant_id, name, router_group, created_at, updated_at) \
                VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (tenant_id, name) DO NOTHING";
            tx.execute(sql, &params![*id, tenant, *name, *group, tx.now()])?;
        }
        Ok(())
    });
    match store.write(unit).await {
        // Another node was faster.
        Err(StoreError::Conflict(_)) => Ok(()),
        other => other.map(drop),
    }
}
