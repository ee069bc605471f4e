//! `cargo xtask <verb>`: what a person types is what CI runs.
//!
//! **Shape.** One file a verb; [`run`] starts programs, [`debian`] finds or installs them, [`postgres`] keeps a database
//! server of our own for as long as a verb runs.
//! **Always.** A failing step ends the verb with the step's name. What was started is stopped, also after a failure.
//! **Not here.** What is measured (`bench`) and what is tested (each crate, and `tests`).

mod audit;
mod bench;
mod clients;
mod debian;
mod peers;
mod postgres;
mod run;
mod soak;
mod test;

use clap::Parser;

/// Builds, tests and measures Plimsoll.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
enum Verb {
    /// Everything: format, lints, build, all tests on SQLite and PostgreSQL.
    Test(test::Options),
    /// What CI runs: the same as `test`.
    Ci,
    /// The long forms of the random tests: model sequences, and kill -9 rounds.
    Soak(soak::Options),
    /// Licences, banned crates and sources of all dependencies.
    Audit,
    /// Measures us beside a peer, in rounds on this machine.
    Bench(bench::Options),
}

fn main() -> anyhow::Result<()> {
    match Verb::parse() {
        Verb::Test(options) => test::run(&options),
        Verb::Ci => test::run(&test::Options::default()),
        Verb::Soak(options) => soak::run(&options),
        Verb::Audit => audit::run(),
        Verb::Bench(options) => bench::run(&options),
    }
}
