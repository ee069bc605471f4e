//! Tasks: what runs once beside an app, and takes memory and a place among the tasks until it is over (specification,
//! section 3.7).
//!
//! **Always.** A running task has a claim of its own id; one that was cancelled has none. Tasks do not end by themselves here:
//! nothing is run, it is only counted.

use axum::extract::{Path, State};
use http::StatusCode;
use ledger::{Amounts, ClaimId, Resource};
use serde_json::{Map, Value};
use store::{Error as StoreError, Micros, Row, Tx, params};
use uuid::Uuid;

use crate::app::{self, App};
use crate::auth::Caller;
use crate::body::{self, Base, Faults, Params, Raw, TEXT_MAX};
use crate::error::{Error, Noun};
use crate::ids::{self, AppId, SpaceId};
use crate::list::{Asked, Table};
use crate::over::{self, Subject};
use crate::reply::Reply;
use crate::wire::v3;
use crate::{Face, access, again, quota, rule, space};

const TABLE: Table = Table {
    name: "cf_tasks",
    q: &[],
    filters: &[
        ("names", "cf_tasks.name {}"),
        ("states", "(CASE WHEN cf_tasks.running THEN 'RUNNING' ELSE 'FAILED' END) {}"),
        ("app_guids", "cf_tasks.app_id {}"),
        ("space_guids", "cf_tasks.space_id {}"),
        ("organization_guids", "cf_tasks.organization_id {}"),
    ],
    by_name: false,
    strict: false,
};

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id, which is its claim's while it runs.
    pub id: Uuid,
    /// Of which app.
    pub app: AppId,
    /// In which space.
    pub space: SpaceId,
    /// Which of the app's tasks.
    pub number: i64,
    /// What it is called.
    pub name: String,
    /// What it would run.
    pub command: String,
    /// `RUNNING`, `CANCELING` or `FAILED`.
    pub state: &'static str,
    /// What it takes.
    pub memory_mb: i64,
    /// Kept, and not charged.
    pub disk_mb: i64,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

const COLUMNS: &str = "cf_tasks.id, cf_tasks.app_id, cf_tasks.space_id, cf_tasks.number, cf_tasks.name, \
    cf_tasks.command, cf_tasks.running, cf_tasks.memory_mb, cf_tasks.disk_mb, cf_tasks.created_at, cf_tasks.updated_at";

fn from_row(row: &Row) -> Result<Task, StoreError> {
    Ok(Task {
        id: row.get(0)?,
        app: row.get(1)?,
        space: row.get(2)?,
        number: row.get(3)?,
        name: row.get(4)?,
        command: row.get(5)?,
        state: if row.get(6)? { "RUNNING" } else { "FAILED" },
        memory_mb: row.get(7)?,
        disk_mb: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

/// What a body asks for.
#[derive(Clone)]
struct Asking {
    command: String,
    name: Option<String>,
    memory_mb: i64,
    disk_mb: i64,
}

impl Asking {
    fn read(map: &Map<String, Value>) -> Result<Asking, Error> {
        let mut faults = Faults::default();
        let known = [
            "command",
            "name",
            "memory_in_mb",
            "disk_in_mb",
            "template",
            "droplet_guid",
            "metadata",
            "log_rate_limit_in_bytes_per_second",
        ];
        faults.unknown("", map, &known);
        let command = match map.get("command") {
            Some(Value::String(command)) if command.len() > TEXT_MAX => {
                faults.add(format!("Command must be shorter than {} characters", TEXT_MAX + 1));
                String::new()
            }
            Some(Value::String(command)) if !command.is_empty() => command.clone(),
            None | Some(Value::Null | Value::String(_)) if map.get("template").is_none_or(Value::is_null) => {
                faults.add("No command or template provided");
                String::new()
            }
            None | Some(Value::Null | Value::String(_)) => String::new(),
            Some(_) => {
                faults.add("Command must be a string");
                String::new()
            }
        };
        let mut number = |name: &str, title: &str| match map.get(name) {
            None | Some(Value::Null) => 1024,
            Some(value) => match value.as_i64() {
                Some(number) if (1..=app::NUMBER_MAX).contains(&number) => number,
                Some(number) if number <= 0 => {
                    faults.add(format!("{title} must be greater than 0"));
                    0
                }
                Some(_) => {
                    faults.add(format!("{title} must be less than or equal to {}", app::NUMBER_MAX));
                    0
                }
                None => {
                    faults.add(format!("{title} is not a number"));
                    0
                }
            },
        };
        let (memory_mb, disk_mb) = (number("memory_in_mb", "Memory in mb"), number("disk_in_mb", "Disk in mb"));
        let name = match map.get("name") {
            None | Some(Value::Null) => None,
            Some(_) => faults.name(map, false),
        };
        faults.end()?;
        Ok(Asking { command, name, memory_mb, disk_mb })
    }
}

/// `POST /v3/apps/{guid}/tasks`: it runs from now on.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let asking = Asking::read(&body::v3(&body)?)?;
    let made = again(|| async {
        let (who, guid, memory) = (caller.clone(), guid.clone(), asking.memory_mb);
        let read = face.store.read(move |tx| {
            let app = app_of(tx, &who, &guid)?;
            access::check_develops(tx, &who, &app.1)?;
            Ok((app.0, rule::instance_memory(tx, app.1.id, memory)?))
        });
        let (app, broken) = read.await?;
        let (id, space) = (ids::guid(&face.store), app.space);
        let amounts = Amounts::new().with(Resource::MEMORY_MB, u64::try_from(memory).unwrap_or(0));
        let amounts = amounts.and_then(|amounts| amounts.with(Resource::TASKS, 1));
        let amounts = amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))?;
        let asking = asking.clone();
        let unit = caller.unit().charge(app::claim(id, space, amounts, "task")).rows(move |tx| {
            let found = rule::instance_memory(tx, space, asking.memory_mb)?;
            if !found.is_empty() {
                return Err(Error::Over(Subject::Task, over::in_order(Subject::Task, &found)).noun());
            }
            insert(tx, id, &app, &asking)
        });
        let written = face.store.write(unit).await;
        Ok(written.map_err(|error| over::refused(Subject::Task, Some(space), error, broken))?.value)
    });
    Ok(Reply::v3(StatusCode::ACCEPTED, &v3::task(&base, &made.await?)))
}

/// The app in a path, if the caller sees it.
fn app_of(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(App, space::Space), StoreError> {
    let (app, space) = app::find(tx, caller, guid)?;
    let missing = || Error::NotFound(Noun::App, guid.to_owned()).noun();
    if access::sees_space(tx, caller, &space)? { Ok((app, space)) } else { Err(missing()) }
}

fn insert(tx: &mut Tx, id: Uuid, app: &App, asking: &Asking) -> Result<Task, StoreError> {
    let sql = "UPDATE cf_apps SET tasks_made = tasks_made + 1 WHERE id = $1 RETURNING tasks_made";
    let row = tx.query_opt(sql, &params![app.id])?;
    let number: i64 = row.ok_or_else(|| Error::NotFound(Noun::App, app.id.to_string()).noun())?.get(0)?;
    let now = tx.now();
    let name = asking.name.clone().unwrap_or_else(|| format!("{:08x}", id.as_fields().0));
    let sql = "INSERT INTO cf_tasks (id, tenant_id, organization_id, space_id, app_id, number, name, command, running, \
        memory_mb, disk_mb, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, TRUE, $9, $10, $11, $11)";
    let values = params![
        id,
        app.tenant,
        app.org,
        app.space,
        app.id,
        number,
        &name,
        &asking.command,
        asking.memory_mb,
        asking.disk_mb,
        now
    ];
    tx.execute(sql, &values)?;
    Ok(Task {
        id,
        app: app.id,
        space: app.space,
        number,
        name,
        command: asking.command.clone(),
        state: "RUNNING",
        memory_mb: asking.memory_mb,
        disk_mb: asking.disk_mb,
        created_at: now,
        updated_at: now,
    })
}

/// A task that the caller sees, and its space.
fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(Task, space::Space), StoreError> {
    let missing = || Error::NotFound(Noun::Task, guid.to_owned()).noun();
    let id = ids::parse(guid).ok_or_else(missing)?;
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM cf_tasks WHERE id = $1"), &params![id])?;
    let task = row.as_ref().map(from_row).transpose()?.ok_or_else(missing)?;
    let space = space::find(tx, task.space)?.filter(|space| caller.knows(space.tenant)).ok_or_else(missing)?;
    if access::sees_space(tx, caller, &space)? { Ok((task, space)) } else { Err(missing()) }
}

/// `GET /v3/tasks/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let (task, _) = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::task(&base, &task)))
}

/// `GET /v3/tasks`.
pub async fn list(State(face): State<Face>, caller: Caller, Base(base): Base, params: Params) -> Result<Reply, Error> {
    let asked = Asked::v3(&params, &TABLE)?;
    let url = format!("{base}/v3/tasks");
    listed(face, caller, base, asked, &url).await
}

/// `GET /v3/apps/{guid}/tasks`.
pub async fn list_of(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &TABLE)?;
    let url = format!("{base}/v3/apps/{guid}/tasks");
    let who = caller.clone();
    let (app, _) = face.store.read(move |tx| app_of(tx, &who, &guid)).await?;
    asked.select.and_equal("cf_tasks.app_id", Some(app.id));
    listed(face, caller, base, asked, &url).await
}

async fn listed(face: Face, caller: Caller, base: String, mut asked: Asked, url: &str) -> Result<Reply, Error> {
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_tasks");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_tasks.space_id", "cf_tasks.organization_id");
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_tasks")?, asked)));
    let (page, asked) = read.await?;
    let tasks = page.rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    let objects = tasks.iter().map(|task| v3::task(&base, task)).collect();
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(url, page.total, objects)))
}

/// `POST /v3/tasks/{guid}/actions/cancel`: its charge ends now; told as `CANCELING`, it is over.
pub async fn cancel(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let cancelled = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let (task, space) = seen(tx, &who, &guid)?;
            access::check_develops(tx, &who, &space)?;
            if task.state != "RUNNING" {
                let why = format!("Task state is {} and therefore cannot be canceled", task.state);
                return Err(Error::Unprocessable(why).noun());
            }
            Ok(task)
        });
        let task = read.await?;
        let id = task.id;
        let unit = caller.unit().release(ClaimId(id)).rows(move |tx| {
            let sql = "UPDATE cf_tasks SET running = FALSE, updated_at = $2 WHERE id = $1 AND running";
            quota::moved_if_none(tx.execute(sql, &params![id, tx.now()])?)
        });
        let done = face.store.write(unit).await?;
        Ok(Task { state: "CANCELING", updated_at: done.at, ..task })
    });
    Ok(Reply::v3(StatusCode::ACCEPTED, &v3::task(&base, &cancelled.await?)))
}
