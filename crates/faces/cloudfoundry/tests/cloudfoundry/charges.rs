//! What routes, domains, services and keys take: the checklist's items 53 to 57.

use serde_json::{Value, json};

use crate::house::{House, NOBODY, ORG};

on_both! {
    routes_are_counted
    reserved_ports_are_counted
    addresses_are_taken_once
    service_instances_are_counted_and_provided_ones_are_not
    a_plan_that_costs_can_be_forbidden
    service_keys_are_counted
    private_domains_are_counted
    what_is_deleted_gives_back
}

const FREE: &str = "0a3c8a52-5f0e-4b5e-8d3f-6a1d7c1f0002";
const PAID: &str = "0a3c8a52-5f0e-4b5e-8d3f-6a1d7c1f0003";

/// The shared domains: HTTP and TCP.
async fn domains(house: &House) -> [String; 2] {
    let list = house.admin.get("/v2/shared_domains").await.expect(200).json();
    let guid = |at: usize| list["resources"][at]["metadata"]["guid"].as_str().unwrap().to_owned();
    assert_eq!(list["resources"][1]["entity"]["router_group_type"], "tcp");
    [guid(0), guid(1)]
}

fn route(space: &str, domain: &str, but: Value) -> Value {
    crate::house::with(json!({ "domain_guid": domain, "space_guid": space }), but)
}

async fn routes_are_counted(house: House) {
    // Checklist 53.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    let [http, _] = domains(&house).await;
    house.limit_space(&space, json!({ "total_routes": 1 })).await;
    let made = house.admin.post("/v2/routes", route(&space, &http, json!({ "host": "a" }))).await.expect(201);
    let told = house.admin.post("/v2/routes", route(&space, &http, json!({ "host": "b" }))).await.refused(400, 310_005);
    assert_eq!(told, "You have exceeded the total routes for your space's quota.");
    house.limit_org(json!({ "total_routes": 1, "total_reserved_route_ports": 0 })).await;
    let told = house.admin.post("/v2/routes", route(&other, &http, json!({ "host": "b" }))).await.refused(400, 310_006);
    assert_eq!(told, "You have exceeded the total routes for your organization's quota.");
    // Both are over, and the space is told.
    house.admin.post("/v2/routes", route(&space, &http, json!({ "host": "b" }))).await.refused(400, 310_005);
    house.admin.delete(made.header("location")).await.expect(204);
    house.admin.get(made.header("location")).await.refused(404, 210_002);
    house.admin.post("/v2/routes", route(&other, &http, json!({ "host": "b" }))).await.expect(201);
    house.assert_sound().await;
}

async fn reserved_ports_are_counted(house: House) {
    // Checklist 54.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    let [http, tcp] = domains(&house).await;
    house.limit_space(&space, json!({ "total_reserved_route_ports": 0 })).await;
    let on_port = |space: &str, port: u64| route(space, &tcp, json!({ "port": port }));
    let told = house.admin.post("/v2/routes", on_port(&space, 1024)).await.refused(400, 310_010);
    assert_eq!(told, "You have exceeded the total reserved route ports for your space's quota.");
    house.admin.post("/v2/routes", route(&space, &http, json!({ "host": "a" }))).await.expect(201);
    house.limit_org(json!({ "total_reserved_route_ports": 1 })).await;
    let any = "/v2/routes?generate_port=true";
    let made = house.admin.post(any, route(&other, &tcp, json!({}))).await.expect(201).json();
    assert_eq!(made["entity"]["port"], 1024);
    house.admin.post("/v2/routes", on_port(&other, 5000)).await.refused(400, 310_009);
    let used = house.usage(&other).await;
    assert_eq!((used.0["routes"].clone(), used.0["reserved_ports"].clone()), (json!(1), json!(1)));
    assert_eq!(used.1["routes"], 2);
    house.admin.post("/v2/routes", route(&other, &tcp, json!({}))).await.refused(400, 210_001);
    house.admin.post("/v2/routes", route(&other, &http, json!({ "port": 80 }))).await.refused(400, 210_001);
    house.assert_sound().await;
}

async fn addresses_are_taken_once(house: House) {
    let space = house.space("dev").await;
    let [http, tcp] = domains(&house).await;
    for (but, domain, code) in [
        (json!({ "host": "a" }), &http, 210_003),
        (json!({ "host": "a", "path": "/x" }), &http, 210_004),
        (json!({ "port": 2000 }), &tcp, 210_005),
    ] {
        house.admin.post("/v2/routes", route(&space, domain, but.clone())).await.expect(201);
        house.admin.post("/v2/routes", route(&space, domain, but)).await.refused(400, code);
    }
    // Another tenant's addresses are its own: it neither meets nor finds these.
    house.mallory.post("/v2/routes", route(&space, &http, json!({ "host": "b" }))).await.refused(400, 1002);
    let list = house.admin.get("/v2/routes?q=host:a").await.expect(200).json();
    assert_eq!(list["total_results"], 2);
    assert_eq!(house.admin.get("/v2/routes?q=port:2000").await.json()["total_results"], 1);
    assert_eq!(house.mallory.get("/v2/routes").await.expect(200).json()["total_results"], 0);
    // Free ports are found at the same moment by many, each another.
    let asked = (0..8).map(|_| {
        let (admin, body) = (house.admin.clone(), route(&space, &tcp, json!({})));
        tokio::spawn(async move { admin.post("/v2/routes?generate_port=true", body).await.expect(201).json() })
    });
    let made = futures_util::future::join_all(asked).await;
    let ports: std::collections::BTreeSet<i64> =
        made.into_iter().map(|made| made.unwrap()["entity"]["port"].as_i64().unwrap()).collect();
    assert_eq!(ports.len(), 8);
    house.assert_sound().await;
}

fn instance(space: &str, name: &str, plan: &str) -> Value {
    json!({ "name": name, "space_guid": space, "service_plan_guid": plan })
}

async fn service_instances_are_counted_and_provided_ones_are_not(house: House) {
    // Checklist 55.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    house.limit_space(&space, json!({ "total_services": 1 })).await;
    const PATH: &str = "/v2/service_instances";
    let made = house.admin.post(PATH, instance(&space, "a", FREE)).await.expect(201).json();
    assert_eq!(made["entity"]["last_operation"]["state"], "succeeded");
    let told = house.admin.post(PATH, instance(&space, "b", FREE)).await.refused(400, 60012);
    assert_eq!(told, "You have exceeded your space's services limit.");
    house.admin.post(PATH, instance(&space, "a", FREE)).await.refused(400, 60002);
    house.limit_org(json!({ "total_services": 1 })).await;
    house.admin.post(PATH, instance(&other, "a", FREE)).await.refused(400, 60005);
    for name in ["b", "c"] {
        let provided = json!({ "name": name, "space_guid": space, "credentials": { "a": 1 } });
        house.admin.post("/v2/user_provided_service_instances", provided).await.expect(201);
    }
    assert_eq!(house.usage(&space).await.1["service_instances"], 1);
    let path = format!("/v2/spaces/{space}/service_instances");
    assert_eq!(house.admin.get(&path).await.expect(200).json()["total_results"], 1);
    house.assert_sound().await;
}

async fn a_plan_that_costs_can_be_forbidden(house: House) {
    // Checklist 56.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    house.limit_space(&space, json!({ "non_basic_services_allowed": false })).await;
    const PATH: &str = "/v2/service_instances";
    let told = house.admin.post(PATH, instance(&space, "a", PAID)).await.refused(400, 60013);
    assert!(told.ends_with("paid service plans are not allowed for your space."), "{told}");
    let made = house.admin.post(PATH, instance(&space, "a", FREE)).await.expect(201);
    let path = made.header("location").to_owned();
    house.admin.put(&path, json!({ "service_plan_guid": PAID })).await.refused(400, 60013);
    house.admin.put(&path, json!({ "name": "renamed" })).await.expect(201);
    house.limit_org(json!({ "non_basic_services_allowed": false })).await;
    house.admin.post(PATH, instance(&other, "a", PAID)).await.refused(400, 60007);
    house.admin.post(PATH, instance(&other, "a", FREE)).await.expect(201);
    house.admin.post(PATH, instance(&other, "b", NOBODY)).await.refused(400, 60003);
    let plans = house.ana.get("/v2/service_plans").await.expect(200).json();
    assert_eq!(plans["resources"][0]["entity"]["free"], true);
    assert_eq!(plans["resources"][1]["entity"]["free"], false);
    house.assert_sound().await;
}

async fn service_keys_are_counted(house: House) {
    // Checklist 57.
    let (space, other) = (house.space("dev").await, house.space("prod").await);
    house.limit_space(&space, json!({ "total_service_keys": 1 })).await;
    let made = house.admin.post("/v2/service_instances", instance(&space, "a", FREE)).await.expect(201);
    let key = |name: &str| json!({ "service_instance_guid": made.guid(), "name": name });
    house.admin.post("/v2/service_keys", key("one")).await.expect(201);
    let told = house.admin.post("/v2/service_keys", key("two")).await.refused(400, 360_002);
    assert_eq!(told, "The service key is invalid: quota service_keys_space_quota_exceeded");
    house.admin.post("/v2/service_keys", key("one")).await.refused(400, 360_001);
    house.limit_org(json!({ "total_service_keys": 1 })).await;
    let told = house.admin.post("/v2/service_keys", key("two")).await.refused(400, 360_002);
    let both = "quota service_keys_quota_exceeded, quota service_keys_space_quota_exceeded";
    assert_eq!(told, format!("The service key is invalid: {both}"));
    let far = house.admin.post("/v2/service_instances", instance(&other, "a", FREE)).await.expect(201).guid();
    let body = json!({ "service_instance_guid": far, "name": "x" });
    let told = house.admin.post("/v2/service_keys", body).await.refused(400, 360_002);
    assert!(told.ends_with("quota service_keys_quota_exceeded"), "{told}");
    let path = made.header("location");
    let told = house.admin.delete(path).await.refused(400, 10006);
    assert_eq!(told, "Please delete the service_keys associations for your service_instances.");
    house.admin.delete(&format!("{path}?recursive=true")).await.expect(204);
    assert_eq!(house.usage(&space).await.1["service_keys"], 0);
    house.assert_sound().await;
}

async fn private_domains_are_counted(house: House) {
    house.limit_org(json!({ "total_private_domains": 1 })).await;
    let space = house.space("dev").await;
    let body = |name: &str| json!({ "name": name, "owning_organization_guid": ORG });
    let made = house.admin.post("/v2/private_domains", body("one.example")).await.expect(201);
    let told = house.admin.post("/v2/private_domains", body("two.example")).await.refused(400, 130_005);
    assert_eq!(told, "The number of private domains exceeds the quota for organization: acme-org");
    house.admin.post("/v2/private_domains", body("one.example")).await.refused(400, 130_003);
    house.admin.post("/v2/private_domains", body("no domain")).await.refused(400, 130_001);
    let used = house.usage(&space).await;
    assert_eq!((used.0["domains"].clone(), used.1["domains"].clone()), (json!(1), json!(1)));
    let on_it = route(&space, &made.guid(), json!({ "host": "a" }));
    let on_it = house.admin.post("/v2/routes", on_it).await.expect(201);
    house.admin.delete(made.header("location")).await.refused(400, 10006);
    house.admin.delete(on_it.header("location")).await.expect(204);
    house.admin.delete(made.header("location")).await.expect(204);
    house.admin.post("/v2/private_domains", body("two.example")).await.expect(201);
    house.assert_sound().await;
}

async fn what_is_deleted_gives_back(house: House) {
    let space = house.space("dev").await;
    let [http, _] = domains(&house).await;
    let made = house.admin.post("/v2/routes", route(&space, &http, json!({ "host": "a" }))).await.expect(201);
    // Deleted by two at once it is gone once, and given back once.
    let both = [house.admin.clone(), house.admin.clone()].map(|admin| {
        let path = made.header("location").to_owned();
        tokio::spawn(async move { admin.delete(&path).await.status.as_u16() })
    });
    let mut told: Vec<u16> = futures_util::future::join_all(both).await.into_iter().map(|it| it.unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, [204, 404]);
    assert_eq!(house.usage(&space).await.0["routes"], 0);
    house.assert_sound().await;
}
