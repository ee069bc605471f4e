//! Bytes that were taken in and are nobody's yet.

use std::sync::Arc;

use ledger::{Amounts, ClaimId};
use sha2::{Digest, Sha256};
use store::{Done, NewClaim, Unit};

use crate::receive::Draft;
use crate::reservation::Reservation;
use crate::sink::Sum;
use crate::{BlobId, BlobInfo, Content, Error, State, blob};

/// Bytes that were taken in. [`Staged::commit`] makes them a blob; dropped before, they are freed.
#[must_use = "what is not committed is freed"]
pub struct Staged {
    /// How many bytes there are.
    pub size: u64,
    /// Of those bytes.
    pub sha256: [u8; 32],
    /// What they are charged by.
    pub claim: ClaimId,
    /// The blob they will be.
    pub blob: BlobId,
    content: Content,
    place: Place,
}

enum Place {
    /// In hand, as they will be stored; charged by the commit itself.
    Memory { stored: Vec<u8>, charge: Box<NewClaim> },
    /// On disk, reserved.
    File { reservation: Arc<Reservation>, amounts: Amounts },
}

impl Content {
    pub(crate) fn small(&self, draft: &Draft, plain: Vec<u8>) -> Result<Staged, Error> {
        let (blob, claim) = (BlobId(self.store().new_id()), ClaimId(self.store().new_id()));
        let (size, sha256) = (plain.len() as u64, Sha256::digest(&plain).into());
        let charge = Box::new(draft.claim(claim, size)?);
        let stored = match &self.shared.key {
            Some(key) => key.cipher(blob).seal_small(&plain),
            None => plain,
        };
        Ok(Staged { size, sha256, claim, blob, content: self.clone(), place: Place::Memory { stored, charge } })
    }

    pub(crate) fn staged(&self, reservation: Arc<Reservation>, draft: &Draft, sum: Sum) -> Result<Staged, Error> {
        let (blob, claim) = (reservation.blob, reservation.claim);
        let place = Place::File { reservation, amounts: draft.amounts(sum.size)? };
        Ok(Staged { size: sum.size, sha256: sum.sha256, claim, blob, content: self.clone(), place })
    }

    /// Writes `unit` and in the same commit makes all of `staged` blobs, charged at their true sizes. When the unit is not
    /// written, they are freed before this is back.
    pub async fn commit<T: Send + 'static>(&self, staged: Vec<Staged>, unit: Unit<T>) -> Result<Done<T>, store::Error> {
        let mut reservations = Vec::new();
        let unit = staged.into_iter().fold(unit, |unit, staged| staged.add_to(unit, &mut reservations));
        let done = self.store().write(unit).await;
        for reservation in reservations {
            match &done {
                Ok(_) => reservation.settled(),
                Err(_) => reservation.free().await,
            }
        }
        done
    }
}

impl Staged {
    /// As [`Content::commit`] for one.
    pub async fn commit<T: Send + 'static>(self, unit: Unit<T>) -> Result<Done<T>, store::Error> {
        let content = self.content.clone();
        content.commit(vec![self], unit).await
    }

    /// A strong entity tag.
    pub fn etag(&self) -> String {
        blob::etag(&self.sha256)
    }

    fn add_to<T>(self, unit: Unit<T>, reservations: &mut Vec<Arc<Reservation>>) -> Unit<T> {
        let info = BlobInfo {
            id: self.blob,
            claim: self.claim,
            size: self.size,
            sha256: self.sha256,
            sealed: self.content.shared.key.is_some(),
            small: matches!(self.place, Place::Memory { .. }),
            state: State::Live,
            created_at: self.content.store().now(),
        };
        match self.place {
            Place::Memory { stored, charge } => blob::insert(unit.charge(*charge), &info, Some(stored)),
            Place::File { reservation, amounts } => {
                reservations.push(reservation);
                blob::insert(unit.settle(self.claim, Some(amounts)), &info, None)
            }
        }
    }
}
