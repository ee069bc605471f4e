//! Allotments: the nodes of the tree.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use identity::Right;
use ledger::{Resource, Side};
use store::{
    Allotment, AllotmentFilter, AllotmentPatch, AllotmentRef, Applied, DEFAULT_POOL, NewAllotment, Tx, Unit, params,
};

use crate::access::{View, is_within};
use crate::auth::Caller;
use crate::error::Error;
use crate::idempotency::{self, Key};
use crate::input::{At, IfMatch, PAGE_MAX, Params, Posted, reference, wrong};
use crate::reply::{self, Page};
use crate::room::{self, Room, Rooms};
use crate::{Api, wire};

mod plan;

pub use plan::{limits, new_limits, title};

/// The most who are over that are named: a sample says as much as all of a large tree would.
const OVER_MAX: usize = 1000;

/// `POST /allotments`.
pub async fn create(State(api): State<Api>, caller: Caller, posted: Posted) -> Result<Response, Error> {
    let asked: wire::NewAllotment = posted.json()?;
    let id = ledger::AllotmentId(api.store.new_id());
    match &asked.parent_id {
        Some(parent) => {
            let parent = reference(parent);
            let parent = parent.ok_or_else(|| Error::invalid("/parent_id", "must be an id, path:… or supply:…"))?;
            let parent = api.allotment(&caller, parent, Right::Make).await?;
            let new = plan::child(api.store.catalog(), asked, id, &parent)?;
            make(&api, &caller, new, posted.key).await
        }
        None if caller.is_operator() => {
            make(&api, &caller, plan::pool(api.store.catalog(), asked, id)?, posted.key).await
        }
        None => Err(Error::Forbidden("pools and tenants are made by operators")),
    }
}

async fn make(api: &Api, caller: &Caller, new: NewAllotment, key: Option<Key>) -> Result<Response, Error> {
    let above = match new.parent.clone() {
        Some(parent) => api.store.read(move |tx| room_at(tx, &parent)).await?,
        None => Room::new(),
    };
    let kept = above.clone();
    let unit = caller.unit().create_allotment(new);
    let unit = idempotency::guard(unit, caller, key, StatusCode::CREATED, move |applied: &Applied| {
        applied.allotments.first().map(|made| wire::Allotment::new(made, &room::below(&kept, made)))
    });
    let made = reply::only(api.store.write(unit).await?.allotments)?;
    let answer = reply::json(StatusCode::CREATED, &wire::Allotment::new(&made, &room::below(&above, &made)))?;
    Ok(reply::tagged(answer, made.version))
}

fn room_at(tx: &mut Tx, reference: &AllotmentRef) -> Result<Room, store::Error> {
    let found = store::allotments::find(tx, reference)?;
    Rooms::default().at(tx, found.map(|allotment| allotment.id))
}

/// `GET /allotments/{id}`.
pub async fn show(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    let found = api.allotment(&caller, at.allotment()?, Right::Read).await?;
    // Once more with all above it, in one picture.
    let seen = api.store.read(move |tx| {
        let found = store::allotments::find(tx, &found.id.into())?;
        found.map(|it| Ok((Rooms::default().of(tx, &it)?, it))).transpose()
    });
    let (room, allotment) = seen.await?.ok_or(Error::NotFound("allotment"))?;
    Ok(reply::tagged(reply::ok(&wire::Allotment::new(&allotment, &room))?, allotment.version))
}

/// `PATCH /allotments/{id}`: a merge patch, inside `limits`, too.
pub async fn change(
    State(api): State<Api>,
    caller: Caller,
    at: At,
    params: Params,
    if_match: IfMatch,
    posted: Posted,
) -> Result<Response, Error> {
    let is_dry = params.is_on("dry_run")?;
    let asked: wire::AllotmentPatch = posted.json()?;
    let before = api.allotment(&caller, at.allotment()?, Right::Read).await?;
    let mut patch = plan::patch(api.store.catalog(), asked)?;
    patch.if_version = if_match.version(&before)?;
    if plan::names_it(&patch) {
        api.check(&caller, &before, Right::Administer).await?;
    }
    if !plan::names_it(&patch) || plan::limits_it(&patch) {
        api.check(&caller, &before, Right::Limit).await?;
    }
    plan::check_patch(&before, &patch)?;
    let id = before.id;
    let after = match plan::names_it(&patch) || plan::limits_it(&patch) {
        true => changed(&api, caller.unit(), &before, patch, is_dry).await?,
        false => before,
    };
    let parent = after.parent;
    let around = api.store.read(move |tx| Ok((Rooms::default().at(tx, parent)?, over_below(tx, id)?)));
    let (above, mut over) = around.await?;
    over.splice(0..0, over_limits(&after));
    let allotment = wire::Allotment::new(&after, &room::below(&above, &after));
    Ok(reply::tagged(reply::ok(&wire::Changed { allotment, over })?, after.version))
}

async fn changed(
    api: &Api,
    unit: Unit,
    before: &Allotment,
    patch: AllotmentPatch,
    is_dry: bool,
) -> Result<Allotment, Error> {
    let unit = unit.change_allotment(before.id, patch);
    let unit = if is_dry { unit.dry() } else { unit };
    reply::only(api.store.write(unit).await?.allotments)
}

fn over_limits(allotment: &Allotment) -> Vec<wire::Over> {
    let over = allotment.balances.iter().filter(|(_, balance)| balance.is_over());
    let over = over.filter_map(|(resource, balance)| {
        let (id, path) = (allotment.id, allotment.path.clone());
        let (limit, used, pending) = (balance.limit?, balance.used, balance.pending);
        Some(wire::Over { id, path, resource: *resource, limit, used, pending })
    });
    over.collect()
}

/// Who is over their own limits below an allotment.
fn over_below(tx: &mut Tx, top: ledger::AllotmentId) -> Result<Vec<wire::Over>, store::Error> {
    let (mut over, mut after) = (Vec::new(), None);
    loop {
        let at_or_below = Some(top.into());
        let filter = AllotmentFilter { at_or_below, after, limit: PAGE_MAX, ..AllotmentFilter::default() };
        let page = store::allotments::list(tx, &filter)?;
        over.extend(page.iter().filter(|it| it.id != top).flat_map(over_limits));
        let last = page.last().filter(|_| page.len() == PAGE_MAX && over.len() < OVER_MAX);
        let Some(last) = last else {
            over.truncate(OVER_MAX);
            return Ok(over);
        };
        after = Some((last.side, last.path.clone()));
    }
}

/// `DELETE /allotments/{id}`.
pub async fn remove(State(api): State<Api>, caller: Caller, at: At, if_match: IfMatch) -> Result<Response, Error> {
    let it = api.allotment(&caller, at.allotment()?, Right::Read).await?;
    api.check(&caller, &it, Right::Administer).await?;
    let (id, mut unit) = (it.id, caller.unit());
    // It may change until the unit runs: there the version is compared again, by a change of nothing.
    if let if_version @ Some(_) = if_match.version(&it)? {
        unit = unit.change_allotment(id, AllotmentPatch { if_version, ..AllotmentPatch::default() });
    }
    let unit = unit.remove_allotment(id).rows(move |tx| keep_default_pool(tx, id));
    api.store.write(unit).await?;
    Ok(reply::nothing())
}

/// The pool where things lie when nothing else is said stays: without it no claim would find its place.
fn keep_default_pool(tx: &mut Tx, id: ledger::AllotmentId) -> Result<(), store::Error> {
    let sql = "SELECT 1 FROM settings WHERE key = $1 AND value = $2";
    match tx.query_opt(sql, &params![DEFAULT_POOL, id.to_string()])? {
        Some(_) => {
            Err(store::Error::Conflict("it is the default pool: name another in the site file first".to_owned()))
        }
        None => Ok(()),
    }
}

/// What of the tree is asked for.
#[derive(Clone)]
struct Asked {
    at_or_below: Option<AllotmentRef>,
    parent: Option<AllotmentRef>,
    filter: AllotmentFilter,
}

impl Asked {
    fn of(params: &Params) -> Result<Asked, Error> {
        let sides = [("demand", Side::Demand), ("supply", Side::Supply)];
        let side = params.word("side", &sides)?;
        let path = params.get("path").map(|text| match text.split_once(':') {
            Some(("path" | "supply", _)) => reference(text).ok_or_else(|| wrong("path", "must be a path")),
            _ => Ok(AllotmentRef::Path(side.unwrap_or(Side::Demand), text.trim_matches('/').to_owned())),
        });
        let filter = AllotmentFilter {
            side,
            kind: params.text("kind"),
            q: params.text("q"),
            after: params
                .get("after")
                .map(|text| from_cursor(text).ok_or_else(|| wrong("after", CURSOR)))
                .transpose()?,
            limit: params.limit()? + 1,
            ..AllotmentFilter::default()
        };
        Ok(Asked { at_or_below: path.transpose()?, parent: params.allotment("parent")?, filter })
    }
}

const CURSOR: &str = "must be the next of the page before";

/// Where the next page begins: the side and path, in a form that nobody is tempted to make themselves.
fn cursor(allotment: &Allotment) -> String {
    hex::encode(format!("{}/{}", allotment.side.as_str(), allotment.path))
}

fn from_cursor(text: &str) -> Option<(Side, String)> {
    let text = String::from_utf8(hex::decode(text).ok()?).ok()?;
    let (side, path) = text.split_once('/')?;
    let side = [Side::Demand, Side::Supply].into_iter().find(|known| known.as_str() == side)?;
    (!path.contains('\0')).then(|| (side, path.to_owned()))
}

/// `GET /allotments`.
pub async fn list(State(api): State<Api>, caller: Caller, params: Params) -> Result<Response, Error> {
    let limit = params.limit()?;
    let asked = Asked::of(&params)?;
    let view = api.view(&caller).await?;
    let found = api.store.read(move |tx| {
        let found = look(tx, &view, asked)?;
        let mut rooms = Rooms::default();
        found.into_iter().map(|it| Ok((rooms.of(tx, &it)?, it))).collect::<Result<Vec<_>, store::Error>>()
    });
    let item = |(room, it): &(Room, Allotment)| wire::Allotment::new(it, room);
    reply::ok(&Page::of(found.await?, limit, |(_, it)| cursor(it), item))
}

fn look(tx: &mut Tx, view: &View, asked: Asked) -> Result<Vec<Allotment>, store::Error> {
    let Asked { at_or_below, parent, mut filter } = asked;
    if let Some(parent) = parent {
        let Some(parent) = store::allotments::find(tx, &parent)? else { return Ok(Vec::new()) };
        filter.parent = Some(parent.id);
    }
    filter.at_or_below = at_or_below;
    let View::Below(tops) = view else {
        return store::allotments::list(tx, &AllotmentFilter { tenant: view.tenant(), ..filter });
    };
    let within = match &filter.at_or_below {
        Some(reference) => match store::allotments::find(tx, reference)? {
            Some(within) => Some(within),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let mut found = Vec::new();
    for top in tops {
        // The lower of the two, if one is below the other.
        let from = match &within {
            Some(within) if within.side != top.side => continue,
            Some(within) if is_within(&within.path, &top.path) => within.id,
            Some(within) if !is_within(&top.path, &within.path) => continue,
            _ => top.id,
        };
        let own = AllotmentFilter { at_or_below: Some(from.into()), ..filter.clone() };
        found.extend(
            store::allotments::list(tx, &own)?.into_iter().filter(|it| filter.side.is_none_or(|s| s == it.side)),
        );
        // Only the first of each can be on the page.
        found.sort_by(|a: &Allotment, b| (a.side, &a.path).cmp(&(b.side, &b.path)));
        found.dedup_by_key(|it| it.id);
        found.truncate(filter.limit);
    }
    Ok(found)
}

/// Limits as a change of them says; for what is new, none is unlimited as well.
pub fn some_limits(limits: Vec<(Resource, Option<u64>)>) -> ledger::Limits {
    let mut some = ledger::Limits::new();
    for (resource, limit) in limits {
        if let Some(units) = limit {
            // What was read as units is an amount.
            let _ = some.insert(resource, units);
        }
    }
    some
}
