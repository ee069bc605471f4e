//! Every route, asked by a stranger and by another tenant; and what is no route.

use axum::body::Body;
use serde_json::json;

use crate::house::House;

on_both! {
    a_stranger_gets_403_on_every_route
    another_tenant_gets_404_on_every_route_that_names_something
    a_get_without_its_slash_is_sent_to_the_one_with_it
    what_is_no_route_is_not_found
}

/// Routes that need nobody to be logged in.
const OPEN: &[(&str, &str)] = &[("post", "/api/auth/login/")];

async fn a_stranger_gets_403_on_every_route(house: House) {
    for (method, path) in allocations::routes::ROUTES.iter().filter(|route| !OPEN.contains(route)) {
        let path = path.replace("{id}", crate::house::NOBODY).replace("{*name}", "x");
        let headers = [("content-type", "application/json")];
        let answer = house.stranger.call(&method.to_uppercase(), &path, &headers, Body::from("{}")).await;
        assert_eq!(answer.status, 403, "{method} {path}");
        assert_eq!(answer.json(), json!({ "detail": "Authentication credentials were not provided." }), "{path}");
    }
}

async fn another_tenant_gets_404_on_every_route_that_names_something(house: House) {
    let allocation = house.give(&house.ana, 1000, 10).await;
    let repository = json!({ "name": "own", "type": "posix", "capacity": 0 });
    let repository = house.admin.post("/api/repositories/", repository).await.expect(201).id();
    let project = house.ana.post("/api/projects/", json!({ "name": "p" })).await.expect(201).id();
    let collection = house.ana.post("/api/collections/", json!({ "title": "c" })).await.expect(201).id();
    let asset = house.ana.post("/api/assets/", json!({ "title": "a" })).await.expect(201).id();
    let record = house.ana.upload("", b"x").await.expect(201).id();
    let transfer = json!({ "content_id": record, "type": "upload" });
    let transfer = house.ana.post("/api/transfers/", transfer).await.expect(201).json();
    let transfer = transfer["transfer_id"].as_str().unwrap().to_owned();
    let things = [
        ("allocations", &allocation),
        ("repositories", &repository),
        ("projects", &project),
        ("collections", &collection),
        ("assets", &asset),
        ("records", &record),
        ("transfers", &transfer),
    ];
    let mut asked = 0;
    for (method, path) in allocations::routes::ROUTES.iter().filter(|(_, path)| path.contains("{id}")) {
        let noun = path.split('/').nth(2).unwrap();
        let (_, id) = things.iter().find(|(known, _)| *known == noun).expect("every noun is asked for");
        let path = path.replace("{id}", id).replace("{*name}", "file");
        let headers = [("content-type", "application/json")];
        let answer = house.mallory.call(&method.to_uppercase(), &path, &headers, Body::from("{}")).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(answer.json(), json!({ "detail": "Not found." }), "{path}");
        asked += 1;
    }
    assert!(asked > 15);
    for noun in ["allocations", "projects", "collections", "assets"] {
        assert_eq!(house.mallory.get(&format!("/api/{noun}/")).await.expect(200).json(), json!([]), "{noun}");
    }
    for noun in ["records", "transfers"] {
        assert_eq!(house.mallory.get(&format!("/api/{noun}/?origin=all")).await.expect(200).json()["count"], 0);
    }
}

async fn a_get_without_its_slash_is_sent_to_the_one_with_it(house: House) {
    for (from, to) in [
        ("/api/allocations", "/api/allocations/"),
        ("/api/records?page=2", "/api/records/?page=2"),
        ("/api/records/x/download", "/api/records/x/download/"),
    ] {
        let answer = house.stranger.get(from).await.expect(301);
        assert_eq!(answer.header("location"), to);
        house.admin.post(from, json!({})).await.expect(404);
    }
}

async fn what_is_no_route_is_not_found(house: House) {
    for path in ["/api", "/api/", "/api/nothing/", "/api/nothing", "/api/allocations/x/y/"] {
        assert_eq!(house.admin.get(path).await.expect(404).json(), json!({ "detail": "Not found." }), "{path}");
    }
    let other = house.admin.get("/api/2.0/drives/").await.expect(404);
    assert_eq!(other.header("content-type"), "application/problem+json");
}
