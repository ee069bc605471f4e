//! To whom a quota is applied: the relationships of v3 (specification, sections 4.1 and 4.2).

use std::collections::HashSet;

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use store::{Error as StoreError, Tx};

use super::{managed, of_orgs, seen, visible};
use crate::auth::Caller;
use crate::body::{self, Base, Faults, Raw};
use crate::error::Error;
use crate::ids::SpaceId;
use crate::quota::{self, Quota};
use crate::reply::Reply;
use crate::wire::v3;
use crate::{Face, access, again, org, space};

/// `POST /v3/space_quotas/{guid}/relationships/spaces`.
pub async fn apply_spaces(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let (who, wanted) = (caller.clone(), guid.clone());
    face.store.read(move |tx| managed(tx, &who, &wanted).map(drop)).await?;
    let guids = data(&body)?;
    let applied = again(|| async {
        let (who, guid, guids) = (caller.clone(), guid.clone(), guids.clone());
        let read = face.store.read(move |tx| {
            let quota = managed(tx, &who, &guid)?;
            let spaces = spaces_named(tx, &who, &guids, |alien| {
                format!("Spaces with guids {} do not exist, or you do not have access to them.", told(alien))
            })?;
            if spaces.iter().any(|space| Some(space.org) != quota.org) {
                let why = "Space quotas cannot be applied outside of their owning organization.";
                return Err(Error::Unprocessable(why.to_owned()).noun());
            }
            Ok(quota::apply(&who, quota, spaces.into_iter().map(|space| space.id.0).collect()))
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    applied.await?;
    related(&face, caller, base, guid, seen, "space_quotas", "spaces").await
}

/// `POST /v3/organization_quotas/{guid}/relationships/organizations`: instead of the quotas they had.
pub async fn apply_orgs(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let (who, wanted) = (caller.clone(), guid.clone());
    face.store.read(move |tx| of_orgs(tx, &who, &wanted).map(drop)).await?;
    let guids = data(&body)?;
    let applied = again(|| async {
        let (who, guid, guids) = (caller.clone(), guid.clone(), guids.clone());
        let read = face.store.read(move |tx| {
            let quota = of_orgs(tx, &who, &guid)?;
            let orgs = orgs_named(tx, &who, &guids, "")?;
            check_one_tenant(&orgs, &quota)?;
            Ok(quota::apply(&who, quota, orgs.into_iter().map(|org| org.id.0).collect()))
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    applied.await?;
    related(&face, caller, base, guid, of_orgs, "organization_quotas", "organizations").await
}

fn data(body: &bytes::Bytes) -> Result<Vec<String>, Error> {
    let map = body::v3(body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["data"]);
    let guids = faults.guids(map.get("data").unwrap_or(&Value::Null));
    faults.end()?;
    Ok(guids)
}

async fn related(
    face: &Face,
    caller: Caller,
    base: String,
    guid: String,
    find: fn(&mut Tx, &Caller, &str) -> Result<Quota, StoreError>,
    of: &str,
    to: &str,
) -> Result<Reply, Error> {
    let link = v3::link(&base, &format!("{of}/{guid}/relationships/{to}"));
    let read = face.store.read(move |tx| {
        let quota = find(tx, &caller, &guid)?;
        visible(tx, &caller, &quota)
    });
    let mut told = v3::to_many(&read.await?);
    told["links"] = json!({ "self": link });
    Ok(Reply::v3(StatusCode::OK, &told))
}

/// `DELETE /v3/space_quotas/{guid}/relationships/spaces/{space}`.
pub async fn withdraw(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, space)): Path<(String, String)>,
) -> Result<Reply, Error> {
    let withdrawn = again(|| async {
        let (who, guid, space) = (caller.clone(), guid.clone(), space.clone());
        let read = face.store.read(move |tx| {
            let quota = managed(tx, &who, &guid)?;
            let found = space::known(tx, &who, &space)?.filter(|found| found.quota == Some(quota.id));
            let why = format!(
                "Unable to remove quota from space with guid '{space}'. Ensure the space quota is applied to this space."
            );
            let found = found.ok_or_else(|| Error::Unprocessable(why).noun())?;
            Ok(quota::withdraw(&who, quota, vec![SpaceId(found.id.0)]))
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    withdrawn.await?;
    Ok(Reply::nothing())
}

/// A list of guids as Cloud Controller puts it into a sentence.
pub fn told(guids: &[String]) -> String {
    format!("[{}]", guids.iter().map(|guid| format!("\"{guid}\"")).collect::<Vec<_>>().join(", "))
}

/// The spaces of these guids; `missing` says it of those that are not there for the caller.
pub fn spaces_named(
    tx: &mut Tx,
    caller: &Caller,
    guids: &[String],
    missing: impl Fn(&[String]) -> String,
) -> Result<Vec<space::Space>, StoreError> {
    let (mut found, mut alien) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for guid in guids.iter().filter(|guid| seen.insert(guid.as_str())) {
        let space = space::known(tx, caller, guid)?;
        match space {
            Some(space) if access::sees_space(tx, caller, &space)? => found.push(space),
            _ => alien.push(guid.clone()),
        }
    }
    if alien.is_empty() { Ok(found) } else { Err(Error::Unprocessable(missing(&alien)).noun()) }
}

/// The organizations of these guids; `end` ends the sentence about those that are not there.
pub fn orgs_named(tx: &mut Tx, caller: &Caller, guids: &[String], end: &str) -> Result<Vec<org::Org>, StoreError> {
    let (mut found, mut alien) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for guid in guids.iter().filter(|guid| seen.insert(guid.as_str())) {
        match org::known(tx, caller, guid)? {
            Some(org) => found.push(org),
            None => alien.push(guid.clone()),
        }
    }
    if alien.is_empty() {
        return Ok(found);
    }
    let why = format!("Organizations with guids {} do not exist{end}", told(&alien));
    Err(Error::Unprocessable(why).noun())
}

/// A quota is one tenant's: an operator, who sees all, cannot apply it to another's organization.
pub fn check_one_tenant(orgs: &[org::Org], quota: &Quota) -> Result<(), StoreError> {
    let alien: Vec<String> =
        orgs.iter().filter(|org| org.tenant != quota.tenant).map(|org| org.id.to_string()).collect();
    if alien.is_empty() {
        return Ok(());
    }
    Err(Error::Unprocessable(format!("Organizations with guids {} do not exist", told(&alien))).noun())
}
