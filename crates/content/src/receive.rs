//! Taking bytes in: charged before they are accepted, in steps where their number is not known.

use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use ledger::{AllotmentId, Amounts, Resource};
use store::{Actor, Managed, NewClaim, SupplyRef};

use crate::reservation::Reservation;
use crate::seal::Sealer;
use crate::sink::{Sink, Sum, Writer};
use crate::{Content, Error, SMALL_BYTES_MAX, Staged};

/// The first step of a reservation that grows, and the one after a refusal: little is kept from others for nothing.
const STEP_BYTES_MIN: u64 = 1024 * 1024;
/// The largest step: a commit for each is then nothing beside the bytes.
const STEP_BYTES_MAX: u64 = 64 * STEP_BYTES_MIN;

/// What is to be stored, but for the bytes.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who stores it.
    pub by: Actor,
    /// Who is charged.
    pub demand: AllotmentId,
    /// Where it lies.
    pub supply: SupplyRef,
    /// What is charged with the bytes, such as one object. Bytes said here do not count.
    pub extra: Amounts,
    /// For which noun.
    pub managed_by: Managed,
    /// How many bytes there will be, if that was said.
    pub declared_len: Option<u64>,
    /// Whether there will be exactly so many, as with a raw body's `Content-Length`. Otherwise there will be at most so
    /// many, as with the parts of a multipart body.
    pub declared_is_exact: bool,
}

impl Draft {
    fn exact_len(&self) -> Option<u64> {
        self.declared_len.filter(|_| self.declared_is_exact)
    }

    /// That so many bytes may have come by now.
    fn check_len(&self, received: u64) -> Result<(), Error> {
        match self.exact_len() {
            Some(declared) if received > declared => Err(Error::Length { declared, received }),
            _ => Ok(()),
        }
    }

    /// That so many bytes may be all.
    fn check_end(&self, received: u64) -> Result<(), Error> {
        match self.exact_len() {
            Some(declared) if received != declared => Err(Error::Length { declared, received }),
            _ => Ok(()),
        }
    }

    pub(crate) fn amounts(&self, bytes: u64) -> Result<Amounts, Error> {
        let amounts = self.extra.clone().with(Resource::BYTES, bytes);
        amounts.map_err(|error| Error::Store(store::Error::Invalid(error.to_string())))
    }

    /// The claim for so many bytes; whoever makes it gives it an id.
    pub(crate) fn claim(&self, id: ledger::ClaimId, bytes: u64) -> Result<NewClaim, Error> {
        Ok(NewClaim {
            id,
            demand: Some(self.demand.into()),
            supply: self.supply.clone(),
            amounts: self.amounts(bytes)?,
            lease: None,
            subject: None,
            managed_by: Some(self.managed_by.clone()),
        })
    }
}

impl Content {
    /// Takes a body in. Until [`Staged::commit`] it is nobody's; dropped before, it is freed.
    ///
    /// What is not accepted leaves nothing behind when this is back; if the future is dropped, soon after.
    pub async fn receive<S, E>(&self, draft: Draft, body: S) -> Result<Staged, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut body = pin!(body);
        let mut head = Vec::new();
        while draft.exact_len().is_none_or(|len| len <= SMALL_BYTES_MAX as u64) {
            let Some(frame) = next(&mut body).await? else {
                draft.check_end(head.len() as u64)?;
                return self.small(&draft, head);
            };
            draft.check_len((head.len() + frame.len()) as u64)?;
            if head.len() + frame.len() > SMALL_BYTES_MAX {
                return self.large(draft, vec![head.into(), frame], body).await;
            }
            head.extend_from_slice(&frame);
        }
        self.large(draft, Vec::new(), body).await
    }

    async fn large<S, E>(&self, draft: Draft, head: Vec<Bytes>, body: Pin<&mut S>) -> Result<Staged, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut upload = Upload::begin(self, draft, head.iter().map(|frame| frame.len() as u64).sum()).await?;
        match upload.take(head, body).await {
            Ok(sum) => self.staged(upload.reservation, &upload.draft, sum),
            Err(error) => {
                upload.sink.stop().await;
                upload.reservation.free().await;
                Err(error)
            }
        }
    }
}

async fn next<S, E>(body: &mut Pin<&mut S>) -> Result<Option<Bytes>, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.next().await.transpose().map_err(|error| Error::Body(error.into()))
}

/// A large body on its way in.
struct Upload {
    draft: Draft,
    reservation: Arc<Reservation>,
    sink: Sink,
    reserved: u64,
    received: u64,
    step: u64,
}

impl Upload {
    /// Reserves what was declared, exactly or at most, or a first step; `received` bytes are in hand.
    async fn begin(content: &Content, draft: Draft, received: u64) -> Result<Upload, Error> {
        let reservation = Arc::new(Reservation::new(content.clone()));
        let key = content.shared.key.as_ref();
        let sealer = key.map(|key| Sealer::new(key.cipher(reservation.blob)));
        let writer = Writer::new(content.disk().clone(), reservation.blob, sealer);
        let sink = Sink::new(Arc::clone(&reservation), writer);
        let mut upload = Upload { draft, reservation, sink, reserved: 0, received: 0, step: STEP_BYTES_MIN };
        // All that may come, at once: many that reserve step by step can keep each other from ever ending.
        let all = upload.draft.declared_len.unwrap_or(upload.ahead(received)).max(received);
        let first = match upload.draft.exact_len() {
            Some(len) => upload.charge(len).await,
            None => match upload.charge(all).await {
                Err(Error::Store(store::Error::Refused(_))) => upload.charge(received).await,
                charged => charged,
            },
        };
        match first {
            Ok(()) => Ok(upload),
            // Whether it was written is not known: dropping the reservation frees what there is.
            Err(error @ Error::Store(store::Error::Busy { .. } | store::Error::Broken(_))) => Err(error),
            Err(error) => {
                upload.reservation.settled();
                Err(error)
            }
        }
    }

    async fn charge(&mut self, bytes: u64) -> Result<(), Error> {
        let claim = self.draft.claim(self.reservation.claim, bytes)?;
        self.reservation.take(&self.draft.by, claim).await?;
        self.reserved = bytes;
        Ok(())
    }

    async fn take<S, E>(&mut self, head: Vec<Bytes>, mut body: Pin<&mut S>) -> Result<Sum, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        for frame in head {
            self.accept(frame).await?;
        }
        while let Some(frame) = next(&mut body).await? {
            self.accept(frame).await?;
        }
        self.draft.check_end(self.received)?;
        self.sink.finish().await
    }

    async fn accept(&mut self, frame: Bytes) -> Result<(), Error> {
        let needed = self.received + frame.len() as u64;
        self.draft.check_len(needed)?;
        if needed > self.reserved {
            self.grow(needed).await?;
        } else {
            self.reservation.keep_young().await?;
        }
        self.received = needed;
        self.sink.push(frame).await
    }

    /// Reserves a step more than `needed` or, where there is no room for that, exactly so much: what fills a limit fits.
    async fn grow(&mut self, needed: u64) -> Result<(), Error> {
        let ahead = self.ahead(needed);
        match self.resize(ahead).await {
            Ok(()) => self.step = (self.step * 2).min(STEP_BYTES_MAX),
            Err(Error::Store(store::Error::Refused(_))) if ahead > needed => {
                self.step = STEP_BYTES_MIN;
                self.resize(needed).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        self.reservation.resize(&self.draft.by, self.draft.amounts(bytes)?).await?;
        self.reserved = bytes;
        Ok(())
    }

    /// A step more than `needed`, but no more than can come.
    fn ahead(&self, needed: u64) -> u64 {
        let most = self.draft.declared_len.unwrap_or(ledger::AMOUNT_MAX);
        needed.saturating_add(self.step).min(most).max(needed)
    }
}
