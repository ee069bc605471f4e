//! Taking up what the process before this one has left, and doing the jobs.

use std::sync::{Arc, Weak};

use store::Job;

use super::doom::{DELETE_JOB, DELETE_SNAPSHOT_JOB};
use super::fill::FILL_JOB;
use super::house::House;
use super::import::{self, IMPORT_JOB};
use super::{Volumes, doom, fill, named, row, tidy};
use crate::Error;
use crate::error::blocking;

/// How many rows are read at once.
const PAGE: usize = 256;

impl Volumes {
    /// Takes up what was left half done, before anything new begins: the folder is locked, so nobody else is at it. Then
    /// does the jobs, for as long as the runtime runs.
    pub(crate) async fn start(&self) -> Result<(), Error> {
        self.house.enter();
        let kinds = [FILL_JOB, IMPORT_JOB, DELETE_JOB, DELETE_SNAPSHOT_JOB];
        let unit = store::Unit::by(crate::system())
            .also(move |tx| kinds.into_iter().try_for_each(|kind| store::jobs::take_over(tx, kind).map(drop)));
        self.house.store.write(unit).await?;
        let house = self.house.clone();
        blocking(move || import::forget_broken_off(&house)).await??;
        self.work(FILL_JOB, |house, job| fill::run(house, job, named(job, "volume").map_err(invalid)?));
        self.work(IMPORT_JOB, |house, job| import::run(house, job, named(job, "volume").map_err(invalid)?));
        self.work(DELETE_JOB, |house, job| doom::delete_volume(house, named(job, "volume").map_err(invalid)?));
        self.work(DELETE_SNAPSHOT_JOB, |house, job| {
            doom::delete_snapshot(house, named(job, "snapshot").map_err(invalid)?)
        });
        // Whatever may take long is done beside everything else.
        let house = Arc::downgrade(&self.house);
        tokio::task::spawn_blocking(move || take_away(&house));
        Ok(())
    }

    /// Does the jobs of a kind on threads that may block.
    fn work(&self, kind: &'static str, run: fn(&Arc<House>, &Job) -> Result<(), Error>) {
        let house = Arc::downgrade(&self.house);
        self.house.store.work(kind, move |job| {
            let house = house.upgrade();
            async move {
                let house = house.ok_or("the server is stopping")?;
                let done = blocking(move || run(&house, &job)).await;
                done.and_then(|done| done).map_err(|error| error.to_string())
            }
        });
    }
}

fn invalid(text: String) -> Error {
    Error::Store(store::Error::Invalid(text))
}

/// What is doomed is deleted, also where its job has failed too often; what a crash has left of layers goes.
fn take_away(house: &Weak<House>) {
    let Some(house) = house.upgrade() else { return };
    say(tidy::sweep(&house));
    let mut after = None;
    loop {
        let Ok(page) = house.wait(house.store.read(move |tx| row::page(tx, after, PAGE))) else { return };
        let Some(last) = page.last() else { break };
        after = Some(last.0.id);
        for (info, _) in page.iter().filter(|(_, is_doomed)| *is_doomed) {
            say(doom::delete_volume(&house, info.id));
        }
    }
    let mut after = None;
    loop {
        let Ok(page) = house.wait(house.store.read(move |tx| row::snapshot_page(tx, after, PAGE))) else { return };
        let Some(last) = page.last() else { break };
        after = Some(last.0.id);
        for (info, _) in page.iter().filter(|(_, is_doomed)| *is_doomed) {
            say(doom::delete_snapshot(&house, info.id));
        }
    }
}

fn say(done: Result<(), Error>) {
    if let Err(error) = done {
        tracing::warn!(%error, "what is left of a deleted volume was not removed; its job tries again");
    }
}
