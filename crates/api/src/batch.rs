//! Many claims in one call, and whether claims would be admitted.
//!
//! **Shape.** Atomic: one unit with all charges. Otherwise that is tried, too: where all fit, one unit admits what a thousand
//! would. If anything is refused, it is a unit a claim, all of them on the writer's queue before the first is waited for, so
//! that few commits hold them all.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::Poll;

use axum::extract::State;
use axum::response::Response;
use futures_util::future::{MaybeDone, maybe_done};
use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use store::{AllotmentRef, Applied, Done, NewClaim};

use crate::auth::Caller;
use crate::claims::{BATCH_MAX, check_member, plan};
use crate::error::{Error, Problem};
use crate::idempotency::Key;
use crate::input::{BATCH_BYTES_MAX, Posted};
use crate::wire::{self, Outcome, Results};
use crate::{Api, idempotency, reply};

/// How long the answer for a claim is, more or less.
const ANSWER_BYTES: usize = 420;

/// `POST /claims/batch`.
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    posted: Posted<BATCH_BYTES_MAX>,
) -> Result<Response, Error> {
    let asked: wire::Batch = posted.json()?;
    let is_atomic = asked.atomic;
    let claims = plan_all(&api, asked)?;
    match is_atomic {
        true => all_or_none(&api, &caller, claims, posted.key).await,
        false => each(&api, &caller, claims, posted.key).await,
    }
}

fn plan_all(api: &Api, asked: wire::Batch) -> Result<Vec<NewClaim>, Error> {
    if asked.claims.len() > BATCH_MAX {
        return Err(Error::invalid("/claims", format!("must be at most {BATCH_MAX}")));
    }
    let mut faults = Vec::new();
    let mut claims = Vec::with_capacity(asked.claims.len());
    for (number, claim) in asked.claims.into_iter().enumerate() {
        claims.extend(plan(api, claim, &format!("/claims/{number}"), &mut faults));
    }
    if faults.is_empty() { Ok(claims) } else { Err(Error::Invalid(faults)) }
}

async fn all_or_none(api: &Api, caller: &Caller, claims: Vec<NewClaim>, key: Option<Key>) -> Result<Response, Error> {
    for claim in distinct(&claims) {
        check_member(api, caller, claim).await?;
    }
    let _turn = turn(api, claims.len()).await?;
    let unit = claims.into_iter().fold(caller.unit(), store::Unit::charge);
    let unit = idempotency::guard(unit, caller, key, StatusCode::OK, |applied: &Applied| {
        let results: Vec<_> = applied.claims.iter().map(wire::Claim::from).collect();
        serde_json::to_value(Results { results }).unwrap_or_default()
    });
    let done = api.store.write(unit).await?;
    reply::ok(&Results { results: done.claims.iter().map(wire::Claim::from).collect() })
}

/// One claim for each place that is charged: a member's rights are looked up once a place.
fn distinct(claims: &[NewClaim]) -> impl Iterator<Item = &NewClaim> {
    let mut seen = std::collections::HashSet::new();
    claims.iter().filter(move |claim| seen.insert(&claim.demand))
}

/// Room in the writer's queue.
async fn turn(api: &Api, claims: usize) -> Result<tokio::sync::SemaphorePermit<'_>, Error> {
    // At most `BATCH_MAX`, and the semaphore is never closed.
    api.batched.acquire_many(claims as u32).await.map_err(|_| Error::NotReady)
}

type Writing<'a> = MaybeDone<Pin<Box<dyn Future<Output = Result<Done<()>, store::Error>> + Send + 'a>>>;

async fn each(api: &Api, caller: &Caller, claims: Vec<NewClaim>, key: Option<Key>) -> Result<Response, Error> {
    if let Some(key) = &key {
        api.note_key(caller, key).await?;
    }
    let mut strange = strange(api, caller, &claims).await?;
    let _turn = turn(api, claims.len()).await?;
    if key.is_none()
        && strange.is_empty()
        && let Some(done) = together(api, caller, &claims).await?
    {
        return reply::ok(&Results { results: done.claims.iter().map(wire::Claim::from).collect() });
    }
    let mut writes: Vec<Writing<'_>> = Vec::with_capacity(claims.len());
    for (number, claim) in claims.into_iter().enumerate() {
        let refused = claim.demand.as_ref().and_then(|demand| strange.get_mut(demand));
        let unit = caller.unit().charge(claim);
        let key = key.as_ref().map(|key| key.part(number));
        let unit = idempotency::guard(unit, caller, key, StatusCode::CREATED, |applied: &Applied| {
            serde_json::to_value(applied.claims.last().map(wire::Claim::from)).unwrap_or_default()
        });
        writes.push(match refused {
            Some(noun) => MaybeDone::Done(Err(store::Error::not_found(noun, ""))),
            None => maybe_done(Box::pin(api.store.write(unit))),
        });
    }
    // A write is queued when it is first polled: all of them are, before the first is waited for.
    std::future::poll_fn(|cx| {
        for write in &mut writes {
            let _ = Pin::new(write).poll(cx);
        }
        Poll::Ready(())
    })
    .await;
    let mut body = Vec::with_capacity(writes.len() * ANSWER_BYTES + 16);
    body.extend_from_slice(b"{\"results\":[");
    for (number, write) in writes.iter_mut().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        Pin::new(&mut *write).await;
        let done = Pin::new(write).take_output().unwrap_or(Err(store::Error::Busy { retry_after_s: 1 }));
        put(&mut body, done)?;
    }
    body.extend_from_slice(b"]}");
    Ok(reply::bytes(StatusCode::OK, body))
}

/// All claims in one unit; none where one of them was not admitted.
async fn together(api: &Api, caller: &Caller, claims: &[NewClaim]) -> Result<Option<Done<()>>, Error> {
    let unit = claims.iter().cloned().fold(caller.unit(), store::Unit::charge);
    match api.store.write(unit).await {
        Ok(done) => Ok(Some(done)),
        // It may have been done: a second time would be twice.
        Err(error @ (store::Error::Busy { .. } | store::Error::Broken(_) | store::Error::Retry(_))) => {
            Err(error.into())
        }
        Err(_) => Ok(None),
    }
}

/// The places where a member may not claim, which are not there to them.
async fn strange(
    api: &Api,
    caller: &Caller,
    claims: &[NewClaim],
) -> Result<HashMap<AllotmentRef, &'static str>, Error> {
    let mut strange = HashMap::new();
    if caller.member().is_none() {
        return Ok(strange);
    }
    for claim in distinct(claims) {
        match (check_member(api, caller, claim).await, &claim.demand) {
            (Err(Error::NotFound(noun)), Some(demand)) => drop(strange.insert(demand.clone(), noun)),
            (other, _) => other?,
        }
    }
    Ok(strange)
}

/// Writes what came of one claim.
fn put(body: &mut Vec<u8>, done: Result<Done<()>, store::Error>) -> Result<(), Error> {
    let broken = |error: serde_json::Error| store::Error::Broken(format!("an answer could not be written: {error}"));
    match done {
        Ok(done) => {
            let claim = reply::only(done.claims)?;
            serde_json::to_writer(body, &Outcome::Claim(wire::Claim::from(&claim))).map_err(broken)?;
        }
        Err(store::Error::Replayed(kept)) => body.extend_from_slice(idempotency::body_of(&kept).as_bytes()),
        Err(error) => {
            let mut problem = Problem::from(Error::from(error));
            if let Some(cause) = problem.take_cause() {
                tracing::error!(cause, "a claim of a batch failed");
            }
            serde_json::to_writer(body, &Outcome::Problem(Box::new(problem))).map_err(broken)?;
        }
    }
    Ok(())
}

/// Tells a batch from a single claim.
#[derive(Deserialize)]
struct Probe {
    claims: Option<IgnoredAny>,
}

/// `POST /claims/check`: of a batch, whether all of it would be admitted.
pub async fn check(State(api): State<Api>, caller: Caller, posted: Posted<BATCH_BYTES_MAX>) -> Result<Response, Error> {
    let is_batch = posted.json::<Probe>().is_ok_and(|probe| probe.claims.is_some());
    let claims = match is_batch {
        true => plan_all(&api, posted.json()?)?,
        false => {
            let mut faults = Vec::new();
            let claim = plan(&api, posted.json()?, "", &mut faults);
            vec![claim.ok_or(Error::Invalid(faults))?]
        }
    };
    for claim in distinct(&claims) {
        check_member(&api, &caller, claim).await?;
    }
    let _turn = turn(&api, claims.len()).await?;
    let unit = claims.into_iter().fold(caller.unit().dry(), store::Unit::charge);
    match api.store.write(unit).await {
        Ok(_) => reply::ok(&wire::Checked { admitted: true, refusals: Vec::new() }),
        Err(store::Error::Refused(refusals)) => {
            let refusals = refusals.iter().map(wire::RefusalOut::from).collect();
            reply::ok(&wire::Checked { admitted: false, refusals })
        }
        Err(error) => Err(error.into()),
    }
}
