//! What holds for every call: credentials, errors, headers, slashes, bodies (spec, section 1).

use serde_json::{Value, json};

use crate::house::{GIB, House, NOBODY, basic, disk};

on_both! {
    without_credentials_there_is_a_challenge
    a_wrong_password_is_401
    credentials_part_at_the_first_colon_and_are_not_trimmed
    what_is_another_users_is_not_there
    an_unknown_id_is_named
    every_answer_has_a_request_id_and_says_what_it_is
    methods_and_accept_are_refused_in_the_form_of_the_api
    a_path_needs_no_last_slash
    broken_json_is_refused_and_the_pages_own_is_understood
    ids_are_compared_whatever_their_case
    the_schema_is_the_pages_own
    what_is_not_handed_out_is_an_empty_list
    an_operator_owns_nothing
}

/// Checklist 1.
async fn without_credentials_there_is_a_challenge(house: House) {
    for (method, path) in [("GET", "drives/"), ("POST", "drives/"), ("DELETE", "profile/extra/"), ("GET", "nothing/")] {
        let answer = house.stranger.text(method, path, "{}").await.expect(401);
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"users\"");
        assert_eq!(answer.fault().0, "permission");
    }
}

/// Checklist 2.
async fn a_wrong_password_is_401(house: House) {
    let mut wrong = house.stranger.clone();
    wrong.headers = vec![basic("ana@acme.example", "wrong")];
    wrong.get("drives/").await.expect(401);
    wrong.headers = vec![("authorization", "Bearer x".to_owned())];
    wrong.get("drives/").await.expect(401);
}

/// Spec, section 7.11: the seed's own header.
async fn credentials_part_at_the_first_colon_and_are_not_trimmed(house: House) {
    let header = "Basic SWYgeW91IGZvdW5kIHRoaXMsIGhhdmUgYSBjb29raWUsIHlvdSBkZXNlcnZlIGl0IDop";
    let (user, password) = crate::house::SEED_LOGIN;
    assert_eq!(basic(user, password).1, header);
    // Nobody is called so here; what matters is that it is read as credentials, and so is a password with colons.
    house.stranger.with("authorization", header).get("drives/").await.expect(401);
    let new = identity::NewUser {
        id: None,
        tenant: Some(house.acme),
        email: "colon@acme.example".to_owned(),
        name: String::new(),
        password: Some(" a:b:c d ".into()),
        admin: false,
        repository_admin: false,
        limits: ledger::Limits::new(),
    };
    house.identity.create_user(crate::house::by(), new).await.unwrap();
    let (name, value) = basic("colon@acme.example", " a:b:c d ");
    house.stranger.with(name, &value).get("drives/").await.expect(200);
}

/// Checklist 3: for a colleague and for another tenant.
async fn what_is_another_users_is_not_there(house: House) {
    let drive = house.ana.drive("hers").await;
    let snapshot = house.ana.post("snapshots/", json!({ "drive": drive })).await.expect(201).id();
    for other in [&house.ben, &house.mallory] {
        let path = format!("drives/{drive}/");
        other.get(&path).await.expect(404);
        other.put(&path, disk("mine", GIB)).await.expect(404);
        other.delete(&path).await.expect(404);
        other.post(&format!("{path}action/?do=clone"), json!({})).await.expect(404);
        other.post(&format!("{path}action/?do=resize"), disk("mine", 2 * GIB)).await.expect(404);
        other.get(&format!("{path}download/")).await.expect(404);
        other.post("snapshots/", json!({ "drive": drive })).await.expect(404);
        other.get(&format!("snapshots/{snapshot}/")).await.expect(404);
        other.post(&format!("snapshots/{snapshot}/action/?do=clone"), json!({})).await.expect(404);
        other.post("tags/", json!({ "name": "t", "resources": [drive] })).await.expect(404);
        let attach = other.post("servers/", crate::house::server(&[&drive])).await.expect(404);
        assert_eq!(attach.fault().0, "notexist");
        other.get(&format!("drives/availability_groups/{drive}/")).await.expect(404);
        assert_eq!(other.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
        assert_eq!(other.get("snapshots/").await.expect(200).json()["meta"]["total_count"], 0);
    }
    assert_eq!(house.ana.show(&drive).await["name"], "hers");
    house.assert_sound().await;
}

/// Checklist 4.
async fn an_unknown_id_is_named(house: House) {
    for id in [NOBODY, "x", "3d504199-6bac-4612-a19e-691c9c6c6728"] {
        let told = house.ana.get(&format!("drives/{id}/")).await.expect(404).fault();
        assert_eq!(told, ("notexist".to_owned(), Value::Null, format!("Object with uuid {id} does not exist")));
    }
}

/// Checklist 6.
async fn every_answer_has_a_request_id_and_says_what_it_is(house: House) {
    let answer = house.ana.get("drives/").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let answer = house.ana.get("drives/x/").await.expect(404);
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let (a, b) = (house.ana.get("drives/").await, house.ana.get("drives/").await);
    assert_ne!(a.header("x-request-id"), b.header("x-request-id"));
}

/// Checklist 7.
async fn methods_and_accept_are_refused_in_the_form_of_the_api(house: House) {
    let answer = house.ana.delete("profile/").await.expect(405);
    assert!(answer.header("allow").contains("GET") && answer.header("allow").contains("PUT"));
    house.ana.text("PUT", "drives/", "{}").await.expect(405);
    house.ana.with("accept", "text/csv").get("drives/").await.expect(406);
    for fine in ["*/*", "application/json", "text/html, */*;q=0.1"] {
        house.ana.with("accept", fine).get("drives/").await.expect(200);
    }
    let options = house.ana.text("OPTIONS", "drives/", "").await.expect(200);
    assert_eq!(options.body.as_ref(), b"GET,POST,DELETE");
    house.stranger.text("OPTIONS", "drives/", "").await.expect(401);
}

/// Checklist 8.
async fn a_path_needs_no_last_slash(house: House) {
    let drive = house.ana.post("drives", disk("bare", GIB)).await.expect(201).id();
    house.ana.get("drives").await.expect(200);
    house.ana.get("drives/schema").await.expect(200);
    house.ana.get("drives?limit=0").await.expect(200);
    house.ana.put(&format!("drives/{drive}"), disk("still bare", GIB)).await.expect(200);
    house.ana.post(&format!("drives/{drive}/action?do=clone"), json!({})).await.expect(202);
    house.ana.delete(&format!("drives/{drive}")).await.expect(204);
}

/// Checklist 9.
async fn broken_json_is_refused_and_the_pages_own_is_understood(house: House) {
    for broken in ["{", "nope", "[1", "{\"a\"}", "\"text\"", "[1, 2]", "{\"objects\": 5}"] {
        assert_eq!(house.ana.text("POST", "drives/", broken).await.expect(400).fault().0, "validation", "{broken}");
    }
    assert_eq!(house.ana.text("POST", "drives/", "{").await.expect(400).fault().2, "Invalid JSON");
    let body = include_str!("seed/create_nvme.in.txt").replace("nvme\"", "zadara\"");
    house.ana.text("POST", "drives/", &body).await.expect(201);
    // The kind of the body is not looked at.
    house.ana.call("POST", "drives/", &[], disk("untyped", GIB).to_string()).await.expect(201);
}

async fn ids_are_compared_whatever_their_case(house: House) {
    let drive = house.ana.drive("d").await;
    let shown = house.ana.get(&format!("drives/{}/", drive.to_uppercase())).await.expect(200).json();
    assert_eq!(shown["uuid"], drive.as_str());
    let listed = house.ana.get(&format!("drives/?uuid={}", drive.to_uppercase())).await.expect(200);
    assert_eq!(listed.objects().len(), 1);
    house.ana.get(&format!("drives/{}/", drive.replace('-', ""))).await.expect(404);
}

/// Checklist 10.
async fn the_schema_is_the_pages_own(house: House) {
    let schema = house.ana.get("drives/schema/?limit=0").await.expect(200).json();
    assert_eq!(schema["default_limit"], 20);
    let filtering = json!({ "name": "exact", "name__contains": "exact", "tag": "exact", "uuid": "exact" });
    assert_eq!(schema["filtering"], filtering);
    assert_eq!(schema["fields"].as_object().unwrap().len(), 19);
    assert_eq!(schema["fields"]["storage_type"]["choices"].as_array().unwrap().len(), 5);
    for kind in ["snapshots", "servers", "tags", "jobs", "libdrives"] {
        house.ana.get(&format!("{kind}/schema/")).await.expect(200);
    }
}

/// Spec, sections 5.3, 6.5, 6.8 and 6.9.
async fn what_is_not_handed_out_is_an_empty_list(house: House) {
    for kind in
        ["remotesnapshots", "acls", "keypairs", "ips", "vlans", "fwpolicies", "logs", "locations", "ledger", "discount"]
    {
        let listed = house.ana.get(&format!("{kind}/?limit=0")).await.expect(200).json();
        assert_eq!(listed, json!({ "meta": { "limit": 0, "offset": 0, "total_count": 0 }, "objects": [] }), "{kind}");
        assert_eq!(house.ana.post(&format!("{kind}/"), json!({})).await.expect(403).fault().0, "permission");
    }
    let balance = json!({ "balance": "0.00", "credit_limit": null, "currency": "USD" });
    assert_eq!(house.ana.get("balance/").await.expect(200).json(), balance);
    assert!(house.ana.get("pricing/").await.expect(200).json()["current"].is_object());
    house.ana.post("accounts/action/?do=authenticate_asynchronous", json!({})).await.expect(404);
    house.ana.post("subscriptions/", json!({})).await.expect(403);
}

async fn an_operator_owns_nothing(house: House) {
    assert_eq!(house.operator.get("drives/").await.expect(200).json()["meta"]["total_count"], 0);
    assert_eq!(house.operator.post("drives/", disk("d", GIB)).await.expect(403).fault().0, "permission");
}
