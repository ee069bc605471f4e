//! The rows of volumes, snapshots and their layers.
//!
//! **State is membership**, as with blobs: what is in a table of doomed ones is about to go, and nobody is given it.

use ledger::ClaimId;
use store::{JobId, Row, Tx, Unit, Value, params};

use super::Place;

ledger::id! {
    /// A disk image that can be written anywhere.
    VolumeId
}
ledger::id! {
    /// What a volume held at one moment.
    SnapshotId
}
ledger::id! {
    /// One qcow2 file of a chain, or none as long as nothing was written.
    LayerId
}
store::sql_id!(VolumeId, SnapshotId, LayerId);

/// The longest chain that is read: far above what branching makes.
pub(super) const CHAIN_MAX: usize = 512;

/// Where a volume is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VolumeState {
    /// Nothing is under way.
    Ready,
    /// A job brings its bytes; see [`VolumeInfo::job`].
    Filling,
}

/// What is known of a volume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VolumeInfo {
    /// Which one.
    pub id: VolumeId,
    /// What it is charged by: its size.
    pub claim: ClaimId,
    /// How many bytes its user sees.
    pub size: u64,
    /// Where its layers are made.
    pub place: Place,
    /// Where it is on its way.
    pub state: VolumeState,
    /// The job that fills it, while it does.
    pub job: Option<JobId>,
    /// What is written to it goes here.
    pub(super) layer: LayerId,
    /// Which of its layers the job fills.
    pub(super) fill: Option<LayerId>,
    /// Whether that layer may have a file.
    pub(super) written: bool,
}

/// What is known of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotInfo {
    /// Which one.
    pub id: SnapshotId,
    /// Of which volume.
    pub volume: VolumeId,
    /// What it is charged by: what it preserves, in steps.
    pub claim: ClaimId,
    /// How many bytes its user sees.
    pub size: u64,
    /// Where its volume's layers were made.
    pub place: Place,
    /// How many bytes its claim has.
    pub charged: u64,
    /// How many bytes are kept for it alone, as last noted: [`super::Volumes::preserved`] knows it exactly.
    pub preserved: u64,
    pub(super) layer: LayerId,
}

/// What is known of a layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layer {
    pub id: LayerId,
    pub parent: Option<LayerId>,
    pub place: Place,
    pub size: u64,
    /// Whether it may have a file. Without one it holds nothing.
    pub written: bool,
    /// Whether it was opened for writing and not closed since.
    pub dirty: bool,
}

const VOLUME: &str = "volumes.id, volumes.claim_id, volumes.size, volumes.place, volumes.job_id, \
    volumes.layer_id, volumes.fill_id, COALESCE(volume_layers.written, FALSE) \
    FROM volumes LEFT JOIN volume_layers ON volume_layers.id = volumes.layer_id \
    LEFT JOIN volumes_doomed ON volumes_doomed.id = volumes.id";
const SNAPSHOT: &str = "s.id, s.volume_id, s.claim_id, s.size, s.place, s.charged, s.preserved, s.layer_id \
    FROM volume_snapshots s LEFT JOIN volume_snapshots_doomed ON volume_snapshots_doomed.id = s.id";
const LAYER: &str = "id, parent_id, place, size, written, dirty";

/// The volume, unless it is doomed.
pub fn info(tx: &mut Tx, volume: VolumeId) -> Result<Option<VolumeInfo>, store::Error> {
    let sql = format!("SELECT {VOLUME} WHERE volumes.id = $1 AND volumes_doomed.id IS NULL");
    tx.query_opt(&sql, &params![volume])?.as_ref().map(volume_row).transpose()
}

/// The volume, if it is doomed.
pub(super) fn doomed(tx: &mut Tx, volume: VolumeId) -> Result<Option<VolumeInfo>, store::Error> {
    let sql = format!("SELECT {VOLUME} WHERE volumes.id = $1 AND volumes_doomed.id IS NOT NULL");
    tx.query_opt(&sql, &params![volume])?.as_ref().map(volume_row).transpose()
}

/// Volumes after this one in the order of ids, doomed or not, and whether they are.
pub(super) fn page(
    tx: &mut Tx,
    after: Option<VolumeId>,
    limit: usize,
) -> Result<Vec<(VolumeInfo, bool)>, store::Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let sql = format!(
        "SELECT volumes_doomed.id IS NOT NULL, {VOLUME} WHERE volumes.id > $1 ORDER BY volumes.id LIMIT {limit}"
    );
    let rows = tx.query(&sql, &params![after])?;
    rows.iter().map(|row| Ok((volume_at(row, 1)?, row.get(0)?))).collect()
}

fn volume_row(row: &Row) -> Result<VolumeInfo, store::Error> {
    volume_at(row, 0)
}

fn volume_at(row: &Row, at: usize) -> Result<VolumeInfo, store::Error> {
    let job: Option<JobId> = row.get(at + 4)?;
    Ok(VolumeInfo {
        id: row.get(at)?,
        claim: row.get(at + 1)?,
        size: row.get(at + 2)?,
        place: Place::parse(&row.get::<String>(at + 3)?)?,
        state: if job.is_some() { VolumeState::Filling } else { VolumeState::Ready },
        job,
        layer: row.get(at + 5)?,
        fill: row.get(at + 6)?,
        written: row.get(at + 7)?,
    })
}

/// The snapshot, unless it is doomed.
pub fn snapshot_info(tx: &mut Tx, snapshot: SnapshotId) -> Result<Option<SnapshotInfo>, store::Error> {
    let sql = format!("SELECT {SNAPSHOT} WHERE s.id = $1 AND volume_snapshots_doomed.id IS NULL");
    tx.query_opt(&sql, &params![snapshot])?.as_ref().map(snapshot_row).transpose()
}

/// The snapshot, if it is doomed.
pub(super) fn doomed_snapshot(tx: &mut Tx, snapshot: SnapshotId) -> Result<Option<SnapshotInfo>, store::Error> {
    let sql = format!("SELECT {SNAPSHOT} WHERE s.id = $1 AND volume_snapshots_doomed.id IS NOT NULL");
    tx.query_opt(&sql, &params![snapshot])?.as_ref().map(snapshot_row).transpose()
}

/// Snapshots of a volume that are not doomed, after this one in the order of ids.
pub fn snapshots_of(
    tx: &mut Tx,
    volume: VolumeId,
    after: Option<SnapshotId>,
    limit: usize,
) -> Result<Vec<SnapshotInfo>, store::Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let sql = format!(
        "SELECT {SNAPSHOT} WHERE s.volume_id = $1 AND s.id > $2 AND volume_snapshots_doomed.id IS NULL \
         ORDER BY s.id LIMIT {limit}"
    );
    tx.query(&sql, &params![volume, after])?.iter().map(snapshot_row).collect()
}

/// Snapshots after this one in the order of ids, doomed or not, and whether they are.
pub(super) fn snapshot_page(
    tx: &mut Tx,
    after: Option<SnapshotId>,
    limit: usize,
) -> Result<Vec<(SnapshotInfo, bool)>, store::Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let doomed = "EXISTS (SELECT 1 FROM volume_snapshots_doomed d WHERE d.id = s.id)";
    let sql = format!("SELECT {SNAPSHOT} WHERE s.id > $1 ORDER BY s.id LIMIT {limit}");
    let sql = sql.replacen("s.layer_id", &format!("s.layer_id, {doomed}"), 1);
    let rows = tx.query(&sql, &params![after])?;
    rows.iter().map(|row| Ok((snapshot_row(row)?, row.get(8)?))).collect()
}

fn snapshot_row(row: &Row) -> Result<SnapshotInfo, store::Error> {
    Ok(SnapshotInfo {
        id: row.get(0)?,
        volume: row.get(1)?,
        claim: row.get(2)?,
        size: row.get(3)?,
        place: Place::parse(&row.get::<String>(4)?)?,
        charged: row.get(5)?,
        preserved: row.get(6)?,
        layer: row.get(7)?,
    })
}

fn layer_row(row: &Row) -> Result<Layer, store::Error> {
    Ok(Layer {
        id: row.get(0)?,
        parent: row.get(1)?,
        place: Place::parse(&row.get::<String>(2)?)?,
        size: row.get(3)?,
        written: row.get(4)?,
        dirty: row.get(5)?,
    })
}

/// The layer.
pub(super) fn layer(tx: &mut Tx, layer: LayerId) -> Result<Option<Layer>, store::Error> {
    let sql = format!("SELECT {LAYER} FROM volume_layers WHERE id = $1");
    tx.query_opt(&sql, &params![layer])?.as_ref().map(layer_row).transpose()
}

/// The layers from this one down.
pub(super) fn chain(tx: &mut Tx, top: LayerId) -> Result<Vec<Layer>, store::Error> {
    let sql = format!(
        "WITH RECURSIVE chain (id, depth) AS (SELECT id, 0 FROM volume_layers WHERE id = $1 \
         UNION ALL SELECT l.parent_id, depth + 1 FROM chain JOIN volume_layers l ON l.id = chain.id \
         WHERE l.parent_id IS NOT NULL AND depth < {CHAIN_MAX}) \
         SELECT {LAYER} FROM (SELECT l.id, l.parent_id, l.place, l.size, l.written, l.dirty, chain.depth \
         FROM chain JOIN volume_layers l ON l.id = chain.id) AS found ORDER BY depth LIMIT {CHAIN_MAX}"
    );
    tx.query(&sql, &params![top])?.iter().map(layer_row).collect()
}

/// Layers right above this one, at most so many.
pub(super) fn children(tx: &mut Tx, layer: LayerId, limit: usize) -> Result<Vec<Layer>, store::Error> {
    let sql = format!("SELECT {LAYER} FROM volume_layers WHERE parent_id = $1 ORDER BY id LIMIT {limit}");
    tx.query(&sql, &params![layer])?.iter().map(layer_row).collect()
}

/// Layers after this one in the order of ids.
pub(super) fn layer_page(tx: &mut Tx, after: Option<LayerId>, limit: usize) -> Result<Vec<Layer>, store::Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let sql = format!("SELECT {LAYER} FROM volume_layers WHERE id > $1 ORDER BY id LIMIT {limit}");
    tx.query(&sql, &params![after])?.iter().map(layer_row).collect()
}

/// Volumes that write to this layer, and are not doomed.
pub(super) fn writers(tx: &mut Tx, layer: LayerId) -> Result<Vec<VolumeId>, store::Error> {
    let sql = "SELECT id FROM volumes WHERE layer_id = $1 \
        AND NOT EXISTS (SELECT 1 FROM volumes_doomed d WHERE d.id = volumes.id) ORDER BY id LIMIT 2";
    tx.query(sql, &params![layer])?.iter().map(|row| row.get(0)).collect()
}

/// Whether a volume or a snapshot that is not doomed needs just this layer.
pub(super) fn is_named(tx: &mut Tx, layer: LayerId) -> Result<bool, store::Error> {
    let snapshot = "SELECT 1 FROM volume_snapshots s WHERE s.layer_id = $1 \
        AND NOT EXISTS (SELECT 1 FROM volume_snapshots_doomed d WHERE d.id = s.id) LIMIT 1";
    Ok(!writers(tx, layer)?.is_empty() || tx.query_opt(snapshot, &params![layer])?.is_some())
}

pub(super) const INTO_LAYERS: &str = "volume_layers (id, parent_id, place, size, written, dirty)";
pub(super) const INTO_VOLUMES: &str = "volumes (id, layer_id, claim_id, place, size, fill_id, job_id)";
pub(super) const INTO_SNAPSHOTS: &str =
    "volume_snapshots (id, volume_id, layer_id, claim_id, place, size, charged, preserved)";

/// The row of a layer to which nothing was written yet.
pub(super) fn new_layer(id: LayerId, parent: Option<LayerId>, place: &Place, size: u64) -> Vec<Value> {
    params![id, parent, place, size, false, false].to_vec()
}

/// The row of a volume.
pub(super) fn new_volume(info: &VolumeInfo) -> Vec<Value> {
    params![info.id, info.layer, info.claim, &info.place, info.size, info.fill, info.job].to_vec()
}

/// The row of a snapshot.
pub(super) fn new_snapshot(info: &SnapshotInfo) -> Vec<Value> {
    let (charged, preserved) = (info.charged, info.preserved);
    params![info.id, info.volume, info.layer, info.claim, &info.place, info.size, charged, preserved].to_vec()
}

/// A layer is about to be written to: it may have a file from now on, and is not sound until it is closed.
pub(super) fn mark<T>(unit: Unit<T>, layer: LayerId) -> Unit<T> {
    unit.also(move |tx| {
        let sql = "UPDATE volume_layers SET written = $2, dirty = $2 WHERE id = $1";
        found(tx.execute(sql, &params![layer, true])?, "layer", layer)
    })
}

/// A layer is on disk and sound.
pub(super) fn unmark<T>(unit: Unit<T>, layer: LayerId) -> Unit<T> {
    unit.also(move |tx| {
        tx.execute("UPDATE volume_layers SET dirty = $2 WHERE id = $1", &params![layer, false]).map(drop)
    })
}

/// What was changed must have been there.
pub(super) fn found(touched: u64, noun: &'static str, id: impl std::fmt::Display) -> Result<(), store::Error> {
    if touched == 1 { Ok(()) } else { Err(store::Error::not_found(noun, id)) }
}
