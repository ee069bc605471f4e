//! The audit: rows against files and claims, for the doctor.
//!
//! **Always.** It may run beside uploads and deletes and finds nothing then: whatever looks wrong is looked at again in the
//! order in which it could have become right (a row comes before its file, and goes after it).

use std::collections::HashSet;
use std::path::PathBuf;

use ledger::{ClaimId, Resource};
use store::Tx;

use crate::error::blocking;
use crate::seal::{TAG_BYTES, stored_len};
use crate::{BlobId, BlobInfo, Content, Error, State, blob};

/// How many rows are read, and how many files are compared, at once.
const PAGE: usize = 500;

/// What an audit found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Audit {
    /// How many blobs were looked at.
    pub checked: u64,
    /// How many volumes.
    pub volumes: u64,
    /// What is not as it must be, a sentence each.
    pub drift: Vec<String>,
}

/// A row and what it says of the claim and the bytes.
struct Looked {
    info: BlobInfo,
    drift: Option<String>,
}

impl Content {
    /// Compares every blob with its claim and its bytes' length, every volume and snapshot with its claim, and every file
    /// with the rows. Reads no content: that is [`Content::verify`].
    pub async fn audit(&self) -> Result<Audit, Error> {
        let mut audit = Audit::default();
        self.audit_rows(&mut audit).await?;
        self.audit_files(&mut audit).await?;
        let volumes = self.volumes().audit().await?;
        audit.volumes = volumes.checked;
        audit.drift.extend(volumes.drift);
        Ok(audit)
    }

    async fn audit_rows(&self, audit: &mut Audit) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.store().read(move |tx| look(tx, after)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.info.id);
            audit.checked += page.len() as u64;
            audit.drift.extend(page.iter().filter_map(|looked| looked.drift.clone()));
            let files = page.into_iter().map(|looked| looked.info).filter(|info| !info.small).collect();
            self.compare_files(files, audit).await?;
        }
    }

    async fn compare_files(&self, blobs: Vec<BlobInfo>, audit: &mut Audit) -> Result<(), Error> {
        let disk = self.disk().clone();
        let compared = blocking(move || {
            let wrong = blobs.into_iter().filter_map(|info| match disk.length(info.id) {
                Ok(length) => length_drift(&info, length).map(|drift| Ok((info, drift))),
                Err(error) => Some(Err(Error::disk("looking at a blob")(error))),
            });
            wrong.collect::<Result<Vec<_>, Error>>()
        });
        for (info, drift) in compared.await?? {
            let now = self.store().read(move |tx| blob::info(tx, info.id)).await?;
            if now.is_some_and(|now| now.state == info.state) {
                audit.drift.push(drift);
            }
        }
        Ok(())
    }

    async fn audit_files(&self, audit: &mut Audit) -> Result<(), Error> {
        let disk = self.disk().clone();
        let folders = blocking(move || disk.folders()).await?.map_err(Error::disk("listing blobs"))?;
        for folder in folders {
            let disk = self.disk().clone();
            let files = blocking(move || disk.files(&folder)).await?.map_err(Error::disk("listing blobs"))?;
            for part in files.chunks(PAGE) {
                self.compare_rows(part, audit).await?;
            }
        }
        Ok(())
    }

    async fn compare_rows(&self, files: &[PathBuf], audit: &mut Audit) -> Result<(), Error> {
        let named: Vec<(PathBuf, Option<BlobId>)> = files.iter().map(|file| (file.clone(), self.named(file))).collect();
        let blobs: Vec<BlobId> = named.iter().filter_map(|(_, blob)| *blob).collect();
        let known = self.store().read(move |tx| blob::known(tx, &blobs)).await?;
        let known: HashSet<BlobId> = known.into_iter().collect();
        for (file, blob) in named {
            let Some(blob) = blob else {
                audit.drift.push(format!("{} is no file of a blob", file.display()));
                continue;
            };
            // A row goes after its file: while both are gone, all is well.
            let disk = self.disk().clone();
            if !known.contains(&blob)
                && blocking(move || disk.length(blob)).await?.map_err(Error::disk("looking at a blob"))?.is_some()
            {
                audit.drift.push(format!("the file of blob {blob} has no row"));
            }
        }
        Ok(())
    }

    /// The blob whose file this is, if it lies where it must.
    fn named(&self, file: &std::path::Path) -> Option<BlobId> {
        let blob = file.file_name()?.to_str()?.parse().ok()?;
        (self.path(blob) == file).then_some(blob)
    }
}

fn look(tx: &mut Tx, after: Option<BlobId>) -> Result<Vec<Looked>, store::Error> {
    let mut looked = Vec::new();
    for (info, stored) in blob::page(tx, after, PAGE)? {
        let drift = match stored {
            Some(stored) if stored != small_len(&info) => {
                Some(format!("blob {} is {stored} bytes long in the database, not {}", info.id, small_len(&info)))
            }
            _ => claim_drift(tx, &info)?,
        };
        looked.push(Looked { info, drift });
    }
    Ok(looked)
}

fn small_len(info: &BlobInfo) -> u64 {
    info.size + if info.sealed { TAG_BYTES as u64 } else { 0 }
}

fn claim_drift(tx: &mut Tx, info: &BlobInfo) -> Result<Option<String>, store::Error> {
    // A small blob gives its claim back when it is doomed.
    if info.small && info.state == State::Doomed {
        return Ok(None);
    }
    let (id, size): (ClaimId, u64) = (info.claim, info.size);
    let blob = info.id;
    Ok(match store::claims::find(tx, id)? {
        None => Some(format!("blob {blob} has no claim: {id} is not there")),
        Some(claim) if claim.state != ledger::ClaimState::Held => {
            Some(format!("claim {id} of blob {blob} is not held"))
        }
        Some(claim) if claim.amounts.get(Resource::BYTES) != size => {
            let claimed = claim.amounts.get(Resource::BYTES);
            Some(format!("blob {blob} has {size} bytes and its claim {id} has {claimed}"))
        }
        Some(_) => None,
    })
}

fn length_drift(info: &BlobInfo, found: Option<u64>) -> Option<String> {
    let (blob, expected) = (info.id, stored_len(info.size, info.sealed));
    match found {
        Some(length) if length == expected => None,
        Some(length) => Some(format!("the file of blob {blob} is {length} bytes long, not {expected}")),
        // Its job removes the file before the rows.
        None if info.state == State::Doomed => None,
        None => Some(format!("the file of blob {blob} is not there")),
    }
}
