//! What is answered.

use ledger::{AllotmentId, Amounts, Balance, ClaimId, Mark, Refusal, Resource};
use serde::{Serialize, Serializer};
use store::{Micros, TenantId, UserId};

use crate::error::Problem;
use crate::room::Room;

/// A time, as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Time(pub Micros);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => serializer.collect_str(&time),
            // Out of the calendar's range.
            Err(_) => serializer.serialize_none(),
        }
    }
}

/// The noun of a face.
#[derive(Serialize, Debug)]
pub struct Managed {
    face: String,
    noun: String,
    id: String,
}

impl From<store::Managed> for Managed {
    fn from(store::Managed { face, noun, id }: store::Managed) -> Managed {
        Managed { face, noun, id }
    }
}

fn managed(managed: &Option<store::Managed>) -> Option<Managed> {
    managed.clone().map(Managed::from)
}

/// Units by resource.
#[derive(Debug)]
pub struct ByResource<T>(Vec<(Resource, T)>);

impl<T: Serialize> Serialize for ByResource<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(resource, units)| (resource, units)))
    }
}

/// An allotment.
#[derive(Serialize, Debug)]
pub struct Allotment {
    id: AllotmentId,
    path: String,
    name: String,
    title: String,
    kind: String,
    side: &'static str,
    parent_id: Option<AllotmentId>,
    tenant_id: Option<TenantId>,
    managed_by: Option<Managed>,
    #[serde(flatten)]
    counts: Counts,
    headroom: ByResource<u64>,
    overcommit: Option<f64>,
    load_lines: Vec<LoadLineOut>,
    expires_at: Option<Time>,
    children_count: u64,
    created_at: Time,
    updated_at: Time,
}

/// What an allotment counts, of each resource that it limits or uses.
#[derive(Serialize, Debug)]
pub struct Counts {
    limits: ByResource<u64>,
    used: ByResource<u64>,
    pending: ByResource<u64>,
    promised: ByResource<u128>,
}

impl Counts {
    /// Of an allotment.
    pub fn of(allotment: &store::Allotment) -> Counts {
        let counts = |balance: &Balance| {
            balance.limit.is_some() || balance.used > 0 || balance.pending > 0 || balance.promised > 0
        };
        let some: Vec<_> = allotment.balances.iter().filter(|(_, balance)| counts(balance)).copied().collect();
        let map = |of: fn(&Balance) -> u64| ByResource(some.iter().map(|(it, balance)| (*it, of(balance))).collect());
        Counts {
            limits: ByResource(some.iter().filter_map(|(it, balance)| Some((*it, balance.limit?))).collect()),
            used: map(|balance| balance.used),
            pending: map(|balance| balance.pending),
            promised: ByResource(some.iter().map(|(it, balance)| (*it, balance.promised)).collect()),
        }
    }
}

#[derive(Serialize, Debug)]
struct LoadLineOut {
    resource: Resource,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<u64>,
}

impl Allotment {
    /// An allotment with this room.
    pub fn new(it: &store::Allotment, room: &Room) -> Allotment {
        let line = |line: &ledger::LoadLine| match line.mark {
            Mark::Percent(percent) => LoadLineOut { resource: line.resource, percent: Some(percent), amount: None },
            Mark::Amount(units) => LoadLineOut { resource: line.resource, percent: None, amount: Some(units) },
        };
        Allotment {
            id: it.id,
            path: it.path.clone(),
            name: it.name.clone(),
            title: it.title.clone(),
            kind: it.kind.clone(),
            side: it.side.as_str(),
            parent_id: it.parent,
            tenant_id: it.tenant(),
            managed_by: managed(&it.managed_by),
            counts: Counts::of(it),
            headroom: ByResource(room.clone()),
            overcommit: it.overcommit.map(|overcommit| f64::from(overcommit.permille) / 1000.0),
            load_lines: it.load_lines.iter().map(line).collect(),
            expires_at: it.expires_at.map(Time),
            children_count: it.children,
            created_at: Time(it.created_at),
            updated_at: Time(it.updated_at),
        }
    }
}

/// An allotment after a change, and who is over then.
#[derive(Serialize, Debug)]
pub struct Changed {
    #[serde(flatten)]
    pub allotment: Allotment,
    pub over: Vec<Over>,
}

/// One who holds more than their limit.
#[derive(Serialize, Debug)]
pub struct Over {
    pub id: AllotmentId,
    pub path: String,
    pub resource: Resource,
    pub limit: u64,
    pub used: u64,
    pub pending: u64,
}

/// A claim. Borrows: it is written a thousand times a batch.
#[derive(Serialize, Debug)]
pub struct Claim<'c> {
    id: ClaimId,
    allotment_id: Option<AllotmentId>,
    supply_id: Option<AllotmentId>,
    amounts: &'c Amounts,
    state: &'static str,
    subject: Option<&'c str>,
    managed_by: Option<Managed>,
    expires_at: Option<Time>,
    created_by: &'c str,
    created_at: Time,
}

impl<'c> From<&'c store::Claim> for Claim<'c> {
    fn from(it: &'c store::Claim) -> Claim<'c> {
        Claim {
            id: it.id,
            allotment_id: it.demand,
            supply_id: it.supply,
            amounts: &it.amounts,
            state: it.state.as_str(),
            subject: it.subject.as_deref(),
            managed_by: managed(&it.managed_by),
            expires_at: it.expires_at.map(Time),
            created_by: &it.created_by,
            created_at: Time(it.created_at),
        }
    }
}

/// What came of the parts of a batch, in order.
#[derive(Serialize, Debug)]
pub struct Results<T> {
    pub results: Vec<T>,
}

/// What came of one part of a batch.
#[derive(Serialize, Debug)]
#[serde(untagged)]
pub enum Outcome<'c> {
    Claim(Claim<'c>),
    Problem(Box<Problem>),
}

/// One limit that refused.
#[derive(Serialize, Debug)]
pub struct RefusalOut {
    allotment_id: AllotmentId,
    path: String,
    side: &'static str,
    resource: Resource,
    limit: u64,
    used: u64,
    pending: u64,
    requested: u64,
    headroom: u64,
}

impl From<&Refusal> for RefusalOut {
    fn from(it: &Refusal) -> RefusalOut {
        RefusalOut {
            allotment_id: it.allotment,
            path: it.path.to_string(),
            side: it.side.as_str(),
            resource: it.resource,
            limit: it.limit,
            used: it.used,
            pending: it.pending,
            requested: it.asked,
            headroom: it.headroom(),
        }
    }
}

/// The members of a refused claim's problem: of the nearest limit, and all of them.
#[derive(Serialize, Debug)]
pub struct Refused {
    allotment_id: AllotmentId,
    path: String,
    resource: Resource,
    limit: u64,
    used: u64,
    pending: u64,
    requested: u64,
    headroom: u64,
    refusals: Vec<RefusalOut>,
}

impl Refused {
    /// None without a refusal.
    pub fn new(refusals: &[Refusal]) -> Option<Refused> {
        let first = refusals.first()?;
        Some(Refused {
            allotment_id: first.allotment,
            path: first.path.to_string(),
            resource: first.resource,
            limit: first.limit,
            used: first.used,
            pending: first.pending,
            requested: first.asked,
            headroom: first.headroom(),
            refusals: refusals.iter().map(RefusalOut::from).collect(),
        })
    }
}

/// Whether claims would be admitted.
#[derive(Serialize, Debug)]
pub struct Checked {
    pub admitted: bool,
    pub refusals: Vec<RefusalOut>,
}

/// An entry of the journal.
#[derive(Serialize, Debug)]
pub struct Event {
    seq: u64,
    at: Time,
    actor: String,
    kind: String,
    allotment_id: Option<AllotmentId>,
    path: Option<String>,
    subject: Option<String>,
    detail: serde_json::Value,
}

impl Event {
    /// An entry as the store has it.
    pub fn new(it: &store::Event) -> Event {
        Event {
            seq: it.seq,
            at: Time(it.at),
            actor: it.actor.clone(),
            kind: it.kind.clone(),
            allotment_id: it.allotment,
            path: it.path.clone(),
            subject: it.subject.clone(),
            detail: serde_json::from_str(&it.detail).unwrap_or_default(),
        }
    }
}

/// A recount.
#[derive(Serialize, Debug)]
pub struct Doctor {
    pub ok: bool,
    pub checked: CheckedCounts,
    pub drift: Vec<String>,
}

/// How much was looked at.
#[derive(Serialize, Debug)]
pub struct CheckedCounts {
    pub allotments: u64,
    pub claims: u64,
    pub blobs: u64,
    pub volumes: u64,
}

/// A job.
#[derive(Serialize, PartialEq, Clone, Debug)]
pub struct Job {
    id: store::JobId,
    kind: String,
    state: &'static str,
    progress: u64,
    tenant_id: Option<TenantId>,
    attempts: u64,
    /// For operators: it may name files.
    error: Option<String>,
    created_by: String,
    created_at: Time,
    updated_at: Time,
}

impl Job {
    /// A job, as an operator or another sees it.
    pub fn new(it: &store::Job, is_operator: bool) -> Job {
        Job {
            id: it.id,
            kind: it.kind.clone(),
            state: it.state.as_str(),
            progress: it.progress,
            tenant_id: it.tenant,
            attempts: it.attempts,
            error: it.error.clone().filter(|_| is_operator),
            created_by: it.created_by.clone(),
            created_at: Time(it.created_at),
            updated_at: Time(it.updated_at),
        }
    }
}

/// A tenant, with what it may use and does.
#[derive(Serialize, Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub title: String,
    #[serde(flatten)]
    pub counts: Option<Counts>,
    pub created_at: Time,
}

/// A user.
#[derive(Serialize, Debug)]
pub struct User {
    id: UserId,
    tenant_id: Option<TenantId>,
    email: String,
    name: String,
    operator: bool,
    admin: bool,
    repository_admin: bool,
    disabled: bool,
    allotment_id: Option<AllotmentId>,
    created_at: Time,
}

impl User {
    /// A user as identity has them.
    pub fn new(it: &identity::User) -> User {
        User {
            id: it.id,
            tenant_id: it.tenant,
            email: it.email.clone(),
            name: it.name.clone(),
            operator: it.tenant.is_none(),
            admin: it.admin,
            repository_admin: it.repository_admin,
            disabled: it.disabled,
            allotment_id: it.allotment,
            created_at: Time(it.created_at),
        }
    }
}

/// Who the caller is.
#[derive(Serialize, Debug)]
pub struct Whoami {
    pub user_id: Option<UserId>,
    pub tenant_id: Option<TenantId>,
    pub email: Option<String>,
    pub name: String,
    pub role: &'static str,
    pub repository_admin: bool,
    pub allotment_id: Option<AllotmentId>,
    pub token_id: Option<identity::TokenId>,
}

/// A token. Its text is there once, when it is made.
#[derive(Serialize, Debug)]
pub struct Token {
    id: identity::TokenId,
    user_id: UserId,
    tenant_id: Option<TenantId>,
    name: String,
    created_at: Time,
    expires_at: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Token {
    /// A token, with its text if it is known.
    pub fn new(it: &identity::Token, secret: Option<&identity::Secret>) -> Token {
        Token {
            id: it.id,
            user_id: it.user,
            tenant_id: it.tenant,
            name: it.name.clone(),
            created_at: Time(it.created_at),
            expires_at: it.expires_at.map(Time),
            token: secret.map(|secret| secret.expose().to_owned()),
        }
    }
}
