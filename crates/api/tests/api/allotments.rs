//! Allotments: made, shown, listed, changed, removed.

use serde_json::{Value, json};

use crate::house::{Answer, House};

on_both! {
    an_allotment_is_made_and_shown_by_its_id_and_by_its_path
    a_body_with_faults_names_each_by_its_pointer
    a_patch_merges_inside_the_limits_too
    a_dry_run_says_who_would_be_over_and_changes_nothing
    headroom_is_the_least_room_on_the_whole_path
    a_stale_version_is_not_changed_and_not_removed
    what_has_children_or_claims_stays_and_what_is_removed_is_gone
    a_managed_allotment_keeps_its_name_and_takes_limits
    a_tenant_stays_one
    lists_are_filtered_and_come_in_pages
    a_pool_is_made_without_a_parent_by_an_operator_only
    promises_past_the_overcommit_are_a_conflict
}

async fn an_allotment_is_made_and_shown_by_its_id_and_by_its_path(house: House) {
    let body = json!({
        "parent_id": "path:acme/projects", "name": "climate", "title": "Climate", "kind": "project",
        "limits": { "bytes": 1000, "objects": null }, "overcommit": 1.5,
        "load_lines": [{ "resource": "bytes", "percent": 80 }, { "resource": "objects", "amount": 5 }],
        "expires_at": "2999-12-31T12:00:00+02:00",
    });
    let made = house.admin().post("/allotments", &body).await.expect(201);
    let tag = made.header("etag").unwrap().to_owned();
    let mut json = made.json();
    let id = made.id();
    for name in ["/allotments/path:acme%2Fprojects%2Fclimate".to_owned(), format!("/allotments/{id}")] {
        let shown = house.admin().get(&name).await.expect(200);
        assert_eq!(shown.json(), json, "{name}");
        assert_eq!(shown.header("etag"), Some(tag.as_str()));
    }
    let mut take = |field: &str| json[field].take();
    assert_eq!(take("tenant_id"), json!(house.acme));
    assert!(take("parent_id").is_string() && take("created_at").as_str().unwrap().ends_with('Z'));
    drop((take("id"), take("updated_at")));
    json.as_object_mut().unwrap().retain(|_, value| !value.is_null() || value == &Value::Null);
    assert_eq!(
        json,
        json!({
            "id": null, "path": "acme/projects/climate", "name": "climate", "title": "Climate", "kind": "project",
            "side": "demand", "parent_id": null, "tenant_id": null, "managed_by": null,
            "limits": { "bytes": 1000 }, "used": { "bytes": 0 }, "pending": { "bytes": 0 },
            "promised": { "bytes": 0 }, "headroom": { "bytes": 1000 }, "overcommit": 1.5,
            "load_lines": [{ "resource": "bytes", "percent": 80 }, { "resource": "objects", "amount": 5 }],
            "expires_at": "2999-12-31T10:00:00Z", "children_count": 0, "created_at": null, "updated_at": null,
        })
    );
    house.admin().post("/allotments", &body).await.problem(409, "conflict");
    house.admin().get("/allotments/path:acme%2Fnothing").await.problem(404, "not-found");
    house.admin().get("/allotments/neither").await.problem(404, "not-found");
    house.admin().get("/allotments/path:ac%00me").await.problem(404, "not-found");
}

async fn a_body_with_faults_names_each_by_its_pointer(house: House) {
    let ask = async |change: Value| {
        let mut body = json!({ "parent_id": "path:acme", "name": "x" });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        house.admin().post("/allotments", &body).await.faults()
    };
    assert_eq!(ask(json!({ "nmae": "x" })).await, ["/nmae"]);
    assert_eq!(ask(json!({ "name": "A b" })).await, ["/name"]);
    assert_eq!(ask(json!({ "limits": { "bytes": 1.5 } })).await, ["/limits/bytes"]);
    assert_eq!(ask(json!({ "limits": { "byts": 1, "objetcs": 2 } })).await, ["/limits/byts", "/limits/objetcs"]);
    assert_eq!(ask(json!({ "parent_id": "acme" })).await, ["/parent_id"]);
    assert_eq!(ask(json!({ "title": "a\u{0}" })).await, ["/title"]);
    assert_eq!(ask(json!({ "kind": "tenant" })).await, ["/kind"]);
    assert_eq!(ask(json!({ "overcommit": -1 })).await, ["/overcommit"]);
    assert_eq!(ask(json!({ "expires_at": "tomorrow" })).await, ["/expires_at"]);
    assert_eq!(ask(json!({ "side": "supply" })).await, ["/side"]);
    let line = json!({ "load_lines": [{ "resource": "bytes", "percent": 1, "amount": 2 }, { "resource": "x", "percent": 1 }] });
    assert_eq!(ask(line).await, ["/load_lines/0", "/load_lines/1/resource"]);
    assert_eq!(house.admin().post("/allotments", &json!({ "name": "x" })).await.faults(), ["/parent_id"]);
    assert_eq!(house.admin().post("/allotments", &json!([])).await.faults(), [""]);
    assert_eq!(house.admin().call("POST", "/allotments", "{".into()).await.faults(), [""]);
    house.admin().get("/allotments/path:acme%2Fx").await.expect(404);
}

async fn a_patch_merges_inside_the_limits_too(house: House) {
    let id = house.allotment("path:acme", "x", json!({ "bytes": 10, "objects": 5 })).await;
    let path = format!("/allotments/{id}");
    let patched = house.admin().patch(&path, &json!({ "limits": { "objects": null, "gpus": 2 }, "title": "X" })).await;
    let json = patched.expect(200).json();
    assert_eq!(json["limits"], json!({ "bytes": 10, "gpus": 2 }));
    assert_eq!((&json["title"], &json["over"]), (&json!("X"), &json!([])));
    let again = house.admin().patch(&path, &json!({ "title": null, "expires_at": null, "load_lines": null })).await;
    assert_eq!(again.expect(200).json()["title"], "");
    let renamed = house.admin().patch(&path, &json!({ "name": "y" })).await.expect(200).json();
    assert_eq!(renamed["path"], "acme/y");
    let nothing = house.admin().patch(&path, &json!({})).await.expect(200);
    assert_eq!(nothing.json()["path"], "acme/y");
    assert_eq!(house.admin().patch(&path, &json!({ "name": null })).await.faults(), ["/name"]);
    assert_eq!(house.admin().patch(&path, &json!({ "parent_id": "path:acme" })).await.faults(), ["/parent_id"]);
    assert_eq!(house.admin().patch(&path, &json!({ "limits": null })).await.faults(), ["/limits"]);
}

async fn a_dry_run_says_who_would_be_over_and_changes_nothing(house: House) {
    let top = house.allotment("path:acme", "top", json!({ "bytes": 100 })).await;
    let leaf = house.allotment(&top, "leaf", json!({ "bytes": 50 })).await;
    house.claim(&leaf, 40).await;
    house.admin().patch(&format!("/allotments/{leaf}"), &json!({ "limits": { "bytes": 30 } })).await.expect(200);
    let path = format!("/allotments/{top}");
    let lower = json!({ "limits": { "bytes": 20 } });
    let over = json!([
        { "id": top, "path": "acme/top", "resource": "bytes", "limit": 20, "used": 40, "pending": 0 },
        { "id": leaf, "path": "acme/top/leaf", "resource": "bytes", "limit": 30, "used": 40, "pending": 0 },
    ]);
    let would = house.admin().patch(&format!("{path}?dry_run=true"), &lower).await.expect(200).json();
    assert_eq!((&would["limits"], &would["over"]), (&json!({ "bytes": 20 }), &over));
    assert_eq!(house.admin().get(&path).await.json()["limits"], json!({ "bytes": 100 }), "nothing was changed");
    let is = house.admin().patch(&path, &lower).await.expect(200).json();
    assert_eq!((&is["limits"], &is["over"], &is["headroom"]), (&json!({ "bytes": 20 }), &over, &json!({ "bytes": 0 })));
    assert_eq!(house.admin().patch(&format!("{path}?dry_run=maybe"), &lower).await.faults(), ["/dry_run"]);
}

async fn headroom_is_the_least_room_on_the_whole_path(house: House) {
    let top = house.allotment("path:acme", "top", json!({ "bytes": 100, "objects": 7 })).await;
    let wide = house.allotment(&top, "wide", json!({ "bytes": 1000 })).await;
    let tight = house.allotment(&top, "tight", json!({ "bytes": 5 })).await;
    house.claim(&wide, 60).await;
    let room = async |id: &str| house.admin().get(&format!("/allotments/{id}")).await.json()["headroom"].clone();
    assert_eq!(room(&wide).await, json!({ "bytes": 40, "objects": 7 }));
    assert_eq!(room(&tight).await, json!({ "bytes": 5, "objects": 7 }));
    let listed = house.admin().get("/allotments?path=acme/top").await.expect(200).json();
    let rooms: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|item| &item["headroom"]).collect();
    let [all, least] = [json!({ "bytes": 40, "objects": 7 }), json!({ "bytes": 5, "objects": 7 })];
    assert_eq!(rooms, [&all, &least, &all], "top, tight, wide");
    assert_eq!(house.admin().get(&format!("/allotments/{top}")).await.json()["promised"]["bytes"], 1005);
}

async fn a_stale_version_is_not_changed_and_not_removed(house: House) {
    let id = house.allotment("path:acme", "x", json!({})).await;
    let path = format!("/allotments/{id}");
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let old = tag(&house.admin().get(&path).await);
    let body = json!({ "title": "new" });
    let new = tag(&house.admin().with("if-match", &old).patch(&path, &body).await.expect(200));
    assert_ne!(old, new);
    house.admin().with("if-match", &old).patch(&path, &body).await.problem(412, "precondition-failed");
    house.admin().with("if-match", &old).delete(&path).await.problem(412, "precondition-failed");
    house.admin().with("if-match", "*").patch(&path, &json!({})).await.expect(200);
    house.admin().with("if-match", &format!("\"x\", {new}")).delete(&path).await.expect(204);
}

async fn what_has_children_or_claims_stays_and_what_is_removed_is_gone(house: House) {
    let top = house.allotment("path:acme", "top", json!({})).await;
    let leaf = house.allotment(&top, "leaf", json!({})).await;
    let claim = house.claim(&leaf, 1).await;
    for id in [&top, &leaf] {
        house.admin().delete(&format!("/allotments/{id}")).await.problem(409, "conflict");
    }
    house.admin().delete(&format!("/claims/{claim}")).await.expect(204);
    for id in [&leaf, &top] {
        let answer = house.admin().delete(&format!("/allotments/{id}")).await.expect(204);
        assert!(answer.body.is_empty());
        house.admin().delete(&format!("/allotments/{id}")).await.problem(404, "not-found");
    }
}

async fn a_managed_allotment_keeps_its_name_and_takes_limits(house: House) {
    let id = house.managed_allotment("alloc").await;
    let path = format!("/allotments/{id}");
    let noun = json!({ "face": "allocations", "noun": "allocation", "id": id });
    assert_eq!(house.admin().get(&path).await.json()["managed_by"], noun);
    let changed = house.admin().patch(&path, &json!({ "limits": { "bytes": 5 } })).await.expect(200);
    assert_eq!(changed.json()["limits"], json!({ "bytes": 5 }));
    let problem = house.admin().patch(&path, &json!({ "title": "x" })).await.problem(409, "managed");
    assert_eq!(problem["noun"], noun);
    let problem = house.admin().patch(&path, &json!({ "overcommit": 2 })).await.problem(409, "managed");
    assert_eq!(problem["noun"], noun);
    house.operator().delete(&path).await.problem(409, "managed");
    // What the site itself manages has no face that would set it.
    let own = format!("/allotments/{}", house.ana.allotment.unwrap());
    let changed = house.admin().patch(&own, &json!({ "overcommit": 2 })).await.expect(200);
    assert_eq!(changed.json()["overcommit"], 2.0);
}

async fn a_tenant_stays_one(house: House) {
    let root = format!("/allotments/{}", house.acme);
    assert_eq!(house.operator().patch(&root, &json!({ "kind": "folder" })).await.faults(), ["/kind"]);
    house.admin().patch(&root, &json!({ "kind": "folder" })).await.problem(403, "forbidden");
    house.operator().patch(&root, &json!({ "title": "Acme" })).await.expect(200);
    assert_eq!(house.operator().get("/tenants").await.items("name"), ["acme", "globex"]);
}

async fn lists_are_filtered_and_come_in_pages(house: House) {
    let top = house.allotment("path:acme", "top", json!({})).await;
    for name in ["a", "a-b", "b"] {
        house.allotment(&top, name, json!({})).await;
    }
    house.allotment("path:acme/top/a", "deep", json!({})).await;
    let paths = async |query: &str| house.admin().get(&format!("/allotments?{query}")).await.expect(200).items("path");
    let below = ["acme/top", "acme/top/a", "acme/top/a-b", "acme/top/a/deep", "acme/top/b"];
    assert_eq!(paths("path=acme/top").await, below);
    assert_eq!(paths("path=path:acme/top/b").await, ["acme/top/b"]);
    assert_eq!(paths(&format!("parent={top}")).await, ["acme/top/a", "acme/top/a-b", "acme/top/b"]);
    assert_eq!(paths("kind=tenant").await, ["acme"]);
    assert_eq!(paths("q=DEEP").await, ["acme/top/a/deep"]);
    assert_eq!(paths("side=supply").await, Vec::<String>::new());
    assert_eq!(paths("path=globex").await, Vec::<String>::new(), "another tenant's is not there");
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = house.admin().get(&format!("/allotments?path=acme/top&limit=2{after}")).await.expect(200);
        seen.extend(page.items("path"));
        let json = page.json();
        let Some(next) = json["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, below);
    for wrong in ["limit=0", "limit=1001", "limit=x", "after=zz", "side=left", "parent=x"] {
        let name = wrong.split('=').next().unwrap();
        assert_eq!(house.admin().get(&format!("/allotments?{wrong}")).await.faults(), [format!("/{name}")]);
    }
}

async fn a_pool_is_made_without_a_parent_by_an_operator_only(house: House) {
    let body = json!({ "parent_id": null, "side": "supply", "name": "disk", "limits": { "bytes": 100 } });
    house.admin().post("/allotments", &body).await.problem(403, "forbidden");
    let made = house.operator().post("/allotments", &body).await.expect(201).json();
    assert_eq!((&made["side"], &made["kind"], &made["tenant_id"]), (&json!("supply"), &json!("pool"), &Value::Null));
    house.allotment("supply:disk", "fast", json!({})).await;
    house.operator().get("/allotments/supply:disk%2Ffast").await.expect(200);
    house.admin().get("/allotments/supply:disk").await.problem(404, "not-found");
    let demand = json!({ "parent_id": null, "name": "another" });
    assert_eq!(house.operator().post("/allotments", &demand).await.faults(), ["/side"]);
    let sides = house.operator().get("/allotments?kind=pool").await.items("side");
    assert_eq!(sides, ["supply"]);
}

async fn promises_past_the_overcommit_are_a_conflict(house: House) {
    let body = json!({ "parent_id": "path:acme", "name": "top", "limits": { "bytes": 100 }, "overcommit": 1 });
    let top = house.admin().post("/allotments", &body).await.expect(201).id();
    let child = |bytes: u64| json!({ "parent_id": top, "name": "child", "limits": { "bytes": bytes } });
    house.admin().post("/allotments", &child(101)).await.problem(409, "conflict");
    house.admin().post("/allotments", &child(100)).await.expect(201);
}
