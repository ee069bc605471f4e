//! What all volumes of a process share: the store, the files, and who has what open.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use store::{Store, Tx, Unit};
use tokio::runtime::Handle as Runtime;

use super::files::Files;
use super::live::{Found, Live};
use super::nbd::Doors;
use super::row::{self, Layer, LayerId, VolumeId};
use super::{Finished, preserved, qcow2};
use crate::{Error, system};

/// What a face does in the commit that ends a job of its volume.
pub(super) type OnFinished = Arc<dyn Fn(&mut Tx, &Finished) -> Result<(), store::Error> + Send + Sync>;
/// What a test does at each step that a crash could come after.
pub(super) type OnStep = Box<dyn Fn(&'static str) + Send + Sync>;

/// See the module.
pub(super) struct House {
    pub store: Store,
    pub files: Files,
    pub doors: Doors,
    runtime: OnceLock<Runtime>,
    slots: Mutex<HashMap<VolumeId, Weak<Slot>>>,
    /// Layers that this process has open for writing.
    writing: Mutex<HashSet<LayerId>>,
    repairing: Mutex<()>,
    /// Layers are put together or taken away by one thread at a time.
    tidying: Mutex<()>,
    pub on_finished: OnceLock<OnFinished>,
    pub on_step: OnceLock<OnStep>,
}

/// A volume's place in this process: what is open of it, and whose turn it is to change that.
pub(super) struct Slot {
    pub id: VolumeId,
    /// Open, close, branch, resize, and deletion of one volume come one after the other.
    pub gate: tokio::sync::Mutex<Option<Arc<Live>>>,
    pub handles: AtomicUsize,
}

impl House {
    pub(super) fn new(store: Store, folder: &Path, room: Option<u64>) -> House {
        House {
            store,
            files: Files::new(folder, room),
            doors: Doors::new(folder),
            runtime: OnceLock::new(),
            slots: Mutex::default(),
            writing: Mutex::default(),
            repairing: Mutex::default(),
            tidying: Mutex::default(),
            on_finished: OnceLock::new(),
            on_step: OnceLock::new(),
        }
    }

    /// Remembers the runtime, for threads that are not its own.
    pub(super) fn enter(&self) -> &Runtime {
        self.runtime.get_or_init(Runtime::current)
    }

    /// Waits for the store, on a thread that may block.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = Result<T, store::Error>>) -> Result<T, store::Error> {
        match self.runtime.get() {
            Some(runtime) => runtime.block_on(answer),
            None => Err(store::Error::Broken("volumes were not started".to_owned())),
        }
    }

    /// A step that a crash could come after.
    pub(super) fn step(&self, name: &'static str) {
        if let Some(on_step) = self.on_step.get() {
            on_step(name);
        }
    }

    pub(super) fn slot(&self, id: VolumeId) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(&id).and_then(Weak::upgrade) {
            return slot;
        }
        if slots.len() >= 64 && slots.len().is_power_of_two() {
            slots.retain(|_, slot| slot.strong_count() > 0);
        }
        let slot = Arc::new(Slot { id, gate: tokio::sync::Mutex::default(), handles: AtomicUsize::new(0) });
        slots.insert(id, Arc::downgrade(&slot));
        slot
    }

    /// Volumes of which anything may be open.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        lock(&self.slots).values().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn begin_writing(&self, layer: LayerId) {
        lock(&self.writing).insert(layer);
    }

    pub(super) fn end_writing(&self, layer: LayerId) {
        lock(&self.writing).remove(&layer);
    }

    pub(super) fn is_writing(&self, layer: LayerId) -> bool {
        lock(&self.writing).contains(&layer)
    }

    pub(super) fn tidying(&self) -> MutexGuard<'_, ()> {
        lock(&self.tidying)
    }

    /// Repairs the layers of a volume that were not closed, and counts anew what its snapshots keep if there were any.
    pub(super) fn repair(&self, found: &Found) -> Result<(), Error> {
        let top = found.layers.first().is_some_and(|top| self.needs_repair(top));
        self.repair_layers(&found.layers)?;
        if top && found.newest.is_some() {
            preserved::recount(self, found.info.id)?;
        }
        Ok(())
    }

    fn needs_repair(&self, layer: &Layer) -> bool {
        layer.dirty && !self.is_writing(layer.id)
    }

    /// Repairs those of these layers that were not closed.
    pub(super) fn repair_layers(&self, layers: &[Layer]) -> Result<(), Error> {
        let _turn = lock(&self.repairing);
        for layer in layers.iter().filter(|layer| self.needs_repair(layer)) {
            let id = layer.id;
            // Another may have done it just before.
            let now = self.wait(self.store.read(move |tx| row::layer(tx, id)))?;
            if now.is_none_or(|now| !self.needs_repair(&now)) {
                continue;
            }
            if let Some(file) = self.files.open(&layer.place, id, true).map_err(Error::disk("repairing a layer"))? {
                qcow2::repair(&file).map_err(Error::disk("repairing a layer"))?;
                tracing::info!(layer.id = %id, "a layer that was not closed was repaired");
            }
            self.step("repair: done");
            self.wait(self.store.write(row::unmark(Unit::by(system()), id)))?;
        }
        Ok(())
    }
}

impl Slot {
    /// What is open of the volume, opened if nothing is. The caller has the gate. Blocks.
    pub(super) fn live(&self, house: &Arc<House>, open: &mut Option<Arc<Live>>) -> Result<Arc<Live>, Error> {
        if let Some(live) = open {
            return Ok(live.clone());
        }
        let live = Arc::new(Live::open(house.clone(), self.id)?);
        *open = Some(live.clone());
        Ok(live)
    }

    /// Closes what is open if nobody uses it. Blocks.
    pub(super) fn close_if_unused(&self) -> Result<(), Error> {
        let mut open = self.gate.blocking_lock();
        if self.handles.load(Ordering::Acquire) > 0 {
            return Ok(());
        }
        open.take().map_or(Ok(()), |live| live.close())
    }
}

/// Whoever panicked beside it left it whole: each change of it is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
