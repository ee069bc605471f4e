//! Many claims in one call, and claims that are only asked about.

use serde_json::{Value, json};

use crate::house::House;

on_both! {
    each_claim_of_a_batch_is_judged_on_its_own_and_answered_in_order
    an_atomic_batch_is_all_or_none
    a_thousand_claims_go_in_one_call_and_no_more
    a_check_decides_as_the_real_thing_and_changes_nothing
}

fn claim(at: &str, bytes: u64) -> Value {
    json!({ "allotment_id": at, "amounts": { "bytes": bytes } })
}

async fn used(house: &House) -> Value {
    house.operator().get("/allotments/path:acme%2Fleaf").await.expect(200).json()["used"]["bytes"].clone()
}

async fn each_claim_of_a_batch_is_judged_on_its_own_and_answered_in_order(house: House) {
    house.allotment("path:acme", "leaf", json!({ "bytes": 10 })).await;
    let claims =
        [claim("path:acme/leaf", 6), claim("path:acme/leaf", 5), claim("path:globex", 1), claim("path:acme/leaf", 4)];
    let answer = house.admin().post("/claims/batch", &json!({ "claims": claims, "atomic": false })).await.expect(200);
    let json = answer.json();
    let results: Vec<Value> = json["results"].as_array().unwrap().clone();
    let of = |result: &Value| result["amounts"]["bytes"].as_u64().or(result["status"].as_u64());
    assert_eq!(results.iter().map(of).collect::<Vec<_>>(), [Some(6), Some(409), Some(404), Some(4)]);
    assert_eq!((&results[1]["type"], &results[1]["headroom"]), (&json!("limit-exceeded"), &json!(4)));
    assert_eq!(used(&house).await, 10);
    let wrong = [claim("path:acme/leaf", 0), json!({ "allotment_id": "path:acme", "amounts": { "bytes": "1" } })];
    let answer = house.admin().post("/claims/batch", &json!({ "claims": wrong })).await;
    assert_eq!(answer.faults(), ["/claims/1/amounts/bytes"]);
}

async fn an_atomic_batch_is_all_or_none(house: House) {
    house.allotment("path:acme", "leaf", json!({ "bytes": 10 })).await;
    let batch = |claims: Vec<Value>| json!({ "claims": claims, "atomic": true });
    let too_many = batch(vec![claim("path:acme/leaf", 6), claim("path:acme/leaf", 5)]);
    house.admin().post("/claims/batch", &too_many).await.problem(409, "limit-exceeded");
    assert_eq!(used(&house).await, 0);
    let strange = batch(vec![claim("path:acme/leaf", 6), claim("path:globex", 1)]);
    house.admin().post("/claims/batch", &strange).await.problem(404, "not-found");
    let good = batch(vec![claim("path:acme/leaf", 6), claim("path:acme/leaf", 4)]);
    let answer = house.admin().post("/claims/batch", &good).await.expect(200).json();
    assert_eq!(answer["results"][1]["amounts"]["bytes"], 4);
    assert_eq!(used(&house).await, 10);
}

async fn a_thousand_claims_go_in_one_call_and_no_more(house: House) {
    house.allotment("path:acme", "leaf", json!({})).await;
    let batch = |count: usize| json!({ "claims": vec![claim("path:acme/leaf", 1); count], "atomic": false });
    assert_eq!(house.admin().post("/claims/batch", &batch(1001)).await.faults(), ["/claims"]);
    // Several at once: they wait for each other rather than be turned away.
    let (admin, thousand) = (house.admin(), batch(1000));
    let calls = (0..6).map(|_| admin.post("/claims/batch", &thousand));
    for answer in futures_util::future::join_all(calls).await {
        let json = answer.expect(200).json();
        let results = json["results"].as_array().unwrap();
        assert!(results.len() == 1000 && results.iter().all(|result| result["state"] == "held"), "{}", results[0]);
    }
    assert_eq!(used(&house).await, 6000);
    let none = house.admin().post("/claims/batch", &json!({ "claims": [] })).await.expect(200).json();
    assert_eq!(none, json!({ "results": [] }));
}

async fn a_check_decides_as_the_real_thing_and_changes_nothing(house: House) {
    house.allotment("path:acme", "leaf", json!({ "bytes": 10 })).await;
    let check = async |body: Value| house.admin().post("/claims/check", &body).await;
    let fits = check(claim("path:acme/leaf", 10)).await.expect(200).json();
    assert_eq!(fits, json!({ "admitted": true, "refusals": [] }));
    let refused = check(claim("path:acme/leaf", 11)).await.expect(200).json();
    assert_eq!((&refused["admitted"], &refused["refusals"][0]["requested"]), (&json!(false), &json!(11)));
    let both = json!({ "claims": [claim("path:acme/leaf", 6), claim("path:acme/leaf", 6)], "atomic": false });
    assert_eq!(check(both).await.expect(200).json()["admitted"], false, "together they do not fit");
    check(claim("path:globex", 1)).await.problem(404, "not-found");
    assert_eq!(check(claim("acme", 1)).await.faults(), ["/allotment_id"]);
    assert_eq!(used(&house).await, 0);
    assert_eq!(house.admin().get("/claims").await.items("id"), Vec::<String>::new());
}
