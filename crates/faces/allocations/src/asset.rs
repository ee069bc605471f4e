//! Assets: what records are the contents of. Its newest record is its current content.

use axum::Json;
use axum::extract::State;
use identity::Principal;
use serde_json::{Value as Json_, json};
use store::{Error as StoreError, Row, TenantId, Tx, Unit, UserId, params};

use crate::access::{self, Owner, Reach};
use crate::auth::Caller;
use crate::collection::{LIST, LIST_MAX, owner_of_new};
use crate::error::{Error, Fault};
use crate::ids::{AllocationId, AssetId, CollectionId};
use crate::input::{At, Input, Params};
use crate::page::Window;
use crate::reply::{Created, NoContent};
use crate::select::Select;
use crate::wire::{self, AssetFields, NewAsset};
use crate::{Face, attach, collection, record};

/// How many records go with an asset in one commit: others wait no longer than for a few of their own.
const DELETE_RECORDS: usize = 50;
/// How often the deletion of an asset starts over because a record came or went meanwhile.
const INTERRUPTED_MAX: usize = 20;

/// `GET /api/assets/`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Json<Vec<wire::Asset>>, Error> {
    let asked = Window::of(&params, LIST, LIST_MAX)?;
    let mut select = Select::new();
    access::narrow(&mut select, &caller, "assets");
    Ok(Json(face.store.read(move |tx| window(tx, asked, select)).await?))
}

/// `POST /api/assets/`: one in a collection takes over its allocation, unless it is given its own.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Input(NewAsset(title, asked)): Input<NewAsset>,
) -> Result<Created<wire::Asset>, Error> {
    let id = AssetId(face.store.new_id());
    let actor = caller.actor();
    let new = face.store.read(move |tx| plan(tx, &caller, id, title, asked).map_err(Error::noun)).await?;
    face.store.write(Unit::by(actor).rows(move |tx| insert(tx, &new))).await?;
    Ok(Created(show(&face, id).await?))
}

/// `GET /api/assets/{id}/`.
pub async fn get(State(face): State<Face>, caller: Caller, At(id): At<AssetId>) -> Result<Json<wire::Asset>, Error> {
    face.store.read(move |tx| reachable(tx, &caller, id, Reach::Read).map(drop).map_err(Error::noun)).await?;
    Ok(Json(show(&face, id).await?))
}

/// `PATCH /api/assets/{id}/`.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<AssetId>,
    Input(asked): Input<AssetFields>,
) -> Result<Json<wire::Asset>, Error> {
    let actor = caller.actor();
    let changed = face.store.read(move |tx| {
        let before = reachable(tx, &caller, id, Reach::Write).map_err(Error::noun)?;
        changed(tx, &caller, before, asked).map_err(Error::noun)
    });
    let changed = changed.await?;
    face.store.write(Unit::by(actor).rows(move |tx| update(tx, &changed))).await?;
    Ok(Json(show(&face, id).await?))
}

/// `DELETE /api/assets/{id}/`: with its records, whose room is free when this is answered.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<AssetId>) -> Result<NoContent, Error> {
    let mut interrupted = 0;
    loop {
        let who = caller.clone();
        let records = face.store.read(move |tx| {
            let found = reachable(tx, &who, id, Reach::Write).map_err(Error::noun)?;
            if found.is_locked {
                return Err(Error::Denied.noun());
            }
            record::of_asset(tx, id, DELETE_RECORDS)
        });
        let records = records.await?;
        let is_last = records.len() < DELETE_RECORDS;
        let unit = record::doom_all(Unit::by(caller.actor()), &records);
        let unit = unit.rows(move |tx| {
            record::delete_all(tx, &records)?;
            if is_last { delete(tx, id) } else { Ok(()) }
        });
        match face.store.write(unit).await {
            // A record that came or went in between: look again.
            Err(StoreError::Conflict(_) | StoreError::NotFound { .. }) if interrupted < INTERRUPTED_MAX => {
                interrupted += 1;
            }
            written => {
                written?;
                if is_last {
                    return Ok(NoContent);
                }
            }
        }
    }
}

/// An asset, without its content.
#[derive(Clone, Debug)]
pub struct Asset {
    pub id: AssetId,
    pub tenant: TenantId,
    pub title: String,
    pub owner: Owner,
    pub creator: UserId,
    pub collection: Option<CollectionId>,
    pub allocation: Option<AllocationId>,
    pub description: String,
    pub alias: String,
    pub tags: Json_,
    pub metadata: Json_,
    pub is_locked: bool,
    created_at: i64,
    updated_at: i64,
}

/// The asset, if the caller reaches it so far.
pub fn reachable(tx: &mut Tx, who: &Principal, id: AssetId, wanted: Reach) -> Result<Asset, Error> {
    let found = find(tx, id)?.ok_or(Error::NotFound)?;
    match access::reach(tx, who, found.tenant, found.owner)? {
        Reach::None => Err(Error::NotFound),
        reach if reach < wanted => Err(Error::Denied),
        _ => Ok(found),
    }
}

fn plan(tx: &mut Tx, who: &Principal, id: AssetId, title: String, asked: AssetFields) -> Result<Asset, Error> {
    let (tenant, owner) = owner_of_new(tx, who, asked.owner)?;
    let own_allocation = asked.allocation;
    let new = Asset {
        id,
        tenant,
        title,
        owner,
        creator: who.user,
        collection: None,
        allocation: None,
        description: String::new(),
        alias: String::new(),
        tags: json!([]),
        metadata: json!({}),
        is_locked: false,
        created_at: 0,
        updated_at: 0,
    };
    let new = changed(tx, who, new, asked)?;
    let inside = new.collection.map(|collection| collection::find(tx, collection)).transpose()?.flatten();
    let allocation = own_allocation.unwrap_or(inside.and_then(|collection| collection.allocation));
    Ok(Asset { allocation, ..new })
}

/// The asset as it is asked to be, if all that is named can be.
fn changed(tx: &mut Tx, who: &Principal, before: Asset, asked: AssetFields) -> Result<Asset, Error> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, why: &str| faults.push(Fault { field: field.to_owned(), why: why.to_owned() });
    if let Some(Some(collection)) = asked.collection
        && !attach::collection_can(tx, who, collection, Some(before.tenant))?
    {
        fault("collection_id", "Invalid collection - object does not exist.");
    }
    if let Some(Some(allocation)) = asked.allocation
        && !attach::allocation_can(tx, who, allocation, before.tenant)?
    {
        fault("allocation_id", "Invalid allocation - object does not exist.");
    }
    if !faults.is_empty() {
        return Err(Error::Fields(faults));
    }
    Ok(Asset {
        title: asked.title.unwrap_or(before.title),
        collection: asked.collection.unwrap_or(before.collection),
        allocation: asked.allocation.unwrap_or(before.allocation),
        description: asked.description.unwrap_or(before.description),
        alias: asked.alias.unwrap_or(before.alias),
        tags: asked.tags.map_or(before.tags, |tags| json!(tags)),
        metadata: asked.metadata.unwrap_or(before.metadata),
        is_locked: asked.is_locked.unwrap_or(before.is_locked),
        ..before
    })
}

async fn show(face: &Face, id: AssetId) -> Result<wire::Asset, Error> {
    let read = face.store.read(move |tx| {
        let found = find(tx, id)?.into_iter().collect();
        with_contents(tx, found)
    });
    read.await?.pop().ok_or(Error::NotFound)
}

/// A piece of a list of assets, each with its current content.
pub fn window(tx: &mut Tx, window: Window, select: Select) -> Result<Vec<wire::Asset>, StoreError> {
    let rows = window.read(tx, COLUMNS, "assets", "assets", select)?;
    let assets = rows.iter().map(from_row).collect::<Result<_, _>>()?;
    with_contents(tx, assets)
}

fn with_contents(tx: &mut Tx, assets: Vec<Asset>) -> Result<Vec<wire::Asset>, StoreError> {
    let ids: Vec<AssetId> = assets.iter().map(|asset| asset.id).collect();
    let mut contents = record::current_of(tx, &ids)?;
    let shown = |it: Asset| wire::Asset {
        id: it.id,
        title: it.title,
        owner_type: it.owner.kind(),
        owner_id: it.owner.id(),
        creator_id: it.creator,
        collection_id: it.collection,
        allocation_id: it.allocation,
        description: it.description,
        alias: it.alias,
        tags: it.tags,
        metadata: it.metadata,
        is_locked: it.is_locked,
        current_content: contents.remove(&it.id),
        created_at: wire::At(it.created_at),
        updated_at: wire::At(it.updated_at),
    };
    Ok(assets.into_iter().map(shown).collect())
}

const COLUMNS: &str = "assets.id, assets.tenant_id, assets.title, assets.owner_type, assets.owner_id, \
    assets.creator_id, assets.collection_id, assets.allocation_id, assets.description, assets.alias, assets.tags, \
    assets.metadata, assets.is_locked, assets.created_at, assets.updated_at";

fn from_row(row: &Row) -> Result<Asset, StoreError> {
    let parsed = |index| -> Result<Json_, StoreError> {
        let text: String = row.get(index)?;
        serde_json::from_str(&text).map_err(|error| StoreError::Broken(format!("column {index} is no JSON: {error}")))
    };
    Ok(Asset {
        id: row.get(0)?,
        tenant: row.get(1)?,
        title: row.get(2)?,
        owner: Owner::from_row(row, 3)?,
        creator: row.get(5)?,
        collection: row.get(6)?,
        allocation: row.get(7)?,
        description: row.get(8)?,
        alias: row.get(9)?,
        tags: parsed(10)?,
        metadata: parsed(11)?,
        is_locked: row.get(12)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
    })
}

/// An asset by id, whoever asks.
pub fn find(tx: &mut Tx, id: AssetId) -> Result<Option<Asset>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM assets WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()
}

fn insert(tx: &mut Tx, new: &Asset) -> Result<(), StoreError> {
    let sql = "INSERT INTO assets (id, tenant_id, title, owner_type, owner_id, creator_id, collection_id, \
        allocation_id, description, alias, tags, metadata, is_locked, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)";
    let values = params![
        new.id,
        new.tenant,
        &new.title,
        new.owner.kind(),
        new.owner.id(),
        new.creator,
        new.collection,
        new.allocation,
        &new.description,
        &new.alias,
        new.tags.to_string(),
        new.metadata.to_string(),
        new.is_locked,
        tx.now()
    ];
    tx.execute(sql, &values).map(drop)
}

fn update(tx: &mut Tx, after: &Asset) -> Result<(), StoreError> {
    let sql = "UPDATE assets SET title = $2, collection_id = $3, allocation_id = $4, description = $5, alias = $6, \
        tags = $7, metadata = $8, is_locked = $9, updated_at = $10 WHERE id = $1";
    let values = params![
        after.id,
        &after.title,
        after.collection,
        after.allocation,
        &after.description,
        &after.alias,
        after.tags.to_string(),
        after.metadata.to_string(),
        after.is_locked,
        tx.now()
    ];
    match tx.execute(sql, &values)? {
        0 => Err(StoreError::not_found("asset", after.id)),
        _ => Ok(()),
    }
}

fn delete(tx: &mut Tx, id: AssetId) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM assets WHERE id = $1", &params![id])? {
        0 => Err(Error::NotFound.noun()),
        _ => Ok(()),
    }
}
