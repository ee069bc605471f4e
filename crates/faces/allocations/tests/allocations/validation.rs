//! What is said of faulty bodies. Checklist 10 to 23.

use axum::body::Body;
use serde_json::{Value, json};

use crate::house::{Client, House, NOBODY};

on_both! {
    an_empty_body_names_all_required_fields_together
    an_unknown_owner_type_is_not_a_valid_choice
    an_owner_id_must_be_a_uuid
    limits_are_whole_numbers_from_1_on
    an_alias_has_at_most_255_characters_and_is_empty_when_left_out
    what_is_no_json_or_no_object_is_told
    another_media_type_is_415
    a_body_too_long_is_413
    a_top_level_allocation_needs_a_repository_that_is_there
    an_owner_must_be_there
    all_that_is_not_there_is_told_at_once
    is_default_and_unknown_fields_are_ignored
}

async fn refused(client: &Client, body: Value) -> Value {
    client.post("/api/allocations/", body).await.expect(400).json()
}

async fn with(house: &House, field: &str, value: Value) -> Value {
    let mut body = house.asking(&house.ana, 10, 10);
    body[field] = value;
    refused(&house.admin, body).await
}

async fn an_empty_body_names_all_required_fields_together(house: House) {
    let required = json!(["This field is required."]);
    let all = json!({
        "owner_type": required, "owner_id": required, "data_volume_limit": required, "max_records": required,
        "repository_id": required,
    });
    assert_eq!(refused(&house.admin, json!({})).await.to_string(), all.to_string());
    let headers = [("content-type", "application/json")];
    for headers in [&headers[..], &[]] {
        let answer = house.admin.call("POST", "/api/allocations/", headers, Body::empty()).await.expect(400);
        assert_eq!(answer.json(), all);
    }
}

async fn an_unknown_owner_type_is_not_a_valid_choice(house: House) {
    assert_eq!(with(&house, "owner_type", json!("x")).await, json!({ "owner_type": ["\"x\" is not a valid choice."] }));
    let null = json!({ "owner_type": ["This field may not be null."] });
    assert_eq!(with(&house, "owner_type", Value::Null).await, null);
}

async fn an_owner_id_must_be_a_uuid(house: House) {
    for wrong in [json!("1"), json!(1), json!([])] {
        assert_eq!(with(&house, "owner_id", wrong).await, json!({ "owner_id": ["Must be a valid UUID."] }));
    }
}

async fn limits_are_whole_numbers_from_1_on(house: House) {
    for field in ["data_volume_limit", "max_records"] {
        let least = "Ensure this value is greater than or equal to 1.";
        let most = "Ensure this value is less than or equal to 9223372036854775807.";
        let whole = "A valid integer is required.";
        for (value, why) in [
            (json!(0), least),
            (json!(-1), least),
            (json!("a"), whole),
            (json!(true), whole),
            (json!(1.5), whole),
            (json!(9_223_372_036_854_775_808_u64), most),
        ] {
            assert_eq!(with(&house, field, value.clone()).await, json!({ field: [why] }), "{value}");
        }
    }
    let mut body = house.asking(&house.ana, 1, 1);
    (body["data_volume_limit"], body["max_records"]) = (json!("2"), json!(2.0));
    let told = house.admin.post("/api/allocations/", body).await.expect(201).json();
    assert_eq!((&told["data_volume_limit"], &told["max_records"]), (&json!(2), &json!(2)));
}

async fn an_alias_has_at_most_255_characters_and_is_empty_when_left_out(house: House) {
    let why = "Ensure this field has no more than 255 characters.";
    assert_eq!(with(&house, "alias", json!("a".repeat(256))).await, json!({ "alias": [why] }));
    for (alias, told) in [(json!("ä".repeat(255)), "ä".repeat(255)), (json!(""), String::new())] {
        let mut body = house.asking(&house.ana, 10, 10);
        body["alias"] = alias;
        assert_eq!(house.admin.post("/api/allocations/", body).await.expect(201).json()["alias"], told);
    }
    let omitted = house.admin.post("/api/allocations/", house.asking(&house.ana, 10, 10)).await.expect(201).json();
    assert_eq!(omitted["alias"], "");
}

async fn what_is_no_json_or_no_object_is_told(house: House) {
    let json = [("content-type", "application/json; charset=utf-8")];
    let answer = house.admin.call("POST", "/api/allocations/", &json, Body::from("{\"a\": ")).await.expect(400).json();
    assert!(answer["detail"].as_str().unwrap().starts_with("JSON parse error - "), "{answer}");
    let list = "Invalid data. Expected a dictionary, but got list.";
    assert_eq!(refused(&house.admin, json!([1])).await, json!({ "non_field_errors": [list] }));
    let text = "Invalid data. Expected a dictionary, but got str.";
    assert_eq!(refused(&house.admin, json!("x")).await, json!({ "non_field_errors": [text] }));
}

async fn another_media_type_is_415(house: House) {
    for path in ["/api/allocations/", "/api/records/"] {
        let answer = house.admin.call("POST", path, &[("content-type", "text/plain")], Body::from("hello")).await;
        let why = "Unsupported media type \"text/plain\" in request.";
        assert_eq!(answer.expect(415).json(), json!({ "detail": why }));
    }
}

async fn a_body_too_long_is_413(house: House) {
    let body = json!({ "alias": "x".repeat(2 << 20) });
    house.admin.post("/api/allocations/", body).await.expect(413);
}

async fn a_top_level_allocation_needs_a_repository_that_is_there(house: House) {
    let mut body = house.asking(&house.ana, 10, 10);
    body.as_object_mut().unwrap().remove("repository_id");
    assert_eq!(refused(&house.admin, body).await, json!({ "repository_id": ["This field is required."] }));
    let unknown = json!({ "repository_id": ["Invalid repository - object does not exist."] });
    assert_eq!(with(&house, "repository_id", json!(NOBODY)).await, unknown);
    let new = json!({ "name": "idle", "type": "posix", "capacity": 0, "is_active": false });
    let idle = house.admin.post("/api/repositories/", new).await.expect(201).id();
    assert_eq!(
        with(&house, "repository_id", json!(idle)).await,
        json!({ "repository_id": ["Repository is not active."] })
    );
}

async fn an_owner_must_be_there(house: House) {
    let unknown = json!({ "owner_id": ["Invalid owner - object does not exist."] });
    // One of another tenant is not there; nor is an operator, who owns nothing.
    for id in [NOBODY, &house.mallory.id, &house.operator.id] {
        assert_eq!(with(&house, "owner_id", json!(id)).await, unknown);
    }
}

async fn all_that_is_not_there_is_told_at_once(house: House) {
    let mut body = house.asking(&house.ana, 10, 10);
    for field in ["owner_id", "repository_id", "attach_to_asset_id", "attach_to_collection_id"] {
        body[field] = json!(NOBODY);
    }
    let told = refused(&house.admin, body.clone()).await;
    let fields: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["owner_id", "repository_id", "attach_to_asset_id", "attach_to_collection_id"]);
    body["parent_id"] = json!(NOBODY);
    let parent = json!({ "parent_id": ["Invalid parent - object does not exist."] });
    assert_eq!(refused(&house.admin, body).await, parent);
}

async fn is_default_and_unknown_fields_are_ignored(house: House) {
    house.give(&house.ana, 10, 10).await;
    let mut body = house.asking(&house.ana, 10, 10);
    (body["is_default"], body["current_bytes"], body["x"]) = (json!(true), json!(7), json!({}));
    let told = house.admin.post("/api/allocations/", body).await.expect(201).json();
    assert_eq!((&told["is_default"], &told["current_bytes"]), (&json!(false), &json!(0)));
}
