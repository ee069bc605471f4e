//! The job that gives a volume a copy of all that it shares with others: for clones to another place, for those that lie on
//! too many layers, and for whoever asks.
//!
//! **Shape.** The layer to be filled is written to as nobody else does: it is frozen first. What it does not say is read from
//! below and written to it, which changes nothing for who reads through it; so it may be interrupted at any time, and goes on
//! where it was. In the end it lies on nothing.

use std::sync::Arc;

use store::{Job, JobId, Unit, params};

use super::branch::freeze_top;
use super::chain::{self, Chain};
use super::house::House;
use super::qcow2::{CLUSTER_BYTES, Map};
use super::row::{self, Layer, LayerId, VolumeInfo};
use super::tidy::{self, RUN_CLUSTERS, Writing};
use super::{Finished, VolumeId, doom};
use crate::{Error, system};

/// The kind of the job.
pub(super) const FILL_JOB: &str = "content.volume.fill";
/// After how many runs progress is noted: 16 MiB.
const NOTE_RUNS: usize = 16;
/// How often a copy that fails is tried again, before the volume is given up.
pub(super) const ATTEMPTS_MAX: u64 = 5;

/// Does the job. Blocks.
pub(super) fn run(house: &Arc<House>, job: &Job, volume: VolumeId) -> Result<(), Error> {
    let filled = fill(house, job, volume);
    match filled {
        Err(error) if is_hopeless(&error) || job.attempts >= ATTEMPTS_MAX => {
            match doom::give_up(house, volume, job.id, &error.to_string())? {
                true => Ok(()),
                false => Err(error),
            }
        }
        other => other,
    }
}

/// No room will come from trying.
pub(super) fn is_hopeless(error: &Error) -> bool {
    matches!(error, Error::Store(store::Error::Full | store::Error::Refused(_) | store::Error::Invalid(_)))
}

fn fill(house: &Arc<House>, job: &Job, volume: VolumeId) -> Result<(), Error> {
    let find = move |house: &House| house.wait(house.store.read(move |tx| row::info(tx, volume)));
    let Some(VolumeInfo { layer, fill: Some(fill), .. }) = find(house)? else { return Ok(()) };
    if layer == fill {
        freeze_top(house, volume, layer)?;
    }
    let chain = house.wait(house.store.read(move |tx| row::chain(tx, fill)))?;
    house.repair_layers(&chain)?;
    if chain.len() > 1 && !copy(house, job, volume, chain)? {
        return Ok(());
    }
    house.step("fill: copied");
    // What lay below when it began may have been merged since.
    let below = house.wait(house.store.read(move |tx| row::layer(tx, fill)))?.and_then(|layer| layer.parent);
    finish(house, volume, fill, job.id)?;
    house.step("fill: committed");
    let chain = house.wait(house.store.read(move |tx| row::chain(tx, fill)))?;
    chain::name_below(&house.files, &chain, |_| false).map_err(Error::disk("naming layers"))?;
    tidy::reload_with(house, fill)?;
    below.map_or(Ok(()), |below| tidy::tidy(house, below))?;
    tidy::tidy(house, fill)
}

/// Writes what is seen below a layer into it, to the disk; false when the job is no longer ours.
fn copy(house: &House, job: &Job, volume: VolumeId, mut layers: Vec<Layer>) -> Result<bool, Error> {
    let disk = Error::disk("copying a volume");
    let id = layers[0].id;
    house.begin_writing(id);
    let _done = Writing(house, id);
    house.wait(house.store.write(row::mark(Unit::by(system()), id)))?;
    layers[0].written = true;
    let (place, size) = (layers[0].place.clone(), layers[0].size);
    if house.files.open(&place, id, false).map_err(&disk)?.is_none() {
        let below = chain::name_of_next(&house.files, &layers, 0).map_err(&disk)?;
        house.files.make(&place, id, size, below.as_deref()).map_err(&disk)?;
    }
    let own = chain::map(&house.files, &layers[0]).map_err(&disk)?;
    let maps = layers[1..].iter().map(|layer| chain::map(&house.files, layer)).collect::<Result<Vec<Map>, _>>();
    let seen = maps.map_err(&disk)?.into_iter().rev().fold(Map::default(), |below, map| map.over(below));
    let mut missing = seen.data;
    missing.remove_all(&own.said());
    let from = Chain::open(&house.files, layers[1..].to_vec()).map_err(&disk)?;
    let into = Chain::open_for_writing(&house.files, layers).map_err(&disk)?;
    let runs = missing.runs(RUN_CLUSTERS);
    for (done, (first, count)) in runs.iter().enumerate() {
        if done.is_multiple_of(NOTE_RUNS) && !note(house, job, volume, done as u64 * 100 / runs.len() as u64)? {
            into.flush().map_err(&disk)?;
            return Ok(false);
        }
        let at = first * CLUSTER_BYTES;
        let mut bytes = vec![0; (count * CLUSTER_BYTES).min(size.saturating_sub(at)) as usize];
        from.read(&mut bytes, at).map_err(&disk)?;
        if bytes.iter().any(|byte| *byte != 0) {
            house.files.take_room(bytes.len() as u64).map_err(&disk)?;
            into.top().map_or(Ok(()), |top| top.write(&bytes, at)).map_err(&disk)?;
        }
        house.step("fill: wrote");
    }
    into.flush().map_err(&disk)?;
    Ok(true)
}

/// Notes how far a job is; false when it was ended, or its volume is gone.
pub(super) fn note(house: &House, job: &Job, volume: VolumeId, hundredths: u64) -> Result<bool, Error> {
    let job = job.clone();
    let unit = Unit::by(system())
        .rows(move |tx| Ok(store::jobs::progress(tx, &job, hundredths)? && row::info(tx, volume)?.is_some()));
    Ok(house.wait(house.store.write(unit))?.value)
}

/// The layer lies on nothing, and the volume waits for nothing.
fn finish(house: &House, volume: VolumeId, fill: LayerId, job: JobId) -> Result<(), Error> {
    let unit = row::unmark(Unit::by(system()), fill).also(move |tx| {
        let none: Option<LayerId> = None;
        let sql = "UPDATE volumes SET fill_id = $3, job_id = $3 WHERE id = $1 AND fill_id = $2";
        row::found(tx.execute(sql, &params![volume, fill, none])?, "volume", volume)?;
        tx.execute("UPDATE volume_layers SET parent_id = $2 WHERE id = $1", &params![fill, none])?;
        store::jobs::end(tx, job, None).map(drop)
    });
    let shown = house.wait(house.store.read(move |tx| row::info(tx, volume)))?.is_some_and(|info| info.job.is_some());
    let unit = match shown {
        true => super::finish(house, unit, Finished { volume, job, failed: None }),
        false => unit,
    };
    house.wait(house.store.write(unit)).map(drop)?;
    Ok(())
}
