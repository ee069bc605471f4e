//! Freeing: what is left of uploads that broke off, and of blobs that were deleted.
//!
//! **Order.** An upload that broke off: claim, then file, then row, so that nothing can make it live once its file goes. A
//! doomed blob: file, then claim and rows in one commit. Whatever is interrupted is found again by its row.
//! **Always.** A file is removed after it was made sure that no row of `blobs` names it, or that `blobs_doomed` does. Every step
//! may be repeated, and may run beside itself.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ledger::ClaimId;
use store::{Tx, Unit};

use crate::blob::DELETE_JOB;
use crate::error::blocking;
use crate::{BlobId, BlobInfo, Content, Error, State, blob, system};

/// How often the sweep looks.
const EVERY: Duration = Duration::from_secs(60);
/// How many rows it reads at once.
const PAGE_ROWS: usize = 256;
/// How many rows it deletes in one commit: others wait for it no longer than for a commit of their own.
const DELETE_ROWS: usize = 128;

/// An upload turned out to be a blob: there is nothing to free.
#[derive(Debug, thiserror::Error)]
#[error("the blob is live")]
struct Live;

impl Content {
    /// Frees what the process before this one has left half done, before this one takes anything in: the folder is locked,
    /// so nobody is at work on it. Then sees to the job of deletes, and sweeps every minute for as long as the runtime runs.
    pub async fn start(&self) -> Result<(), Error> {
        self.forget_settled().await?;
        self.free_staging(|_, _| Ok(true)).await?;
        self.sweep().await?;
        self.see_to_deletes();
        self.volumes().start().await?;
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(shared) = shared.upgrade() else { return };
                if let Err(error) = (Content { shared }).sweep().await {
                    tracing::warn!(error = %error, "a sweep of content was given up; the next comes in a minute");
                }
            }
        });
        Ok(())
    }

    /// The job of deletes is done here, for as long as anybody holds this content.
    fn see_to_deletes(&self) {
        let shared = Arc::downgrade(&self.shared);
        self.store().work(DELETE_JOB, move |job| {
            let content = shared.upgrade().map(|shared| Content { shared });
            async move {
                let payload: serde_json::Value =
                    serde_json::from_str(&job.payload).map_err(|error| error.to_string())?;
                let blob = payload["blob"].as_str().and_then(|text| text.parse().ok());
                let blob: BlobId = blob.ok_or_else(|| format!("{payload} names no blob"))?;
                let content = content.ok_or("the server is stopping")?;
                content.delete_doomed(blob).await.map_err(|error| error.to_string())
            }
        });
    }

    /// Frees uploads whose lease is over, and what deletes have left. Beside uploads and deletes at any time.
    pub async fn sweep(&self) -> Result<(), Error> {
        self.forget_settled().await?;
        self.free_staging(|tx, claim| Ok(store::claims::find(tx, claim)?.is_none())).await?;
        self.delete_small().await?;
        self.delete_forgotten().await
    }

    /// Deletes staging rows of blobs that are live by now.
    async fn forget_settled(&self) -> Result<(), Error> {
        let settled = |tx: &mut Tx| {
            let join = "SELECT blobs_staging.id FROM blobs_staging JOIN blobs ON blobs.id = blobs_staging.id";
            ids(tx, &format!("{join} LIMIT {DELETE_ROWS}"))
        };
        self.in_parts(settled, |tx, blobs| blob::delete_from(tx, "blobs_staging", blobs)).await
    }

    /// Deletes doomed blobs that lie in the database. Their claims went with their nouns.
    async fn delete_small(&self) -> Result<(), Error> {
        let doomed = |tx: &mut Tx| {
            let join = "SELECT blobs.id FROM blobs_doomed JOIN blobs ON blobs.id = blobs_doomed.id";
            ids(tx, &format!("{join} WHERE blobs.bytes IS NOT NULL LIMIT {DELETE_ROWS}"))
        };
        self.in_parts(doomed, blob::delete).await
    }

    /// Deletes what `find` finds, part by part. Nothing to delete is no commit.
    async fn in_parts(
        &self,
        find: impl Fn(&mut Tx) -> Result<Vec<BlobId>, store::Error> + Clone + Send + Sync + 'static,
        delete: impl Fn(&mut Tx, &[BlobId]) -> Result<(), store::Error> + Clone + Send + Sync + 'static,
    ) -> Result<(), Error> {
        loop {
            let found = self.store().read(find.clone()).await?;
            if found.is_empty() {
                return Ok(());
            }
            let delete = delete.clone();
            self.store().write(Unit::by(system()).rows(move |tx| delete(tx, &found))).await?;
        }
    }

    /// Frees the uploads of which `dead` says so.
    async fn free_staging(
        &self,
        dead: impl Fn(&mut Tx, ClaimId) -> Result<bool, store::Error> + Clone + Send + 'static,
    ) -> Result<(), Error> {
        let mut after = None;
        loop {
            let dead = dead.clone();
            let read = self.store().read(move |tx| {
                let page = blob::staging(tx, after, PAGE_ROWS)?;
                let last = page.last().map(|(blob, _)| *blob);
                let mut found = Vec::new();
                for (blob, claim) in page {
                    if dead(tx, claim)? {
                        found.push((blob, claim));
                    }
                }
                Ok((found, last))
            });
            let (found, last) = read.await?;
            for (blob, claim) in found {
                self.free(blob, claim).await?;
            }
            if last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    /// Frees an upload, or says in the log why that must wait.
    pub(crate) async fn free_or_say(&self, blob: BlobId, claim: ClaimId) {
        if let Err(error) = self.free(blob, claim).await {
            tracing::warn!(blob.id = %blob, error = %error, "an upload that broke off was not freed; the sweep will do it");
        }
    }

    /// Frees an upload that broke off: claim, file, row. One that is a blob by now stays.
    async fn free(&self, blob: BlobId, claim: ClaimId) -> Result<(), Error> {
        if self.give_up(blob, claim).await? {
            self.remove_file(blob).await?;
        }
        self.store().write(Unit::by(system()).rows(move |tx| blob::delete_from(tx, "blobs_staging", &[blob]))).await?;
        Ok(())
    }

    /// Makes sure that the upload never becomes a blob; false when it is one.
    ///
    /// It becomes one only by settling its claim in the very commit that adds its row. So either its row is there, or the
    /// claim, once gone, keeps it from ever being there.
    async fn give_up(&self, blob: BlobId, claim: ClaimId) -> Result<bool, store::Error> {
        let unit = Unit::by(system()).release(claim).rows(move |tx| match blob::exists(tx, blob)? {
            true => Err(store::Error::noun(Live)),
            false => Ok(()),
        });
        match self.store().write(unit).await {
            Ok(_) => Ok(true),
            Err(store::Error::NotFound { .. }) => self.store().read(move |tx| Ok(!blob::exists(tx, blob)?)).await,
            Err(error) => error.downcast::<Live>().map(|Live| false),
        }
    }

    async fn remove_file(&self, blob: BlobId) -> Result<(), Error> {
        let disk = self.disk().clone();
        blocking(move || disk.remove(&[blob])).await?.map_err(Error::disk("removing a blob"))
    }

    /// Removes what is left of a doomed blob: file, then claim and rows. Repeated, it does nothing.
    pub(crate) async fn delete_doomed(&self, blob: BlobId) -> Result<(), Error> {
        let found = self.store().read(move |tx| blob::info(tx, blob)).await?;
        let Some(info) = found.filter(|info| info.state == State::Doomed) else { return Ok(()) };
        if !info.small {
            self.remove_file(blob).await?;
        }
        let released = match info.small {
            true => Err(store::Error::not_found("claim", info.claim)),
            false => self.store().write(forgetting(Unit::by(system()).release(info.claim), &info)).await,
        };
        match released {
            // A claim that is gone already, as a small blob's is, leaves the rows to be deleted.
            Err(store::Error::NotFound { .. }) => {
                self.store().write(forgetting(Unit::by(system()), &info)).await?;
                Ok(())
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// Deletes doomed blobs that were doomed when the last sweep looked: their job has been given up.
    async fn delete_forgotten(&self) -> Result<(), Error> {
        let sql = format!("SELECT id FROM blobs_doomed ORDER BY id LIMIT {PAGE_ROWS}");
        let doomed = self.store().read(move |tx| ids(tx, &sql)).await?;
        let before = {
            let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *seen, doomed.clone())
        };
        for blob in doomed.into_iter().filter(|blob| before.contains(blob)) {
            self.delete_doomed(blob).await?;
        }
        Ok(())
    }
}

fn forgetting(unit: Unit, info: &BlobInfo) -> Unit {
    let blob = info.id;
    unit.rows(move |tx| blob::delete(tx, &[blob]))
}

fn ids(tx: &mut Tx, sql: &str) -> Result<Vec<BlobId>, store::Error> {
    tx.query(sql, &[])?.iter().map(|row| row.get(0)).collect()
}
