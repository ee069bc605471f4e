//! A tenant's KooDrive: its space types, users, apps and tokens. The face has the hands.

use std::collections::{BTreeSet, HashMap};

use identity::Secret;
use koodrive::apply::{self, AppWanted, Callers, Kind, UserWanted};
use serde_json::Value;
use site::{Action, Change, Site};
use store::{Allotment, Error, TenantId};

use super::people::tenant_of;
use super::values::text;
use super::{Applier, by};

/// What apps sign with, by their ids, which are there once on the site. Objects hold a hash only, and to verify a signature
/// the secret itself is needed.
#[derive(Default)]
pub(super) struct AppSecrets(HashMap<String, Secret>);

impl AppSecrets {
    pub fn of(site: &Site) -> AppSecrets {
        let drives = site.tenants.iter().filter_map(|tenant| tenant.koodrive.as_ref());
        let apps = drives.flat_map(|drive| &drive.apps);
        AppSecrets(apps.map(|app| (app.id.clone(), Secret::from(app.secret.expose()))).collect())
    }
}

pub(super) async fn drive(
    applier: &Applier,
    change: &Change,
    value: &Value,
    secrets: &AppSecrets,
) -> Result<(), Error> {
    let (store, identity, tenant) = (&applier.store, &applier.identity, tenant(applier, change).await?);
    match change.action {
        Action::Create => {
            let sizes = Kind::ALL.map(|kind| value[kind.as_str()].as_u64().unwrap_or_default());
            let callers =
                callers(value, |table| value[table].as_object().into_iter().flatten().map(first).collect(), secrets)?;
            apply::put_drive(store, identity, by(), tenant, sizes, callers).await
        }
        Action::Update { .. } => {
            let size = |field: &site::Field| {
                let kind = Kind::ALL.into_iter().find(|kind| field.pointer[1..] == *kind.as_str())?;
                Some((kind, field.to.as_u64()?))
            };
            let sizes = change.fields().iter().filter_map(size).collect();
            let callers = callers(value, |table| changed_in(change, table), secrets)?;
            apply::change_drive(store, identity, by(), tenant, sizes, callers).await
        }
        Action::Remove => apply::remove_drive(store, by(), tenant).await.map(drop),
    }
}

/// The node of a drive, whether the file still names it or not.
pub(super) async fn drive_node(applier: &Applier, change: &Change) -> Result<Option<Allotment>, Error> {
    apply::drive_node(&applier.store, tenant(applier, change).await?).await
}

async fn tenant(applier: &Applier, change: &Change) -> Result<TenantId, Error> {
    let tenant = tenant_of(applier, change).await?;
    tenant.ok_or_else(|| Error::Broken(format!("{} is no tenant's", change.key)))
}

fn first((name, _): (&String, &Value)) -> String {
    name.clone()
}

/// Which entries of a table a change is about.
fn changed_in(change: &Change, table: &str) -> BTreeSet<String> {
    let place = format!("/{table}/");
    let names = change.fields().iter().filter_map(|field| field.pointer.strip_prefix(&place)?.split('/').next());
    names.map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
}

/// What the object says of those entries; one it does not have is none any more.
fn callers(
    value: &Value,
    entries: impl Fn(&str) -> BTreeSet<String>,
    AppSecrets(secrets): &AppSecrets,
) -> Result<Callers, Error> {
    let of = |table: &str, name: &str| value[table].get(name);
    let user = |entry: &Value| UserWanted { email: text(entry, "user"), admin: entry["admin"] == true };
    let users = entries("users").into_iter().map(|id| (id.clone(), of("users", &id).map(user))).collect();
    let app = |id: String| {
        let Some(entry) = of("apps", &id) else { return Ok((id, None)) };
        let secret = secrets.get(&id).ok_or_else(|| Error::Broken(format!("the app {id} has no secret")))?;
        let wanted = AppWanted { secret: secret.clone(), response_form: text(entry, "response_form") };
        Ok((id, Some(wanted)))
    };
    let apps = entries("apps").into_iter().map(app).collect::<Result<_, Error>>()?;
    let token = |name: String| {
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&name, &mut sha256)
            .map_err(|error| Error::Broken(format!("a token's fingerprint is not one: {error}")))?;
        Ok((sha256, of("tokens", &name).map(|entry| text(entry, "user"))))
    };
    let tokens = entries("tokens").into_iter().map(token).collect::<Result<_, Error>>()?;
    Ok(Callers { users, apps, tokens })
}
