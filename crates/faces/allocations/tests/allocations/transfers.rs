//! Transfers: the second way in and out.

use axum::body::Body;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::house::{House, NOBODY, bytes, framed};

on_both! {
    files_of_an_upload_become_files_of_the_record
    a_file_put_again_takes_the_place_of_the_one_before
    a_download_is_read_file_by_file
    a_transfer_ends_by_time_and_takes_nothing_more
    transfers_are_listed_by_page_and_filter
    what_is_said_of_a_transfer_is_checked
}

async fn record(house: &House) -> (String, String) {
    let allocation = house.give(&house.ana, 1 << 30, 10).await;
    (allocation, house.ana.upload("filename=first", b"first").await.expect(201).id())
}

async fn open(house: &House, body: Value) -> Value {
    house.ana.post("/api/transfers/", body).await.expect(201).json()
}

fn id(transfer: &Value) -> String {
    transfer["transfer_id"].as_str().unwrap().to_owned()
}

async fn put(house: &House, transfer: &Value, name: &str, bytes: &[u8]) -> crate::house::Answer {
    let path = format!("{}{name}", transfer["prefix"].as_str().unwrap());
    let length = bytes.len().to_string();
    let headers = [("content-type", "text/csv"), ("content-length", length.as_str())];
    house.ana.call("PUT", &path, &headers, framed(bytes)).await
}

async fn files_of_an_upload_become_files_of_the_record(house: House) {
    let (allocation, record) = record(&house).await;
    let body = json!({ "content_id": record, "type": "upload", "files": ["a.csv", "dir/b.csv"], "expires_in": 60 });
    let made = open(&house, body).await;
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["transfer_id", "credentials", "endpoint", "prefix", "files", "expires_at"]);
    assert_eq!(made["endpoint"], "http://plimsoll.example");
    assert_eq!(made["files"][1]["filename"], "dir/b.csv");
    assert_eq!(put(&house, &made, "other.csv", b"x").await.expect(400).json()["filename"].as_array().unwrap().len(), 1);
    let large = bytes(100_000);
    put(&house, &made, "a.csv", &large).await.expect(200);
    let told = put(&house, &made, "dir/b.csv", b"bb").await.expect(200).json();
    let sum = format!("sha256:{}", hex::encode(Sha256::digest(b"bb")));
    assert_eq!(told, json!({ "filename": "dir/b.csv", "size": 2, "checksum": sum }));
    assert_eq!(house.used(&allocation).await, (100_007, 1), "one record, whatever files it has");
    let told = house.ana.get(&format!("/api/records/{record}/")).await.expect(200).json();
    let names: Vec<&Value> = told["files"].as_array().unwrap().iter().map(|file| &file["filename"]).collect();
    assert_eq!(names, ["first", "a.csv", "dir/b.csv"]);
    assert_eq!(told["size_bytes"], 100_007);
    let back = house.ana.get(&format!("/api/records/{record}/download/?file=a.csv")).await.expect(200);
    assert!(back.body == large);
    house.ana.delete(&format!("/api/records/{record}/")).await.expect(204);
    assert_eq!(house.used(&allocation).await, (0, 0));
    house.assert_sound().await;
}

async fn a_file_put_again_takes_the_place_of_the_one_before(house: House) {
    let (allocation, record) = record(&house).await;
    let made = open(&house, json!({ "content_id": record, "type": "upload" })).await;
    for size in [10, 50_000, 3] {
        put(&house, &made, "first", &bytes(size)).await.expect(200);
        assert_eq!(house.used(&allocation).await, (size as u64, 1));
        let back = house.ana.get(&format!("/api/records/{record}/download/")).await.expect(200);
        assert!(back.body == bytes(size));
    }
    house.assert_sound().await;
}

async fn a_download_is_read_file_by_file(house: House) {
    let (_, record) = record(&house).await;
    let made = open(&house, json!({ "content_id": record, "type": "download" })).await;
    assert_eq!(made["files"][0]["filename"], "first");
    let path = format!("{}first", made["prefix"].as_str().unwrap());
    assert_eq!(house.ana.get(&path).await.expect(200).body, "first");
    house.ben.get(&path).await.expect(404);
    put(&house, &made, "first", b"x").await.expect(400);
}

async fn a_transfer_ends_by_time_and_takes_nothing_more(house: House) {
    let (_, record) = record(&house).await;
    let made = open(&house, json!({ "content_id": record, "type": "upload", "expires_in": 60 })).await;
    let path = format!("/api/transfers/{}/", id(&made));
    assert_eq!(house.ana.get(&path).await.expect(200).json()["status"], "pending");
    house
        .store
        .write(
            store::Unit::by(crate::house::by())
                .rows(|tx| tx.execute("UPDATE transfers SET expires_at = $1", &store::params![tx.now() - 1]).map(drop)),
        )
        .await
        .unwrap();
    assert_eq!(house.ana.get(&path).await.expect(200).json()["status"], "expired");
    put(&house, &made, "a", b"x").await.expect(409);
    house.ana.patch(&path, json!({ "bytes_transferred": 1 })).await.expect(409);
    let listed = house.ana.get("/api/transfers/?status=expired").await.expect(200).json();
    assert_eq!(listed["count"], 1);
    assert_eq!(house.ana.get("/api/transfers/?status=pending").await.expect(200).json()["count"], 0);
}

async fn transfers_are_listed_by_page_and_filter(house: House) {
    let (_, record) = record(&house).await;
    open(&house, json!({ "content_id": record, "type": "upload", "files": ["needle.csv"] })).await;
    open(&house, json!({ "content_id": record, "type": "download", "origin": "system" })).await;
    let count = async |query: &str| {
        house.ana.get(&format!("/api/transfers/?{query}")).await.expect(200).json()["count"].clone()
    };
    assert_eq!(count("").await, 1, "the user's only, when nothing else is said");
    assert_eq!(count("origin=all").await, 2);
    assert_eq!(count("origin=all&type=download").await, 1);
    assert_eq!(count("q=NEEDLE").await, 1);
    assert_eq!(count("q=hay%25").await, 0);
    assert_eq!(count(&format!("repository={}", house.repository)).await, 1);
    assert_eq!(count(&format!("project={NOBODY}")).await, 0);
    assert_eq!(count(&format!("asset_id={NOBODY}")).await, 0);
    let answer = house.ana.get("/api/transfers/?page=99").await.expect(404);
    assert_eq!(answer.json(), json!({ "detail": "Invalid page." }));
    assert_eq!(house.ben.get("/api/transfers/").await.expect(200).json()["count"], 0);
    assert_eq!(house.admin.get("/api/transfers/").await.expect(200).json()["count"], 1);
}

async fn what_is_said_of_a_transfer_is_checked(house: House) {
    let (_, record) = record(&house).await;
    for expires_in in [59, 604_801] {
        let body = json!({ "content_id": record, "type": "upload", "expires_in": expires_in });
        assert!(house.ana.post("/api/transfers/", body).await.expect(400).json()["expires_in"].is_array());
    }
    let unknown = json!({ "content_id": NOBODY, "type": "upload" });
    assert!(house.ana.post("/api/transfers/", unknown).await.expect(400).json()["content_id"].is_array());
    house
        .ana
        .post("/api/transfers/", json!({ "content_id": record, "type": "upload", "files": ["../x"] }))
        .await
        .expect(400);
    let made = open(&house, json!({ "content_id": record, "type": "upload", "files": ["a"] })).await;
    let path = format!("/api/transfers/{}/", id(&made));
    let told = house.ana.patch(&path, json!({ "bytes_transferred": 1 })).await.expect(200).json();
    assert_eq!((&told["status"], &told["bytes_transferred"]), (&json!("in_progress"), &json!(1)));
    let done = |size: u64| json!({ "completed_files": [{ "filename": "a", "size": size, "checksum": null }] });
    house.ana.patch(&path, done(2)).await.expect(400);
    put(&house, &made, "a", b"aa").await.expect(200);
    house.ana.patch(&path, done(3)).await.expect(400);
    let told = house.ana.patch(&path, done(2)).await.expect(200).json();
    assert_eq!(told["status"], "completed");
    house.ana.call("PUT", &path, &[], Body::empty()).await.expect(405);
    put(&house, &made, "a", b"aa").await.expect(409);
}
