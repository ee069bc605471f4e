//! Requests that are sent twice.

use serde_json::{Value, json};

use crate::house::House;

on_both! {
    a_claim_sent_twice_with_one_key_is_made_once
    a_key_with_another_body_is_a_conflict_and_a_refusal_is_judged_anew
    a_key_is_of_one_principal_and_one_route
    a_batch_sent_twice_has_one_effect
    people_tenants_tokens_and_allotments_are_made_once
    a_token_of_the_local_operator_is_another_each_time
    a_key_has_a_bound
}

fn claim(bytes: u64) -> Value {
    json!({ "allotment_id": "path:acme", "amounts": { "bytes": bytes } })
}

async fn used(house: &House) -> Value {
    house.operator().get("/allotments/path:acme").await.json()["used"]["bytes"].clone()
}

async fn a_claim_sent_twice_with_one_key_is_made_once(house: House) {
    let admin = house.admin().with("idempotency-key", "k");
    let first = admin.post("/claims", &claim(5)).await.expect(201);
    let second = admin.post("/claims", &claim(5)).await.expect(201);
    assert_eq!(first.json(), second.json());
    assert_eq!((first.header("idempotency-replayed"), second.header("idempotency-replayed")), (None, Some("true")));
    assert_eq!(used(&house).await, 5);
    let pending = json!({ "allotment_id": "path:acme", "amounts": { "bytes": 1 }, "state": "pending" });
    let path = format!("/claims/{}/settle", house.admin().post("/claims", &pending).await.id());
    let first = admin.post(&path, &json!({})).await.expect(200).json();
    assert_eq!(admin.post(&path, &json!({})).await.expect(200).json(), first);
}

async fn a_key_with_another_body_is_a_conflict_and_a_refusal_is_judged_anew(house: House) {
    let admin = house.admin().with("idempotency-key", "k");
    house.operator().patch("/tenants/acme", &json!({ "limits": { "bytes": 4 } })).await.expect(200);
    admin.post("/claims", &claim(5)).await.problem(409, "limit-exceeded");
    house.operator().patch("/tenants/acme", &json!({ "limits": { "bytes": 5 } })).await.expect(200);
    admin.post("/claims", &claim(5)).await.expect(201);
    admin.post("/claims", &claim(4)).await.problem(409, "conflict");
    assert_eq!(used(&house).await, 5);
}

async fn a_key_is_of_one_principal_and_one_route(house: House) {
    house.admin().with("idempotency-key", "k").post("/claims", &claim(1)).await.expect(201);
    house.operator().with("idempotency-key", "k").post("/claims", &claim(1)).await.expect(201);
    let batch = json!({ "claims": [claim(1)], "atomic": true });
    house.admin().with("idempotency-key", "k").post("/claims/batch", &batch).await.expect(200);
    assert_eq!(used(&house).await, 3);
    let admin = house.admin().with("idempotency-key", "k");
    let again = admin.post(&format!("/claims?x={}", "y".repeat(4096)), &claim(1)).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"), "a query is no part of the route");
}

async fn a_batch_sent_twice_has_one_effect(house: House) {
    for is_atomic in [true, false] {
        let admin = house.admin().with("idempotency-key", &format!("k {is_atomic}"));
        let batch = |bytes: u64| json!({ "claims": [claim(bytes), claim(bytes)], "atomic": is_atomic });
        let before = used(&house).await.as_u64().unwrap_or(0);
        let first = admin.post("/claims/batch", &batch(2)).await.expect(200).json();
        assert_eq!(admin.post("/claims/batch", &batch(2)).await.expect(200).json(), first);
        admin.post("/claims/batch", &batch(3)).await.problem(409, "conflict");
        assert_eq!(used(&house).await, before + 4);
    }
}

async fn people_tenants_tokens_and_allotments_are_made_once(house: House) {
    let bodies = [
        ("/tenants", json!({ "name": "initech" }), json!({ "name": "hooli" })),
        (
            "/users",
            json!({ "tenant_id": "acme", "email": "eve@acme.example" }),
            json!({ "tenant_id": "acme", "email": "x@y" }),
        ),
        ("/tokens", json!({ "user_id": house.ana.id }), json!({ "user_id": house.bob.id })),
        (
            "/allotments",
            json!({ "parent_id": "path:acme", "name": "x" }),
            json!({ "parent_id": "path:acme", "name": "y" }),
        ),
    ];
    let operator = house.operator().with("idempotency-key", "k");
    for (path, body, other) in bodies {
        let first = operator.post(path, &body).await.expect(201).json();
        assert_eq!(operator.post(path, &body).await.expect(201).json(), first, "{path}");
        operator.post(path, &other).await.problem(409, "conflict");
    }
    assert_eq!(house.operator().get(&format!("/tokens?user={}", house.ana.id)).await.items("id").len(), 2);
}

/// They show nothing that the database does not know, and from that a token's text must not follow.
async fn a_token_of_the_local_operator_is_another_each_time(house: House) {
    let local = house.local().with("idempotency-key", "k");
    let body = json!({ "user_id": house.ana.id });
    let first = local.post("/tokens", &body).await.expect(201).json();
    let second = local.post("/tokens", &body).await.expect(201).json();
    assert!(first["token"] != second["token"] && first["id"] != second["id"]);
}

async fn a_key_has_a_bound(house: House) {
    let with = |length: usize| house.admin().with("idempotency-key", &"k".repeat(length));
    with(255).post("/claims", &claim(1)).await.expect(201);
    with(256).post("/claims", &claim(1)).await.problem(422, "invalid");
}
