//! Spaces as v2 has them (specification, section 3.3).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value};
use store::{Error as StoreError, Tx};

use crate::auth::Caller;
use crate::body::{self, Field, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, SpaceId};
use crate::list::{self, Asked, INLINE_MAX};
use crate::quota::{self, Quota};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::select::Select;
use crate::space::{self, COLUMNS, FROM, Space, TABLE};
use crate::wire::v2;
use crate::{Face, access, again, org, role};

const FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("organization_guid", Kind::Text, true),
    ("allow_ssh", Kind::Flag, false),
    ("space_quota_definition_guid", Kind::Text, false),
    ("developer_guids", Kind::List, false),
    ("manager_guids", Kind::List, false),
    ("auditor_guids", Kind::List, false),
];

/// `POST /v2/spaces`.
pub async fn create(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, FIELDS)?;
    let made = again(|| async {
        let (who, map) = (caller.clone(), map.clone());
        let id = SpaceId(ids::guid(&face.store));
        let ids: Vec<uuid::Uuid> = (0..roles_named(&map).len()).map(|_| ids::guid(&face.store)).collect();
        let read = face.store.read(move |tx| {
            let name = name(&map, "")?;
            let guid = map["organization_guid"].as_str().unwrap_or_default();
            let missing = || Error::Relation(format!("Could not find Organization with guid: {guid}")).noun();
            let org = org::known(tx, &who, guid)?.ok_or_else(missing)?;
            access::check_manages(tx, &who, &org)?;
            let quota = named_quota(tx, &who, &map, org.id)?;
            let allow_ssh = map.get("allow_ssh").and_then(Value::as_bool).unwrap_or(true);
            let mut roles = Vec::new();
            for (id, (kind, user)) in ids.into_iter().zip(roles_named(&map)) {
                let user = role::member(tx, &org, user)?;
                roles.push(role::New { id, tenant: org.tenant, user, org: org.id, space: None, kind });
            }
            let new = space::New { id, name, allow_ssh, metadata: "{}".to_owned() };
            Ok((space::create(who.unit(), &org, new, quota)?, roles))
        });
        let (unit, roles) = read.await?;
        face.store.write(unit).await?;
        for new in roles {
            let unit = caller.unit().rows(move |tx| role::put(tx, &role::New { space: Some(id), ..new.clone() }));
            face.store.write(unit).await?;
        }
        Ok(id)
    });
    let id = made.await?;
    Ok(Reply::v2_created(&show(&face, id).await?))
}

/// The roles that a body gives away, and to whom.
fn roles_named(map: &Map<String, Value>) -> Vec<(&'static str, &str)> {
    let lists = [
        ("developer_guids", "space_developer"),
        ("manager_guids", "space_manager"),
        ("auditor_guids", "space_auditor"),
    ];
    let named = lists.into_iter().flat_map(|(list, kind)| {
        let users = map.get(list).and_then(Value::as_array).into_iter().flatten();
        users.filter_map(Value::as_str).map(move |user| (kind, user))
    });
    named.take(100).collect()
}

fn name(map: &Map<String, Value>, or: &str) -> Result<String, StoreError> {
    let name = map.get("name").and_then(Value::as_str).unwrap_or(or);
    let why = match name.chars().count() {
        _ if name.trim().is_empty() => "name presence",
        length if length > org::NAME_MAX => "name max_length",
        _ => return Ok(name.to_owned()),
    };
    Err(Error::Invalid(Noun::Space, why.to_owned()).noun())
}

fn named_quota(
    tx: &mut Tx,
    caller: &Caller,
    map: &Map<String, Value>,
    org: OrgId,
) -> Result<Option<Quota>, StoreError> {
    let Some(guid) = map.get("space_quota_definition_guid").and_then(Value::as_str) else { return Ok(None) };
    let missing = || {
        let class = "VCAP::CloudController::SpaceQuotaDefinition";
        Error::Relation(format!("Could not find {class} with guid: {guid}")).noun()
    };
    let (quota, _) = quota::of_spaces(tx, caller, guid)?.ok_or_else(missing)?;
    if quota.org != Some(org) {
        return Err(Error::Invalid(Noun::Space, "space_quota_definition invalid_organization".to_owned()).noun());
    }
    Ok(Some(quota))
}

async fn show(face: &Face, id: SpaceId) -> Result<Value, Error> {
    let space = face.store.read(move |tx| space::find(tx, id)).await?;
    space.map(|space| v2::space(&space)).ok_or_else(|| Error::NotFound(Noun::Space, id.to_string()))
}

/// A space that the caller sees; one they do not see is forbidden.
pub fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Space, StoreError> {
    let space = space::need(tx, caller, guid)?;
    if access::sees_space(tx, caller, &space)? { Ok(space) } else { Err(Error::Denied.noun()) }
}

/// The spaces of an organization that the caller sees: one more than is shown within another thing, at most.
pub fn seen_of(tx: &mut Tx, caller: &Caller, org: OrgId) -> Result<Vec<Space>, StoreError> {
    let mut select = Select::new();
    select.and_equal("cf_spaces.organization_id", Some(org));
    access::narrow_to_spaces(&mut select, caller, "cf_spaces.id", "cf_spaces.organization_id");
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE {} ORDER BY cf_spaces.place LIMIT {}",
        select.conditions(),
        INLINE_MAX + 1
    );
    tx.query(&sql, select.values())?.iter().map(space::from_row).collect()
}

/// `GET /v2/spaces`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    listed(face, caller, params, "/v2/spaces", None).await
}

/// `GET /v2/organizations/{guid}/spaces`.
pub async fn list_of_org(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let (who, wanted) = (caller.clone(), guid.clone());
    let org = face.store.read(move |tx| {
        let org = org::need(tx, &who, &wanted)?;
        if access::sees_org(tx, &who, org.id)? { Ok(org.id) } else { Err(Error::Denied.noun()) }
    });
    let org = org.await?;
    listed(face, caller, params, &format!("/v2/organizations/{guid}/spaces"), Some(org)).await
}

async fn listed(face: Face, caller: Caller, params: Params, path: &str, org: Option<OrgId>) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_spaces");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_spaces.id", "cf_spaces.organization_id");
    asked.select.and_equal("cf_spaces.organization_id", org);
    let read = face.store.read(move |tx| {
        let page = asked.read(tx, COLUMNS, FROM)?;
        let spaces = page.rows.iter().map(space::from_row).collect::<Result<Vec<_>, _>>()?;
        let things = spaces.iter().map(|space| shown(tx, space, asked.depth)).collect::<Result<Vec<_>, _>>()?;
        Ok((page.total, things, asked))
    });
    let (total, things, asked) = read.await?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, total, things)))
}

/// `GET /v2/spaces/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let asked = Asked::v2(&params, &TABLE)?;
    let read = face.store.read(move |tx| {
        let space = seen(tx, &caller, &guid)?;
        shown(tx, &space, asked.depth)
    });
    Ok(Reply::v2(StatusCode::OK, &read.await?))
}

/// With its organization and its quota, if that was asked for.
fn shown(tx: &mut Tx, space: &Space, depth: u64) -> Result<Value, StoreError> {
    let mut thing = v2::space(space);
    if depth > 0 {
        if let Some(org) = org::find(tx, space.org)? {
            list::put_inline(&mut thing["entity"], "organization_url", "organization", v2::org(&org));
        }
        if let Some(quota) = space.quota.map(|quota| quota::find(tx, quota)).transpose()?.flatten() {
            let quota = v2::space_quota(&quota);
            let (link, name) = ("space_quota_definition_url", "space_quota_definition");
            list::put_inline(&mut thing["entity"], link, name, quota);
        }
    }
    Ok(thing)
}

/// `PUT /v2/spaces/{guid}`. Its quota is given by the quota's own path; what is said of it here is ignored.
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
            let before = space::need(tx, &who, &guid)?;
            check_changes(tx, &who, &before)?;
            let named = map.get("organization_guid").and_then(Value::as_str);
            if named.is_some_and(|named| before.org.to_string() != named) {
                return Err(Error::OrganizationSet.noun());
            }
            let allow_ssh = map.get("allow_ssh").and_then(Value::as_bool).unwrap_or(before.allow_ssh);
            let after = Space { name: name(&map, &before.name)?, allow_ssh, ..before.clone() };
            Ok((before.id, space::change(&who, &before, after)))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    Ok(Reply::v2(StatusCode::CREATED, &show(&face, changed.await?).await?))
}

/// That the caller may change a space itself: its managers may, and its organization's.
pub fn check_changes(tx: &mut Tx, caller: &Caller, space: &Space) -> Result<(), StoreError> {
    let org = org::find(tx, space.org)?.ok_or_else(|| Error::Denied.noun())?;
    let is_manager = role::is(tx, caller.who.user, space.id, "space_manager")?;
    if is_manager && !org.suspended {
        return Ok(());
    }
    access::check_manages(tx, caller, &org)
}

/// `DELETE /v2/spaces/{guid}`: of one that is empty, or with `recursive=true` of all in it.
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
            let space = space::need(tx, &who, &guid)?;
            let org = org::find(tx, space.org)?.ok_or_else(|| Error::Denied.noun())?;
            access::check_manages(tx, &who, &org)?;
            match space::is_empty(tx, space.id)? {
                Some(what) if !recursive => Err(Error::NotEmpty(what, "spaces").noun()),
                _ => space::delete(tx, who.unit(), space.id),
            }
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}
