//! The storage types, licences and library of the site file, applied.
//!
//! **Shape.** As identity's: `put_…` for what the file says (made, or brought to what it says), `remove_…` for what it no
//! longer names. A storage type's row goes with the unit that makes its node, which the binary has.
//! **Always.** Each can be done again and then does nothing. An image of the library is made by a job, which survives a
//! crash, and is seen when it is whole.

use content::volume::{self, NewVolume, VolumeId};
use ledger::{AllotmentId, Amounts, ClaimId, Resource};
use serde_json::{Value, json};
use store::{Actor, Error, Managed, Store, Tx, Unit, params};
use uuid::Uuid;

use crate::drive::{self, Drive, Status};
use crate::ids::DriveId;
use crate::start::FILL_JOB;
use crate::storage_type::{self, Places, StorageType};
use crate::{library, license};

/// A storage type as the file has it.
#[derive(Clone, Debug)]
pub struct StorageTypeWanted {
    /// The word in the API.
    pub name: String,
    /// Its node on the supply side.
    pub allotment: AllotmentId,
    /// Whether drives are made here when nothing else is said.
    pub default: bool,
    /// The smallest drive; none: the API's own bound.
    pub size_min: Option<u64>,
    /// The largest drive; none: the API's own bound.
    pub size_max: Option<u64>,
    /// Its places: `{"folders": n}` or `{"paths": […]}`.
    pub places: Value,
}

/// An image of the library as the file has it.
#[derive(Clone, Debug)]
pub struct LibraryDriveWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Its name, by which it is found.
    pub name: String,
    /// `disk` or `cdrom`.
    pub media: String,
    /// In bytes.
    pub size: u64,
    /// The file that it comes from; none: it is empty.
    pub image: Option<String>,
    /// What is told of it.
    pub meta: Value,
}

/// The row of a storage type, in the unit that makes or changes its node.
pub fn put_storage_type(tx: &mut Tx, wanted: &StorageTypeWanted) -> Result<(), Error> {
    let (size_min, size_max) = storage_type::bounds(&wanted.name, wanted.size_min, wanted.size_max);
    let kind = StorageType {
        name: wanted.name.clone(),
        allotment: wanted.allotment,
        is_default: wanted.default,
        size_min,
        size_max,
        places: Places::from_json(&wanted.places),
    };
    storage_type::put(tx, &kind, &wanted.places)
}

/// The file no longer names it; in the unit that removes its node.
pub fn remove_storage_type(tx: &mut Tx, name: &str) -> Result<(), Error> {
    storage_type::delete(tx, name)
}

/// A licence is there.
pub async fn put_license(
    store: &Store,
    by: Actor,
    name: String,
    long_name: String,
    user_metric: String,
) -> Result<(), Error> {
    let unit = Unit::by(by).rows(move |tx| license::put(tx, &name, &long_name, &user_metric));
    store.write(unit).await.map(drop)
}

/// The file no longer names it.
pub async fn remove_license(store: &Store, by: Actor, name: String) -> Result<(), Error> {
    store.write(Unit::by(by).rows(move |tx| license::delete(tx, &name))).await.map(drop)
}

/// An image is there, at this size and with this to tell. Its bytes are made once: to have others, give it another name.
pub async fn put_library_drive(store: &Store, by: Actor, wanted: LibraryDriveWanted) -> Result<(), Error> {
    let name = wanted.name.clone();
    let found = store.read(move |tx| library::by_name(tx, &name)).await?;
    if let Some(found) = found {
        if let Some(id) = wanted.id.filter(|id| *id != found.id.0) {
            return Err(Error::Conflict(format!(
                "library drive {} is there as {}, not as {id}",
                wanted.name, found.id
            )));
        }
        if (found.size, &found.media, &found.image) != (wanted.size, &wanted.media, &wanted.image) {
            let why = "its media, size and image cannot be changed; remove it and make another";
            return Err(Error::Conflict(format!("library drive {}: {why}", wanted.name)));
        }
        if found.meta == wanted.meta {
            return Ok(());
        }
        let unit = Unit::by(by).rows(move |tx| {
            let sql = "UPDATE drives SET meta = $2 WHERE id = $1";
            tx.execute(sql, &params![found.id, wanted.meta.to_string()]).map(drop)
        });
        return store.write(unit).await.map(drop);
    }
    let kinds = store.read(storage_type::all).await?;
    let kind = kinds.first().ok_or_else(|| Error::not_found("storage type", "any"))?;
    let drive = fresh(store, kind, wanted);
    let one = Amounts::new().with(Resource::DRIVES, 1).map_err(|error| Error::Invalid(error.to_string()))?;
    let volume = NewVolume {
        id: drive.volume(),
        claim: ClaimId(store.new_id()),
        size: drive.size,
        place: drive.place(),
        demand: None,
        supply: kind.supply(),
        extra: one,
        managed_by: Managed::new("cloudsigma", "library_drive", drive.id),
    };
    let (into, values) = drive.insert();
    let unit = volume::create(Unit::by(by), &volume).insert(into, values);
    let unit = if drive.image.is_some() { unit.job(FILL_JOB, json!({ "drive": drive.id })) } else { unit };
    store.write(unit).await.map(drop)
}

fn fresh(store: &Store, kind: &StorageType, wanted: LibraryDriveWanted) -> Drive {
    let id = DriveId(wanted.id.unwrap_or_else(|| store.new_id()));
    Drive {
        id,
        tenant: None,
        owner: None,
        name: wanted.name,
        media: wanted.media,
        size: wanted.size,
        wanted: None,
        storage_type: kind.name.clone(),
        place: kind.place(id.0, &[]),
        status: if wanted.image.is_some() { Status::Creating } else { Status::Unmounted },
        allow_multimount: false,
        affinities: json!([]),
        meta: wanted.meta,
        licenses: json!([]),
        licenses_fixed: true,
        source: None,
        chunk: None,
        image: wanted.image,
        created_at: store.now(),
    }
}

/// The file no longer names it. Clones of it stay; servers that have it lose it.
pub async fn remove_library_drive(store: &Store, by: Actor, name: String) -> Result<(), Error> {
    let read = store.read(move |tx| {
        let Some(drive) = library::by_name(tx, &name)? else { return Ok(None) };
        let volume = volume::info(tx, VolumeId(drive.id.0))?;
        Ok(Some((drive.id, volume)))
    });
    let Some((id, volume)) = read.await? else { return Ok(()) };
    let unit = volume.iter().fold(Unit::by(by), volume::doom).rows(move |tx| {
        if drive::is_running(tx, id)? {
            return Err(Error::Conflict("a server runs with this library drive".to_owned()));
        }
        tx.execute("DELETE FROM drive_mounts WHERE drive_id = $1", &params![id])?;
        tx.execute("DELETE FROM drives WHERE id = $1 AND owner_id IS NULL", &params![id]).map(drop)
    });
    store.write(unit).await.map(drop)
}
