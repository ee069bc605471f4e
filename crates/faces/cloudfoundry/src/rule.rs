//! What a quota says of each one rather than of all together: how much memory one instance may have, and whether its plan may
//! cost anything. No sums, so no limits of an allotment: they are looked up where an instance is made or changed.

use store::{Error as StoreError, Tx, params};

use crate::ids::SpaceId;
use crate::over::{At, Over, What};

/// The rules for what is in one space: its quota's, and its organization's.
struct Rules {
    space_memory_mb: Option<i64>,
    org_memory_mb: Option<i64>,
    space_paid: bool,
    org_paid: bool,
}

fn rules(tx: &mut Tx, space: SpaceId) -> Result<Option<Rules>, StoreError> {
    let sql = "SELECT own.instance_memory_mb, up.instance_memory_mb, COALESCE(own.paid, TRUE), up.paid FROM cf_spaces s \
        JOIN cf_organizations o ON o.id = s.organization_id JOIN cf_quotas up ON up.id = o.quota_id \
        LEFT JOIN cf_quotas own ON own.id = s.quota_id WHERE s.id = $1";
    let Some(row) = tx.query_opt(sql, &params![space])? else { return Ok(None) };
    Ok(Some(Rules {
        space_memory_mb: row.get(0)?,
        org_memory_mb: row.get(1)?,
        space_paid: row.get(2)?,
        org_paid: row.get(3)?,
    }))
}

/// The quotas that do not let one instance, or one task, have so much memory.
pub fn instance_memory(tx: &mut Tx, space: SpaceId, memory_mb: i64) -> Result<Vec<Over>, StoreError> {
    let Some(rules) = rules(tx, space)? else { return Ok(Vec::new()) };
    let limits = [(At::Space, rules.space_memory_mb), (At::Org, rules.org_memory_mb)];
    let broken = limits.into_iter().filter(|(_, limit)| limit.is_some_and(|limit| memory_mb > limit));
    Ok(broken.map(|(at, _)| Over { at, what: What::InstanceMemory }).collect())
}

/// The quotas that do not let a service have a plan that is not free.
pub fn paid_plan(tx: &mut Tx, space: SpaceId) -> Result<Vec<Over>, StoreError> {
    let Some(rules) = rules(tx, space)? else { return Ok(Vec::new()) };
    let allowed = [(At::Space, rules.space_paid), (At::Org, rules.org_paid)];
    let broken = allowed.into_iter().filter(|(_, allowed)| !allowed);
    Ok(broken.map(|(at, _)| Over { at, what: What::Paid }).collect())
}
