//! Claims: amounts taken from allotments, one at a time. Many at once: `batch.rs`.
//!
//! **Always.** An operator's and an admin's charge reads nothing before it is written: the unit is bound to their tenant, and
//! the writer finds what is not in it not there. Only a member's rights take a look.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use identity::Right;
use ledger::{AllotmentId, ClaimId, ClaimState, Side};
use store::{AllotmentFilter, Applied, ClaimFilter, NewClaim, SupplyRef, Unit};

use crate::access::View;
use crate::auth::Caller;
use crate::error::{Error, Fault};
use crate::input::{At, Params, Posted, reference, wrong};
use crate::reply::{self, Page};
use crate::wire::{self, State as ClaimWord};
use crate::{Api, idempotency};

/// The most claims of a batch.
pub const BATCH_MAX: usize = 1000;
/// How long a pending claim lives when nothing is said, and at most: an hour, and a year.
const LEASE_S: i64 = 3600;
const LEASE_S_MAX: i64 = 31_536_000;
/// The longest subject, in bytes: claims are found by it, and an entry of PostgreSQL's index holds no more than 2704.
const SUBJECT_BYTES_MAX: usize = 1024;
/// How many allotments a member's list looks through: each is some queries, and a page is answered within a moment.
const LOOKED_AT_MAX: usize = 1000;

/// `POST /claims`.
pub async fn create(State(api): State<Api>, caller: Caller, posted: Posted) -> Result<Response, Error> {
    let asked: wire::NewClaim = posted.json()?;
    let mut faults = Vec::new();
    let claim = plan(&api, asked, "", &mut faults);
    let claim = claim.filter(|_| faults.is_empty()).ok_or(Error::Invalid(faults))?;
    check_member(&api, &caller, &claim).await?;
    let unit = caller.unit().charge(claim);
    write(&api, &caller, unit, posted.key, StatusCode::CREATED).await
}

/// A claim to be made, as it was asked; faults are noted, at `pointer`.
pub fn plan(api: &Api, asked: wire::NewClaim, pointer: &str, faults: &mut Vec<Fault>) -> Option<NewClaim> {
    let before = faults.len();
    let mut fault = |field: &str, detail: &str| {
        faults.push(Fault { pointer: format!("{pointer}/{field}"), detail: detail.to_owned() });
    };
    let form = "must be an id, path:… or supply:…";
    let demand = reference(&asked.allotment_id);
    if demand.is_none() {
        fault("allotment_id", form);
    }
    let supply = match asked.supply_id.as_deref().map(reference) {
        None => SupplyRef::Default,
        Some(Some(at)) => SupplyRef::At(at),
        Some(None) => {
            fault("supply_id", form);
            SupplyRef::Default
        }
    };
    let is_pending = asked.state == Some(ClaimWord::Pending);
    if asked.expires_in.is_some() && !is_pending {
        fault("expires_in", "only a pending claim expires");
    }
    if asked.expires_in.is_some_and(|seconds| !(1..=LEASE_S_MAX).contains(&seconds)) {
        fault("expires_in", LEASE_FORM);
    }
    if asked.subject.as_deref().is_some_and(|subject| !is_subject(subject)) {
        fault("subject", SUBJECT_FORM);
    }
    let amounts = amounts(api, &asked.amounts, pointer, faults);
    if faults.len() > before {
        return None;
    }
    Some(NewClaim {
        id: ClaimId(api.store.new_id()),
        demand,
        supply,
        amounts,
        lease: is_pending.then(|| asked.expires_in.unwrap_or(LEASE_S)),
        subject: asked.subject,
        managed_by: None,
    })
}

const LEASE_FORM: &str = "must be 1 to 31536000 seconds";
const SUBJECT_FORM: &str = "must be at most 1024 bytes, none of them 0";

fn is_subject(text: &str) -> bool {
    text.len() <= SUBJECT_BYTES_MAX && !text.contains('\0')
}

fn amounts(api: &Api, asked: &wire::ByName<wire::Units>, pointer: &str, faults: &mut Vec<Fault>) -> ledger::Amounts {
    if asked.0.is_empty() {
        let detail = "must name at least one resource".to_owned();
        faults.push(Fault { pointer: format!("{pointer}/amounts"), detail });
    }
    asked.amounts(api.store.catalog(), (pointer, "amounts"), faults)
}

fn some_amounts(api: &Api, asked: Option<wire::ByName<wire::Units>>) -> Result<Option<ledger::Amounts>, Error> {
    let mut faults = Vec::new();
    let found = asked.map(|asked| amounts(api, &asked, "", &mut faults));
    if faults.is_empty() { Ok(found) } else { Err(Error::Invalid(faults)) }
}

/// That a member may claim here; for the others the unit itself sees to that.
pub async fn check_member(api: &Api, caller: &Caller, claim: &NewClaim) -> Result<(), Error> {
    match (&claim.demand, caller.member()) {
        (Some(demand), Some(_)) => api.allotment(caller, demand.clone(), Right::Claim).await.map(drop),
        _ => Ok(()),
    }
}

/// Writes a unit of steps on one claim, and answers the claim as it is after the last.
async fn write(
    api: &Api,
    caller: &Caller,
    unit: Unit,
    key: Option<idempotency::Key>,
    status: StatusCode,
) -> Result<Response, Error> {
    let unit = idempotency::guard(unit, caller, key, status, |applied: &Applied| {
        // A copy, for what is kept outlives what was applied.
        serde_json::to_value(applied.claims.last().map(wire::Claim::from)).unwrap_or_default()
    });
    let done = api.store.write(unit).await?;
    reply::json(status, &wire::Claim::from(&reply::only(done.claims)?))
}

/// `GET /claims/{id}`.
pub async fn show(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    reply::ok(&wire::Claim::from(&find(&api, &caller, at.id("claim")?, Right::Read).await?))
}

async fn find(api: &Api, caller: &Caller, id: ClaimId, right: Right) -> Result<store::Claim, Error> {
    let claim = api.store.read(move |tx| store::claims::find(tx, id)).await?.ok_or(Error::NotFound("claim"))?;
    api.check_leaf(caller, claim.demand, right).await?;
    Ok(claim)
}

/// The id of a claim that the caller may change, as far as that is not the unit's to see.
async fn changeable(api: &Api, caller: &Caller, at: &At) -> Result<ClaimId, Error> {
    let id = at.id("claim")?;
    if caller.member().is_some() {
        find(api, caller, id, Right::Claim).await?;
    }
    Ok(id)
}

/// `POST /claims/{id}/settle`.
pub async fn settle(State(api): State<Api>, caller: Caller, at: At, posted: Posted) -> Result<Response, Error> {
    let asked: wire::Settle = posted.json_or_default()?;
    let amounts = some_amounts(&api, asked.amounts)?;
    let id = at.id("claim")?;
    let settled = async {
        changeable(&api, &caller, &at).await?;
        write(&api, &caller, caller.unit().settle(id, amounts), posted.key, StatusCode::OK).await
    };
    match settled.await {
        Err(Error::NotFound(_) | Error::Store(store::Error::NotFound { .. })) => Err(late(&api, &caller, id).await?),
        other => other,
    }
}

/// Why a claim that is not there cannot be settled: it was, and the journal says that it has expired; or it never was.
async fn late(api: &Api, caller: &Caller, id: ClaimId) -> Result<Error, Error> {
    let sql = "SELECT allotment_id FROM journal WHERE kind = 'claim.expired' AND subject = $1 LIMIT 1";
    let found = api.store.read(move |tx| {
        let row = tx.query_opt(sql, &store::params![id.to_string()])?;
        row.map(|row| row.get::<Option<AllotmentId>>(0)).transpose()
    });
    let leaf = found.await?.ok_or(Error::NotFound("claim"))?;
    api.check_leaf(caller, leaf, Right::Claim).await?;
    Ok(store::Error::Conflict(format!("claim {id} has expired")).into())
}

/// `PATCH /claims/{id}`: resizes, renews, or both.
pub async fn change(State(api): State<Api>, caller: Caller, at: At, posted: Posted) -> Result<Response, Error> {
    let asked: wire::ClaimPatch = posted.json()?;
    let amounts = some_amounts(&api, asked.amounts)?;
    if asked.expires_in.is_some_and(|seconds| !(1..=LEASE_S_MAX).contains(&seconds)) {
        return Err(Error::invalid("/expires_in", LEASE_FORM));
    }
    let id = changeable(&api, &caller, &at).await?;
    let mut unit = caller.unit();
    match (amounts, asked.expires_in) {
        (None, None) => return reply::ok(&wire::Claim::from(&find(&api, &caller, id, Right::Claim).await?)),
        (amounts, lease) => {
            if let Some(amounts) = amounts {
                unit = unit.set(id, amounts);
            }
            if let Some(seconds) = lease {
                unit = unit.renew(id, seconds);
            }
        }
    }
    write(&api, &caller, unit, None, StatusCode::OK).await
}

/// `DELETE /claims/{id}`.
pub async fn release(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    let id = changeable(&api, &caller, &at).await?;
    api.store.write(caller.unit().release(id)).await?;
    Ok(reply::nothing())
}

/// `GET /claims`.
pub async fn list(State(api): State<Api>, caller: Caller, params: Params) -> Result<Response, Error> {
    let limit = params.limit()?;
    let states = [("pending", ClaimState::Pending), ("held", ClaimState::Held)];
    let mut filter = ClaimFilter {
        subject: params.text("subject"),
        state: params.word("state", &states)?,
        after: params.parse("after", "a claim's id")?,
        limit: limit + 1,
        ..ClaimFilter::default()
    };
    let found = match params.allotment("allotment")? {
        Some(reference) => {
            let at = api.allotment(&caller, reference, Right::Read).await?;
            // Claims are noted where they are asked for: a list of none would say that nothing lies there.
            if at.side == Side::Supply {
                return Err(wrong("allotment", "must be on the demand side: claims are listed by who asked for them"));
            }
            filter.allotment = Some(at.id);
            api.store.read(move |tx| store::claims::list(tx, &filter)).await?
        }
        None => {
            let view = api.view(&caller).await?;
            api.store.read(move |tx| seen(tx, &view, filter)).await?
        }
    };
    let page = Page::of(found, limit, |claim| claim.id.to_string(), |claim| claim.clone());
    let items = page.items.iter().map(wire::Claim::from).collect();
    reply::ok(&Page { items, next: page.next })
}

/// The claims of all that is in view. Where that is too much to look through, the caller is told so: a list that leaves
/// something out says nothing.
fn seen(tx: &mut store::Tx, view: &View, filter: ClaimFilter) -> Result<Vec<store::Claim>, store::Error> {
    let View::Below(tops) = view else {
        return store::claims::list(tx, &ClaimFilter { tenant: view.tenant(), ..filter });
    };
    let (mut found, mut looked_at) = (Vec::new(), 0);
    for top in tops {
        let limit = LOOKED_AT_MAX + 1 - looked_at;
        let below = AllotmentFilter { at_or_below: Some(top.id.into()), limit, ..AllotmentFilter::default() };
        let below = store::allotments::list(tx, &below)?;
        looked_at += below.len();
        if looked_at > LOOKED_AT_MAX {
            let why = format!("say allotment=, for you may see more than {LOOKED_AT_MAX} allotments");
            return Err(store::Error::Invalid(why));
        }
        for allotment in &below {
            let of_one = ClaimFilter { allotment: Some(allotment.id), ..filter.clone() };
            found.extend(store::claims::list(tx, &of_one)?);
        }
        // Only the first of each round can be on the page.
        found.sort_by_key(|claim: &store::Claim| claim.id);
        found.truncate(filter.limit);
    }
    Ok(found)
}
