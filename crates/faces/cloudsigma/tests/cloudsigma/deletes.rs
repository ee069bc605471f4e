//! Deleting drives (spec, section 3.4).

use serde_json::json;

use crate::house::{House, NOBODY};

on_both! {
    a_deleted_drive_is_gone_at_once
    many_go_in_one_call_or_none
    without_a_list_nothing_is_deleted
    a_running_server_keeps_its_drive_and_a_stopped_one_loses_it
    a_drive_takes_its_snapshots_and_its_users_with_it
    a_snapshot_taken_beside_a_delete_leaves_nothing_behind
}

/// Checklist 40.
async fn a_deleted_drive_is_gone_at_once(house: House) {
    let drive = house.ana.drive("d").await;
    let answer = house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    assert_eq!((answer.header("content-type"), answer.body.len()), ("text/html; charset=utf-8", 0));
    house.ana.get(&format!("drives/{drive}/")).await.expect(404);
    house.ana.delete(&format!("drives/{drive}/")).await.expect(404);
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
    assert_eq!(house.used_by(&house.ana).await, 0);
    house.assert_sound().await;
}

/// Checklist 41.
async fn many_go_in_one_call_or_none(house: House) {
    let (a, b, c) = (house.ana.drive("a").await, house.ana.drive("b").await, house.ana.drive("c").await);
    let list = |ids: &[&str]| json!({ "objects": ids.iter().map(|id| json!({ "uuid": id })).collect::<Vec<_>>() });
    let send = async |body: serde_json::Value| house.ana.text("DELETE", "drives/", &body.to_string()).await;
    send(list(&[&a, NOBODY])).await.expect(404);
    house.set_status(&b, "resizing").await;
    send(list(&[&a, &b])).await.expect(403);
    house.set_status(&b, "unmounted").await;
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 3);
    send(list(&[&a, &b])).await.expect(204);
    send(list(&[&c])["objects"].clone()).await.expect(204);
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
    assert_eq!(house.used("disk").await, 0);
}

/// Checklist 42.
async fn without_a_list_nothing_is_deleted(house: House) {
    house.ana.drive("d").await;
    for body in ["", "{}", "[]", "{\"objects\": []}", "null"] {
        house.ana.text("DELETE", "drives/", body).await.expect(400);
    }
    house.ana.text("DELETE", "drives/", "[{\"name\": \"d\"}]").await.expect(400);
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 1);
}

/// Checklist 43.
async fn a_running_server_keeps_its_drive_and_a_stopped_one_loses_it(house: House) {
    let drive = house.ana.drive("d").await;
    let server = house.ana.server(&[&drive]).await;
    house.ana.act(&server, "start").await.expect(202);
    house.ana.delete(&format!("drives/{drive}/")).await.expect(403);
    house.ana.act(&server, "stop").await.expect(202);
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    let server = house.ana.get(&format!("servers/{server}/")).await.expect(200).json();
    assert_eq!(server["drives"], json!([]));
}

/// Checklist 44.
async fn a_drive_takes_its_snapshots_and_its_users_with_it(house: House) {
    let drive = house.ana.drive("d").await;
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    house.ana.post("driveusers/", json!({ "drive": drive, "amount": 2 })).await.expect(201);
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    house.ana.get(&format!("snapshots/{snapshot}/")).await.expect(404);
    house.ana.get(&format!("driveusers/{drive}/")).await.expect(404);
    assert_eq!(house.ana.get("driveusers/").await.expect(200).json()["meta"]["total_count"], 0);
    house.assert_sound().await;
}

async fn a_snapshot_taken_beside_a_delete_leaves_nothing_behind(house: House) {
    for _ in 0..25 {
        let drive = house.ana.drive("d").await;
        let snapshot = async { house.ana.post("snapshots/", json!({ "drive": drive })).await.status.as_u16() };
        let path = format!("drives/{drive}/");
        let (taken, gone) = tokio::join!(snapshot, house.ana.delete(&path));
        assert!([201, 404, 503].contains(&taken), "{taken}");
        if gone.status != 204 {
            gone.expect(503);
            house.ana.delete(&path).await.expect(204);
        }
    }
    let node = house.ana.node.unwrap().into();
    let node = house.store.read(move |tx| store::allotments::find(tx, &node)).await.unwrap().unwrap();
    for resource in [ledger::Resource::BYTES, ledger::Resource::DRIVES, ledger::Resource::SNAPSHOTS] {
        assert_eq!(node.balance(resource).used, 0, "{resource}");
    }
    house.assert_sound().await;
}
