//! What this face does beside answering: what a process before has left, images of the library, old jobs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use content::volume::{Place, VolumeId};
use futures_util::StreamExt;
use store::{Actor, Tx, Unit, params};

use crate::drive::{self, Drive, Status, clone};
use crate::error::Error;
use crate::ids::DriveId;
use crate::server::action;
use crate::storage_type::{self, Places, StorageType};
use crate::{Face, job, upload};

/// The job that fills an image of the library.
pub const FILL_JOB: &str = "cloudsigma.library";
/// How often old jobs are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How many rows are read at once.
const PAGE_ROWS: usize = 256;
/// How much of an image's file is read at once.
const PIECE_BYTES: usize = 256 * 1024;

impl Face {
    /// Before content is started: says where the places of storage types are, and has copies and imports that end told to
    /// this face, in their own commit.
    pub async fn prepare(&self) -> Result<(), store::Error> {
        self.content.volumes().on_finished(clone::finished);
        self.store.read(storage_type::all).await?.iter().for_each(|kind| self.note_places(kind));
        Ok(())
    }

    /// Says where the places of a storage type are, if they are not folders of ours: the site file may have just named it.
    pub fn note_places(&self, kind: &StorageType) {
        let Places::Paths(paths) = &kind.places else { return };
        for (group, path) in (0..).zip(paths) {
            self.content.volumes().set_path(Place::new(&kind.name, group), PathBuf::from(path));
        }
    }

    /// Once content is started: takes away uploads that broke off with the process before, exports what servers run with, and
    /// sees to the library and to old jobs for as long as the runtime runs.
    pub async fn start(&self) -> Result<(), store::Error> {
        let started = async {
            take_away_left(self).await?;
            settle_copies(self).await?;
            action::resume(self).await
        };
        started.await.map_err(Error::noun)?;
        let face = self.clone();
        self.store.work(FILL_JOB, move |job| {
            let face = face.clone();
            async move {
                let payload: serde_json::Value =
                    serde_json::from_str(&job.payload).map_err(|error| error.to_string())?;
                let id: DriveId = payload["drive"]
                    .as_str()
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(|| format!("{payload} names no drive"))?;
                fill(&face, id).await.map_err(|error| error.to_string())
            }
        });
        let store = self.store.clone();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                every.tick().await;
                let forget = || Unit::by(Actor::system("cloudsigma")).rows(job::forget);
                while store.write(forget()).await.is_ok_and(|done| done.value > 0) {}
            }
        });
        Ok(())
    }
}

/// Drives whose bytes were on their way in with a call when the process ended.
async fn take_away_left(face: &Face) -> Result<(), Error> {
    let sql = format!("SELECT id FROM drives WHERE status = 'creating' AND owner_id IS NOT NULL LIMIT {PAGE_ROWS}");
    loop {
        let sql = sql.clone();
        let left = face
            .store
            .read(move |tx| tx.query(&sql, &[])?.iter().map(|row| row.get(0)).collect::<Result<Vec<DriveId>, _>>());
        let left = left.await?;
        if left.is_empty() {
            return Ok(());
        }
        for id in left {
            upload::take_away(face, id).await?;
        }
    }
}

/// Copies that had nothing to copy, and whose process ended before it said so.
async fn settle_copies(face: &Face) -> Result<(), Error> {
    let sql = "SELECT id FROM drives WHERE status = 'cloning_dst' ORDER BY id";
    let copies = face
        .store
        .read(move |tx| tx.query(sql, &[])?.iter().map(|row| row.get(0)).collect::<Result<Vec<DriveId>, _>>());
    for id in copies.await? {
        clone::settle_ready(face, id).await?;
    }
    Ok(())
}

/// Fills an image of the library from its file, and lets it be seen. Repeated, it begins again.
async fn fill(face: &Face, id: DriveId) -> Result<(), Error> {
    let found = face.store.read(move |tx| drive::find(tx, id)).await?;
    let Some(drive) = found.filter(|drive| drive.status == Status::Creating) else { return Ok(()) };
    let Some(path) = drive.image.clone().map(PathBuf::from) else { return Ok(()) };
    // The format is what the operator's file is called, never what is in it.
    match path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("qcow2")) {
        true => import(face, &drive, path).await,
        false => copy(face, &drive, path).await,
    }
}

async fn copy(face: &Face, drive: &Drive, path: PathBuf) -> Result<(), Error> {
    let (length, bytes) = read(path).await?;
    if length > drive.size {
        return Err(Error::whole(format!("the image has {length} bytes, and the drive {}", drive.size)));
    }
    let handle = face.content.volumes().open(drive.volume()).await?;
    handle.write_all(0, bytes, length).await?;
    handle.flush().await?;
    handle.close().await?;
    let id = drive.id;
    let unit = Unit::by(Actor::system("cloudsigma")).rows(move |tx| ready(tx, id));
    face.store.write(unit).await?;
    Ok(())
}

fn ready(tx: &mut Tx, id: DriveId) -> Result<(), store::Error> {
    let sql = "UPDATE drives SET status = 'unmounted' WHERE id = $1 AND status = 'creating'";
    tx.execute(sql, &params![id]).map(drop)
}

/// A job of content does the rest, and tells [`clone::finished`].
async fn import(face: &Face, drive: &Drive, path: PathBuf) -> Result<(), Error> {
    let (length, bytes) = read(path).await?;
    let unit = Unit::by(Actor::system("cloudsigma"));
    face.content.volumes().import(VolumeId(drive.id.0), length, bytes, unit).await?;
    Ok(())
}

type Pieces = futures_util::stream::BoxStream<'static, Result<bytes::Bytes, std::io::Error>>;

/// A file, and how long it is.
async fn read(path: PathBuf) -> Result<(u64, Pieces), Error> {
    let called = Arc::new(path.display().to_string());
    let wrong = |error: std::io::Error| Error::whole(format!("{called}: {error}"));
    let file = tokio::fs::File::open(&path).await.map_err(wrong)?;
    let length = file.metadata().await.map_err(wrong)?.len();
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        use tokio::io::AsyncReadExt;
        let mut piece = bytes::BytesMut::with_capacity(PIECE_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    });
    Ok((length, pieces.boxed()))
}
