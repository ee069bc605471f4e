//! A request sent twice with one key has one effect.

use ledger::Resource;
use store::{Error, Idempotency, Unit};

use crate::house::{House, all, by, bytes, word};

on_both! {
    a_key_has_one_effect_and_brings_the_first_answer_again
    of_many_requests_with_one_key_at_once_one_has_an_effect
    a_key_used_for_another_request_is_refused
    keys_of_others_and_of_other_routes_are_other_keys
    a_refusal_is_not_remembered
    a_failed_closure_and_a_dry_unit_are_not_remembered
    a_key_is_remembered_over_a_restart_and_forgotten_after_a_day
}

fn key(principal: &str, route: &str, key: &str, body: u8) -> Idempotency {
    Idempotency {
        principal: principal.to_owned(),
        route: route.to_owned(),
        key: key.to_owned(),
        fingerprint: [body; 32],
        render: Box::new(|applied| {
            let sizes: Vec<u64> = applied.claims.iter().map(|claim| claim.amounts.get(Resource::BYTES)).collect();
            format!("charged {sizes:?}")
        }),
    }
}

fn charge(house: &House, units: u64) -> Unit {
    by().charge(house.claim("site", bytes(units)))
}

fn replayed<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Replayed(answer)) => answer,
        other => panic!("it was not replayed: {other:?}"),
    }
}

async fn a_key_has_one_effect_and_brings_the_first_answer_again(house: &mut House) {
    house.make("site", &[]).await;
    house.write(charge(house, 5).idempotent(key("alice", "POST /claims", "k", 1))).await.unwrap();
    let again = house.write(charge(house, 5).idempotent(key("alice", "POST /claims", "k", 1))).await;
    assert_eq!(replayed(again), "charged [5]");
    assert_eq!(house.load("site").await, (5, 0));
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 1);
}

async fn of_many_requests_with_one_key_at_once_one_has_an_effect(house: &mut House) {
    house.make("site", &[]).await;
    let send = |_| house.send(charge(house, 5).idempotent(key("alice", "POST /claims", "k", 1)));
    let answers = all((0..20).map(send).collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(answers.iter().filter(|answer| word(answer) == "replayed").count(), 19);
    assert_eq!(house.load("site").await, (5, 0));
}

async fn a_key_used_for_another_request_is_refused(house: &mut House) {
    house.make("site", &[]).await;
    house.write(charge(house, 5).idempotent(key("alice", "POST /claims", "k", 1))).await.unwrap();
    let other = house.write(charge(house, 6).idempotent(key("alice", "POST /claims", "k", 2))).await;
    assert_eq!(word(&other), "key reused");
    assert_eq!(house.load("site").await, (5, 0));
}

async fn keys_of_others_and_of_other_routes_are_other_keys(house: &mut House) {
    house.make("site", &[]).await;
    for (principal, route, name) in [("alice", "a", "k"), ("bob", "a", "k"), ("alice", "b", "k"), ("alice", "a", "l")] {
        house.write(charge(house, 1).idempotent(key(principal, route, name, 1))).await.unwrap();
    }
    assert_eq!(house.load("site").await, (4, 0));
}

async fn a_refusal_is_not_remembered(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 4)]).await;
    let send = || house.write(charge(house, 5).idempotent(key("alice", "a", "k", 1)));
    assert_eq!(word(&send().await), "refused");
    house.limit("site", Resource::BYTES, 5).await.unwrap();
    assert_eq!(word(&send().await), "ok");
    assert_eq!(replayed(send().await), "charged [5]");
}

async fn a_failed_closure_and_a_dry_unit_are_not_remembered(house: &mut House) {
    house.make("site", &[]).await;
    let failing = charge(house, 5).idempotent(key("alice", "a", "k", 1));
    let failed = house.write(failing.rows(|_| Err::<(), _>(Error::Conflict("not now".to_owned())))).await;
    assert_eq!(word(&failed), "conflict");
    let dry = charge(house, 5).idempotent(key("alice", "a", "k", 1)).dry();
    assert_eq!(word(&house.write(dry).await), "ok");
    assert_eq!(house.load("site").await, (0, 0));
    house.write(charge(house, 5).idempotent(key("alice", "a", "k", 1))).await.unwrap();
}

async fn a_key_is_remembered_over_a_restart_and_forgotten_after_a_day(house: &mut House) {
    house.make("site", &[]).await;
    house.write(charge(house, 5).idempotent(key("alice", "a", "k", 1))).await.unwrap();
    house.reopen().await;
    house.later(24 * 3600 - 1);
    let again = house.write(charge(house, 5).idempotent(key("alice", "a", "k", 1))).await;
    assert_eq!(replayed(again), "charged [5]");
    house.later(1);
    house.write(charge(house, 7).idempotent(key("alice", "a", "k", 2))).await.unwrap();
    assert_eq!(house.load("site").await, (12, 0));
    let again = house.write(charge(house, 7).idempotent(key("alice", "a", "k", 2))).await;
    assert_eq!(replayed(again), "charged [7]");
}
