//! Where limits live: on the allotments of those a quota is applied to, all of them in the commit that changes it.

use ledger::{AllotmentId, Resource};
use serde_json::json;

use crate::house::{House, ORG, org_quota};

on_both! {
    a_quotas_limits_are_those_of_all_it_is_applied_to
    changes_and_applications_at_once_leave_no_limit_of_yesterday
    an_organizations_node_lies_under_its_tenant_and_is_managed
    what_a_tenant_may_use_bounds_its_organizations
}

async fn limit(house: &House, id: &str, resource: Resource) -> Option<u64> {
    let id = AllotmentId(id.parse().unwrap());
    let read = house.store.read(move |tx| store::allotments::find(tx, &id.into()));
    read.await.unwrap().unwrap().balance(resource).limit
}

async fn a_quotas_limits_are_those_of_all_it_is_applied_to(house: House) {
    let quota = house.space_quota("q", json!({ "memory_limit": 512, "total_routes": 3 })).await;
    let path = format!("/v2/space_quota_definitions/{quota}");
    let mut spaces = Vec::new();
    for number in 0..5 {
        let space = house.space(&format!("s{number}")).await;
        house.admin.put(&format!("{path}/spaces/{space}"), json!({})).await.expect(201);
        spaces.push(space);
    }
    let body = json!({ "name": "born", "organization_guid": ORG, "space_quota_definition_guid": quota });
    spaces.push(house.admin.post("/v2/spaces", body).await.expect(201).guid());
    house.admin.put(&path, json!({ "memory_limit": 256, "total_routes": -1 })).await.expect(201);
    for space in &spaces {
        assert_eq!(limit(&house, space, Resource::MEMORY_MB).await, Some(256));
        assert_eq!(limit(&house, space, Resource::ROUTES).await, None);
        assert_eq!(limit(&house, space, Resource::TASKS).await, None);
    }
    house.admin.delete(&format!("{path}/spaces/{}", spaces[0])).await.expect(204);
    assert_eq!(limit(&house, &spaces[0], Resource::MEMORY_MB).await, None);
    house.admin.delete(&path).await.expect(204);
    assert_eq!(limit(&house, &spaces[5], Resource::MEMORY_MB).await, None);
    // The organization's own quota, likewise.
    let small = house.limit_org(json!({ "memory_limit": 77 })).await;
    assert_eq!(limit(&house, ORG, Resource::MEMORY_MB).await, Some(77));
    let change = json!({ "apps": { "total_memory_in_mb": 78 } });
    house.admin.patch(&format!("/v3/organization_quotas/{small}"), change).await.expect(200);
    assert_eq!(limit(&house, ORG, Resource::MEMORY_MB).await, Some(78));
    house.assert_sound().await;
}

async fn changes_and_applications_at_once_leave_no_limit_of_yesterday(house: House) {
    let mut quotas = Vec::new();
    for name in ["one", "two"] {
        quotas.push(house.space_quota(name, json!({ "memory_limit": 1 })).await);
    }
    let mut spaces = Vec::new();
    for number in 0..4 {
        spaces.push(house.space(&format!("s{number}")).await);
    }
    for round in 0..12_u64 {
        let mut running = Vec::new();
        for (at, space) in spaces.iter().enumerate() {
            let (admin, quota) = (house.admin.clone(), quotas[(round as usize + at) % 2].clone());
            let path = format!("/v2/space_quota_definitions/{quota}/spaces/{space}");
            running.push(tokio::spawn(async move { admin.put(&path, json!({})).await }));
        }
        for (at, quota) in quotas.iter().enumerate() {
            let (admin, path) = (house.admin.clone(), format!("/v2/space_quota_definitions/{quota}"));
            let body = json!({ "memory_limit": 10 * round + at as u64 });
            running.insert(at * 3, tokio::spawn(async move { admin.put(&path, body).await }));
        }
        for answer in futures_util::future::join_all(running).await {
            answer.unwrap().expect(201);
        }
        for space in &spaces {
            let told = house.admin.get(&format!("/v2/spaces/{space}")).await.expect(200).json();
            let quota = told["entity"]["space_quota_definition_url"].as_str().unwrap().to_owned();
            let wanted = house.admin.get(&quota).await.expect(200).json()["entity"]["memory_limit"].as_u64();
            assert_eq!(limit(&house, space, Resource::MEMORY_MB).await, wanted, "round {round}");
        }
    }
    house.assert_sound().await;
}

async fn an_organizations_node_lies_under_its_tenant_and_is_managed(house: House) {
    let space = house.space("dev").await;
    let id = AllotmentId(space.parse().unwrap());
    let node = house.store.read(move |tx| store::allotments::find(tx, &id.into())).await.unwrap().unwrap();
    assert_eq!(node.path, format!("acme/organization-{ORG}/space-{space}"));
    assert_eq!((node.title.as_str(), node.kind.as_str()), ("dev", "space"));
    assert_eq!(node.managed_by.unwrap().to_string(), format!("cloudfoundry/space/{space}"));
    house.admin.put(&format!("/v2/spaces/{space}"), json!({ "name": "prod" })).await.expect(201);
    let node = house.store.read(move |tx| store::allotments::find(tx, &id.into())).await.unwrap().unwrap();
    assert_eq!(node.title, "prod");
}

async fn what_a_tenant_may_use_bounds_its_organizations(house: House) {
    // Neither the space nor the organization refuses, and something above does: it is told as the organization's.
    let limits = vec![(Resource::MEMORY_MB, Some(100))];
    house.identity.set_tenant_limits(crate::house::by(), house.acme, limits).await.unwrap();
    let space = house.space("dev").await;
    let quota = house.admin.post("/v2/quota_definitions", org_quota("any")).await.expect(201).guid();
    let body = json!({ "quota_definition_guid": quota });
    house.admin.put(&format!("/v2/organizations/{ORG}"), body).await.expect(201);
    let app = house.app(&space, "app", 101, 1).await;
    house.start(&app).await.refused(400, 100_005);
}
