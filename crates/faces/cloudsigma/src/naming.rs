//! What a clone is called when nobody says: the profile's `clone_naming` (spec, section 3.5).

use store::Micros;

use crate::input::NAME_MAX;
use crate::wire;

/// The words of `clone_naming`, the default first.
pub const STRATEGIES: &[&str] = &["NONE", "COUNTER", "DATE", "TIMESTAMP"];

const DATE: &str = "%Y-%m-%d";
const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S";

/// The name of a clone of what is called `name`.
pub fn cloned(name: &str, strategy: &str, now: Micros) -> String {
    match strategy {
        "COUNTER" => counted(name),
        "DATE" => stamped(name, &wire::written(now, DATE)),
        "TIMESTAMP" => stamped(name, &wire::written(now, TIMESTAMP)),
        _ => name.to_owned(),
    }
}

/// `x` → `x_1` → `x_2`.
fn counted(name: &str) -> String {
    let (base, count) = part(name);
    joined(base, &format!("_{}", count.saturating_add(1)))
}

/// A name without its counter, and the counter; 0 is none.
fn part(name: &str) -> (&str, u64) {
    let parted = name.rsplit_once('_').and_then(|(base, digits)| {
        let is_count = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        Some((base, digits.parse::<u64>().ok().filter(|_| is_count)?))
    });
    parted.unwrap_or((name, 0))
}

/// `x` → `x-2014-06-05`. An older stamp is replaced; a current one gets a counter.
fn stamped(name: &str, stamp: &str) -> String {
    let (base, _) = part(name);
    match without_stamp(base) {
        Some((_, found)) if found == stamp => counted(name),
        Some((bare, _)) => joined(bare, &format!("-{stamp}")),
        None => joined(name, &format!("-{stamp}")),
    }
}

/// A name without the date, or date and time, at its end.
fn without_stamp(name: &str) -> Option<(&str, &str)> {
    ["0000-00-00 00:00:00", "0000-00-00"].into_iter().find_map(|form| {
        let at = name.len().checked_sub(form.len()).filter(|at| *at > 0 && name.is_char_boundary(*at))?;
        let (before, stamp) = name.split_at(at);
        let fits = stamp.bytes().zip(form.bytes()).all(|(found, form)| match form {
            b'0' => found.is_ascii_digit(),
            other => found == other,
        });
        Some((before.strip_suffix('-').filter(|_| fits)?, stamp))
    })
}

fn joined(base: &str, end: &str) -> String {
    let base: String = base.chars().take(NAME_MAX - end.len().min(NAME_MAX)).collect();
    base + end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2014-06-05 09:45:56.
    const NOW: Micros = 1_401_961_556_000_000;

    /// Checklist 51.
    #[test]
    fn each_strategy_has_its_form() {
        for (strategy, name) in
            [("COUNTER", "x_1"), ("DATE", "x-2014-06-05"), ("TIMESTAMP", "x-2014-06-05 09:45:56"), ("NONE", "x")]
        {
            assert_eq!(cloned("x", strategy, NOW), name);
        }
    }

    /// Checklist 52.
    #[test]
    fn counters_count_on_and_stamps_are_replaced() {
        assert_eq!(cloned("x_1", "COUNTER", NOW), "x_2");
        assert_eq!(cloned("x_a", "COUNTER", NOW), "x_a_1");
        assert_eq!(cloned("x-2013-01-02", "DATE", NOW), "x-2014-06-05");
        assert_eq!(cloned("x-2013-01-02_7", "DATE", NOW), "x-2014-06-05");
        assert_eq!(cloned("x-2014-06-05", "DATE", NOW), "x-2014-06-05_1");
        assert_eq!(cloned("x-2014-06-05_1", "DATE", NOW), "x-2014-06-05_2");
        assert_eq!(cloned("x-2014-06-05", "TIMESTAMP", NOW), "x-2014-06-05 09:45:56");
        assert_eq!(cloned(&"ä".repeat(255), "COUNTER", NOW).chars().count(), 255);
    }
}
