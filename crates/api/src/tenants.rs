//! Tenants: customers. Operators make and limit them; an admin reads their own.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use identity::{NewTenant, Tenant};
use store::{AllotmentPatch, AllotmentRef, TenantId, Unit};

use crate::allotments::{limits, new_limits, title};
use crate::auth::Caller;
use crate::error::Error;
use crate::input::{At, Params, Posted, wrong};
use crate::reply::{self, Page};
use crate::{Api, wire};

/// Only operators make, change and remove tenants.
fn check_operator(caller: &Caller) -> Result<(), Error> {
    if caller.is_operator() { Ok(()) } else { Err(Error::Forbidden("tenants are an operator's to make and change")) }
}

/// `POST /tenants`.
pub async fn create(State(api): State<Api>, caller: Caller, posted: Posted) -> Result<Response, Error> {
    check_operator(&caller)?;
    let asked: wire::NewTenant = posted.json()?;
    let mut faults = Vec::new();
    let name = asked.name.parse().map_err(|error: ledger::NameError| Error::invalid("/name", error.to_string()))?;
    let (limits, title) = (
        new_limits(api.store.catalog(), &asked.limits, &mut faults),
        title(asked.title.unwrap_or_default(), &mut faults),
    );
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let aside = api.set_aside(&caller, posted.key).await?;
    let known = if aside.is_old { api.identity.tenant(TenantId(aside.id)).await? } else { None };
    let tenant = match known {
        Some(known) => known,
        None => {
            let new = NewTenant { id: Some(aside.id), name, title, limits };
            api.identity.create_tenant(caller.actor(), new).await?
        }
    };
    answer(&api, StatusCode::CREATED, tenant).await
}

async fn answer(api: &Api, status: StatusCode, tenant: Tenant) -> Result<Response, Error> {
    let mut shown = shown(api, vec![tenant]).await?;
    reply::json(status, &shown.pop().ok_or(Error::NotFound("tenant"))?)
}

/// Tenants with what they count.
async fn shown(api: &Api, tenants: Vec<Tenant>) -> Result<Vec<wire::Tenant>, Error> {
    let read = api.store.read(move |tx| {
        let show = |tenant: Tenant| {
            let root = store::allotments::find(tx, &AllotmentRef::from(tenant.id))?;
            let Tenant { id, name, title, created_at } = tenant;
            let counts = root.as_ref().map(wire::Counts::of);
            Ok(wire::Tenant { id, name, title, counts, created_at: wire::Time(created_at) })
        };
        tenants.into_iter().map(show).collect()
    });
    Ok(read.await?)
}

impl Api {
    /// A tenant by its id or name, if the caller runs it.
    pub async fn tenant(&self, caller: &Caller, text: &str) -> Result<Tenant, Error> {
        let found = match text.parse::<TenantId>() {
            Ok(id) => self.identity.tenant(id).await?,
            Err(_) if text.contains('\0') => None,
            Err(_) => self.identity.tenant_by_name(text.strip_prefix("path:").unwrap_or(text)).await?,
        };
        found.filter(|tenant| caller.runs(Some(tenant.id))).ok_or(Error::NotFound("tenant"))
    }
}

/// `GET /tenants`.
pub async fn list(State(api): State<Api>, caller: Caller, params: Params) -> Result<Response, Error> {
    let limit = params.limit()?;
    let found = match caller.tenant_scope() {
        None => {
            let after = params.text("after");
            let mut found = api.identity.tenants(after.as_deref(), limit).await?;
            // Of a full page the next shows whether there is one: identity's lists are no longer than pages.
            if found.len() == limit
                && let Some(last) = found.last().map(|tenant| tenant.name.clone())
            {
                found.extend(api.identity.tenants(Some(&last), 1).await?);
            }
            found
        }
        Some(own) => {
            let own = api.identity.tenant(own).await?.filter(|own| caller.runs(Some(own.id)));
            own.into_iter().filter(|own| params.get("after").is_none_or(|after| own.name.as_str() > after)).collect()
        }
    };
    let page = Page::of(found, limit, |tenant| tenant.name.clone(), Tenant::clone);
    reply::ok(&Page { items: shown(&api, page.items).await?, next: page.next })
}

/// `GET /tenants/{id}`.
pub async fn show(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    let tenant = api.tenant(&caller, at.text()).await?;
    answer(&api, StatusCode::OK, tenant).await
}

/// `PATCH /tenants/{id}`.
pub async fn change(State(api): State<Api>, caller: Caller, at: At, posted: Posted) -> Result<Response, Error> {
    let tenant = api.tenant(&caller, at.text()).await?;
    check_operator(&caller)?;
    let asked: wire::TenantPatch = posted.json()?;
    let mut faults = Vec::new();
    let patch = AllotmentPatch {
        title: asked.title.map(|text| title(text.unwrap_or_default(), &mut faults)),
        limits: limits(api.store.catalog(), &asked.limits, &mut faults),
        ..AllotmentPatch::default()
    };
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    if patch.title.is_some() || !patch.limits.is_empty() {
        let root = AllotmentRef::from(tenant.id);
        api.store.write(Unit::by(caller.actor()).change_allotment(root, patch)).await?;
    }
    let tenant = api.tenant(&caller, &tenant.id.to_string()).await?;
    answer(&api, StatusCode::OK, tenant).await
}

/// `DELETE /tenants/{id}`.
pub async fn remove(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    let tenant = api.tenant(&caller, at.text()).await?;
    check_operator(&caller)?;
    api.identity.remove_tenant(caller.actor(), tenant.id).await?;
    Ok(reply::nothing())
}

/// The tenant that a list is asked of: a parameter, or the caller's own.
pub async fn of_list(api: &Api, caller: &Caller, params: &Params) -> Result<Option<TenantId>, Error> {
    match params.get("tenant") {
        Some(text) if text.len() > 255 => Err(wrong("tenant", "must be a tenant's id or name")),
        Some(text) => Ok(Some(api.tenant(caller, text).await?.id)),
        None => Ok(caller.tenant_scope()),
    }
}
