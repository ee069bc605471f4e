//! A batch: many units of work in one transaction.
//!
//! **Shape.** Fetch what the units name → let expire what has → for each unit in turn: steps in memory, closure in a
//! savepoint, keep or undo → write claims, rows and the journal in few statements and each touched balance once.
//! **Always.** A unit that fails undoes itself only, before the next begins. What a unit is admitted into is room that no
//! failed unit gave back. Rows are locked claims first, then allotments, each by id, so that two nodes do not deadlock.
//! **Not here.** The queue, the commit, what to do when it fails: `writer.rs`.

use std::collections::{HashMap, HashSet, VecDeque};

use ledger::{AllotmentId, Book, Catalog, ClaimId, Refusal, Side};
use serde_json::json;

use crate::claim::{self, Claim, amounts_to_text};
use crate::unit::{Answer, Applied, Done, Step, Unit};
use crate::{
    Allotment, AllotmentRef, Error, Micros, SupplyRef, Tx, Value, idempotency, journal, load, params, place, shape,
};

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
        let own_rows = unit.rows.is_some() || unit.idempotency.is_some() || unit.is_shape() || unit.dry || self.careful;
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

    /// What a unit was refused for, to be written when there is a commit anyway.
    fn remember(&mut self, unit: &Unit<Answer>, error: &Error) {
        let Error::Refused(refusals) = error else { return };
        let Some(first) = refusals.first() else { return };
        if self.engine.refusals.len() >= REFUSALS_MAX {
            self.engine.refusals.pop_front();
        }
        let detail = json!({"refusals": refusals.iter().map(refusal_json).collect::<Vec<_>>()}).to_string();
        let entry = self.entry(unit.actor.as_str(), "claim.refused", Some(first.allotment), None, detail);
        self.engine.refusals.push_back(entry);
    }

    pub(crate) fn note(
        &mut self,
        unit: &Unit<Answer>,
        kind: &'static str,
        allotment: Option<AllotmentId>,
        subject: Option<String>,
        detail: String,
    ) {
        let entry = self.entry(unit.actor.as_str(), kind, allotment, subject, detail);
        self.journal.push(entry);
    }

    fn log_claim(&mut self, actor: &str, kind: &'static str, before: Option<&Claim>, after: Option<&Claim>) {
        let Some(claim) = after.or(before) else { return };
        let mut detail = String::with_capacity(96);
        for (name, claim) in [("before", before), ("after", after)] {
            let Some(claim) = claim else { continue };
            detail.push_str(if detail.is_empty() { "{\"" } else { ",\"" });
            detail.push_str(name);
            detail.push_str("\":{\"state\":\"");
            detail.push_str(claim.state.as_str());
            detail.push_str("\",\"amounts\":");
            detail.push_str(&amounts_to_text(&claim.amounts));
            if let Some(supply) = claim.supply {
                detail.push_str(",\"supply_id\":\"");
                detail.push_str(&supply.to_string());
                detail.push('"');
            }
            if claim.demand != after.or(before).and_then(|claim| claim.demand)
                && let Some(demand) = claim.demand
            {
                detail.push_str(",\"allotment_id\":\"");
                detail.push_str(&demand.to_string());
                detail.push('"');
            }
            detail.push('}');
        }
        detail.push('}');
        let allotment = claim.demand.or_else(|| before.and_then(|before| before.demand)).or(claim.supply);
        let entry = self.entry(actor, kind, allotment, Some(claim.id.to_string()), detail);
        self.journal.push(entry);
    }

    fn entry(
        &self,
        actor: &str,
        kind: &'static str,
        allotment: Option<AllotmentId>,
        subject: Option<String>,
        detail: String,
    ) -> journal::Entry {
        let node = allotment.and_then(|id| self.engine.book.node(id));
        journal::Entry {
            at: self.tx.now(),
            actor: actor.to_owned(),
            kind,
            tenant: node.filter(|node| node.side == Side::Demand).map(|node| node.root),
            allotment,
            path: node.map(|node| node.path.clone()),
            subject,
            detail,
        }
    }

    /// What has expired and is still charged; on a shared database locked.
    ///
    /// Where others write, too, a batch asks when to look again only if it is idle or something was due: the others cost
    /// a round trip less.
    fn expired(&mut self, is_idle: bool) -> Result<Vec<Claim>, Error> {
        let now = self.tx.now();
        if self.engine.alone && self.engine.next_expiry > now {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {} FROM claims WHERE expires_at IS NOT NULL AND expires_at <= $1 ORDER BY id{}",
            claim::COLUMNS,
            self.tx.dialect().for_update("claims")
        );
        let rows = self.tx.query(&sql, &params![now])?;
        if self.engine.alone || is_idle || self.engine.next_expiry <= now {
            let next = "SELECT min(expires_at) FROM claims WHERE expires_at IS NOT NULL AND expires_at > $1";
            let next = self.tx.query_opt(next, &params![now])?;
            let next = next.map(|row| row.get::<Option<i64>>(0)).transpose()?.flatten();
            self.engine.next_expiry = next.unwrap_or(i64::MAX);
        }
        rows.iter().map(|row| claim::from_row(&self.engine.catalog, row)).collect()
    }

    /// Lets go what has expired, before anything is admitted into the room it took.
    fn expire(&mut self, expired: Vec<Claim>) -> Result<(), Error> {
        for claim in expired {
            self.shift(Some(&claim), None)?;
            self.log_claim("system:expiry", "claim.expired", Some(&claim), None);
            let stored = Some(claim.demand);
            self.claims.entry(claim.id).or_insert(Entry { claim: None, stored, dirty: false });
            self.put_claim(claim.id, None);
        }
        Ok(())
    }

    /// Reads, and on a shared database locks, all that the units name: claims first, then the paths they lie on, and those of
    /// what has expired.
    fn prefetch(&mut self, units: &[&Unit<Answer>], expired: &[Claim]) -> Result<(), Error> {
        let mut claims = Vec::new();
        let mut leaves = Vec::new();
        for step in units.iter().flat_map(|unit| &unit.steps) {
            match step {
                Step::Charge(new) => {
                    leaves.extend(new.demand.iter().map(|reference| self.look_up(reference)));
                    match &new.supply {
                        SupplyRef::At(reference) => leaves.push(self.look_up(reference)),
                        SupplyRef::Default => leaves.push(self.default_supply()),
                        SupplyRef::None => {}
                    }
                }
                Step::Relocate(id, demand, _) => {
                    claims.push(*id);
                    leaves.push(Ok(*demand));
                }
                Step::Settle(id, _) | Step::Set(id, _) | Step::Renew(id, _) | Step::Release(id) => claims.push(*id),
                Step::Create(_) | Step::Change(..) | Step::Remove(_) => {}
            }
        }
        let mut leaves: Vec<AllotmentId> =
            leaves.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        if !claims.is_empty() {
            claims.sort_unstable();
            claims.dedup();
            self.load_claims(&claims)?;
            let found = claims.iter().filter_map(|id| self.claims.get(id)?.claim.as_ref());
            leaves.extend(found.flat_map(|claim| claim.place().leaves()));
        }
        leaves.extend(expired.iter().flat_map(|claim| claim.place().leaves()));
        // What is only told of is named in the journal by its path.
        leaves.extend(units.iter().flat_map(|unit| &unit.notes).filter_map(|note| note.allotment));
        self.ensure(&leaves)
    }

    fn load_claims(&mut self, ids: &[ClaimId]) -> Result<(), Error> {
        let missing: Vec<Value> =
            ids.iter().filter(|id| !self.claims.contains_key(id)).map(|id| (*id).into()).collect();
        let lock = self.tx.dialect().for_update("claims");
        let sql = |list: &str| format!("SELECT {} FROM claims WHERE id IN {list} ORDER BY id{lock}", claim::COLUMNS);
        let now = self.tx.now();
        for row in self.tx.query_in(sql, &missing)? {
            let claim = claim::from_row(&self.engine.catalog, &row)?;
            // What has expired is not there, though its row is until it is swept in this very batch.
            if !claim.is_expired(now) {
                let stored = Some(claim.demand);
                self.claims.insert(claim.id, Entry { claim: Some(claim), stored, dirty: false });
            }
        }
        Ok(())
    }

    /// The id behind a reference, its path in hand.
    pub(crate) fn resolve(&mut self, reference: &AllotmentRef) -> Result<AllotmentId, Error> {
        let id = self.look_up(reference)?.ok_or_else(|| Error::not_found("allotment", reference))?;
        self.ensure(&[id])?;
        Ok(id)
    }

    fn look_up(&mut self, reference: &AllotmentRef) -> Result<Option<AllotmentId>, Error> {
        let AllotmentRef::Path(side, path) = reference else {
            let AllotmentRef::Id(id) = reference else { unreachable!("a reference is an id or a path") };
            return Ok(Some(*id));
        };
        if let Some(known) = self.engine.paths.get(reference) {
            return Ok(Some(*known));
        }
        let sql = "SELECT id FROM allotments WHERE side = $1 AND path = $2";
        let found = self.tx.query_opt(sql, &params![side.as_str(), path])?;
        let id: Option<AllotmentId> = found.map(|row| row.get(0)).transpose()?;
        if let Some(id) = id {
            self.engine.paths.insert(reference.clone(), id);
        }
        Ok(id)
    }

    fn default_supply(&mut self) -> Result<Option<AllotmentId>, Error> {
        if let Some(known) = self.engine.default_supply {
            return Ok(known);
        }
        let row = self.tx.query_opt("SELECT value FROM settings WHERE key = $1", &params![crate::DEFAULT_POOL])?;
        let pool = row.map(|row| row.get::<AllotmentId>(0)).transpose()?;
        self.engine.default_supply = Some(pool);
        Ok(pool)
    }

    /// Brings the paths of these leaves into the book, with what they count now.
    pub(crate) fn ensure(&mut self, leaves: &[AllotmentId]) -> Result<(), Error> {
        let book = &mut self.engine.book;
        let mut missing: Vec<AllotmentId> = leaves.iter().copied().filter(|id| book.node(*id).is_none()).collect();
        let mut outdated = Vec::new();
        if !missing.is_empty() {
            missing.sort_unstable();
            missing.dedup();
            outdated = load::nodes(&mut self.tx, book, &missing)?;
        }
        if !self.engine.alone {
            let paths = leaves.iter().flat_map(|leaf| book.up(*leaf));
            outdated = paths.filter(|id| !self.current.contains(id)).collect();
            self.current.extend(&outdated);
        }
        if outdated.is_empty() {
            return Ok(());
        }
        outdated.sort_unstable();
        outdated.dedup();
        load::balances(&mut self.tx, book, &outdated)
    }

    /// Writes claims, rows and the journal so far. Balances wait for the end.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let (mut left, mut placed) = (Vec::new(), Vec::new());
        for id in std::mem::take(&mut self.order) {
            let Some(entry) = self.claims.get_mut(&id).filter(|entry| entry.dirty) else { continue };
            match (&entry.claim, entry.stored) {
                (Some(claim), None) => new.push(claim_row(claim)),
                (Some(claim), Some(_)) => changed.push(claim_row(claim)),
                (None, Some(_)) => gone.push(Value::from(id)),
                (None, None) => {}
            }
            let (was, is) = (entry.stored.flatten(), entry.claim.as_ref().and_then(|claim| claim.demand));
            if was != is {
                left.extend(was.map(|demand| (id, demand)));
                placed.extend(is.map(|demand| (id, demand)));
            }
            entry.stored = entry.claim.as_ref().map(|claim| claim.demand);
            entry.dirty = false;
        }
        self.tx.insert_rows(CLAIM_COLUMNS, "", &new)?;
        self.tx.insert_rows(CLAIM_COLUMNS, CLAIM_UPDATE, &changed)?;
        self.tx.execute_in(|list| format!("DELETE FROM claims WHERE id IN {list}"), &gone)?;
        place::remove(&mut self.tx, &left)?;
        place::put(&mut self.tx, &placed)?;
        self.engine.placed += placed.len();
        let mut inserts = std::mem::take(&mut self.inserts);
        inserts.sort_by_key(|(into, _)| *into);
        for same in inserts.chunk_by(|a, b| a.0 == b.0) {
            let rows: Vec<&[Value]> = same.iter().map(|(_, values)| values.as_slice()).collect();
            self.tx.insert_rows(same[0].0, "", &rows)?;
        }
        let entries = std::mem::take(&mut self.journal);
        journal::write(&mut self.tx, entries)
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.check_sums()?;
        let mut changes: Vec<(AllotmentId, [Value; 6])> = Vec::new();
        for change in self.engine.book.changes().iter().filter(|change| change.before != change.after) {
            let after = change.after;
            let row = params![
                change.node.id,
                change.resource.name(),
                after.limit,
                after.used,
                after.pending,
                after.promised.to_string()
            ];
            changes.push((change.node.id, row));
        }
        if !(changes.is_empty() && self.journal.is_empty()) {
            let some = self.engine.refusals.len().min(REFUSALS_PER_COMMIT);
            self.journal.extend(self.engine.refusals.drain(..some));
        }
        self.flush()?;
        changes.sort_by_key(|(id, _)| *id);
        let rows: Vec<[Value; 6]> = changes.into_iter().map(|(_, row)| row).collect();
        self.tx.insert_rows(BALANCE_COLUMNS, BALANCE_UPDATE, &rows)
    }

    /// What must be true of every balance that was touched, in production too; and the load lines that were crossed.
    fn check_sums(&mut self) -> Result<(), Error> {
        let (mut breaches, mut crossed) = (Vec::new(), Vec::new());
        for change in self.engine.book.changes() {
            let load = |balance: &ledger::Balance| u128::from(balance.used) + u128::from(balance.pending);
            let lowered = change.after.limit != change.before.limit;
            if !lowered && change.after.is_over() && load(&change.after) > load(&change.before) {
                breaches.push((change.node.id, change.node.path.clone()));
            }
            let lines = &change.node.load_lines;
            for crossing in ledger::crossings(lines, change.resource, &change.before, &change.after) {
                crossed.push((change.node.id, crossing, change.after));
            }
        }
        for (id, path) in breaches {
            tracing::error!(allotment.path = %path, "the sums of an allotment passed its limit: frozen for new claims");
            self.engine.breaches += 1;
            self.engine.book.freeze(id);
            self.tx.execute("UPDATE allotments SET frozen = TRUE WHERE id = $1", &params![id])?;
        }
        for (id, crossing, balance) in crossed {
            let up = crossing.direction == ledger::Direction::Up;
            let (line, load) = (crossing.line, u128::from(balance.used) + u128::from(balance.pending));
            let mark = match line.mark {
                ledger::Mark::Percent(percent) => json!({"percent": percent}),
                ledger::Mark::Amount(units) => json!({"amount": units}),
            };
            let detail = json!({"resource": line.resource, "line": mark, "direction": if up { "up" } else { "down" },
                "load": load as u64, "limit": balance.limit});
            let entry = self.entry("system:ledger", "load_line.crossed", Some(id), None, detail.to_string());
            self.journal.push(entry);
        }
        Ok(())
    }
}

const CLAIM_COLUMNS: &str =
    "claims (id, demand_id, supply_id, amounts, state, expires_at, subject, managed, created_by, created_at)";
const CLAIM_UPDATE: &str = "ON CONFLICT (id) DO UPDATE SET demand_id = excluded.demand_id, \
    supply_id = excluded.supply_id, amounts = excluded.amounts, state = excluded.state, \
    expires_at = excluded.expires_at, managed = excluded.managed";
const BALANCE_COLUMNS: &str = "balances (allotment_id, resource, quota, used, pending, promised)";
const BALANCE_UPDATE: &str = "ON CONFLICT (allotment_id, resource) DO UPDATE SET quota = excluded.quota, \
    used = excluded.used, pending = excluded.pending, promised = excluded.promised";

fn claim_row(claim: &Claim) -> [Value; 10] {
    params![
        claim.id,
        claim.demand,
        claim.supply,
        amounts_to_text(&claim.amounts),
        claim.state.as_str(),
        claim.expires_at,
        claim.subject.as_ref(),
        claim.managed_by.as_ref().map(ToString::to_string),
        &claim.created_by,
        claim.created_at,
    ]
}

/// A refusal as the journal and the native API show it.
pub fn refusal_json(refusal: &Refusal) -> serde_json::Value {
    json!({
        "allotment_id": refusal.allotment, "path": &*refusal.path, "side": refusal.side.as_str(),
        "resource": refusal.resource, "limit": refusal.limit, "used": refusal.used, "pending": refusal.pending,
        "requested": refusal.asked, "headroom": refusal.headroom(),
    })
}

fn lease_end(now: Micros, seconds: i64) -> Micros {
    now.saturating_add(seconds.saturating_mul(1_000_000))
}
