//! Users, as this API shows them. The people themselves are identity's.

use axum::Json;
use axum::extract::State;
use identity::User;
use ledger::Limits;
use store::{Error as StoreError, Row, TenantId, UserId};

use crate::auth::Administrator;
use crate::error::Error;
use crate::input::{Input, Params};
use crate::page::Window;
use crate::reply::Created;
use crate::select::Select;
use crate::{Face, access, wire};

/// How many users one list holds; `cursor` brings those after them.
const LIST_MAX: u64 = 1000;

/// `GET /api/users/`: those of the caller's tenant.
pub async fn list(
    State(face): State<Face>,
    Administrator(caller): Administrator,
    params: Params,
) -> Result<Json<Vec<wire::User>>, Error> {
    let window = Window::of(&params, LIST_MAX, LIST_MAX)?;
    let mut select = Select::new();
    access::narrow_to_tenant(&mut select, &caller, "users");
    let rows = face.store.read(move |tx| window.read(tx, COLUMNS, "users", "users", select)).await?;
    Ok(Json(rows.iter().map(|row| from_row(row, 0)).collect::<Result<_, _>>()?))
}

/// `POST /api/users/`: somebody new in the caller's tenant; an operator names one who is there, with `owner_id`.
pub async fn create(
    State(face): State<Face>,
    Administrator(caller): Administrator,
    Input(asked): Input<wire::NewUser>,
) -> Result<Created<wire::User>, Error> {
    let tenant = match caller.tenant {
        Some(tenant) => tenant,
        None => tenant_of(&face, asked.owner_id.map(UserId)).await?,
    };
    let new = identity::NewUser {
        id: None,
        tenant: Some(tenant),
        email: asked.email,
        name: asked.name,
        password: Some(asked.password.into()),
        admin: asked.is_system_admin,
        repository_admin: asked.is_repository_admin,
        limits: Limits::new(),
    };
    match face.identity.create_user(caller.actor(), new).await {
        Ok(user) => Ok(Created(of(user))),
        Err(StoreError::Conflict(_)) => Err(Error::field("email", "This field must be unique.")),
        Err(StoreError::Invalid(_)) => Err(Error::field("email", "Enter a valid email address.")),
        Err(error) => Err(error.into()),
    }
}

/// The tenant in which an operator makes something: that of the user they name.
pub async fn tenant_of(face: &Face, user: Option<UserId>) -> Result<TenantId, Error> {
    let user = user.ok_or_else(|| Error::field("owner_id", "This field is required."))?;
    let found = face.identity.user(user).await?.and_then(|user| user.tenant);
    found.ok_or_else(|| Error::field("owner_id", "Invalid owner - object does not exist."))
}

/// A user by id.
pub async fn show(face: &Face, id: UserId) -> Result<wire::User, Error> {
    face.identity.user(id).await?.map(of).ok_or(Error::NotFound)
}

fn of(user: User) -> wire::User {
    let is_operator = user.tenant.is_none();
    wire::User {
        id: user.id,
        email: user.email,
        name: user.name,
        is_system_admin: user.admin || is_operator,
        is_repository_admin: user.repository_admin || is_operator,
        date_joined: wire::At(user.created_at),
    }
}

const COLUMNS: &str = "users.id, users.email, users.name, users.tenant_id, users.admin, users.repository_admin, \
    users.created_at";

/// Reads the columns of a user, the first at `index`: id, email, name, tenant, the two flags, when they came.
pub fn from_row(row: &Row, index: usize) -> Result<wire::User, StoreError> {
    let is_operator = row.get::<Option<TenantId>>(index + 3)?.is_none();
    Ok(wire::User {
        id: row.get(index)?,
        email: row.get(index + 1)?,
        name: row.get(index + 2)?,
        is_system_admin: row.get::<bool>(index + 4)? || is_operator,
        is_repository_admin: row.get::<bool>(index + 5)? || is_operator,
        date_joined: wire::At(row.get(index + 6)?),
    })
}
