//! Repositories and projects: nouns of the Allocations face, which has the hands.

use allocations::apply::{self, ProjectWanted, RepositoryWanted};
use serde_json::Value;
use site::{Action, Change};
use store::{Allotment, Error, TenantId};

use super::people::tenant_of;
use super::values::{changed, limit_changes, limits, name, text, uuid};
use super::{Applier, by};

pub(super) async fn repository(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (store, called) = (&applier.store, &change.key.name);
    match change.action {
        Action::Create => {
            let (pool, kind) = (text(value, "pool"), text(value, "type"));
            let limits = limits(value, store.catalog())?;
            let wanted = RepositoryWanted { id: uuid(value), name: name(called)?, pool, kind, limits };
            apply::put_repository(store, by(), wanted).await
        }
        Action::Update { .. } => {
            let kind = changed(change, "/type").flatten().and_then(Value::as_str).map(str::to_owned);
            apply::change_repository(store, by(), called, kind, limit_changes(change, store.catalog())?).await
        }
        Action::Remove => apply::remove_repository(store, by(), called).await.map(drop),
    }
}

pub(super) async fn project(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (store, called) = (&applier.store, &change.key.name);
    let tenant = tenant(applier, change).await?;
    match change.action {
        Action::Create => {
            let members = value["members"].as_object().into_iter().flatten();
            let members = members.map(|(email, role)| (email.clone(), role.as_str().unwrap_or_default().to_owned()));
            let (members, limits) = (members.collect(), limits(value, store.catalog())?);
            let wanted = ProjectWanted { id: uuid(value), tenant, name: called.clone(), members, limits };
            apply::put_project(store, by(), wanted).await
        }
        Action::Update { .. } => {
            let limits = limit_changes(change, store.catalog())?;
            apply::change_project(store, by(), tenant, called, member_changes(change), limits).await
        }
        Action::Remove => apply::remove_project(store, by(), tenant, called).await.map(drop),
    }
}

/// The members that a change is about; without a role those who are none any more.
fn member_changes(change: &Change) -> Vec<(String, Option<String>)> {
    let fields = change.fields().iter();
    let members = fields.filter_map(|field| Some((field.pointer.strip_prefix("/members/")?, field.to.as_str())));
    members.map(|(email, role)| (email.replace("~1", "/").replace("~0", "~"), role.map(str::to_owned))).collect()
}

/// The node of a project, whether the file still names it or not.
pub(super) async fn project_node(applier: &Applier, change: &Change) -> Result<Option<Allotment>, Error> {
    apply::project_node(&applier.store, tenant(applier, change).await?, &change.key.name).await
}

async fn tenant(applier: &Applier, change: &Change) -> Result<TenantId, Error> {
    let tenant = tenant_of(applier, change).await?;
    tenant.ok_or_else(|| Error::Broken(format!("{} is no tenant's", change.key)))
}
