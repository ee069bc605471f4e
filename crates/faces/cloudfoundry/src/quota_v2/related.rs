//! To which spaces a quota is applied, as v2 says it (specification, section 2.3).

use axum::extract::{Path, State};
use http::StatusCode;
use store::{Error as StoreError, Tx};

use super::{managed, seen, show};
use crate::auth::Caller;
use crate::body::Params;
use crate::error::{Error, Noun};
use crate::ids::SpaceId;
use crate::list::Asked;
use crate::reply::Reply;
use crate::wire::v2;
use crate::{Face, access, again, quota, space};

/// `GET /v2/space_quota_definitions/{guid}/spaces`.
pub async fn spaces(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &space::TABLE)?;
    let path = format!("/v2/space_quota_definitions/{guid}/spaces");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_spaces.id", "cf_spaces.organization_id");
    let read = face.store.read(move |tx| {
        let quota = seen(tx, &caller, &guid)?;
        asked.select.and_equal("cf_spaces.quota_id", Some(quota.id));
        Ok((asked.read(tx, space::COLUMNS, space::FROM)?, asked))
    });
    let (page, asked) = read.await?;
    let spaces = page.rows.iter().map(space::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(&path, page.total, spaces.iter().map(v2::space).collect())))
}

/// The space that a path names beside a quota, by the name its class has in the sentence.
fn named_space(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<space::Space, StoreError> {
    let missing = || Error::Relation(format!("Could not find VCAP::CloudController::Space with guid: {guid}")).noun();
    space::known(tx, caller, guid)?.ok_or_else(missing)
}

/// `PUT /v2/space_quota_definitions/{guid}/spaces/{space}`: instead of the quota the space had.
pub async fn apply(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, space)): Path<(String, String)>,
) -> Result<Reply, Error> {
    let applied = again(|| async {
        let (who, guid, space) = (caller.clone(), guid.clone(), space.clone());
        let read = face.store.read(move |tx| {
            let quota = managed(tx, &who, &guid)?;
            let space = named_space(tx, &who, &space)?;
            if Some(space.org) != quota.org {
                let why = "space_quota_definition invalid_organization";
                return Err(Error::Invalid(Noun::SpaceQuota, why.to_owned()).noun());
            }
            Ok((quota.id, quota::apply(&who, quota, vec![space.id.0])))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    Ok(Reply::v2(StatusCode::CREATED, &show(&face, applied.await?).await?))
}

/// `DELETE /v2/space_quota_definitions/{guid}/spaces/{space}`: nothing, if the space has another or none.
pub async fn withdraw(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, space)): Path<(String, String)>,
) -> Result<Reply, Error> {
    let withdrawn = again(|| async {
        let (who, guid, space) = (caller.clone(), guid.clone(), space.clone());
        let read = face.store.read(move |tx| {
            let quota = managed(tx, &who, &guid)?;
            let space = named_space(tx, &who, &space)?;
            let is_applied = space.quota == Some(quota.id);
            Ok(is_applied.then(|| quota::withdraw(&who, quota, vec![SpaceId(space.id.0)])))
        });
        if let Some(unit) = read.await? {
            face.store.write(unit).await?;
        }
        Ok(())
    });
    withdrawn.await?;
    Ok(Reply::nothing())
}
