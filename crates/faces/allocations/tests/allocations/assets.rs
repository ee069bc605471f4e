//! Collections and assets, users and projects. Checklist 55 to 57.

use serde_json::{Value, json};

use crate::house::{House, NOBODY};

on_both! {
    an_allocation_attached_to_an_asset_takes_what_is_stored_in_it
    one_attached_to_a_collection_likewise
    what_is_made_in_a_collection_takes_over_its_allocation
    an_assets_newest_record_is_its_content
    a_locked_asset_takes_nothing
    a_deleted_asset_frees_its_records
    an_asset_is_changed_field_by_field
    collections_do_not_lie_in_themselves
    an_asset_is_its_owners_and_its_projects
    users_are_made_by_administrators
    whoever_makes_a_project_is_its_admin
}

async fn asset(house: &House, body: Value) -> Value {
    house.ana.post("/api/assets/", body).await.expect(201).json()
}

async fn an_allocation_attached_to_an_asset_takes_what_is_stored_in_it(house: House) {
    let default = house.give(&house.ana, 1000, 10).await;
    let asset = asset(&house, json!({ "title": "readings" })).await["id"].as_str().unwrap().to_owned();
    let query = format!("asset_id={asset}");
    let told = house.ana.upload(&query, b"x").await.expect(201).json();
    assert_eq!((&told["allocation_id"], &told["asset_id"]), (&json!(default), &json!(asset)));
    let mut body = house.asking(&house.ana, 1000, 10);
    body["attach_to_asset_id"] = json!(asset);
    let attached = house.admin.post("/api/allocations/", body).await.expect(201).id();
    assert_eq!(house.ana.upload(&query, b"x").await.expect(201).json()["allocation_id"], json!(attached));
    let told = house.ana.get(&format!("/api/assets/{asset}/")).await.expect(200).json();
    assert_eq!(told["allocation_id"], json!(attached));
    // Named by the upload itself, another wins.
    let named = house.ana.upload(&format!("{query}&allocation_id={default}"), b"x").await.expect(201).json();
    assert_eq!(named["allocation_id"], json!(default));
}

async fn one_attached_to_a_collection_likewise(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let collection = house.ana.post("/api/collections/", json!({ "title": "all" })).await.expect(201).id();
    let mut body = house.asking(&house.ana, 1000, 10);
    body["attach_to_collection_id"] = json!(collection);
    let attached = house.admin.post("/api/allocations/", body).await.expect(201).id();
    let told = house.ana.upload(&format!("collection_id={collection}"), b"x").await.expect(201).json();
    assert_eq!(told["allocation_id"], json!(attached));
}

async fn what_is_made_in_a_collection_takes_over_its_allocation(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let second = house.give(&house.ana, 1000, 10).await;
    let body = json!({ "title": "all", "allocation_id": second });
    let collection = house.ana.post("/api/collections/", body).await.expect(201).id();
    let sub = json!({ "title": "some", "parent_id": collection });
    let sub = house.ana.post("/api/collections/", sub).await.expect(201).json();
    assert_eq!((&sub["allocation_id"], &sub["parent_id"]), (&json!(second), &json!(collection)));
    let made = asset(&house, json!({ "title": "one", "collection_id": sub["id"] })).await;
    assert_eq!(made["allocation_id"], json!(second));
    let query = format!("asset_id={}", made["id"].as_str().unwrap());
    assert_eq!(house.ana.upload(&query, b"x").await.expect(201).json()["allocation_id"], json!(second));
    let own = asset(&house, json!({ "title": "two", "collection_id": sub["id"], "allocation_id": null })).await;
    assert_eq!(own["allocation_id"], Value::Null);
    let path = format!("/api/collections/{}/assets/", sub["id"].as_str().unwrap());
    let listed = house.ana.get(&path).await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(house.ana.get(&format!("{path}?limit=1")).await.expect(200).json(), json!([listed[0]]));
    let after = format!("{path}?cursor={}", listed[0]["id"].as_str().unwrap());
    assert_eq!(house.ana.get(&after).await.expect(200).json(), json!([listed[1]]));
}

async fn an_assets_newest_record_is_its_content(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let made = asset(&house, json!({ "title": "one" })).await;
    assert_eq!(made["current_content"], Value::Null);
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "title",
            "owner_type",
            "owner_id",
            "creator_id",
            "collection_id",
            "allocation_id",
            "description",
            "alias",
            "tags",
            "metadata",
            "is_locked",
            "current_content",
            "created_at",
            "updated_at",
        ]
    );
    let id = made["id"].as_str().unwrap();
    for size in 1..=2 {
        house.ana.upload(&format!("asset_id={id}"), &vec![0; size]).await.expect(201);
        house.clock.advance(1_000_000);
    }
    let told = house.ana.get(&format!("/api/assets/{id}/")).await.expect(200).json();
    assert_eq!(told["current_content"]["size_bytes"], 2);
    assert_eq!(house.ana.get(&format!("/api/records/?asset_id={id}")).await.expect(200).json()["count"], 2);
}

async fn a_locked_asset_takes_nothing(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let made = asset(&house, json!({ "title": "one", "is_locked": true })).await;
    let id = made["id"].as_str().unwrap();
    house.ana.upload(&format!("asset_id={id}"), b"x").await.expect(403);
    house.ana.delete(&format!("/api/assets/{id}/")).await.expect(403);
    house.ana.patch(&format!("/api/assets/{id}/"), json!({ "is_locked": false })).await.expect(200);
    house.ana.upload(&format!("asset_id={id}"), b"x").await.expect(201);
}

async fn a_deleted_asset_frees_its_records(house: House) {
    let allocation = house.give(&house.ana, 1000, 200).await;
    let made = asset(&house, json!({ "title": "one" })).await;
    let id = made["id"].as_str().unwrap();
    for _ in 0..60 {
        house.ana.upload(&format!("asset_id={id}"), b"x").await.expect(201);
    }
    house.ana.upload("", b"y").await.expect(201);
    house.ana.delete(&format!("/api/assets/{id}/")).await.expect(204);
    house.ana.get(&format!("/api/assets/{id}/")).await.expect(404);
    assert_eq!(house.used(&allocation).await, (1, 1));
    house.assert_sound().await;
}

async fn an_asset_is_changed_field_by_field(house: House) {
    let made = asset(&house, json!({ "title": "one", "tags": ["a"], "metadata": { "k": [1] } })).await;
    let path = format!("/api/assets/{}/", made["id"].as_str().unwrap());
    assert_eq!((&made["tags"], &made["metadata"]), (&json!(["a"]), &json!({ "k": [1] })));
    let told = house.ana.patch(&path, json!({ "title": "two", "tags": [] })).await.expect(200).json();
    assert_eq!((&told["title"], &told["tags"], &told["metadata"]), (&json!("two"), &json!([]), &json!({ "k": [1] })));
    let told = house
        .ana
        .patch(&path, json!({ "title": "", "metadata": [], "collection_id": NOBODY }))
        .await
        .expect(400)
        .json();
    assert_eq!(told["title"], json!(["This field may not be blank."]));
    assert!(told["metadata"].is_array(), "{told}");
    let told =
        house.ana.patch(&path, json!({ "collection_id": NOBODY, "allocation_id": NOBODY })).await.expect(400).json();
    assert_eq!(told.as_object().unwrap().len(), 2);
}

async fn collections_do_not_lie_in_themselves(house: House) {
    let outer = house.ana.post("/api/collections/", json!({ "title": "outer" })).await.expect(201).id();
    let inner = json!({ "title": "inner", "parent_id": outer });
    let inner = house.ana.post("/api/collections/", inner).await.expect(201).id();
    for parent in [&outer, &inner] {
        let path = format!("/api/collections/{outer}/");
        house.ana.patch(&path, json!({ "parent_id": parent })).await.expect(400);
    }
    house.ana.patch(&format!("/api/collections/{inner}/"), json!({ "parent_id": null })).await.expect(200);
    house.ben.get(&format!("/api/collections/{outer}/")).await.expect(404);
}

async fn an_asset_is_its_owners_and_its_projects(house: House) {
    let members =
        json!([{ "user_id": house.ana.id, "role": "manager" }, { "user_id": house.ben.id, "role": "member" }]);
    let project = house.admin.post("/api/projects/", json!({ "name": "climate", "members": members })).await;
    let project = project.expect(201).id();
    let made = asset(&house, json!({ "title": "one", "owner_type": "project", "owner_id": project })).await;
    let path = format!("/api/assets/{}/", made["id"].as_str().unwrap());
    assert_eq!((&made["owner_type"], &made["creator_id"]), (&json!("project"), &json!(house.ana.id)));
    house.ben.get(&path).await.expect(200);
    house.ben.patch(&path, json!({ "title": "two" })).await.expect(403);
    house.mallory.get(&path).await.expect(404);
    let body = json!({ "title": "x", "owner_type": "user", "owner_id": house.ana.id });
    house.ben.post("/api/assets/", body).await.expect(403);
    assert_eq!(house.ben.get("/api/assets/").await.expect(200).json().as_array().unwrap().len(), 1);
}

async fn users_are_made_by_administrators(house: House) {
    let new = json!({ "email": "cleo@acme.example", "name": "Cleo", "password": "cleos password" });
    house.ana.post("/api/users/", json!({})).await.expect(403);
    house.ana.get("/api/users/").await.expect(403);
    let made = house.admin.post("/api/users/", new.clone()).await.expect(201).json();
    assert_eq!((&made["email"], &made["is_system_admin"]), (&json!("cleo@acme.example"), &json!(false)));
    let login = json!({ "email": "cleo@acme.example", "password": "cleos password" });
    assert_eq!(house.stranger.post("/api/auth/login/", login).await.expect(200).json(), made);
    let again = house.admin.post("/api/users/", new.clone()).await.expect(400).json();
    assert_eq!(again, json!({ "email": ["This field must be unique."] }));
    let wrong = json!({ "email": "no address", "password": "x" });
    let wrong = house.admin.post("/api/users/", wrong).await.expect(400).json();
    assert_eq!(wrong, json!({ "email": ["Enter a valid email address."] }));
    assert_eq!(house.admin.get("/api/users/").await.expect(200).json().as_array().unwrap().len(), 4);
    assert_eq!(house.mallory.get("/api/users/").await.expect(200).json().as_array().unwrap().len(), 1);
    let mut of_operator = json!({ "email": "dora@acme.example", "password": "doras password" });
    house.operator.post("/api/users/", of_operator.clone()).await.expect(400);
    of_operator["owner_id"] = json!(house.ana.id);
    house.operator.post("/api/users/", of_operator).await.expect(201);
}

async fn whoever_makes_a_project_is_its_admin(house: House) {
    let made = house.ana.post("/api/projects/", json!({ "name": "Ocean Drift!" })).await.expect(201).json();
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "name", "owner_id", "members", "created_at"]);
    assert_eq!(made["members"], json!([{ "user_id": house.ana.id, "role": "admin" }]));
    let path = format!("/api/projects/{}/", made["id"].as_str().unwrap());
    house.ana.get(&path).await.expect(200);
    house.ben.get(&path).await.expect(404);
    house.mallory.get(&path).await.expect(404);
    assert_eq!(house.ben.get("/api/projects/").await.expect(200).json(), json!([]));
    let foreign = json!({ "name": "x", "members": [{ "user_id": house.mallory.id, "role": "member" }] });
    let told = house.ana.post("/api/projects/", foreign).await.expect(400).json();
    assert_eq!(told, json!({ "members": ["Invalid user - object does not exist."] }));
    house.operator.post("/api/projects/", json!({ "name": "y" })).await.expect(400);
    let named = json!({ "name": "y", "owner_id": house.ben.id });
    let told = house.operator.post("/api/projects/", named).await.expect(201).json();
    assert_eq!(told["owner_id"], json!(house.ben.id));
}
