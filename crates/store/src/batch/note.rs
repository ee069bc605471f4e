//! What a batch tells the journal.

use ledger::{AllotmentId, Refusal, Side};
use serde_json::json;

use super::{Batch, REFUSALS_MAX};
use crate::claim::{Claim, amounts_to_text};
use crate::unit::{Answer, Unit};
use crate::{Error, journal};

impl Batch<'_, '_> {
    /// What a unit was refused for, to be written when there is a commit anyway.
    pub(super) fn remember(&mut self, unit: &Unit<Answer>, error: &Error) {
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

    pub(super) fn log_claim(&mut self, actor: &str, kind: &'static str, before: Option<&Claim>, after: Option<&Claim>) {
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

    pub(super) fn entry(
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
}

/// A refusal as the journal and the native API show it.
pub fn refusal_json(refusal: &Refusal) -> serde_json::Value {
    json!({
        "allotment_id": refusal.allotment, "path": &*refusal.path, "side": refusal.side.as_str(),
        "resource": refusal.resource, "limit": refusal.limit, "used": refusal.used, "pending": refusal.pending,
        "requested": refusal.asked, "headroom": refusal.headroom(),
    })
}
