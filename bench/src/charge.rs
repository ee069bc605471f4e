//! Charges: whose turn it is, and for how long.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::goals::Side;
use crate::http::{self, Http};
use crate::load::{self, Turn};
use crate::peers::empty::Empty;
use crate::peers::ours::{self, Ours, Work};
use crate::peers::postgres::{Form, Postgres};
use crate::peers::redis::Redis;
use crate::peers::sqlite::Sqlite;
use crate::report::Report;

/// Of all of it.
#[derive(clap::Args)]
pub struct Options {
    /// The release binary of ours.
    #[arg(long)]
    plimsoll: PathBuf,
    /// A PostgreSQL with an empty database, durable.
    #[arg(long)]
    postgres: String,
    /// Its version, for the record.
    #[arg(long, default_value = "")]
    postgres_version: String,
    /// A Redis with `appendfsync always`.
    #[arg(long)]
    redis: SocketAddr,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long a turn is.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// How many clients, one turn for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    clients: Vec<u32>,
    /// Keep every figure in this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Everyone, set up.
struct Sides {
    ours: Ours,
    empty: Empty,
    postgres: Postgres,
    sqlite: Sqlite,
    redis: Redis,
}

/// Who has a turn at every number of clients, and who only at the largest.
const ALWAYS: [Side; 6] = [Side::Ours, Side::Empty, Side::Postgres, Side::PostgresOneCall, Side::Sqlite, Side::Redis];
const AT_THE_MOST_CLIENTS: [Side; 2] = [Side::OursDisjoint, Side::OursRefused];
/// Batches are tried with few clients: each carries 1,000 claims.
const BATCH_CLIENTS_MAX: u32 = 8;

/// Measures, prints the table, and fails where an answer or a sum was wrong.
pub fn run(options: &Options) -> Result<()> {
    let most = options.clients.iter().copied().max().context("no number of clients")?;
    ensure!(most as usize <= ours::LANES_MAX, "at most {} clients", ours::LANES_MAX);
    // /var/tmp outlives a reboot, so it is a disk wherever /tmp may be memory: all sides must flush to the same one.
    let folder = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir_in("/var/tmp")?;
    let sides = Sides::set_up(options, folder.path())?;
    let mut report = Report::default();
    for round in 1..=options.rounds {
        for &clients in &options.clients {
            for side in ALWAYS {
                sides.measure(&mut report, side, clients, round, options)?;
            }
            if clients <= BATCH_CLIENTS_MAX {
                sides.measure(&mut report, Side::OursBatch, clients, round, options)?;
            }
        }
        for side in AT_THE_MOST_CLIENTS {
            sides.measure(&mut report, side, most, round, options)?;
        }
    }
    println!("{}", report.table());
    if let Some(file) = &options.json {
        let mut kept = report.json();
        kept["machine"] = json!({"cores": std::thread::available_parallelism()?, "postgres": options.postgres_version});
        kept["rounds"] = json!({"rounds": options.rounds, "seconds": options.seconds});
        std::fs::write(file, format!("{kept:#}\n")).with_context(|| format!("{}", file.display()))?;
    }
    Ok(())
}

impl Sides {
    fn set_up(options: &Options, folder: &std::path::Path) -> Result<Sides> {
        ensure!(options.plimsoll.is_file(), "{} is not there", options.plimsoll.display());
        Ok(Sides {
            ours: Ours::set_up(&options.plimsoll, folder)?,
            empty: Empty::start()?,
            postgres: Postgres::set_up(&options.postgres)?,
            sqlite: Sqlite::set_up(folder),
            redis: Redis::set_up(options.redis)?,
        })
    }

    fn measure(&self, report: &mut Report, side: Side, clients: u32, round: u32, options: &Options) -> Result<()> {
        let length = Duration::from_secs(options.seconds.into());
        let turn = self.turn(side, clients as usize, length).with_context(|| side.label().to_owned())?;
        let each = if side == Side::OursBatch { ours::BATCH_CLAIMS as u64 } else { 1 };
        report.add(side, clients, round, each, turn);
        eprintln!("{}", report.last());
        match report.wrong() {
            Some(what) => bail!(what),
            None => Ok(()),
        }
    }

    fn turn(&self, side: Side, clients: usize, length: Duration) -> Result<Turn> {
        match side {
            Side::Ours => self.ours.turn(Work::Hot, clients, length),
            Side::OursDisjoint => self.ours.turn(Work::Disjoint, clients, length),
            Side::OursRefused => self.ours.turn(Work::Full, clients, length),
            Side::OursBatch => self.ours.turn(Work::Batch, clients, length),
            Side::Empty => self.empty(clients, length),
            Side::Postgres => self.postgres.turn(Form::Statements, clients, length),
            Side::PostgresOneCall => self.postgres.turn(Form::OneCall, clients, length),
            Side::Sqlite => self.sqlite.turn(clients, length),
            Side::Redis => self.redis.turn(clients, length),
        }
    }

    /// The empty handler gets what our hot root gets, byte by byte.
    fn empty(&self, clients: usize, length: Duration) -> Result<Turn> {
        let requests = self.ours.hot_requests();
        let wires = (0..clients).map(|number| Http::client(number, requests, http::CREATED)).collect();
        load::tcp(self.empty.address, wires, length)
    }
}
