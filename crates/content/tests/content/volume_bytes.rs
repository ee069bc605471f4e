//! What is written comes back, whatever is made of it meanwhile.

use bytes::Bytes;
use content::Error;
use content::volume::{Branch, Source};
use store::Unit;

use crate::support::*;
use crate::volume_support::*;

#[tokio::test]
async fn a_volume_reads_as_zeros_takes_writes_anywhere_and_is_there_after_a_restart() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(20 * MIB + 16384).await;
        lab.check().await;
        assert_eq!(lab.layers().await, (1, 0), "a volume without bytes has no file");
        for (seed, at) in [(1, 0), (2, 777), (3, CLUSTER - 1), (4, 10 * MIB), (5, 20 * MIB + 16384 - 5000)] {
            lab.write(volume, at, &noise(seed, 5000)).await;
        }
        lab.check().await;
        let lab = lab.restart().await;
        lab.check().await;
        let range = lab.site.volumes().download(Source::Volume(volume), Some((770, 5_000_000))).await.unwrap().1;
        assert!(collect(range).await == lab.volumes[&volume][770..=5_000_000]);
    }
}

#[tokio::test]
async fn what_lies_outside_is_refused() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(MIB).await;
        let handle = lab.site.volumes().open(volume).await.unwrap();
        for (at, length) in [(MIB, 1), (MIB - 1, 2), (u64::MAX, 1)] {
            let wrote = handle.write(at, Bytes::from(vec![1; length])).await;
            assert!(matches!(wrote, Err(Error::Store(store::Error::Invalid(_)))));
            assert!(matches!(handle.read(at, length).await, Err(Error::Store(store::Error::Invalid(_)))));
            assert!(handle.trim(at, length as u64).await.is_err());
        }
        assert!(lab.site.volumes().open(content::volume::VolumeId(lab.site.store.new_id())).await.is_err());
        drop(handle);
        lab.check().await;
    }
}

#[tokio::test]
async fn a_clone_and_its_source_are_two_and_either_may_go_first() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let first = lab.create(6 * MIB).await;
        lab.write(first, 0, &noise(1, 3 * MIB)).await;
        let second = lab.clone_of(first).await;
        lab.check().await;
        lab.write(first, MIB, &noise(2, MIB)).await;
        lab.write(second, MIB / 2, &noise(3, MIB)).await;
        lab.check().await;
        let third = lab.clone_to(Source::Volume(second), 9 * MIB + 16384, dssd()).await.unwrap();
        lab.write(third, 8 * MIB, &noise(4, MIB)).await;
        lab.check().await;
        lab.delete(first).await;
        lab.check().await;
        lab.delete(third).await;
        lab.check().await;
        lab.write(second, 5 * MIB, &noise(5, MIB)).await;
        lab.check().await;
        assert_eq!(lab.layers().await, (1, 1), "what one volume alone needs is one layer");
        lab.delete(second).await;
        assert_eq!(lab.layers().await, (0, 0));
        lab.site.assert_empty().await;
    }
}

#[tokio::test]
async fn snapshots_hold_what_was_then_and_can_be_cloned_and_deleted_in_any_order() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(4 * MIB).await;
        lab.write(volume, 0, &noise(1, 2 * MIB)).await;
        let first = lab.snapshot(volume).await;
        lab.write(volume, MIB, &noise(2, 2 * MIB)).await;
        lab.resize(volume, 6 * MIB).await.unwrap();
        let second = lab.snapshot(volume).await;
        let same = lab.snapshot(volume).await;
        lab.write(volume, 3 * MIB, &noise(3, 3 * MIB)).await;
        let third = lab.snapshot(volume).await;
        lab.write(volume, 0, &noise(4, MIB)).await;
        lab.check().await;
        let clone = lab.clone_to(Source::Snapshot(first), 5 * MIB, dssd()).await.unwrap();
        lab.write(clone, 4 * MIB, &noise(5, MIB / 2)).await;
        lab.check().await;
        for snapshot in [second, third, first, same] {
            lab.delete_snapshot(snapshot).await;
            lab.check().await;
        }
        lab.delete(volume).await;
        lab.check().await;
        assert_eq!(lab.layers().await, (1, 1));
        let lab = lab.restart().await;
        lab.check().await;
    }
}

#[tokio::test]
async fn an_open_volume_is_branched_between_two_writes() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(4 * MIB).await;
        let handle = lab.site.volumes().open(volume).await.unwrap();
        let mut snapshots = Vec::new();
        for round in 0..6 {
            let bytes = noise(round, MIB / 2 + 5);
            handle.write(round * 300_000, Bytes::copy_from_slice(&bytes)).await.unwrap();
            lab.wrote(volume, round * 300_000, &bytes);
            match round % 3 {
                0 => snapshots.push(lab.snapshot(volume).await),
                1 => drop(lab.clone_of(volume).await),
                _ => lab.resize(volume, (4 + round) * MIB).await.unwrap(),
            }
        }
        assert_eq!(handle.size().await.unwrap(), 9 * MIB);
        for snapshot in snapshots {
            lab.delete_snapshot(snapshot).await;
            let bytes = noise(77, MIB);
            handle.write(2 * MIB, Bytes::copy_from_slice(&bytes)).await.unwrap();
            lab.wrote(volume, 2 * MIB, &bytes);
        }
        let read = handle.read(0, 9 * MIB as usize).await.unwrap();
        assert!(read == lab.volumes[&volume][..]);
        handle.close().await.unwrap();
        lab.check().await;
    }
}

#[tokio::test]
async fn what_was_made_zero_is_zero_and_its_room_is_given_back() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(8 * MIB).await;
        lab.write(volume, 0, &noise(1, 8 * MIB)).await;
        let snapshot = lab.snapshot(volume).await;
        let handle = lab.site.volumes().open(volume).await.unwrap();
        handle.write(0, Bytes::from(noise(2, 4 * MIB))).await.unwrap();
        lab.wrote(volume, 0, &noise(2, 4 * MIB));
        for (at, length, trims) in
            [(100, 3 * MIB, true), (4 * MIB - 7, 2 * MIB, false), (7 * MIB, MIB, true), (5, 0, true)]
        {
            match trims {
                true => handle.trim(at, length).await.unwrap(),
                false => handle.write_zeroes(at, length).await.unwrap(),
            }
            lab.wrote(volume, at, &vec![0; length as usize]);
        }
        handle.close().await.unwrap();
        lab.check().await;
        lab.delete_snapshot(snapshot).await;
        lab.check().await;
    }
}

#[tokio::test]
async fn an_export_is_an_image_that_qemu_reads_and_any_part_of_it_can_be_had() {
    for ground in grounds() {
        let mut lab = ground.lab(8 << 30).await;
        // More than one table of the second level.
        let volume = lab.create(600 * MIB).await;
        lab.write(volume, 0, &noise(1, 3 * CLUSTER + 5)).await;
        lab.write(volume, 599 * MIB, &noise(2, MIB)).await;
        let snapshot = lab.snapshot(volume).await;
        lab.write(volume, CLUSTER, &noise(3, CLUSTER)).await;
        for source in [Source::Volume(volume), Source::Snapshot(snapshot)] {
            let export = lab.site.volumes().export(source, content::volume::Format::Qcow2).await.unwrap();
            let image = collect(export.stream(None).unwrap()).await;
            assert_eq!(image.len() as u64, export.size);
            assert!(image.len() < 3 * MIB as usize, "what was never written is not sent");
            for (first, last) in [(0, 0), (65_535, 65_537), (export.size - 10, export.size + 10), (300_000, 2_000_000)]
            {
                let part = collect(export.stream(Some((first, last))).unwrap()).await;
                assert!(part == image[first as usize..=(last as usize).min(image.len() - 1)]);
            }
            assert!(export.stream(Some((export.size, export.size))).is_err());
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &image).unwrap();
            sound(file.path());
            let bytes = match source {
                Source::Volume(id) => &lab.volumes[&id],
                Source::Snapshot(id) => &lab.snapshots[&id],
            };
            same(file.path(), bytes);
        }
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_was_said_is_refused() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(4 * MIB).await;
        let handle = lab.site.volumes().open(volume).await.unwrap();
        let bytes = noise(9, 3 * MIB + 11);
        handle.write_all(5, body(&bytes), bytes.len() as u64).await.unwrap();
        lab.wrote(volume, 5, &bytes);
        for length in [bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
            assert!(matches!(handle.write_all(5, body(&bytes), length).await, Err(Error::Length { .. })));
        }
        assert!(matches!(handle.write_all(5, cut_body(&bytes), 4 * MIB - 5).await, Err(Error::Body(_))));
        handle.close().await.unwrap();
        lab.check().await;
    }
}

#[tokio::test]
async fn several_branches_are_all_made_or_none() {
    for ground in grounds() {
        let mut lab = ground.lab(10 * MIB).await;
        let volume = lab.create(4 * MIB).await;
        lab.write(volume, 0, &noise(1, MIB)).await;
        let clones = |count: u64| -> Vec<Branch> {
            let new = |_| Branch::Clone {
                of: Source::Volume(volume),
                new: lab.site.new_volume(3 * MIB + 512 * 2048, dssd()),
            };
            (0..count).map(new).collect()
        };
        let (two, one) = (clones(2), clones(1));
        let refused = lab.site.volumes().branch(two, Unit::by(tester())).await;
        assert!(matches!(refused, Err(Error::Store(store::Error::Refused(_)))));
        lab.check().await;
        assert_eq!(lab.site.bytes().await, [(4 * MIB, 0), (4 * MIB, 0)]);
        lab.site.volumes().branch(one, Unit::by(tester())).await.unwrap();
        assert_eq!(lab.site.bytes().await, [(8 * MIB, 0), (8 * MIB, 0)]);
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_and_a_snapshot_of_a_large_volume_copy_nothing() {
    // `PLIMSOLL_MEASURE_MIB`: how much is written, for who wants to see that the times do not grow with it.
    let data = std::env::var("PLIMSOLL_MEASURE_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(16);
    for ground in grounds() {
        let site = ground.site(1 << 40).await;
        let new = site.new_volume(10 << 30, dssd());
        let volume = new.id;
        site.store.write(content::volume::create(Unit::by(tester()), &new)).await.unwrap();
        let handle = site.volumes().open(volume).await.unwrap();
        for at in 0..data {
            handle.write(at * 10 * MIB, Bytes::from(noise(at, MIB))).await.unwrap();
        }
        handle.flush().await.unwrap();
        let before = site.volumes().paths(Source::Volume(volume)).await.unwrap();
        let (mut clones, mut snapshots) = (Vec::new(), Vec::new());
        for round in 0..10_u64 {
            handle.write(round * 10 * MIB, Bytes::from(noise(round, 4096))).await.unwrap();
            let (clone, snapshot) = (site.new_volume(10 << 30, dssd()), site.new_snapshot());
            let start = std::time::Instant::now();
            let branch = Branch::Clone { of: Source::Volume(volume), new: clone };
            site.volumes().branch(vec![branch], Unit::by(tester())).await.unwrap();
            clones.push(start.elapsed());
            handle.write(round * 10 * MIB, Bytes::from(noise(round, 4096))).await.unwrap();
            let start = std::time::Instant::now();
            let branch = Branch::Snapshot { of: volume, new: snapshot };
            site.volumes().branch(vec![branch], Unit::by(tester())).await.unwrap();
            snapshots.push(start.elapsed());
        }
        let all = site.volumes().paths(Source::Volume(volume)).await.unwrap();
        let grown: u64 =
            all.iter().filter(|path| !before.contains(path)).map(|path| path.metadata().unwrap().len()).sum();
        assert!(grown < 20 * MIB, "layers of a few clusters each: {grown}");
        clones.sort();
        snapshots.sort();
        println!(
            "{data} MiB of 10 GiB, written to between: clone {:?}, snapshot {:?} (medians)",
            clones[5], snapshots[5]
        );
        handle.close().await.unwrap();
    }
}
