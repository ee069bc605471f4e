//! What organizations and spaces use: their allotments' counts, and no sum of this face's own.

use ledger::{AllotmentId, Resource};
use serde_json::{Value, json};
use store::{Error as StoreError, Tx, params};

use axum::extract::{Path, State};
use http::StatusCode;

use crate::auth::Caller;
use crate::body::Base;
use crate::error::{Error, Noun};
use crate::reply::Reply;
use crate::wire::v3::link;
use crate::{Face, access, org, space};

fn used(tx: &mut Tx, node: AllotmentId, resource: Resource) -> Result<u64, StoreError> {
    let sql = "SELECT used FROM balances WHERE allotment_id = $1 AND resource = $2";
    Ok(tx.query_opt(sql, &params![node, resource.name()])?.map(|row| row.get(0)).transpose()?.unwrap_or(0))
}

/// `GET /v2/organizations/{guid}/memory_usage`.
pub async fn memory(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let used = of_org(face, caller, guid, Resource::MEMORY_MB).await?;
    Ok(Reply::v2(StatusCode::OK, &json!({ "memory_usage_in_mb": used })))
}

/// `GET /v2/organizations/{guid}/instance_usage`.
pub async fn instances(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let used = of_org(face, caller, guid, Resource::INSTANCES).await?;
    Ok(Reply::v2(StatusCode::OK, &json!({ "instance_usage": used })))
}

async fn of_org(face: Face, caller: Caller, guid: String, resource: Resource) -> Result<u64, Error> {
    let read = face.store.read(move |tx| {
        let org = org::need(tx, &caller, &guid)?;
        if !access::sees_org(tx, &caller, org.id)? {
            return Err(Error::Denied.noun());
        }
        used(tx, org.id.allotment(), resource)
    });
    Ok(read.await?)
}

/// v3's names of what is used, and the resources.
const SUMMARY: [(&str, Resource); 8] = [
    ("started_instances", Resource::INSTANCES),
    ("memory_in_mb", Resource::MEMORY_MB),
    ("routes", Resource::ROUTES),
    ("service_instances", Resource::SERVICES),
    ("reserved_ports", Resource::RESERVED_PORTS),
    ("domains", Resource::DOMAINS),
    ("per_app_tasks", Resource::TASKS),
    ("service_keys", Resource::SERVICE_KEYS),
];

/// Of `node`; domains belong to the organization.
fn summary(tx: &mut Tx, node: AllotmentId, org: AllotmentId) -> Result<Value, StoreError> {
    let mut told = json!({});
    for (name, resource) in SUMMARY {
        let node = if resource == Resource::DOMAINS { org } else { node };
        told[name] = used(tx, node, resource)?.into();
    }
    Ok(told)
}

/// `GET /v3/organizations/{guid}/usage_summary`.
pub async fn org_summary(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let org = org::need(tx, &caller, &guid)?;
        if !access::sees_org(tx, &caller, org.id)? {
            return Err(Error::NotFound(Noun::Organization, guid).noun());
        }
        Ok((org.id, summary(tx, org.id.allotment(), org.id.allotment())?))
    });
    let (id, told) = read.await?;
    let path = format!("organizations/{id}");
    let links = json!({
        "self": link(&base, &format!("{path}/usage_summary")), "organization": link(&base, &path),
    });
    Ok(Reply::v3(StatusCode::OK, &json!({ "usage_summary": told, "links": links })))
}

/// `GET /v3/spaces/{guid}/usage_summary`.
pub async fn space_summary(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let space = space::need(tx, &caller, &guid)?;
        if !access::sees_space(tx, &caller, &space)? {
            return Err(Error::NotFound(Noun::Space, guid).noun());
        }
        Ok((space.id, summary(tx, space.id.allotment(), space.org.allotment())?))
    });
    let (id, told) = read.await?;
    let path = format!("spaces/{id}");
    let links = json!({ "self": link(&base, &format!("{path}/usage_summary")), "space": link(&base, &path) });
    Ok(Reply::v3(StatusCode::OK, &json!({ "usage_summary": told, "links": links })))
}

/// `GET /v3/info/usage_summary`: of the caller's tenant, or of the site.
pub async fn site_summary(State(face): State<Face>, caller: Caller, Base(base): Base) -> Result<Reply, Error> {
    if !caller.reads_all() {
        return Err(Error::UnknownRequest);
    }
    let read = face.store.read(move |tx| {
        let sql = "SELECT COALESCE(CAST(SUM(b.used) AS BIGINT), 0) FROM balances b JOIN cf_organizations o \
            ON o.id = b.allotment_id WHERE b.resource = $1 AND (o.tenant_id = $2 OR $2 = '')";
        let tenant = caller.tenant().map_or(String::new(), |tenant| tenant.to_string());
        let mut told = json!({});
        for (name, resource) in SUMMARY {
            let row = tx.query_opt(sql, &params![resource.name(), &tenant])?;
            told[name] = row.map(|row| row.get::<u64>(0)).transpose()?.unwrap_or(0).into();
        }
        Ok(told)
    });
    let links = json!({ "self": link(&base, "info/usage_summary") });
    Ok(Reply::v3(StatusCode::OK, &json!({ "usage_summary": read.await?, "links": links })))
}
