//! Licences: what the site file offers, and what is on a drive (spec, section 6.8).

use std::collections::HashMap;

use axum::extract::State;
use serde_json::{Value, json};
use store::{Error as StoreError, Row, Tx, params};

use crate::Face;
use crate::auth::Caller;
use crate::error::Error;
use crate::input::Params;
use crate::list;
use crate::reply::Bare;
use crate::wire::{self, Ref};

/// The most licences of a site that are looked at.
const LICENSES_MAX: usize = 1000;
/// The most licences of one drive.
const OF_DRIVE_MAX: usize = 100;

/// `GET licenses/`.
pub async fn all(State(face): State<Face>, _: Caller, params: Params) -> Result<Bare<Value>, Error> {
    let known = face.store.read(read_all).await?;
    let objects = known.into_iter().map(|license| json!(license)).collect();
    list::of_few(&params, objects).map(Bare)
}

fn read_all(tx: &mut Tx) -> Result<Vec<wire::License>, StoreError> {
    let sql =
        format!("SELECT name, number, long_name, user_metric FROM drive_licenses ORDER BY number LIMIT {LICENSES_MAX}");
    tx.query(&sql, &[])?.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<wire::License, StoreError> {
    Ok(wire::License {
        burstable: true,
        long_name: row.get(2)?,
        name: row.get(0)?,
        resource_uri: wire::uri("licenses", row.get::<u64>(1)?),
        kind: "instance",
        user_metric: row.get(3)?,
    })
}

/// The licences of the site, by name.
pub fn by_name(tx: &mut Tx) -> Result<HashMap<String, wire::License>, StoreError> {
    Ok(read_all(tx)?.into_iter().map(|license| (license.name.clone(), license)).collect())
}

/// Licences in a body, as they are kept: each with its amount, what names it, and whose it is. A licence is named by its
/// name, its URI, or an object with one of them.
pub fn read(value: &Value) -> Result<Value, String> {
    let Value::Array(items) = value else { return Err("This field should be a list".to_owned()) };
    if items.len() > OF_DRIVE_MAX {
        return Err(format!("This field may have at most {OF_DRIVE_MAX} elements"));
    }
    let item = |item: &Value| {
        let license = &item["license"];
        let named = [license, &license["name"], &license["resource_uri"]].into_iter().find_map(Value::as_str);
        let named = named.ok_or("A license is named by its name or its URI")?;
        let amount = if item["amount"].is_null() { 1 } else { crate::input::integer(&item["amount"])? };
        let user = if item["user"].is_null() { None } else { Some(crate::input::reference(&item["user"])?) };
        Ok(json!({ "amount": amount, "license": named, "user": user }))
    };
    items.iter().map(item).collect::<Result<Vec<Value>, String>>().map(Value::Array)
}

fn find<'k>(named: &str, known: &'k HashMap<String, wire::License>) -> Option<&'k wire::License> {
    known.get(named).or_else(|| known.values().find(|license| license.resource_uri == named))
}

/// What is named and is no licence of the site.
pub fn unknown<'l>(licenses: &'l Value, known: &'l HashMap<String, wire::License>) -> impl Iterator<Item = &'l str> {
    let named = licenses.as_array().into_iter().flatten().filter_map(|item| item["license"].as_str());
    named.filter(|named| find(named, known).is_none())
}

/// The licences of a drive, as they are told. One that the site has no more is told no more.
pub fn shown(licenses: &Value, known: &HashMap<String, wire::License>) -> Vec<wire::DriveLicense> {
    let items = licenses.as_array().into_iter().flatten();
    let item = |item: &Value| {
        let license = find(item["license"].as_str()?, known)?.clone();
        let user = item["user"].as_str().map(|user| Ref::to("user", user));
        Some(wire::DriveLicense { amount: item["amount"].as_u64().unwrap_or(1), license, user })
    };
    items.filter_map(item).collect()
}

/// A licence is there, as the site file has it; in a unit's own rows.
pub fn put(tx: &mut Tx, name: &str, long_name: &str, user_metric: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO drive_licenses (name, number, long_name, user_metric) \
        VALUES ($1, (SELECT COALESCE(MAX(number), 0) + 1 FROM drive_licenses), $2, $3) \
        ON CONFLICT (name) DO UPDATE SET long_name = excluded.long_name, user_metric = excluded.user_metric";
    tx.execute(sql, &params![name, long_name, user_metric]).map(drop)
}

/// Takes it away again.
pub fn delete(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM drive_licenses WHERE name = $1", &params![name]).map(drop)
}
