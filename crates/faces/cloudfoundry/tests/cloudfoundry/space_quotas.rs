//! `space_quota_definitions`: the seed's example and the checklist's items 11 to 41.

use serde_json::{Value, json};

use crate::house::{House, NOBODY, ORG, space_quota, with};

on_both! {
    the_seeds_example_is_answered_as_printed
    what_is_left_out_has_its_default
    a_body_that_is_wrong_is_told_in_parts
    names_are_unique_in_an_organization
    numbers_have_their_bounds
    reserved_ports_fit_routes_and_the_organizations_ports
    an_organization_must_be_there_and_stays
    nulls_are_absent_and_unknown_keys_ignored
    one_is_read_and_what_is_none_is_not_found
    a_list_is_paged_ordered_and_not_queried
    related_things_are_shown_within
    a_change_is_partial_and_created
    a_quota_is_applied_replaced_and_withdrawn
    a_quota_that_is_applied_can_be_deleted
    those_of_one_organization_are_listed
    who_may_see_and_change_what
}

const PATH: &str = "/v2/space_quota_definitions";

async fn the_seeds_example_is_answered_as_printed(house: House) {
    // Checklist 11, 12 and 13.
    let body = r#"{
  "name": "gold_quota",
  "non_basic_services_allowed": true,
  "total_services": -1,
  "total_routes": 10,
  "memory_limit": 5120,
  "organization_guid": "c9b4ac17-ab4b-4368-b3e2-5cbf09b17a24",
  "total_reserved_route_ports": 5
}"#;
    let answer = house.admin.call("POST", PATH, body.into()).await.expect(201);
    let guid = answer.guid();
    let printed = format!(
        r#"{{
  "metadata": {{
    "guid": "{guid}",
    "url": "/v2/space_quota_definitions/{guid}",
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z"
  }},
  "entity": {{
    "name": "gold_quota",
    "organization_guid": "c9b4ac17-ab4b-4368-b3e2-5cbf09b17a24",
    "non_basic_services_allowed": true,
    "total_services": -1,
    "total_routes": 10,
    "memory_limit": 5120,
    "instance_memory_limit": -1,
    "app_instance_limit": -1,
    "app_task_limit": 5,
    "total_service_keys": -1,
    "total_reserved_route_ports": 5,
    "organization_url": "/v2/organizations/c9b4ac17-ab4b-4368-b3e2-5cbf09b17a24",
    "spaces_url": "/v2/space_quota_definitions/{guid}/spaces"
  }}
}}"#
    );
    assert_eq!(String::from_utf8_lossy(&answer.body), printed);
    assert_eq!(printed.len(), 792, "the body the seed printed");
    assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
    assert_eq!(answer.header("location"), format!("{PATH}/{guid}"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(guid.as_bytes()[14], b'4', "a guid is of version 4");
}

async fn what_is_left_out_has_its_default(house: House) {
    // Checklist 14.
    let mut body = space_quota("least");
    body.as_object_mut().unwrap().remove("app_task_limit");
    let entity = house.admin.post(PATH, body).await.expect(201).json()["entity"].take();
    let defaults = [
        ("instance_memory_limit", -1),
        ("app_instance_limit", -1),
        ("app_task_limit", 5),
        ("total_service_keys", -1),
        ("total_reserved_route_ports", -1),
    ];
    for (field, value) in defaults {
        assert_eq!(entity[field], value, "{field}");
    }
}

async fn a_body_that_is_wrong_is_told_in_parts(house: House) {
    // Checklist 15, 16 and 17.
    let told = house.admin.post(PATH, json!({ "name": "x" })).await.refused(400, 1001);
    for field in ["non_basic_services_allowed", "total_services", "total_routes", "memory_limit", "organization_guid"] {
        assert!(told.contains(&format!("Field: {field}, Error: Missing field {field}")), "{told}");
    }
    let wrong = with(space_quota("x"), json!({ "memory_limit": "5120", "non_basic_services_allowed": "yes" }));
    let told = house.admin.post(PATH, wrong).await.refused(400, 1001);
    assert!(told.contains("Expected instance of Integer, given an instance of String"), "{told}");
    assert!(told.contains("Expected instance of true or false, given yes"), "{told}");
    for body in ["", "nonsense", "null", "[1]"] {
        house.admin.call("POST", PATH, body.into()).await.refused(400, 1001);
    }
    // A body is looked at before rights are.
    house.ben.post(PATH, json!({})).await.refused(400, 1001);
    house.ben.post(PATH, space_quota("x")).await.refused(403, 10003);
}

async fn names_are_unique_in_an_organization(house: House) {
    // Checklist 18 and 19.
    let told = house.admin.post(PATH, space_quota(" ")).await.refused(400, 310_001);
    assert!(told.contains("name presence"), "{told}");
    house.admin.post(PATH, space_quota("one")).await.expect(201);
    let told = house.admin.post(PATH, space_quota("one")).await.refused(400, 310_002);
    assert!(told.ends_with("one"), "{told}");
    house.admin.post(PATH, space_quota("One")).await.expect(201);
    let other = house.admin.post("/v2/organizations", json!({ "name": "other" })).await.expect(201).guid();
    house.admin.post(PATH, with(space_quota("one"), json!({ "organization_guid": other }))).await.expect(201);
}

async fn numbers_have_their_bounds(house: House) {
    // Checklist 20.
    let fields =
        ["memory_limit", "instance_memory_limit", "app_instance_limit", "app_task_limit", "total_service_keys"];
    for field in fields {
        house.admin.post(PATH, with(space_quota(field), json!({ field: -1 }))).await.expect(201);
        let told = house.admin.post(PATH, with(space_quota("low"), json!({ field: -2 }))).await.refused(400, 310_001);
        assert!(told.contains(&format!("{field} invalid_{field}")), "{told}");
        let huge = with(space_quota("huge"), json!({ field: 1_u64 << 40 }));
        house.admin.post(PATH, huge).await.refused(400, 310_001);
    }
    // Services and routes have no lower bound, and below -1 there is no room.
    let space = house.space("dev").await;
    house.limit_space(&space, json!({ "total_routes": -5 })).await;
    let domain = domain(&house).await;
    let route = json!({ "domain_guid": domain, "space_guid": space, "host": "a" });
    house.admin.post("/v2/routes", route).await.refused(400, 310_005);
}

async fn domain(house: &House) -> String {
    let list = house.admin.get("/v2/shared_domains").await.expect(200).json();
    list["resources"][0]["metadata"]["guid"].as_str().unwrap().to_owned()
}

async fn reserved_ports_fit_routes_and_the_organizations_ports(house: House) {
    // Checklist 21.
    let asked = |but: Value| with(space_quota("ports"), but);
    let long = "Total reserved ports must be -1, 0, or a positive integer, must be less than or equal to total routes, \
        and must be less than or equal to total reserved ports for the organization quota.";
    let refused = [
        json!({ "total_reserved_route_ports": 5, "total_routes": 4 }),
        json!({ "total_reserved_route_ports": 101, "total_routes": -1 }),
        json!({ "total_reserved_route_ports": -2 }),
    ];
    for but in refused {
        let told = house.admin.post(PATH, asked(but)).await.refused(400, 310_001);
        assert!(told.ends_with(long), "{told}");
    }
    house.admin.post(PATH, asked(json!({ "total_reserved_route_ports": 100 }))).await.expect(201);
    let unlimited = with(space_quota("any"), json!({ "total_reserved_route_ports": -1 }));
    house.admin.post(PATH, unlimited).await.expect(201);
}

async fn an_organization_must_be_there_and_stays(house: House) {
    // Checklist 22 and 32.
    let body = with(space_quota("x"), json!({ "organization_guid": NOBODY }));
    let told = house.admin.post(PATH, body).await.refused(400, 1002);
    assert_eq!(told, format!("Could not find Organization with guid: {NOBODY}"));
    house.mallory.post(PATH, space_quota("x")).await.refused(400, 1002);
    let guid = house.space_quota("x", json!({})).await;
    let path = format!("{PATH}/{guid}");
    let told = house.admin.put(&path, json!({ "organization_guid": NOBODY })).await.refused(400, 30007);
    assert_eq!(told, "Cannot change organization");
    house.admin.put(&path, json!({ "organization_guid": ORG, "guid": guid })).await.expect(201);
}

async fn nulls_are_absent_and_unknown_keys_ignored(house: House) {
    // Checklist 23 and 24.
    let body = with(space_quota("x"), json!({ "app_task_limit": null, "wat": 1, "log_rate_limit": 7 }));
    let entity = house.admin.post(PATH, body).await.expect(201).json()["entity"].take();
    assert_eq!(entity["app_task_limit"], 5);
    assert!(entity.get("log_rate_limit").is_none() && entity.get("wat").is_none());
    let told = house.admin.post(PATH, with(space_quota("x"), json!({ "name": null }))).await.refused(400, 1001);
    assert!(told.contains("Missing field name"), "{told}");
}

async fn one_is_read_and_what_is_none_is_not_found(house: House) {
    // Checklist 25.
    let made = house.admin.post(PATH, space_quota("x")).await.expect(201);
    let read = house.admin.get(made.header("location")).await.expect(200);
    assert_eq!(read.json(), made.json());
    for guid in [NOBODY, "no-guid", "C9B4AC17"] {
        let told = house.admin.get(&format!("{PATH}/{guid}")).await.refused(404, 310_007);
        assert_eq!(told, format!("Space Quota Definition could not be found: {guid}"));
    }
    house.mallory.get(made.header("location")).await.refused(404, 310_007);
}

async fn a_list_is_paged_ordered_and_not_queried(house: House) {
    // Checklist 26 to 29.
    for name in ["a", "b", "c"] {
        house.space_quota(name, json!({})).await;
    }
    let names = |list: &Value| -> Vec<String> {
        list["resources"].as_array().unwrap().iter().map(|it| it["entity"]["name"].as_str().unwrap().into()).collect()
    };
    let all = house.admin.get(PATH).await.expect(200).json();
    let keys: Vec<&String> = all.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["total_results", "total_pages", "prev_url", "next_url", "resources"]);
    assert_eq!((all["total_results"].clone(), names(&all)), (json!(3), vec!["a".into(), "b".into(), "c".into()]));
    let (mut next, mut seen) = (format!("{PATH}?results-per-page=1"), Vec::new());
    loop {
        let page = house.admin.get(&next).await.expect(200).json();
        assert_eq!(page["total_pages"], 3);
        seen.extend(names(&page));
        let Some(url) = page["next_url"].as_str() else { break };
        assert!(url.starts_with("/v2/"), "{url}");
        next = url.to_owned();
    }
    assert_eq!(seen, ["a", "b", "c"]);
    let last = house.admin.get(&next).await.expect(200).json();
    assert!(last["prev_url"].as_str().unwrap().contains("page=2"));
    let down = house.admin.get(&format!("{PATH}?order-direction=desc")).await.expect(200).json();
    assert_eq!(names(&down), ["c", "b", "a"]);
    for (query, sentence) in [
        ("results-per-page=101", "results_per_page must be <= 100"),
        ("order-direction=sideways", "order_direction must be 'asc' or 'desc' but was 'sideways'"),
        ("inline-relations-depth=4", "inline_relations_depth must be <= 3"),
        ("q=name:x", "name"),
    ] {
        let told = house.admin.get(&format!("{PATH}?{query}")).await.refused(400, 10005);
        assert_eq!(told, format!("The query parameter is invalid: {sentence}"));
    }
    house.admin.get(&format!("{PATH}?order-by=name")).await.refused(500, 10012);
}

async fn related_things_are_shown_within(house: House) {
    // Checklist 30.
    let space = house.space("dev").await;
    let quota = house.limit_space(&space, json!({})).await;
    let told = house.admin.get(&format!("{PATH}/{quota}?inline-relations-depth=1")).await.expect(200).json();
    let entity = told["entity"].as_object().unwrap();
    assert_eq!(entity["organization"]["metadata"]["guid"], ORG);
    assert_eq!(entity["spaces"][0]["metadata"]["guid"], space);
    let keys: Vec<&String> = entity.keys().collect();
    assert_eq!(&keys[11..], ["organization_url", "organization", "spaces_url", "spaces"]);
    let list = house.admin.get(&format!("{PATH}?inline-relations-depth=1")).await.expect(200).json();
    assert_eq!(list["resources"][0]["entity"]["organization"]["entity"]["name"], "acme-org");
}

async fn a_change_is_partial_and_created(house: House) {
    // Checklist 31.
    let guid = house.space_quota("x", json!({ "memory_limit": 5120 })).await;
    let path = format!("{PATH}/{guid}");
    house.clock.advance(5_000_000);
    let answer = house.admin.put(&path, json!({ "total_routes": 7 })).await.expect(201);
    assert_eq!(answer.header("location"), "");
    let told = answer.json();
    assert_eq!(
        (told["entity"]["total_routes"].clone(), told["entity"]["memory_limit"].clone()),
        (json!(7), json!(5120))
    );
    assert_eq!(told["metadata"]["updated_at"], "2026-01-01T00:00:05Z");
    house.admin.put(&path, json!({})).await.expect(201);
    house.admin.put(&path, json!({ "memory_limit": -2 })).await.refused(400, 310_001);
    house.admin.put(&path, json!({ "name": "" })).await.refused(400, 310_001);
    house.admin.put(&format!("{PATH}/{NOBODY}"), json!({})).await.refused(404, 310_007);
}

async fn a_quota_is_applied_replaced_and_withdrawn(house: House) {
    // Checklist 33 to 36.
    let space = house.space("dev").await;
    let (one, two) = (house.space_quota("one", json!({})).await, house.space_quota("two", json!({})).await);
    let of = async || house.admin.get(&format!("/v2/spaces/{space}")).await.expect(200).json()["entity"].take();
    assert_eq!(of().await["space_quota_definition_guid"], json!(null));
    assert!(of().await.get("space_quota_definition_url").is_none());
    let path = |quota: &str| format!("{PATH}/{quota}/spaces/{space}");
    let told = house.admin.put(&path(&one), json!({})).await.expect(201).json();
    assert_eq!(told["metadata"]["guid"], one);
    let entity = of().await;
    assert_eq!(entity["space_quota_definition_guid"], one);
    assert_eq!(entity["space_quota_definition_url"], format!("{PATH}/{one}"));
    let list = house.admin.get(&format!("{PATH}/{one}/spaces")).await.expect(200).json();
    assert_eq!(list["resources"][0]["metadata"]["guid"], space);
    house.admin.put(&path(&two), json!({})).await.expect(201);
    assert_eq!(of().await["space_quota_definition_guid"], two);
    let list = house.admin.get(&format!("{PATH}/{one}/spaces")).await.expect(200).json();
    assert_eq!(list["total_results"], 0);
    // The first one is not the space's any more, so nothing is withdrawn.
    house.admin.delete(&path(&one)).await.expect(204);
    assert_eq!(of().await["space_quota_definition_guid"], two);
    for _ in 0..2 {
        let gone = house.admin.delete(&path(&two)).await.expect(204);
        assert!(gone.body.is_empty() && gone.header("content-type").is_empty());
        assert_eq!(of().await["space_quota_definition_guid"], json!(null));
    }
    let other = house.admin.post("/v2/organizations", json!({ "name": "other" })).await.expect(201).guid();
    let alien = json!({ "name": "far", "organization_guid": other });
    let alien = house.admin.post("/v2/spaces", alien).await.expect(201).guid();
    let told = house.admin.put(&format!("{PATH}/{one}/spaces/{alien}"), json!({})).await.refused(400, 310_001);
    assert!(told.ends_with("space_quota_definition invalid_organization"), "{told}");
    let told = house.admin.put(&format!("{PATH}/{one}/spaces/{NOBODY}"), json!({})).await.refused(400, 1002);
    assert_eq!(told, format!("Could not find VCAP::CloudController::Space with guid: {NOBODY}"));
    house.admin.delete(&format!("{PATH}/{one}/spaces/{NOBODY}")).await.refused(400, 1002);
}

async fn a_quota_that_is_applied_can_be_deleted(house: House) {
    // Checklist 37.
    let space = house.space("dev").await;
    let quota = house.limit_space(&space, json!({ "memory_limit": 10 })).await;
    house.admin.delete(&format!("{PATH}/{quota}")).await.expect(204);
    let told = house.admin.get(&format!("/v2/spaces/{space}")).await.expect(200).json();
    assert_eq!(told["entity"]["space_quota_definition_guid"], json!(null));
    house.admin.get(&format!("{PATH}/{quota}")).await.refused(404, 310_007);
    // And its limits are gone with it.
    let app = house.app(&space, "app", 512, 1).await;
    house.start(&app).await.expect(201);
    let other = house.space_quota("later", json!({})).await;
    let job = house.admin.delete(&format!("{PATH}/{other}?async=true")).await.expect(202).json();
    assert_eq!(job["entity"]["status"], "finished");
}

async fn those_of_one_organization_are_listed(house: House) {
    // Checklist 38.
    house.space_quota("here", json!({})).await;
    let other = house.admin.post("/v2/organizations", json!({ "name": "other" })).await.expect(201).guid();
    let there = with(space_quota("there"), json!({ "organization_guid": other }));
    house.admin.post(PATH, there).await.expect(201);
    let path = format!("/v2/organizations/{other}/space_quota_definitions");
    let list = house.admin.get(&path).await.expect(200).json();
    assert_eq!(list["total_results"], 1);
    assert_eq!(list["resources"][0]["entity"]["name"], "there");
}

async fn who_may_see_and_change_what(house: House) {
    // Checklist 39, 40 and 41.
    let (space, far) = (house.space("dev").await, house.space("far").await);
    let quota = house.limit_space(&space, json!({})).await;
    let other = house.space_quota("unapplied", json!({})).await;
    let (path, other) = (format!("{PATH}/{quota}"), format!("{PATH}/{other}"));
    let total = async |client: &crate::house::Client| client.get(PATH).await.expect(200).json()["total_results"].take();
    // A plain user of the organization.
    house.make_member(&house.ben).await;
    assert_eq!(total(&house.ben).await, 0);
    house.ben.get(&path).await.refused(403, 10003);
    house.ben.post(PATH, space_quota("x")).await.refused(403, 10003);
    // A developer sees the quota of their space, and no other.
    house.make_developer(&space, &house.ben).await;
    assert_eq!(total(&house.ben).await, 1);
    house.ben.get(&path).await.expect(200);
    house.ben.get(&other).await.refused(403, 10003);
    house.ben.put(&path, json!({})).await.refused(403, 10003);
    house.ben.delete(&path).await.refused(403, 10003);
    house.ben.put(&format!("{path}/spaces/{far}"), json!({})).await.refused(403, 10003);
    house.ben.delete(&format!("{path}/spaces/{space}")).await.refused(403, 10003);
    // A manager may do all, until the organization is suspended.
    house.make_manager(&house.ana).await;
    assert_eq!(total(&house.ana).await, 2);
    house.ana.post(PATH, space_quota("hers")).await.expect(201);
    house.ana.put(&other, json!({ "total_routes": 3 })).await.expect(201);
    house.ana.put(&format!("{other}/spaces/{far}"), json!({})).await.expect(201);
    house.ana.delete(&format!("{other}/spaces/{far}")).await.expect(204);
    house.ana.delete(&other).await.expect(204);
    let suspended = json!({ "status": "suspended" });
    house.admin.put(&format!("/v2/organizations/{ORG}"), suspended).await.expect(201);
    house.ana.put(&path, json!({})).await.refused(403, 10003);
    house.admin.put(&path, json!({})).await.expect(201);
    // One who reads all reads all.
    let reader = house.admin.scoped("cloud_controller.admin_read_only");
    assert_eq!(total(&reader).await, 2);
    reader.get(&path).await.expect(200);
    reader.put(&path, json!({})).await.expect(403);
    let auditor = house.admin.scoped("cloud_controller.global_auditor");
    auditor.get(&path).await.expect(200);
    let narrow = house.admin.scoped("cloud_controller.write");
    narrow.get(PATH).await.refused(403, 10007);
    // Another tenant sees nothing of it, an operator all.
    assert_eq!(total(&house.mallory).await, 0);
    house.mallory.get(&path).await.refused(404, 310_007);
    house.mallory.put(&path, json!({})).await.refused(404, 310_007);
    house.mallory.delete(&path).await.refused(404, 310_007);
    assert_eq!(total(&house.operator).await, 2);
    house.operator.put(&path, json!({ "total_routes": 5 })).await.expect(201);
}
