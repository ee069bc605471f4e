//! What goes in comes out.

use content::{Error, State, etag};
use sha2::{Digest, Sha256};

use crate::support::*;

const MIB: usize = 1024 * 1024;
const SIZES: [usize; 6] = [0, 1, 32_768, 32_769, MIB + 1, 5 * MIB];

#[tokio::test]
async fn what_goes_in_comes_out_at_every_size_sealed_or_not() {
    for ground in grounds() {
        comes_out(ground.site(100 * MIB as u64).await).await;
    }
    for ground in grounds() {
        comes_out(ground.sealed_site(100 * MIB as u64).await).await;
    }
}

async fn comes_out(site: Site) {
    let mut total = 0;
    for size in SIZES {
        let plain = bytes(size);
        for draft in [site.draft(), site.declared(size as u64)] {
            let staged = site.content.receive(draft, body(&plain)).await.unwrap();
            let sum: [u8; 32] = Sha256::digest(&plain).into();
            assert_eq!((staged.size, staged.sha256, staged.etag()), (size as u64, sum, etag(&sum)));
            let claim = staged.claim;
            let blob = site.commit(staged).await;
            total += size as u64;
            let info = site.info(blob).await.unwrap();
            assert_eq!((info.size, info.sha256, info.claim, info.state), (size as u64, sum, claim, State::Live));
            assert_eq!(info.small, size <= content::SMALL_BYTES_MAX);
            assert_eq!(site.get(blob, None).await.unwrap(), plain, "{size}");
            assert_eq!(site.content.verify(blob).await.unwrap(), info);
        }
    }
    assert_eq!(site.bytes().await, [(total, 0), (total, 0)], "charged at their true sizes, on both sides");
    assert_eq!(site.files(), 6, "what is small has no file");
    site.assert_sound().await;
}

#[tokio::test]
async fn a_part_is_the_same_bytes_wherever_it_begins_and_ends() {
    for ground in grounds() {
        parts(ground.site(100 * MIB as u64).await).await;
    }
    for ground in grounds() {
        parts(ground.sealed_site(100 * MIB as u64).await).await;
    }
}

async fn parts(site: Site) {
    for size in [1, 32_768, 65_536, MIB + 1] {
        let plain = bytes(size);
        let blob = site.put(&plain).await;
        let edges = [0, 1, 65_535, 65_536, 65_537, 262_143, 262_144, 500_000, size - 1, size, size + 10];
        for start in edges.into_iter().filter(|start| *start < size) {
            for end in edges.into_iter().filter(|end| *end >= start) {
                let found = site.get(blob, Some((start as u64, end as u64))).await.unwrap();
                assert_eq!(found, plain[start..size.min(end + 1)], "{start} to {end} of {size}");
            }
        }
        let behind = site.get(blob, Some((size as u64, size as u64))).await;
        assert!(matches!(behind, Err(Error::Store(store::Error::Invalid(_)))));
    }
}

#[tokio::test]
async fn what_is_sealed_cannot_be_read_on_disk_or_without_its_key() {
    for ground in grounds() {
        let site = ground.sealed_site(100 * MIB as u64).await;
        let secret = b"attack at dawn ".repeat(20_000);
        let (large, small) = (site.put(&secret).await, site.put(&secret[..300]).await);
        let file = std::fs::read(site.content.path(large)).unwrap();
        assert!(!file.windows(6).any(|window| window == b"attack"));
        let stored = site.store.read(move |tx| {
            let row = tx.query_opt("SELECT bytes FROM blobs WHERE id = $1", &store::params![small])?;
            row.expect("it is there").get::<Vec<u8>>(0)
        });
        assert!(!stored.await.unwrap().windows(6).any(|window| window == b"attack"));
        let with = |key| content::Content::new(site.store.clone(), site.ground.files(), key);
        for blob in [large, small] {
            let without = with(None).open(blob, None).await.map(drop);
            assert!(matches!(without, Err(Error::Locked(locked)) if locked == blob));
            let wrong = with(Some(content::SiteKey::new([1; 32]))).open(blob, None).await.map(drop);
            assert!(matches!(wrong, Err(Error::Damaged(damaged)) if damaged == blob));
        }
    }
}

#[tokio::test]
async fn a_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let path = site.content.path(site.put(&bytes(MIB)).await);
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(path.strip_prefix(site.content.folder()).unwrap().components().count(), 3, "blobs/ab/cd/id");
    }
}
