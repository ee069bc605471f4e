//! What a batch reads before and while it decides: claims, paths, what has expired.

use ledger::{AllotmentId, ClaimId};

use super::{Batch, Entry};
use crate::claim::{self, Claim};
use crate::unit::{Answer, Step, Unit};
use crate::{AllotmentRef, Error, SupplyRef, Value, load, params};

impl Batch<'_, '_> {
    /// What has expired and is still charged; on a shared database locked.
    ///
    /// Where others write, too, a batch asks when to look again only if it is idle or something was due: the others cost
    /// a round trip less.
    pub(super) fn expired(&mut self, is_idle: bool) -> Result<Vec<Claim>, Error> {
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
    pub(super) fn expire(&mut self, expired: Vec<Claim>) -> Result<(), Error> {
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
    pub(super) fn prefetch(&mut self, units: &[&Unit<Answer>], expired: &[Claim]) -> Result<(), Error> {
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

    pub(super) fn load_claims(&mut self, ids: &[ClaimId]) -> Result<(), Error> {
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

    pub(super) fn look_up(&mut self, reference: &AllotmentRef) -> Result<Option<AllotmentId>, Error> {
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

    pub(super) fn default_supply(&mut self) -> Result<Option<AllotmentId>, Error> {
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
}
