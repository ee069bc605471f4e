//! People, as this API shows them. They are identity's; here is what v2, v3 and the UAA's `/Users` say of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use identity::{NewUser, UserPatch};
use ledger::Limits;
use serde_json::{Value, json};
use store::{Error as StoreError, Micros, Row, TenantId, Tx, UserId, params};

use crate::auth::Caller;
use crate::body::{self, Base, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::list::{Asked, Table};
use crate::reply::Reply;
use crate::select::Select;
use crate::wire::{self, v2, v3};
use crate::{Face, access, ids};

/// How many people `/Users` answers with at once.
const SCIM_PAGE: u64 = 100;

/// Where people are. They have no place of their own; see [`FROM_USERS`].
const TABLE: Table = Table {
    name: "people",
    q: &[("username", "people.email {}")],
    filters: &[("usernames", "people.email {}"), ("partial_usernames", "people.email {}")],
    by_name: false,
    strict: false,
};
/// [`COLUMNS`] of [`FROM_USERS`].
const PEOPLE: &str = "people.id, people.tenant_id, people.email, people.name, people.admin, people.created_at";
/// People with what every list is ordered by: their ids are in the order in which they came.
const FROM_USERS: &str = "(SELECT users.*, users.id AS place FROM users) people";

/// A person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Whose customer; none is an operator.
    pub tenant: Option<TenantId>,
    /// The login.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// Whether they administer their tenant.
    pub admin: bool,
    /// When they came.
    pub created_at: Micros,
}

/// The columns of [`from_row`].
pub const COLUMNS: &str = "users.id, users.tenant_id, users.email, users.name, users.admin, users.created_at";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<Person, StoreError> {
    Ok(Person {
        id: row.get(0)?,
        tenant: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        admin: row.get(4)?,
        created_at: row.get(5)?,
    })
}

/// A person that is there for the caller.
pub fn known(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Option<Person>, StoreError> {
    let Some(id) = ids::parse(guid).map(UserId) else { return Ok(None) };
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM users WHERE id = $1"), &params![id])?;
    let person = row.as_ref().map(from_row).transpose()?;
    Ok(person.filter(|person| caller.tenant().is_none() || caller.tenant() == person.tenant))
}

fn need(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Person, StoreError> {
    // Who sees nobody else sees themselves.
    let person = known(tx, caller, guid)?.filter(|person| caller.reads_all() || person.id == caller.who.user);
    person.ok_or_else(|| Error::NotFound(Noun::User, guid.to_owned()).noun())
}

/// `POST /v2/users`: tells this API of somebody who can log in.
pub async fn tell_v2(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, &[("guid", Kind::Text, true)])?;
    let guid = map["guid"].as_str().unwrap_or_default().to_owned();
    let person = tell(&face, &caller, guid).await?;
    Ok(Reply::v2_created(&v2::user(&person)))
}

/// `POST /v3/users`: likewise.
pub async fn tell_v3(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v3(&body)?;
    let guid = map.get("guid").and_then(Value::as_str);
    let guid = guid.ok_or_else(|| Error::Unprocessable("Guid must be a string".to_owned()))?.to_owned();
    let person = tell(&face, &caller, guid).await?;
    Ok(Reply::v3(StatusCode::CREATED, &v3::user(&base, &person)))
}

async fn tell(face: &Face, caller: &Caller, guid: String) -> Result<Person, Error> {
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let who = caller.clone();
    let unit = caller.unit().rows(move |tx| {
        let unknown = || Error::Invalid(Noun::User, format!("nobody can log in as {guid}")).noun();
        let person = known(tx, &who, &guid)?.ok_or_else(unknown)?;
        let sql = "INSERT INTO cf_users (user_id, created_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
        match tx.execute(sql, &params![person.id, tx.now()])? {
            0 => Err(Error::UserTaken(guid.clone()).noun()),
            _ => Ok(person),
        }
    });
    Ok(face.store.write(unit).await?.value)
}

/// `GET /v2/users/{guid}`.
pub async fn get_v2(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let person = face.store.read(move |tx| need(tx, &caller, &guid)).await?;
    Ok(Reply::v2(StatusCode::OK, &v2::user(&person)))
}

/// `GET /v3/users/{guid}`.
pub async fn get_v3(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let person = face.store.read(move |tx| need(tx, &caller, &guid)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::user(&base, &person)))
}

/// `GET /v2/users`: admins see all of their tenant, others themselves.
pub async fn list_v2(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let asked = Asked::v2(&params, &TABLE)?;
    let (total, people, asked) = listed(face, caller, asked).await?;
    let things = people.iter().map(v2::user).collect();
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame("/v2/users", total, things)))
}

/// `GET /v3/users`: likewise.
pub async fn list_v3(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    params: Params,
) -> Result<Reply, Error> {
    let asked = Asked::v3(&params, &TABLE)?;
    let (total, people, asked) = listed(face, caller, asked).await?;
    let objects = people.iter().map(|person| v3::user(&base, person)).collect();
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(&format!("{base}/v3/users"), total, objects)))
}

async fn listed(face: Face, caller: Caller, mut asked: Asked) -> Result<(u64, Vec<Person>, Asked), Error> {
    narrow(&mut asked.select, &caller);
    let read = face.store.read(move |tx| {
        let page = asked.read(tx, PEOPLE, FROM_USERS)?;
        let people = page.rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
        Ok((page.total, people, asked))
    });
    Ok(read.await?)
}

fn narrow(select: &mut Select, caller: &Caller) {
    access::narrow_to_tenant(select, caller, "people");
    if !caller.reads_all() {
        select.and_equal("people.id", Some(caller.who.user));
    }
}

/// `DELETE /v2/users/{guid}`: this API forgets the roles; the person stays.
pub async fn forget(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let who = caller.clone();
    let unit = caller.unit().rows(move |tx| {
        let person = need(tx, &who, &guid)?;
        tx.execute("DELETE FROM cf_roles WHERE user_id = $1", &params![person.id])?;
        tx.execute("DELETE FROM cf_users WHERE user_id = $1", &params![person.id]).map(drop)
    });
    face.store.write(unit).await?;
    Ok(Reply::nothing())
}

/// A person as SCIM has them.
fn scim(person: &Person) -> Value {
    let at = wire::time(person.created_at);
    json!({
        "id": person.id,
        "externalId": "",
        "meta": { "version": 0, "created": at, "lastModified": at },
        "userName": person.email,
        "name": { "givenName": person.name, "familyName": "" },
        "emails": [{ "value": person.email, "primary": true }],
        "active": true,
        "verified": true,
        "origin": "uaa",
        "zoneId": "uaa",
        "schemas": ["urn:scim:schemas:core:1.0"],
    })
}

fn invalid(why: impl Into<String>) -> Error {
    Error::OAuth(StatusCode::BAD_REQUEST, "invalid_scim_resource", why.into())
}

fn missing(id: &str) -> Error {
    Error::OAuth(StatusCode::NOT_FOUND, "scim_resource_not_found", format!("User {id} does not exist"))
}

/// `POST /Users`: somebody new in the caller's tenant.
pub async fn create(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Response, Error> {
    check_scim(&caller)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| invalid("The body is no JSON"))?;
    let login = body["userName"].as_str().or(body["emails"][0]["value"].as_str()).unwrap_or_default();
    let name = [&body["name"]["givenName"], &body["name"]["familyName"]].map(|part| part.as_str().unwrap_or_default());
    let tenant = caller.tenant().ok_or_else(|| invalid("An operator belongs to no tenant, so nobody is made in it"))?;
    let new = NewUser {
        id: None,
        tenant: Some(tenant),
        email: login.to_owned(),
        name: name.join(" ").trim().to_owned(),
        password: body["password"].as_str().filter(|password| !password.is_empty()).map(Into::into),
        admin: false,
        repository_admin: false,
        limits: Limits::new(),
    };
    match face.identity.create_user(caller.who.actor(), new).await {
        Ok(user) => {
            let person = Person {
                id: user.id,
                tenant: user.tenant,
                email: user.email,
                name: user.name,
                admin: user.admin,
                created_at: user.created_at,
            };
            Ok((StatusCode::CREATED, Json(scim(&person))).into_response())
        }
        Err(StoreError::Conflict(_)) => {
            let why = format!("Username already in use: {login}");
            Err(Error::OAuth(StatusCode::CONFLICT, "scim_resource_already_exists", why))
        }
        Err(StoreError::Invalid(why)) => Err(invalid(why)),
        Err(error) => Err(error.into()),
    }
}

fn check_scim(caller: &Caller) -> Result<(), Error> {
    if caller.scopes.scim || caller.is_admin() { Ok(()) } else { Err(Error::Scope) }
}

/// `GET /Users`: people of the caller's tenant; `filter=userName eq "…"` or `id eq "…"` for one.
pub async fn scim_list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Json<Value>, Error> {
    check_scim(&caller)?;
    let mut select = Select::new();
    narrow(&mut select, &caller);
    if let Some(filter) = params.get("filter").filter(|filter| !filter.is_empty()) {
        let mut parts = filter.splitn(3, ' ');
        let (key, operator, value) = (parts.next(), parts.next(), parts.next().unwrap_or_default().trim_matches('"'));
        let column = match key.map(str::to_lowercase).as_deref() {
            Some("username" | "email" | "emails.value") => "people.email_key",
            Some("id") => "people.id",
            _ => return Err(invalid("Invalid filter expression")),
        };
        if operator.is_none_or(|operator| !operator.eq_ignore_ascii_case("eq")) {
            return Err(invalid("Invalid filter expression"));
        }
        let value = if column == "people.id" { value.to_owned() } else { value.to_lowercase() };
        select.and_equal(column, Some(value));
    }
    let read = face.store.read(move |tx| {
        let conditions = select.conditions();
        let sql = format!("SELECT {PEOPLE} FROM {FROM_USERS} WHERE {conditions} ORDER BY place LIMIT {SCIM_PAGE}");
        tx.query(&sql, select.values())?.iter().map(from_row).collect::<Result<Vec<_>, _>>()
    });
    let people = read.await?;
    Ok(Json(json!({
        "resources": people.iter().map(scim).collect::<Vec<_>>(),
        "startIndex": 1,
        "itemsPerPage": SCIM_PAGE,
        "totalResults": people.len(),
        "schemas": ["urn:scim:schemas:core:1.0"],
    })))
}

async fn other(face: &Face, caller: &Caller, id: &str) -> Result<Person, Error> {
    let (who, wanted) = (caller.clone(), id.to_owned());
    face.store.read(move |tx| known(tx, &who, &wanted)).await?.ok_or_else(|| missing(id))
}

/// `GET /Users/{id}`.
pub async fn scim_get(State(face): State<Face>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Error> {
    if caller.who.user.to_string() != id {
        check_scim(&caller)?;
    }
    Ok(Json(scim(&other(&face, &caller, &id).await?)))
}

/// `DELETE /Users/{id}`.
pub async fn scim_remove(
    State(face): State<Face>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    check_scim(&caller)?;
    let person = other(&face, &caller, &id).await?;
    match face.identity.remove_user(caller.who.actor(), person.id).await {
        Ok(()) => Ok(Json(scim(&person))),
        Err(StoreError::Conflict(why)) => Err(Error::OAuth(StatusCode::CONFLICT, "scim_resource_in_use", why)),
        Err(error) => Err(error.into()),
    }
}

/// `PUT /Users/{id}/password`: one's own, with the old one; anybody's of the tenant as an admin.
pub async fn password(
    State(face): State<Face>,
    caller: Caller,
    Path(id): Path<String>,
    Raw(body): Raw,
) -> Result<Json<Value>, Error> {
    let person = other(&face, &caller, &id).await?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| invalid("The body is no JSON"))?;
    let new = body["password"].as_str().filter(|new| !new.is_empty()).ok_or_else(|| invalid("A password is needed"))?;
    if !caller.is_admin() && !caller.scopes.scim {
        if person.id != caller.who.user {
            return Err(Error::Scope);
        }
        let old = body["oldPassword"].as_str().unwrap_or_default();
        let from = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        face.identity.password(&person.email, old, from).await?;
    }
    let patch = UserPatch { password: Some(Some(new.into())), ..UserPatch::default() };
    match face.identity.change_user(caller.who.actor(), person.id, patch).await {
        Ok(_) => Ok(Json(json!({ "status": "ok", "message": "password updated" }))),
        Err(StoreError::Invalid(why)) => Err(invalid(why)),
        Err(error) => Err(error.into()),
    }
}
