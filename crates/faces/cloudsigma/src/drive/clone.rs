//! Cloning: a drive that begins with the bytes of another, or of a snapshot (spec, sections 3.5, 5.2 and 6.1).
//!
//! **Shape.** An [`Origin`] is what is cloned, a [`Cloning`] with its target what will be done. Where the target lies beside
//! its origin it is there at once, whatever the size. Elsewhere the bytes are copied by a job of content, and the target is
//! `cloning_dst` until it is through.
//! **Always.** The target's row, its charge and the job that the API tells of are in one commit. The origin leaves
//! `cloning_src` in the commit that makes its last clone usable.

use content::volume::{self, Branch, Finished, SnapshotId as ImageId, Source, VolumeId};
use store::{Actor, Error as StoreError, Micros, Store, Tx, Unit, UserId, params};
use uuid::Uuid;

use crate::Face;
use crate::auth::{Caller, Home};
use crate::drive::create::{self, Planned};
use crate::drive::define::{self, Definition};
use crate::drive::{self, Drive, Status};
use crate::error::Error;
use crate::ids::{DriveId, JobId, SnapshotId};
use crate::input::{Body, Params};
use crate::reply::Accepted;
use crate::storage_type;
use crate::{job, naming, profile, tag, wire};

/// What is cloned.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The drive, or the drive as it was when the snapshot was taken.
    pub drive: Drive,
    /// The snapshot, if it is one.
    pub snapshot: Option<SnapshotId>,
    /// What the clone is called after.
    pub name: String,
}

impl Origin {
    /// A drive that is there.
    pub fn drive(drive: Drive) -> Origin {
        Origin { name: drive.name.clone(), drive, snapshot: None }
    }

    fn source(&self) -> Source {
        match self.snapshot {
            Some(snapshot) => Source::Snapshot(ImageId(snapshot.0)),
            None => Source::Volume(self.drive.volume()),
        }
    }

    fn resource(&self) -> (Uuid, String) {
        match (self.snapshot, self.drive.owner) {
            (Some(snapshot), _) => (snapshot.0, wire::uri("snapshots", snapshot)),
            (None, Some(_)) => (self.drive.id.0, wire::uri("drives", self.drive.id)),
            (None, None) => (self.drive.id.0, wire::uri("libdrives", self.drive.id)),
        }
    }
}

/// A clone that can be made.
#[derive(Clone, Debug)]
pub struct Cloning {
    /// Of what.
    pub origin: Origin,
    /// The new drive.
    pub target: Planned,
    /// The job that the API tells of.
    pub job: JobId,
}

/// `do=clone` of a drive, or of one of the library.
pub async fn clone(
    face: &Face,
    caller: &Caller,
    id: DriveId,
    params: &Params,
    body: Body,
) -> Result<Accepted<wire::Drive>, Error> {
    let who = caller.clone();
    let find = move |tx: &mut Tx<'_>| {
        let drive = drive::own_or_library(tx, who.user, id)?;
        let may = drive.status.is_usable();
        drive.check("clone", may)?;
        Ok(Origin::drive(drive))
    };
    one(face, caller, params, body, find).await.map(Accepted::Wrapped)
}

/// Clones what `find` finds, as a body says.
pub async fn one(
    face: &Face,
    caller: &Caller,
    params: &Params,
    body: Body,
    find: impl FnOnce(&mut Tx) -> Result<Origin, Error> + Send + 'static,
) -> Result<wire::Drive, Error> {
    let home = caller.home()?;
    let mut fields = body.object()?;
    let definition = Definition::read(&mut fields, false);
    fields.end()?;
    let (who, avoid) = (caller.clone(), storage_type::avoid_of(params));
    let (id, job) = (DriveId(face.store.new_id()), JobId(face.store.new_id()));
    let planned = face.store.read(move |tx| {
        let plan = |tx: &mut Tx<'_>| {
            let origin = find(tx)?;
            let avoided = storage_type::avoided(tx, &who, &avoid)?;
            let target = target(tx, &who, &origin, definition, &avoided, id)?;
            Ok(Cloning { origin, target, job })
        };
        plan(tx).map_err(Error::noun)
    });
    let cloning = planned.await?;
    let all = vec![cloning];
    let unit = rows_of(caller.unit(), caller.user, &all, None);
    branch(face, home, all, unit, |_| Ok(())).await?;
    let user = caller.user;
    let told = face.store.read(move |tx| create::tell(tx, user, &[id], Status::CloningDst)).await?;
    told.into_iter().next().ok_or_else(|| Error::not_there(id))
}

/// The new drive: what the body says, and otherwise what its origin is.
pub fn target(
    tx: &mut Tx,
    caller: &Caller,
    origin: &Origin,
    asked: Definition,
    avoided: &[(String, u64)],
    id: DriveId,
) -> Result<Planned, Error> {
    let (from, mut faults) = (&origin.drive, Vec::new());
    asked.check(tx, caller.user, &mut faults)?;
    define::none(faults)?;
    let kinds = storage_type::all(tx)?;
    let kind = storage_type::choose(&kinds, Some(asked.storage_type.as_deref().unwrap_or(&from.storage_type)))?;
    let size = kind.size(asked.size.unwrap_or(from.size)).map_err(|why| Error::field("size", why))?;
    if size < from.size {
        return Err(Error::field("size", "The size of a clone can only be the same or larger"));
    }
    let is_beside = kind.name == from.storage_type && !avoided.contains(&(kind.name.clone(), from.place));
    let place = if is_beside { from.place } else { kind.place(id.0, avoided) };
    let is_copy = kind.name != from.storage_type || place != from.place;
    let name = match asked.name {
        Some(name) => name,
        None => naming::cloned(&origin.name, &profile::clone_naming(tx, caller.user)?, tx.now()),
    };
    let drive = Drive {
        id,
        tenant: caller.tenant,
        owner: Some(caller.user),
        name,
        media: asked.media.map_or_else(|| from.media.clone(), str::to_owned),
        size,
        wanted: None,
        storage_type: kind.name.clone(),
        place,
        status: if is_copy { Status::CloningDst } else { Status::Unmounted },
        allow_multimount: asked.allow_multimount.unwrap_or(from.allow_multimount),
        affinities: asked.affinities.unwrap_or_else(|| from.affinities.clone()),
        meta: asked.meta.unwrap_or_else(|| from.meta.clone()),
        licenses: from.licenses.clone(),
        licenses_fixed: from.licenses_fixed || from.owner.is_none(),
        source: is_copy.then_some(from.id),
        chunk: None,
        image: None,
        created_at: tx.now(),
    };
    Ok(Planned { drive, kind: kind.clone(), tags: asked.tags.unwrap_or_default() })
}

/// The rows of new clones and their jobs, as data.
pub fn rows_of<T>(unit: Unit<T>, user: UserId, all: &[Cloning], parent: Option<JobId>) -> Unit<T> {
    all.iter().fold(unit, |unit, cloning| {
        let target = &cloning.target.drive;
        let (into, values) = target.insert();
        let resources = [cloning.origin.resource(), (target.id.0, wire::uri("drives", target.id))];
        let new = job::New {
            id: cloning.job,
            owner: user,
            parent,
            operation: "drive_clone",
            target: target.id.0,
            is_done: target.status != Status::CloningDst,
            resources: &resources,
            at: target.created_at,
        };
        job::insert(unit.insert(into, values), &new)
    })
}

/// Makes clones: all or none, in one commit with what `more` writes.
pub async fn branch(
    face: &Face,
    home: Home,
    all: Vec<Cloning>,
    unit: Unit,
    more: impl Fn(&mut Tx) -> Result<(), StoreError> + Send + Sync + 'static,
) -> Result<(), Error> {
    all.iter().for_each(|cloning| face.note_places(&cloning.target.kind));
    let branches = branches(&face.store, home, &all)?;
    let copies = all.iter().map(|cloning| &cloning.target.drive).filter(|drive| drive.status == Status::CloningDst);
    let copies: Vec<DriveId> = copies.map(|drive| drive.id).collect();
    let storage_type = all.first().map(|cloning| cloning.target.drive.storage_type.clone()).unwrap_or_default();
    let unit = unit.rows(move |tx| {
        all.iter().try_for_each(|cloning| begin(tx, cloning))?;
        more(tx)
    });
    let done = face.content.volumes().branch(branches, unit).await;
    done.map_err(|error| Error::from(error).on(&storage_type))?;
    for id in copies {
        settle_ready(face, id).await?;
    }
    Ok(())
}

/// Lets a copy be used that has nothing to copy: there is no job then, whose end would. The next start does it, too.
pub async fn settle_ready(face: &Face, id: DriveId) -> Result<(), Error> {
    let volume = VolumeId(id.0);
    let found = face.store.read(move |tx| volume::info(tx, volume)).await?;
    if found.is_none_or(|info| info.job.is_none()) {
        let unit = Unit::by(Actor::system("cloudsigma")).rows(move |tx| ended(tx, id, None));
        face.store.write(unit).await?;
    }
    Ok(())
}

fn branches(store: &Store, home: Home, all: &[Cloning]) -> Result<Vec<Branch>, Error> {
    let branch = |cloning: &Cloning| {
        let new = create::volume(store, home, &cloning.target)?;
        Ok(Branch::Clone { of: cloning.origin.source(), new })
    };
    all.iter().map(branch).collect()
}

/// In the commit of a clone: its origin is still there, and says that it is read from.
fn begin(tx: &mut Tx, cloning: &Cloning) -> Result<(), StoreError> {
    let id = cloning.origin.drive.id;
    let now = drive::find(tx, id)?.ok_or_else(|| Error::not_there(id).noun())?;
    if !now.status.is_usable() {
        return Err(Error::Lost.noun());
    }
    if cloning.target.drive.status == Status::CloningDst {
        // A mounted one stays mounted, and one of the library free.
        let sql = "UPDATE drives SET status = 'cloning_src' \
            WHERE id = $1 AND status = 'unmounted' AND owner_id IS NOT NULL";
        tx.execute(sql, &params![id])?;
    }
    tag::replace_of(tx, cloning.target.drive.id.0, "drives", &cloning.target.tags)
}

/// In the commit that ends a copy or an import: the drive is there, or lost.
pub fn finished(tx: &mut Tx, done: &Finished) -> Result<(), StoreError> {
    ended(tx, DriveId(done.volume.0), done.failed.as_deref())
}

fn ended(tx: &mut Tx, id: DriveId, failed: Option<&str>) -> Result<(), StoreError> {
    let Some(drive) = drive::find(tx, id)? else { return Ok(()) };
    let status = if failed.is_none() { Status::Unmounted } else { Status::Unavailable };
    let sql = "UPDATE drives SET status = $2, source_id = NULL, updated_at = $3 \
        WHERE id = $1 AND status IN ('cloning_dst', 'creating')";
    let now: Micros = tx.now();
    tx.execute(sql, &params![id, status.as_str(), now])?;
    drive::settle(tx, id)?;
    if let Some(why) = failed {
        tracing::warn!(drive.id = %id, why, "a drive could not be filled");
    }
    if let Some(source) = drive.source {
        drive::settle(tx, source)?;
    }
    job::finish(tx, id.0, failed.is_none())
}
