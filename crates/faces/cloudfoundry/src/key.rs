//! Service keys: each takes one of its space's and organization's (specification, section 3.6).

use axum::extract::{Path, State};
use http::StatusCode;
use ledger::{Amounts, ClaimId, Resource};
use serde_json::{Value, json};
use store::{Error as StoreError, Micros, Row, Tx, params};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::{self, Field, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids;
use crate::list::{Asked, Table};
use crate::over::{self, Subject};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::service::{self, Instance};
use crate::space::{self, Space};
use crate::wire::v2;
use crate::{Face, access, again, app, quota};

/// The longest name.
const NAME_MAX: usize = 255;

const TABLE: Table = Table {
    name: "cf_service_keys",
    q: &[("name", "cf_service_keys.name {}"), ("service_instance_guid", "cf_service_keys.instance_id {}")],
    filters: &[],
    by_name: false,
    strict: false,
};
const FIELDS: &[Field] =
    &[("service_instance_guid", Kind::Text, true), ("name", Kind::Text, true), ("parameters", Kind::Object, false)];

/// A service key.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id, which is its claim's.
    pub id: Uuid,
    /// In which space its instance is.
    pub space: ids::SpaceId,
    /// Of which instance.
    pub instance: Uuid,
    /// Unique among the instance's.
    pub name: String,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

const COLUMNS: &str = "cf_service_keys.id, cf_service_keys.space_id, cf_service_keys.instance_id, \
    cf_service_keys.name, cf_service_keys.created_at, cf_service_keys.updated_at";

fn from_row(row: &Row) -> Result<Key, StoreError> {
    Ok(Key {
        id: row.get(0)?,
        space: row.get(1)?,
        instance: row.get(2)?,
        name: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

fn check_name(tx: &mut Tx, instance: &Instance, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_service_keys WHERE instance_id = $1 AND name = $2";
    let taken = tx.query_opt(sql, &params![instance.id, name])?;
    taken.map_or(Ok(()), |_| Err(Error::Taken(Noun::ServiceKey, name.to_owned()).noun()))
}

fn insert(tx: &mut Tx, id: Uuid, instance: &Instance, name: &str) -> Result<Key, StoreError> {
    check_name(tx, instance, name)?;
    let now = tx.now();
    let sql = "INSERT INTO cf_service_keys (id, tenant_id, organization_id, space_id, instance_id, name, detail, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, '{}', $7, $7)";
    let values = params![id, instance.tenant, instance.org, instance.space, instance.id, name, now];
    tx.execute(sql, &values)?;
    let (space, name) = (instance.space, name.to_owned());
    Ok(Key { id, space, instance: instance.id, name, created_at: now, updated_at: now })
}

/// `POST /v2/service_keys`.
pub async fn create(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, FIELDS)?;
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (guid, name) = (text("service_instance_guid"), text("name"));
    match name.chars().count() {
        _ if name.trim().is_empty() => return Err(Error::Invalid(Noun::ServiceKey, "name presence".to_owned())),
        length if length > NAME_MAX => return Err(Error::Invalid(Noun::ServiceKey, "name max_length".to_owned())),
        _ => {}
    }
    let made = again(|| async {
        let (who, guid, name, id) = (caller.clone(), guid.clone(), name.clone(), ids::guid(&face.store));
        let called = name.clone();
        let read = face.store.read(move |tx| {
            let (instance, space) = service::find(tx, &who, &guid)?;
            access::check_develops(tx, &who, &space)?;
            check_name(tx, &instance, &called)?;
            if instance.plan.is_none() {
                let why = "Service keys are not supported for user-provided service instances.";
                return Err(Error::Invalid(Noun::ServiceKey, why.to_owned()).noun());
            }
            Ok(instance)
        });
        let instance = read.await?;
        let space = instance.space;
        let amounts = Amounts::new().with(Resource::SERVICE_KEYS, 1);
        let amounts = amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))?;
        let claim = app::claim(id, space, amounts, "service_key");
        let unit = caller.unit().charge(claim).rows(move |tx| insert(tx, id, &instance, &name));
        let written = face.store.write(unit).await;
        Ok(written.map_err(|error| over::refused(Subject::Key, Some(space), error, Vec::new()))?.value)
    });
    Ok(Reply::v2_created(&v2::key(&made.await?)))
}

/// A key that is there for the caller, and its space.
fn find(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(Key, Space), StoreError> {
    let missing = || Error::NotFound(Noun::ServiceKey, guid.to_owned()).noun();
    let id = ids::parse(guid).ok_or_else(missing)?;
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM cf_service_keys WHERE id = $1"), &params![id])?;
    let key = row.as_ref().map(from_row).transpose()?.ok_or_else(missing)?;
    let space = space::find(tx, key.space)?.filter(|space| caller.knows(space.tenant)).ok_or_else(missing)?;
    Ok((key, space))
}

fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Key, StoreError> {
    let (key, space) = find(tx, caller, guid)?;
    // Credentials are for those who run the space.
    if caller.reads_all() {
        return Ok(key);
    }
    access::check_develops(tx, caller, &space)?;
    Ok(key)
}

/// `GET /v2/service_keys/{guid}`.
pub async fn get(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let key = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    Ok(Reply::v2(StatusCode::OK, &v2::key(&key)))
}

/// `GET /v2/service_keys/{guid}/parameters`: the built-in service has none.
pub async fn parameters(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    Ok(Reply::v2(StatusCode::OK, &json!({})))
}

/// `GET /v2/service_keys`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let asked = Asked::v2(&params, &TABLE)?;
    listed(face, caller, asked, "/v2/service_keys").await
}

/// `GET /v2/service_instances/{guid}/service_keys`.
pub async fn list_of(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    let (path, who) = (format!("/v2/service_instances/{guid}/service_keys"), caller.clone());
    let (instance, _) = face.store.read(move |tx| service::find(tx, &who, &guid)).await?;
    asked.select.and_equal("cf_service_keys.instance_id", Some(instance.id));
    listed(face, caller, asked, &path).await
}

async fn listed(face: Face, caller: Caller, mut asked: Asked, path: &str) -> Result<Reply, Error> {
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_service_keys");
    if !caller.reads_all() {
        let user = asked.select.bind(caller.who.user);
        let developer = asked.select.bind(access::DEVELOPER);
        asked.select.and(format!(
            "cf_service_keys.space_id IN (SELECT space_id FROM cf_roles WHERE user_id = {user} AND kind = {developer})"
        ));
    }
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_service_keys")?, asked)));
    let (page, asked) = read.await?;
    let keys = page.rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, page.total, keys.iter().map(v2::key).collect())))
}

/// `DELETE /v2/service_keys/{guid}`.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let (key, space) = find(tx, &who, &guid)?;
            access::check_develops(tx, &who, &space)?;
            Ok(key.id)
        });
        let id = read.await?;
        let unit = caller.unit().release(ClaimId(id)).rows(move |tx| {
            quota::moved_if_none(tx.execute("DELETE FROM cf_service_keys WHERE id = $1", &params![id])?)
        });
        Ok(face.store.write(unit).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}
