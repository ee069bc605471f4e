//! A reservation: what an upload has of the store before it is a blob, and what frees it if it never becomes one.
//!
//! **Always.** While anybody holds it, a task renews its lease, however slow the body is. When the last holder lets go of it
//! before [`Reservation::settled`], what it has is freed: claim, file, row. Freeing checks first whether the blob has
//! become live, so it may come too late, twice, or beside the sweep.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ledger::{Amounts, ClaimId};
use store::{NewClaim, Unit};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::{BlobId, Content, LEASE_S, RENEW_AFTER_S, blob, system};

pub(crate) struct Reservation {
    content: Content,
    pub blob: BlobId,
    pub claim: ClaimId,
    renewed_at: AtomicI64,
    /// Whether there may be something to free.
    armed: AtomicBool,
    runtime: Handle,
    keeper: OnceLock<AbortHandle>,
}

impl Reservation {
    /// Armed before the store is asked: whoever drops the question halfway frees what may come of it.
    pub(crate) fn new(content: Content) -> Reservation {
        let (blob, claim) = (BlobId(content.store().new_id()), ClaimId(content.store().new_id()));
        let renewed_at = AtomicI64::new(content.store().now());
        let (armed, runtime) = (AtomicBool::new(true), Handle::current());
        Reservation { content, blob, claim, renewed_at, armed, runtime, keeper: OnceLock::new() }
    }

    /// Takes `charge` as a pending claim, with the row that says so.
    pub(crate) async fn take(self: &Arc<Self>, by: &store::Actor, charge: NewClaim) -> Result<(), store::Error> {
        let now = self.content.store().now();
        let unit = Unit::by(by.clone()).charge(NewClaim { id: self.claim, lease: Some(LEASE_S), ..charge });
        self.content.store().write(blob::insert_staging(unit, self.blob, self.claim, now)).await?;
        self.renewed_at.store(now, Ordering::Relaxed);
        let keeper = self.runtime.spawn(keep(Arc::downgrade(self)));
        // A reservation is taken once.
        let _ = self.keeper.set(keeper.abort_handle());
        Ok(())
    }

    /// Changes how much is reserved; the lease begins anew.
    pub(crate) async fn resize(&self, by: &store::Actor, amounts: Amounts) -> Result<(), store::Error> {
        self.renewing(Unit::by(by.clone()).set(self.claim, amounts)).await
    }

    /// Renews the lease if it is no longer young.
    pub(crate) async fn keep_young(&self) -> Result<(), store::Error> {
        let age = self.content.store().now() - self.renewed_at.load(Ordering::Relaxed);
        if age < RENEW_AFTER_S * 1_000_000 {
            return Ok(());
        }
        self.renewing(Unit::by(system())).await
    }

    async fn renewing(&self, unit: Unit) -> Result<(), store::Error> {
        let now = self.content.store().now();
        let renewed = self.content.store().write(unit.renew(self.claim, LEASE_S)).await;
        match renewed {
            Ok(_) => self.renewed_at.store(now, Ordering::Relaxed),
            Err(store::Error::NotFound { noun: "claim", .. }) => return Err(expired()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The blob is live, or the store has refused it: there is nothing to free.
    pub(crate) fn settled(&self) {
        self.armed.store(false, Ordering::Release);
        self.stop_keeper();
    }

    /// Frees now. What cannot be freed now is freed by the sweep, when the lease is over.
    pub(crate) async fn free(&self) {
        self.stop_keeper();
        self.content.free_or_say(self.blob, self.claim).await;
        self.settled();
    }

    fn stop_keeper(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.abort();
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.stop_keeper();
        if self.armed.load(Ordering::Acquire) {
            let (content, blob, claim) = (self.content.clone(), self.blob, self.claim);
            self.runtime.spawn(async move { content.free_or_say(blob, claim).await });
        }
    }
}

fn expired() -> store::Error {
    store::Error::Conflict("the upload stalled for so long that its reservation expired".to_owned())
}

/// Renews the lease of a body that comes too slowly to do it itself.
async fn keep(reservation: Weak<Reservation>) {
    loop {
        tokio::time::sleep(Duration::from_secs(RENEW_AFTER_S as u64)).await;
        let Some(reservation) = reservation.upgrade() else { return };
        // Refused now is tried again in the next round, which comes before the lease ends.
        if let Err(error) = reservation.keep_young().await {
            tracing::warn!(blob.id = %reservation.blob, error = %error, "the lease of an upload was not renewed");
        }
    }
}
