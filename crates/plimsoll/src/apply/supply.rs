//! Pools and storage types: nodes of the supply side that no face makes.

use cloudsigma::apply::StorageTypeWanted;
use ledger::{AllotmentId, Side};
use serde_json::Value;
use site::{Action, Change};
use store::{Allotment, AllotmentPatch, AllotmentRef, Error, Managed, NewAllotment, Unit, params};

use super::values::{changed, limit_changes, limits, name, overcommit, text, uuid};
use super::{Applier, by};

/// Where the default pool's id is kept, among the store's settings.
const DEFAULT_POOL: &str = "default_pool";

pub(super) async fn pool(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let called = &change.key.name;
    let found = node(applier, called).await?;
    let (unit, id) = match &change.action {
        Action::Remove => {
            let Some(node) = found else { return Ok(()) };
            (Unit::by(by()).remove_allotment(node.id), node.id)
        }
        _ => put(applier, change, value, found, Node { kind: "pool", parent: None, managed_by: None })?,
    };
    let is_default = change.action != Action::Remove && value["default"] == true;
    let unit = unit.rows(move |tx| {
        let sql = match is_default {
            true => "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            // Only if it was this one: another may have become the default just before.
            false => "DELETE FROM settings WHERE key = $1 AND value = $2",
        };
        tx.execute(sql, &params![DEFAULT_POOL, id]).map(drop)
    });
    applier.store.write(unit).await.map(drop)
}

pub(super) async fn storage_type(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let called = &change.key.name;
    if change.action == Action::Remove {
        let Some(node) = node_of(applier, "storage_type", called).await? else { return Ok(()) };
        let called = called.clone();
        let unit = Unit::by(by()).remove_allotment(node.id);
        let unit = unit.rows(move |tx| cloudsigma::apply::remove_storage_type(tx, &called));
        return applier.store.write(unit).await.map(drop);
    }
    let pool = text(value, "pool");
    let found = node(applier, &format!("{pool}/{called}")).await?;
    let parent = Some(AllotmentRef::Path(Side::Supply, pool));
    let managed_by = Some(Managed::new("site", "storage_type", called));
    let (unit, allotment) = put(applier, change, value, found, Node { kind: "storage_type", parent, managed_by })?;
    let wanted = StorageTypeWanted {
        name: called.clone(),
        allotment,
        default: value["default"] == true,
        size_min: value["size"]["min"].as_u64(),
        size_max: value["size"]["max"].as_u64(),
        places: value["places"].clone(),
    };
    let unit = unit.rows(move |tx| cloudsigma::apply::put_storage_type(tx, &wanted));
    applier.store.write(unit).await.map(drop)
}

/// What a node is made with, beside what the file says.
struct Node {
    kind: &'static str,
    parent: Option<AllotmentRef>,
    managed_by: Option<Managed>,
}

/// The unit that makes a node, or brings one that is there to what the file says.
fn put(
    applier: &Applier,
    change: &Change,
    value: &Value,
    found: Option<Allotment>,
    Node { kind, parent, managed_by }: Node,
) -> Result<(Unit<()>, AllotmentId), Error> {
    let (called, catalog) = (&change.key.name, applier.store.catalog());
    let ratio = &value["overcommit"]["permille"];
    let Some(found) = found else {
        let id = AllotmentId(uuid(value).unwrap_or_else(|| applier.store.new_id()));
        let new = NewAllotment {
            side: Side::Supply,
            title: called.clone(),
            kind: kind.to_owned(),
            limits: limits(value, catalog)?,
            overcommit: overcommit(ratio),
            managed_by,
            ..NewAllotment::new(id, parent, name(called)?)
        };
        return Ok((Unit::by(by()).create_allotment(new), id));
    };
    if let Some(wanted) = uuid(value).filter(|wanted| *wanted != found.id.0) {
        return Err(Error::Conflict(format!("{kind} {called} is there as {}, not as {wanted}", found.id)));
    }
    let patch = match change.action {
        Action::Create => AllotmentPatch {
            limits: limits(value, catalog)?.iter().map(|(resource, units)| (resource, Some(units))).collect(),
            overcommit: overcommit(ratio).map(Some),
            ..AllotmentPatch::default()
        },
        _ => AllotmentPatch {
            limits: limit_changes(change, catalog)?,
            overcommit: changed(change, "/overcommit/permille").map(|ratio| ratio.and_then(overcommit)),
            ..AllotmentPatch::default()
        },
    };
    Ok((Unit::by(by()).change_allotment(found.id, patch), found.id))
}

/// A node of the supply side, by its path.
pub(super) async fn node(applier: &Applier, path: &str) -> Result<Option<Allotment>, Error> {
    let reference = AllotmentRef::Path(Side::Supply, path.to_owned());
    applier.store.read(move |tx| store::allotments::find(tx, &reference)).await
}

/// The node in a pool that stands for this noun. The file no longer says in which pool.
pub(super) async fn node_of(applier: &Applier, kind: &str, called: &str) -> Result<Option<Allotment>, Error> {
    let sql = "SELECT id FROM allotments WHERE side = 'supply' AND kind = $1 AND name = $2 ORDER BY depth LIMIT 1";
    let values = params![kind, called];
    let find = move |tx: &mut store::Tx<'_>| match tx.query_opt(sql, &values)? {
        Some(row) => store::allotments::find(tx, &AllotmentRef::Id(row.get(0)?)),
        None => Ok(None),
    };
    applier.store.read(find).await
}
