//! How many people use a drive by remote desktop: a record a drive (spec, section 3.7).

use axum::extract::State;
use serde_json::Value;
use store::{Error as StoreError, Row, Tx, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive::{self, define};
use crate::error::{Error, Fault};
use crate::ids::DriveId;
use crate::input::{self, At, Body, Fields, Params};
use crate::list::{self, Keep, Window};
use crate::reply::{Bare, Created, NoJson, Wrapped};
use crate::select::Select;
use crate::wire::{self, Ref};

/// `GET driveusers/`. It echoes the default limit whatever was asked, as the API's page shows it.
pub async fn all(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Value>, Error> {
    let (window, keep) = (Window::of(&params)?, Keep::of(&params));
    let select = Select::of("drive_users.owner_id", caller.user);
    let read = face.store.read(move |tx| {
        let key = ("drive_users.created_at", "drive_users.drive_id");
        let (total, rows) = window.read(tx, "drive_id, amount", "drive_users", key, &select)?;
        let shown = rows.iter().map(|row| shown(row).map(|record| keep.cut(record)));
        Ok(window.with_limit(list::LIMIT).envelope(total, shown.collect::<Result<_, _>>()?))
    });
    Ok(Bare(read.await?))
}

/// `GET driveusers/{drive}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
) -> Result<Bare<wire::DriveUsers>, Error> {
    let read = face.store.read(move |tx| find(tx, caller.user, id).map_err(Error::noun));
    Ok(Bare(read.await?))
}

/// `POST driveusers/`: all or none.
pub async fn create(State(face): State<Face>, caller: Caller, body: Body) -> Result<Created<wire::DriveUsers>, Error> {
    let (mut records, mut faults) = (Vec::new(), Vec::<Fault>::new());
    for object in body.objects()? {
        let mut fields = Fields::new(object);
        let (drive, amount) = (fields.need("drive", input::reference), fields.need("amount", amount));
        faults.extend(fields.into_faults());
        records.extend(drive.map(DriveId).zip(amount));
    }
    if records.is_empty() && faults.is_empty() {
        faults = ["drive", "amount"].map(|name| Fault::at(name, "This field is required")).to_vec();
    }
    define::none(faults)?;
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        for (drive, amount) in &records {
            drive::own(tx, user, *drive).map_err(Error::noun)?;
            let sql = "INSERT INTO drive_users (drive_id, owner_id, amount, created_at) VALUES ($1, $2, $3, $4) \
                ON CONFLICT (drive_id) DO NOTHING";
            if tx.execute(sql, &params![*drive, user, *amount, tx.now()])? == 0 {
                return Err(Error::field("drive", "There is a record for this drive").noun());
            }
        }
        records.iter().map(|(drive, _)| find(tx, user, *drive).map_err(Error::noun)).collect::<Result<Vec<_>, _>>()
    });
    let made = face.store.write(unit).await?.value;
    let location = made.first().map_or_else(String::new, |made| wire::uri("driveusers", &made.drive.uuid));
    Ok(Created { location, objects: made })
}

/// `PUT driveusers/{drive}/`: answers a list, unlike every other PUT (spec, section 7.5).
pub async fn put(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    body: Body,
) -> Result<Wrapped<wire::DriveUsers>, Error> {
    let mut fields = body.object()?;
    let amount = fields.need("amount", amount);
    fields.end()?;
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        let sql = "UPDATE drive_users SET amount = $3 WHERE drive_id = $1 AND owner_id = $2";
        tx.execute(sql, &params![id, user, amount])?;
        find(tx, user, id).map_err(Error::noun)
    });
    Ok(Wrapped(face.store.write(unit).await?.value))
}

/// `DELETE driveusers/{drive}/`: not while the drive is on a server.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<DriveId>) -> Result<NoJson, Error> {
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        find(tx, user, id).map_err(Error::noun)?;
        if tx.query_opt("SELECT 1 FROM drive_mounts WHERE drive_id = $1 LIMIT 1", &params![id])?.is_some() {
            return Err(Error::Denied("The record of a mounted drive cannot be deleted".to_owned()).noun());
        }
        tx.execute("DELETE FROM drive_users WHERE drive_id = $1", &params![id]).map(drop)
    });
    face.store.write(unit).await?;
    Ok(NoJson)
}

fn amount(value: &Value) -> Result<u64, String> {
    Some(input::integer(value)?).filter(|amount| *amount > 0).ok_or_else(|| "This field should be 1 or more".to_owned())
}

fn find(tx: &mut Tx, user: UserId, id: DriveId) -> Result<wire::DriveUsers, Error> {
    let sql = "SELECT drive_id, amount FROM drive_users WHERE drive_id = $1 AND owner_id = $2";
    let row = tx.query_opt(sql, &params![id, user])?.ok_or_else(|| Error::not_there(id))?;
    Ok(shown(&row)?)
}

fn shown(row: &Row) -> Result<wire::DriveUsers, StoreError> {
    let drive: DriveId = row.get(0)?;
    Ok(wire::DriveUsers { amount: row.get(1)?, drive: Ref::to("drives", drive) })
}
