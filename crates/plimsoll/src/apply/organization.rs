//! Cloud Foundry's organizations and their spaces. The face has the hands.

use cloudfoundry::apply::{self, OrganizationChanges, OrganizationWanted, SpaceWanted};
use serde_json::Value;
use site::{Action, Change, Objects};
use store::{Allotment, Error, TenantId};

use super::people::tenant_of;
use super::values::uuid;
use super::{Applier, by};

pub(super) async fn organization(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (store, called, tenant) = (&applier.store, &change.key.name, tenant(applier, change).await?);
    match change.action {
        Action::Create => {
            let spaces = value["spaces"].as_object().into_iter().flatten();
            let wanted = OrganizationWanted {
                id: uuid(value),
                tenant,
                name: called.clone(),
                managers: emails(&value["managers"]),
                spaces: spaces.map(|(name, space)| space_wanted(name, space)).collect(),
            };
            apply::put_organization(store, by(), wanted).await
        }
        Action::Update { .. } => apply::change_organization(store, by(), tenant, called, changes(change, value)).await,
        Action::Remove => apply::remove_organization(store, by(), tenant, called).await.map(drop),
    }
}

fn space_wanted(name: &str, space: &Value) -> SpaceWanted {
    SpaceWanted { id: uuid(space), name: name.to_owned(), developers: emails(&space["developers"]) }
}

/// People are the keys of an object.
fn emails(value: &Value) -> Vec<String> {
    value.as_object().into_iter().flatten().map(|(email, _)| email.clone()).collect()
}

/// What the change is about. A space is told of by any of its fields: if the file still names it, it is put, which does
/// nothing where it is there already.
fn changes(change: &Change, value: &Value) -> OrganizationChanges {
    let mut changes = OrganizationChanges::default();
    for field in change.fields() {
        let parts: Vec<String> =
            field.pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["managers", email] => changes.managers.push(((*email).to_owned(), !field.to.is_null())),
            ["spaces", space, rest @ ..] => match value["spaces"].get(*space) {
                None => changes.spaces_gone.push((*space).to_owned()),
                Some(wanted) => {
                    changes.spaces.push(space_wanted(space, wanted));
                    if let (["developers", email], true) = (rest, field.to.is_null()) {
                        changes.developers.push(((*space).to_owned(), (*email).to_owned(), false));
                    }
                }
            },
            _ => {}
        }
    }
    changes.spaces_gone.sort_unstable();
    changes.spaces_gone.dedup();
    changes
}

/// The nodes that a change takes away: those of spaces that the file gave and gives no more, and the organization's own.
pub(super) async fn going(
    applier: &Applier,
    change: &Change,
    base: &Objects,
    want: &Objects,
) -> Result<Vec<Allotment>, Error> {
    let (store, called) = (&applier.store, &change.key.name);
    let spaces = |objects: &Objects| -> Vec<String> {
        let spaces = objects.get(&change.key).and_then(|value| value["spaces"].as_object());
        spaces.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let (mut gone, kept) = (spaces(base), spaces(want));
    gone.retain(|space| !kept.contains(space));
    if gone.is_empty() && change.action != Action::Remove {
        return Ok(Vec::new());
    }
    let tenant = tenant(applier, change).await?;
    let mut nodes = apply::space_nodes(store, tenant, called, gone).await?;
    if change.action == Action::Remove {
        nodes.extend(apply::organization_node(store, tenant, called).await?);
    }
    Ok(nodes)
}

async fn tenant(applier: &Applier, change: &Change) -> Result<TenantId, Error> {
    let tenant = tenant_of(applier, change).await?;
    tenant.ok_or_else(|| Error::Broken(format!("{} is no tenant's", change.key)))
}
