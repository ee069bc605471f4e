//! What a batch writes: claims, rows, the journal, and each touched balance once.

use ledger::AllotmentId;
use serde_json::json;

use super::{Batch, REFUSALS_PER_COMMIT};
use crate::claim::{Claim, amounts_to_text};
use crate::{Error, Value, journal, params, place};

impl Batch<'_, '_> {
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

    pub(super) fn finish(&mut self) -> Result<(), Error> {
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
    pub(super) fn check_sums(&mut self) -> Result<(), Error> {
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
