//! What is not done at once: copies, imports; how far they are, how they are ended, that they end once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use content::volume::{self, Branch, Finished, Source, VolumeId, VolumeState};
use content::{Content, Error};
use futures_util::future::join_all;
use store::{JobState, Unit, params};

use crate::support::*;
use crate::volume_support::*;

/// A lab whose face notes in the settings how jobs of volumes end, and that stops at a step until it is told to go on.
struct Watched {
    lab: Lab,
    came: Mutex<Receiver<()>>,
    go: Sender<()>,
}

impl Ground {
    async fn watched(self, limit: u64, step: &'static str) -> Watched {
        let store = self.open().await;
        let content = Content::new(store.clone(), self.files(), None);
        content.volumes().on_finished(|tx, Finished { volume, failed, .. }| {
            let how = failed.clone().unwrap_or_else(|| "done".to_owned());
            let sql = "INSERT INTO settings (key, value) VALUES ($1, $2)";
            tx.execute(sql, &params![volume.to_string(), how]).map(drop)
        });
        let ((come, came), (go, gone)) = (channel(), channel());
        let (come, gone) = (Mutex::new(come), Arc::new(Mutex::new(gone)));
        content.volumes().on_step(move |name| {
            if name == step && come.lock().unwrap().send(()).is_ok() {
                // Whoever waits no more lets it go on.
                let _ = gone.lock().unwrap().recv();
            }
        });
        let site = self.with(store, content, limit).await;
        let lab = Lab { site, volumes: Default::default(), snapshots: Default::default() };
        Watched { lab, came: Mutex::new(came), go }
    }
}

impl Watched {
    async fn comes(&self) {
        until("the step comes", async || self.came.lock().unwrap().try_recv().is_ok()).await;
    }

    /// Lets everything run from now on.
    fn into_lab(self) -> Lab {
        self.lab
    }
}

impl Lab {
    async fn ended(&self, volume: VolumeId) -> Option<String> {
        let read = self.site.store.read(move |tx| {
            let sql = "SELECT value FROM settings WHERE key = $1";
            tx.query_opt(sql, &params![volume.to_string()])?.map(|row| row.get(0)).transpose()
        });
        read.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_to_another_place_is_there_at_once_and_a_job_copies_its_bytes() {
    for ground in grounds() {
        let watched = ground.watched(1 << 30, "fill: wrote").await;
        let mut lab = Lab { volumes: Default::default(), snapshots: Default::default(), ..watched.lab };
        let volume = lab.create(8 * MIB).await;
        lab.write(volume, 0, &noise(1, 5 * MIB)).await;
        let copy = lab.clone_to(Source::Volume(volume), 10 * MIB, nvme()).await.unwrap();
        let info = lab.site.volume(copy).await.unwrap();
        assert_eq!((info.state, info.place), (VolumeState::Filling, nvme()));
        let job = info.job.unwrap();
        lab.write(copy, MIB, &noise(2, 100_000)).await;
        lab.write(volume, 2 * MIB, &noise(3, 100_000)).await;
        assert!(lab.site.all(Source::Volume(copy)).await == lab.volumes[&copy]);
        // Its source may go before it is done.
        let gone = lab.site.volume(volume).await.unwrap();
        lab.site.store.write(volume::doom(Unit::by(tester()), &gone)).await.unwrap();
        lab.volumes.remove(&volume);
        assert_eq!(lab.ended(copy).await, None);
        drop((watched.came, watched.go));
        lab.settle().await;
        lab.tidied().await;
        let info = lab.site.volume(copy).await.unwrap();
        assert_eq!((info.state, info.job), (VolumeState::Ready, None));
        let job = lab.site.store.read(move |tx| store::jobs::find(tx, job)).await.unwrap().unwrap();
        assert_eq!((job.state, job.progress, lab.ended(copy).await.as_deref()), (JobState::Done, 100, Some("done")));
        lab.check().await;
        assert_eq!(lab.layers().await, (1, 1));
        let path = &lab.site.volumes().paths(Source::Volume(copy)).await.unwrap()[0];
        assert!(path.to_str().unwrap().contains("/nvme/1/"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_cancelled_leaves_nothing_and_its_source_as_it_was() {
    for ground in grounds() {
        let mut watched = ground.watched(1 << 30, "fill: wrote").await;
        let volume = watched.lab.create(8 * MIB).await;
        watched.lab.write(volume, 0, &noise(1, 5 * MIB)).await;
        let copy = watched.lab.clone_to(Source::Volume(volume), 8 * MIB, nvme()).await.unwrap();
        watched.comes().await;
        let job = watched.lab.site.volume(copy).await.unwrap().job.unwrap();
        assert!(watched.lab.site.volumes().cancel(job).await.unwrap());
        assert!(!watched.lab.site.volumes().cancel(job).await.unwrap(), "it is over");
        assert_eq!(watched.lab.ended(copy).await.as_deref(), Some("it was cancelled"));
        assert!(watched.lab.site.volume(copy).await.is_none());
        let mut lab = watched.into_lab();
        lab.volumes.remove(&copy);
        until("its job is over", async || {
            lab.site.ground.clock.advance(3_000_000);
            lab.site.bytes().await == [(8 * MIB, 0); 2]
        })
        .await;
        lab.check().await;
        assert_eq!(lab.layers().await, (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_finds_no_room_on_the_disk_gives_its_charge_back() {
    for ground in grounds() {
        let store = ground.open().await;
        let content = Content::with_room(store.clone(), ground.files(), None, 7 * MIB);
        let site = ground.with(store, content, 100 * MIB).await;
        let mut lab = Lab { site, volumes: Default::default(), snapshots: Default::default() };
        let volume = lab.create(8 * MIB).await;
        lab.write(volume, 0, &noise(1, 4 * MIB)).await;
        let copy = lab.clone_to(Source::Volume(volume), 8 * MIB, nvme()).await.unwrap();
        lab.volumes.remove(&copy);
        lab.settle().await;
        assert!(lab.site.volume(copy).await.is_none());
        assert_eq!(lab.site.bytes().await, [(8 * MIB, 0); 2]);
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flat_volume_shares_no_layer_and_its_snapshots_stay() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(8 * MIB).await;
        lab.write(volume, 0, &noise(1, 3 * MIB)).await;
        let clone = lab.clone_of(volume).await;
        lab.write(clone, MIB, &noise(2, MIB)).await;
        let snapshot = lab.snapshot(clone).await;
        lab.write(clone, 0, &noise(3, MIB)).await;
        let handle = lab.site.volumes().open(clone).await.unwrap();
        lab.site.volumes().flatten(clone).await.unwrap();
        assert!(lab.site.volumes().flatten(clone).await.is_err(), "one at a time");
        handle.write(6 * MIB, Bytes::from(noise(4, MIB))).await.unwrap();
        lab.wrote(clone, 6 * MIB, &noise(4, MIB));
        lab.settle().await;
        handle.close().await.unwrap();
        lab.tidied().await;
        lab.check().await;
        let own: Vec<_> = lab.site.volumes().paths(Source::Volume(volume)).await.unwrap();
        let shared = lab.site.volumes().paths(Source::Volume(clone)).await.unwrap();
        assert!(own.iter().all(|path| !shared.contains(path)));
        assert_eq!(lab.site.volumes().preserved(snapshot).await.unwrap(), MIB);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_of_clones_is_cut_into_copies() {
    for ground in grounds().into_iter().take(1) {
        let mut lab = ground.lab(1 << 30).await;
        let mut last = lab.create(MIB).await;
        for round in 0..40 {
            lab.write(last, round * 20_000, &noise(round, 20_000)).await;
            last = lab.clone_of(last).await;
        }
        lab.settle().await;
        for id in lab.volumes.keys() {
            let layers = lab.site.volumes().paths(Source::Volume(*id)).await.unwrap().len();
            assert!(layers <= 27, "{layers}");
        }
        lab.check().await;
        let ids: Vec<VolumeId> = lab.volumes.keys().copied().collect();
        for id in ids {
            lab.delete(id).await;
        }
        assert_eq!(lab.layers().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_cloned_and_written_to_again_and_again_stays_on_few_layers() {
    for ground in grounds().into_iter().take(1) {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(MIB).await;
        for round in 0..60 {
            lab.write(volume, round * 15_000, &noise(round, 20_000)).await;
            lab.clone_of(volume).await;
            if round % 20 == 19 {
                lab.settle().await;
            }
        }
        lab.settle().await;
        let layers = lab.site.volumes().paths(Source::Volume(volume)).await.unwrap().len();
        assert!(layers <= 45, "{layers}");
        lab.check().await;
    }
}

/// An image of qemu's making.
fn made(bytes: &[u8], options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (raw, image) = (folder.path().join("raw"), folder.path().join("image"));
    std::fs::write(&raw, bytes).unwrap();
    let paths = [raw.to_str().unwrap(), image.to_str().unwrap()];
    let arguments = [&["convert", "-f", "raw", "-O", "qcow2"], options, &paths].concat();
    ran("qemu-utils", "qemu-img", &arguments);
    std::fs::read(image).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_every_kind_that_stands_alone_are_taken_in() {
    let mut bytes = noise(5, 3 * MIB);
    bytes.extend(vec![0; 2 * MIB as usize]);
    bytes.extend(vec![b'a'; MIB as usize + 512]);
    let kinds: [&[&str]; 8] = [
        &[],
        &["-o", "compat=0.10"],
        &["-c"],
        &["-c", "-o", "compat=0.10"],
        &["-o", "cluster_size=512"],
        &["-o", "cluster_size=2M,refcount_bits=64"],
        &["-o", "refcount_bits=1"],
        &["-o", "preallocation=metadata,lazy_refcounts=on"],
    ];
    for ground in grounds() {
        let watched = ground.watched(1 << 30, "never").await;
        let mut lab = watched.into_lab();
        for kind in kinds {
            let volume = lab.create(8 * MIB).await;
            let image = made(&bytes, kind);
            let length = image.len() as u64;
            let import = lab.site.volumes().import(volume, length, body(&image), Unit::by(tester())).await;
            let (job, _) = import.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            lab.wrote(volume, 0, &bytes);
            lab.settle().await;
            let job = lab.site.store.read(move |tx| store::jobs::find(tx, job)).await.unwrap().unwrap();
            assert_eq!((job.state, lab.ended(volume).await.as_deref()), (JobState::Done, Some("done")), "{kind:?}");
        }
        lab.check().await;
        assert_eq!(lab.site.bytes().await, [(64 * MIB, 0); 2], "the images are not charged any more");
        assert_eq!(lab.layers().await, (8, 8), "and not there any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_breaks_off_leaves_nothing() {
    for ground in grounds() {
        let mut lab = ground.lab(30 * MIB).await;
        let volume = lab.create(8 * MIB).await;
        let image = made(&noise(5, 3 * MIB), &[]);
        let (length, unit) = (image.len() as u64, || Unit::by(tester()));
        let cut = lab.site.volumes().import(volume, length, cut_body(&image[..9999]), unit()).await;
        assert!(matches!(cut, Err(Error::Body(_))));
        for length in [length - 1, length + 1] {
            let wrong = lab.site.volumes().import(volume, length, body(&image), unit()).await;
            assert!(matches!(wrong, Err(Error::Length { .. })));
        }
        let large = lab.site.volumes().import(volume, 23 * MIB, body(&image), unit()).await;
        assert!(matches!(
            large,
            Err(Error::Store(store::Error::Refused(_) | store::Error::NotFound { .. })) | Err(Error::Length { .. })
        ));
        let small = lab.create(2 * MIB).await;
        let refused = lab.site.volumes().import(small, length, body(&image), unit()).await;
        assert!(matches!(refused, Err(Error::Store(store::Error::Invalid(_)))));
        let noun = Unit::by(tester()).rows(|_| Err::<(), _>(store::Error::Conflict("no".to_owned())));
        assert!(lab.site.volumes().import(volume, length, body(&image), noun).await.is_err());
        assert_eq!(lab.site.bytes().await, [(10 * MIB, 0); 2]);
        assert_eq!(lab.layers().await, (2, 0));
        lab.check().await;
    }
}

/// One of many that make and delete at once: what each has made, and what it must hold.
async fn rummage(site: &Site, seed: u64, base: VolumeId, snapshot: volume::SnapshotId, then: &[u8]) {
    let unit = || Unit::by(tester());
    let mut bytes = then.to_vec();
    for round in 0..4 {
        let of = if (seed + round).is_multiple_of(2) { Source::Volume(base) } else { Source::Snapshot(snapshot) };
        let new = site.new_volume(4 * MIB, dssd());
        let id = new.id;
        site.volumes().branch(vec![Branch::Clone { of, new }], unit()).await.unwrap();
        let handle = site.volumes().open(id).await.unwrap();
        let part = noise(seed * 100 + round, MIB);
        handle.write(round * MIB / 2, Bytes::copy_from_slice(&part)).await.unwrap();
        let mut now = then.to_vec();
        now[(round * MIB / 2) as usize..][..MIB as usize].copy_from_slice(&part);
        let own = site.new_snapshot();
        let own_id = own.id;
        site.volumes().branch(vec![Branch::Snapshot { of: id, new: own }], unit()).await.unwrap();
        handle.write(0, Bytes::from(vec![seed as u8; 5000])).await.unwrap();
        bytes.clone_from(&now);
        now[..5000].fill(seed as u8);
        drop(handle);
        let second = site.new_volume(4 * MIB, dssd());
        let second_id = second.id;
        site.volumes().branch(vec![Branch::Clone { of: Source::Snapshot(own_id), new: second }], unit()).await.unwrap();
        let info = site.snapshot(own_id).await.unwrap();
        site.store.write(volume::doom_snapshot(unit(), &info)).await.unwrap();
        let third = site.new_volume(4 * MIB, dssd());
        let third_id = third.id;
        site.volumes().branch(vec![Branch::Clone { of: Source::Volume(second_id), new: third }], unit()).await.unwrap();
        assert!(site.all(Source::Volume(id)).await == now);
        let info = site.volume(id).await.unwrap();
        site.store.write(volume::doom(unit(), &info)).await.unwrap();
        assert!(site.all(Source::Volume(second_id)).await == bytes);
        let info = site.volume(second_id).await.unwrap();
        site.store.write(volume::doom(unit(), &info)).await.unwrap();
        assert!(site.all(Source::Volume(third_id)).await == bytes);
        let info = site.volume(third_id).await.unwrap();
        site.store.write(volume::doom(unit(), &info)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clone_write_snapshot_and_delete_beside_each_other() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 40).await;
        let base = lab.create(4 * MIB).await;
        lab.write(base, 0, &noise(1, 2 * MIB)).await;
        let snapshot = lab.snapshot(base).await;
        let then = lab.volumes[&base].clone();
        join_all((0..6).map(|seed| rummage(&lab.site, seed, base, snapshot, &then))).await;
        lab.settle().await;
        lab.check().await;
        assert_eq!(lab.layers().await.0, 2, "a layer of the volume, and one of its snapshot");
    }
}
