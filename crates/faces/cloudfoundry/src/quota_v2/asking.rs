//! What a v2 body says of a quota, and its rules (specification, sections 2.1 and 2.2).

use serde_json::{Map, Value};
use store::{Error as StoreError, Tx};

use crate::Face;
use crate::body::{Field, Kind};
use crate::cap::{self, CAPS, Caps};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, QuotaId};
use crate::quota::{self, Quota};

/// Of a quota of spaces.
pub const SPACE_FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("non_basic_services_allowed", Kind::Flag, true),
    ("total_services", Kind::Int, true),
    ("total_routes", Kind::Int, true),
    ("memory_limit", Kind::Int, true),
    ("organization_guid", Kind::Text, true),
    ("instance_memory_limit", Kind::Int, false),
    ("app_instance_limit", Kind::Int, false),
    ("app_task_limit", Kind::Int, false),
    ("total_service_keys", Kind::Int, false),
    ("total_reserved_route_ports", Kind::Int, false),
];
/// Of a quota of organizations.
pub const ORG_FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("non_basic_services_allowed", Kind::Flag, true),
    ("total_services", Kind::Int, true),
    ("total_routes", Kind::Int, true),
    ("memory_limit", Kind::Int, true),
    ("total_private_domains", Kind::Int, false),
    ("instance_memory_limit", Kind::Int, false),
    ("app_instance_limit", Kind::Int, false),
    ("app_task_limit", Kind::Int, false),
    ("total_service_keys", Kind::Int, false),
    ("total_reserved_route_ports", Kind::Int, false),
];

/// The fields of a body, over what a quota has.
pub fn over(map: &Map<String, Value>, mut quota: Quota) -> Quota {
    if let Some(name) = map.get("name").and_then(Value::as_str) {
        quota.name = name.to_owned();
    }
    if let Some(paid) = map.get("non_basic_services_allowed").and_then(Value::as_bool) {
        quota.paid = paid;
    }
    for (at, known) in CAPS.iter().enumerate() {
        // Organizations' domains are no space's, and what v2 does not show it does not read.
        let is_elsewhere = known.v2.is_empty() || (at == cap::DOMAINS && quota.org.is_some());
        if let Some(value) = map.get(known.v2).filter(|_| !is_elsewhere) {
            // Beyond what an integer of theirs holds it is refused below.
            let value = value.as_i64().unwrap_or(i64::MAX);
            quota.caps[at] = Some(value).filter(|value| *value != -1);
        }
    }
    quota
}

/// The rules of v2 (specification, section 2.2).
pub fn check(tx: &mut Tx, quota: &Quota) -> Result<(), StoreError> {
    let noun = quota::noun(quota);
    let mut faults = Vec::new();
    if quota.name.trim().is_empty() {
        faults.push("name presence".to_owned());
    }
    if noun == Noun::OrgQuota && quota.caps[cap::MEMORY].is_some_and(|value| value < -1) {
        return Err(Error::QuotaMemory.noun());
    }
    let bounded = [cap::MEMORY, cap::INSTANCE_MEMORY, cap::INSTANCES, cap::TASKS, cap::KEYS, cap::DOMAINS];
    for (at, known) in CAPS.iter().enumerate() {
        let value = quota.caps[at].unwrap_or(-1);
        let is_low = value < -1 && bounded.contains(&at);
        if is_low || !(-quota::CAP_MAX - 1..=quota::CAP_MAX).contains(&value) {
            faults.push(format!("{0} invalid_{0}", known.v2));
        }
    }
    if !quota::ports_fit(tx, quota)? {
        let why = if noun == Noun::SpaceQuota { quota::PORTS_OF_SPACE } else { quota::PORTS_OF_ORG };
        faults.push(why.to_owned());
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(noun, faults.join(", ")).noun());
    }
    quota::check_name(tx, quota)
}

/// A quota with v2's defaults.
pub fn fresh(face: &Face, tenant: store::TenantId, org: Option<OrgId>) -> Quota {
    let mut caps = Caps::default();
    match org {
        Some(_) => caps[cap::TASKS] = Some(5),
        None => caps[cap::PORTS] = Some(0),
    }
    Quota {
        id: QuotaId(ids::guid(&face.store)),
        tenant,
        org,
        name: String::new(),
        paid: true,
        caps,
        version: 1,
        created_at: 0,
        updated_at: 0,
    }
}
