//! Operators, tenants, users and their tokens.

use identity::PasswordHash;
use identity::apply::{self, TenantWanted, UserChanges, UserWanted};
use serde_json::Value;
use site::{Action, Change};
use store::{Error, TenantId};

use super::values::{changed, limit_changes, limits, name, text, uuid};
use super::{Applier, by};

pub(super) async fn tenant(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (identity, catalog, called) = (&applier.identity, applier.store.catalog(), &change.key.name);
    match change.action {
        Action::Create => {
            let title = value["title"].as_str().map(str::to_owned);
            let wanted = TenantWanted { id: uuid(value), name: name(called)?, title, limits: limits(value, catalog)? };
            apply::put_tenant(identity, by(), wanted).await.map(drop)
        }
        Action::Update { .. } => {
            let title = changed(change, "/title");
            // A title that is no longer said is the name again, as for a tenant made without one.
            let title = title.map(|title| title.and_then(Value::as_str).unwrap_or(called).to_owned());
            apply::change_tenant(identity, by(), called, title, limit_changes(change, catalog)?).await
        }
        Action::Remove => apply::remove_tenant(identity, by(), called).await.map(drop),
    }
}

/// A tenant's user, or an operator.
pub(super) async fn user(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (identity, email) = (&applier.identity, &change.key.name);
    match change.action {
        Action::Create => {
            let wanted = UserWanted {
                id: uuid(value),
                tenant: tenant_of(applier, change).await?,
                email: email.clone(),
                name: text(value, "name"),
                password: hash(value.pointer("/password/argon2"))?,
                admin: value["roles"]["admin"] == true,
                repository_admin: value["roles"]["repository_admin"] == true,
                limits: limits(value, applier.store.catalog())?,
            };
            apply::put_user(identity, by(), wanted).await.map(drop)
        }
        Action::Update { .. } => {
            let flag = |pointer: &str| changed(change, pointer).map(|set| set.is_some_and(|set| *set == true));
            let changes = UserChanges {
                name: changed(change, "/name").flatten().and_then(Value::as_str).map(str::to_owned),
                password: changed(change, "/password/argon2").map(hash).transpose()?,
                admin: flag("/roles/admin"),
                repository_admin: flag("/roles/repository_admin"),
                limits: limit_changes(change, applier.store.catalog())?,
            };
            apply::change_user(identity, by(), email, changes).await
        }
        Action::Remove => apply::remove_user(identity, by(), email).await.map(drop),
    }
}

pub(super) async fn token(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(&change.key.name, &mut sha256)
        .map_err(|error| Error::Broken(format!("a token's fingerprint is not one: {error}")))?;
    match change.action {
        Action::Remove => apply::remove_token(&applier.identity, by(), sha256).await.map(drop),
        // A token that changes hands is the new user's from then on.
        _ => apply::put_token(&applier.identity, by(), sha256, &text(value, "user")).await.map(drop),
    }
}

/// The tenant that an object belongs to; none: the site's own.
pub(super) async fn tenant_of(applier: &Applier, change: &Change) -> Result<Option<TenantId>, Error> {
    let Some(name) = &change.key.tenant else { return Ok(None) };
    let tenant = applier.identity.tenant_by_name(name).await?;
    tenant.map(|tenant| Some(tenant.id)).ok_or_else(|| Error::not_found("tenant", name))
}

fn hash(value: Option<&Value>) -> Result<Option<PasswordHash>, Error> {
    value.and_then(Value::as_str).map(str::parse).transpose()
}
