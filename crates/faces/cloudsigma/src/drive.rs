//! Drives: disk images that somebody owns, and those of the library, which nobody does.
//!
//! **Shape.** Here are the row and what is told of it; each verb has its file.
//! **Always.** A drive's volume has the drive's id and is charged its size, in the commit of the row. `creating` is a drive
//! whose bytes are on their way in with the call that makes it: a crash leaves it to the start, which takes it away.

pub mod action;
pub mod clone;
pub mod create;
pub mod define;
pub mod edit;
pub mod read;
pub mod remove;

use std::collections::HashMap;

use content::volume::{Place, SnapshotId as ImageId, VolumeId};
use serde_json::Value as Json;
use store::{Error as StoreError, Micros, Row, TenantId, Tx, UserId, Value, params};

use crate::error::Error;
use crate::ids::DriveId;
use crate::wire::{self, Ref};
use crate::{job, license, storage_type, tag};

/// Where a drive is (spec, section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Its bytes are on their way in.
    Creating,
    /// Free.
    Unmounted,
    /// On a server, running or not.
    Mounted,
    /// Its size is being changed.
    Resizing,
    /// It is being copied from.
    CloningSrc,
    /// It is being copied to.
    CloningDst,
    /// It waits for chunks.
    Uploading,
    /// Its bytes are lost.
    Unavailable,
}

impl Status {
    const ALL: [Status; 8] = [
        Status::Creating,
        Status::Unmounted,
        Status::Mounted,
        Status::Resizing,
        Status::CloningSrc,
        Status::CloningDst,
        Status::Uploading,
        Status::Unavailable,
    ];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Unmounted => "unmounted",
            Status::Mounted => "mounted",
            Status::Resizing => "resizing",
            Status::CloningSrc => "cloning_src",
            Status::CloningDst => "cloning_dst",
            Status::Uploading => "uploading",
            Status::Unavailable => "unavailable",
        }
    }

    fn parse(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether its bytes are all there.
    pub fn is_usable(self) -> bool {
        matches!(self, Status::Unmounted | Status::Mounted | Status::CloningSrc)
    }
}

/// The row of a drive.
#[derive(Clone, PartialEq, Debug)]
pub struct Drive {
    pub id: DriveId,
    /// None: it is the library's.
    pub tenant: Option<TenantId>,
    /// None: it is the library's.
    pub owner: Option<UserId>,
    pub name: String,
    pub media: String,
    /// As it is told; for an upload that is not complete, exactly what was asked for.
    pub size: u64,
    /// The size to have when an upload is complete.
    pub wanted: Option<u64>,
    pub storage_type: String,
    pub place: u64,
    pub status: Status,
    pub allow_multimount: bool,
    pub affinities: Json,
    pub meta: Json,
    pub licenses: Json,
    /// Whether its licences came from the library, and stay.
    pub licenses_fixed: bool,
    /// What it is a copy of, while it is being copied.
    pub source: Option<DriveId>,
    /// How long the chunks of an upload are.
    pub chunk: Option<u64>,
    /// The file that the library's image comes from.
    pub image: Option<String>,
    pub created_at: Micros,
}

/// The columns of [`from_row`].
pub const COLUMNS: &str = "drives.id, drives.tenant_id, drives.owner_id, drives.name, drives.media, drives.size_bytes, \
    drives.wanted_bytes, drives.storage_type, drives.place, drives.status, drives.allow_multimount, drives.affinities, \
    drives.meta, drives.licenses, drives.licenses_fixed, drives.source_id, drives.chunk_bytes, drives.image, \
    drives.created_at";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<Drive, StoreError> {
    let word: String = row.get(9)?;
    let status = Status::parse(&word).ok_or_else(|| StoreError::Broken(format!("a drive is {word:?}")))?;
    Ok(Drive {
        id: row.get(0)?,
        tenant: row.get(1)?,
        owner: row.get(2)?,
        name: row.get(3)?,
        media: row.get(4)?,
        size: row.get(5)?,
        wanted: row.get(6)?,
        storage_type: row.get(7)?,
        place: row.get(8)?,
        status,
        allow_multimount: row.get(10)?,
        affinities: json(row, 11)?,
        meta: json(row, 12)?,
        licenses: json(row, 13)?,
        licenses_fixed: row.get(14)?,
        source: row.get(15)?,
        chunk: row.get(16)?,
        image: row.get(17)?,
        created_at: row.get(18)?,
    })
}

/// A column of JSON.
pub fn json(row: &Row, index: usize) -> Result<Json, StoreError> {
    let text: String = row.get(index)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Broken(format!("column {index} is no JSON: {error}")))
}

impl Drive {
    /// Its bytes.
    pub fn volume(&self) -> VolumeId {
        VolumeId(self.id.0)
    }

    /// Where its bytes are.
    pub fn place(&self) -> Place {
        Place::new(&self.storage_type, u32::try_from(self.place).unwrap_or(0))
    }

    /// What a new drive's row is, as data: many go in by one statement.
    pub fn insert(&self) -> (&'static str, Vec<Value>) {
        const INTO: &str = "drives (id, tenant_id, owner_id, name, name_folded, media, size_bytes, wanted_bytes, \
            storage_type, place, status, allow_multimount, affinities, meta, licenses, licenses_fixed, source_id, \
            chunk_bytes, image, created_at, updated_at)";
        let values = params![
            self.id,
            self.tenant,
            self.owner,
            &self.name,
            self.name.to_lowercase(),
            &self.media,
            self.size,
            self.wanted,
            &self.storage_type,
            self.place,
            self.status.as_str(),
            self.allow_multimount,
            self.affinities.to_string(),
            self.meta.to_string(),
            self.licenses.to_string(),
            self.licenses_fixed,
            self.source,
            self.chunk,
            self.image.clone(),
            self.created_at,
            self.created_at,
        ];
        (INTO, values.to_vec())
    }

    /// That it is in a state in which this can be done.
    pub fn check(&self, action: &str, is_fit: bool) -> Result<(), Error> {
        match is_fit {
            true => Ok(()),
            false => Err(Error::state(action, "drive", self.status.as_str(), Status::Unmounted.as_str())),
        }
    }
}

/// The drive, if it is this user's.
pub fn own(tx: &mut Tx, user: UserId, id: DriveId) -> Result<Drive, Error> {
    let sql = format!("SELECT {COLUMNS} FROM drives WHERE id = $1 AND owner_id = $2");
    let row = tx.query_opt(&sql, &params![id, user])?.ok_or_else(|| Error::not_there(id))?;
    Ok(from_row(&row)?)
}

/// The drive, if it is this user's or the library's.
pub fn own_or_library(tx: &mut Tx, user: UserId, id: DriveId) -> Result<Drive, Error> {
    let sql = format!("SELECT {COLUMNS} FROM drives WHERE id = $1 AND (owner_id = $2 OR owner_id IS NULL)");
    let row = tx.query_opt(&sql, &params![id, user])?.ok_or_else(|| Error::not_there(id))?;
    Ok(from_row(&row)?)
}

/// The drive, whoever asks.
pub fn find(tx: &mut Tx, id: DriveId) -> Result<Option<Drive>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM drives WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

/// Whether it is on a server that runs.
pub fn is_running(tx: &mut Tx, id: DriveId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM drive_mounts m JOIN drive_servers s ON s.id = m.server_id \
        WHERE m.drive_id = $1 AND s.status <> 'stopped' LIMIT 1";
    Ok(tx.query_opt(sql, &params![id])?.is_some())
}

/// Sets it free or mounted, as servers have it or not: after an attach, a detach, and the end of a copy.
pub fn settle(tx: &mut Tx, id: DriveId) -> Result<(), StoreError> {
    // A drive of the library stays free, whoever reads from it.
    let sql = "UPDATE drives SET status = CASE WHEN EXISTS (SELECT 1 FROM drive_mounts WHERE drive_id = $1) \
        THEN 'mounted' ELSE 'unmounted' END \
        WHERE id = $1 AND owner_id IS NOT NULL AND status IN ('unmounted', 'mounted', 'cloning_src')";
    tx.execute(sql, &params![id])?;
    // It is still read from: a free one says so, a mounted one stays mounted.
    let sql = "UPDATE drives SET status = 'cloning_src' WHERE id = $1 AND owner_id IS NOT NULL \
        AND status = 'unmounted' AND EXISTS (SELECT 1 FROM drives c WHERE c.source_id = $1 AND c.status = 'cloning_dst')";
    tx.execute(sql, &params![id]).map(drop)
}

/// What is told of drives beside their rows.
#[derive(Default)]
pub struct Around {
    jobs: HashMap<DriveId, Vec<Ref>>,
    tags: HashMap<DriveId, Vec<Ref>>,
    mounts: HashMap<DriveId, Vec<Ref>>,
    snapshots: HashMap<DriveId, (Vec<Ref>, u64)>,
    licenses: HashMap<String, wire::License>,
}

impl Around {
    /// Of these drives, as this user may know it.
    pub fn of(tx: &mut Tx, user: UserId, drives: &[Drive]) -> Result<Around, StoreError> {
        let ids: Vec<Value> = drives.iter().map(|drive| drive.id.into()).collect();
        let mut around = Around { licenses: license::by_name(tx)?, ..Around::default() };
        for (drive, id) in job::of_resources(tx, user, &ids)? {
            around.jobs.entry(DriveId(drive)).or_default().push(Ref::to("jobs", id));
        }
        for (drive, id) in tag::of_resources(tx, user, &ids)? {
            around.tags.entry(DriveId(drive)).or_default().push(Ref::to("tags", id));
        }
        let sql = |list: &str| {
            format!(
                "SELECT m.drive_id, m.server_id, s.owner_id FROM drive_mounts m JOIN drive_servers s \
                 ON s.id = m.server_id WHERE m.drive_id IN {list} ORDER BY m.server_id"
            )
        };
        for row in tx.query_in(sql, &ids)? {
            if row.get::<UserId>(2)? == user {
                let server: String = row.get(1)?;
                around.mounts.entry(row.get(0)?).or_default().push(Ref::to("servers", server));
            }
        }
        let sql = |list: &str| {
            format!("SELECT drive_id, id FROM drive_snapshots WHERE drive_id IN {list} ORDER BY created_at, id")
        };
        for row in tx.query_in(sql, &ids)? {
            let snapshot: uuid::Uuid = row.get(1)?;
            let preserved = content::volume::snapshot_info(tx, ImageId(snapshot))?.map_or(0, |info| info.preserved);
            let (refs, bytes) = around.snapshots.entry(row.get(0)?).or_default();
            refs.push(Ref::to("snapshots", snapshot));
            *bytes += preserved;
        }
        Ok(around)
    }

    /// A drive as it is told.
    pub fn shown(&self, drive: &Drive) -> wire::Drive {
        let refs = |map: &HashMap<DriveId, Vec<Ref>>| map.get(&drive.id).cloned().unwrap_or_default();
        let (snapshots, allocated) = self.snapshots.get(&drive.id).cloned().unwrap_or_default();
        let kind = if drive.owner.is_some() { "drives" } else { "libdrives" };
        wire::Drive {
            affinities: drive.affinities.clone(),
            allow_multimount: drive.allow_multimount,
            backup_scheduler: wire::Null,
            grantees: wire::Empty,
            iops: wire::Null,
            jobs: refs(&self.jobs),
            licenses: license::shown(&drive.licenses, &self.licenses),
            media: drive.media.clone(),
            meta: drive.meta.clone(),
            mounted_on: refs(&self.mounts),
            name: drive.name.clone(),
            owner: drive.owner.map(|owner| Ref::to("user", owner)),
            permissions: wire::Empty,
            remote_snapshots: wire::Empty,
            resource_uri: wire::uri(kind, drive.id),
            runtime: wire::Runtime {
                is_snapshotable: (drive.status.is_usable() || drive.status == Status::Resizing).then_some(true),
                snapshots_allocated_size: allocated,
                storage_type: drive.storage_type.clone(),
            },
            size: drive.size,
            snapshots,
            status: drive.status.as_str().to_owned(),
            storage_type: drive.owner.map(|_| drive.storage_type.clone()),
            tags: refs(&self.tags),
            uuid: drive.id.to_string(),
        }
    }

    /// The references to jobs and licences, for the library's own form.
    pub fn jobs_and_licenses(&self, drive: &Drive) -> (Vec<Ref>, Vec<wire::DriveLicense>) {
        let jobs = self.jobs.get(&drive.id).cloned().unwrap_or_default();
        (jobs, license::shown(&drive.licenses, &self.licenses))
    }
}

/// One drive as it is told, in a status that it passes through so fast that nobody sees it otherwise (spec, section 3).
pub fn told(tx: &mut Tx, user: UserId, drive: &Drive, as_in: Status) -> Result<wire::Drive, StoreError> {
    let drive = Drive { status: as_in, ..drive.clone() };
    Ok(Around::of(tx, user, std::slice::from_ref(&drive))?.shown(&drive))
}

/// The storage type of a drive that is there; a type that the file has taken away has no room.
pub fn kind_of(tx: &mut Tx, drive: &Drive) -> Result<storage_type::StorageType, Error> {
    let kinds = storage_type::all(tx)?;
    let kind = kinds.into_iter().find(|kind| kind.name == drive.storage_type);
    kind.ok_or_else(|| Error::NoRoom(drive.storage_type.clone()))
}
