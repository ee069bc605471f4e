//! The door to the disk for layers: their files, and nothing else of volumes touches one.
//!
//! **Shape.** `FOLDER/volumes/<storage type>/<group>/<layer>.qcow2`, or a folder of the operator's own for a place. An image
//! on its way in is `<import>.import` beside them.
//! **Always.** Names are server-made ids, and no link is followed. A layer's file is made under another name, brought to the
//! disk, and renamed: under its own name it is whole. All calls block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use rustix::fs::OFlags;
use uuid::Uuid;

use super::row::LayerId;
use super::{Place, qcow2};

/// The files of layers.
pub(super) struct Files {
    root: PathBuf,
    own: RwLock<BTreeMap<Place, PathBuf>>,
    /// How many bytes may still be written: tests have small disks.
    room: Option<AtomicU64>,
}

impl Files {
    pub(super) fn new(folder: &Path, room: Option<u64>) -> Files {
        Files { root: folder.join("volumes"), own: RwLock::default(), room: room.map(AtomicU64::new) }
    }

    /// Layers of this place lie in this folder.
    pub(super) fn set_path(&self, place: Place, folder: PathBuf) {
        self.own.write().unwrap_or_else(PoisonError::into_inner).insert(place, folder);
    }

    /// The folder of a place.
    pub(super) fn folder(&self, place: &Place) -> PathBuf {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.get(place).cloned().unwrap_or_else(|| self.root.join(place.folder()))
    }

    /// Where the file of a layer lies, if it has one.
    pub(super) fn path(&self, place: &Place, layer: LayerId) -> PathBuf {
        self.folder(place).join(format!("{layer}.qcow2"))
    }

    /// Where an image on its way in lies.
    pub(super) fn import_path(&self, place: &Place, import: Uuid) -> PathBuf {
        self.folder(place).join(format!("{import}.import"))
    }

    /// Makes the file of a layer that holds nothing, with the name by which people find the layer below.
    pub(super) fn make(&self, place: &Place, layer: LayerId, size: u64, below: Option<&str>) -> io::Result<()> {
        let path = self.path(place, layer);
        let making = path.with_extension("making");
        self.take_room(qcow2::CLUSTER_BYTES)?;
        self.make_folder(place)?;
        remove(&making)?;
        let file = create(&making)?;
        qcow2::make(&file, size, below)?;
        file.sync_all()?;
        std::fs::rename(&making, &path)?;
        sync_folder(&self.folder(place))
    }

    /// Makes the file of an image on its way in.
    pub(super) fn make_import(&self, place: &Place, import: Uuid) -> io::Result<File> {
        self.make_folder(place)?;
        create(&self.import_path(place, import))
    }

    fn make_folder(&self, place: &Place) -> io::Result<()> {
        let folder = self.folder(place);
        if folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // The names on the way to it, up to the folder that was given.
        folder.ancestors().skip(1).take(3).filter(|above| above.is_dir()).try_for_each(sync_folder)
    }

    /// Opens a layer's file; none where there is none.
    pub(super) fn open(&self, place: &Place, layer: LayerId, for_writing: bool) -> io::Result<Option<File>> {
        open(&self.path(place, layer), for_writing)
    }

    /// Opens an image on its way in.
    pub(super) fn open_import(&self, place: &Place, import: Uuid) -> io::Result<Option<File>> {
        open(&self.import_path(place, import), false)
    }

    /// Removes a layer's file; one that is not there is as good as removed.
    pub(super) fn remove(&self, place: &Place, layer: LayerId) -> io::Result<()> {
        let path = self.path(place, layer);
        remove(&path.with_extension("making"))?;
        self.remove_path(&path)
    }

    /// Removes the file of an image on its way in.
    pub(super) fn remove_import(&self, place: &Place, import: Uuid) -> io::Result<()> {
        self.remove_path(&self.import_path(place, import))
    }

    fn remove_path(&self, path: &Path) -> io::Result<()> {
        match (remove(path)?, path.parent()) {
            (true, Some(folder)) => sync_folder(folder),
            _ => Ok(()),
        }
    }

    /// How many bytes of disk a layer's file takes, if there is one.
    pub(super) fn taken(&self, place: &Place, layer: LayerId) -> io::Result<Option<u64>> {
        match std::fs::symlink_metadata(self.path(place, layer)) {
            Ok(file) => Ok(Some(file.blocks().saturating_mul(512))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All folders that have places: those of the operator's own, and those below the root.
    pub(super) fn folders(&self) -> io::Result<BTreeSet<PathBuf>> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        let mut folders: BTreeSet<PathBuf> = own.values().cloned().collect();
        for kind in entries(&self.root)? {
            folders.extend(entries(&kind)?);
        }
        Ok(folders)
    }

    /// What lies in a folder.
    pub(super) fn files(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        entries(folder)
    }

    /// Takes bytes off what a test's disk has left.
    pub(super) fn take_room(&self, bytes: u64) -> io::Result<()> {
        let Some(room) = &self.room else { return Ok(()) };
        let left = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        left.map(drop).map_err(|_| ErrorKind::StorageFull.into())
    }
}

/// Reads at a place; what lies behind the end reads as zeros, as a hole does.
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes[done..].fill(0);
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn open(path: &Path, for_writing: bool) -> io::Result<Option<File>> {
    let flags = OFlags::NOFOLLOW.bits() as i32;
    match OpenOptions::new().read(true).write(for_writing).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there was one to remove.
fn remove(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(found) => found.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
