//! `cargo xtask test`: everything a change must pass, in the order in which it fails fastest.

use std::time::Instant;

use anyhow::Result;

use crate::clients;
use crate::postgres::{Durability, Postgres};
use crate::run::{self, cargo, step};

/// Which of it to run.
#[derive(clap::Args, Default)]
pub struct Options {
    /// Run these steps only; without it, all of them.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// Run the tests whose names hold this only (with the step `tests`).
    #[arg(long)]
    filter: Option<String>,
}

/// One step of it.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// `cargo fmt --check`.
    Fmt,
    /// Clippy on all targets, warnings are errors.
    Clippy,
    /// All tests, on SQLite and on PostgreSQL.
    Tests,
    /// The examples in the docs.
    Doc,
}

/// Runs the steps asked for, and says in one line what ran.
pub fn run(options: &Options) -> Result<()> {
    let since = Instant::now();
    let wanted = |step: Step| options.only.is_empty() || options.only.contains(&step);
    let mut done: Vec<String> = Vec::new();
    if wanted(Step::Fmt) {
        step("fmt", &mut cargo("fmt --all --check"))?;
        done.push("fmt".into());
    }
    if wanted(Step::Clippy) {
        step("clippy", &mut cargo("clippy --quiet --workspace --all-targets -- -D warnings"))?;
        done.push("clippy".into());
    }
    if wanted(Step::Tests) {
        done.push(tests(options.filter.as_deref())?);
    }
    if wanted(Step::Doc) {
        step("doc tests", &mut cargo("test --quiet --workspace --doc"))?;
        done.push("doc tests".into());
    }
    println!("passed in {} s: {}", since.elapsed().as_secs(), done.join(", "));
    Ok(())
}

/// Builds the binary and runs every test beside a PostgreSQL of our own; says with what.
fn tests(filter: Option<&str>) -> Result<String> {
    step("build of the binary", &mut cargo("build --quiet --package plimsoll"))?;
    let postgres = Postgres::start(Durability::None, &["max_connections=300", "log_min_messages=fatal"])?;
    let clients = clients::install()?;
    let nextest = cargo("nextest --version").output().is_ok_and(|out| out.status.success());
    let (runner, args) = match nextest {
        true => ("cargo nextest", "nextest run --workspace --no-fail-fast"),
        false => ("cargo test", "test --workspace --lib --bins --tests --no-fail-fast"),
    };
    let mut command = cargo(args);
    command.args(filter);
    command.env("PLIMSOLL_TEST_POSTGRES", postgres.url());
    command.env("PLIMSOLL_BIN", run::target()?.join("debug").join("plimsoll"));
    command.envs(clients);
    step("tests", &mut command)?;
    Ok(format!("build, all tests on SQLite and PostgreSQL {} ({runner})", postgres.version()))
}
