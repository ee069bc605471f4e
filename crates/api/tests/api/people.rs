//! Users, tokens, tenants.

use serde_json::{Value, json};

use crate::house::House;

on_both! {
    everybody_is_told_who_they_are
    an_admin_runs_the_people_of_their_tenant_and_no_others
    a_member_reads_and_changes_themselves_only
    a_token_can_do_what_its_user_can_until_it_is_revoked
    tenants_are_made_and_limited_by_operators
    the_local_operator_needs_no_token
    a_session_of_the_console_is_used_from_its_own_pages
}

async fn everybody_is_told_who_they_are(house: House) {
    let role = async |who: crate::house::Who| who.get("/whoami").await.expect(200).json()["role"].clone();
    assert_eq!(role(house.operator()).await, "operator");
    assert_eq!(role(house.admin()).await, "admin");
    assert_eq!(role(house.local()).await, "operator");
    let ana = house.ana().get("/whoami").await.json();
    assert_eq!((&ana["role"], &ana["email"]), (&json!("member"), &json!("ana@acme.example")));
    assert_eq!((&ana["user_id"], &ana["tenant_id"]), (&json!(house.ana.id), &json!(house.acme)));
    let answer = house.bearer("nonsense").get("/whoami").await;
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    answer.problem(401, "unauthorized");
}

async fn an_admin_runs_the_people_of_their_tenant_and_no_others(house: House) {
    let body = json!({ "email": "eve@acme.example", "name": "Eve", "password": "secret", "limits": { "bytes": 5 } });
    let eve = house.admin().post("/users", &body).await.expect(201).json();
    assert_eq!(
        (&eve["tenant_id"], &eve["operator"], &eve["admin"]),
        (&json!(house.acme), &json!(false), &json!(false))
    );
    let node = house.admin().get(&format!("/allotments/{}", eve["allotment_id"].as_str().unwrap())).await;
    assert_eq!(node.expect(200).json()["limits"], json!({ "bytes": 5 }));
    let path = format!("/users/{}", eve["id"].as_str().unwrap());
    let changed = house.admin().patch(&path, &json!({ "admin": true, "name": "E" })).await.expect(200).json();
    assert_eq!((&changed["admin"], &changed["name"]), (&json!(true), &json!("E")));
    house.mallory().get(&path).await.problem(404, "not-found");
    house.mallory().patch(&path, &json!({ "name": "M" })).await.problem(404, "not-found");
    house.mallory().delete(&path).await.problem(404, "not-found");
    let other = json!({ "tenant_id": "globex", "email": "spy@globex.example" });
    house.admin().post("/users", &other).await.problem(404, "not-found");
    let operator = json!({ "tenant_id": null, "email": "boss@site.example" });
    house.admin().post("/users", &operator).await.problem(403, "forbidden");
    assert_eq!(house.operator().post("/users", &json!({ "email": "a@b" })).await.faults(), ["/tenant_id"]);
    let made = house.operator().post("/users", &operator).await.expect(201).json();
    assert_eq!(made["operator"], true);
    house.admin().get(&format!("/users/{}", made["id"].as_str().unwrap())).await.problem(404, "not-found");
    assert_eq!(house.admin().get("/users").await.items("email").len(), 4, "acme's, and nobody else");
    house.admin().get("/users?tenant=globex").await.problem(404, "not-found");
    assert_eq!(house.operator().get("/users?tenant=globex").await.items("email"), ["mallory@globex.example"]);
    house.admin().post("/users", &body).await.problem(409, "conflict");
    assert_eq!(house.admin().post("/users", &json!({ "email": "a@b", "name": "\u{0}" })).await.faults(), ["/name"]);
    house.admin().post("/users", &json!({ "email": "nobody" })).await.problem(422, "invalid");
    house.admin().delete(&path).await.expect(204);
    house.admin().delete(&path).await.problem(404, "not-found");
    let page = house.operator().get("/users?limit=2").await.expect(200).json();
    assert!(page["next"].is_string() && page["items"].as_array().unwrap().len() == 2);
}

async fn a_member_reads_and_changes_themselves_only(house: House) {
    let (ana, bob) = (format!("/users/{}", house.ana.id), format!("/users/{}", house.bob.id));
    assert_eq!(house.ana().get("/users").await.items("email"), ["ana@acme.example"]);
    house.ana().get(&bob).await.problem(404, "not-found");
    house.ana().patch(&ana, &json!({ "name": "Ana", "password": "new" })).await.expect(200);
    house.ana().patch(&ana, &json!({ "admin": true })).await.problem(403, "forbidden");
    house.ana().delete(&ana).await.problem(403, "forbidden");
    house.ana().post("/users", &json!({ "email": "a@b" })).await.problem(403, "forbidden");
    let token = json!({ "user_id": house.bob.id });
    house.ana().post("/tokens", &token).await.problem(404, "not-found");
    assert_eq!(house.ana().get("/tokens").await.items("user_id"), [house.ana.id.to_string()]);
    house.ana().get(&format!("/tokens?user={}", house.bob.id)).await.problem(404, "not-found");
}

async fn a_token_can_do_what_its_user_can_until_it_is_revoked(house: House) {
    let made =
        house.admin().post("/tokens", &json!({ "user_id": house.ana.id, "name": "backup", "expires_in": 60 })).await;
    let made = made.expect(201).json();
    let secret = made["token"].as_str().unwrap();
    assert!(secret.starts_with("plimsoll_") && made["expires_at"].is_string());
    assert_eq!(house.bearer(secret).get("/whoami").await.json()["user_id"], json!(house.ana.id));
    let path = format!("/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(house.ana().get(&path).await.expect(200).json()["token"], Value::Null);
    house.bob().delete(&path).await.problem(404, "not-found");
    house.mallory().delete(&path).await.problem(404, "not-found");
    house.ana().delete(&path).await.expect(204);
    house.ana().delete(&path).await.problem(404, "not-found");
    house.bearer(secret).get("/whoami").await.problem(401, "unauthorized");
    let own = house.bob().post("/tokens", &json!({})).await.expect(201).json();
    assert_eq!(own["user_id"], json!(house.bob.id));
    assert_eq!(house.bob().post("/tokens", &json!({ "expires_in": 0 })).await.faults(), ["/expires_in"]);
    assert_eq!(
        house.bob().post("/tokens", &json!({ "expires_at": "2001-01-01T00:00:00Z" })).await.faults(),
        ["/expires_at"]
    );
    assert_eq!(house.admin().get("/tokens").await.items("id").len(), 4, "acme's, and nobody else's");
}

async fn tenants_are_made_and_limited_by_operators(house: House) {
    let body = json!({ "name": "initech", "title": "Initech", "limits": { "bytes": 10 } });
    house.admin().post("/tenants", &body).await.problem(403, "forbidden");
    let made = house.operator().post("/tenants", &body).await.expect(201).json();
    assert_eq!((&made["name"], &made["limits"]), (&json!("initech"), &json!({ "bytes": 10 })));
    house.operator().post("/tenants", &body).await.problem(409, "conflict");
    assert_eq!(house.operator().get("/tenants").await.items("name"), ["acme", "globex", "initech"]);
    let page = house.operator().get("/tenants?limit=2").await.json();
    assert_eq!(page["next"], "globex");
    assert_eq!(house.operator().get("/tenants?limit=2&after=globex").await.items("name"), ["initech"]);
    assert_eq!(house.admin().get("/tenants").await.items("name"), ["acme"]);
    assert_eq!(house.ana().get("/tenants").await.items("name"), Vec::<String>::new());
    house.admin().get("/tenants/acme").await.expect(200);
    house.admin().patch("/tenants/acme", &json!({ "limits": { "bytes": 1 } })).await.problem(403, "forbidden");
    house.admin().get("/tenants/initech").await.problem(404, "not-found");
    house.ana().get("/tenants/acme").await.problem(404, "not-found");
    let path = format!("/tenants/{}", made["id"].as_str().unwrap());
    let changed =
        house.operator().patch(&path, &json!({ "limits": { "bytes": null }, "title": "I" })).await.expect(200).json();
    assert_eq!((&changed["limits"], &changed["title"]), (&json!({}), &json!("I")));
    house.operator().delete(&path).await.expect(204);
    house.operator().delete(&path).await.problem(404, "not-found");
    house.operator().delete("/tenants/acme").await.problem(409, "conflict");
    assert_eq!(house.operator().post("/tenants", &json!({ "name": "A B" })).await.faults(), ["/name"]);
}

async fn the_local_operator_needs_no_token(house: House) {
    let made = house.local().post("/tokens", &json!({ "user_id": house.ana.id, "name": "first" })).await.expect(201);
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    house.bearer(&secret).get("/whoami").await.expect(200);
    assert_eq!(house.local().post("/tokens", &json!({})).await.faults(), ["/user_id"]);
    let claim = house.local().post("/claims", &json!({ "allotment_id": "path:acme", "amounts": { "bytes": 1 } })).await;
    assert_eq!(claim.expect(201).json()["created_by"], "system:local");
    assert_eq!(
        house.local().get_all("/events?kind=token.created", 6).await.items("actor").pop().unwrap(),
        "system:local"
    );
    house.local().with("authorization", "Bearer nonsense").get("/whoami").await.problem(401, "unauthorized");
}

async fn a_session_of_the_console_is_used_from_its_own_pages(house: House) {
    let who = crate::house::principal(&house.ana);
    let open = async |face| house.identity.open_session(&who, face, 60).await.unwrap().cookie;
    let with = |cookie: &str| house.stranger().with("cookie", &format!("{}={cookie}", api::SESSION_COOKIES[1]));
    let console = with(&open(identity::Face::Console).await);
    let body = json!({ "name": "x" });
    let path = format!("/users/{}", house.ana.id);
    console.get(&path).await.expect(200);
    console.patch(&path, &body).await.problem(403, "forbidden");
    console.clone().with("origin", "https://evil.example").patch(&path, &body).await.problem(403, "forbidden");
    console.clone().with("origin", "null").get(&path).await.problem(403, "forbidden");
    console.with("origin", "https://plimsoll.example").patch(&path, &body).await.expect(200);
    with(&open(identity::Face::Allocations).await).get(&path).await.problem(401, "unauthorized");
}
