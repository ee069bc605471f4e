//! Transfers: the second way in and out, for clients that move files apart from their records.
//!
//! **Shape.** A transfer names a record. While it is open, the files of an upload are put to `endpoint` + `prefix` + name
//! and become files of the record; those of a download are read there. The client says how far it is.

use axum::Json;
use axum::extract::State;
use content::BlobInfo;
use identity::Principal;
use serde_json::{Value as Json_, json};
use store::{Error as StoreError, Micros, Row, TenantId, Tx, Unit, params};

use crate::access::{self, Reach};
use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{AllocationId, AssetId, RecordId, RepositoryId, TransferId};
use crate::input::{self, At, Input, Params, TEXT_MAX};
use crate::page::{self, Asked, Here, Page};
use crate::record::{self, File, Reached};
use crate::reply::Created;
use crate::select::Select;
use crate::{Face, asset, wire};

/// What a list can be ordered by.
const ORDERS: &[(&str, &str)] = &[
    ("created_at", "transfers.created_at"),
    ("updated_at", "transfers.updated_at"),
    ("expires_at", "transfers.expires_at"),
    ("bytes_transferred", "transfers.bytes_transferred"),
];

const STATUSES: &[&str] = &["pending", "in_progress", "completed", "failed", "expired"];

/// `GET /api/transfers/`: a page of the caller's; an administrator sees the tenant's.
pub async fn list(
    State(face): State<Face>,
    caller: Caller,
    here: Here,
    params: Params,
) -> Result<Json<Page<wire::Transfer>>, Error> {
    let select = filters(&face, &caller, &params)?;
    let asked = Asked::of(&params, ORDERS, "transfers.id");
    let page = asked.clone();
    let read = face.store.read(move |tx| {
        let (count, number, rows) = page.read(tx, COLUMNS, FROM, &select)?;
        let now = tx.now();
        let transfers = rows.iter().map(|row| from_row(row)?.shown(now)).collect::<Result<Vec<_>, _>>()?;
        Ok((count, number, transfers))
    });
    let (count, number, transfers) = read.await?;
    Ok(Json(asked.page(&here, &params, (count, number), transfers)))
}

fn filters(face: &Face, caller: &Caller, params: &Params) -> Result<Select, Error> {
    let mut fields = params.fields();
    let asset = fields.may("asset_id", input::uuid);
    let project = fields.may("project", input::uuid);
    let repository = fields.may("repository", input::uuid);
    let status = fields.may("status", input::choice(STATUSES));
    let kind = fields.may("type", input::choice(&["upload", "download"]));
    let origin = fields.may("origin", input::choice(&["user", "system", "all"])).unwrap_or("user");
    let q = fields.may("q", input::text(TEXT_MAX));
    fields.end()?;
    let mut select = visible(caller);
    select.and_equal("records.asset_id", asset);
    if let Some(project) = project {
        let project = select.bind(project);
        select.and(format!("allocations.owner_type = 'project' AND allocations.owner_id = {project}"));
    }
    select.and_equal("allocations.repository_id", repository);
    select.and_equal("transfers.kind", kind);
    select.and_equal("transfers.origin", Some(origin).filter(|origin| *origin != "all"));
    if let Some(status) = status {
        let now = select.bind(face.store.now());
        let is_open = "transfers.status IN ('pending', 'in_progress')";
        if status == "expired" {
            select.and(format!("{is_open} AND transfers.expires_at <= {now}"));
        } else {
            let status = select.bind(status);
            select.and(format!("transfers.status = {status} AND NOT ({is_open} AND transfers.expires_at <= {now})"));
        }
    }
    if let Some(q) = q {
        let escaped = q.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
        let like = select.bind(format!("%{escaped}%"));
        select.and(format!("lower(transfers.files) LIKE {like} ESCAPE '!'"));
    }
    Ok(select)
}

/// `POST /api/transfers/`: opens a transfer of a record.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    here: Here,
    Input(asked): Input<wire::NewTransfer>,
) -> Result<Created<wire::TransferMade>, Error> {
    let id = TransferId(face.store.new_id());
    let (who, record, kind) = (caller.clone(), asked.record, asked.kind);
    let read = face.store.read(move |tx| reach(tx, &who, record, kind).map_err(Error::noun));
    let reached = match read.await.map_err(Error::from) {
        Err(Error::NotFound) => return Err(Error::field("content_id", "Invalid content - object does not exist.")),
        reached => reached?,
    };
    let expires_at = face.store.now() + asked.expires_in_s * 1_000_000;
    let files = match (asked.files.is_empty(), kind) {
        (true, "download") => reached.record.files.iter().map(|file| file.name.clone()).collect(),
        _ => asked.files.clone(),
    };
    let new = New { id, tenant: reached.tenant, user: caller.user, expires_at, files: files.clone(), asked };
    face.store.write(Unit::by(caller.actor()).rows(move |tx| insert(tx, &new))).await?;
    let prefix = format!("/api/transfers/{id}/files/");
    let url = |name: &String| {
        let name = name.split('/').map(page::escape).collect::<Vec<_>>().join("/");
        format!("{}{prefix}{name}", here.origin)
    };
    let files = files.into_iter().map(|filename| wire::TransferFile { url: url(&filename), filename }).collect();
    let (endpoint, credentials) = (here.origin.clone(), json!({}));
    let expires_at = wire::At(expires_at);
    Ok(Created(wire::TransferMade { transfer_id: id, credentials, endpoint, prefix, files, expires_at }))
}

/// `GET /api/transfers/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TransferId>,
) -> Result<Json<wire::Transfer>, Error> {
    Ok(Json(show(&face, &caller, id).await?))
}

/// `PATCH /api/transfers/{id}/`: the client says how far it is.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TransferId>,
    Input(asked): Input<wire::TransferChange>,
) -> Result<Json<wire::Transfer>, Error> {
    let who = caller.clone();
    let unit = Unit::by(caller.actor()).rows(move |tx| {
        let transfer = find(tx, &who, id)?.ok_or_else(|| Error::NotFound.noun())?;
        check_completed(tx, &transfer, asked.completed_files.as_deref().unwrap_or_default()).map_err(Error::noun)?;
        update(tx, &transfer, &asked)
    });
    face.store.write(unit).await?;
    Ok(Json(show(&face, &caller, id).await?))
}

async fn show(face: &Face, caller: &Caller, id: TransferId) -> Result<wire::Transfer, Error> {
    let who = caller.clone();
    let read = face.store.read(move |tx| {
        let now = tx.now();
        find(tx, &who, id)?.map(|transfer| transfer.shown(now)).transpose()
    });
    read.await?.ok_or(Error::NotFound)
}

/// Where a file of an upload transfer goes.
pub struct Place {
    pub tenant: TenantId,
    pub record: RecordId,
    pub allocation: AllocationId,
    pub repository: RepositoryId,
    pub name: String,
    /// The file of this name that is there, and whether its claim counts the record.
    pub before: Option<(BlobInfo, bool)>,
}

/// The place of a file that is put, if it may be.
pub fn place(tx: &mut Tx, who: &Principal, id: TransferId, name: String) -> Result<Place, Error> {
    let transfer = find(tx, who, id)?.ok_or(Error::NotFound)?;
    if transfer.kind != "upload" {
        return Err(Error::Refused("This transfer is no upload.".to_owned()));
    }
    if !transfer.is_open(tx.now()) {
        return Err(Error::Conflict(format!("The transfer is {}.", transfer.status(tx.now()))));
    }
    let name = wire::filename(&Json_::String(name)).map_err(|why| Error::field("filename", why))?;
    let names = names(&transfer.files);
    if !names.is_empty() && !names.contains(&name.as_str()) {
        return Err(Error::field("filename", format!("{name} is no file of this transfer.")));
    }
    let Reached { record, tenant, repository } = reach(tx, who, transfer.record, "upload")?;
    let before = match record.files.iter().find(|file| file.name == name) {
        Some(file) => content::info(tx, file.blob)?.map(|info| (info, file.counts_record)),
        None => None,
    };
    Ok(Place { tenant, record: record.id, allocation: record.allocation, repository, name, before })
}

/// A file of a transfer that is read.
pub fn file(tx: &mut Tx, who: &Principal, id: TransferId, name: &str) -> Result<File, Error> {
    let transfer = find(tx, who, id)?.filter(|transfer| transfer.is_open(tx.now())).ok_or(Error::NotFound)?;
    let reached = reach(tx, who, transfer.record, "download")?;
    reached.record.files.into_iter().find(|file| file.name == name).ok_or(Error::NotFound)
}

/// The record of a transfer, if the caller may move files so.
fn reach(tx: &mut Tx, who: &Principal, record: RecordId, kind: &str) -> Result<Reached, Error> {
    if kind == "download" {
        return record::reachable(tx, who, record, Reach::Read);
    }
    let reached = record::reachable(tx, who, record, Reach::Write)?;
    let asset = reached.record.asset.map(|asset| asset::find(tx, asset)).transpose()?.flatten();
    if asset.is_some_and(|asset| asset.is_locked) { Err(Error::Denied) } else { Ok(reached) }
}

/// A transfer.
struct Transfer {
    id: TransferId,
    record: RecordId,
    asset: Option<AssetId>,
    kind: String,
    origin: String,
    status: String,
    files: Json_,
    protocols: Json_,
    bytes_transferred: u64,
    completed_files: Json_,
    expires_at: Micros,
    created_at: Micros,
    updated_at: Micros,
}

impl Transfer {
    fn is_open(&self, now: Micros) -> bool {
        matches!(self.status(now), "pending" | "in_progress")
    }

    fn status(&self, now: Micros) -> &str {
        match self.status.as_str() {
            "pending" | "in_progress" if self.expires_at <= now => "expired",
            status => status,
        }
    }

    fn shown(self, now: Micros) -> Result<wire::Transfer, StoreError> {
        let status = self.status(now).to_owned();
        Ok(wire::Transfer {
            transfer_id: self.id,
            content_id: self.record,
            asset_id: self.asset,
            kind: self.kind,
            status,
            origin: self.origin,
            files: self.files,
            supported_protocols: self.protocols,
            bytes_transferred: self.bytes_transferred,
            completed_files: self.completed_files,
            expires_at: wire::At(self.expires_at),
            created_at: wire::At(self.created_at),
            updated_at: wire::At(self.updated_at),
        })
    }
}

fn names(files: &Json_) -> Vec<&str> {
    files.as_array().into_iter().flatten().filter_map(Json_::as_str).collect()
}

/// Whose transfers the caller sees: their own; an administrator all.
fn visible(who: &Principal) -> Select {
    let mut select = Select::new();
    access::narrow_to_tenant(&mut select, who, "transfers");
    if !access::is_administrator(who) {
        select.and_equal("transfers.user_id", Some(who.user));
    }
    select
}

const COLUMNS: &str = "transfers.id, transfers.record_id, records.asset_id, transfers.kind, transfers.origin, \
    transfers.status, transfers.files, transfers.protocols, transfers.bytes_transferred, transfers.completed_files, \
    transfers.expires_at, transfers.created_at, transfers.updated_at";
const FROM: &str = "transfers JOIN records ON records.id = transfers.record_id \
    JOIN allocations ON allocations.id = records.allocation_id";

fn from_row(row: &Row) -> Result<Transfer, StoreError> {
    let parsed = |index| -> Result<Json_, StoreError> {
        let text: String = row.get(index)?;
        serde_json::from_str(&text).map_err(|error| StoreError::Broken(format!("column {index} is no JSON: {error}")))
    };
    Ok(Transfer {
        id: row.get(0)?,
        record: row.get(1)?,
        asset: row.get(2)?,
        kind: row.get(3)?,
        origin: row.get(4)?,
        status: row.get(5)?,
        files: parsed(6)?,
        protocols: parsed(7)?,
        bytes_transferred: row.get(8)?,
        completed_files: parsed(9)?,
        expires_at: row.get(10)?,
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
    })
}

fn find(tx: &mut Tx, who: &Principal, id: TransferId) -> Result<Option<Transfer>, StoreError> {
    let mut select = visible(who);
    select.and_equal("transfers.id", Some(id));
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE {}", select.conditions());
    tx.query_opt(&sql, select.values())?.as_ref().map(from_row).transpose()
}

/// A transfer to be made.
struct New {
    id: TransferId,
    tenant: TenantId,
    user: store::UserId,
    expires_at: Micros,
    files: Vec<String>,
    asked: wire::NewTransfer,
}

fn insert(tx: &mut Tx, new: &New) -> Result<(), StoreError> {
    let sql = "INSERT INTO transfers (id, tenant_id, record_id, user_id, kind, origin, status, files, protocols, \
        bytes_transferred, completed_files, expires_at, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, 0, '[]', $9, $10, $10)";
    let (files, protocols) = (json!(new.files).to_string(), json!(new.asked.protocols).to_string());
    let (record, kind, origin) = (new.asked.record, new.asked.kind, new.asked.origin);
    let values =
        params![new.id, new.tenant, record, new.user, kind, origin, files, protocols, new.expires_at, tx.now()];
    tx.execute(sql, &values).map(drop)
}

/// What a client says is there must be so, as far as we have it.
fn check_completed(tx: &mut Tx, transfer: &Transfer, completed: &[wire::File]) -> Result<(), Error> {
    let wanted = names(&transfer.files);
    let record = record::find(tx, transfer.record)?.ok_or(Error::NotFound)?;
    for file in completed {
        let name = &file.filename;
        if !wanted.is_empty() && !wanted.contains(&name.as_str()) {
            return Err(Error::field("completed_files", format!("{name} is no file of this transfer.")));
        }
        let Some(known) = record.files.iter().find(|known| known.name == *name) else {
            return Err(Error::field("completed_files", format!("{name} has not been uploaded.")));
        };
        let differs = !file.checksum.is_empty() && file.checksum != known.checksum();
        if known.size != file.size || differs {
            return Err(Error::field("completed_files", format!("{name} is not what was uploaded.")));
        }
    }
    Ok(())
}

fn update(tx: &mut Tx, transfer: &Transfer, asked: &wire::TransferChange) -> Result<(), StoreError> {
    if !transfer.is_open(tx.now()) {
        return Err(Error::Conflict(format!("The transfer is {}.", transfer.status(tx.now()))).noun());
    }
    let bytes = asked.bytes_transferred.unwrap_or(transfer.bytes_transferred);
    let completed = asked.completed_files.as_ref().map_or(transfer.completed_files.clone(), |files| json!(files));
    let done: Vec<&str> =
        completed.as_array().into_iter().flatten().filter_map(|file| file["filename"].as_str()).collect();
    let wanted = names(&transfer.files);
    let is_complete = !done.is_empty() && wanted.iter().all(|name| done.contains(name));
    let status = match (is_complete, bytes > 0 || !done.is_empty()) {
        (true, _) => "completed",
        (false, true) => "in_progress",
        (false, false) => transfer.status.as_str(),
    };
    let sql = "UPDATE transfers SET status = $2, bytes_transferred = $3, completed_files = $4, updated_at = $5 \
        WHERE id = $1";
    tx.execute(sql, &params![transfer.id, status, bytes, completed.to_string(), tx.now()]).map(drop)
}

/// So many bytes more were put.
pub fn moved(tx: &mut Tx, id: TransferId, bytes: u64) -> Result<(), StoreError> {
    let sql = "UPDATE transfers SET status = 'in_progress', bytes_transferred = bytes_transferred + $2, \
        updated_at = $3 WHERE id = $1 AND status IN ('pending', 'in_progress')";
    match tx.execute(sql, &params![id, bytes, tx.now()])? {
        0 => Err(StoreError::Conflict("the transfer has ended".to_owned())),
        _ => Ok(()),
    }
}
