//! Every route, asked by a stranger and by another tenant.

use serde_json::json;

use crate::house::{House, ORG};

on_both! {
    a_stranger_is_not_authenticated_on_any_route
    another_tenant_finds_nothing_on_any_route_that_names_something
}

/// Routes that need nobody to be logged in.
const OPEN: &[&str] = &[
    "/oauth/token",
    "/oauth/token_key",
    "/oauth/token_keys",
    "/token_key",
    "/token_keys",
    "/check_token",
    "/.well-known/openid-configuration",
    "/login",
    "/info",
    "/v2/info",
    "/v3",
    "/v3/info",
];

fn filled(path: &str, guid: &str, kind: &str) -> String {
    path.replace("{guid}", guid).replace("{id}", guid).replace("{jti}", guid).replace("{kind}", kind)
}

async fn a_stranger_is_not_authenticated_on_any_route(house: House) {
    for (method, path) in cloudfoundry::routes::ROUTES.iter().filter(|(_, path)| !OPEN.contains(path)) {
        let path = filled(path, ORG, "users").replace("{user}", ORG).replace("{space}", ORG);
        let answer = house.stranger.call(&method.to_uppercase(), &path, "{}".into()).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        let told = answer.json();
        let code = if path.starts_with("/v3") { &told["errors"][0]["code"] } else { &told["code"] };
        assert!(code == 10002 || told["error"] == "unauthorized", "{method} {path} {told}");
    }
}

async fn another_tenant_finds_nothing_on_any_route_that_names_something(house: House) {
    let space = house.space("dev").await;
    let quota = house.limit_space(&space, json!({})).await;
    let org_quota = house.limit_org(json!({})).await;
    let app = house.app(&space, "app", 1, 1).await;
    let task = house.admin.post(&format!("/v3/apps/{app}/tasks"), json!({ "command": "x" })).await.expect(202).guid();
    let list = house.admin.get("/v2/shared_domains").await.expect(200).json();
    let shared = list["resources"][0]["metadata"]["guid"].as_str().unwrap().to_owned();
    let private = json!({ "name": "a.example", "owning_organization_guid": ORG });
    let private = house.admin.post("/v2/private_domains", private).await.expect(201).guid();
    let route = json!({ "domain_guid": shared, "space_guid": space, "host": "a" });
    let route = house.admin.post("/v2/routes", route).await.expect(201).guid();
    let plan = "0a3c8a52-5f0e-4b5e-8d3f-6a1d7c1f0002";
    let instance = json!({ "name": "a", "space_guid": space, "service_plan_guid": plan });
    let instance = house.admin.post("/v2/service_instances", instance).await.expect(201).guid();
    let key = json!({ "service_instance_guid": instance, "name": "k" });
    let key = house.admin.post("/v2/service_keys", key).await.expect(201).guid();
    house.make_member(&house.ben).await;
    let role = house.admin.get("/v3/roles").await.expect(200).json()["resources"][0]["guid"].take();
    let role = role.as_str().unwrap().to_owned();
    let free = house.admin.post("/v3/organization_quotas", json!({ "name": "free" })).await.expect(201).guid();
    let job = house.admin.delete(&format!("/v3/organization_quotas/{free}")).await.expect(202);
    let job = job.header("location").rsplit('/').next().unwrap().to_owned();
    let things = [
        ("space_quota_definitions", quota.as_str()),
        ("space_quotas", &quota),
        ("quota_definitions", &org_quota),
        ("organization_quotas", &org_quota),
        ("organizations", ORG),
        ("spaces", &space),
        ("apps", &app),
        ("processes", &app),
        ("tasks", &task),
        ("shared_domains", &shared),
        ("private_domains", &private),
        ("routes", &route),
        ("service_instances", &instance),
        ("user_provided_service_instances", &instance),
        ("service_keys", &key),
        ("roles", &role),
        ("jobs", &job),
        ("users", &house.ana.id),
        ("Users", &house.ana.id),
    ];
    let mut asked = 0;
    for (method, path) in cloudfoundry::routes::ROUTES {
        let noun = path.trim_start_matches("/v2/").trim_start_matches("/v3/").trim_start_matches('/');
        let noun = noun.split('/').next().unwrap();
        // The built-in service is everybody's, and one revokes only what one holds.
        if !path.contains('{') || ["services", "service_plans", "oauth"].contains(&noun) {
            continue;
        }
        let (_, guid) = things.iter().find(|(known, _)| *known == noun).expect("every noun is asked for");
        let kind = match noun {
            "organizations" => "users",
            "spaces" => "developers",
            _ => "web",
        };
        let path = filled(path, guid, kind).replace("{user}", &house.ben.id).replace("{space}", &space);
        let body =
            r#"{"command":"x","username":"ben@acme.example","password":"another long one","data":[{"guid":"x"}]}"#;
        let body = if path.ends_with("/tasks") { r#"{"command":"x"}"# } else { body };
        let body = if path.contains("/scale") || *method == "patch" { "{}" } else { body };
        let answer = house.mallory.call(&method.to_uppercase(), &path, body.into()).await;
        // What lists somebody's things by their id lists nothing of another tenant's.
        if path.ends_with("/organizations") && path.starts_with("/v2/users") {
            assert_eq!(answer.expect(200).json()["total_results"], 0);
        } else {
            assert_eq!(answer.status, 404, "{method} {path} {}", String::from_utf8_lossy(&answer.body));
        }
        asked += 1;
    }
    assert!(asked > 70, "{asked}");
    for (method, path) in cloudfoundry::routes::ROUTES.iter().filter(|(method, _)| *method == "get") {
        let is_list = (path.starts_with("/v2/") || path.starts_with("/v3/")) && !path.contains('{');
        let is_own = ["info", "services", "service_plans", "users", "quota"].iter().any(|word| path.contains(word));
        let is_own = is_own && !path.contains("space_quota") && !path.contains("instances") || path.contains("shared");
        if !is_list || is_own {
            continue;
        }
        let told = house.mallory.get(path).await.expect(200).json();
        let total = told.get("total_results").or(told["pagination"].get("total_results"));
        assert_eq!(total, Some(&json!(0)), "{method} {path}");
    }
    house.assert_sound().await;
}
