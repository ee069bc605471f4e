//! A unit of work: what it does to space, as data, and what it does to its noun's rows.

use std::any::Any;

use ledger::{AllotmentId, Amounts, ClaimId};
use serde_json::Value as Json;

use crate::{
    Allotment, AllotmentPatch, AllotmentRef, Claim, Error, Managed, Micros, NewAllotment, TenantId, Tx, UserId, Value,
};

/// Who makes a change, as the journal names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Actor(String);

impl Actor {
    /// A person: `user:<uuid>`.
    pub fn user(user: UserId) -> Actor {
        Actor(format!("user:{user}"))
    }

    /// Somebody whom a face knows: `partner:<uuid>`.
    pub fn of(kind: &str, id: impl std::fmt::Display) -> Actor {
        Actor(format!("{kind}:{id}"))
    }

    /// A part of the server: `system:site`.
    pub fn system(part: &str) -> Actor {
        Actor(format!("system:{part}"))
    }

    /// As in the journal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a new claim lies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum SupplyRef {
    /// In the site's default pool, if it has one.
    #[default]
    Default,
    /// Nowhere: it takes no supply.
    None,
    /// Here.
    At(AllotmentRef),
}

/// A claim to be made.
#[derive(Clone, Debug)]
pub struct NewClaim {
    /// Made by the caller, with [`crate::Store::new_id`].
    pub id: ClaimId,
    /// Who asks.
    pub demand: Option<AllotmentRef>,
    /// Where it lies.
    pub supply: SupplyRef,
    /// How much.
    pub amounts: Amounts,
    /// Seconds until a pending claim expires; none makes a held one.
    pub lease: Option<i64>,
    /// Free text by which the caller finds it again.
    pub subject: Option<String>,
    /// The noun it is charged for.
    pub managed_by: Option<Managed>,
}

impl NewClaim {
    /// A held claim of `amounts` at `demand`, on the default supply.
    pub fn held(id: ClaimId, demand: impl Into<AllotmentRef>, amounts: Amounts) -> NewClaim {
        let (demand, supply) = (Some(demand.into()), SupplyRef::Default);
        NewClaim { id, demand, supply, amounts, lease: None, subject: None, managed_by: None }
    }
}

/// A key under which a request has one effect, however often it is sent.
pub struct Idempotency {
    /// Whose key.
    pub principal: String,
    /// On which route.
    pub route: String,
    /// The key.
    pub key: String,
    /// A hash of the request: the same key with another request is [`Error::KeyReused`].
    pub fingerprint: [u8; 32],
    /// Makes the answer that is kept, and given again.
    pub render: Box<dyn Fn(&Applied) -> String + Send + Sync>,
}

/// What a unit does to space, in order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Charge(Box<NewClaim>),
    Settle(ClaimId, Option<Amounts>),
    Set(ClaimId, Amounts),
    Renew(ClaimId, i64),
    Relocate(ClaimId, Option<AllotmentId>, Option<Managed>),
    Release(ClaimId),
    Create(Box<NewAllotment>),
    Change(AllotmentRef, Box<AllotmentPatch>),
    Remove(AllotmentRef),
}

impl Step {
    /// Whether it changes the tree itself rather than what is charged on it.
    pub(crate) fn is_shape(&self) -> bool {
        matches!(self, Step::Create(_) | Step::Change(..) | Step::Remove(_))
    }
}

pub(crate) struct Insert {
    pub into: &'static str,
    pub values: Vec<Value>,
}

pub(crate) struct Note {
    pub kind: &'static str,
    pub allotment: Option<AllotmentId>,
    pub subject: Option<String>,
    pub detail: Json,
}

pub(crate) struct NewJob {
    pub id: crate::JobId,
    pub kind: &'static str,
    pub payload: Json,
}

pub(crate) type Answer = Box<dyn Any + Send>;
pub(crate) type Rows<T> = Box<dyn Fn(&mut Tx) -> Result<T, Error> + Send + Sync>;
pub(crate) type AlsoRows = Box<dyn Fn(&mut Tx) -> Result<(), Error> + Send + Sync>;

/// What one request changes, all of it or nothing. See the crate's first lines.
pub struct Unit<T = ()> {
    pub(crate) actor: Actor,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) unmanaged: bool,
    pub(crate) dry: bool,
    pub(crate) exclusive: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) inserts: Vec<Insert>,
    pub(crate) notes: Vec<Note>,
    pub(crate) jobs: Vec<NewJob>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) also: Vec<AlsoRows>,
    pub(crate) rows: Option<Rows<T>>,
}

impl Unit<()> {
    /// A unit that does nothing yet.
    pub fn by(actor: Actor) -> Unit<()> {
        Unit {
            actor,
            tenant: None,
            unmanaged: false,
            dry: false,
            exclusive: false,
            steps: Vec::new(),
            inserts: Vec::new(),
            notes: Vec::new(),
            jobs: Vec::new(),
            idempotency: None,
            also: Vec::new(),
            rows: None,
        }
    }
}

impl<T> Unit<T> {
    /// Every allotment of the demand side, and every claim, that it names must be of this tenant; another's is not there.
    pub fn within(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Nothing that a face manages may be changed but limits, load lines, overcommit and expiry: else [`Error::Managed`].
    pub fn unmanaged(mut self) -> Self {
        self.unmanaged = true;
        self
    }

    /// Everything is tried and answered, and nothing is kept.
    pub fn dry(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Takes an amount.
    pub fn charge(self, claim: NewClaim) -> Self {
        self.step(Step::Charge(Box::new(claim)))
    }

    /// Pending becomes held, at these amounts or as it was reserved. An expired claim is [`Error::Conflict`].
    pub fn settle(self, claim: ClaimId, amounts: Option<Amounts>) -> Self {
        self.step(Step::Settle(claim, amounts))
    }

    /// Changes how much a claim takes, whatever it took before.
    pub fn set(self, claim: ClaimId, amounts: Amounts) -> Self {
        self.step(Step::Set(claim, amounts))
    }

    /// A pending claim lives for `seconds` from now.
    pub fn renew(self, claim: ClaimId, seconds: i64) -> Self {
        self.step(Step::Renew(claim, seconds))
    }

    /// A claim is charged on another leaf, or on none: its bytes lie on supply until they are gone.
    pub fn relocate(self, claim: ClaimId, demand: Option<AllotmentId>) -> Self {
        self.step(Step::Relocate(claim, demand, None))
    }

    /// The same, and the claim belongs to another noun from now on.
    pub fn hand_over(self, claim: ClaimId, demand: Option<AllotmentId>, to: Managed) -> Self {
        self.step(Step::Relocate(claim, demand, Some(to)))
    }

    /// Gives back all that a claim takes. Never refused for a limit.
    pub fn release(self, claim: ClaimId) -> Self {
        self.step(Step::Release(claim))
    }

    /// Makes a node of the tree.
    pub fn create_allotment(self, new: NewAllotment) -> Self {
        self.step(Step::Create(Box::new(new)))
    }

    /// Changes a node.
    pub fn change_allotment(self, allotment: impl Into<AllotmentRef>, patch: AllotmentPatch) -> Self {
        self.step(Step::Change(allotment.into(), Box::new(patch)))
    }

    /// Removes a node; [`Error::Conflict`] while it has children or claims.
    pub fn remove_allotment(self, allotment: impl Into<AllotmentRef>) -> Self {
        self.step(Step::Remove(allotment.into()))
    }

    /// Adds a row as data: `into` is `table (column, …)`. Rows of a whole batch go in by few statements, so this is the fast
    /// way. A row that breaks a constraint is [`Error::Conflict`].
    pub fn insert(mut self, into: &'static str, values: Vec<Value>) -> Self {
        self.inserts.push(Insert { into, values });
        self
    }

    /// Adds an entry to the journal.
    pub fn note(
        mut self,
        kind: &'static str,
        allotment: Option<AllotmentId>,
        subject: Option<String>,
        detail: Json,
    ) -> Self {
        self.notes.push(Note { kind, allotment, subject, detail });
        self
    }

    /// Adds a job, which runs after the commit, once: see [`crate::Store::work`].
    pub fn job(self, kind: &'static str, payload: Json) -> Self {
        let id = crate::JobId(crate::Clock::system().new_id());
        self.job_as(id, kind, payload)
    }

    /// The same with an id that the caller has made, to find the job by.
    pub fn job_as(mut self, id: crate::JobId, kind: &'static str, payload: Json) -> Self {
        self.jobs.push(NewJob { id, kind, payload });
        self
    }

    /// Rows of another noun that changes with this one, written before the unit's own closure runs.
    pub fn also(mut self, rows: impl Fn(&mut Tx) -> Result<(), Error> + Send + Sync + 'static) -> Self {
        self.also.push(Box::new(rows));
        self
    }

    /// Sent again with the same key, the unit does nothing, and [`Error::Replayed`] brings the first answer.
    pub fn idempotent(mut self, key: Idempotency) -> Self {
        self.idempotency = Some(key);
        self
    }

    /// The noun's own rows: runs after the steps, in a savepoint. May be run again, so it reaches nothing but its `Tx`, and
    /// sees in `balances` what they were before the batch.
    pub fn rows<U>(self, rows: impl Fn(&mut Tx) -> Result<U, Error> + Send + Sync + 'static) -> Unit<U> {
        self.with_rows(Some(Box::new(rows)))
    }

    /// The same unit with other rows, and so with another answer.
    fn with_rows<U>(self, rows: Option<Rows<U>>) -> Unit<U> {
        Unit {
            rows,
            actor: self.actor,
            tenant: self.tenant,
            unmanaged: self.unmanaged,
            dry: self.dry,
            exclusive: self.exclusive,
            steps: self.steps,
            inserts: self.inserts,
            notes: self.notes,
            jobs: self.jobs,
            idempotency: self.idempotency,
            also: self.also,
        }
    }

    /// Nobody else writes meanwhile, on no node.
    pub(crate) fn exclusively(mut self) -> Self {
        self.exclusive = true;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl<T: Send + 'static> Unit<T> {
    /// The unit with the type of its answer forgotten, for the queue.
    pub(crate) fn erase(mut self) -> Unit<Answer> {
        let forget =
            |rows: Rows<T>| -> Rows<Answer> { Box::new(move |tx| rows(tx).map(|value| Box::new(value) as Answer)) };
        let rows = self.rows.take().map(forget);
        self.with_rows(rows)
    }
}

impl<T> Unit<T> {
    pub(crate) fn is_shape(&self) -> bool {
        self.steps.iter().any(Step::is_shape)
    }
}

/// What the steps of a unit did.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// When, in microseconds since 1970.
    pub at: Micros,
    /// One claim for each step on a claim, in order, as it is after it; a released one as it was.
    pub claims: Vec<Claim>,
    /// One allotment for each step on an allotment, in order, as it is after the unit's steps; a removed one as it was.
    pub allotments: Vec<Allotment>,
}

/// What came of a unit of work: it is on disk.
#[derive(Debug)]
pub struct Done<T> {
    /// What the closure answered; for a unit without one, `()`.
    pub value: T,
    /// When, in microseconds since 1970.
    pub at: Micros,
    /// As in [`Applied`].
    pub claims: Vec<Claim>,
    /// As in [`Applied`].
    pub allotments: Vec<Allotment>,
}
