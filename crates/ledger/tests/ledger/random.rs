//! Random steps on the book and on the model. A failure prints its seed; `PLIMSOLL_MODEL_SEED` runs that sequence alone.

use std::collections::BTreeMap;

use ledger::model::Claim;
use ledger::{AMOUNT_MAX, AllotmentId, Amounts, ClaimId, ClaimState, Limits, Overcommit, Place, Resource, Side};
use uuid::Uuid;

use crate::pair::{Pair, Point};

const STEPS: usize = 50;
const RESOURCES: [Resource; 3] = [Resource::BYTES, Resource::OBJECTS, Resource::MEMORY_MB];

/// Always-holds 1 and 2, on the ledger alone.
#[test]
fn the_book_and_the_model_give_the_same_answers_to_random_sequences() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("PLIMSOLL_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLIMSOLL_MODEL_SEQUENCES").unwrap_or(2_000),
    };
    let (mut run, mut counts) = (0_u64, BTreeMap::new());
    for seed in seeds {
        Sequence::new(seed).run(&mut counts);
        run += 1;
    }
    println!("{run} sequences of {STEPS} steps on the ledger, no difference; steps done and not done: {counts:?}");
}

struct Sequence {
    seed: u64,
    dice: u64,
    pair: Pair,
    /// All ids there ever were, so that some steps name what is gone.
    nodes: Vec<(AllotmentId, String, Side)>,
    claims: Vec<ClaimId>,
    marks: Vec<Point>,
    trace: Vec<String>,
}

/// Says how to see a failure again.
impl Drop for Sequence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("PLIMSOLL_MODEL_SEED={} after:\n  {}", self.seed, self.trace.join("\n  "));
        }
    }
}

impl Sequence {
    fn new(seed: u64) -> Sequence {
        let (nodes, claims, marks, trace) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Sequence { seed, dice: seed, pair: Pair::default(), nodes, claims, marks, trace }
    }

    fn run(mut self, counts: &mut BTreeMap<(&'static str, bool), u64>) {
        for side in [Side::Demand, Side::Supply] {
            self.create(None, side);
        }
        for _ in 0..4 {
            self.step_create();
        }
        for _ in 0..STEPS {
            let (what, done) = self.step();
            *counts.entry((what, done)).or_default() += 1;
        }
    }

    fn step(&mut self) -> (&'static str, bool) {
        match self.roll(100) {
            0..6 => ("create", self.step_create()),
            6..14 => ("limit", self.step_limit()),
            14..16 => ("remove", self.step_remove()),
            16..20 => ("shape", self.step_shape()),
            20..23 => ("time", self.step_time()),
            23..50 => ("charge", self.step_charge()),
            50..58 => ("settle", self.step_settle()),
            58..70 => ("set", self.step_set()),
            70..80 => ("move", self.step_move()),
            80..88 => ("release", self.step_release()),
            88..93 => {
                self.trace.push("mark".to_owned());
                self.marks.push(self.pair.mark());
                ("mark", true)
            }
            93..98 => ("rollback", self.step_rollback()),
            _ => {
                self.trace.push("commit".to_owned());
                self.marks.clear();
                self.pair.book.commit();
                ("commit", true)
            }
        }
    }

    fn step_create(&mut self) -> bool {
        let (parent, _, side) = self.any_node();
        self.create(Some(parent), side)
    }

    fn create(&mut self, parent: Option<AllotmentId>, side: Side) -> bool {
        let number = self.nodes.len() + 1;
        let above = self.nodes.iter().find(|(id, ..)| Some(*id) == parent).map(|(_, path, _)| path.clone());
        let path = above.map_or(format!("n{number}"), |above| format!("{above}/n{number}"));
        let (id, limits) = (AllotmentId(Uuid::from_u128(number as u128)), self.limits());
        self.trace.push(format!("create {path} on {} {limits:?}", side.as_str()));
        let done = self.pair.create(id, &path, side, parent, &limits).is_ok();
        self.nodes.push((id, path, side));
        done
    }

    fn step_limit(&mut self) -> bool {
        let (id, path, _) = self.any_node();
        let (resource, limit) = (self.resource(), (!self.chance(20)).then(|| self.units(120)));
        self.trace.push(format!("limit {path} {resource} {limit:?}"));
        self.pair.set_limit(id, resource, limit).is_ok()
    }

    fn step_remove(&mut self) -> bool {
        let (id, path, _) = self.any_node();
        self.trace.push(format!("remove {path}"));
        self.pair.remove(id).is_ok()
    }

    fn step_shape(&mut self) -> bool {
        let (id, path, _) = self.any_node();
        match self.roll(10) {
            0 => {
                self.trace.push(format!("freeze {path}"));
                self.pair.freeze(id).is_ok()
            }
            1..4 => {
                let end = (!self.chance(40)).then(|| self.pair.model.now + self.roll(30) as i64);
                self.trace.push(format!("{path} ends {end:?}"));
                self.pair.set_expiry(id, end).is_ok()
            }
            _ => {
                let permille = 500 + 250 * self.roll(8) as u32;
                let overcommit = (!self.chance(30)).then_some(Overcommit { permille });
                self.trace.push(format!("overcommit {path} {overcommit:?}"));
                self.pair.set_overcommit(id, overcommit).is_ok()
            }
        }
    }

    fn step_time(&mut self) -> bool {
        let now = self.pair.model.now + self.roll(20) as i64;
        self.trace.push(format!("now {now}"));
        self.pair.set_now(now);
        true
    }

    fn step_charge(&mut self) -> bool {
        let demand = (!self.chance(8)).then(|| self.leaf(Side::Demand));
        let supply = self.chance(50).then(|| self.leaf(Side::Supply));
        let expires_at = self.chance(40).then(|| self.pair.model.now + 1 + self.roll(40) as i64);
        let state = if expires_at.is_some() || self.chance(30) { ClaimState::Pending } else { ClaimState::Held };
        let claim = Claim { place: Place { demand, supply }, amounts: self.amounts(), state, expires_at };
        let id = ClaimId(Uuid::from_u128(self.claims.len() as u128 + 1));
        self.trace.push(format!("charge {id} {claim:?}"));
        self.claims.push(id);
        self.pair.charge(id, claim).is_ok()
    }

    fn step_settle(&mut self) -> bool {
        let Some(id) = self.any_claim() else { return false };
        let amounts = self.chance(60).then(|| self.amounts());
        self.trace.push(format!("settle {id} {amounts:?}"));
        self.pair.settle(id, amounts).is_ok()
    }

    fn step_set(&mut self) -> bool {
        let Some(id) = self.any_claim() else { return false };
        let amounts = self.amounts();
        self.trace.push(format!("set {id} {amounts:?}"));
        self.pair.set(id, amounts).is_ok()
    }

    fn step_move(&mut self) -> bool {
        let Some(id) = self.any_claim() else { return false };
        let to = (!self.chance(10)).then(|| self.leaf(Side::Demand));
        self.trace.push(format!("move {id} to {to:?}"));
        self.pair.relocate(id, to).is_ok()
    }

    fn step_release(&mut self) -> bool {
        let Some(id) = self.any_claim() else { return false };
        self.trace.push(format!("release {id}"));
        self.pair.release(id).is_ok()
    }

    fn step_rollback(&mut self) -> bool {
        let Some(point) = self.marks.pop() else { return false };
        self.trace.push("rollback".to_owned());
        self.pair.rollback(point);
        true
    }

    fn any_node(&mut self) -> (AllotmentId, String, Side) {
        // Mostly one that is there.
        for _ in 0..3 {
            let at = self.roll(self.nodes.len() as u64) as usize;
            if self.pair.model.nodes.contains_key(&self.nodes[at].0) {
                return self.nodes[at].clone();
            }
        }
        let at = self.roll(self.nodes.len() as u64) as usize;
        self.nodes[at].clone()
    }

    fn leaf(&mut self, side: Side) -> AllotmentId {
        loop {
            let (id, _, of) = self.any_node();
            if of == side {
                return id;
            }
        }
    }

    fn any_claim(&mut self) -> Option<ClaimId> {
        let there: Vec<ClaimId> = self.pair.claims.keys().copied().collect();
        let from = if there.is_empty() || self.chance(5) { self.claims.clone() } else { there };
        (!from.is_empty()).then(|| from[self.roll(from.len() as u64) as usize])
    }

    fn limits(&mut self) -> Limits {
        let mut limits = Limits::new();
        for resource in RESOURCES {
            if self.chance(50) {
                limits.insert(resource, self.units(120)).unwrap();
            }
        }
        limits
    }

    fn amounts(&mut self) -> Amounts {
        let mut amounts = Amounts::new();
        for resource in RESOURCES {
            if self.chance(60) {
                amounts.insert(resource, self.units(40)).unwrap();
            }
        }
        amounts
    }

    /// Mostly small, sometimes nothing, sometimes at the far end.
    fn units(&mut self, most: u64) -> u64 {
        match self.roll(40) {
            0 | 1 => 0,
            2 => AMOUNT_MAX - self.roll(3),
            3 => AMOUNT_MAX / 2 + self.roll(3),
            _ => self.roll(most),
        }
    }

    fn resource(&mut self) -> Resource {
        RESOURCES[self.roll(3) as usize]
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
