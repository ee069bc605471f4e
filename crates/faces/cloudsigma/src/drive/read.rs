//! Reading drives: the lists, one, and who lies where.

use axum::extract::State;
use serde_json::Value;

use crate::auth::Caller;
use crate::drive::{self, Around, COLUMNS, Drive};
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::{At, Params};
use crate::list::{self, By, Keep, Window};
use crate::reply::Bare;
use crate::select::Select;
use crate::wire::DRIVE_SHORT;
use crate::{Face, storage_type};

/// What drives can be filtered by (spec, section 2).
const FILTERS: &[(&str, By)] = &[
    ("name", By::Text("drives.name")),
    ("name__contains", By::Inside("drives.name_folded")),
    ("uuid", By::Id("drives.id")),
    ("tag", By::Ids("drives.id IN (SELECT resource_id FROM drive_tagged WHERE tag_id IN ({}))")),
    (
        "tag__name",
        By::Texts(
            "drives.id IN (SELECT g.resource_id FROM drive_tagged g JOIN drive_tags t ON t.id = g.tag_id \
             WHERE t.owner_id = drives.owner_id AND t.name IN ({}))",
        ),
    ),
];

/// `GET drives/`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Value>, Error> {
    let keep = Keep::of(&params).or(DRIVE_SHORT);
    page(&face, &caller, &params, keep, Select::of("drives.owner_id", caller.user)).await
}

/// `GET drives/detail/`.
pub async fn detail(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Value>, Error> {
    page(&face, &caller, &params, Keep::of(&params), Select::of("drives.owner_id", caller.user)).await
}

/// A page of drives that fit `select`.
pub async fn page(
    face: &Face,
    caller: &Caller,
    params: &Params,
    keep: Keep,
    mut select: Select,
) -> Result<Bare<Value>, Error> {
    let (window, user) = (Window::of(params)?, caller.user);
    list::filter(&mut select, params, FILTERS)?;
    let read = face.store.read(move |tx| {
        let key = ("drives.created_at", "drives.id");
        let (total, rows) = window.read(tx, COLUMNS, "drives", key, &select)?;
        let drives = rows.iter().map(drive::from_row).collect::<Result<Vec<Drive>, _>>()?;
        let around = Around::of(tx, user, &drives)?;
        let shown = drives.iter().map(|drive| keep.cut(around.shown(drive)));
        Ok(window.envelope(total, shown.collect()))
    });
    Ok(Bare(read.await?))
}

/// `GET drives/{id}/`: the caller's own, or the library's.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    params: Params,
) -> Result<Bare<Value>, Error> {
    let read = face.store.read(move |tx| {
        let drive = drive::own_or_library(tx, caller.user, id).map_err(Error::noun)?;
        drive::told(tx, caller.user, &drive, drive.status)
    });
    Ok(Bare(Keep::of(&params).cut(read.await?)))
}

/// `GET drives/availability_groups/`: which of the caller's drives lie together.
pub async fn groups(State(face): State<Face>, caller: Caller) -> Result<Bare<Vec<Vec<String>>>, Error> {
    let read = face.store.read(move |tx| storage_type::groups(tx, &caller, None).map_err(Error::noun));
    Ok(Bare(read.await?))
}

/// `GET drives/availability_groups/{id}/`: which lie with this one.
pub async fn group(State(face): State<Face>, caller: Caller, At(id): At<DriveId>) -> Result<Bare<Vec<String>>, Error> {
    let read = face.store.read(move |tx| storage_type::groups(tx, &caller, Some(id)).map_err(Error::noun));
    Ok(Bare(read.await?.pop().unwrap_or_default()))
}
