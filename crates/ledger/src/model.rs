//! The reference model: the ledger once more, as plain and slow as it can be, for tests to compare with.
//!
//! **Shape.** A map of nodes and a map of claims, and nothing else. No sum is ever kept: each question is answered by
//! counting all claims and all children again, in 128 bits.
//! **Always.** It shares words with [`crate::Book`] (what an amount, a refusal, a place is) and not one step of arithmetic,
//! so that a mistake in one is a difference between the two.
//! **Not here.** Speed; undo, which is a copy made before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{AMOUNT_MAX, AllotmentId, Amounts, Balance, ClaimId, ClaimState, Denied, Limits, Overcommit, Place};
use crate::{Refusal, Resource, Side};

/// Who or what may use how much.
#[derive(Clone, PartialEq, Debug)]
pub struct Allotment {
    /// The names from the root, joined by slashes.
    pub path: Arc<str>,
    /// On which side it is.
    pub side: Side,
    /// Its parent; none is a root.
    pub parent: Option<AllotmentId>,
    /// Its limits; what is not said is unlimited.
    pub limits: BTreeMap<Resource, u64>,
    /// What it may promise to its children; none is not checked.
    pub overcommit: Option<Overcommit>,
    /// From when on it admits nothing new.
    pub expires_at: Option<i64>,
    /// Whether it admits nothing new because somebody has to look at it first.
    pub frozen: bool,
}

impl Allotment {
    /// A node that is neither frozen nor ends, and promises what it likes.
    pub fn new(path: &str, side: Side, parent: Option<AllotmentId>, limits: &Limits) -> Allotment {
        let (path, limits) = (Arc::from(path), limits.iter().collect());
        Allotment { path, side, parent, limits, overcommit: None, expires_at: None, frozen: false }
    }
}

/// What was taken, where, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The two leaves.
    pub place: Place,
    /// How much.
    pub amounts: Amounts,
    /// Pending or held.
    pub state: ClaimState,
    /// When it is gone, if it is pending until then.
    pub expires_at: Option<i64>,
}

/// Why a change was not made. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Objection {
    /// As the ledger itself would say.
    Denied(Denied),
    /// The claim is not there, or not any more.
    NoClaim(ClaimId),
    /// There is such a claim already.
    ClaimTaken(ClaimId),
    /// The claim is held: it cannot be settled again.
    Held(ClaimId),
    /// The node has children or claims: it cannot go.
    Occupied(AllotmentId),
}

impl From<Denied> for Objection {
    fn from(denied: Denied) -> Objection {
        Objection::Denied(denied)
    }
}

/// All nodes and all claims.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Model {
    /// The nodes of both sides.
    pub nodes: BTreeMap<AllotmentId, Allotment>,
    /// The claims that count.
    pub claims: BTreeMap<ClaimId, Claim>,
    /// What time it is.
    pub now: i64,
}

impl Model {
    /// Adds a node.
    pub fn create(&mut self, id: AllotmentId, node: Allotment) -> Result<(), Objection> {
        if let Some(parent) = node.parent {
            self.node(parent)?;
            for (resource, limit) in &node.limits {
                self.promise(parent, None, *resource, 0, *limit)?;
            }
        }
        self.nodes.insert(id, node);
        Ok(())
    }

    /// Sets one limit; none is unlimited.
    pub fn set_limit(&mut self, id: AllotmentId, resource: Resource, limit: Option<u64>) -> Result<(), Objection> {
        let node = self.node(id)?;
        let before = node.limits.get(&resource).copied();
        if let Some(parent) = node.parent {
            self.promise(parent, Some(id), resource, before.unwrap_or(0), limit.unwrap_or(0))?;
        }
        let node = self.nodes.get_mut(&id).expect("it was there a moment ago");
        match limit {
            Some(limit) => node.limits.insert(resource, limit),
            None => node.limits.remove(&resource),
        };
        Ok(())
    }

    /// Sets what a node may promise. What it has promised by then stays promised.
    pub fn set_overcommit(&mut self, id: AllotmentId, overcommit: Option<Overcommit>) -> Result<(), Objection> {
        self.node_mut(id)?.overcommit = overcommit;
        Ok(())
    }

    /// Sets from when on a node admits nothing new.
    pub fn set_expiry(&mut self, id: AllotmentId, expires_at: Option<i64>) -> Result<(), Objection> {
        self.node_mut(id)?.expires_at = expires_at;
        Ok(())
    }

    /// A node admits nothing new from now on.
    pub fn freeze(&mut self, id: AllotmentId) -> Result<(), Objection> {
        self.node_mut(id)?.frozen = true;
        Ok(())
    }

    /// Takes a node out, unless something hangs on it.
    pub fn remove(&mut self, id: AllotmentId) -> Result<(), Objection> {
        self.node(id)?;
        let has_children = self.nodes.values().any(|node| node.parent == Some(id));
        let has_claims = self.claims.values().any(|claim| claim.place.leaves().any(|leaf| leaf == id));
        if has_children || has_claims {
            return Err(Objection::Occupied(id));
        }
        self.nodes.remove(&id);
        Ok(())
    }

    /// Takes an amount.
    pub fn charge(&mut self, id: ClaimId, claim: Claim) -> Result<(), Objection> {
        if self.claims.contains_key(&id) {
            return Err(Objection::ClaimTaken(id));
        }
        self.admit(None, &claim)?;
        self.claims.insert(id, claim);
        Ok(())
    }

    /// Pending becomes held, at these amounts or as it was.
    pub fn settle(&mut self, id: ClaimId, amounts: Option<Amounts>) -> Result<(), Objection> {
        let before = self.claim(id)?;
        if before.state == ClaimState::Held {
            return Err(Objection::Held(id));
        }
        let amounts = amounts.unwrap_or_else(|| before.amounts.clone());
        self.change(id, Claim { amounts, state: ClaimState::Held, expires_at: None, ..before })
    }

    /// Changes how much a claim takes.
    pub fn set(&mut self, id: ClaimId, amounts: Amounts) -> Result<(), Objection> {
        let before = self.claim(id)?;
        self.change(id, Claim { amounts, ..before })
    }

    /// A pending claim lives until then.
    pub fn renew(&mut self, id: ClaimId, expires_at: i64) -> Result<(), Objection> {
        let before = self.claim(id)?;
        if before.state == ClaimState::Held {
            return Err(Objection::Held(id));
        }
        self.change(id, Claim { expires_at: Some(expires_at), ..before })
    }

    /// Charges a claim on another leaf, or on none.
    pub fn relocate(&mut self, id: ClaimId, demand: Option<AllotmentId>) -> Result<(), Objection> {
        let before = self.claim(id)?;
        self.change(id, Claim { place: Place { demand, ..before.place }, ..before })
    }

    /// Gives back what a claim takes.
    pub fn release(&mut self, id: ClaimId) -> Result<(), Objection> {
        self.claim(id)?;
        self.claims.remove(&id);
        Ok(())
    }

    /// Time goes on, and what ends by now is gone.
    pub fn expire_all(&mut self, now: i64) {
        self.now = now;
        self.claims.retain(|_, claim| claim.expires_at.is_none_or(|end| end > now));
    }

    /// What one node counts of one resource.
    pub fn balance(&self, id: AllotmentId, resource: Resource) -> Balance {
        let amount = |sum: u128| u64::try_from(sum).expect("no more is ever admitted than an amount holds");
        Balance {
            limit: self.nodes.get(&id).and_then(|node| node.limits.get(&resource).copied()),
            used: amount(self.taken(id, resource, ClaimState::Held)),
            pending: amount(self.taken(id, resource, ClaimState::Pending)),
            promised: self.promised(id, None, resource),
        }
    }

    /// What every node counts, of each resource that is limited, taken or promised there.
    pub fn balances(&self) -> BTreeMap<(AllotmentId, Resource), Balance> {
        let mut all: BTreeMap<(AllotmentId, Resource), Balance> = BTreeMap::new();
        for (id, node) in &self.nodes {
            for (resource, limit) in &node.limits {
                all.entry((*id, *resource)).or_default().limit = Some(*limit);
                if let Some(parent) = node.parent {
                    all.entry((parent, *resource)).or_default().promised += u128::from(*limit);
                }
            }
        }
        for claim in self.claims.values() {
            for (id, _) in self.up(claim.place) {
                for (resource, units) in claim.amounts.iter() {
                    let balance = all.entry((id, resource)).or_default();
                    match claim.state {
                        ClaimState::Held => balance.used += units,
                        ClaimState::Pending => balance.pending += units,
                    }
                }
            }
        }
        all
    }

    fn change(&mut self, id: ClaimId, after: Claim) -> Result<(), Objection> {
        let before = self.claim(id)?;
        self.admit(Some(&before), &after)?;
        self.claims.insert(id, after);
        Ok(())
    }

    /// A change is admitted if what grows at a node fits into what is left there, at every node of both paths.
    fn admit(&self, before: Option<&Claim>, after: &Claim) -> Result<(), Denied> {
        for leaf in after.place.leaves() {
            self.node(leaf)?;
        }
        let weighed = |claim: &Claim, id: AllotmentId, resource: Resource| -> u128 {
            let lies_here = self.up(claim.place).iter().any(|(node, _)| *node == id);
            if lies_here { claim.amounts.get(resource).into() } else { 0 }
        };
        let mut refusals = Vec::new();
        for (resource, _) in after.amounts.iter() {
            for (id, node) in self.up(after.place) {
                let (was, is) = (before.map_or(0, |it| weighed(it, id, resource)), weighed(after, id, resource));
                if is <= was {
                    continue;
                }
                if node.frozen {
                    return Err(Denied::Frozen(node.path.clone()));
                }
                if node.expires_at.is_some_and(|end| self.now >= end) {
                    return Err(Denied::Expired(node.path.clone()));
                }
                let limit = node.limits.get(&resource).copied().unwrap_or(AMOUNT_MAX);
                let Balance { used, pending, .. } = self.balance(id, resource);
                if u128::from(used) + u128::from(pending) + is - was > u128::from(limit) {
                    let (path, side, asked) = (node.path.clone(), node.side, (is - was) as u64);
                    refusals.push(Refusal { allotment: id, path, side, resource, limit, used, pending, asked });
                }
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(Denied::Refused(refusals)) }
    }

    /// Whether `parent` may promise its child this limit instead of that one.
    fn promise(
        &self,
        parent: AllotmentId,
        child: Option<AllotmentId>,
        resource: Resource,
        before: u64,
        after: u64,
    ) -> Result<(), Denied> {
        let node = self.node(parent)?;
        let (Some(overcommit), Some(limit)) = (node.overcommit, node.limits.get(&resource).copied()) else {
            return Ok(());
        };
        let asked = self.promised(parent, child, resource) + u128::from(after);
        let most = u128::from(limit) * u128::from(overcommit.permille) / 1000;
        if after > before && asked > most {
            let (path, overcommit) = (node.path.clone(), overcommit.to_string());
            return Err(Denied::Overcommitted { path, resource, limit, overcommit, most, asked });
        }
        Ok(())
    }

    /// The sum of the limits of the children, one of them left out.
    fn promised(&self, id: AllotmentId, but: Option<AllotmentId>, resource: Resource) -> u128 {
        let children = self.nodes.iter().filter(|(child, node)| node.parent == Some(id) && Some(**child) != but);
        children.map(|(_, node)| u128::from(node.limits.get(&resource).copied().unwrap_or(0))).sum()
    }

    fn taken(&self, id: AllotmentId, resource: Resource, state: ClaimState) -> u128 {
        let claims = self.claims.values().filter(|claim| claim.state == state);
        let here = claims.filter(|claim| self.up(claim.place).iter().any(|(node, _)| *node == id));
        here.map(|claim| u128::from(claim.amounts.get(resource))).sum()
    }

    /// The nodes of both paths: demand from the leaf up, then supply from the leaf up.
    fn up(&self, place: Place) -> Vec<(AllotmentId, &Allotment)> {
        let mut path = Vec::new();
        for leaf in place.leaves() {
            let mut next = Some(leaf);
            while let Some((id, node)) = next.and_then(|id| Some((id, self.nodes.get(&id)?))) {
                path.push((id, node));
                next = node.parent;
            }
        }
        path
    }

    fn node(&self, id: AllotmentId) -> Result<&Allotment, Denied> {
        self.nodes.get(&id).ok_or(Denied::Unknown(id))
    }

    fn node_mut(&mut self, id: AllotmentId) -> Result<&mut Allotment, Denied> {
        self.nodes.get_mut(&id).ok_or(Denied::Unknown(id))
    }

    fn claim(&self, id: ClaimId) -> Result<Claim, Objection> {
        self.claims.get(&id).cloned().ok_or(Objection::NoClaim(id))
    }
}
