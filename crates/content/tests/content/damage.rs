//! Never wrong bytes; and the doctor names what is wrong.

use content::{BlobId, Error};

use crate::support::*;

const MIB: usize = 1024 * 1024;

fn flip(site: &Site, blob: BlobId, at: usize) {
    let path = site.content.path(blob);
    let mut file = std::fs::read(&path).unwrap();
    file[at] ^= 1;
    std::fs::write(&path, file).unwrap();
}

fn is_damaged<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Damaged(_)))
}

#[tokio::test]
async fn a_flipped_bit_of_a_sealed_file_is_found_wherever_it_is_read() {
    for ground in grounds() {
        let site = ground.sealed_site(100 * MIB as u64).await;
        let plain = bytes(MIB);
        for at in [0, 65_536, 65_552 + 7, 10 * 65_552, 16 * 65_552 - 1] {
            let blob = site.put(&plain).await;
            flip(&site, blob, at);
            let chunk = (at / 65_552) as u64 * 65_536;
            assert!(is_damaged(site.get(blob, None).await), "{at}");
            assert!(is_damaged(site.get(blob, Some((chunk, chunk))).await), "{at}");
            assert!(is_damaged(site.content.verify(blob).await), "{at}");
            let elsewhere = (chunk + 5 * 65_536) % MIB as u64;
            let part = site.get(blob, Some((elsewhere, elsewhere + 9))).await.unwrap();
            assert_eq!(part, plain[elsewhere as usize..elsewhere as usize + 10], "what is whole is read");
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_open_is_found_by_reading_it_whole_or_by_verifying() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let (medium, large) = (site.put(&bytes(100_000)).await, site.put(&bytes(MIB)).await);
        flip(&site, medium, 99_999);
        flip(&site, large, 99_999);
        assert!(is_damaged(site.get(medium, None).await));
        assert!(is_damaged(site.content.verify(large).await));
    }
}

#[tokio::test]
async fn a_changed_byte_in_the_database_is_found() {
    for ground in grounds() {
        changed_in_the_database(ground.site(MIB as u64).await).await;
    }
    for ground in grounds() {
        changed_in_the_database(ground.sealed_site(MIB as u64).await).await;
    }
}

async fn changed_in_the_database(site: Site) {
    let blob = site.put(&[1, 2, 3]).await;
    let stored = site.store.read(move |tx| {
        let row = tx.query_opt("SELECT bytes FROM blobs WHERE id = $1", &store::params![blob])?;
        row.expect("it is there").get::<Vec<u8>>(0)
    });
    let mut stored = stored.await.unwrap();
    stored[1] ^= 1;
    site.execute("UPDATE blobs SET bytes = $1 WHERE id = $2", store::params![stored, blob].to_vec()).await;
    assert!(is_damaged(site.get(blob, None).await));
    assert!(is_damaged(site.get(blob, Some((0, 0))).await));
    assert!(is_damaged(site.content.verify(blob).await));
}

#[tokio::test]
async fn a_file_that_is_cut_or_gone_is_damaged() {
    for ground in grounds() {
        let site = ground.site(100 * MIB as u64).await;
        let (cut, gone) = (site.put(&bytes(MIB)).await, site.put(&bytes(MIB)).await);
        let file = std::fs::OpenOptions::new().write(true).open(site.content.path(cut)).unwrap();
        file.set_len(MIB as u64 - 1).unwrap();
        std::fs::remove_file(site.content.path(gone)).unwrap();
        assert!(is_damaged(site.get(cut, None).await));
        assert!(is_damaged(site.get(gone, None).await));
    }
}

#[tokio::test]
async fn the_audit_names_every_way_in_which_rows_files_and_claims_can_differ() {
    for ground in grounds() {
        let site = ground.sealed_site(100 * MIB as u64).await;
        let [cut, gone, charged, free] = [(); 4].map(|()| bytes(MIB));
        let (cut, gone) = (site.put(&cut).await, site.put(&gone).await);
        let (charged, free) = (site.put(&charged).await, site.put(&free).await);
        let short = site.put(b"some").await;
        site.assert_sound().await;
        let file = std::fs::OpenOptions::new().write(true).open(site.content.path(cut)).unwrap();
        file.set_len(7).unwrap();
        std::fs::remove_file(site.content.path(gone)).unwrap();
        let sizes = ledger::Amounts::new().with(ledger::Resource::BYTES, 5).unwrap();
        let (charged_claim, free_claim) = (claim(&site, charged).await, claim(&site, free).await);
        let unit = store::Unit::by(tester()).set(charged_claim, sizes).release(free_claim);
        site.store.write(unit).await.unwrap();
        site.execute("UPDATE blobs SET bytes = $1 WHERE id = $2", store::params![vec![1_u8], short].to_vec()).await;
        let orphan = BlobId(site.store.new_id());
        std::fs::write(site.content.path(orphan), b"whose?").unwrap();
        std::fs::write(site.content.path(orphan).with_file_name("notes.txt"), b"mine").unwrap();
        let audit = site.content.audit().await.unwrap();
        let mut expected = [
            format!("the file of blob {cut} is 7 bytes long, not {}", MIB + 16 * 16),
            format!("the file of blob {gone} is not there"),
            format!("blob {charged} has 1048576 bytes and its claim {charged_claim} has 5"),
            format!("blob {free} has no claim: {free_claim} is not there"),
            format!("blob {short} is 1 bytes long in the database, not 20"),
            format!("the file of blob {orphan} has no row"),
            format!("{} is no file of a blob", site.content.path(orphan).with_file_name("notes.txt").display()),
        ];
        let mut found = audit.drift;
        found.sort();
        expected.sort();
        assert_eq!((audit.checked, found.as_slice()), (5, expected.as_slice()));
    }
}

async fn claim(site: &Site, blob: BlobId) -> ledger::ClaimId {
    site.info(blob).await.unwrap().claim
}
