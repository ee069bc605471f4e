//! Exceeded quotas: which limit, of whom, and in which words each API tells it (specification, sections 1.5 and 3.4 to 4.3).
//!
//! The store says which allotment refused which resource; `rule.rs` says which rule of one instance is broken. Both become an
//! [`Over`], and their order is Cloud Controller's own.

use ledger::Resource;
use store::Error as StoreError;

use crate::error::Error;
use crate::ids::SpaceId;

/// Whose quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// The space's.
    Space,
    /// The organization's, or what is above it.
    Org,
}

/// Which of a quota's limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Memory in all.
    Memory,
    /// Memory of one instance.
    InstanceMemory,
    /// Started instances.
    Instances,
    /// Running tasks.
    Tasks,
    /// Routes.
    Routes,
    /// Routes with a reserved port.
    Ports,
    /// Service instances.
    Services,
    /// Plans that are not free.
    Paid,
    /// Service keys.
    Keys,
}

/// One limit that would be exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Over {
    /// Whose.
    pub at: At,
    /// Which.
    pub what: What,
}

/// What was to be made or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// An app: its processes.
    App,
    /// A task.
    Task,
    /// A route.
    Route,
    /// A service instance.
    Service,
    /// A service key.
    Key,
}

const fn over(at: At, what: What) -> Over {
    Over { at, what }
}

impl Subject {
    /// The order in which Cloud Controller looks.
    fn order(self) -> &'static [Over] {
        match self {
            Subject::App => {
                const {
                    &[
                        over(At::Space, What::Memory),
                        over(At::Space, What::InstanceMemory),
                        over(At::Org, What::Memory),
                        over(At::Org, What::InstanceMemory),
                        over(At::Space, What::Instances),
                        over(At::Org, What::Instances),
                    ]
                }
            }
            Subject::Task => {
                const {
                    &[
                        over(At::Org, What::Memory),
                        over(At::Org, What::InstanceMemory),
                        over(At::Org, What::Tasks),
                        over(At::Space, What::Memory),
                        over(At::Space, What::InstanceMemory),
                        over(At::Space, What::Tasks),
                    ]
                }
            }
            Subject::Route => {
                const {
                    &[
                        over(At::Space, What::Routes),
                        over(At::Space, What::Ports),
                        over(At::Org, What::Routes),
                        over(At::Org, What::Ports),
                    ]
                }
            }
            Subject::Service => {
                const {
                    &[
                        over(At::Space, What::Services),
                        over(At::Org, What::Services),
                        over(At::Space, What::Paid),
                        over(At::Org, What::Paid),
                    ]
                }
            }
            Subject::Key => const { &[over(At::Org, What::Keys), over(At::Space, What::Keys)] },
        }
    }
}

/// What a failed write is: the quotas it would exceed, those of `broken` rules included, or its own reason.
pub fn refused(subject: Subject, space: Option<SpaceId>, error: StoreError, broken: Vec<Over>) -> Error {
    let StoreError::Refused(refusals) = error else { return error.into() };
    let mut found = broken;
    for refusal in &refusals {
        let is_space = space.is_some_and(|space| refusal.allotment == space.allotment());
        if let Some(what) = what(refusal.resource) {
            found.push(Over { at: if is_space { At::Space } else { At::Org }, what });
        }
    }
    match in_order(subject, &found) {
        sorted if sorted.is_empty() => Error::Store(StoreError::Refused(refusals)),
        sorted => Error::Over(subject, sorted),
    }
}

/// Each once, in the subject's order.
pub fn in_order(subject: Subject, found: &[Over]) -> Vec<Over> {
    subject.order().iter().filter(|over| found.contains(over)).copied().collect()
}

fn what(resource: Resource) -> Option<What> {
    let known = [
        (Resource::MEMORY_MB, What::Memory),
        (Resource::INSTANCES, What::Instances),
        (Resource::TASKS, What::Tasks),
        (Resource::ROUTES, What::Routes),
        (Resource::RESERVED_PORTS, What::Ports),
        (Resource::SERVICES, What::Services),
        (Resource::SERVICE_KEYS, What::Keys),
    ];
    known.into_iter().find(|(of, _)| *of == resource).map(|(_, what)| what)
}

/// v2's code, name and sentence.
pub fn code(over: Over) -> (u32, &'static str, &'static str) {
    const MEMORY: &str = "You have exceeded your organization's memory limit: app requested more memory than available";
    const SPACE_MEMORY: &str = "You have exceeded your space's memory limit: app requested more memory than available";
    const PAID: &str = "The service instance cannot be created because paid service plans are not allowed.";
    const SPACE_PAID: &str =
        "The service instance cannot be created because paid service plans are not allowed for your space.";
    match (over.at, over.what) {
        (At::Org, What::Memory) => (100_005, "AppMemoryQuotaExceeded", MEMORY),
        (At::Space, What::Memory) => (310_003, "SpaceQuotaMemoryLimitExceeded", SPACE_MEMORY),
        (At::Org, What::InstanceMemory) => (
            100_007,
            "QuotaInstanceMemoryLimitExceeded",
            "You have exceeded the instance memory limit for your organization's quota.",
        ),
        (At::Space, What::InstanceMemory) => (
            310_004,
            "SpaceQuotaInstanceMemoryLimitExceeded",
            "You have exceeded the instance memory limit for your space's quota.",
        ),
        (At::Org, What::Instances | What::Tasks) => (
            100_008,
            "QuotaInstanceLimitExceeded",
            "You have exceeded the instance limit for your organization's quota.",
        ),
        (At::Space, What::Instances | What::Tasks) => {
            (310_008, "SpaceQuotaInstanceLimitExceeded", "You have exceeded the instance limit for your space's quota.")
        }
        (At::Org, What::Routes) => {
            let message = "You have exceeded the total routes for your organization's quota.";
            (310_006, "OrgQuotaTotalRoutesExceeded", message)
        }
        (At::Space, What::Routes) => {
            (310_005, "SpaceQuotaTotalRoutesExceeded", "You have exceeded the total routes for your space's quota.")
        }
        (At::Org, What::Ports) => (
            310_009,
            "OrgQuotaTotalReservedRoutePortsExceeded",
            "You have exceeded the total reserved route ports for your organization's quota.",
        ),
        (At::Space, What::Ports) => (
            310_010,
            "SpaceQuotaTotalReservedRoutePortsExceeded",
            "You have exceeded the total reserved route ports for your space's quota.",
        ),
        (At::Org, What::Services) => {
            (60005, "ServiceInstanceQuotaExceeded", "You have exceeded your organization's services limit.")
        }
        (At::Space, What::Services) => {
            (60012, "ServiceInstanceSpaceQuotaExceeded", "You have exceeded your space's services limit.")
        }
        (At::Org, What::Paid) => (60007, "ServiceInstanceServicePlanNotAllowed", PAID),
        (At::Space, What::Paid) => (60013, "ServiceInstanceServicePlanNotAllowedBySpaceQuota", SPACE_PAID),
        (_, What::Keys) => (360_002, "ServiceKeyInvalid", "The service key is invalid"),
    }
}

/// v2's symbols of exceeded service keys, the organization's first.
pub fn key_symbols(overs: &[Over]) -> String {
    let symbol = |over: &Over| match over.at {
        At::Org => "quota service_keys_quota_exceeded",
        At::Space => "quota service_keys_space_quota_exceeded",
    };
    overs.iter().map(symbol).collect::<Vec<_>>().join(", ")
}

/// What v3 says, all of it.
pub fn sentences(subject: Subject, overs: &[Over]) -> String {
    let all: Vec<&str> = overs.iter().map(|over| sentence(subject, *over)).collect();
    all.join(", ")
}

fn sentence(subject: Subject, over: Over) -> &'static str {
    match (subject, over.what, over.at) {
        (Subject::Task, What::Memory, At::Org) => "memory_in_mb exceeds organization memory quota",
        (Subject::Task, What::Memory, At::Space) => "memory_in_mb exceeds space memory quota",
        (Subject::Task, What::InstanceMemory, At::Org) => "memory_in_mb exceeds organization instance memory quota",
        (Subject::Task, What::InstanceMemory, At::Space) => "memory_in_mb exceeds space instance memory quota",
        (_, What::Tasks, _) => "app_task_limit quota exceeded",
        (_, What::Memory, At::Org) => "memory quota_exceeded",
        (_, What::Memory, At::Space) => "memory space_quota_exceeded",
        (_, What::InstanceMemory, At::Org) => "memory instance_memory_limit_exceeded",
        (_, What::InstanceMemory, At::Space) => "memory space_instance_memory_limit_exceeded",
        (_, What::Instances, At::Org) => "app_instance_limit app_instance_limit_exceeded",
        (_, What::Instances, At::Space) => "app_instance_limit space_app_instance_limit_exceeded",
        (_, What::Keys, At::Org) => "You have exceeded your organization's limit for service binding of type key.",
        (_, What::Keys, At::Space) => "You have exceeded your space's limit for service binding of type key.",
        _ => code(over).2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_told_before_its_organization_and_memory_before_instances() {
        let found = [
            over(At::Org, What::Instances),
            over(At::Org, What::Memory),
            over(At::Space, What::InstanceMemory),
            over(At::Space, What::Memory),
            over(At::Space, What::Memory),
        ];
        let codes: Vec<u32> = in_order(Subject::App, &found).into_iter().map(|over| code(over).0).collect();
        assert_eq!(codes, [310_003, 310_004, 100_005, 100_008]);
    }

    #[test]
    fn of_a_task_the_organizations_sentences_come_first() {
        let found = in_order(Subject::Task, &[over(At::Space, What::Memory), over(At::Org, What::Memory)]);
        let told = sentences(Subject::Task, &found);
        assert_eq!(told, "memory_in_mb exceeds organization memory quota, memory_in_mb exceeds space memory quota");
    }
}
