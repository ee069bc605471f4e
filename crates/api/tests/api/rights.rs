//! Who may do what: every route asked by a stranger and by another tenant, and the table of rights.

use identity::{Grant, Role};
use serde_json::{Value, json};

use crate::house::House;

on_both! {
    a_stranger_is_turned_away_on_every_route
    another_tenant_finds_nothing_on_every_route
    a_member_works_at_and_below_what_they_own
    a_member_who_was_given_an_allotment_reads_and_claims_there
    a_member_who_holds_more_than_a_page_sees_the_last_as_well
    an_admin_has_all_but_the_tenants_own_limits
}

/// A body that each route would take.
fn body(path: &str, house: &House) -> Value {
    let claim = json!({ "allotment_id": "path:acme", "amounts": { "bytes": 1 } });
    match path {
        "/allotments" => json!({ "parent_id": "path:acme", "name": "x" }),
        "/claims" | "/claims/check" => claim,
        "/claims/batch" => json!({ "claims": [claim], "atomic": true }),
        "/tenants" => json!({ "name": "initech" }),
        "/users" => json!({ "tenant_id": "acme", "email": "eve@acme.example" }),
        "/tokens" => json!({ "user_id": house.ana.id }),
        "/claims/{id}" => json!({ "amounts": { "bytes": 2 } }),
        _ => json!({}),
    }
}

/// The id of something of acme's on a route.
async fn id(path: &str, house: &House) -> String {
    match path.split('/').nth(1).unwrap() {
        "allotments" => house.ana.allotment.unwrap().to_string(),
        "claims" => house.claim("path:acme", 1).await,
        "tenants" => house.acme.to_string(),
        "users" => house.ana.id.to_string(),
        "tokens" => house.operator().get(&format!("/tokens?user={}", house.ana.id)).await.items("id").remove(0),
        "jobs" => job(house).await,
        other => panic!("nothing of {other} is at hand"),
    }
}

async fn job(house: &House) -> String {
    let unit = store::Unit::by(store::Actor::system("test")).within(house.acme).job("test.nothing", json!({}));
    house.store.write(unit).await.unwrap();
    let read = house.store.read(|tx| tx.query_opt("SELECT id FROM jobs LIMIT 1", &[])?.unwrap().get::<String>(0));
    read.await.unwrap()
}

async fn a_stranger_is_turned_away_on_every_route(house: House) {
    for route in api::routes() {
        let method = route.method.to_uppercase();
        let path = route.whole_path().replace("{id}", &house.acme.to_string());
        let answer = house.stranger().call(&method, &format!("/{path}"), "{}".into()).await;
        let expected = if route.is_open { 200 } else { 401 };
        assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {}", answer.text());
    }
}

/// What another tenant's admin is told where no single thing is named: their own, or that it is not theirs to do.
const NAMELESS: [(&str, &str, u16); 8] = [
    ("get", "/whoami", 200),
    ("get", "/allotments", 200),
    ("get", "/claims", 200),
    ("get", "/events", 200),
    ("get", "/doctor", 200),
    ("get", "/users", 200),
    ("get", "/tokens", 200),
    ("post", "/tenants", 403),
];

async fn another_tenant_finds_nothing_on_every_route(house: House) {
    for route in api::routes().into_iter().filter(|route| !route.is_open) {
        let id = if route.path.contains("{id}") { id(route.path, &house).await } else { String::new() };
        let path = route.path.replace("{id}", &id);
        let answer = house
            .mallory()
            .call(&route.method.to_uppercase(), &path, body(route.path, &house).to_string().into())
            .await;
        let nameless = NAMELESS.iter().find(|(method, path, _)| (*method, *path) == (route.method, route.path));
        let expected = match nameless {
            Some((.., status)) => *status,
            None if (route.method, route.path) == ("get", "/tenants") => 200,
            None => 404,
        };
        assert_eq!(answer.status.as_u16(), expected, "{} {path}: {}", route.method, answer.text());
        assert!(!answer.text().contains("acme"), "{} {path} tells of another tenant: {}", route.method, answer.text());
    }
}

async fn a_member_works_at_and_below_what_they_own(house: House) {
    let node = house.ana.allotment.unwrap().to_string();
    let ana = house.ana();
    let child = ana.post("/allotments", &json!({ "parent_id": node, "name": "child", "limits": { "bytes": 9 } })).await;
    let child = child.expect(201).id();
    ana.patch(&format!("/allotments/{child}"), &json!({ "limits": { "bytes": 10 }, "title": "T" })).await.expect(200);
    ana.patch(&format!("/allotments/{node}"), &json!({ "limits": { "bytes": 10 } })).await.problem(403, "forbidden");
    let claim =
        ana.post("/claims", &json!({ "allotment_id": child, "amounts": { "bytes": 5 } })).await.expect(201).id();
    let batch = json!({ "claims": [{ "allotment_id": child, "amounts": { "bytes": 1 } },
        { "allotment_id": "path:acme", "amounts": { "bytes": 1 } }] });
    let results = ana.post("/claims/batch", &batch).await.expect(200).json();
    assert_eq!((&results["results"][0]["state"], &results["results"][1]["status"]), (&json!("held"), &json!(404)));
    ana.post("/claims", &json!({ "allotment_id": "path:acme", "amounts": { "bytes": 5 } }))
        .await
        .problem(404, "not-found");
    ana.get("/allotments/path:acme").await.problem(404, "not-found");
    let own = format!("acme/users/{}", house.ana.id);
    assert_eq!(ana.get("/allotments").await.items("path"), [own.clone(), format!("{own}/child")]);
    assert_eq!(ana.get("/allotments?path=acme&limit=1").await.items("path"), [own.as_str()]);
    assert_eq!(ana.get(&format!("/allotments?path={own}/child")).await.items("path"), [format!("{own}/child")]);
    assert_eq!(ana.get("/allotments?path=globex").await.items("path"), Vec::<String>::new());
    assert_eq!(ana.get("/claims").await.items("id").len(), 2);
    let path = format!("/claims/{claim}");
    for who in [house.bob(), house.mallory()] {
        who.get(&path).await.problem(404, "not-found");
        who.patch(&path, &json!({ "amounts": { "bytes": 1 } })).await.problem(404, "not-found");
        who.delete(&path).await.problem(404, "not-found");
        assert_eq!(who.get("/claims").await.items("id"), Vec::<String>::new());
    }
    ana.patch(&path, &json!({ "amounts": { "bytes": 1 } })).await.expect(200);
    ana.delete(&path).await.expect(204);
}

async fn a_member_who_was_given_an_allotment_reads_and_claims_there(house: House) {
    let top = house.allotment("path:acme", "top", json!({})).await;
    house.allotment(&top, "below", json!({})).await;
    let grant = Grant { user: house.bob.id, allotment: top.parse().unwrap(), role: Role::Member };
    house.identity.grant(store::Actor::system("test"), grant).await.unwrap();
    let bob = house.bob();
    let claim = json!({ "allotment_id": "path:acme/top/below", "amounts": { "bytes": 1 } });
    let claim = bob.post("/claims", &claim).await.expect(201).id();
    assert_eq!(bob.get("/claims").await.items("id"), [claim]);
    let own = format!("acme/users/{}", house.bob.id);
    assert_eq!(bob.get("/allotments").await.items("path"), ["acme/top", "acme/top/below", own.as_str()]);
    bob.post("/allotments", &json!({ "parent_id": top, "name": "x" })).await.problem(403, "forbidden");
    bob.patch(&format!("/allotments/{top}"), &json!({ "title": "x" })).await.problem(403, "forbidden");
    bob.delete(&format!("/allotments/{top}")).await.problem(403, "forbidden");
    bob.delete("/allotments/path:acme%2Ftop%2Fbelow").await.problem(403, "forbidden");
    house.ana().delete("/allotments/path:acme%2Ftop%2Fbelow").await.problem(404, "not-found");
}

async fn a_member_who_holds_more_than_a_page_sees_the_last_as_well(house: House) {
    let root = ledger::AllotmentId(house.acme.0);
    let ids = house.allotments_below(root, 0..identity::PAGE_MAX + 5).await;
    let grant = |id: &ledger::AllotmentId| Grant { user: house.bob.id, allotment: *id, role: Role::Member };
    let unit = ids.iter().map(grant).fold(store::Unit::by(store::Actor::system("test")), identity::insert_grant);
    house.store.write(unit).await.unwrap();
    let last = ids.iter().max().unwrap();
    let path = house.operator().get(&format!("/allotments/{last}")).await.json()["path"].clone();
    let listed = house.bob().get(&format!("/allotments?path={}", path.as_str().unwrap())).await.expect(200);
    assert_eq!(listed.items("id"), [last.to_string()]);
}

async fn an_admin_has_all_but_the_tenants_own_limits(house: House) {
    let admin = house.admin();
    let root = format!("/allotments/{}", house.acme);
    admin.get(&root).await.expect(200);
    admin.patch(&root, &json!({ "limits": { "bytes": 1 } })).await.problem(403, "forbidden");
    admin.patch(&root, &json!({ "title": "x" })).await.problem(403, "forbidden");
    admin.delete(&root).await.problem(403, "forbidden");
    let node = house.ana.allotment.unwrap();
    admin.patch(&format!("/allotments/{node}"), &json!({ "limits": { "bytes": 1 } })).await.expect(200);
    house.operator().patch(&root, &json!({ "limits": { "bytes": 1 } })).await.expect(200);
    let tops = admin.get("/allotments?kind=tenant").await.items("path");
    assert_eq!(tops, ["acme"]);
    assert_eq!(house.operator().get("/allotments?kind=tenant").await.items("path"), ["acme", "globex"]);
}
