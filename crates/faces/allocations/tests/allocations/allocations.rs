//! Allocations: made, seen, changed, removed. Checklist 8, 9, 24 to 43.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::house::{Client, House};

on_both! {
    an_allocation_is_answered_with_the_fourteen_keys_of_the_seed_in_order
    who_is_no_administrator_hands_out_nothing
    an_owner_carves_a_sub_allocation_in_its_parents_repository_whatever_is_said
    nobody_else_carves_from_an_allocation_not_even_an_administrator
    nobody_carves_from_a_projects_allocation
    children_may_be_promised_more_than_their_parent_has
    allocations_lie_at_most_eight_deep
    the_first_is_the_owners_default_and_the_second_is_not
    the_default_flips_atomically
    of_twenty_flips_at_once_one_default_is_left
    the_list_is_an_array_with_filters
    others_do_not_see_an_allocation_and_who_carved_from_it_sees_its_children
    put_is_405_with_allow
    an_alias_is_its_owners_to_change_and_moves_updated_at
    limits_are_changed_by_who_handed_out
    an_empty_allocation_is_removed_and_then_not_there
    what_has_records_or_children_is_not_removed
}

async fn carve(client: &Client, owner: &Client, parent: &str, bytes: u64) -> crate::house::Answer {
    let body = json!({
        "owner_type": "user", "owner_id": owner.id, "parent_id": parent, "repository_id": "nonsense",
        "data_volume_limit": bytes, "max_records": 10,
    });
    client.post("/api/allocations/", body).await
}

async fn one(house: &House, id: &str) -> Value {
    house.admin.get(&format!("/api/allocations/{id}/")).await.expect(200).json()
}

async fn project(house: &House, members: Value) -> String {
    house.admin.post("/api/projects/", json!({ "name": "climate", "members": members })).await.expect(201).id()
}

async fn an_allocation_is_answered_with_the_fourteen_keys_of_the_seed_in_order(house: House) {
    let mut body = house.asking(&house.ana, 2, 3);
    (body["alias"], body["parent_id"]) = (json!("mine"), Value::Null);
    let answer = house.admin.post("/api/allocations/", body).await.expect(201);
    let told = answer.json();
    assert_eq!(answer.header("content-type"), "application/json");
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "repository_id",
            "owner_user",
            "owner_project_id",
            "parent_id",
            "children_count",
            "alias",
            "data_volume_limit",
            "max_records",
            "current_bytes",
            "current_record_count",
            "is_default",
            "created_at",
            "updated_at",
        ]
    );
    let person: Vec<&String> = told["owner_user"].as_object().unwrap().keys().collect();
    assert_eq!(person, ["id", "email", "name", "is_system_admin", "is_repository_admin", "date_joined"]);
    let id = told["id"].as_str().unwrap();
    assert!(id.len() == 36 && id == id.to_lowercase() && uuid::Uuid::try_parse(id).is_ok(), "{id}");
    for field in ["created_at", "updated_at"] {
        let at = told[field].as_str().unwrap();
        assert!(at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
    }
    let rest = json!([house.repository, house.ana.id, null, null, 0, "mine", 2, 3, 0, 0, true,]);
    assert_eq!(
        json!([
            told["repository_id"],
            told["owner_user"]["id"],
            told["owner_project_id"],
            told["parent_id"],
            told["children_count"],
            told["alias"],
            told["data_volume_limit"],
            told["max_records"],
            told["current_bytes"],
            told["current_record_count"],
            told["is_default"],
        ]),
        rest
    );
    assert_eq!(told, one(&house, id).await);
}

async fn who_is_no_administrator_hands_out_nothing(house: House) {
    let denied = json!({ "detail": "You do not have permission to perform this action." });
    let answer = house.ana.post("/api/allocations/", house.asking(&house.ana, 10, 10)).await.expect(403);
    assert_eq!(answer.json(), denied);
    house.mallory.post("/api/allocations/", house.asking(&house.ana, 10, 10)).await.expect(400);
    house.operator.post("/api/allocations/", house.asking(&house.ana, 10, 10)).await.expect(201);
}

async fn an_owner_carves_a_sub_allocation_in_its_parents_repository_whatever_is_said(house: House) {
    let parent = house.give(&house.ana, 100, 10).await;
    let told = carve(&house.ana, &house.ben, &parent, 10).await.expect(201).json();
    assert_eq!((&told["repository_id"], &told["parent_id"]), (&json!(house.repository), &json!(parent)));
    assert_eq!(told["owner_user"]["id"], json!(house.ben.id));
    assert_eq!(one(&house, &parent).await["children_count"], 1);
    carve(&house.ana, &house.ana, &parent, 10).await.expect(201);
    assert_eq!(one(&house, &parent).await["children_count"], 2);
    house.assert_sound().await;
}

async fn nobody_else_carves_from_an_allocation_not_even_an_administrator(house: House) {
    let parent = house.give(&house.ana, 100, 10).await;
    for client in [&house.ben, &house.admin, &house.operator] {
        carve(client, &house.ben, &parent, 10).await.expect(403);
    }
    let unknown = carve(&house.mallory, &house.mallory, &parent, 10).await.expect(400).json();
    assert_eq!(unknown, json!({ "parent_id": ["Invalid parent - object does not exist."] }));
}

async fn nobody_carves_from_a_projects_allocation(house: House) {
    let climate = project(&house, json!([{ "user_id": house.ana.id, "role": "admin" }])).await;
    let body = house.asking_for(&climate, 100, 10);
    let told = house.admin.post("/api/allocations/", body).await.expect(201).json();
    assert_eq!((&told["owner_user"], &told["owner_project_id"]), (&Value::Null, &json!(climate)));
    let id = told["id"].as_str().unwrap();
    for client in [&house.ana, &house.admin] {
        carve(client, &house.ana, id, 10).await.expect(403);
    }
    house.ana.get(&format!("/api/allocations/{id}/")).await.expect(200);
    house.ben.get(&format!("/api/allocations/{id}/")).await.expect(404);
}

async fn children_may_be_promised_more_than_their_parent_has(house: House) {
    let parent = house.give(&house.ana, 100, 10).await;
    for _ in 0..3 {
        carve(&house.ana, &house.ben, &parent, 1000).await.expect(201);
    }
}

async fn allocations_lie_at_most_eight_deep(house: House) {
    let mut last = house.give(&house.ana, 100, 10).await;
    for _ in 2..=8 {
        last = carve(&house.ana, &house.ana, &last, 10).await.expect(201).id();
    }
    let told = carve(&house.ana, &house.ana, &last, 10).await.expect(400).json();
    assert!(told["parent_id"].is_array(), "{told}");
}

async fn the_first_is_the_owners_default_and_the_second_is_not(house: House) {
    let (first, second) = (house.give(&house.ana, 10, 10).await, house.give(&house.ana, 10, 10).await);
    let other = house.give(&house.ben, 10, 10).await;
    let defaults = [one(&house, &first).await, one(&house, &second).await, one(&house, &other).await];
    assert_eq!(defaults.map(|it| it["is_default"].clone()), [json!(true), json!(false), json!(true)]);
    let sub = carve(&house.ana, &house.ben, &first, 10).await.expect(201).json();
    assert_eq!(sub["is_default"], false);
}

async fn the_default_flips_atomically(house: House) {
    let (first, second) = (house.give(&house.ana, 10, 10).await, house.give(&house.ana, 10, 10).await);
    house.ben.post(&format!("/api/allocations/{second}/default/"), json!({})).await.expect(404);
    for _ in 0..2 {
        let told = house.ana.post(&format!("/api/allocations/{second}/default/"), json!({})).await.expect(200).json();
        assert_eq!((&told["id"], &told["is_default"]), (&json!(second), &json!(true)));
    }
    assert_eq!(one(&house, &first).await["is_default"], false);
    // A sub-allocation may be one, too; and who carved it has no say in that.
    let sub = carve(&house.ana, &house.ben, &second, 10).await.expect(201).id();
    house.ana.post(&format!("/api/allocations/{sub}/default/"), json!({})).await.expect(403);
    house.ben.post(&format!("/api/allocations/{sub}/default/"), json!({})).await.expect(200);
}

async fn of_twenty_flips_at_once_one_default_is_left(house: House) {
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(house.give(&house.ana, 10, 10).await);
    }
    let flips = (0..20).map(|n| {
        let (client, path) = (house.ana.clone(), format!("/api/allocations/{}/default/", ids[n % ids.len()]));
        tokio::spawn(async move { client.post(&path, json!({})).await.expect(200) })
    });
    join_all(flips.collect::<Vec<_>>()).await.into_iter().for_each(|done| drop(done.unwrap()));
    let all = house.ana.get("/api/allocations/").await.expect(200).json();
    assert_eq!(all.as_array().unwrap().iter().filter(|it| it["is_default"] == true).count(), 1);
}

async fn the_list_is_an_array_with_filters(house: House) {
    let ana = house.give(&house.ana, 10, 10).await;
    house.clock.advance(1_000_000);
    let ben = house.give(&house.ben, 10, 10).await;
    house.clock.advance(1_000_000);
    let climate = project(&house, json!([])).await;
    let of_project = house.admin.post("/api/allocations/", house.asking_for(&climate, 1, 1)).await.expect(201).id();
    let sub = carve(&house.ana, &house.ben, &ana, 5).await.expect(201).id();
    let ids = async |client: &Client, query: &str| -> Vec<String> {
        let told = client.get(&format!("/api/allocations/?{query}")).await.expect(200).json();
        told.as_array().expect("an array").iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&house.admin, "").await[..2], [ana.clone(), ben.clone()], "the oldest first");
    assert_eq!(ids(&house.admin, &format!("owner_id={}", house.ana.id)).await, std::slice::from_ref(&ana));
    assert_eq!(ids(&house.admin, "owner_type=project").await, [of_project]);
    assert_eq!(ids(&house.admin, &format!("parent_id={ana}")).await, std::slice::from_ref(&sub));
    assert_eq!(ids(&house.admin, &format!("repository_id={}", house.repository)).await.len(), 4);
    assert_eq!(ids(&house.admin, &format!("repository_id={ana}")).await.len(), 0);
    assert_eq!(ids(&house.ben, "").await, [ben, sub]);
    assert!(ids(&house.mallory, "").await.is_empty());
    assert_eq!(ids(&house.operator, "").await.len(), 4);
    for name in ["owner_id", "repository_id", "parent_id"] {
        let told = house.admin.get(&format!("/api/allocations/?{name}=x")).await.expect(400).json();
        assert_eq!(told, json!({ name: ["Must be a valid UUID."] }));
    }
    house.admin.get("/api/allocations/?owner_type=x").await.expect(400);
}

async fn others_do_not_see_an_allocation_and_who_carved_from_it_sees_its_children(house: House) {
    let parent = house.give(&house.ana, 100, 10).await;
    let child = carve(&house.ana, &house.ben, &parent, 10).await.expect(201).id();
    let not_found = json!({ "detail": "Not found." });
    for client in [&house.ben, &house.mallory] {
        for answer in [
            client.get(&format!("/api/allocations/{parent}/")).await,
            client.patch(&format!("/api/allocations/{parent}/"), json!({ "alias": "x" })).await,
            client.delete(&format!("/api/allocations/{parent}/")).await,
        ] {
            assert_eq!(answer.expect(404).json(), not_found);
        }
    }
    house.ana.get(&format!("/api/allocations/{child}/")).await.expect(200);
    house.admin.get("/api/allocations/nonsense/").await.expect(404);
}

async fn put_is_405_with_allow(house: House) {
    let id = house.give(&house.ana, 10, 10).await;
    let answer = house.admin.send("PUT", &format!("/api/allocations/{id}/"), json!({})).await.expect(405);
    assert_eq!(answer.json(), json!({ "detail": "Method \"PUT\" not allowed." }));
    let allow = answer.header("allow");
    assert!(
        ["GET", "PATCH", "DELETE"].iter().all(|method| allow.contains(method)) && !allow.contains("PUT"),
        "{allow}"
    );
}

async fn an_alias_is_its_owners_to_change_and_moves_updated_at(house: House) {
    let id = house.give(&house.ana, 10, 10).await;
    let path = format!("/api/allocations/{id}/");
    let before = one(&house, &id).await;
    house.clock.advance(1_500_000);
    let after = house.ana.patch(&path, json!({ "alias": "new" })).await.expect(200).json();
    assert_eq!((&after["alias"], &after["created_at"]), (&json!("new"), &before["created_at"]));
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str(), "{after}");
    assert_eq!(house.admin.patch(&path, json!({ "alias": "" })).await.expect(200).json()["alias"], "");
    house.admin.patch(&path, json!({ "alias": "a".repeat(256) })).await.expect(400);
}

async fn limits_are_changed_by_who_handed_out(house: House) {
    let parent = house.give(&house.ana, 100, 10).await;
    let child = carve(&house.ana, &house.ben, &parent, 10).await.expect(201).id();
    let change = json!({ "data_volume_limit": 20, "max_records": 2 });
    house.ana.patch(&format!("/api/allocations/{parent}/"), change.clone()).await.expect(403);
    house.ben.patch(&format!("/api/allocations/{child}/"), change.clone()).await.expect(403);
    house.ana.patch(&format!("/api/allocations/{child}/"), json!({ "alias": "x" })).await.expect(403);
    for (client, id) in [(&house.admin, &parent), (&house.ana, &child)] {
        let told = client.patch(&format!("/api/allocations/{id}/"), change.clone()).await.expect(200).json();
        assert_eq!((&told["data_volume_limit"], &told["max_records"]), (&json!(20), &json!(2)));
    }
    house.admin.patch(&format!("/api/allocations/{parent}/"), json!({ "max_records": 0 })).await.expect(400);
}

async fn an_empty_allocation_is_removed_and_then_not_there(house: House) {
    let id = house.give(&house.ana, 10, 10).await;
    let asset = house.ana.post("/api/assets/", json!({ "title": "t", "allocation_id": id })).await.expect(201).id();
    house.ana.delete(&format!("/api/allocations/{id}/")).await.expect(403);
    let answer = house.admin.delete(&format!("/api/allocations/{id}/")).await.expect(204);
    assert!(answer.body.is_empty());
    house.admin.get(&format!("/api/allocations/{id}/")).await.expect(404);
    house.admin.delete(&format!("/api/allocations/{id}/")).await.expect(404);
    let asset = house.ana.get(&format!("/api/assets/{asset}/")).await.expect(200).json();
    assert_eq!(asset["allocation_id"], Value::Null);
    house.assert_sound().await;
}

async fn what_has_records_or_children_is_not_removed(house: House) {
    let id = house.give(&house.ana, 10, 10).await;
    let record = house.ana.upload("", b"x").await.expect(201).id();
    let answer = house.admin.delete(&format!("/api/allocations/{id}/")).await.expect(409);
    assert_eq!(answer.json(), json!({ "detail": "Cannot delete allocation - records present." }));
    house.ana.delete(&format!("/api/records/{record}/")).await.expect(204);
    let child = carve(&house.ana, &house.ben, &id, 10).await.expect(201).id();
    let answer = house.admin.delete(&format!("/api/allocations/{id}/")).await.expect(409);
    assert_eq!(answer.json(), json!({ "detail": "Cannot delete allocation - sub-allocations present." }));
    house.ana.delete(&format!("/api/allocations/{child}/")).await.expect(204);
    house.admin.delete(&format!("/api/allocations/{id}/")).await.expect(204);
}
