//! What volumes and snapshots are charged, and what happens where there is no room.

use bytes::Bytes;
use content::volume::{self, Source};
use content::{Content, Error};
use futures_util::future::join_all;
use store::Unit;

use crate::support::*;
use crate::volume_support::*;

const STEP: u64 = 64 * MIB;

impl Lab {
    async fn used(&self) -> [u64; 2] {
        let [(demand, 0), (supply, 0)] = self.site.bytes().await else { panic!("nothing is pending") };
        [demand, supply]
    }

    async fn overwrite(&mut self, volume: volume::VolumeId, at: u64, length: u64) -> Result<(), Error> {
        let handle = self.site.volumes().open(volume).await.unwrap();
        let bytes = noise(at + length, length);
        let wrote = handle.write(at, Bytes::copy_from_slice(&bytes)).await;
        if wrote.is_ok() {
            self.wrote(volume, at, &bytes);
        }
        handle.close().await.unwrap();
        wrote
    }
}

#[tokio::test]
async fn a_volume_is_charged_its_size_and_its_room_is_free_when_it_is_gone() {
    for ground in grounds() {
        let mut lab = ground.lab(40 * MIB).await;
        let volume = lab.create(10 * MIB).await;
        assert_eq!(lab.used().await, [10 * MIB; 2]);
        lab.overwrite(volume, 0, 9 * MIB).await.unwrap();
        lab.resize(volume, 12 * MIB).await.unwrap();
        assert_eq!(lab.used().await, [12 * MIB; 2]);
        assert!(matches!(lab.resize(volume, 41 * MIB).await, Err(Error::Store(store::Error::Refused(_)))));
        assert!(matches!(lab.resize(volume, 11 * MIB).await, Err(Error::Store(store::Error::Invalid(_)))));
        let clone = lab.clone_of(volume).await;
        assert_eq!(lab.used().await, [24 * MIB; 2]);
        lab.check().await;
        let info = lab.site.volume(clone).await.unwrap();
        lab.site.store.write(volume::doom(Unit::by(tester()), &info)).await.unwrap();
        assert_eq!(lab.used().await, [12 * MIB; 2], "one without bytes is gone at once");
        lab.volumes.remove(&clone);
        let info = lab.site.volume(volume).await.unwrap();
        lab.site.store.write(volume::doom(Unit::by(tester()), &info)).await.unwrap();
        assert_eq!(lab.used().await[0], 0, "its owner has the room at once");
        let again = lab.site.store.write(volume::doom(Unit::by(tester()), &info)).await;
        assert!(matches!(again, Err(store::Error::NotFound { .. } | store::Error::Conflict(_))));
        lab.volumes.remove(&volume);
        lab.settle().await;
        assert_eq!(lab.layers().await, (0, 0));
        lab.site.assert_empty().await;
        lab.check().await;
    }
}

#[tokio::test]
async fn of_a_hundred_volumes_into_room_for_seven_just_seven_are_made() {
    for ground in grounds() {
        let lab = ground.lab(7 * MIB + MIB / 2).await;
        let creates = (0..100).map(|_| {
            let new = lab.site.new_volume(MIB, dssd());
            lab.site.store.write(volume::create(Unit::by(tester()), &new))
        });
        let made = join_all(creates).await.into_iter().filter(|made| made.is_ok()).count();
        assert_eq!((made, lab.used().await), (7, [7 * MIB; 2]));
        for size in [0, 511, 1000, (1 << 46) + 512, u64::MAX] {
            let new = lab.site.new_volume(size, dssd());
            assert!(lab.site.store.write(volume::create(Unit::by(tester()), &new)).await.is_err(), "{size}");
        }
        lab.check().await;
    }
}

#[tokio::test]
async fn what_a_snapshot_keeps_is_charged_ahead_of_the_writes_in_steps() {
    for ground in grounds() {
        let size = 80 * MIB;
        // A step, and then two mebibytes.
        let mut lab = ground.lab(size + STEP + 2 * MIB).await;
        let volume = lab.create(size).await;
        lab.overwrite(volume, 0, 30 * MIB).await.unwrap();
        lab.overwrite(volume, 30 * MIB, 30 * MIB).await.unwrap();
        lab.overwrite(volume, 60 * MIB, 12 * MIB).await.unwrap();
        let snapshot = lab.snapshot(volume).await;
        assert_eq!(lab.used().await, [size; 2], "a snapshot keeps nothing at first");
        assert_eq!(lab.site.volumes().preserved(snapshot).await.unwrap(), 0);
        lab.overwrite(volume, 74 * MIB, 2 * MIB).await.unwrap();
        assert_eq!(lab.used().await, [size; 2], "where nothing was, nothing is kept");
        lab.overwrite(volume, 10, MIB).await.unwrap();
        assert_eq!(lab.used().await, [size + STEP; 2]);
        assert_eq!(lab.site.volumes().preserved(snapshot).await.unwrap(), MIB + CLUSTER);
        lab.overwrite(volume, 0, MIB).await.unwrap();
        assert_eq!(lab.site.volumes().preserved(snapshot).await.unwrap(), MIB + CLUSTER, "once is enough");
        for at in [0, 30 * MIB] {
            lab.overwrite(volume, at, 30 * MIB).await.unwrap();
        }
        assert_eq!(lab.used().await, [size + STEP; 2]);
        lab.overwrite(volume, 60 * MIB, 6 * MIB).await.unwrap();
        assert_eq!(lab.used().await, [size + STEP + 2 * MIB; 2], "what a step has no room for, the write itself has");
        let handle = lab.site.volumes().open(volume).await.unwrap();
        for refused in [
            handle.write(66 * MIB, Bytes::from(vec![1; 512])).await,
            handle.trim(66 * MIB, MIB).await,
            handle.write_zeroes(67 * MIB, MIB).await,
        ] {
            assert!(matches!(refused, Err(Error::Store(store::Error::Refused(_)))));
        }
        handle.write(MIB, Bytes::from(vec![7; 512])).await.unwrap();
        lab.wrote(volume, MIB, &[7; 512]);
        handle.close().await.unwrap();
        lab.check().await;
        lab.delete_snapshot(snapshot).await;
        assert_eq!(lab.used().await, [size; 2]);
        lab.check().await;
    }
}

#[tokio::test]
async fn what_a_deleted_snapshot_kept_for_an_older_one_is_charged_to_that_one() {
    for ground in grounds() {
        let size = 8 * MIB;
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(size).await;
        lab.overwrite(volume, 0, 4 * MIB).await.unwrap();
        let older = lab.snapshot(volume).await;
        lab.overwrite(volume, 0, MIB).await.unwrap();
        let younger = lab.snapshot(volume).await;
        lab.overwrite(volume, 0, 2 * MIB).await.unwrap();
        let kept = async |lab: &Lab| {
            let mut kept = Vec::new();
            for snapshot in [older, younger].into_iter().filter(|snapshot| lab.snapshots.contains_key(snapshot)) {
                kept.push(lab.site.volumes().preserved(snapshot).await.unwrap());
            }
            (kept, lab.used().await[0])
        };
        assert_eq!(kept(&lab).await, (vec![MIB, 2 * MIB], size + 2 * STEP));
        lab.check().await;
        lab.delete_snapshot(younger).await;
        assert_eq!(kept(&lab).await, (vec![2 * MIB], size + STEP));
        lab.check().await;
        lab.delete_snapshot(older).await;
        assert_eq!(kept(&lab).await, (vec![], size));
        assert_eq!(lab.layers().await, (1, 1));
    }
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_not_the_delete() {
    for ground in grounds() {
        let store = ground.open().await;
        let content = Content::with_room(store.clone(), ground.files(), None, 3 * MIB);
        let site = ground.with(store, content, 100 * MIB).await;
        let mut lab = Lab { site, volumes: Default::default(), snapshots: Default::default() };
        let volume = lab.create(20 * MIB).await;
        lab.overwrite(volume, 0, 2 * MIB).await.unwrap();
        let refused = lab.overwrite(volume, 5 * MIB, 2 * MIB).await;
        assert!(matches!(refused, Err(Error::Store(store::Error::Full))), "{refused:?}");
        lab.check().await;
        let other = lab.clone_of(volume).await;
        lab.overwrite(other, 0, MIB / 2).await.unwrap();
        lab.delete(other).await;
        lab.check().await;
        lab.delete(volume).await;
        assert_eq!(lab.layers().await, (0, 0));
        lab.site.assert_empty().await;
    }
}

#[tokio::test]
async fn a_clone_into_a_full_pool_is_refused_and_its_source_is_as_before() {
    for ground in grounds() {
        let mut lab = ground.lab(9 * MIB).await;
        let volume = lab.create(6 * MIB).await;
        lab.overwrite(volume, 0, MIB).await.unwrap();
        let handle = lab.site.volumes().open(volume).await.unwrap();
        handle.write(MIB, Bytes::from(vec![3; 100])).await.unwrap();
        lab.wrote(volume, MIB, &[3; 100]);
        let refused = lab.clone_to(Source::Volume(volume), 6 * MIB, dssd()).await;
        assert!(matches!(refused, Err(Error::Store(store::Error::Refused(_)))));
        let small = lab.clone_to(Source::Volume(volume), 3 * MIB, dssd()).await;
        assert!(matches!(small, Err(Error::Store(store::Error::Invalid(_)))));
        handle.write(2 * MIB, Bytes::from(vec![4; 100])).await.unwrap();
        lab.wrote(volume, 2 * MIB, &[4; 100]);
        handle.close().await.unwrap();
        lab.check().await;
        assert_eq!(lab.layers().await, (1, 1));
    }
}
