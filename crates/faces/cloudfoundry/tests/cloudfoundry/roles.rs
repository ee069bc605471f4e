//! Roles as v3 has them, and that they are the same as v2's.

use serde_json::{Value, json};

use crate::house::{Client, House, NOBODY, ORG};

on_both! {
    a_role_is_given_found_and_taken
    v2_and_v3_show_the_same_roles
    nobody_gives_roles_who_may_not
}

fn role(kind: &str, user: &Client, place: &str, guid: &str) -> Value {
    json!({
        "type": kind,
        "relationships": { "user": { "data": { "guid": user.id } }, place: { "data": { "guid": guid } } },
    })
}

async fn a_role_is_given_found_and_taken(house: House) {
    let space = house.space("dev").await;
    let developer = role("space_developer", &house.ben, "space", &space);
    house.admin.post("/v3/roles", developer.clone()).await.refused_v3(422, 10008);
    let member = role("organization_user", &house.ben, "organization", ORG);
    let made = house.admin.post("/v3/roles", member.clone()).await.expect(201).json();
    assert_eq!(made["relationships"]["organization"]["data"]["guid"], ORG);
    assert_eq!(made["relationships"]["space"]["data"], json!(null));
    let told = house.admin.post("/v3/roles", member).await.refused_v3(422, 10008);
    assert!(told.contains("already has 'organization_user' role"), "{told}");
    let made = house.admin.post("/v3/roles", developer).await.expect(201).json();
    assert_eq!(made["relationships"]["space"]["data"]["guid"], space);
    let count = async |query: &str| {
        let list = house.admin.get(&format!("/v3/roles?{query}")).await.expect(200).json();
        list["pagination"]["total_results"].as_u64().unwrap()
    };
    assert_eq!(count(&format!("user_guids={}", house.ben.id)).await, 2);
    assert_eq!(count(&format!("space_guids={space}&types=space_developer")).await, 1);
    assert_eq!(count(&format!("organization_guids={ORG}")).await, 1);
    let path = format!("/v3/roles/{}", made["guid"].as_str().unwrap());
    house.mallory.get(&path).await.refused_v3(404, 10010);
    house.mallory.delete(&path).await.refused_v3(404, 10010);
    house.admin.delete(&path).await.expect(202);
    house.admin.get(&path).await.refused_v3(404, 10010);
    let wrong = role("king", &house.ben, "organization", ORG);
    house.admin.post("/v3/roles", wrong).await.refused_v3(422, 10008);
    let nowhere = role("organization_user", &house.ben, "organization", NOBODY);
    house.admin.post("/v3/roles", nowhere).await.refused_v3(422, 10008);
    let alien = role("organization_user", &house.mallory, "organization", ORG);
    house.admin.post("/v3/roles", alien).await.refused_v3(422, 10008);
}

async fn v2_and_v3_show_the_same_roles(house: House) {
    let space = house.space("dev").await;
    house.make_developer(&space, &house.ben).await;
    let list = house.admin.get("/v3/roles?types=space_developer").await.expect(200).json();
    let path = format!("/v3/roles/{}", list["resources"][0]["guid"].as_str().unwrap());
    house.admin.delete(&path).await.expect(202);
    let list = house.admin.get(&format!("/v2/spaces/{space}/developers")).await.expect(200).json();
    assert_eq!(list["total_results"], 0);
}

async fn nobody_gives_roles_who_may_not(house: House) {
    let mine = role("organization_manager", &house.ben, "organization", ORG);
    house.ben.post("/v3/roles", mine.clone()).await.refused_v3(422, 10008);
    house.make_member(&house.ben).await;
    house.ben.post("/v3/roles", mine.clone()).await.refused_v3(403, 10003);
    house.mallory.post("/v3/roles", mine).await.refused_v3(422, 10008);
    house.make_manager(&house.ana).await;
    let auditor = role("organization_auditor", &house.ben, "organization", ORG);
    house.ana.post("/v3/roles", auditor).await.expect(201);
}
