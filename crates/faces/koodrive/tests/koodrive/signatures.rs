//! Signed calls: what verifies, and what does not.

use serde_json::json;

use crate::house::{ADMIN, GET, HOST, House, STRANGER, V1};
use crate::signer::Signer;

on_both! {
    a_signed_call_is_answered
    a_path_signed_without_its_slash_is_not_let_in
    a_wrong_secret_and_an_unknown_app_look_the_same
    a_signature_lives_for_fifteen_minutes
    a_signature_covers_who_asks_and_what
    a_signature_must_cover_date_and_user
    further_headers_and_spaces_do_no_harm
    a_query_verifies_in_any_order_and_spelling
    a_user_is_one_of_the_apps_tenant
}

const UNKNOWN: u32 = 13_000_201;

/// Checklist 1 and 2.
async fn a_signed_call_is_answered(house: House) {
    let told = house.get(GET, &[]).await.expect(0);
    let wanted = json!({
        "data": [
            { "type": 0, "allocateCapacity": 0, "totalCapacity": 2000 },
            { "type": 1, "allocateCapacity": 0, "totalCapacity": 1000 },
            { "type": 2, "allocateCapacity": 0, "totalCapacity": 500 },
        ],
        "code": 0,
        "msg": "Operation successful.",
    });
    // As text, so that the keys come in their order, and the code as a number.
    assert_eq!(String::from_utf8(told.body.to_vec()).unwrap(), wanted.to_string());
    assert_eq!(told.header("content-type"), "application/json");
}

/// Checklist 4.
async fn a_path_signed_without_its_slash_is_not_let_in(house: House) {
    let signer = Signer { slash: false, ..house.signer() };
    house.call_as(&signer, "GET", GET, &[], None).await.expect(UNKNOWN);
}

/// Checklist 5.
async fn a_wrong_secret_and_an_unknown_app_look_the_same(house: House) {
    let wrong = Signer { secret: "secres".into(), ..house.signer() };
    let unknown = Signer { app: "nobody".into(), ..house.signer() };
    let wrong = house.call_as(&wrong, "GET", GET, &[], None).await.expect(UNKNOWN);
    let unknown = house.call_as(&unknown, "GET", GET, &[], None).await.expect(UNKNOWN);
    assert_eq!((wrong.body, wrong.headers), (unknown.body, unknown.headers));
    for odd in [
        "HMAC-SHA256",
        "HMAC-SHA256 ",
        "HMAC-SHA256 AppId=app",
        "Basic YTpi",
        "HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=zz",
    ] {
        house.send("GET", GET, &[("authorization", odd.to_owned())], b"").await.expect(UNKNOWN);
    }
}

/// Checklist 6 and 7.
async fn a_signature_lives_for_fifteen_minutes(house: House) {
    for (minutes, code) in [(-16, UNKNOWN), (-15, 0), (-14, 0), (0, 0), (1, 0), (2, UNKNOWN), (10, UNKNOWN)] {
        let signer = Signer { date: house.date(minutes), ..house.signer() };
        house.call_as(&signer, "GET", GET, &[], None).await.expect(code);
    }
    for date in ["", "2026-01-01T00:00:00Z", "20260101T000000", "20260101"] {
        let signer = Signer { date: date.to_owned(), ..house.signer() };
        house.call_as(&signer, "GET", GET, &[], None).await.expect(UNKNOWN);
    }
    let signer = house.signer();
    house.call_as(&signer, "GET", GET, &[], None).await.expect(0);
    house.call_as(&signer, "GET", GET, &[], None).await.expect(0);
}

/// Checklist 8 and 24.
async fn a_signature_covers_who_asks_and_what(house: House) {
    let headers = house.signer().headers("GET", GET, &[], b"");
    house.send("GET", GET, &headers, b"").await.expect(0);
    let altered = |name: &str, value: &str| {
        let mut headers = headers.clone();
        headers.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, sent)| *sent = value.to_owned());
        headers
    };
    house.send("GET", GET, &altered("x-user-id", STRANGER), b"").await.expect(UNKNOWN);
    house.send("GET", GET, &altered("x-date", &house.date(-1)), b"").await.expect(UNKNOWN);
    house.send("GET", GET, &altered("host", "other.example"), b"").await.expect(UNKNOWN);
    house.send("GET", &format!("{GET}?a=1"), &headers, b"").await.expect(UNKNOWN);
    house.send("GET", &format!("{V1}/usage/overview"), &headers, b"").await.expect(UNKNOWN);
    let twice: Vec<_> = headers.iter().cloned().chain([("x-user-id", STRANGER.to_owned())]).collect();
    house.send("GET", GET, &twice, b"").await.expect(UNKNOWN);
    let (path, body) = (format!("{V1}/1"), json!({ "type": 0, "capacity": 1 }).to_string());
    let headers = house.signer().headers("POST", &path, &[], body.as_bytes());
    house.send("POST", &path, &headers, body.replace(":1", ":9").as_bytes()).await.expect(UNKNOWN);
    house.send("PUT", &path, &headers, body.as_bytes()).await.expect(UNKNOWN);
    assert_eq!(house.figures().await[0], (0, 2000));
    house.send("POST", &path, &headers, body.as_bytes()).await.expect(0);
}

/// Checklist 9.
async fn a_signature_must_cover_date_and_user(house: House) {
    house.send("GET", GET, &[("host", HOST.into()), ("x-user-id", ADMIN.into())], b"").await.expect(UNKNOWN);
    let (host, date, user) = (("host", HOST.to_owned()), ("x-date", house.date(0)), ("x-user-id", ADMIN.to_owned()));
    for (signed, beside, code) in [
        (vec![host.clone(), date.clone()], Some(user.clone()), UNKNOWN),
        (vec![host.clone(), user.clone()], Some(date.clone()), UNKNOWN),
        (vec![date.clone(), user.clone()], Some(host), 0),
        (vec![date, user], None, 0),
    ] {
        let mut headers = house.signer().sign(&signed, "GET", GET, &[], b"");
        headers.extend(beside);
        house.send("GET", GET, &headers, b"").await.expect(code);
    }
    let absent = [("x-date", house.date(0)), ("x-user-id", ADMIN.to_owned()), ("x-none", String::new())];
    let mut headers = house.signer().sign(&absent, "GET", GET, &[], b"");
    headers.retain(|(name, _)| *name != "x-none");
    house.send("GET", GET, &headers, b"").await.expect(UNKNOWN);
}

/// Checklist 10 and 11.
async fn further_headers_and_spaces_do_no_harm(house: House) {
    let more = vec![("content-type", "application/json".to_owned()), ("x-odd", "  around  it ".to_owned())];
    let signer = Signer { more, ..house.signer() };
    house.call_as(&signer, "GET", GET, &[], None).await.expect(0);
    let mut headers = house.signer().headers("GET", GET, &[], b"");
    headers[0].1 = headers[0].1.replace(',', ", ").replace("HMAC-SHA256 ", "HMAC-SHA256  ");
    house.send("GET", GET, &headers, b"").await.expect(0);
}

/// Checklist 12.
async fn a_query_verifies_in_any_order_and_spelling(house: House) {
    let query = [("b", "2"), ("F", "1"), ("empty", ""), ("a", "x y~"), ("b", "1")];
    house.get(GET, &query).await.expect(0);
    let headers = house.signer().headers("GET", GET, &query, b"");
    for spelt in ["empty=&F=1&b=1&a=x+y~&b=2", "b=2&b=1&a=x%20y%7e&F=1&empty"] {
        house.send("GET", &format!("{GET}?{spelt}"), &headers, b"").await.expect(0);
    }
    // Small letters first would be another order.
    let mut headers = headers;
    headers[0].1 = headers[0].1.replace("Signature=", "Signature=0");
    house.send("GET", &uri(&query), &headers, b"").await.expect(UNKNOWN);
}

fn uri(query: &[(&str, &str)]) -> String {
    crate::house::uri(GET, query)
}

async fn a_user_is_one_of_the_apps_tenant(house: House) {
    for user in [STRANGER, "nobody", "", &"1".repeat(500)] {
        let signer = Signer { user: user.to_owned(), ..house.signer() };
        house.call_as(&signer, "GET", GET, &[], None).await.expect(UNKNOWN);
    }
    // Who is kept out everywhere is kept out here.
    let ana = house.identity.user_by_email("admin@acme.example").await.unwrap().unwrap();
    let patch = identity::UserPatch { disabled: Some(true), ..identity::UserPatch::default() };
    house.identity.change_user(crate::house::by(), ana.id, patch).await.unwrap();
    house.get(GET, &[]).await.expect(UNKNOWN);
}
