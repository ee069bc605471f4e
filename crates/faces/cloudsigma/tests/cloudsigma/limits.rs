//! Limits hold, and say so (spec, section 8).

use futures_util::future::join_all;
use ledger::Resource;
use serde_json::{Value, json};

use crate::house::{GIB, House, disk};

on_both! {
    a_limit_can_be_filled_and_not_passed
    of_a_hundred_creates_as_many_succeed_as_there_is_room
    many_at_once_are_one_admission
    a_resize_over_the_limit_changes_nothing
    a_delete_works_when_all_is_full_and_frees_at_once
    the_callers_own_limit_is_told_before_the_pools
    the_number_of_drives_is_limited_too
    a_limit_of_the_tenant_is_one_of_all_its_people
}

/// Checklist 82.
async fn a_limit_can_be_filled_and_not_passed(house: House) {
    house.limit(house.ana.node.unwrap(), Resource::BYTES, Some(2 * GIB)).await;
    house.ana.post("drives/", disk("a", 2 * GIB - GIB / 2)).await.expect(201);
    house.ana.post("drives/", disk("b", GIB / 2)).await.expect(201);
    let told = house.ana.post("drives/", disk("c", GIB / 2)).await.expect(402).fault();
    assert_eq!((told.0.as_str(), &told.1), ("billing", &json!("size")));
    for number in [2 * GIB, GIB / 2] {
        assert!(told.2.contains(&number.to_string()), "{}", told.2);
    }
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 2);
    house.assert_sound().await;
}

/// Checklist 83, and the hundred.
async fn of_a_hundred_creates_as_many_succeed_as_there_is_room(house: House) {
    house.limit_supply("disk/dssd", 7 * GIB + GIB / 2).await;
    let calls = (0..100).map(|n| {
        let caller = if n % 2 == 0 { house.ana.clone() } else { house.mallory.clone() };
        tokio::spawn(async move { caller.post("drives/", disk(&format!("d{n}"), GIB)).await.status.as_u16() })
    });
    let mut made = 0;
    for status in join_all(calls).await {
        match status.unwrap() {
            201 => made += 1,
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!(made, 7);
    assert_eq!(house.used("disk/dssd").await, 7 * GIB);
    house.assert_sound().await;
}

/// Checklist 84.
async fn many_at_once_are_one_admission(house: House) {
    house.limit(house.ana.node.unwrap(), Resource::BYTES, Some(3 * GIB)).await;
    let many: Vec<Value> = (0..4).map(|n| disk(&format!("d{n}"), GIB)).collect();
    house.ana.post("drives/", json!(many)).await.expect(402);
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
    house.ana.post("drives/", json!(many[..3])).await.expect(201);
    house.assert_sound().await;
}

/// Checklist 84.
async fn a_resize_over_the_limit_changes_nothing(house: House) {
    let drive = house.ana.drive("d").await;
    house.limit(house.ana.node.unwrap(), Resource::BYTES, Some(2 * GIB)).await;
    let path = format!("drives/{drive}/action/?do=resize");
    house.ana.post(&path, disk("renamed", 2 * GIB + 1)).await.expect(402);
    let shown = house.ana.show(&drive).await;
    let seen = (&shown["name"], &shown["size"], &shown["status"]);
    assert_eq!(seen, (&json!("d"), &json!(GIB), &json!("unmounted")));
    house.limit_supply("disk/dssd", GIB).await;
    let told = house.ana.post(&path, disk("d", 2 * GIB)).await.expect(503).fault().2;
    assert_eq!(told, "We currently cannot provide enough resources to create a dssd drive");
    house.assert_sound().await;
}

/// Checklist 85.
async fn a_delete_works_when_all_is_full_and_frees_at_once(house: House) {
    let (a, b) = (house.ana.drive("a").await, house.ana.drive("b").await);
    house.limit_supply("disk/dssd", GIB).await;
    house.limit(house.ana.node.unwrap(), Resource::BYTES, Some(GIB)).await;
    let using = async || house.ana.get("currentusage/").await.expect(200).json()["usage"]["dssd"]["using"].clone();
    assert_eq!(using().await, 2 * GIB);
    house.ana.delete(&format!("drives/{a}/")).await.expect(204);
    assert_eq!(using().await, GIB);
    house.ana.post("drives/", disk("c", GIB / 2)).await.expect(402);
    house.ana.delete(&format!("drives/{b}/")).await.expect(204);
    house.ana.post("drives/", disk("c", GIB)).await.expect(201);
    house.assert_sound().await;
}

/// Checklist 88.
async fn the_callers_own_limit_is_told_before_the_pools(house: House) {
    house.limit_supply("disk/dssd", 0).await;
    let told = house.ana.post("drives/", disk("d", GIB)).await.expect(503).fault();
    assert_eq!((told.0.as_str(), told.1), ("backend", Value::Null));
    house.limit(house.ana.node.unwrap(), Resource::BYTES, Some(0)).await;
    house.ana.post("drives/", disk("d", GIB)).await.expect(402);
}

async fn the_number_of_drives_is_limited_too(house: House) {
    house.limit(house.ana.node.unwrap(), Resource::DRIVES, Some(1)).await;
    let drive = house.ana.drive("d").await;
    let told = house.ana.post("drives/", disk("e", GIB)).await.expect(402).fault();
    assert_eq!((told.0.as_str(), told.1), ("billing", Value::Null));
    house.ana.post(&format!("drives/{drive}/action/?do=clone"), json!({})).await.expect(402);
    house.ana.put(&format!("drives/{drive}/"), disk("d", 2 * GIB)).await.expect(200);
    house.assert_sound().await;
}

async fn a_limit_of_the_tenant_is_one_of_all_its_people(house: House) {
    house.limit(house.acme, Resource::BYTES, Some(2 * GIB)).await;
    house.ana.drive("d").await;
    house.ben.drive("d").await;
    house.ana.post("drives/", disk("e", GIB)).await.expect(402);
    house.mallory.drive("another tenant's").await;
}
