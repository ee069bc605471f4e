//! Every example of the API's own page, sent as printed, and answered as printed but for ids, times and what is newer.

use serde_json::{Value, json};

use crate::house::{Answer, GIB, House, disk};

on_both! {
    the_lists_are_as_printed
    drives_are_created_as_printed
    a_drive_is_edited_and_resized_as_printed
    many_drives_are_deleted_as_printed
    drives_are_cloned_as_printed
    driveusers_are_as_printed
}

/// What the page's older examples lack: always sent.
const NEWER: [&str; 5] = ["backup_scheduler", "grantees", "iops", "permissions", "remote_snapshots"];

/// That an answer is as printed: the same keys in the same order, the same values but for ids.
#[track_caller]
fn assert_printed(answer: &Answer, printed: &str) {
    let mut wanted: Value = serde_json::from_str(printed).unwrap();
    let mut found = answer.json();
    smooth(&mut wanted, None);
    smooth(&mut found, Some(&wanted.clone()));
    let text = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert_eq!(text(&found), text(&wanted));
}

/// Puts one word for every id, and takes out what `printed` lacks of what is newer.
fn smooth(value: &mut Value, printed: Option<&Value>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(printed)) = printed {
                map.retain(|key, _| printed.contains_key(key) || !NEWER.contains(&key.as_str()));
            }
            for (key, inner) in map.iter_mut() {
                smooth(inner, printed.and_then(|printed| printed.get(key)));
            }
        }
        Value::Array(list) => {
            for (place, inner) in list.iter_mut().enumerate() {
                smooth(inner, printed.and_then(|printed| printed.get(place)));
            }
        }
        Value::String(text) => {
            let parts = text.split('/').map(|part| match part.len() == 36 && part.matches('-').count() == 4 {
                true => "ID",
                false => part,
            });
            *text = parts.collect::<Vec<_>>().join("/");
        }
        _ => {}
    }
}

async fn the_lists_are_as_printed(house: House) {
    house.ana.text("POST", "drives/", include_str!("seed/create_many.in.txt")).await.expect(201);
    let two = json!([disk("otom-0-take2", 12_348_030_976), disk("atom-sol", 12_348_030_976)]);
    house.ana.post("drives/", two).await.expect(201);
    let listed = house.ana.get("/api/2.0/drives/?limit=0").await.expect(200);
    assert_printed(&listed, include_str!("seed/list.out.txt"));
    let listed = house.ana.get("/api/2.0/drives/?fields=uuid,status&limit=0").await.expect(200);
    assert_printed(&listed, include_str!("seed/fields.out.txt"));
    let detail = house.ana.get("/api/2.0/drives/detail/?limit=0").await.expect(200);
    assert_eq!(detail.json()["meta"], json!({ "limit": 0, "offset": 0, "total_count": 7 }));
    let one = detail.objects().into_iter().find(|drive| drive["name"] == "test_drive_1").unwrap();
    let single = house.ana.get(&format!("drives/{}/", one["uuid"].as_str().unwrap())).await.expect(200);
    assert_printed(&single, include_str!("seed/single.out.txt"));
    assert_eq!(single.json(), one);
}

async fn drives_are_created_as_printed(house: House) {
    house.ana.text("POST", "drives/", include_str!("seed/create_one.in.txt")).await.expect(201);
    for body in [include_str!("seed/create_many.in.txt"), include_str!("seed/create_bare.in.txt")] {
        let made = house.ana.text("POST", "drives/", body).await.expect(201);
        assert_printed(&made, include_str!("seed/create_many.out.txt"));
    }
    let made = house.ana.text("POST", "drives/", include_str!("seed/create_zadara.in.txt")).await.expect(201);
    assert_printed(&made, include_str!("seed/create_zadara.out.txt"));
    // First out of room, in the page's own sentence; then with room, as printed but for meta and what is not ready yet.
    let body = include_str!("seed/create_nvme.in.txt");
    let told = house.ana.text("POST", "drives/", body).await.expect(503).fault().2;
    assert_eq!(told, "We currently cannot provide enough resources to create a nvme drive");
    house.limit_supply("disk/nvme", GIB).await;
    let made = house.ana.text("POST", "drives/", body).await.expect(201);
    let printed = include_str!("seed/create_nvme.out.txt");
    let printed =
        printed.replace("\"description\": \"\"", "").replace("_snapshotable\": true", "_snapshotable\": null");
    assert_printed(&made, &printed);
}

async fn a_drive_is_edited_and_resized_as_printed(house: House) {
    let drive = house.ana.drive("d").await;
    let told = house.ana.text("PUT", &format!("drives/{drive}/"), include_str!("seed/edit.in.txt")).await.expect(200);
    assert_printed(&told, include_str!("seed/edit.out.txt"));
    let drive = house.ana.post("drives/", disk("test_drive_1", 2 * GIB)).await.expect(201).id();
    let path = format!("drives/{drive}/action/?do=resize");
    let told = house.ana.text("POST", &path, include_str!("seed/resize.in.txt")).await.expect(202);
    assert_printed(&told, include_str!("seed/resize.out.txt"));
    assert_eq!(house.ana.until(&drive, "unmounted").await["size"], 4 * GIB);
}

async fn many_drives_are_deleted_as_printed(house: House) {
    let printed = [
        "b137e217-42b6-4ecf-8575-d72efc2d3dbd",
        "e035a488-8587-4a15-ab25-9b7343236bc9",
        "feded33c-106f-49fa-a1c4-be5c718ad1b5",
    ];
    let mut body = include_str!("seed/delete_many.in.txt").to_owned();
    for id in printed {
        assert!(body.contains(id));
        body = body.replace(id, &house.ana.drive("d").await);
    }
    let answer = house.ana.text("DELETE", "drives/", &body).await.expect(204);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
}

async fn drives_are_cloned_as_printed(house: House) {
    let drive = house.ana.drive("d").await;
    let path = format!("drives/{drive}/action/?do=clone");
    let told = house.ana.text("POST", &path, include_str!("seed/clone.in.txt")).await.expect(202);
    let printed = include_str!("seed/clone.out.txt").replace("_snapshotable\": true", "_snapshotable\": null");
    assert_printed(&told, &printed);
    let body = include_str!("seed/create_zadara.in.txt");
    let zadara = house.ana.text("POST", "drives/", body).await.expect(201).id();
    let path = format!("drives/{zadara}/action/?do=clone");
    let told = house.ana.text("POST", &path, include_str!("seed/clone_same.in.txt")).await.expect(202);
    assert_printed(&told, include_str!("seed/clone_same.out.txt"));
    let other = house.ana.drive("test_zadara_drive_for_clone").await;
    let path = format!("drives/{other}/action/?do=clone");
    let told = house.ana.text("POST", &path, include_str!("seed/clone_other.in.txt")).await.expect(202);
    assert_printed(&told, include_str!("seed/clone_other.out.txt"));
    house.ana.until(&told.id(), "unmounted").await;
}

async fn driveusers_are_as_printed(house: House) {
    let (first, second) = (house.ana.drive("1").await, house.ana.drive("2").await);
    house.ana.post("driveusers/", json!({ "drive": first, "amount": 4 })).await.expect(201);
    house.clock.advance(1);
    house.ana.post("driveusers/", json!({ "drive": second, "amount": 2 })).await.expect(201);
    let listed = house.ana.get("driveusers/?limit=0").await.expect(200);
    assert_printed(&listed, include_str!("seed/driveusers.out.txt"));
    let one = house.ana.get(&format!("driveusers/{second}/")).await.expect(200);
    assert_printed(&one, include_str!("seed/driveuser.out.txt"));
    let third = house.ana.drive("3").await;
    let body = include_str!("seed/driveuser_create.in.txt").replace("e26fd531-7336-40e7-9a6f-db42e7a6b9f2", &third);
    let made = house.ana.text("POST", "driveusers/", &body).await.expect(201);
    assert_printed(&made, include_str!("seed/driveuser_create.out.txt"));
    let path = format!("driveusers/{third}/");
    let told = house.ana.text("PUT", &path, include_str!("seed/driveuser_edit.in.txt")).await.expect(200);
    assert_printed(&told, include_str!("seed/driveuser_edit.out.txt"));
    let gone = house.ana.delete(&path).await.expect(204);
    assert_eq!(gone.header("content-type"), "application/json; charset=utf-8");
}
