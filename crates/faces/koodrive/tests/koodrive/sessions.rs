//! Tokens: from a login, and from the site file.

use serde_json::{Value, json};

use crate::house::{ADMIN, Answer, GET, House, MEMBER, MINUTE, PASSWORD, TOKEN, by};

on_both! {
    a_token_is_written_in_three_ways
    a_login_gives_a_token_and_a_cookie
    a_token_dies_after_twenty_idle_minutes_and_lives_on_with_use
    a_token_of_the_site_file_does_not_idle_out
    who_is_no_user_here_does_not_get_in
    a_new_password_ends_the_tokens_of_the_old_one
}

const UNKNOWN: u32 = 13_000_201;
const LOGIN: &str = "/koodrive/ose/v1/session/login";

async fn login(house: &House, body: Value) -> Answer {
    house.send("POST", LOGIN, &[], body.to_string().as_bytes()).await
}

async fn token(house: &House, user: &str) -> String {
    let answer = login(house, json!({ "user": user, "password": PASSWORD })).await.expect(0);
    answer.json()["data"]["accessToken"].as_str().unwrap().to_owned()
}

async fn with(house: &House, authorization: &str) -> Answer {
    house.send("GET", GET, &[("authorization", authorization.to_owned())], b"").await
}

/// Checklist 13.
async fn a_token_is_written_in_three_ways(house: House) {
    for token in [TOKEN.to_owned(), token(&house, ADMIN).await] {
        for authorization in [format!("Bearer+{token}"), format!("Bearer {token}"), format!("bearer  {token}"), token] {
            with(&house, &authorization).await.expect(0);
        }
    }
    for wrong in ["Bearer+nobody's", "Bearer nobody's", "nobody's", "Bearer", "Bearer ", "", "Bearer+"] {
        with(&house, wrong).await.expect(UNKNOWN);
    }
}

async fn a_login_gives_a_token_and_a_cookie(house: House) {
    for user in [ADMIN, "admin@acme.example", "Admin@ACME.example"] {
        let answer = login(&house, json!({ "user": user, "password": PASSWORD })).await.expect(0);
        let told = answer.json();
        let token = told["data"]["accessToken"].as_str().unwrap();
        assert_eq!(told["msg"], "success");
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with(&format!("Authorization={token}; ")), "{cookie}");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let sent = [("cookie", format!("Authorization={token}"))];
        house.send("GET", GET, &sent, b"").await.expect(0);
    }
    for (body, code) in [
        (json!({ "user": ADMIN, "password": "wrong" }), UNKNOWN),
        (json!({ "user": "nobody", "password": PASSWORD }), UNKNOWN),
        (json!({ "user": ADMIN }), 13_000_102),
        (json!({ "user": 1, "password": PASSWORD }), 13_000_102),
        (json!([]), 13_000_102),
    ] {
        login(&house, body).await.expect(code);
    }
    // A signature is no way into a session call, and none is needed.
    house.post(LOGIN, json!({ "user": ADMIN, "password": "wrong" })).await.expect(UNKNOWN);
}

/// Checklist 14.
async fn a_token_dies_after_twenty_idle_minutes_and_lives_on_with_use(house: House) {
    let (used, idle) = (token(&house, ADMIN).await, token(&house, ADMIN).await);
    for _ in 0..5 {
        house.clock.advance(15 * MINUTE);
        with(&house, &used).await.expect(0);
    }
    with(&house, &idle).await.expect(UNKNOWN);
    house.clock.advance(20 * MINUTE - 1);
    with(&house, &used).await.expect(0);
    house.clock.advance(20 * MINUTE);
    with(&house, &used).await.expect(UNKNOWN);
    with(&house, &used).await.expect(UNKNOWN);
}

async fn a_token_of_the_site_file_does_not_idle_out(house: House) {
    house.clock.advance(365 * 24 * 60 * MINUTE);
    with(&house, TOKEN).await.expect(0);
}

async fn who_is_no_user_here_does_not_get_in(house: House) {
    house.identity.create_user(by(), crate::house::new_user(house.acme, "eve@acme.example")).await.unwrap();
    login(&house, json!({ "user": "eve@acme.example", "password": PASSWORD })).await.expect(UNKNOWN);
    // A session of another face is none here.
    let ana =
        house.identity.password("ana@acme.example", PASSWORD, std::net::Ipv4Addr::LOCALHOST.into()).await.unwrap();
    let other = house.identity.open_session(&ana, identity::Face::Console, 1000).await.unwrap();
    with(&house, &other.cookie).await.expect(UNKNOWN);
}

async fn a_new_password_ends_the_tokens_of_the_old_one(house: House) {
    let old = token(&house, MEMBER).await;
    with(&house, &old).await.expect(0);
    let ana = house.identity.user_by_email("ana@acme.example").await.unwrap().unwrap();
    let password = Some(Some("another password".into()));
    let patch = identity::UserPatch { password, ..identity::UserPatch::default() };
    house.identity.change_user(by(), ana.id, patch).await.unwrap();
    with(&house, &old).await.expect(UNKNOWN);
}
