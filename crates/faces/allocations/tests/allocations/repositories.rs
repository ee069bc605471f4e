//! Repositories. Checklist 60 (with `limits.rs`) and 63.

use serde_json::json;

use crate::house::House;

on_both! {
    a_repository_is_answered_without_its_secrets
    a_new_repository_needs_a_name_a_type_and_a_capacity
    the_sites_repositories_are_seen_by_all_and_changed_by_operators
    a_tenants_repository_is_its_own
    a_repository_with_allocations_is_not_removed
}

async fn a_repository_is_answered_without_its_secrets(house: House) {
    let body = json!({
        "name": "bucket", "type": "s3", "capacity": 1000, "address": "a", "bucket": "b", "region": "r", "endpoint": "e",
        "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "very-secret-key", "access_grant": "very-secret-grant",
        "irsa_role_arn": "arn",
    });
    let answer = house.admin.post("/api/repositories/", body).await.expect(201);
    let told = answer.json();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "name",
            "type",
            "address",
            "capacity",
            "usage_bytes",
            "asset_content_count",
            "access_key_id_masked",
            "provider",
            "status",
            "provisioning_error",
            "is_active",
            "bucket",
            "region",
            "endpoint",
            "irsa_role_arn",
            "created_at",
            "updated_at",
        ]
    );
    assert_eq!(told["access_key_id_masked"], "****MPLE");
    let path = format!("/api/repositories/{}/", told["id"].as_str().unwrap());
    let patched = house.admin.patch(&path, json!({ "secret_access_key": "very-secret-too", "region": "q" })).await;
    let all = [answer, patched.expect(200), house.admin.get(&path).await, house.admin.get("/api/repositories/").await];
    for answer in all {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("very-secret") && !text.contains("secret_access_key"), "{text}");
        assert!(!text.contains("AKIAIOS"), "{text}");
    }
    let stored = house.store.read(|tx| tx.query("SELECT * FROM repositories", &[])).await.unwrap();
    assert!(!format!("{stored:?}").contains("very-secret"));
}

async fn a_new_repository_needs_a_name_a_type_and_a_capacity(house: House) {
    let required = json!(["This field is required."]);
    let told = house.admin.post("/api/repositories/", json!({})).await.expect(400).json();
    assert_eq!(told, json!({ "name": required, "type": required, "capacity": required }));
    let wrong = json!({ "name": "x", "type": "tape", "capacity": -1 });
    let told = house.admin.post("/api/repositories/", wrong).await.expect(400).json();
    assert_eq!(told["type"], json!(["\"tape\" is not a valid choice."]));
    assert_eq!(told["capacity"], json!(["Ensure this value is greater than or equal to 0."]));
    house.ana.post("/api/repositories/", json!({})).await.expect(403);
}

async fn the_sites_repositories_are_seen_by_all_and_changed_by_operators(house: House) {
    let path = format!("/api/repositories/{}/", house.repository);
    for client in [&house.ana, &house.mallory] {
        assert_eq!(client.get(&path).await.expect(200).json()["name"], "cold-store");
    }
    house.admin.patch(&path, json!({ "region": "x" })).await.expect(403);
    house.admin.delete(&path).await.expect(403);
    let told = house.operator.patch(&path, json!({ "capacity": 1000 })).await.expect(200).json();
    assert_eq!(told["capacity"], 1000);
    let site = json!({ "name": "warm-store", "type": "posix", "capacity": 0 });
    let made = house.operator.post("/api/repositories/", site).await.expect(201).id();
    house.mallory.get(&format!("/api/repositories/{made}/")).await.expect(200);
}

async fn a_tenants_repository_is_its_own(house: House) {
    let new = json!({ "name": "own", "type": "posix", "capacity": 0 });
    let id = house.admin.post("/api/repositories/", new).await.expect(201).id();
    house.ana.get(&format!("/api/repositories/{id}/")).await.expect(200);
    house.ana.delete(&format!("/api/repositories/{id}/")).await.expect(403);
    house.mallory.get(&format!("/api/repositories/{id}/")).await.expect(404);
    assert_eq!(house.mallory.get("/api/repositories/").await.expect(200).json().as_array().unwrap().len(), 1);
    let mut body = house.asking(&house.mallory, 10, 10);
    body["repository_id"] = json!(id);
    house.mallory.post("/api/allocations/", body).await.expect(400);
}

async fn a_repository_with_allocations_is_not_removed(house: House) {
    let allocation = house.give(&house.ana, 10, 10).await;
    let path = format!("/api/repositories/{}/", house.repository);
    let told = house.operator.delete(&path).await.expect(409).json();
    assert_eq!(told, json!({ "detail": "Cannot delete repository - allocations present." }));
    house.admin.delete(&format!("/api/allocations/{allocation}/")).await.expect(204);
    house.operator.delete(&path).await.expect(204);
    house.operator.get(&path).await.expect(404);
}
