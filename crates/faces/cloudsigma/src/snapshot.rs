//! Snapshots: a drive as it was (spec, section 5.2).
//!
//! **Always.** Taken in constant time, in the commit of the row. It takes nothing at first, and then what each write to the
//! drive preserves, charged ahead of the write. It goes with its drive.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use content::volume::{self, Branch, NewSnapshot, SnapshotId as ImageId};
use ledger::{Amounts, ClaimId, Resource};
use serde_json::{Value as Json, json};
use store::{Error as StoreError, Managed, Micros, Row, Store, Tx, UserId, Value, params};

use crate::Face;
use crate::auth::{Caller, Home};
use crate::drive::clone::{self, Origin};
use crate::drive::{self, Drive, define, remove};
use crate::error::{Error, Fault};
use crate::ids::{DriveId, SnapshotId, TagId};
use crate::input::{self, At, Body, Fields, Params, no_such_action};
use crate::list::{self, By, Keep, Window};
use crate::reply::{Accepted, Bare, Created, NoContent};
use crate::select::Select;
use crate::storage_type::StorageType;
use crate::wire::{self, Ref};
use crate::{capacity, tag};

const COLUMNS: &str = "drive_snapshots.id, drive_snapshots.drive_id, drive_snapshots.owner_id, drive_snapshots.name, \
    drive_snapshots.meta, drive_snapshots.media, drive_snapshots.size_bytes, drive_snapshots.storage_type, \
    drive_snapshots.place, drive_snapshots.created_at";

const FILTERS: &[(&str, By)] = &[
    ("name", By::Text("drive_snapshots.name")),
    ("name__contains", By::Inside("drive_snapshots.name_folded")),
    ("uuid", By::Id("drive_snapshots.id")),
    ("drive", By::Id("drive_snapshots.drive_id")),
    ("tag", By::Ids("drive_snapshots.id IN (SELECT resource_id FROM drive_tagged WHERE tag_id IN ({}))")),
];

/// The row of a snapshot.
#[derive(Clone, Debug)]
struct Snapshot {
    id: SnapshotId,
    drive: DriveId,
    owner: UserId,
    name: String,
    meta: Json,
    media: String,
    size: u64,
    storage_type: String,
    place: u64,
    created_at: Micros,
}

fn from_row(row: &Row) -> Result<Snapshot, StoreError> {
    Ok(Snapshot {
        id: row.get(0)?,
        drive: row.get(1)?,
        owner: row.get(2)?,
        name: row.get(3)?,
        meta: drive::json(row, 4)?,
        media: row.get(5)?,
        size: row.get(6)?,
        storage_type: row.get(7)?,
        place: row.get(8)?,
        created_at: row.get(9)?,
    })
}

/// `GET snapshots/`, and `snapshots/detail/`: both whole.
pub async fn all(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Json>, Error> {
    let (window, keep, user) = (Window::of(&params)?, Keep::of(&params), caller.user);
    let mut select = Select::of("drive_snapshots.owner_id", user);
    list::filter(&mut select, &params, FILTERS)?;
    let read = face.store.read(move |tx| {
        let key = ("drive_snapshots.created_at", "drive_snapshots.id");
        let (total, rows) = window.read(tx, COLUMNS, "drive_snapshots", key, &select)?;
        let snapshots = rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
        let told = snapshots.iter().map(|snapshot| shown(tx, user, snapshot)).collect::<Result<Vec<_>, _>>()?;
        Ok(window.envelope(total, told.into_iter().map(|snapshot| keep.cut(snapshot)).collect()))
    });
    Ok(Bare(read.await?))
}

/// `GET snapshots/{id}/`: with what it takes exactly, also while its drive is written to.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<SnapshotId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    let user = caller.user;
    let read = face.store.read(move |tx| {
        let snapshot = own(tx, user, id).map_err(Error::noun)?;
        shown(tx, user, &snapshot)
    });
    let told = read.await?;
    let allocated = face.content.volumes().preserved(ImageId(id.0)).await?;
    Ok(Bare(Keep::of(&params).cut(wire::Snapshot { allocated_size: Some(allocated), ..told })))
}

/// A snapshot that is asked for.
#[derive(Clone)]
struct Asked {
    id: SnapshotId,
    drive: DriveId,
    name: Option<String>,
    meta: Json,
    tags: Vec<TagId>,
}

/// `POST snapshots/`: all or none.
pub async fn create(State(face): State<Face>, caller: Caller, body: Body) -> Result<Created<wire::Snapshot>, Error> {
    let home = caller.home()?;
    let asked = read_new(&face.store, body)?;
    let user = caller.user;
    let planned = face.store.read(move |tx| plan(tx, user, asked).map_err(Error::noun)).await?;
    let mut branches = Vec::with_capacity(planned.len());
    for (snapshot, kind, _) in &planned {
        branches.push(Branch::Snapshot {
            of: volume::VolumeId(snapshot.drive.0),
            new: new(&face.store, home, snapshot, kind)?,
        });
    }
    let rows = planned.clone();
    let unit = caller.unit().rows(move |tx| {
        rows.iter().try_for_each(|(snapshot, _, tags)| insert(tx, snapshot, tags))?;
        capacity::check_snapshots(tx, user, rows.iter().map(|(snapshot, ..)| snapshot.drive)).map_err(Error::noun)
    });
    face.content.volumes().branch(branches, unit).await?;
    let told = face.store.read(move |tx| {
        let told = |(snapshot, ..): &(Snapshot, StorageType, Vec<TagId>)| {
            Ok(wire::Snapshot { allocated_size: None, status: "creating", ..shown(tx, user, snapshot)? })
        };
        planned.iter().map(told).collect::<Result<Vec<_>, StoreError>>()
    });
    let told = told.await?;
    let location = told.first().map_or_else(String::new, |snapshot| snapshot.resource_uri.clone());
    Ok(Created { location, objects: told })
}

fn read_new(store: &Store, body: Body) -> Result<Vec<Asked>, Error> {
    let (mut asked, mut faults) = (Vec::new(), Vec::<Fault>::new());
    for object in body.objects()? {
        let mut fields = Fields::new(object);
        let drive = fields.need("drive", input::reference);
        let name = fields.may("name", input::name);
        let meta = fields.may("meta", input::meta).unwrap_or_else(|| json!({}));
        let tags = fields.may("tags", input::list(1000, input::reference)).unwrap_or_default();
        faults.extend(fields.into_faults());
        let tags = tags.into_iter().map(TagId).collect();
        asked.extend(drive.map(|drive| Asked {
            id: SnapshotId(store.new_id()),
            drive: DriveId(drive),
            name,
            meta,
            tags,
        }));
    }
    if asked.is_empty() && faults.is_empty() {
        faults.push(Fault::at("drive", "This field is required"));
    }
    define::none(faults)?;
    Ok(asked)
}

fn plan(tx: &mut Tx, user: UserId, asked: Vec<Asked>) -> Result<Vec<(Snapshot, StorageType, Vec<TagId>)>, Error> {
    let mut planned = Vec::with_capacity(asked.len());
    for Asked { id, drive, name, meta, tags } in asked {
        let of = drive::own(tx, user, drive)?;
        of.check("snapshot", of.status.is_usable())?;
        tag::check_own(tx, user, &tags)?;
        let kind = drive::kind_of(tx, &of)?;
        let default = || format!("{drive}__{}", wire::written(tx.now(), "%Y-%m-%d__%H_%M_%S"));
        let snapshot = Snapshot {
            id,
            drive,
            owner: user,
            name: name.unwrap_or_else(default),
            meta,
            media: of.media,
            size: of.size,
            storage_type: of.storage_type,
            place: of.place,
            created_at: tx.now(),
        };
        planned.push((snapshot, kind, tags));
    }
    Ok(planned)
}

/// What a snapshot takes: one of the snapshots, and no byte yet.
fn new(store: &Store, home: Home, snapshot: &Snapshot, kind: &StorageType) -> Result<NewSnapshot, Error> {
    let one = Amounts::new().with(Resource::SNAPSHOTS, 1);
    Ok(NewSnapshot {
        id: ImageId(snapshot.id.0),
        claim: ClaimId(store.new_id()),
        demand: Some(home.node.into()),
        supply: kind.supply(),
        extra: one.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))?,
        managed_by: Managed::new("cloudsigma", "snapshot", snapshot.id),
    })
}

fn insert(tx: &mut Tx, snapshot: &Snapshot, tags: &[TagId]) -> Result<(), StoreError> {
    // Its drive is still as large as it was seen, or the snapshot would be told at another size than it has.
    let sql = "SELECT 1 FROM drives WHERE id = $1 AND owner_id = $2 AND size_bytes = $3 \
        AND status IN ('unmounted', 'mounted', 'cloning_src')";
    if tx.query_opt(sql, &params![snapshot.drive, snapshot.owner, snapshot.size])?.is_none() {
        return Err(Error::Lost.noun());
    }
    let sql = "INSERT INTO drive_snapshots (id, drive_id, owner_id, name, name_folded, meta, media, size_bytes, \
        storage_type, place, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let values = params![
        snapshot.id,
        snapshot.drive,
        snapshot.owner,
        &snapshot.name,
        snapshot.name.to_lowercase(),
        snapshot.meta.to_string(),
        &snapshot.media,
        snapshot.size,
        &snapshot.storage_type,
        snapshot.place,
        snapshot.created_at
    ];
    tx.execute(sql, &values)?;
    tag::replace_of(tx, snapshot.id.0, "snapshots", tags)
}

/// `PUT snapshots/{id}/`: name, meta and tags.
pub async fn put(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<SnapshotId>,
    body: Body,
) -> Result<Bare<wire::Snapshot>, Error> {
    let mut fields = body.object()?;
    let (name, meta) = (fields.may("name", input::name), fields.may("meta", input::meta));
    let tags = fields.may("tags", input::list(1000, input::reference));
    fields.end()?;
    let tags: Option<Vec<TagId>> = tags.map(|tags| tags.into_iter().map(TagId).collect());
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        let before = own(tx, user, id).map_err(Error::noun)?;
        let (name, meta) = (name.clone().unwrap_or(before.name), meta.clone().unwrap_or(before.meta));
        let sql = "UPDATE drive_snapshots SET name = $2, name_folded = $3, meta = $4 WHERE id = $1";
        tx.execute(sql, &params![id, &name, name.to_lowercase(), meta.to_string()])?;
        if let Some(tags) = &tags {
            tag::check_own(tx, user, tags).map_err(Error::noun)?;
            tag::replace_of(tx, id.0, "snapshots", tags)?;
        }
        let after = own(tx, user, id).map_err(Error::noun)?;
        shown(tx, user, &after)
    });
    Ok(Bare(face.store.write(unit).await?.value))
}

/// `DELETE snapshots/{id}/`.
pub async fn one(State(face): State<Face>, caller: Caller, At(id): At<SnapshotId>) -> Result<NoContent, Error> {
    delete(&face, &caller, vec![id]).await
}

/// `DELETE snapshots/` with a list: all or none.
pub async fn many(State(face): State<Face>, caller: Caller, body: Body) -> Result<NoContent, Error> {
    delete(&face, &caller, remove::named(body)?.into_iter().map(SnapshotId).collect()).await
}

async fn delete(face: &Face, caller: &Caller, mut ids: Vec<SnapshotId>) -> Result<NoContent, Error> {
    ids.sort_unstable();
    ids.dedup();
    let (user, named) = (caller.user, ids.clone());
    let read = face.store.read(move |tx| {
        let mut going = Vec::with_capacity(named.len());
        for id in named {
            own(tx, user, id).map_err(Error::noun)?;
            going.extend(volume::snapshot_info(tx, ImageId(id.0))?);
        }
        Ok(going)
    });
    let going = read.await?;
    let unit = going.iter().fold(caller.unit(), volume::doom_snapshot);
    let unit = unit.rows(move |tx| {
        for id in &ids {
            tx.execute("DELETE FROM drive_tagged WHERE resource_id = $1", &params![*id])?;
            define::unchanged(tx.execute("DELETE FROM drive_snapshots WHERE id = $1", &params![*id])?)?;
        }
        Ok(())
    });
    face.store.write(unit).await?;
    Ok(NoContent)
}

/// `POST snapshots/{id}/action/?do=clone`: answers the drive bare (spec, section 7.5).
pub async fn act(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<SnapshotId>,
    params: Params,
    body: Body,
) -> Result<Response, Error> {
    if params.action() != "clone" {
        return Err(no_such_action(params.action()));
    }
    let user = caller.user;
    let find = move |tx: &mut Tx<'_>| {
        let snapshot = own(tx, user, id)?;
        let drive = drive::own(tx, user, snapshot.drive)?;
        let Snapshot { media, size, storage_type, place, .. } = snapshot;
        let then = Drive { media, size, storage_type, place, ..drive };
        Ok(Origin { drive: then, snapshot: Some(id), name: snapshot.name })
    };
    clone::one(&face, &caller, &params, body, find).await.map(|drive| Accepted::Bare(drive).into_response())
}

fn own(tx: &mut Tx, user: UserId, id: SnapshotId) -> Result<Snapshot, Error> {
    let sql = format!("SELECT {COLUMNS} FROM drive_snapshots WHERE id = $1 AND owner_id = $2");
    let row = tx.query_opt(&sql, &params![id, user])?.ok_or_else(|| Error::not_there(id))?;
    Ok(from_row(&row)?)
}

fn shown(tx: &mut Tx, user: UserId, snapshot: &Snapshot) -> Result<wire::Snapshot, StoreError> {
    let preserved = volume::snapshot_info(tx, ImageId(snapshot.id.0))?.map_or(0, |info| info.preserved);
    let tags = tag::of_resources(tx, user, &[Value::Id(snapshot.id.0)])?;
    Ok(wire::Snapshot {
        allocated_size: Some(preserved),
        drive: Ref::to("drives", snapshot.drive),
        grantees: wire::Empty,
        meta: snapshot.meta.clone(),
        name: snapshot.name.clone(),
        owner: Ref::to("user", snapshot.owner),
        permissions: wire::Empty,
        resource_uri: wire::uri("snapshots", snapshot.id),
        status: "available",
        tags: tags.into_iter().map(|(_, tag)| Ref::to("tags", tag)).collect(),
        timestamp: wire::written(snapshot.created_at, "%Y-%m-%d %H:%M:%S%.6f+00:00"),
        uuid: snapshot.id.to_string(),
    })
}
