//! The verbs of a caller that has disk images, what they must hold, and qemu's opinion of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use content::Error;
use content::volume::{
    self, Branch, NewSnapshot, NewVolume, Place, SnapshotId, SnapshotInfo, Source, VolumeId, VolumeInfo, Volumes,
};
use futures_util::StreamExt;
use ledger::{Amounts, ClaimId, Resource};
use store::{Managed, SupplyRef, Unit};

use crate::support::*;

pub const MIB: u64 = 1 << 20;
pub const CLUSTER: u64 = 1 << 16;

/// A site, and what each of its volumes and snapshots must hold.
pub struct Lab {
    pub site: Site,
    pub volumes: BTreeMap<VolumeId, Vec<u8>>,
    pub snapshots: BTreeMap<SnapshotId, Vec<u8>>,
}

impl Ground {
    pub async fn lab(self, limit: u64) -> Lab {
        Lab { site: self.site(limit).await, volumes: BTreeMap::new(), snapshots: BTreeMap::new() }
    }
}

pub fn dssd() -> Place {
    Place::new("dssd", 0)
}

pub fn nvme() -> Place {
    Place::new("nvme", 1)
}

impl Site {
    pub fn new_volume(&self, size: u64, place: Place) -> NewVolume {
        let id = VolumeId(self.store.new_id());
        NewVolume {
            id,
            claim: ClaimId(self.store.new_id()),
            size,
            place,
            demand: Some(self.acme.into()),
            supply: SupplyRef::At(self.pool.into()),
            extra: one(Resource::DRIVES),
            managed_by: Managed::new("test", "drive", id),
        }
    }

    pub fn new_snapshot(&self) -> NewSnapshot {
        let id = SnapshotId(self.store.new_id());
        NewSnapshot {
            id,
            claim: ClaimId(self.store.new_id()),
            demand: Some(self.acme.into()),
            supply: SupplyRef::At(self.pool.into()),
            extra: one(Resource::SNAPSHOTS),
            managed_by: Managed::new("test", "snapshot", id),
        }
    }

    pub fn volumes(&self) -> &Volumes {
        self.content.volumes()
    }

    pub async fn volume(&self, id: VolumeId) -> Option<VolumeInfo> {
        self.store.read(move |tx| volume::info(tx, id)).await.unwrap()
    }

    pub async fn snapshot(&self, id: SnapshotId) -> Option<SnapshotInfo> {
        self.store.read(move |tx| volume::snapshot_info(tx, id)).await.unwrap()
    }

    pub async fn all(&self, source: Source) -> Vec<u8> {
        collect(self.volumes().download(source, None).await.unwrap().1).await
    }
}

pub fn one(resource: Resource) -> Amounts {
    Amounts::new().with(resource, 1).unwrap()
}

pub async fn collect(mut stream: content::ByteStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

impl Lab {
    pub async fn create(&mut self, size: u64) -> VolumeId {
        let new = self.site.new_volume(size, dssd());
        self.site.store.write(volume::create(Unit::by(tester()), &new)).await.unwrap();
        self.volumes.insert(new.id, vec![0; size as usize]);
        new.id
    }

    pub async fn write(&mut self, volume: VolumeId, at: u64, bytes: &[u8]) {
        let handle = self.site.volumes().open(volume).await.unwrap();
        handle.write(at, Bytes::copy_from_slice(bytes)).await.unwrap();
        handle.close().await.unwrap();
        self.wrote(volume, at, bytes);
    }

    /// Notes what was written.
    pub fn wrote(&mut self, volume: VolumeId, at: u64, bytes: &[u8]) {
        self.volumes.get_mut(&volume).unwrap()[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
    }

    pub async fn clone_to(&mut self, of: Source, size: u64, place: Place) -> Result<VolumeId, Error> {
        let new = self.site.new_volume(size, place);
        let id = new.id;
        self.site.volumes().branch(vec![Branch::Clone { of, new }], Unit::by(tester())).await?;
        let mut bytes = match of {
            Source::Volume(of) => self.volumes[&of].clone(),
            Source::Snapshot(of) => self.snapshots[&of].clone(),
        };
        bytes.resize(size as usize, 0);
        self.volumes.insert(id, bytes);
        Ok(id)
    }

    pub async fn clone_of(&mut self, of: VolumeId) -> VolumeId {
        let size = self.volumes[&of].len() as u64;
        self.clone_to(Source::Volume(of), size, dssd()).await.unwrap()
    }

    pub async fn snapshot(&mut self, of: VolumeId) -> SnapshotId {
        let new = self.site.new_snapshot();
        let id = new.id;
        self.site.volumes().branch(vec![Branch::Snapshot { of, new }], Unit::by(tester())).await.unwrap();
        self.snapshots.insert(id, self.volumes[&of].clone());
        id
    }

    pub async fn resize(&mut self, volume: VolumeId, size: u64) -> Result<(), Error> {
        self.site.volumes().resize(volume, size, one(Resource::DRIVES), Unit::by(tester())).await?;
        self.volumes.get_mut(&volume).unwrap().resize(size as usize, 0);
        Ok(())
    }

    /// Deletes it, and waits until nothing is left of it.
    pub async fn delete(&mut self, id: VolumeId) {
        let info = self.site.volume(id).await.unwrap();
        self.site.store.write(volume::doom(Unit::by(tester()), &info)).await.unwrap();
        self.volumes.remove(&id);
        self.settle().await;
    }

    pub async fn delete_snapshot(&mut self, id: SnapshotId) {
        let info = self.site.snapshot(id).await.unwrap();
        self.site.store.write(volume::doom_snapshot(Unit::by(tester()), &info)).await.unwrap();
        self.snapshots.remove(&id);
        self.settle().await;
    }

    /// Waits until no job has anything to do.
    pub async fn settle(&self) {
        let sql = "SELECT 1 FROM jobs WHERE state IN ('waiting', 'running') LIMIT 1";
        until("all jobs are done", async || {
            // What failed is tried again later.
            self.site.ground.clock.advance(3_000_000);
            self.site.store.read(|tx| Ok(tx.query_opt(sql, &[])?.is_none())).await.unwrap()
        })
        .await;
    }

    /// Waits until no layer is left over: a copy is done in the commit that says so, and what nobody needs any more goes after it.
    pub async fn tidied(&self) {
        let sql = "SELECT 1 FROM volume_layers l WHERE NOT EXISTS (SELECT 1 FROM volumes v WHERE v.layer_id = l.id) \
            AND NOT EXISTS (SELECT 1 FROM volume_snapshots s WHERE s.layer_id = l.id) \
            AND (SELECT count(*) FROM volume_layers c WHERE c.parent_id = l.id) < 2 LIMIT 1";
        until("no layer is left over", async || {
            self.site.store.read(|tx| Ok(tx.query_opt(sql, &[])?.is_none())).await.unwrap()
        })
        .await;
    }

    /// How many rows there are of layers, and how many files.
    pub async fn layers(&self) -> (u64, usize) {
        let sql = "SELECT count(*) FROM volume_layers";
        let rows = self.site.store.read(|tx| tx.query_opt(sql, &[])?.map_or(Ok(0), |row| row.get(0))).await.unwrap();
        let folder = self.site.ground.files().join("volumes");
        (rows, files(&folder))
    }

    /// Everything holds what it must; qemu finds nothing wrong with it and the same bytes in it; the doctor finds nothing.
    pub async fn check(&self) {
        for (id, bytes) in &self.volumes {
            self.check_one(Source::Volume(*id), bytes).await;
        }
        for (id, bytes) in &self.snapshots {
            self.check_one(Source::Snapshot(*id), bytes).await;
        }
        self.site.assert_sound().await;
        let doctor = self.site.store.doctor().await.unwrap();
        assert_eq!(doctor.drift, []);
    }

    async fn check_one(&self, source: Source, bytes: &[u8]) {
        assert!(self.site.all(source).await == bytes, "{source:?} holds what it must");
        if let Source::Volume(id) = source {
            until("it is closed", async || self.site.volumes().handles(id) == 0).await;
            // Whoever comes next waits for the close.
            self.site.volumes().open(id).await.unwrap().close().await.unwrap();
        }
        let paths = self.site.volumes().paths(source).await.unwrap();
        for path in &paths {
            sound(path);
        }
        if let Some(top) = paths.first() {
            same(top, bytes);
        }
    }

    pub async fn restart(self) -> Lab {
        Lab { site: self.site.restart().await, ..self }
    }
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Runs a program of Debian's.
pub fn run(package: &str, program: &str, arguments: &[&str]) -> Output {
    let ran = Command::new(program).args(arguments).output();
    ran.unwrap_or_else(|error| panic!("{program} does not run ({error}): install Debian's package {package}"))
}

/// The same, and it must succeed.
pub fn ran(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = run(package, program, arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// qemu finds nothing wrong with an image, not even a leak.
pub fn sound(path: &Path) {
    ran("qemu-utils", "qemu-img", &["check", "-f", "qcow2", path.to_str().unwrap()]);
}

/// qemu finds these bytes in an image.
pub fn same(path: &Path, bytes: &[u8]) {
    let raw = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(raw.path(), bytes).unwrap();
    let paths = [path.to_str().unwrap(), raw.path().to_str().unwrap()];
    ran("qemu-utils", "qemu-img", &["compare", "-f", "qcow2", "-F", "raw", paths[0], paths[1]]);
}

/// Bytes that differ from place to place and from time to time.
pub fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length as usize).collect()
}
