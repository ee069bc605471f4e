//! The store: the one way to the database, SQLite or PostgreSQL.
//!
//! **Shape.** [`Store::read`] runs a closure in a read transaction of its own; [`Store::write`] puts a [`Unit`] of work on
//! the writer's queue and answers when it is on disk. A unit says what it does to space as data, and writes its noun's rows
//! as data or in a closure. The writer takes what is queued, admits each unit in memory, and commits once for all.
//! **Always.** `Ok` means on disk. A unit that fails has changed nothing. No commit admits a claim past a limit. Readers
//! never wait for the writer. A commit whose outcome is unknown is never tried again: the caller gets [`Error::Busy`].
//! **Bounds.** The queues, a batch, a list's page; each has a name and a reason.
//! **Not here.** HTTP, JSON of any API, who may do what, a face's tables: they come in as a unit's rows.

mod allotment;
mod batch;
mod claim;
mod clock;
mod dialect;
mod doctor;
mod error;
mod idempotency;
mod job;
mod journal;
mod load;
mod open;
mod place;
mod queue;
mod reader;
mod shape;
mod tx;
mod unit;
mod value;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ledger::Catalog;
use uuid::Uuid;

pub use allotment::{Allotment, AllotmentFilter, AllotmentPatch, AllotmentRef, NewAllotment};
pub use batch::refusal_json;
pub use claim::{Claim, ClaimFilter, Managed};
pub use clock::{Clock, Micros};
pub use doctor::Doctor;
pub use error::Error;
pub use job::{Job, JobState};
pub use journal::{Event, EventFilter};
pub use tx::Tx;
pub use unit::{Actor, Applied, Done, Idempotency, NewClaim, SupplyRef, Unit};
pub use value::{FromValue, Row, Value};

/// Reading allotments.
pub mod allotments {
    pub use crate::allotment::{above, find, list};
}
/// Reading claims.
pub mod claims {
    pub use crate::claim::{find, list};
}
/// Reading the journal.
pub mod events {
    pub use crate::journal::list;
}
/// Reading jobs, and what their workers note.
pub mod jobs {
    pub use crate::job::{end, find, progress, take_over};
}

ledger::id! {
    /// A customer: the root of their tree has the same id.
    TenantId
}
ledger::id! {
    /// A person.
    UserId
}
ledger::id! {
    /// A piece of background work.
    JobId
}

/// The setting that holds the id of the pool where things lie when nothing else is said. Set by a unit that also has a step
/// on the tree: the writer remembers it until the tree's shape changes.
pub const DEFAULT_POOL: &str = "default_pool";
/// The setting that holds the site's own resources, a name a line, in the order they were declared.
pub(crate) const RESOURCES: &str = "resources";

/// Which database.
#[derive(Clone, Debug)]
pub enum Database {
    /// A file of this process's own.
    Sqlite(PathBuf),
    /// A server, by its URL.
    Postgres(String),
}

/// The tables of one crate, as steps that are never edited once applied.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// Whose tables.
    pub owner: &'static str,
    /// `V<n>__<what>` and its SQL, with the tokens of `dialect.rs`.
    pub steps: &'static [(&'static str, &'static str)],
}

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which database.
    pub database: Database,
    /// Where time comes from.
    pub clock: Clock,
    /// The tables beside the store's own, in the order in which they refer to each other.
    pub migrations: Vec<Migrations>,
    /// The folder whose disk must keep some room; none: not looked at.
    pub free_space_of: Option<PathBuf>,
    /// How many reads run at once.
    pub readers: usize,
    /// The site's own resources, in order. What was declared before stays, whatever is said here.
    pub resources: Vec<String>,
}

impl Options {
    /// A store with the system's clock and nothing but its own tables.
    pub fn new(database: Database) -> Options {
        Options {
            database,
            clock: Clock::system(),
            migrations: Vec::new(),
            free_space_of: None,
            readers: 2,
            resources: Vec::new(),
        }
    }
}

/// The store. A cheap handle; the last one dropped ends its threads.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What the store has done since its start, for `/metrics`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Commits of batches.
    pub commits: u64,
    /// Units of work that were committed.
    pub units: u64,
    /// Units that were refused for a limit.
    pub refused: u64,
    /// Microseconds spent in commits, all together.
    pub commit_us: u64,
    /// Units that wait now.
    pub waiting: u64,
    /// Balances found wrong when they were touched. Always 0, or a fault of ours.
    pub breaches: u64,
}

pub(crate) struct Shared {
    catalog: Catalog,
    clock: Clock,
    write_queue: Arc<queue::Queue<writer::Queued>>,
    read_queue: Arc<queue::Queue<reader::Ask>>,
    pulse: Arc<writer::Pulse>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.write_queue.close();
        self.read_queue.close();
    }
}

impl Store {
    /// Opens the database, brings its tables up to date and starts the writer and the readers.
    pub async fn open(options: Options) -> Result<Store, Error> {
        let opening = tokio::task::spawn_blocking(move || open::open(options));
        let shared = opening.await.map_err(|stopped| Error::Broken(format!("opening was stopped: {stopped}")))??;
        Ok(Store { shared: Arc::new(shared) })
    }

    /// Runs `read` in a transaction that sees one picture of the database.
    ///
    /// What has expired by now is let go before, so that no reader sees it counted.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Tx) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.shared.pulse.next_expiry.load(Ordering::Acquire) <= self.now() {
            // A writer that is away is no reason not to read.
            let _ = self.write(Unit::by(Actor::system("expiry"))).await;
        }
        reader::ask(&self.shared.read_queue, read).await
    }

    /// Does a unit of work: when this answers, it is on disk, or nothing was changed.
    pub async fn write<T: Send + 'static>(&self, unit: Unit<T>) -> Result<Done<T>, Error> {
        writer::ask(&self.shared.write_queue, unit).await
    }

    /// Whether the store can commit now: a commit of nothing, through the writer.
    pub async fn ready(&self) -> Result<(), Error> {
        let probe = Unit::by(Actor::system("ready")).rows(|tx| tx.query("SELECT 1", &[]).map(drop));
        self.write(probe).await.map(drop)
    }

    /// What time it is, in microseconds since 1970; on PostgreSQL as its server last told it.
    pub fn now(&self) -> Micros {
        self.shared.pulse.now(&self.shared.clock)
    }

    /// A new id.
    pub fn new_id(&self) -> Uuid {
        self.shared.clock.new_id()
    }

    /// 32 random bytes.
    pub fn secret(&self) -> [u8; 32] {
        self.shared.clock.secret()
    }

    /// The site's resources.
    pub fn catalog(&self) -> &Catalog {
        &self.shared.catalog
    }

    /// What it has done since its start.
    pub fn stats(&self) -> Stats {
        Stats { waiting: self.shared.write_queue.len() as u64, ..self.shared.pulse.stats() }
    }

    /// Changes with each commit of this process that wrote to the journal; what it counts means nothing else.
    pub fn watch_journal(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.pulse.journal.subscribe()
    }

    /// Recounts everything and compares: see [`Doctor`].
    pub async fn doctor(&self) -> Result<Doctor, Error> {
        self.read(doctor::run).await
    }

    /// Sees to the jobs of one kind from now on, in this process: each due job is given to `run`, once, and again later if
    /// it fails. Ends with the runtime or the store.
    pub fn work<F>(&self, kind: &'static str, run: impl Fn(Job) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        job::work(self, kind, run);
    }

    /// Takes nothing new, finishes what is queued, and closes the database.
    pub async fn close(&self) {
        self.shared.write_queue.close();
        self.shared.read_queue.close();
        let pulse = self.shared.pulse.clone();
        // The threads end when their queues are empty.
        let _ = tokio::task::spawn_blocking(move || pulse.join()).await;
    }
}
