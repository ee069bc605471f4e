//! How many people use a drive (spec, section 3.7).

use serde_json::json;

use crate::house::{House, NOBODY};

on_both! {
    a_record_is_made_read_changed_and_deleted
    a_record_needs_a_drive_and_an_amount
    the_list_echoes_its_default_limit
}

/// Checklist 54.
async fn a_record_is_made_read_changed_and_deleted(house: House) {
    let drive = house.ana.drive("d").await;
    let path = format!("driveusers/{drive}/");
    let reference = json!({ "resource_uri": format!("/api/2.0/drives/{drive}/"), "uuid": drive });
    let record = |amount: u64| json!({ "amount": amount, "drive": reference });
    let made = house.ana.post("driveusers/", json!({ "drive": drive, "amount": 5 })).await.expect(201);
    assert_eq!(made.json(), json!({ "objects": [record(5)] }));
    assert_eq!(house.ana.get(&path).await.expect(200).json(), record(5));
    assert_eq!(house.ana.get("driveusers/").await.expect(200).objects(), [record(5)]);
    let told = house.ana.put(&path, json!({ "amount": 7 })).await.expect(200).json();
    assert_eq!(told, json!({ "objects": [record(7)] }));
    let gone = house.ana.delete(&path).await.expect(204);
    assert_eq!(gone.header("content-type"), "application/json; charset=utf-8");
    house.ana.get(&path).await.expect(404);
    house.ana.delete(&path).await.expect(404);
}

/// Checklist 55.
async fn a_record_needs_a_drive_and_an_amount(house: House) {
    let drive = house.ana.drive("d").await;
    let post = async |body: serde_json::Value| house.ana.post("driveusers/", body).await;
    assert_eq!(post(json!({ "drive": drive, "amount": 0 })).await.expect(400).fault().1, "amount");
    post(json!({ "drive": NOBODY, "amount": 1 })).await.expect(404);
    house.ben.post("driveusers/", json!({ "drive": drive, "amount": 1 })).await.expect(404);
    post(json!({})).await.expect(400);
    post(json!({ "drive": drive, "amount": 1 })).await.expect(201);
    assert_eq!(post(json!({ "drive": drive, "amount": 1 })).await.expect(400).fault().1, "drive");
    let server = house.ana.server(&[&drive]).await;
    house.ana.delete(&format!("driveusers/{drive}/")).await.expect(403);
    house.ana.delete(&format!("servers/{server}/")).await.expect(204);
    house.ana.delete(&format!("driveusers/{drive}/")).await.expect(204);
}

/// Checklist 56.
async fn the_list_echoes_its_default_limit(house: House) {
    for n in 0..22 {
        let drive = house.ana.drive(&format!("d{n}")).await;
        house.ana.post("driveusers/", json!({ "drive": drive, "amount": 1 })).await.expect(201);
    }
    let listed = house.ana.get("driveusers/?limit=0").await.expect(200);
    assert_eq!(listed.json()["meta"], json!({ "limit": 20, "offset": 0, "total_count": 22 }));
    assert_eq!(listed.objects().len(), 22);
}
