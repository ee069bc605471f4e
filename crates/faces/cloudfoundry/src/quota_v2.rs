//! Quotas as v2 has them: `space_quota_definitions` and `quota_definitions` (specification, sections 2 and 3.1).

mod asking;
mod related;

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use store::{Error as StoreError, Tx};

use crate::auth::Caller;
use crate::body::{self, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, QuotaId};
use crate::list::{self, Asked, INLINE_MAX, Table};
use crate::quota::{self, Quota};
use crate::reply::Reply;
use crate::select::Select;
use crate::wire::{self, v2};
use crate::{Face, access, again, org, space};

use asking::{ORG_FIELDS, SPACE_FIELDS, check, fresh, over};
pub use related::{apply, spaces, withdraw};

/// Space quotas have no keys of `q` at all.
const SPACE_TABLE: Table = Table { name: "cf_quotas", q: &[], filters: &[], by_name: false, strict: false };
const ORG_TABLE: Table =
    Table { name: "cf_quotas", q: &[("name", "cf_quotas.name {}")], filters: &[], by_name: false, strict: false };

/// `POST /v2/space_quota_definitions`.
pub async fn create_space(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, SPACE_FIELDS)?;
    let made = again(|| async {
        let (who, map, face_) = (caller.clone(), map.clone(), face.clone());
        let read = face.store.read(move |tx| {
            let guid = map["organization_guid"].as_str().unwrap_or_default();
            let org = org::known(tx, &who, guid)?;
            let missing = || Error::Relation(format!("Could not find Organization with guid: {guid}")).noun();
            let org = org.ok_or_else(missing)?;
            let quota = over(&map, fresh(&face_, org.tenant, Some(org.id)));
            // The body comes before rights: who may not, and asks wrongly, is told the latter.
            check(tx, &quota)?;
            access::check_manages(tx, &who, &org)?;
            Ok(quota)
        });
        let quota = read.await?;
        let (id, row) = (quota.id, quota);
        let unit = caller.unit().rows(move |tx| {
            quota::check_name(tx, &row)?;
            quota::insert(tx, &row)
        });
        face.store.write(unit).await?;
        Ok(id)
    });
    Ok(Reply::v2_created(&show(&face, made.await?).await?))
}

/// `POST /v2/quota_definitions`.
pub async fn create_org(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, ORG_FIELDS)?;
    let made = again(|| async {
        let (who, map, face_) = (caller.clone(), map.clone(), face.clone());
        let read = face.store.read(move |tx| {
            let quota = over(&map, fresh(&face_, org::home(tx, &who, None)?, None));
            check(tx, &quota)?;
            if who.is_admin() { Ok(quota) } else { Err(Error::Denied.noun()) }
        });
        let quota = read.await?;
        let (id, row) = (quota.id, quota);
        let unit = caller.unit().rows(move |tx| {
            quota::check_name(tx, &row)?;
            quota::insert(tx, &row)
        });
        face.store.write(unit).await?;
        Ok(id)
    });
    Ok(Reply::v2_created(&show(&face, made.await?).await?))
}

async fn show(face: &Face, id: QuotaId) -> Result<Value, Error> {
    let quota = face.store.read(move |tx| quota::find(tx, id)).await?;
    quota.map(|quota| entity(&quota)).ok_or_else(|| Error::NotFound(Noun::SpaceQuota, id.to_string()))
}

fn entity(quota: &Quota) -> Value {
    if quota.org.is_some() { v2::space_quota(quota) } else { v2::org_quota(quota) }
}

/// A space quota that the caller sees: one of another's organization is forbidden rather than hidden.
fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Quota, StoreError> {
    match quota::of_spaces(tx, caller, guid)? {
        None => Err(Error::NotFound(Noun::SpaceQuota, guid.to_owned()).noun()),
        Some((_, false)) => Err(Error::Denied.noun()),
        Some((quota, true)) => Ok(quota),
    }
}

/// A space quota that the caller may change.
fn managed(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Quota, StoreError> {
    let found = quota::of_spaces(tx, caller, guid)?;
    let (quota, _) = found.ok_or_else(|| Error::NotFound(Noun::SpaceQuota, guid.to_owned()).noun())?;
    let org = quota.org.map(|org| org::find(tx, org)).transpose()?.flatten();
    let org = org.ok_or_else(|| Error::NotFound(Noun::SpaceQuota, guid.to_owned()).noun())?;
    access::check_manages(tx, caller, &org)?;
    Ok(quota)
}

fn of_orgs(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Quota, StoreError> {
    let found = quota::of_orgs(tx, caller, guid)?;
    found.ok_or_else(|| Error::NotFound(Noun::OrgQuota, guid.to_owned()).noun())
}

/// `GET /v2/space_quota_definitions/{guid}`.
pub async fn get_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let asked = Asked::v2(&params, &SPACE_TABLE)?;
    let read = face.store.read(move |tx| {
        let quota = seen(tx, &caller, &guid)?;
        shown(tx, &caller, &quota, asked.depth)
    });
    Ok(Reply::v2(StatusCode::OK, &read.await?))
}

/// `GET /v2/quota_definitions/{guid}`.
pub async fn get_org(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let quota = face.store.read(move |tx| of_orgs(tx, &caller, &guid)).await?;
    Ok(Reply::v2(StatusCode::OK, &v2::org_quota(&quota)))
}

/// A space quota with what is related to it, if that was asked for.
fn shown(tx: &mut Tx, caller: &Caller, quota: &Quota, depth: u64) -> Result<Value, StoreError> {
    let mut thing = v2::space_quota(quota);
    if depth > 0 {
        let org = quota.org.map(|org| org::find(tx, org)).transpose()?.flatten();
        let spaces = spaces_of(tx, caller, quota)?;
        let entity = &mut thing["entity"];
        if let Some(org) = org {
            list::put_inline(entity, "organization_url", "organization", v2::org(&org));
        }
        if spaces.len() as u64 <= INLINE_MAX {
            list::put_inline(entity, "spaces_url", "spaces", spaces.iter().map(v2::space).collect());
        }
    }
    Ok(thing)
}

/// The spaces a quota is applied to and the caller sees: one more than is shown within another thing, at most.
fn spaces_of(tx: &mut Tx, caller: &Caller, quota: &Quota) -> Result<Vec<space::Space>, StoreError> {
    let mut select = Select::new();
    select.and_equal("cf_spaces.quota_id", Some(quota.id));
    access::narrow_to_spaces(&mut select, caller, "cf_spaces.id", "cf_spaces.organization_id");
    let sql = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY cf_spaces.place LIMIT {}",
        space::COLUMNS,
        space::FROM,
        select.conditions(),
        INLINE_MAX + 1
    );
    tx.query(&sql, select.values())?.iter().map(space::from_row).collect()
}

/// `GET /v2/space_quota_definitions`.
pub async fn list_spaces(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    list_space_quotas(face, caller, params, "/v2/space_quota_definitions", None).await
}

/// `GET /v2/organizations/{guid}/space_quota_definitions`.
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
    let path = format!("/v2/organizations/{guid}/space_quota_definitions");
    list_space_quotas(face, caller, params, &path, Some(org)).await
}

async fn list_space_quotas(
    face: Face,
    caller: Caller,
    params: Params,
    path: &str,
    org: Option<OrgId>,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &SPACE_TABLE)?;
    access::narrow_to_space_quotas(&mut asked.select, &caller);
    asked.select.and_equal("cf_quotas.organization_id", org);
    let read = face.store.read(move |tx| {
        let page = asked.read(tx, quota::COLUMNS, "cf_quotas")?;
        let quotas = page.rows.iter().map(quota::from_row).collect::<Result<Vec<_>, _>>()?;
        let things =
            quotas.iter().map(|quota| shown(tx, &caller, quota, asked.depth)).collect::<Result<Vec<_>, _>>()?;
        Ok((page.total, things, asked))
    });
    let (total, things, asked) = read.await?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, total, things)))
}

/// `GET /v2/quota_definitions`.
pub async fn list_orgs(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &ORG_TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_quotas");
    asked.select.and("cf_quotas.organization_id IS NULL");
    let read = face.store.read(move |tx| Ok((asked.read(tx, quota::COLUMNS, "cf_quotas")?, asked)));
    let (page, asked) = read.await?;
    let quotas = page.rows.iter().map(quota::from_row).collect::<Result<Vec<_>, _>>()?;
    let things = quotas.iter().map(v2::org_quota).collect();
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame("/v2/quota_definitions", page.total, things)))
}

/// `PUT /v2/space_quota_definitions/{guid}`.
pub async fn change_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v2_change(&body, SPACE_FIELDS)?;
    let changed = again(|| async {
        let (who, map, guid) = (caller.clone(), map.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let before = managed(tx, &who, &guid)?;
            let named = map.get("organization_guid").and_then(Value::as_str);
            if named.is_some_and(|named| before.org.is_none_or(|org| org.to_string() != named)) {
                return Err(Error::OrganizationSet.noun());
            }
            let after = over(&map, before.clone());
            check(tx, &after)?;
            Ok((before.id, quota::change(tx, &who, &before, after)?))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    Ok(Reply::v2(StatusCode::CREATED, &show(&face, changed.await?).await?))
}

/// `PUT /v2/quota_definitions/{guid}`.
pub async fn change_org(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v2_change(&body, ORG_FIELDS)?;
    let changed = again(|| async {
        let (who, map, guid) = (caller.clone(), map.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let before = of_orgs(tx, &who, &guid)?;
            if !who.is_admin() {
                return Err(Error::Denied.noun());
            }
            let after = over(&map, before.clone());
            check(tx, &after)?;
            Ok((before.id, quota::change(tx, &who, &before, after)?))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    Ok(Reply::v2(StatusCode::CREATED, &show(&face, changed.await?).await?))
}

/// `DELETE /v2/space_quota_definitions/{guid}`: also of one that is applied.
pub async fn remove_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let quota = managed(tx, &who, &guid)?;
            quota::delete(tx, &who, quota)
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}

/// `DELETE /v2/quota_definitions/{guid}`.
pub async fn remove_org(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let quota = of_orgs(tx, &who, &guid)?;
            if !who.is_admin() {
                return Err(Error::Denied.noun());
            }
            quota::delete(tx, &who, quota)
        });
        Ok(face.store.write(read.await?).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}

/// 204, or with `async=true` a job that is done by now.
pub fn removed_reply(face: &Face, params: &Params) -> Reply {
    if !params.is_set("async") {
        return Reply::nothing();
    }
    let id = ids::guid(&face.store);
    let metadata = json!({
        "guid": id, "created_at": wire::time(face.store.now()), "url": format!("/v2/jobs/{id}"),
    });
    let job = json!({ "metadata": metadata, "entity": { "guid": id, "status": "finished" } });
    Reply::v2(StatusCode::ACCEPTED, &job)
}
