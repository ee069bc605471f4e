//! Every route, asked by a stranger, by a colleague and by another tenant; and what is no route.

use serde_json::json;

use crate::house::{House, NOBODY};

on_both! {
    a_stranger_gets_401_on_every_route
    others_get_404_on_every_route_that_names_something
    what_is_no_route_is_not_there
}

/// Routes that need no credentials: the link itself is one.
const OPEN: &[&str] = &["/api/2.0/upload/{token}/"];

fn filled(path: &str, id: &str) -> String {
    path.replace("{id}", id).replace("{name}", "x").replace("{token}", "x")
}

async fn a_stranger_gets_401_on_every_route(house: House) {
    for (method, path) in cloudsigma::routes::ROUTES.iter().filter(|(_, path)| !OPEN.contains(path)) {
        for path in [filled(path, NOBODY), filled(path, NOBODY).trim_end_matches('/').to_owned()] {
            let answer = house.stranger.text(&method.to_uppercase(), &path, "{}").await.expect(401);
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"users\"", "{method} {path}");
        }
    }
    house.stranger.text("POST", "upload/x/", "").await.expect(404);
}

async fn others_get_404_on_every_route_that_names_something(house: House) {
    let drive = house.ana.drive("d").await;
    house.ana.post("driveusers/", json!({ "drive": drive, "amount": 1 })).await.expect(201);
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    let server = house.ana.server(&[&drive]).await;
    let tag = house.ana.post("tags/", json!({ "name": "t" })).await.expect(201).id();
    let clone = house.ana.post(&format!("drives/{drive}/action/?do=clone"), json!({})).await.expect(202).objects();
    let job = clone[0]["jobs"][0]["uuid"].as_str().unwrap().to_owned();
    let things = [
        ("drives", &drive),
        ("libdrives", &drive),
        ("driveusers", &drive),
        ("snapshots", &snapshot),
        ("servers", &server),
        ("tags", &tag),
        ("jobs", &job),
    ];
    let body = json!({ "name": "x", "media": "disk", "size": 1 << 30, "amount": 1, "cpu": 1, "mem": 1,
        "vnc_password": "x" });
    let mut asked = 0;
    for (method, path) in cloudsigma::routes::ROUTES.iter().filter(|(_, path)| path.contains("{id}")) {
        let noun = path.split('/').nth(3).unwrap();
        let (_, id) = things.iter().find(|(known, _)| *known == noun).expect("every noun is asked for");
        let action = match (path.contains("/action/"), noun) {
            (false, _) => "",
            (true, "servers") => "?do=start",
            (true, _) => "?do=clone",
        };
        let path = format!("{}{action}", filled(path, id));
        for other in [&house.ben, &house.mallory, &house.operator] {
            let is_operators_clone = other.id == house.operator.id && action == "?do=clone";
            let status = if is_operators_clone { 403 } else { 404 };
            let answer = other.text(&method.to_uppercase(), &path, &body.to_string()).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path}: {:?}", answer.body);
        }
        asked += 1;
    }
    assert!(asked > 25, "{asked}");
    house.ana.show(&drive).await;
    house.assert_sound().await;
}

async fn what_is_no_route_is_not_there(house: House) {
    for path in ["/api/2.0", "/api/2.0/", "/api/2.0/nothing/", "/api/2.0/drives/x/y/z/", "/api/2.0/websocket"] {
        assert_eq!(house.ana.get(path).await.expect(404).fault().0, "notexist", "{path}");
        house.stranger.get(path).await.expect(401);
    }
}
