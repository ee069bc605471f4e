//! The program: reads the command line, runs what it says, and tells in one line what went wrong.

use std::process::ExitCode;

use clap::Parser;
use plimsoll::cli::{Cli, Command};
use plimsoll::{Fault, logs, serve, settings};

/// What one thread takes and another gives back, as every unit of work is, it does not lock.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault { what, hint }) => {
            what.lines().for_each(|line| eprintln!("error: {line}"));
            hint.iter().for_each(|hint| eprintln!("hint: {hint}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Fault> {
    let threads = match cli.command {
        Command::Serve(_) | Command::Bench(_) => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = threads.map_err(|error| Fault::new(format!("cannot start: {error}")))?;
    match cli {
        Cli { command: Command::Serve(settings), data, .. } => {
            logs::start();
            let here = std::path::Path::new(".");
            let (data, settings) = (settings::data(data)?, settings.or_file(here)?);
            runtime.block_on(serve::run(data, settings))
        }
        other => runtime.block_on(other.run()),
    }
}
