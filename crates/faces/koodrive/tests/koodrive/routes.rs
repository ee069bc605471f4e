//! Every route, asked by a stranger, by a member and by another tenant.

use serde_json::{Value, json};

use crate::house::{GB, GET, House, MEMBER, STRANGER, V1, send};
use crate::signer::Signer;

on_both! {
    a_stranger_is_not_let_in_on_any_route
    another_tenant_finds_nothing_on_any_route_that_names_something
    who_is_no_admin_changes_nothing_and_sees_their_own
    the_figures_of_tenants_are_separate
}

/// Routes that need nobody to be logged in.
const OPEN: &[(&str, &str)] = &[("post", "/koodrive/ose/v1/session/login")];

fn globex(house: &House) -> Signer {
    Signer { app: "globex".into(), secret: "globex secret".into(), user: STRANGER.into(), ..house.signer() }
}

async fn a_stranger_is_not_let_in_on_any_route(house: House) {
    for (method, path) in koodrive::routes::ROUTES.iter().filter(|route| !OPEN.contains(route)) {
        let path = path.replace("{owner}", "600");
        send(&house.door, &method.to_uppercase(), &path, &[], b"{}").await.expect(13_000_201);
    }
}

async fn another_tenant_finds_nothing_on_any_route_that_names_something(house: House) {
    house.make("600", 0, 5).await.expect(0);
    let before = house.space("600", "0").await;
    let mut asked = 0;
    for (method, path) in koodrive::routes::ROUTES.iter().filter(|(_, path)| path.contains("{owner}")) {
        let (method, path) = (method.to_uppercase(), path.replace("{owner}", "600"));
        let (query, body): (&[(&str, &str)], Option<Value>) = match method.as_str() {
            "GET" | "DELETE" => (&[("type", "0")], None),
            "PUT" => (&[], Some(json!({ "type": 0, "capacity": 6 }))),
            // One of the same owner is theirs, and not the other's.
            _ => continue,
        };
        house.call_as(&globex(&house), &method, &path, query, body).await.expect(13_000_301);
        asked += 1;
    }
    assert_eq!(asked, 4);
    assert_eq!(house.space("600", "0").await, before);
}

async fn who_is_no_admin_changes_nothing_and_sees_their_own(house: House) {
    house.make("600", 0, 5).await.expect(0);
    house.make(MEMBER, 1, 5).await.expect(0);
    let member = Signer { user: MEMBER.into(), ..house.signer() };
    let path = format!("{V1}/600");
    for (method, path, body) in [
        ("POST", &path, Some(json!({ "type": 0, "capacity": 1 }))),
        ("PUT", &path, Some(json!({ "type": 0, "capacity": 1 }))),
        ("DELETE", &path, None),
        (
            "POST",
            &format!("{V1}/allocation/transfer"),
            Some(json!({ "originType": 0, "target": [{ "type": 1, "expandCapacity": 1 }] })),
        ),
    ] {
        house.call_as(&member, method, path, &[], body).await.expect(13_000_410);
    }
    house.call_as(&member, "GET", &path, &[("type", "0")], None).await.expect(13_000_410);
    house.call_as(&member, "GET", &format!("{V1}/nobody"), &[("type", "0")], None).await.expect(13_000_410);
    house.call_as(&member, "GET", &format!("{V1}/{MEMBER}"), &[("type", "1")], None).await.expect(0);
    house.call_as(&member, "GET", &format!("{V1}/usage/overview"), &[], None).await.expect(0);
    let told = house.call_as(&member, "GET", GET, &[], None).await.expect(0).json();
    assert_eq!(told["data"][0]["allocateCapacity"], 5);
    // An admin of the tenant is one here, whatever the site file says of this API.
    let ana = house.identity.user_by_email("ana@acme.example").await.unwrap().unwrap();
    let patch = identity::UserPatch { admin: Some(true), ..identity::UserPatch::default() };
    house.identity.change_user(crate::house::by(), ana.id, patch).await.unwrap();
    house.call_as(&member, "GET", &path, &[("type", "0")], None).await.expect(0);
}

/// Checklist 26.
async fn the_figures_of_tenants_are_separate(house: House) {
    house.make("600", 0, 5).await.expect(0);
    house
        .call_as(&globex(&house), "POST", &format!("{V1}/600"), &[], Some(json!({ "type": 0, "capacity": 7 })))
        .await
        .expect(0);
    let space = house.space("600", "0").await;
    assert_eq!(space["capacity"], (5 * GB / 1024).to_string());
    assert_eq!(space["tenantId"], house.acme.to_string());
    let told = house.call_as(&globex(&house), "GET", GET, &[], None).await.expect(0).json();
    let wanted = json!([
        { "type": 0, "allocateCapacity": 7, "totalCapacity": 100 },
        { "type": 1, "allocateCapacity": 0, "totalCapacity": 100 },
        { "type": 2, "allocateCapacity": 0, "totalCapacity": 0 },
    ]);
    assert_eq!(told["data"], wanted);
    assert_eq!(house.figures().await[0], (5, 2000));
}
