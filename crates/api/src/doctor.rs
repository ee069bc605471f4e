//! `GET /doctor`: everything recounted.
//!
//! **Bounds.** A recount reads every row, so there is one at a time, whoever asks.

use axum::extract::State;
use axum::response::Response;
use store::TenantId;

use crate::access::View;
use crate::auth::Caller;
use crate::error::Error;
use crate::{Api, reply, wire};

/// `GET /doctor`: what is wrong of what the caller administers.
pub async fn run(State(api): State<Api>, caller: Caller) -> Result<Response, Error> {
    let view = api.view(&caller).await?;
    let (recount, audit) = {
        let _turn = api.doctor.lock().await;
        (api.store.doctor().await?, api.content.audit().await?)
    };
    let own = recount.drift.into_iter().filter(|(tenant, text)| is_in_view(&view, *tenant, text));
    let mut drift: Vec<String> = own.map(|(_, text)| text).collect();
    // Blobs are told by their ids, not by whose they are.
    if caller.is_operator() {
        drift.extend(audit.drift);
    }
    let checked = wire::CheckedCounts {
        allotments: recount.allotments,
        claims: recount.claims,
        blobs: audit.checked,
        // There are none yet.
        volumes: 0,
    };
    reply::ok(&wire::Doctor { ok: drift.is_empty(), checked, drift })
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
