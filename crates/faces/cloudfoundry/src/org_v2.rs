//! Organizations as v2 has them (specification, section 3.2).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Tx};

use crate::auth::Caller;
use crate::body::{self, Field, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId};
use crate::list::{self, Asked, INLINE_MAX};
use crate::org::{self, COLUMNS, Org, TABLE};
use crate::quota::{self, Quota};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::wire::v2;
use crate::{Face, access, again, space, space_v2};

const FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("billing_enabled", Kind::Flag, false),
    ("status", Kind::Text, false),
    ("quota_definition_guid", Kind::Text, false),
];

/// `POST /v2/organizations`: admins only.
pub async fn create(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, FIELDS)?;
    let made = again(|| async {
        let (who, map) = (caller.clone(), map.clone());
        let id = OrgId(ids::guid(&face.store));
        let read = face.store.read(move |tx| {
            let name = name(&map, "")?;
            if !who.is_admin() {
                return Err(Error::Denied.noun());
            }
            let quota = named_quota(tx, &who, &map)?;
            let tenant = org::home(tx, &who, quota.as_ref())?;
            let quota = match quota {
                Some(quota) => quota,
                None => org::default_quota(tx, tenant)?,
            };
            let billing_enabled = map.get("billing_enabled") == Some(&Value::Bool(true));
            let suspended = status(&map)?.unwrap_or(false);
            let new = org::New { id, tenant, name, suspended, billing_enabled, metadata: "{}".to_owned() };
            org::create(who.unit(), new, quota)
        });
        face.store.write(read.await?).await?;
        Ok(id)
    });
    let id = made.await?;
    Ok(Reply::v2_created(&show(&face, id).await?))
}

fn name(map: &Map<String, Value>, or: &str) -> Result<String, StoreError> {
    let name = map.get("name").and_then(Value::as_str).unwrap_or(or);
    let why = match name.chars().count() {
        _ if name.trim().is_empty() => "name presence",
        length if length > org::NAME_MAX => "name max_length",
        _ => return Ok(name.to_owned()),
    };
    Err(Error::Invalid(Noun::Organization, why.to_owned()).noun())
}

/// Whether it is to be suspended.
fn status(map: &Map<String, Value>) -> Result<Option<bool>, StoreError> {
    match map.get("status").and_then(Value::as_str) {
        None => Ok(None),
        Some("active") => Ok(Some(false)),
        Some("suspended") => Ok(Some(true)),
        Some(_) => Err(Error::Invalid(Noun::Organization, "status inclusion".to_owned()).noun()),
    }
}

fn named_quota(tx: &mut Tx, caller: &Caller, map: &Map<String, Value>) -> Result<Option<Quota>, StoreError> {
    let Some(guid) = map.get("quota_definition_guid").and_then(Value::as_str) else { return Ok(None) };
    let missing =
        || Error::Relation(format!("Could not find VCAP::CloudController::QuotaDefinition with guid: {guid}")).noun();
    quota::of_orgs(tx, caller, guid)?.ok_or_else(missing).map(Some)
}

async fn show(face: &Face, id: OrgId) -> Result<Value, Error> {
    let org = face.store.read(move |tx| org::find(tx, id)).await?;
    org.map(|org| v2::org(&org)).ok_or_else(|| Error::NotFound(Noun::Organization, id.to_string()))
}

fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Org, StoreError> {
    let org = org::need(tx, caller, guid)?;
    if access::sees_org(tx, caller, org.id)? { Ok(org) } else { Err(Error::Denied.noun()) }
}

/// `GET /v2/organizations`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_organizations");
    access::narrow_to_orgs(&mut asked.select, &caller, "cf_organizations.id");
    let read = face.store.read(move |tx| {
        let page = asked.read(tx, COLUMNS, "cf_organizations")?;
        let orgs = page.rows.iter().map(org::from_row).collect::<Result<Vec<_>, _>>()?;
        let things = orgs.iter().map(|org| shown(tx, &caller, org, asked.depth)).collect::<Result<Vec<_>, _>>()?;
        Ok((page.total, things, asked))
    });
    let (total, things, asked) = read.await?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame("/v2/organizations", total, things)))
}

/// `GET /v2/organizations/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let asked = Asked::v2(&params, &TABLE)?;
    let read = face.store.read(move |tx| {
        let org = seen(tx, &caller, &guid)?;
        shown(tx, &caller, &org, asked.depth)
    });
    Ok(Reply::v2(StatusCode::OK, &read.await?))
}

/// With its quota and its spaces, if that was asked for.
fn shown(tx: &mut Tx, caller: &Caller, org: &Org, depth: u64) -> Result<Value, StoreError> {
    let mut thing = v2::org(org);
    if depth > 0 {
        if let Some(quota) = quota::find(tx, org.quota)? {
            let quota = v2::org_quota(&quota);
            list::put_inline(&mut thing["entity"], "quota_definition_url", "quota_definition", quota);
        }
        let spaces = space_v2::seen_of(tx, caller, org.id)?;
        if spaces.len() as u64 <= INLINE_MAX {
            let spaces = spaces.iter().map(v2::space).collect();
            list::put_inline(&mut thing["entity"], "spaces_url", "spaces", spaces);
        }
    }
    Ok(thing)
}

/// `PUT /v2/organizations/{guid}`: managers its name, admins all.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v2_change(&body, FIELDS)?;
    let changed = again(|| async {
        let (who, map, guid) = (caller.clone(), map.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let before = org::need(tx, &who, &guid)?;
            access::check_manages(tx, &who, &before)?;
            let admins = ["quota_definition_guid", "billing_enabled", "status"];
            if !who.is_admin() && admins.iter().any(|field| map.contains_key(*field)) {
                return Err(Error::Denied.noun());
            }
            let after = Org {
                name: name(&map, &before.name)?,
                suspended: status(&map)?.unwrap_or(before.suspended),
                billing_enabled: map.get("billing_enabled").and_then(Value::as_bool).unwrap_or(before.billing_enabled),
                ..before.clone()
            };
            let quota = named_quota(tx, &who, &map)?.filter(|quota| quota.id != before.quota);
            if quota.as_ref().is_some_and(|quota| quota.tenant != before.tenant) {
                return Err(Error::Denied.noun());
            }
            let quota = quota.map(|quota| quota::apply(&who, quota, vec![before.id.0]));
            Ok((before.id, org::change(&who, &before, after), quota))
        });
        let (id, unit, quota) = read.await?;
        face.store.write(unit).await?;
        if let Some(unit) = quota {
            face.store.write(unit).await?;
        }
        Ok(id)
    });
    Ok(Reply::v2(StatusCode::CREATED, &show(&face, changed.await?).await?))
}

/// `DELETE /v2/organizations/{guid}`: of one that is empty, or with `recursive=true` of all in it.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let recursive = params.is_set("recursive");
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let org = org::need(tx, &who, &guid)?;
            if !who.is_admin() {
                return Err(Error::Denied.noun());
            }
            if !recursive && !space::of_org(tx, org.id)?.is_empty() {
                return Err(Error::NotEmpty("spaces", "organizations").noun());
            }
            org::delete(tx, who.unit(), &org)
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}

/// `GET /v2/organizations/{guid}/summary`: its spaces, with what they use.
pub async fn summary(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let org = seen(tx, &caller, &guid)?;
        let spaces = space_v2::seen_of(tx, &caller, org.id)?;
        let told = |space: &space::Space| json!({ "guid": space.id, "name": space.name });
        Ok(json!({
            "guid": org.id,
            "name": org.name,
            "status": if org.suspended { "suspended" } else { "active" },
            "spaces": spaces.iter().map(told).collect::<Vec<_>>(),
        }))
    });
    Ok(Reply::v2(StatusCode::OK, &read.await?))
}
