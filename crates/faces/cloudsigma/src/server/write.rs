//! Making and changing servers: the list of their drives is attach and detach (spec, section 6.1).

use std::collections::HashSet;

use axum::extract::State;
use serde_json::{Map, Value};
use store::{Error as StoreError, Tx, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive::{self, Drive, Status, define as rules};
use crate::error::{Error, Fault};
use crate::ids::{DriveId, ServerId};
use crate::input::{At, Body, Fields};
use crate::reply::{Bare, Created};
use crate::server::define::{self, Definition};
use crate::server::{self, Mount, STOPPED, Server};
use crate::{tag, wire};

/// `POST servers/`: all or none.
pub async fn create(State(face): State<Face>, caller: Caller, body: Body) -> Result<Created<Value>, Error> {
    let home = caller.home()?;
    let (mut asked, mut faults) = (Vec::new(), Vec::<Fault>::new());
    let objects = body.objects()?;
    let objects = if objects.is_empty() { vec![Map::new()] } else { objects };
    for object in objects {
        let mut fields = Fields::new(object);
        let definition = Definition::read(&mut fields);
        faults.extend(fields.into_faults());
        asked.extend(definition.map(|definition| (ServerId(face.store.new_id()), definition)));
    }
    rules::none(faults)?;
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        let mut made = Vec::with_capacity(asked.len());
        for (id, definition) in &asked {
            let server = Server {
                id: *id,
                tenant: home.tenant,
                owner: user,
                name: definition.name.clone(),
                status: STOPPED.to_owned(),
                definition: definition.rest.clone(),
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            insert(tx, &server)?;
            mount(tx, user, *id, definition.mounts.clone().unwrap_or_default()).map_err(Error::noun)?;
            retag(tx, user, *id, definition)?;
            made.push(server::told(tx, user, &server)?);
        }
        Ok(made)
    });
    let made = face.store.write(unit).await?.value;
    let location = made.first().and_then(|server| server["resource_uri"].as_str()).unwrap_or_default().to_owned();
    Ok(Created { location, objects: made })
}

/// `PUT servers/{id}/`: the whole definition. One that runs keeps its drives, cpu and mem.
pub async fn put(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ServerId>,
    body: Body,
) -> Result<Bare<Value>, Error> {
    let mut fields = body.object()?;
    let definition = Definition::read(&mut fields);
    let faults = fields.into_faults();
    let (Some(definition), true) = (definition, faults.is_empty()) else { return Err(Error::Faults(faults)) };
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        let before = server::own(tx, user, id).map_err(Error::noun)?;
        let mounts = server::mounts(tx, id)?;
        let wanted = definition.mounts.clone().map(|mut mounts| {
            define::fill_channels(&mut mounts);
            mounts
        });
        let is_changed = |key: &str| before.definition.get(key) != definition.rest.get(key);
        let is_heavy =
            wanted.as_ref().is_some_and(|wanted| *wanted != mounts) || is_changed("cpu") || is_changed("mem");
        if before.status != STOPPED && is_heavy {
            return Err(Error::state("change", "guest", "started", STOPPED).noun());
        }
        let mut rest = before.definition.clone();
        rest.extend(definition.rest.clone());
        let sql = "UPDATE drive_servers SET name = $2, name_folded = $3, definition = $4 WHERE id = $1";
        let name = &definition.name;
        tx.execute(sql, &params![id, name, name.to_lowercase(), Value::Object(rest).to_string()])?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != mounts) {
            unmount(tx, id)?;
            mount(tx, user, id, wanted).map_err(Error::noun)?;
            mounts.iter().try_for_each(|mount| drive::settle(tx, mount.drive))?;
        }
        retag(tx, user, id, &definition)?;
        let after = server::own(tx, user, id).map_err(Error::noun)?;
        server::told(tx, user, &after)
    });
    Ok(Bare(face.store.write(unit).await?.value))
}

fn retag(tx: &mut Tx, user: UserId, id: ServerId, definition: &Definition) -> Result<(), StoreError> {
    let Some(tags) = &definition.tags else { return Ok(()) };
    tag::check_own(tx, user, tags).map_err(Error::noun)?;
    tag::replace_of(tx, id.0, "servers", tags)
}

/// The row of a new server; in a unit's own rows.
pub fn insert(tx: &mut Tx, server: &Server) -> Result<(), StoreError> {
    let sql = "INSERT INTO drive_servers (id, tenant_id, owner_id, name, name_folded, status, definition, created_at, \
        updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    let values = params![
        server.id,
        server.tenant,
        server.owner,
        &server.name,
        server.name.to_lowercase(),
        &server.status,
        Value::Object(server.definition.clone()).to_string(),
        server.created_at
    ];
    tx.execute(sql, &values).map(drop)
}

/// Takes all drives off a server; those that were on it are to be settled afterwards.
pub fn unmount(tx: &mut Tx, id: ServerId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM drive_mounts WHERE server_id = $1", &params![id]).map(drop)
}

/// Puts drives on a server that has none: the user's own that may be there, and cdroms of the library.
fn mount(tx: &mut Tx, user: UserId, id: ServerId, mut mounts: Vec<Mount>) -> Result<(), Error> {
    define::fill_channels(&mut mounts);
    let mut seen = HashSet::new();
    for mount in &mounts {
        if !seen.insert(mount.drive) {
            return Err(Error::field("drives", format!("Drive {} is there twice", mount.drive)));
        }
        let drive = drive::own_or_library(tx, user, mount.drive)?;
        check(tx, id, &drive)?;
    }
    put_mounts(tx, id, &mounts)?;
    for mount in &mounts {
        drive::settle(tx, mount.drive)?;
    }
    Ok(())
}

/// The rows of a server's drives.
pub fn put_mounts(tx: &mut Tx, id: ServerId, mounts: &[Mount]) -> Result<(), StoreError> {
    let row = |(position, mount): (usize, &Mount)| {
        params![id, position, mount.drive, mount.boot_order, &mount.device, &mount.dev_channel]
    };
    let rows: Vec<_> = mounts.iter().enumerate().map(row).collect();
    tx.insert_rows("drive_mounts (server_id, position, drive_id, boot_order, device, dev_channel)", "", &rows)
}

/// That a drive may be put on this server.
fn check(tx: &mut Tx, server: ServerId, drive: &Drive) -> Result<(), Error> {
    if drive.owner.is_none() {
        return match drive.media.as_str() {
            "cdrom" => drive.check("attach", drive.status == Status::Unmounted),
            _ => Err(Error::Denied("A disk of the library can only be cloned".to_owned())),
        };
    }
    drive.check("attach", drive.status.is_usable())?;
    let may_share = drive.allow_multimount || drive.media == "cdrom";
    drive.check("attach", may_share || !is_elsewhere(tx, drive.id, server)?)
}

fn is_elsewhere(tx: &mut Tx, drive: DriveId, server: ServerId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM drive_mounts WHERE drive_id = $1 AND server_id <> $2 LIMIT 1";
    Ok(tx.query_opt(sql, &params![drive, server])?.is_some())
}

/// Where a new server is.
pub fn uri(id: ServerId) -> String {
    wire::uri("servers", id)
}
