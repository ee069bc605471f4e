//! Servers: what drives are mounted on. Nothing runs on one; a started server's drives are exported by NBD, for whatever runs
//! elsewhere (spec, section 6.1).
//!
//! **Shape.** Here are the row, what is told of it and the lists; `server/` has one file a verb.
//! **Always.** A drive is `mounted` from the commit that puts it on a server, and free from the one that takes it off the
//! last. What has no meaning here is kept as it was given.

pub mod action;
pub mod define;
pub mod remove;
pub mod write;

use axum::extract::State;
use serde_json::{Map, Value as Json, json};
use store::{Error as StoreError, Micros, Row, TenantId, Tx, UserId, Value, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive;
use crate::error::Error;
use crate::ids::{DriveId, ServerId};
use crate::input::{At, Params};
use crate::list::{self, By, Keep, Window};
use crate::reply::Bare;
use crate::select::Select;
use crate::wire::{self, Ref, SERVER_SHORT};
use crate::{job, tag};

pub const STOPPED: &str = "stopped";
pub const RUNNING: &str = "running";

const COLUMNS: &str = "drive_servers.id, drive_servers.tenant_id, drive_servers.owner_id, drive_servers.name, \
    drive_servers.status, drive_servers.definition, drive_servers.created_at, drive_servers.updated_at";

const FILTERS: &[(&str, By)] = &[
    ("name", By::Text("drive_servers.name")),
    ("name__contains", By::Inside("drive_servers.name_folded")),
    ("uuid", By::Id("drive_servers.id")),
    ("tag", By::Ids("drive_servers.id IN (SELECT resource_id FROM drive_tagged WHERE tag_id IN ({}))")),
];

/// The row of a server.
#[derive(Clone, Debug)]
pub struct Server {
    pub id: ServerId,
    pub tenant: TenantId,
    pub owner: UserId,
    pub name: String,
    pub status: String,
    /// All that was given of it and has no column.
    pub definition: Map<String, Json>,
    pub created_at: Micros,
    /// When it was last changed, started or stopped.
    pub updated_at: Micros,
}

/// A drive on a server.
#[derive(Clone, PartialEq, Debug)]
pub struct Mount {
    pub drive: DriveId,
    pub boot_order: Option<u64>,
    pub device: String,
    pub dev_channel: String,
}

fn from_row(row: &Row) -> Result<Server, StoreError> {
    let definition = match drive::json(row, 5)? {
        Json::Object(map) => map,
        _ => Map::new(),
    };
    Ok(Server {
        id: row.get(0)?,
        tenant: row.get(1)?,
        owner: row.get(2)?,
        name: row.get(3)?,
        status: row.get(4)?,
        definition,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
    })
}

/// `GET servers/`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Json>, Error> {
    let keep = Keep::of(&params).or(SERVER_SHORT);
    page(&face, &caller, &params, keep, Select::of("drive_servers.owner_id", caller.user)).await
}

/// `GET servers/detail/`.
pub async fn detail(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Json>, Error> {
    page(&face, &caller, &params, Keep::of(&params), Select::of("drive_servers.owner_id", caller.user)).await
}

/// A page of servers that fit `select`.
pub async fn page(
    face: &Face,
    caller: &Caller,
    params: &Params,
    keep: Keep,
    mut select: Select,
) -> Result<Bare<Json>, Error> {
    let (window, user) = (Window::of(params)?, caller.user);
    list::filter(&mut select, params, FILTERS)?;
    let read = face.store.read(move |tx| {
        let key = ("drive_servers.created_at", "drive_servers.id");
        let (total, rows) = window.read(tx, COLUMNS, "drive_servers", key, &select)?;
        let servers = rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
        let told = servers.iter().map(|server| told(tx, user, server)).collect::<Result<Vec<_>, _>>()?;
        Ok(window.envelope(total, told.into_iter().map(|server| keep.cut(server)).collect()))
    });
    Ok(Bare(read.await?))
}

/// `GET servers/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ServerId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    Ok(Bare(Keep::of(&params).cut(show(&face, &caller, id).await?)))
}

/// `GET servers/{id}/runtime/`.
pub async fn runtime(State(face): State<Face>, caller: Caller, At(id): At<ServerId>) -> Result<Bare<Json>, Error> {
    Ok(Bare(show(&face, &caller, id).await?["runtime"].take()))
}

/// `GET servers/availability_groups/`: those that run, which all do in one place.
pub async fn groups(State(face): State<Face>, caller: Caller) -> Result<Bare<Vec<Vec<String>>>, Error> {
    let running = running(&face, &caller).await?;
    Ok(Bare(if running.is_empty() { Vec::new() } else { vec![running] }))
}

/// `GET servers/availability_groups/{id}/`: nothing for one that is stopped.
pub async fn group(State(face): State<Face>, caller: Caller, At(id): At<ServerId>) -> Result<Bare<Vec<String>>, Error> {
    show(&face, &caller, id).await?;
    let running = running(&face, &caller).await?;
    Ok(Bare(if running.contains(&id.to_string()) { running } else { Vec::new() }))
}

async fn running(face: &Face, caller: &Caller) -> Result<Vec<String>, Error> {
    let sql = "SELECT id FROM drive_servers WHERE owner_id = $1 AND status <> 'stopped' ORDER BY id LIMIT 100000";
    let values = params![caller.user];
    Ok(face.store.read(move |tx| tx.query(sql, &values)?.iter().map(|row| row.get(0)).collect()).await?)
}

/// A server as it is now.
pub async fn show(face: &Face, caller: &Caller, id: ServerId) -> Result<Json, Error> {
    let user = caller.user;
    let read = face.store.read(move |tx| {
        let server = own(tx, user, id).map_err(Error::noun)?;
        told(tx, user, &server)
    });
    Ok(read.await?)
}

/// The server, if it is this user's.
pub fn own(tx: &mut Tx, user: UserId, id: ServerId) -> Result<Server, Error> {
    let sql = format!("SELECT {COLUMNS} FROM drive_servers WHERE id = $1 AND owner_id = $2");
    let row = tx.query_opt(&sql, &params![id, user])?.ok_or_else(|| Error::not_there(id))?;
    Ok(from_row(&row)?)
}

/// The drives on a server, in order.
pub fn mounts(tx: &mut Tx, id: ServerId) -> Result<Vec<Mount>, StoreError> {
    let sql =
        "SELECT drive_id, boot_order, device, dev_channel FROM drive_mounts WHERE server_id = $1 ORDER BY position";
    let mount = |row: &Row| {
        Ok(Mount { drive: row.get(0)?, boot_order: row.get(1)?, device: row.get(2)?, dev_channel: row.get(3)? })
    };
    tx.query(sql, &params![id])?.iter().map(mount).collect()
}

/// A server as it is told: what was given, what stands for what was not, and what is known of it here.
pub fn told(tx: &mut Tx, user: UserId, server: &Server) -> Result<Json, StoreError> {
    let id = [Value::Id(server.id.0)];
    let tags = tag::of_resources(tx, user, &id)?.into_iter().map(|(_, tag)| Ref::to("tags", tag));
    let tags: Vec<Ref> = tags.collect();
    let jobs: Vec<Ref> = job::of_resources(tx, user, &id)?.into_iter().map(|(_, job)| Ref::to("jobs", job)).collect();
    let mount = |mount: Mount| wire::Mount {
        boot_order: mount.boot_order,
        dev_channel: mount.dev_channel,
        device: mount.device,
        drive: Ref::to("drives", mount.drive),
        runtime: wire::Null,
    };
    let drives: Vec<wire::Mount> = mounts(tx, server.id)?.into_iter().map(mount).collect();
    let nics = server.definition.get("nics").and_then(Json::as_array).cloned().unwrap_or_default();
    let is_running = server.status == RUNNING;
    let runtime = is_running.then(|| json!({ "active_since": wire::time(server.updated_at), "nics": [] }));
    let mut told = define::defaults();
    told.extend(server.definition.clone());
    let known = json!({
        "drives": drives,
        "grantees": [],
        "jobs": jobs,
        "name": &server.name,
        "nics": nics.into_iter().map(define::nic).collect::<Vec<_>>(),
        "owner": Ref::to("user", server.owner),
        "permissions": [],
        "resource_uri": wire::uri("servers", server.id),
        "runtime": runtime,
        "status": &server.status,
        "tags": tags,
        "uuid": server.id,
    });
    if let Json::Object(known) = known {
        told.extend(known);
    }
    told.sort_keys();
    Ok(told.into())
}
