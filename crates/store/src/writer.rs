//! The writer: many units of work, one commit.
//!
//! **Shape.** Take at most [`BATCH_STEPS_MAX`] steps' worth of units from the queue → run them as one transaction → commit →
//! answer everyone. Units that change the tree's shape make batches of their own.
//! **Always.** `Ok` means on disk. A batch that fails before its commit has changed nothing and is run again: the same way
//! if it was a deadlock or a lost connection, with a savepoint a unit if one of its rows broke a constraint, and then unit
//! by unit. A commit whose outcome is unknown is never tried again: the connection is opened anew, nothing in memory is
//! trusted, and everyone in the batch is told [`Error::Busy`].
//! **Order.** First come, first admitted.
//! **Not here.** What a unit does: `batch.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ledger::Catalog;
use tokio::sync::{oneshot, watch};

use crate::batch::{self, Answers, Engine};
use crate::job::Workers;
use crate::open::Opener;
use crate::queue::Queue;
use crate::tx::Conn;
use crate::unit::Answer;
use crate::{Actor, Clock, Done, Error, Micros, Stats, Tx, Unit, dialect, idempotency, job, place};

/// The most units that wait: at 20,000 a second a fifth of a second's wait. More is told to come again.
pub(crate) const WAITING_MAX: usize = 4096;
/// The most steps of a batch, so that nobody waits long for others' work and a transaction stays small.
const BATCH_STEPS_MAX: usize = 4096;
/// How often a batch is tried again after a deadlock or a lost connection.
const ATTEMPTS_MAX: u32 = 5;
/// How much longer each time it waits before: a database that is away is not asked a thousand times a second.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the writer sleeps when nothing is asked and nothing expires; on a shared database others' claims expire, too.
const PATIENCE_ALONE: Duration = Duration::from_secs(60);
const PATIENCE_SHARED: Duration = Duration::from_secs(1);
/// How often what is over is forgotten: idempotency keys, finished jobs.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// The room that is kept free on the disk for the log of releases and deletes, and for the system: at least what SQLite's
/// log grows to, or a hundredth of a disk up to 1 GiB.
const FREE_BYTES_MIN: u64 = 24 << 20;
const FREE_BYTES_MAX: u64 = 1 << 30;

/// A unit that waits, and who waits for it.
pub(crate) struct Queued {
    unit: Unit<Answer>,
    answer: oneshot::Sender<Result<Done<Answer>, Error>>,
}

/// Puts a unit on the queue and waits for what comes of it.
pub(crate) async fn ask<T: Send + 'static>(queue: &Queue<Queued>, unit: Unit<T>) -> Result<Done<T>, Error> {
    let busy = || Error::Busy { retry_after_s: 1 };
    let (answer, answered) = oneshot::channel();
    if !queue.push(Queued { unit: unit.erase(), answer }) {
        return Err(busy());
    }
    let Done { value, at, claims, allotments } = answered.await.map_err(|_| busy())??;
    let value = value.downcast::<T>().map_err(|_| Error::Broken("a unit answered with another type".to_owned()))?;
    Ok(Done { value: *value, at, claims, allotments })
}

/// What the writer tells the rest of the store.
pub(crate) struct Pulse {
    /// When the next pending claim expires, in microseconds since 1970.
    pub next_expiry: AtomicI64,
    /// By how much the database's clock is ahead of the process's.
    ahead_us: AtomicI64,
    pub journal: watch::Sender<u64>,
    pub workers: Workers,
    commits: AtomicU64,
    units: AtomicU64,
    refused: AtomicU64,
    commit_us: AtomicU64,
    breaches: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse {
            next_expiry: AtomicI64::new(i64::MIN),
            ahead_us: AtomicI64::new(0),
            journal: watch::Sender::new(0),
            workers: Workers::default(),
            commits: AtomicU64::new(0),
            units: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            commit_us: AtomicU64::new(0),
            breaches: AtomicU64::new(0),
            threads: Mutex::default(),
        }
    }
}

impl Pulse {
    pub(crate) fn now(&self, clock: &Clock) -> Micros {
        clock.now().saturating_add(self.ahead_us.load(Relaxed))
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            commits: self.commits.load(Relaxed),
            units: self.units.load(Relaxed),
            refused: self.refused.load(Relaxed),
            commit_us: self.commit_us.load(Relaxed),
            waiting: 0,
            breaches: self.breaches.load(Relaxed),
        }
    }

    pub(crate) fn start(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(|error| Error::Broken(format!("{name} could not be started: {error}")))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Waits for the end of the threads.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The writer's thread.
pub(crate) struct Writer {
    opener: Opener,
    conn: Option<Conn>,
    catalog: Catalog,
    engine: Engine,
    clock: Clock,
    pulse: Arc<Pulse>,
    queue: Arc<Queue<Queued>>,
    free_space_of: Option<PathBuf>,
    was_full: bool,
    swept: Instant,
}

/// Why a batch was not committed.
enum Failure {
    /// It was not, and this is why.
    Known(Error),
    /// The database is away, or it is not known whether it was.
    Away,
}

/// Why one attempt at a batch failed.
enum Setback {
    /// Nothing was changed; the same again may succeed.
    Again(String),
    /// Nothing was changed; the same again would fail again.
    Failed(Error),
    /// The commit may have happened.
    Unknown(String),
}

impl Writer {
    pub(crate) fn new(
        opener: Opener,
        conn: Conn,
        catalog: Catalog,
        clock: Clock,
        pulse: Arc<Pulse>,
        queue: Arc<Queue<Queued>>,
        free_space_of: Option<PathBuf>,
    ) -> Writer {
        let engine = Engine::new(catalog.clone(), opener.is_alone());
        let swept = Instant::now();
        Writer { opener, conn: Some(conn), catalog, engine, clock, pulse, queue, free_space_of, was_full: false, swept }
    }

    pub(crate) fn run(mut self) {
        while let Some(batch) = self.take() {
            if batch.is_empty() && self.engine.next_expiry > self.pulse.now(&self.clock) && self.engine.alone {
                self.sweep();
                continue;
            }
            self.batch(batch);
            if self.engine.placed >= place::NEW_MAX {
                self.place();
            }
            self.sweep();
        }
    }

    fn place(&mut self) {
        match self.commit(&[&place::settle().erase()], false) {
            Ok(_) => self.engine.placed = 0,
            Err(Failure::Known(error)) => tracing::warn!(%error, "new claims were not moved to their allotments' list"),
            Err(Failure::Away) => {}
        }
    }

    /// The next batch: units of one sort, up to the bound.
    fn take(&self) -> Option<Vec<Queued>> {
        let (mut steps, mut is_shape) = (0, None);
        self.queue.take(self.patience(), |next| {
            steps += next.unit.steps.len() + 1;
            *is_shape.get_or_insert(next.unit.is_shape()) == next.unit.is_shape() && steps <= BATCH_STEPS_MAX
        })
    }

    /// Until the next claim expires.
    fn patience(&self) -> Duration {
        let most = if self.engine.alone { PATIENCE_ALONE } else { PATIENCE_SHARED };
        let left = self.engine.next_expiry.saturating_sub(self.pulse.now(&self.clock));
        // A clock that a test holds does not move while we wait.
        if self.clock.is_manual() {
            return most;
        }
        Duration::from_micros(left.max(1000) as u64).min(most)
    }

    fn sweep(&mut self) {
        if self.swept.elapsed() < SWEEP_EVERY {
            return;
        }
        self.swept = Instant::now();
        let unit = Unit::by(Actor::system("sweep")).rows(|tx| Ok(idempotency::sweep(tx)? + job::sweep(tx)?)).erase();
        if let Err(Failure::Known(error)) = self.commit(&[&unit], false) {
            tracing::warn!(%error, "what is over could not be forgotten; tried again in a minute");
        }
    }

    fn batch(&mut self, batch: Vec<Queued>) {
        let units: Vec<&Unit<Answer>> = batch.iter().map(|queued| &queued.unit).collect();
        let answers = match self.commit(&units, false) {
            Err(Failure::Known(error)) if units.len() > 1 => {
                tracing::debug!(%error, units = units.len(), "a batch failed and is run again with care");
                self.one_by_one(&units)
            }
            other => answers(other, units.len()),
        };
        drop(units);
        for (queued, answer) in batch.into_iter().zip(answers) {
            // Whoever hung up does not wait for it.
            let _ = queued.answer.send(answer);
        }
    }

    /// With a savepoint a unit; and if that fails as a whole, with a transaction a unit.
    fn one_by_one(&mut self, units: &[&Unit<Answer>]) -> Answers {
        match self.commit(units, true) {
            Err(Failure::Known(_)) => units.iter().flat_map(|unit| answers(self.commit(&[unit], true), 1)).collect(),
            other => answers(other, units.len()),
        }
    }

    fn commit(&mut self, units: &[&Unit<Answer>], careful: bool) -> Result<Answers, Failure> {
        let is_full = self.is_full();
        let mut made_room = false;
        for attempt in 0..ATTEMPTS_MAX {
            let setback = match self.attempt(units, careful, is_full) {
                Ok(answers) => return Ok(answers),
                Err(setback) => setback,
            };
            let is_shape = units.iter().any(|unit| unit.is_shape());
            self.take_back(&setback, is_shape);
            match setback {
                Setback::Again(why) => {
                    tracing::debug!(why, "a batch is tried again");
                    std::thread::sleep(PAUSE * attempt);
                }
                Setback::Unknown(why) => {
                    tracing::error!(why, units = units.len(), "it is not known whether a commit was made");
                    return Err(Failure::Away);
                }
                // What is in the log of SQLite may make room for a log that deletes.
                Setback::Failed(Error::Full) if !made_room && self.engine.alone => {
                    made_room = true;
                    let checkpoint = |conn: &mut Conn| conn.batch("PRAGMA wal_checkpoint(TRUNCATE)");
                    let _ = self.conn.as_mut().map(checkpoint);
                }
                Setback::Failed(error) => return Err(Failure::Known(error)),
            }
        }
        Err(Failure::Away)
    }

    /// Makes sure that nothing is left of a failed attempt.
    fn take_back(&mut self, setback: &Setback, is_shape: bool) {
        let rolled_back = self.conn.as_mut().is_some_and(|conn| {
            // SQLite has rolled back by itself after some errors, and then says that there is nothing to roll back.
            let _ = conn.batch("ROLLBACK");
            !conn.is_closed()
        });
        if matches!(setback, Setback::Unknown(_)) || !rolled_back {
            self.conn = None;
        }
        // A row that broke a constraint is no reason to read every node again.
        let is_known = matches!(setback, Setback::Failed(Error::Conflict(_))) && self.engine.alone && !is_shape;
        match is_known {
            true => {
                self.engine.book.rollback(0);
                // What the batch had let expire is back, too.
                self.engine.next_expiry = i64::MIN;
            }
            false => self.engine.forget(),
        }
    }

    fn attempt(&mut self, units: &[&Unit<Answer>], careful: bool, is_full: bool) -> Result<Answers, Setback> {
        let before = |error| match error {
            Error::Retry(why) => Setback::Again(why),
            error => Setback::Failed(error),
        };
        if self.conn.is_none() {
            let opened = self.opener.open(true);
            self.conn = Some(opened.map_err(|error| Setback::Again(error.to_string()))?);
        }
        let Some(conn) = &mut self.conn else { return Err(Setback::Again("no connection".to_owned())) };
        let is_shape = units.iter().any(|unit| unit.is_shape());
        let told = conn.begin_write(is_shape || units.iter().any(|unit| unit.exclusive)).map_err(before)?;
        if let Some(told) = &told
            && told.shape != self.engine.shape
        {
            self.engine.forget();
            self.engine.shape.clone_from(&told.shape);
        }
        let now = match told.filter(|_| !self.clock.is_manual()) {
            Some(told) => {
                self.pulse.ahead_us.store(told.now - self.clock.now(), Relaxed);
                told.now
            }
            None => self.clock.now(),
        };
        let tx = Tx::new(conn, &self.catalog, now);
        let engine = &mut self.engine;
        let ran = catch_unwind(AssertUnwindSafe(|| batch::run(engine, tx, units, careful, is_full)));
        let panicked = |_| Err(Error::Broken("a unit of work panicked".to_owned()));
        let (answers, reshaped) = ran.unwrap_or_else(panicked).map_err(before)?;
        if is_shape && !self.engine.alone {
            conn.batch(dialect::SHAPE_CHANGED).map_err(before)?;
        }
        let since = Instant::now();
        if let Err(error) = conn.batch("COMMIT") {
            return Err(match error {
                Error::Retry(why) if !conn.is_closed() => Setback::Again(why),
                Error::Retry(why) | Error::Broken(why) => Setback::Unknown(why),
                error => Setback::Failed(error),
            });
        }
        self.committed(units, &answers, since.elapsed());
        if is_shape {
            self.engine.forget_names();
        }
        if reshaped {
            self.engine.forget();
        }
        Ok(answers)
    }

    /// What follows a commit, in memory.
    fn committed(&mut self, units: &[&Unit<Answer>], answers: &Answers, took: Duration) {
        self.engine.book.commit();
        let pulse = &self.pulse;
        pulse.next_expiry.store(self.engine.next_expiry, std::sync::atomic::Ordering::Release);
        pulse.breaches.store(self.engine.breaches, Relaxed);
        pulse.commits.fetch_add(1, Relaxed);
        pulse.commit_us.fetch_add(took.as_micros() as u64, Relaxed);
        let mut wrote = 0;
        for (unit, answer) in units.iter().zip(answers) {
            match answer {
                Ok(_) if unit.dry => {}
                Ok(_) => {
                    wrote += 1;
                    unit.jobs.iter().for_each(|job| pulse.workers.wake(job.kind));
                }
                Err(Error::Refused(_)) => drop(pulse.refused.fetch_add(1, Relaxed)),
                Err(_) => {}
            }
        }
        if wrote > 0 {
            pulse.units.fetch_add(wrote, Relaxed);
            pulse.journal.send_modify(|commits| *commits += 1);
        }
    }

    /// Whether the disk is so full that nothing may grow.
    fn is_full(&mut self) -> bool {
        let Some(folder) = &self.free_space_of else { return false };
        let Ok(disk) = rustix::fs::statvfs(folder) else { return false };
        let (free, all) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
        let is_full = free < (all / 100).clamp(FREE_BYTES_MIN, FREE_BYTES_MAX);
        if is_full != self.was_full {
            self.was_full = is_full;
            match is_full {
                true => tracing::error!(
                    free_bytes = free,
                    "the disk is nearly full: claims of bytes are refused until there is room"
                ),
                false => tracing::info!(free_bytes = free, "the disk has room again"),
            }
        }
        is_full
    }
}

fn answers(outcome: Result<Answers, Failure>, units: usize) -> Answers {
    match outcome {
        Ok(answers) => answers,
        Err(Failure::Known(error)) if units == 1 => vec![Err(error)],
        Err(_) => (0..units).map(|_| Err(Error::Busy { retry_after_s: 1 })).collect(),
    }
}
