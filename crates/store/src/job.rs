//! Jobs: what follows a commit, in rows of it.
//!
//! **Always.** A job is taken by a lease, so it runs in one process at a time; one that dies is taken again when the lease
//! is over. A worker must therefore bear being run twice. What failed is tried again, later each time, [`ATTEMPTS_MAX`]
//! times; then it stays as `failed`, to be seen.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::unit::{Answer, NewJob, Unit};
use crate::{Actor, Error, JobId, Micros, Row, Shared, Store, TenantId, Tx, Value, params};

/// How long a worker has a job to itself without a sign of life.
const LEASE_US: Micros = 300 * 1_000_000;
/// How often a job is tried.
pub const ATTEMPTS_MAX: u64 = 12;
/// How often a worker looks without being told: for jobs of other processes, and for leases that are over.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long finished jobs can still be looked at.
const KEPT_US: Micros = 24 * 3_600_000_000;

/// Where a job is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// It is due, now or later.
    Waiting,
    /// Somebody is at it.
    Running,
    /// It was done.
    Done,
    /// It was tried as often as jobs are.
    Failed,
}

impl JobState {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
        }
    }
}

/// A job.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// To what, in JSON.
    pub payload: String,
    /// Where it is.
    pub state: JobState,
    /// For whom; none is the site's own.
    pub tenant: Option<TenantId>,
    /// Who made it, as in the journal.
    pub created_by: String,
    /// How often it was begun.
    pub attempts: u64,
    /// How far it is, in hundredths.
    pub progress: u64,
    /// Why it failed the last time.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: Micros,
    /// When it last changed.
    pub updated_at: Micros,
}

/// What wakes the workers of this process.
#[derive(Default)]
pub(crate) struct Workers {
    kinds: Mutex<Vec<(&'static str, Arc<Notify>)>>,
}

impl Workers {
    fn add(&self, kind: &'static str) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).push((kind, notify.clone()));
        notify
    }

    /// A job of this kind was committed.
    pub(crate) fn wake(&self, kind: &str) {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().filter(|(known, _)| *known == kind).for_each(|(_, notify)| notify.notify_one());
    }
}

const COLUMNS: &str =
    "id, kind, payload, state, tenant_id, created_by, attempts, progress, error, created_at, updated_at";
const INTO: &str =
    "jobs (id, kind, payload, state, tenant_id, created_by, attempts, run_at, progress, created_at, updated_at)";

/// The row of a new job.
pub(crate) fn insert(tx: &Tx, unit: &Unit<Answer>, job: &NewJob) -> (&'static str, Vec<Value>) {
    let now = tx.now();
    let values = params![
        job.id,
        job.kind,
        job.payload.to_string(),
        JobState::Waiting.as_str(),
        unit.tenant,
        unit.actor.as_str(),
        0_u64,
        now,
        0_u64,
        now,
        now
    ];
    (INTO, values.to_vec())
}

/// A job by its id.
pub fn find(tx: &mut Tx, id: JobId) -> Result<Option<Job>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

fn from_row(row: &Row) -> Result<Job, Error> {
    let word: String = row.get(3)?;
    let states = [JobState::Waiting, JobState::Running, JobState::Done, JobState::Failed];
    let state = states.into_iter().find(|state| state.as_str() == word);
    Ok(Job {
        id: row.get(0)?,
        kind: row.get(1)?,
        payload: row.get(2)?,
        state: state.ok_or_else(|| Error::Broken(format!("a job is {word:?}")))?,
        tenant: row.get(4)?,
        created_by: row.get(5)?,
        attempts: row.get(6)?,
        progress: row.get(7)?,
        error: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

/// Takes the job of a kind that has been due for longest, by a lease. One that has ended as many processes as jobs are
/// tried is taken no more.
fn take(tx: &mut Tx, kind: &str) -> Result<Option<Job>, Error> {
    let lost = "UPDATE jobs SET state = 'failed', error = 'it never came to an end', updated_at = $2 \
        WHERE kind = $1 AND state = 'running' AND lease_until <= $2 AND attempts >= $3";
    tx.execute(lost, &params![kind, tx.now(), ATTEMPTS_MAX])?;
    let due = format!(
        "SELECT id FROM jobs WHERE kind = $1 AND ((state = 'waiting' AND run_at <= $2) \
         OR (state = 'running' AND lease_until <= $2)) ORDER BY run_at LIMIT 1{}",
        tx.dialect().for_update("jobs")
    );
    let Some(due) = tx.query_opt(&due, &params![kind, tx.now()])? else { return Ok(None) };
    let sql = format!(
        "UPDATE jobs SET state = 'running', lease_until = $2, attempts = attempts + 1, updated_at = $3 \
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    let id: JobId = due.get(0)?;
    tx.query_opt(&sql, &params![id, tx.now() + LEASE_US, tx.now()])?.as_ref().map(from_row).transpose()
}

/// Notes how a job went. One that failed comes again after a pause that doubles.
fn settle(tx: &mut Tx, job: &Job, outcome: &Result<(), String>) -> Result<(), Error> {
    let (state, error) = match outcome {
        Ok(()) => (JobState::Done, None),
        Err(why) if job.attempts >= ATTEMPTS_MAX => (JobState::Failed, Some(why)),
        Err(why) => (JobState::Waiting, Some(why)),
    };
    let pause = 1_000_000_i64 << job.attempts.min(10);
    let progress = if state == JobState::Done { 100 } else { job.progress };
    let sql = "UPDATE jobs SET state = $2, error = $3, run_at = $4, lease_until = NULL, progress = $5, updated_at = $6 \
        WHERE id = $1 AND state = 'running' AND attempts = $7";
    let values = params![job.id, state.as_str(), error, tx.now() + pause, progress, tx.now(), job.attempts];
    // Taken by another meanwhile, it is that one's to settle.
    tx.execute(sql, &values)?;
    Ok(())
}

/// Notes how far a job is, in hundredths, and that somebody is still at it; false when it is no longer this worker's: it was
/// ended, or taken by another.
pub fn progress(tx: &mut Tx, job: &Job, hundredths: u64) -> Result<bool, Error> {
    let sql = "UPDATE jobs SET progress = $3, lease_until = $4, updated_at = $5 \
        WHERE id = $1 AND state = 'running' AND attempts = $2";
    let values = params![job.id, job.attempts, hundredths.min(99), tx.now() + LEASE_US, tx.now()];
    Ok(tx.execute(sql, &values)? == 1)
}

/// Ends a job that is not over: done, or failed for this reason and not to be tried again. False when it was over. A worker
/// that is at it is told by [`progress`].
pub fn end(tx: &mut Tx, id: JobId, failed: Option<&str>) -> Result<bool, Error> {
    let (state, progress) = match failed {
        None => (JobState::Done, "100"),
        Some(_) => (JobState::Failed, "progress"),
    };
    let sql = format!(
        "UPDATE jobs SET state = $2, error = $3, lease_until = NULL, progress = {progress}, updated_at = $4 \
         WHERE id = $1 AND state IN ('waiting', 'running')"
    );
    Ok(tx.execute(&sql, &params![id, state.as_str(), failed, tx.now()])? == 1)
}

/// Makes jobs of this kind due at once, whoever was at them: for a kind that only this process sees to, at its start.
pub fn take_over(tx: &mut Tx, kind: &str) -> Result<u64, Error> {
    let sql = "UPDATE jobs SET lease_until = $2, run_at = $2 WHERE kind = $1 AND state IN ('waiting', 'running')";
    tx.execute(sql, &params![kind, tx.now()])
}

/// Forgets jobs that were done a while ago.
pub(crate) fn sweep(tx: &mut Tx) -> Result<u64, Error> {
    let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'done' AND updated_at <= $1 LIMIT 1000)";
    tx.execute(sql, &params![tx.now() - KEPT_US])
}

/// See [`Store::work`].
pub(crate) fn work<F>(store: &Store, kind: &'static str, run: impl Fn(Job) -> F + Send + Sync + 'static)
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let (notify, store) = (store.shared.pulse.workers.add(kind), Arc::downgrade(&store.shared));
    tokio::spawn(async move {
        while let Some(done) = round(&store, kind, &run).await {
            if done == 0 {
                let _ = tokio::time::timeout(LOOK_EVERY, notify.notified()).await;
            }
        }
    });
}

/// Takes and does what is due; how many jobs that were. None when the store is closed.
async fn round<F>(store: &Weak<Shared>, kind: &'static str, run: &impl Fn(Job) -> F) -> Option<usize>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let store = Store { shared: store.upgrade().filter(|shared| shared.write_queue.is_open())? };
    // A look first: taking is a commit, and there is hardly ever anything to take.
    let due = "SELECT 1 FROM jobs WHERE kind = $1 AND ((state = 'waiting' AND run_at <= $2) \
        OR (state = 'running' AND lease_until <= $2)) LIMIT 1";
    let due = store.read(move |tx| tx.query_opt(due, &params![kind, tx.now()])).await;
    if matches!(due, Ok(None)) {
        return Some(0);
    }
    let by = || Unit::by(Actor::system("jobs"));
    let taken = match store.write(by().rows(move |tx| take(tx, kind))).await {
        Ok(done) => done.value,
        Err(error) => {
            tracing::debug!(job.kind = kind, %error, "due jobs could not be taken; tried again soon");
            return Some(0);
        }
    };
    let count = usize::from(taken.is_some());
    if let Some(job) = taken {
        // A task of its own, so that a panic in it is its own.
        let running = tokio::spawn(run(job.clone()));
        let outcome = running.await.unwrap_or_else(|stopped| Err(format!("it was stopped: {stopped}")));
        if let Err(why) = &outcome {
            tracing::warn!(job.id = %job.id, job.kind = kind, job.attempts = job.attempts, why, "a job failed");
        }
        // Not noted, it is done again when its lease is over.
        let _ = store.write(by().rows(move |tx| settle(tx, &job, &outcome))).await;
    }
    Some(count)
}
