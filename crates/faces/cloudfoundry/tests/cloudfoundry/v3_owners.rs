//! Organization quotas, organizations, spaces, apps and processes of v3: the checklist's item 78 and section 4.3.

use serde_json::json;

use crate::house::{House, NOBODY, ORG};

on_both! {
    quotas_of_organizations_are_made_filtered_applied_and_deleted
    organizations_are_made_changed_and_deleted
    spaces_are_made_changed_and_deleted
    apps_are_made_scaled_started_and_deleted
}

const QUOTAS: &str = "/v3/organization_quotas";

async fn quotas_of_organizations_are_made_filtered_applied_and_deleted(house: House) {
    // Checklist 78.
    let told = house.admin.post(QUOTAS, json!({ "name": "q" })).await.expect(201).json();
    assert_eq!(told["domains"], json!({ "total_domains": null }));
    assert_eq!(told["relationships"], json!({ "organizations": { "data": [] } }));
    let path = format!("{QUOTAS}/{}", told["guid"].as_str().unwrap());
    assert_eq!(told["links"], json!({ "self": { "href": format!("http://api.example.org{path}") } }));
    let told = house.admin.post(QUOTAS, json!({ "name": "q" })).await.refused_v3(422, 10008);
    assert_eq!(told, "Organization Quota 'q' already exists.");
    // Here rights come before the body.
    house.ana.post(QUOTAS, json!({ "wat": 1 })).await.refused_v3(403, 10003);
    let list = house.ana.get(&format!("{QUOTAS}?organization_guids={ORG}")).await.expect(200).json();
    assert_eq!(list["resources"][0]["name"], "default");
    house.admin.get(&format!("{QUOTAS}?wat=1")).await.refused_v3(400, 10005);
    house.admin.get(&format!("{QUOTAS}?per_page=0")).await.refused_v3(400, 10005);
    assert_eq!(
        house.admin.get(&format!("{QUOTAS}/{NOBODY}")).await.refused_v3(404, 10010),
        "Organization quota not found"
    );
    let to = |guid: &str| json!({ "data": [{ "guid": guid }] });
    let relations = format!("{path}/relationships/organizations");
    let told = house.admin.post(&relations, to(NOBODY)).await.refused_v3(422, 10008);
    assert_eq!(told, format!("Organizations with guids [\"{NOBODY}\"] do not exist"));
    let told = house.admin.post(&relations, to(ORG)).await.expect(200).json();
    assert_eq!(told["data"], json!([{ "guid": ORG }]));
    let told = house.admin.get(&format!("/v2/organizations/{ORG}")).await.expect(200).json();
    assert!(path.ends_with(told["entity"]["quota_definition_guid"].as_str().unwrap()));
    let told = house.admin.delete(&path).await.refused_v3(422, 10008);
    assert!(told.starts_with("This quota is applied to one or more organizations."), "{told}");
    house.mallory.get(&path).await.refused_v3(404, 10010);
    house.mallory.patch(&path, json!({ "name": "mine" })).await.refused_v3(404, 10010);
    house.mallory.delete(&path).await.refused_v3(404, 10010);
    let theirs = house.mallory.post(QUOTAS, json!({ "name": "q" })).await.expect(201).guid();
    house.mallory.post(&format!("{QUOTAS}/{theirs}/relationships/organizations"), to(ORG)).await.refused_v3(422, 10008);
    let free = house.admin.post(QUOTAS, json!({ "name": "free" })).await.expect(201).guid();
    house.admin.delete(&format!("{QUOTAS}/{free}")).await.expect(202);
}

async fn organizations_are_made_changed_and_deleted(house: House) {
    let metadata = json!({ "labels": { "a": "b" }, "annotations": {} });
    let made = house.admin.post("/v3/organizations", json!({ "name": "new", "metadata": metadata })).await.expect(201);
    let told = made.json();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["guid", "created_at", "updated_at", "name", "suspended", "relationships", "metadata", "links"]);
    assert_eq!(told["metadata"], metadata);
    let path = format!("/v3/organizations/{}", made.guid());
    let told = house.admin.post("/v3/organizations", json!({ "name": "new" })).await.refused_v3(422, 10008);
    assert_eq!(told, "Organization 'new' already exists.");
    let change = json!({ "name": "newer", "metadata": { "labels": { "a": null, "c": "d" } } });
    let told = house.admin.patch(&path, change).await.expect(200).json();
    assert_eq!((told["name"].clone(), told["metadata"]["labels"].clone()), (json!("newer"), json!({ "c": "d" })));
    house.ana.get(&path).await.refused_v3(404, 10010);
    house.mallory.get(&path).await.refused_v3(404, 10010);
    house.mallory.delete(&path).await.refused_v3(404, 10010);
    let by_name = house.admin.get("/v3/organizations?order_by=-name").await.expect(200).json();
    assert_eq!(by_name["resources"][0]["name"], "newer");
    house.admin.delete(&path).await.expect(202);
    house.admin.get(&path).await.refused_v3(404, 10010);
}

async fn spaces_are_made_changed_and_deleted(house: House) {
    let asked = |name: &str| json!({ "name": name, "relationships": { "organization": { "data": { "guid": ORG } } } });
    let made = house.admin.post("/v3/spaces", asked("dev")).await.expect(201);
    assert_eq!(made.json()["relationships"]["quota"]["data"], json!(null));
    let told = house.admin.post("/v3/spaces", asked("dev")).await.refused_v3(422, 10008);
    assert_eq!(told, "Name must be unique per organization");
    let path = format!("/v3/spaces/{}", made.guid());
    house.limit_space(&made.guid(), json!({})).await;
    let told = house.admin.get(&path).await.expect(200).json();
    assert!(told["links"]["quota"]["href"].as_str().unwrap().contains("/v3/space_quotas/"));
    house.admin.patch(&path, json!({ "name": "prod" })).await.expect(200);
    let list = house.admin.get(&format!("/v3/spaces?names=prod&organization_guids={ORG}")).await.expect(200).json();
    assert_eq!(list["pagination"]["total_results"], 1);
    house.mallory.get(&path).await.refused_v3(404, 10010);
    house.mallory.delete(&path).await.refused_v3(404, 10010);
    house.admin.delete(&path).await.expect(202);
    house.admin.get(&path).await.refused_v3(404, 10010);
    house.admin.post("/v3/spaces", asked("")).await.refused_v3(422, 10008);
}

async fn apps_are_made_scaled_started_and_deleted(house: House) {
    let space = house.space("dev").await;
    let asked = json!({ "name": "app", "relationships": { "space": { "data": { "guid": space } } } });
    let guid = house.admin.post("/v3/apps", asked.clone()).await.expect(201).guid();
    let path = format!("/v3/apps/{guid}");
    house.admin.post("/v3/apps", asked).await.refused_v3(422, 10008);
    let scale = json!({ "instances": 2, "memory_in_mb": 64, "disk_in_mb": null });
    let told = house.admin.post(&format!("{path}/processes/web/actions/scale"), scale).await.expect(202).json();
    assert_eq!((told["guid"].clone(), told["instances"].clone()), (json!(guid), json!(2)));
    assert_eq!(
        house.admin.post(&format!("{path}/actions/start"), json!({})).await.expect(200).json()["state"],
        "STARTED"
    );
    assert_eq!(house.usage(&space).await.0["memory_in_mb"], 128);
    let told = house.admin.post(&format!("/v3/processes/{guid}/actions/scale"), json!({ "instances": -1 })).await;
    assert_eq!(told.refused_v3(422, 10008), "Instances must be greater than or equal to 0");
    let list = house.admin.get(&format!("{path}/processes")).await.expect(200).json();
    assert_eq!(list["resources"][0]["type"], "web");
    house.admin.get(&format!("{path}/processes/worker")).await.refused_v3(404, 10010);
    house.admin.post(&format!("{path}/actions/stop"), json!({})).await.expect(200);
    assert_eq!(house.usage(&space).await.0["memory_in_mb"], 0);
    house.mallory.post(&format!("{path}/actions/start"), json!({})).await.refused_v3(404, 10010);
    house.ben.post(&format!("{path}/actions/start"), json!({})).await.refused_v3(404, 10010);
    house.admin.patch(&path, json!({ "name": "renamed" })).await.expect(200);
    house.admin.delete(&path).await.expect(202);
    house.admin.get(&path).await.refused_v3(404, 10010);
    house.assert_sound().await;
}
