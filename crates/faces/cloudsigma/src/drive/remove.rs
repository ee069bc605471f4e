//! Deleting drives: one, or many at once, all or none (spec, section 3.4).
//!
//! **Always.** A drive goes with its snapshots, its driveusers record, its tags and its place on stopped servers, in one
//! commit. What it took of its owner's room is free with the answer.

use axum::extract::State;
use content::volume::{self, SnapshotId as ImageId};
use store::{Error as StoreError, Tx, Unit, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive::{self, Drive, Status};
use crate::error::{Error, Fault};
use crate::ids::DriveId;
use crate::input::{self, At, Body};
use crate::reply::NoContent;

/// The most snapshots of one drive that go with it: more than it may have.
const SNAPSHOTS_MAX: usize = 1000;

/// `DELETE drives/{id}/`.
pub async fn one(State(face): State<Face>, caller: Caller, At(id): At<DriveId>) -> Result<NoContent, Error> {
    remove(&face, &caller, vec![id]).await
}

/// `DELETE drives/` with a list. Without one nothing is deleted: some clients ask so by mistake.
pub async fn many(State(face): State<Face>, caller: Caller, body: Body) -> Result<NoContent, Error> {
    remove(&face, &caller, named(body)?.into_iter().map(DriveId).collect()).await
}

/// The ids of a bulk delete.
pub fn named(body: Body) -> Result<Vec<uuid::Uuid>, Error> {
    let objects = body.objects()?;
    if objects.is_empty() {
        return Err(Error::field("objects", "This field is required"));
    }
    let id = |object: serde_json::Map<String, serde_json::Value>| {
        let why = |why| Error::Faults(vec![Fault::at("uuid", why)]);
        input::reference(&serde_json::Value::Object(object)).map_err(why)
    };
    objects.into_iter().map(id).collect()
}

async fn remove(face: &Face, caller: &Caller, ids: Vec<DriveId>) -> Result<NoContent, Error> {
    let user = caller.user;
    let going = face.store.read(move |tx| going(tx, user, &ids).map_err(Error::noun)).await?;
    let unit = doom(caller.unit(), &going).rows(move |tx| delete_all(tx, &going));
    face.store.write(unit).await?;
    Ok(NoContent)
}

/// Drives that are about to go, with their bytes.
pub struct Going {
    pub drive: Drive,
    volume: Option<volume::VolumeInfo>,
    snapshots: Vec<volume::SnapshotInfo>,
}

/// Of these drives, that they may go.
pub fn going(tx: &mut Tx, user: UserId, ids: &[DriveId]) -> Result<Vec<Going>, Error> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut going = Vec::with_capacity(ids.len());
    for id in ids {
        let drive = drive::own(tx, user, id)?;
        let may_go =
            matches!(drive.status, Status::Unmounted | Status::Mounted | Status::Uploading | Status::Unavailable);
        drive.check("delete", may_go && !drive::is_running(tx, id)?)?;
        let sql = "SELECT id FROM drive_snapshots WHERE drive_id = $1 ORDER BY id LIMIT $2";
        let mut snapshots = Vec::new();
        for row in tx.query(sql, &params![id, SNAPSHOTS_MAX])? {
            snapshots.extend(volume::snapshot_info(tx, ImageId(row.get(0)?))?);
        }
        let volume = volume::info(tx, drive.volume())?;
        going.push(Going { drive, volume, snapshots });
    }
    Ok(going)
}

/// Gives their bytes back, and their snapshots'.
pub fn doom<T>(unit: Unit<T>, going: &[Going]) -> Unit<T> {
    going.iter().fold(unit, |unit, going| {
        let unit = going.snapshots.iter().fold(unit, volume::doom_snapshot);
        going.volume.iter().fold(unit, volume::doom)
    })
}

/// Deletes their rows, if they are still as they were seen.
pub fn delete_all(tx: &mut Tx, going: &[Going]) -> Result<(), StoreError> {
    for Going { drive, snapshots, .. } in going {
        let id = drive.id;
        if drive::is_running(tx, id)? {
            return Err(Error::Lost.noun());
        }
        let tagged = "DELETE FROM drive_tagged WHERE resource_id = $1 \
            OR resource_id IN (SELECT s.id FROM drive_snapshots s WHERE s.drive_id = $1)";
        tx.execute(tagged, &params![id])?;
        for table in ["drive_users", "drive_mounts", "drive_chunks", "drive_chunk_links"] {
            tx.execute(&format!("DELETE FROM {table} WHERE drive_id = $1"), &params![id])?;
        }
        // One that was taken in between, or is gone, would leave its bytes behind: the caller asks again.
        let gone = tx.execute("DELETE FROM drive_snapshots WHERE drive_id = $1", &params![id])?;
        let sql = "DELETE FROM drives WHERE id = $1 AND status IN ('unmounted', 'mounted', 'uploading', 'unavailable')";
        let deleted = tx.execute(sql, &params![id])?;
        if gone != snapshots.len() as u64 || deleted == 0 {
            return Err(Error::Lost.noun());
        }
    }
    Ok(())
}
