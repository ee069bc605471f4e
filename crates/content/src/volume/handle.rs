//! An open volume for callers that do not block.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

use super::chain::Chain;
use super::house::{House, Slot};
use super::live::Live;
use super::{Source, VolumeId, Volumes};
use crate::error::blocking;
use crate::{ByteStream, Error};

/// The most that is read or written at once.
pub const READ_BYTES_MAX: usize = 32 << 20;
/// What a body is written in.
const PIECE_BYTES: usize = 1 << 20;

/// A volume that is open. When the last one is dropped, it is flushed and closed.
#[derive(Clone)]
pub struct Handle {
    pub(super) open: Arc<Opened>,
}

/// What a handle keeps open.
pub(super) struct Opened {
    house: Arc<House>,
    slot: Arc<Slot>,
    pub live: Arc<Live>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.slot.handles.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let slot = self.slot.clone();
        self.house.enter().spawn_blocking(move || {
            if let Err(error) = slot.close_if_unused() {
                tracing::warn!(volume.id = %slot.id, %error, "a volume was not closed well; it is repaired when it is opened");
            }
        });
    }
}

impl Volumes {
    /// Opens a volume for reading and writing.
    pub async fn open(&self, volume: VolumeId) -> Result<Handle, Error> {
        self.house.enter();
        let house = self.house.clone();
        blocking(move || open(&house, volume)).await?
    }

    /// The bytes of a volume or a snapshot from one to another, both included; the end is cut at the source's.
    pub async fn download(&self, source: Source, range: Option<(u64, u64)>) -> Result<(u64, ByteStream), Error> {
        let view = self.view(source).await?;
        let size = view.size;
        let (start, end) = within(size, range)?;
        Ok((size, pieces(start, end, move |at, length| view.piece(at, length))))
    }

    /// What is seen of a source.
    pub(super) async fn view(&self, source: Source) -> Result<View, Error> {
        self.house.enter();
        let house = self.house.clone();
        let volume = match source {
            Source::Volume(id) => Some(self.open(id).await?),
            Source::Snapshot(_) => None,
        };
        let (size, layers) = self.layers(source).await?;
        blocking(move || match volume {
            Some(handle) => Ok(View { size: handle.open.live.size()?, seen: Arc::new(Seen::Live(handle)) }),
            None => {
                house.repair_layers(&layers)?;
                let chain = Chain::open(&house.files, layers).map_err(Error::disk("opening layers"))?;
                Ok(View { size, seen: Arc::new(Seen::Frozen(chain)) })
            }
        })
        .await?
    }
}

/// Opens a volume; blocks.
pub(super) fn open(house: &Arc<House>, volume: VolumeId) -> Result<Handle, Error> {
    let slot = house.slot(volume);
    let live = {
        let mut open = slot.gate.blocking_lock();
        let live = slot.live(house, &mut open)?;
        slot.handles.fetch_add(1, Ordering::AcqRel);
        live
    };
    Ok(Handle { open: Arc::new(Opened { house: house.clone(), slot, live }) })
}

impl Handle {
    /// How many bytes there are.
    pub async fn size(&self) -> Result<u64, Error> {
        self.with(|live| live.size()).await
    }

    /// Reads, at most [`READ_BYTES_MAX`].
    pub async fn read(&self, at: u64, length: usize) -> Result<Bytes, Error> {
        if length > READ_BYTES_MAX {
            return Err(Error::Store(store::Error::Invalid(format!(
                "at most {READ_BYTES_MAX} bytes are read at once"
            ))));
        }
        self.with(move |live| {
            let mut bytes = vec![0; length];
            live.read(&mut bytes, at)?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    /// Writes. It is on disk after the next [`Handle::flush`].
    pub async fn write(&self, at: u64, bytes: Bytes) -> Result<(), Error> {
        self.with(move |live| live.write(&bytes, at)).await
    }

    /// Writes a body of just this length. It is on disk after the next [`Handle::flush`].
    pub async fn write_all<S, E>(&self, at: u64, body: S, length: u64) -> Result<(), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut body, mut received, mut piece) = (std::pin::pin!(body), 0, BytesMut::new());
        loop {
            let frame = body.next().await.transpose().map_err(|error| Error::Body(error.into()))?;
            let is_last = frame.is_none();
            let frame = frame.unwrap_or_default();
            received += frame.len() as u64;
            if received > length || (is_last && received < length) {
                return Err(Error::Length { declared: length, received });
            }
            piece.extend_from_slice(&frame);
            while piece.len() >= PIECE_BYTES || (is_last && !piece.is_empty()) {
                let next = piece.split_to(piece.len().min(PIECE_BYTES)).freeze();
                let before = (next.len() + piece.len()) as u64;
                self.write(at + received - before, next).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// What was written before is on disk when this is back.
    pub async fn flush(&self) -> Result<(), Error> {
        self.with(|live| live.flush()).await
    }

    /// Makes it zeros, and gives its room back.
    pub async fn trim(&self, at: u64, length: u64) -> Result<(), Error> {
        self.with(move |live| live.zero(at, length, false)).await
    }

    /// Makes it zeros.
    pub async fn write_zeroes(&self, at: u64, length: u64) -> Result<(), Error> {
        self.with(move |live| live.zero(at, length, true)).await
    }

    /// Flushes; and, when it is the last one, closes.
    pub async fn close(self) -> Result<(), Error> {
        self.flush().await?;
        let slot = self.open.slot.clone();
        drop(self);
        blocking(move || slot.close_if_unused()).await?
    }

    async fn with<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Live) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let open = self.open.clone();
        blocking(move || call(&open.live)).await?
    }
}

/// What is seen of a source, and how many bytes of it.
#[derive(Clone)]
pub(super) struct View {
    pub size: u64,
    seen: Arc<Seen>,
}

enum Seen {
    Live(Handle),
    Frozen(Chain),
}

impl View {
    /// Blocks.
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        match &*self.seen {
            Seen::Live(handle) => handle.open.live.read(bytes, at),
            Seen::Frozen(chain) => chain.read(bytes, at).map_err(Error::disk("reading a snapshot")),
        }
    }

    fn piece(&self, at: u64, length: usize) -> Result<Bytes, Error> {
        let mut bytes = vec![0; length];
        self.read(&mut bytes, at)?;
        Ok(Bytes::from(bytes))
    }
}

/// From where to where, the end not included.
pub(super) fn within(size: u64, range: Option<(u64, u64)>) -> Result<(u64, u64), Error> {
    match range {
        None => Ok((0, size)),
        Some((start, end)) if start <= end && start < size => Ok((start, end.saturating_add(1).min(size))),
        Some((start, end)) => {
            let text = format!("bytes {start} to {end} of {size} are not there");
            Err(Error::Store(store::Error::Invalid(text)))
        }
    }
}

/// A stream of what `piece` answers, in pieces that begin with multiples of their length. `piece` may block.
pub(super) fn pieces(
    start: u64,
    end: u64,
    piece: impl Fn(u64, usize) -> Result<Bytes, Error> + Send + Sync + 'static,
) -> ByteStream {
    let piece = Arc::new(piece);
    let next = move |at: u64| {
        let piece = piece.clone();
        async move {
            if at >= end {
                return None;
            }
            let until = ((at / PIECE_BYTES as u64 + 1) * PIECE_BYTES as u64).min(end);
            let read = blocking(move || piece(at, (until - at) as usize)).await.flatten();
            let next = if read.is_ok() { until } else { end };
            Some((read, next))
        }
    };
    stream::unfold(start, next).boxed()
}
