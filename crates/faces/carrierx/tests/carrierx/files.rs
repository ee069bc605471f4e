//! Files: bytes in and out. Checklist 32 to 35, 40 to 44, 46.

use axum::body::Body;
use serde_json::{Value, json};

use crate::house::{CONTAINERS, FILES, House, NOBODY, Part, SECOND, bytes, cut, form, framed, sid};

on_both! {
    a_form_makes_a_file_in_either_order_of_its_parts
    bytes_as_they_are_make_a_file_with_or_without_a_length
    a_description_alone_makes_a_file_of_nothing
    a_small_upload_is_one_commit
    a_file_has_what_its_container_says
    every_field_is_checked
    what_breaks_off_leaves_nothing
    a_deleted_file_makes_room_at_once
    a_download_is_what_was_uploaded_whole_or_in_part
    a_download_is_noted_and_a_look_is_not
    a_class_that_is_not_taken_is_refused
    a_change_changes_what_is_given
    a_file_moves_to_where_there_is_room
}

// Checklist 32 and 33
async fn a_form_makes_a_file_in_either_order_of_its_parts(house: House) {
    let container = house.container(json!({})).await;
    let object = || Part::Object(json!({ "container_sid": container, "string_key_1": "k" }));
    let mut total = 0;
    for size in [0, 10, 40_000, 3_000_000] {
        let content = bytes(size);
        let data = || Part::Data("C:\\calls\\song.mp3", "audio/mpeg", &content);
        for parts in [[object(), data()], [data(), object()]] {
            let told = house.ana.form(&parts).await.expect(201).json();
            total += size as u64;
            assert_eq!((&told["file_bytes"], &told["name"]), (&json!(size), &json!("song.mp3")));
            assert_eq!((&told["mime_type"], &told["content_format"]), (&json!("audio/mpeg"), &json!("mp3")));
            assert_eq!((&told["content_classification"], &told["string_key_1"]), (&json!("media"), &json!("k")));
            let file = sid(&told, "file_sid");
            assert_eq!(told["file_access_name"], format!("{file}.mp3"));
            assert_eq!(told["publish_uri"], format!("http://plimsoll.example/f/{file}"));
            assert_eq!(house.ana.get(&format!("{FILES}/{file}")).await.expect(200).json(), told);
            assert_eq!(house.ana.get(&format!("{FILES}/{file}/data")).await.expect(200).body, content);
        }
    }
    assert_eq!(house.used(&container).await, (total, 8));
    house.assert_sound().await;
}

// Checklist 34
async fn bytes_as_they_are_make_a_file_with_or_without_a_length(house: House) {
    let container = house.container(json!({})).await;
    let query =
        format!("container_sid={container}&name=notes.txt&threshold_include=false&integer_key_1=5&publish=none");
    for size in [0, 10, 3_000_000] {
        let content = bytes(size);
        for answer in [house.ana.upload(&query, &content).await, house.ana.upload_chunked(&query, &content).await] {
            let told = answer.expect(201).json();
            assert_eq!((&told["file_bytes"], &told["mime_type"]), (&json!(size), &json!("text/plain")));
            assert_eq!((&told["threshold_include"], &told["integer_key_1"]), (&json!(false), &json!(5)));
            assert_eq!((&told["publish"], &told["publish_uri"]), (&json!("none"), &Value::Null));
        }
    }
    assert_eq!(house.used(&container).await, (6_000_020, 6));
    let keys: Vec<_> =
        house.ana.get(FILES).await.expect(200).json()["items"][0].as_object().unwrap().keys().cloned().collect();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!((keys.len(), keys), (29, sorted), "in alphabetical order");
    for odd in ["text/plain", "application/x-www-form-urlencoded", ""] {
        house.ana.call("POST", FILES, &[("content-type", odd)], Body::from("x")).await.expect(415);
    }
    let length = [("content-type", "application/octet-stream"), ("content-length", "5")];
    house.ana.call("POST", &format!("{FILES}?{query}"), &length, framed(b"123456")).await.expect(400);
    house.ana.call("POST", &format!("{FILES}?{query}"), &length, framed(b"1234")).await.expect(400);
    house.assert_sound().await;
}

async fn a_description_alone_makes_a_file_of_nothing(house: House) {
    let container = house.container(json!({})).await;
    let told = house.ana.post(FILES, json!({ "container_sid": container, "name": "a", "type": "directory" })).await;
    let told = told.expect(201).json();
    assert_eq!(
        (&told["file_bytes"], &told["type"], &told["content_format"]),
        (&json!(0), &json!("directory"), &Value::Null)
    );
    assert_eq!(house.used(&container).await, (0, 1));
    assert_eq!(house.ana.post(FILES, json!({})).await.field(422), "container_sid");
    assert_eq!(house.ana.post(FILES, json!({ "container_sid": NOBODY })).await.field(422), "container_sid");
    let query = format!("container_sid={container}&type=directory");
    assert_eq!(house.ana.upload(&query, b"x").await.field(422), "type");
    assert_eq!(house.used(&container).await, (0, 1));
}

async fn a_small_upload_is_one_commit(house: House) {
    let container = house.container(json!({})).await;
    house.ana.upload(&format!("container_sid={container}"), &bytes(4096)).await.expect(201);
    let before = house.store.stats();
    house.ana.upload(&format!("container_sid={container}"), &bytes(4096)).await.expect(201);
    let object = Part::Object(json!({ "container_sid": container }));
    house.ana.form(&[object, Part::Data("a", "text/plain", &bytes(4096))]).await.expect(201);
    let after = house.store.stats();
    assert_eq!((after.units - before.units, after.commits - before.commits), (2, 2));
}

// Checklist 35
async fn a_file_has_what_its_container_says(house: House) {
    let defaults = json!({
        "default_file_lifecycle_action": "delete", "default_file_lifecycle_ttl": 60,
        "default_file_publish": "file_access_name", "default_file_threshold_include": false,
        "default_file_unique": true,
    });
    let container = house.container(defaults).await;
    let told = house.ana.upload(&format!("container_sid={container}&name=a"), b"x").await.expect(201).json();
    for (field, value) in [
        ("lifecycle_action", json!("delete")),
        ("lifecycle_ttl", json!(60)),
        ("publish", json!("file_access_name")),
        ("threshold_include", json!(false)),
        ("unique", json!(true)),
        ("date_modified", json!("2026-01-01T00:00:00.000Z")),
        ("date_last_accessed", Value::Null),
    ] {
        assert_eq!(told[field], value, "{field}");
    }
    let own = format!("container_sid={container}&lifecycle_action=no_action&unique=false&publish=file_sid");
    let told = house.ana.upload(&own, b"x").await.expect(201).json();
    assert_eq!((&told["lifecycle_action"], &told["unique"]), (&json!("no_action"), &json!(false)));
}

async fn every_field_is_checked(house: House) {
    let container = house.container(json!({})).await;
    for (field, wrong) in [
        ("desired_bitrate", json!(100)),
        ("file_access_name", json!("../x")),
        ("integer_key_2", json!("abc")),
        ("lifecycle_action", json!("burn")),
        ("lifecycle_ttl", json!(-2)),
        ("mime_type", json!("no type\r\n")),
        ("name", json!(5)),
        ("parent_file_sid", json!(NOBODY)),
        ("publish", json!("all")),
        ("threshold_include", json!("yes")),
        ("type", json!("pipe")),
        ("container_sid", json!(5)),
    ] {
        let mut object = json!({ "container_sid": container });
        object[field] = wrong;
        let parts = [Part::Data("a", "text/plain", b"x"), Part::Object(object)];
        assert_eq!(house.ana.form(&parts).await.field(422), field);
    }
    let parts = [Part::Object(json!({ "container_sid": container }))];
    assert_eq!(house.ana.form(&parts).await.field(422), "data");
    let other = house.container(json!({})).await;
    let parent = house.file(&other, 1, "").await;
    let query = format!("container_sid={container}&parent_file_sid={parent}");
    assert_eq!(house.ana.upload(&query, b"x").await.field(422), "parent_file_sid");
    let query = format!("container_sid={other}&parent_file_sid={parent}");
    assert_eq!(house.ana.upload(&query, b"x").await.expect(201).json()["parent_file_sid"], json!(parent));
    assert_eq!(house.used(&container).await, (0, 0));
}

// Checklist 40
async fn what_breaks_off_leaves_nothing(house: House) {
    let container = house.container(json!({})).await;
    let path = format!("{FILES}?container_sid={container}");
    for size in [10, 3_000_000] {
        let raw = [("content-type", "application/octet-stream")];
        house.ana.call("POST", &path, &raw, cut(&bytes(size))).await.expect(400);
        let content = bytes(size);
        let object = || Part::Object(json!({ "container_sid": container }));
        let data = || Part::Data("a", "text/plain", &content);
        for parts in [[object(), data()], [data(), object()]] {
            let whole = form(&parts);
            let kind = [("content-type", "multipart/form-data; boundary=xyz")];
            house.ana.call("POST", FILES, &kind, cut(&whole[..whole.len() / 2])).await.expect(400);
        }
    }
    assert_eq!(house.used(&container).await, (0, 0));
    let claims = house.store.read(|tx| tx.query("SELECT id FROM claims WHERE state = 'pending'", &[])).await.unwrap();
    assert!(claims.is_empty(), "no claim is left behind");
    assert_eq!(house.ana.get(FILES).await.expect(200).json()["total"], 0);
    house.assert_sound().await;
}

// Checklist 41
async fn a_deleted_file_makes_room_at_once(house: House) {
    for size in [100, 100_000] {
        let container = house.container(json!({ "quota_bytes": size })).await;
        let query = format!("container_sid={container}");
        for _ in 0..3 {
            let file = house.file(&container, size, "").await;
            assert_eq!(house.ana.upload(&query, b"x").await.field(422), "quota_bytes");
            assert_eq!(house.ana.delete(&format!("{FILES}/{file}")).await.expect(204).body, "");
            assert_eq!(house.used(&container).await, (0, 0));
            house.ana.delete(&format!("{FILES}/{file}")).await.expect(404);
            house.ana.get(&format!("{FILES}/{file}/data")).await.expect(404);
        }
    }
    house.assert_sound().await;
}

// Checklist 42 and 43
async fn a_download_is_what_was_uploaded_whole_or_in_part(house: House) {
    let container = house.container(json!({})).await;
    for size in [1000, 1_000_000] {
        let file = house.file(&container, size, "name=na%C3%AFve.pdf").await;
        let (path, content) = (format!("{FILES}/{file}/data"), bytes(size));
        let whole = house.ana.get(&path).await.expect(200);
        assert_eq!(whole.body, content);
        assert_eq!(
            (whole.header("content-type"), whole.header("content-length")),
            ("application/pdf", &*size.to_string())
        );
        let disposition = "attachment; filename=\"na_ve.pdf\"; filename*=UTF-8''na%C3%AFve.pdf";
        assert_eq!(whole.header("content-disposition"), disposition);
        let part = house.ana.with("range", "bytes=10-19").get(&path).await.expect(206);
        assert_eq!((&part.body[..], part.header("content-range")), (&content[10..20], &*format!("bytes 10-19/{size}")));
        let rest = house.ana.with("range", &format!("bytes={}-", size - 5)).get(&path).await.expect(206);
        assert_eq!(rest.body, content[size - 5..]);
        let tag = whole.header("etag").to_owned();
        let stale = house.ana.with("range", "bytes=0-1").with("if-range", "\"other\"").get(&path).await.expect(200);
        assert_eq!(stale.body.len(), size);
        house.ana.with("if-none-match", &tag).get(&path).await.expect(304);
        let behind = house.ana.with("range", &format!("bytes={size}-")).get(&path).await.expect(416);
        assert_eq!(behind.header("content-range"), format!("bytes */{size}"));
        let head = house.ana.call("HEAD", &path, &[], Body::empty()).await.expect(200);
        assert_eq!((head.body.len(), head.header("content-length")), (0, &*size.to_string()));
    }
}

// Checklist 44
async fn a_download_is_noted_and_a_look_is_not(house: House) {
    let container = house.container(json!({})).await;
    let file = house.file(&container, 10, "").await;
    let path = format!("{FILES}/{file}");
    let accessed = async || house.ana.get(&path).await.expect(200).json()["date_last_accessed"].clone();
    assert_eq!(accessed().await, Value::Null);
    house.ana.get(&format!("{path}/data")).await.expect(200);
    assert_eq!(accessed().await, "2026-01-01T00:00:00.000Z");
    house.clock.advance(59 * SECOND);
    house.ana.get(&format!("{path}/data")).await.expect(200);
    assert_eq!(accessed().await, "2026-01-01T00:00:00.000Z", "at most once a minute");
    house.clock.advance(SECOND);
    house.ana.get(&format!("{path}/data")).await.expect(200);
    assert_eq!(accessed().await, "2026-01-01T00:01:00.000Z");
    assert_eq!(house.ana.get(&path).await.expect(200).json()["date_modified"], "2026-01-01T00:00:00.000Z");
}

// Checklist 46
async fn a_class_that_is_not_taken_is_refused(house: House) {
    let blocks = house.container(json!({ "blocked_classifications": ["executable"] })).await;
    let allows = house.container(json!({ "allowed_classifications": ["media"] })).await;
    for (container, name) in [(&blocks, "setup.exe"), (&allows, "a.pdf"), (&allows, "a")] {
        for size in [10, 100_000] {
            let query = format!("container_sid={container}&name={name}");
            assert_eq!(house.ana.upload(&query, &bytes(size)).await.field(422), "content_classification");
        }
        assert_eq!(house.used(container).await, (0, 0));
    }
    house.file(&blocks, 10, "name=a.pdf").await;
    let file = house.file(&allows, 10, "name=a.mp3").await;
    let path = format!("{FILES}/{file}");
    house.ana.patch(&path, json!({ "container_sid": blocks })).await.expect(200);
    let odd = json!({ "container_sid": allows, "mime_type": "application/zip" });
    assert_eq!(house.ana.patch(&path, odd).await.field(422), "content_classification");
    house.assert_sound().await;
}

async fn a_change_changes_what_is_given(house: House) {
    let container = house.container(json!({ "default_file_publish": "none" })).await;
    let file = house.file(&container, 10, "name=a.mp3&string_key_1=k&publish=file_sid").await;
    let path = format!("{FILES}/{file}");
    let mut expected = house.ana.get(&path).await.expect(200).json();
    house.clock.advance(SECOND);
    for (field, value) in [
        ("name", json!("b.txt")),
        ("content_format", json!("txt")),
        ("date_modified", json!("2026-01-01T00:00:01.000Z")),
    ] {
        expected[field] = value;
    }
    assert_eq!(house.ana.patch(&path, json!({ "name": "b.txt", "file_bytes": 99 })).await.expect(200).json(), expected);
    let put = house.ana.send("PUT", &path, json!({ "desired_bitrate": 128 })).await.expect(200).json();
    for (field, value) in [
        ("name", json!("b.txt")),
        ("mime_type", json!("audio/mpeg")),
        ("string_key_1", Value::Null),
        ("publish", json!("none")),
        ("desired_bitrate", json!(128)),
        ("file_bytes", json!(10)),
    ] {
        assert_eq!(put[field], value, "{field}");
    }
    assert_eq!(house.ana.get(&path).await.expect(200).json(), put);
    assert_eq!(house.ana.patch(&path, json!({ "type": "directory" })).await.field(422), "type");
    assert_eq!(house.ana.patch(&path, json!({ "parent_file_sid": file })).await.field(422), "parent_file_sid");
    house.ana.patch(&format!("{FILES}/{NOBODY}"), json!({})).await.expect(404);
    let answer = house.ana.call("PATCH", &path, &[("content-type", "text/plain")], Body::from("{}")).await;
    answer.expect(415);
}

async fn a_file_moves_to_where_there_is_room(house: House) {
    let (from, to) = (house.container(json!({})).await, house.container(json!({ "quota_bytes": 100_000 })).await);
    for size in [10, 99_990] {
        let file = house.file(&from, size, "").await;
        let told = house.ana.patch(&format!("{FILES}/{file}"), json!({ "container_sid": to })).await.expect(200).json();
        assert_eq!(told["container_sid"], json!(to));
    }
    assert_eq!((house.used(&from).await, house.used(&to).await), ((0, 0), (100_000, 2)));
    let file = house.file(&from, 1, "").await;
    let told = house.ana.patch(&format!("{FILES}/{file}"), json!({ "container_sid": to })).await.expect(422).json();
    let error = json!({ "field": "quota_bytes", "message": "container quota exceeded", "reference_sid": to });
    assert_eq!(told["errors"], json!([error]));
    assert_eq!((house.used(&from).await, house.used(&to).await), ((1, 1), (100_000, 2)));
    let gone = json!({ "container_sid": NOBODY });
    assert_eq!(house.ana.patch(&format!("{FILES}/{file}"), gone).await.field(422), "container_sid");
    house.ana.delete(&format!("{FILES}/{file}")).await.expect(204);
    house.ana.delete(&format!("{CONTAINERS}/{from}")).await.expect(204);
    house.assert_sound().await;
}
