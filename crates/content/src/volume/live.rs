//! A volume that is open: reading, writing, and what its newest snapshot keeps.
//!
//! **Shape.** It opens for reading; the first write *arms* it: a commit marks the top layer, its file is made where there is
//! none, and only then is it open for writing. Held, nothing is read or written: the layers may be changed.
//! **What a snapshot keeps.** A write to a cluster whose data only the snapshot sees afterwards adds a cluster to what the
//! snapshot is charged: before the write, in steps of [`STEP_BYTES`], or exactly where a step finds no room. Without room the
//! write fails and nothing was changed.
//! All calls block, and none may be made on a thread of the runtime.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ledger::Resource;
use store::{Tx, Unit, params};

use super::chain::{self, Chain};
use super::house::House;
use super::qcow2::{Bits, CLUSTER_BYTES};
use super::row::{self, Layer, SnapshotInfo, VolumeId, VolumeInfo};
use crate::{Error, system};

/// In which steps a snapshot is charged for what is kept for it.
pub(super) const STEP_BYTES: u64 = 64 << 20;

/// An open volume.
pub(super) struct Live {
    house: Arc<House>,
    pub id: VolumeId,
    held: RwLock<Held>,
    keep: Mutex<Option<Keep>>,
}

/// What is changed while nobody reads or writes.
pub(super) struct Held {
    pub size: u64,
    pub chain: Chain,
    pub is_armed: bool,
    /// Why it cannot be used any more: to be opened again.
    pub broken: Option<&'static str>,
}

/// What the newest snapshot keeps.
struct Keep {
    snapshot: SnapshotInfo,
    /// How many layers lie on the snapshot's.
    above: usize,
    /// Clusters that need not be looked at any more.
    settled: Bits,
}

/// What is needed to open a volume.
pub(super) struct Found {
    pub info: VolumeInfo,
    pub layers: Vec<Layer>,
    pub newest: Option<(SnapshotInfo, usize)>,
}

/// Reads it.
pub(super) fn find(tx: &mut Tx, volume: VolumeId) -> Result<Found, store::Error> {
    let info = row::info(tx, volume)?.ok_or_else(|| store::Error::not_found("volume", volume))?;
    let layers = row::chain(tx, info.layer)?;
    let newest = newest(tx, volume, &layers)?;
    Ok(Found { info, layers, newest })
}

/// The snapshot of the volume that lies highest in its chain, and how many layers lie on its.
fn newest(tx: &mut Tx, volume: VolumeId, layers: &[Layer]) -> Result<Option<(SnapshotInfo, usize)>, store::Error> {
    let snapshots = row::snapshots_of(tx, volume, None, row::CHAIN_MAX * 4)?;
    let places = snapshots.into_iter().filter_map(|snapshot| {
        let above = layers.iter().position(|layer| layer.id == snapshot.layer)?;
        Some((snapshot, above))
    });
    // Of those on one layer, the youngest has what is kept; ids are in the order of time, mostly, and it matters little.
    Ok(places.min_by_key(|(snapshot, above)| (*above, std::cmp::Reverse(snapshot.id))))
}

impl Live {
    pub(super) fn open(house: Arc<House>, volume: VolumeId) -> Result<Live, Error> {
        let found = house.wait(house.store.read(move |tx| find(tx, volume)))?;
        house.repair(&found)?;
        // What a repair counted anew is read again.
        let found = house.wait(house.store.read(move |tx| find(tx, volume)))?;
        let (held, keep) = Live::parts(&house, found)?;
        Ok(Live { house, id: volume, held: RwLock::new(held), keep: Mutex::new(keep) })
    }

    fn parts(house: &House, found: Found) -> Result<(Held, Option<Keep>), Error> {
        let keep = found.newest.map(|(snapshot, above)| Keep { snapshot, above, settled: Bits::default() });
        let skip = |layer: &Layer| house.is_writing(layer.id);
        chain::name_below(&house.files, &found.layers, skip).map_err(Error::disk("naming layers"))?;
        let chain = Chain::open(&house.files, found.layers).map_err(Error::disk("opening layers"))?;
        Ok((Held { size: found.info.size, chain, is_armed: false, broken: None }, keep))
    }

    /// Nobody reads or writes while the answer is held.
    pub(super) fn hold(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> Result<RwLockReadGuard<'_, Held>, Error> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        match held.broken {
            None => Ok(held),
            Some(why) => Err(Error::Store(store::Error::Conflict(format!("volume {}: {why}", self.id)))),
        }
    }

    fn keep(&self) -> std::sync::MutexGuard<'_, Option<Keep>> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes there are.
    pub(super) fn size(&self) -> Result<u64, Error> {
        Ok(self.shared()?.size)
    }

    /// Reads; all of it must be there.
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        let held = self.shared()?;
        held.check(at, bytes.len() as u64)?;
        held.chain.read(bytes, at).map_err(Error::disk("reading a volume"))
    }

    /// Writes; all of it must be there.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let held = self.armed(at, length)?;
        self.house.files.take_room(length).map_err(Error::disk("writing a volume"))?;
        match held.chain.top() {
            Some(top) => top.write(bytes, at).map_err(Error::disk("writing a volume")),
            None => Err(Error::Store(store::Error::Broken("an armed volume has a top".to_owned()))),
        }
    }

    /// Makes it zeros: those that are `kept` stay where they are on the disk, else their room is given back.
    pub(super) fn zero(&self, at: u64, length: u64, kept: bool) -> Result<(), Error> {
        if length == 0 {
            return Ok(());
        }
        let mut held = loop {
            // A look first, so that what cannot be done is told.
            drop(self.armed(at, length)?);
            let held = self.hold();
            if held.is_armed && held.broken.is_none() {
                break held;
            }
        };
        // A snapshot may have been taken since.
        self.preserve(&held, at, length)?;
        let top = held.chain.top_mut();
        let top = top.ok_or_else(|| Error::Store(store::Error::Broken("an armed volume has a top".to_owned())))?;
        let zeroed = if kept { top.write_zeroes(at, length) } else { top.discard_to_zero(at, length) };
        zeroed.map_err(Error::disk("writing a volume"))
    }

    /// What was written before is on disk when this is back.
    pub(super) fn flush(&self) -> Result<(), Error> {
        let held = self.shared()?;
        let flushed = held.chain.flush();
        if let Err(error) = flushed {
            drop(held);
            // What a failed flush has lost, the next one would not know of.
            if !is_full(&error) {
                self.hold().broken = Some("a flush failed; it must be opened again");
            }
            return Err(Error::disk("flushing a volume")(error));
        }
        Ok(())
    }

    /// The volume ready to be written to at this place, what its snapshot keeps charged.
    fn armed(&self, at: u64, length: u64) -> Result<RwLockReadGuard<'_, Held>, Error> {
        loop {
            let held = self.shared()?;
            held.check(at, length)?;
            if held.is_armed {
                self.preserve(&held, at, length)?;
                return Ok(held);
            }
            drop(held);
            self.arm()?;
        }
    }

    /// Marks the top layer, makes its file where there is none, and opens it for writing.
    fn arm(&self) -> Result<(), Error> {
        let mut held = self.hold();
        if held.is_armed || held.broken.is_some() {
            return Ok(());
        }
        let (house, mut layers) = (&self.house, held.chain.layers.clone());
        let (id, place, size) = (layers[0].id, layers[0].place.clone(), layers[0].size);
        house.begin_writing(id);
        let opened = (|| {
            house.wait(house.store.write(row::mark(Unit::by(system()), id)))?;
            house.step("arm: marked");
            layers[0].written = true;
            let disk = Error::disk("opening a layer for writing");
            if house.files.open(&place, id, false).map_err(&disk)?.is_none() {
                let below = chain::name_of_next(&house.files, &layers, 0).map_err(&disk)?;
                house.files.make(&place, id, size, below.as_deref()).map_err(&disk)?;
                house.step("arm: made");
            }
            Chain::open_for_writing(&house.files, layers).map_err(&disk)
        })();
        match opened {
            Ok(chain) => {
                held.chain = chain;
                held.is_armed = true;
                Ok(())
            }
            Err(error) => {
                house.end_writing(id);
                Err(error)
            }
        }
    }

    /// Charges what a write would hide from the volume and not from its newest snapshot.
    fn preserve(&self, held: &Held, at: u64, length: u64) -> Result<(), Error> {
        let mut keep = self.keep();
        let Some(keep) = keep.as_mut().filter(|_| length > 0) else { return Ok(()) };
        let clusters = at / CLUSTER_BYTES..=(at + length - 1) / CLUSTER_BYTES;
        let (mut kept, mut looked) = (0, Vec::new());
        for cluster in clusters.filter(|cluster| !keep.settled.has(*cluster)) {
            let preserves = held.chain.preserves(cluster, keep.above);
            kept += u64::from(preserves.map_err(Error::disk("reading a volume"))?) * CLUSTER_BYTES;
            looked.push(cluster);
        }
        let preserved = keep.snapshot.preserved + kept;
        if preserved > keep.snapshot.charged {
            let step = preserved.next_multiple_of(STEP_BYTES);
            keep.snapshot.charged = match charge(&self.house, &keep.snapshot, step) {
                // A step may be more than there is room for, and this write not.
                Err(Error::Store(store::Error::Refused(_))) => charge(&self.house, &keep.snapshot, preserved)?,
                charged => charged?,
            };
        }
        keep.snapshot.preserved = preserved;
        looked.into_iter().for_each(|cluster| keep.settled.add(cluster));
        Ok(())
    }

    /// What is kept for its newest snapshot.
    pub(super) fn preserved(&self) -> Option<SnapshotInfo> {
        self.keep().as_ref().map(|keep| keep.snapshot.clone())
    }

    /// Reads again what the layers are by now. It is not armed afterwards; whoever calls has flushed it, and holds it.
    pub(super) fn reload(&self, held: &mut Held) {
        self.disarm(held);
        let (house, volume) = (&self.house, self.id);
        let found = house.wait(house.store.read(move |tx| find(tx, volume)));
        match found.map_err(Error::Store).and_then(|found| Live::parts(house, found)) {
            Ok((now, keep)) => {
                *held = now;
                *self.keep() = keep;
            }
            Err(error) => {
                tracing::warn!(volume.id = %self.id, %error, "a volume was closed: its layers could not be opened again");
                held.broken = Some("its layers could not be opened again");
            }
        }
    }

    /// Adds to a unit what is known of the newest snapshot and not yet noted.
    pub(super) fn note_kept<T>(&self, unit: Unit<T>) -> Unit<T> {
        let Some(snapshot) = self.preserved() else { return unit };
        unit.also(move |tx| {
            let sql = "UPDATE volume_snapshots SET preserved = $2 WHERE id = $1";
            tx.execute(sql, &params![snapshot.id, snapshot.preserved]).map(drop)
        })
    }

    /// Flushes and closes it; nothing can be read or written any more.
    pub(super) fn close(&self) -> Result<(), Error> {
        let mut held = self.hold();
        let was_broken = held.broken.replace("it was closed").is_some();
        if !std::mem::take(&mut held.is_armed) {
            return Ok(());
        }
        let top = held.chain.layers[0].id;
        let flushed = held.chain.flush().map_err(Error::disk("flushing a volume"));
        held.chain = Chain::open(&self.house.files, Vec::new()).map_err(Error::disk("closing a volume"))?;
        self.house.end_writing(top);
        flushed?;
        self.house.step("close: flushed");
        // One that failed before stays marked, to be repaired.
        if was_broken {
            return Ok(());
        }
        let unit = self.note_kept(row::unmark(Unit::by(system()), top));
        self.house.wait(self.house.store.write(unit))?;
        Ok(())
    }

    /// Lets go of it without a flush: it is about to be deleted.
    pub(super) fn abandon(&self) {
        let mut held = self.hold();
        held.broken = Some("it was deleted");
        self.disarm(&mut held);
    }

    /// Flushes it and takes the mark off its top layer. Whoever calls holds it, and reloads it.
    pub(super) fn rest(&self, held: &mut Held) -> Result<(), Error> {
        if !held.is_armed || held.broken.is_some() {
            return Ok(());
        }
        held.chain.flush().map_err(Error::disk("flushing a volume"))?;
        let unit = self.note_kept(row::unmark(Unit::by(system()), held.chain.layers[0].id));
        self.house.wait(self.house.store.write(unit))?;
        Ok(())
    }

    fn disarm(&self, held: &mut Held) {
        if let (true, Some(top)) = (std::mem::take(&mut held.is_armed), held.chain.layers.first()) {
            self.house.end_writing(top.id);
        }
    }
}

impl Held {
    fn check(&self, at: u64, length: u64) -> Result<(), Error> {
        match at.checked_add(length) {
            Some(end) if end <= self.size => Ok(()),
            _ => {
                let text = format!("{length} bytes from {at} on are not within the volume's {}", self.size);
                Err(Error::Store(store::Error::Invalid(text)))
            }
        }
    }
}

/// Has a snapshot's claim be of so many bytes; answers them.
pub(super) fn charge(house: &House, snapshot: &SnapshotInfo, bytes: u64) -> Result<u64, Error> {
    let (id, claim) = (snapshot.id, snapshot.claim);
    let amounts = house.wait(house.store.read(move |tx| {
        let found = store::claims::find(tx, claim)?.ok_or_else(|| store::Error::not_found("claim", claim))?;
        let with = found.amounts.with(Resource::BYTES, bytes);
        with.map_err(|error| store::Error::Invalid(error.to_string()))
    }))?;
    let unit = Unit::by(system()).set(claim, amounts).also(move |tx| {
        let sql = "UPDATE volume_snapshots SET charged = $2 WHERE id = $1";
        row::found(tx.execute(sql, &params![id, bytes])?, "snapshot", id)
    });
    house.wait(house.store.write(unit))?;
    Ok(bytes)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
