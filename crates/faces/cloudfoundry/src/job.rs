//! Jobs of v3: what is deleted is deleted when it is answered, and the job that clients poll says so.

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::json;
use store::{Actor, Micros, TenantId, Unit, params};

use crate::auth::Caller;
use crate::body::Base;
use crate::error::{Error, Noun};
use crate::reply::Reply;
use crate::wire::{self, v3::link};
use crate::{Face, ids};

/// How long one can be looked at.
const KEPT_US: Micros = 24 * 3_600_000_000;

/// Notes one that is done, and answers where it is.
pub async fn done(face: &Face, base: &str, tenant: TenantId, operation: &'static str) -> Result<Reply, Error> {
    let id = ids::guid(&face.store);
    let unit = Unit::by(Actor::system("cloudfoundry")).rows(move |tx| {
        let now = tx.now();
        tx.execute("DELETE FROM cf_jobs WHERE created_at < $1", &params![now - KEPT_US])?;
        let sql = "INSERT INTO cf_jobs (id, tenant_id, operation, created_at) VALUES ($1, $2, $3, $4)";
        tx.execute(sql, &params![id, tenant, operation, now]).map(drop)
    });
    face.store.write(unit).await?;
    Ok(Reply::job(format!("{base}/v3/jobs/{id}")))
}

/// `GET /v3/jobs/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let missing = || Error::NotFound(Noun::Job, guid.clone());
    let id = ids::parse(&guid).ok_or_else(missing)?;
    let sql = "SELECT tenant_id, operation, created_at FROM cf_jobs WHERE id = $1";
    let row = face.store.read(move |tx| tx.query_opt(sql, &params![id])).await?.ok_or_else(missing)?;
    if !caller.knows(row.get(0)?) {
        return Err(missing());
    }
    let at = wire::time(row.get(2)?);
    let body = json!({
        "guid": id,
        "created_at": at,
        "updated_at": at,
        "operation": row.get::<String>(1)?,
        "state": "COMPLETE",
        "errors": [],
        "warnings": [],
        "links": { "self": link(&base, &format!("jobs/{id}")) },
    });
    Ok(Reply::v3(StatusCode::OK, &body))
}
