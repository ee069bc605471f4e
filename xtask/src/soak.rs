//! `cargo xtask soak`: the random tests, for as long as a night allows.

use anyhow::Result;

use crate::postgres::{Durability, Postgres};
use crate::run::{self, cargo, step};

/// How long.
#[derive(clap::Args)]
pub struct Options {
    /// Rounds of kill -9 under load.
    #[arg(long, default_value_t = 1_000)]
    rounds: u32,
    /// Random sequences of the ledger's and the store's model.
    #[arg(long, default_value_t = 200_000)]
    sequences: u32,
    /// Random calls of all APIs, compared with each other.
    #[arg(long, default_value_t = 20_000)]
    operations: u32,
    /// Large uploads at once.
    #[arg(long, default_value_t = 64)]
    uploads: u32,
    /// How large each of them is, in MiB.
    #[arg(long, default_value_t = 256)]
    upload_mib: u32,
}

/// Runs the long forms, the cheap ones first.
pub fn run(options: &Options) -> Result<()> {
    step("build of the binary", &mut cargo("build --quiet --package plimsoll"))?;
    let postgres = Postgres::start(Durability::None, &["max_connections=300", "log_min_messages=fatal"])?;
    let long = |args: &str| -> Result<std::process::Command> {
        let mut command = cargo(args);
        command.env("PLIMSOLL_TEST_POSTGRES", postgres.url());
        command.env("PLIMSOLL_BIN", run::target()?.join("debug").join("plimsoll"));
        command.env("PLIMSOLL_MODEL_SEQUENCES", options.sequences.to_string());
        command.env("PLIMSOLL_KILL_ROUNDS", options.rounds.to_string());
        command.env("PLIMSOLL_UPLOADS", options.uploads.to_string());
        command.env("PLIMSOLL_UPLOAD_MIB", options.upload_mib.to_string());
        command.env("PLIMSOLL_TRUTH_OPERATIONS", options.operations.to_string());
        Ok(command)
    };
    step("model sequences", &mut long("test --package ledger --package store model")?)?;
    step("one truth", &mut long("test --package tests --test whole one_truth -- --nocapture")?)?;
    step("large uploads", &mut long("test --package tests --test whole many_large_uploads -- --nocapture")?)?;
    step("kill -9 rounds", &mut long("test --package tests --test whole kill -- --nocapture")?)?;
    let Options { rounds, sequences, operations, .. } = options;
    println!("passed: {sequences} model sequences, {operations} calls compared, {rounds} kill -9 rounds");
    Ok(())
}
