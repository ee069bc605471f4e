//! Counting anew what each snapshot of a volume keeps: after a crash, and when a snapshot went.

use store::{Tx, Unit, params};

use super::chain;
use super::house::House;
use super::live::{STEP_BYTES, charge};
use super::qcow2::{Bits, CLUSTER_BYTES, Map};
use super::row::{self, CHAIN_MAX, Layer, SnapshotInfo, VolumeId};
use crate::{Error, system};

/// A snapshot, and how many layers lie on its.
type Placed = (usize, SnapshotInfo);

/// The layers of a volume, and its snapshots, the youngest first.
fn find(tx: &mut Tx, volume: VolumeId) -> Result<(Vec<Layer>, Vec<Placed>), store::Error> {
    let Some(info) = row::info(tx, volume)? else { return Ok((Vec::new(), Vec::new())) };
    let layers = row::chain(tx, info.layer)?;
    let snapshots = row::snapshots_of(tx, volume, None, CHAIN_MAX * 4)?.into_iter();
    let placed = snapshots.filter_map(|snapshot| {
        let above = layers.iter().position(|layer| layer.id == snapshot.layer)?;
        Some((above, snapshot))
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_by_key(|(above, snapshot)| (*above, std::cmp::Reverse(snapshot.id)));
    Ok((layers, placed))
}

/// Counts, from the tables on disk, and brings rows and claims to it. A claim that finds no room to grow stays, and the next
/// write pays first. Nobody may write to the volume meanwhile. Blocks.
pub(super) fn recount(house: &House, volume: VolumeId) -> Result<(), Error> {
    let (layers, snapshots) = house.wait(house.store.read(move |tx| find(tx, volume)))?;
    if snapshots.is_empty() {
        return Ok(());
    }
    let read = layers.iter().map(|layer| chain::map(&house.files, layer));
    let maps = read.collect::<Result<Vec<Map>, _>>().map_err(Error::disk("counting what is kept"))?;
    let mut from = 0;
    for (above, snapshot) in snapshots {
        let mut changed = Bits::default();
        maps[from..above].iter().for_each(|map| changed.add_all(&map.said()));
        from = above;
        let seen = maps[above..].iter().rev().fold(Map::default(), |below, map| map.clone().over(below));
        note(house, &snapshot, seen.data.common(&changed) * CLUSTER_BYTES)?;
    }
    Ok(())
}

fn note(house: &House, snapshot: &SnapshotInfo, preserved: u64) -> Result<(), Error> {
    let id = snapshot.id;
    if preserved != snapshot.preserved {
        let unit = Unit::by(system()).also(move |tx| {
            let sql = "UPDATE volume_snapshots SET preserved = $2 WHERE id = $1";
            tx.execute(sql, &params![id, preserved]).map(drop)
        });
        house.wait(house.store.write(unit))?;
    }
    let wanted = preserved.next_multiple_of(STEP_BYTES);
    // One that was charged less than a step for want of room is right as it is.
    let is_right = wanted == snapshot.charged || (snapshot.charged >= preserved && snapshot.charged < wanted);
    match if is_right { Ok(0) } else { charge(house, snapshot, wanted) } {
        Ok(_) => Ok(()),
        // It went meanwhile, or there is no room.
        Err(Error::Store(store::Error::NotFound { .. } | store::Error::Refused(_) | store::Error::Full)) => Ok(()),
        Err(error) => Err(error),
    }
}
