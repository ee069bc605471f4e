//! The journal, as pages and as a stream.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt;
use identity::{Grant, Role};
use serde_json::{Value, json};

use crate::house::House;

on_both! {
    what_happens_is_in_the_journal_in_order
    each_sees_the_journal_of_their_own
    what_a_member_was_given_to_claim_on_keeps_its_journal_from_them
    a_stream_goes_on_where_it_was_and_with_what_happens
    a_stream_finds_what_is_rare_among_much_else
    streams_have_a_bound
    the_doctor_finds_nothing
}

async fn what_happens_is_in_the_journal_in_order(house: House) {
    let leaf = house.allotment("path:acme", "leaf", json!({})).await;
    let claim = house.claim(&leaf, 7).await;
    house.admin().delete(&format!("/claims/{claim}")).await.expect(204);
    let events = house.admin().get_all("/events?allotment=path:acme%2Fleaf", 3).await;
    assert_eq!(events.items("kind"), ["allotment.created", "claim.charged", "claim.released"]);
    let json = events.json();
    let charged = &json["items"][1];
    assert_eq!((&charged["subject"], &charged["path"]), (&json!(claim), &json!("acme/leaf")));
    assert_eq!((&charged["allotment_id"], &charged["detail"]["after"]["amounts"]["bytes"]), (&json!(leaf), &json!(7)));
    assert!(charged["seq"].is_u64() && charged["at"].as_str().unwrap().ends_with('Z'));
    let kinds = async |query: &str| house.admin().get(&format!("/events?{query}")).await.expect(200).items("kind");
    assert_eq!(kinds("kind=claim.").await, ["claim.charged", "claim.released"]);
    assert_eq!(kinds("kind=claim.released").await, ["claim.released"]);
    let page = house.admin().get("/events?kind=claim.&limit=1").await.expect(200).json();
    let next = page["next"].as_str().unwrap();
    assert_eq!(kinds(&format!("kind=claim.&after={next}")).await, ["claim.released"]);
    assert_eq!(house.admin().get("/events?after=x").await.faults(), ["/after"]);
}

async fn each_sees_the_journal_of_their_own(house: House) {
    let node = house.ana.allotment.unwrap().to_string();
    house.claim(&node, 1).await;
    house.claim("path:acme", 1).await;
    house.claim("path:globex", 1).await;
    let events = "/events?kind=claim.charged";
    house.operator().get_all(events, 3).await;
    let charged = async |who: &crate::house::Who| who.get(events).await.expect(200).items("path");
    let own = format!("acme/users/{}", house.ana.id);
    assert_eq!(charged(&house.operator()).await, [own.as_str(), "acme", "globex"]);
    assert_eq!(charged(&house.admin()).await, [own.as_str(), "acme"]);
    assert_eq!(charged(&house.ana()).await, [own.as_str()]);
    assert_eq!(charged(&house.mallory()).await, ["globex"]);
    house.bob().get(&format!("/events?allotment={node}")).await.problem(404, "not-found");
    house.mallory().get("/events?allotment=path:acme").await.problem(404, "not-found");
}

async fn what_a_member_was_given_to_claim_on_keeps_its_journal_from_them(house: House) {
    let top = house.allotment("path:acme", "top", json!({})).await;
    house.claim(&top, 1).await;
    house.operator().get_all("/events?kind=claim.charged", 1).await;
    let below = house.allotment(&top, "below", json!({})).await;
    for (role, count) in [(Role::Member, 0), (Role::Owner, 1)] {
        let grant = Grant { user: house.bob.id, allotment: top.parse().unwrap(), role };
        house.identity.grant(store::Actor::system("test"), grant).await.unwrap();
        let charged = house.bob().get("/events?kind=claim.charged").await.expect(200);
        assert_eq!(charged.items("seq").len(), count);
        let checked = house.bob().get("/doctor").await.expect(200).json()["checked"].clone();
        let (allotments, claims) = (if count == 1 { 3 } else { 1 }, count);
        assert_eq!(checked, json!({ "allotments": allotments, "claims": claims, "blobs": 0, "volumes": 0 }));
        for at in [&top, &below] {
            let answer = house.bob().get(&format!("/events?allotment={at}")).await;
            assert_eq!(answer.status, if role == Role::Owner { 200 } else { 403 });
        }
    }
}

/// The data of the next events of a stream.
async fn next(body: &mut Body, text: &mut String) -> Value {
    loop {
        if let Some((event, rest)) = text.split_once("\n\n").map(|(event, rest)| (event.to_owned(), rest.to_owned())) {
            *text = rest;
            if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data:")) {
                let data: Value = serde_json::from_str(data.trim()).unwrap();
                assert!(event.contains(&format!("id: {}", data["seq"])), "{event}");
                return data;
            }
            continue;
        }
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("an event comes");
        text.push_str(&String::from_utf8_lossy(&frame.unwrap().unwrap().into_data().unwrap()));
    }
}

async fn a_stream_goes_on_where_it_was_and_with_what_happens(house: House) {
    let first = house.claim("path:acme", 1).await;
    let second = house.claim("path:acme", 2).await;
    let seqs = house.admin().get_all("/events?kind=claim.charged", 2).await.items("seq");
    let stream = house.admin().with("accept", "text/event-stream");
    let response = stream.send("GET", "/events?kind=claim.charged", Body::empty()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut body, mut text) = (response.into_body(), String::new());
    assert_eq!(next(&mut body, &mut text).await["subject"], json!(first));
    assert_eq!(next(&mut body, &mut text).await["subject"], json!(second));
    let third = house.claim("path:acme", 3).await;
    assert_eq!(next(&mut body, &mut text).await["subject"], json!(third));
    let again = stream.with("last-event-id", &seqs[0]).send("GET", "/events?kind=claim.charged", Body::empty()).await;
    let (mut body, mut text) = (again.into_body(), String::new());
    assert_eq!(next(&mut body, &mut text).await["subject"], json!(second));
}

async fn a_stream_finds_what_is_rare_among_much_else(house: House) {
    // More than are read at once before it and after it.
    let (from, rare) = (house.ana.allotment.unwrap(), "/events?kind=claim.charged");
    house.allotments_below(from, 0..600).await;
    let first = house.claim("path:acme", 1).await;
    house.allotments_below(from, 600..1200).await;
    let stream = house.admin().with("accept", "text/event-stream");
    let (mut body, mut text) = (stream.send("GET", rare, Body::empty()).await.into_body(), String::new());
    assert_eq!(next(&mut body, &mut text).await["subject"], json!(first));
    for round in 12..15 {
        house.allotments_below(from, round * 100..(round + 1) * 100).await;
        let claim = house.claim("path:acme", 1).await;
        assert_eq!(next(&mut body, &mut text).await["subject"], json!(claim));
    }
}

async fn streams_have_a_bound(house: House) {
    let stream = house.admin().with("accept", "text/event-stream");
    let mut open = Vec::new();
    for _ in 0..256 {
        let response = stream.send("GET", "/events", Body::empty()).await;
        assert_eq!(response.status(), 200);
        open.push(response.into_body());
    }
    let refused = house.operator().with("accept", "text/event-stream").get("/events").await;
    assert!(refused.header("retry-after").is_some());
    refused.problem(503, "unavailable");
    house.admin().get("/events").await.expect(200);
    drop(open.pop());
    assert_eq!(stream.send("GET", "/events", Body::empty()).await.status(), 200);
}

async fn the_doctor_finds_nothing(house: House) {
    house.claim("path:acme", 5).await;
    house.claim("path:globex", 5).await;
    // Site, tenant with its folders and people, and one member: each is told of how much is theirs.
    for (who, claims) in [(house.operator(), 2), (house.local(), 2), (house.admin(), 1), (house.ana(), 0)] {
        let report = who.get("/doctor").await.expect(200).json();
        assert_eq!((&report["ok"], &report["drift"]), (&json!(true), &json!([])), "{report}");
        let checked = &report["checked"];
        assert_eq!((&checked["claims"], &checked["volumes"]), (&json!(claims), &json!(0)));
        let seen = who.get("/allotments?limit=1000").await.items("id").len();
        assert_eq!(checked["allotments"], json!(seen));
    }
}
