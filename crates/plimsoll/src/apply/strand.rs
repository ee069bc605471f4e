//! What must not be done, found before anything is: removals that would strand a claim, and changes of what cannot change.

use std::collections::HashSet;

use ledger::AllotmentId;
use site::{Action, Change, Kind, Objects};
use store::{Allotment, AllotmentFilter, Error};

use super::{Applier, supply};

/// How many of the nodes in the way are named.
const NAMED_MAX: usize = 5;

/// Sentences, one for each thing that stands in the way. None: go ahead.
pub(super) async fn check(
    applier: &Applier,
    changes: &[Change],
    base: &Objects,
    want: &Objects,
) -> Result<Vec<String>, Error> {
    let mut refused: Vec<String> = changes.iter().flat_map(fixed).collect();
    if base.keys().any(|key| key.kind == Kind::Resource && !want.contains_key(key)) {
        refused.push("a resource cannot be taken away: balances and claims may name it".to_owned());
    }
    let removed: Vec<&Change> = changes.iter().filter(|change| change.action == Action::Remove).collect();
    let mut going = Vec::new();
    for change in &removed {
        if let Some(node) = node(applier, change).await? {
            going.push((*change, node));
        }
    }
    for change in changes.iter().filter(|change| change.key.kind == Kind::Organization) {
        let nodes = super::organization::going(applier, change, base, want).await?;
        going.extend(nodes.into_iter().map(|node| (change, node)));
    }
    let going_ids: HashSet<AllotmentId> = going.iter().map(|(_, node)| node.id).collect();
    for (change, node) in &going {
        refused.extend(in_the_way(applier, change, node, &going_ids).await?);
    }
    Ok(refused)
}

/// What an object is made with and keeps: its id, and the pool it is in.
fn fixed(change: &Change) -> Vec<String> {
    let is_fixed = |pointer: &str| match pointer {
        // A file that begins or ceases to name the id says nothing new: what it says is checked against what is there.
        "/uuid" | "/pool" => true,
        _ => change.key.kind == Kind::Site && pointer == "/encryption_key/sha256",
    };
    let told =
        change.fields().iter().filter(|field| is_fixed(&field.pointer) && !field.from.is_null() && !field.to.is_null());
    told.map(|field| match field.pointer.as_str() {
        "/encryption_key/sha256" => {
            "encryption_key cannot be changed: what is sealed with the old one could not be read".to_owned()
        }
        pointer => format!("{}: its {} cannot be changed; remove it and make another", change.key, &pointer[1..]),
    })
    .collect()
}

/// The node that goes with an object.
async fn node(applier: &Applier, change: &Change) -> Result<Option<Allotment>, Error> {
    let called = &change.key.name;
    match change.key.kind {
        Kind::Pool => supply::node(applier, called).await,
        Kind::Repository => supply::node_of(applier, "repository", called).await,
        Kind::StorageType => supply::node_of(applier, "storage_type", called).await,
        Kind::Tenant => by_path(applier, called.clone()).await,
        Kind::User => {
            let user = applier.identity.user_by_email(called).await?;
            match user.and_then(|user| user.allotment) {
                Some(node) => applier.store.read(move |tx| store::allotments::find(tx, &node.into())).await,
                None => Ok(None),
            }
        }
        Kind::Project => super::nouns::project_node(applier, change).await,
        Kind::Partner => super::partner::partner_node(applier, change).await,
        Kind::KooDrive => super::koodrive::drive_node(applier, change).await,
        _ => Ok(None),
    }
}

async fn by_path(applier: &Applier, path: String) -> Result<Option<Allotment>, Error> {
    let reference = store::AllotmentRef::Path(ledger::Side::Demand, path);
    applier.store.read(move |tx| store::allotments::find(tx, &reference)).await
}

/// Whether claims lie at or below a node that is to go, or nodes that nobody removes.
async fn in_the_way(
    applier: &Applier,
    change: &Change,
    node: &Allotment,
    going: &HashSet<AllotmentId>,
) -> Result<Option<String>, Error> {
    let held = |node: &Allotment| node.used().iter().chain(node.pending().iter()).any(|(_, units)| units > 0);
    let top = node.id;
    let filter = AllotmentFilter { at_or_below: Some(top.into()), limit: 1000, ..AllotmentFilter::default() };
    let below = applier.store.read(move |tx| store::allotments::list(tx, &filter)).await?;
    // The folders of a tenant go with it, and what a face divides it into.
    let goes_along = |it: &Allotment| matches!(it.kind.as_str(), "folder" | "space_type") || going.contains(&it.id);
    let stays = |it: &&Allotment| held(it) || !goes_along(it);
    // The deepest of those that hold something: all above them hold it, too.
    let deepest = |it: &&Allotment| {
        let inside = format!("{}/", it.path);
        !held(it) || !below.iter().any(|other| other.path.starts_with(&inside) && held(other))
    };
    let found: Vec<String> = below.iter().filter(stays).filter(deepest).map(|it| told(it, held(it))).collect();
    if found.is_empty() {
        return Ok(None);
    }
    let more = found.len().saturating_sub(NAMED_MAX);
    let mut named = found.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    Ok(Some(format!("{}: it cannot be removed while there is {named}", change.key)))
}

fn told(node: &Allotment, holds: bool) -> String {
    let claims = || {
        let used: Vec<String> = node
            .used()
            .iter()
            .chain(node.pending().iter())
            .filter(|(_, units)| *units > 0)
            .map(|(resource, units)| format!("{units} {resource}"))
            .collect();
        used.join(" and ")
    };
    if holds { format!("{} with {}", node.path, claims()) } else { format!("{} {}", node.kind, node.path) }
}
