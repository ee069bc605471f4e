//! Collections: folders of assets, which say where what is in them is stored.

use axum::Json;
use axum::extract::State;
use identity::Principal;
use store::{Error as StoreError, Row, TenantId, Tx, Unit, params};

use crate::access::{self, Owner, Reach};
use crate::auth::Caller;
use crate::error::{Error, Fault};
use crate::ids::{AllocationId, CollectionId};
use crate::input::{At, Input, Params};
use crate::page::Window;
use crate::reply::Created;
use crate::select::Select;
use crate::wire::{self, CollectionFields, NewCollection};
use crate::{Face, asset, attach};

/// How many items a list of collections or assets has, and the most it may be asked for.
pub const LIST: u64 = 100;
pub const LIST_MAX: u64 = 1000;

/// How deep collections lie in each other: bounds the walk that looks for a circle.
const DEPTH_MAX: usize = 32;

/// `GET /api/collections/`.
pub async fn list(
    State(face): State<Face>,
    caller: Caller,
    params: Params,
) -> Result<Json<Vec<wire::Collection>>, Error> {
    let window = Window::of(&params, LIST, LIST_MAX)?;
    let mut select = Select::new();
    access::narrow(&mut select, &caller, "collections");
    let rows = face.store.read(move |tx| window.read(tx, COLUMNS, "collections", "collections", select)).await?;
    let collections = rows.iter().map(|row| from_row(row).map(shown)).collect::<Result<_, _>>()?;
    Ok(Json(collections))
}

/// `POST /api/collections/`: one in another takes over its allocation, unless it is given its own.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Input(NewCollection(title, asked)): Input<NewCollection>,
) -> Result<Created<wire::Collection>, Error> {
    let id = CollectionId(face.store.new_id());
    let actor = caller.actor();
    let new = face.store.read(move |tx| plan(tx, &caller, id, title, &asked).map_err(Error::noun)).await?;
    face.store.write(Unit::by(actor).rows(move |tx| insert(tx, &new))).await?;
    let made = face.store.read(move |tx| find(tx, id)).await?.ok_or(Error::NotFound)?;
    Ok(Created(shown(made)))
}

/// `GET /api/collections/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<CollectionId>,
) -> Result<Json<wire::Collection>, Error> {
    let found = face.store.read(move |tx| reachable(tx, &caller, id, Reach::Read).map_err(Error::noun)).await?;
    Ok(Json(shown(found)))
}

/// `PATCH /api/collections/{id}/`.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<CollectionId>,
    Input(asked): Input<CollectionFields>,
) -> Result<Json<wire::Collection>, Error> {
    let actor = caller.actor();
    let changed = face.store.read(move |tx| {
        let before = reachable(tx, &caller, id, Reach::Write).map_err(Error::noun)?;
        changed(tx, &caller, before, &asked).map_err(Error::noun)
    });
    let changed = changed.await?;
    face.store.write(Unit::by(actor).rows(move |tx| update(tx, &changed))).await?;
    let after = face.store.read(move |tx| find(tx, id)).await?.ok_or(Error::NotFound)?;
    Ok(Json(shown(after)))
}

/// `GET /api/collections/{id}/assets/`.
pub async fn assets(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<CollectionId>,
    params: Params,
) -> Result<Json<Vec<wire::Asset>>, Error> {
    let window = Window::of(&params, LIST, LIST_MAX)?;
    let mut select = Select::new();
    access::narrow(&mut select, &caller, "assets");
    select.and_equal("assets.collection_id", Some(id));
    let read = face.store.read(move |tx| {
        reachable(tx, &caller, id, Reach::Read).map_err(Error::noun)?;
        asset::window(tx, window, select)
    });
    Ok(Json(read.await?))
}

/// A collection.
#[derive(Clone, Debug)]
pub struct Collection {
    pub id: CollectionId,
    pub tenant: TenantId,
    pub title: String,
    pub owner: Owner,
    pub parent: Option<CollectionId>,
    pub allocation: Option<AllocationId>,
    created_at: i64,
    updated_at: i64,
}

fn shown(it: Collection) -> wire::Collection {
    wire::Collection {
        id: it.id,
        title: it.title,
        owner_type: it.owner.kind(),
        owner_id: it.owner.id(),
        parent_id: it.parent,
        allocation_id: it.allocation,
        created_at: wire::At(it.created_at),
        updated_at: wire::At(it.updated_at),
    }
}

/// The collection, if the caller reaches it so far.
pub fn reachable(tx: &mut Tx, who: &Principal, id: CollectionId, wanted: Reach) -> Result<Collection, Error> {
    let found = find(tx, id)?.ok_or(Error::NotFound)?;
    match access::reach(tx, who, found.tenant, found.owner)? {
        Reach::None => Err(Error::NotFound),
        reach if reach < wanted => Err(Error::Denied),
        _ => Ok(found),
    }
}

/// Whose something new is: the one named, the caller else. Who names another must be able to write what is theirs.
pub fn owner_of_new(tx: &mut Tx, who: &Principal, named: Option<Owner>) -> Result<(TenantId, Owner), Error> {
    let owner = named.unwrap_or(Owner::User(who.user));
    let home = access::home(tx, who, owner)?;
    let tenant = home.ok_or_else(|| Error::field("owner_id", "Invalid owner - object does not exist."))?.tenant;
    if access::reach(tx, who, tenant, owner)? == Reach::Write { Ok((tenant, owner)) } else { Err(Error::Denied) }
}

fn plan(
    tx: &mut Tx,
    who: &Principal,
    id: CollectionId,
    title: String,
    asked: &CollectionFields,
) -> Result<Collection, Error> {
    let (tenant, owner) = owner_of_new(tx, who, asked.owner)?;
    let new = Collection { id, tenant, title, owner, parent: None, allocation: None, created_at: 0, updated_at: 0 };
    let new = changed(tx, who, new, asked)?;
    let parent = new.parent.map(|parent| find(tx, parent)).transpose()?.flatten();
    let allocation = asked.allocation.unwrap_or(parent.and_then(|parent| parent.allocation));
    Ok(Collection { allocation, ..new })
}

/// The collection as it is asked to be, if all that is named can be.
fn changed(tx: &mut Tx, who: &Principal, before: Collection, asked: &CollectionFields) -> Result<Collection, Error> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, why: &str| faults.push(Fault { field: field.to_owned(), why: why.to_owned() });
    if let Some(Some(parent)) = asked.parent {
        if !attach::collection_can(tx, who, parent, Some(before.tenant))? {
            fault("parent_id", "Invalid collection - object does not exist.");
        } else if is_inside(tx, parent, before.id)? {
            fault("parent_id", "A collection cannot be inside itself.");
        }
    }
    if let Some(Some(allocation)) = asked.allocation
        && !attach::allocation_can(tx, who, allocation, before.tenant)?
    {
        fault("allocation_id", "Invalid allocation - object does not exist.");
    }
    if !faults.is_empty() {
        return Err(Error::Fields(faults));
    }
    Ok(Collection {
        title: asked.title.clone().unwrap_or(before.title),
        parent: asked.parent.unwrap_or(before.parent),
        allocation: asked.allocation.unwrap_or(before.allocation),
        ..before
    })
}

/// Whether `inner` is `outer` or lies in it, or so deep that nothing more may.
fn is_inside(tx: &mut Tx, inner: CollectionId, outer: CollectionId) -> Result<bool, StoreError> {
    let mut next = Some(inner);
    for _ in 0..DEPTH_MAX {
        let Some(id) = next else { return Ok(false) };
        if id == outer {
            return Ok(true);
        }
        next = find(tx, id)?.and_then(|found| found.parent);
    }
    Ok(true)
}

const COLUMNS: &str = "collections.id, collections.tenant_id, collections.title, collections.owner_type, \
    collections.owner_id, collections.parent_id, collections.allocation_id, collections.created_at, \
    collections.updated_at";

fn from_row(row: &Row) -> Result<Collection, StoreError> {
    Ok(Collection {
        id: row.get(0)?,
        tenant: row.get(1)?,
        title: row.get(2)?,
        owner: Owner::from_row(row, 3)?,
        parent: row.get(5)?,
        allocation: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// A collection by id, whoever asks.
pub fn find(tx: &mut Tx, id: CollectionId) -> Result<Option<Collection>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM collections WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

fn insert(tx: &mut Tx, new: &Collection) -> Result<(), StoreError> {
    let sql = "INSERT INTO collections (id, tenant_id, title, owner_type, owner_id, parent_id, allocation_id, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    let (kind, owner) = (new.owner.kind(), new.owner.id());
    let values = params![new.id, new.tenant, &new.title, kind, owner, new.parent, new.allocation, tx.now()];
    tx.execute(sql, &values).map(drop)
}

fn update(tx: &mut Tx, after: &Collection) -> Result<(), StoreError> {
    let sql = "UPDATE collections SET title = $2, parent_id = $3, allocation_id = $4, updated_at = $5 WHERE id = $1";
    let values = params![after.id, &after.title, after.parent, after.allocation, tx.now()];
    match tx.execute(sql, &values)? {
        0 => Err(StoreError::not_found("collection", after.id)),
        _ => Ok(()),
    }
}
