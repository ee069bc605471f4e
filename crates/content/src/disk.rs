//! The door to the disk: the files of blobs, and nothing else of the crate touches one.
//!
//! **Shape.** `FOLDER/blobs/ab/cd/<id>`. `ab` and `cd` are digits of the id that change every 4.7 hours and every 65
//! seconds: what comes in together shares a folder, whose entry is then made and synced once, and over 50 days all 65 536
//! folders are used alike.
//! **Always.** Names are server-made ids. A file is made anew or not at all, readable by its owner only, and no link is
//! followed. A file and its folders are on disk when [`Disk::publish`] is back; so is its absence after [`Disk::remove`].
//! All calls block.

use std::collections::{BTreeSet, HashSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;

use crate::BlobId;

/// A folder's place: `ab` and `cd`.
pub(crate) type Fan = (u8, u8);

/// The files of blobs.
#[derive(Clone)]
pub(crate) struct Disk {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    /// Folders whose entries this process has synced: at most 65 536.
    synced: Mutex<HashSet<Fan>>,
    /// How many bytes may still be written: tests have small disks.
    room: Option<AtomicU64>,
}

impl Disk {
    pub(crate) fn new(folder: PathBuf) -> Disk {
        Disk::open(folder, None)
    }

    pub(crate) fn with_room(folder: PathBuf, bytes: u64) -> Disk {
        Disk::open(folder, Some(AtomicU64::new(bytes)))
    }

    fn open(folder: PathBuf, room: Option<AtomicU64>) -> Disk {
        Disk { shared: Arc::new(Shared { root: folder.join("blobs"), synced: Mutex::default(), room }) }
    }

    /// Where all files lie.
    pub(crate) fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Where the file of a blob lies.
    pub(crate) fn path(&self, blob: BlobId) -> PathBuf {
        self.folder(fan(blob)).join(blob.to_string())
    }

    fn folder(&self, (first, second): Fan) -> PathBuf {
        self.root().join(format!("{first:02x}")).join(format!("{second:02x}"))
    }

    /// Makes the blob's file, and the folders it needs.
    pub(crate) fn create(&self, blob: BlobId) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.folder(fan(blob)))?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(blob))
    }

    /// Takes bytes off what a test's disk has left.
    pub(crate) fn take_room(&self, bytes: u64) -> io::Result<()> {
        let Some(room) = &self.shared.room else { return Ok(()) };
        let left = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        left.map(drop).map_err(|_| ErrorKind::StorageFull.into())
    }

    /// Brings the names on the way to a file to the disk. The file itself comes first: what its own sync has written of the
    /// folders, the file system's journal does not write again.
    pub(crate) fn publish(&self, blob: BlobId) -> io::Result<()> {
        let fan = fan(blob);
        let folder = self.folder(fan);
        sync_folder(&folder)?;
        if self.synced().contains(&fan) {
            return Ok(());
        }
        for above in folder.ancestors().skip(1).take(3) {
            sync_folder(above)?;
        }
        self.synced().insert(fan);
        Ok(())
    }

    fn synced(&self) -> std::sync::MutexGuard<'_, HashSet<Fan>> {
        // A set of facts stays true whoever panicked beside it.
        self.shared.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes files; one that is not there is as good as removed.
    pub(crate) fn remove(&self, blobs: &[BlobId]) -> io::Result<()> {
        let mut changed = BTreeSet::new();
        for blob in blobs {
            match std::fs::remove_file(self.path(*blob)) {
                Ok(()) => drop(changed.insert(fan(*blob))),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        changed.into_iter().try_for_each(|fan| sync_folder(&self.folder(fan)))
    }

    /// Opens the blob's file for reading.
    pub(crate) fn read(&self, blob: BlobId) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(self.path(blob))
    }

    /// How long the blob's file is, if there is one.
    pub(crate) fn length(&self, blob: BlobId) -> io::Result<Option<u64>> {
        match std::fs::symlink_metadata(self.path(blob)) {
            Ok(file) => Ok(Some(file.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The folders there are.
    pub(crate) fn folders(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for first in entries(self.root())? {
            folders.extend(entries(&first)?);
        }
        Ok(folders)
    }

    /// What lies in a folder.
    pub(crate) fn files(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        entries(folder)
    }
}

fn fan(blob: BlobId) -> Fan {
    let id = blob.0.as_bytes();
    (id[2], id[3])
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(found) => found.map(|entry| Ok(entry?.path())).collect(),
        // Nothing was stored yet, or it is a file where a folder should be: then it is listed as itself.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
