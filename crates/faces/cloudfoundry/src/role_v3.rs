//! Roles as v3 has them (specification, section 4.3).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::Value;
use store::{Error as StoreError, Tx, UserId, params};

use crate::auth::Caller;
use crate::body::{self, Base, Faults, Params, Raw};
use crate::error::{Error, Noun};
use crate::list::{Asked, Table};
use crate::reply::Reply;
use crate::role::{self, COLUMNS, ORG_KINDS, Role, SPACE_KINDS};
use crate::select::Select;
use crate::wire::v3;
use crate::{Face, access, again, ids, job, org, space, space_v2};

const TABLE: Table = Table {
    name: "cf_roles",
    q: &[],
    filters: &[
        ("types", "cf_roles.kind {}"),
        ("user_guids", "cf_roles.user_id {}"),
        ("organization_guids", "(cf_roles.space_id IS NULL AND cf_roles.organization_id {})"),
        ("space_guids", "cf_roles.space_id {}"),
    ],
    by_name: false,
    strict: false,
};
/// A role's row has no other time than that of its making.
const FROM: &str = "(SELECT cf_roles.*, cf_roles.created_at AS updated_at FROM cf_roles) cf_roles";

/// `POST /v3/roles`.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["type", "relationships"]);
    let known = |kinds: &[(&str, &'static str)], word: &str| {
        kinds.iter().find(|(_, kind)| *kind == word).map(|(_, kind)| *kind)
    };
    let word = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let (of_org, of_space) = (known(&ORG_KINDS, word), known(&SPACE_KINDS, word));
    let Some(kind) = of_org.or(of_space) else {
        let all: Vec<&str> = SPACE_KINDS.iter().chain(&ORG_KINDS).map(|(_, kind)| *kind).collect();
        return Err(Error::Unprocessable(format!("Type must be one of the allowed types {all:?}")));
    };
    let user = match map.get("relationships").map(|all| &all["user"]["data"]) {
        Some(data) if data["username"].is_string() => Some(data["username"].as_str().unwrap_or_default().to_owned()),
        _ => faults.relation(&map, "user", true),
    };
    let place = if of_org.is_some() { "organization" } else { "space" };
    let place = faults.relation(&map, place, true);
    faults.end()?;
    let (user, place) = (user.unwrap_or_default(), place.unwrap_or_default());
    let made = again(|| async {
        let (who, user, place, id) = (caller.clone(), user.clone(), place.clone(), ids::guid(&face.store));
        let is_org = of_org.is_some();
        let unit = caller.unit().rows(move |tx| {
            let (org, space) = if is_org { (in_org(tx, &who, &place)?, None) } else { in_space(tx, &who, &place)? };
            let person = person(tx, org.tenant, &user)?;
            if space.is_some() && !access::has_org_role(tx, person, org.id, None)? {
                let why = "Users cannot be assigned roles in a space if they do not have a role in that space's \
                    organization.";
                return Err(Error::Unprocessable(why.to_owned()).noun());
            }
            let new = role::New { id, tenant: org.tenant, user: person, org: org.id, space, kind };
            if !role::put(tx, &new)? {
                return Err(Error::Taken(Noun::Role, format!("User '{user}' already has '{kind}' role.")).noun());
            }
            find(tx, id)
        });
        Ok(face.store.write(unit).await?.value)
    });
    let role = made.await?.ok_or(Error::Moved)?;
    Ok(Reply::v3(StatusCode::CREATED, &v3::role(&base, &role)))
}

fn in_org(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<org::Org, StoreError> {
    let why = "Invalid organization. Ensure that the organization exists and you have access to it.";
    let missing = || Error::Unprocessable(why.to_owned()).noun();
    let org = org::known(tx, caller, guid)?.ok_or_else(missing)?;
    if !access::sees_org(tx, caller, org.id)? {
        return Err(missing());
    }
    access::check_manages(tx, caller, &org)?;
    Ok(org)
}

fn in_space(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(org::Org, Option<ids::SpaceId>), StoreError> {
    let why = "Invalid space. Ensure that the space exists and you have access to it.";
    let missing = || Error::Unprocessable(why.to_owned()).noun();
    let space = space::known(tx, caller, guid)?.ok_or_else(missing)?;
    if !access::sees_space(tx, caller, &space)? {
        return Err(missing());
    }
    space_v2::check_changes(tx, caller, &space)?;
    let org = org::find(tx, space.org)?.ok_or_else(missing)?;
    Ok((org, Some(space.id)))
}

/// By guid, or by the name they log in with.
fn person(tx: &mut Tx, tenant: store::TenantId, who: &str) -> Result<UserId, StoreError> {
    let sql = "SELECT id FROM users WHERE tenant_id = $1 AND (id = $2 OR email_key = $3)";
    let row = tx.query_opt(sql, &params![tenant, who, who.to_lowercase()])?;
    let why = "Invalid user. Ensure that the user exists and you have access to it.";
    row.map(|row| row.get(0)).transpose()?.ok_or_else(|| Error::Unprocessable(why.to_owned()).noun())
}

fn find(tx: &mut Tx, id: uuid::Uuid) -> Result<Option<Role>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM cf_roles WHERE id = $1");
    tx.query_opt(&sql, &params![id])?.as_ref().map(role::from_row).transpose()
}

/// Roles where the caller sees the organization or the space, and their own.
fn narrow(select: &mut Select, caller: &Caller) {
    access::narrow_to_tenant(select, caller, "cf_roles");
    if !caller.reads_all() {
        let user = select.bind(caller.who.user);
        let manager = select.bind(access::MANAGER);
        select.and(format!(
            "(cf_roles.user_id = {user} \
             OR (cf_roles.space_id IS NULL AND cf_roles.organization_id IN \
                 (SELECT organization_id FROM cf_roles WHERE user_id = {user})) \
             OR cf_roles.space_id IN (SELECT space_id FROM cf_roles WHERE user_id = {user} AND space_id IS NOT NULL) \
             OR cf_roles.organization_id IN \
                 (SELECT organization_id FROM cf_roles WHERE user_id = {user} AND kind = {manager}))"
        ));
    }
}

/// One that the caller sees.
fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Role, StoreError> {
    let missing = || Error::NotFound(Noun::Role, guid.to_owned()).noun();
    let id = ids::parse(guid).ok_or_else(missing)?;
    let mut select = Select::new();
    narrow(&mut select, caller);
    select.and_equal("cf_roles.id", Some(id));
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE {}", select.conditions());
    let row = tx.query_opt(&sql, select.values())?;
    row.as_ref().map(role::from_row).transpose()?.ok_or_else(missing)
}

/// `GET /v3/roles/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let role = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::role(&base, &role)))
}

/// `GET /v3/roles`.
pub async fn list(State(face): State<Face>, caller: Caller, Base(base): Base, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &TABLE)?;
    narrow(&mut asked.select, &caller);
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, FROM)?, asked)));
    let (page, asked) = read.await?;
    let roles = page.rows.iter().map(role::from_row).collect::<Result<Vec<_>, _>>()?;
    let objects = roles.iter().map(|role| v3::role(&base, role)).collect();
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(&format!("{base}/v3/roles"), page.total, objects)))
}

/// `DELETE /v3/roles/{guid}`.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let who = caller.clone();
    let unit = caller.unit().rows(move |tx| {
        let role = seen(tx, &who, &guid)?;
        match role.space {
            Some(space) => {
                let space = space::find(tx, space)?.ok_or_else(|| Error::Denied.noun())?;
                space_v2::check_changes(tx, &who, &space)?;
            }
            None => {
                let org = org::find(tx, role.org)?.ok_or_else(|| Error::Denied.noun())?;
                access::check_manages(tx, &who, &org)?;
            }
        }
        role::take(tx, role.org, role.space, role.user, &role.kind)?;
        Ok(role.tenant)
    });
    let tenant = face.store.write(unit).await?.value;
    job::done(&face, &base, tenant, "role.delete").await
}
