//! Scripts: a line is a change and what must come of it.
//!
//! | line | does | answers |
//! |---|---|---|
//! | `limit PATH RESOURCE UNITS [RESOURCE UNITS…]` | makes the node if it is new; `none` is unlimited | |
//! | `remove PATH` | takes a node out | |
//! | `claim NAME PATH [PATH] RESOURCE UNITS [… ] [until TIME \| held]` | charges; `supply:PATH` is the supply side | `pending`, `held` |
//! | `settle NAME [RESOURCE UNITS…]`, `set NAME RESOURCE UNITS…` | | `held`, `pending` |
//! | `move NAME PATH`, `move NAME nobody` | charges it on another leaf | its state |
//! | `release NAME` | | `gone` |
//! | `overcommit PATH RATIO`, `ends PATH TIME`, `freeze PATH`, `lines PATH RESOURCE MARK…` | shapes a node | |
//! | `now TIME` | lets time go on | |
//! | `expect PATH RESOURCE [limit\|used\|pending\|promised UNITS]…` | looks | |
//! | `mark`, `rollback`, `commit` | undo; a commit answers the load lines crossed since the last one | `PATH: RESOURCE MARK up` |
//!
//! What must come of it stands after `->`; a line without it must succeed. A list goes on in lines that begin with `and`.

use std::collections::HashMap;

use ledger::model::{Claim, Objection};
use ledger::{
    AllotmentId, Amounts, Catalog, ClaimId, ClaimState, Denied, Direction, Limits, LoadLine, Mark, Overcommit, Place,
    Resource, Side, crossings,
};
use uuid::Uuid;

use crate::pair::{Pair, Point};

/// Runs a script on the book and on the model; panics at the first line that does not come out as it says.
pub fn check(script: &str) {
    let mut stage = Stage::default();
    for (line, said) in lines(script) {
        let (does, wanted) = line.split_once("->").map_or((line.as_str(), None), |(does, wanted)| (does, Some(wanted)));
        let words: Vec<&str> = does.split_whitespace().collect();
        let came = stage.run(&words);
        match (wanted, came) {
            (Some(wanted), came) => {
                let came = came.unwrap_or_else(|refused| refused);
                let wanted = [wanted.trim()].into_iter().chain(said.iter().map(String::as_str)).collect::<Vec<_>>();
                assert_eq!(came, wanted, "at `{}`", does.trim());
            }
            (None, Ok(_)) => {}
            (None, Err(came)) => panic!("`{}` was not done: {came:?}", does.trim()),
        }
    }
}

/// The lines, each with those after it that begin with `and`.
fn lines(script: &str) -> Vec<(String, Vec<String>)> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix("and "), lines.last_mut()) {
            (Some(more), Some((_, said))) => said.push(more.trim().to_owned()),
            _ => lines.push((line.to_owned(), Vec::new())),
        }
    }
    lines
}

#[derive(Default)]
struct Stage {
    pair: Pair,
    nodes: HashMap<String, AllotmentId>,
    claims: HashMap<String, ClaimId>,
    charged: u128,
    marks: Vec<Point>,
}

/// What a line answers, an entry a line of it.
type Said = Result<Vec<String>, Vec<String>>;

impl Stage {
    fn run(&mut self, words: &[&str]) -> Said {
        match words {
            ["limit", path, limits @ ..] => self.limit(path, limits),
            ["remove", path] => {
                let id = self.node(path);
                self.done(|pair| pair.remove(id))
            }
            ["claim", name, rest @ ..] => self.charge(name, rest),
            ["settle", name] => {
                let id = self.claims[*name];
                self.changed(id, |pair| pair.settle(id, None))
            }
            ["settle", name, rest @ ..] => {
                let (id, amounts) = (self.claims[*name], amounts(rest));
                self.changed(id, |pair| pair.settle(id, Some(amounts)))
            }
            ["set", name, rest @ ..] => {
                let (id, amounts) = (self.claims[*name], amounts(rest));
                self.changed(id, |pair| pair.set(id, amounts))
            }
            ["move", name, to] => {
                let (id, to) = (self.claims[*name], (*to != "nobody").then(|| self.node(to)));
                self.changed(id, |pair| pair.relocate(id, to))
            }
            ["release", name] => {
                let id = self.claims[*name];
                self.changed(id, |pair| pair.release(id))
            }
            ["overcommit", path, ratio] => {
                let (id, ratio) = (self.node(path), ratio.parse::<f64>());
                let overcommit = ratio.ok().map(|ratio| Overcommit { permille: (ratio * 1000.0).round() as u32 });
                self.done(|pair| pair.set_overcommit(id, overcommit))
            }
            ["ends", path, time] => {
                let (id, time) = (self.node(path), time.parse().ok());
                self.done(|pair| pair.set_expiry(id, time))
            }
            ["freeze", path] => {
                let id = self.node(path);
                self.done(|pair| pair.freeze(id))
            }
            ["lines", path, resource, marks @ ..] => {
                let (id, resource) = (self.node(path), named(resource));
                let lines = marks.iter().map(|mark| LoadLine { resource, mark: read_mark(mark) }).collect();
                self.done(|pair| pair.set_lines(id, lines))
            }
            ["now", time] => {
                self.pair.set_now(time.parse().unwrap());
                Ok(vec![])
            }
            ["expect", path, resource, what @ ..] => self.expect(path, named(resource), what),
            ["mark"] => {
                self.marks.push(self.pair.mark());
                Ok(vec![])
            }
            ["rollback"] => {
                let point = self.marks.pop().expect("a mark before a rollback");
                self.pair.rollback(point);
                Ok(vec![])
            }
            ["commit"] => Ok(self.commit()),
            _ => panic!("no line of a script: {words:?}"),
        }
    }

    fn limit(&mut self, path: &str, said: &[&str]) -> Said {
        let said: Vec<(Resource, Option<u64>)> =
            said.chunks(2).map(|pair| (named(pair[0]), (pair[1] != "none").then(|| number(pair[1])))).collect();
        if let Some(id) = self.nodes.get(path).copied() {
            return self
                .done(|pair| said.iter().try_for_each(|(resource, limit)| pair.set_limit(id, *resource, *limit)));
        }
        let mut limits = Limits::new();
        for (resource, limit) in said {
            limit.into_iter().for_each(|limit| limits.insert(resource, limit).unwrap());
        }
        let id = AllotmentId(Uuid::from_u128(1 + self.nodes.len() as u128));
        let parent = path.rsplit_once('/').map(|(above, _)| self.node(above));
        let (side, plain) = match path.strip_prefix("supply:") {
            Some(plain) => (Side::Supply, plain),
            None => (Side::Demand, path),
        };
        let said = self.done(|pair| pair.create(id, plain, side, parent, &limits))?;
        self.nodes.insert(path.to_owned(), id);
        Ok(said)
    }

    fn charge(&mut self, name: &str, words: &[&str]) -> Said {
        let mut place = Place::default();
        let paths = words.iter().take_while(|word| Catalog::built_in().find(word).is_none()).count();
        for path in &words[..paths] {
            match path.starts_with("supply:") {
                true => place.supply = Some(self.node(path)),
                false => place.demand = Some(self.node(path)),
            }
        }
        let (rest, state, expires_at) = match &words[paths..] {
            [rest @ .., "held"] => (rest, ClaimState::Held, None),
            [rest @ .., "until", time] => (rest, ClaimState::Pending, time.parse().ok()),
            rest => (rest, ClaimState::Pending, None),
        };
        self.charged += 1;
        let id = ClaimId(Uuid::from_u128(self.charged));
        let claim = Claim { place, amounts: amounts(rest), state, expires_at };
        self.claims.insert(name.to_owned(), id);
        self.changed(id, |pair| pair.charge(id, claim))
    }

    fn expect(&self, path: &str, resource: Resource, what: &[&str]) -> Said {
        let balance = self.pair.book.node(self.node(path)).expect("the node is there").balance(resource);
        for said in what.chunks(2) {
            let counted = match said[0] {
                "limit" => balance.limit.map(u128::from),
                "used" => Some(balance.used.into()),
                "pending" => Some(balance.pending.into()),
                "promised" => Some(balance.promised),
                other => panic!("no balance has {other:?}"),
            };
            let wanted = (said[1] != "none").then(|| said[1].parse::<u128>().unwrap());
            assert_eq!(counted, wanted, "{path}: {resource} {}", said[0]);
        }
        Ok(vec![])
    }

    fn commit(&mut self) -> Vec<String> {
        let mut crossed = Vec::new();
        for change in self.pair.book.changes() {
            for crossing in crossings(&change.node.load_lines, change.resource, &change.before, &change.after) {
                let mark = match crossing.line.mark {
                    Mark::Percent(percent) => format!("{percent}%"),
                    Mark::Amount(units) => units.to_string(),
                };
                let way = if crossing.direction == Direction::Up { "up" } else { "down" };
                crossed.push(format!("{}: {} {mark} {way}", change.node.path, change.resource));
            }
        }
        crossed.sort();
        self.pair.book.commit();
        if crossed.is_empty() {
            crossed.push("nothing crossed".to_owned());
        }
        crossed
    }

    fn node(&self, path: &str) -> AllotmentId {
        *self.nodes.get(path).unwrap_or_else(|| panic!("the script has made no {path}"))
    }

    fn done(&mut self, does: impl FnOnce(&mut Pair) -> Result<(), Objection>) -> Said {
        does(&mut self.pair).map(|()| vec!["done".to_owned()]).map_err(told)
    }

    /// Does something to a claim, and says in which state it is.
    fn changed(&mut self, id: ClaimId, does: impl FnOnce(&mut Pair) -> Result<(), Objection>) -> Said {
        does(&mut self.pair).map_err(told)?;
        let state = self.pair.claims.get(&id).map_or("gone", |claim| claim.state.as_str());
        Ok(vec![state.to_owned()])
    }
}

fn told(objection: Objection) -> Vec<String> {
    match objection {
        Objection::Denied(Denied::Refused(refusals)) => refusals.iter().map(ToString::to_string).collect(),
        Objection::Denied(other) => vec![other.to_string()],
        Objection::NoClaim(_) => vec!["no such claim".to_owned()],
        Objection::ClaimTaken(_) => vec!["there already".to_owned()],
        Objection::Held(_) => vec!["held already".to_owned()],
        Objection::Occupied(_) => vec!["occupied".to_owned()],
    }
}

fn amounts(words: &[&str]) -> Amounts {
    let pairs = words.chunks(2).map(|pair| (named(pair[0]), number(pair[1])));
    pairs.fold(Amounts::new(), |amounts, (resource, units)| amounts.with(resource, units).unwrap())
}

fn named(resource: &str) -> Resource {
    Catalog::built_in().find(resource).unwrap_or_else(|| panic!("no resource {resource}"))
}

/// `max` is the largest amount, and `max-3` three less.
fn number(word: &str) -> u64 {
    match word.strip_prefix("max") {
        Some("") => ledger::AMOUNT_MAX,
        Some(less) => ledger::AMOUNT_MAX - less.strip_prefix('-').unwrap().parse::<u64>().unwrap(),
        None => word.parse().unwrap(),
    }
}

fn read_mark(word: &str) -> Mark {
    match word.strip_suffix('%') {
        Some(percent) => Mark::Percent(percent.parse().unwrap()),
        None => Mark::Amount(number(word)),
    }
}
