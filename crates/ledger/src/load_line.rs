//! Load lines: shares or amounts of a limit whose crossing is an event.

use crate::{Balance, Resource};

/// A line on one resource of one allotment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadLine {
    /// Of which resource.
    pub resource: Resource,
    /// Where it lies.
    pub mark: Mark,
}

/// Where a load line lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// At so many hundredths of the limit. Without a limit it is never crossed.
    Percent(u32),
    /// At so many units.
    Amount(u64),
}

/// Which way a line was crossed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The line is reached or passed now, and was not before.
    Up,
    /// It was, and is not any more.
    Down,
}

/// A line that was crossed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// Which line.
    pub line: LoadLine,
    /// Which way.
    pub direction: Direction,
}

/// The lines of `resource` crossed on the way from `before` to `after`, and in which direction.
pub fn crossings(lines: &[LoadLine], resource: Resource, before: &Balance, after: &Balance) -> Vec<Crossing> {
    let of_this = lines.iter().filter(|line| line.resource == resource);
    let crossed = of_this.filter_map(|&line| match (reached(line.mark, before), reached(line.mark, after)) {
        (false, true) => Some(Crossing { line, direction: Direction::Up }),
        (true, false) => Some(Crossing { line, direction: Direction::Down }),
        _ => None,
    });
    crossed.collect()
}

fn reached(mark: Mark, balance: &Balance) -> bool {
    let load = u128::from(balance.used) + u128::from(balance.pending);
    match (mark, balance.limit) {
        (Mark::Amount(units), _) => load >= u128::from(units),
        (Mark::Percent(percent), Some(limit)) => load * 100 >= u128::from(percent) * u128::from(limit),
        (Mark::Percent(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(used: u64, limit: Option<u64>) -> Balance {
        Balance { limit, used, ..Balance::default() }
    }

    #[test]
    fn a_line_is_crossed_once_each_way() {
        let eighty = LoadLine { resource: Resource::BYTES, mark: Mark::Percent(80) };
        let cross = |from, to| crossings(&[eighty], Resource::BYTES, &from, &to);
        let up = vec![Crossing { line: eighty, direction: Direction::Up }];
        let down = vec![Crossing { line: eighty, direction: Direction::Down }];
        assert_eq!(cross(at(79, Some(100)), at(80, Some(100))), up);
        assert_eq!(cross(at(80, Some(100)), at(99, Some(100))), vec![]);
        assert_eq!(cross(at(80, Some(100)), at(79, Some(100))), down);
        assert_eq!(cross(at(50, Some(100)), at(50, Some(60))), up, "a lowered limit crosses, too");
        assert_eq!(cross(at(50, None), at(90, None)), vec![], "a share of no limit is never reached");
    }
}
