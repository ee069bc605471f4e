//! Cloning drives, and the jobs that tell of it (spec, sections 3.5 and 5.1).

use ledger::Resource;
use serde_json::{Value, json};

use crate::house::{GIB, House, disk};

on_both! {
    a_clone_without_a_body_is_like_its_source
    a_clone_takes_what_the_call_says
    a_clone_that_is_smaller_or_from_a_passing_state_is_refused
    the_job_names_source_and_clone
    a_clone_has_the_bytes_and_a_life_of_its_own
    a_clone_to_another_type_is_copied_and_charged_there
    clones_are_named_as_the_profile_says
    a_clone_over_the_limit_leaves_nothing
    old_jobs_are_told_of_no_more
}

/// Checklist 45.
async fn a_clone_without_a_body_is_like_its_source(house: House) {
    let mut body = disk("d", GIB);
    body["meta"] = json!({ "a": "b" });
    body["media"] = json!("cdrom");
    let drive = house.ana.post("drives/", body).await.expect(201).id();
    for text in ["", "{}", "null"] {
        let answer = house.ana.text("POST", &format!("drives/{drive}/action/?do=clone"), text).await.expect(202);
        let clone = answer.objects().remove(0);
        for key in ["name", "size", "media", "storage_type", "meta"] {
            assert_eq!(clone[key], house.ana.show(&drive).await[key], "{key}");
        }
    }
    assert_eq!(house.used_by(&house.ana).await, 4 * GIB);
    house.assert_sound().await;
}

/// Checklist 46.
async fn a_clone_takes_what_the_call_says(house: House) {
    let drive = house.ana.drive("d").await;
    let body = json!({
        "affinities": [], "media": "cdrom", "name": "test_drive_y", "size": 1_207_959_631, "storage_type": "dssd",
    });
    let clone = house.ana.post(&format!("drives/{drive}/action/?do=clone"), body).await.expect(202).objects().remove(0);
    let seen = (&clone["status"], &clone["media"], &clone["size"], &clone["name"]);
    assert_eq!(seen, (&json!("cloning_dst"), &json!("cdrom"), &json!(1_207_975_936), &json!("test_drive_y")));
    assert_eq!(clone["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(clone["runtime"]["is_snapshotable"], Value::Null);
    assert_eq!(house.ana.show(&drive).await["jobs"], clone["jobs"]);
}

/// Checklist 47.
async fn a_clone_that_is_smaller_or_from_a_passing_state_is_refused(house: House) {
    let drive = house.ana.post("drives/", disk("d", 2 * GIB)).await.expect(201).id();
    let path = format!("drives/{drive}/action/?do=clone");
    assert_eq!(house.ana.post(&path, json!({ "size": GIB })).await.expect(400).fault().1, "size");
    house.set_status(&drive, "resizing").await;
    let why = house.ana.post(&path, json!({})).await.expect(403).fault().2;
    assert_eq!(why, "Cannot clone drive in state \"resizing\". Drive should be in state \"unmounted\"");
}

/// Checklist 48.
async fn the_job_names_source_and_clone(house: House) {
    let drive = house.ana.drive("d").await;
    let clone = house.ana.post(&format!("drives/{drive}/action/?do=clone"), json!({ "storage_type": "zadara" })).await;
    let clone = clone.expect(202).objects().remove(0);
    let id = clone["uuid"].as_str().unwrap();
    house.ana.until(id, "unmounted").await;
    let job = clone["jobs"][0]["uuid"].as_str().unwrap();
    let told = house.ana.get(&format!("jobs/{job}/")).await.expect(200).json();
    let uri = |id: &str| format!("/api/2.0/drives/{id}/");
    assert_eq!(told["resources"], json!([uri(&drive), uri(id)]));
    let seen = (&told["operation"], &told["data"]["progress"], &told["state"]);
    assert_eq!(seen, (&json!("drive_clone"), &json!(100), &json!("success")));
    assert!(told["created"].as_str().unwrap().ends_with(".000000+00:00"), "{}", told["created"]);
    assert_eq!(house.ana.show(&drive).await["jobs"][0]["uuid"], job);
    assert_eq!(house.ana.get("jobs/?state=success").await.expect(200).objects(), [told]);
    assert_eq!(house.ana.get("jobs/?state=started").await.expect(200).objects().len(), 0);
    house.ben.get(&format!("jobs/{job}/")).await.expect(404);
}

/// Checklist 49.
async fn a_clone_has_the_bytes_and_a_life_of_its_own(house: House) {
    let drive = house.ana.drive("d").await;
    house.write(&drive, 4096, b"the same").await;
    let clone = house.ana.post(&format!("drives/{drive}/action/?do=clone"), json!({})).await.expect(202).id();
    house.ana.until(&clone, "unmounted").await;
    house.write(&clone, 4096, b"changed!").await;
    house.write(&drive, 8192, b"later").await;
    assert_eq!(house.ana.read(&drive, 4096, 4103).await.as_ref(), b"the same");
    assert_eq!(house.ana.read(&clone, 8192, 8196).await.as_ref(), b"\0\0\0\0\0");
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    assert_eq!(house.ana.read(&clone, 4096, 4103).await.as_ref(), b"changed!");
    house.assert_sound().await;
}

/// Checklist 50.
async fn a_clone_to_another_type_is_copied_and_charged_there(house: House) {
    let drive = house.ana.drive("d").await;
    house.write(&drive, 12288, b"moved").await;
    let body = json!({ "storage_type": "zadara" });
    let clone = house.ana.post(&format!("drives/{drive}/action/?do=clone"), body).await.expect(202).objects().remove(0);
    assert_eq!((&clone["storage_type"], &clone["runtime"]["storage_type"]), (&json!("zadara"), &json!("zadara")));
    let clone = clone["uuid"].as_str().unwrap();
    house.ana.until(clone, "unmounted").await;
    // The source leaves its state in the very commit that makes the clone usable, so that it can be deleted at once.
    house.ana.delete(&format!("drives/{drive}/")).await.expect(204);
    assert_eq!(house.ana.read(clone, 12288, 12292).await.as_ref(), b"moved");
    assert_eq!(house.used("disk/zadara").await, GIB);
    house.assert_sound().await;
}

/// Checklist 51 and 52, over HTTP; the forms themselves are tested beside them.
async fn clones_are_named_as_the_profile_says(house: House) {
    let drive = house.ana.drive("x").await;
    let clone = async |of: &str, body: Value| {
        let answer = house.ana.post(&format!("drives/{of}/action/?do=clone"), body).await.expect(202);
        (answer.id(), answer.objects()[0]["name"].clone())
    };
    for (strategy, name) in
        [("NONE", "x"), ("DATE", "x-2026-01-01"), ("TIMESTAMP", "x-2026-01-01 00:00:00"), ("COUNTER", "x_1")]
    {
        house.ana.put("profile/", json!({ "clone_naming": strategy })).await.expect(200);
        assert_eq!(clone(&drive, json!({})).await.1, name);
    }
    assert_eq!(clone(&drive, json!({ "name": "mine" })).await.1, "mine");
    let (first, _) = clone(&drive, json!({})).await;
    assert_eq!(clone(&first, json!({})).await.1, "x_2");
    let fault = house.ana.put("profile/", json!({ "clone_naming": "RANDOM" })).await.expect(400).fault();
    assert_eq!(fault.1, "clone_naming");
}

/// Checklist 53.
async fn a_clone_over_the_limit_leaves_nothing(house: House) {
    let drive = house.ana.drive("d").await;
    house.limit(house.ana.node.unwrap(), Resource::BYTES, Some(2 * GIB - 1)).await;
    let told = house.ana.post(&format!("drives/{drive}/action/?do=clone"), json!({})).await.expect(402).fault();
    assert_eq!((told.0.as_str(), told.1), ("billing", json!("size")));
    let shown = house.ana.show(&drive).await;
    assert_eq!((&shown["status"], &shown["jobs"]), (&json!("unmounted"), &json!([])));
    assert_eq!(house.ana.get("drives/").await.expect(200).json()["meta"]["total_count"], 1);
    assert_eq!(house.ana.get("jobs/").await.expect(200).json()["meta"]["total_count"], 0);
    house.assert_sound().await;
}

/// Spec, section 5.1: kept for three days.
async fn old_jobs_are_told_of_no_more(house: House) {
    let drive = house.ana.drive("d").await;
    let clone = house.ana.post(&format!("drives/{drive}/action/?do=clone"), json!({})).await.expect(202).objects();
    let job = clone[0]["jobs"][0]["uuid"].as_str().unwrap();
    house.clock.advance(3 * 24 * 3_600_000_000 - 1);
    house.ana.get(&format!("jobs/{job}/")).await.expect(200);
    house.clock.advance(1);
    house.ana.get(&format!("jobs/{job}/")).await.expect(404);
    assert_eq!(house.ana.show(&drive).await["jobs"], json!([]));
}
