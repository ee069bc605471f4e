//! Tags: names that a user gives to drives and servers. `drive.tags` and `tag.resources` are one relation seen from two
//! ends (spec, section 6.2).

use axum::extract::State;
use serde_json::{Value as Json, json};
use store::{Error as StoreError, Row, Tx, UserId, Value, params};
use uuid::Uuid;

use crate::Face;
use crate::auth::Caller;
use crate::drive::{define, read};
use crate::error::{Error, Fault};
use crate::ids::TagId;
use crate::input::{self, At, Body, Fields, Params};
use crate::list::{self, By, Keep, Window};
use crate::reply::{Bare, Created, NoContent};
use crate::select::Select;
use crate::server;
use crate::wire::{self, DRIVE_SHORT, Ref, SERVER_SHORT};

/// The most resources of one tag.
const RESOURCES_MAX: usize = 1000;

const COLUMNS: &str = "drive_tags.id, drive_tags.owner_id, drive_tags.name, drive_tags.meta";
const FILTERS: &[(&str, By)] = &[
    ("name", By::Text("drive_tags.name")),
    ("name__contains", By::Inside("drive_tags.name_folded")),
    ("uuid", By::Id("drive_tags.id")),
];

/// `GET tags/`, and `tags/detail/`: both whole.
pub async fn all(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Json>, Error> {
    let (window, keep) = (Window::of(&params)?, Keep::of(&params));
    let mut select = Select::of("drive_tags.owner_id", caller.user);
    list::filter(&mut select, &params, FILTERS)?;
    let read = face.store.read(move |tx| {
        let key = ("drive_tags.created_at", "drive_tags.id");
        let (total, rows) = window.read(tx, COLUMNS, "drive_tags", key, &select)?;
        let tags = rows.iter().map(|row| shown(tx, row)).collect::<Result<Vec<_>, _>>()?;
        Ok(window.envelope(total, tags.into_iter().map(|tag| keep.cut(tag)).collect()))
    });
    Ok(Bare(read.await?))
}

/// `GET tags/{id}/`.
pub async fn get(State(face): State<Face>, caller: Caller, At(id): At<TagId>) -> Result<Bare<wire::Tag>, Error> {
    let read = face.store.read(move |tx| find(tx, caller.user, id).map_err(Error::noun));
    Ok(Bare(read.await?))
}

/// What a body says of a tag.
#[derive(Clone)]
struct Asked {
    name: Option<String>,
    meta: Option<Json>,
    resources: Option<Vec<Uuid>>,
}

fn asked(fields: &mut Fields) -> Asked {
    Asked {
        name: fields.need("name", input::name),
        meta: fields.may("meta", input::meta),
        resources: fields.may("resources", input::list(RESOURCES_MAX, input::reference)),
    }
}

/// `POST tags/`: all or none.
pub async fn create(State(face): State<Face>, caller: Caller, body: Body) -> Result<Created<wire::Tag>, Error> {
    // Libcloud puts the resources of its one tag beside the list of objects.
    let beside = body.0.get("objects").and_then(|_| body.0.get("resources")).cloned();
    let mut objects = body.objects()?;
    if let ([one], Some(beside)) = (objects.as_mut_slice(), beside) {
        one.entry("resources").or_insert(beside);
    }
    let (mut tags, mut faults) = (Vec::new(), Vec::<Fault>::new());
    for object in objects {
        let mut fields = Fields::new(object);
        tags.push((TagId(face.store.new_id()), asked(&mut fields)));
        faults.extend(fields.into_faults());
    }
    if tags.is_empty() {
        faults.push(Fault::at("name", "This field is required"));
    }
    define::none(faults)?;
    caller.home()?;
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        for (id, asked) in &tags {
            insert(tx, user, *id, asked)?;
        }
        tags.iter().map(|(id, _)| find(tx, user, *id).map_err(Error::noun)).collect::<Result<Vec<_>, _>>()
    });
    let made = face.store.write(unit).await?.value;
    let location = made.first().map_or_else(String::new, |tag| tag.resource_uri.clone());
    Ok(Created { location, objects: made })
}

/// `PUT tags/{id}/`: what is said replaces what was.
pub async fn put(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TagId>,
    body: Body,
) -> Result<Bare<wire::Tag>, Error> {
    let mut fields = body.object()?;
    let asked = asked(&mut fields);
    fields.end()?;
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        let before = find(tx, user, id).map_err(Error::noun)?;
        let name = asked.name.clone().unwrap_or_default();
        check_name(tx, user, id, &name)?;
        let meta = asked.meta.clone().unwrap_or(before.meta);
        let sql = "UPDATE drive_tags SET name = $2, name_folded = $3, meta = $4 WHERE id = $1";
        tx.execute(sql, &params![id, &name, name.to_lowercase(), meta.to_string()])?;
        if let Some(resources) = &asked.resources {
            tx.execute("DELETE FROM drive_tagged WHERE tag_id = $1", &params![id])?;
            bind(tx, user, id, resources)?;
        }
        find(tx, user, id).map_err(Error::noun)
    });
    Ok(Bare(face.store.write(unit).await?.value))
}

/// `DELETE tags/{id}/`: what had it stays.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<TagId>) -> Result<NoContent, Error> {
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        find(tx, user, id).map_err(Error::noun)?;
        tx.execute("DELETE FROM drive_tagged WHERE tag_id = $1", &params![id])?;
        tx.execute("DELETE FROM drive_tags WHERE id = $1", &params![id]).map(drop)
    });
    face.store.write(unit).await?;
    Ok(NoContent)
}

/// `GET tags/{id}/drives/`.
pub async fn drives(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TagId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    drives_with(face, caller, id, &params, Keep::of(&params).or(DRIVE_SHORT)).await
}

/// `GET tags/{id}/drives/detail/`.
pub async fn drives_detail(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TagId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    drives_with(face, caller, id, &params, Keep::of(&params)).await
}

async fn drives_with(face: Face, caller: Caller, id: TagId, params: &Params, keep: Keep) -> Result<Bare<Json>, Error> {
    let user = caller.user;
    face.store.read(move |tx| find(tx, user, id).map_err(Error::noun)).await?;
    let mut select = Select::of("drives.owner_id", user);
    and_tagged(&mut select, "drives.id", id);
    read::page(&face, &caller, params, keep, select).await
}

/// `GET tags/{id}/servers/`.
pub async fn servers(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TagId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    servers_with(face, caller, id, &params, Keep::of(&params).or(SERVER_SHORT)).await
}

/// `GET tags/{id}/servers/detail/`.
pub async fn servers_detail(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TagId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    servers_with(face, caller, id, &params, Keep::of(&params)).await
}

async fn servers_with(face: Face, caller: Caller, id: TagId, params: &Params, keep: Keep) -> Result<Bare<Json>, Error> {
    let user = caller.user;
    face.store.read(move |tx| find(tx, user, id).map_err(Error::noun)).await?;
    let mut select = Select::of("drive_servers.owner_id", user);
    and_tagged(&mut select, "drive_servers.id", id);
    server::page(&face, &caller, params, keep, select).await
}

fn and_tagged(select: &mut Select, column: &str, id: TagId) {
    let tag = select.bind(id);
    select.and(format!("{column} IN (SELECT resource_id FROM drive_tagged WHERE tag_id = {tag})"));
}

fn insert(tx: &mut Tx, user: UserId, id: TagId, asked: &Asked) -> Result<(), StoreError> {
    let name = asked.name.clone().unwrap_or_default();
    check_name(tx, user, id, &name)?;
    let meta = asked.meta.clone().unwrap_or_else(|| json!({}));
    let sql =
        "INSERT INTO drive_tags (id, owner_id, name, name_folded, meta, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
    tx.execute(sql, &params![id, user, &name, name.to_lowercase(), meta.to_string(), tx.now()])?;
    bind(tx, user, id, asked.resources.as_deref().unwrap_or_default())
}

fn check_name(tx: &mut Tx, user: UserId, id: TagId, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM drive_tags WHERE owner_id = $1 AND name = $2 AND id <> $3";
    match tx.query_opt(sql, &params![user, name, id])? {
        Some(_) => Err(Error::field("name", "There is a tag of this name").noun()),
        None => Ok(()),
    }
}

/// Gives a tag to the user's own drives, servers and snapshots.
fn bind(tx: &mut Tx, user: UserId, tag: TagId, resources: &[Uuid]) -> Result<(), StoreError> {
    for resource in resources {
        let kind = [("drives", "drives"), ("servers", "drive_servers"), ("snapshots", "drive_snapshots")];
        let mut found = None;
        for (kind, table) in kind {
            let sql = format!("SELECT 1 FROM {table} WHERE id = $1 AND owner_id = $2");
            if tx.query_opt(&sql, &params![*resource, user])?.is_some() {
                found = Some(kind);
                break;
            }
        }
        let kind = found.ok_or_else(|| Error::not_there(resource).noun())?;
        add(tx, tag, *resource, kind)?;
    }
    Ok(())
}

fn add(tx: &mut Tx, tag: TagId, resource: Uuid, kind: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO drive_tagged (tag_id, resource_id, kind) VALUES ($1, $2, $3) \
        ON CONFLICT (tag_id, resource_id) DO NOTHING";
    tx.execute(sql, &params![tag, resource, kind]).map(drop)
}

fn find(tx: &mut Tx, user: UserId, id: TagId) -> Result<wire::Tag, Error> {
    let sql = format!("SELECT {COLUMNS} FROM drive_tags WHERE id = $1 AND owner_id = $2");
    let row = tx.query_opt(&sql, &params![id, user])?.ok_or_else(|| Error::not_there(id))?;
    Ok(shown(tx, &row)?)
}

fn shown(tx: &mut Tx, row: &Row) -> Result<wire::Tag, StoreError> {
    let (id, owner): (TagId, UserId) = (row.get(0)?, row.get(1)?);
    let sql = "SELECT resource_id, kind FROM drive_tagged WHERE tag_id = $1 ORDER BY resource_id";
    let tagged = |row: &Row| {
        let (resource, kind): (String, String) = (row.get(0)?, row.get(1)?);
        let resource_uri = wire::uri(&kind, &resource);
        Ok(wire::Tagged { owner: Ref::to("user", owner), res_type: kind, resource_uri, uuid: resource })
    };
    let resources = tx.query(sql, &params![id])?.iter().map(tagged).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(wire::Tag {
        meta: crate::drive::json(row, 3)?,
        name: row.get(2)?,
        owner: Ref::to("user", owner),
        resource_uri: wire::uri("tags", id),
        resources,
        uuid: id.to_string(),
    })
}

/// The tags of these resources.
pub fn of_resources(tx: &mut Tx, user: UserId, ids: &[Value]) -> Result<Vec<(Uuid, TagId)>, StoreError> {
    let sql = |list: &str| {
        format!(
            "SELECT g.resource_id, g.tag_id, t.owner_id FROM drive_tagged g JOIN drive_tags t ON t.id = g.tag_id \
             WHERE g.resource_id IN {list} ORDER BY g.tag_id"
        )
    };
    let mut found = Vec::new();
    for row in tx.query_in(sql, ids)? {
        let pair = (row.get(0)?, row.get(1)?);
        if row.get::<UserId>(2)? == user && !found.contains(&pair) {
            found.push(pair);
        }
    }
    Ok(found)
}

/// That these tags are this user's own.
pub fn check_own(tx: &mut Tx, user: UserId, tags: &[TagId]) -> Result<(), Error> {
    for tag in tags {
        let sql = "SELECT 1 FROM drive_tags WHERE id = $1 AND owner_id = $2";
        tx.query_opt(sql, &params![*tag, user])?.ok_or_else(|| Error::not_there(tag))?;
    }
    Ok(())
}

/// Something has exactly these tags from now on; in a unit's own rows.
pub fn replace_of(tx: &mut Tx, resource: Uuid, kind: &str, tags: &[TagId]) -> Result<(), StoreError> {
    tx.execute("DELETE FROM drive_tagged WHERE resource_id = $1", &params![resource])?;
    tags.iter().try_for_each(|tag| add(tx, *tag, resource, kind))
}
