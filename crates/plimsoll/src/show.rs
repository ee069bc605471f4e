//! Showing things at a terminal: bars, colours, tables. In a pipe: plain lines.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::fault::Fault;

/// How wide a bar is.
const BAR: usize = 20;
/// From here on a bar is yellow.
const NEAR_PERCENT: u64 = 80;
/// From here on it is red.
const FULL_PERCENT: u64 = 95;

/// Who reads what is shown.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether somebody sits there: bars and trees, not tab-separated lines.
    pub is_terminal: bool,
    /// Whether colours are wanted.
    pub is_coloured: bool,
    /// Whether the answer is to be shown as it came, in JSON.
    pub is_json: bool,
}

impl Output {
    /// For standard output as it is.
    pub fn standard(is_json: bool) -> Output {
        let is_terminal = std::io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Output { is_terminal, is_coloured: is_terminal && !no_colour, is_json }
    }

    fn coloured(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Text that stands back.
    pub fn dim(self, text: &str) -> String {
        self.coloured("2", text)
    }

    /// Text that stands out.
    pub fn bold(self, text: &str) -> String {
        self.coloured("1", text)
    }

    /// One of a plan's lines, in the colour of its sign.
    pub fn signed(self, line: &str) -> String {
        match line.chars().next() {
            Some('+') => self.coloured("32", line),
            Some('~') => self.coloured("33", line),
            Some('-') => self.coloured("31", line),
            _ => line.to_owned(),
        }
    }

    /// What is used and pending of a limit, as a bar.
    pub fn bar(self, load: Load) -> String {
        let Some(limit) = load.limit else { return " ".repeat(BAR) };
        let cells = |units: u64| match limit {
            // Nothing of nothing is full: there is no room.
            0 => BAR,
            _ => (u128::from(units) * BAR as u128).div_ceil(u128::from(limit)).min(BAR as u128) as usize,
        };
        let used = cells(load.used);
        let pending = cells(load.used.saturating_add(load.pending)).saturating_sub(used);
        let (used_part, pending_part) = ("█".repeat(used), "▒".repeat(pending));
        let colour = match load.percent().unwrap_or_default() {
            percent if percent >= FULL_PERCENT => "31",
            percent if percent >= NEAR_PERCENT => "33",
            _ => "32",
        };
        let rest = self.dim(&"░".repeat(BAR - used - pending));
        format!("{}{rest}", self.coloured(colour, &format!("{used_part}{pending_part}")))
    }
}

/// What an allotment holds of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// By held claims.
    pub used: u64,
    /// By pending claims.
    pub pending: u64,
    /// None: unlimited.
    pub limit: Option<u64>,
}

impl Load {
    /// Of one resource of an allotment as the API shows it.
    pub fn of(allotment: &Value, resource: &str) -> Load {
        let units = |map: &str| allotment[map][resource].as_u64();
        Load {
            used: units("used").unwrap_or_default(),
            pending: units("pending").unwrap_or_default(),
            limit: units("limits"),
        }
    }

    /// How full it is, in hundredths of the limit, rounded down; more than 100 when the limit was lowered.
    pub fn percent(self) -> Option<u64> {
        let load = u128::from(self.used) + u128::from(self.pending);
        match self.limit? {
            0 => Some(100),
            limit => Some((load * 100 / u128::from(limit)) as u64),
        }
    }
}

/// An amount for people: bytes in binary units, all else as a number.
pub fn amount(resource: &str, units: u64) -> String {
    if resource == "bytes" { site::size::show(units) } else { units.to_string() }
}

/// The resources that an allotment limits or uses, as the API orders them.
pub fn resources(allotment: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for map in ["limits", "used", "pending"] {
        for (name, units) in allotment[map].as_object().into_iter().flatten() {
            let counts = map == "limits" && !units.is_null() || units.as_u64().is_some_and(|units| units > 0);
            if counts && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Prints lines. A reader that has gone (`| head`) is no failure.
pub fn print(lines: impl IntoIterator<Item = String>) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        if let Err(error) = writeln!(out, "{line}") {
            let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
            return if gone { Ok(()) } else { Err(Fault::new(format!("cannot write: {error}"))) };
        }
    }
    Ok(())
}

/// Prints a value as it came.
pub fn print_json(value: &Value) -> Result<(), Fault> {
    print([format!("{value:#}")])
}

/// Rows with columns of one width at a terminal, tab-separated in a pipe, where the head is left out.
pub fn table(output: Output, head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    if !output.is_terminal {
        return rows.iter().map(|row| row.join("\t")).collect();
    }
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    std::iter::once(output.dim(&line(&head))).chain(rows.iter().map(|row| line(row))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Output = Output { is_terminal: true, is_coloured: false, is_json: false };

    #[test]
    fn a_bar_shows_used_pending_and_room() {
        let bar = |used, pending, limit| PLAIN.bar(Load { used, pending, limit });
        assert_eq!(bar(0, 0, Some(100)), "░░░░░░░░░░░░░░░░░░░░");
        assert_eq!(bar(50, 25, Some(100)), "██████████▒▒▒▒▒░░░░░");
        assert_eq!(bar(150, 0, Some(100)), "████████████████████");
        assert_eq!(bar(1, 0, Some(u64::MAX)), "█░░░░░░░░░░░░░░░░░░░", "a little is not nothing");
        assert_eq!(bar(0, 0, Some(0)), "████████████████████", "nothing to give is full");
        assert_eq!(bar(5, 0, None).trim(), "");
    }

    #[test]
    fn resources_are_those_limited_or_used() {
        let allotment =
            json!({ "limits": { "bytes": 0 }, "used": { "bytes": 0, "objects": 3, "drives": 0 }, "pending": {} });
        assert_eq!(resources(&allotment), ["bytes", "objects"]);
        assert_eq!(Load::of(&allotment, "objects"), Load { used: 3, pending: 0, limit: None });
    }

    #[test]
    fn a_table_lines_up_at_a_terminal_and_is_plain_in_a_pipe() {
        let rows = [vec!["a".to_owned(), "long one".to_owned()], vec!["bcd".to_owned(), "x".to_owned()]];
        assert_eq!(table(PLAIN, &["id", "what"], &rows), ["id   what", "a    long one", "bcd  x"]);
        let pipe = Output { is_terminal: false, ..PLAIN };
        assert_eq!(table(pipe, &["id", "what"], &rows), ["a\tlong one", "bcd\tx"]);
    }
}
