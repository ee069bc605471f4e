//! Spaces as v3 has them (specification, section 4.3).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::Value;
use store::{Error as StoreError, Tx};

use crate::auth::Caller;
use crate::body::{self, Base, Faults, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, SpaceId};
use crate::list::Asked;
use crate::org_v3::metadata;
use crate::reply::Reply;
use crate::space::{self, COLUMNS, FROM, Space, TABLE};
use crate::wire::v3;
use crate::{Face, access, again, job, org, space_v2};

/// `POST /v3/spaces`.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["name", "relationships", "metadata"]);
    let name = faults.name_within(&map, true, org::NAME_MAX).unwrap_or_default();
    let guid = faults.relation(&map, "organization", true).unwrap_or_default();
    let metadata = metadata(&map, "{}", &mut faults);
    faults.end()?;
    let made = again(|| async {
        let (who, guid, name, metadata) = (caller.clone(), guid.clone(), name.clone(), metadata.clone());
        let id = SpaceId(ids::guid(&face.store));
        let read = face.store.read(move |tx| {
            let why = "Invalid organization. Ensure the organization exists and you have access to it.";
            let missing = || Error::Unprocessable(why.to_owned()).noun();
            let org = org::known(tx, &who, &guid)?.ok_or_else(missing)?;
            if !access::sees_org(tx, &who, org.id)? {
                return Err(missing());
            }
            access::check_manages(tx, &who, &org)?;
            space::create(who.unit(), &org, space::New { id, name, allow_ssh: true, metadata }, None)
        });
        face.store.write(read.await?).await?;
        Ok(id)
    });
    let id = made.await?;
    Ok(Reply::v3(StatusCode::CREATED, &show(&face, &base, id).await?))
}

async fn show(face: &Face, base: &str, id: SpaceId) -> Result<Value, Error> {
    let space = face.store.read(move |tx| space::find(tx, id)).await?;
    space.map(|space| v3::space(base, &space)).ok_or_else(|| Error::NotFound(Noun::Space, id.to_string()))
}

/// One that the caller sees.
pub fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Space, StoreError> {
    let space = space::need(tx, caller, guid)?;
    let missing = || Error::NotFound(Noun::Space, guid.to_owned()).noun();
    if access::sees_space(tx, caller, &space)? { Ok(space) } else { Err(missing()) }
}

/// `GET /v3/spaces/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let space = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::space(&base, &space)))
}

/// `GET /v3/spaces`.
pub async fn list(State(face): State<Face>, caller: Caller, Base(base): Base, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_spaces");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_spaces.id", "cf_spaces.organization_id");
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, FROM)?, asked)));
    let (page, asked) = read.await?;
    let spaces = page.rows.iter().map(space::from_row).collect::<Result<Vec<_>, _>>()?;
    let objects = spaces.iter().map(|space| v3::space(&base, space)).collect();
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(&format!("{base}/v3/spaces"), page.total, objects)))
}

/// `PATCH /v3/spaces/{guid}`.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let changed = again(|| async {
        let (who, guid, body) = (caller.clone(), guid.clone(), body.clone());
        let read = face.store.read(move |tx| {
            let before = seen(tx, &who, &guid)?;
            space_v2::check_changes(tx, &who, &before)?;
            let map = body::v3(&body).map_err(Error::noun)?;
            let mut faults = Faults::default();
            faults.unknown("", &map, &["name", "metadata"]);
            let name = faults.name_within(&map, false, org::NAME_MAX);
            let metadata = metadata(&map, &before.metadata, &mut faults);
            faults.end().map_err(Error::noun)?;
            let name = name.unwrap_or_else(|| before.name.clone());
            let after = Space { name, metadata, ..before.clone() };
            Ok((before.id, space::change(&who, &before, after)))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    let id = changed.await?;
    Ok(Reply::v3(StatusCode::OK, &show(&face, &base, id).await?))
}

/// `DELETE /v3/spaces/{guid}`, with all in it.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let space = seen(tx, &who, &guid)?;
            let org = org::find(tx, space.org)?.ok_or_else(|| Error::Denied.noun())?;
            access::check_manages(tx, &who, &org)?;
            Ok((space.tenant, space::delete(tx, who.unit(), space.id)?))
        });
        let (tenant, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(tenant)
    });
    let tenant = removed.await?;
    job::done(&face, &base, tenant, "space.delete").await
}
