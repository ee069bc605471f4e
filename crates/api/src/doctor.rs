//! `GET /doctor`: everything recounted.
//!
//! **Bounds.** A recount reads every row, so there is one at a time, whoever asks.

use std::collections::HashSet;

use axum::extract::State;
use axum::response::Response;
use ledger::AllotmentId;
use store::{AllotmentFilter, AllotmentRef, ClaimFilter, TenantId, Tx};

use crate::access::View;
use crate::auth::Caller;
use crate::error::Error;
use crate::input::PAGE_MAX;
use crate::{Api, reply, wire};

/// `GET /doctor`: what is wrong of what the caller administers.
pub async fn run(State(api): State<Api>, caller: Caller) -> Result<Response, Error> {
    let view = api.owned(&caller).await?;
    let (recount, audit, own) = {
        let _turn = api.doctor.lock().await;
        (api.store.doctor().await?, api.content.audit().await?, own_counts(&api, &caller, &view).await?)
    };
    let found = recount.drift.into_iter().filter(|(tenant, text)| is_in_view(&view, *tenant, text));
    let mut drift: Vec<String> = found.map(|(_, text)| text).collect();
    // Blobs and volumes are told by their ids, not by whose they are.
    let checked = match own {
        Some((allotments, claims)) => wire::CheckedCounts { allotments, claims, blobs: 0, volumes: 0 },
        None => {
            drift.extend(audit.drift);
            let (allotments, claims) = (recount.allotments, recount.claims);
            wire::CheckedCounts { allotments, claims, blobs: audit.checked, volumes: audit.volumes }
        }
    };
    reply::ok(&wire::Doctor { ok: drift.is_empty(), checked, drift })
}

/// How many allotments and claims are the caller's; none for an operator, whose are all.
async fn own_counts(api: &Api, caller: &Caller, view: &View) -> Result<Option<(u64, u64)>, Error> {
    let Some(tenant) = caller.tenant_scope() else { return Ok(None) };
    let view = view.clone();
    let counts = api.store.read(move |tx| {
        let own = own_allotments(tx, tenant, &view)?;
        Ok((own.len() as u64, claims_on(tx, tenant, &own)?))
    });
    Ok(Some(counts.await?))
}

fn own_allotments(tx: &mut Tx, tenant: TenantId, view: &View) -> Result<HashSet<AllotmentId>, store::Error> {
    let tops: Vec<AllotmentRef> = match view {
        View::Below(tops) => tops.iter().map(|top| top.id.into()).collect(),
        View::All | View::Tenant(_) => vec![tenant.into()],
    };
    let mut own = HashSet::new();
    for top in tops {
        let mut filter = AllotmentFilter { at_or_below: Some(top), limit: PAGE_MAX, ..AllotmentFilter::default() };
        loop {
            let page = store::allotments::list(tx, &filter)?;
            own.extend(page.iter().map(|allotment| allotment.id));
            let Some(last) = page.last() else { break };
            filter.after = Some((last.side, last.path.clone()));
        }
    }
    Ok(own)
}

fn claims_on(tx: &mut Tx, tenant: TenantId, own: &HashSet<AllotmentId>) -> Result<u64, store::Error> {
    let mut filter = ClaimFilter { tenant: Some(tenant), limit: PAGE_MAX, ..ClaimFilter::default() };
    let mut count = 0;
    loop {
        let page = store::claims::list(tx, &filter)?;
        let is_own = |claim: &&store::Claim| claim.demand.is_some_and(|demand| own.contains(&demand));
        count += page.iter().filter(is_own).count() as u64;
        let Some(last) = page.last() else { return Ok(count) };
        filter.after = Some(last.id);
    }
}

/// Whether a finding is about what is in view: each begins with the path of what it is about.
fn is_in_view(view: &View, tenant: Option<TenantId>, text: &str) -> bool {
    match view {
        View::All => true,
        View::Tenant(own) => tenant == Some(*own),
        View::Below(tops) => tops.iter().any(|top| {
            let rest = text.strip_prefix(top.path.as_str());
            tenant == top.tenant() && rest.is_some_and(|rest| rest.starts_with([':', '/', ' ']))
        }),
    }
}
