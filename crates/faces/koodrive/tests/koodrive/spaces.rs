//! Spaces.

use serde_json::json;
use store::Error;

use crate::house::{ADMIN, GB, House, MEMBER, V1};

on_both! {
    a_space_is_charged_to_its_type_only
    a_space_that_does_not_fit_changes_nothing
    a_capacity_is_a_number_of_gb_or_its_digits
    a_change_charges_the_difference_and_a_removal_gives_back
    what_is_claimed_under_a_space_shows_and_is_limited
    a_space_is_not_made_smaller_than_what_is_used_in_it
    a_disabled_space_keeps_its_capacity_and_admits_nothing
    an_owner_has_one_department_space_and_several_individual_ones
    unknown_spaces_are_told_by_their_code
    a_space_tells_who_made_and_who_changed_it
    the_overview_is_of_all_types_together
}

async fn a_space_is_charged_to_its_type_only(house: House) {
    // Checklist 17.
    house.make("600", 1, 30).await.expect(0);
    assert_eq!(house.figures().await, [(0, 2000), (30, 1000), (0, 500)]);
    let told =
        house.post(&format!("{V1}/601"), json!({ "type": "0", "capacity": "5", "capabilities": { "a": [1] } })).await;
    assert_eq!(told.expect(0).json(), json!({ "code": 0, "msg": "OK" }));
    assert_eq!(house.figures().await, [(5, 2000), (30, 1000), (0, 500)]);
    house.assert_sound().await;
}

async fn a_space_that_does_not_fit_changes_nothing(house: House) {
    // Checklist 3 and 18.
    house.make("600", 1, 990).await.expect(0);
    let told = house.make("601", 1, 11).await.expect(13_000_311).json();
    assert_eq!(told, json!({ "code": 13_000_311, "msg": "Insufficient space." }));
    assert_eq!(house.figures().await[1], (990, 1000));
    house.get(&format!("{V1}/601"), &[("type", "1")]).await.expect(13_000_301);
    house.make("601", 1, 10).await.expect(0);
    house.make("602", 1, 1).await.expect(13_000_311);
    house.make("602", 1, 1 << 40).await.expect(13_000_311);
    for (allocated, total) in house.figures().await {
        assert!(allocated <= total);
    }
}

async fn a_capacity_is_a_number_of_gb_or_its_digits(house: House) {
    // Checklist 19.
    for (owner, capacity) in [("1", json!(5)), ("2", json!("5"))] {
        house.post(&format!("{V1}/{owner}"), json!({ "type": 0, "capacity": capacity })).await.expect(0);
        assert_eq!(house.space(owner, "0").await["capacity"], (5 * GB / 1024).to_string());
    }
    for capacity in
        [json!(0), json!(-1), json!("x"), json!("0"), json!("-1"), json!(""), json!(1.5), json!(null), json!([5])]
    {
        house.post(&format!("{V1}/3"), json!({ "type": 0, "capacity": capacity })).await.expect(13_000_102);
    }
    for kind in [json!(2), json!(3), json!(-1), json!("x"), json!(null)] {
        house.post(&format!("{V1}/3"), json!({ "type": kind, "capacity": 1 })).await.expect(13_000_102);
    }
    house.post(&format!("{V1}/3"), json!({ "type": 0 })).await.expect(13_000_102);
    assert_eq!(house.figures().await[0], (10, 2000));
}

async fn a_change_charges_the_difference_and_a_removal_gives_back(house: House) {
    // Checklist 20.
    house.make("600", 1, 10).await.expect(0);
    let path = format!("{V1}/600");
    let told = house.put(&path, json!({ "type": 1, "capacity": "25" })).await.expect(0).json();
    assert_eq!(told, json!({ "code": 0, "msg": "OK" }));
    assert_eq!(house.figures().await[1], (25, 1000));
    house.put(&path, json!({ "type": 1, "capacity": 1001 })).await.expect(13_000_311);
    assert_eq!(house.figures().await[1], (25, 1000));
    house.put(&path, json!({ "type": 1, "capacity": 3 })).await.expect(0);
    assert_eq!(house.figures().await[1], (3, 1000));
    house.call("DELETE", &path, &[("type", "1")], None).await.expect(0);
    assert_eq!(house.figures().await[1], (0, 1000));
    house.call("DELETE", &path, &[("type", "1")], None).await.expect(13_000_301);
    house.assert_sound().await;
}

async fn what_is_claimed_under_a_space_shows_and_is_limited(house: House) {
    house.make("600", 1, 1).await.expect(0);
    let space = house.space("600", "1").await;
    assert_eq!(space["spaceUsed"], "0");
    let claim = house.claim(&space, GB - 1000).await.unwrap();
    assert_eq!(house.space("600", "1").await["spaceUsed"], "1048576", "a begun KB counts");
    assert!(matches!(house.claim(&space, 1001).await, Err(Error::Refused(_))));
    house.claim(&space, 1000).await.unwrap();
    house.release(&claim).await;
    assert_eq!(house.space("600", "1").await["spaceUsed"], "1");
    house.call("DELETE", &format!("{V1}/600"), &[("type", "1")], None).await.expect(13_000_102);
    assert_eq!(house.figures().await[1], (1, 1000));
}

async fn a_space_is_not_made_smaller_than_what_is_used_in_it(house: House) {
    house.make("600", 1, 5).await.expect(0);
    let space = house.space("600", "1").await;
    house.claim(&space, 2 * GB).await.unwrap();
    let path = format!("{V1}/600");
    house.put(&path, json!({ "type": 1, "capacity": 1 })).await.expect(13_000_102);
    assert_eq!(house.figures().await[1], (5, 1000));
    house.put(&path, json!({ "type": 1, "capacity": 2 })).await.expect(0);
    assert_eq!(house.figures().await[1], (2, 1000));
}

async fn a_disabled_space_keeps_its_capacity_and_admits_nothing(house: House) {
    house.make("600", 1, 5).await.expect(0);
    let (path, space) = (format!("{V1}/600"), house.space("600", "1").await);
    assert_eq!(space["status"], "0");
    house.claim(&space, 7).await.unwrap();
    house.put(&path, json!({ "type": 1, "status": "1" })).await.expect(0);
    let disabled = house.space("600", "1").await;
    assert_eq!((&disabled["status"], &disabled["spaceUsed"]), (&json!("1"), &json!("1")));
    assert_eq!(house.figures().await[1], (5, 1000));
    assert!(matches!(house.claim(&space, 1).await, Err(Error::Frozen(_))));
    house.put(&path, json!({ "type": 1, "capacity": 6 })).await.expect(13_000_412);
    house.put(&path, json!({ "type": 1, "capacity": 6, "status": 1 })).await.expect(13_000_412);
    assert_eq!(house.figures().await[1], (5, 1000));
    house.put(&path, json!({ "type": 1, "capacity": 6, "status": 0 })).await.expect(0);
    house.claim(&space, 1).await.unwrap();
    for status in [json!("2"), json!("x"), json!(true)] {
        house.put(&path, json!({ "type": 1, "status": status })).await.expect(13_000_102);
    }
    assert_eq!(house.figures().await[1], (6, 1000));
}

async fn an_owner_has_one_department_space_and_several_individual_ones(house: House) {
    house.make("600", 0, 5).await.expect(0);
    house.make("600", 0, 5).await.expect(13_000_102);
    assert_eq!(house.figures().await[0], (5, 2000));
    house.make("600", 1, 1).await.expect(0);
    house.make("600", 1, 2).await.expect(0);
    let path = format!("{V1}/600");
    house.get(&path, &[("type", "1")]).await.expect(13_000_102);
    house.put(&path, json!({ "type": 1, "capacity": 3 })).await.expect(13_000_102);
    house.call("DELETE", &path, &[("type", "1")], None).await.expect(13_000_102);
    let mut all = house.get("/koodrive/ose/v2/space/600", &[("type", "1")]).await.expect(0).json();
    let all = all["data"].as_array_mut().unwrap();
    // Made at the same moment of the test's clock, they have no order.
    all.sort_by_key(|space| space["capacity"].as_str().unwrap().parse::<u64>().unwrap());
    let capacities: Vec<_> = all.iter().map(|space| space["capacity"].clone()).collect();
    assert_eq!(capacities, ["1048576", "2097152"]);
    let second = all[1]["containerId"].as_str().unwrap();
    let told = house.get(&path, &[("type", "1"), ("containerId", second)]).await.expect(0).json();
    assert_eq!(told["data"], all[1]);
    house.put(&path, json!({ "type": 1, "capacity": 4, "containerId": second })).await.expect(0);
    assert_eq!(house.figures().await[1], (5, 1000));
    house.call("DELETE", &path, &[("type", "1"), ("containerId", second)], None).await.expect(0);
    assert_eq!(house.figures().await[1], (1, 1000));
    // With one left, nothing more needs to be said.
    house.get(&path, &[("type", "1")]).await.expect(0);
    house.get(&path, &[("type", "1"), ("containerId", second)]).await.expect(13_000_301);
}

async fn unknown_spaces_are_told_by_their_code(house: House) {
    // Checklist 25.
    let path = format!("{V1}/nobody");
    for kind in ["0", "1", "2"] {
        house.get(&path, &[("type", kind)]).await.expect(13_000_301);
        house.get("/koodrive/ose/v2/space/nobody", &[("type", kind)]).await.expect(13_000_301);
        house.call("DELETE", &path, &[("type", kind)], None).await.expect(13_000_301);
        house.put(&path, json!({ "type": kind, "capacity": 1 })).await.expect(13_000_301);
    }
    for query in [&[][..], &[("type", "3")], &[("type", "x")], &[("type", "")]] {
        house.get(&path, query).await.expect(13_000_102);
        house.call("DELETE", &path, query, None).await.expect(13_000_102);
    }
}

async fn a_space_tells_who_made_and_who_changed_it(house: House) {
    house.make(MEMBER, 1, 1).await.expect(0);
    let space = house.space(MEMBER, "1").await;
    let keys: Vec<_> = space.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "type",
            "status",
            "ownerId",
            "containerId",
            "capacity",
            "spaceUsed",
            "tenantId",
            "creator",
            "modifier",
            "rootFileId",
            "bizRootFileId",
            "bizSboxFileId"
        ]
    );
    assert!(space.as_object().unwrap().values().all(|value| value.is_string()), "{space}");
    let container = space["containerId"].as_str().unwrap();
    assert!(container.len() == 32 && container.bytes().all(|byte| byte.is_ascii_hexdigit()), "{container}");
    assert_eq!((&space["creator"], &space["modifier"]), (&json!(ADMIN), &json!(ADMIN)));
    assert_eq!((&space["type"], &space["ownerId"]), (&json!("1"), &json!(MEMBER)));
    let token = [("authorization", format!("Bearer+{}", crate::house::TOKEN))];
    let path = format!("{V1}/{MEMBER}");
    house.send("PUT", &path, &token, br#"{"type":"1","status":"1"}"#).await.expect(0);
    let after = house.space(MEMBER, "1").await;
    for same in ["containerId", "rootFileId", "bizRootFileId", "bizSboxFileId", "capacity"] {
        assert_eq!(after[same], space[same]);
    }
}

async fn the_overview_is_of_all_types_together(house: House) {
    house.make("600", 0, 5).await.expect(0);
    house.make("600", 1, 2).await.expect(0);
    house.claim(&house.space("600", "1").await, 2048).await.unwrap();
    let told = house.get(&format!("{V1}/usage/overview"), &[]).await.expect(0).json();
    let kb = GB / 1024;
    assert_eq!(told["data"], json!({ "totalAllocation": 7 * kb, "totalCapacity": 3500 * kb, "totalUsed": 2 }));
}
