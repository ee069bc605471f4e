//! Apps and their one process as v3 has them (specification, section 4.3).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value};
use store::{Error as StoreError, Tx};

use crate::app::{self, App, COLUMNS, TABLE};
use crate::auth::Caller;
use crate::body::{self, Base, Faults, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, AppId};
use crate::list::Asked;
use crate::org_v3::metadata;
use crate::reply::Reply;
use crate::wire::v3;
use crate::{Face, access, again, job, space};

fn of_metadata(map: &Map<String, Value>, app: &mut App, faults: &mut Faults) {
    let before = app.detail.get("metadata").map(Value::to_string).unwrap_or_default();
    let text = metadata(map, &before, faults);
    app.detail.insert("metadata".to_owned(), serde_json::from_str(&text).unwrap_or_default());
}

/// `POST /v3/apps`: stopped, with one process of the usual size.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["name", "relationships", "lifecycle", "environment_variables", "metadata"]);
    let name = faults.name_within(&map, true, app::NAME_MAX).unwrap_or_default();
    let guid = faults.relation(&map, "space", true).unwrap_or_default();
    if map.get("environment_variables").is_some_and(|all| !all.is_object() && !all.is_null()) {
        faults.add("Environment variables must be an object");
    }
    metadata(&map, "{}", &mut faults);
    faults.end()?;
    let made = again(|| async {
        let (who, guid, name, map) = (caller.clone(), guid.clone(), name.clone(), map.clone());
        let id = AppId(ids::guid(&face.store));
        let read = face.store.read(move |tx| {
            let why = "Invalid space. Ensure that the space exists and you have access to it.";
            let missing = || Error::Unprocessable(why.to_owned()).noun();
            let space = space::known(tx, &who, &guid)?.ok_or_else(missing)?;
            if !access::sees_space(tx, &who, &space)? {
                return Err(missing());
            }
            access::check_develops(tx, &who, &space)?;
            let mut app = App::fresh(id, &space, name);
            of_metadata(&map, &mut app, &mut Faults::default());
            if let Some(environment) = map.get("environment_variables").filter(|all| all.is_object()) {
                app.detail.insert("environment_json".to_owned(), environment.clone());
            }
            app::plan(tx, None, app)
        });
        app::save(&face, &caller, read.await?).await
    });
    Ok(Reply::v3(StatusCode::CREATED, &v3::app(&base, &made.await?)))
}

/// One that the caller sees.
fn seen(tx: &mut Tx, caller: &Caller, guid: &str, noun: Noun) -> Result<App, StoreError> {
    let missing = || Error::NotFound(noun, guid.to_owned()).noun();
    let (app, space) = app::find(tx, caller, guid).map_err(|error| match Error::from(error) {
        Error::NotFound(..) => missing(),
        other => other.noun(),
    })?;
    if access::sees_space(tx, caller, &space)? { Ok(app) } else { Err(missing()) }
}

/// One that the caller sees and may run.
fn developed(tx: &mut Tx, caller: &Caller, guid: &str, noun: Noun) -> Result<App, StoreError> {
    seen(tx, caller, guid, noun)?;
    app::developed(tx, caller, guid)
}

/// `GET /v3/apps/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let app = face.store.read(move |tx| seen(tx, &caller, &guid, Noun::App)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::app(&base, &app)))
}

/// `GET /v3/processes/{guid}`.
pub async fn get_process(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let app = face.store.read(move |tx| seen(tx, &caller, &guid, Noun::Process)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::process(&base, &app)))
}

/// `GET /v3/apps/{guid}/processes/{kind}`: there is `web` and no other.
pub async fn get_process_of(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path((guid, kind)): Path<(String, String)>,
) -> Result<Reply, Error> {
    let app = face.store.read(move |tx| seen(tx, &caller, &guid, Noun::App)).await?;
    check_kind(&kind)?;
    Ok(Reply::v3(StatusCode::OK, &v3::process(&base, &app)))
}

fn check_kind(kind: &str) -> Result<(), Error> {
    if kind == "web" { Ok(()) } else { Err(Error::NotFound(Noun::Process, kind.to_owned())) }
}

/// `GET /v3/apps`.
pub async fn list(State(face): State<Face>, caller: Caller, Base(base): Base, params: Params) -> Result<Reply, Error> {
    listed(face, caller, params, &format!("{base}/v3/apps"), None, |app, base| v3::app(base, app), base.clone()).await
}

/// `GET /v3/processes`.
pub async fn list_processes(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    params: Params,
) -> Result<Reply, Error> {
    let url = format!("{base}/v3/processes");
    listed(face, caller, params, &url, None, |app, base| v3::process(base, app), base.clone()).await
}

/// `GET /v3/apps/{guid}/processes`.
pub async fn list_processes_of(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let url = format!("{base}/v3/apps/{guid}/processes");
    let who = caller.clone();
    let app = face.store.read(move |tx| seen(tx, &who, &guid, Noun::App)).await?;
    let show = |app: &App, base: &str| v3::process(base, app);
    listed(face, caller, params, &url, Some(app.id), show, base.clone()).await
}

async fn listed(
    face: Face,
    caller: Caller,
    params: Params,
    url: &str,
    only: Option<AppId>,
    show: fn(&App, &str) -> Value,
    base: String,
) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_apps");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_apps.space_id", "cf_apps.organization_id");
    asked.select.and_equal("cf_apps.id", only);
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_apps")?, asked)));
    let (page, asked) = read.await?;
    let apps = page.rows.iter().map(app::from_row).collect::<Result<Vec<_>, _>>()?;
    let objects = apps.iter().map(|app| show(app, &base)).collect();
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(url, page.total, objects)))
}

/// Changes an app by what `edit` makes of it.
async fn edit(
    face: &Face,
    caller: &Caller,
    guid: String,
    noun: Noun,
    edit: impl Fn(&mut App) + Send + Sync + Clone + 'static,
) -> Result<App, Error> {
    let changed = again(|| async {
        let (who, guid, edit) = (caller.clone(), guid.clone(), edit.clone());
        let read = face.store.read(move |tx| {
            let before = developed(tx, &who, &guid, noun)?;
            let mut after = before.clone();
            edit(&mut after);
            app::plan(tx, Some(before), after)
        });
        app::save(face, caller, read.await?).await
    });
    changed.await
}

/// `POST /v3/apps/{guid}/actions/start`.
pub async fn start(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let app = edit(&face, &caller, guid, Noun::App, |app| app.started = true).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::app(&base, &app)))
}

/// `POST /v3/apps/{guid}/actions/stop`.
pub async fn stop(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let app = edit(&face, &caller, guid, Noun::App, |app| app.started = false).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::app(&base, &app)))
}

/// `PATCH /v3/apps/{guid}`: its name and metadata.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["name", "lifecycle", "metadata"]);
    let name = faults.name_within(&map, false, app::NAME_MAX);
    metadata(&map, "{}", &mut faults);
    faults.end()?;
    let app = edit(&face, &caller, guid, Noun::App, move |app| {
        if let Some(name) = &name {
            app.name.clone_from(name);
        }
        of_metadata(&map, app, &mut Faults::default());
    });
    Ok(Reply::v3(StatusCode::OK, &v3::app(&base, &app.await?)))
}

/// `POST /v3/processes/{guid}/actions/scale`.
pub async fn scale(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    scaled(face, caller, base, guid, Noun::Process, &body).await
}

/// `POST /v3/apps/{guid}/processes/{kind}/actions/scale`.
pub async fn scale_of(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path((guid, kind)): Path<(String, String)>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    check_kind(&kind)?;
    scaled(face, caller, base, guid, Noun::App, &body).await
}

async fn scaled(
    face: Face,
    caller: Caller,
    base: String,
    guid: String,
    noun: Noun,
    body: &bytes::Bytes,
) -> Result<Reply, Error> {
    let map = body::v3(body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["instances", "memory_in_mb", "disk_in_mb", "log_rate_limit_in_bytes_per_second"]);
    let mut number = |name: &str, title: &str, least: i64| match map.get(name) {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_i64() {
            Some(number) if number >= least && number <= app::NUMBER_MAX => Some(number),
            Some(number) if number > app::NUMBER_MAX => {
                faults.add(format!("{title} must be less than or equal to {}", app::NUMBER_MAX));
                None
            }
            Some(_) if least == 0 => {
                faults.add(format!("{title} must be greater than or equal to 0"));
                None
            }
            Some(_) => {
                faults.add(format!("{title} must be greater than 0"));
                None
            }
            None => {
                faults.add(format!("{title} is not a number"));
                None
            }
        },
    };
    let instances = number("instances", "Instances", 0);
    let memory = number("memory_in_mb", "Memory in mb", 1);
    let disk = number("disk_in_mb", "Disk in mb", 1);
    faults.end()?;
    let app = edit(&face, &caller, guid, noun, move |app| {
        app.instances = instances.unwrap_or(app.instances);
        app.memory_mb = memory.unwrap_or(app.memory_mb);
        app.disk_mb = disk.unwrap_or(app.disk_mb);
    });
    Ok(Reply::v3(StatusCode::ACCEPTED, &v3::process(&base, &app.await?)))
}

/// `DELETE /v3/apps/{guid}`.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let (who, wanted) = (caller.clone(), guid.clone());
    face.store.read(move |tx| seen(tx, &who, &wanted, Noun::App).map(drop)).await?;
    let tenant = app::delete(&face, &caller, &guid).await?;
    job::done(&face, &base, tenant, "app.delete").await
}
