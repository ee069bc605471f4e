//! The book: the nodes of the tree that are in hand, and the one way their sums change.
//!
//! **Undo.** Each change is logged. [`Book::mark`] and [`Book::rollback`] take back one unit of work; [`Book::changes`]
//! lists what a batch has changed, each balance once; [`Book::commit`] makes it the new past.

mod moved;

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::{AMOUNT_MAX, AllotmentId, Amounts, Denied, Limits, LoadLine, Refusal, Resource};

/// The deepest a tree goes, roots counted: bounds every walk up a path.
pub const DEPTH_MAX: usize = 32;

/// The two sides of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// Who asks: tenants, projects, users.
    Demand,
    /// Where things lie: pools, repositories, storage types.
    Supply,
}

impl Side {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Demand => "demand",
            Side::Supply => "supply",
        }
    }
}

/// How much of what it has a node may promise to its children, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overcommit {
    /// 1000 is a ratio of 1.0.
    pub permille: u32,
}

impl std::fmt::Display for Overcommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", f64::from(self.permille) / 1000.0)
    }
}

/// What one node counts of one resource.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Balance {
    /// The most that may be used and pending; none is unlimited.
    pub limit: Option<u64>,
    /// The sum of held claims at and below the node.
    pub used: u64,
    /// The sum of pending claims at and below the node.
    pub pending: u64,
    /// The sum of the children's limits. Wider than an amount: promises are not bounded by what there is.
    pub promised: u128,
}

impl Balance {
    /// Whether it holds more than its limit, as it may after the limit was lowered.
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| u128::from(self.used) + u128::from(self.pending) > u128::from(limit))
    }
}

/// A node as the store loads it.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Its id.
    pub id: AllotmentId,
    /// On which side it is.
    pub side: Side,
    /// Its parent; none is a root.
    pub parent: Option<AllotmentId>,
    /// The names from the root, joined by slashes.
    pub path: Arc<str>,
    /// The root of its side: on demand the tenant.
    pub root: AllotmentId,
    /// How many nodes lie above it.
    pub depth: usize,
    /// What it may promise; none is not checked.
    pub overcommit: Option<Overcommit>,
    /// Its load lines.
    pub load_lines: Vec<LoadLine>,
    /// Whether it takes no new claims because its sums were found wrong.
    pub frozen: bool,
    /// From when on it admits nothing new, in microseconds since 1970. What it holds, it holds on to.
    pub expires_at: Option<i64>,
    /// What it counts, by resource.
    pub balances: SmallVec<[(Resource, Balance); 2]>,
}

impl Node {
    /// What it counts of `resource`.
    pub fn balance(&self, resource: Resource) -> Balance {
        self.balances.iter().find(|(known, _)| *known == resource).map(|(_, balance)| *balance).unwrap_or_default()
    }

    fn reshape(&mut self, shape: Shape) -> Shape {
        Shape {
            overcommit: std::mem::replace(&mut self.overcommit, shape.overcommit),
            load_lines: std::mem::replace(&mut self.load_lines, shape.load_lines),
            expires_at: std::mem::replace(&mut self.expires_at, shape.expires_at),
        }
    }

    fn set_balance(&mut self, resource: Resource, balance: Balance) {
        match self.balances.binary_search_by_key(&resource, |(known, _)| *known) {
            Ok(at) => self.balances[at].1 = balance,
            Err(at) => self.balances.insert(at, (resource, balance)),
        }
    }
}

/// Whether a claim is on its way or has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClaimState {
    /// Counts until it expires or is settled.
    Pending,
    /// Counts until it is released.
    Held,
}

impl ClaimState {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            ClaimState::Pending => "pending",
            ClaimState::Held => "held",
        }
    }
}

/// The two leaves a claim is charged on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Place {
    /// Who asked. None: nobody any more; the bytes of a deleted thing until they are gone.
    pub demand: Option<AllotmentId>,
    /// Where it lies.
    pub supply: Option<AllotmentId>,
}

impl Place {
    /// The leaves, demand first.
    pub fn leaves(self) -> impl Iterator<Item = AllotmentId> {
        self.demand.into_iter().chain(self.supply)
    }
}

/// What a claim weighs: an amount, at a place, in a state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weight {
    /// The two leaves.
    pub place: Place,
    /// How much.
    pub amounts: Amounts,
    /// Counted as pending or as used.
    pub state: ClaimState,
}

/// One balance that a batch changed.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Whose.
    pub node: &'a Node,
    /// Of which resource.
    pub resource: Resource,
    /// As it was at the last commit.
    pub before: Balance,
    /// As it is.
    pub after: Balance,
}

/// What can be set on a node beside its limits.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Shape {
    /// What it may promise; none is not checked.
    pub overcommit: Option<Overcommit>,
    /// Its load lines.
    pub load_lines: Vec<LoadLine>,
    /// From when on it admits nothing new, in microseconds since 1970.
    pub expires_at: Option<i64>,
}

type Slot = usize;

enum Undo {
    Balance(Slot, Resource, Balance),
    Created(AllotmentId),
    Removed(Slot, Box<Node>),
    Shape(Slot, Box<Shape>),
    Moved(Slot, Box<moved::Site>),
}

/// The nodes in hand. See the module's first lines.
#[derive(Default)]
pub struct Book {
    slots: HashMap<AllotmentId, Slot>,
    nodes: Vec<Option<(Node, Option<Slot>)>>,
    free: Vec<Slot>,
    /// Slots of removed nodes, which the log still names: free only after the commit.
    emptied: Vec<Slot>,
    undo: Vec<Undo>,
    now: i64,
}

impl Book {
    /// Says what time it is, in microseconds since 1970: an allotment whose time is over admits nothing new.
    pub fn set_now(&mut self, now: i64) {
        self.now = now;
    }

    /// Changes a claim's weight; none before is a new claim, none after is the end of one.
    ///
    /// What grows at a node is checked against its limits, on both paths; what only moves within a node, shrinks or
    /// changes its state is not. Refusals come by resource as declared, then demand from the leaf up, then supply.
    pub fn shift(&mut self, before: Option<&Weight>, after: Option<&Weight>) -> Result<(), Denied> {
        let from = self.walk(before)?;
        let to = self.walk(after)?;
        self.admit(before, after, &from, &to)?;
        let mark = self.mark();
        let taken = before.map_or(Ok(()), |weight| self.apply(&from, weight, false));
        let done = taken.and_then(|()| after.map_or(Ok(()), |weight| self.apply(&to, weight, true)));
        if done.is_err() {
            self.rollback(mark);
        }
        done
    }

    fn admit(&self, before: Option<&Weight>, after: Option<&Weight>, from: &[Slot], to: &[Slot]) -> Result<(), Denied> {
        let Some(after) = after else { return Ok(()) };
        let mut refusals = Vec::new();
        for (resource, units) in after.amounts.iter() {
            let had = before.map_or(0, |weight| weight.amounts.get(resource));
            for &slot in to {
                let carried = if from.contains(&slot) { had } else { 0 };
                let asked = units.saturating_sub(carried);
                if asked == 0 {
                    continue;
                }
                let node = self.at(slot);
                if node.frozen {
                    return Err(Denied::Frozen(node.path.clone()));
                }
                if node.expires_at.is_some_and(|end| end <= self.now) {
                    return Err(Denied::Expired(node.path.clone()));
                }
                let Balance { limit, used, pending, .. } = node.balance(resource);
                let limit = limit.unwrap_or(AMOUNT_MAX);
                let room = limit.checked_sub(used).and_then(|left| left.checked_sub(pending));
                if room.is_none_or(|room| asked > room) {
                    let (allotment, path, side) = (node.id, node.path.clone(), node.side);
                    refusals.push(Refusal { allotment, path, side, resource, limit, used, pending, asked });
                }
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(Denied::Refused(refusals)) }
    }

    fn apply(&mut self, path: &[Slot], weight: &Weight, add: bool) -> Result<(), Denied> {
        for (resource, units) in weight.amounts.iter().filter(|(_, units)| *units > 0) {
            for &slot in path {
                let mut balance = self.at(slot).balance(resource);
                let sum = match weight.state {
                    ClaimState::Pending => &mut balance.pending,
                    ClaimState::Held => &mut balance.used,
                };
                let changed = if add { sum.checked_add(units) } else { sum.checked_sub(units) };
                let Some(changed) = changed else {
                    return Err(Denied::Breach { path: self.at(slot).path.clone(), resource });
                };
                *sum = changed;
                self.put(slot, resource, balance);
            }
        }
        Ok(())
    }

    /// The slots of both paths: demand from the leaf up, then supply.
    fn walk(&self, weight: Option<&Weight>) -> Result<SmallVec<[Slot; 8]>, Denied> {
        let mut path = SmallVec::new();
        for leaf in weight.into_iter().flat_map(|weight| weight.place.leaves()) {
            let mut next = Some(self.slot(leaf)?);
            while let Some(slot) = next {
                path.push(slot);
                next = self.nodes[slot].as_ref().and_then(|(_, parent)| *parent);
            }
        }
        Ok(path)
    }

    /// Takes in a node that the store has read; its parent must be in hand. Not a change.
    pub fn load(&mut self, node: Node) -> Result<(), Denied> {
        let parent = node.parent.map(|parent| self.slot(parent)).transpose()?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        self.slots.insert(node.id, slot);
        self.nodes[slot] = Some((node, parent));
        Ok(())
    }

    /// Takes in what the store has read anew of a node that is in hand. Not a change.
    pub fn refresh(&mut self, id: AllotmentId, frozen: bool, balances: SmallVec<[(Resource, Balance); 2]>) {
        if let Ok(slot) = self.slot(id) {
            let node = self.at_mut(slot);
            (node.frozen, node.balances) = (frozen, balances);
        }
    }

    /// The node and all above it, leaf first; nothing if it is not in hand.
    pub fn up(&self, leaf: AllotmentId) -> impl Iterator<Item = AllotmentId> + '_ {
        let start = self.slots.get(&leaf).copied();
        let above = |slot: &Slot| self.nodes[*slot].as_ref().and_then(|(_, parent)| *parent);
        std::iter::successors(start, above).map(|slot| self.at(slot).id)
    }

    /// Adds a new node with `limits`, and counts them among what its parent has promised.
    pub fn create(&mut self, node: Node, limits: &Limits) -> Result<(), Denied> {
        let (id, parent) = (node.id, node.parent);
        self.load(Node { balances: SmallVec::new(), ..node })?;
        let mark = self.mark();
        self.undo.push(Undo::Created(id));
        let slot = self.slot(id)?;
        for (resource, limit) in limits.iter() {
            let done = self.promise(parent, resource, 0, limit);
            if done.is_err() {
                self.rollback(mark);
                return done;
            }
            self.put(slot, resource, Balance { limit: Some(limit), ..Balance::default() });
        }
        Ok(())
    }

    /// Sets one limit; none is unlimited. Below what is used is allowed: nothing more is admitted then.
    pub fn set_limit(&mut self, id: AllotmentId, resource: Resource, limit: Option<u64>) -> Result<(), Denied> {
        let slot = self.slot(id)?;
        let before = self.at(slot).balance(resource);
        self.promise(self.at(slot).parent, resource, before.limit.unwrap_or(0), limit.unwrap_or(0))?;
        self.put(slot, resource, Balance { limit, ..before });
        Ok(())
    }

    /// Sets what a node may promise, where its load lines lie and when it ends.
    pub fn set_shape(&mut self, id: AllotmentId, shape: Shape) -> Result<(), Denied> {
        let slot = self.slot(id)?;
        let before = self.at_mut(slot).reshape(shape);
        self.undo.push(Undo::Shape(slot, Box::new(before)));
        Ok(())
    }

    /// Takes a node out, and its limits out of what its parent has promised. That nothing lies at or below it is for the
    /// store to know.
    pub fn remove(&mut self, id: AllotmentId) -> Result<(), Denied> {
        let slot = self.slot(id)?;
        let node = self.at(slot).clone();
        for (resource, balance) in &node.balances {
            self.promise(node.parent, *resource, balance.limit.unwrap_or(0), 0)?;
        }
        self.empty(slot);
        self.emptied.push(slot);
        self.undo.push(Undo::Removed(slot, Box::new(node)));
        Ok(())
    }

    /// Stops new claims at a node whose sums were found wrong. Releases go on.
    pub fn freeze(&mut self, id: AllotmentId) {
        if let Ok(slot) = self.slot(id) {
            self.at_mut(slot).frozen = true;
        }
    }

    fn promise(
        &mut self,
        parent: Option<AllotmentId>,
        resource: Resource,
        before: u64,
        after: u64,
    ) -> Result<(), Denied> {
        let Some(parent) = parent else { return Ok(()) };
        let slot = self.slot(parent)?;
        let node = self.at(slot);
        let mut balance = node.balance(resource);
        let rest = balance.promised.checked_sub(u128::from(before));
        let Some(rest) = rest else { return Err(Denied::Breach { path: node.path.clone(), resource }) };
        balance.promised = rest + u128::from(after);
        if let (true, Some(overcommit), Some(limit)) = (after > before, node.overcommit, balance.limit) {
            let most = u128::from(limit) * u128::from(overcommit.permille) / 1000;
            if balance.promised > most {
                let (path, overcommit, asked) = (node.path.clone(), overcommit.to_string(), balance.promised);
                return Err(Denied::Overcommitted { path, resource, limit, overcommit, most, asked });
            }
        }
        self.put(slot, resource, balance);
        Ok(())
    }

    /// The node, if it is in hand.
    pub fn node(&self, id: AllotmentId) -> Option<&Node> {
        self.slots.get(&id).map(|slot| self.at(*slot))
    }

    /// A point to roll back to.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back everything since `mark`.
    pub fn rollback(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop().expect("the log is longer than the mark") {
                Undo::Balance(slot, resource, before) => self.at_mut(slot).set_balance(resource, before),
                Undo::Created(id) => {
                    if let Ok(slot) = self.slot(id) {
                        self.empty(slot);
                        self.free.push(slot);
                    }
                }
                Undo::Removed(slot, node) => {
                    let parent = node.parent.and_then(|parent| self.slots.get(&parent).copied());
                    self.emptied.retain(|emptied| *emptied != slot);
                    self.slots.insert(node.id, slot);
                    self.nodes[slot] = Some((*node, parent));
                }
                Undo::Shape(slot, before) => drop(self.at_mut(slot).reshape(*before)),
                Undo::Moved(slot, before) => drop(self.set_site(slot, *before)),
            }
        }
    }

    /// Every balance changed since the last commit, once, of nodes that are still there.
    pub fn changes(&self) -> Vec<Change<'_>> {
        let mut seen: HashMap<(Slot, Resource), ()> = HashMap::with_capacity(self.undo.len());
        let mut changes = Vec::new();
        for undo in &self.undo {
            let Undo::Balance(slot, resource, before) = undo else { continue };
            let Some((node, _)) = &self.nodes[*slot] else { continue };
            if seen.insert((*slot, *resource), ()).is_none() {
                let after = node.balance(*resource);
                changes.push(Change { node, resource: *resource, before: *before, after });
            }
        }
        changes
    }

    /// What was changed is on disk: it is the past now.
    pub fn commit(&mut self) {
        self.undo.clear();
        self.free.append(&mut self.emptied);
    }

    /// Forgets every node, for a store that trusts nothing in memory.
    pub fn clear(&mut self) {
        *self = Book::default();
    }

    /// How many nodes are in hand.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no node is in hand.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn put(&mut self, slot: Slot, resource: Resource, balance: Balance) {
        let before = self.at(slot).balance(resource);
        self.undo.push(Undo::Balance(slot, resource, before));
        self.at_mut(slot).set_balance(resource, balance);
    }

    fn empty(&mut self, slot: Slot) {
        if let Some((node, _)) = self.nodes[slot].take() {
            self.slots.remove(&node.id);
        }
    }

    fn slot(&self, id: AllotmentId) -> Result<Slot, Denied> {
        self.slots.get(&id).copied().ok_or(Denied::Unknown(id))
    }

    fn at(&self, slot: Slot) -> &Node {
        &self.nodes[slot].as_ref().expect("a slot in the index holds a node").0
    }

    fn at_mut(&mut self, slot: Slot) -> &mut Node {
        &mut self.nodes[slot].as_mut().expect("a slot in the index holds a node").0
    }
}
