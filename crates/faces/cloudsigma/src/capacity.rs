//! What there is and what is used of it: capabilities, current usage, subscriptions (spec, sections 6.6 to 6.8).

use std::collections::HashMap;

use axum::extract::State;
use content::volume::{self, SnapshotId as ImageId};
use ledger::{AllotmentId, Resource};
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Tx, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::Params;
use crate::list;
use crate::reply::Bare;
use crate::storage_type::{self, StorageType};
use crate::wire;

/// The most snapshots of a user, and of one drive.
const SNAPSHOTS_MAX: u64 = 700;
const OF_DRIVE_MAX: u64 = 90;

/// What is counted beside storage: nothing of it is handed out here.
const NOT_HERE: [&str; 5] = ["cpu", "mem", "ip", "vlan", "tx"];

/// `GET capabilities/`.
pub async fn capabilities(State(face): State<Face>, caller: Caller) -> Result<Bare<Value>, Error> {
    let user = caller.user;
    let read = face.store.read(move |tx| Ok((storage_type::all(tx)?, snapshots(tx, user)?)));
    let (kinds, snapshots) = read.await?;
    let drives: Map<String, Value> = kinds.iter().map(|kind| (kind.name.clone(), bounds(kind))).collect();
    Ok(Bare(json!({
        "backfilling": false,
        "default_storage_type": kinds.first().map(|kind| kind.name.as_str()),
        "drives": drives,
        "hosts": {},
        "hypervisors": { "kvm": {} },
        "remote_snapshots": { "current": 0, "max": 0, "max_per_drive": 0 },
        "servers": {
            "cpu": { "max": 80_000, "min": 250 },
            "mem": { "max": 137_438_953_472_u64, "min": 268_435_456 },
            "smp": { "max": 40, "min": 1 },
        },
        "snapshots": { "current": snapshots, "max": SNAPSHOTS_MAX, "max_per_drive": OF_DRIVE_MAX },
    })))
}

fn bounds(kind: &StorageType) -> Value {
    let (min, max) = (kind.size_min, kind.size_max);
    json!({ "iops": null, "max_size": max, "min_size": min, "size": { "max": max, "min": min } })
}

fn snapshots(tx: &mut Tx, user: UserId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM drive_snapshots WHERE owner_id = $1";
    tx.query_opt(sql, &params![user])?.map_or(Ok(0), |row| row.get(0))
}

/// In the commit of new snapshots: that there are not too many by now.
pub fn check_snapshots(tx: &mut Tx, user: UserId, drives: impl Iterator<Item = DriveId>) -> Result<(), Error> {
    if snapshots(tx, user)? > SNAPSHOTS_MAX {
        return Err(Error::Denied(format!("You may have at most {SNAPSHOTS_MAX} snapshots")));
    }
    for drive in drives {
        let sql = "SELECT count(*) FROM drive_snapshots WHERE drive_id = $1";
        let count = tx.query_opt(sql, &params![drive])?.map_or(Ok(0), |row| row.get::<u64>(0))?;
        if count > OF_DRIVE_MAX {
            return Err(Error::Denied(format!("A drive may have at most {OF_DRIVE_MAX} snapshots")));
        }
    }
    Ok(())
}

/// What a user holds of one storage type, and what they could hold.
struct Usage {
    kind: String,
    using: u64,
    subscribed: u64,
}

/// `GET currentusage/`: nothing is ever lent beyond a limit, so nothing is burst.
pub async fn usage(State(face): State<Face>, caller: Caller) -> Result<Bare<Value>, Error> {
    let usages = read_usages(&face, &caller).await?;
    let nothing = || json!({ "burst": 0, "subscribed": 0, "using": 0 });
    let mut told: Map<String, Value> = NOT_HERE.iter().map(|name| ((*name).to_owned(), nothing())).collect();
    for Usage { kind, using, subscribed } in usages {
        told.insert(kind, json!({ "burst": 0, "subscribed": subscribed, "using": using }));
    }
    Ok(Bare(json!({ "balance": { "balance": "0.00", "currency": "USD" }, "usage": told })))
}

/// `GET subscriptions/`: one for each storage type.
pub async fn subscriptions(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Value>, Error> {
    let usages = read_usages(&face, &caller).await?;
    // Libcloud asks for the status "all".
    let wanted = |name: &str, value: &str| params.get(name).is_none_or(|text| ["", "all", value].contains(&text));
    let subscription = |(number, usage): (usize, &Usage)| {
        json!({
            "amount": usage.subscribed.to_string(),
            "auto_renew": true,
            "descendants": [],
            "discount_amount": null,
            "discount_percent": null,
            "end_time": "2999-12-31T00:00:00+00:00",
            "free_tier": false,
            "id": (number + 1).to_string(),
            "last_notification": null,
            "period": "1 month",
            "price": "0E-20",
            "remaining": (usage.subscribed - usage.using).to_string(),
            "resource": &usage.kind,
            "resource_uri": wire::uri("subscriptions", number + 1),
            "start_time": "1970-01-01T00:00:00+00:00",
            "status": "active",
            "subscribed_object": null,
            "uuid": (number + 1).to_string(),
        })
    };
    let numbered = usages.iter().enumerate();
    let fitting = numbered.filter(|(_, usage)| wanted("resource", &usage.kind) && wanted("status", "active"));
    list::of_few(&params, fitting.map(subscription).collect()).map(Bare)
}

async fn read_usages(face: &Face, caller: &Caller) -> Result<Vec<Usage>, Error> {
    let (user, node) = (caller.user, caller.allotment);
    let read = face.store.read(move |tx| {
        let using = using(tx, user)?;
        let own = node.map_or(Ok(0), |node| headroom(tx, node))?;
        let mut usages = Vec::new();
        for kind in storage_type::all(tx)? {
            let using = using.get(&kind.name).copied().unwrap_or(0);
            let headroom = own.min(headroom(tx, kind.allotment)?);
            let subscribed = using.saturating_add(headroom).min(ledger::AMOUNT_MAX);
            usages.push(Usage { kind: kind.name, using, subscribed });
        }
        Ok(usages)
    });
    Ok(read.await?)
}

/// Bytes by storage type: drives at their size, snapshots at what they are charged.
fn using(tx: &mut Tx, user: UserId) -> Result<HashMap<String, u64>, StoreError> {
    let sql = "SELECT storage_type, CAST(SUM(COALESCE(wanted_bytes, size_bytes)) AS BIGINT) FROM drives \
        WHERE owner_id = $1 GROUP BY storage_type";
    let mut using = HashMap::new();
    for row in tx.query(sql, &params![user])? {
        using.insert(row.get(0)?, row.get(1)?);
    }
    let sql = "SELECT id, storage_type FROM drive_snapshots WHERE owner_id = $1 LIMIT $2";
    for row in tx.query(sql, &params![user, SNAPSHOTS_MAX])? {
        if let Some(info) = volume::snapshot_info(tx, ImageId(row.get(0)?))? {
            *using.entry(row.get(1)?).or_default() += info.charged;
        }
    }
    Ok(using)
}

/// The least headroom of bytes on a path.
fn headroom(tx: &mut Tx, node: AllotmentId) -> Result<u64, StoreError> {
    let path = store::allotments::above(tx, node)?;
    let room = |node: &store::Allotment| {
        let balance = node.balance(Resource::BYTES);
        Some(balance.limit?.saturating_sub(balance.used).saturating_sub(balance.pending))
    };
    let rooms = path.iter().filter_map(room);
    Ok(rooms.min().unwrap_or(ledger::AMOUNT_MAX))
}
