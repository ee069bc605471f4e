//! Organization quotas, organizations, spaces and apps as v2 has them: the checklist's items 42 to 47.

use serde_json::{Value, json};

use crate::house::{House, NOBODY, ORG, org_quota, space_quota, with};

on_both! {
    a_quota_of_organizations_has_its_own_defaults_and_order
    a_quota_of_organizations_has_its_own_errors
    only_admins_make_quotas_of_organizations
    a_new_organization_is_under_the_default
    an_organization_is_changed_by_whom_it_may_be
    a_space_is_made_with_a_quota_of_its_organization
    what_is_not_empty_is_deleted_only_with_all_in_it
    lists_are_queried
    people_are_given_roles
}

async fn a_quota_of_organizations_has_its_own_defaults_and_order(house: House) {
    // Checklist 42.
    let body = json!({
        "name": "least", "non_basic_services_allowed": false, "total_services": 1, "total_routes": 2, "memory_limit": 3,
        "trial_db_allowed": true,
    });
    let made = house.admin.post("/v2/quota_definitions", body).await.expect(201).json();
    let entity = json!({
        "name": "least",
        "non_basic_services_allowed": false,
        "total_services": 1,
        "total_routes": 2,
        "total_private_domains": -1,
        "memory_limit": 3,
        "trial_db_allowed": false,
        "instance_memory_limit": -1,
        "app_instance_limit": -1,
        "app_task_limit": -1,
        "total_service_keys": -1,
        "total_reserved_route_ports": 0,
    });
    assert_eq!(made["entity"].to_string(), entity.to_string(), "in this order, too");
}

async fn a_quota_of_organizations_has_its_own_errors(house: House) {
    // Checklist 43.
    const PATH: &str = "/v2/quota_definitions";
    let told = house.admin.post(PATH, with(org_quota("x"), json!({ "memory_limit": -2 }))).await.refused(400, 240_004);
    assert_eq!(told, "Quota Definition memory limit cannot be less than -1");
    let told = house.admin.post(PATH, org_quota("default")).await.refused(400, 240_002);
    assert_eq!(told, "Quota Definition is taken: default");
    let ports = json!({ "total_routes": 1, "total_reserved_route_ports": 2 });
    let told = house.admin.post(PATH, with(org_quota("x"), ports)).await.refused(400, 240_003);
    assert!(told.ends_with("must be less than or equal to total routes."), "{told}");
    let told = house.admin.get(&format!("{PATH}/{NOBODY}")).await.refused(404, 240_001);
    assert_eq!(told, format!("Quota Definition could not be found: {NOBODY}"));
    let default = house.admin.get(&format!("{PATH}?q=name:default")).await.expect(200).json();
    let default = &default["resources"][0];
    assert_eq!(default["entity"]["memory_limit"], 10240);
    assert_eq!(default["entity"]["total_reserved_route_ports"], 100);
    let path = format!("{PATH}/{}", default["metadata"]["guid"].as_str().unwrap());
    let told = house.admin.delete(&path).await.refused(400, 10006);
    assert_eq!(told, "Please delete the organization associations for your quota definition.");
    house.mallory.get(&path).await.refused(404, 240_001);
    house.mallory.delete(&path).await.refused(404, 240_001);
    let free = house.admin.post(PATH, org_quota("free")).await.expect(201).guid();
    house.admin.delete(&format!("{PATH}/{free}")).await.expect(204);
}

async fn only_admins_make_quotas_of_organizations(house: House) {
    // Checklist 44.
    house.make_manager(&house.ana).await;
    house.ana.post("/v2/quota_definitions", org_quota("x")).await.refused(403, 10003);
    let list = house.ana.get("/v2/quota_definitions").await.expect(200).json();
    assert_eq!(list["total_results"], 1, "everybody reads them");
    let path = format!("/v2/quota_definitions/{}", list["resources"][0]["metadata"]["guid"].as_str().unwrap());
    house.ana.put(&path, json!({ "memory_limit": 1 })).await.refused(403, 10003);
    house.ana.delete(&path).await.refused(403, 10003);
}

async fn a_new_organization_is_under_the_default(house: House) {
    // Checklist 45.
    let made = house.admin.post("/v2/organizations", json!({ "name": "new" })).await.expect(201);
    assert_eq!(made.header("location"), format!("/v2/organizations/{}", made.guid()));
    let entity = made.json()["entity"].take();
    let keys: Vec<String> = entity.as_object().unwrap().keys().cloned().collect();
    let wanted = [
        "name",
        "billing_enabled",
        "quota_definition_guid",
        "status",
        "quota_definition_url",
        "spaces_url",
        "domains_url",
        "private_domains_url",
        "users_url",
        "managers_url",
        "billing_managers_url",
        "auditors_url",
        "app_events_url",
        "space_quota_definitions_url",
    ];
    assert_eq!(keys, wanted);
    let quota = house.admin.get(entity["quota_definition_url"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(quota["entity"]["name"], "default");
    let told = house.admin.post("/v2/organizations", json!({ "name": "new" })).await.refused(400, 30002);
    assert_eq!(told, "The organization name is taken: new");
    // Another tenant's names are its own.
    house.mallory.post("/v2/organizations", json!({ "name": "new" })).await.expect(201);
    house.ana.post("/v2/organizations", json!({ "name": "hers" })).await.refused(403, 10003);
    house.admin.get(&format!("/v2/organizations/{NOBODY}")).await.refused(404, 30003);
    let wrong = json!({ "name": "x", "quota_definition_guid": NOBODY });
    house.admin.post("/v2/organizations", wrong).await.refused(400, 1002);
}

async fn an_organization_is_changed_by_whom_it_may_be(house: House) {
    let path = format!("/v2/organizations/{ORG}");
    house.ana.get(&path).await.refused(403, 10003);
    house.make_manager(&house.ana).await;
    house.ana.get(&path).await.expect(200);
    house.ana.put(&path, json!({ "name": "renamed" })).await.expect(201);
    for but in [json!({ "billing_enabled": true }), json!({ "status": "suspended" })] {
        house.ana.put(&path, but.clone()).await.refused(403, 10003);
        house.admin.put(&path, but).await.expect(201);
    }
    house.mallory.get(&path).await.refused(404, 30003);
    house.mallory.put(&path, json!({ "name": "mine" })).await.refused(404, 30003);
    house.mallory.delete(&path).await.refused(404, 30003);
    house.admin.put(&path, json!({ "name": "" })).await.refused(400, 30001);
}

async fn a_space_is_made_with_a_quota_of_its_organization(house: House) {
    // Checklist 46.
    let quota = house.space_quota("q", json!({})).await;
    let body = json!({ "name": "dev", "organization_guid": ORG, "space_quota_definition_guid": quota });
    let made = house.admin.post("/v2/spaces", body.clone()).await.expect(201).json();
    assert_eq!(made["entity"]["space_quota_definition_guid"], quota);
    assert_eq!(made["entity"]["allow_ssh"], true);
    let told = house.admin.post("/v2/spaces", body).await.refused(400, 40002);
    assert_eq!(told, "The app space name is taken: dev");
    let other = house.admin.post("/v2/organizations", json!({ "name": "other" })).await.expect(201).guid();
    let alien = with(space_quota("alien"), json!({ "organization_guid": other }));
    let alien = house.admin.post("/v2/space_quota_definitions", alien).await.expect(201).guid();
    let body = json!({ "name": "x", "organization_guid": ORG, "space_quota_definition_guid": alien });
    house.admin.post("/v2/spaces", body).await.refused(400, 40001);
    // On a change it is ignored.
    let path = made["metadata"]["url"].as_str().unwrap();
    let told = house.admin.put(path, json!({ "name": "prod", "space_quota_definition_guid": alien })).await;
    assert_eq!(told.expect(201).json()["entity"]["space_quota_definition_guid"], quota);
    house.ana.post("/v2/spaces", json!({ "name": "x", "organization_guid": ORG })).await.refused(403, 10003);
    house.admin.get(&format!("/v2/spaces/{NOBODY}")).await.refused(404, 40004);
    house.mallory.get(path).await.refused(404, 40004);
}

async fn what_is_not_empty_is_deleted_only_with_all_in_it(house: House) {
    let space = house.space("dev").await;
    house.space_quota("q", json!({})).await;
    let app = house.app(&space, "app", 64, 2).await;
    house.start(&app).await.expect(201);
    house.admin.post(&format!("/v3/apps/{app}/tasks"), json!({ "command": "x", "memory_in_mb": 8 })).await.expect(202);
    let path = format!("/v2/organizations/{ORG}");
    let told = house.admin.delete(&path).await.refused(400, 10006);
    assert_eq!(told, "Please delete the spaces associations for your organizations.");
    let told = house.admin.delete(&format!("/v2/spaces/{space}")).await.refused(400, 10006);
    assert_eq!(told, "Please delete the apps associations for your spaces.");
    house.admin.delete(&format!("/v2/spaces/{space}?recursive=true")).await.expect(204);
    house.assert_sound().await;
    let space = house.space("dev").await;
    house.limit_space(&space, json!({})).await;
    let app = house.app(&space, "app", 64, 2).await;
    house.start(&app).await.expect(201);
    house.make_developer(&space, &house.ben).await;
    house.admin.delete(&format!("{path}?recursive=true")).await.expect(204);
    house.admin.get(&path).await.refused(404, 30003);
    house.admin.get(&format!("/v2/apps/{app}")).await.refused(404, 100_004);
    house.assert_sound().await;
    let left = house.admin.get("/v2/space_quota_definitions").await.expect(200).json();
    assert_eq!(left["total_results"], 0, "its quotas died with it");
}

async fn lists_are_queried(house: House) {
    // Checklist 47.
    let space = house.space("dev").await;
    house.space("prod").await;
    for name in ["a", "b", "c"] {
        house.app(&space, name, 1, 1).await;
    }
    let count = async |path: &str| house.admin.get(path).await.expect(200).json()["total_results"].take();
    for (path, wanted) in [
        ("/v2/organizations?q=name:acme-org", 1),
        ("/v2/organizations?q=name:acme", 0),
        ("/v2/organizations?q=name%20IN%20acme-org,x", 1),
        ("/v2/organizations?q=status:active", 1),
        (&format!("/v2/organizations?q=space_guid:{space}"), 1),
        (&format!("/v2/spaces?q=organization_guid:{ORG}"), 2),
        (&format!("/v2/spaces?q=organization_guid:{ORG};name:dev"), 1),
        (&format!("/v2/spaces?q=organization_guid:{ORG}&q=name:nothing"), 0),
        ("/v2/spaces?q=name%3Eea", 1),
        ("/v2/quota_definitions?q=name:default", 1),
        ("/v2/apps?q=name%20IN%20a,c", 2),
        (&format!("/v2/apps?q=space_guid:{space};name:b"), 1),
        (&format!("/v2/spaces/{space}/apps"), 3),
        (&format!("/v2/organizations/{ORG}/spaces?q=name:prod"), 1),
    ] {
        assert_eq!(count(path).await, wanted, "{path}");
    }
    house.admin.get("/v2/apps?q=wat:x").await.refused(400, 10005);
    let by_name = house.admin.get("/v2/spaces?order-by=name&order-direction=desc").await.expect(200).json();
    assert_eq!(by_name["resources"][0]["entity"]["name"], "prod");
    let inline = house.admin.get(&format!("/v2/organizations/{ORG}?inline-relations-depth=1")).await.expect(200).json();
    assert_eq!(inline["entity"]["spaces"].as_array().map(Vec::len), Some(2));
}

async fn people_are_given_roles(house: House) {
    let space = house.space("dev").await;
    let path = format!("/v2/spaces/{space}/developers/{}", house.ben.id);
    house.admin.put(&path, json!({})).await.refused(400, 1002);
    house.make_member(&house.ben).await;
    house.admin.put(&path, json!({})).await.expect(201);
    let people = |mut list: Value| list["resources"][0]["entity"]["username"].take();
    let list = house.admin.get(&format!("/v2/spaces/{space}/developers")).await.expect(200).json();
    assert_eq!(people(list), "ben@acme.example");
    let list = house.admin.get(&format!("/v2/organizations/{ORG}/users")).await.expect(200).json();
    assert_eq!(people(list), "ben@acme.example");
    let name = json!({ "username": "ana@acme.example" });
    house.admin.put(&format!("/v2/organizations/{ORG}/managers"), name).await.expect(201);
    house.ana.put(&format!("/v2/spaces/{space}/auditors/{}", house.ben.id), json!({})).await.expect(201);
    house.ana.delete(&format!("/v2/spaces/{space}/auditors/{}", house.ben.id)).await.expect(204);
    let alien = format!("/v2/organizations/{ORG}/users/{}", house.mallory.id);
    house.admin.put(&alien, json!({})).await.refused(400, 1002);
    house.ben.put(&format!("/v2/organizations/{ORG}/managers/{}", house.ben.id), json!({})).await.refused(403, 10003);
    house.admin.get(&format!("/v2/organizations/{ORG}/nothing")).await.refused(404, 10000);
}
