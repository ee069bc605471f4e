//! Published files, which anybody can read. Checklist 45.

use axum::body::Body;
use serde_json::{Value, json};

use crate::house::{CONTAINERS, FILES, House, NOBODY, SECOND, bytes};

on_both! {
    a_published_file_needs_no_credentials_and_any_other_is_not_there
    a_file_is_published_under_its_access_name
    what_could_run_comes_as_an_attachment
    what_has_ended_is_published_no_more
}

fn path_of(uri: &Value) -> String {
    uri.as_str().unwrap().strip_prefix("http://plimsoll.example").unwrap().to_owned()
}

async fn a_published_file_needs_no_credentials_and_any_other_is_not_there(house: House) {
    let container = house.container(json!({})).await;
    let file = house.file(&container, 1000, "name=a.mp3").await;
    let path = format!("{FILES}/{file}");
    let uri = house.ana.get(&path).await.expect(200).json()["publish_uri"].clone();
    assert_eq!(path_of(&uri), format!("/f/{file}"));
    let open = path_of(&uri);
    let told = house.stranger.get(&open).await.expect(200);
    assert_eq!((&told.body[..], told.header("content-type")), (&bytes(1000)[..], "audio/mpeg"));
    assert_eq!(told.header("content-disposition"), "inline; filename=\"a.mp3\"");
    assert_eq!(told.header("access-control-allow-origin"), "*");
    let head = house.stranger.call("HEAD", &open, &[], Body::empty()).await.expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("1000", 0));
    let part = house.stranger.with("range", "bytes=5-9").get(&open).await.expect(206);
    assert_eq!(part.body, bytes(1000)[5..10]);
    // A read by everybody is no download of the partner's.
    assert_eq!(house.ana.get(&path).await.expect(200).json()["date_last_accessed"], Value::Null);

    let hidden = house.ana.patch(&path, json!({ "publish": "none" })).await.expect(200).json();
    assert_eq!(hidden["publish_uri"], Value::Null);
    assert_eq!(house.stranger.get(&open).await.expect(404).json()["message"], "Not Found");
    house.ana.patch(&path, json!({ "publish": "file_sid" })).await.expect(200);
    house.stranger.get(&open).await.expect(200);
    house.ana.patch(&format!("{CONTAINERS}/{container}"), json!({ "allow_publish": false })).await.expect(200);
    assert_eq!(house.ana.get(&path).await.expect(200).json()["publish_uri"], Value::Null);
    house.stranger.get(&open).await.expect(404);
    house.ana.patch(&format!("{CONTAINERS}/{container}"), json!({ "allow_publish": true })).await.expect(200);
    house.ana.delete(&path).await.expect(204);
    house.stranger.get(&open).await.expect(404);
    for odd in [format!("/f/{NOBODY}"), "/f/x".to_owned(), "/f".to_owned(), "/f/".to_owned()] {
        house.stranger.get(&odd).await.expect(404);
    }
}

async fn a_file_is_published_under_its_access_name(house: House) {
    let container = house.container(json!({ "default_file_publish": "file_access_name" })).await;
    let file = house.file(&container, 10, "file_access_name=calls/one%20%231.mp3").await;
    let told = house.ana.get(&format!("{FILES}/{file}")).await.expect(200).json();
    assert_eq!(path_of(&told["publish_uri"]), format!("/f/{container}/calls/one%20%231.mp3"));
    assert_eq!(house.stranger.get(&path_of(&told["publish_uri"])).await.expect(200).body, bytes(10));
    house.stranger.get(&format!("/f/{file}")).await.expect(404);
    house.stranger.get(&format!("/f/{container}/calls/two.mp3")).await.expect(404);
}

async fn what_could_run_comes_as_an_attachment(house: House) {
    let container = house.container(json!({})).await;
    for (name, how) in [("a.html", "attachment"), ("a.svg", "attachment"), ("a.png", "inline"), ("a.txt", "inline")] {
        let file = house.file(&container, 10, &format!("name={name}")).await;
        let told = house.stranger.get(&format!("/f/{file}")).await.expect(200);
        assert!(told.header("content-disposition").starts_with(how), "{name}");
        assert_eq!(told.header("content-security-policy"), "sandbox");
        assert_eq!(told.header("x-content-type-options"), "nosniff");
        let own = house.ana.get(&format!("{FILES}/{file}/data")).await.expect(200);
        assert!(own.header("content-disposition").starts_with("attachment"));
    }
}

async fn what_has_ended_is_published_no_more(house: House) {
    let container = house.container(json!({})).await;
    let file = house.file(&container, 10, "lifecycle_action=delete&lifecycle_ttl=5").await;
    house.stranger.get(&format!("/f/{file}")).await.expect(200);
    house.clock.advance(5 * SECOND);
    house.stranger.get(&format!("/f/{file}")).await.expect(404);
}
