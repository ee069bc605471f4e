//! Records: in, listed, out, gone. Checklist 44, 45, 51, 53 to 61.

use axum::body::Body;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::house::{House, NOBODY, Part, bytes, cut, form};

on_both! {
    an_upload_is_answered_as_a_record_and_charged_by_its_size
    what_goes_in_comes_out_at_every_size_and_in_every_form
    fields_may_follow_the_file
    a_part_comes_as_206_and_one_behind_the_end_as_416
    a_download_is_an_attachment_that_no_browser_runs
    a_tag_that_still_fits_saves_the_bytes
    a_deleted_record_gives_back_both_and_is_gone
    an_upload_that_breaks_off_charges_nothing
    without_an_allocation_it_goes_to_the_default
    without_any_allocation_there_is_none_available
    a_record_of_no_bytes_counts_as_one_record
    records_come_in_pages
    who_may_not_store_there_is_403_and_who_may_not_see_it_404
    a_form_without_a_file_or_that_is_none_is_told
}

async fn an_upload_is_answered_as_a_record_and_charged_by_its_size(house: House) {
    let allocation = house.give(&house.ana, 1000, 10).await;
    let answer = house.ana.form(&[Part::Field("allocation_id", &allocation), Part::File("data.csv", b"a,b\n")]).await;
    let told = answer.expect(201).json();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "id",
            "asset_id",
            "allocation_id",
            "storage_path",
            "size_bytes",
            "data_type",
            "files",
            "extracted_metadata",
            "created_at",
            "updated_at",
        ]
    );
    let sum = format!("sha256:{}", hex::encode(Sha256::digest(b"a,b\n")));
    assert_eq!(told["files"], json!([{ "filename": "data.csv", "size": 4, "checksum": sum }]));
    assert_eq!((&told["allocation_id"], &told["asset_id"]), (&json!(allocation), &Value::Null));
    assert_eq!((&told["size_bytes"], &told["data_type"]), (&json!(4), &json!("text/csv")));
    assert_eq!(house.used(&allocation).await, (4, 1));
    let again = house.ana.get(&format!("/api/records/{}/", told["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(again, told);
    house.assert_sound().await;
}

async fn what_goes_in_comes_out_at_every_size_and_in_every_form(house: House) {
    let allocation = house.give(&house.ana, 1 << 30, 100).await;
    let mut total = 0;
    for size in [0, 1, 32_768, 32_769, 300_000, 1_200_000] {
        let plain = bytes(size);
        let field = Part::Field("allocation_id", &allocation);
        for answer in [
            house.ana.upload(&format!("allocation_id={allocation}"), &plain).await,
            house.ana.form(&[field, Part::File("x", &plain)]).await,
            house.ana.form(&[Part::File("x", &plain)]).await,
        ] {
            let id = answer.expect(201).id();
            total += size as u64;
            let back = house.ana.get(&format!("/api/records/{id}/download/")).await.expect(200);
            assert!(back.body == plain, "{size}");
            assert_eq!(back.header("content-length"), size.to_string());
        }
    }
    assert_eq!(house.used(&allocation).await, (total, 18));
    house.assert_sound().await;
}

async fn fields_may_follow_the_file(house: House) {
    house.give(&house.ana, 1, 1).await;
    let second = house.give(&house.ana, 1 << 30, 10).await;
    let new = json!({ "name": "other", "type": "posix", "capacity": 0 });
    let other = house.admin.post("/api/repositories/", new).await.expect(201).id();
    let mut body = house.asking(&house.ana, 1 << 30, 10);
    body["repository_id"] = json!(other);
    let third = house.admin.post("/api/allocations/", body).await.expect(201).id();
    for size in [100, 200_000] {
        for id in [&second, &third] {
            let plain = bytes(size);
            let told = house.ana.form(&[Part::File("x", &plain), Part::Field("allocation_id", id)]).await;
            assert_eq!(told.expect(201).json()["allocation_id"], json!(id));
        }
    }
    assert_eq!((house.used(&second).await, house.used(&third).await), ((200_100, 2), (200_100, 2)));
    let told = house.admin.get(&format!("/api/repositories/{other}/")).await.expect(200).json();
    assert_eq!((&told["usage_bytes"], &told["asset_content_count"]), (&json!(200_100), &json!(2)));
    house.assert_sound().await;
}

async fn a_part_comes_as_206_and_one_behind_the_end_as_416(house: House) {
    house.give(&house.ana, 1 << 30, 10).await;
    let plain = bytes(100_000);
    let path = format!("/api/records/{}/download/", house.ana.upload("", &plain).await.expect(201).id());
    let part = house.ana.with("range", "bytes=10-19").get(&path).await.expect(206);
    assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 10-19/100000", "10"));
    assert_eq!(part.body, plain[10..20]);
    let behind = house.ana.with("range", "bytes=100000-").get(&path).await.expect(416);
    assert_eq!(behind.header("content-range"), "bytes */100000");
    let stale = house.ana.with("range", "bytes=0-1").with("if-range", "\"old\"").get(&path).await.expect(200);
    assert_eq!(stale.body.len(), 100_000);
    let head = house.ana.call("HEAD", &path, &[], Body::empty()).await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("100000", 0));
}

async fn a_download_is_an_attachment_that_no_browser_runs(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let id = house.ana.upload("filename=na%C3%AFve.html", b"<script>").await.expect(201).id();
    let answer = house.ana.get(&format!("/api/records/{id}/download/")).await.expect(200);
    let told = "attachment; filename=\"na_ve.html\"; filename*=UTF-8''na%C3%AFve.html";
    assert_eq!(answer.header("content-disposition"), told);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("content-security-policy"), "sandbox");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
}

async fn a_tag_that_still_fits_saves_the_bytes(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let path = format!("/api/records/{}/download/", house.ana.upload("", b"hello").await.expect(201).id());
    let etag = house.ana.get(&path).await.expect(200).header("etag").to_owned();
    let same = house.ana.with("if-none-match", &etag).get(&path).await.expect(304);
    assert_eq!((same.header("etag"), same.body.len()), (etag.as_str(), 0));
}

async fn a_deleted_record_gives_back_both_and_is_gone(house: House) {
    let allocation = house.give(&house.ana, 1 << 30, 10).await;
    for size in [10, 100_000] {
        let id = house.ana.upload("", &bytes(size)).await.expect(201).id();
        house.ben.delete(&format!("/api/records/{id}/")).await.expect(404);
        house.ana.delete(&format!("/api/records/{id}/")).await.expect(204);
        assert_eq!(house.used(&allocation).await, (0, 0));
        for answer in [
            house.ana.get(&format!("/api/records/{id}/")).await,
            house.ana.get(&format!("/api/records/{id}/download/")).await,
            house.ana.delete(&format!("/api/records/{id}/")).await,
        ] {
            answer.expect(404);
        }
    }
    house.assert_sound().await;
}

async fn an_upload_that_breaks_off_charges_nothing(house: House) {
    let allocation = house.give(&house.ana, 1 << 30, 10).await;
    for size in [10, 200_000] {
        let raw = [("content-type", "application/octet-stream")];
        house.ana.call("POST", "/api/records/", &raw, cut(&bytes(size))).await.expect(400);
        let multipart = [("content-type", "multipart/form-data; boundary=xyz")];
        for parts in [
            vec![Part::Field("allocation_id", allocation.as_str()), Part::File("x", &bytes(size))],
            vec![Part::File("x", &bytes(size))],
        ] {
            let body = form(&parts);
            house.ana.call("POST", "/api/records/", &multipart, cut(&body[..body.len() - 9])).await.expect(400);
        }
    }
    assert_eq!(house.used(&allocation).await, (0, 0));
    assert_eq!(house.ana.get("/api/records/").await.expect(200).json()["count"], 0);
    house.assert_sound().await;
}

async fn without_an_allocation_it_goes_to_the_default(house: House) {
    let (first, second) = (house.give(&house.ana, 1000, 10).await, house.give(&house.ana, 1000, 10).await);
    assert_eq!(house.ana.upload("", b"x").await.expect(201).json()["allocation_id"], json!(first));
    house.ana.post(&format!("/api/allocations/{second}/default/"), json!({})).await.expect(200);
    assert_eq!(house.ana.form(&[Part::File("x", b"y")]).await.expect(201).json()["allocation_id"], json!(second));
    // An administrator stores for her, and names her.
    let query = format!("owner_type=user&owner_id={}", house.ana.id);
    assert_eq!(house.admin.upload(&query, b"z").await.expect(201).json()["allocation_id"], json!(second));
}

async fn without_any_allocation_there_is_none_available(house: House) {
    let none = json!({ "detail": "No allocation available" });
    assert_eq!(house.ana.upload("", b"x").await.expect(400).json(), none);
    assert_eq!(house.ana.form(&[Part::File("x", b"x")]).await.expect(400).json(), none);
    assert_eq!(house.ana.form(&[Part::File("x", &bytes(100_000))]).await.expect(400).json(), none);
    assert_eq!(house.operator.upload("", b"x").await.expect(400).json(), none);
    house.assert_sound().await;
}

async fn a_record_of_no_bytes_counts_as_one_record(house: House) {
    let allocation = house.give(&house.ana, 10, 10).await;
    let told = house.ana.form(&[Part::File("empty", b"")]).await.expect(201).json();
    assert_eq!(told["size_bytes"], 0);
    assert_eq!(house.used(&allocation).await, (0, 1));
}

async fn records_come_in_pages(house: House) {
    let (allocation, other) = (house.give(&house.ana, 1000, 10).await, house.give(&house.ben, 1000, 10).await);
    let mut ids = Vec::new();
    for size in 1..=5 {
        ids.push(house.ana.upload("", &bytes(size)).await.expect(201).id());
        house.clock.advance(1_000_000);
    }
    let page = async |query: &str| house.ana.get(&format!("/api/records/?{query}")).await.expect(200).json();
    let told = page("page_size=2&page=2").await;
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["count", "next", "previous", "results"]);
    assert_eq!(told["count"], 5);
    assert_eq!(told["next"], "http://plimsoll.example/api/records/?page=3&page_size=2");
    assert_eq!(told["previous"], "http://plimsoll.example/api/records/?page_size=2");
    let shown: Vec<&str> = told["results"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(shown, [&ids[2], &ids[3]]);
    let last = page("page_size=2&page=last").await;
    assert_eq!((&last["next"], last["results"].as_array().unwrap().len()), (&Value::Null, 1));
    assert_eq!(page("ordering=-size_bytes").await["results"][0]["size_bytes"], 5);
    assert_eq!(page(&format!("allocation_id={allocation}")).await["count"], 5);
    assert_eq!(page(&format!("allocation_id={other}")).await["count"], 0);
    assert_eq!(page(&format!("asset_id={NOBODY}")).await["count"], 0);
    for wrong in ["page=99", "page=0", "page=x"] {
        let answer = house.ana.get(&format!("/api/records/?{wrong}")).await.expect(404);
        assert_eq!(answer.json(), json!({ "detail": "Invalid page." }));
    }
    house.ana.get("/api/records/?allocation_id=x").await.expect(400);
    assert_eq!(house.mallory.get("/api/records/").await.expect(200).json()["count"], 0);
    assert_eq!(house.admin.get("/api/records/").await.expect(200).json()["count"], 5);
}

async fn who_may_not_store_there_is_403_and_who_may_not_see_it_404(house: House) {
    let allocation = house.give(&house.ana, 1000, 10).await;
    let query = format!("allocation_id={allocation}");
    house.ben.upload(&query, b"x").await.expect(403);
    let unknown = json!({ "allocation_id": ["Invalid allocation - object does not exist."] });
    assert_eq!(house.mallory.upload(&query, b"x").await.expect(400).json(), unknown);
    house.admin.upload(&query, b"x").await.expect(201);
    let members =
        json!([{ "user_id": house.ana.id, "role": "manager" }, { "user_id": house.ben.id, "role": "member" }]);
    let project = house.admin.post("/api/projects/", json!({ "name": "climate", "members": members })).await;
    let project = project.expect(201).id();
    house.admin.post("/api/allocations/", house.asking_for(&project, 1000, 10)).await.expect(201);
    let query = format!("owner_type=project&owner_id={project}");
    let record = house.ana.upload(&query, b"x").await.expect(201).id();
    house.ben.upload(&query, b"x").await.expect(403);
    house.ben.get(&format!("/api/records/{record}/download/")).await.expect(200);
    house.ben.delete(&format!("/api/records/{record}/")).await.expect(403);
    house.mallory.get(&format!("/api/records/{record}/")).await.expect(404);
    house.mallory.upload(&query, b"x").await.expect(400);
}

async fn a_form_without_a_file_or_that_is_none_is_told(house: House) {
    house.give(&house.ana, 1000, 10).await;
    let told = house.ana.form(&[Part::Field("allocation_id", NOBODY)]).await.expect(400).json();
    assert_eq!(told, json!({ "file": ["No file was submitted."] }));
    let told = house.ana.form(&[Part::Field("file", "text")]).await.expect(400).json();
    assert!(told["file"].is_array(), "{told}");
    let told = house.ana.form(&[Part::Field("asset_id", "x"), Part::File("x", b"")]).await.expect(400).json();
    assert_eq!(told, json!({ "asset_id": ["Must be a valid UUID."] }));
    let headers = [("content-type", "multipart/form-data")];
    let answer = house.ana.call("POST", "/api/records/", &headers, Body::from("x")).await.expect(400).json();
    assert!(answer["detail"].as_str().unwrap().starts_with("Multipart form parse error - "), "{answer}");
}
