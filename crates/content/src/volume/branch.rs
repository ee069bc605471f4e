//! Making volumes and snapshots, and making them larger: constant time, whatever the size.
//!
//! **Shape.** A volume is a row until something is written to it. A clone or a snapshot holds the writes, flushes, and in one
//! commit puts a new, empty layer on the one that is frozen by it; then the writes go on, to the new one. A layer to which
//! nothing was written needs no freezing: what lies below it is shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::{AMOUNT_MAX, Amounts, ClaimId, Resource};
use serde_json::json;
use store::{AllotmentRef, Done, JobId, Managed, NewClaim, SupplyRef, Tx, Unit, Value, params};
use uuid::Uuid;

use super::fill::FILL_JOB;
use super::house::{House, Slot};
use super::live::Live;
use super::qcow2::SIZE_MAX;
use super::row::{self, INTO_LAYERS, INTO_SNAPSHOTS, INTO_VOLUMES, Layer, LayerId, SnapshotInfo, VolumeInfo};
use super::{Place, SnapshotId, Source, VolumeId, VolumeState, Volumes};
use crate::error::blocking;
use crate::{Error, system};

/// The most layers that a new one may lie on: bounds open files and the time of a read.
const DEPTH_MAX: usize = 200;
/// On so many layers, a clone gets a copy of its own by a job.
const DEPTH_SHARED: usize = 24;
/// The most that one call branches.
const BRANCHES_MAX: usize = 1000;

/// A volume to be made.
#[derive(Clone, Debug)]
pub struct NewVolume {
    /// Made by the caller.
    pub id: VolumeId,
    /// What it will be charged by; likewise.
    pub claim: ClaimId,
    /// How many bytes: a multiple of 512.
    pub size: u64,
    /// Where it will lie.
    pub place: Place,
    /// Who pays; none for what is the site's own.
    pub demand: Option<AllotmentRef>,
    /// Of what it takes its room.
    pub supply: SupplyRef,
    /// What it takes beside its bytes.
    pub extra: Amounts,
    /// The noun it is for.
    pub managed_by: Managed,
}

/// A snapshot to be taken.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    /// Made by the caller.
    pub id: SnapshotId,
    /// What it will be charged by; likewise.
    pub claim: ClaimId,
    /// Who pays.
    pub demand: Option<AllotmentRef>,
    /// Of what it takes its room.
    pub supply: SupplyRef,
    /// What it takes beside the bytes that will be kept for it.
    pub extra: Amounts,
    /// The noun it is for.
    pub managed_by: Managed,
}

/// What is made of a volume as it is now.
#[derive(Clone, Debug)]
pub enum Branch {
    /// A volume with the same bytes, at least as large.
    Clone {
        /// Of what.
        of: Source,
        /// Which.
        new: NewVolume,
    },
    /// A snapshot.
    Snapshot {
        /// Of which volume.
        of: VolumeId,
        /// Which.
        new: NewSnapshot,
    },
}

impl NewVolume {
    fn charge(&self) -> NewClaim {
        NewClaim {
            id: self.claim,
            demand: self.demand.clone(),
            supply: self.supply.clone(),
            amounts: with_bytes(&self.extra, self.size),
            lease: None,
            subject: None,
            managed_by: Some(self.managed_by.clone()),
        }
    }

    /// Its row and its layer's, on this one.
    fn rows<T>(&self, unit: Unit<T>, on: On, fill: Option<LayerId>, job: Option<JobId>) -> Unit<T> {
        let (size, layer) = (self.size, LayerId(self.id.0));
        let unit = unit.charge(self.charge());
        if !(512..=SIZE_MAX).contains(&size) || !size.is_multiple_of(512) {
            return unit.also(move |_| {
                let text = format!("a volume has 512 to {SIZE_MAX} bytes, a multiple of 512, not {size}");
                Err(store::Error::Invalid(text))
            });
        }
        let info = VolumeInfo {
            id: self.id,
            claim: self.claim,
            size,
            place: self.place.clone(),
            state: VolumeState::Ready,
            job,
            layer,
            fill,
            written: false,
        };
        let unit = unit.insert(INTO_VOLUMES, row::new_volume(&info));
        let place = self.place.clone();
        on.put(unit, INTO_LAYERS, move |on| row::new_layer(layer, on, &place, size))
    }
}

/// On which layer something new lies.
#[derive(Clone, Copy)]
enum On {
    /// On none.
    Nothing,
    /// On this one, which is frozen in the same commit.
    Frozen(LayerId),
    /// On what lies below this volume's layer, to which nothing was written.
    BelowEmpty(VolumeId, LayerId),
    /// On this snapshot's.
    Snapshot(SnapshotId),
}

impl On {
    /// Which layer that is. One that is named by nobody may be merged away between two commits, so it is asked in the commit.
    fn layer(self, tx: &mut Tx) -> Result<Option<LayerId>, store::Error> {
        match self {
            On::Nothing => Ok(None),
            On::Frozen(layer) => Ok(Some(layer)),
            On::BelowEmpty(volume, layer) => match row::info(tx, volume)? {
                Some(now) if now.layer == layer && !now.written => {
                    Ok(row::layer(tx, layer)?.and_then(|layer| layer.parent))
                }
                _ => Err(store::Error::Conflict(format!("volume {volume} has changed meanwhile"))),
            },
            On::Snapshot(id) => {
                let found = row::snapshot_info(tx, id)?.ok_or_else(|| store::Error::not_found("snapshot", id))?;
                Ok(Some(found.layer))
            }
        }
    }

    /// Adds the row that says so; as data, where the layer is known.
    fn put<T>(
        self,
        unit: Unit<T>,
        into: &'static str,
        row: impl Fn(Option<LayerId>) -> Vec<Value> + Send + Sync + 'static,
    ) -> Unit<T> {
        match self {
            On::Nothing => unit.insert(into, row(None)),
            On::Frozen(layer) => unit.insert(into, row(Some(layer))),
            On::BelowEmpty(..) | On::Snapshot(_) => unit.also(move |tx| {
                let values = row(self.layer(tx)?);
                tx.insert_rows(into, "", &[values])
            }),
        }
    }
}

/// An amount with so many bytes.
fn with_bytes(extra: &Amounts, bytes: u64) -> Amounts {
    let mut amounts = extra.clone();
    // A size that is too large is refused with the row.
    let _ = amounts.insert(Resource::BYTES, bytes.min(AMOUNT_MAX));
    amounts
}

/// Makes a volume full of zeros in the unit that makes its noun.
pub fn create<T>(unit: Unit<T>, new: &NewVolume) -> Unit<T> {
    new.rows(unit, On::Nothing, None, None)
}

/// What is known of a volume that is branched.
struct Origin {
    info: VolumeInfo,
    layers: Vec<Layer>,
    has_snapshots: bool,
}

/// What is known of what is branched.
struct Origins {
    volumes: BTreeMap<VolumeId, Origin>,
    snapshots: BTreeMap<SnapshotId, (SnapshotInfo, Vec<Layer>)>,
}

impl Origins {
    fn find(tx: &mut Tx, branches: &[Branch]) -> Result<Origins, store::Error> {
        let mut origins = Origins { volumes: BTreeMap::new(), snapshots: BTreeMap::new() };
        for branch in branches {
            match branch.of() {
                Source::Volume(id) if !origins.volumes.contains_key(&id) => {
                    let info = row::info(tx, id)?.ok_or_else(|| store::Error::not_found("volume", id))?;
                    let layers = row::chain(tx, info.layer)?;
                    let has_snapshots = !row::snapshots_of(tx, id, None, 1)?.is_empty();
                    origins.volumes.insert(id, Origin { info, layers, has_snapshots });
                }
                Source::Snapshot(id) if !origins.snapshots.contains_key(&id) => {
                    let info = row::snapshot_info(tx, id)?.ok_or_else(|| store::Error::not_found("snapshot", id))?;
                    let layers = row::chain(tx, info.layer)?;
                    origins.snapshots.insert(id, (info, layers));
                }
                _ => {}
            }
        }
        Ok(origins)
    }
}

impl Branch {
    fn of(&self) -> Source {
        match self {
            Branch::Clone { of, .. } => *of,
            Branch::Snapshot { of, .. } => Source::Volume(*of),
        }
    }
}

impl Volumes {
    /// Makes clones and snapshots of volumes as they are at one moment each, in one commit with `unit`: all or none. Claims
    /// come after the unit's own, in the order of `branches`.
    pub async fn branch<T: Send + 'static>(&self, branches: Vec<Branch>, unit: Unit<T>) -> Result<Done<T>, Error> {
        self.house.enter();
        let house = self.house.clone();
        blocking(move || branch(&house, branches, unit)).await?
    }

    /// Makes a volume larger, at once, in one commit with `unit`; its claim is `extra` and its size then.
    pub async fn resize<T: Send + 'static>(
        &self,
        volume: VolumeId,
        size: u64,
        extra: Amounts,
        unit: Unit<T>,
    ) -> Result<Done<T>, Error> {
        self.house.enter();
        let house = self.house.clone();
        blocking(move || resize(&house, volume, size, &extra, unit)).await?
    }
}

fn branch<T: Send + 'static>(house: &Arc<House>, branches: Vec<Branch>, unit: Unit<T>) -> Result<Done<T>, Error> {
    if branches.len() > BRANCHES_MAX {
        return Err(Error::Store(store::Error::Invalid(format!("at most {BRANCHES_MAX} are branched at once"))));
    }
    let volumes = branches.iter().filter_map(|branch| match branch.of() {
        Source::Volume(id) => Some((id, house.slot(id))),
        Source::Snapshot(_) => None,
    });
    // In the order of ids, so that two callers do not wait for each other.
    let slots: BTreeMap<VolumeId, Arc<Slot>> = volumes.collect();
    let gates: Vec<_> = slots.values().map(|slot| slot.gate.blocking_lock()).collect();
    let lives: Vec<Arc<Live>> = gates.iter().filter_map(|open| open.as_ref().cloned()).collect();
    let mut held: Vec<_> = lives.iter().map(|live| (live, live.hold())).collect();
    for (_, held) in &held {
        held.chain.flush().map_err(Error::disk("flushing a volume"))?;
    }
    house.step("branch: flushed");
    let (asked, read) = (branches.clone(), house.store.read(move |tx| Origins::find(tx, &branches)));
    let origins = house.wait(read)?;
    let mut plan = Plan { house, origins: &origins, bases: BTreeMap::new() };
    let unit = plan.unit(&asked, unit)?;
    let clean = held.iter().filter(|(_, held)| held.is_armed).map(|(_, held)| held.chain.layers[0].id);
    let unit = clean.fold(unit, row::unmark);
    let unit = held.iter().fold(unit, |unit, (live, _)| live.note_kept(unit));
    let done = house.wait(house.store.write(unit));
    house.step("branch: committed");
    for (live, held) in &mut held {
        // When it is not known whether it was committed, the rows tell.
        if !matches!(done, Err(store::Error::Refused(_) | store::Error::Noun(_))) {
            live.reload(held);
        }
    }
    house.step("branch: switched");
    Ok(done?)
}

/// How branches become a unit.
struct Plan<'a> {
    house: &'a House,
    origins: &'a Origins,
    /// On which layer branches of a volume lie.
    bases: BTreeMap<VolumeId, On>,
}

impl Plan<'_> {
    fn unit<T>(&mut self, branches: &[Branch], mut unit: Unit<T>) -> Result<Unit<T>, Error> {
        for (id, origin) in &self.origins.volumes {
            let has_snapshot = branches.iter().any(|it| matches!(it, Branch::Snapshot { of, .. } if of == id));
            unit = self.base(unit, origin, has_snapshot)?;
        }
        branches.iter().try_fold(unit, |unit, branch| match branch {
            Branch::Clone { of, new } => self.clone(unit, *of, new),
            Branch::Snapshot { of, new } => self.snapshot(unit, *of, new),
        })
    }

    /// Sees to it that a volume has a layer that is frozen, or needs none.
    fn base<T>(&mut self, unit: Unit<T>, origin: &Origin, has_snapshot: bool) -> Result<Unit<T>, Error> {
        let Origin { info, layers, has_snapshots: had_snapshots } = origin;
        if layers.len() >= DEPTH_MAX {
            let text = format!("volume {} lies on {} layers already: delete snapshots of it", info.id, layers.len());
            return Err(Error::Store(store::Error::Conflict(text)));
        }
        let below = layers.get(1).map(|layer| layer.id);
        if !info.written && (below.is_some() || !has_snapshot) && info.fill != Some(info.layer) {
            self.bases.insert(info.id, On::BelowEmpty(info.id, info.layer));
            return Ok(unit);
        }
        self.bases.insert(info.id, On::Frozen(info.layer));
        let top = LayerId(self.house.store.new_id());
        let unit = freeze(unit, info, top);
        // A copy would hide from its snapshots what they are not charged for.
        let is_deep = layers.len() > DEPTH_SHARED && !had_snapshots && !has_snapshot && info.fill.is_none();
        Ok(if is_deep { copied(unit, info.id, top) } else { unit })
    }

    fn clone<T>(&mut self, unit: Unit<T>, of: Source, new: &NewVolume) -> Result<Unit<T>, Error> {
        let gone = |noun, id: Uuid| Error::Store(store::Error::not_found(noun, id));
        let (size, on, layers) = match of {
            Source::Volume(id) => {
                let found = self.origins.volumes.get(&id).zip(self.bases.get(&id));
                let (origin, on) = found.ok_or_else(|| gone("volume", id.0))?;
                (origin.info.size, *on, &origin.layers)
            }
            Source::Snapshot(id) => {
                let (info, layers) = self.origins.snapshots.get(&id).ok_or_else(|| gone("snapshot", id.0))?;
                (info.size, On::Snapshot(id), layers)
            }
        };
        if new.size < size {
            let text = format!("a clone has at least the {size} bytes of what it is cloned from");
            return Err(Error::Store(store::Error::Invalid(text)));
        }
        // An empty layer is not lain on.
        let below = layers.iter().skip(usize::from(matches!(on, On::BelowEmpty(..))));
        let is_elsewhere = below.clone().any(|layer| layer.place != new.place);
        let is_deep = below.count() > DEPTH_SHARED;
        let layer = LayerId(new.id.0);
        let job = JobId(self.house.store.new_id());
        let (fill, shown) = (is_elsewhere || is_deep, is_elsewhere.then_some(job));
        let unit = new.rows(unit, on, fill.then_some(layer), shown);
        if !fill {
            return Ok(unit);
        }
        Ok(unit.job_as(job, FILL_JOB, json!({ "volume": new.id })))
    }

    fn snapshot<T>(&mut self, unit: Unit<T>, of: VolumeId, new: &NewSnapshot) -> Result<Unit<T>, Error> {
        let found = self.origins.volumes.get(&of).zip(self.bases.get(&of));
        let (origin, on) = found.ok_or_else(|| Error::Store(store::Error::not_found("volume", of)))?;
        let claim = NewClaim {
            id: new.claim,
            demand: new.demand.clone(),
            supply: new.supply.clone(),
            amounts: with_bytes(&new.extra, 0),
            lease: None,
            subject: None,
            managed_by: Some(new.managed_by.clone()),
        };
        let info = SnapshotInfo {
            id: new.id,
            volume: of,
            claim: new.claim,
            size: origin.info.size,
            place: origin.info.place.clone(),
            charged: 0,
            preserved: 0,
            layer: origin.info.layer,
        };
        let row = move |on: Option<LayerId>| {
            // There is one: a volume without is frozen.
            let layer = on.unwrap_or(info.layer);
            row::new_snapshot(&SnapshotInfo { layer, ..info.clone() })
        };
        Ok(on.put(unit.charge(claim), INTO_SNAPSHOTS, row))
    }
}

/// A new, empty layer lies on the volume's, which nobody writes to any more.
pub(super) fn freeze<T>(unit: Unit<T>, info: &VolumeInfo, top: LayerId) -> Unit<T> {
    let (volume, layer) = (info.id, info.layer);
    let new = row::new_layer(top, Some(layer), &info.place, info.size);
    unit.insert(INTO_LAYERS, new).also(move |tx| {
        let sql = "UPDATE volumes SET layer_id = $3 WHERE id = $1 AND layer_id = $2";
        match tx.execute(sql, &params![volume, layer, top])? {
            1 => Ok(()),
            _ => Err(store::Error::Conflict(format!("volume {volume} has changed meanwhile"))),
        }
    })
}

/// A volume that lies on many layers gets a copy of its own by a job, in its new layer.
fn copied<T>(unit: Unit<T>, volume: VolumeId, top: LayerId) -> Unit<T> {
    let unit = unit.job(FILL_JOB, json!({ "volume": volume }));
    unit.also(move |tx| {
        let sql = "UPDATE volumes SET fill_id = $2 WHERE id = $1 AND fill_id IS NULL";
        tx.execute(sql, &params![volume, top]).map(drop)
    })
}

/// Freezes the top layer of a volume for a job of ours. Blocks.
pub(super) fn freeze_top(house: &Arc<House>, volume: VolumeId, layer: LayerId) -> Result<(), Error> {
    let slot = house.slot(volume);
    let open = slot.gate.blocking_lock();
    let mut held = open.as_ref().map(|live| (live, live.hold()));
    if let Some((live, held)) = &mut held {
        live.rest(held)?;
    }
    let info = house.wait(house.store.read(move |tx| row::info(tx, volume)))?;
    let Some(info) = info.filter(|info| info.layer == layer) else { return Ok(()) };
    let done = house.wait(house.store.write(freeze(Unit::by(system()), &info, LayerId(house.store.new_id()))));
    if let Some((live, held)) = &mut held {
        live.reload(held);
    }
    house.step("freeze: switched");
    Ok(done.map(drop)?)
}

fn resize<T: Send + 'static>(
    house: &Arc<House>,
    volume: VolumeId,
    size: u64,
    extra: &Amounts,
    unit: Unit<T>,
) -> Result<Done<T>, Error> {
    let slot = house.slot(volume);
    let open = slot.gate.blocking_lock();
    let mut held = open.as_ref().map(|live| (live, live.hold()));
    let info = house.wait(house.store.read(move |tx| row::info(tx, volume)))?;
    let info = info.ok_or_else(|| Error::Store(store::Error::not_found("volume", volume)))?;
    if size < info.size || size > SIZE_MAX || !size.is_multiple_of(512) {
        let text = format!("a volume of {} bytes cannot be made one of {size}", info.size);
        return Err(Error::Store(store::Error::Invalid(text)));
    }
    if let Some((live, held)) = &mut held {
        live.rest(held)?;
    }
    let unit = unit.set(info.claim, with_bytes(extra, size)).also(move |tx| {
        let sql = "UPDATE volumes SET size = $2 WHERE id = $1 AND size = $3";
        row::found(tx.execute(sql, &params![volume, size, info.size])?, "volume", volume)?;
        let sql = "UPDATE volume_layers SET size = $2 WHERE id = $1";
        row::found(tx.execute(sql, &params![info.layer, size])?, "layer", info.layer)
    });
    house.step("resize: ready");
    let done = house.wait(house.store.write(unit));
    house.step("resize: committed");
    if let Some((live, held)) = &mut held {
        live.reload(held);
    }
    Ok(done?)
}
