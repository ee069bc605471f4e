//! Where the bytes of a large upload go: gathered, then hashed, sealed and written beside the loop that receives them.
//!
//! **Shape.** While one buffer of [`BUFFER_BYTES`] is written by a blocking task, the next is gathered; a third has to wait. The
//! task ends with its buffer, so a client that stalls holds no thread.
//! **Always.** A task holds its reservation: nobody cleans up before the last write is over, so no file is made after its
//! row has gone.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::disk::Disk;
use crate::error::{blocking, joined};
use crate::gather::Gather;
use crate::reservation::Reservation;
use crate::seal::Sealer;
use crate::{BlobId, Error};

/// How much is gathered for one write: enough that handing it over costs nothing beside writing it.
const BUFFER_BYTES: usize = 1024 * 1024;

/// After how many bytes the system is asked to begin writing them to the disk, so that the sync at the end has little left
/// to wait for.
const WRITEBACK_BYTES: u64 = 8 * 1024 * 1024;

/// What came of all bytes.
pub(crate) struct Sum {
    pub size: u64,
    pub sha256: [u8; 32],
}

type Written = (Box<Writer>, Result<(), Error>);

/// Takes frames in.
pub(crate) struct Sink {
    reservation: Arc<Reservation>,
    gather: Gather,
    /// None while a task has it.
    writer: Option<Box<Writer>>,
    task: Option<JoinHandle<Written>>,
}

impl Sink {
    pub(crate) fn new(reservation: Arc<Reservation>, writer: Writer) -> Sink {
        Sink { reservation, gather: Gather::default(), writer: Some(Box::new(writer)), task: None }
    }

    /// Takes a frame; waits while the buffer before it is being written.
    pub(crate) async fn push(&mut self, frame: Bytes) -> Result<(), Error> {
        self.gather.push(frame);
        if self.gather.len() < BUFFER_BYTES {
            return Ok(());
        }
        let mut writer = self.idle().await?;
        let (frames, reservation) = (self.gather.take(), Arc::clone(&self.reservation));
        self.task = Some(tokio::task::spawn_blocking(move || {
            let written = writer.write(&frames);
            drop(reservation);
            (writer, written)
        }));
        Ok(())
    }

    /// Writes what is left, and brings all to the disk.
    pub(crate) async fn finish(&mut self) -> Result<Sum, Error> {
        let mut writer = self.idle().await?;
        let (frames, reservation) = (self.gather.take(), Arc::clone(&self.reservation));
        blocking(move || {
            let sum = writer.write(&frames).and_then(|()| writer.finish());
            drop(reservation);
            sum
        })
        .await?
    }

    /// Waits until nothing is being written.
    pub(crate) async fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            // Whatever came of it is about to be removed.
            let _ = task.await;
        }
    }

    async fn idle(&mut self) -> Result<Box<Writer>, Error> {
        if let Some(task) = &mut self.task {
            let (writer, written) = joined(task.await)?;
            self.task = None;
            written?;
            self.writer = Some(writer);
        }
        let lost = || Error::Store(store::Error::Broken("an upload went on after its disk had failed".to_owned()));
        self.writer.take().ok_or_else(lost)
    }
}

/// Writes one blob's file. All calls block.
pub(crate) struct Writer {
    out: Out,
    sealer: Option<Sealer>,
    hash: Sha256,
    size: u64,
}

impl Writer {
    pub(crate) fn new(disk: Disk, blob: BlobId, sealer: Option<Sealer>) -> Writer {
        let out = Out { disk, blob, file: None, written: 0, flushed: 0 };
        Writer { out, sealer, hash: Sha256::new(), size: 0 }
    }

    fn write(&mut self, frames: &[Bytes]) -> Result<(), Error> {
        for frame in frames {
            self.hash.update(frame);
            self.size += frame.len() as u64;
            let written = match &mut self.sealer {
                Some(sealer) => sealer.push(frame, |chunk| self.out.write(chunk)),
                None => self.out.write(frame),
            };
            written.map_err(Error::disk("writing a blob"))?;
        }
        self.out.begin_writeback();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Sum, Error> {
        let sealed = self.sealer.take().map_or(Ok(()), |sealer| sealer.finish(|chunk| self.out.write(chunk)));
        sealed.and_then(|()| self.out.sync()).map_err(Error::disk("bringing a blob to the disk"))?;
        Ok(Sum { size: self.size, sha256: self.hash.finalize().into() })
    }
}

struct Out {
    disk: Disk,
    blob: BlobId,
    file: Option<File>,
    written: u64,
    flushed: u64,
}

impl Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.take_room(bytes.len() as u64)?;
        self.file()?.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Asks for what is not asked for yet. "Not needed soon" makes Linux start writing a range that is dirty, without
    /// waiting for it; a system that does otherwise has more to do at the end.
    fn begin_writeback(&mut self) {
        if let (Some(file), Some(len)) = (&self.file, NonZeroU64::new(self.written - self.flushed))
            && len.get() >= WRITEBACK_BYTES
        {
            let _ = fadvise(file, self.flushed, Some(len), Advice::DontNeed);
            self.flushed = self.written;
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_all()?;
        self.disk.publish(self.blob)
    }

    fn file(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.disk.create(self.blob)?,
        };
        Ok(self.file.insert(file))
    }
}
