//! `PUT drives/{id}/` and `do=resize`: changes a drive; the second all of it or nothing (spec, sections 3.2 and 3.3).
//!
//! **Always.** A volume grows in the commit that writes the new size and takes its charge, at once. The answer still tells
//! the old size and `resizing`, as clients expect, and the next look finds it done.

use axum::extract::State;
use store::{Tx, Unit, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive::create::one_drive;
use crate::drive::define::{self, Definition};
use crate::drive::{self, Drive, Status};
use crate::error::Error;
use crate::ids::{DriveId, TagId};
use crate::input::{At, Body};
use crate::reply::{Accepted, Bare};
use crate::{tag, wire};

/// How a definition is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// What cannot be changed now is passed over, or refused if it never could.
    Put,
    /// All of it, or nothing.
    Resize,
}

/// `PUT drives/{id}/`.
pub async fn put(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    body: Body,
) -> Result<Bare<wire::Drive>, Error> {
    edit(&face, &caller, id, body, Mode::Put).await.map(Bare)
}

/// `do=resize`.
pub async fn resize(face: &Face, caller: &Caller, id: DriveId, body: Body) -> Result<Accepted<wire::Drive>, Error> {
    edit(face, caller, id, body, Mode::Resize).await.map(Accepted::Wrapped)
}

async fn edit(face: &Face, caller: &Caller, id: DriveId, body: Body, mode: Mode) -> Result<wire::Drive, Error> {
    let mut fields = body.object()?;
    let definition = Definition::read(&mut fields, true);
    fields.end()?;
    let user = caller.user;
    let plan = face.store.read(move |tx| plan(tx, user, id, definition, mode).map_err(Error::noun)).await?;
    let (before, after, tags) = (plan.before.clone(), plan.after.clone(), plan.tags.clone());
    let unit = caller.unit().rows(move |tx| update(tx, &before, &after, tags.as_deref()));
    if plan.after.size > plan.before.size {
        grow(face, &plan, unit).await?;
    } else {
        face.store.write(unit).await?;
    }
    let told = face.store.read(move |tx| {
        let drive = drive::own(tx, user, id).map_err(Error::noun)?;
        match plan.after.size > plan.before.size {
            true => drive::told(tx, user, &Drive { size: plan.before.size, ..drive }, Status::Resizing),
            false => drive::told(tx, user, &drive, drive.status),
        }
    });
    Ok(told.await?)
}

async fn grow(face: &Face, plan: &Plan, unit: Unit) -> Result<(), Error> {
    let (volume, size) = (plan.after.volume(), plan.after.size);
    let grown = face.content.volumes().resize(volume, size, one_drive()?, unit).await;
    grown.map(drop).map_err(|error| match Error::from(error) {
        // It was larger than that by the time of the commit: somebody else was faster.
        Error::Store(store::Error::Invalid(_)) => Error::Lost,
        other => other.on(&plan.after.storage_type),
    })
}

/// A change that can be made: the row as it was seen, and as it will be.
struct Plan {
    before: Drive,
    after: Drive,
    tags: Option<Vec<TagId>>,
}

fn plan(tx: &mut Tx, user: UserId, id: DriveId, asked: Definition, mode: Mode) -> Result<Plan, Error> {
    let before = drive::own(tx, user, id)?;
    let mut faults = Vec::new();
    asked.check(tx, user, &mut faults)?;
    define::none(faults)?;
    if asked.storage_type.as_ref().is_some_and(|name| *name != before.storage_type) {
        return Err(Error::field("storage_type", "The storage type of a drive cannot be changed"));
    }
    let size = wanted_size(tx, &before, asked.size)?;
    let mut after = before.clone();
    after.name = asked.name.unwrap_or(after.name);
    after.meta = asked.meta.unwrap_or(after.meta);
    after.allow_multimount = asked.allow_multimount.unwrap_or(after.allow_multimount);
    let easy = after.clone();
    after.media = asked.media.map_or(after.media, str::to_owned);
    after.affinities = asked.affinities.unwrap_or(after.affinities);
    after.size = size;
    if let Some(licenses) = asked.licenses.filter(|_| !before.licenses_fixed) {
        after.licenses = licenses;
    }
    let is_free = matches!(before.status, Status::Unmounted | Status::Mounted);
    let is_running = drive::is_running(tx, id)?;
    match mode {
        Mode::Resize => {
            before.check("resize", is_free)?;
            before.check("resize", !is_running || after == easy)?;
        }
        Mode::Put if is_running => after = easy,
        Mode::Put => before.check("change", is_free || after == easy)?,
    }
    if after.size < before.size {
        return Err(Error::field("size", "A drive can only grow"));
    }
    Ok(Plan { before, after, tags: asked.tags })
}

/// The size to have: as it is, if that is what is asked for; else rounded, and within its type's bounds.
fn wanted_size(tx: &mut Tx, drive: &Drive, asked: Option<u64>) -> Result<u64, Error> {
    let Some(asked) = asked.filter(|asked| *asked != drive.size) else { return Ok(drive.size) };
    drive::kind_of(tx, drive)?.size(asked).map_err(|why| Error::field("size", why))
}

/// Writes the change, if the drive is still as it was seen where that matters.
fn update(tx: &mut Tx, before: &Drive, after: &Drive, tags: Option<&[TagId]>) -> Result<(), store::Error> {
    let sql = "UPDATE drives SET name = $2, name_folded = $3, media = $4, size_bytes = $5, allow_multimount = $6, \
        affinities = $7, meta = $8, licenses = $9, updated_at = $10 \
        WHERE id = $1 AND owner_id = $11 AND size_bytes = $12 AND media = $13 AND status IN ($14, $15)";
    let is_free = |status| matches!(status, Status::Unmounted | Status::Mounted);
    // Between free and mounted nothing changes for a drive's bytes.
    let other = if is_free(before.status) { Status::Mounted } else { before.status };
    let first = if is_free(before.status) { Status::Unmounted } else { before.status };
    let values = params![
        after.id,
        &after.name,
        after.name.to_lowercase(),
        &after.media,
        after.size,
        after.allow_multimount,
        after.affinities.to_string(),
        after.meta.to_string(),
        after.licenses.to_string(),
        tx.now(),
        before.owner,
        before.size,
        &before.media,
        first.as_str(),
        other.as_str(),
    ];
    define::unchanged(tx.execute(sql, &values)?)?;
    match tags {
        Some(tags) => tag::replace_of(tx, after.id.0, "drives", tags),
        None => Ok(()),
    }
}
