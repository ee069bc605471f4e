//! Jobs: what follows a commit, once, and again after a failure or a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use store::{Error, Job, JobId, JobState, Store, params};
use tokio::sync::mpsc;

use crate::house::{House, by, word};

on_both! {
    a_job_runs_once_after_its_commit
    a_job_of_a_unit_that_failed_does_not_run
    a_job_that_failed_runs_again_later
    a_job_waits_through_a_restart
    a_job_whose_process_died_runs_again_when_its_lease_is_over
    a_job_that_was_ended_does_not_run_and_its_worker_is_told
    jobs_that_are_taken_over_are_due_at_once
    what_also_changes_is_written_before_the_units_own_rows_and_falls_with_them
}

fn worker(store: &Store, fails: u64) -> mpsc::UnboundedReceiver<Job> {
    let (ran, runs) = mpsc::unbounded_channel();
    let left = Arc::new(AtomicU64::new(fails));
    store.work("count", move |job| {
        let failed = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        ran.send(job).unwrap();
        async move { if failed { Err("the other side is away".to_owned()) } else { Ok(()) } }
    });
    runs
}

/// The job, once it is in this state.
async fn until(store: &Store, id: JobId, state: JobState) -> Job {
    let mut commits = store.watch_journal();
    loop {
        commits.mark_unchanged();
        let job = store.read(move |tx| store::jobs::find(tx, id)).await.unwrap().unwrap();
        if job.state == state {
            return job;
        }
        commits.changed().await.unwrap();
    }
}

async fn a_job_runs_once_after_its_commit(house: &mut House) {
    let mut runs = worker(&house.store, 0);
    for n in 0..20 {
        house.write(by().job("count", json!({"n": n}))).await.unwrap();
    }
    house.write(by().job("other", json!({}))).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..20 {
        let job = runs.recv().await.unwrap();
        assert_eq!((job.attempts, job.created_by.as_str()), (1, "system:test"));
        let done = until(&house.store, job.id, JobState::Done).await;
        assert_eq!((done.progress, done.error), (100, None));
        seen.push(job.payload);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
    assert!(runs.try_recv().is_err());
    assert_eq!(house.number("SELECT count(*) FROM jobs WHERE state = 'waiting' AND kind = 'other'").await, 1);
}

async fn a_job_of_a_unit_that_failed_does_not_run(house: &mut House) {
    let mut runs = worker(&house.store, 0);
    let failing = by().job("count", json!("never"));
    let failed = house.write(failing.rows(|_| Err::<(), _>(Error::Conflict("no".into())))).await;
    assert_eq!(word(&failed), "conflict");
    house.write(by().job("count", json!("next"))).await.unwrap();
    assert_eq!(runs.recv().await.unwrap().payload, "\"next\"");
}

async fn a_job_that_failed_runs_again_later(house: &mut House) {
    let mut runs = worker(&house.store, 1);
    house.write(by().job("count", json!("a"))).await.unwrap();
    let first = runs.recv().await.unwrap();
    let waiting = until(&house.store, first.id, JobState::Waiting).await;
    assert_eq!((waiting.error.as_deref(), waiting.attempts), (Some("the other side is away"), 1));
    // Its pause is not over: only the new one runs.
    house.write(by().job("count", json!("b"))).await.unwrap();
    assert_eq!(runs.recv().await.unwrap().payload, "\"b\"");
    house.later(60);
    house.write(by().job("count", json!("c"))).await.unwrap();
    let mut again = [runs.recv().await.unwrap(), runs.recv().await.unwrap()];
    again.sort_by_key(|job| job.payload.clone());
    assert_eq!((again[0].id, again[0].attempts, again[1].payload.as_str()), (first.id, 2, "\"c\""));
    assert_eq!(until(&house.store, first.id, JobState::Done).await.error, None);
}

async fn a_job_waits_through_a_restart(house: &mut House) {
    house.write(by().job("count", json!(7))).await.unwrap();
    house.reopen().await;
    let mut runs = worker(&house.store, 0);
    let job = runs.recv().await.unwrap();
    assert_eq!((job.payload.as_str(), job.attempts), ("7", 1));
    until(&house.store, job.id, JobState::Done).await;
    house.reopen().await;
    let mut runs = worker(&house.store, 0);
    house.write(by().job("count", json!(8))).await.unwrap();
    assert_eq!(runs.recv().await.unwrap().payload, "8", "what is done is not done again");
}

async fn a_job_whose_process_died_runs_again_when_its_lease_is_over(house: &mut House) {
    let (began, mut begun) = mpsc::unbounded_channel();
    house.store.work("count", move |job: Job| {
        began.send(job.id).unwrap();
        std::future::pending()
    });
    house.write(by().job("count", json!(7))).await.unwrap();
    let id = begun.recv().await.unwrap();
    house.reopen().await;
    let mut runs = worker(&house.store, 0);
    house.write(by().job("count", json!(8))).await.unwrap();
    assert_eq!(runs.recv().await.unwrap().payload, "8", "the other process may still be at it");
    house.later(301);
    house.write(by().job("count", json!(9))).await.unwrap();
    let mut again = [runs.recv().await.unwrap(), runs.recv().await.unwrap()];
    again.sort_by_key(|job| job.payload.clone());
    assert_eq!((again[0].id, again[0].attempts), (id, 2));
    until(&house.store, id, JobState::Done).await;
    let attempts = house
        .store
        .read(move |tx| tx.query_opt("SELECT attempts FROM jobs WHERE id = $1", &params![id])?.unwrap().get::<i64>(0));
    assert_eq!(attempts.await.unwrap(), 2);
}

async fn a_job_that_was_ended_does_not_run_and_its_worker_is_told(house: &mut House) {
    let (ended, waiting) = (JobId(house.store.new_id()), JobId(house.store.new_id()));
    let end = |id, why: Option<&'static str>| by().rows(move |tx| store::jobs::end(tx, id, why));
    house.write(by().job_as(ended, "count", json!(1))).await.unwrap();
    assert!(house.write(end(ended, Some("it was cancelled"))).await.unwrap().value);
    assert!(!house.write(end(ended, None)).await.unwrap().value, "it is over");
    let (began, mut begun) = mpsc::unbounded_channel();
    house.store.work("count", move |job: Job| {
        began.send(job).unwrap();
        std::future::pending()
    });
    house.write(by().job_as(waiting, "count", json!(2))).await.unwrap();
    let job = begun.recv().await.unwrap();
    assert_eq!(job.id, waiting);
    let progress = |job: Job| by().rows(move |tx| store::jobs::progress(tx, &job, 250));
    assert!(house.write(progress(job.clone())).await.unwrap().value);
    let found = house.store.read(move |tx| store::jobs::find(tx, waiting)).await.unwrap().unwrap();
    assert_eq!((found.progress, found.state), (99, JobState::Running), "only what is done is whole");
    assert!(house.write(end(waiting, None)).await.unwrap().value);
    assert!(!house.write(progress(job)).await.unwrap().value);
    let found = house.store.read(move |tx| store::jobs::find(tx, waiting)).await.unwrap().unwrap();
    assert_eq!((found.progress, found.state), (100, JobState::Done));
    let found = house.store.read(move |tx| store::jobs::find(tx, ended)).await.unwrap().unwrap();
    assert_eq!((found.state, found.error.as_deref()), (JobState::Failed, Some("it was cancelled")));
}

async fn jobs_that_are_taken_over_are_due_at_once(house: &mut House) {
    let (began, mut begun) = mpsc::unbounded_channel();
    house.store.work("count", move |job: Job| {
        began.send(job.id).unwrap();
        std::future::pending()
    });
    house.write(by().job("count", json!(7))).await.unwrap();
    let id = begun.recv().await.unwrap();
    house.reopen().await;
    let taken = house.write(by().rows(|tx| store::jobs::take_over(tx, "count"))).await.unwrap();
    assert_eq!(taken.value, 1);
    let mut runs = worker(&house.store, 0);
    assert_eq!(runs.recv().await.unwrap().id, id);
    until(&house.store, id, JobState::Done).await;
}

async fn what_also_changes_is_written_before_the_units_own_rows_and_falls_with_them(house: &mut House) {
    let also = || {
        by().also(|tx| tx.execute("INSERT INTO settings (key, value) VALUES ('also', $1)", &params!["first"]).map(drop))
    };
    let failed = also().rows(|_| Err::<(), _>(Error::Conflict("no".into())));
    assert_eq!(word(&house.write(failed).await), "conflict");
    let failed = also().also(|_| Err(Error::Conflict("no".into())));
    assert_eq!(word(&house.write(failed).await), "conflict");
    assert_eq!(house.number("SELECT count(*) FROM settings WHERE key = 'also'").await, 0);
    let seen = also().rows(|tx| tx.execute("UPDATE settings SET value = 'second' WHERE key = 'also'", &[]));
    assert_eq!(house.write(seen).await.unwrap().value, 1);
}
