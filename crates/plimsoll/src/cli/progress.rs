//! How far something long is: a bar at a terminal, plain lines in a pipe. Both on standard error, as what is printed is the
//! outcome's.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};

/// What is smaller is over before anybody asks.
const LINES_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// How many lines there are from the beginning to the end.
const LINES: u64 = 10;

/// The progress of bytes that move.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    moved: u64,
}

impl Progress {
    /// Of `total` bytes, of which `moved` have; `what` is what is done to them: "sent".
    pub fn new(what: &'static str, total: u64, moved: u64, is_quiet: bool) -> Progress {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = (is_terminal && !is_quiet).then(|| {
            let form = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what).with_position(moved)
        });
        Progress { bar, what, total: if is_quiet { 0 } else { total }, moved }
    }

    /// So many bytes more.
    pub fn add(&mut self, bytes: u64) {
        let before = self.moved;
        self.moved += bytes;
        match &self.bar {
            Some(bar) => bar.set_position(self.moved),
            None => self.line(before),
        }
    }

    fn line(&self, before: u64) {
        if self.total < LINES_BYTES_MIN {
            return;
        }
        let part = |moved: u64| u128::from(moved) * u128::from(LINES) / u128::from(self.total);
        if part(before) < part(self.moved) {
            let (moved, total) = (site::size::show(self.moved), site::size::show(self.total));
            let percent = u128::from(self.moved) * 100 / u128::from(self.total);
            // Nobody may be reading.
            let _ = writeln!(std::io::stderr(), "{} {moved} of {total} ({percent} %)", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
