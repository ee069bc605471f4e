//! Volumes: disk images that can be written anywhere, cloned and snapshotted in constant time, and used by a hypervisor.
//!
//! **Shape.** A volume is the top of a chain of layers, a snapshot a layer below it. A layer is a qcow2 file, or nothing as
//! long as nothing was written to it; which lies on which is in the database. What a noun does to a volume joins the noun's
//! unit: [`create`], [`doom`], [`doom_snapshot`] as data, [`Volumes::branch`] and [`Volumes::resize`] with the writes held.
//! **Charges.** A volume's claim is its size, thin or not. A snapshot's is what is kept for it alone: data that its volume has
//! overwritten since, charged ahead of the write in steps of 64 MiB. So all bytes of a volume and its snapshots are charged.
//! What clones share is charged with each of them; what is left of a deleted volume stays on supply until it is off the disk.
//! **Always.** A layer's row is there before its file, and until after it. A layer that is open for writing is marked, and
//! repaired before it is opened again when it was not closed. No format is guessed and no name in an image is followed.
//! **Bounds.** 64 TiB a volume, 200 layers; a layer holds up to 12 MiB of tables in memory while it is open; 32 MiB a request.
//! **Not here.** Who may do it, and what the volume is for.

mod audit;
mod branch;
mod chain;
mod doom;
mod export;
mod files;
mod fill;
mod handle;
mod house;
mod import;
mod live;
mod nbd;
mod place;
mod preserved;
mod qcow2;
mod row;
mod start;
mod tidy;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use store::{Job, JobId, Store, Tx, Unit};

pub use branch::{Branch, NewSnapshot, NewVolume, create};
pub use doom::{doom, doom_snapshot};
pub use export::{Export, Format};
pub use handle::{Handle, READ_BYTES_MAX};
pub use place::Place;
pub use row::{SnapshotId, SnapshotInfo, VolumeId, VolumeInfo, VolumeState, info, snapshot_info, snapshots_of};

use crate::Error;
use crate::error::blocking;
use house::House;

/// What bytes are taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A volume as it is now.
    Volume(VolumeId),
    /// A volume as it was then.
    Snapshot(SnapshotId),
}

/// How a job on a volume ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Which volume.
    pub volume: VolumeId,
    /// Which job.
    pub job: JobId,
    /// Why it failed; the volume is doomed in the same commit.
    pub failed: Option<String>,
}

/// The volumes of a site. A cheap handle.
#[derive(Clone)]
pub struct Volumes {
    house: Arc<House>,
}

impl Volumes {
    pub(crate) fn new(store: Store, folder: PathBuf, room: Option<u64>) -> Volumes {
        Volumes { house: Arc::new(House::new(store, &folder, room)) }
    }

    /// Layers of this place lie in this folder, and not in the data folder. To be said before the start.
    pub fn set_path(&self, place: Place, folder: PathBuf) {
        self.house.files.set_path(place, folder);
    }

    /// What a face does in the commit that ends a copy or an import. To be said once, before the start.
    pub fn on_finished(&self, run: impl Fn(&mut Tx, &Finished) -> Result<(), store::Error> + Send + Sync + 'static) {
        if self.house.on_finished.set(Arc::new(run)).is_err() {
            tracing::error!("what is done when a job of volumes ends was said twice; the first counts");
        }
    }

    /// Calls back at each step that a crash could come after: for tests.
    #[doc(hidden)]
    pub fn on_step(&self, run: impl Fn(&'static str) + Send + Sync + 'static) {
        let _ = self.house.on_step.set(Box::new(run));
    }

    /// How many bytes are kept for a snapshot alone, also while its volume is being written to.
    pub async fn preserved(&self, snapshot: SnapshotId) -> Result<u64, Error> {
        let found = self.house.store.read(move |tx| row::snapshot_info(tx, snapshot)).await?;
        let info = found.ok_or_else(|| Error::Store(store::Error::not_found("snapshot", snapshot)))?;
        let slot = self.house.slot(info.volume);
        let open = slot.gate.lock().await.clone();
        let live = match open {
            Some(live) => blocking(move || live.preserved()).await?,
            None => None,
        };
        Ok(live.filter(|live| live.id == snapshot).map_or(info.preserved, |live| live.preserved))
    }

    /// Where the files of a volume or a snapshot lie, the top one first: for an operator, and for tests.
    pub async fn paths(&self, source: Source) -> Result<Vec<PathBuf>, Error> {
        let (house, layers) = (self.house.clone(), self.layers(source).await?.1);
        blocking(move || {
            let paths = layers.iter().map(|layer| house.files.path(&layer.place, layer.id));
            paths.filter(|path| path.exists()).collect()
        })
        .await
    }

    /// The size of a volume or a snapshot, and its layers.
    async fn layers(&self, source: Source) -> Result<(u64, Vec<row::Layer>), Error> {
        let read = self.house.store.read(move |tx| {
            let (size, layer) = match source {
                Source::Volume(id) => {
                    let info = row::info(tx, id)?.ok_or_else(|| store::Error::not_found("volume", id))?;
                    (info.size, info.layer)
                }
                Source::Snapshot(id) => {
                    let info = row::snapshot_info(tx, id)?.ok_or_else(|| store::Error::not_found("snapshot", id))?;
                    (info.size, info.layer)
                }
            };
            Ok((size, row::chain(tx, layer)?))
        });
        Ok(read.await?)
    }

    /// Ends a copy or an import: its volume is doomed as after a failure. False when the job was over.
    pub async fn cancel(&self, job: JobId) -> Result<bool, Error> {
        self.house.enter();
        let sql = "SELECT id FROM volumes WHERE job_id = $1 LIMIT 1";
        let found = self
            .house
            .store
            .read(move |tx| tx.query_opt(sql, &store::params![job])?.map(|row| row.get::<VolumeId>(0)).transpose());
        let Some(volume) = found.await? else { return Ok(false) };
        let house = self.house.clone();
        blocking(move || doom::give_up(&house, volume, job, "it was cancelled")).await?
    }

    /// A job gives the volume a copy of all that it shares with others, in the commit of `unit`.
    pub async fn flatten(&self, volume: VolumeId) -> Result<JobId, Error> {
        self.house.enter();
        let job = JobId(self.house.store.new_id());
        let payload = serde_json::json!({ "volume": volume });
        let unit = Unit::by(crate::system()).job_as(job, fill::FILL_JOB, payload).also(move |tx| {
            let info = row::info(tx, volume)?.ok_or_else(|| store::Error::not_found("volume", volume))?;
            let sql =
                "UPDATE volumes SET fill_id = $2, job_id = $3 WHERE id = $1 AND fill_id IS NULL AND job_id IS NULL";
            // Below the oldest snapshot nothing is the volume's alone: there it is cut off.
            let layers = row::chain(tx, info.layer)?;
            let snapshots = row::snapshots_of(tx, volume, None, row::CHAIN_MAX * 4)?;
            let oldest = layers.iter().rev().find(|layer| snapshots.iter().any(|it| it.layer == layer.id));
            let fill = oldest.map_or(info.layer, |layer| layer.id);
            match tx.execute(sql, &store::params![volume, fill, job])? {
                1 => Ok(()),
                _ => Err(store::Error::Conflict(format!("a job is at volume {volume} already"))),
            }
        });
        self.house.store.write(unit).await?;
        Ok(job)
    }

    /// Whether anything of a volume is open: for tests.
    #[doc(hidden)]
    pub fn handles(&self, volume: VolumeId) -> usize {
        self.house.slot(volume).handles.load(Ordering::Acquire)
    }
}

/// What the face does at the end of a job, in the unit that ends it.
fn finish<T>(house: &House, unit: Unit<T>, done: Finished) -> Unit<T> {
    match house.on_finished.get().cloned() {
        Some(run) => unit.also(move |tx| run(tx, &done)),
        None => unit,
    }
}

/// What a job's payload says of this.
fn named<T: std::str::FromStr>(job: &Job, what: &str) -> Result<T, String> {
    let payload: serde_json::Value = serde_json::from_str(&job.payload).map_err(|error| error.to_string())?;
    let found = payload[what].as_str().and_then(|text| text.parse().ok());
    found.ok_or_else(|| format!("{payload} names no {what}"))
}
