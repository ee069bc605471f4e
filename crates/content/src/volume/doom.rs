//! Deleting volumes and snapshots: off demand in the noun's commit, off the disk by a job.

use std::sync::Arc;

use serde_json::json;
use store::{JobId, Managed, Unit, params};

use super::house::House;
use super::row::{self, SnapshotInfo, VolumeInfo};
use super::{SnapshotId, VolumeId, import, preserved, tidy};
use crate::{Error, system};

/// The job that removes what is left of a doomed volume.
pub(super) const DELETE_JOB: &str = "content.volume.delete";
/// The same for a snapshot.
pub(super) const DELETE_SNAPSHOT_JOB: &str = "content.snapshot.delete";

/// Takes a volume away in the unit that takes its noun away. Its snapshots stay, unless they are doomed as well; so do the
/// layers that others need.
///
/// One that was never written to gives its claim back at once. Else it is off demand at once, while its claim stays on
/// supply, and belongs to the volume, until a job has removed the bytes. Doomed twice is [`store::Error::NotFound`] or
/// [`store::Error::Conflict`].
pub fn doom<T>(unit: Unit<T>, info: &VolumeInfo) -> Unit<T> {
    let unit = unit.insert("volumes_doomed (id)", params![info.id].to_vec());
    let unit = match info.written {
        true => unit.hand_over(info.claim, None, Managed::new("content", "volume", info.id)),
        false => unit.release(info.claim),
    };
    unit.job(DELETE_JOB, json!({ "volume": info.id }))
}

/// Takes a snapshot away, likewise.
pub fn doom_snapshot<T>(unit: Unit<T>, info: &SnapshotInfo) -> Unit<T> {
    let unit = unit.insert("volume_snapshots_doomed (id)", params![info.id].to_vec());
    let unit = match info.charged {
        0 => unit.release(info.claim),
        _ => unit.hand_over(info.claim, None, Managed::new("content", "snapshot", info.id)),
    };
    unit.job(DELETE_SNAPSHOT_JOB, json!({ "snapshot": info.id }))
}

/// Removes what is left of a doomed volume: layers that nobody else needs, then claim and rows. Repeated, it does nothing.
pub(super) fn delete_volume(house: &Arc<House>, volume: VolumeId) -> Result<(), Error> {
    let found = house.wait(house.store.read(move |tx| row::doomed(tx, volume)))?;
    let Some(info) = found else { return Ok(()) };
    house.doors.end_volume(volume);
    if let Some(live) = house.slot(volume).gate.blocking_lock().take() {
        live.abandon();
    }
    house.step("delete: begun");
    import::free_of(house, volume)?;
    tidy::tidy(house, info.layer)?;
    house.step("delete: tidied");
    let ended = info.job;
    let forget = move |unit: Unit| {
        unit.also(move |tx| {
            for table in ["volumes", "volumes_doomed"] {
                tx.execute(&format!("DELETE FROM {table} WHERE id = $1"), &params![volume])?;
            }
            ended.map_or(Ok(()), |job| store::jobs::end(tx, job, Some("its volume was deleted")).map(drop))
        })
    };
    released(house, forget(Unit::by(system()).release(info.claim)), forget(Unit::by(system())))
}

/// Removes what is left of a doomed snapshot, and counts anew what those beside it keep.
pub(super) fn delete_snapshot(house: &Arc<House>, snapshot: SnapshotId) -> Result<(), Error> {
    let found = house.wait(house.store.read(move |tx| row::doomed_snapshot(tx, snapshot)))?;
    let Some(info) = found else { return Ok(()) };
    house.step("delete snapshot: begun");
    tidy::tidy(house, info.layer)?;
    house.step("delete snapshot: tidied");
    {
        let slot = house.slot(info.volume);
        let open = slot.gate.blocking_lock();
        let mut held = open.as_ref().map(|live| (live, live.hold()));
        if let Some((live, held)) = &mut held {
            live.rest(held)?;
        }
        preserved::recount(house, info.volume)?;
        if let Some((live, held)) = &mut held {
            live.reload(held);
        }
    }
    let forget = move |unit: Unit| {
        unit.also(move |tx| {
            for table in ["volume_snapshots", "volume_snapshots_doomed"] {
                tx.execute(&format!("DELETE FROM {table} WHERE id = $1"), &params![snapshot])?;
            }
            Ok(())
        })
    };
    released(house, forget(Unit::by(system()).release(info.claim)), forget(Unit::by(system())))
}

/// Writes the unit that releases a claim, or the other one where it is gone already.
fn released(house: &House, with_claim: Unit, without: Unit) -> Result<(), Error> {
    match house.wait(house.store.write(with_claim)) {
        Err(store::Error::NotFound { .. }) => Ok(house.wait(house.store.write(without)).map(drop)?),
        other => Ok(other.map(drop)?),
    }
}

/// A volume whose job failed goes, in the commit that says so. False when it is none of the job's any more.
pub(super) fn give_up(house: &House, volume: VolumeId, job: JobId, why: &str) -> Result<bool, Error> {
    let found = house.wait(house.store.read(move |tx| row::info(tx, volume)))?;
    let Some(info) = found.filter(|info| info.job == Some(job)) else { return Ok(false) };
    let done = super::Finished { volume, job, failed: Some(why.to_owned()) };
    let failed = why.to_owned();
    let unit = doom(Unit::by(system()), &info).also(move |tx| store::jobs::end(tx, job, Some(&failed)).map(drop));
    house.wait(house.store.write(super::finish(house, unit, done)))?;
    Ok(true)
}
