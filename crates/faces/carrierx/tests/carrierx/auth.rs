//! Who may call, and for what. Checklist 3 to 6, 53.

use axum::body::Body;
use base64::Engine;
use serde_json::json;

use crate::house::{CONTAINERS, Client, FILES, House, PARTNER, PASSWORD};

on_both! {
    nobody_and_a_wrong_token_are_told_apart
    a_token_can_do_what_one_of_its_scopes_says_and_no_more
    a_login_with_its_password_can_do_everything
    the_clients_first_call_with_an_empty_login_is_401_however_often
    a_guess_too_many_has_to_wait
    another_partner_is_named_in_vain
}

fn basic(house: &House, login: &str, password: &str) -> Client {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{login}:{password}"));
    house.stranger.with("authorization", &format!("Basic {pair}"))
}

// Checklist 3
async fn nobody_and_a_wrong_token_are_told_apart(house: House) {
    let told = house.stranger.get(CONTAINERS).await.expect(401);
    assert_eq!(told.json(), json!({ "message": "Unauthorized", "errors": [] }));
    assert_eq!(told.header("access-control-allow-origin"), "*");
    for header in ["Bearer nobodys", "Basic !!!", "Digest x"] {
        let told = house.stranger.with("authorization", header).get(CONTAINERS).await.expect(401);
        assert_eq!(told.json(), json!({ "message": "Bad credentials", "errors": [] }), "{header}");
    }
}

// Checklist 4 and 5
async fn a_token_can_do_what_one_of_its_scopes_says_and_no_more(house: House) {
    let container = house.container(json!({})).await;
    let path = format!("{CONTAINERS}/{container}");
    house.reader.get(CONTAINERS).await.expect(200);
    house.reader.get(&path).await.expect(200);
    let forbidden = json!({ "message": "Forbidden", "errors": [] });
    assert_eq!(house.reader.post(CONTAINERS, json!({})).await.expect(403).json(), forbidden);
    // The scope is looked at before the body is.
    house.reader.call("POST", CONTAINERS, &[], Body::from("no json")).await.expect(403);
    house.reader.patch(&path, json!({})).await.expect(403);
    house.reader.upload(&format!("container_sid={container}"), b"x").await.expect(403);
    house.creator.post(CONTAINERS, json!({})).await.expect(200);
    house.creator.get(&path).await.expect(403);
    house.creator.send("PUT", &path, json!({})).await.expect(403);
    assert_eq!(house.creator.delete(&path).await.expect(403).json(), forbidden);
    house.ana.patch(&path, json!({ "name": "x" })).await.expect(200);
    house.ana.delete(&path).await.expect(204);
}

// Checklist 6
async fn a_login_with_its_password_can_do_everything(house: House) {
    let partner = basic(&house, "acme-voice", PASSWORD);
    let made = partner.post(CONTAINERS, json!({})).await.expect(200).json();
    assert_eq!(made["partner_sid"], PARTNER);
    assert_eq!(partner.get(CONTAINERS).await.expect(200).json()["total"], 1);
    for wrong in [basic(&house, "acme-voice", "wrong"), basic(&house, "nobody", PASSWORD)] {
        assert_eq!(wrong.get(CONTAINERS).await.expect(401).json()["message"], "Bad credentials");
    }
}

async fn the_clients_first_call_with_an_empty_login_is_401_however_often(house: House) {
    let client = house.stranger.with("authorization", "Basic Og==");
    for _ in 0..50 {
        assert_eq!(client.get(CONTAINERS).await.expect(401).json()["message"], "Bad credentials");
    }
    basic(&house, "acme-voice", PASSWORD).get(CONTAINERS).await.expect(200);
}

async fn a_guess_too_many_has_to_wait(house: House) {
    let guess = basic(&house, "acme-voice", "guess");
    let mut told = 401;
    for _ in 0..12 {
        told = guess.get(CONTAINERS).await.status.as_u16();
    }
    assert_eq!(told, 429);
}

// Checklist 53
async fn another_partner_is_named_in_vain(house: House) {
    let container = house.container(json!({})).await;
    let theirs = house.mallory.post(CONTAINERS, json!({})).await.expect(200).json();
    assert_ne!(theirs["partner_sid"], PARTNER);
    house.mallory.post(CONTAINERS, json!({ "partner_sid": PARTNER })).await.expect(403);
    house.ana.post(CONTAINERS, json!({ "partner_sid": PARTNER })).await.expect(200);
    let field = house.mallory.upload(&format!("container_sid={container}"), b"x").await.field(422);
    assert_eq!(field, "container_sid");
    let field = house.mallory.post(CONTAINERS, json!({ "parent_container_sid": container })).await.field(422);
    assert_eq!(field, "parent_container_sid");
    house.file(&container, 3, "").await;
    for list in [CONTAINERS, FILES] {
        let told = house.mallory.get(list).await.expect(200).json();
        assert_eq!(told["total"], if list == CONTAINERS { 1 } else { 0 }, "{list}");
    }
    assert_eq!(house.used(&container).await, (3, 1));
}
