//! Not one byte past the line, whose line it is, and what is said then. Checklist 46 to 50, 52, 60, 64.

use futures_util::future::join_all;
use ledger::Resource;
use serde_json::{Value, json};
use store::{AllotmentPatch, Unit};

use crate::house::{House, Part, by, bytes};

on_both! {
    what_exactly_fills_fits_and_one_byte_more_does_not
    the_limit_of_records_likewise
    a_child_charges_its_parent_and_the_parent_may_refuse
    the_nearest_refusal_is_told_and_a_node_that_is_no_allocation_likewise
    of_forty_uploads_at_once_as_many_fit_as_there_is_room
    forty_large_uploads_in_every_form_fill_what_there_is
    a_repository_is_charged_and_its_capacity_is_a_limit
    a_lowered_limit_blocks_growth_and_deletes_nothing
}

fn exceeded(what: &str, max: u64, allocation: &str) -> Value {
    let detail = format!("Allocation {what} exceeded (max: {max})");
    json!({ "detail": detail, "code": "allocation_exceeded", "allocation_id": allocation })
}

async fn what_exactly_fills_fits_and_one_byte_more_does_not(house: House) {
    for size in [10, 100_000] {
        let allocation = house.give(&house.ana, size, 10).await;
        let (query, field) = (format!("allocation_id={allocation}"), Part::Field("allocation_id", &allocation));
        let more = bytes(size as usize + 1);
        for answer in [house.ana.upload(&query, &more).await, house.ana.form(&[field, Part::File("x", &more)]).await] {
            assert_eq!(answer.expect(400).json(), exceeded("data size", size, &allocation));
        }
        let behind = house.ana.form(&[Part::File("x", &more), Part::Field("allocation_id", &allocation)]).await;
        assert_eq!(behind.expect(400).json(), exceeded("data size", size, &allocation));
        assert_eq!(house.used(&allocation).await, (0, 0));
        house.ana.upload(&query, &bytes(size as usize)).await.expect(201);
        assert_eq!(house.used(&allocation).await, (size, 1));
        house.ana.upload(&query, b"x").await.expect(400);
        house.ana.upload(&query, b"").await.expect(201);
    }
    house.assert_sound().await;
}

async fn the_limit_of_records_likewise(house: House) {
    let allocation = house.give(&house.ana, 1000, 2).await;
    for _ in 0..2 {
        house.ana.upload("", b"x").await.expect(201);
    }
    assert_eq!(house.ana.upload("", b"x").await.expect(400).json(), exceeded("record count", 2, &allocation));
    assert_eq!(house.ana.upload("", b"").await.expect(400).json(), exceeded("record count", 2, &allocation));
    assert_eq!(house.used(&allocation).await, (2, 2));
}

async fn a_child_charges_its_parent_and_the_parent_may_refuse(house: House) {
    let parent = house.give(&house.ana, 10, 10).await;
    let body = json!({
        "owner_type": "user", "owner_id": house.ben.id, "parent_id": parent, "data_volume_limit": 100, "max_records": 100,
    });
    let child = house.ana.post("/api/allocations/", body).await.expect(201).id();
    let query = format!("allocation_id={child}");
    house.ben.upload(&query, &bytes(6)).await.expect(201);
    assert_eq!((house.used(&child).await, house.used(&parent).await), ((6, 1), (6, 1)));
    assert_eq!(house.ben.upload(&query, &bytes(5)).await.expect(400).json(), exceeded("data size", 10, &parent));
    assert_eq!((house.used(&child).await, house.used(&parent).await), ((6, 1), (6, 1)));
    house.assert_sound().await;
}

async fn the_nearest_refusal_is_told_and_a_node_that_is_no_allocation_likewise(house: House) {
    let allocation = house.give(&house.ana, 10, 1).await;
    let limit = |limits| AllotmentPatch { limits, ..AllotmentPatch::default() };
    let unit = Unit::by(by()).change_allotment(house.acme, limit(vec![(Resource::BYTES, Some(5))]));
    house.store.write(unit).await.unwrap();
    let acme = house.acme.to_string();
    assert_eq!(house.ana.upload("", &bytes(7)).await.expect(400).json(), exceeded("data size", 5, &acme));
    assert_eq!(house.ana.upload("", &bytes(11)).await.expect(400).json(), exceeded("data size", 10, &allocation));
    house.ana.upload("", b"x").await.expect(201);
    // Its records are full, and the tenant's bytes: the allocation is nearer.
    assert_eq!(house.ana.upload("", &bytes(6)).await.expect(400).json(), exceeded("record count", 1, &allocation));
}

async fn of_forty_uploads_at_once_as_many_fit_as_there_is_room(house: House) {
    let allocation = house.give(&house.ana, 1050, 100).await;
    let uploads = (0..40).map(|_| {
        let client = house.ana.clone();
        tokio::spawn(async move { client.upload("", &bytes(100)).await.status.as_u16() })
    });
    let answers = join_all(uploads.collect::<Vec<_>>()).await;
    let stored = answers.iter().filter(|status| *status.as_ref().unwrap() == 201).count();
    let refused = answers.iter().filter(|status| *status.as_ref().unwrap() == 400).count();
    assert_eq!((stored, refused), (10, 30));
    assert_eq!(house.used(&allocation).await, (1000, 10));
    house.assert_sound().await;
}

async fn forty_large_uploads_in_every_form_fill_what_there_is(house: House) {
    const SIZE: usize = 1_500_000;
    for form in 0..3 {
        let allocation = house.give(&house.ana, 4 * SIZE as u64, 100).await;
        let uploads = (0..20).map(|_| {
            let (client, allocation) = (house.ana.clone(), allocation.clone());
            tokio::spawn(async move {
                let (plain, field) = (bytes(SIZE), Part::Field("allocation_id", &allocation));
                let answer = match form {
                    0 => client.upload(&format!("allocation_id={allocation}"), &plain).await,
                    1 => client.form(&[field, Part::File("x", &plain)]).await,
                    _ => client.form(&[Part::File("x", &plain), field]).await,
                };
                answer.status.as_u16()
            })
        });
        let answers = join_all(uploads.collect::<Vec<_>>()).await;
        let stored = answers.iter().filter(|status| *status.as_ref().unwrap() == 201).count();
        assert_eq!(stored, 4, "form {form}: {answers:?}");
        assert_eq!(house.used(&allocation).await, (4 * SIZE as u64, 4));
    }
    house.assert_sound().await;
}

async fn a_repository_is_charged_and_its_capacity_is_a_limit(house: House) {
    let new = json!({ "name": "small", "type": "posix", "capacity": 10 });
    let small = house.admin.post("/api/repositories/", new).await.expect(201).id();
    let mut body = house.asking(&house.ana, 1000, 10);
    body["repository_id"] = json!(small);
    house.admin.post("/api/allocations/", body).await.expect(201);
    house.ana.upload("", &bytes(8)).await.expect(201);
    let told = house.ana.upload("", &bytes(3)).await.expect(400).json();
    let detail = "Repository capacity exceeded (max: 10)";
    assert_eq!(told, json!({ "detail": detail, "code": "repository_exceeded", "repository_id": small }));
    let told = house.ana.get(&format!("/api/repositories/{small}/")).await.expect(200).json();
    assert_eq!(
        (&told["usage_bytes"], &told["asset_content_count"], &told["capacity"]),
        (&json!(8), &json!(1), &json!(10))
    );
    // No capacity is no limit.
    house.admin.patch(&format!("/api/repositories/{small}/"), json!({ "capacity": 0 })).await.expect(200);
    house.ana.upload("", &bytes(3)).await.expect(201);
}

async fn a_lowered_limit_blocks_growth_and_deletes_nothing(house: House) {
    let allocation = house.give(&house.ana, 100, 10).await;
    let record = house.ana.upload("", &bytes(50)).await.expect(201).id();
    let path = format!("/api/allocations/{allocation}/");
    let told = house.admin.patch(&path, json!({ "data_volume_limit": 10 })).await.expect(200).json();
    assert_eq!((&told["data_volume_limit"], &told["current_bytes"]), (&json!(10), &json!(50)));
    assert_eq!(house.ana.upload("", b"x").await.expect(400).json(), exceeded("data size", 10, &allocation));
    assert_eq!(house.ana.get(&format!("/api/records/{record}/download/")).await.expect(200).body, bytes(50));
    house.ana.delete(&format!("/api/records/{record}/")).await.expect(204);
    house.ana.upload("", &bytes(10)).await.expect(201);
}
