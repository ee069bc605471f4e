//! Giving bytes out: whole or a part, in bounded memory, never wrong ones.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::error::{blocking, joined};
use crate::seal::{CHUNK_BYTES, Cipher, STORED_BYTES, TAG_BYTES, chunks, stored_len};
use crate::{BlobId, BlobInfo, Content, Error, blob};

/// What is read at once: whole chunks, so that none is opened twice.
const PIECE_BYTES: u64 = 4 * CHUNK_BYTES as u64;

/// The bytes of a blob, a piece at a time. After an error nothing follows.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

impl Content {
    /// Opens a blob, or the part of it from one byte to another, both included; the end is cut at the blob's.
    ///
    /// The first piece has been read when this is back, so most of what can go wrong does so here. Changed bytes are found
    /// here or in the stream where the blob is sealed, and here where it is read whole and fits one piece.
    pub async fn open(&self, blob: BlobId, range: Option<(u64, u64)>) -> Result<(BlobInfo, ByteStream), Error> {
        let (info, source) = self.source(blob).await?;
        let (start, end) = match range {
            None => (0, info.size),
            Some((start, end)) if start <= end && start < info.size => (start, end.saturating_add(1).min(info.size)),
            Some((start, end)) => {
                let text = format!("bytes {start} to {end} of {} are not there", info.size);
                return Err(Error::Store(store::Error::Invalid(text)));
            }
        };
        let mut pieces = Pieces { source: Arc::new(source), next: start, end, ahead: None };
        pieces.read_ahead();
        let Some(first) = pieces.take().await else {
            return Ok((info, stream::empty().boxed()));
        };
        let first = first?;
        if !info.small && first.len() as u64 == info.size {
            check_sum(&info, Sha256::digest(&first).into())?;
        }
        let rest = stream::unfold(pieces, |mut pieces| async { pieces.take().await.map(|piece| (piece, pieces)) });
        Ok((info, stream::once(async { Ok(first) }).chain(rest).boxed()))
    }

    /// Reads a blob again and compares it with its checksum.
    pub async fn verify(&self, blob: BlobId) -> Result<BlobInfo, Error> {
        let (info, source) = self.source(blob).await?;
        blocking(move || {
            let mut hash = Sha256::new();
            let mut next = 0;
            while next < info.size {
                let end = piece_end(next, info.size);
                hash.update(source.piece(next, end)?);
                next = end;
            }
            check_sum(&info, hash.finalize().into())?;
            Ok(info)
        })
        .await?
    }

    async fn source(&self, blob: BlobId) -> Result<(BlobInfo, Source), Error> {
        loop {
            let found = self.store().read(move |tx| blob::with_bytes(tx, blob)).await?;
            let (info, stored) = found.ok_or_else(|| Error::not_there(blob))?;
            let cipher = match (&self.shared.key, info.sealed) {
                (Some(key), true) => Some(key.cipher(blob)),
                (None, true) => return Err(Error::Locked(blob)),
                (_, false) => None,
            };
            if let Some(stored) = stored {
                let plain = cipher.map_or(Ok(stored.clone()), |cipher| cipher.open_small(stored))?;
                check_sum(&info, Sha256::digest(&plain).into())?;
                return Ok((info, Source::Memory(plain.into())));
            }
            let (disk, at) = (self.disk().clone(), info.clone());
            if let Some(source) = blocking(move || Stored::open(&disk, &at, cipher)).await?? {
                return Ok((info, Source::File(Box::new(source))));
            }
            // The file is gone: so is the blob by now, or it is damaged.
            if self.store().read(move |tx| blob::with_bytes(tx, blob)).await?.is_some() {
                return Err(Error::Damaged(blob));
            }
        }
    }
}

fn check_sum(info: &BlobInfo, sha256: [u8; 32]) -> Result<(), Error> {
    if sha256 == info.sha256 { Ok(()) } else { Err(Error::Damaged(info.id)) }
}

fn piece_end(next: u64, end: u64) -> u64 {
    (next / PIECE_BYTES + 1).saturating_mul(PIECE_BYTES).min(end)
}

/// What is read, one piece ahead of what is asked for.
struct Pieces {
    source: Arc<Source>,
    next: u64,
    end: u64,
    ahead: Option<JoinHandle<Result<Bytes, Error>>>,
}

impl Pieces {
    fn read_ahead(&mut self) {
        if self.next >= self.end {
            return;
        }
        let (source, start, end) = (Arc::clone(&self.source), self.next, piece_end(self.next, self.end));
        self.ahead = Some(tokio::task::spawn_blocking(move || source.piece(start, end)));
        self.next = end;
    }

    async fn take(&mut self) -> Option<Result<Bytes, Error>> {
        let piece = joined(self.ahead.take()?.await).flatten();
        if piece.is_ok() {
            self.read_ahead();
        }
        Some(piece)
    }
}

/// Where bytes are read from.
enum Source {
    Memory(Bytes),
    File(Box<Stored>),
}

impl Source {
    /// The bytes from `start` up to `end`. Blocks.
    fn piece(&self, start: u64, end: u64) -> Result<Bytes, Error> {
        match self {
            Source::Memory(bytes) => Ok(bytes.slice(start as usize..end as usize)),
            Source::File(stored) => stored.piece(start, end),
        }
    }
}

/// A blob's file.
struct Stored {
    blob: BlobId,
    size: u64,
    file: File,
    cipher: Option<Cipher>,
}

impl Stored {
    /// None where there is no file.
    fn open(disk: &crate::disk::Disk, info: &BlobInfo, cipher: Option<Cipher>) -> Result<Option<Stored>, Error> {
        let file = match disk.read(info.id) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::disk("opening a blob")(error)),
        };
        let length = file.metadata().map_err(Error::disk("opening a blob"))?.len();
        if length != stored_len(info.size, info.sealed) {
            return Err(Error::Damaged(info.id));
        }
        Ok(Some(Stored { blob: info.id, size: info.size, file, cipher }))
    }

    fn piece(&self, start: u64, end: u64) -> Result<Bytes, Error> {
        let Some(cipher) = &self.cipher else {
            return self.read(start, (end - start) as usize).map(Bytes::from);
        };
        let (chunk, stored) = (CHUNK_BYTES as u64, STORED_BYTES as u64);
        let (first, last) = (start / chunk, (end - 1) / chunk);
        let until = ((last + 1) * stored).min(stored_len(self.size, true));
        let mut bytes = self.read(first * stored, (until - first * stored) as usize)?;
        let final_chunk = chunks(self.size) - 1;
        let mut plain = Vec::with_capacity(bytes.len() - TAG_BYTES);
        for (index, sealed) in (first..).zip(bytes.chunks_mut(STORED_BYTES)) {
            plain.extend_from_slice(cipher.open(index, index == final_chunk, sealed)?);
        }
        let skip = (start - first * chunk) as usize;
        Ok(Bytes::from(plain).slice(skip..skip + (end - start) as usize))
    }

    fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at).map_err(|error: io::Error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::Damaged(self.blob),
            _ => Error::disk("reading a blob")(error),
        })?;
        Ok(bytes)
    }
}
