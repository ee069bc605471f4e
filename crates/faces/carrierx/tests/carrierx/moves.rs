//! Containers that move into others (section 2, `parent_container_sid`).

use serde_json::{Value, json};

use crate::house::{CONTAINERS, House};

on_both! {
    a_container_moves_with_all_that_lies_in_it
    a_container_does_not_move_to_where_there_is_no_room
    a_container_does_not_move_into_itself
    containers_are_nested_so_deep_and_no_deeper
}

async fn a_container_moves_with_all_that_lies_in_it(house: House) {
    let (a, b) = (house.container(json!({})).await, house.container(json!({})).await);
    let middle = house.container(json!({ "parent_container_sid": a })).await;
    let inner = house.container(json!({ "parent_container_sid": middle })).await;
    house.file(&inner, 40, "threshold_include=false").await;
    house.file(&middle, 50_000, "").await;
    let move_to = |parent: Value| (format!("{CONTAINERS}/{middle}"), json!({ "parent_container_sid": parent }));
    let (path, body) = move_to(json!(b));
    let told = house.ana.patch(&path, body).await.expect(200).json();
    assert_eq!((&told["parent_container_sid"], &told["total_bytes"]), (&json!(b), &json!(50_040)));
    assert_eq!((house.used(&a).await, house.used(&b).await), ((0, 0), (50_040, 2)));
    assert_eq!(house.told(&b).await["threshold_total_bytes"], 50_000);
    house.assert_sound().await;
    house.file(&inner, 1, "").await;
    assert_eq!((house.used(&a).await, house.used(&b).await), ((0, 0), (50_041, 3)));
    let (path, body) = move_to(Value::Null);
    house.ana.patch(&path, body).await.expect(200);
    assert_eq!((house.used(&b).await, house.used(&middle).await), ((0, 0), (50_041, 3)));
    house.ana.delete(&format!("{CONTAINERS}/{a}")).await.expect(204);
    house.ana.delete(&format!("{CONTAINERS}/{b}")).await.expect(204);
    house.assert_sound().await;
}

async fn a_container_does_not_move_to_where_there_is_no_room(house: House) {
    let small = house.container(json!({ "quota_bytes": 99 })).await;
    let full = house.container(json!({})).await;
    house.file(&full, 100, "").await;
    let path = format!("{CONTAINERS}/{full}");
    let body = json!({ "parent_container_sid": small, "name": "moved" });
    let told = house.ana.patch(&path, body.clone()).await.expect(422).json();
    assert_eq!(
        (&told["errors"][0]["field"], &told["errors"][0]["reference_sid"]),
        (&json!("quota_bytes"), &json!(small))
    );
    let kept = house.told(&full).await;
    assert_eq!((&kept["parent_container_sid"], &kept["name"]), (&Value::Null, &json!("N/A")));
    assert_eq!((house.used(&small).await, house.used(&full).await), ((0, 0), (100, 1)));
    house.assert_sound().await;
    house.ana.patch(&format!("{CONTAINERS}/{small}"), json!({ "quota_bytes": 100 })).await.expect(200);
    house.ana.patch(&path, body).await.expect(200);
    assert_eq!(house.used(&small).await, (100, 1));
    house.assert_sound().await;
}

async fn a_container_does_not_move_into_itself(house: House) {
    let outer = house.container(json!({})).await;
    let inner = house.container(json!({ "parent_container_sid": outer })).await;
    for into in [&outer, &inner] {
        let body = json!({ "parent_container_sid": into });
        let told = house.ana.patch(&format!("{CONTAINERS}/{outer}"), body).await;
        assert_eq!(told.field(422), "parent_container_sid");
    }
    house.assert_sound().await;
}

async fn containers_are_nested_so_deep_and_no_deeper(house: House) {
    let mut parent = house.container(json!({})).await;
    for _ in 1..16 {
        parent = house.container(json!({ "parent_container_sid": parent })).await;
    }
    let body = json!({ "parent_container_sid": parent });
    assert_eq!(house.ana.post(CONTAINERS, body).await.field(422), "parent_container_sid");
    house.file(&parent, 1, "").await;
    house.assert_sound().await;
}
