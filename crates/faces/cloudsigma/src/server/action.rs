//! `POST servers/{id}/action/?do=…`: start, stop, clone (spec, section 6.1).
//!
//! **Always.** A drive is exported while a server that has it runs, under its own name: by the start before it is told, by
//! the server's own start if it ran then. One start or stop at a time, so that an export belongs to whoever runs last.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use store::{Error as StoreError, Tx, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive::clone::{self, Cloning, Origin};
use crate::drive::define::Definition;
use crate::drive::{self, Drive};
use crate::error::Error;
use crate::ids::{DriveId, JobId, ServerId};
use crate::input::{self, At, Body, Params, no_such_action};
use crate::reply::{self, Accepted};
use crate::server::{self, Mount, RUNNING, STOPPED, Server, write};
use crate::{job, naming, profile, storage_type};

/// `POST servers/{id}/action/`.
pub async fn act(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ServerId>,
    params: Params,
    body: Body,
) -> Result<Response, Error> {
    match params.action() {
        "start" => start(&face, &caller, id).await,
        action @ ("stop" | "shutdown") => stop(&face, &caller, id, action).await,
        "restart" => restart(&face, &caller, id).await,
        "clone" => clone(&face, &caller, id, &params, body).await,
        action @ ("open_vnc" | "close_vnc" | "open_console" | "close_console") => {
            show_it_is_there(&face, &caller, id).await?;
            Err(Error::Denied(format!("Nothing runs on a server here, so there is no {action}")))
        }
        other => Err(no_such_action(other)),
    }
}

async fn show_it_is_there(face: &Face, caller: &Caller, id: ServerId) -> Result<(), Error> {
    server::show(face, caller, id).await.map(drop)
}

fn accepted(action: &str, id: ServerId) -> Response {
    reply::json(StatusCode::ACCEPTED, &json!({ "action": action, "result": "success", "uuid": id }))
}

/// The vendor's own sentence (spec, section 1.3).
fn not_stopped(action: &str) -> Error {
    Error::state(action, "guest", "started", STOPPED)
}

fn not_started(action: &str) -> Error {
    Error::state(action, "guest", STOPPED, "['started', 'running_legacy']")
}

async fn start(face: &Face, caller: &Caller, id: ServerId) -> Result<Response, Error> {
    let _one_at_a_time = face.exports.lock().await;
    let user = caller.user;
    let read = face.store.read(move |tx| startable(tx, user, id).map_err(Error::noun));
    let drives = read.await?;
    for drive in &drives {
        export(face, drive).await?;
    }
    let unit = caller.unit().rows(move |tx| switch(tx, id, STOPPED, RUNNING));
    if let Err(error) = face.store.write(unit).await {
        end_exports(face, &drives).await?;
        return Err(error.into());
    }
    Ok(accepted("start", id))
}

/// The drives of a server that can be started: those whose bytes are there.
fn startable(tx: &mut Tx, user: UserId, id: ServerId) -> Result<Vec<Drive>, Error> {
    let server = server::own(tx, user, id)?;
    if server.status != STOPPED {
        return Err(not_stopped("start"));
    }
    let drives = drives_of(tx, id)?;
    for drive in &drives {
        drive.check("start", drive.status.is_usable())?;
    }
    Ok(drives)
}

/// The drives on a server.
fn drives_of(tx: &mut Tx, id: ServerId) -> Result<Vec<Drive>, StoreError> {
    let mut drives = Vec::new();
    for mount in server::mounts(tx, id)? {
        drives.extend(drive::find(tx, mount.drive)?);
    }
    Ok(drives)
}

fn switch(tx: &mut Tx, id: ServerId, from: &str, to: &str) -> Result<(), StoreError> {
    let sql = "UPDATE drive_servers SET status = $3, updated_at = $4 WHERE id = $1 AND status = $2";
    drive::define::unchanged(tx.execute(sql, &params![id, from, to, tx.now()])?)
}

async fn stop(face: &Face, caller: &Caller, id: ServerId, action: &str) -> Result<Response, Error> {
    let _one_at_a_time = face.exports.lock().await;
    let (user, wanted) = (caller.user, action.to_owned());
    let read = face.store.read(move |tx| {
        let server = server::own(tx, user, id).map_err(Error::noun)?;
        match server.status == RUNNING {
            true => drives_of(tx, id),
            false => Err(not_started(&wanted).noun()),
        }
    });
    let drives = read.await?;
    let unit = caller.unit().rows(move |tx| switch(tx, id, RUNNING, STOPPED));
    face.store.write(unit).await?;
    end_exports(face, &drives).await?;
    Ok(accepted(action, id))
}

async fn restart(face: &Face, caller: &Caller, id: ServerId) -> Result<Response, Error> {
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| match server::own(tx, user, id).map_err(Error::noun)?.status == RUNNING {
        true => switch(tx, id, RUNNING, RUNNING),
        false => Err(not_started("restart").noun()),
    });
    face.store.write(unit).await?;
    Ok(accepted("restart", id))
}

/// Exports a drive, if it is not yet: it may be on another server that runs.
async fn export(face: &Face, drive: &Drive) -> Result<(), Error> {
    let id = drive.id;
    if face.store.read(move |tx| drive::is_running(tx, id)).await? {
        return Ok(());
    }
    let is_read_only = drive.media == "cdrom" || drive.owner.is_none();
    face.content.volumes().export_nbd(&id.to_string(), drive.volume(), is_read_only).await?;
    Ok(())
}

/// Ends the exports of drives that are on no server that runs.
async fn end_exports(face: &Face, drives: &[Drive]) -> Result<(), Error> {
    for drive in drives {
        let id = drive.id;
        if !face.store.read(move |tx| drive::is_running(tx, id)).await? {
            face.content.volumes().end_nbd(&id.to_string()).await?;
        }
    }
    Ok(())
}

/// At the start of the process: exports what servers run with, as before its end.
pub async fn resume(face: &Face) -> Result<(), Error> {
    let _one_at_a_time = face.exports.lock().await;
    let sql = "SELECT DISTINCT m.drive_id FROM drive_mounts m JOIN drive_servers s ON s.id = m.server_id \
        WHERE s.status <> 'stopped' ORDER BY m.drive_id";
    let read = face.store.read(move |tx| {
        let ids = tx.query(sql, &[])?.iter().map(|row| row.get(0)).collect::<Result<Vec<DriveId>, _>>()?;
        let mut drives = Vec::with_capacity(ids.len());
        for id in ids {
            drives.extend(drive::find(tx, id)?);
        }
        Ok(drives)
    });
    for drive in read.await? {
        let is_read_only = drive.media == "cdrom" || drive.owner.is_none();
        let exported = face.content.volumes().export_nbd(&drive.id.to_string(), drive.volume(), is_read_only).await;
        if let Err(error) = exported {
            tracing::error!(drive.id = %drive.id, %error, "a drive of a running server could not be exported");
        }
    }
    Ok(())
}

/// `do=clone`: a server of its own with clones of the disks; cdroms are on both.
async fn clone(face: &Face, caller: &Caller, id: ServerId, params: &Params, body: Body) -> Result<Response, Error> {
    let home = caller.home()?;
    let mut fields = body.object()?;
    let name = fields.may("name", input::name);
    fields.end()?;
    let (who, avoid, store) = (caller.clone(), storage_type::avoid_of(params), face.store.clone());
    let (new, parent) = (ServerId(face.store.new_id()), JobId(face.store.new_id()));
    let new_id = move || store.new_id();
    let read = face.store.read(move |tx| plan(tx, &who, (id, new), name, &avoid, &new_id).map_err(Error::noun));
    let Plan { server, mounts, cloning } = read.await?;
    let resources = [(id.0, write::uri(id)), (new.0, write::uri(new))];
    let is_done = cloning.iter().all(|cloning| cloning.target.drive.source.is_none());
    let (owner, at) = (caller.user, server.created_at);
    let operation = "server_clone";
    let told =
        job::New { id: parent, owner, parent: None, operation, target: new.0, is_done, resources: &resources, at };
    let unit = job::insert(clone::rows_of(caller.unit(), owner, &cloning, Some(parent)), &told);
    let more = move |tx: &mut Tx<'_>| {
        write::insert(tx, &server)?;
        write::put_mounts(tx, new, &mounts)?;
        mounts.iter().try_for_each(|mount| drive::settle(tx, mount.drive))
    };
    match cloning.is_empty() {
        true => face.store.write(unit.rows(more)).await.map(drop)?,
        false => clone::branch(face, home, cloning, unit, more).await?,
    }
    server::show(face, caller, new).await.map(|server| Accepted::<Value>::Bare(server).into_response())
}

/// A server's clone that can be made.
struct Plan {
    server: Server,
    mounts: Vec<Mount>,
    cloning: Vec<Cloning>,
}

fn plan(
    tx: &mut Tx,
    caller: &Caller,
    (id, new): (ServerId, ServerId),
    name: Option<String>,
    avoid: &[uuid::Uuid],
    new_id: &dyn Fn() -> uuid::Uuid,
) -> Result<Plan, Error> {
    let of = server::own(tx, caller.user, id)?;
    let avoided = storage_type::avoided(tx, caller, avoid)?;
    let strategy = profile::clone_naming(tx, caller.user)?;
    let name = name.unwrap_or_else(|| naming::cloned(&of.name, &strategy, tx.now()));
    let server = Server { id: new, name, status: STOPPED.to_owned(), created_at: tx.now(), updated_at: tx.now(), ..of };
    let (mut mounts, mut cloning) = (server::mounts(tx, id)?, Vec::new());
    for mount in &mut mounts {
        let drive = drive::own_or_library(tx, caller.user, mount.drive)?;
        if drive.media == "cdrom" {
            continue;
        }
        drive.check("clone", drive.status.is_usable())?;
        let origin = Origin::drive(drive);
        let mut target = clone::target(tx, caller, &origin, Definition::default(), &avoided, DriveId(new_id()))?;
        if target.drive.source.is_none() {
            target.drive.status = drive::Status::Mounted;
        }
        mount.drive = target.drive.id;
        cloning.push(Cloning { origin, target, job: JobId(new_id()) });
    }
    Ok(Plan { server, mounts, cloning })
}
