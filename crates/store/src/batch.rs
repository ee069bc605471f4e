//! A batch: many units of work in one transaction.
//!
//! **Shape.** Fetch what the units name → let expire what has → for each unit in turn: steps in memory, closure in a
//! savepoint, keep or undo → write claims, rows and the journal in few statements and each touched balance once.
//! **Always.** A unit that fails undoes itself only, before the next begins. What a unit is admitted into is room that no
//! failed unit gave back. Rows are locked claims first, then allotments, each by id, so that two nodes do not deadlock.
//! **Not here.** The queue, the commit, what to do when it fails: `writer.rs`.

mod fetch;
mod note;
mod write;

use std::collections::{HashMap, HashSet, VecDeque};

use ledger::{AllotmentId, Book, Catalog, ClaimId, Side};

pub use note::refusal_json;

use crate::claim::Claim;
use crate::unit::{Answer, Applied, Done, Step, Unit};
use crate::{Allotment, AllotmentRef, Error, Micros, SupplyRef, Tx, Value, idempotency, journal, shape};

/// The most refusals remembered until a commit writes them, and the most that one commit writes: being refused costs no
/// flush, and a storm of refusals does not crowd out the rest.
const REFUSALS_MAX: usize = 1024;
const REFUSALS_PER_COMMIT: usize = 64;

/// What the writer keeps from batch to batch.
pub(crate) struct Engine {
    pub book: Book,
    pub catalog: Catalog,
    /// Whether nobody else writes to the database, so that what is in memory can be trusted.
    pub alone: bool,
    /// Ids by path, while they can be trusted.
    pub paths: HashMap<AllotmentRef, AllotmentId>,
    /// The pool where things lie when nothing else is said.
    pub default_supply: Option<Option<AllotmentId>>,
    /// When the next pending claim expires; `i64::MAX` when none does. Trusted only when alone.
    pub next_expiry: Micros,
    pub refusals: VecDeque<journal::Entry>,
    pub breaches: u64,
    /// The shape of the tree that what is in memory belongs to, where others can change it.
    pub shape: String,
    /// How many claims were noted as new since they were last moved, more or less.
    pub placed: usize,
}

impl Engine {
    pub(crate) fn new(catalog: Catalog, alone: bool) -> Engine {
        Engine {
            book: Book::default(),
            catalog,
            alone,
            paths: HashMap::new(),
            default_supply: None,
            next_expiry: i64::MIN,
            refusals: VecDeque::new(),
            breaches: 0,
            shape: String::new(),
            placed: 0,
        }
    }

    /// Trusts nothing in memory any more.
    pub(crate) fn forget(&mut self) {
        self.book.clear();
        self.forget_names();
        // What others add is looked for in every batch; what this process has added still ends when it did.
        if self.alone {
            self.next_expiry = i64::MIN;
        }
    }

    /// Looks up paths and the default pool anew: the shape of the tree may be another one.
    pub(crate) fn forget_names(&mut self) {
        self.paths.clear();
        self.default_supply = None;
    }
}

/// A claim in hand: as it is now, and what the database knows of it.
#[derive(Clone)]
struct Entry {
    claim: Option<Claim>,
    /// Whether the database has it, and on which allotment.
    stored: Option<Option<AllotmentId>>,
    dirty: bool,
}

pub(crate) struct Batch<'e, 'c> {
    pub engine: &'e mut Engine,
    pub tx: Tx<'c>,
    claims: HashMap<ClaimId, Entry>,
    order: Vec<ClaimId>,
    inserts: Vec<(&'static str, Vec<Value>)>,
    pub journal: Vec<journal::Entry>,
    undo: Vec<(ClaimId, Option<Entry>)>,
    /// Nodes whose balances this batch has read or made, where others can change them between batches.
    pub current: HashSet<AllotmentId>,
    /// Whether bytes may not grow because the disk is nearly full.
    full: bool,
    /// Whether every unit writes its rows in a savepoint of its own, because a batch of them has failed.
    careful: bool,
    /// Whether paths have changed, so that nothing in memory can be trusted after the commit.
    pub reshaped: bool,
    savepoint: bool,
}

/// What came of each unit, in order.
pub(crate) type Answers = Vec<Result<Done<Answer>, Error>>;

/// Runs the units in `tx`; the caller commits. An error here is the batch's: nothing of it may be kept.
pub(crate) fn run(
    engine: &mut Engine,
    tx: Tx,
    units: &[&Unit<Answer>],
    careful: bool,
    full: bool,
) -> Result<(Answers, bool), Error> {
    let mut batch = Batch {
        engine,
        tx,
        claims: HashMap::new(),
        order: Vec::new(),
        inserts: Vec::new(),
        journal: Vec::new(),
        undo: Vec::new(),
        current: HashSet::new(),
        full,
        careful,
        reshaped: false,
        savepoint: false,
    };
    let now = batch.tx.now();
    batch.engine.book.set_now(now);
    let expired = batch.expired(units.iter().all(|unit| unit.steps.is_empty()))?;
    batch.prefetch(units, &expired)?;
    batch.expire(expired)?;
    let mut answers = Vec::with_capacity(units.len());
    for unit in units {
        answers.push(batch.unit(unit)?);
    }
    batch.finish()?;
    let reshaped = batch.reshaped;
    Ok((answers, reshaped))
}

impl Batch<'_, '_> {
    /// One unit. An error inside is the unit's own; only what breaks the transaction is the batch's.
    fn unit(&mut self, unit: &Unit<Answer>) -> Result<Result<Done<Answer>, Error>, Error> {
        let closures = unit.rows.is_some() || !unit.also.is_empty();
        let own_rows = closures || unit.idempotency.is_some() || unit.is_shape() || unit.dry || self.careful;
        if own_rows {
            // The closure sees what the units before it have done.
            self.flush()?;
            self.tx.batch("SAVEPOINT unit")?;
        }
        self.savepoint = own_rows;
        let (mark, inserts, journal) = (self.engine.book.mark(), self.inserts.len(), self.journal.len());
        self.undo.clear();
        let done = self.apply(unit);
        if done.is_err() || unit.dry {
            self.engine.book.rollback(mark);
            self.inserts.truncate(inserts);
            self.journal.truncate(journal);
            self.undo_claims();
            if unit.is_shape() {
                self.engine.forget_names();
            }
            if own_rows {
                self.tx.batch("ROLLBACK TO SAVEPOINT unit")?;
            }
        }
        if own_rows {
            self.tx.batch("RELEASE SAVEPOINT unit")?;
        }
        match done {
            Err(error @ Error::Retry(_)) => Err(error),
            Err(error) => {
                if !unit.dry {
                    self.remember(unit, &error);
                }
                Ok(Err(error))
            }
            Ok(done) => Ok(Ok(done)),
        }
    }

    fn apply(&mut self, unit: &Unit<Answer>) -> Result<Done<Answer>, Error> {
        if let Some(key) = &unit.idempotency {
            idempotency::look_up(&mut self.tx, key)?;
        }
        let mut applied = Applied { at: self.tx.now(), ..Applied::default() };
        let mut shaped = Vec::new();
        for step in &unit.steps {
            match step {
                Step::Create(_) | Step::Change(..) | Step::Remove(_) => shaped.push(self.shape(unit, step)?),
                _ => applied.claims.push(self.claim_step(unit, step)?),
            }
        }
        let gone: HashMap<AllotmentId, Allotment> =
            shaped.iter().filter_map(|(id, gone)| Some((*id, gone.clone()?))).collect();
        for (id, removed) in shaped {
            applied.allotments.push(match removed.or_else(|| gone.get(&id).cloned()) {
                Some(gone) => gone,
                None => shape::read(self, id)?,
            });
        }
        for note in &unit.notes {
            self.note(unit, note.kind, note.allotment, note.subject.clone(), note.detail.to_string());
        }
        for insert in &unit.inserts {
            self.inserts.push((insert.into, insert.values.clone()));
        }
        for job in &unit.jobs {
            self.inserts.push(crate::job::insert(&self.tx, unit, job));
        }
        if self.careful {
            self.flush()?;
        }
        unit.also.iter().try_for_each(|rows| rows(&mut self.tx))?;
        let value = match &unit.rows {
            Some(rows) => rows(&mut self.tx)?,
            None => Box::new(()),
        };
        if let Some(key) = &unit.idempotency {
            idempotency::remember(&mut self.tx, key, &applied)?;
        }
        Ok(Done { value, at: applied.at, claims: applied.claims, allotments: applied.allotments })
    }

    fn claim_step(&mut self, unit: &Unit<Answer>, step: &Step) -> Result<Claim, Error> {
        let now = self.tx.now();
        let (kind, before, after) = match step {
            Step::Charge(new) => {
                // One in hand would be written over; one in the table alone is refused by its key.
                if self.claims.get(&new.id).is_some_and(|entry| entry.claim.is_some()) {
                    return Err(Error::Conflict(format!("claim {} is there already", new.id)));
                }
                ("claim.charged", None, Some(self.new_claim(unit, new)?))
            }
            Step::Settle(id, amounts) => {
                let before = self.claim(unit, *id)?;
                if before.state == ledger::ClaimState::Held {
                    return Err(Error::Conflict(format!("claim {id} is held already")));
                }
                let amounts = amounts.clone().unwrap_or_else(|| before.amounts.clone());
                let state = ledger::ClaimState::Held;
                let after = Claim { amounts, state, expires_at: None, ..before.clone() };
                ("claim.settled", Some(before), Some(after))
            }
            Step::Set(id, amounts) => {
                let before = self.claim(unit, *id)?;
                let after = Claim { amounts: amounts.clone(), ..before.clone() };
                ("claim.set", Some(before), Some(after))
            }
            Step::Renew(id, seconds) => {
                let before = self.claim(unit, *id)?;
                if before.state == ledger::ClaimState::Held {
                    return Err(Error::Conflict(format!("claim {id} is held: it does not expire")));
                }
                let after = Claim { expires_at: Some(lease_end(now, *seconds)), ..before.clone() };
                ("claim.renewed", Some(before), Some(after))
            }
            Step::Relocate(id, demand, managed) => {
                let before = self.claim(unit, *id)?;
                if let Some(demand) = demand {
                    self.ensure(&[*demand])?;
                    self.check_node(unit, *demand, Side::Demand)?;
                }
                let managed_by = managed.clone().or_else(|| before.managed_by.clone());
                let after = Claim { demand: *demand, managed_by, ..before.clone() };
                ("claim.moved", Some(before), Some(after))
            }
            Step::Release(id) => ("claim.released", Some(self.claim(unit, *id)?), None),
            Step::Create(_) | Step::Change(..) | Step::Remove(_) => unreachable!("shape steps go to shape()"),
        };
        self.shift(before.as_ref(), after.as_ref())?;
        self.log_claim(unit.actor.as_str(), kind, before.as_ref(), after.as_ref());
        let claim = after.as_ref().or(before.as_ref()).expect("a step has a claim before or after it").clone();
        if let Some(end) = after.as_ref().and_then(|after| after.expires_at) {
            self.engine.next_expiry = self.engine.next_expiry.min(end);
        }
        self.put_claim(claim.id, after);
        Ok(claim)
    }

    /// The ledger decides, unless the disk is so full that nothing may grow.
    fn shift(&mut self, before: Option<&Claim>, after: Option<&Claim>) -> Result<(), Error> {
        if self.full {
            let bytes = |claim: Option<&Claim>| claim.map_or(0, |claim| claim.amounts.get(ledger::Resource::BYTES));
            if bytes(after) > bytes(before) {
                return Err(Error::Full);
            }
        }
        let (before, after) = (before.map(Claim::weight), after.map(Claim::weight));
        Ok(self.engine.book.shift(before.as_ref(), after.as_ref())?)
    }

    fn new_claim(&mut self, unit: &Unit<Answer>, new: &crate::NewClaim) -> Result<Claim, Error> {
        let demand = match &new.demand {
            Some(reference) => {
                let id = self.resolve(reference)?;
                self.check_node(unit, id, Side::Demand)?;
                Some(id)
            }
            None => None,
        };
        let supply = match &new.supply {
            SupplyRef::None => None,
            SupplyRef::Default => self.default_supply()?,
            SupplyRef::At(reference) => {
                let id = self.resolve(reference)?;
                self.check_node(unit, id, Side::Supply)?;
                Some(id)
            }
        };
        let now = self.tx.now();
        Ok(Claim {
            id: new.id,
            demand,
            supply,
            amounts: new.amounts.clone(),
            state: if new.lease.is_some() { ledger::ClaimState::Pending } else { ledger::ClaimState::Held },
            subject: new.subject.clone(),
            managed_by: new.managed_by.clone(),
            expires_at: new.lease.map(|seconds| lease_end(now, seconds)),
            created_by: unit.actor.as_str().to_owned(),
            created_at: now,
        })
    }

    /// The claim that a unit names, as the units before it have left it. Another tenant's is not there.
    fn claim(&mut self, unit: &Unit<Answer>, id: ClaimId) -> Result<Claim, Error> {
        if !self.claims.contains_key(&id) {
            self.load_claims(&[id])?;
        }
        let claim = self.claims.get(&id).and_then(|entry| entry.claim.clone());
        let claim = claim.ok_or_else(|| Error::not_found("claim", id))?;
        let leaves: Vec<AllotmentId> = claim.demand.into_iter().chain(claim.supply).collect();
        self.ensure(&leaves)?;
        if let Some(tenant) = unit.tenant {
            let node = claim.demand.and_then(|demand| self.engine.book.node(demand));
            if node.is_none_or(|node| node.root.0 != tenant.0) {
                return Err(Error::not_found("claim", id));
            }
        }
        match &claim.managed_by {
            Some(managed) if unit.unmanaged => Err(Error::Managed(managed.clone())),
            _ => Ok(claim),
        }
    }

    /// That a unit may name this node here: it is in hand, of its tenant, and on the right side.
    pub(crate) fn check_node(&self, unit: &Unit<Answer>, id: AllotmentId, side: Side) -> Result<(), Error> {
        let node = self.engine.book.node(id).ok_or_else(|| Error::not_found("allotment", id))?;
        if node.side == Side::Demand && unit.tenant.is_some_and(|tenant| tenant.0 != node.root.0) {
            return Err(Error::not_found("allotment", id));
        }
        if node.side != side {
            return Err(Error::Invalid(format!("{} is on the {} side", node.path, node.side.as_str())));
        }
        Ok(())
    }

    fn put_claim(&mut self, id: ClaimId, claim: Option<Claim>) {
        let before = self.claims.get(&id).cloned();
        let stored = before.as_ref().and_then(|entry| entry.stored);
        if before.as_ref().is_none_or(|entry| !entry.dirty) {
            self.order.push(id);
        }
        self.claims.insert(id, Entry { claim, stored, dirty: true });
        self.undo.push((id, before));
    }

    fn undo_claims(&mut self) {
        while let Some((id, before)) = self.undo.pop() {
            match before {
                Some(entry) => self.claims.insert(id, entry),
                None => self.claims.remove(&id),
            };
        }
    }
}

fn lease_end(now: Micros, seconds: i64) -> Micros {
    now.saturating_add(seconds.saturating_mul(1_000_000))
}
