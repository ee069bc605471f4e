//! Routes: each takes one of its space's and organization's; one with a reserved port takes a port, too (specification,
//! section 3.5).

use axum::extract::{Path, State};
use http::StatusCode;
use ledger::{Amounts, ClaimId, Resource};
use serde_json::{Map, Value};
use store::{Error as StoreError, Micros, Row, TenantId, Tx, params};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::{self, Field, Kind, Params, Raw};
use crate::domain::{self, Domain};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId, SpaceId};
use crate::list::{Asked, Table};
use crate::over::{self, Subject};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::space::{self, Space};
use crate::wire::v2;
use crate::{Face, access, again, app, quota, space_v2};

/// The ports that are handed out when none is named.
const PORTS: std::ops::Range<i64> = 1024..65_536;
/// The longest host and path.
const HOST_MAX: usize = 63;
const PATH_MAX: usize = 128;

const TABLE: Table = Table {
    name: "cf_routes",
    q: &[
        ("host", "cf_routes.host {}"),
        ("domain_guid", "cf_routes.domain_id {}"),
        ("organization_guid", "cf_routes.organization_id {}"),
        ("path", "cf_routes.path {}"),
        ("port", "cf_routes.port {}"),
    ],
    filters: &[],
    by_name: false,
    strict: false,
};
const FIELDS: &[Field] = &[
    ("domain_guid", Kind::Text, true),
    ("space_guid", Kind::Text, true),
    ("host", Kind::Text, false),
    ("path", Kind::Text, false),
    ("port", Kind::Int, false),
];

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its id, which is its claim's.
    pub id: Uuid,
    /// Whose customer's.
    pub tenant: TenantId,
    /// In which organization.
    pub org: OrgId,
    /// In which space.
    pub space: SpaceId,
    /// On which domain.
    pub domain: Uuid,
    /// What stands before the domain.
    pub host: String,
    /// What follows it.
    pub path: String,
    /// The reserved port; 0 is none.
    pub port: i64,
    /// Whether the domain is one organization's own.
    pub private: bool,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

const COLUMNS: &str = "cf_routes.id, cf_routes.tenant_id, cf_routes.organization_id, cf_routes.space_id, \
    cf_routes.domain_id, cf_routes.host, cf_routes.path, cf_routes.port, \
    (SELECT d.organization_id IS NOT NULL FROM cf_domains d WHERE d.id = cf_routes.domain_id), cf_routes.created_at, \
    cf_routes.updated_at";

fn from_row(row: &Row) -> Result<Route, StoreError> {
    Ok(Route {
        id: row.get(0)?,
        tenant: row.get(1)?,
        org: row.get(2)?,
        space: row.get(3)?,
        domain: row.get(4)?,
        host: row.get(5)?,
        path: row.get(6)?,
        port: row.get(7)?,
        private: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

fn invalid(why: &str) -> StoreError {
    Error::Invalid(Noun::Route, why.to_owned()).noun()
}

/// What a body asks for, on a domain and in a space that are there.
fn read(tx: &mut Tx, caller: &Caller, map: &Map<String, Value>, any_port: bool, id: Uuid) -> Result<Route, StoreError> {
    let text = |name: &str| map.get(name).and_then(Value::as_str).unwrap_or_default();
    let (domain, space) = (text("domain_guid"), text("space_guid"));
    let missing = |class: &str, guid: &str| {
        Error::Relation(format!("Could not find VCAP::CloudController::{class} with guid: {guid}")).noun()
    };
    let domain = domain::known(tx, caller, domain)?.ok_or_else(|| missing("Domain", domain))?;
    let space = space::known(tx, caller, space)?.ok_or_else(|| missing("Space", space))?;
    if domain.tenant != space.tenant || domain.org.is_some_and(|org| org != space.org) {
        return Err(invalid("domain invalid_relation"));
    }
    let (host, path) = (text("host").to_lowercase(), text("path").to_owned());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if host != "*" && (host.len() > HOST_MAX || !host.bytes().all(plain)) {
        return Err(invalid("host format"));
    }
    if !path.is_empty() && (!path.starts_with('/') || path == "/" || path.contains('?') || path.len() > PATH_MAX) {
        return Err(invalid("path invalid_path"));
    }
    let port = map.get("port").map_or(0, |port| port.as_i64().unwrap_or(-1));
    if !(0..65_536).contains(&port) {
        return Err(invalid("port invalid_port"));
    }
    let is_tcp = domain.router_group.is_some();
    let port = match (is_tcp, port) {
        (true, 0) if any_port => free_port(tx, &domain)?,
        (true, 0) => return Err(invalid("port port_required")),
        (false, 1..) => return Err(invalid("port port_unsupported")),
        (_, port) => port,
    };
    if is_tcp && !(host.is_empty() && path.is_empty()) {
        return Err(invalid("host_and_path_domain_tcp"));
    }
    access::check_develops(tx, caller, &space)?;
    Ok(of(&domain, &space, id, host, path, port))
}

fn of(domain: &Domain, space: &Space, id: Uuid, host: String, path: String, port: i64) -> Route {
    Route {
        id,
        tenant: space.tenant,
        org: space.org,
        space: space.id,
        domain: domain.id,
        host,
        path,
        port,
        private: domain.org.is_some(),
        created_at: 0,
        updated_at: 0,
    }
}

/// The lowest port that nobody has on this domain, above those that somebody has in a row.
fn free_port(tx: &mut Tx, domain: &Domain) -> Result<i64, StoreError> {
    let sql = "SELECT COALESCE(MIN(a.port), 0) + 1 FROM cf_routes a WHERE a.domain_id = $1 AND a.port >= $2 \
        AND NOT EXISTS (SELECT 1 FROM cf_routes b WHERE b.domain_id = $1 AND b.port = a.port + 1)";
    let first =
        tx.query_opt("SELECT 1 FROM cf_routes WHERE domain_id = $1 AND port = $2", &params![domain.id, PORTS.start])?;
    if first.is_none() {
        return Ok(PORTS.start);
    }
    let port: i64 =
        tx.query_opt(sql, &params![domain.id, PORTS.start])?.map(|row| row.get(0)).transpose()?.unwrap_or(0);
    if PORTS.contains(&port) { Ok(port) } else { Err(invalid("port no_ports_left")) }
}

/// That nobody has this address.
fn check_address(tx: &mut Tx, route: &Route) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_routes WHERE domain_id = $1 AND host = $2 AND path = $3 AND port = $4";
    if tx.query_opt(sql, &params![route.domain, &route.host, &route.path, route.port])?.is_none() {
        return Ok(());
    }
    let (what, which) = match route {
        route if route.port > 0 => ("port", route.port.to_string()),
        route if !route.path.is_empty() => ("path", route.path.clone()),
        route => ("host", route.host.clone()),
    };
    Err(Error::RouteTaken(what, which).noun())
}

fn insert(tx: &mut Tx, route: &Route) -> Result<Route, StoreError> {
    check_address(tx, route)?;
    let now = tx.now();
    let sql = "INSERT INTO cf_routes (id, tenant_id, organization_id, space_id, domain_id, host, path, port, created_at, \
        updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)";
    let values = params![
        route.id,
        route.tenant,
        route.org,
        route.space,
        route.domain,
        &route.host,
        &route.path,
        route.port,
        now
    ];
    tx.execute(sql, &values)?;
    Ok(Route { created_at: now, updated_at: now, ..route.clone() })
}

/// `POST /v2/routes`; with `generate_port=true` on any free port.
pub async fn create(State(face): State<Face>, caller: Caller, params: Params, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, FIELDS)?;
    let any_port = params.is_set("generate_port");
    let made = again(|| async {
        let (who, map, id) = (caller.clone(), map.clone(), ids::guid(&face.store));
        let planned = face.store.read(move |tx| {
            let route = read(tx, &who, &map, any_port, id)?;
            check_address(tx, &route)?;
            Ok(route)
        });
        let route = planned.await?;
        let space = route.space;
        let amounts = Amounts::new().with(Resource::ROUTES, 1);
        let amounts = amounts.and_then(|amounts| match route.port {
            0 => Ok(amounts),
            _ => amounts.with(Resource::RESERVED_PORTS, 1),
        });
        let amounts = amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))?;
        let unit = caller.unit().charge(app::claim(id, space, amounts, "route"));
        let written = face.store.write(unit.rows(move |tx| insert(tx, &route))).await;
        match written.map_err(|error| over::refused(Subject::Route, Some(space), error, Vec::new())) {
            // Another took the free port at the same moment: there are more.
            Err(Error::RouteTaken("port", _)) if any_port => Err(Error::Moved),
            other => Ok(other?.value),
        }
    });
    Ok(Reply::v2_created(&v2::route(&made.await?)))
}

/// A route that is there for the caller, and its space.
fn find(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(Route, Space), StoreError> {
    let missing = || Error::NotFound(Noun::Route, guid.to_owned()).noun();
    let id = ids::parse(guid).ok_or_else(missing)?;
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM cf_routes WHERE id = $1"), &params![id])?;
    let route = row.as_ref().map(from_row).transpose()?.ok_or_else(missing)?;
    let space = space::find(tx, route.space)?.filter(|space| caller.knows(space.tenant)).ok_or_else(missing)?;
    Ok((route, space))
}

/// `GET /v2/routes/{guid}`.
pub async fn get(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| {
        let (route, space) = find(tx, &caller, &guid)?;
        if access::sees_space(tx, &caller, &space)? { Ok(route) } else { Err(Error::Denied.noun()) }
    });
    Ok(Reply::v2(StatusCode::OK, &v2::route(&read.await?)))
}

/// `GET /v2/routes`.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_routes");
    access::narrow_to_spaces(&mut asked.select, &caller, "cf_routes.space_id", "cf_routes.organization_id");
    listed(face, asked, "/v2/routes").await
}

/// `GET /v2/spaces/{guid}/routes`.
pub async fn list_in_space(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    let path = format!("/v2/spaces/{guid}/routes");
    let space = face.store.read(move |tx| space_v2::seen(tx, &caller, &guid)).await?;
    asked.select.and_equal("cf_routes.space_id", Some(space.id));
    listed(face, asked, &path).await
}

async fn listed(face: Face, asked: Asked, path: &str) -> Result<Reply, Error> {
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_routes")?, asked)));
    let (page, asked) = read.await?;
    let routes = page.rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, page.total, routes.iter().map(v2::route).collect())))
}

/// `DELETE /v2/routes/{guid}`.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let (route, space) = find(tx, &who, &guid)?;
            access::check_develops(tx, &who, &space)?;
            Ok(route.id)
        });
        let id = read.await?;
        let unit = caller
            .unit()
            .release(ClaimId(id))
            .rows(move |tx| quota::moved_if_none(tx.execute("DELETE FROM cf_routes WHERE id = $1", &params![id])?));
        Ok(face.store.write(unit).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}
