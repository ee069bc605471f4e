//! The audit of volumes: rows against claims and files.
//!
//! **Always.** As with blobs, what looks wrong is looked at again, so that it may run beside everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::{ClaimId, ClaimState, Resource};
use store::Tx;

use super::Volumes;
use super::house::House;
use super::row::{self, Layer, LayerId, SnapshotInfo, VolumeInfo};
use crate::Error;
use crate::error::blocking;

/// How many rows are read at once.
const PAGE: usize = 500;

/// What an audit found.
#[derive(Default)]
pub(crate) struct VolumeAudit {
    /// How many volumes were looked at.
    pub checked: u64,
    /// What is not as it must be, a sentence each.
    pub drift: Vec<String>,
}

impl Volumes {
    pub(crate) async fn audit(&self) -> Result<VolumeAudit, Error> {
        self.house.enter();
        let house = self.house.clone();
        blocking(move || {
            let mut audit = VolumeAudit::default();
            volumes(&house, &mut audit)?;
            snapshots(&house, &mut audit)?;
            layers(&house, &mut audit)?;
            files(&house, &mut audit)?;
            Ok(audit)
        })
        .await?
    }
}

fn volumes(house: &House, audit: &mut VolumeAudit) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = house.wait(house.store.read(move |tx| {
            let page = row::page(tx, after, PAGE)?;
            let drift = page.iter().map(|(info, is_doomed)| volume(tx, info, *is_doomed));
            Ok((page.last().map(|(info, _)| info.id), page.len(), drift.collect::<Result<Vec<_>, _>>()?))
        }))?;
        let (Some(last), count, drift) = page else { return Ok(()) };
        after = Some(last);
        audit.checked += count as u64;
        audit.drift.extend(drift.into_iter().flatten());
    }
}

fn volume(tx: &mut Tx, info: &VolumeInfo, is_doomed: bool) -> Result<Option<String>, store::Error> {
    let noun = format!("volume {}", info.id);
    if is_doomed {
        return Ok(None);
    }
    if row::layer(tx, info.layer)?.is_none() {
        return Ok(Some(format!("{noun} has no layer: {} is not there", info.layer)));
    }
    claim(tx, &noun, info.claim, info.size)
}

fn snapshots(house: &House, audit: &mut VolumeAudit) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = house.wait(house.store.read(move |tx| {
            let page = row::snapshot_page(tx, after, PAGE)?;
            let drift = page.iter().filter(|(_, is_doomed)| !is_doomed).map(|(info, _)| snapshot(tx, info));
            Ok((page.last().map(|(info, _)| info.id), drift.collect::<Result<Vec<_>, _>>()?))
        }))?;
        let (Some(last), drift) = page else { return Ok(()) };
        after = Some(last);
        audit.drift.extend(drift.into_iter().flatten());
    }
}

fn snapshot(tx: &mut Tx, info: &SnapshotInfo) -> Result<Option<String>, store::Error> {
    let noun = format!("snapshot {}", info.id);
    if row::layer(tx, info.layer)?.is_none() {
        return Ok(Some(format!("{noun} has no layer: {} is not there", info.layer)));
    }
    claim(tx, &noun, info.claim, info.charged)
}

fn claim(tx: &mut Tx, noun: &str, id: ClaimId, bytes: u64) -> Result<Option<String>, store::Error> {
    Ok(match store::claims::find(tx, id)? {
        None => Some(format!("{noun} has no claim: {id} is not there")),
        Some(claim) if claim.state != ClaimState::Held => Some(format!("claim {id} of {noun} is not held")),
        Some(claim) if claim.amounts.get(Resource::BYTES) != bytes => {
            let claimed = claim.amounts.get(Resource::BYTES);
            Some(format!("{noun} has {bytes} bytes and its claim {id} has {claimed}"))
        }
        Some(_) => None,
    })
}

/// Each layer lies on one that is there, and on none that is smaller than it can be.
fn layers(house: &Arc<House>, audit: &mut VolumeAudit) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = house.wait(house.store.read(move |tx| {
            let page = row::layer_page(tx, after, PAGE)?;
            let drift = page.iter().map(|layer| lies(tx, layer)).collect::<Result<Vec<_>, _>>()?;
            Ok((page.last().map(|layer| layer.id), drift))
        }))?;
        let (Some(last), drift) = page else { return Ok(()) };
        after = Some(last);
        audit.drift.extend(drift.into_iter().flatten());
    }
}

fn lies(tx: &mut Tx, layer: &Layer) -> Result<Option<String>, store::Error> {
    let Some(parent) = layer.parent else { return Ok(None) };
    Ok(match row::layer(tx, parent)? {
        None => Some(format!("layer {} lies on {parent}, which is not there", layer.id)),
        Some(below) if below.size > layer.size => Some(format!("layer {} is smaller than {parent} below it", layer.id)),
        Some(_) => None,
    })
}

/// Each file is one of a layer that has one, or of an image on its way in.
fn files(house: &House, audit: &mut VolumeAudit) -> Result<(), Error> {
    let disk = Error::disk("listing layers");
    for folder in house.files.folders().map_err(&disk)? {
        for file in house.files.files(&folder).map_err(&disk)? {
            if !is_known(house, &file)? && file.exists() && !is_known(house, &file)? {
                audit.drift.push(format!("{} is no file of a layer", file.display()));
            }
        }
    }
    Ok(())
}

fn is_known(house: &House, file: &Path) -> Result<bool, Error> {
    let named = |extension: &str| -> Option<uuid::Uuid> {
        let name = file.file_name()?.to_str()?.strip_suffix(extension)?;
        uuid::Uuid::try_parse(name).ok()
    };
    if let Some(import) = named(".import") {
        let sql = "SELECT 1 FROM volume_imports WHERE id = $1";
        return Ok(house.wait(house.store.read(move |tx| tx.query_opt(sql, &store::params![import])))?.is_some());
    }
    let Some(id) = named(".qcow2").or_else(|| named(".making")).map(LayerId) else { return Ok(false) };
    let layer = house.wait(house.store.read(move |tx| row::layer(tx, id)))?;
    let path = |layer: &Layer| -> PathBuf { house.files.path(&layer.place, layer.id) };
    Ok(layer.is_some_and(|layer| layer.written && path(&layer).with_extension("") == file.with_extension("")))
}
