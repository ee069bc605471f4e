//! Changing drives: PUT, and resize (spec, sections 3.2 and 3.3).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::house::{GIB, House, disk};

on_both! {
    a_put_changes_name_and_media
    meta_is_replaced_whole
    a_larger_size_is_resizing_and_then_there
    the_whole_of_a_get_changes_nothing
    a_put_of_another_type_or_without_a_size_is_refused
    on_a_running_server_only_what_is_light_is_changed
    a_resize_answers_the_old_size
    a_resize_takes_what_clients_send_of_old
    a_resize_is_all_or_nothing
    growing_keeps_the_bytes_and_reads_zeros_beyond
    terraform_stops_puts_and_starts
    fifty_puts_at_once_end_as_one_of_them
    a_put_never_brings_an_old_size_back
    a_state_that_is_passing_allows_little
}

/// Checklist 29.
async fn a_put_changes_name_and_media(house: House) {
    let drive = house.ana.drive("d").await;
    let body = json!({ "name": "test_drive_y", "media": "cdrom", "size": GIB });
    let told = house.ana.put(&format!("drives/{drive}/"), body.clone()).await.expect(200).json();
    let seen = (&told["name"], &told["media"], &told["status"]);
    assert_eq!(seen, (&json!("test_drive_y"), &json!("cdrom"), &json!("unmounted")));
    // Wrapped, it is the same.
    house.ana.put(&format!("drives/{drive}/"), json!({ "objects": [body] })).await.expect(200);
}

/// Checklist 30.
async fn meta_is_replaced_whole(house: House) {
    let drive = house.ana.drive("d").await;
    let put = async |meta: Value| {
        let mut body = disk("d", GIB);
        body["meta"] = meta;
        house.ana.put(&format!("drives/{drive}/"), body).await.expect(200).json()["meta"].clone()
    };
    let first = json!({ "a": "line\nline", "b": true, "c": 5 });
    assert_eq!(put(first.clone()).await, first);
    assert_eq!(put(json!({ "d": "x" })).await, json!({ "d": "x" }));
    assert_eq!(put(Value::Null).await, json!({ "d": "x" }), "null is absent");
}

/// Checklist 31.
async fn a_larger_size_is_resizing_and_then_there(house: House) {
    let drive = house.ana.drive("d").await;
    let told = house.ana.put(&format!("drives/{drive}/"), disk("d", 2 * GIB + 1)).await.expect(200).json();
    assert_eq!((&told["status"], &told["size"]), (&json!("resizing"), &json!(GIB)));
    let shown = house.ana.until(&drive, "unmounted").await;
    assert_eq!(shown["size"], 2 * GIB + 16384);
    assert_eq!(house.used("disk/dssd").await, 2 * GIB + 16384);
    house.assert_sound().await;
}

/// Checklist 32.
async fn the_whole_of_a_get_changes_nothing(house: House) {
    let drive = house.ana.drive("d").await;
    let before = house.ana.show(&drive).await;
    let told = house.ana.put(&format!("drives/{drive}/"), before.clone()).await.expect(200).json();
    assert_eq!(told, before);
    assert_eq!(house.ana.show(&drive).await, before);
    assert_eq!(house.used_by(&house.ana).await, GIB);
}

/// Checklist 33.
async fn a_put_of_another_type_or_without_a_size_is_refused(house: House) {
    let drive = house.ana.drive("d").await;
    let mut body = disk("d", GIB);
    body["storage_type"] = json!("zadara");
    let fault = house.ana.put(&format!("drives/{drive}/"), body).await.expect(400).fault();
    assert_eq!(fault.1, "storage_type");
    let fault = house.ana.put(&format!("drives/{drive}/"), json!({ "name": "d", "media": "disk" })).await.expect(400);
    assert_eq!((fault.fault().1, fault.fault().2), (json!("size"), "This field is required".to_owned()));
}

/// Checklist 34.
async fn on_a_running_server_only_what_is_light_is_changed(house: House) {
    let drive = house.ana.drive("d").await;
    let server = house.ana.server(&[&drive]).await;
    house.ana.act(&server, "start").await.expect(202);
    let body = json!({ "name": "new", "media": "cdrom", "size": 2 * GIB, "meta": { "a": "b" } });
    let told = house.ana.put(&format!("drives/{drive}/"), body).await.expect(200).json();
    assert_eq!((&told["name"], &told["media"], &told["size"]), (&json!("new"), &json!("disk"), &json!(GIB)));
    assert_eq!((&told["status"], &told["meta"]), (&json!("mounted"), &json!({ "a": "b" })));
}

/// Checklist 35.
async fn a_resize_answers_the_old_size(house: House) {
    let drive = house.ana.drive("d").await;
    let path = format!("drives/{drive}/action/?do=resize");
    let told = house.ana.post(&path, disk("renamed", 4 * GIB)).await.expect(202).objects().remove(0);
    let seen = (&told["status"], &told["size"], &told["name"], &told["runtime"]["is_snapshotable"]);
    assert_eq!(seen, (&json!("resizing"), &json!(GIB), &json!("renamed"), &json!(true)));
    assert_eq!(house.ana.until(&drive, "unmounted").await["size"], 4 * GIB);
    house.ana.post(&path, disk("renamed", 4 * GIB)).await.expect(202);
    house.assert_sound().await;
}

/// Checklist 36.
async fn a_resize_takes_what_clients_send_of_old(house: House) {
    let drive = house.ana.drive("d").await;
    let mut body = house.ana.show(&drive).await;
    body["status"] = json!("creating");
    body["runtime"]["is_snapshotable"] = Value::Null;
    body["size"] = json!(2 * GIB);
    house.ana.post(&format!("drives/{drive}/action/?do=resize"), body).await.expect(202);
    assert_eq!(house.ana.until(&drive, "unmounted").await["size"], 2 * GIB);
}

/// Checklist 37.
async fn a_resize_is_all_or_nothing(house: House) {
    let drive = house.ana.drive("d").await;
    let server = house.ana.server(&[&drive]).await;
    let path = format!("drives/{drive}/action/?do=");
    house.ana.act(&server, "start").await.expect(202);
    let told = house.ana.post(&format!("{path}resize"), disk("new", 2 * GIB)).await.expect(403).fault();
    let why = "Cannot resize drive in state \"mounted\". Drive should be in state \"unmounted\"";
    assert_eq!(told, ("permission".to_owned(), Value::Null, why.to_owned()));
    assert_eq!(house.ana.show(&drive).await["name"], "d");
    house.ana.act(&server, "stop").await.expect(202);
    let told = house.ana.post(&format!("{path}resize"), disk("d", GIB - 16384)).await.expect(400).fault();
    assert_eq!(told.1, "size");
    for action in ["shrink", ""] {
        assert_eq!(house.ana.post(&format!("{path}{action}"), json!({})).await.expect(400).fault().1, "do");
    }
    house.ana.post(&format!("drives/{drive}/action/"), json!({})).await.expect(400);
}

/// Checklist 38.
async fn growing_keeps_the_bytes_and_reads_zeros_beyond(house: House) {
    let drive = house.ana.drive("d").await;
    house.write(&drive, GIB - 6, b"at end").await;
    house.ana.put(&format!("drives/{drive}/"), disk("d", 2 * GIB)).await.expect(200);
    assert_eq!(house.ana.read(&drive, GIB - 6, GIB + 3).await.as_ref(), b"at end\0\0\0\0");
    assert_eq!(house.ana.read(&drive, 2 * GIB - 2, 2 * GIB - 1).await.as_ref(), b"\0\0");
}

/// Checklist 39.
async fn terraform_stops_puts_and_starts(house: House) {
    let drive = house.ana.drive("d").await;
    let server = house.ana.server(&[&drive]).await;
    house.ana.act(&server, "start").await.expect(202);
    house.ana.act(&server, "stop").await.expect(202);
    house.ana.put(&format!("drives/{drive}/"), disk("d", 2 * GIB)).await.expect(200);
    house.ana.act(&server, "start").await.expect(202);
    assert_eq!(house.ana.until(&drive, "mounted").await["size"], 2 * GIB);
}

/// Checklist 89. Every second one leaves the size as it was, and must not bring it back once another has grown it.
async fn fifty_puts_at_once_end_as_one_of_them(house: House) {
    let drive = house.ana.drive("d").await;
    let size = |n: u64| GIB + (n % 2) * n * 16384;
    let puts = (0..50_u64).map(|n| {
        let (ana, path) = (house.ana.clone(), format!("drives/{drive}/"));
        tokio::spawn(async move { ana.put(&path, disk(&format!("n{n}"), size(n))).await })
    });
    for answer in join_all(puts).await {
        let answer = answer.unwrap();
        match answer.status.as_u16() {
            200 => {}
            // Larger by the time it came: a drive can only grow.
            400 => assert_eq!(answer.fault().1, "size"),
            status => {
                assert_eq!(status, 503);
                assert_eq!(answer.fault().0, "concurrency");
            }
        }
    }
    let shown = house.ana.until(&drive, "unmounted").await;
    let n: u64 = shown["name"].as_str().unwrap()[1..].parse().unwrap();
    assert_eq!(shown["size"], size(n));
    house.assert_sound().await;
}

async fn a_put_never_brings_an_old_size_back(house: House) {
    let drive = house.ana.drive("d").await;
    let path = format!("drives/{drive}/");
    let renaming = (0..4).map(|worker| {
        let (ana, path) = (house.ana.clone(), path.clone());
        tokio::spawn(async move {
            for turn in 0..100 {
                let seen = ana.get(&path).await.expect(200).json()["size"].as_u64().unwrap();
                let answer = ana.put(&path, disk(&format!("w{worker}-{turn}"), seen)).await;
                assert!([200, 400, 503].contains(&answer.status.as_u16()), "{:?}", answer.body);
            }
        })
    });
    let renaming: Vec<_> = renaming.collect();
    let mut size = GIB;
    for _ in 0..20 {
        size += 16384;
        while house.ana.put(&path, disk("grown", size)).await.status != 200 {}
        assert_eq!(house.ana.show(&drive).await["size"], size);
    }
    join_all(renaming).await.into_iter().for_each(|worker| worker.unwrap());
    assert_eq!(house.ana.show(&drive).await["size"], size);
    house.assert_sound().await;
}

/// Spec, section 4: the table of states.
async fn a_state_that_is_passing_allows_little(house: House) {
    for status in ["creating", "resizing", "cloning_src", "cloning_dst", "unavailable"] {
        let drive = house.ana.drive("d").await;
        house.set_status(&drive, status).await;
        let path = format!("drives/{drive}/");
        let told = house.ana.put(&path, disk("renamed", GIB)).await.expect(200).json();
        assert_eq!((&told["name"], &told["status"]), (&json!("renamed"), &json!(status)));
        let told = house.ana.put(&path, disk("d", 2 * GIB)).await.expect(403).fault();
        assert!(told.2.contains(&format!("in state \"{status}\"")), "{}", told.2);
        house.ana.post(&format!("{path}action/?do=resize"), disk("d", GIB)).await.expect(403);
        let is_src = status == "cloning_src";
        let clone = house.ana.post(&format!("{path}action/?do=clone"), json!({})).await;
        clone.expect(if is_src { 202 } else { 403 });
        let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await;
        snapshot.expect(if is_src { 201 } else { 403 });
        let download = house.ana.call("GET", &format!("{path}download/"), &[("range", "bytes=0-0")], "").await;
        download.expect(if is_src { 206 } else { 403 });
        let delete = house.ana.delete(&path).await;
        delete.expect(if status == "unavailable" { 204 } else { 403 });
        if status != "unavailable" {
            let attach = house.ana.post("servers/", crate::house::server(&[&drive])).await;
            attach.expect(if is_src { 201 } else { 403 });
        }
    }
}
