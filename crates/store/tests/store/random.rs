//! Random sequences through the store, beside the reference model of the ledger.
//!
//! **Shape.** Each sequence has a tree of its own on both sides, so its answers depend on nobody else's; many run at once,
//! so that batches form and units of all kinds fail beside others. Between stretches everybody waits, time goes on for all,
//! and every balance is compared. A failure prints its seed; `PLIMSOLL_MODEL_SEED` runs that sequence alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledger::model::{Allotment, Claim, Model, Objection};
use ledger::{
    AMOUNT_MAX, AllotmentId, Amounts, ClaimId, ClaimState, Denied, Limits, Overcommit, Place, Resource, Side,
};
use store::{AllotmentFilter, AllotmentPatch, Error, NewAllotment, NewClaim, Store, SupplyRef, Unit, params};
use uuid::Uuid;

use crate::house::{House, INTO_THINGS, Mounted, SECOND, all, by, word};

/// The seconds that go by after each stretch of steps, and how many steps a stretch has: 50 in all.
const PAUSES_S: [i64; 5] = [3, 0, 7, 1, 12];
const STRETCH: usize = 10;
/// How many sequences run at once.
const AT_ONCE: usize = 256;
/// Every so many steps all sequences change their trees at the same time, for such units make batches of their own; some
/// sequences do it whenever they like, between the others' claims.
const TREE_EVERY: usize = 10;
const FREE_EVERY: u64 = 64;
/// How many of the newest claims a look reads back.
const CLAIMS_SEEN: usize = 3;
const DEPTH: usize = 5;
const RESOURCES: [Resource; 2] = [Resource::BYTES, Resource::OBJECTS];

on_both! {
    random_sequences_get_the_answers_of_the_model
}

/// Always-holds 1 and 2, through the store.
async fn random_sequences_get_the_answers_of_the_model(house: &mut House) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds: Vec<u64> = match number("PLIMSOLL_MODEL_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("PLIMSOLL_MODEL_SEQUENCES").unwrap_or(2_000)).collect(),
    };
    house.write(by().insert(INTO_THINGS, params!["taken", 0_i64].to_vec())).await.unwrap();
    let mut counts = BTreeMap::new();
    for wave in seeds.chunks(AT_ONCE) {
        let mut sequences: Vec<Sequence> = wave.iter().map(|seed| Sequence::new(*seed, house)).collect();
        for pause_s in PAUSES_S {
            let stretch = |sequence: Sequence| tokio::spawn(sequence.run(STRETCH));
            sequences = all(sequences.into_iter().map(stretch).collect()).await;
            house.later(pause_s);
            let now = house.clock.now();
            let look = |sequence: Sequence| tokio::spawn(sequence.look(now));
            sequences = all(sequences.into_iter().map(look).collect()).await;
        }
        for (what, count) in sequences.iter().flat_map(|sequence| &sequence.counts) {
            *counts.entry(*what).or_insert(0) += count;
        }
    }
    let (batches, units) = (house.store.stats().commits, house.store.stats().units);
    let steps = STRETCH * PAUSES_S.len();
    println!("{} sequences of {steps} steps through the store, no difference; {counts:?}", seeds.len());
    println!("{units} units in {batches} commits");
}

/// A step of a unit.
#[derive(Clone, Debug)]
enum Op {
    Create(AllotmentId, Allotment),
    Limit(AllotmentId, Resource, Option<u64>),
    Overcommit(AllotmentId, Option<Overcommit>),
    Ends(AllotmentId, Option<i64>),
    Remove(AllotmentId),
    Charge(ClaimId, Claim, Option<i64>),
    Settle(ClaimId, Option<Amounts>),
    Set(ClaimId, Amounts),
    Renew(ClaimId, i64),
    Move(ClaimId, Option<AllotmentId>),
    Release(ClaimId),
}

/// What becomes of a unit whose steps are admitted.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Kept,
    /// Its closure fails.
    Fails,
    /// A row of it breaks a key, so that the whole batch is run again.
    Conflicts,
    Dry,
}

impl Op {
    fn on_model(self, model: &mut Model) -> Result<(), Objection> {
        match self {
            Op::Create(id, node) => model.create(id, node),
            Op::Limit(id, resource, limit) => model.set_limit(id, resource, limit),
            Op::Overcommit(id, overcommit) => model.set_overcommit(id, overcommit),
            Op::Ends(id, at) => model.set_expiry(id, at),
            Op::Remove(id) => model.remove(id),
            Op::Charge(id, claim, _) => model.charge(id, claim),
            Op::Settle(id, amounts) => model.settle(id, amounts),
            Op::Set(id, amounts) => model.set(id, amounts),
            Op::Renew(id, seconds) => model.renew(id, model.now + seconds * SECOND),
            Op::Move(id, to) => model.relocate(id, to),
            Op::Release(id) => model.release(id),
        }
    }

    fn on_unit(self, unit: Unit) -> Unit {
        let patch = AllotmentPatch::default;
        match self {
            Op::Create(id, node) => {
                let name = node.path.rsplit('/').next().unwrap().parse().unwrap();
                let limits = node
                    .limits
                    .iter()
                    .fold(Limits::new(), |all, (resource, units)| all.with(*resource, *units).unwrap());
                let new = NewAllotment::new(id, node.parent.map(Into::into), name);
                unit.create_allotment(NewAllotment { side: node.side, limits, overcommit: node.overcommit, ..new })
            }
            Op::Limit(id, resource, limit) => {
                unit.change_allotment(id, AllotmentPatch { limits: vec![(resource, limit)], ..patch() })
            }
            Op::Overcommit(id, overcommit) => {
                unit.change_allotment(id, AllotmentPatch { overcommit: Some(overcommit), ..patch() })
            }
            Op::Ends(id, at) => unit.change_allotment(id, AllotmentPatch { expires_at: Some(at), ..patch() }),
            Op::Remove(id) => unit.remove_allotment(id),
            Op::Charge(id, claim, lease) => unit.charge(NewClaim {
                id,
                demand: claim.place.demand.map(Into::into),
                supply: claim.place.supply.map_or(SupplyRef::None, |id| SupplyRef::At(id.into())),
                amounts: claim.amounts,
                lease,
                subject: None,
                managed_by: None,
            }),
            Op::Settle(id, amounts) => unit.settle(id, amounts),
            Op::Set(id, amounts) => unit.set(id, amounts),
            Op::Renew(id, seconds) => unit.renew(id, seconds),
            Op::Move(id, to) => unit.relocate(id, to),
            Op::Release(id) => unit.release(id),
        }
    }
}

struct Sequence {
    seed: u64,
    dice: u64,
    store: Store,
    model: Model,
    /// All ids there ever were, so that some steps name what is gone.
    nodes: Vec<(AllotmentId, Arc<str>, Side)>,
    claims: Vec<ClaimId>,
    trace: Vec<(i64, Fate, Vec<Op>)>,
    counts: BTreeMap<&'static str, u64>,
}

impl Sequence {
    fn new(seed: u64, house: &House) -> Sequence {
        let model = Model { now: house.clock.now(), ..Model::default() };
        let (nodes, claims, trace, counts) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
        Sequence { seed, dice: seed, store: house.store.clone(), model, nodes, claims, trace, counts }
    }

    async fn run(mut self, units: usize) -> Sequence {
        if self.nodes.is_empty() {
            let roots = [self.node(None, Side::Demand), self.node(None, Side::Supply)];
            self.unit(roots.to_vec(), Fate::Kept).await;
            let branches = [Side::Demand, Side::Demand, Side::Demand, Side::Supply].map(|side| self.child(Some(side)));
            self.unit(branches.to_vec(), Fate::Kept).await;
        }
        for number in 1..=units {
            let steps = if self.chance(25) { 2 + self.roll(3) } else { 1 };
            let is_free = self.seed % FREE_EVERY == 1;
            let in_tree = if is_free { self.chance(15) } else { number % TREE_EVERY == 0 };
            let mut ops: Vec<Op> = (0..steps).map(|_| self.claim_op()).collect();
            if in_tree {
                let at = self.roll(steps) as usize;
                ops[at] = self.tree_op();
            }
            let fate = match self.roll(1_000) {
                0..30 => Fate::Fails,
                30..50 => Fate::Dry,
                50 => Fate::Conflicts,
                _ => Fate::Kept,
            };
            self.unit(ops, fate).await;
        }
        self
    }

    /// Does a unit in the store and on the model, and compares what comes of it.
    async fn unit(&mut self, ops: Vec<Op>, fate: Fate) {
        self.trace.push((self.model.now, fate, ops.clone()));
        let mut after = self.model.clone();
        let told = ops.iter().try_for_each(|op| op.clone().on_model(&mut after));
        let mut unit = ops.iter().fold(by(), |unit, op| op.clone().on_unit(unit));
        if fate == Fate::Conflicts {
            unit = unit.insert(INTO_THINGS, params!["taken", 1_i64].to_vec());
        }
        if fate == Fate::Dry {
            unit = unit.dry();
        }
        let answer = match fate {
            Fate::Fails => self.store.write(unit.rows(|_| Err::<(), _>(Error::noun(Mounted)))).await,
            _ => self.store.write(unit).await,
        };
        *self.counts.entry(word(&answer)).or_default() += 1;
        let is_same = match (&told, &answer) {
            (Err(objection), Err(error)) => same(objection, error),
            (Ok(()), Err(Error::Noun(_))) => fate == Fate::Fails,
            (Ok(()), Err(Error::Conflict(_))) => fate == Fate::Conflicts,
            (Ok(()), Ok(_)) => matches!(fate, Fate::Kept | Fate::Dry),
            _ => false,
        };
        self.check(is_same, || format!("the model says {told:?}, the store {answer:?}"));
        let Ok(done) = answer else { return };
        if let [Op::Charge(id, ..) | Op::Settle(id, _) | Op::Set(id, _) | Op::Renew(id, _) | Op::Move(id, _)] = &ops[..]
        {
            self.equal("the claim as the unit answers it", &as_modelled(&done.claims[0]), &after.claims[id]);
        }
        if fate == Fate::Kept {
            self.model = after;
        }
    }

    /// Time has gone on; every balance is compared, with no write in between.
    async fn look(mut self, now: i64) -> Sequence {
        self.model.expire_all(now);
        let roots: Vec<AllotmentId> = self.nodes.iter().take(2).map(|(id, ..)| *id).collect();
        let claims = self.claims.clone();
        let (nodes, found) = self
            .store
            .read(move |tx| {
                let mut nodes = Vec::new();
                for root in roots {
                    let filter = AllotmentFilter { at_or_below: Some(root.into()), limit: 1000, ..Default::default() };
                    nodes.extend(store::allotments::list(tx, &filter)?);
                }
                let mut found = BTreeMap::new();
                for id in claims.iter().rev().take(CLAIMS_SEEN) {
                    found.extend(store::claims::find(tx, *id)?.map(|claim| (*id, as_modelled(&claim))));
                }
                Ok((nodes, found))
            })
            .await
            .unwrap();
        let balances = self.model.balances();
        let ids: BTreeSet<AllotmentId> = nodes.iter().map(|node| node.id).collect();
        self.equal("the nodes there are", ids, self.model.nodes.keys().copied().collect());
        for node in &nodes {
            let told = &self.model.nodes[&node.id];
            let shape = (&*node.path, node.overcommit, node.expires_at);
            self.equal("the shape of a node", shape, (&*told.path, told.overcommit, told.expires_at));
            let children = self.model.nodes.values().filter(|child| child.parent == Some(node.id)).count();
            self.equal(&format!("{}: children", node.path), node.children, children as u64);
            for resource in RESOURCES {
                let told = balances.get(&(node.id, resource)).copied().unwrap_or_default();
                self.equal(&format!("{}: {resource}", node.path), node.balance(resource), told);
            }
        }
        for id in self.claims.iter().rev().take(CLAIMS_SEEN) {
            self.equal(&format!("claim {id}"), found.get(id), self.model.claims.get(id));
        }
        self
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&self, what: &str, store: T, model: T) {
        self.check(store == model, || format!("{what}: the store has {store:?}, the model {model:?}"));
    }

    /// A failure says how to see it again.
    fn check(&self, is_same: bool, what: impl FnOnce() -> String) {
        if !is_same {
            let told: Vec<String> = self.trace.iter().map(|unit| format!("{unit:?}")).collect();
            panic!("{}\nPLIMSOLL_MODEL_SEED={} after:\n  {}", what(), self.seed, told.join("\n  "));
        }
    }

    fn tree_op(&mut self) -> Op {
        match self.roll(12) {
            0..4 => self.child(None),
            4..8 => {
                let (id, resource) = (self.any_node(None), self.resource());
                let limit = (!self.chance(20)).then(|| self.units(120));
                Op::Limit(id, resource, limit)
            }
            8 | 9 => Op::Remove(self.any_node(None)),
            10 => {
                let overcommit = (!self.chance(30)).then(|| Overcommit { permille: 500 + 250 * self.roll(8) as u32 });
                Op::Overcommit(self.any_node(None), overcommit)
            }
            _ => {
                let end = (!self.chance(40)).then(|| self.model.now + self.roll(12) as i64 * SECOND);
                Op::Ends(self.any_node(None), end)
            }
        }
    }

    fn claim_op(&mut self) -> Op {
        if self.chance(38) { self.charge() } else { self.change() }
    }

    fn charge(&mut self) -> Op {
        let demand = (!self.chance(8)).then(|| self.any_node(Some(Side::Demand)));
        let supply = self.chance(50).then(|| self.any_node(Some(Side::Supply)));
        let lease = self.chance(50).then(|| 1 + self.roll(15) as i64);
        let (state, expires_at) = match lease {
            Some(seconds) => (ClaimState::Pending, Some(self.model.now + seconds * SECOND)),
            None => (ClaimState::Held, None),
        };
        let claim = Claim { place: Place { demand, supply }, amounts: self.amounts(), state, expires_at };
        let id = ClaimId(self.id(1, self.claims.len()));
        self.claims.push(id);
        Op::Charge(id, claim, lease)
    }

    fn change(&mut self) -> Op {
        let there: Vec<ClaimId> = self.claims.iter().copied().filter(|id| self.model.claims.contains_key(id)).collect();
        let from = if there.is_empty() || self.chance(5) { self.claims.clone() } else { there };
        if from.is_empty() {
            return self.charge();
        }
        let id = from[self.roll(from.len() as u64) as usize];
        match self.roll(55) {
            0..12 => Op::Settle(id, self.chance(60).then(|| self.amounts())),
            12..27 => Op::Set(id, self.amounts()),
            27..31 => Op::Renew(id, 1 + self.roll(15) as i64),
            31..44 => Op::Move(id, (!self.chance(10)).then(|| self.any_node(Some(Side::Demand)))),
            _ => Op::Release(id),
        }
    }

    fn child(&mut self, side: Option<Side>) -> Op {
        let parent = self.any_node(side);
        let side = self.nodes.iter().find(|(id, ..)| *id == parent).unwrap().2;
        self.node(Some(parent), side)
    }

    fn node(&mut self, parent: Option<AllotmentId>, side: Side) -> Op {
        let number = self.nodes.len();
        let above = self.nodes.iter().find(|(id, ..)| Some(*id) == parent).map(|(_, path, _)| path.clone());
        // A tree that is deep enough grows in width.
        let (parent, above) = match above.filter(|above| above.matches('/').count() >= DEPTH) {
            Some(_) => self
                .nodes
                .iter()
                .find(|(.., of)| *of == side)
                .map(|(id, path, _)| (Some(*id), Some(path.clone())))
                .unwrap(),
            None => (
                parent,
                parent.and_then(|parent| self.nodes.iter().find(|(id, ..)| *id == parent)).map(|it| it.1.clone()),
            ),
        };
        let path = above.map_or(format!("s{}", self.seed), |above| format!("{above}/n{number}"));
        let id = AllotmentId(self.id(0, number));
        let overcommit = self.chance(15).then(|| Overcommit { permille: 1000 + 250 * self.roll(8) as u32 });
        let limits = if parent.is_none() && self.chance(30) { Limits::new() } else { self.amounts_up_to(120) };
        self.nodes.push((id, path.as_str().into(), side));
        Op::Create(id, Allotment { overcommit, ..Allotment::new(&path, side, parent, &limits) })
    }

    /// Ids tell the sequence, so that those of many do not meet, and a seed tells them all.
    fn id(&self, kind: u128, number: usize) -> Uuid {
        Uuid::from_u128((u128::from(self.seed) << 64) | (kind << 32) | number as u128)
    }

    /// Mostly one that is there.
    fn any_node(&mut self, side: Option<Side>) -> AllotmentId {
        let of_side = self.nodes.iter().filter(|(.., of)| side.is_none_or(|side| side == *of));
        let ids: Vec<AllotmentId> = of_side.map(|(id, ..)| *id).collect();
        let there: Vec<AllotmentId> = ids.iter().copied().filter(|id| self.model.nodes.contains_key(id)).collect();
        let from = if there.is_empty() || self.chance(3) { ids } else { there };
        from[self.roll(from.len() as u64) as usize]
    }

    fn amounts(&mut self) -> Amounts {
        self.amounts_up_to(40)
    }

    fn amounts_up_to(&mut self, most: u64) -> Amounts {
        let mut amounts = Amounts::new();
        for resource in RESOURCES {
            if self.chance(60) {
                amounts.insert(resource, self.units(most)).unwrap();
            }
        }
        amounts
    }

    /// Mostly small, sometimes nothing, sometimes at the far end.
    fn units(&mut self, most: u64) -> u64 {
        match self.roll(40) {
            0 | 1 => 0,
            2 => AMOUNT_MAX - self.roll(3),
            _ => self.roll(most),
        }
    }

    fn resource(&mut self) -> Resource {
        RESOURCES[self.roll(2) as usize]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    /// A number below `sides`: SplitMix64, so that a seed tells the whole sequence.
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Whether the store's error is what the model says.
fn same(objection: &Objection, error: &Error) -> bool {
    match (objection, error) {
        (Objection::Denied(Denied::Refused(told)), Error::Refused(refusals)) => told == refusals,
        (Objection::Denied(Denied::Unknown(_)) | Objection::NoClaim(_), Error::NotFound { .. }) => true,
        (Objection::Denied(told @ (Denied::Frozen(_) | Denied::Expired(_))), Error::Frozen(text)) => {
            told.to_string() == *text
        }
        (Objection::Denied(told @ Denied::Overcommitted { .. }), Error::Overcommitted(text)) => {
            told.to_string() == *text
        }
        (Objection::Held(_) | Objection::Occupied(_) | Objection::ClaimTaken(_), Error::Conflict(_)) => true,
        _ => false,
    }
}

fn as_modelled(claim: &store::Claim) -> Claim {
    let place = Place { demand: claim.demand, supply: claim.supply };
    Claim { place, amounts: claim.amounts.clone(), state: claim.state, expires_at: claim.expires_at }
}
