//! Services: one built-in offering with a free plan and one that costs; instances of it take from the quotas, those that
//! users provide do not (specification, section 3.6).

use axum::extract::{Path, State};
use http::StatusCode;
use ledger::{Amounts, ClaimId, Resource};
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Micros, Row, TenantId, Tx, params};
use uuid::{Uuid, uuid};

use crate::auth::Caller;
use crate::body::{self, Field, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, SpaceId};
use crate::list::{Asked, Table};
use crate::over::{self, Subject};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::space::{self, Space};
use crate::wire::v2;
use crate::{Face, access, again, app, quota, rule, space_v2};

/// The longest name.
const NAME_MAX: usize = 255;
/// The longest of what is kept and of no consequence, as JSON.
const DETAIL_MAX: usize = 64 * 1024;

/// The built-in offering.
pub const OFFERING: Uuid = uuid!("0a3c8a52-5f0e-4b5e-8d3f-6a1d7c1f0001");

/// A plan of the offering.
pub struct Plan {
    /// Its id, on every site the same.
    pub guid: Uuid,
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Whether it costs nothing.
    pub free: bool,
}

/// Its plans.
pub const PLANS: [Plan; 2] = [
    Plan {
        guid: uuid!("0a3c8a52-5f0e-4b5e-8d3f-6a1d7c1f0002"),
        name: "free",
        description: "Costs nothing",
        free: true,
    },
    Plan {
        guid: uuid!("0a3c8a52-5f0e-4b5e-8d3f-6a1d7c1f0003"),
        name: "paid",
        description: "Is not free, so a quota may forbid it",
        free: false,
    },
];

const TABLE: Table = Table {
    name: "cf_service_instances",
    q: &[
        ("name", "cf_service_instances.name {}"),
        ("space_guid", "cf_service_instances.space_id {}"),
        ("service_plan_guid", "cf_service_instances.plan_id {}"),
        ("organization_guid", "cf_service_instances.organization_id {}"),
    ],
    filters: &[],
    by_name: false,
    strict: false,
};
const FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("space_guid", Kind::Text, true),
    ("service_plan_guid", Kind::Text, true),
    ("parameters", Kind::Object, false),
    ("tags", Kind::List, false),
];
const PROVIDED_FIELDS: &[Field] = &[
    ("name", Kind::Text, true),
    ("space_guid", Kind::Text, true),
    ("credentials", Kind::Object, false),
    ("syslog_drain_url", Kind::Text, false),
    ("route_service_url", Kind::Text, false),
    ("tags", Kind::List, false),
];

/// A service instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its id; one of a plan has a claim of the same.
    pub id: Uuid,
    /// Whose customer's.
    pub tenant: TenantId,
    /// In which organization.
    pub org: OrgId,
    /// In which space.
    pub space: SpaceId,
    /// Unique in the space.
    pub name: String,
    /// Of which plan; none: a user provides it.
    pub plan: Option<Uuid>,
    /// What is kept and shown, and of no consequence.
    pub detail: Map<String, Value>,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

const COLUMNS: &str = "cf_service_instances.id, cf_service_instances.tenant_id, cf_service_instances.organization_id, \
    cf_service_instances.space_id, cf_service_instances.name, cf_service_instances.plan_id, \
    cf_service_instances.detail, cf_service_instances.created_at, cf_service_instances.updated_at";

fn from_row(row: &Row) -> Result<Instance, StoreError> {
    Ok(Instance {
        id: row.get(0)?,
        tenant: row.get(1)?,
        org: row.get(2)?,
        space: row.get(3)?,
        name: row.get(4)?,
        plan: row.get(5)?,
        detail: serde_json::from_str(&row.get::<String>(6)?).unwrap_or_default(),
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

fn invalid(why: impl Into<String>) -> StoreError {
    Error::Invalid(Noun::ServiceInstance, why.into()).noun()
}

fn over(map: &Map<String, Value>, mut instance: Instance, kept: &[&str]) -> Result<Instance, StoreError> {
    if let Some(name) = map.get("name").and_then(Value::as_str) {
        instance.name = name.to_owned();
    }
    for name in kept {
        if let Some(value) = map.get(*name) {
            instance.detail.insert((*name).to_owned(), value.clone());
        }
    }
    match instance.name.chars().count() {
        _ if instance.name.trim().is_empty() => return Err(invalid("name presence")),
        length if length > NAME_MAX => return Err(invalid("name max_length")),
        _ => {}
    }
    if Value::from(instance.detail.clone()).to_string().len() > DETAIL_MAX {
        return Err(invalid(format!("what describes it has at most {DETAIL_MAX} bytes")));
    }
    Ok(instance)
}

fn named_plan(map: &Map<String, Value>) -> Result<Option<&'static Plan>, StoreError> {
    let Some(guid) = map.get("service_plan_guid").and_then(Value::as_str) else { return Ok(None) };
    let plan = PLANS.iter().find(|plan| plan.guid.to_string() == guid);
    plan.map(Some).ok_or_else(|| invalid("service_plan The given service plan guid is not found"))
}

fn named_space(tx: &mut Tx, caller: &Caller, map: &Map<String, Value>) -> Result<Space, StoreError> {
    let guid = map.get("space_guid").and_then(Value::as_str).unwrap_or_default();
    let missing = || Error::Relation(format!("Could not find VCAP::CloudController::Space with guid: {guid}")).noun();
    space::known(tx, caller, guid)?.ok_or_else(missing)
}

fn check_name(tx: &mut Tx, instance: &Instance) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_service_instances WHERE space_id = $1 AND name = $2 AND id <> $3";
    let taken = tx.query_opt(sql, &params![instance.space, &instance.name, instance.id])?;
    taken.map_or(Ok(()), |_| Err(Error::Taken(Noun::ServiceInstance, instance.name.clone()).noun()))
}

fn fresh(id: Uuid, space: &Space, plan: Option<Uuid>) -> Instance {
    Instance {
        id,
        tenant: space.tenant,
        org: space.org,
        space: space.id,
        name: String::new(),
        plan,
        detail: Map::new(),
        created_at: 0,
        updated_at: 0,
    }
}

fn insert(tx: &mut Tx, instance: &Instance) -> Result<Instance, StoreError> {
    check_name(tx, instance)?;
    let now = tx.now();
    let sql = "INSERT INTO cf_service_instances (id, tenant_id, organization_id, space_id, name, plan_id, detail, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    let values = params![
        instance.id,
        instance.tenant,
        instance.org,
        instance.space,
        &instance.name,
        instance.plan,
        Value::from(instance.detail.clone()).to_string(),
        now
    ];
    tx.execute(sql, &values)?;
    Ok(Instance { created_at: now, updated_at: now, ..instance.clone() })
}

/// The rule of plans, where a plan is chosen.
fn broken(tx: &mut Tx, space: SpaceId, plan: Option<&Plan>) -> Result<Vec<over::Over>, StoreError> {
    match plan {
        Some(plan) if !plan.free => rule::paid_plan(tx, space),
        _ => Ok(Vec::new()),
    }
}

/// `POST /v2/service_instances`.
pub async fn create(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, FIELDS)?;
    let made = again(|| async {
        let (who, map, id) = (caller.clone(), map.clone(), ids::guid(&face.store));
        let read = face.store.read(move |tx| {
            let space = named_space(tx, &who, &map)?;
            let plan = named_plan(&map)?;
            let instance = over(&map, fresh(id, &space, plan.map(|plan| plan.guid)), &["tags"])?;
            access::check_develops(tx, &who, &space)?;
            check_name(tx, &instance)?;
            Ok((instance, plan, broken(tx, space.id, plan)?))
        });
        let (instance, plan, found) = read.await?;
        let space = instance.space;
        let amounts = Amounts::new().with(Resource::SERVICES, 1);
        let amounts = amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))?;
        let unit = caller.unit().charge(app::claim(id, space, amounts, "service_instance")).rows(move |tx| {
            check_plan(tx, space, plan)?;
            insert(tx, &instance)
        });
        let written = face.store.write(unit).await;
        Ok(written.map_err(|error| over::refused(Subject::Service, Some(space), error, found))?.value)
    });
    Ok(Reply::v2_created(&v2::instance(&made.await?)))
}

fn check_plan(tx: &mut Tx, space: SpaceId, plan: Option<&Plan>) -> Result<(), StoreError> {
    let found = broken(tx, space, plan)?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Over(Subject::Service, over::in_order(Subject::Service, &found)).noun())
}

/// `POST /v2/user_provided_service_instances`: takes nothing.
pub async fn create_provided(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, PROVIDED_FIELDS)?;
    let kept = ["credentials", "syslog_drain_url", "route_service_url", "tags"];
    let made = again(|| async {
        let (who, map, id) = (caller.clone(), map.clone(), ids::guid(&face.store));
        let unit = caller.unit().rows(move |tx| {
            let space = named_space(tx, &who, &map)?;
            let instance = over(&map, fresh(id, &space, None), &kept)?;
            access::check_develops(tx, &who, &space)?;
            insert(tx, &instance)
        });
        Ok(face.store.write(unit).await?.value)
    });
    Ok(Reply::v2_created(&v2::instance(&made.await?)))
}

/// A service instance that is there for the caller, and its space.
pub fn find(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(Instance, Space), StoreError> {
    let missing = || Error::NotFound(Noun::ServiceInstance, guid.to_owned()).noun();
    let id = ids::parse(guid).ok_or_else(missing)?;
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM cf_service_instances WHERE id = $1"), &params![id])?;
    let instance = row.as_ref().map(from_row).transpose()?.ok_or_else(missing)?;
    let space = space::find(tx, instance.space)?.filter(|space| caller.knows(space.tenant)).ok_or_else(missing)?;
    Ok((instance, space))
}

/// `GET /v2/service_instances/{guid}`, and of one that a user provides.
pub async fn get(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let (instance, space) = find(tx, &caller, &guid)?;
        if access::sees_space(tx, &caller, &space)? { Ok(instance) } else { Err(Error::Denied.noun()) }
    });
    Ok(Reply::v2(StatusCode::OK, &v2::instance(&read.await?)))
}

/// `PUT /v2/service_instances/{guid}`: its name, tags and plan.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v2_change(&body, FIELDS)?;
    changed(face, caller, guid, map, &["tags"]).await
}

/// `PUT /v2/user_provided_service_instances/{guid}`.
pub async fn change_provided(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v2_change(&body, PROVIDED_FIELDS)?;
    changed(face, caller, guid, map, &["credentials", "syslog_drain_url", "route_service_url", "tags"]).await
}

async fn changed(
    face: Face,
    caller: Caller,
    guid: String,
    map: Map<String, Value>,
    kept: &'static [&'static str],
) -> Result<Reply, Error> {
    let changed = again(|| async {
        let (who, map, guid) = (caller.clone(), map.clone(), guid.clone());
        let unit = caller.unit().rows(move |tx| {
            let (before, space) = find(tx, &who, &guid)?;
            access::check_develops(tx, &who, &space)?;
            let plan = named_plan(&map)?.filter(|plan| before.plan.is_some_and(|known| known != plan.guid));
            check_plan(tx, space.id, plan)?;
            let mut after = over(&map, before, kept)?;
            after.plan = plan.map(|plan| plan.guid).or(after.plan);
            after.updated_at = tx.now();
            check_name(tx, &after)?;
            let sql =
                "UPDATE cf_service_instances SET name = $2, plan_id = $3, detail = $4, updated_at = $5 WHERE id = $1";
            let detail = Value::from(after.detail.clone()).to_string();
            let values = params![after.id, &after.name, after.plan, detail, after.updated_at];
            quota::moved_if_none(tx.execute(sql, &values)?)?;
            Ok(after)
        });
        Ok(face.store.write(unit).await?.value)
    });
    Ok(Reply::v2(StatusCode::CREATED, &v2::instance(&changed.await?)))
}

/// `GET /v2/service_instances`: those of plans.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    asked.select.and("cf_service_instances.plan_id IS NOT NULL");
    listed(face, caller, asked, "/v2/service_instances").await
}

/// `GET /v2/user_provided_service_instances`.
pub async fn list_provided(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    asked.select.and("cf_service_instances.plan_id IS NULL");
    listed(face, caller, asked, "/v2/user_provided_service_instances").await
}

/// `GET /v2/spaces/{guid}/service_instances`; those that users provide only when they are asked for.
pub async fn list_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    if !params.is_set("return_user_provided_service_instances") {
        asked.select.and("cf_service_instances.plan_id IS NOT NULL");
    }
    let (path, who) = (format!("/v2/spaces/{guid}/service_instances"), caller.clone());
    let space = face.store.read(move |tx| space_v2::seen(tx, &who, &guid)).await?;
    asked.select.and_equal("cf_service_instances.space_id", Some(space.id));
    listed(face, caller, asked, &path).await
}

async fn listed(face: Face, caller: Caller, mut asked: Asked, path: &str) -> Result<Reply, Error> {
    let (space, org) = ("cf_service_instances.space_id", "cf_service_instances.organization_id");
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_service_instances");
    access::narrow_to_spaces(&mut asked.select, &caller, space, org);
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_service_instances")?, asked)));
    let (page, asked) = read.await?;
    let instances = page.rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, page.total, instances.iter().map(v2::instance).collect())))
}

/// `DELETE /v2/service_instances/{guid}`: of one without keys, or with `recursive=true` with them.
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
            let (instance, space) = find(tx, &who, &guid)?;
            access::check_develops(tx, &who, &space)?;
            let keys = tx.query("SELECT id FROM cf_service_keys WHERE instance_id = $1", &params![instance.id])?;
            let keys = keys.iter().map(|row| row.get(0)).collect::<Result<Vec<Uuid>, _>>()?;
            if !keys.is_empty() && !recursive {
                return Err(Error::NotEmpty("service_keys", "service_instances").noun());
            }
            Ok((instance, keys))
        });
        let (instance, keys) = read.await?;
        let charged = keys.iter().copied().chain(instance.plan.map(|_| instance.id));
        let unit = charged.fold(caller.unit(), |unit, id| unit.release(ClaimId(id)));
        let id = instance.id;
        let unit = unit.rows(move |tx| {
            // One that was gone would have had no claim to release; one that came since keeps its own.
            let deleted = tx.execute("DELETE FROM cf_service_keys WHERE instance_id = $1", &params![id])?;
            if deleted != keys.len() as u64 {
                return Err(Error::Moved.noun());
            }
            quota::moved_if_none(tx.execute("DELETE FROM cf_service_instances WHERE id = $1", &params![id])?)
        });
        Ok(face.store.write(unit).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}

/// `GET /v2/services`.
pub async fn offerings(_: Caller) -> Reply {
    Reply::v2(StatusCode::OK, &all(vec![v2::offering()]))
}

/// `GET /v2/services/{guid}`.
pub async fn offering(_: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    check_offering(&guid)?;
    Ok(Reply::v2(StatusCode::OK, &v2::offering()))
}

fn check_offering(guid: &str) -> Result<(), Error> {
    if guid == OFFERING.to_string() { Ok(()) } else { Err(Error::NotFound(Noun::Service, guid.to_owned())) }
}

/// `GET /v2/service_plans`.
pub async fn plans(_: Caller) -> Reply {
    Reply::v2(StatusCode::OK, &all(PLANS.iter().map(v2::plan).collect()))
}

/// `GET /v2/services/{guid}/service_plans`.
pub async fn plans_of(_: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    check_offering(&guid)?;
    Ok(Reply::v2(StatusCode::OK, &all(PLANS.iter().map(v2::plan).collect())))
}

/// `GET /v2/service_plans/{guid}`.
pub async fn plan(_: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let plan = PLANS.iter().find(|plan| plan.guid.to_string() == guid);
    plan.map(|plan| Reply::v2(StatusCode::OK, &v2::plan(plan))).ok_or(Error::NotFound(Noun::Service, guid))
}

/// A list of all there is.
fn all(resources: Vec<Value>) -> Value {
    json!({
        "total_results": resources.len(), "total_pages": 1, "prev_url": null, "next_url": null,
        "resources": resources,
    })
}
