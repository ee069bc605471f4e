//! The data folder: made private, held by one server at a time, and known to keep what it is told to keep.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::fault::{Doing, Fault};

/// How many times a flush is measured: enough for a median, little enough that a start stays quick on a slow disk.
const PROBES: usize = 5;
/// Below it nothing reached a disk: a RAM disk, or a layer that only says it has flushed.
const FLUSH_TOO_FAST: Duration = Duration::from_micros(50);
/// Above it every acknowledged change waits long enough for people to notice.
const FLUSH_SLOW: Duration = Duration::from_millis(25);

/// A data folder that this process holds. The lock goes with the value, and with the process.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and takes it; fails if another server has it.
    pub fn take(path: &Path) -> Result<Folder, Fault> {
        let shown = path.display();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.doing(format_args!("make the data folder {shown}"))?;
        let path = path.canonicalize().doing(format_args!("open the data folder {shown}"))?;
        keep_private(&path)?;
        let lock = lock(&path)?;
        Ok(Folder { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no server has kept anything here yet.
    pub fn is_fresh(&self) -> bool {
        !self.database().exists()
    }

    /// The embedded database.
    pub fn database(&self) -> PathBuf {
        self.path.join("plimsoll.db")
    }

    /// The site file that a first start makes.
    pub fn sample_site(&self) -> PathBuf {
        self.path.join("site.toml")
    }

    /// Measures how long a flush takes, and warns where the figure means trouble.
    pub fn probe(&self) -> Result<Duration, Fault> {
        let median = median_flush(&self.path.join("probe")).doing("write to the data folder and flush")?;
        let flush_us = median.as_micros() as u64;
        match median {
            _ if median < FLUSH_TOO_FAST => tracing::warn!(
                flush_us,
                "a flush of the data folder takes next to no time: it may not reach a disk, and a power cut may lose data"
            ),
            _ if median > FLUSH_SLOW => {
                tracing::warn!(flush_us, "a flush of the data folder is slow, and every change waits for one");
            }
            _ => tracing::debug!(flush_us, "the data folder's flush was measured"),
        }
        Ok(median)
    }

    /// How many bytes the disk still takes, and how many there are.
    pub fn free(&self) -> Result<(u64, u64), Fault> {
        let stat = rustix::fs::statvfs(&self.path).doing("ask how full the disk is")?;
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
    }
}

/// Others must not read it: it holds password hashes and everybody's data. Changed only where it is ours to change.
fn keep_private(path: &Path) -> Result<(), Fault> {
    let metadata = path.metadata().doing("look at the data folder")?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 && metadata.uid() == rustix::process::geteuid().as_raw() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700))
            .doing("make the data folder private")?;
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, Fault> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
    let mut file = options.open(path.join("lock")).doing("open the data folder's lock")?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let mut note = || {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{}", std::process::id())
            };
            note().doing("write the data folder's lock")?;
            Ok(file)
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            // What it says is only for the message.
            let _ = file.read_to_string(&mut pid);
            let holder = if pid.trim().is_empty() { String::new() } else { format!(" (process {})", pid.trim()) };
            Err(Fault::new(format!("the data folder {} is in use by another server{holder}", path.display()))
                .hint("stop that one, or give this one a folder of its own with --data"))
        }
        Err(error) => Err(error).doing(format_args!("lock the data folder {}", path.display())),
    }
}

fn median_flush(path: &Path) -> std::io::Result<Duration> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut flush = || {
        let start = Instant::now();
        file.rewind()?;
        file.write_all(&[0x50; 4096])?;
        file.sync_data()?;
        Ok(start.elapsed())
    };
    let times: std::io::Result<Vec<Duration>> = (0..PROBES).map(|_| flush()).collect();
    std::fs::remove_file(path)?;
    let mut times = times?;
    times.sort();
    Ok(times[PROBES / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_private_and_held_by_one() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data");
        let first = Folder::take(&path).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        let refused = Folder::take(&path).unwrap_err();
        let (shown, pid) = (first.path().display(), std::process::id());
        assert_eq!(refused.what, format!("the data folder {shown} is in use by another server (process {pid})"));
        drop(first);
        Folder::take(&path).unwrap();
    }
}
