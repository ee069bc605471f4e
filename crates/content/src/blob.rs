//! The rows of blobs: what is known of one, and how it is doomed.

use ledger::ClaimId;
use serde_json::json;
use store::{Managed, Micros, Row, Tx, Unit, Value, params};

ledger::id! {
    /// A blob: bytes that are written once.
    BlobId
}
store::sql_id!(BlobId);

/// The job that removes what is left of a doomed blob.
pub(crate) const DELETE_JOB: &str = "content.delete";

/// Where a blob is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// There to be read.
    Live,
    /// Deleted: what is left of it is about to go.
    Doomed,
}

/// What is known of a blob.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlobInfo {
    /// Which one.
    pub id: BlobId,
    /// What it is charged by.
    pub claim: ClaimId,
    /// How many bytes its user sees.
    pub size: u64,
    /// Of those bytes.
    pub sha256: [u8; 32],
    /// Whether it is encrypted at rest.
    pub sealed: bool,
    /// Whether it lies in the database rather than in a file.
    pub small: bool,
    /// Where it is on its way.
    pub state: State,
    /// When it was stored.
    pub created_at: Micros,
}

impl BlobInfo {
    /// A strong entity tag.
    pub fn etag(&self) -> String {
        etag(&self.sha256)
    }
}

/// The entity tag of content with this checksum: strong, as equal sums are equal bytes.
pub fn etag(sha256: &[u8; 32]) -> String {
    format!("\"{}\"", hex::encode(sha256))
}

const COLUMNS: &str = "blobs.id, blobs.claim_id, blobs.size, blobs.sha256, blobs.sealed, blobs.bytes IS NOT NULL, \
    blobs_doomed.id IS NOT NULL, blobs.created_at";
const FROM: &str = "blobs LEFT JOIN blobs_doomed ON blobs_doomed.id = blobs.id";

/// The blob, live or doomed. One that is still on its way in is not there.
pub fn info(tx: &mut Tx, blob: BlobId) -> Result<Option<BlobInfo>, store::Error> {
    let row = tx.query_opt(&format!("SELECT {COLUMNS} FROM {FROM} WHERE blobs.id = $1"), &params![blob])?;
    row.map(|row| from_row(&row)).transpose()
}

/// A blob and, where it is small, its bytes as they are stored.
pub(crate) type WithBytes = (BlobInfo, Option<Vec<u8>>);

/// The live blob with its bytes.
pub(crate) fn with_bytes(tx: &mut Tx, blob: BlobId) -> Result<Option<WithBytes>, store::Error> {
    let sql = format!("SELECT {COLUMNS}, blobs.bytes FROM {FROM} WHERE blobs.id = $1 AND blobs_doomed.id IS NULL");
    let row = tx.query_opt(&sql, &params![blob])?;
    row.map(|row| Ok((from_row(&row)?, row.get(8)?))).transpose()
}

/// Blobs after this one in the order of ids, with the length of their bytes in the database.
pub(crate) fn page(
    tx: &mut Tx,
    after: Option<BlobId>,
    limit: usize,
) -> Result<Vec<(BlobInfo, Option<u64>)>, store::Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let sql = format!(
        "SELECT {COLUMNS}, length(blobs.bytes) FROM {FROM} WHERE blobs.id > $1 ORDER BY blobs.id LIMIT {limit}"
    );
    let rows = tx.query(&sql, &params![after])?;
    rows.iter().map(|row| Ok((from_row(row)?, row.get(8)?))).collect()
}

fn from_row(row: &Row) -> Result<BlobInfo, store::Error> {
    let sum: Vec<u8> = row.get(3)?;
    let sha256 = sum.try_into().map_err(|_| store::Error::Broken("a checksum has 32 bytes".to_owned()))?;
    Ok(BlobInfo {
        id: row.get(0)?,
        claim: row.get(1)?,
        size: row.get(2)?,
        sha256,
        sealed: row.get(4)?,
        small: row.get(5)?,
        state: if row.get(6)? { State::Doomed } else { State::Live },
        created_at: row.get(7)?,
    })
}

/// Takes the blob away in the unit that takes its noun away.
///
/// A small one gives its claim back at once. A large one is off demand at once, while its claim stays on supply, and
/// belongs to the blob, until a job has removed the file. Doomed twice is [`store::Error::NotFound`] or
/// [`store::Error::Conflict`].
pub fn doom<T>(unit: Unit<T>, info: &BlobInfo) -> Unit<T> {
    let unit = unit.insert("blobs_doomed (id)", params![info.id].to_vec());
    if info.small {
        return unit.release(info.claim);
    }
    let itself = Managed::new("content", "blob", info.id);
    unit.hand_over(info.claim, None, itself).job(DELETE_JOB, json!({ "blob": info.id }))
}

/// The row that makes a blob live.
pub(crate) fn insert<T>(unit: Unit<T>, info: &BlobInfo, bytes: Option<Vec<u8>>) -> Unit<T> {
    let values = params![
        info.id,
        info.claim,
        info.size,
        info.sha256.as_slice(),
        info.sealed,
        info.created_at,
        bytes.map_or(Value::Null, Value::Bytes),
    ];
    unit.insert("blobs (id, claim_id, size, sha256, sealed, created_at, bytes)", values.to_vec())
}

/// The row of a blob whose file is about to be made.
pub(crate) fn insert_staging<T>(unit: Unit<T>, blob: BlobId, claim: ClaimId, at: Micros) -> Unit<T> {
    unit.insert("blobs_staging (id, claim_id, created_at)", params![blob, claim, at].to_vec())
}

/// Whether the blob has been made live, whatever came later.
pub(crate) fn exists(tx: &mut Tx, blob: BlobId) -> Result<bool, store::Error> {
    Ok(tx.query_opt("SELECT 1 FROM blobs WHERE id = $1", &params![blob])?.is_some())
}

/// Blobs on their way in, after this one in the order of ids, with their claims.
pub(crate) fn staging(
    tx: &mut Tx,
    after: Option<BlobId>,
    limit: usize,
) -> Result<Vec<(BlobId, ClaimId)>, store::Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let sql = format!("SELECT id, claim_id FROM blobs_staging WHERE id > $1 ORDER BY id LIMIT {limit}");
    let rows = tx.query(&sql, &params![after])?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Forgets these blobs.
pub(crate) fn delete(tx: &mut Tx, blobs: &[BlobId]) -> Result<(), store::Error> {
    ["blobs", "blobs_doomed", "blobs_staging"].into_iter().try_for_each(|table| delete_from(tx, table, blobs))
}

/// Deletes the rows of these blobs from one table.
pub(crate) fn delete_from(tx: &mut Tx, table: &str, blobs: &[BlobId]) -> Result<(), store::Error> {
    tx.execute_in(|list| format!("DELETE FROM {table} WHERE id IN {list}"), &values(blobs)).map(drop)
}

/// Which of these ids are in a row of any kind.
pub(crate) fn known(tx: &mut Tx, blobs: &[BlobId]) -> Result<Vec<BlobId>, store::Error> {
    let mut known = Vec::new();
    for table in ["blobs", "blobs_staging"] {
        for row in tx.query_in(|list| format!("SELECT id FROM {table} WHERE id IN {list}"), &values(blobs))? {
            known.push(row.get(0)?);
        }
    }
    Ok(known)
}

fn values(blobs: &[BlobId]) -> Vec<Value> {
    blobs.iter().map(|blob| (*blob).into()).collect()
}
