//! Organizations as v3 has them (specification, section 4.3).

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Tx};

use crate::auth::Caller;
use crate::body::{self, Base, Faults, Params, Raw};
use crate::error::{Error, Noun};
use crate::ids::{self, OrgId};
use crate::list::Asked;
use crate::org::{self, COLUMNS, Org, TABLE};
use crate::reply::Reply;
use crate::wire::v3;
use crate::{Face, access, again, job};

/// Labels and annotations of a body, over those that were there; a null takes one away.
pub fn metadata(map: &Map<String, Value>, before: &str, faults: &mut Faults) -> String {
    let mut kept: Value = serde_json::from_str(before).unwrap_or_else(|_| json!({}));
    let said = map.get("metadata").unwrap_or(&Value::Null);
    for part in ["labels", "annotations"] {
        let Some(fields) = said[part].as_object() else {
            if !said[part].is_null() {
                faults.add(format!("Metadata {part} is not an object"));
            }
            continue;
        };
        if !kept[part].is_object() {
            kept[part] = json!({});
        }
        let Some(all) = kept[part].as_object_mut() else { continue };
        for (key, value) in fields {
            match value {
                Value::Null => drop(all.remove(key)),
                Value::String(text) => drop(all.insert(key.clone(), text.as_str().into())),
                _ => faults.add(format!("Metadata {part} value error: must be a string")),
            }
        }
    }
    let text = kept.to_string();
    if text.len() > METADATA_MAX {
        faults.add(format!("Metadata has at most {METADATA_MAX} bytes"));
    }
    text
}

/// The longest labels and annotations, as JSON.
const METADATA_MAX: usize = 64 * 1024;

fn suspended(map: &Map<String, Value>, faults: &mut Faults) -> Option<bool> {
    match map.get("suspended") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(set)) => Some(*set),
        Some(_) => {
            faults.add("Suspended must be a boolean");
            None
        }
    }
}

/// `POST /v3/organizations`: admins only.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    if !caller.is_admin() {
        return Err(Error::Denied);
    }
    let map = body::v3(&body)?;
    let mut faults = Faults::default();
    faults.unknown("", &map, &["name", "suspended", "metadata"]);
    let name = faults.name_within(&map, true, org::NAME_MAX);
    let (suspended, metadata) = (suspended(&map, &mut faults), metadata(&map, "{}", &mut faults));
    faults.end()?;
    let made = again(|| async {
        let (who, name, metadata) = (caller.clone(), name.clone().unwrap_or_default(), metadata.clone());
        let id = OrgId(ids::guid(&face.store));
        let read = face.store.read(move |tx| {
            let tenant = org::home(tx, &who, None)?;
            let suspended = suspended.unwrap_or(false);
            let new = org::New { id, tenant, name, suspended, billing_enabled: false, metadata };
            let quota = org::default_quota(tx, tenant)?;
            org::create(who.unit(), new, quota)
        });
        face.store.write(read.await?).await?;
        Ok(id)
    });
    let id = made.await?;
    Ok(Reply::v3(StatusCode::CREATED, &show(&face, &base, id).await?))
}

async fn show(face: &Face, base: &str, id: OrgId) -> Result<Value, Error> {
    let org = face.store.read(move |tx| org::find(tx, id)).await?;
    org.map(|org| v3::org(base, &org)).ok_or_else(|| Error::NotFound(Noun::Organization, id.to_string()))
}

fn seen(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<Org, StoreError> {
    let org = org::need(tx, caller, guid)?;
    let missing = || Error::NotFound(Noun::Organization, guid.to_owned()).noun();
    if access::sees_org(tx, caller, org.id)? { Ok(org) } else { Err(missing()) }
}

/// `GET /v3/organizations/{guid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let org = face.store.read(move |tx| seen(tx, &caller, &guid)).await?;
    Ok(Reply::v3(StatusCode::OK, &v3::org(&base, &org)))
}

/// `GET /v3/organizations`.
pub async fn list(State(face): State<Face>, caller: Caller, Base(base): Base, params: Params) -> Result<Reply, Error> {
    let mut asked = Asked::v3(&params, &TABLE)?;
    access::narrow_to_tenant(&mut asked.select, &caller, "cf_organizations");
    access::narrow_to_orgs(&mut asked.select, &caller, "cf_organizations.id");
    let read = face.store.read(move |tx| Ok((asked.read(tx, COLUMNS, "cf_organizations")?, asked)));
    let (page, asked) = read.await?;
    let orgs = page.rows.iter().map(org::from_row).collect::<Result<Vec<_>, _>>()?;
    let objects = orgs.iter().map(|org| v3::org(&base, org)).collect();
    Ok(Reply::v3(StatusCode::OK, &asked.v3_frame(&format!("{base}/v3/organizations"), page.total, objects)))
}

/// `PATCH /v3/organizations/{guid}`: managers its name and metadata, admins whether it is suspended.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
    Raw(body): Raw,
) -> Result<Reply, Error> {
    let changed = again(|| async {
        let (who, guid, body) = (caller.clone(), guid.clone(), body.clone());
        let read = face.store.read(move |tx| {
            let before = seen(tx, &who, &guid)?;
            access::check_manages(tx, &who, &before)?;
            let map = body::v3(&body).map_err(Error::noun)?;
            let mut faults = Faults::default();
            faults.unknown("", &map, &["name", "suspended", "metadata"]);
            let name = faults.name_within(&map, false, org::NAME_MAX);
            let suspended = suspended(&map, &mut faults);
            let metadata = metadata(&map, &before.metadata, &mut faults);
            faults.end().map_err(Error::noun)?;
            if suspended.is_some_and(|set| set != before.suspended) && !who.is_admin() {
                return Err(Error::Denied.noun());
            }
            let after = Org {
                name: name.unwrap_or_else(|| before.name.clone()),
                suspended: suspended.unwrap_or(before.suspended),
                metadata,
                ..before.clone()
            };
            Ok((before.id, org::change(&who, &before, after)))
        });
        let (id, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(id)
    });
    let id = changed.await?;
    Ok(Reply::v3(StatusCode::OK, &show(&face, &base, id).await?))
}

/// `DELETE /v3/organizations/{guid}`, with all in it.
pub async fn remove(
    State(face): State<Face>,
    caller: Caller,
    Base(base): Base,
    Path(guid): Path<String>,
) -> Result<Reply, Error> {
    let removed = again(|| async {
        let (who, guid) = (caller.clone(), guid.clone());
        let read = face.store.read(move |tx| {
            let org = seen(tx, &who, &guid)?;
            if !who.is_admin() {
                return Err(Error::Denied.noun());
            }
            Ok((org.tenant, org::delete(tx, who.unit(), &org)?))
        });
        let (tenant, unit) = read.await?;
        face.store.write(unit).await?;
        Ok(tenant)
    });
    let tenant = removed.await?;
    job::done(&face, &base, tenant, "organization.delete").await
}
