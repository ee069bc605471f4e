//! Discovery, logging in, and what every answer carries.

use serde_json::json;
use store::params;

use crate::house::{CF, House, PASSWORD, START, claims};

on_both! {
    what_is_here_is_told_to_everybody
    a_password_gives_a_token_and_one_to_refresh_it
    a_wrong_password_and_a_wrong_client_are_told_apart
    a_refreshed_token_is_new_and_a_refresh_token_is_no_bearer
    an_admins_token_says_so_and_a_members_does_not
    a_token_is_never_more_than_its_user
    a_token_ends_with_its_time_its_password_and_its_revocation
    a_client_that_acts_for_itself_has_no_user
    keys_verify_and_rotate_and_old_tokens_still_hold
    every_answer_has_a_request_id_and_is_not_sniffed
    the_seeds_own_token_is_over
    people_are_made_found_and_removed
}

async fn what_is_here_is_told_to_everybody(house: House) {
    // Checklist 2; `GET /` itself is the binary's, which puts these links into its own (checklist 1).
    let links = cloudfoundry::links("http://x");
    assert!(links["cloud_controller_v2"]["href"].as_str().unwrap().ends_with("/v2"));
    assert!(links["cloud_controller_v3"]["href"].as_str().unwrap().ends_with("/v3"));
    assert!(links["login"]["href"].is_string() && links["uaa"]["href"].is_string());
    let info = house.stranger.get("/v2/info").await.expect(200).json();
    for key in ["authorization_endpoint", "token_endpoint", "api_version"] {
        assert!(info[key].is_string(), "{key}");
    }
    assert!(info.get("user").is_none());
    assert_eq!(house.ana.get("/v2/info").await.expect(200).json()["user"], house.ana.id);
    let links = house.stranger.get("/v3").await.expect(200).json();
    assert_eq!(links["links"]["space_quotas"]["href"], "http://api.example.org/v3/space_quotas");
    house.stranger.get("/v3/info").await.expect(200);
    let prompts = house.stranger.get("/login").await.expect(200).json();
    assert_eq!(prompts["prompts"]["password"][0], "password");
    let openid = house.stranger.get("/.well-known/openid-configuration").await.expect(200).json();
    assert_eq!(openid["token_endpoint"], "http://api.example.org/oauth/token");
}

async fn a_password_gives_a_token_and_one_to_refresh_it(house: House) {
    // Checklist 3.
    let answer = house.ana.login().await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let told = answer.json();
    assert_eq!(told["token_type"], "bearer");
    assert!(told["refresh_token"].is_string() && told["jti"].is_string() && told["expires_in"].as_i64().unwrap() > 0);
    assert!(told["scope"].as_str().unwrap().contains("cloud_controller.read"));
    house.ana.get("/v2/organizations").await.expect(200);
}

async fn a_wrong_password_and_a_wrong_client_are_told_apart(house: House) {
    // Checklist 4.
    let form = "grant_type=password&username=ana%40acme.example&password=wrong";
    let told = house.stranger.form("/oauth/token", CF, form).await.expect(401).json();
    assert_eq!(told, json!({ "error": "unauthorized", "error_description": "Bad credentials" }));
    let wrong = house.stranger.form("/oauth/token", "Basic eDp5", form).await.expect(401);
    assert!(wrong.header("www-authenticate").starts_with("Basic realm=\"UAA/client\""));
    assert_eq!(wrong.json()["error"], "invalid_client");
    let other = house.stranger.form("/oauth/token", CF, "grant_type=magic").await.expect(400).json();
    assert_eq!(other["error"], "unsupported_grant_type");
    let none = house.stranger.form("/oauth/token", CF, "grant_type=password&username=x").await.expect(400).json();
    assert_eq!(none["error"], "invalid_request");
    let bad = house.stranger.form("/oauth/token", CF, "grant_type=refresh_token&refresh_token=x").await.expect(401);
    assert_eq!(bad.json()["error"], "invalid_token");
}

async fn a_refreshed_token_is_new_and_a_refresh_token_is_no_bearer(house: House) {
    // Checklist 5.
    let first = house.ana.login().await.expect(200).json();
    let refresh = first["refresh_token"].as_str().unwrap();
    assert!(claims(refresh)["jti"].as_str().unwrap().ends_with("-r"));
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=");
    let second = house.stranger.form("/oauth/token", CF, &form).await.expect(200).json();
    assert_ne!(second["access_token"], first["access_token"]);
    let token = second["access_token"].as_str().unwrap();
    house.stranger.with_token(token).get("/v2/organizations").await.expect(200);
    house.stranger.with_token(refresh).get("/v2/organizations").await.refused(401, 1000);
    // An access token refreshes nothing.
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    house.stranger.form("/oauth/token", CF, &form).await.expect(401);
}

async fn an_admins_token_says_so_and_a_members_does_not(house: House) {
    // Checklist 6.
    let claims_ = claims(&house.admin.token().await);
    let has = |name: &str, value: &str| claims_[name].as_array().unwrap().iter().any(|it| it == value);
    assert!(has("scope", "cloud_controller.admin") && has("aud", "cloud_controller"));
    assert_eq!(claims_["user_id"], house.admin.id);
    assert!(claims_["exp"].as_i64().unwrap() > START / 1_000_000);
    assert_eq!(claims_["iss"], "https://plimsoll.invalid/oauth/token", "never what the request calls us");
    let member = claims(&house.ana.token().await);
    assert!(!member["scope"].as_array().unwrap().iter().any(|it| it == "cloud_controller.admin"));
}

async fn a_token_is_never_more_than_its_user(house: House) {
    let told = house.ana.scoped("cloud_controller.admin cloud_controller.read").login().await.expect(200).json();
    assert_eq!(told["scope"], "cloud_controller.read");
    let none = house.ana.scoped("cloud_controller.admin").login().await.expect(400).json();
    assert_eq!(none["error"], "invalid_scope");
    // A weaker token stays weaker when it is refreshed.
    let weak = house.admin.scoped("cloud_controller.read").login().await.expect(200).json();
    let refresh = weak["refresh_token"].as_str().unwrap();
    let form = format!("grant_type=refresh_token&refresh_token={refresh}&scope=cloud_controller.admin");
    house.stranger.form("/oauth/token", CF, &form).await.expect(400);
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    let again = house.stranger.form("/oauth/token", CF, &form).await.expect(200).json();
    assert_eq!(again["scope"], "cloud_controller.read");
    // Who is no admin any more has no admin's token any more.
    let id = store::UserId(house.admin.id.parse().unwrap());
    house.admin.get("/v2/users").await.expect(200);
    let patch = identity::UserPatch { admin: Some(false), ..Default::default() };
    house.identity.change_user(crate::house::by(), id, patch).await.unwrap();
    let body = json!({ "name": "no" });
    house.admin.post("/v2/organizations", body).await.refused(403, 10003);
}

async fn a_token_ends_with_its_time_its_password_and_its_revocation(house: House) {
    // Checklist 7 and 8.
    let told = house.stranger.get("/v2/organizations").await.expect(401).json();
    assert_eq!((told["code"].clone(), told["error_code"].clone()), (json!(10002), json!("CF-NotAuthenticated")));
    let told = house.stranger.get("/v3/organizations").await.expect(401).json();
    assert_eq!(told["errors"][0]["code"], 10002);
    for garbage in ["x", "a.b.c", ""] {
        let told = house.stranger.with_token(garbage).get("/v2/organizations").await.expect(401).json();
        assert_eq!((told["code"].clone(), told["error_code"].clone()), (json!(1000), json!("CF-InvalidAuthToken")));
    }
    let basic = house.stranger.raw("GET", "/v2/organizations", &[("authorization", CF)], "".into()).await;
    basic.refused(401, 1000);
    let token = house.ana.token().await;
    house.clock.advance(13 * 3600 * 1_000_000);
    assert_eq!(
        house.ana.get("/v3/organizations").await.expect(401).json()["errors"][0]["title"],
        "CF-InvalidAuthToken"
    );
    let fresh = |token: &serde_json::Value| house.ana.with_token(token["access_token"].as_str().unwrap());
    let told = house.ana.login().await.expect(200).json();
    let jti = told["jti"].as_str().unwrap();
    fresh(&told).delete(&format!("/oauth/token/revoke/{jti}")).await.expect(200);
    fresh(&told).get("/v2/organizations").await.refused(401, 1000);
    let told = house.ana.login().await.expect(200).json();
    let body = json!({ "oldPassword": "wrong", "password": "another long one" });
    fresh(&told).put(&format!("/Users/{}/password", house.ana.id), body).await.expect(401);
    let body = json!({ "oldPassword": PASSWORD, "password": "another long one" });
    fresh(&told).put(&format!("/Users/{}/password", house.ana.id), body).await.expect(200);
    fresh(&told).get("/v2/organizations").await.refused(401, 1000);
    let form = format!("grant_type=refresh_token&refresh_token={}", told["refresh_token"].as_str().unwrap());
    house.stranger.form("/oauth/token", CF, &form).await.expect(401);
    assert!(!token.is_empty());
}

async fn a_client_that_acts_for_itself_has_no_user(house: House) {
    let form =
        format!("grant_type=client_credentials&client_id=admin%40acme.example&client_secret={}", "a+long+password");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = house.stranger.raw("POST", "/oauth/token", &headers, form.into()).await.expect(200).json();
    assert!(answer.get("refresh_token").is_none());
    let token = answer["access_token"].as_str().unwrap();
    let told = claims(token);
    assert_eq!((told["client_id"].clone(), told.get("user_id")), (json!("admin@acme.example"), None));
    house.stranger.with_token(token).get("/v2/organizations").await.expect(200);
    house.stranger.form("/oauth/token", CF, "grant_type=client_credentials").await.expect(401);
}

async fn keys_verify_and_rotate_and_old_tokens_still_hold(house: House) {
    let token = house.ana.token().await;
    let first = house.stranger.get("/oauth/token_key").await.expect(200).json();
    for key in ["kid", "alg", "value", "kty", "use"] {
        assert!(first[key].is_string(), "{key}");
    }
    let form = format!("token={token}");
    let told = house.stranger.form("/check_token", CF, &form).await.expect(200).json();
    assert_eq!(told["user_id"], house.ana.id);
    let bad = house.stranger.form("/check_token", CF, "token=x").await.expect(400).json();
    assert_eq!(bad["error"], "invalid_token");
    // Signed with the first key, and looked at when the second signs.
    house.clock.advance(30 * 24 * 3_600_000_000 - 1_000_000);
    let old = house.ana.login().await.expect(200).json();
    house.clock.advance(2_000_000);
    let second = house.ben.login().await.expect(200).json();
    let keys = house.stranger.get("/token_keys").await.expect(200).json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(keys["keys"][1]["kid"], first["kid"]);
    for token in [&old, &second] {
        let token = token["access_token"].as_str().unwrap();
        house.stranger.with_token(token).get("/v2/organizations").await.expect(200);
    }
    let sealed = identity::SigningKeys::new(house.store.clone(), Some([7; 32]));
    house.clock.advance(31 * 24 * 3_600_000_000);
    sealed.sign(&json!({ "exp": 1 })).await.unwrap();
    let sql = "SELECT sealed, secret FROM signing_keys ORDER BY created_at DESC LIMIT 1";
    let row = house.store.read(move |tx| tx.query_opt(sql, &params![])).await.unwrap().unwrap();
    assert!(row.get::<bool>(0).unwrap() && row.get::<Vec<u8>>(1).unwrap().len() > 32);
    let stolen = identity::SigningKeys::new(house.store.clone(), Some([8; 32]));
    assert!(stolen.sign(&json!({ "exp": 1 })).await.is_err(), "another key opens nothing");
}

async fn every_answer_has_a_request_id_and_is_not_sniffed(house: House) {
    // Checklist 9 and 10.
    for (client, path) in [(&house.ana, "/v2/organizations"), (&house.stranger, "/v3/nothing"), (&house.ana, "/v2/x")] {
        let answer = client.get(path).await;
        assert_eq!(answer.header("x-vcap-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let headers = [("x-vcap-request-id", "mine/is-this_1")];
    let answer = house.stranger.raw("GET", "/v2/info", &headers, "".into()).await;
    let (before, id) = answer.header("x-vcap-request-id").split_once("::").unwrap();
    assert_eq!((before, id.len()), ("mineis-this_1", 36));
    let unknown = house.ana.get("/v2/nothing").await.expect(404).json();
    assert_eq!(unknown, json!({ "description": "Unknown request", "error_code": "CF-NotFound", "code": 10000 }));
    let unknown = house.ana.get("/v3/nothing").await.expect(404).json();
    assert_eq!(unknown["errors"][0]["title"], "CF-NotFound");
    house.ana.call("PATCH", "/v2/organizations", "{}".into()).await.refused(404, 10000);
}

async fn the_seeds_own_token_is_over(house: House) {
    // Checklist 8: the literal token of the page.
    let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoidWFhLWlkLTE0NiIsImVtYWlsIjoiZW1haWwtMTAxQHNvbWVkb21ha\
        W4uY29tIiwic2NvcGUiOlsiY2xvdWRfY29udHJvbGxlci5hZG1pbiJdLCJhdWQiOlsiY2xvdWRfY29udHJvbGxlciJdLCJleHAiOjE0NjYwMDg\
        4ODl9.ePc2Tr23QB3-OZdEZoYBE46YtTPpcc0E5M-9fn05eZE";
    let client = house.stranger.with_token(token);
    client.post("/v2/space_quota_definitions", json!({})).await.refused(401, 1000);
}

async fn people_are_made_found_and_removed(house: House) {
    let body = json!({ "userName": "new@acme.example", "password": "some long password", "emails": [], "name": {} });
    house.ana.post("/Users", body.clone()).await.expect(403);
    let made = house.admin.post("/Users", body.clone()).await.expect(201).json();
    let id = made["id"].as_str().unwrap().to_owned();
    let taken = house.mallory.post("/Users", body).await.expect(409).json();
    assert_eq!(taken["error"], "scim_resource_already_exists");
    let filter = "/Users?filter=userName%20eq%20%22new%40acme.example%22";
    assert_eq!(house.admin.get(filter).await.expect(200).json()["totalResults"], 1);
    assert_eq!(house.mallory.get(filter).await.expect(200).json()["totalResults"], 0);
    house.mallory.delete(&format!("/Users/{id}")).await.expect(404);
    house.admin.post("/v2/users", json!({ "guid": id })).await.expect(201);
    house.admin.post("/v2/users", json!({ "guid": id })).await.refused(400, 20002);
    house.admin.post("/v3/users", json!({ "guid": id })).await.refused_v3(422, 10008);
    house.mallory.post("/v3/users", json!({ "guid": id })).await.refused_v3(422, 10008);
    assert_eq!(house.admin.get("/v3/users").await.expect(200).json()["pagination"]["total_results"], 4);
    assert_eq!(house.ana.get("/v3/users").await.expect(200).json()["pagination"]["total_results"], 1);
    house.admin.delete(&format!("/Users/{id}")).await.expect(200);
    house.admin.get(&format!("/Users/{id}")).await.expect(404);
}
