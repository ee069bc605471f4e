//! CarrierX's partners: how they get in, what they may use. The face has the hands.

use carrierx::apply::{self, CONTAINERS_DEFAULT, PartnerWanted, Terms};
use ledger::Resource;
use serde_json::Value;
use site::{Action, Change};
use store::{Allotment, Error, TenantId};

use super::people::tenant_of;
use super::values::{changed, limit_changes, limits, name, uuid};
use super::{Applier, by};

pub(super) async fn partner(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (store, called, tenant) = (&applier.store, &change.key.name, tenant(applier, change).await?);
    match change.action {
        Action::Create => {
            let mut limits = limits(value, store.catalog())?;
            // How many containers there may be is a limit like another; here it may have a name of its own.
            let said = value["max_containers"].as_u64().or(limits.find(Resource::CONTAINERS));
            let most = said.unwrap_or(CONTAINERS_DEFAULT);
            limits.insert(Resource::CONTAINERS, most).map_err(|error| Error::Invalid(error.to_string()))?;
            let (id, name, terms) = (uuid(value), name(called)?, terms(value)?);
            apply::put_partner(store, by(), PartnerWanted { id, tenant, name, terms, limits }).await
        }
        Action::Update { .. } => {
            let mut limits = limit_changes(change, store.catalog())?;
            if let Some(most) = changed(change, "/max_containers") {
                let most = most.and_then(Value::as_u64).unwrap_or(CONTAINERS_DEFAULT);
                limits.push((Resource::CONTAINERS, Some(most)));
            }
            apply::change_partner(store, by(), tenant, called, terms(value)?, limits).await
        }
        Action::Remove => apply::remove_partner(store, by(), tenant, called).await.map(drop),
    }
}

fn terms(value: &Value) -> Result<Terms, Error> {
    let tokens = value["tokens"].as_object().into_iter().flatten().map(|(sha256, scopes)| {
        let scopes = scopes.as_array().into_iter().flatten().filter_map(Value::as_str);
        (sha256.clone(), scopes.map(str::to_owned).collect())
    });
    Ok(Terms {
        login: value["login"].as_str().map(str::to_owned),
        password: value.pointer("/password/argon2").and_then(Value::as_str).map(str::parse).transpose()?,
        tokens: tokens.collect(),
        default_container: value["default_container"].as_str().and_then(|text| text.parse().ok()),
    })
}

/// The node of a partner, whether the file still names it or not.
pub(super) async fn partner_node(applier: &Applier, change: &Change) -> Result<Option<Allotment>, Error> {
    apply::partner_node(&applier.store, tenant(applier, change).await?, &change.key.name).await
}

async fn tenant(applier: &Applier, change: &Change) -> Result<TenantId, Error> {
    let tenant = tenant_of(applier, change).await?;
    tenant.ok_or_else(|| Error::Broken(format!("{} is no tenant's", change.key)))
}
