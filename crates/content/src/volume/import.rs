//! Taking a qcow2 image in: kept beside the layers as it came, looked at, then read into the volume by a job.
//!
//! **Charges.** The volume's claim is for what it will hold. The image itself is charged on supply alone until it is gone.
//! **Order.** Row and claim, bytes, the job; and in the end the file, then row and claim. What broke off before it had a job is
//! freed at the start.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use imago::Mapping;
use ledger::{Amounts, ClaimId, Resource};
use serde_json::json;
use store::{Done, Job, JobId, Managed, NewClaim, SupplyRef, Tx, Unit, params};
use uuid::Uuid;

use super::fill::{ATTEMPTS_MAX, is_hopeless, note};
use super::house::House;
use super::{Finished, Place, VolumeId, Volumes, chain, doom, handle, qcow2, row};
use crate::error::blocking;
use crate::{Error, system};

/// The kind of the job.
pub(super) const IMPORT_JOB: &str = "content.volume.import";
/// What is read at once.
const PIECE_BYTES: u64 = 1 << 20;
/// After how many pieces progress is noted.
const NOTE_PIECES: u64 = 16;

/// An image on its way in.
#[derive(Clone)]
struct Import {
    id: Uuid,
    claim: ClaimId,
    place: Place,
}

impl Volumes {
    /// Takes a qcow2 image of just this length in, looks at it, and in one commit with `unit` makes the job that reads it
    /// into the volume, which must be at least as large. An image that is not sound, or needs another file, is
    /// [`store::Error::Invalid`], and nothing is left of it.
    pub async fn import<T, S, E>(
        &self,
        volume: VolumeId,
        length: u64,
        body: S,
        unit: Unit<T>,
    ) -> Result<(JobId, Done<T>), Error>
    where
        T: Send + 'static,
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.house.enter();
        let (import, size) = self.reserve(volume, length).await?;
        let taken = self.take(&import, length, size, body).await;
        let job = JobId(self.house.store.new_id());
        let done = match taken {
            Ok(()) => self.house.store.write(begin(unit, &import, volume, job)).await.map_err(Error::Store),
            Err(error) => Err(error),
        };
        if done.is_err() {
            let (house, id) = (self.house.clone(), import.id);
            let freed = blocking(move || free(&house, &import)).await.flatten();
            if let Err(error) = freed {
                tracing::warn!(import.id = %id, %error, "an image that was not taken was not freed; the next start does it");
            }
        }
        Ok((job, done?))
    }

    /// Charges the bytes of the image where those of the volume are charged.
    async fn reserve(&self, volume: VolumeId, length: u64) -> Result<(Import, u64), Error> {
        let found = self.house.store.read(move |tx| {
            let info = row::info(tx, volume)?.ok_or_else(|| store::Error::not_found("volume", volume))?;
            Ok((store::claims::find(tx, info.claim)?, info))
        });
        let (claim, info) = found.await?;
        let (id, new) = (self.house.store.new_id(), ClaimId(self.house.store.new_id()));
        let amounts = Amounts::new().with(Resource::BYTES, length);
        let charge = NewClaim {
            id: new,
            demand: None,
            supply: claim.and_then(|claim| claim.supply).map_or(SupplyRef::None, |supply| SupplyRef::At(supply.into())),
            amounts: amounts.map_err(|error| Error::Store(store::Error::Invalid(error.to_string())))?,
            lease: None,
            subject: None,
            managed_by: Some(Managed::new("content", "import", id)),
        };
        let into = "volume_imports (id, volume_id, claim_id, place, job_id)";
        let none: Option<JobId> = None;
        let values = params![id, volume, new, &info.place, none].to_vec();
        self.house.store.write(Unit::by(system()).charge(charge).insert(into, values)).await?;
        Ok((Import { id, claim: new, place: info.place }, info.size))
    }

    /// Writes the bytes to the disk and looks at them.
    async fn take<S, E>(&self, import: &Import, length: u64, size: u64, body: S) -> Result<(), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (house, at) = (self.house.clone(), import.clone());
        let made = blocking(move || house.files.make_import(&at.place, at.id)).await?;
        let mut file = made.map_err(Error::disk("taking an image in"))?;
        let (mut body, mut received) = (std::pin::pin!(body), 0);
        while let Some(frame) = body.next().await.transpose().map_err(|error| Error::Body(error.into()))? {
            received += frame.len() as u64;
            if received > length {
                break;
            }
            let house = self.house.clone();
            let wrote =
                move || house.files.take_room(frame.len() as u64).and_then(|()| file.write_all(&frame)).map(|()| file);
            file = blocking(wrote).await?.map_err(Error::disk("taking an image in"))?;
        }
        if received != length {
            return Err(Error::Length { declared: length, received });
        }
        let looked = move || {
            file.sync_all()?;
            let size = qcow2::inspect(&file)?;
            chain::open_inspected(file).map(|_| size)
        };
        let looked = blocking(looked).await?;
        match looked.map_err(refused)? {
            found if found > size => {
                let text = format!("the image is of {found} bytes, and the volume of {size}");
                Err(Error::Store(store::Error::Invalid(text)))
            }
            _ => Ok(()),
        }
    }
}

/// An image that is not sound is the caller's fault; a disk that fails is not.
fn refused(error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof, Unsupported};
    match error.kind() {
        InvalidData | InvalidInput | Other | UnexpectedEof | Unsupported => {
            Error::Store(store::Error::Invalid(format!("the image is refused: {error}")))
        }
        _ => Error::disk("looking at an image")(error),
    }
}

fn begin<T>(unit: Unit<T>, import: &Import, volume: VolumeId, job: JobId) -> Unit<T> {
    let id = import.id;
    let unit = unit.job_as(job, IMPORT_JOB, json!({ "volume": volume, "import": id }));
    unit.also(move |tx| {
        let sql = "UPDATE volumes SET job_id = $2 WHERE id = $1 AND job_id IS NULL AND fill_id IS NULL";
        if tx.execute(sql, &params![volume, job])? != 1 {
            return Err(store::Error::Conflict(format!("a job is at volume {volume} already")));
        }
        tx.execute("UPDATE volume_imports SET job_id = $2 WHERE id = $1", &params![id, job]).map(drop)
    })
}

/// Frees an image: file, then row and claim.
fn free(house: &House, import: &Import) -> Result<(), Error> {
    house.files.remove_import(&import.place, import.id).map_err(Error::disk("removing an image"))?;
    let (id, claim) = (import.id, import.claim);
    let forget = |unit: Unit| {
        unit.also(move |tx| tx.execute("DELETE FROM volume_imports WHERE id = $1", &params![id]).map(drop))
    };
    match house.wait(house.store.write(forget(Unit::by(system()).release(claim)))) {
        Err(store::Error::NotFound { .. }) => {
            Ok(house.wait(house.store.write(forget(Unit::by(system())))).map(drop)?)
        }
        other => Ok(other.map(drop)?),
    }
}

/// The volume waits for nothing, and the image is nobody's any more.
fn finish(house: &House, volume: VolumeId, job: JobId) -> Result<(), Error> {
    let unit = Unit::by(system()).also(move |tx| {
        let none: Option<JobId> = None;
        let sql = "UPDATE volumes SET job_id = $3 WHERE id = $1 AND job_id = $2";
        row::found(tx.execute(sql, &params![volume, job, none])?, "volume", volume)?;
        tx.execute("UPDATE volume_imports SET job_id = $2 WHERE job_id = $1", &params![job, none])?;
        store::jobs::end(tx, job, None).map(drop)
    });
    let done = Finished { volume, job, failed: None };
    house.wait(house.store.write(super::finish(house, unit, done)))?;
    Ok(())
}

fn find(tx: &mut Tx, import: Uuid) -> Result<Option<Import>, store::Error> {
    let row = tx.query_opt("SELECT id, claim_id, place FROM volume_imports WHERE id = $1", &params![import])?;
    row.map(|row| Ok(Import { id: row.get(0)?, claim: row.get(1)?, place: Place::parse(&row.get::<String>(2)?)? }))
        .transpose()
}

/// Frees images that no job is for: those that broke off, those that were read, and those whose volume is gone or doomed.
pub(super) fn forget_broken_off(house: &House) -> Result<(), Error> {
    let sql = "SELECT id FROM volume_imports WHERE job_id IS NULL OR NOT EXISTS (SELECT 1 FROM volumes v \
        WHERE v.id = volume_imports.volume_id AND v.job_id = volume_imports.job_id \
        AND NOT EXISTS (SELECT 1 FROM volumes_doomed d WHERE d.id = v.id)) ORDER BY id LIMIT 256";
    loop {
        let found = house.wait(house.store.read(move |tx| found(tx, sql, &[])))?;
        if found.is_empty() {
            return Ok(());
        }
        found.iter().try_for_each(|import| free(house, import))?;
    }
}

/// Frees the images of a volume that is about to go.
pub(super) fn free_of(house: &House, volume: VolumeId) -> Result<(), Error> {
    let sql = "SELECT id FROM volume_imports WHERE volume_id = $1 ORDER BY id LIMIT 256";
    let found = house.wait(house.store.read(move |tx| found(tx, sql, &params![volume])))?;
    found.iter().try_for_each(|import| free(house, import))
}

fn found(tx: &mut Tx, sql: &str, values: &[store::Value]) -> Result<Vec<Import>, store::Error> {
    let ids = tx.query(sql, values)?.iter().map(|row| row.get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    let found = ids.into_iter().map(|id| find(tx, id)).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Does the job. Blocks.
pub(super) fn run(house: &Arc<House>, job: &Job, volume: VolumeId) -> Result<(), Error> {
    let id: Uuid = super::named(job, "import").map_err(|text| Error::Store(store::Error::Invalid(text)))?;
    let Some(import) = house.wait(house.store.read(move |tx| find(tx, id)))? else { return Ok(()) };
    match read(house, job, volume, &import) {
        Ok(true) => {
            house.step("import: read");
            finish(house, volume, job.id)?;
            house.step("import: committed");
            free(house, &import)
        }
        Ok(false) => free(house, &import),
        Err(error) if is_hopeless(&error) || job.attempts >= ATTEMPTS_MAX => {
            doom::give_up(house, volume, job.id, &error.to_string())?;
            free(house, &import)
        }
        Err(error) => Err(error),
    }
}

/// Reads the image into the volume, to the disk; false when the job is no longer ours.
fn read(house: &Arc<House>, job: &Job, volume: VolumeId, import: &Import) -> Result<bool, Error> {
    let opened = house.files.open_import(&import.place, import.id).map_err(Error::disk("opening an image"))?;
    let Some(file) = opened else { return Err(Error::Store(store::Error::Invalid("the image is gone".to_owned()))) };
    inspect(&file)?;
    let image = chain::open_inspected(file).map_err(refused)?;
    let into = handle::open(house, volume)?;
    let live = &into.open.live;
    let size = image.size();
    let mut bytes = vec![0; PIECE_BYTES as usize];
    let (mut at, mut number) = (0, 0_u64);
    while at < size {
        if number.is_multiple_of(NOTE_PIECES) && !note(house, job, volume, at / (size / 100).max(1))? {
            return Ok(false);
        }
        number += 1;
        let (mapping, length) = image.get_mapping(at, size - at).map_err(refused)?;
        if let Mapping::Zero { .. } | Mapping::Eof { .. } = mapping {
            at += length.max(1);
            continue;
        }
        let piece = &mut bytes[..length.clamp(1, PIECE_BYTES) as usize];
        image.read(&mut *piece, at).map_err(refused)?;
        if piece.iter().any(|byte| *byte != 0) {
            live.write(piece, at)?;
        }
        at += piece.len() as u64;
        house.step("import: wrote");
    }
    live.flush()?;
    Ok(true)
}

/// Once more: who knows what became of the file since.
fn inspect(file: &File) -> Result<u64, Error> {
    qcow2::inspect(file).map_err(refused)
}
