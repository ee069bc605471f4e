//! Not one byte past the line.

use bytes::Bytes;
use content::{Content, Draft, Error};
use futures_util::{future::join_all, stream};
use store::{NewClaim, Unit};

use crate::support::*;

const MIB: u64 = 1024 * 1024;

/// The ways to say, or not to say, how much is coming.
fn drafts(site: &Site, len: u64) -> [Draft; 3] {
    let at_most = Draft { declared_len: Some(len + 400), ..site.draft() };
    [site.draft(), site.declared(len), at_most]
}

#[tokio::test]
async fn what_exactly_fills_a_limit_fits_and_one_byte_more_leaves_no_trace() {
    for size in [10, 32_768, 32_769, MIB, 3 * MIB + 7] {
        for ground in grounds() {
            let site = ground.site(size).await;
            for draft in drafts(&site, size + 1) {
                let refused = match site.content.receive(draft, body(&bytes(size as usize + 1))).await {
                    // Small content is charged by its commit.
                    Ok(staged) => staged.commit(Unit::by(tester())).await.map(drop).map_err(Error::Store),
                    Err(error) => Err(error),
                };
                let Err(Error::Store(store::Error::Refused(refusals))) = refused else {
                    panic!("{size} bytes and one more: {refused:?}");
                };
                assert_eq!((&*refusals[0].path, refusals[0].limit), ("acme", size));
                site.assert_empty().await;
            }
            for draft in drafts(&site, size) {
                let staged = site.content.receive(draft, body(&bytes(size as usize))).await.unwrap();
                let blob = site.commit(staged).await;
                assert_eq!(site.bytes().await, [(size, 0), (size, 0)]);
                site.doom(blob).await;
                until("the blob is gone", async || {
                    site.content.sweep().await.unwrap();
                    site.rows().await == [0, 0, 0]
                })
                .await;
            }
            site.assert_empty().await;
        }
    }
}

#[tokio::test]
async fn a_body_near_a_limit_is_reserved_exactly_where_a_step_has_no_room() {
    for ground in grounds() {
        let site = ground.site(10 * MIB).await;
        let taken = NewClaim::held(
            ledger::ClaimId(site.store.new_id()),
            site.acme,
            ledger::Amounts::new().with(ledger::Resource::BYTES, 4 * MIB).unwrap(),
        );
        site.store.write(Unit::by(tester()).charge(taken)).await.unwrap();
        let blob = site.put(&bytes(6 * MIB as usize)).await;
        assert_eq!(site.bytes().await[0], (10 * MIB, 0));
        assert_eq!(site.get(blob, None).await.unwrap(), bytes(6 * MIB as usize));
    }
}

#[tokio::test]
async fn of_twelve_uploads_of_1_mib_into_3_mib_three_succeed() {
    for ground in grounds() {
        let site = ground.site(3 * MIB).await;
        let plain = bytes(MIB as usize);
        let uploads = (0..12).map(|_| async {
            let staged = site.content.receive(site.declared(MIB), body(&plain)).await?;
            staged.commit(Unit::by(tester())).await.map_err(Error::Store)
        });
        let outcomes = join_all(uploads).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
        assert_eq!(site.bytes().await, [(3 * MIB, 0), (3 * MIB, 0)]);
        assert_eq!((site.files(), site.rows().await[0]), (3, 3));
        site.assert_sound().await;
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_is_refused() {
    for ground in grounds() {
        let site = ground.site(10 * MIB).await;
        for (declared, received) in [(10, 9), (10, 11), (MIB, MIB - 1), (MIB, MIB + 1), (MIB, 0)] {
            let answer = site.content.receive(site.declared(declared), body(&bytes(received as usize))).await;
            assert!(matches!(answer.map(drop), Err(Error::Length { .. })), "{declared} {received}");
            site.assert_empty().await;
        }
    }
}

#[tokio::test]
async fn a_body_byte_by_byte_is_a_body() {
    for ground in grounds() {
        let site = ground.site(100_000).await;
        let plain = bytes(100_000);
        let single = plain.clone().into_iter().map(|byte| Ok::<_, std::io::Error>(Bytes::from(vec![byte])));
        let staged = site.content.receive(site.declared(100_000), stream::iter(single)).await.unwrap();
        let blob = site.commit(staged).await;
        assert_eq!(site.get(blob, None).await.unwrap(), plain);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_upload_and_leaves_no_trace() {
    for ground in grounds() {
        let store = ground.open().await;
        let content = Content::with_room(store.clone(), ground.files(), None, 5 * MIB);
        let site = ground.with(store, content, 100 * MIB).await;
        let answer = site.content.receive(site.declared(20 * MIB), body(&bytes(20 * MIB as usize))).await;
        assert!(matches!(answer.map(drop), Err(Error::Store(store::Error::Full))));
        site.assert_empty().await;
    }
}
