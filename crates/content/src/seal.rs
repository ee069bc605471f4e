//! Encryption at rest: a blob as a row of sealed chunks.
//!
//! **Shape.** Each blob has a key of its own (HKDF-SHA256 of the site's key and the blob's id). Its bytes are cut into chunks
//! of [`CHUNK_BYTES`], each sealed by AES-256-GCM with its number as nonce, and its number and whether it is the last as
//! associated data; stored, a chunk is its ciphertext and a tag of [`TAG_BYTES`].
//! **Always.** A nonce is used once a key, as an id is used once and a chunk is written once. A chunk that was changed,
//! moved, taken from another blob or cut off does not open. An empty blob is one empty chunk: it can be damaged, too.
//! **Not here.** Where the key comes from; files.

use aes_gcm::aead::AeadInPlace;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::{BlobId, Error};

/// Plain bytes in a chunk: small enough that a range reads little more than itself, large enough that tags do not count.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// What sealing adds to a chunk.
pub(crate) const TAG_BYTES: usize = 16;
/// A full chunk as it is stored.
pub(crate) const STORED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// The site's key, from which every blob's is made. Never printed.
#[derive(Clone)]
pub struct SiteKey([u8; 32]);

impl SiteKey {
    /// From 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> SiteKey {
        SiteKey(bytes)
    }

    /// From 64 hex digits, as in the site file.
    pub fn from_hex(digits: &str) -> Option<SiteKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(SiteKey(bytes))
    }

    pub(crate) fn cipher(&self, blob: BlobId) -> Cipher {
        let mut key = [0; 32];
        let info = [b"plimsoll blob 1".as_slice(), blob.0.as_bytes()];
        Hkdf::<Sha256>::new(None, &self.0).expand_multi_info(&info, &mut key).expect("32 bytes are one block of HKDF");
        Cipher { blob, cipher: Aes256Gcm::new(&key.into()) }
    }
}

impl std::fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SiteKey(…)")
    }
}

/// How many chunks a blob of `size` bytes has.
pub(crate) fn chunks(size: u64) -> u64 {
    size.div_ceil(CHUNK_BYTES as u64).max(1)
}

/// How long a blob of `size` bytes is on disk.
pub(crate) fn stored_len(size: u64, sealed: bool) -> u64 {
    if sealed { size + chunks(size) * TAG_BYTES as u64 } else { size }
}

/// What seals and opens the chunks of one blob.
pub(crate) struct Cipher {
    blob: BlobId,
    cipher: Aes256Gcm,
}

impl Cipher {
    /// Seals chunk `index` where it lies, and adds the tag.
    pub(crate) fn seal(&self, index: u64, last: bool, chunk: &mut Vec<u8>) {
        let sealed = self.cipher.encrypt_in_place_detached(&nonce(index), &bound(index, last), chunk);
        chunk.extend_from_slice(&sealed.expect("a chunk is far below what GCM seals"));
    }

    /// Opens chunk `index` where it lies; answers its plain part.
    pub(crate) fn open<'a>(&self, index: u64, last: bool, stored: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let damaged = || Error::Damaged(self.blob);
        let plain = stored.len().checked_sub(TAG_BYTES).ok_or_else(damaged)?;
        let (chunk, tag) = stored.split_at_mut(plain);
        let opened =
            self.cipher.decrypt_in_place_detached(&nonce(index), &bound(index, last), chunk, Tag::from_slice(tag));
        opened.map_err(|_| damaged())?;
        Ok(chunk)
    }

    /// Seals all of a small blob.
    pub(crate) fn seal_small(&self, plain: &[u8]) -> Vec<u8> {
        debug_assert!(plain.len() <= CHUNK_BYTES, "small content is one chunk");
        let mut chunk = Vec::with_capacity(plain.len() + TAG_BYTES);
        chunk.extend_from_slice(plain);
        self.seal(0, true, &mut chunk);
        chunk
    }

    /// Opens all of a small blob.
    pub(crate) fn open_small(&self, mut stored: Vec<u8>) -> Result<Vec<u8>, Error> {
        let plain = self.open(0, true, &mut stored)?.len();
        stored.truncate(plain);
        Ok(stored)
    }
}

const _: () = assert!(crate::SMALL_BYTES_MAX <= CHUNK_BYTES, "small content is sealed as one chunk");

fn nonce(index: u64) -> Nonce<aes_gcm::aes::cipher::consts::U12> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    nonce.into()
}

/// What a chunk is bound to beside its bytes: its place, and whether the blob ends here.
fn bound(index: u64, last: bool) -> [u8; 9] {
    let mut bound = [0; 9];
    bound[..8].copy_from_slice(&index.to_be_bytes());
    bound[8] = last.into();
    bound
}

/// Cuts a stream into chunks and seals them. One full chunk is held back, as only the end tells which is the last.
pub(crate) struct Sealer {
    cipher: Cipher,
    chunk: Vec<u8>,
    index: u64,
}

impl Sealer {
    pub(crate) fn new(cipher: Cipher) -> Sealer {
        Sealer { cipher, chunk: Vec::with_capacity(STORED_BYTES), index: 0 }
    }

    /// Takes bytes in; `write` gets every chunk that is complete.
    pub(crate) fn push<E>(&mut self, mut plain: &[u8], mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while !plain.is_empty() {
            if self.chunk.len() == CHUNK_BYTES {
                self.emit(false, &mut write)?;
            }
            let (now, later) = plain.split_at(plain.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            plain = later;
        }
        Ok(())
    }

    /// The last chunk.
    pub(crate) fn finish<E>(mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.emit(true, &mut write)
    }

    fn emit<E>(&mut self, last: bool, write: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        self.cipher.seal(self.index, last, &mut self.chunk);
        write(&self.chunk)?;
        self.chunk.clear();
        self.index += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: BlobId = BlobId(uuid::Uuid::from_u128(7));

    fn cipher() -> Cipher {
        SiteKey::new([1; 32]).cipher(BLOB)
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut stored = Vec::new();
        let mut keep = |chunk: &[u8]| -> Result<(), ()> {
            stored.extend_from_slice(chunk);
            Ok(())
        };
        let mut sealer = Sealer::new(cipher());
        for part in plain.chunks(1000) {
            sealer.push(part, &mut keep).unwrap();
        }
        sealer.finish(&mut keep).unwrap();
        stored
    }

    fn opened(cipher: &Cipher, stored: &[u8]) -> Result<Vec<u8>, Error> {
        let (mut stored, mut plain) = (stored.to_vec(), Vec::new());
        let count = stored.chunks(STORED_BYTES).count();
        for (index, chunk) in stored.chunks_mut(STORED_BYTES).enumerate() {
            plain.extend_from_slice(cipher.open(index as u64, index + 1 == count, chunk)?);
        }
        Ok(plain)
    }

    #[test]
    fn what_was_sealed_opens_and_is_as_long_as_foretold() {
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let stored = sealed(&plain);
            assert_eq!(stored.len() as u64, stored_len(size as u64, true), "{size}");
            assert_eq!(opened(&cipher(), &stored).unwrap(), plain, "{size}");
        }
    }

    #[test]
    fn a_small_blob_is_sealed_as_its_only_chunk() {
        assert_eq!(cipher().seal_small(b"small"), sealed(b"small"));
        assert_eq!(cipher().open_small(sealed(b"small")).unwrap(), b"small");
        assert!(cipher().open_small(Vec::new()).is_err(), "even nothing has a tag");
    }

    #[test]
    fn a_changed_moved_cut_or_foreign_chunk_does_not_open() {
        let stored = sealed(&[5; 3 * CHUNK_BYTES]);
        let mut flipped = stored.clone();
        flipped[STORED_BYTES + 9] ^= 1;
        let mut swapped = stored.clone();
        swapped.rotate_left(STORED_BYTES);
        let cut = &stored[..2 * STORED_BYTES];
        for (how, stored) in [("flipped", flipped.as_slice()), ("swapped", &swapped), ("cut", cut)] {
            assert!(matches!(opened(&cipher(), stored), Err(Error::Damaged(BLOB))), "{how}");
        }
        let other_key = SiteKey::new([2; 32]).cipher(BLOB);
        let other_blob = SiteKey::new([1; 32]).cipher(BlobId(uuid::Uuid::from_u128(8)));
        assert!(opened(&other_key, &stored).is_err() && opened(&other_blob, &stored).is_err());
    }

    #[test]
    fn a_key_is_64_hex_digits_and_is_never_printed() {
        let key = SiteKey::from_hex(&"0f".repeat(32)).unwrap();
        assert_eq!(key.0, [15; 32]);
        assert_eq!(format!("{key:?}"), "SiteKey(…)");
        assert!(SiteKey::from_hex("0f").is_none() && SiteKey::from_hex(&"xx".repeat(32)).is_none());
    }
}
