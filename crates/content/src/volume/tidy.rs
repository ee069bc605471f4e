//! Taking layers away: those that nobody needs, and those that only one other layer needs.
//!
//! **Merging.** A layer P that no volume or snapshot names, with one layer X on it, takes in what X holds, and takes X's place.
//! Nobody can come to need P meanwhile; who reads through X does not look into P where X says anything; so P may be written
//! to while it is read, and done again after a crash. When the rows say that P stands for X, X goes.
//! One thread at a time does this; all calls block.

use std::sync::Arc;

use store::{Tx, Unit, params};

use super::branch::freeze_top;
use super::chain::{self, Chain};
use super::house::House;
use super::qcow2::CLUSTER_BYTES;
use super::row::{self, Layer, LayerId, VolumeId};
use crate::{Error, system};

/// How much is copied at once, in clusters.
pub(super) const RUN_CLUSTERS: u64 = 16;
/// How much is made zero at once.
const ZERO_CLUSTERS: u64 = 1024;

/// What is known of a layer that may go.
struct Look {
    layer: Layer,
    is_named: bool,
    children: Vec<Layer>,
    /// Whether it, or the one on it, is being filled.
    is_filled: bool,
}

fn look(tx: &mut Tx, id: LayerId) -> Result<Option<Look>, store::Error> {
    let Some(layer) = row::layer(tx, id)? else { return Ok(None) };
    let children = row::children(tx, id, 2)?;
    let mut is_filled = false;
    for id in std::iter::once(id).chain(children.iter().map(|child| child.id)) {
        is_filled |= tx.query_opt("SELECT 1 FROM volumes WHERE fill_id = $1 LIMIT 1", &params![id])?.is_some();
    }
    Ok(Some(Look { layer, is_named: row::is_named(tx, id)?, children, is_filled }))
}

/// Takes away what can be, from this layer down.
pub(super) fn tidy(house: &Arc<House>, from: LayerId) -> Result<(), Error> {
    let _turn = house.tidying();
    let mut next = Some(from);
    while let Some(id) = next {
        let Some(found) = house.wait(house.store.read(move |tx| look(tx, id)))? else { return Ok(()) };
        if found.is_named {
            return Ok(());
        }
        next = match found.children.as_slice() {
            [] => {
                remove(house, &found.layer)?;
                found.layer.parent
            }
            [above] if !found.is_filled => {
                merge(house, &found.layer, above)?;
                Some(id)
            }
            _ => return Ok(()),
        };
    }
    Ok(())
}

/// Removes a layer that nobody needs: file, then row.
fn remove(house: &House, layer: &Layer) -> Result<(), Error> {
    let id = layer.id;
    house.files.remove(&layer.place, id).map_err(Error::disk("removing a layer"))?;
    house.step("remove: file gone");
    let unit = Unit::by(system()).also(move |tx| {
        if row::is_named(tx, id)? || !row::children(tx, id, 1)?.is_empty() {
            return Err(store::Error::Broken(format!("layer {id} went, and is needed")));
        }
        tx.execute("DELETE FROM volume_layers WHERE id = $1", &params![id]).map(drop)
    });
    house.wait(house.store.write(unit))?;
    Ok(())
}

/// `below` takes in what `above` holds, and its place.
fn merge(house: &Arc<House>, below: &Layer, above: &Layer) -> Result<(), Error> {
    let has_file = |layer: &Layer| -> Result<bool, Error> {
        let taken = house.files.taken(&layer.place, layer.id).map_err(Error::disk("looking at a layer"))?;
        Ok(layer.written && taken.is_some())
    };
    if !has_file(below)? {
        return skip_empty(house, below);
    }
    let id = above.id;
    let writer = house.wait(house.store.read(move |tx| row::writers(tx, id)))?.first().copied();
    if !above.written {
        return stand_for_empty(house, below, above, writer);
    }
    if let Some(volume) = writer {
        freeze_top(house, volume, id)?;
    }
    let chain = house.wait(house.store.read(move |tx| row::chain(tx, id)))?;
    house.repair_layers(&chain)?;
    take_in(house, below, above)?;
    house.step("merge: taken in");
    let unit = stand_for(Unit::by(system()), below, above);
    house.wait(house.store.write(row::unmark(unit, below.id)))?;
    house.step("merge: committed");
    let from = below.id;
    let on = house.wait(house.store.read(move |tx| row::children(tx, from, row::CHAIN_MAX)))?;
    for layer in on.iter().map(|layer| layer.id) {
        let chain = house.wait(house.store.read(move |tx| row::chain(tx, layer)))?;
        let skip = |layer: &Layer| house.is_writing(layer.id);
        chain::name_below(&house.files, &chain, skip).map_err(Error::disk("naming layers"))?;
    }
    reload_with(house, id)?;
    remove(house, above)
}

/// A layer that holds nothing is passed over by the one on it.
fn skip_empty(house: &House, below: &Layer) -> Result<(), Error> {
    let (id, parent) = (below.id, below.parent);
    let unit = Unit::by(system()).also(move |tx| {
        if row::is_named(tx, id)? {
            return Err(store::Error::Conflict(format!("layer {id} is needed again")));
        }
        tx.execute("UPDATE volume_layers SET parent_id = $2 WHERE parent_id = $1", &params![id, parent]).map(drop)
    });
    house.wait(house.store.write(unit))?;
    remove(house, below)
}

/// A layer stands for the one on it, to which nothing was written.
fn stand_for_empty(house: &Arc<House>, below: &Layer, above: &Layer, writer: Option<VolumeId>) -> Result<(), Error> {
    let slot = writer.map(|volume| house.slot(volume));
    let open = slot.as_ref().map(|slot| slot.gate.blocking_lock());
    let live = open.as_ref().and_then(|open| open.as_ref());
    let mut held = live.map(|live| (live, live.hold()));
    if let Some((live, held)) = &mut held {
        live.rest(held)?;
    }
    let id = above.id;
    let now = house.wait(house.store.read(move |tx| row::layer(tx, id)))?;
    if now.is_none_or(|now| now.written) {
        // It was written to meanwhile: looked at again.
        return Ok(());
    }
    let done = house.wait(house.store.write(stand_for(Unit::by(system()), below, above)));
    if let Some((live, held)) = &mut held {
        live.reload(held);
    }
    house.step("merge: stands for an empty one");
    drop(held);
    drop(open);
    done?;
    remove(house, above)
}

/// Whatever named or lay on `above` names or lies on `below`.
fn stand_for(unit: Unit, below: &Layer, above: &Layer) -> Unit {
    let (below, above, size) = (below.id, above.id, above.size.max(below.size));
    unit.also(move |tx| {
        let on: Vec<LayerId> = row::children(tx, below, 2)?.iter().map(|layer| layer.id).collect();
        if row::is_named(tx, below)? || on != [above] {
            return Err(store::Error::Conflict(format!("layer {below} is needed again")));
        }
        for (table, column) in
            [("volume_layers", "parent_id"), ("volumes", "layer_id"), ("volume_snapshots", "layer_id")]
        {
            let sql = format!("UPDATE {table} SET {column} = $2 WHERE {column} = $1");
            tx.execute(&sql, &params![above, below])?;
        }
        let none: Option<LayerId> = None;
        tx.execute("UPDATE volume_layers SET parent_id = $2 WHERE id = $1", &params![above, none])?;
        tx.execute("UPDATE volume_layers SET size = $2 WHERE id = $1", &params![below, size]).map(drop)
    })
}

/// Writes what `above` holds into `below`, to the disk.
fn take_in(house: &Arc<House>, below: &Layer, above: &Layer) -> Result<(), Error> {
    let disk = Error::disk("merging layers");
    let id = below.id;
    let mut chain = house.wait(house.store.read(move |tx| row::chain(tx, id)))?;
    house.wait(house.store.write(row::mark(Unit::by(system()), id)))?;
    house.begin_writing(id);
    let _done = Writing(house, id);
    let Some(first) = chain.first_mut() else { return Err(Error::Store(store::Error::not_found("layer", id))) };
    first.size = below.size.max(above.size);
    let mut into = Chain::open_for_writing(&house.files, chain).map_err(&disk)?;
    let map = chain::map(&house.files, above).map_err(&disk)?;
    let from = Chain::open(&house.files, vec![above.clone()]).map_err(&disk)?;
    let lengths = |first: u64, clusters: u64| {
        let at = first * CLUSTER_BYTES;
        (at, (clusters * CLUSTER_BYTES).min(above.size.saturating_sub(at)))
    };
    for (at, length) in map.data.runs(RUN_CLUSTERS).into_iter().map(|(first, count)| lengths(first, count)) {
        let mut bytes = vec![0; length as usize];
        from.read(&mut bytes, at).map_err(&disk)?;
        house.files.take_room(length).map_err(&disk)?;
        into.top().map_or(Ok(()), |top| top.write(&bytes, at)).map_err(&disk)?;
        house.step("merge: wrote");
    }
    for (at, length) in map.zeros.runs(ZERO_CLUSTERS).into_iter().map(|(first, count)| lengths(first, count)) {
        into.top_mut().map_or(Ok(()), |top| top.discard_to_zero(at, length)).map_err(&disk)?;
    }
    into.flush().map_err(&disk)
}

/// A layer that this process has open for writing, until it is dropped.
pub(super) struct Writing<'h>(pub &'h House, pub LayerId);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.end_writing(self.1);
    }
}

/// Volumes that are open and have this layer open it no more.
pub(super) fn reload_with(house: &Arc<House>, layer: LayerId) -> Result<(), Error> {
    for slot in house.slots() {
        let open = slot.gate.blocking_lock();
        let Some(live) = open.as_ref() else { continue };
        let mut held = live.hold();
        if held.chain.layers.iter().any(|it| it.id == layer) {
            live.rest(&mut held)?;
            live.reload(&mut held);
        }
    }
    Ok(())
}

/// Takes away what a crash has left: layers that nobody names and that at most one other layer needs.
pub(super) fn sweep(house: &Arc<House>) -> Result<(), Error> {
    let sql = "SELECT l.id FROM volume_layers l WHERE l.id > $1 \
        AND NOT EXISTS (SELECT 1 FROM volumes v WHERE v.layer_id = l.id OR v.fill_id = l.id) \
        AND NOT EXISTS (SELECT 1 FROM volume_snapshots s WHERE s.layer_id = l.id) \
        AND (SELECT count(*) FROM volume_layers c WHERE c.parent_id = l.id) < 2 ORDER BY l.id LIMIT 256";
    let mut after = String::new();
    loop {
        let from = after.clone();
        let found = house.wait(house.store.read(move |tx| {
            let rows = tx.query(sql, &params![from])?;
            rows.iter().map(|row| row.get(0)).collect::<Result<Vec<LayerId>, _>>()
        }))?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.to_string();
        found.into_iter().try_for_each(|layer| tidy(house, layer))?;
    }
}
