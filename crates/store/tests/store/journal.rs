//! The journal: every change, who made it, in order.

use ledger::{AllotmentId, LoadLine, Mark, Resource};
use serde_json::{Value, json};
use store::{Actor, AllotmentPatch, Error, Event, EventFilter, NewAllotment, TenantId, Unit, UserId};

use crate::house::{House, START, by, bytes, path, word};

on_both! {
    every_change_is_told_in_order_with_who_made_it_and_where
    load_lines_are_told_when_they_are_crossed_each_way
    a_lowered_limit_crosses_a_load_line_too
    what_was_undone_is_not_told
    a_refusal_is_told_with_the_next_commit
    the_journal_is_read_by_kind_by_tenant_by_place_and_from_a_number_on
    a_units_own_notes_are_told
    a_watcher_hears_of_each_commit
}

fn told(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let path = event.path.as_deref().unwrap_or("-");
        format!("{} {} {path}", event.actor, event.kind)
    };
    events.iter().map(line).collect()
}

fn detail(event: &Event) -> Value {
    serde_json::from_str(&event.detail).unwrap()
}

async fn every_change_is_told_in_order_with_who_made_it_and_where(house: &mut House) {
    house.make("site", &[]).await;
    let acme = house.make("site/acme", &[(Resource::BYTES, 100)]).await;
    let alice = UserId(house.store.new_id());
    let alice = || Unit::by(Actor::user(alice));
    let id = house.reserve("site/acme", 10, 60).await.unwrap();
    house.write(alice().renew(id, 90)).await.unwrap();
    house.write(alice().settle(id, Some(bytes(8)))).await.unwrap();
    house.write(alice().set(id, bytes(9))).await.unwrap();
    house.write(alice().relocate(id, Some(house.node("site").await.id))).await.unwrap();
    house.write(alice().release(id)).await.unwrap();
    house.reserve("site/acme", 1, 5).await.unwrap();
    house.later(5);
    let limits = vec![(Resource::BYTES, Some(50))];
    let patch = AllotmentPatch { title: Some("Acme".into()), limits, ..AllotmentPatch::default() };
    house.write(alice().change_allotment(path("site/acme"), patch)).await.unwrap();
    house.write(alice().remove_allotment(acme)).await.unwrap();
    let events = house.events(12, EventFilter::default()).await;
    let who = events[3].actor.clone();
    assert!(who.starts_with("user:"), "{who}");
    let wanted = [
        "system:test allotment.created site".to_owned(),
        "system:test allotment.created site/acme".to_owned(),
        "system:test claim.charged site/acme".to_owned(),
        format!("{who} claim.renewed site/acme"),
        format!("{who} claim.settled site/acme"),
        format!("{who} claim.set site/acme"),
        format!("{who} claim.moved site"),
        format!("{who} claim.released site"),
        "system:test claim.charged site/acme".to_owned(),
        "system:expiry claim.expired site/acme".to_owned(),
        format!("{who} allotment.changed site/acme"),
        format!("{who} allotment.removed site"),
    ];
    assert_eq!(told(&events), wanted);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!((events[0].at, events[11].at), (START, START + 5_000_000));
    assert_eq!(events[2].subject, Some(id.to_string()));
    assert_eq!(events[2].allotment, Some(acme));
    let settled = json!({"before": {"state": "pending", "amounts": {"bytes": 10}}, "after": {"state": "held", "amounts": {"bytes": 8}}});
    assert_eq!(detail(&events[4]), settled);
    assert_eq!(detail(&events[6])["before"]["allotment_id"], json!(acme));
    assert_eq!(
        detail(&events[10]),
        json!({"limits": {"bytes": {"from": 100, "to": 50}}, "title": {"from": "", "to": "Acme"}})
    );
    assert_eq!(detail(&events[11])["path"], json!("site/acme"));
}

async fn with_lines(house: &House) -> AllotmentId {
    let lines = [Mark::Percent(80), Mark::Amount(95)].map(|mark| LoadLine { resource: Resource::BYTES, mark });
    let new = NewAllotment { load_lines: lines.to_vec(), ..house.new_node("site", &[(Resource::BYTES, 100)]) };
    house.write(by().create_allotment(new.clone())).await.unwrap();
    new.id
}

fn crossings(events: &[Event]) -> Vec<(Value, Value, Value)> {
    let crossing = |event: &Event| {
        let detail = detail(event);
        (detail["line"].clone(), detail["direction"].clone(), detail["load"].clone())
    };
    events.iter().map(crossing).collect()
}

async fn load_lines_are_told_when_they_are_crossed_each_way(house: &mut House) {
    with_lines(house).await;
    house.make("site/a", &[]).await;
    let id = house.hold("site/a", 79).await.unwrap();
    house.write(by().set(id, bytes(80))).await.unwrap();
    house.reopen().await;
    house.write(by().set(id, bytes(94))).await.unwrap();
    house.write(by().set(id, bytes(100))).await.unwrap();
    house.write(by().release(id)).await.unwrap();
    let kind = Some("load_line.crossed".to_owned());
    let events = house.events(4, EventFilter { kind, ..EventFilter::default() }).await;
    let (eighty, most) = (json!({"percent": 80}), json!({"amount": 95}));
    let wanted = [
        (eighty.clone(), json!("up"), json!(80)),
        (most.clone(), json!("up"), json!(100)),
        (eighty, json!("down"), json!(0)),
        (most, json!("down"), json!(0)),
    ];
    assert_eq!(crossings(&events), wanted);
    assert!(told(&events).iter().all(|line| line == "system:ledger load_line.crossed site"));
}

async fn a_lowered_limit_crosses_a_load_line_too(house: &mut House) {
    with_lines(house).await;
    house.hold("site", 50).await.unwrap();
    house.limit("site", Resource::BYTES, 60).await.unwrap();
    house.limit("site", Resource::BYTES, 1000).await.unwrap();
    let kind = Some("load_line.".to_owned());
    let events = house.events(2, EventFilter { kind, ..EventFilter::default() }).await;
    let eighty = json!({"percent": 80});
    assert_eq!(crossings(&events), [(eighty.clone(), json!("up"), json!(50)), (eighty, json!("down"), json!(50))]);
}

async fn what_was_undone_is_not_told(house: &mut House) {
    with_lines(house).await;
    let failing = by().charge(house.claim("site", bytes(90)));
    let failed = house.write(failing.rows(|_| Err::<(), _>(Error::Conflict("no".to_owned())))).await;
    assert_eq!(word(&failed), "conflict");
    house.hold("site", 1).await.unwrap();
    let events = house.events(2, EventFilter::default()).await;
    assert_eq!(told(&events), ["system:test allotment.created site", "system:test claim.charged site"]);
}

async fn a_refusal_is_told_with_the_next_commit(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    assert_eq!(word(&house.hold("site", 11).await), "refused");
    assert_eq!(house.number("SELECT count(*) FROM journal WHERE kind = 'claim.refused'").await, 0);
    house.hold("site", 1).await.unwrap();
    let kind = Some("claim.refused".to_owned());
    let events = house.events(1, EventFilter { kind, ..EventFilter::default() }).await;
    assert_eq!(told(&events), ["system:test claim.refused site"]);
    let refusal = &detail(&events[0])["refusals"][0];
    assert_eq!((&refusal["limit"], &refusal["requested"], &refusal["headroom"]), (&json!(10), &json!(11), &json!(10)));
    assert_eq!(house.store.stats().refused, 1);
}

async fn the_journal_is_read_by_kind_by_tenant_by_place_and_from_a_number_on(house: &mut House) {
    let acme = house.make("acme", &[]).await;
    let globex = house.make("globex", &[]).await;
    house.make("acme/a", &[]).await;
    house.make("acme.b", &[]).await;
    house.make("supply:pool", &[]).await;
    house.hold("acme/a", 1).await.unwrap();
    let last = house.hold("globex", 1).await.unwrap();
    house.write(by().release(last)).await.unwrap();
    let all = house.events(8, EventFilter::default()).await;
    let after = house.events(3, EventFilter { after: all[4].seq, ..EventFilter::default() }).await;
    assert_eq!(after, all[5..]);
    let kind = Some("claim.".to_owned());
    assert_eq!(house.events(3, EventFilter { kind, ..EventFilter::default() }).await, all[5..]);
    let tenant = Some(TenantId(globex.0));
    let of_globex = house.events(3, EventFilter { tenant, ..EventFilter::default() }).await;
    assert_eq!(of_globex, [all[1].clone(), all[6].clone(), all[7].clone()]);
    let at_or_below = Some(acme.into());
    let of_acme = house.events(3, EventFilter { at_or_below, ..EventFilter::default() }).await;
    assert_eq!(of_acme, [all[0].clone(), all[2].clone(), all[5].clone()]);
}

async fn a_units_own_notes_are_told(house: &mut House) {
    let site = house.make("site", &[]).await;
    let note = by().note("drive.resized", Some(site), Some("d1".to_owned()), json!({"to": 5}));
    house.write(note.charge(house.claim("site", bytes(5)))).await.unwrap();
    let events = house.events(3, EventFilter::default()).await;
    assert_eq!(told(&events)[1..], ["system:test claim.charged site", "system:test drive.resized site"]);
    assert_eq!((events[2].subject.as_deref(), detail(&events[2])), (Some("d1"), json!({"to": 5})));
}

async fn a_watcher_hears_of_each_commit(house: &mut House) {
    let mut heard = house.store.watch_journal();
    heard.mark_unchanged();
    house.make("site", &[]).await;
    heard.changed().await.unwrap();
    heard.mark_unchanged();
    house.hold("site", 1).await.unwrap();
    heard.changed().await.unwrap();
}
