//! Repositories: where allocations lie. Each is an allotment on the supply side, in a pool.
//!
//! **Always.** Its capacity is its allotment's limit of bytes, and 0 is none. The site's own have no tenant, are seen by all
//! and changed by operators. Credentials are never kept: only posix is served, so nobody would use them.

use axum::Json;
use axum::extract::State;
use identity::Principal;
use ledger::{AllotmentId, Limits, Resource, Side};
use store::{AllotmentPatch, Error as StoreError, Managed, Micros, NewAllotment, Row, TenantId, Tx, Unit, params};

use crate::auth::{Administrator, Caller};
use crate::error::Error;
use crate::ids::RepositoryId;
use crate::input::{At, Input, Params};
use crate::page::Window;
use crate::reply::{Created, NoContent};
use crate::select::Select;
use crate::wire::{self, NewRepository, RepositoryFields};
use crate::{Face, access};

/// How many repositories one list holds; `cursor` brings those after them.
const LIST_MAX: u64 = 1000;

const ALLOCATIONS_PRESENT: &str = "Cannot delete repository - allocations present.";
const DATA_PRESENT: &str = "Cannot delete repository - data present.";

/// `GET /api/repositories/`: the site's and the tenant's.
pub async fn list(
    State(face): State<Face>,
    caller: Caller,
    params: Params,
) -> Result<Json<Vec<wire::Repository>>, Error> {
    let (window, select) = (Window::of(&params, LIST_MAX, LIST_MAX)?, visible(&caller));
    let rows = face.store.read(move |tx| window.read(tx, COLUMNS, FROM, "repositories", select)).await?;
    Ok(Json(rows.iter().map(from_row).collect::<Result<_, _>>()?))
}

/// `POST /api/repositories/`: a new one in the default pool, of the caller's tenant; an operator's is the site's.
pub async fn create(
    State(face): State<Face>,
    Administrator(caller): Administrator,
    Input(NewRepository(asked)): Input<NewRepository>,
) -> Result<Created<wire::Repository>, Error> {
    let (id, tenant) = (RepositoryId(face.store.new_id()), caller.tenant);
    let called = asked.name.clone().unwrap_or_default();
    let (pool, name) = face.store.read(move |tx| place(tx, id, tenant, &called)).await?;
    let new = NewAllotment {
        side: Side::Supply,
        title: asked.name.clone().unwrap_or_default(),
        kind: "repository".to_owned(),
        limits: limits(asked.capacity)?,
        managed_by: Some(Managed::new("allocations", "repository", id)),
        ..NewAllotment::new(id.allotment(), pool.map(Into::into), name)
    };
    let unit = Unit::by(caller.actor()).create_allotment(new).rows(move |tx| insert(tx, id, tenant, &asked));
    face.store.write(unit).await?;
    Ok(Created(show(&face, &caller, id).await?))
}

/// `GET /api/repositories/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<RepositoryId>,
) -> Result<Json<wire::Repository>, Error> {
    Ok(Json(show(&face, &caller, id).await?))
}

/// `PATCH /api/repositories/{id}/`.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<RepositoryId>,
    Input(asked): Input<RepositoryFields>,
) -> Result<Json<wire::Repository>, Error> {
    check_rights(&face, &caller, id).await?;
    let capacity = asked.capacity.map(|units| (Resource::BYTES, Some(units).filter(|units| *units > 0)));
    let limits = capacity.into_iter().collect();
    let patch = AllotmentPatch { title: asked.name.clone(), limits, ..AllotmentPatch::default() };
    let unit = Unit::by(caller.actor()).change_allotment(id.allotment(), patch).rows(move |tx| update(tx, id, &asked));
    face.store.write(unit).await?;
    Ok(Json(show(&face, &caller, id).await?))
}

/// `DELETE /api/repositories/{id}/`: of one in which nothing lies.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<RepositoryId>) -> Result<NoContent, Error> {
    check_rights(&face, &caller, id).await?;
    face.store.read(move |tx| check_unused(tx, id)).await?;
    let unit = Unit::by(caller.actor()).remove_allotment(id.allotment()).rows(move |tx| delete(tx, id));
    match face.store.write(unit).await {
        Ok(_) => Ok(NoContent),
        Err(StoreError::Conflict(_)) => Err(Error::Conflict(DATA_PRESENT.to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// That the caller may change it: one's own tenant's for administrators, the site's for operators.
async fn check_rights(face: &Face, caller: &Caller, id: RepositoryId) -> Result<(), Error> {
    let mut select = visible(caller);
    select.and_equal("repositories.id", Some(id));
    let sql = format!("SELECT repositories.tenant_id FROM repositories WHERE {}", select.conditions());
    let row = face.store.read(move |tx| tx.query_opt(&sql, select.values())).await?.ok_or(Error::NotFound)?;
    let may = match row.get::<Option<TenantId>>(0)? {
        Some(tenant) => caller.is_admin_of(tenant),
        None => caller.is_operator(),
    };
    if may { Ok(()) } else { Err(Error::Denied) }
}

async fn show(face: &Face, caller: &Caller, id: RepositoryId) -> Result<wire::Repository, Error> {
    let mut select = visible(caller);
    select.and_equal("repositories.id", Some(id));
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE {}", select.conditions());
    let row = face.store.read(move |tx| tx.query_opt(&sql, select.values())).await?;
    row.as_ref().map(from_row).transpose()?.ok_or(Error::NotFound)
}

fn visible(who: &Principal) -> Select {
    let mut select = Select::new();
    if let Some(tenant) = who.tenant {
        let tenant = select.bind(tenant);
        select.and(format!("(repositories.tenant_id IS NULL OR repositories.tenant_id = {tenant})"));
    }
    select
}

/// Whether allocations of this tenant can be made in it; or why not.
pub fn usable(
    tx: &mut Tx,
    id: RepositoryId,
    tenant: Option<TenantId>,
    who: &Principal,
) -> Result<Result<RepositoryId, &'static str>, StoreError> {
    let row = tx.query_opt("SELECT tenant_id, is_active FROM repositories WHERE id = $1", &params![id])?;
    let Some(row) = row else { return Ok(Err("Invalid repository - object does not exist.")) };
    let fits = match (row.get::<Option<TenantId>>(0)?, tenant) {
        (None, _) => true,
        (Some(of), Some(tenant)) => of == tenant,
        (Some(of), None) => access::is_within(who, of),
    };
    Ok(match (fits, row.get::<bool>(1)?) {
        (false, _) => Err("Invalid repository - object does not exist."),
        (true, false) => Err("Repository is not active."),
        (true, true) => Ok(id),
    })
}

/// In which pool a new one is, and under which name. Only the site's own go by their names, which the site file finds them
/// by: a tenant must not take a name before it.
fn place(
    tx: &mut Tx,
    id: RepositoryId,
    tenant: Option<TenantId>,
    called: &str,
) -> Result<(Option<AllotmentId>, ledger::Name), StoreError> {
    let row = tx.query_opt("SELECT value FROM settings WHERE key = $1", &params![store::DEFAULT_POOL])?;
    let pool = row.map(|row| row.get::<AllotmentId>(0)).transpose()?;
    let sql = "SELECT 1 FROM allotments WHERE side = 'supply' AND parent_id = $1 AND name = $2";
    let own = called.parse::<ledger::Name>().ok().filter(|_| tenant.is_none() && pool.is_some());
    if let Some(name) = own
        && tx.query_opt(sql, &params![pool, name.as_str()])?.is_none()
    {
        return Ok((pool, name));
    }
    let name = format!("repository-{id}").parse::<ledger::Name>();
    Ok((pool, name.map_err(|error| StoreError::Broken(error.to_string()))?))
}

fn limits(capacity: Option<u64>) -> Result<Limits, Error> {
    match capacity.filter(|units| *units > 0) {
        Some(units) => {
            let limits = Limits::new().with(Resource::BYTES, units);
            limits.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))
        }
        None => Ok(Limits::new()),
    }
}

const COLUMNS: &str = "repositories.id, repositories.name, repositories.kind, repositories.address, b.quota, b.used, \
    o.used, repositories.access_key_masked, repositories.is_active, repositories.bucket, repositories.region, \
    repositories.endpoint, repositories.irsa_role_arn, repositories.created_at, repositories.updated_at, n.updated_at";
const FROM: &str = "repositories JOIN allotments n ON n.id = repositories.id \
    LEFT JOIN balances b ON b.allotment_id = repositories.id AND b.resource = 'bytes' \
    LEFT JOIN balances o ON o.allotment_id = repositories.id AND o.resource = 'objects'";

fn from_row(row: &Row) -> Result<wire::Repository, StoreError> {
    let kind: String = row.get(2)?;
    Ok(wire::Repository {
        id: row.get(0)?,
        name: row.get(1)?,
        provider: kind.clone(),
        kind,
        address: row.get(3)?,
        capacity: row.get::<Option<u64>>(4)?.unwrap_or(0),
        usage_bytes: row.get::<Option<u64>>(5)?.unwrap_or(0),
        asset_content_count: row.get::<Option<u64>>(6)?.unwrap_or(0),
        access_key_id_masked: row.get(7)?,
        status: "ready",
        provisioning_error: String::new(),
        is_active: row.get(8)?,
        bucket: row.get(9)?,
        region: row.get(10)?,
        endpoint: row.get(11)?,
        irsa_role_arn: row.get(12)?,
        created_at: wire::At(row.get(13)?),
        updated_at: wire::At(row.get::<Micros>(14)?.max(row.get(15)?)),
    })
}

/// The last four characters of a key, as far as that is not most of it.
fn masked(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    match letters.len() {
        0 => String::new(),
        1..=8 => "****".to_owned(),
        length => format!("****{}", letters[length - 4..].iter().collect::<String>()),
    }
}

/// The row of a new one; also for the site file's hand.
pub fn insert(
    tx: &mut Tx,
    id: RepositoryId,
    tenant: Option<TenantId>,
    asked: &RepositoryFields,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO repositories (id, tenant_id, name, kind, address, bucket, region, endpoint, irsa_role_arn, \
        access_key_masked, is_active, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)";
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let values = params![
        id,
        tenant,
        text(&asked.name),
        asked.kind.unwrap_or("posix"),
        text(&asked.address),
        text(&asked.bucket),
        text(&asked.region),
        text(&asked.endpoint),
        text(&asked.irsa_role_arn),
        masked(&text(&asked.access_key_id)),
        asked.is_active.unwrap_or(true),
        tx.now()
    ];
    tx.execute(sql, &values).map(drop)
}

/// What is said anew; likewise.
pub fn update(tx: &mut Tx, id: RepositoryId, asked: &RepositoryFields) -> Result<(), StoreError> {
    let columns = [
        ("name", asked.name.clone().map(store::Value::from)),
        ("kind", asked.kind.map(store::Value::from)),
        ("address", asked.address.clone().map(store::Value::from)),
        ("bucket", asked.bucket.clone().map(store::Value::from)),
        ("region", asked.region.clone().map(store::Value::from)),
        ("endpoint", asked.endpoint.clone().map(store::Value::from)),
        ("irsa_role_arn", asked.irsa_role_arn.clone().map(store::Value::from)),
        ("access_key_masked", asked.access_key_id.as_deref().map(masked).map(store::Value::from)),
        ("is_active", asked.is_active.map(store::Value::from)),
    ];
    let mut values = params![id, tx.now()].to_vec();
    let mut sets = vec!["updated_at = $2".to_owned()];
    for (column, value) in columns {
        if let Some(value) = value {
            values.push(value);
            sets.push(format!("{column} = ${}", values.len()));
        }
    }
    match tx.execute(&format!("UPDATE repositories SET {} WHERE id = $1", sets.join(", ")), &values)? {
        0 => Err(StoreError::not_found("repository", id)),
        _ => Ok(()),
    }
}

fn check_unused(tx: &mut Tx, id: RepositoryId) -> Result<(), StoreError> {
    match tx.query_opt("SELECT 1 FROM allocations WHERE repository_id = $1 LIMIT 1", &params![id])? {
        Some(_) => Err(Error::Conflict(ALLOCATIONS_PRESENT.to_owned()).noun()),
        None => Ok(()),
    }
}

/// The row's end; likewise. An allocation in it keeps it.
pub fn delete(tx: &mut Tx, id: RepositoryId) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM repositories WHERE id = $1", &params![id])? {
        0 => Err(StoreError::not_found("repository", id)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn of_a_key_the_last_four_characters_are_shown_and_of_a_short_one_none() {
        assert_eq!(masked(""), "");
        assert_eq!(masked("short"), "****");
        assert_eq!(masked("AKIAIOSFODNN7EXAMPLE"), "****MPLE");
    }
}
