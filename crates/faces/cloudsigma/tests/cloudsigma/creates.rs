//! Making drives (spec, sections 2, 3.1 and 3.6).

use serde_json::{Value, json};

use crate::house::{GIB, House, NOBODY, disk};

on_both! {
    one_a_wrapper_and_a_list_are_answered_in_order
    a_new_drive_is_creating_and_then_unmounted
    what_is_missing_is_told_field_by_field
    a_size_comes_as_digits_or_as_a_fraction_of_zero
    sizes_are_rounded_up_to_16_kib
    a_size_out_of_bounds_is_refused
    words_that_are_none_are_refused_at_their_field
    a_type_without_room_is_told_in_the_vendors_sentence
    the_default_type_is_that_of_the_capabilities
    one_bad_object_of_three_makes_none
    a_drive_keeps_away_from_those_to_avoid
    availability_groups_part_the_callers_drives
    what_a_client_may_not_write_is_ignored
}

/// Checklist 17.
async fn one_a_wrapper_and_a_list_are_answered_in_order(house: House) {
    let two = || json!([disk("a", GIB), disk("b", GIB)]);
    for (body, wanted) in
        [(disk("a", GIB), vec!["a"]), (json!({ "objects": two() }), vec!["a", "b"]), (two(), vec!["a", "b"])]
    {
        let answer = house.ana.post("drives/", body).await.expect(201);
        let made = answer.objects();
        assert_eq!(made.iter().map(|drive| drive["name"].as_str().unwrap()).collect::<Vec<_>>(), wanted);
        assert_eq!(answer.header("location"), made[0]["resource_uri"].as_str().unwrap());
    }
    house.assert_sound().await;
}

/// Checklist 18.
async fn a_new_drive_is_creating_and_then_unmounted(house: House) {
    let made = house.ana.post("drives/", disk("d", GIB)).await.expect(201).objects().remove(0);
    assert_eq!((&made["status"], &made["runtime"]["is_snapshotable"]), (&json!("creating"), &Value::Null));
    let shown = house.ana.until(made["uuid"].as_str().unwrap(), "unmounted").await;
    assert_eq!(shown["runtime"]["is_snapshotable"], true);
}

/// Checklist 19.
async fn what_is_missing_is_told_field_by_field(house: House) {
    for body in [json!({}), json!({ "objects": [{ "name": null }] }), json!({ "objects": [] }), json!(null)] {
        let told = house.ana.post("drives/", body).await.expect(400).json();
        let told = told.as_array().unwrap();
        assert_eq!(told.len(), 3);
        for (entry, point) in told.iter().zip(["name", "media", "size"]) {
            assert_eq!(entry["error_message"], "This field is required");
            assert_eq!((&entry["error_type"], &entry["error_point"]), (&json!("validation"), &json!(point)));
        }
    }
}

/// Checklist 20.
async fn a_size_comes_as_digits_or_as_a_fraction_of_zero(house: House) {
    for size in [json!("1024000000"), json!(2147483648.0)] {
        let body = json!({ "name": "d", "media": "disk", "size": size });
        let made = house.ana.post("drives/", body).await.expect(201).objects().remove(0);
        assert!(made["size"].is_u64(), "{}", made["size"]);
    }
}

/// Checklist 21.
async fn sizes_are_rounded_up_to_16_kib(house: House) {
    for (asked, stored) in [
        (1_207_959_631, 1_207_975_936),
        (536_870_913, 536_887_296),
        (536_870_912, 536_870_912_u64),
        (1_024_000_000, 1_024_000_000),
        (1_207_975_936, 1_207_975_936),
    ] {
        let made = house.ana.post("drives/", disk("d", asked)).await.expect(201).objects().remove(0);
        assert_eq!(made["size"], stored);
    }
    house.assert_sound().await;
}

/// Checklist 22.
async fn a_size_out_of_bounds_is_refused(house: House) {
    for size in [json!(0), json!(-5), json!("x"), json!(1.5), json!(GIB / 2 - 1_000_000), json!(1_u64 << 62), json!([])]
    {
        let body = json!({ "name": "d", "media": "disk", "size": size });
        let fault = house.ana.post("drives/", body).await.expect(400).fault();
        assert_eq!((fault.0.as_str(), fault.1), ("validation", json!("size")), "{size}");
    }
    // zadara starts at 1 GiB.
    let body = json!({ "name": "d", "media": "disk", "size": GIB / 2, "storage_type": "zadara" });
    house.ana.post("drives/", body).await.expect(400);
    assert_eq!(house.used("disk").await, 0);
}

/// Checklist 23.
async fn words_that_are_none_are_refused_at_their_field(house: House) {
    for (field, word) in [
        ("media", json!("tape")),
        ("storage_type", json!("floppy")),
        ("affinities", json!(["tape"])),
        ("meta", json!([])),
        ("meta", json!({ "a key that is longer than thirty-two": "x" })),
        ("allow_multimount", json!("maybe")),
        ("licenses", json!([{ "license": "none" }])),
        ("name", json!("")),
        ("name", json!("x".repeat(256))),
    ] {
        let mut body = disk("d", GIB);
        body[field] = word;
        assert_eq!(house.ana.post("drives/", body).await.expect(400).fault().1, json!(field));
    }
    let mut body = disk("d", GIB);
    body["tags"] = json!([NOBODY]);
    house.ana.post("drives/", body).await.expect(404);
}

/// Checklist 24: not offered, and offered without room.
async fn a_type_without_room_is_told_in_the_vendors_sentence(house: House) {
    for kind in ["solidfire", "nvme"] {
        let mut body = disk("d", GIB);
        body["storage_type"] = json!(kind);
        let why = format!("We currently cannot provide enough resources to create a {kind} drive");
        let fault = house.ana.post("drives/", body).await.expect(503).fault();
        assert_eq!(fault, ("backend".to_owned(), Value::Null, why));
    }
    house.limit_supply("disk/zadara", GIB).await;
    let mut body = disk("d", GIB);
    body["storage_type"] = json!("zadara");
    house.ana.post("drives/", body.clone()).await.expect(201);
    let told = house.ana.post("drives/", body).await.expect(503).fault().2;
    assert!(told.ends_with("create a zadara drive"), "{told}");
    // The pool of all is told by the type that was asked for.
    house.limit_supply("disk", GIB).await;
    let told = house.ana.post("drives/", disk("d", GIB)).await.expect(503).fault().2;
    assert!(told.ends_with("create a dssd drive"), "{told}");
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 1);
}

/// Checklist 25.
async fn the_default_type_is_that_of_the_capabilities(house: House) {
    let told = house.ana.get("capabilities/?limit=0").await.expect(200).json();
    assert_eq!(told["drives"]["dssd"]["size"]["min"], 536_870_912);
    assert_eq!(told["drives"]["zadara"]["size"]["min"], GIB);
    assert!(told["drives"].get("solidfire").is_none());
    assert_eq!(told["snapshots"], json!({ "current": 0, "max": 700, "max_per_drive": 90 }));
    let drive = house.ana.drive("d").await;
    let shown = house.ana.show(&drive).await;
    assert_eq!(shown["storage_type"], told["default_storage_type"]);
    assert_eq!(shown["runtime"]["storage_type"], told["default_storage_type"]);
    assert_eq!(house.used("disk/dssd").await, GIB);
}

/// Checklist 26.
async fn one_bad_object_of_three_makes_none(house: House) {
    let body = json!([disk("a", GIB), disk("b", 1), { "name": "c", "media": "disk" }]);
    let told = house.ana.post("drives/", body).await.expect(400).json();
    assert_eq!(told.as_array().unwrap().len(), 1, "what cannot be read is told before what does not fit");
    let body = json!([disk("a", GIB), disk("b", 1), disk("c", 2)]);
    let told = house.ana.post("drives/", body).await.expect(400).json();
    assert_eq!(told.as_array().unwrap().len(), 2);
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
    assert_eq!(house.used("disk").await, 0);
}

/// Checklist 27.
async fn a_drive_keeps_away_from_those_to_avoid(house: House) {
    house.ana.post(&format!("drives/?avoid={NOBODY},x"), disk("d", GIB)).await.expect(201);
    let first = house.ana.drive("first").await;
    let server = house.ana.server(&[&first]).await;
    let together = async |a: &str, b: &str| {
        let group = house.ana.get(&format!("drives/availability_groups/{a}/")).await.expect(200).json();
        group.as_array().unwrap().contains(&json!(b))
    };
    for avoid in [&first, &server] {
        for _ in 0..8 {
            let path = format!("drives/?avoid={avoid}");
            let other = house.ana.post(&path, disk("other", GIB)).await.expect(201).id();
            assert!(!together(&first, &other).await);
        }
    }
    // A clone that keeps away is copied.
    let path = format!("drives/{first}/action/?do=clone&avoid={first}");
    let clone = house.ana.post(&path, json!({})).await.expect(202).id();
    house.ana.until(&clone, "unmounted").await;
    assert!(!together(&first, &clone).await);
}

/// Checklist 28.
async fn availability_groups_part_the_callers_drives(house: House) {
    let mut all: Vec<String> = Vec::new();
    for n in 0..6 {
        let mut body = disk(&format!("d{n}"), GIB);
        body["storage_type"] = json!(if n % 3 == 0 { "zadara" } else { "dssd" });
        all.push(house.ana.post("drives/", body).await.expect(201).id());
    }
    house.ben.drive("bens").await;
    let groups = house.ana.get("drives/availability_groups/?limit=0").await.expect(200).json();
    let mut found: Vec<String> = Vec::new();
    for group in groups.as_array().unwrap() {
        let ids: Vec<String> = group.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        let one = house.ana.get(&format!("drives/availability_groups/{}/", ids[0])).await.expect(200).json();
        assert_eq!(one, *group, "the single call includes itself");
        found.extend(ids);
    }
    found.sort();
    all.sort();
    assert_eq!(found, all);
    house.ana.get(&format!("drives/availability_groups/{NOBODY}/")).await.expect(404);
    assert_eq!(house.mallory.get("drives/availability_groups/").await.expect(200).json(), json!([]));
}

/// Spec, section 1.5.
async fn what_a_client_may_not_write_is_ignored(house: House) {
    let mut body = disk("d", GIB);
    for (key, value) in [
        ("uuid", json!(NOBODY)),
        ("status", json!("mounted")),
        ("owner", json!({ "uuid": NOBODY })),
        ("runtime", json!(5)),
        ("unheard_of", json!([1])),
        ("meta", Value::Null),
    ] {
        body[key] = value;
    }
    let made = house.ana.post("drives/", body).await.expect(201).objects().remove(0);
    assert_ne!(made["uuid"], NOBODY);
    assert_eq!(made["owner"]["uuid"], house.ana.id.as_str());
    assert_eq!((&made["status"], &made["meta"]), (&json!("creating"), &json!({})));
}
