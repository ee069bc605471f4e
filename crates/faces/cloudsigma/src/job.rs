//! Jobs, as the API tells of them: clones, and nothing else (spec, section 5.1).
//!
//! **Always.** A job's row is in the commit of what it stands for, and says `success` in the commit that ends it. Progress is
//! 100 exactly when it has ended; before, it is that of content's own job.

use std::collections::HashMap;

use axum::extract::State;
use content::volume::{self, VolumeId};
use serde_json::{Value as Json, json};
use store::{Error as StoreError, Micros, Row, Tx, Unit, UserId, Value, params};
use uuid::Uuid;

use crate::Face;
use crate::auth::Caller;
use crate::error::Error;
use crate::ids::JobId;
use crate::input::{At, Params};
use crate::list::{self, By, Keep, Window};
use crate::reply::Bare;
use crate::select::Select;
use crate::{drive, wire};

/// How long a job that has ended is told of: three days.
const KEPT_US: Micros = 3 * 24 * 3_600_000_000;
/// The most children of one job that are told: drives of one server.
const CHILDREN_MAX: usize = 1000;
/// How many old jobs are forgotten in one commit.
const FORGET_MAX: usize = 100;

const COLUMNS: &str = "drive_jobs.id, drive_jobs.target_id, drive_jobs.operation, drive_jobs.state, \
    drive_jobs.resources, drive_jobs.created_at, drive_jobs.updated_at";

/// `GET jobs/`, and `jobs/detail/`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Json>, Error> {
    let (window, keep) = (Window::of(&params)?, Keep::of(&params));
    let mut select = Select::of("drive_jobs.owner_id", caller.user);
    select.and("drive_jobs.parent_id IS NULL");
    list::filter(&mut select, &params, &[("state", By::Text("drive_jobs.state")), ("uuid", By::Id("drive_jobs.id"))])?;
    let read = face.store.read(move |tx| {
        and_told(&mut select, tx.now());
        let key = ("drive_jobs.created_at", "drive_jobs.id");
        let (total, rows) = window.read(tx, COLUMNS, "drive_jobs", key, &select)?;
        let jobs = rows.iter().map(|row| shown(tx, row)).collect::<Result<Vec<_>, _>>()?;
        Ok(window.envelope(total, jobs.into_iter().map(|job| keep.cut(job)).collect()))
    });
    Ok(Bare(read.await?))
}

/// `GET jobs/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<JobId>,
    params: Params,
) -> Result<Bare<Json>, Error> {
    let mut select = Select::of("drive_jobs.owner_id", caller.user);
    select.and_equal("drive_jobs.id", id);
    let read = face.store.read(move |tx| {
        and_told(&mut select, tx.now());
        let sql = format!("SELECT {COLUMNS} FROM drive_jobs WHERE {}", select.conditions());
        let row = tx.query_opt(&sql, select.values())?.ok_or_else(|| Error::not_there(id).noun())?;
        shown(tx, &row)
    });
    Ok(Bare(Keep::of(&params).cut(read.await?)))
}

/// Only what is told: what goes on, and what ended a short while ago.
fn and_told(select: &mut Select, now: Micros) {
    let since = select.bind(now - KEPT_US);
    select.and(format!("(drive_jobs.state = 'started' OR drive_jobs.updated_at > {since})"));
}

fn shown(tx: &mut Tx, row: &Row) -> Result<wire::Job, StoreError> {
    let mut job = without_children(tx, row)?;
    let sql = format!("SELECT {COLUMNS} FROM drive_jobs WHERE parent_id = $1 ORDER BY id LIMIT {CHILDREN_MAX}");
    let children = tx.query(&sql, &params![row.get::<JobId>(0)?])?;
    job.children = children.iter().map(|row| without_children(tx, row)).collect::<Result<_, _>>()?;
    if job.state == "started" && !job.children.is_empty() {
        let sum: u64 = job.children.iter().map(|child| child.data.progress).sum();
        job.data.progress = (sum / job.children.len() as u64).min(99);
    }
    Ok(job)
}

fn without_children(tx: &mut Tx, row: &Row) -> Result<wire::Job, StoreError> {
    let (id, state): (JobId, String) = (row.get(0)?, row.get(3)?);
    let progress = if state == "started" { progress(tx, VolumeId(row.get(1)?))? } else { 100 };
    Ok(wire::Job {
        children: Vec::new(),
        created: wire::time(row.get(5)?),
        data: wire::Progress { progress },
        last_modified: wire::time(row.get(6)?),
        operation: row.get(2)?,
        resource_uri: wire::uri("jobs", id),
        resources: drive::json(row, 4)?,
        state,
        uuid: id.to_string(),
    })
}

fn progress(tx: &mut Tx, volume: VolumeId) -> Result<u64, StoreError> {
    let Some(job) = volume::info(tx, volume)?.and_then(|info| info.job) else { return Ok(0) };
    Ok(store::jobs::find(tx, job)?.map_or(0, |job| job.progress.min(99)))
}

/// The jobs of these drives that this user is told of, oldest first.
pub fn of_resources(tx: &mut Tx, user: UserId, ids: &[Value]) -> Result<Vec<(Uuid, JobId)>, StoreError> {
    let (since, mut found) = (tx.now() - KEPT_US, Vec::new());
    let sql = |list: &str| {
        format!(
            "SELECT r.resource_id, r.job_id, j.owner_id, j.state, j.updated_at FROM drive_job_resources r \
             JOIN drive_jobs j ON j.id = r.job_id WHERE r.resource_id IN {list} ORDER BY j.created_at, j.id"
        )
    };
    let mut seen = HashMap::new();
    for row in tx.query_in(sql, ids)? {
        let is_told = row.get::<String>(3)? == "started" || row.get::<Micros>(4)? > since;
        let pair: (Uuid, JobId) = (row.get(0)?, row.get(1)?);
        if row.get::<UserId>(2)? == user && is_told && seen.insert(pair, ()).is_none() {
            found.push(pair);
        }
    }
    Ok(found)
}

/// A job to be told of.
pub struct New<'r> {
    pub id: JobId,
    pub owner: UserId,
    pub parent: Option<JobId>,
    pub operation: &'static str,
    /// What it makes.
    pub target: Uuid,
    /// Whether it is done with the commit that makes it.
    pub is_done: bool,
    /// Of what and to what: ids and URIs, the origin first.
    pub resources: &'r [(Uuid, String)],
    pub at: Micros,
}

/// The rows of a new job, as data.
pub fn insert<T>(unit: Unit<T>, new: &New<'_>) -> Unit<T> {
    const INTO: &str = "drive_jobs (id, owner_id, parent_id, target_id, operation, state, progress, resources, \
        created_at, updated_at)";
    let (state, progress) = if new.is_done { ("success", 100_u64) } else { ("started", 0) };
    let uris: Vec<&str> = new.resources.iter().map(|(_, uri)| uri.as_str()).collect();
    let values = params![
        new.id,
        new.owner,
        new.parent,
        new.target,
        new.operation,
        state,
        progress,
        json!(uris).to_string(),
        new.at,
        new.at
    ];
    let unit = unit.insert(INTO, values.to_vec());
    new.resources.iter().fold(unit, |unit, (resource, _)| {
        unit.insert("drive_job_resources (resource_id, job_id)", params![*resource, new.id].to_vec())
    })
}

/// The job that makes this has ended; its parent has with the last of its children.
pub fn finish(tx: &mut Tx, target: Uuid, is_success: bool) -> Result<(), StoreError> {
    let state = if is_success { "success" } else { "failure" };
    let sql = "UPDATE drive_jobs SET state = $2, progress = 100, updated_at = $3 \
        WHERE target_id = $1 AND state = 'started' RETURNING parent_id";
    let mut parent = tx.query_opt(sql, &params![target, state, tx.now()])?;
    if let Some(parent) = parent.take().map(|row| row.get::<Option<JobId>>(0)).transpose()?.flatten() {
        let sql = "UPDATE drive_jobs SET progress = 100, updated_at = $2, state = CASE WHEN EXISTS \
            (SELECT 1 FROM drive_jobs c WHERE c.parent_id = $1 AND c.state = 'failure') THEN 'failure' ELSE 'success' END \
            WHERE id = $1 AND state = 'started' \
            AND NOT EXISTS (SELECT 1 FROM drive_jobs c WHERE c.parent_id = $1 AND c.state = 'started')";
        tx.execute(sql, &params![parent, tx.now()])?;
    }
    Ok(())
}

/// Forgets jobs that are told of no more; so many at a time, beside other work. Says how many.
pub fn forget(tx: &mut Tx) -> Result<u64, StoreError> {
    let sql = format!("SELECT id FROM drive_jobs WHERE state <> 'started' AND updated_at <= $1 LIMIT {FORGET_MAX}");
    let old: Vec<Value> =
        tx.query(&sql, &params![tx.now() - KEPT_US])?.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    tx.execute_in(|list| format!("DELETE FROM drive_job_resources WHERE job_id IN {list}"), &old)?;
    tx.execute_in(|list| format!("DELETE FROM drive_jobs WHERE id IN {list}"), &old)
}
