//! Records: stored content. What `max_records` counts, and `data_volume_limit` weighs.
//!
//! **Always.** A record has one file or more, each a blob with a claim of its true size on the record's allocation; the first
//! one's claim counts the record, too. Rows and charges come and go in one commit.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use content::{BlobId, BlobInfo};
use identity::Principal;
use store::{Error as StoreError, Micros, Row, TenantId, Tx, Unit, Value, params};

use crate::access::{self, Owner, Reach};
use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{AllocationId, AssetId, RecordId, RepositoryId};
use crate::input::{self, At, Params};
use crate::page::{Asked, Here, Page};
use crate::reply::NoContent;
use crate::select::Select;
use crate::{Face, wire};

/// What a list can be ordered by.
const ORDERS: &[(&str, &str)] = &[
    ("created_at", "records.created_at"),
    ("updated_at", "records.updated_at"),
    ("size_bytes", "records.size_bytes"),
    ("id", "records.id"),
];

/// `GET /api/records/`: a page of those in the caller's own allocations and their projects'.
pub async fn list(
    State(face): State<Face>,
    caller: Caller,
    here: Here,
    params: Params,
) -> Result<Json<Page<wire::Record>>, Error> {
    let mut fields = params.fields();
    let allocation = fields.may("allocation_id", input::uuid);
    let asset = fields.may("asset_id", input::uuid);
    fields.end()?;
    let mut select = Select::new();
    select.and_equal("records.allocation_id", allocation);
    select.and_equal("records.asset_id", asset);
    access::narrow(&mut select, &caller, "allocations");
    let asked = Asked::of(&params, ORDERS, "records.id");
    let page = asked.clone();
    let read = face.store.read(move |tx| {
        let from = "records JOIN allocations ON allocations.id = records.allocation_id";
        let (count, number, rows) = page.read(tx, COLUMNS, from, &select)?;
        Ok((count, number, with_files(tx, &rows)?))
    });
    let (count, number, records) = read.await?;
    let records = records.into_iter().map(Record::shown).collect();
    Ok(Json(asked.page(&here, &params, (count, number), records)))
}

/// `GET /api/records/{id}/`.
pub async fn get(State(face): State<Face>, caller: Caller, At(id): At<RecordId>) -> Result<Json<wire::Record>, Error> {
    let read = face.store.read(move |tx| reachable(tx, &caller, id, Reach::Read).map_err(Error::noun));
    Ok(Json(read.await?.record.shown()))
}

/// `DELETE /api/records/{id}/`: its room is free when this is answered.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<RecordId>) -> Result<NoContent, Error> {
    let actor = caller.actor();
    let read = face.store.read(move |tx| {
        let found = reachable(tx, &caller, id, Reach::Write).map_err(Error::noun)?;
        blobs_of(tx, &[found.record])
    });
    let going = read.await?;
    let unit = doom_all(Unit::by(actor), &going).rows(move |tx| delete_all(tx, &going));
    face.store.write(unit).await.map(|_| NoContent).map_err(Error::gone)
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    pub id: RecordId,
    pub allocation: AllocationId,
    pub asset: Option<AssetId>,
    pub size: u64,
    pub created_at: Micros,
    pub updated_at: Micros,
    pub files: Vec<File>,
}

/// A file of a record.
#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub blob: BlobId,
    pub size: u64,
    pub sha256: [u8; 32],
    pub data_type: String,
    /// Whether its claim counts the record.
    pub counts_record: bool,
}

impl File {
    /// As clients compare it.
    pub fn checksum(&self) -> String {
        format!("sha256:{}", hex::encode(self.sha256))
    }
}

impl Record {
    /// On the wire.
    pub fn shown(self) -> wire::Record {
        let data_type = self.files.first().map(|file| file.data_type.clone()).unwrap_or_default();
        let files = self.files.into_iter().map(|file| {
            let checksum = file.checksum();
            wire::File { filename: file.name, size: file.size, checksum }
        });
        wire::Record {
            id: self.id,
            asset_id: self.asset,
            allocation_id: self.allocation,
            storage_path: format!("{}/{}", self.allocation, self.id),
            size_bytes: self.size,
            data_type,
            files: files.collect(),
            extracted_metadata: None,
            created_at: wire::At(self.created_at),
            updated_at: wire::At(self.updated_at),
        }
    }
}

/// A record that somebody reaches, and where it lies.
pub struct Reached {
    pub record: Record,
    pub tenant: TenantId,
    pub repository: RepositoryId,
}

/// The record, if the caller reaches it so far.
pub fn reachable(tx: &mut Tx, who: &Principal, id: RecordId, wanted: Reach) -> Result<Reached, Error> {
    let sql = format!(
        "SELECT {COLUMNS}, allocations.tenant_id, allocations.owner_type, allocations.owner_id, \
         allocations.repository_id FROM records JOIN allocations ON allocations.id = records.allocation_id \
         WHERE records.id = $1"
    );
    let row = tx.query_opt(&sql, &params![id])?.ok_or(Error::NotFound)?;
    let (tenant, owner, repository) = (row.get(6)?, Owner::from_row(&row, 7)?, row.get(9)?);
    match access::reach(tx, who, tenant, owner)? {
        Reach::None => return Err(Error::NotFound),
        reach if reach < wanted => return Err(Error::Denied),
        _ => {}
    }
    let record = with_files(tx, &[row])?.pop().ok_or(Error::NotFound)?;
    Ok(Reached { record, tenant, repository })
}

/// The record, whoever asks: for rules about what is known to be the caller's.
pub fn find(tx: &mut Tx, id: RecordId) -> Result<Option<Record>, StoreError> {
    let rows = tx.query(&format!("SELECT {COLUMNS} FROM records WHERE records.id = $1"), &params![id])?;
    Ok(with_files(tx, &rows)?.pop())
}

const COLUMNS: &str = "records.id, records.allocation_id, records.asset_id, records.size_bytes, records.created_at, \
    records.updated_at";

fn with_files(tx: &mut Tx, rows: &[Row]) -> Result<Vec<Record>, StoreError> {
    let record = |row: &Row| -> Result<Record, StoreError> {
        Ok(Record {
            id: row.get(0)?,
            allocation: row.get(1)?,
            asset: row.get(2)?,
            size: row.get(3)?,
            created_at: row.get(4)?,
            updated_at: row.get(5)?,
            files: Vec::new(),
        })
    };
    let mut records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Value> = records.iter().map(|record| record.id.into()).collect();
    let sql = |list: &str| {
        format!(
            "SELECT record_id, name, blob_id, size_bytes, sha256, data_type, counts_record FROM record_files \
                 WHERE record_id IN {list}"
        )
    };
    let mut files = HashMap::<RecordId, Vec<File>>::new();
    for row in tx.query_in(sql, &ids)? {
        files.entry(row.get(0)?).or_default().push(file_from_row(&row)?);
    }
    for record in &mut records {
        record.files = files.remove(&record.id).unwrap_or_default();
        // The one it was made with first, the others by name.
        record.files.sort_by(|a, b| (!a.counts_record, &a.name).cmp(&(!b.counts_record, &b.name)));
    }
    Ok(records)
}

fn file_from_row(row: &Row) -> Result<File, StoreError> {
    let sum: Vec<u8> = row.get(4)?;
    Ok(File {
        name: row.get(1)?,
        blob: row.get(2)?,
        size: row.get(3)?,
        sha256: sum.try_into().map_err(|_| StoreError::Broken("a checksum has 32 bytes".to_owned()))?,
        data_type: row.get(5)?,
        counts_record: row.get(6)?,
    })
}

/// The newest record of each asset that has one.
pub fn current_of(tx: &mut Tx, assets: &[AssetId]) -> Result<HashMap<AssetId, wire::Record>, StoreError> {
    let ids: Vec<Value> = assets.iter().map(|asset| (*asset).into()).collect();
    let sql = |list: &str| {
        format!(
            "SELECT {COLUMNS} FROM assets JOIN records ON records.id = (SELECT n.id FROM records n \
                 WHERE n.asset_id = assets.id ORDER BY n.created_at DESC, n.id DESC LIMIT 1) WHERE assets.id IN {list}"
        )
    };
    let rows = tx.query_in(sql, &ids)?;
    let records = with_files(tx, &rows)?;
    Ok(records.into_iter().filter_map(|record| Some((record.asset?, record.shown()))).collect())
}

/// The rows of a new record and its first file, as data: many uploads go in by one statement.
pub fn insert<T>(unit: Unit<T>, record: &Record) -> Unit<T> {
    let values = params![record.id, record.allocation, record.asset, record.size, record.created_at, record.updated_at];
    let into = "records (id, allocation_id, asset_id, size_bytes, created_at, updated_at)";
    let unit = unit.insert(into, values.to_vec());
    record.files.iter().fold(unit, |unit, file| unit.insert(FILE_INTO, file_row(record.id, file)))
}

const FILE_INTO: &str = "record_files (record_id, name, blob_id, size_bytes, sha256, data_type, counts_record)";

fn file_row(record: RecordId, file: &File) -> Vec<Value> {
    let sum = file.sha256.as_slice();
    params![record, &file.name, file.blob, file.size, sum, &file.data_type, file.counts_record].to_vec()
}

/// Puts a file into a record in place of `before`, the one of that name that the caller saw; in a unit's own rows.
pub fn put_file(tx: &mut Tx, record: RecordId, file: &File, before: Option<BlobId>) -> Result<(), StoreError> {
    if let Some(before) = before {
        let sql = "DELETE FROM record_files WHERE record_id = $1 AND name = $2 AND blob_id = $3";
        if tx.execute(sql, &params![record, &file.name, before])? == 0 {
            return Err(StoreError::Conflict(format!("{} was replaced by another upload", file.name)));
        }
    }
    tx.insert_rows(FILE_INTO, "", &[file_row(record, file)])?;
    let size = "SELECT sum(size_bytes) FROM record_files WHERE record_id = $1";
    let sql = format!("UPDATE records SET size_bytes = CAST(({size}) AS BIGINT), updated_at = $2 WHERE id = $1");
    match tx.execute(&sql, &params![record, tx.now()])? {
        0 => Err(StoreError::not_found("record", record)),
        _ => Ok(()),
    }
}

/// A record that is about to go, with the blobs of its files.
pub struct Going {
    id: RecordId,
    blobs: Vec<BlobInfo>,
}

fn blobs_of(tx: &mut Tx, records: &[Record]) -> Result<Vec<Going>, StoreError> {
    let mut going = Vec::with_capacity(records.len());
    for record in records {
        let mut blobs = Vec::with_capacity(record.files.len());
        for file in &record.files {
            blobs.extend(content::info(tx, file.blob)?);
        }
        going.push(Going { id: record.id, blobs });
    }
    Ok(going)
}

/// Some records of an asset, about to go.
pub fn of_asset(tx: &mut Tx, asset: AssetId, limit: usize) -> Result<Vec<Going>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM records WHERE asset_id = $1 ORDER BY created_at, id LIMIT {limit}");
    let rows = tx.query(&sql, &params![asset])?;
    let records = with_files(tx, &rows)?;
    blobs_of(tx, &records)
}

/// Gives back what they take, in the commit that deletes their rows.
pub fn doom_all<T>(unit: Unit<T>, going: &[Going]) -> Unit<T> {
    going.iter().flat_map(|going| &going.blobs).fold(unit, content::doom)
}

/// Deletes their rows.
pub fn delete_all(tx: &mut Tx, going: &[Going]) -> Result<(), StoreError> {
    for going in going {
        tx.execute("DELETE FROM record_files WHERE record_id = $1", &params![going.id])?;
        tx.execute("DELETE FROM transfers WHERE record_id = $1", &params![going.id])?;
        if tx.execute("DELETE FROM records WHERE id = $1", &params![going.id])? == 0 {
            return Err(StoreError::not_found("record", going.id));
        }
    }
    Ok(())
}
