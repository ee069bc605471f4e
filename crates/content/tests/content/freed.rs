//! What is not stored, or no longer, leaves nothing behind.

use std::time::Duration;

use bytes::Bytes;
use content::{Error, State};
use futures_util::{StreamExt, stream};
use store::Unit;
use tokio::sync::mpsc;

use crate::support::*;

const MIB: usize = 1024 * 1024;
const SECOND: i64 = 1_000_000;

#[tokio::test]
async fn a_body_that_breaks_off_is_freed_before_the_answer() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        for size in [0, 10, 32_769, 3 * MIB] {
            for draft in [site.draft(), site.declared(size as u64 + 1)] {
                let answer = site.content.receive(draft, cut_body(&bytes(size))).await;
                assert!(matches!(answer.map(drop), Err(Error::Body(_))));
                site.assert_empty().await;
            }
        }
    }
}

#[tokio::test]
async fn a_dropped_upload_is_freed_soon() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let plain = bytes(5 * MIB);
        let upload = site.content.receive(site.draft(), stalled_body(&plain));
        tokio::time::timeout(Duration::from_millis(300), upload).await.err().expect("it stalls");
        until("the upload is freed", async || site.rows().await == [0, 0, 0]).await;
        site.assert_empty().await;
    }
}

#[tokio::test]
async fn what_was_received_and_never_committed_is_freed_soon() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        for size in [10, 3 * MIB] {
            drop(site.content.receive(site.draft(), body(&bytes(size))).await.unwrap());
        }
        until("it is freed", async || site.rows().await == [0, 0, 0]).await;
        site.assert_empty().await;
    }
}

#[tokio::test]
async fn what_its_noun_refuses_is_freed_before_the_answer() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let (small, large) = (bytes(10), bytes(3 * MIB));
        let staged = vec![
            site.content.receive(site.draft(), body(&small)).await.unwrap(),
            site.content.receive(site.draft(), body(&large)).await.unwrap(),
        ];
        let no = |_: &mut store::Tx<'_>| Err::<(), _>(store::Error::Conflict("no".to_owned()));
        let answer = site.content.commit(staged, Unit::by(tester()).rows(no)).await;
        assert!(matches!(answer.map(drop), Err(store::Error::Conflict(_))));
        site.assert_empty().await;
    }
}

#[tokio::test]
async fn several_parts_are_one_commit() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let mut staged = Vec::new();
        for size in [10, MIB, 2 * MIB] {
            staged.push(site.content.receive(site.draft(), body(&bytes(size))).await.unwrap());
        }
        let blobs: Vec<_> = staged.iter().map(|staged| staged.blob).collect();
        site.content.commit(staged, Unit::by(tester())).await.unwrap();
        for (blob, size) in blobs.into_iter().zip([10, MIB, 2 * MIB]) {
            assert_eq!(site.get(blob, None).await.unwrap(), bytes(size));
        }
        site.content.sweep().await.unwrap();
        assert_eq!(site.rows().await, [3, 0, 0], "what is live is staging no longer");
        site.assert_sound().await;
    }
}

#[tokio::test]
async fn a_deleted_blob_frees_demand_at_once_and_supply_when_its_bytes_are_gone() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let (small, large) = (site.put(&bytes(100)).await, site.put(&bytes(MIB)).await);
        site.doom(small).await;
        site.doom(large).await;
        assert_eq!(site.bytes().await, [(0, 0), (MIB as u64, 0)], "a large blob is on the disk yet");
        let info = site.info(large).await.unwrap();
        assert_eq!(info.state, State::Doomed);
        let claim = site.store.read(move |tx| store::claims::find(tx, info.claim)).await.unwrap().unwrap();
        assert_eq!(claim.managed_by, Some(store::Managed::new("content", "blob", large)));
        for blob in [small, large] {
            let gone = site.get(blob, None).await;
            assert!(matches!(gone, Err(Error::Store(store::Error::NotFound { .. }))));
        }
        site.assert_sound().await;
        until("the bytes are gone", async || {
            site.content.sweep().await.unwrap();
            site.rows().await == [0, 0, 0]
        })
        .await;
        site.assert_empty().await;
    }
}

#[tokio::test]
async fn a_blob_is_deleted_once() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        for size in [100, MIB] {
            let blob = site.put(&bytes(size)).await;
            let info = site.info(blob).await.unwrap();
            let (first, second) = tokio::join!(
                site.store.write(content::doom(Unit::by(tester()), &info)),
                site.store.write(content::doom(Unit::by(tester()), &info)),
            );
            assert_eq!([&first, &second].iter().filter(|answer| answer.is_ok()).count(), 1, "{first:?} {second:?}");
            let lost = first.and(second).unwrap_err();
            assert!(matches!(lost, store::Error::NotFound { .. } | store::Error::Conflict(_)), "{lost:?}");
        }
        site.assert_sound().await;
    }
}

#[test]
fn a_crash_in_an_upload_leaves_nothing_after_the_next_start() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for ground in grounds() {
        let crashing = runtime();
        let (site, kept) = crashing.block_on(async {
            let site = ground.site(100 * MIB as u64).await;
            let kept = site.put(&bytes(2 * MIB)).await;
            let (content, draft) = (site.content.clone(), site.draft());
            tokio::spawn(async move { content.receive(draft, stalled_body(&bytes(5 * MIB))).await.map(drop) });
            until("the upload is on the disk", async || site.files() == 2).await;
            (site, kept)
        });
        // Nothing that is dropped with the runtime gets to clean up.
        crashing.shutdown_background();
        let second = runtime();
        second.block_on(async move {
            assert_eq!(site.rows().await, [1, 2, 0], "both uploads have been staging");
            assert!(site.bytes().await[0].1 > 0);
            let site = site.restart().await;
            assert_eq!(site.bytes().await, [(2 * MIB as u64, 0), (2 * MIB as u64, 0)]);
            assert_eq!((site.rows().await, site.files()), ([1, 0, 0], 1));
            assert_eq!(site.get(kept, None).await.unwrap(), bytes(2 * MIB), "what was live still is");
            site.assert_sound().await;
        });
    }
}

#[tokio::test]
async fn an_upload_whose_lease_is_over_is_freed_and_fails() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let clock = site.ground.clock.clone();
        let (frames, incoming) = mpsc::channel(8);
        let upload = spawn_upload(&site, incoming);
        frames.send(Ok(Bytes::from(bytes(3 * MIB)))).await.unwrap();
        until("it is on the disk", async || site.files() == 1).await;
        clock.advance(61 * SECOND);
        site.content.sweep().await.unwrap();
        site.assert_empty().await;
        frames.send(Ok(Bytes::from(bytes(3 * MIB)))).await.unwrap();
        let answer = upload.await.unwrap();
        assert!(matches!(answer, Err(Error::Store(store::Error::Conflict(_)))), "{answer:?}");
        site.assert_empty().await;
    }
}

#[tokio::test]
async fn a_slow_upload_keeps_its_lease() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let clock = site.ground.clock.clone();
        let (frames, incoming) = mpsc::channel(1);
        let upload = spawn_upload(&site, incoming);
        for _ in 0..5 {
            frames.send(Ok(Bytes::from(bytes(100_000)))).await.unwrap();
            // A second send waits until the first frame was taken, so the lease was looked at.
            frames.send(Ok(Bytes::from(vec![1]))).await.unwrap();
            frames.send(Ok(Bytes::from(vec![1]))).await.unwrap();
            clock.advance(25 * SECOND);
            site.content.sweep().await.unwrap();
        }
        drop(frames);
        upload.await.unwrap().unwrap();
        site.assert_sound().await;
    }
}

type Frames = mpsc::Receiver<Result<Bytes, std::io::Error>>;

fn spawn_upload(site: &Site, frames: Frames) -> tokio::task::JoinHandle<Result<(), Error>> {
    let (content, draft) = (site.content.clone(), site.draft());
    let body = stream::unfold(frames, |mut frames| async { frames.recv().await.map(|frame| (frame, frames)) });
    tokio::spawn(async move {
        let staged = content.receive(draft, body.boxed()).await?;
        staged.commit(Unit::by(tester())).await?;
        Ok(())
    })
}
