//! Bytes in and out (spec, section 6.10).

use axum::body::Body;
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use crate::house::{Answer, Client, GIB, House, disk};

on_both! {
    a_direct_upload_answers_the_id_of_its_drive
    a_direct_upload_needs_its_length_and_fits_or_is_refused
    a_drive_that_waits_for_chunks_has_its_exact_size
    a_link_is_for_one_chunk_and_five_minutes
    a_chunk_is_taken_once_and_at_its_length
    chunks_come_in_any_order_and_at_once
    a_part_of_a_drive_can_be_read
    an_upload_that_breaks_off_leaves_nothing
    what_a_crash_has_left_is_taken_away_at_the_start
    what_is_no_image_is_refused_and_leaves_nothing
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

async fn upload(client: &Client, path: &str, bytes: &[u8]) -> Answer {
    let length = bytes.len().to_string();
    let headers = [("content-type", "application/octet-stream"), ("content-length", length.as_str())];
    client.call("POST", path, &headers, bytes.to_vec()).await
}

/// Checklist 74, and 75 as far as the path goes; `Expect` is the connection's.
async fn a_direct_upload_answers_the_id_of_its_drive(house: House) {
    let image = bytes(3_000_000);
    for path in ["drives/upload/", "drives/upload", "drives/upload/image.raw"] {
        let answer = upload(&house.ana, path, &image).await.expect(200);
        assert!(answer.header("content-type").starts_with("text/plain"));
        let id = std::str::from_utf8(&answer.body).unwrap();
        let shown = house.ana.show(id).await;
        let seen = (&shown["status"], &shown["media"], &shown["size"]);
        assert_eq!(seen, (&json!("unmounted"), &json!("disk"), &json!(GIB / 2)));
        let name = if path.ends_with("raw") { "image.raw".to_owned() } else { format!("upload-{id}") };
        assert_eq!(shown["name"], name);
        assert_eq!(house.ana.read(id, 0, 2_999_999).await.as_ref(), image);
        assert_eq!(house.ana.read(id, 3_000_000, 3_000_003).await.as_ref(), b"\0\0\0\0");
    }
    house.assert_sound().await;
}

async fn a_direct_upload_needs_its_length_and_fits_or_is_refused(house: House) {
    let body = Body::from_stream(stream::once(async { Ok::<_, std::io::Error>(bytes(10)) }));
    house.ana.call("POST", "drives/upload/", &[], body).await.expect(411);
    house.ana.call("POST", "drives/upload/", &[("content-length", "0")], Body::empty()).await.expect(400);
    let headers = [("content-length", "11")];
    house.ana.call("POST", "drives/upload/", &headers, bytes(10)).await.expect(400);
    house.limit(house.ana.node.unwrap(), ledger::Resource::BYTES, Some(GIB / 4)).await;
    upload(&house.ana, "drives/upload/", &bytes(10)).await.expect(402);
    settled(&house).await;
}

/// Waits until what broke off is taken away.
async fn settled(house: &House) {
    for _ in 0..500 {
        let listed = house.ana.get("drives/").await.expect(200).json();
        if listed["meta"]["total_count"] == 0 && house.used_by(&house.ana).await == 0 {
            return house.assert_sound().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain for an upload to be taken away");
}

async fn init(house: &House, size: u64) -> String {
    let made = house.ana.post("initupload/", disk("up", size)).await.expect(201).objects().remove(0);
    assert_eq!((&made["status"], &made["size"]), (&json!("uploading"), &json!(size)));
    made["uuid"].as_str().unwrap().to_owned()
}

async fn link(house: &House, drive: &str, number: u64, size: u64) -> Answer {
    let body = json!({ "chunk_number": number, "chunk_size": size });
    house.ana.post(&format!("drives/{drive}/action/?do=upload_chunk"), body).await
}

async fn linked(house: &House, drive: &str, number: u64, size: u64) -> String {
    link(house, drive, number, size).await.expect(200).json()["link"].as_str().unwrap().to_owned()
}

/// Checklist 76.
async fn a_drive_that_waits_for_chunks_has_its_exact_size(house: House) {
    for size in [10_486_000, 1, GIB + 1] {
        let drive = init(&house, size).await;
        assert_eq!(house.ana.show(&drive).await["size"], size);
        house.ana.get(&format!("drives/{drive}/download/")).await.expect(403);
    }
    // Charged at what they will be.
    assert_eq!(house.used_by(&house.ana).await, GIB / 2 + GIB / 2 + GIB + 16384);
    house.ana.post("initupload/", disk("up", 0)).await.expect(400);
    let drive = init(&house, 5).await;
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    house.assert_sound().await;
}

/// Checklist 77.
async fn a_link_is_for_one_chunk_and_five_minutes(house: House) {
    let drive = init(&house, 10).await;
    let first = linked(&house, &drive, 0, 4).await;
    assert!(first.starts_with('/') && first.ends_with('/') && !first.contains('?'));
    upload(&house.stranger, &first, b"0123").await.expect(200);
    upload(&house.stranger, &first, b"0123").await.expect(416);
    let second = linked(&house, &drive, 1, 4).await;
    house.clock.advance(300 * 1_000_000);
    upload(&house.stranger, &second, b"456789").await.expect(404);
    upload(&house.stranger, "/api/2.0/upload/guess/", b"456789").await.expect(404);
    assert_eq!(link(&house, &drive, 1, 5).await.expect(400).fault().1, "chunk_size");
    assert_eq!(link(&house, &drive, 2, 4).await.expect(400).fault().1, "chunk_number");
    let body = json!({ "chunk_number": 0, "chunk_size": 4 });
    house.ben.post(&format!("drives/{drive}/action/?do=upload_chunk"), body).await.expect(404);
}

/// Checklist 78.
async fn a_chunk_is_taken_once_and_at_its_length(house: House) {
    let drive = init(&house, 10).await;
    let first = linked(&house, &drive, 0, 4).await;
    upload(&house.stranger, &first, b"012").await.expect(400);
    upload(&house.stranger, &first, b"01234").await.expect(400);
    upload(&house.stranger, &first, b"0123").await.expect(200);
    let told = link(&house, &drive, 0, 4).await.expect(416).fault().2;
    assert!(told.contains('0') && told.contains("already uploaded"), "{told}");
    assert_eq!(house.ana.show(&drive).await["status"], "uploading");
}

/// Checklist 79.
async fn chunks_come_in_any_order_and_at_once(house: House) {
    let image = bytes(1_000_003);
    let drive = init(&house, image.len() as u64).await;
    let (size, count) = (100_000_usize, 10_usize);
    let mut links = Vec::new();
    for number in (0..count).rev() {
        links.push((number, linked(&house, &drive, number as u64, size as u64).await));
    }
    let sending = links.into_iter().map(|(number, link)| {
        let end = if number + 1 == count { image.len() } else { (number + 1) * size };
        let (stranger, part) = (house.stranger.clone(), image[number * size..end].to_vec());
        tokio::spawn(async move { upload(&stranger, &link, &part).await.expect(200) })
    });
    join_all(sending).await.into_iter().for_each(|sent| drop(sent.unwrap()));
    // Before the answer to the last one was sent: clients look at once.
    let shown = house.ana.show(&drive).await;
    assert_eq!((&shown["status"], &shown["size"]), (&json!("unmounted"), &json!(GIB / 2)));
    assert_eq!(house.ana.read(&drive, 0, 1_000_003).await.as_ref(), [image, vec![0]].concat());
    link(&house, &drive, 0, 100_000).await.expect(403);
    house.assert_sound().await;
}

/// Checklist 81.
async fn a_part_of_a_drive_can_be_read(house: House) {
    let drive = house.ana.drive("d").await;
    house.write(&drive, 0, b"beginning").await;
    let path = format!("drives/{drive}/download/");
    let answer = house.ana.call("GET", &path, &[("range", "bytes=0-4")], Body::empty()).await.expect(206);
    assert_eq!(answer.body.as_ref(), b"begin");
    assert_eq!(answer.header("content-range"), format!("bytes 0-4/{GIB}"));
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename={drive}"));
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let range = format!("bytes={GIB}-");
    house.ana.call("GET", &path, &[("range", range.as_str())], Body::empty()).await.expect(416);
    let server = house.ana.server(&[&drive]).await;
    assert_eq!(house.ana.read(&drive, 0, 0).await.as_ref(), b"b");
    house.ana.act(&server, "start").await.expect(202);
    house.ana.get(&path).await.expect(403);
}

/// Checklist 86.
async fn an_upload_that_breaks_off_leaves_nothing(house: House) {
    let parts = stream::iter([Ok(bytes(100_000)), Err(std::io::Error::other("gone"))]);
    let headers = [("content-length", "200000")];
    house.ana.call("POST", "drives/upload/", &headers, Body::from_stream(parts)).await.expect(400);
    settled(&house).await;
    // The caller hangs up: the call itself is dropped.
    let ana = house.ana.clone();
    let (sent, mut seen) = tokio::sync::mpsc::channel::<()>(1);
    let first = stream::once(async move {
        let _ = sent.send(()).await;
        Ok::<_, std::io::Error>(bytes(100_000))
    });
    let body = Body::from_stream(first.chain(stream::pending()));
    let call =
        tokio::spawn(async move { ana.call("POST", "drives/upload/", &[("content-length", "200000")], body).await });
    seen.recv().await;
    assert_eq!(house.used_by(&house.ana).await, GIB / 2, "charged before its first byte came");
    call.abort();
    settled(&house).await;
}

/// Checklist 87, as far as this face goes.
async fn what_a_crash_has_left_is_taken_away_at_the_start(house: House) {
    let (left, stays) = (house.ana.drive("left").await, house.ana.drive("stays").await);
    house.set_status(&left, "creating").await;
    house.face.start().await.unwrap();
    house.ana.get(&format!("drives/{left}/")).await.expect(404);
    house.ana.show(&stays).await;
    assert_eq!(house.used_by(&house.ana).await, GIB);
    house.assert_sound().await;
}

/// Ours: an upload in qcow2. That a sound one is read is shown with the command line; here, that others are not.
async fn what_is_no_image_is_refused_and_leaves_nothing(house: House) {
    let path = "drives/upload/image.qcow2/?format=qcow2";
    upload(&house.ana, path, &bytes(1000)).await.expect(400);
    upload(&house.ana, &format!("{path}&size={GIB}"), &bytes(1000)).await.expect(400);
    let mut head = vec![0; 65536];
    head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    // A backing file's name.
    head[15] = 112;
    head[19] = 11;
    head[112..123].copy_from_slice(b"/etc/passwd");
    upload(&house.ana, &format!("{path}&size={GIB}"), &head).await.expect(400);
    upload(&house.ana, "drives/upload/?format=vmdk", &bytes(1000)).await.expect(400);
    settled(&house).await;
}
