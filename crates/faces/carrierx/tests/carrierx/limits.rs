//! Not one byte past the line, and whose line it is. Checklist 36 to 39.

use futures_util::future::join_all;
use ledger::Resource;
use serde_json::{Value, json};
use store::{AllotmentPatch, Unit};

use crate::house::{CONTAINERS, House, Part, by, bytes};

on_both! {
    what_exactly_fills_fits_and_one_byte_more_does_not
    the_count_of_files_likewise
    of_fifty_uploads_at_once_as_many_fit_as_there_is_room
    large_uploads_at_once_in_every_form_fill_what_there_is
    a_container_in_another_is_charged_on_the_whole_path
    above_the_containers_the_partner_and_the_tenant_may_refuse
    a_lowered_quota_removes_nothing_and_blocks_growth
}

fn exceeded(field: &str, by: &str) -> Value {
    let error = json!({ "field": field, "message": "container quota exceeded", "reference_sid": by });
    json!({ "message": "object validation error", "errors": [error] })
}

// Checklist 36 and 37
async fn what_exactly_fills_fits_and_one_byte_more_does_not(house: House) {
    for size in [10, 100_000] {
        let container = house.container(json!({ "quota_bytes": size })).await;
        let (query, more) = (format!("container_sid={container}"), bytes(size + 1));
        let object = || Part::Object(json!({ "container_sid": container }));
        let data = || Part::Data("a", "text/plain", &more);
        for answer in [
            house.ana.upload(&query, &more).await,
            house.ana.upload_chunked(&query, &more).await,
            house.ana.form(&[object(), data()]).await,
            house.ana.form(&[data(), object()]).await,
        ] {
            assert_eq!(answer.expect(422).json(), exceeded("quota_bytes", &container));
        }
        assert_eq!(house.used(&container).await, (0, 0));
        house.ana.form(&[Part::Data("a", "text/plain", &bytes(size)), object()]).await.expect(201);
        let told = house.told(&container).await;
        assert_eq!((&told["total_bytes"], &told["available_bytes_percent"]), (&json!(size), &json!(0)));
        assert_eq!(told["available_files_percent"], 99);
        assert_eq!(house.ana.upload(&query, b"x").await.expect(422).json(), exceeded("quota_bytes", &container));
        house.ana.upload(&query, b"").await.expect(201);
    }
    house.assert_sound().await;
}

// Checklist 38
async fn the_count_of_files_likewise(house: House) {
    let container = house.container(json!({ "quota_files": 2, "quota_bytes": 0 })).await;
    let query = format!("container_sid={container}");
    for _ in 0..2 {
        house.ana.upload(&query, b"").await.expect(201);
    }
    assert_eq!(house.ana.upload(&query, b"").await.expect(422).json(), exceeded("quota_files", &container));
    assert_eq!(house.used(&container).await, (0, 2));
    assert_eq!(house.told(&container).await["available_bytes_percent"], 0, "of nothing, nothing is left");
}

// Checklist 39
async fn of_fifty_uploads_at_once_as_many_fit_as_there_is_room(house: House) {
    let container = house.container(json!({ "quota_bytes": 1050 })).await;
    let uploads = (0..50).map(|_| {
        let (client, query) = (house.ana.clone(), format!("container_sid={container}"));
        tokio::spawn(async move { client.upload(&query, &bytes(100)).await.status.as_u16() })
    });
    let answers = join_all(uploads.collect::<Vec<_>>()).await;
    let count = |wanted: u16| answers.iter().filter(|status| *status.as_ref().unwrap() == wanted).count();
    assert_eq!((count(201), count(422)), (10, 40));
    assert_eq!(house.used(&container).await, (1000, 10));
    house.assert_sound().await;
}

async fn large_uploads_at_once_in_every_form_fill_what_there_is(house: House) {
    const SIZE: usize = 1_500_000;
    for form in 0..3 {
        let container = house.container(json!({ "quota_bytes": 4 * SIZE })).await;
        let uploads = (0..12).map(|_| {
            let (client, container) = (house.ana.clone(), container.clone());
            tokio::spawn(async move {
                let plain = bytes(SIZE);
                let object = Part::Object(json!({ "container_sid": container }));
                let data = Part::Data("a", "text/plain", &plain);
                let answer = match form {
                    0 => client.upload(&format!("container_sid={container}"), &plain).await,
                    1 => client.form(&[object, data]).await,
                    _ => client.form(&[data, object]).await,
                };
                answer.status.as_u16()
            })
        });
        let answers = join_all(uploads.collect::<Vec<_>>()).await;
        let stored = answers.iter().filter(|status| *status.as_ref().unwrap() == 201).count();
        assert_eq!(stored, 4, "form {form}: {answers:?}");
        assert_eq!(house.used(&container).await, (4 * SIZE as u64, 4));
    }
    house.assert_sound().await;
}

async fn a_container_in_another_is_charged_on_the_whole_path(house: House) {
    let outer = house.container(json!({ "quota_bytes": 100 })).await;
    let middle = house.container(json!({ "parent_container_sid": outer, "quota_files": 2 })).await;
    let inner = house.container(json!({ "parent_container_sid": middle })).await;
    house.file(&inner, 60, "").await;
    for container in [&outer, &middle, &inner] {
        assert_eq!(house.used(container).await, (60, 1), "{container}");
    }
    let query = format!("container_sid={inner}");
    assert_eq!(house.ana.upload(&query, &bytes(41)).await.expect(422).json(), exceeded("quota_bytes", &outer));
    house.file(&inner, 10, "").await;
    // Both the middle one's files and the outer one's bytes are too many: the nearest is told.
    assert_eq!(house.ana.upload(&query, &bytes(99)).await.expect(422).json(), exceeded("quota_files", &middle));
    house.file(&outer, 30, "").await;
    assert_eq!((house.used(&outer).await, house.used(&inner).await), ((100, 3), (70, 2)));
    house.assert_sound().await;
}

async fn above_the_containers_the_partner_and_the_tenant_may_refuse(house: House) {
    let container = house.container(json!({})).await;
    let limit = |limits| AllotmentPatch { limits, ..AllotmentPatch::default() };
    let unit = Unit::by(by()).change_allotment(house.acme, limit(vec![(Resource::BYTES, Some(5))]));
    house.store.write(unit).await.unwrap();
    let told = house.ana.upload(&format!("container_sid={container}"), &bytes(6)).await.expect(422).json();
    assert_eq!(told, exceeded("quota_bytes", &house.acme.to_string()));
}

async fn a_lowered_quota_removes_nothing_and_blocks_growth(house: House) {
    let container = house.container(json!({})).await;
    house.file(&container, 50, "").await;
    let told = house.ana.patch(&format!("{CONTAINERS}/{container}"), json!({ "quota_bytes": 10 })).await.expect(200);
    let told = told.json();
    assert_eq!((&told["quota_bytes"], &told["total_bytes"]), (&json!(10), &json!(50)));
    assert_eq!(told["available_bytes_percent"], 0);
    let query = format!("container_sid={container}");
    assert_eq!(house.ana.upload(&query, b"x").await.expect(422).json(), exceeded("quota_bytes", &container));
    house.ana.patch(&format!("{CONTAINERS}/{container}"), json!({ "quota_bytes": null })).await.expect(200);
    assert_eq!(house.told(&container).await["available_bytes_percent"], 100);
    house.ana.upload(&query, b"x").await.expect(201);
}
