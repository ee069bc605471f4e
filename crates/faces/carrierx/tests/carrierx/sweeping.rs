//! What nobody asks for at the time: lifecycles and thresholds. Checklist 47 to 50.

use carrierx::{Face, Settings};
use futures_util::future::join;
use serde_json::{Value, json};

use crate::house::{CONTAINERS, FILES, House, SECOND, bytes};

on_both! {
    a_file_ends_at_its_second_and_its_room_is_free_after_the_next_look
    a_change_begins_a_files_time_anew
    what_has_ended_and_was_not_swept_stands_in_nobodys_way
    thresholds_count_the_files_that_are_included
    the_oldest_go_until_the_target_is_reached
    the_least_recently_read_go_first
    a_threshold_of_files_and_one_on_containers_inside
    the_grace_period_delays_and_survives_a_restart
    who_comes_down_in_time_loses_nothing
    nothing_is_done_unless_it_is_asked_for
    two_that_look_at_once_do_no_more_than_one
    the_sweep_runs_by_itself
}

async fn is_there(house: &House, file: &str) -> bool {
    house.ana.get(&format!("{FILES}/{file}")).await.status == 200
}

async fn there(house: &House, files: &[String]) -> Vec<bool> {
    let mut found = Vec::new();
    for file in files {
        found.push(is_there(house, file).await);
    }
    found
}

/// Files of so many bytes, a second apart.
async fn aged(house: &House, container: &str, sizes: &[usize]) -> Vec<String> {
    let mut made = Vec::new();
    for size in sizes {
        made.push(house.file(container, *size, "").await);
        house.clock.advance(SECOND);
    }
    made
}

// Checklist 50
async fn a_file_ends_at_its_second_and_its_room_is_free_after_the_next_look(house: House) {
    let container = house.container(json!({})).await;
    let small = house.file(&container, 10, "lifecycle_action=delete&lifecycle_ttl=1").await;
    let large = house.file(&container, 100_000, "lifecycle_action=delete&lifecycle_ttl=2").await;
    let never = house.file(&container, 1, "lifecycle_action=delete&lifecycle_ttl=-1").await;
    let kept = house.file(&container, 1, "lifecycle_ttl=0").await;
    house.clock.advance(SECOND - 1);
    assert!(is_there(&house, &small).await);
    house.clock.advance(1);
    assert!(!is_there(&house, &small).await, "it is gone before the sweep has been here");
    house.ana.get(&format!("{FILES}/{small}/data")).await.expect(404);
    house.ana.delete(&format!("{FILES}/{small}")).await.expect(404);
    house.ana.patch(&format!("{FILES}/{small}"), json!({})).await.expect(404);
    assert_eq!(house.ana.get(FILES).await.expect(200).json()["total"], 3);
    house.after(0).await;
    assert_eq!(house.used(&container).await, (100_002, 3));
    house.after(SECOND).await;
    assert_eq!(house.used(&container).await, (2, 2));
    house.after(1_000_000 * SECOND).await;
    assert_eq!(there(&house, &[large, never, kept]).await, [false, true, true]);
    house.assert_sound().await;
}

async fn a_change_begins_a_files_time_anew(house: House) {
    let container = house.container(json!({})).await;
    let file = house.file(&container, 10, "lifecycle_action=delete&lifecycle_ttl=10").await;
    house.after(9 * SECOND).await;
    house.ana.patch(&format!("{FILES}/{file}"), json!({ "name": "b" })).await.expect(200);
    house.after(9 * SECOND).await;
    assert!(is_there(&house, &file).await);
    house.after(SECOND).await;
    assert!(!is_there(&house, &file).await);
}

async fn what_has_ended_and_was_not_swept_stands_in_nobodys_way(house: House) {
    let container = house.container(json!({ "default_file_unique": true })).await;
    let query = "lifecycle_action=delete&lifecycle_ttl=1&file_access_name=a";
    house.file(&container, 10, query).await;
    house.clock.advance(SECOND);
    house.file(&container, 20, "file_access_name=a").await;
    assert_eq!(house.used(&container).await, (20, 1));
    let other = house.container(json!({})).await;
    house.file(&other, 10, query).await;
    house.clock.advance(SECOND);
    house.ana.delete(&format!("{CONTAINERS}/{other}")).await.expect(204);
    house.assert_sound().await;
}

// Checklist 47
async fn thresholds_count_the_files_that_are_included(house: House) {
    let outer = house.container(json!({ "threshold_bytes": 200, "threshold_files": 4 })).await;
    let inner = house.container(json!({ "parent_container_sid": outer })).await;
    house.file(&outer, 100, "").await;
    house.file(&outer, 10, "threshold_include=false").await;
    let file = house.file(&inner, 1000, "threshold_include=false").await;
    let told = house.told(&outer).await;
    assert_eq!((&told["threshold_total_bytes"], &told["threshold_total_files"]), (&json!(100), &json!(1)));
    assert_eq!((&told["total_bytes"], &told["total_files"]), (&json!(1110), &json!(3)));
    let percent = (&told["threshold_available_bytes_percent"], &told["threshold_available_files_percent"]);
    assert_eq!(percent, (&json!(50), &json!(75)));
    house.ana.patch(&format!("{FILES}/{file}"), json!({ "threshold_include": true })).await.expect(200);
    let told = house.told(&outer).await;
    assert_eq!((&told["threshold_total_bytes"], &told["threshold_available_bytes_percent"]), (&json!(1100), &json!(0)));
    assert_eq!(house.told(&inner).await["threshold_total_bytes"], 1000);
}

// Checklist 48
async fn the_oldest_go_until_the_target_is_reached(house: House) {
    let body = json!({ "threshold_action": "delete_oldest", "threshold_bytes": 100, "threshold_bytes_target": 50 });
    let container = house.container(body).await;
    let exempt = house.file(&container, 500, "threshold_include=false").await;
    let files = aged(&house, &container, &[40, 30, 30]).await;
    house.after(0).await;
    assert_eq!(there(&house, &files).await, [true; 3], "at the threshold is not over it");
    // A change makes the first the newest but one.
    house.ana.patch(&format!("{FILES}/{}", files[0]), json!({ "name": "x" })).await.expect(200);
    house.clock.advance(SECOND);
    let last = house.file(&container, 1, "").await;
    house.after(0).await;
    assert_eq!(there(&house, &files).await, [true, false, false]);
    assert!(is_there(&house, &exempt).await && is_there(&house, &last).await);
    let told = house.told(&container).await;
    assert_eq!((&told["threshold_total_bytes"], &told["total_bytes"]), (&json!(41), &json!(541)));
    house.after(SECOND).await;
    assert_eq!(house.used(&container).await, (541, 3), "and no more");
    house.assert_sound().await;
}

async fn the_least_recently_read_go_first(house: House) {
    let body = json!({ "threshold_action": "delete_least_recent", "threshold_files": 3, "threshold_files_target": 2 });
    let container = house.container(body).await;
    let files = aged(&house, &container, &[1, 1, 1, 1]).await;
    for read in [&files[1], &files[0], &files[3]] {
        house.ana.get(&format!("{FILES}/{read}/data")).await.expect(200);
        house.clock.advance(SECOND);
    }
    house.after(0).await;
    // The third was never read; of the others the second has been read the longest ago.
    assert_eq!(there(&house, &files).await, [true, false, false, true]);
    house.assert_sound().await;
}

async fn a_threshold_of_files_and_one_on_containers_inside(house: House) {
    let outer = house
        .container(json!({ "threshold_action": "delete_oldest", "threshold_files": 250, "quota_files": null }))
        .await;
    let inner = house.container(json!({ "parent_container_sid": outer, "quota_files": null })).await;
    for number in 0..480 {
        let container = if number % 2 == 0 { &outer } else { &inner };
        house.file(container, 1, "").await;
    }
    house.after(SECOND).await;
    // More than go in one commit; without a target it is the threshold.
    assert_eq!(house.used(&outer).await, (250, 250));
    house.assert_sound().await;
}

// Checklist 49
async fn the_grace_period_delays_and_survives_a_restart(house: House) {
    let body = json!({
        "threshold_action": "delete_oldest", "threshold_bytes": 100, "threshold_bytes_target": 0,
        "threshold_grace_period": 60,
    });
    let container = house.container(body).await;
    house.file(&container, 101, "").await;
    house.after(0).await;
    house.after(59 * SECOND).await;
    assert_eq!(house.used(&container).await, (101, 1));
    let again = Face::new(house.store.clone(), house.identity.clone(), house.content.clone(), Settings::default());
    house.clock.advance(SECOND - 1);
    again.sweep().await.unwrap();
    assert_eq!(house.used(&container).await, (101, 1));
    house.clock.advance(1);
    again.sweep().await.unwrap();
    assert_eq!(house.used(&container).await, (0, 0));
    // And anew for the next time.
    house.file(&container, 101, "").await;
    house.after(SECOND).await;
    house.after(59 * SECOND).await;
    assert_eq!(house.used(&container).await, (101, 1));
    house.after(SECOND).await;
    assert_eq!(house.used(&container).await, (0, 0));
    house.assert_sound().await;
}

async fn who_comes_down_in_time_loses_nothing(house: House) {
    let body = json!({ "threshold_action": "delete_oldest", "threshold_bytes": 100, "threshold_grace_period": 60 });
    let container = house.container(body).await;
    let (first, second) = (house.file(&container, 90, "").await, house.file(&container, 20, "").await);
    house.after(SECOND).await;
    house.ana.delete(&format!("{FILES}/{second}")).await.expect(204);
    house.after(SECOND).await;
    house.file(&container, 20, "").await;
    house.after(SECOND).await;
    house.after(59 * SECOND).await;
    assert!(is_there(&house, &first).await, "its time over the threshold began anew");
    house.after(SECOND).await;
    assert!(!is_there(&house, &first).await);
}

async fn nothing_is_done_unless_it_is_asked_for(house: House) {
    for action in [Value::Null, json!("no_action")] {
        let container = house.container(json!({ "threshold_action": action, "threshold_bytes": 10 })).await;
        house.file(&container, 100, "").await;
        house.after(SECOND).await;
        assert_eq!(house.used(&container).await, (100, 1));
        // That it was passed is an event all the same.
        let told = house.told(&container).await;
        assert_eq!(told["threshold_available_bytes_percent"], 0);
    }
    let filter = store::EventFilter { limit: 1000, ..store::EventFilter::default() };
    let events = house.store.read(move |tx| store::events::list(tx, &filter)).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "load_line.crossed").count(), 2);
}

async fn two_that_look_at_once_do_no_more_than_one(house: House) {
    let body = json!({ "threshold_action": "delete_oldest", "threshold_files": 30, "threshold_files_target": 20 });
    let container = house.container(body).await;
    for number in 0..60 {
        let query = if number % 3 == 0 { "lifecycle_action=delete&lifecycle_ttl=1" } else { "" };
        let query = format!("container_sid={container}&{query}");
        house.ana.upload(&query, &bytes(5)).await.expect(201);
    }
    house.clock.advance(SECOND);
    let (first, second) = join(house.face.sweep(), house.face.sweep()).await;
    first.unwrap();
    second.unwrap();
    house.after(SECOND).await;
    assert_eq!(house.used(&container).await, (100, 20));
    house.assert_sound().await;
}

async fn the_sweep_runs_by_itself(house: House) {
    let container = house.container(json!({})).await;
    house.file(&container, 10, "lifecycle_action=delete&lifecycle_ttl=1").await;
    house.face.start();
    house.clock.advance(SECOND);
    let swept = async {
        while house.used(&container).await != (0, 0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), swept).await.expect("it is swept");
}
