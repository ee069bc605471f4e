//! Snapshots (spec, section 5.2).

use serde_json::{Value, json};

use crate::house::{GIB, House, NOBODY, disk};

on_both! {
    a_new_snapshot_is_creating_and_then_available
    a_snapshot_without_a_name_gets_its_drives_and_the_time
    snapshots_are_found_by_their_drive
    a_drive_is_named_in_three_ways
    a_clone_of_a_snapshot_is_answered_bare
    a_clone_of_a_snapshot_has_the_bytes_of_then
    what_a_write_preserves_is_told_and_charged
    there_is_a_most_of_one_drives_snapshots
    a_snapshot_is_renamed_and_deleted
}

/// Checklist 57.
async fn a_new_snapshot_is_creating_and_then_available(house: House) {
    let drive = house.ana.drive("d").await;
    let made = house.ana.post("snapshots/", json!({ "drive": drive, "name": "s" })).await.expect(201);
    let first = &made.objects()[0];
    assert_eq!((&first["status"], &first["allocated_size"]), (&json!("creating"), &Value::Null));
    let shown = house.ana.get(&format!("snapshots/{}/", made.id())).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["allocated_size"]), (&json!("available"), &json!(0)));
    assert_eq!(house.ana.show(&drive).await["status"], "unmounted");
    assert_eq!(house.used_by(&house.ana).await, GIB);
    house.assert_sound().await;
}

/// Checklist 58.
async fn a_snapshot_without_a_name_gets_its_drives_and_the_time(house: House) {
    let drive = house.ana.drive("d").await;
    let made = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).objects().remove(0);
    assert_eq!(made["name"], format!("{drive}__2026-01-01__00_00_00"));
    assert_eq!(made["timestamp"], "2026-01-01 00:00:00.000000+00:00");
}

/// Checklist 59.
async fn snapshots_are_found_by_their_drive(house: House) {
    let (drive, other) = (house.ana.drive("d").await, house.ana.drive("o").await);
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    house.ana.post("snapshots/", json!({ "drive": other })).await.expect(201);
    let listed = house.ana.get(&format!("snapshots/?drive={drive}")).await.expect(200).objects();
    assert_eq!(listed.len(), 1);
    assert_eq!(house.ana.get("snapshots/detail/").await.expect(200).objects().len(), 2);
    assert_eq!(house.ana.show(&drive).await["snapshots"][0]["uuid"], snapshot);
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    for gone in [drive.as_str(), NOBODY] {
        let listed = house.ana.get(&format!("snapshots/?drive={gone}")).await.expect(200);
        assert_eq!(listed.objects().len(), 0);
    }
}

/// Checklist 60.
async fn a_drive_is_named_in_three_ways(house: House) {
    let drive = house.ana.drive("d").await;
    for reference in [json!(drive), json!({ "uuid": drive }), json!(format!("/api/2.0/drives/{drive}/"))] {
        house.ana.post("snapshots/", json!({ "objects": [{ "drive": reference }] })).await.expect(201);
    }
    house.ana.post("snapshots/", json!({ "drive": NOBODY })).await.expect(404);
    assert_eq!(house.ana.post("snapshots/", json!({})).await.expect(400).fault().1, "drive");
}

/// Checklist 61.
async fn a_clone_of_a_snapshot_is_answered_bare(house: House) {
    let drive = house.ana.drive("d").await;
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive, "name": "then" })).await.expect(201).id();
    let told = house.ana.post(&format!("snapshots/{snapshot}/action/?do=clone"), json!({})).await.expect(202).json();
    let seen = (&told["status"], &told["name"], told["resource_uri"].is_string());
    assert_eq!(seen, (&json!("cloning_dst"), &json!("then"), true));
    assert_eq!(told["jobs"].as_array().unwrap().len(), 1);
    house.ana.post(&format!("snapshots/{snapshot}/action/?do=boil"), json!({})).await.expect(400);
}

/// Checklist 62.
async fn a_clone_of_a_snapshot_has_the_bytes_of_then(house: House) {
    let drive = house.ana.drive("d").await;
    house.write(&drive, 65536, b"then").await;
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    house.write(&drive, 65536, b"now!").await;
    house.ana.put(&format!("drives/{drive}/"), disk("d", 2 * GIB)).await.expect(200);
    let clone = house.ana.post(&format!("snapshots/{snapshot}/action/?do=clone"), json!({})).await.expect(202).id();
    assert_eq!(house.ana.until(&clone, "unmounted").await["size"], GIB);
    assert_eq!(house.ana.read(&clone, 65536, 65539).await.as_ref(), b"then");
    assert_eq!(house.ana.read(&drive, 65536, 65539).await.as_ref(), b"now!");
    // It outlives both.
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    assert_eq!(house.ana.read(&clone, 65536, 65539).await.as_ref(), b"then");
    house.assert_sound().await;
}

/// Checklist 63.
async fn what_a_write_preserves_is_told_and_charged(house: House) {
    let drive = house.ana.drive("d").await;
    house.write(&drive, 0, &[1; 1 << 20]).await;
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    house.write(&drive, 0, &[2; 1 << 20]).await;
    let shown = house.ana.get(&format!("snapshots/{snapshot}/")).await.expect(200).json();
    let allocated = shown["allocated_size"].as_u64().unwrap();
    assert!((1 << 20..=4 << 20).contains(&allocated), "{allocated}");
    assert_eq!(house.ana.show(&drive).await["runtime"]["snapshots_allocated_size"], allocated);
    assert!(house.used_by(&house.ana).await >= GIB + (1 << 20));
    house.assert_sound().await;
}

/// Checklist 64.
async fn there_is_a_most_of_one_drives_snapshots(house: House) {
    let drive = house.ana.drive("d").await;
    for _ in 0..90 {
        house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201);
    }
    assert_eq!(house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(403).fault().0, "permission");
    assert_eq!(house.ana.get("capabilities/").await.expect(200).json()["snapshots"]["current"], 90);
    house.assert_sound().await;
}

/// Checklist 64.
async fn a_snapshot_is_renamed_and_deleted(house: House) {
    let drive = house.ana.drive("d").await;
    let make = async || house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    let (a, b, c) = (make().await, make().await, make().await);
    let body = json!({ "name": "new", "meta": { "a": "b" }, "drive": { "uuid": NOBODY } });
    let told = house.ana.put(&format!("snapshots/{a}/"), body).await.expect(200).json();
    assert_eq!((&told["name"], &told["meta"]), (&json!("new"), &json!({ "a": "b" })));
    assert_eq!(told["drive"]["uuid"], drive.as_str());
    house.ana.delete(&format!("snapshots/{a}/")).await.expect(204);
    house.ana.get(&format!("snapshots/{a}/")).await.expect(404);
    let body = json!({ "objects": [{ "uuid": b }, { "uuid": NOBODY }] }).to_string();
    house.ana.text("DELETE", "snapshots/", &body).await.expect(404);
    let body = json!({ "objects": [{ "uuid": b }, { "uuid": c }] }).to_string();
    house.ana.text("DELETE", "snapshots/", &body).await.expect(204);
    assert_eq!(house.ana.get("snapshots/").await.expect(200).json()["meta"]["total_count"], 0);
    house.assert_sound().await;
}
