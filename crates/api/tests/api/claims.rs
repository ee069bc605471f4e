//! Claims, one at a time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::House;

on_both! {
    a_claim_is_made_shown_and_given_back_once
    a_claim_that_does_not_fit_names_every_limit_and_changes_nothing
    what_is_no_amount_is_said_where_it_stands
    a_pending_claim_is_settled_at_what_it_came_to
    an_expired_claim_is_too_late_to_settle
    a_claim_is_resized_and_a_pending_one_renewed
    a_managed_claim_is_left_to_its_face
    claims_are_listed_by_place_state_and_subject
    a_body_past_its_bound_is_too_large
    a_claim_takes_supply_where_it_says_it_lies
    a_member_with_more_allotments_than_are_looked_through_says_which
}

fn charge(at: &str, bytes: u64) -> Value {
    json!({ "allotment_id": at, "amounts": { "bytes": bytes } })
}

async fn a_claim_is_made_shown_and_given_back_once(house: House) {
    let leaf = house.allotment("path:acme", "leaf", json!({})).await;
    let body = json!({ "allotment_id": "path:acme/leaf", "amounts": { "objects": 1, "bytes": 4096 }, "subject": "s" });
    let made = house.admin().post("/claims", &body).await.expect(201);
    let (id, mut json) = (made.id(), made.json());
    let path = format!("/claims/{id}");
    assert_eq!(house.admin().get(&path).await.expect(200).json(), json);
    assert!(json["created_at"].take().as_str().unwrap().ends_with('Z'));
    assert!(json["created_by"].take().as_str().unwrap().starts_with("user:"));
    let expected = json!({
        "id": id, "allotment_id": leaf, "supply_id": null, "amounts": { "bytes": 4096, "objects": 1 },
        "state": "held", "subject": "s", "managed_by": null, "expires_at": null, "created_by": null, "created_at": null,
    });
    assert_eq!(json, expected);
    assert_eq!(house.admin().get("/allotments/path:acme").await.json()["used"], json!({ "bytes": 4096, "objects": 1 }));
    house.admin().delete(&path).await.expect(204);
    house.admin().delete(&path).await.problem(404, "not-found");
    house.admin().get(&path).await.problem(404, "not-found");
    house.admin().get("/claims/none").await.problem(404, "not-found");
    house.admin().post("/claims", &charge("path:acme/nowhere", 1)).await.problem(404, "not-found");
}

async fn a_claim_that_does_not_fit_names_every_limit_and_changes_nothing(house: House) {
    let top = house.allotment("path:acme", "top", json!({ "bytes": 100 })).await;
    let leaf = house.allotment(&top, "leaf", json!({ "bytes": 50 })).await;
    house.claim(&leaf, 45).await;
    let problem = house.admin().post("/claims", &charge(&leaf, 60)).await.problem(409, "limit-exceeded");
    let nearest = json!({ "allotment_id": leaf, "path": "acme/top/leaf", "resource": "bytes", "limit": 50, "used": 45,
        "pending": 0, "requested": 60, "headroom": 5 });
    for (field, value) in nearest.as_object().unwrap() {
        assert_eq!(&problem[field], value, "{field}");
    }
    let paths: Vec<&str> =
        problem["refusals"].as_array().unwrap().iter().map(|refusal| refusal["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["acme/top/leaf", "acme/top"]);
    assert_eq!(house.admin().get(&format!("/allotments/{top}")).await.json()["used"]["bytes"], 45);
    house.admin().post("/claims", &charge(&leaf, 5)).await.expect(201);
}

async fn what_is_no_amount_is_said_where_it_stands(house: House) {
    let with = |units: Value| json!({ "allotment_id": "path:acme", "amounts": { "bytes": units } });
    let too_many = json!(9_223_372_036_854_775_808_u64);
    for units in [json!(1.5), json!("1"), json!(true), json!(-1), json!(null), json!(1e30), too_many] {
        assert_eq!(house.admin().post("/claims", &with(units.clone())).await.faults(), ["/amounts/bytes"], "{units}");
    }
    let with = |field: &str, value: Value| {
        let mut body = charge("path:acme", 1);
        body[field] = value;
        body
    };
    let faults = async |body: Value| house.admin().post("/claims", &body).await.faults();
    assert_eq!(faults(with("amounts", json!({}))).await, ["/amounts"]);
    assert_eq!(faults(with("amounts", json!({ "by/tes": 1 }))).await, ["/amounts/by~1tes"]);
    assert_eq!(faults(with("subjet", json!("x"))).await, ["/subjet"]);
    assert_eq!(faults(with("expires_in", json!(5))).await, ["/expires_in"]);
    assert_eq!(faults(with("state", json!("gone"))).await, ["/state"]);
    assert_eq!(faults(with("allotment_id", json!("acme"))).await, ["/allotment_id"]);
    assert_eq!(faults(with("subject", json!("a\u{0}b"))).await, ["/subject"]);
    assert_eq!(faults(with("subject", json!("s".repeat(1025)))).await, ["/subject"]);
    house.admin().post("/claims", &with("subject", json!("s".repeat(1024)))).await.expect(201);
    assert_eq!(faults(json!({ "allotment_id": "path:acme" })).await, ["/amounts"]);
    let mut pending = with("state", json!("pending"));
    pending["expires_in"] = json!(0);
    assert_eq!(faults(pending).await, ["/expires_in"]);
    let twice = r#"{"allotment_id": "path:acme", "amounts": {"bytes": 1, "bytes": 2}}"#;
    assert_eq!(house.admin().call("POST", "/claims", twice.into()).await.faults().len(), 1);
    house.allotment("path:globex", "leaf", json!({})).await;
    let most = json!({ "allotment_id": "path:globex/leaf", "amounts": { "bytes": i64::MAX } });
    house.mallory().post("/claims", &most).await.expect(201);
}

async fn a_pending_claim_is_settled_at_what_it_came_to(house: House) {
    house.allotment("path:acme", "leaf", json!({ "bytes": 100 })).await;
    let pending = json!({ "allotment_id": "path:acme/leaf", "amounts": { "bytes": 60 }, "state": "pending" });
    let made = house.admin().post("/claims", &pending).await.expect(201);
    assert!(made.json()["expires_at"].is_string(), "an hour when nothing is said");
    let leaf = async || house.admin().get("/allotments/path:acme%2Fleaf").await.json();
    assert_eq!((&leaf().await["used"]["bytes"], &leaf().await["pending"]["bytes"]), (&json!(0), &json!(60)));
    let path = format!("/claims/{}/settle", made.id());
    house.admin().post(&path, &json!({ "amounts": { "bytes": 101 } })).await.problem(409, "limit-exceeded");
    let settled = house.admin().post(&path, &json!({ "amounts": { "bytes": 40 } })).await.expect(200).json();
    assert_eq!((&settled["state"], &settled["expires_at"]), (&json!("held"), &Value::Null));
    assert_eq!((&leaf().await["used"]["bytes"], &leaf().await["pending"]["bytes"]), (&json!(40), &json!(0)));
    house.admin().post(&path, &json!({})).await.problem(409, "conflict");
    let made = house.admin().post("/claims", &pending).await.expect(201);
    let empty = house.admin().call("POST", &format!("/claims/{}/settle", made.id()), axum::body::Body::empty()).await;
    assert_eq!(empty.expect(200).json()["amounts"], json!({ "bytes": 60 }), "as it was reserved");
}

async fn an_expired_claim_is_too_late_to_settle(house: House) {
    let body = json!({ "allotment_id": "path:acme", "amounts": { "bytes": 1 }, "state": "pending", "expires_in": 1 });
    let id = house.admin().post("/claims", &body).await.expect(201).id();
    let let_go = async {
        while house.admin().get("/allotments/path:acme").await.json()["pending"] != json!({}) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), let_go).await.expect("it counts no longer than it was said");
    house.admin().post(&format!("/claims/{id}/settle"), &json!({})).await.problem(409, "conflict");
    house.mallory().post(&format!("/claims/{id}/settle"), &json!({})).await.problem(404, "not-found");
    house.admin().get(&format!("/claims/{id}")).await.problem(404, "not-found");
}

async fn a_claim_is_resized_and_a_pending_one_renewed(house: House) {
    let leaf = house.allotment("path:acme", "leaf", json!({ "bytes": 100 })).await;
    let held = format!("/claims/{}", house.claim(&leaf, 50).await);
    let resize = async |bytes: u64| house.admin().patch(&held, &json!({ "amounts": { "bytes": bytes } })).await;
    resize(101).await.problem(409, "limit-exceeded");
    assert_eq!(resize(100).await.expect(200).json()["amounts"]["bytes"], 100);
    house.admin().patch(&format!("/allotments/{leaf}"), &json!({ "limits": { "bytes": 10 } })).await.expect(200);
    resize(90).await.expect(200);
    house.admin().patch(&held, &json!({ "expires_in": 5 })).await.problem(409, "conflict");
    assert_eq!(house.admin().patch(&held, &json!({})).await.expect(200).json()["amounts"]["bytes"], 90);
    let pending = json!({ "allotment_id": "path:acme", "amounts": { "bytes": 1 }, "state": "pending" });
    let pending = house.admin().post("/claims", &pending).await.expect(201);
    let path = format!("/claims/{}", pending.id());
    let renewed = house.admin().patch(&path, &json!({ "expires_in": 86_400 })).await.expect(200).json();
    assert!(renewed["expires_at"].as_str() > pending.json()["expires_at"].as_str());
}

async fn a_managed_claim_is_left_to_its_face(house: House) {
    let at = house.managed_allotment("alloc").await;
    let claim = house.managed_claim(at, 5).await;
    let path = format!("/claims/{claim}");
    let noun = json!({ "face": "allocations", "noun": "record", "id": "r1" });
    assert_eq!(house.admin().get(&path).await.expect(200).json()["managed_by"], noun);
    let problem = house.admin().delete(&path).await.problem(409, "managed");
    assert_eq!(problem["noun"], noun);
    house.operator().patch(&path, &json!({ "amounts": { "bytes": 1 } })).await.problem(409, "managed");
    house.mallory().delete(&path).await.problem(404, "not-found");
}

async fn claims_are_listed_by_place_state_and_subject(house: House) {
    let leaf = house.allotment("path:acme", "leaf", json!({})).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        let body = json!({ "allotment_id": leaf, "amounts": { "bytes": number }, "subject": format!("s {number}") });
        ids.push(house.admin().post("/claims", &body).await.expect(201).id());
    }
    // Ids of one millisecond are in no order among themselves.
    let millisecond = house.store.now() / 1000;
    while house.store.now() / 1000 == millisecond {
        tokio::task::yield_now().await;
    }
    ids.sort();
    let pending = json!({ "allotment_id": "path:acme", "amounts": { "bytes": 1 }, "state": "pending" });
    let pending = house.admin().post("/claims", &pending).await.expect(201).id();
    let listed = async |query: &str| house.admin().get(&format!("/claims?{query}")).await.expect(200).items("id");
    assert_eq!(listed("allotment=path:acme%2Fleaf").await, ids);
    assert_eq!(listed("state=pending").await, [pending.as_str()]);
    assert_eq!(listed("subject=s%201").await.len(), 1);
    let page = house.admin().get("/claims?limit=2").await.expect(200);
    assert_eq!(page.items("id"), ids[..2]);
    let next = page.json()["next"].as_str().unwrap().to_owned();
    let page = house.admin().get(&format!("/claims?limit=2&after={next}")).await.expect(200);
    assert_eq!((page.items("id"), &page.json()["next"]), (vec![ids[2].clone(), pending], &Value::Null));
    house.admin().get("/claims?allotment=path:globex").await.problem(404, "not-found");
    assert_eq!(house.admin().get("/claims?state=gone").await.faults(), ["/state"]);
    assert_eq!(house.mallory().get("/claims").await.expect(200).items("id"), Vec::<String>::new());
}

async fn a_body_past_its_bound_is_too_large(house: House) {
    let length = (1 << 20) + 1;
    let said = house.admin().with("content-length", &length.to_string());
    said.call("POST", "/claims", axum::body::Body::empty()).await.problem(413, "too-large");
    house.admin().call("POST", "/claims", vec![b' '; length].into()).await.problem(413, "too-large");
    house.stranger().call("POST", "/claims", vec![b' '; length].into()).await.problem(401, "unauthorized");
    house.admin().call("POST", "/claims/batch", vec![b' '; length].into()).await.problem(422, "invalid");
}

async fn a_claim_takes_supply_where_it_says_it_lies(house: House) {
    let body = json!({ "parent_id": null, "side": "supply", "name": "disk", "limits": { "bytes": 10 } });
    let disk = house.operator().post("/allotments", &body).await.expect(201).id();
    let at =
        |bytes: u64| json!({ "allotment_id": "path:acme", "supply_id": "supply:disk", "amounts": { "bytes": bytes } });
    let made = house.ana().post("/claims", &at(4)).await;
    made.problem(404, "not-found");
    let made = house.admin().post("/claims", &at(4)).await.expect(201);
    assert_eq!(made.json()["supply_id"], disk);
    let problem = house.admin().post("/claims", &at(7)).await.problem(409, "limit-exceeded");
    assert_eq!((&problem["path"], &problem["refusals"][0]["side"]), (&json!("disk"), &json!("supply")));
    let wrong = json!({ "allotment_id": "supply:disk", "amounts": { "bytes": 1 } });
    house.operator().post("/claims", &wrong).await.problem(422, "invalid");
    for at in ["supply:disk", &disk] {
        assert_eq!(house.operator().get(&format!("/claims?allotment={at}")).await.faults(), ["/allotment"]);
        house.admin().get(&format!("/claims?allotment={at}")).await.problem(404, "not-found");
    }
}

async fn a_member_with_more_allotments_than_are_looked_through_says_which(house: House) {
    let node = house.ana.allotment.unwrap();
    house.claim(&node.to_string(), 1).await;
    house.allotments_below(node, 0..999).await;
    assert_eq!(house.ana().get("/claims").await.expect(200).items("id").len(), 1);
    house.allotments_below(node, 999..1000).await;
    house.ana().get("/claims").await.problem(422, "invalid");
    let own = house.ana().get(&format!("/claims?allotment={node}")).await.expect(200);
    assert_eq!(own.items("id").len(), 1);
}
