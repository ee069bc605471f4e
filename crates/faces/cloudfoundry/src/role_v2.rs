//! Roles as v2 has them: lists of people on an organization or a space (specification, sections 3.2 and 3.3).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use store::{Error as StoreError, Tx, UserId};

use crate::auth::Caller;
use crate::body::{self, Kind, Params, Raw};
use crate::error::Error;
use crate::list::{Asked, Table};
use crate::org::Org;
use crate::reply::Reply;
use crate::role::{self, ORG_KINDS, SPACE_KINDS};
use crate::space::Space;
use crate::user::{self, Person};
use crate::wire::v2;
use crate::{Face, access, again, ids, org, space, space_v2};

const TABLE: Table = Table { name: "cf_roles", q: &[], filters: &[], by_name: false, strict: false };
const FROM: &str = "cf_roles JOIN users ON users.id = cf_roles.user_id";

/// v3's word of a role for v2's; a path with none of them is nobody's.
fn kind(of: &[(&'static str, &'static str)], name: &str) -> Result<&'static str, Error> {
    of.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or(Error::UnknownRequest)
}

/// `GET /v2/organizations/{guid}/{kind}`: `users`, `managers`, `billing_managers`, `auditors`.
pub async fn list_in_org(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name)): Path<(String, String)>,
    params: Params,
) -> Result<Reply, Error> {
    let kind = kind(&ORG_KINDS, &name)?;
    let mut asked = Asked::v2(&params, &TABLE)?;
    let path = format!("/v2/organizations/{guid}/{name}");
    let read = face.store.read(move |tx| {
        let org = org::need(tx, &caller, &guid)?;
        if !access::sees_org(tx, &caller, org.id)? {
            return Err(Error::Denied.noun());
        }
        asked.select.and_equal("cf_roles.organization_id", Some(org.id));
        asked.select.and("cf_roles.space_id IS NULL");
        asked.select.and_equal("cf_roles.kind", Some(kind));
        people(tx, asked)
    });
    let (total, people, asked) = read.await?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(&path, total, people)))
}

/// `GET /v2/spaces/{guid}/{kind}`: `developers`, `managers`, `auditors`, `supporters`.
pub async fn list_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name)): Path<(String, String)>,
    params: Params,
) -> Result<Reply, Error> {
    let kind = kind(&SPACE_KINDS, &name)?;
    let mut asked = Asked::v2(&params, &TABLE)?;
    let path = format!("/v2/spaces/{guid}/{name}");
    let read = face.store.read(move |tx| {
        let space = space_v2::seen(tx, &caller, &guid)?;
        asked.select.and_equal("cf_roles.space_id", Some(space.id));
        asked.select.and_equal("cf_roles.kind", Some(kind));
        people(tx, asked)
    });
    let (total, people, asked) = read.await?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(&path, total, people)))
}

fn people(tx: &mut Tx, asked: Asked) -> Result<(u64, Vec<Value>, Asked), StoreError> {
    let page = asked.read(tx, user::COLUMNS, FROM)?;
    let people = page.rows.iter().map(user::from_row).collect::<Result<Vec<Person>, _>>()?;
    Ok((page.total, people.iter().map(v2::user).collect(), asked))
}

/// Who a call is about: by guid in the path, or by name in the body.
#[derive(Clone)]
enum Who {
    Guid(String),
    Name(String),
}

impl Who {
    fn of(body: &bytes::Bytes) -> Result<Who, Error> {
        let map = body::v2(body, &[("username", Kind::Text, true)])?;
        Ok(Who::Name(map["username"].as_str().unwrap_or_default().to_owned()))
    }

    fn find(&self, tx: &mut Tx, tenant: store::TenantId) -> Result<UserId, StoreError> {
        match self {
            Who::Guid(guid) => role::person(tx, tenant, guid),
            Who::Name(name) => {
                let sql = "SELECT id FROM users WHERE email_key = $1 AND tenant_id = $2";
                let row = tx.query_opt(sql, &store::params![name.trim().to_lowercase(), tenant])?;
                let why = format!("The user could not be found: {name}");
                row.map(|row| row.get(0)).transpose()?.ok_or_else(|| Error::Relation(why).noun())
            }
        }
    }
}

/// `PUT /v2/organizations/{guid}/{kind}/{user}`.
pub async fn put_in_org(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name, user)): Path<(String, String, String)>,
) -> Result<Reply, Error> {
    give_in_org(face, caller, guid, kind(&ORG_KINDS, &name)?, Who::Guid(user)).await
}

/// `PUT /v2/organizations/{guid}/{kind}`, with a name in the body.
pub async fn put_in_org_by_name(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name)): Path<(String, String)>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    give_in_org(face, caller, guid, kind(&ORG_KINDS, &name)?, Who::of(&body)?).await
}

async fn give_in_org(face: Face, caller: Caller, guid: String, kind: &'static str, to: Who) -> Result<Reply, Error> {
    let given = again(|| async {
        let (who, guid, to, id) = (caller.clone(), guid.clone(), to.clone(), ids::guid(&face.store));
        let unit = caller.unit().rows(move |tx| {
            let org = org::need(tx, &who, &guid)?;
            access::check_manages(tx, &who, &org)?;
            let user = to.find(tx, org.tenant)?;
            role::put(tx, &role::New { id, tenant: org.tenant, user, org: org.id, space: None, kind })?;
            Ok(org)
        });
        Ok(face.store.write(unit).await?.value)
    });
    let org: Org = given.await?;
    Ok(Reply::v2(StatusCode::CREATED, &v2::org(&org)))
}

/// `DELETE /v2/organizations/{guid}/{kind}/{user}`.
pub async fn take_in_org(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name, user)): Path<(String, String, String)>,
) -> Result<Reply, Error> {
    let (kind, who) = (kind(&ORG_KINDS, &name)?, caller.clone());
    let unit = caller.unit().rows(move |tx| {
        let org = org::need(tx, &who, &guid)?;
        access::check_manages(tx, &who, &org)?;
        let user = role::person(tx, org.tenant, &user)?;
        role::take(tx, org.id, None, user, kind)
    });
    face.store.write(unit).await?;
    Ok(Reply::nothing())
}

/// `PUT /v2/spaces/{guid}/{kind}/{user}`: of one who is in the organization.
pub async fn put_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name, user)): Path<(String, String, String)>,
) -> Result<Reply, Error> {
    give_in_space(face, caller, guid, kind(&SPACE_KINDS, &name)?, Who::Guid(user)).await
}

/// `PUT /v2/spaces/{guid}/{kind}`, with a name in the body.
pub async fn put_in_space_by_name(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name)): Path<(String, String)>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    give_in_space(face, caller, guid, kind(&SPACE_KINDS, &name)?, Who::of(&body)?).await
}

async fn give_in_space(face: Face, caller: Caller, guid: String, kind: &'static str, to: Who) -> Result<Reply, Error> {
    let given = again(|| async {
        let (who, guid, to, id) = (caller.clone(), guid.clone(), to.clone(), ids::guid(&face.store));
        let unit = caller.unit().rows(move |tx| {
            let space = space::need(tx, &who, &guid)?;
            space_v2::check_changes(tx, &who, &space)?;
            let org = org::find(tx, space.org)?.ok_or_else(|| Error::Denied.noun())?;
            let user = to.find(tx, space.tenant)?;
            let user = role::member(tx, &org, &user.to_string())?;
            role::put(tx, &role::New { id, tenant: org.tenant, user, org: org.id, space: Some(space.id), kind })?;
            Ok(space)
        });
        Ok(face.store.write(unit).await?.value)
    });
    let space: Space = given.await?;
    Ok(Reply::v2(StatusCode::CREATED, &v2::space(&space)))
}

/// `DELETE /v2/spaces/{guid}/{kind}/{user}`: v2 answers with the space.
pub async fn take_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path((guid, name, user)): Path<(String, String, String)>,
) -> Result<Reply, Error> {
    let (kind, who) = (kind(&SPACE_KINDS, &name)?, caller.clone());
    let unit = caller.unit().rows(move |tx| {
        let space = space::need(tx, &who, &guid)?;
        space_v2::check_changes(tx, &who, &space)?;
        let user = role::person(tx, space.tenant, &user)?;
        role::take(tx, space.org, Some(space.id), user, kind)
    });
    face.store.write(unit).await?;
    Ok(Reply::nothing())
}

/// `GET /v2/users/{guid}/organizations`: where somebody has a role, as far as the caller sees it.
pub async fn orgs_of(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &org::TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_organizations");
    access::narrow_to_orgs(&mut asked.select, &caller, "cf_organizations.id");
    let user = asked.select.bind(guid.as_str());
    asked.select.and(format!("cf_organizations.id IN (SELECT organization_id FROM cf_roles WHERE user_id = {user})"));
    let read = face.store.read(move |tx| Ok((asked.read(tx, org::COLUMNS, "cf_organizations")?, asked)));
    let (page, asked) = read.await?;
    let orgs = page.rows.iter().map(org::from_row).collect::<Result<Vec<_>, _>>()?;
    let path = format!("/v2/users/{guid}/organizations");
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(&path, page.total, orgs.iter().map(v2::org).collect())))
}

/// `GET /v2/spaces/{guid}/user_roles`: everybody in a space, with what they are there.
pub async fn roles_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    let path = format!("/v2/spaces/{guid}/user_roles");
    let read = face.store.read(move |tx| {
        let space = space_v2::seen(tx, &caller, &guid)?;
        asked.select.and_equal("cf_roles.space_id", Some(space.id));
        let columns = format!("{}, cf_roles.kind", user::COLUMNS);
        let page = asked.read(tx, &columns, FROM)?;
        let mut people = Vec::new();
        for row in &page.rows {
            let mut person = v2::user(&user::from_row(row)?);
            person["entity"]["space_roles"] = json!([row.get::<String>(6)?]);
            people.push(person);
        }
        Ok((page.total, people, asked))
    });
    let (total, people, asked) = read.await?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(&path, total, people)))
}
