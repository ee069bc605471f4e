//! `space_quotas` of v3, and that v2 shows the same: the checklist's items 64 to 77.

use serde_json::{Value, json};

use crate::house::{House, NOBODY, ORG, space_quota, with};

on_both! {
    the_least_of_a_quota_limits_nothing
    all_limits_come_back
    a_wrong_body_is_told_in_all_its_faults
    organizations_and_spaces_must_be_there
    what_is_none_is_not_found
    lists_are_filtered_and_paged
    a_change_is_partial_and_null_is_unlimited
    a_quota_is_applied_and_withdrawn
    a_quota_is_deleted_only_when_it_is_free
    both_apis_show_one_truth
    who_may_see_and_change_what
}

const PATH: &str = "/v3/space_quotas";

fn quota(name: &str) -> Value {
    json!({ "name": name, "relationships": { "organization": { "data": { "guid": ORG } } } })
}

async fn the_least_of_a_quota_limits_nothing(house: House) {
    // Checklist 64.
    let answer = house.admin.post(PATH, quota("least")).await.expect(201);
    assert_eq!(answer.header("location"), "");
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let told = answer.json();
    let guid = told["guid"].as_str().unwrap();
    let base = "http://api.example.org/v3";
    let wanted = json!({
        "guid": guid,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "name": "least",
        "apps": {
            "total_memory_in_mb": null, "per_process_memory_in_mb": null, "total_instances": null, "per_app_tasks": null,
            "log_rate_limit_in_bytes_per_second": null,
        },
        "services": { "paid_services_allowed": true, "total_service_instances": null, "total_service_keys": null },
        "routes": { "total_routes": null, "total_reserved_ports": null },
        "relationships": { "organization": { "data": { "guid": ORG } }, "spaces": { "data": [] } },
        "links": {
            "self": { "href": format!("{base}/space_quotas/{guid}") },
            "organization": { "href": format!("{base}/organizations/{ORG}") },
        },
    });
    assert_eq!(told.to_string(), wanted.to_string(), "in this order, too");
}

async fn all_limits_come_back(house: House) {
    // Checklist 65.
    let space = house.space("dev").await;
    let blocks = json!({
        "apps": {
            "total_memory_in_mb": 0, "per_process_memory_in_mb": 1, "total_instances": 2, "per_app_tasks": 3,
            "log_rate_limit_in_bytes_per_second": 4,
        },
        "services": { "paid_services_allowed": false, "total_service_instances": 5, "total_service_keys": 6 },
        "routes": { "total_routes": 8, "total_reserved_ports": 7 },
        "relationships": {
            "organization": { "data": { "guid": ORG } }, "spaces": { "data": [{ "guid": space }] },
        },
    });
    let told = house.admin.post(PATH, with(quota("all"), blocks.clone())).await.expect(201).json();
    for block in ["apps", "services", "routes", "relationships"] {
        assert_eq!(told[block], blocks[block], "{block}");
    }
    let app = house.app(&space, "app", 1, 1).await;
    house.start(&app).await.refused(400, 310_003);
}

async fn a_wrong_body_is_told_in_all_its_faults(house: House) {
    // Checklist 66, 67 and 68.
    let refused = async |but: Value| house.admin.post(PATH, with(quota("x"), but)).await.refused_v3(422, 10008);
    for (but, told) in [
        (json!({ "apps": { "total_memory_in_mb": -1 } }), "Apps Total memory in mb must be greater than or equal to 0"),
        (json!({ "apps": { "total_instances": "x" } }), "Apps Total instances is not a number"),
        (json!({ "apps": { "total_instances": 1.5 } }), "Apps Total instances must be an integer"),
        (
            json!({ "routes": { "total_routes": 2_147_483_648_u64 } }),
            "Routes Total routes must be less than or equal to 2147483647",
        ),
        (json!({ "apps": 1 }), "Apps must be an object"),
        (json!({ "apps": { "x": 1 } }), "Apps Unknown field(s): 'x'"),
        (json!({ "services": { "paid_services_allowed": 1 } }), "Services Paid services allowed must be a boolean"),
        (json!({ "name": 555 }), "Name must be a string"),
        (json!({ "name": null }), "Name can't be blank"),
        (json!({ "name": "" }), "Name is too short (minimum is 1 character)"),
        (json!({ "name": "x".repeat(251) }), "Name is too long (maximum is 250 characters)"),
        (json!({ "wat": 1 }), "Unknown field(s): 'wat'"),
        (json!({ "relationships": 1 }), "Relationships 'relationships' is not an object"),
        (
            json!({ "relationships": {} }),
            "Relationships Organization must be structured like this: \"organization: {\"data\": {\"guid\": \
             \"valid-guid\"}}\"",
        ),
    ] {
        assert_eq!(refused(but).await, told);
    }
    let both = json!({ "name": 1, "wat": 1 });
    assert_eq!(refused(both).await, "Unknown field(s): 'wat', Name must be a string");
    let told = house.admin.call("POST", PATH, "{".into()).await.refused_v3(400, 1001);
    assert_eq!(told, "Request invalid due to parse error: invalid request body");
    assert!(house.admin.call("POST", PATH, "".into()).await.refused_v3(422, 10008).contains("Name can't be blank"));
    let ports = json!({ "routes": { "total_routes": 1, "total_reserved_ports": 2 } });
    assert!(refused(ports).await.starts_with("Total reserved ports must be -1, 0, or a positive integer"));
}

async fn organizations_and_spaces_must_be_there(house: House) {
    // Checklist 69 and 70.
    let nowhere = json!({ "relationships": { "organization": { "data": { "guid": NOBODY } } } });
    let told = house.admin.post(PATH, with(quota("x"), nowhere)).await.refused_v3(422, 10008);
    let wanted = format!("Organization with guid '{NOBODY}' does not exist, or you do not have access to it.");
    assert_eq!(told, wanted);
    house.mallory.post(PATH, quota("x")).await.refused_v3(422, 10008);
    let other = house.admin.post("/v3/organizations", json!({ "name": "other" })).await.expect(201).guid();
    let alien = json!({ "name": "far", "relationships": { "organization": { "data": { "guid": other } } } });
    let alien = house.admin.post("/v3/spaces", alien).await.expect(201).guid();
    for guid in [&alien, NOBODY] {
        let relationships = json!({
            "organization": { "data": { "guid": ORG } }, "spaces": { "data": [{ "guid": guid }] },
        });
        let body = with(quota("x"), json!({ "relationships": relationships }));
        let told = house.admin.post(PATH, body).await.refused_v3(422, 10008);
        let end = "do not exist within the organization specified, or you do not have access to them.";
        assert_eq!(told, format!("Spaces with guids [\"{guid}\"] {end}"));
    }
    house.admin.post(PATH, quota("x")).await.expect(201);
    let told = house.admin.post(PATH, quota("x")).await.refused_v3(422, 10008);
    assert_eq!(told, "Space Quota 'x' already exists.");
}

async fn what_is_none_is_not_found(house: House) {
    // Checklist 71.
    for guid in [NOBODY, "x"] {
        let path = format!("{PATH}/{guid}");
        assert_eq!(house.admin.get(&path).await.refused_v3(404, 10010), "Space quota not found");
        house.admin.patch(&path, json!({})).await.refused_v3(404, 10010);
        house.admin.delete(&path).await.refused_v3(404, 10010);
    }
}

async fn lists_are_filtered_and_paged(house: House) {
    // Checklist 72 and 79.
    let space = house.space("dev").await;
    house.limit_space(&space, json!({})).await;
    let guid = house.admin.post(PATH, quota("b")).await.expect(201).guid();
    let list = async |query: &str| house.admin.get(&format!("{PATH}?{query}")).await.expect(200).json();
    for (query, wanted) in [
        ("names=b,c", 1),
        ("names=", 0),
        (&format!("organization_guids={ORG}"), 2),
        (&format!("space_guids={space}"), 1),
        (&format!("guids={guid},x"), 1),
        ("created_ats[gt]=2025-12-31T00:00:00Z", 2),
        ("created_ats[lt]=2025-12-31T00:00:00Z", 0),
        ("order_by=-created_at", 2),
    ] {
        assert_eq!(list(query).await["pagination"]["total_results"], wanted, "{query}");
    }
    assert_eq!(list("order_by=-created_at").await["resources"][0]["guid"], guid);
    let told = house.admin.get(&format!("{PATH}?wat=1")).await.refused_v3(422, 10008);
    assert!(told.starts_with("Unknown query parameter(s): 'wat'. Valid parameters are: 'page', 'per_page'"), "{told}");
    house.admin.get(&format!("{PATH}?per_page=0")).await.refused_v3(422, 10008);
    house.admin.get(&format!("{PATH}?page=x")).await.refused_v3(422, 10008);
    let page = list("per_page=1&names=b,x").await["pagination"].take();
    assert_eq!((page["next"].clone(), page["previous"].clone()), (json!(null), json!(null)));
    let page = list("per_page=1").await["pagination"].take();
    let next = page["next"]["href"].as_str().unwrap();
    assert!(next.starts_with("http://api.example.org/v3/space_quotas?"), "{next}");
    let next = house.admin.get(next.strip_prefix("http://api.example.org").unwrap()).await.expect(200).json();
    assert_eq!(next["resources"][0]["guid"], guid);
    assert!(next["pagination"]["previous"]["href"].is_string());
    assert_eq!(list("names=none").await["pagination"]["total_pages"], 1);
}

async fn a_change_is_partial_and_null_is_unlimited(house: House) {
    // Checklist 73.
    let body = with(quota("x"), json!({ "apps": { "total_memory_in_mb": 5, "total_instances": 6 } }));
    let guid = house.admin.post(PATH, body).await.expect(201).guid();
    let path = format!("{PATH}/{guid}");
    let change = json!({ "name": "y", "apps": { "total_memory_in_mb": null }, "domains": { "total_domains": 1 } });
    let told = house.admin.patch(&path, change).await.expect(200).json();
    assert_eq!(told["name"], "y");
    assert_eq!(told["apps"]["total_memory_in_mb"], json!(null));
    assert_eq!(told["apps"]["total_instances"], 6);
    assert!(told.get("domains").is_none());
    assert_eq!(house.admin.patch(&path, json!({})).await.expect(200).json()["apps"]["total_instances"], 6);
    let told = house.admin.patch(&path, json!({ "relationships": {} })).await.refused_v3(422, 10008);
    assert_eq!(told, "Unknown field(s): 'relationships'");
}

async fn a_quota_is_applied_and_withdrawn(house: House) {
    // Checklist 74 and 75.
    let (one, two) = (house.space("one").await, house.space("two").await);
    let guid = house.admin.post(PATH, quota("x")).await.expect(201).guid();
    let path = format!("{PATH}/{guid}/relationships/spaces");
    let told = house.admin.post(&path, json!({ "data": [{ "guid": one }] })).await.expect(200).json();
    let link = json!({ "self": { "href": format!("http://api.example.org{path}") } });
    assert_eq!(told, json!({ "data": [{ "guid": one }], "links": link }));
    let told = house.admin.post(&path, json!({ "data": [{ "guid": two }] })).await.expect(200).json();
    assert_eq!(told["data"], json!([{ "guid": one }, { "guid": two }]), "all there are now");
    let told = house.admin.post(&path, json!({ "data": [{ "guid": one }, { "guid": 1 }] })).await;
    assert_eq!(told.refused_v3(422, 10008), "Invalid data type: Data[1] guid should be a string.");
    assert_eq!(house.admin.post(&path, json!({ "data": [] })).await.refused_v3(422, 10008), "Data can't be blank");
    let told = house.admin.post(&path, json!({ "data": [{ "guid": NOBODY }] })).await.refused_v3(422, 10008);
    let wanted = format!("Spaces with guids [\"{NOBODY}\"] do not exist, or you do not have access to them.");
    assert_eq!(told, wanted);
    let other = house.admin.post("/v2/organizations", json!({ "name": "other" })).await.expect(201).guid();
    let alien = json!({ "name": "far", "organization_guid": other });
    let alien = house.admin.post("/v2/spaces", alien).await.expect(201).guid();
    let told = house.admin.post(&path, json!({ "data": [{ "guid": alien }] })).await.refused_v3(422, 10008);
    assert_eq!(told, "Space quotas cannot be applied outside of their owning organization.");
    house.admin.delete(&format!("{path}/{one}")).await.expect(204);
    for guid in [&one, NOBODY] {
        let told = house.admin.delete(&format!("{path}/{guid}")).await.refused_v3(422, 10008);
        let start = format!("Unable to remove quota from space with guid '{guid}'.");
        assert_eq!(told, format!("{start} Ensure the space quota is applied to this space."));
    }
}

async fn a_quota_is_deleted_only_when_it_is_free(house: House) {
    // Checklist 76.
    let space = house.space("dev").await;
    let guid = house.limit_space(&space, json!({})).await;
    let path = format!("{PATH}/{guid}");
    let told = house.admin.delete(&path).await.refused_v3(422, 10008);
    assert!(told.starts_with("This quota is applied to one or more spaces."), "{told}");
    house.admin.delete(&format!("{path}/relationships/spaces/{space}")).await.expect(204);
    let answer = house.admin.delete(&path).await.expect(202);
    assert!(answer.body.is_empty());
    let job = answer.header("location").strip_prefix("http://api.example.org").unwrap();
    assert!(job.starts_with("/v3/jobs/"));
    let told = house.admin.get(job).await.expect(200).json();
    assert_eq!((told["state"].clone(), told["operation"].clone()), (json!("COMPLETE"), json!("space_quota.delete")));
    house.mallory.get(job).await.refused_v3(404, 10010);
    house.admin.get(&path).await.refused_v3(404, 10010);
}

async fn both_apis_show_one_truth(house: House) {
    // Checklist 77.
    let mut body = space_quota("v2");
    body.as_object_mut().unwrap().remove("app_task_limit");
    let guid = house.admin.post("/v2/space_quota_definitions", body).await.expect(201).guid();
    let told = house.admin.get(&format!("{PATH}/{guid}")).await.expect(200).json();
    assert_eq!(told["apps"]["per_app_tasks"], 5);
    assert_eq!(told["apps"]["total_memory_in_mb"], json!(null));
    assert_eq!(told["routes"]["total_reserved_ports"], json!(null));
    let change = json!({ "apps": { "total_memory_in_mb": 9, "log_rate_limit_in_bytes_per_second": 3 } });
    house.admin.patch(&format!("{PATH}/{guid}"), change).await.expect(200);
    let told = house.admin.get(&format!("/v2/space_quota_definitions/{guid}")).await.expect(200).json();
    assert_eq!(told["entity"]["memory_limit"], 9);
    let guid = house.admin.post(PATH, quota("v3")).await.expect(201).guid();
    let told = house.admin.get(&format!("/v2/space_quota_definitions/{guid}")).await.expect(200).json();
    let limits = [
        "total_services",
        "total_routes",
        "memory_limit",
        "instance_memory_limit",
        "app_instance_limit",
        "app_task_limit",
        "total_service_keys",
        "total_reserved_route_ports",
    ];
    for field in limits {
        assert_eq!(told["entity"][field], -1, "{field}");
    }
}

async fn who_may_see_and_change_what(house: House) {
    // Checklist 80, and section 4.1.
    let space = house.space("dev").await;
    let guid = house.limit_space(&space, json!({})).await;
    let path = format!("{PATH}/{guid}");
    house.ben.get(&path).await.refused_v3(404, 10010);
    house.ben.post(PATH, quota("x")).await.refused_v3(422, 10008);
    house.make_developer(&space, &house.ben).await;
    house.ben.get(&path).await.expect(200);
    house.ben.post(PATH, quota("x")).await.refused_v3(403, 10003);
    house.ben.patch(&path, json!({})).await.refused_v3(403, 10003);
    house.ben.delete(&path).await.refused_v3(403, 10003);
    house.ben.delete(&format!("{path}/relationships/spaces/{space}")).await.refused_v3(403, 10003);
    house.make_manager(&house.ana).await;
    house.ana.patch(&path, json!({ "name": "hers" })).await.expect(200);
    house.admin.patch(&format!("/v3/organizations/{ORG}"), json!({ "suspended": true })).await.expect(200);
    let told = house.ana.patch(&path, json!({ "name": "x" })).await.refused_v3(403, 10017);
    assert_eq!(told, "The organization is suspended");
    house.ana.put(&format!("/v2/space_quota_definitions/{guid}"), json!({})).await.refused(403, 10003);
    let reader = house.admin.scoped("cloud_controller.admin_read_only");
    reader.get(&path).await.expect(200);
    reader.patch(&path, json!({})).await.refused_v3(403, 10003);
    house.mallory.get(&path).await.refused_v3(404, 10010);
    house.mallory.patch(&path, json!({})).await.refused_v3(404, 10010);
    house.mallory.delete(&path).await.refused_v3(404, 10010);
}
