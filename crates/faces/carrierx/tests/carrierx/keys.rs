//! Key sets that may be there only once. Checklist 28 to 31.

use futures_util::future::join_all;
use serde_json::json;

use crate::house::{CONTAINERS, FILES, House, sid};

on_both! {
    a_set_that_is_there_is_refused_with_what_has_it
    a_change_into_a_set_that_is_there_is_refused
    of_twenty_identical_creates_one_is_made
    files_of_one_container_likewise
    an_access_name_is_there_once_in_a_container
}

// Checklist 28 and 29, the seed's error as printed
async fn a_set_that_is_there_is_refused_with_what_has_it(house: House) {
    let keys = json!({ "integer_key_1": 1, "string_key_1": "a", "unique": true });
    let first = house.container(keys.clone()).await;
    let told = house.ana.post(CONTAINERS, keys.clone()).await.expect(422).json();
    let message = "container with the same set of keys already exists";
    let error = json!({ "field": "unique", "message": message, "reference_sid": first });
    assert_eq!(told, json!({ "message": "object validation error", "errors": [error] }));
    let mut other = keys.clone();
    other["unique"] = json!(false);
    let second = house.container(other).await;
    house.container(json!({ "integer_key_1": 1, "string_key_2": "a", "unique": true })).await;
    // Another partner's sets are its own.
    house.mallory.post(CONTAINERS, keys.clone()).await.expect(200);
    house.ana.delete(&format!("{CONTAINERS}/{first}")).await.expect(204);
    house.container(keys).await;
    house.told(&second).await;
    // Null is a value like another.
    house.container(json!({ "unique": true })).await;
    house.ana.post(CONTAINERS, json!({ "unique": true })).await.expect(422);
    house.assert_sound().await;
}

// Checklist 30
async fn a_change_into_a_set_that_is_there_is_refused(house: House) {
    let first = house.container(json!({ "string_key_1": "a", "unique": true })).await;
    let second = house.container(json!({ "string_key_1": "b", "unique": true })).await;
    let third = house.container(json!({ "string_key_1": "a" })).await;
    let change = [(&second, json!({ "string_key_1": "a" })), (&third, json!({ "unique": true }))];
    for (id, body) in change {
        let before = house.told(id).await;
        let told = house.ana.patch(&format!("{CONTAINERS}/{id}"), body).await.expect(422).json();
        assert_eq!(told["errors"][0]["reference_sid"], json!(first));
        assert_eq!(house.told(id).await, before);
    }
    // It is no other than itself.
    house.ana.patch(&format!("{CONTAINERS}/{first}"), json!({ "name": "x" })).await.expect(200);
    house.ana.patch(&format!("{CONTAINERS}/{first}"), json!({ "string_key_1": "c" })).await.expect(200);
    house.ana.patch(&format!("{CONTAINERS}/{third}"), json!({ "unique": true })).await.expect(200);
}

// Checklist 31
async fn of_twenty_identical_creates_one_is_made(house: House) {
    let asked = (0..20).map(|_| {
        let client = house.ana.clone();
        tokio::spawn(async move { client.post(CONTAINERS, json!({ "string_key_4": "z", "unique": true })).await })
    });
    let answers: Vec<_> = join_all(asked.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(made.len(), 1);
    let made = sid(&made[0].json(), "container_sid");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["reference_sid"]), (422, &json!(made)));
    }
    assert_eq!(house.ana.get(CONTAINERS).await.expect(200).json()["total"], 1);
    house.assert_sound().await;
}

async fn files_of_one_container_likewise(house: House) {
    let (a, b) = (house.container(json!({ "default_file_unique": true })).await, house.container(json!({})).await);
    let first = house.file(&a, 10, "integer_key_1=7").await;
    let query = format!("container_sid={a}&integer_key_1=7");
    for size in [10, 100_000] {
        let told = house.ana.upload(&query, &crate::house::bytes(size)).await.expect(422).json();
        let message = "file with the same set of keys already exists";
        assert_eq!(told["errors"], json!([{ "field": "unique", "message": message, "reference_sid": first }]));
    }
    house.file(&b, 10, "integer_key_1=7&unique=true").await;
    let second = house.file(&a, 10, "integer_key_1=8").await;
    let path = format!("{FILES}/{second}");
    let told = house.ana.patch(&path, json!({ "integer_key_1": 7 })).await.expect(422).json();
    assert_eq!(told["errors"][0]["reference_sid"], json!(first));
    let asked = (0..10).map(|_| {
        let (client, query) = (house.ana.clone(), format!("container_sid={a}&integer_key_1=9"));
        tokio::spawn(async move { client.upload(&query, b"x").await.status.as_u16() })
    });
    let answers: Vec<_> = join_all(asked.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [201, 422].contains(status)), "{answers:?}");
    assert_eq!(house.used(&a).await, (21, 3));
    house.assert_sound().await;
}

async fn an_access_name_is_there_once_in_a_container(house: House) {
    let container = house.container(json!({})).await;
    let first = house.file(&container, 1, "file_access_name=a/b.txt").await;
    let query = format!("container_sid={container}&file_access_name=a/b.txt");
    let told = house.ana.upload(&query, b"x").await.expect(422).json();
    assert_eq!(
        (&told["errors"][0]["field"], &told["errors"][0]["reference_sid"]),
        (&json!("file_access_name"), &json!(first))
    );
    assert_eq!(house.used(&container).await, (1, 1));
}
