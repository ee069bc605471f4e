//! The limits of a quota: which resource each is, and what each API calls it (specification, section 4.4).
//!
//! **Always.** -1 in v2 and null in v3 are none here: unlimited. A number below -1, which v2 takes for services and routes,
//! leaves no room, as 0 does.

use ledger::Resource;

/// One limit of a quota.
pub struct Cap {
    /// Its column.
    pub column: &'static str,
    /// The resource it limits on the allotments of those it is applied to; none: a rule of one instance, or only kept.
    pub resource: Option<Resource>,
    /// v2's name; empty where v2 does not show it.
    pub v2: &'static str,
    /// v3's block, and the name in it.
    pub v3: (&'static str, &'static str),
    /// v3's name in a sentence.
    pub title: &'static str,
}

/// The values of [`CAPS`], in their order; none: unlimited.
pub type Caps = [Option<i64>; CAPS.len()];

/// Positions in [`CAPS`].
pub const MEMORY: usize = 0;
/// Memory of one instance.
pub const INSTANCE_MEMORY: usize = 1;
/// Started instances.
pub const INSTANCES: usize = 2;
/// Running tasks.
pub const TASKS: usize = 3;
// Place 4 is that of log lines' bytes a second: kept, and nothing is charged.
/// Service instances.
pub const SERVICES: usize = 5;
/// Service keys.
pub const KEYS: usize = 6;
/// Routes.
pub const ROUTES: usize = 7;
/// Routes with a reserved port.
pub const PORTS: usize = 8;
/// Private domains.
pub const DOMAINS: usize = 9;

/// All limits, in the order of v3's objects.
pub const CAPS: [Cap; 10] = [
    Cap {
        column: "memory_mb",
        resource: Some(Resource::MEMORY_MB),
        v2: "memory_limit",
        v3: ("apps", "total_memory_in_mb"),
        title: "Total memory in mb",
    },
    Cap {
        column: "instance_memory_mb",
        resource: None,
        v2: "instance_memory_limit",
        v3: ("apps", "per_process_memory_in_mb"),
        title: "Per process memory in mb",
    },
    Cap {
        column: "instances",
        resource: Some(Resource::INSTANCES),
        v2: "app_instance_limit",
        v3: ("apps", "total_instances"),
        title: "Total instances",
    },
    Cap {
        column: "tasks",
        resource: Some(Resource::TASKS),
        v2: "app_task_limit",
        v3: ("apps", "per_app_tasks"),
        title: "Per app tasks",
    },
    Cap {
        column: "log_rate",
        resource: None,
        v2: "",
        v3: ("apps", "log_rate_limit_in_bytes_per_second"),
        title: "Log rate limit in bytes per second",
    },
    Cap {
        column: "services",
        resource: Some(Resource::SERVICES),
        v2: "total_services",
        v3: ("services", "total_service_instances"),
        title: "Total service instances",
    },
    Cap {
        column: "service_keys",
        resource: Some(Resource::SERVICE_KEYS),
        v2: "total_service_keys",
        v3: ("services", "total_service_keys"),
        title: "Total service keys",
    },
    Cap {
        column: "routes",
        resource: Some(Resource::ROUTES),
        v2: "total_routes",
        v3: ("routes", "total_routes"),
        title: "Total routes",
    },
    Cap {
        column: "reserved_ports",
        resource: Some(Resource::RESERVED_PORTS),
        v2: "total_reserved_route_ports",
        v3: ("routes", "total_reserved_ports"),
        title: "Total reserved ports",
    },
    Cap {
        column: "domains",
        resource: Some(Resource::DOMAINS),
        v2: "total_private_domains",
        v3: ("domains", "total_domains"),
        title: "Total domains",
    },
];

/// What an allotment gets as its limits; none inside: unlimited.
pub fn limits(caps: &Caps) -> Vec<(Resource, Option<u64>)> {
    let limit = |(cap, value): (&Cap, &Option<i64>)| Some((cap.resource?, value.map(amount)));
    CAPS.iter().zip(caps).filter_map(limit).collect()
}

/// No limit: what an allotment gets when no quota is applied to it any more.
pub fn unlimited() -> Vec<(Resource, Option<u64>)> {
    limits(&Caps::default())
}

/// Below 0 there is no room either.
fn amount(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_nothing_leaves_no_room_and_rules_of_one_instance_are_no_limits() {
        let mut caps = Caps::default();
        (caps[ROUTES], caps[MEMORY], caps[INSTANCE_MEMORY]) = (Some(-5), Some(1024), Some(256));
        let limits = limits(&caps);
        assert!(limits.contains(&(Resource::ROUTES, Some(0))));
        assert!(limits.contains(&(Resource::MEMORY_MB, Some(1024))));
        assert!(limits.contains(&(Resource::SERVICES, None)));
        assert_eq!(limits.len(), 8);
    }
}
