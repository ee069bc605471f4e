//! Quotas as v3 has them: `space_quotas` and `organization_quotas` (specification, sections 4.1 and 4.2).
//!
//! Both kinds are read and told alike. They differ in who may write, when that is looked at, and what they are applied to.

mod asking;
mod related;

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::Value;
use store::{Error as StoreError, Tx};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::{self, Base, Faults, Params, Raw};
use crate::cap::Caps;
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, QuotaId};
use crate::list::{Asked, Table};
use crate::quota::{self, Quota};
use crate::reply::Reply;
use crate::select::Select;
use crate::wire::v3;
use crate::{Face, access, again, job, org};

use asking::{Asking, relation_to_many};
pub use related::{apply_orgs, apply_spaces, withdraw};
use related::{check_one_tenant, orgs_named, spaces_named, told};

const SPACE_TABLE: Table = Table {
    name: "cf_quotas",
    q: &[],
    filters: &[
        ("names", "cf_quotas.name {}"),
        ("organization_guids", "cf_quotas.organization_id {}"),
        ("space_guids", "cf_quotas.id IN (SELECT quota_id FROM cf_spaces WHERE id {} AND quota_id IS NOT NULL)"),
    ],
    by_name: false,
    strict: true,
};
const ORG_TABLE: Table = Table {
    name: "cf_quotas",
    q: &[],
    filters: &[
        ("names", "cf_quotas.name {}"),
        ("organization_guids", "cf_quotas.id IN (SELECT quota_id FROM cf_organizations WHERE id {})"),
    ],
    by_name: false,
    strict: false,
};

const APPLIED_TO_SPACES: &str =
    "This quota is applied to one or more spaces. Remove this quota from all spaces before deleting.";
const APPLIED_TO_ORGS: &str = "This quota is applied to one or more organizations. Apply different quotas to those \
    organizations before deleting.";

fn fresh(face: &Face, tenant: store::TenantId, org: Option<OrgId>) -> Quota {
    Quota {
        id: QuotaId(ids::guid(&face.store)),
        tenant,
        org,
        name: String::new(),
        paid: true,
        caps: Caps::default(),
        version: 1,
        created_at: 0,
        updated_at: 0,
    }
}

fn check(tx: &mut Tx, quota: &Quota) -> Result<(), StoreError> {
    if !quota::ports_fit(tx, quota)? {
        let why = if quota.org.is_some() { quota::PORTS_OF_SPACE } else { quota::PORTS_OF_ORG };
        return Err(Error::Unprocessable(why.to_owned()).noun());
    }
    quota::check_name(tx, quota)
}

/// `POST /v3/space_quotas`.
pub async fn create_space(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["name", "relationships", "apps", "services", "routes"]);
    Asking::read(&map, true, &["apps", "services", "routes"], &mut faults);
    let org = faults.relation(&map, "organization", true).unwrap_or_default();
    let to = relation_to_many(&map, "spaces", &mut faults);
    faults.end()?;
    let made = again(|| async {
        let (who, map, org, to, face_) = (caller.clone(), map.clone(), org.clone(), to.clone(), face.clone());
        let read = face.store.read(move |tx| {
            let missing = format!("Organization with guid '{org}' does not exist, or you do not have access to it.");
            let missing = || Error::Unprocessable(missing.clone()).noun();
            let org = org::known(tx, &who, &org)?.ok_or_else(missing)?;
            if !access::sees_org(tx, &who, org.id)? {
                return Err(missing());
            }
            access::check_manages(tx, &who, &org)?;
            let asking = Asking::read(&map, true, &["apps", "services", "routes"], &mut Faults::default());
            let quota = asking.over(fresh(&face_, org.tenant, Some(org.id)));
            check(tx, &quota)?;
            let spaces = spaces_named(tx, &who, &to, |alien| {
                format!(
                    "Spaces with guids {} do not exist within the organization specified, or you do not have access \
                     to them.",
                    told(alien)
                )
            })?;
            let alien: Vec<String> =
                spaces.iter().filter(|space| space.org != org.id).map(|space| space.id.to_string()).collect();
            if !alien.is_empty() {
                let why = "do not exist within the organization specified, or you do not have access to them.";
                return Err(Error::Unprocessable(format!("Spaces with guids {} {why}", told(&alien))).noun());
            }
            Ok((quota, spaces.into_iter().map(|space| space.id.0).collect::<Vec<_>>()))
        });
        let (quota, spaces) = read.await?;
        make(&face, &caller, quota, spaces).await
    });
    let id = made.await?;
    Ok(Reply::v3(StatusCode::CREATED, &show(&face, &caller, &base, id).await?))
}

/// A new quota, applied at once to what was named.
async fn make(face: &Face, caller: &Caller, quota: Quota, to: Vec<Uuid>) -> Result<QuotaId, Error> {
    let (id, nodes) = (quota.id, to.clone());
    let unit = quota::limit_all(caller.unit(), &nodes, Some(&quota)).rows(move |tx| {
        quota::check_name(tx, &quota)?;
        quota::insert(tx, &quota)?;
        quota::point(tx, &quota, &to)
    });
    face.store.write(unit).await?;
    Ok(id)
}

/// `POST /v3/organization_quotas`.
pub async fn create_org(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    // Rights come before the body here, other than with space quotas.
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    let blocks = ["apps", "services", "routes", "domains"];
    faults.unknown("", &map, &["name", "relationships", "apps", "services", "routes", "domains"]);
    Asking::read(&map, true, &blocks, &mut faults);
    let to = relation_to_many(&map, "organizations", &mut faults);
    faults.end()?;
    let made = again(|| async {
        let (who, map, to, face_) = (caller.clone(), map.clone(), to.clone(), face.clone());
        let read = face.store.read(move |tx| {
            let asking = Asking::read(&map, true, &blocks, &mut Faults::default());
            let orgs = orgs_named(tx, &who, &to, ", or you do not have access to them.")?;
            let tenant = match orgs.first() {
                Some(first) => first.tenant,
                None => org::home(tx, &who, None)?,
            };
            let quota = asking.over(fresh(&face_, tenant, None));
            check(tx, &quota)?;
            check_one_tenant(&orgs, &quota)?;
            Ok((quota, orgs.into_iter().map(|org| org.id.0).collect::<Vec<_>>()))
        });
        let (quota, orgs) = read.await?;
        make(&face, &caller, quota, orgs).await
    });
    let id = made.await?;
    Ok(Reply::v3(StatusCode::CREATED, &show(&face, &caller, &base, id).await?))
}

/// The quota as the caller sees it: applied to what they see.
fn shown(tx: &mut Tx, caller: &Caller, base: &str, quota: &Quota) -> Result<Value, StoreError> {
    Ok(v3::quota(base, quota, &visible(tx, caller, quota)?))
}

fn visible(tx: &mut Tx, caller: &Caller, quota: &Quota) -> Result<Vec<Uuid>, StoreError> {
    let mut select = Select::new();
    let table = if quota.org.is_some() {
        access::narrow_to_spaces(&mut select, caller, "cf_spaces.id", "cf_spaces.organization_id");
        "cf_spaces"
    } else {
        access::narrow_to_orgs(&mut select, caller, "cf_organizations.id");
        "cf_organizations"
    };
    select.and_equal(&format!("{table}.quota_id"), Some(quota.id));
    let sql = format!("SELECT id FROM {table} WHERE {} ORDER BY place LIMIT 5000", select.conditions());
    tx.query(&sql, select.values())?.iter().map(|row| row.get(0)).collect()
}

async fn show(face: &Face, caller: &Caller, base: &str, id: QuotaId) -> Result<Value, Error> {
    let (caller, base) = (caller.clone(), base.to_owned());
    let read = face.store.read(move |tx| {
        let quota = quota::find(tx, id)?.ok_or_else(|| Error::NotFound(Noun::SpaceQuota, id.to_string()).noun())?;
        shown(tx, &caller, &base, &quota)
    });
    Ok(read.await?)
}

fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Quota, StoreError> {
    let found = quota::of_spaces(tx, caller, guid)?.filter(|(_, sees)| *sees);
    found.map(|(quota, _)| quota).ok_or_else(|| Error::NotFound(Noun::SpaceQuota, guid.to_owned()).noun())
}

/// One that the caller sees and may change.
fn managed(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Quota, StoreError> {
    let quota = seen(tx, caller, guid)?;
    let org = quota.org.map(|org| org::find(tx, org)).transpose()?.flatten();
    let org = org.ok_or_else(|| Error::NotFound(Noun::SpaceQuota, guid.to_owned()).noun())?;
    access::check_manages(tx, caller, &org)?;
    Ok(quota)
}

fn of_orgs(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Quota, StoreError> {
    let found = quota::of_orgs(tx, caller, guid)?;
    found.ok_or_else(|| Error::NotFound(Noun::OrgQuota, guid.to_owned()).noun())
}

/// `GET /v3/space_quotas/{guid}`.
pub async fn get_space(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let quota = seen(tx, &caller, &guid)?;
        shown(tx, &caller, &base, &quota)
    });
    Ok(Reply::v3(StatusCode::OK, &read.await?))
}

/// `GET /v3/organization_quotas/{guid}`.
pub async fn get_org(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let quota = of_orgs(tx, &caller, &guid)?;
        shown(tx, &caller, &base, &quota)
    });
    Ok(Reply::v3(StatusCode::OK, &read.await?))
}

/// `GET /v3/space_quotas`.
pub async fn list_spaces(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &SPACE_TABLE)?;
    access::narrow_to_space_quotas(&mut asked.select, &caller);
    listed(face, caller, base, asked, "space_quotas").await
}

/// `GET /v3/organization_quotas`.
pub async fn list_orgs(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &ORG_TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_quotas");
    asked.select.and("cf_quotas.organization_id IS NULL");
    listed(face, caller, base, asked, "organization_quotas").await
}

async fn listed(face: Face, caller: Caller, base: String, asked: Asked, path: &str) -> Result<Reply, Error> {
    let url = format!("{base}/v3/{path}");
    let read = face.store.read(move |tx| {
        let page = asked.read(tx, quota::COLUMNS, "cf_quotas")?;
        let quotas = page.rows.iter().map(quota::from_row).collect::<Result<Vec<_>, _>>()?;
        let objects = quotas.iter().map(|quota| shown(tx, &caller, &base, quota)).collect::<Result<Vec<_>, _>>()?;
        Ok((page.total, objects, asked))
    });
    let (total, objects, asked) = read.await?;
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(&url, total, objects)))
}

/// `PATCH /v3/space_quotas/{guid}`: read as a quota of organizations would be, so a block of domains passes and says nothing.
pub async fn change_space(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    change(face, caller, base, guid, &body, managed).await
}

/// `PATCH /v3/organization_quotas/{guid}`.
pub async fn change_org(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    change(face, caller, base, guid, &body, of_orgs).await
}

async fn change(
    face: Face,
    caller: Caller,
    base: String,
    guid: String,
    body: &bytes::Bytes,
    find: fn(&mut Tx, &Caller, &str) -> Result<Quota, StoreError>,
) -> Result<Reply, Error> {
    // Who may not is told so before what is wrong with the body.
    let (who, wanted) = (caller.clone(), guid.clone());
    face.store.read(move |tx| find(tx, &who, &wanted).map(drop)).await?;
    let map = body::v3(body)?;
    let blocks = ["apps", "services", "routes", "domains"];
    let mut faults = Faults::default();
    faults.unknown("", &map, &["name", "apps", "services", "routes", "domains"]);
    Asking::read(&map, false, &blocks, &mut faults);
    faults.end()?;
    let changed = again(|| async {
        let (who, map, guid) = (caller.clone(), map.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let before = find(tx, &who, &guid)?;
            let looked = if before.org.is_some() { &blocks[..3] } else { &blocks[..] };
            let after = Asking::read(&map, false, looked, &mut Faults::default()).over(before.clone());
            check(tx, &after)?;
            Ok((before.id, quota::change(tx, &who, &before, after)?))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    let id = changed.await?;
    Ok(Reply::v3(StatusCode::OK, &show(&face, &caller, &base, id).await?))
}

/// `DELETE /v3/space_quotas/{guid}`: not while it is applied.
pub async fn remove_space(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let tenant = remove(&face, &caller, guid, managed, APPLIED_TO_SPACES).await?;
    job::done(&face, &base, tenant, "space_quota.delete").await
}

/// `DELETE /v3/organization_quotas/{guid}`: likewise.
pub async fn remove_org(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let tenant = remove(&face, &caller, guid, of_orgs, APPLIED_TO_ORGS).await?;
    job::done(&face, &base, tenant, "organization_quota.delete").await
}

async fn remove(
    face: &Face,
    caller: &Caller,
    guid: String,
    find: fn(&mut Tx, &Caller, &str) -> Result<Quota, StoreError>,
    applied: &'static str,
) -> Result<store::TenantId, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let quota = find(tx, &who, &guid)?;
            if !quota::applied(tx, &quota)?.is_empty() {
                return Err(Error::Unprocessable(applied.to_owned()).noun());
            }
            Ok((quota.tenant, quota::delete(tx, &who, quota)?))
        });
        let (tenant, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(tenant)
    });
    removed.await
}
