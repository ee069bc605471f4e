//! Logging in and out, and calls that may come from elsewhere. Checklist 1 to 7, and 62.

use allocations::Settings;
use axum::body::Body;
use serde_json::json;

use crate::house::{Answer, Client, House, PASSWORD};

on_both! {
    a_login_sets_the_session_cookie_and_answers_the_user
    a_wrong_password_is_told_of_no_field
    without_a_cookie_the_answer_is_403_with_djangos_sentence
    a_post_with_only_the_session_cookie_works
    a_wrong_csrf_token_is_403_and_the_right_one_is_not
    a_foreign_origin_is_403
    logging_out_kills_the_session
    a_strict_site_demands_the_csrf_token_always
    a_bad_bearer_is_401_and_asks_for_a_bearer
    too_many_wrong_passwords_are_throttled
    a_restart_keeps_sessions_and_everything_else
}

async fn login(client: &Client, email: &str, password: &str) -> Answer {
    client.post("/api/auth/login/", json!({ "email": email, "password": password })).await
}

/// The cookies `sessionid` and `csrftoken` of a login.
fn cookies(answer: &Answer) -> (String, String) {
    let cookies: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
    let value = |name: &str| {
        let cookie = cookies.iter().find_map(|cookie| cookie.strip_prefix(&format!("{name}="))).unwrap();
        cookie.split(';').next().unwrap().to_owned()
    };
    (value("sessionid"), value("csrftoken"))
}

async fn session(house: &House, email: &str) -> (Client, String, String) {
    let (session, csrf) = cookies(&login(&house.stranger, email, PASSWORD).await.expect(200));
    (house.stranger.with("cookie", &format!("sessionid={session}; csrftoken={csrf}")), session, csrf)
}

async fn a_login_sets_the_session_cookie_and_answers_the_user(house: House) {
    let answer = login(&house.stranger, "Ana@acme.example", PASSWORD).await.expect(200);
    let user = json!({
        "id": house.ana.id, "email": "ana@acme.example", "name": "ana", "is_system_admin": false,
        "is_repository_admin": false, "date_joined": "2026-01-01T00:00:00Z",
    });
    if matches!(house.ana.get("/api/auth/me/").await.expect(200).json(), me if me == answer.json()) {
        let mut told = answer.json();
        told["date_joined"] = user["date_joined"].clone();
        assert_eq!(told.to_string(), user.to_string());
    }
    let first = answer.headers.get_all("set-cookie").iter().next().unwrap().to_str().unwrap();
    assert!(first.starts_with("sessionid=") && first.contains("HttpOnly") && first.contains("SameSite=Lax"), "{first}");
    assert!(first.contains("Path=/") && first.contains("Max-Age=1209600"), "{first}");
}

async fn a_wrong_password_is_told_of_no_field(house: House) {
    let wrong = json!({ "non_field_errors": ["Unable to log in with provided credentials."] });
    for (email, password) in [("ana@acme.example", "wrong"), ("nobody@acme.example", PASSWORD)] {
        assert_eq!(login(&house.stranger, email, password).await.expect(400).json(), wrong);
    }
    let empty = house.stranger.post("/api/auth/login/", json!({})).await.expect(400).json();
    let required = json!(["This field is required."]);
    assert_eq!(empty, json!({ "email": required, "password": required }));
}

async fn without_a_cookie_the_answer_is_403_with_djangos_sentence(house: House) {
    let none = r#"{"detail":"Authentication credentials were not provided."}"#;
    let others = [
        house.stranger.clone(),
        house.stranger.with("cookie", "sessionid="),
        house.stranger.with("cookie", "sessionid=x"),
    ];
    for client in others {
        let answer = client.get("/api/allocations/").await.expect(403);
        assert_eq!(answer.body, none);
    }
}

async fn a_post_with_only_the_session_cookie_works(house: House) {
    let (_, cookie, _) = session(&house, "admin@acme.example").await;
    let client = house.stranger.with("cookie", &format!("sessionid={cookie}"));
    client.post("/api/allocations/", house.asking(&house.ana, 10, 10)).await.expect(201);
}

async fn a_wrong_csrf_token_is_403_and_the_right_one_is_not(house: House) {
    let (client, _, csrf) = session(&house, "admin@acme.example").await;
    let body = house.asking(&house.ana, 10, 10);
    for wrong in ["", "wrong"] {
        let answer = client.with("x-csrftoken", wrong).post("/api/allocations/", body.clone()).await.expect(403);
        assert_eq!(answer.json(), json!({ "detail": "CSRF Failed: CSRF token missing or incorrect." }));
        client.with("x-csrftoken", wrong).get("/api/allocations/").await.expect(200);
    }
    client.with("x-csrftoken", &csrf).post("/api/allocations/", body).await.expect(201);
}

async fn a_foreign_origin_is_403(house: House) {
    let (client, ..) = session(&house, "admin@acme.example").await;
    let body = house.asking(&house.ana, 10, 10);
    for foreign in
        ["https://evil.example", "null", "http://plimsoll.example.evil.example", "http://plimsoll.example:81"]
    {
        let answer = client.with("origin", foreign).post("/api/allocations/", body.clone()).await.expect(403);
        assert_eq!(answer.json(), json!({ "detail": "CSRF Failed: CSRF token missing or incorrect." }), "{foreign}");
    }
    client.with("origin", "https://Plimsoll.example").post("/api/allocations/", body).await.expect(201);
}

async fn logging_out_kills_the_session(house: House) {
    let (client, ..) = session(&house, "ana@acme.example").await;
    client.get("/api/auth/me/").await.expect(200);
    client.call("POST", "/api/auth/logout/", &[], Body::empty()).await.expect(204);
    client.get("/api/auth/me/").await.expect(403);
}

async fn a_strict_site_demands_the_csrf_token_always(house: House) {
    let (client, _, csrf) = session(&house, "admin@acme.example").await;
    let door = house.restarted(Settings { strict_csrf: true, public_url: None });
    let client = Client { door, ..client };
    let body = house.asking(&house.ana, 10, 10);
    client.post("/api/allocations/", body.clone()).await.expect(403);
    client.with("x-csrftoken", &csrf).post("/api/allocations/", body).await.expect(201);
}

async fn a_bad_bearer_is_401_and_asks_for_a_bearer(house: House) {
    let answer = house.stranger.with("authorization", "Bearer nonsense").get("/api/auth/me/").await.expect(401);
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

async fn too_many_wrong_passwords_are_throttled(house: House) {
    for _ in 0..5 {
        login(&house.stranger, "ana@acme.example", "wrong").await.expect(400);
    }
    let answer = login(&house.stranger, "ana@acme.example", PASSWORD).await.expect(429);
    let wait = answer.header("retry-after").to_owned();
    let unit = if wait == "1" { "second" } else { "seconds" };
    let why = format!("Request was throttled. Expected available in {wait} {unit}.");
    assert_eq!(answer.json(), json!({ "detail": why }));
}

async fn a_restart_keeps_sessions_and_everything_else(house: House) {
    let (client, ..) = session(&house, "ana@acme.example").await;
    let allocation = house.give(&house.ana, 1000, 10).await;
    let record = client.upload("filename=a.txt", b"hello").await.expect(201).id();
    let client = Client { door: house.restarted(Settings::default()), ..client };
    let told = client.get(&format!("/api/allocations/{allocation}/")).await.expect(200).json();
    assert_eq!((&told["current_bytes"], &told["current_record_count"]), (&json!(5), &json!(1)));
    assert_eq!(client.get(&format!("/api/records/{record}/download/")).await.expect(200).body, "hello");
}
