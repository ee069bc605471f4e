//! Content: the bytes of what is stored, as blobs that are written once.
//!
//! **Shape.** [`Content::receive`] takes a body in and answers a [`Staged`]; [`Staged::commit`] makes it a blob in the same
//! commit as its noun's row and its charge. At most [`SMALL_BYTES_MAX`] bytes go into the database; more go to a file, row
//! first: a reserving commit (claim pending, row in `blobs_staging`) → bytes, fsync of file and folder → the settling
//! commit (claim held at the true size, row in `blobs`). [`doom`] takes a blob away in its noun's commit; a job removes the
//! file, then the rows.
//! **State is membership.** A blob is staging while it is only in `blobs_staging`, live once it is in `blobs`, doomed once it
//! is in `blobs_doomed`, too. So each step is a row that is added, as data: no closure, and many of them in one
//! statement. A row that says the same again breaks its key, so nothing is doomed or settled twice. What a later step has
//! outdated is deleted by the sweep, many at a time.
//! **Always.** What is accepted was charged before. What is live is on disk, and its claim is held at its size. A file has a
//! row from before it is made until after it is gone; so the sweep walks rows, never a listing. A file is removed only when
//! its claim is gone and it is in no row of `blobs`: then nobody can make it live any more. Bytes that were changed on
//! disk are [`Error::Damaged`] where they are sealed or fit one piece, and found by [`Content::verify`] otherwise.
//! **Bounds.** An upload holds about two buffers of 1 MiB, a download two pieces of 256 KiB; neither holds a thread while it
//! waits for its client.
//! **Not here.** HTTP but for the grammars of `Range` and of forms, names, content types, rights: they are the faces'.
//! Disk images are a house of their own: [`volume`].

mod audit;
mod blob;
mod disk;
mod error;
mod gather;
pub mod multipart;
mod open;
pub mod range;
mod receive;
mod reservation;
mod seal;
mod sink;
mod staged;
mod sweep;
pub mod volume;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use store::{Actor, Migrations, Store};

pub use audit::Audit;
pub use blob::{BlobId, BlobInfo, State, doom, etag, info};
pub use error::Error;
pub use open::ByteStream;
pub use receive::Draft;
pub use seal::SiteKey;
pub use staged::Staged;

/// The largest content that lives in the database: a few pages, so that its upload is one commit and no file.
pub const SMALL_BYTES_MAX: usize = 32 * 1024;

/// How long a reservation lives without a sign of life: long enough for a stall of the disk, short enough that what a
/// crash has left does not keep others out for long.
const LEASE_S: i64 = 60;

/// At which age a lease is renewed: twice before it ends.
const RENEW_AFTER_S: i64 = LEASE_S / 3;

/// The blobs of a site. A cheap handle.
#[derive(Clone)]
pub struct Content {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    disk: disk::Disk,
    key: Option<SiteKey>,
    volumes: volume::Volumes,
    /// Doomed blobs that the last sweep saw: what the next one sees again has lost its job.
    seen: Mutex<Vec<BlobId>>,
}

impl Content {
    /// Blobs in `folder`, which one process has to itself. With a key, what comes in is sealed.
    pub fn new(store: Store, folder: PathBuf, key: Option<SiteKey>) -> Content {
        Content::on(store, disk::Disk::new(folder.clone()), key, (folder, None))
    }

    /// The same on a disk that has room for so many bytes and no more: for tests.
    #[doc(hidden)]
    pub fn with_room(store: Store, folder: PathBuf, key: Option<SiteKey>, bytes: u64) -> Content {
        Content::on(store, disk::Disk::with_room(folder.clone(), bytes), key, (folder, Some(bytes)))
    }

    fn on(store: Store, disk: disk::Disk, key: Option<SiteKey>, (folder, room): (PathBuf, Option<u64>)) -> Content {
        let volumes = volume::Volumes::new(store.clone(), folder, room);
        Content { shared: Arc::new(Shared { store, disk, key, volumes, seen: Mutex::default() }) }
    }

    /// The disk images of the site.
    pub fn volumes(&self) -> &volume::Volumes {
        &self.shared.volumes
    }

    /// The tables of this crate.
    pub fn migrations() -> Migrations {
        let steps = &[
            ("V1__blobs", include_str!("../migrations/V1__blobs.sql")),
            ("V2__volumes", include_str!("../migrations/V2__volumes.sql")),
        ];
        Migrations { owner: "content", steps }
    }

    /// Where the file of a blob lies, if it has one: for an operator, and for tests that damage it.
    pub fn path(&self, blob: BlobId) -> PathBuf {
        self.shared.disk.path(blob)
    }

    /// The folder under which all files lie.
    pub fn folder(&self) -> &Path {
        self.shared.disk.root()
    }

    fn store(&self) -> &Store {
        &self.shared.store
    }

    fn disk(&self) -> &disk::Disk {
        &self.shared.disk
    }
}

/// Who frees what nobody else will.
fn system() -> Actor {
    Actor::system("content")
}
