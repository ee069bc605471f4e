//! Logs: lines for a person on a terminal, JSON for a machine otherwise. `PLIMSOLL_LOG` says how much.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What is logged when `PLIMSOLL_LOG` says nothing.
const DEFAULT: &str = "info,refinery_core=warn";

/// Starts logging to standard error. Called once, by `main`.
pub fn start() {
    let wanted = std::env::var("PLIMSOLL_LOG").unwrap_or_else(|_| DEFAULT.to_owned());
    let filter = EnvFilter::try_new(&wanted);
    let misread = filter.as_ref().err().map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.with_target(false).with_ansi(std::env::var_os("NO_COLOR").is_none()).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    if let Some(why) = misread {
        tracing::warn!(filter = wanted, why, "PLIMSOLL_LOG was not understood; using {DEFAULT}");
    }
}
