//! Apps as v2 has them (specification, section 3.4).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Tx, params};

use crate::app::{self, App, COLUMNS, TABLE};
use crate::auth::Caller;
use crate::body::{self, Field, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, AppId};
use crate::list::{self, Asked};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::space;
use crate::wire::{self, v2};
use crate::{Face, access, again, space_v2};

/// The most instances that are listed one by one.
const INSTANCES_SHOWN_MAX: i64 = 1000;

const FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("space_guid", Kind::Text, true),
    ("memory", Kind::Int, false),
    ("instances", Kind::Int, false),
    ("disk_quota", Kind::Int, false),
    ("state", Kind::Text, false),
    ("environment_json", Kind::Object, false),
    ("command", Kind::Text, false),
    ("buildpack", Kind::Text, false),
    ("health_check_type", Kind::Text, false),
    ("health_check_timeout", Kind::Int, false),
    ("health_check_http_endpoint", Kind::Text, false),
    ("docker_image", Kind::Text, false),
    ("enable_ssh", Kind::Flag, false),
];
/// What is kept and shown as it came.
const KEPT: [&str; 8] = [
    "environment_json",
    "command",
    "buildpack",
    "health_check_type",
    "health_check_timeout",
    "health_check_http_endpoint",
    "docker_image",
    "enable_ssh",
];

fn over(map: &Map<String, Value>, mut app: App) -> Result<App, Error> {
    let number = |name: &str, or: i64| map.get(name).map_or(or, |value| value.as_i64().unwrap_or(i64::MAX));
    app.memory_mb = number("memory", app.memory_mb);
    app.instances = number("instances", app.instances);
    app.disk_mb = number("disk_quota", app.disk_mb);
    if let Some(name) = map.get("name").and_then(Value::as_str) {
        app.name = name.to_owned();
    }
    match map.get("state").and_then(Value::as_str) {
        None => {}
        Some("STARTED") => app.started = true,
        Some("STOPPED") => app.started = false,
        Some(_) => return Err(Error::Invalid(Noun::App, "Invalid app state provided".to_owned())),
    }
    for name in KEPT {
        if let Some(value) = map.get(name) {
            app.detail.insert(name.to_owned(), value.clone());
        }
    }
    Ok(app)
}

/// `POST /v2/apps`.
pub async fn create(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, FIELDS)?;
    let made = again(|| async {
        let (who, map) = (caller.clone(), map.clone());
        let id = AppId(ids::guid(&face.store));
        let read = face.store.read(move |tx| {
            let guid = map["space_guid"].as_str().unwrap_or_default();
            let missing = || Error::Relation(format!("Could not find VCAP::CloudController::Space with guid: {guid}"));
            let space = space::known(tx, &who, guid)?.ok_or_else(|| missing().noun())?;
            let app = over(&map, App::fresh(id, &space, String::new())).map_err(Error::noun)?;
            app.check().map_err(Error::noun)?;
            access::check_develops(tx, &who, &space)?;
            app::plan(tx, None, app)
        });
        app::save(&face, &caller, read.await?).await
    });
    Ok(Reply::v2_created(&v2::app(&made.await?)))
}

/// `PUT /v2/apps/{guid}`: also starts and stops.
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
            let before = app::developed(tx, &who, &guid)?;
            let after = over(&map, before.clone()).map_err(Error::noun)?;
            app::plan(tx, Some(before), after)
        });
        app::save(&face, &caller, read.await?).await
    });
    Ok(Reply::v2(StatusCode::CREATED, &v2::app(&changed.await?)))
}

fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(App, space::Space), StoreError> {
    let (app, space) = app::find(tx, caller, guid)?;
    if access::sees_space(tx, caller, &space)? { Ok((app, space)) } else { Err(Error::Denied.noun()) }
}

/// `GET /v2/apps/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let asked = Asked::v2(&params, &TABLE)?;
    let (app, space) = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    let mut thing = v2::app(&app);
    if asked.depth > 0 {
        list::put_inline(&mut thing["entity"], "space_url", "space", v2::space(&space));
    }
    Ok(Reply::v2(StatusCode::OK, &thing))
}

/// `GET /v2/apps`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_apps");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_apps.space_id", "cf_apps.organization_id");
    listed(face, asked, "/v2/apps").await
}

/// `GET /v2/spaces/{guid}/apps`.
pub async fn list_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    let path = format!("/v2/spaces/{guid}/apps");
    let space = face.store.read(move |tx| space_v2::seen(tx, &caller, &guid)).await?;
    asked.select.and_equal("cf_apps.space_id", Some(space.id));
    listed(face, asked, &path).await
}

async fn listed(face: Face, asked: Asked, path: &str) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_apps")?, asked)));
    let (page, asked) = read.await?;
    let apps = page.rows.iter().map(app::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, page.total, apps.iter().map(v2::app).collect())))
}

/// `GET /v2/apps/{guid}/summary`.
pub async fn summary(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let (app, _) = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    let mut told = json!({ "guid": app.id, "name": app.name, "routes": [], "services": [], "available_domains": [] });
    told["running_instances"] = if app.started { app.instances } else { 0 }.into();
    let entity = v2::app(&app)["entity"].take();
    if let (Some(told), Value::Object(entity)) = (told.as_object_mut(), entity) {
        told.extend(entity.into_iter().filter(|(key, _)| !key.ends_with("_url") && key != "name"));
    }
    Ok(Reply::v2(StatusCode::OK, &told))
}

/// `GET /v2/apps/{guid}/instances`: all run, because starting is a matter of accounts.
pub async fn instances(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    running(face, caller, guid, |since| json!({ "state": "RUNNING", "since": since })).await
}

/// `GET /v2/apps/{guid}/stats`.
pub async fn stats(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    running(face, caller, guid, |_| json!({ "state": "RUNNING", "stats": { "uris": [], "usage": {} } })).await
}

async fn running(face: Face, caller: Caller, guid: String, told: fn(i64) -> Value) -> Result<Reply, Error> {
    let (app, _) = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    if !app.started {
        return Err(Error::AppStopped(app.name));
    }
    let since = app.started_at.unwrap_or(app.updated_at) / 1_000_000;
    let all = 0..app.instances.min(INSTANCES_SHOWN_MAX);
    let all: Map<String, Value> = all.map(|index| (index.to_string(), told(since))).collect();
    Ok(Reply::v2(StatusCode::OK, &all.into()))
}

/// `GET /v2/apps/{guid}/env`: for those who run it.
pub async fn environment(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let app = face.store.read(move |tx| app::developed(tx, &caller, &guid)).await?;
    let own = app.detail.get("environment_json").cloned().unwrap_or_else(|| json!({}));
    let told = json!({
        "staging_env_json": {}, "running_env_json": {}, "environment_json": own, "system_env_json": {},
        "application_env_json": {},
    });
    Ok(Reply::v2(StatusCode::OK, &told))
}

/// `DELETE /v2/apps/{guid}`.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    app::delete(&face, &caller, &guid).await?;
    Ok(removed_reply(&face, &params))
}

/// `GET /v2/spaces/{guid}/summary`: a space, its apps and its service instances.
pub async fn space_summary(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let space = space_v2::seen(tx, &caller, &guid)?;
        let sql = format!("SELECT {COLUMNS} FROM cf_apps WHERE space_id = $1 ORDER BY place LIMIT 1000");
        let apps = tx.query(&sql, &params![space.id])?;
        let apps = apps.iter().map(app::from_row).collect::<Result<Vec<_>, _>>()?;
        let sql = "SELECT id, name FROM cf_service_instances WHERE space_id = $1 ORDER BY place LIMIT 1000";
        let services = tx.query(sql, &params![space.id])?;
        let service =
            |row: &store::Row| Ok(json!({ "guid": row.get::<uuid::Uuid>(0)?, "name": row.get::<String>(1)? }));
        Ok((space, apps, services.iter().map(service).collect::<Result<Vec<_>, StoreError>>()?))
    });
    let (space, apps, services) = read.await?;
    let told = |app: &App| {
        json!({
            "guid": app.id, "name": app.name, "memory": app.memory_mb, "instances": app.instances,
            "running_instances": if app.started { app.instances } else { 0 },
            "state": if app.started { "STARTED" } else { "STOPPED" },
            "updated_at": wire::time(app.updated_at),
        })
    };
    let apps: Vec<Value> = apps.iter().map(told).collect();
    let body = json!({ "guid": space.id, "name": space.name, "apps": apps, "services": services });
    Ok(Reply::v2(StatusCode::OK, &body))
}
