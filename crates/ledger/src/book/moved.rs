//! A node that moves under another parent, with all that lies below it.

use std::sync::Arc;

use super::{Balance, Book, Denied, Refusal, Slot, Undo};
use crate::{AMOUNT_MAX, AllotmentId};

/// Where a node lies.
pub(super) struct Site {
    parent: Option<AllotmentId>,
    above: Option<Slot>,
    path: Arc<str>,
    depth: usize,
}

impl Book {
    /// Moves a node under `to`, which does not lie below it. What is charged at or below the node is taken from those above
    /// it and charged on those above its new place; those that have not carried it so far may refuse. Its limits are
    /// promised by its new parent.
    pub fn reparent(&mut self, id: AllotmentId, to: AllotmentId, path: &str) -> Result<(), Denied> {
        let (slot, to) = (self.slot(id)?, self.slot(to)?);
        let (from, onto) = (self.slots_above(self.above(slot)), self.slots_above(Some(to)));
        let balances = self.at(slot).balances.clone();
        let joined: Vec<Slot> = onto.iter().copied().filter(|above| !from.contains(above)).collect();
        let left: Vec<Slot> = from.iter().copied().filter(|above| !onto.contains(above)).collect();
        self.admit_all(&joined, &balances)?;
        let mark = self.mark();
        let done = self.carry(slot, to, &left, &joined, path);
        if done.is_err() {
            self.rollback(mark);
        }
        done
    }

    fn admit_all(&self, joined: &[Slot], balances: &[(crate::Resource, Balance)]) -> Result<(), Denied> {
        let mut refusals = Vec::new();
        for (resource, carried) in balances {
            let asked = carried.used.saturating_add(carried.pending);
            for node in joined.iter().map(|slot| self.at(*slot)).filter(|_| asked > 0) {
                if node.frozen {
                    return Err(Denied::Frozen(node.path.clone()));
                }
                if node.expires_at.is_some_and(|end| end <= self.now) {
                    return Err(Denied::Expired(node.path.clone()));
                }
                let Balance { limit, used, pending, .. } = node.balance(*resource);
                let limit = limit.unwrap_or(AMOUNT_MAX);
                let room = limit.checked_sub(used).and_then(|left| left.checked_sub(pending));
                if room.is_none_or(|room| asked > room) {
                    let (allotment, path, side, resource) = (node.id, node.path.clone(), node.side, *resource);
                    refusals.push(Refusal { allotment, path, side, resource, limit, used, pending, asked });
                }
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(Denied::Refused(refusals)) }
    }

    fn carry(&mut self, slot: Slot, to: Slot, left: &[Slot], joined: &[Slot], path: &str) -> Result<(), Denied> {
        let node = self.at(slot).clone();
        for (resource, carried) in &node.balances {
            let limit = carried.limit.unwrap_or(0);
            self.promise(node.parent, *resource, limit, 0)?;
            self.promise(Some(self.at(to).id), *resource, 0, limit)?;
            for above in left {
                let before = self.at(*above).balance(*resource);
                let rest = before.used.checked_sub(carried.used).zip(before.pending.checked_sub(carried.pending));
                let Some((used, pending)) = rest else {
                    return Err(Denied::Breach { path: self.at(*above).path.clone(), resource: *resource });
                };
                self.put(*above, *resource, Balance { used, pending, ..before });
            }
            for above in joined {
                let before = self.at(*above).balance(*resource);
                let (used, pending) = (before.used + carried.used, before.pending + carried.pending);
                self.put(*above, *resource, Balance { used, pending, ..before });
            }
        }
        self.settle_down(slot, to, path);
        Ok(())
    }

    /// The new place of the node, and the new paths and depths of those below it that are in hand.
    fn settle_down(&mut self, slot: Slot, to: Slot, path: &str) {
        let (before, depth) = (self.at(slot).path.clone(), self.at(to).depth + 1);
        let was = self.at(slot).depth;
        let below: Vec<Slot> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].is_some() && self.slots_above(Some(*at)).contains(&slot))
            .collect();
        for at in below {
            let node = self.at(at);
            let rest = node.path.strip_prefix(&*before).unwrap_or_default();
            let (path, depth): (Arc<str>, _) = (format!("{path}{rest}").into(), node.depth - was + depth);
            let (parent, above) =
                if at == slot { (Some(self.at(to).id), Some(to)) } else { (node.parent, self.above(at)) };
            let known = self.set_site(at, Site { parent, above, path, depth });
            self.undo.push(Undo::Moved(at, Box::new(known)));
        }
    }

    /// Puts a node at another place; answers where it was.
    pub(super) fn set_site(&mut self, slot: Slot, site: Site) -> Site {
        let above = self.above(slot);
        let node = self.at_mut(slot);
        let known = Site { parent: node.parent, above, path: node.path.clone(), depth: node.depth };
        (node.parent, node.path, node.depth) = (site.parent, site.path, site.depth);
        if let Some((_, above)) = &mut self.nodes[slot] {
            *above = site.above;
        }
        known
    }

    fn above(&self, slot: Slot) -> Option<Slot> {
        self.nodes[slot].as_ref().and_then(|(_, above)| *above)
    }

    /// These and all above them, the nearest first.
    fn slots_above(&self, first: Option<Slot>) -> Vec<Slot> {
        std::iter::successors(first, |slot| self.above(*slot)).collect()
    }
}
