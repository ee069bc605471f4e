//! Domains: shared by all organizations of a tenant, or one organization's own, which takes from its quota (specification,
//! section 3.5).

use axum::extract::{Path, State};
use http::StatusCode;
use ledger::{Amounts, ClaimId, Resource};
use store::{Error as StoreError, Managed, Micros, NewClaim, Row, SupplyRef, TenantId, Tx, params};
use uuid::Uuid;

use crate::auth::Caller;
use crate::body::{self, Kind, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId};
use crate::list::{Asked, Table};
use crate::quota_v2::removed_reply;
use crate::reply::Reply;
use crate::wire::v2;
use crate::{Face, access, again, org, quota};

/// The longest name, as DNS has it.
const NAME_MAX: usize = 253;

const TABLE: Table = Table {
    name: "cf_domains",
    q: &[("name", "cf_domains.name {}"), ("owning_organization_guid", "cf_domains.organization_id {}")],
    filters: &[],
    by_name: false,
    strict: false,
};

/// A domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its id; one of an organization has a claim of the same.
    pub id: Uuid,
    /// Whose customer's.
    pub tenant: TenantId,
    /// The organization it belongs to; none: it is shared.
    pub org: Option<OrgId>,
    /// Unique in the tenant.
    pub name: String,
    /// Whatever routes TCP for it; none: it is for HTTP.
    pub router_group: Option<String>,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

const COLUMNS: &str = "cf_domains.id, cf_domains.tenant_id, cf_domains.organization_id, cf_domains.name, \
    cf_domains.router_group, cf_domains.created_at, cf_domains.updated_at";

fn from_row(row: &Row) -> Result<Domain, StoreError> {
    Ok(Domain {
        id: row.get(0)?,
        tenant: row.get(1)?,
        org: row.get(2)?,
        name: row.get(3)?,
        router_group: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// A domain that is there for the caller.
pub fn known(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Option<Domain>, StoreError> {
    let Some(id) = ids::parse(guid) else { return Ok(None) };
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM cf_domains WHERE id = $1"), &params![id])?;
    let domain = row.as_ref().map(from_row).transpose()?;
    Ok(domain.filter(|domain| caller.knows(domain.tenant)))
}

/// One that the caller sees: shared, or of an organization they see.
fn seen(tx: &mut Tx, caller: &Caller, guid: &str, shared: bool) -> Result<Domain, StoreError> {
    let found = known(tx, caller, guid)?.filter(|domain| domain.org.is_none() == shared);
    let domain = found.ok_or_else(|| Error::NotFound(Noun::Domain, guid.to_owned()).noun())?;
    match domain.org {
        Some(org) if !access::sees_org(tx, caller, org)? => Err(Error::Denied.noun()),
        _ => Ok(domain),
    }
}

fn name(text: &str) -> Result<String, Error> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_one = text.len() <= NAME_MAX && text.contains('.') && text.split('.').all(label);
    if is_one { Ok(text.to_lowercase()) } else { Err(Error::Invalid(Noun::Domain, "name format".to_owned())) }
}

fn check_name(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_domains WHERE tenant_id = $1 AND name = $2";
    let taken = tx.query_opt(sql, &params![tenant, name])?;
    taken.map_or(Ok(()), |_| Err(Error::Taken(Noun::Domain, name.to_owned()).noun()))
}

fn insert(tx: &mut Tx, domain: &Domain) -> Result<Domain, StoreError> {
    check_name(tx, domain.tenant, &domain.name)?;
    let now = tx.now();
    let sql = "INSERT INTO cf_domains (id, tenant_id, organization_id, name, router_group, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $6)";
    tx.execute(sql, &params![domain.id, domain.tenant, domain.org, &domain.name, domain.router_group.clone(), now])?;
    Ok(Domain { created_at: now, updated_at: now, ..domain.clone() })
}

/// `POST /v2/shared_domains`: admins only.
pub async fn create_shared(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let map = body::v2(&body, &[("name", Kind::Text, true), ("router_group_guid", Kind::Text, false)])?;
    let name = name(map["name"].as_str().unwrap_or_default())?;
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let router_group = map.get("router_group_guid").and_then(|guid| guid.as_str()).map(str::to_owned);
    let (id, who) = (ids::guid(&face.store), caller.clone());
    let unit = caller.unit().rows(move |tx| {
        let (name, router_group) = (name.clone(), router_group.clone());
        let tenant = org::home(tx, &who, None)?;
        insert(tx, &Domain { id, tenant, org: None, name, router_group, created_at: 0, updated_at: 0 })
    });
    Ok(Reply::v2_created(&v2::domain(&face.store.write(unit).await?.value)))
}

/// `POST /v2/private_domains`: takes from the organization's quota.
pub async fn create_private(State(face): State<Face>, caller: Caller, Raw(body): Raw) -> Result<Reply, Error> {
    let fields = [("name", Kind::Text, true), ("owning_organization_guid", Kind::Text, true)];
    let map = body::v2(&body, &fields)?;
    let name = name(map["name"].as_str().unwrap_or_default())?;
    let guid = map["owning_organization_guid"].as_str().unwrap_or_default().to_owned();
    let (who, called) = (caller.clone(), name.clone());
    let read = face.store.read(move |tx| {
        let class = "VCAP::CloudController::Organization";
        let missing = || Error::Relation(format!("Could not find {class} with guid: {guid}")).noun();
        let org = org::known(tx, &who, &guid)?.ok_or_else(missing)?;
        access::check_manages(tx, &who, &org)?;
        check_name(tx, org.tenant, &called)?;
        Ok(org)
    });
    let org = read.await?;
    let id = ids::guid(&face.store);
    let (tenant, owner) = (org.tenant, Some(org.id));
    let domain = Domain { id, tenant, org: owner, name, router_group: None, created_at: 0, updated_at: 0 };
    let amounts = Amounts::new().with(Resource::DOMAINS, 1);
    let amounts = amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))?;
    let claim = NewClaim {
        supply: SupplyRef::None,
        managed_by: Some(Managed::new("cloudfoundry", "domain", id)),
        ..NewClaim::held(ClaimId(id), org.id.allotment(), amounts)
    };
    let unit = caller.unit().charge(claim).rows(move |tx| insert(tx, &domain));
    match face.store.write(unit).await {
        Ok(done) => Ok(Reply::v2_created(&v2::domain(&done.value))),
        Err(StoreError::Refused(_)) => Err(Error::Domains(org.name)),
        Err(error) => Err(error.into()),
    }
}

/// `GET /v2/shared_domains/{guid}`.
pub async fn get_shared(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let domain = face.store.read(move |tx| seen(tx, &caller, &guid, true)).await?;
    Ok(Reply::v2(StatusCode::OK, &v2::domain(&domain)))
}

/// `GET /v2/private_domains/{guid}`.
pub async fn get_private(State(face): State<Face>, caller: Caller, Path(guid): Path<String>) -> Result<Reply, Error> {
    let domain = face.store.read(move |tx| seen(tx, &caller, &guid, false)).await?;
    Ok(Reply::v2(StatusCode::OK, &v2::domain(&domain)))
}

/// `GET /v2/shared_domains`.
pub async fn list_shared(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    asked.select.and("cf_domains.organization_id IS NULL");
    listed(face, caller, asked, "/v2/shared_domains").await
}

/// `GET /v2/private_domains`.
pub async fn list_private(State(face): State<Face>, caller: Caller, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    asked.select.and("cf_domains.organization_id IS NOT NULL");
    access::narrow_to_orgs(&mut asked.select, &caller, "cf_domains.organization_id");
    listed(face, caller, asked, "/v2/private_domains").await
}

/// `GET /v2/organizations/{guid}/private_domains`.
pub async fn list_of_org(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    let mut asked = Asked::v2(&params, &TABLE)?;
    let path = format!("/v2/organizations/{guid}/private_domains");
    let who = caller.clone();
    let org = face.store.read(move |tx| org::need(tx, &who, &guid)).await?;
    asked.select.and_equal("cf_domains.organization_id", Some(org.id));
    access::narrow_to_orgs(&mut asked.select, &caller, "cf_domains.organization_id");
    listed(face, caller, asked, &path).await
}

async fn listed(face: Face, caller: Caller, mut asked: Asked, path: &str) -> Result<Reply, Error> {
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_domains");
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_domains")?, asked)));
    let (page, asked) = read.await?;
    let domains = page.rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::v2(StatusCode::OK, &asked.v2_frame(path, page.total, domains.iter().map(v2::domain).collect())))
}

/// `DELETE /v2/shared_domains/{guid}`.
pub async fn remove_shared(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    remove(face, caller, guid, params, true).await
}

/// `DELETE /v2/private_domains/{guid}`.
pub async fn remove_private(
    State(face): State<Face>,
    caller: Caller,
    Path(guid): Path<String>,
    params: Params,
) -> Result<Reply, Error> {
    remove(face, caller, guid, params, false).await
}

async fn remove(face: Face, caller: Caller, guid: String, params: Params, shared: bool) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let domain = seen(tx, &who, &guid, shared)?;
            let org = domain.org.map(|org| org::find(tx, org)).transpose()?.flatten();
            match org {
                Some(org) => access::check_manages(tx, &who, &org)?,
                None if who.is_admin() => {}
                None => return Err(Error::Denied.noun()),
            }
            if tx.query_opt("SELECT 1 FROM cf_routes WHERE domain_id = $1 LIMIT 1", &params![domain.id])?.is_some() {
                return Err(Error::NotEmpty("routes", "domains").noun());
            }
            Ok(domain)
        });
        let domain = read.await?;
        let mut unit = caller.unit();
        if domain.org.is_some() {
            unit = unit.release(ClaimId(domain.id));
        }
        let unit = unit.rows(move |tx| {
            quota::moved_if_none(tx.execute("DELETE FROM cf_domains WHERE id = $1", &params![domain.id])?)
        });
        Ok(face.store.write(unit).await.map(drop)?)
    });
    removed.await?;
    Ok(removed_reply(&face, &params))
}
