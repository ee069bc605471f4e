//! Lists: pages, order, filters, fields. Checklist 14 to 23.

use serde_json::{Value, json};

use crate::house::{CONTAINERS, FILES, House};

on_both! {
    the_envelope_has_its_keys_and_a_page_its_place
    what_is_no_number_in_range_is_a_bad_request
    an_order_and_its_reverse
    a_filter_finds_what_it_says
    every_field_can_be_filtered_and_ordered_by
    only_the_named_fields_are_shown
    files_are_listed_likewise
}

async fn names(house: &House, query: &str) -> Vec<String> {
    let told = house.ana.get(&format!("{CONTAINERS}?{query}")).await.expect(200).json();
    told["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

async fn three(house: &House) -> Vec<String> {
    let mut made = Vec::new();
    for (name, quota, key) in [("beta", 300, Some("k")), ("x y", 100, None), ("Alpha", 200, Some("k"))] {
        let attributes = json!({ "bucket": name, "s3": { "region": "eu" } });
        let body =
            json!({ "name": name, "quota_bytes": quota, "string_key_1": key, "external_attributes": attributes });
        made.push(house.container(body).await);
        house.clock.advance(1);
    }
    made
}

// Checklist 14 to 17
async fn the_envelope_has_its_keys_and_a_page_its_place(house: House) {
    let made = three(&house).await;
    let told = house.ana.get(CONTAINERS).await.expect(200).json();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["count", "has_more", "items", "limit", "offset", "pagination", "total"]);
    assert_eq!((&told["limit"], &told["count"], &told["total"]), (&json!(1000), &json!(3), &json!(3)));
    assert_eq!((&told["has_more"], &told["pagination"], &told["offset"]), (&json!(false), &json!({}), &json!(0)));
    assert_eq!(told["items"][0], house.told(&made[0]).await);
    let first = house.ana.get(&format!("{CONTAINERS}?limit=1")).await.expect(200).json();
    assert_eq!((&first["count"], &first["has_more"], &first["total"]), (&json!(1), &json!(true), &json!(3)));
    let next = first["pagination"]["next"].as_str().unwrap();
    let second = house.ana.get(next).await.expect(200).json();
    assert_eq!((&second["items"][0]["name"], &second["offset"]), (&json!("x y"), &json!(1)));
    assert!(second["pagination"]["previous"].as_str().unwrap().ends_with("offset=0"));
    assert_eq!(names(&house, "offset=2").await, ["Alpha"]);
    assert!(names(&house, "offset=9").await.is_empty());
}

// Checklist 18
async fn what_is_no_number_in_range_is_a_bad_request(house: House) {
    for (field, query) in [
        ("limit", "limit=1001"),
        ("limit", "limit=0"),
        ("limit", "limit=x"),
        ("offset", "offset=-1"),
        ("order", "order=nothing"),
        ("order", "order=name+down"),
        ("filter", "filter=name"),
        ("filter", "filter=nothing+eq+1"),
    ] {
        assert_eq!(house.ana.get(&format!("{CONTAINERS}?{query}")).await.field(400), field, "{query}");
    }
}

// Checklist 19
async fn an_order_and_its_reverse(house: House) {
    three(&house).await;
    house.container(json!({ "name": "beta", "quota_bytes": 1 })).await;
    assert_eq!(names(&house, "order=name").await, ["Alpha", "beta", "beta", "x y"]);
    assert_eq!(names(&house, "order=name+asc").await, names(&house, "order=name").await);
    let sids = async |query: &str| {
        let told = house.ana.get(&format!("{CONTAINERS}?{query}")).await.expect(200).json();
        told["items"].as_array().unwrap().iter().map(|item| item["container_sid"].clone()).collect::<Vec<_>>()
    };
    let mut backwards = sids("order=name+desc").await;
    backwards.reverse();
    assert_eq!(backwards, sids("order=name").await, "equals are turned, too");
    assert_eq!(names(&house, "order=quota_bytes+desc").await, ["beta", "Alpha", "x y", "beta"]);
    // Nothing comes first, on both databases.
    assert_eq!(names(&house, "order=string_key_1,name+desc").await, ["x y", "beta", "beta", "Alpha"]);
    assert_eq!(names(&house, "order=shuffle").await.len(), 4);
}

// Checklist 20 to 22
async fn a_filter_finds_what_it_says(house: House) {
    three(&house).await;
    for (filter, found) in [
        ("name eq \"x y\"", vec!["x y"]),
        ("name eq 'x y'", vec!["x y"]),
        ("name eq beta", vec!["beta"]),
        ("name eq BETA", vec![]),
        ("name like \"%a%\"", vec!["beta", "Alpha"]),
        ("name like 'x_y'", vec![]),
        ("name ne beta", vec!["x y", "Alpha"]),
        ("quota_bytes gt 99 and quota_bytes lt 300", vec!["x y", "Alpha"]),
        ("quota_bytes ge 200 and name like 'a%'", vec!["Alpha"]),
        ("quota_bytes le 100", vec!["x y"]),
        ("name in beta, 'x y'", vec!["beta", "x y"]),
        ("string_key_1 eq null", vec!["x y"]),
        ("string_key_1 ne null", vec!["beta", "Alpha"]),
        ("string_key_1 ne other", vec!["beta", "x y", "Alpha"]),
        ("external_attributes.bucket eq 'x y'", vec!["x y"]),
        ("external_attributes.s3.region eq eu and allow_publish eq true", vec!["beta", "x y", "Alpha"]),
        ("external_attributes.bucket eq other", vec![]),
        ("name eq \"'; DROP TABLE containers; --\"", vec![]),
    ] {
        let query: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(names(&house, &format!("filter={query}")).await, found, "{filter}");
    }
    for odd in ["name eq a or name eq b", "not name eq a", "(name eq a)", "name is a", "quota_bytes gt x"] {
        let query: String = odd.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(house.ana.get(&format!("{CONTAINERS}?filter={query}")).await.field(400), "filter", "{odd}");
    }
}

async fn every_field_can_be_filtered_and_ordered_by(house: House) {
    let container = house.container(json!({ "threshold_bytes": 1000, "threshold_files": 10 })).await;
    let file = house.file(&container, 100, "").await;
    house.file(&container, 50, "threshold_include=false").await;
    let told = house.told(&container).await;
    assert_eq!((&told["threshold_total_bytes"], &told["threshold_available_bytes_percent"]), (&json!(100), &json!(90)));
    let object = house.ana.get(&format!("{FILES}/{file}")).await.expect(200).json();
    let unlisted =
        ["durability_class", "external_attributes", "publish_domain", "type", "content_duration", "publish_uri"];
    for (list, object) in [(CONTAINERS, told), (FILES, object)] {
        for (field, value) in object.as_object().unwrap() {
            let is_file_type = list == FILES && field == "type";
            if (unlisted.contains(&field.as_str()) && !is_file_type) || field == "content_transcoding_progress" {
                continue;
            }
            let literal = match value {
                Value::String(text) => format!("'{text}'"),
                Value::Array(_) => "''".to_owned(),
                other => other.to_string(),
            };
            let query: String = format!("{field} eq {literal}").bytes().map(|byte| format!("%{byte:02X}")).collect();
            let found = house.ana.get(&format!("{list}?filter={query}&order={field}+desc")).await.expect(200).json();
            // Milliseconds are told and microseconds kept; the clock of this house stands on a second.
            assert!(found["total"].as_u64().unwrap() >= 1, "{list} {field} eq {literal}: {found}");
        }
    }
}

// Checklist 23
async fn only_the_named_fields_are_shown(house: House) {
    let container = three(&house).await[0].clone();
    for name in ["include_fields", "includeFields"] {
        let told = house.ana.get(&format!("{CONTAINERS}?{name}=container_sid&limit=1&offset=0")).await;
        let told = told.expect(200).json();
        assert_eq!((&told["items"][0], &told["total"]), (&json!({ "container_sid": container }), &json!(3)));
        let one = house.ana.get(&format!("{CONTAINERS}/{container}?{name}=name,unique,nothing")).await.expect(200);
        assert_eq!(one.json(), json!({ "name": "beta", "unique": false }));
    }
    let told = house.ana.get(&format!("{CONTAINERS}?exclude_fields=name")).await.expect(200).json();
    assert_eq!(told["items"][0].as_object().unwrap().len(), 39);
}

async fn files_are_listed_likewise(house: House) {
    let (a, b) = (house.container(json!({})).await, house.container(json!({})).await);
    for (container, size, name) in [(&a, 5, "one.mp3"), (&a, 7, "two.txt"), (&b, 9, "three.mp3")] {
        house.file(container, size, &format!("name={name}")).await;
        house.clock.advance(1);
    }
    let found = async |query: &str| {
        let told = house.ana.get(&format!("{FILES}?{query}")).await.expect(200).json();
        let sizes = told["items"].as_array().unwrap().iter().map(|item| item["file_bytes"].as_u64().unwrap());
        (sizes.collect::<Vec<_>>(), told["total"].as_u64().unwrap())
    };
    assert_eq!(found("").await, (vec![5, 7, 9], 3));
    assert_eq!(found(&format!("filter=container_sid+eq+{a}&order=file_bytes+desc")).await, (vec![7, 5], 2));
    assert_eq!(found("filter=content_classification+eq+media&limit=1&offset=1").await, (vec![9], 2));
    assert_eq!(found("filter=date_modified+gt+2026-01-01T00:00:01Z").await, (vec![], 0));
    assert_eq!(found("filter=date_modified+ge+2026-01-01T00:00:00Z").await.1, 3);
}
