//! `cargo xtask bench NAME`: builds for release, brings up the peers that are servers, and lets `bench` measure.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::debian;
use crate::peers::Peer;
use crate::postgres::{Durability, Postgres};
use crate::run::{self, cargo, step};

/// What to measure, and how long.
#[derive(clap::Args)]
pub struct Options {
    /// Which bench.
    #[arg(value_enum)]
    name: Name,
    /// Keep every figure in this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long a turn is.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// How many clients, one turn for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    clients: Vec<u32>,
}

/// The benches there are.
#[derive(clap::ValueEnum, Clone, Copy)]
enum Name {
    /// Charges on a path of four levels, all through one root.
    Charge,
    /// Small files through the CarrierX face.
    Files,
    /// Quotas read and apps scaled through the Cloud Foundry face.
    Cf,
}

/// Settings that do not make the peer slower: more connections and a larger cache, checkpoints far apart.
const POSTGRES_SETTINGS: [&str; 3] = ["max_connections=100", "shared_buffers=512MB", "max_wal_size=4GB"];

/// Measures, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    step("release build", &mut cargo("build --quiet --release --package plimsoll --package bench"))?;
    match options.name {
        Name::Charge => charge(options),
        Name::Files => files(options),
        Name::Cf => step("Cloud Foundry, in rounds", &mut bench("cf", options)?),
    }
}

fn charge(options: &Options) -> Result<()> {
    let postgres = Postgres::start(Durability::Stock, &POSTGRES_SETTINGS)?;
    let redis = Redis::start()?;
    let mut command = bench("charge", options)?;
    command.args(["--postgres", &postgres.url(), "--postgres-version", postgres.version()]);
    command.args(["--redis", &redis.address]);
    step("charges, in rounds", &mut command)
}

fn files(options: &Options) -> Result<()> {
    let (stock, fsync, nginx) = (Peer::seaweed(false)?, Peer::seaweed(true)?, Peer::nginx()?);
    let mut command = bench("files", options)?;
    for (name, peer) in [("--seaweed", &stock), ("--seaweed-fsync", &fsync), ("--nginx", &nginx)] {
        command.arg(name).arg(format!("{}{}", peer.address, peer.path));
    }
    step("small files, in rounds", &mut command)
}

/// The program that measures, with what all benches are told.
fn bench(name: &str, options: &Options) -> Result<Command> {
    let programs = run::target()?.join("release");
    let clients: Vec<String> = options.clients.iter().map(u32::to_string).collect();
    let mut command = Command::new(programs.join("bench"));
    command.arg(name).arg("--plimsoll").arg(programs.join("plimsoll"));
    command.args(["--rounds", &options.rounds.to_string(), "--seconds", &options.seconds.to_string()]);
    command.args(["--clients", &clients.join(",")]);
    if let Some(json) = &options.json {
        command.arg("--json").arg(json);
    }
    Ok(command)
}

/// A Redis of our own whose every answer waits for its log to be on disk.
struct Redis {
    server: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Redis {
    fn start() -> Result<Redis> {
        let program = debian::need("redis-server", || debian::find("redis-server", &[]))?;
        let folder = tempfile::Builder::new().prefix("plimsoll-redis-").tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]);
        command.arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let server = command.spawn().context("redis-server did not start")?;
        let redis = Redis { server, address: format!("127.0.0.1:{port}"), _folder: folder };
        let since = Instant::now();
        while TcpStream::connect(&redis.address).is_err() {
            if since.elapsed() > Duration::from_secs(10) {
                bail!("redis-server does not listen on {}", redis.address);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
