//! Every route, asked by a stranger and by another partner; and what is no route.

use axum::body::Body;
use serde_json::json;

use crate::house::{CONTAINERS, FILES, House, NOBODY};

on_both! {
    a_stranger_gets_401_on_every_route
    another_partner_gets_404_on_every_route_that_names_something
    what_is_no_route_is_not_found
    a_browser_that_asks_whether_it_may_is_told_yes
}

/// Routes that need no credentials.
fn is_open(path: &str) -> bool {
    path.starts_with("/f/")
}

async fn a_stranger_gets_401_on_every_route(house: House) {
    for (method, path) in carrierx::routes::ROUTES.iter().filter(|(_, path)| !is_open(path)) {
        let path = path.replace("{sid}", NOBODY);
        let headers = [("content-type", "application/json")];
        let answer = house.stranger.call(&method.to_uppercase(), &path, &headers, Body::from("{}")).await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.json(), json!({ "message": "Unauthorized", "errors": [] }), "{path}");
    }
}

async fn another_partner_gets_404_on_every_route_that_names_something(house: House) {
    let container = house.container(json!({})).await;
    let file = house.file(&container, 10, "").await;
    let mut asked = 0;
    for (method, path) in carrierx::routes::ROUTES.iter().filter(|(_, path)| path.contains("{sid}") && !is_open(path)) {
        let id = if path.contains("/containers/") { &container } else { &file };
        let path = path.replace("{sid}", id);
        let headers = [("content-type", "application/json")];
        let answer = house.mallory.call(&method.to_uppercase(), &path, &headers, Body::from("{}")).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(answer.json(), json!({ "message": "Cannot find item by SID", "errors": [] }), "{path}");
        asked += 1;
    }
    assert_eq!(asked, 9);
    assert_eq!(house.used(&container).await, (10, 1));
}

async fn what_is_no_route_is_not_found(house: House) {
    for path in ["/core/v2", "/core/v2/nothing", &format!("{CONTAINERS}/"), &format!("{FILES}/x/y"), "/core/v2/"] {
        let told = house.ana.get(path).await.expect(404);
        assert_eq!(told.json(), json!({ "message": "Not Found", "errors": [] }), "{path}");
        assert_eq!(told.header("access-control-allow-origin"), "*");
    }
    house.ana.send("PUT", CONTAINERS, json!({})).await.expect(405);
}

async fn a_browser_that_asks_whether_it_may_is_told_yes(house: House) {
    for path in [CONTAINERS, &format!("{FILES}/{NOBODY}"), &format!("/f/{NOBODY}"), "/core/v2/x"] {
        let told = house.stranger.call("OPTIONS", path, &[("origin", "https://a.example")], Body::empty()).await;
        let told = told.expect(204);
        assert_eq!(told.header("access-control-allow-origin"), "*", "{path}");
        assert!(told.header("access-control-allow-headers").contains("Authorization"));
    }
}
