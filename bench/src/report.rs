//! From turns to what is said about them: median and range of each side, ratios within rounds, goals, JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::goals::{self, Goal, Side};
use crate::load::Turn;

/// One turn of one side.
struct Measured {
    side: Side,
    clients: u32,
    round: u32,
    /// What the side is for, a second: charges served, or refusals where all are refused.
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    served: u64,
    refused: u64,
    wrong: u64,
    first_wrong: Option<String>,
}

/// All turns so far.
#[derive(Default)]
pub struct Report {
    turns: Vec<Measured>,
}

/// A middle and its range.
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Of these; none of none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Spread { median, least, most })
    }

    fn json(&self) -> Value {
        json!({"median": self.median, "min": self.least, "max": self.most})
    }
}

/// A figure that is not a ratio to a peer's rate, and what it must be.
struct Check {
    name: &'static str,
    value: f64,
    bound: f64,
    /// Whether the bound is the most, or the least.
    at_most: bool,
}

impl Check {
    fn held(&self) -> bool {
        if self.at_most { self.value <= self.bound } else { self.value >= self.bound }
    }
}

impl Report {
    /// Takes in a turn. `each` is how many charges one request is.
    pub fn add(&mut self, side: Side, clients: u32, round: u32, each: u64, turn: Turn) {
        let counted = if side == Side::OursRefused { turn.refused } else { turn.served * each };
        let unexpected = if side == Side::OursRefused { turn.served } else { turn.refused };
        self.turns.push(Measured {
            side,
            clients,
            round,
            rate: counted as f64 / turn.seconds,
            p50_ms: f64::from(turn.percentile_us(0.5)) / 1e3,
            p99_ms: f64::from(turn.percentile_us(0.99)) / 1e3,
            served: turn.served,
            refused: turn.refused,
            wrong: turn.wrong + unexpected,
            first_wrong: turn.first_wrong,
        });
    }

    /// The last turn in one line, for who waits.
    pub fn last(&self) -> String {
        let Some(turn) = self.turns.last() else { return String::new() };
        let (label, rate) = (turn.side.label(), grouped(turn.rate));
        format!("round {}  {:>3} clients  {label:<27} {rate:>9}/s", turn.round, turn.clients)
    }

    /// What was neither served nor refused as it should, if anything: then the figures mean nothing.
    pub fn wrong(&self) -> Option<String> {
        let turn = self.turns.iter().find(|turn| turn.wrong > 0)?;
        let (label, what) =
            (turn.side.label(), turn.first_wrong.as_deref().unwrap_or("served what it should refuse, or refused"));
        Some(format!("{label}, {} clients: {} wrong answers, the first: {what}", turn.clients, turn.wrong))
    }

    fn each(&self, side: Side, clients: u32, what: impl Fn(&Measured) -> f64) -> Option<Spread> {
        let turns = self.turns.iter().filter(|turn| turn.side == side && turn.clients == clients);
        Spread::of(turns.map(what).collect())
    }

    /// One side's figure over another's, round by round.
    fn ratio(&self, over: Side, under: Side, clients: u32, what: impl Fn(&Measured) -> f64) -> Option<Spread> {
        let of = |side, round| {
            let turn = self.turns.iter().find(|t| t.side == side && t.clients == clients && t.round == round)?;
            Some(what(turn))
        };
        let rounds = self.turns.iter().map(|turn| turn.round).max()?;
        let ratios = (1..=rounds).filter_map(|round| Some(of(over, round)? / of(under, round)?.max(f64::MIN_POSITIVE)));
        Spread::of(ratios.collect())
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut counts: Vec<u32> = self.turns.iter().map(|turn| turn.clients).collect();
        counts.sort_unstable();
        counts.dedup();
        for clients in counts {
            let _ = writeln!(
                text,
                "\n{:<30}{:>28}  {:>14}  plimsoll's hot root beside it",
                format!("{clients} client(s)"),
                "a second, median (range)",
                "p50 / p99 ms"
            );
            for side in self.sides(clients) {
                self.row(&mut text, side, clients);
            }
        }
        for check in self.checks() {
            let (bound, verdict) = (grouped(check.bound), if check.held() { "held" } else { "NOT HELD" });
            let word = if check.at_most { "at most" } else { "at least" };
            let _ = writeln!(text, "\n{}: {} ({word} {bound}: {verdict})", check.name, grouped(check.value));
        }
        text
    }

    fn row(&self, text: &mut String, side: Side, clients: u32) {
        let (Some(rate), Some(p50), Some(p99)) = (
            self.each(side, clients, |turn| turn.rate),
            self.each(side, clients, |turn| turn.p50_ms),
            self.each(side, clients, |turn| turn.p99_ms),
        ) else {
            return;
        };
        let range = format!("{} ({}–{})", grouped(rate.median), grouped(rate.least), grouped(rate.most));
        let latency = format!("{} / {}", grouped(p50.median), grouped(p99.median));
        let mut line = format!("{:<30}{range:>28}  {latency:>14}", side.label());
        if let Some(ratio) = self.ratio(Side::Ours, side, clients, |turn| turn.rate).filter(|_| side != Side::Ours) {
            let _ = write!(line, "  {} ({}–{})", grouped(ratio.median), grouped(ratio.least), grouped(ratio.most));
            let _ = write!(
                line,
                "{}",
                goals::CHARGE.iter().find(|g| g.beside == side && g.clients == clients).map_or(
                    String::new(),
                    |goal| format!("  floor {}, goal {}: {}", goal.floor, goal.goal, verdict(goal, ratio.median)),
                )
            );
            if !side.differs().is_empty() {
                let _ = write!(line, "  [{}]", side.differs());
            }
        }
        let _ = writeln!(text, "{line}");
    }

    fn sides(&self, clients: u32) -> Vec<Side> {
        let mut sides: Vec<Side> = Vec::new();
        for turn in self.turns.iter().filter(|turn| turn.clients == clients) {
            if !sides.contains(&turn.side) {
                sides.push(turn.side);
            }
        }
        sides
    }

    fn checks(&self) -> Vec<Check> {
        let most = self.turns.iter().map(|turn| turn.clients).max().unwrap_or_default();
        let rate = |turn: &Measured| turn.rate;
        let found = [
            self.ratio(Side::Ours, Side::Empty, most, |turn| turn.p99_ms).map(|ratio| Check {
                name: "p99 beside the empty handler's",
                value: ratio.median,
                bound: goals::P99_BESIDE_EMPTY_MAX,
                at_most: true,
            }),
            self.ratio(Side::Ours, Side::OursDisjoint, most, rate).map(|ratio| Check {
                name: "hot root beside disjoint paths",
                value: ratio.median,
                bound: goals::HOT_BESIDE_DISJOINT_MIN,
                at_most: false,
            }),
            self.ratio(Side::OursRefused, Side::Ours, most, rate).map(|ratio| Check {
                name: "refusals beside admissions",
                value: ratio.median,
                bound: goals::REFUSALS_BESIDE_ADMISSIONS_MIN,
                at_most: false,
            }),
            self.best_batch().map(|rate| Check {
                name: "claims a second in batches of 1,000",
                value: rate,
                bound: goals::BATCH_CLAIMS_MIN,
                at_most: false,
            }),
        ];
        found.into_iter().flatten().collect()
    }

    /// The median rate of batches at the number of clients that does best: a batch is not better for many clients.
    fn best_batch(&self) -> Option<f64> {
        let counts = self.turns.iter().filter(|turn| turn.side == Side::OursBatch).map(|turn| turn.clients);
        let medians = counts.filter_map(|clients| self.each(Side::OursBatch, clients, |turn| turn.rate));
        medians.map(|spread| spread.median).max_by(f64::total_cmp)
    }

    /// Every figure, for machines.
    pub fn json(&self) -> Value {
        let turns: Vec<Value> = self.turns.iter().map(Measured::json).collect();
        let goals: Vec<Value> = goals::CHARGE.iter().filter_map(|goal| self.goal_json(goal)).collect();
        let checks: Vec<Value> = self
            .checks()
            .iter()
            .map(|check| {
                let bound = if check.at_most { "max" } else { "min" };
                json!({"name": check.name, "value": check.value, bound: check.bound, "held": check.held()})
            })
            .collect();
        json!({"turns": turns, "goals": goals, "checks": checks})
    }

    fn goal_json(&self, goal: &Goal) -> Option<Value> {
        let ratio = self.ratio(Side::Ours, goal.beside, goal.clients, |turn| turn.rate)?;
        let (beside, verdict) = (goal.beside.label(), verdict(goal, ratio.median));
        Some(json!({
            "beside": beside, "clients": goal.clients, "ratio": ratio.json(), "floor": goal.floor, "goal": goal.goal,
            "verdict": verdict,
        }))
    }
}

impl Measured {
    fn json(&self) -> Value {
        json!({
            "side": self.side.label(), "clients": self.clients, "round": self.round, "per_second": self.rate,
            "p50_ms": self.p50_ms, "p99_ms": self.p99_ms, "served": self.served, "refused": self.refused,
            "wrong": self.wrong,
        })
    }
}

fn verdict(goal: &Goal, ratio: f64) -> &'static str {
    match ratio {
        ratio if ratio >= goal.goal => "goal reached",
        ratio if ratio >= goal.floor => "floor held",
        _ => "BELOW THE FLOOR",
    }
}

/// A figure as a person reads it: three digits at least, thousands apart.
pub fn grouped(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(served: u64) -> Turn {
        Turn { served, seconds: 1.0, latencies_us: vec![1_000; 10], ..Turn::default() }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_and_set_beside_its_goal() {
        let mut report = Report::default();
        for (round, ours, theirs) in [(1, 30_000, 1_000), (2, 10_000, 500), (3, 50_000, 1_000)] {
            report.add(Side::Ours, 64, round, 1, turn(ours));
            report.add(Side::Postgres, 64, round, 1, turn(theirs));
        }
        let ratio = report.ratio(Side::Ours, Side::Postgres, 64, |turn| turn.rate).expect("three rounds");
        assert_eq!((ratio.median, ratio.least, ratio.most), (30.0, 20.0, 50.0));
        assert!(report.table().contains("30 (20–50)  floor 20, goal 40: floor held"), "{}", report.table());
    }

    #[test]
    fn thousands_are_kept_apart() {
        assert_eq!(["0.5", "12", "1234567"].map(|text| grouped(text.parse().unwrap())), ["0.50", "12", "1,234,567"]);
    }
}
