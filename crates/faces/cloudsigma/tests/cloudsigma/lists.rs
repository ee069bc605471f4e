//! Lists: windows, fields and filters (spec, section 1.4).

use serde_json::{Value, json};

use crate::house::{GIB, House, disk};

on_both! {
    twenty_come_when_nothing_is_said_and_all_for_none
    an_offset_skips_and_what_is_no_number_is_refused
    the_short_list_has_four_keys_and_the_long_one_all
    fields_are_kept_exactly
    names_are_compared_exactly_and_commas_part_them
    text_in_a_name_is_found_whatever_its_case_and_filters_add_up
    the_newest_comes_first
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["name"].as_str().unwrap()).collect()
}

/// Checklist 11.
async fn twenty_come_when_nothing_is_said_and_all_for_none(house: House) {
    let many: Vec<Value> = (0..25).map(|n| disk(&format!("d{n}"), GIB)).collect();
    house.ana.post("drives/", json!(many)).await.expect(201);
    let listed = house.ana.get("drives/").await.expect(200);
    assert_eq!(listed.json()["meta"], json!({ "limit": 20, "offset": 0, "total_count": 25 }));
    assert_eq!(listed.objects().len(), 20);
    let listed = house.ana.get("drives/?limit=0").await.expect(200);
    assert_eq!(listed.json()["meta"], json!({ "limit": 0, "offset": 0, "total_count": 25 }));
    assert_eq!(listed.objects().len(), 25);
}

/// Checklist 12.
async fn an_offset_skips_and_what_is_no_number_is_refused(house: House) {
    let many: Vec<Value> = (0..5).map(|n| disk(&format!("d{n}"), GIB)).collect();
    house.ana.post("drives/", json!(many)).await.expect(201);
    let all = house.ana.get("drives/").await.expect(200).objects();
    let part = house.ana.get("drives/?offset=3&limit=10").await.expect(200);
    assert_eq!(part.json()["meta"], json!({ "limit": 10, "offset": 3, "total_count": 5 }));
    assert_eq!(part.objects(), all[3..]);
    let past = house.ana.get("drives/?offset=9").await.expect(200);
    assert_eq!((past.objects().len(), &past.json()["meta"]["total_count"]), (0, &json!(5)));
    for (query, point) in [("limit=x", "limit"), ("limit=-1", "limit"), ("offset=1.5", "offset")] {
        let fault = house.ana.get(&format!("drives/?{query}")).await.expect(400).fault();
        assert_eq!((fault.0.as_str(), fault.1), ("validation", json!(point)));
    }
}

/// Checklist 13.
async fn the_short_list_has_four_keys_and_the_long_one_all(house: House) {
    house.ana.drive("d").await;
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let short = house.ana.get("drives/").await.expect(200).objects();
    assert_eq!(keys(&short[0]), ["owner", "resource_uri", "status", "uuid"]);
    let detail = house.ana.get("drives/detail/").await.expect(200).objects();
    let all = [
        "affinities",
        "allow_multimount",
        "backup_scheduler",
        "grantees",
        "iops",
        "jobs",
        "licenses",
        "media",
        "meta",
        "mounted_on",
        "name",
        "owner",
        "permissions",
        "remote_snapshots",
        "resource_uri",
        "runtime",
        "size",
        "snapshots",
        "status",
        "storage_type",
        "tags",
        "uuid",
    ];
    assert_eq!(keys(&detail[0]), all);
    assert_eq!(house.ana.show(detail[0]["uuid"].as_str().unwrap()).await, detail[0]);
}

/// Checklist 14.
async fn fields_are_kept_exactly(house: House) {
    let id = house.ana.drive("d").await;
    let listed = house.ana.get("drives/?fields=uuid,status&limit=0").await.expect(200).objects();
    assert_eq!(listed, [json!({ "status": "unmounted", "uuid": id })]);
    let listed = house.ana.get("drives/?fields=name,size,nothing").await.expect(200).objects();
    assert_eq!(listed, [json!({ "name": "d", "size": GIB })]);
    let one = house.ana.get(&format!("drives/{id}/?fields=name")).await.expect(200).json();
    assert_eq!(one, json!({ "name": "d" }));
    let detail = house.ana.get("drives/detail/?fields=media").await.expect(200).objects();
    assert_eq!(detail, [json!({ "media": "disk" })]);
}

/// Checklist 15.
async fn names_are_compared_exactly_and_commas_part_them(house: House) {
    for name in ["a", "A", "b", "a,b", "back\\slash"] {
        house.ana.drive(name).await;
    }
    let found = async |query: &str| {
        let listed = house.ana.get(&format!("drives/detail/?{query}")).await.expect(200).objects();
        let mut found: Vec<String> = names(&listed).into_iter().map(str::to_owned).collect();
        found.sort();
        found
    };
    assert_eq!(found("name=a").await, ["a"]);
    assert_eq!(found("name=a,b").await, ["a", "b"]);
    assert_eq!(found("name=a%5C,b").await, ["a,b"]);
    assert_eq!(found("name=back%5C%5Cslash").await, ["back\\slash"]);
    assert_eq!(found("name=a&name=b").await, Vec::<String>::new(), "both must hold");
    assert_eq!(found("unknown=a").await.len(), 5, "an unknown parameter is ignored");
}

/// Checklist 16.
async fn text_in_a_name_is_found_whatever_its_case_and_filters_add_up(house: House) {
    let first = house.ana.drive("Test ÄRGER 100%").await;
    let second = house.ana.drive("another test").await;
    house.ana.drive("third").await;
    let tag = house.ana.post("tags/", json!({ "name": "t", "resources": [second] })).await.expect(201).id();
    let count = async |query: String| house.ana.get(&format!("drives/?{query}")).await.expect(200).objects().len();
    assert_eq!(count("name__contains=TEST".to_owned()).await, 2);
    assert_eq!(count("name__contains=%C3%A4rger".to_owned()).await, 1, "ärger");
    assert_eq!(count("name__contains=0%25".to_owned()).await, 1, "a percent sign is itself");
    assert_eq!(count("name__contains=_".to_owned()).await, 0);
    assert_eq!(count(format!("name__contains=test&uuid={first}")).await, 1);
    assert_eq!(count(format!("name=third&uuid={first}")).await, 0);
    assert_eq!(count(format!("uuid={first},{second}")).await, 2);
    assert_eq!(count(format!("tag={tag}")).await, 1);
    assert_eq!(count("tag__name=t".to_owned()).await, 1);
    assert_eq!(count(format!("tag={}", crate::house::NOBODY)).await, 0);
    assert_eq!(house.ana.get("drives/?name=third").await.expect(200).json()["meta"]["total_count"], 1);
}

async fn the_newest_comes_first(house: House) {
    for name in ["one", "two", "three"] {
        house.ana.drive(name).await;
        house.clock.advance(1_000_000);
    }
    let listed = house.ana.get("drives/detail/").await.expect(200).objects();
    assert_eq!(names(&listed), ["three", "two", "one"]);
}
