//! Units that come in one batch: each fails or succeeds for itself.

use ledger::Resource;
use store::{AllotmentPatch, Error, params};

use crate::house::{House, INTO_THINGS, Mounted, by, bytes, insert_thing, path, refusals, word, words};

on_both! {
    the_room_of_a_unit_that_fails_is_given_to_the_next_in_the_batch
    a_refused_unit_leaves_its_room_to_the_next_in_the_batch
    a_row_that_breaks_a_key_fails_its_own_unit_only
    two_units_with_one_key_in_one_batch_are_one_success_and_one_conflict
    a_closure_that_breaks_a_key_fails_its_own_unit_only
    a_unit_that_panics_fails_alone
    a_closure_sees_what_the_units_before_it_have_done
    a_claim_is_charged_changed_and_released_within_one_batch
    a_claim_id_is_charged_once
    a_claim_id_is_charged_once_within_a_batch
    a_dry_unit_answers_and_keeps_nothing
    a_unit_may_hold_several_steps_on_one_claim
    the_nouns_own_error_comes_out_as_it_went_in
}

async fn the_room_of_a_unit_that_fails_is_given_to_the_next_in_the_batch(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let failing = by().charge(house.claim("site", bytes(10))).insert(INTO_THINGS, params!["data", 1_i64].to_vec());
    let failing = failing.rows(|tx| {
        insert_thing(tx, "closure")?;
        Err::<(), _>(Error::noun(Mounted))
    });
    let next = by().charge(house.claim("site", bytes(10))).rows(|_| Ok(()));
    let too_many = by().charge(house.claim("site", bytes(1))).rows(|_| Ok(()));
    let answers = house.in_one_batch(vec![failing, next, too_many]).await;
    assert_eq!(words(&answers), ["noun", "ok", "refused"]);
    assert_eq!(house.load("site").await, (10, 0));
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 1);
    assert_eq!(house.number("SELECT count(*) FROM things").await, 0);
}

async fn a_refused_unit_leaves_its_room_to_the_next_in_the_batch(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let half = |units| by().charge(house.claim("site", bytes(6))).charge(house.claim("site", bytes(units)));
    let answers = house.in_one_batch(vec![half(5), half(4), half(0)]).await;
    assert_eq!(words(&answers), ["refused", "ok", "refused"]);
    let told = refusals(answers.into_iter().next().unwrap());
    assert_eq!(told, ["site: bytes limit 10, used 6, pending 0, asked 5"]);
    assert_eq!(house.load("site").await, (10, 0));
}

async fn a_row_that_breaks_a_key_fails_its_own_unit_only(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.write(by().insert(INTO_THINGS, params!["taken", 1_i64].to_vec())).await.unwrap();
    let unit = |name: &str, units| {
        by().charge(house.claim("site", bytes(units))).insert(INTO_THINGS, params![name, 1_i64].to_vec())
    };
    let answers = house.in_one_batch(vec![unit("a", 1), unit("taken", 10), unit("b", 2), unit("c", 4)]).await;
    assert_eq!(words(&answers), ["ok", "conflict", "ok", "ok"]);
    assert_eq!(house.load("site").await, (7, 0));
    assert_eq!(house.number("SELECT count(*) FROM things").await, 4);
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 3);
    house.hold("site", 93).await.unwrap();
}

async fn two_units_with_one_key_in_one_batch_are_one_success_and_one_conflict(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    let unit = || by().charge(house.claim("site", bytes(1))).insert(INTO_THINGS, params!["same", 1_i64].to_vec());
    let answers = house.in_one_batch(vec![unit(), unit()]).await;
    assert_eq!(words(&answers), ["ok", "conflict"]);
    assert_eq!(house.load("site").await, (1, 0));
}

async fn a_closure_that_breaks_a_key_fails_its_own_unit_only(house: &mut House) {
    house.make("site", &[]).await;
    let unit = |name: &'static str| by().charge(house.claim("site", bytes(1))).rows(move |tx| insert_thing(tx, name));
    let answers = house.in_one_batch(vec![unit("a"), unit("a"), unit("b")]).await;
    assert_eq!(words(&answers), ["ok", "conflict", "ok"]);
    assert_eq!(house.load("site").await, (2, 0));
}

async fn a_unit_that_panics_fails_alone(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 3)]).await;
    let unit = |panics: bool| {
        by().charge(house.claim("site", bytes(1))).rows(move |_| {
            assert!(!panics, "a fault of the noun's");
            Ok(())
        })
    };
    let answers = house.in_one_batch(vec![unit(false), unit(true), unit(false)]).await;
    assert_eq!(words(&answers), ["ok", "broken", "ok"]);
    assert_eq!(house.load("site").await, (2, 0));
    house.hold("site", 1).await.unwrap();
}

async fn a_closure_sees_what_the_units_before_it_have_done(house: &mut House) {
    house.make("site", &[]).await;
    let count = "SELECT (SELECT count(*) FROM claims) + (SELECT count(*) FROM things)";
    let look = |house: &House| {
        let unit = by()
            .charge(house.claim("site", bytes(1)))
            .insert(INTO_THINGS, params![house.store.new_id(), 1_i64].to_vec());
        unit.rows(move |tx| tx.query_opt(count, &[])?.unwrap().get::<i64>(0))
    };
    let answers = house.in_one_batch(vec![look(house), look(house), look(house)]).await;
    let seen: Vec<i64> = answers.into_iter().map(|answer| answer.unwrap().value).collect();
    assert_eq!(seen.len(), 3);
    assert!(seen[0] >= 0 && seen[1] >= 2 && seen[2] >= 4, "{seen:?}");
}

async fn a_claim_is_charged_changed_and_released_within_one_batch(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let claim = house.claim("site", bytes(10));
    let id = claim.id;
    let again = store::NewClaim { id, ..house.claim("site", bytes(10)) };
    let units =
        vec![by().charge(claim), by().set(id, bytes(1)), by().release(id), by().release(id), by().charge(again)];
    let answers = house.in_one_batch(units).await;
    assert_eq!(words(&answers), ["ok", "ok", "ok", "not found", "ok"]);
    assert_eq!(house.load("site").await, (10, 0));
}

async fn a_claim_id_is_charged_once(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    let claim = house.claim("site", bytes(1));
    let again = store::NewClaim { amounts: bytes(50), ..claim.clone() };
    house.write(by().charge(claim)).await.unwrap();
    assert_eq!(word(&house.write(by().charge(again)).await), "conflict");
    assert_eq!(house.load("site").await, (1, 0));
}

async fn a_claim_id_is_charged_once_within_a_batch(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    let claim = house.claim("site", bytes(1));
    let id = claim.id;
    let again = store::NewClaim { amounts: bytes(50), ..claim.clone() };
    let answers = house.in_one_batch(vec![by().charge(claim), by().charge(again.clone())]).await;
    assert_eq!(words(&answers), ["ok", "conflict"]);
    let answers = house.in_one_batch(vec![by().set(id, bytes(2)), by().charge(again)]).await;
    assert_eq!(words(&answers), ["ok", "conflict"]);
    assert_eq!(house.load("site").await, (2, 0));
}

async fn a_dry_unit_answers_and_keeps_nothing(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let id = house.hold("site", 4).await.unwrap();
    let entries = house.number("SELECT count(*) FROM journal").await;
    let dry = by().charge(house.claim("site", bytes(6))).set(id, bytes(3)).dry();
    let done = house.write(dry.rows(|tx| insert_thing(tx, "a"))).await.unwrap();
    assert_eq!((done.claims.len(), done.claims[1].amounts.clone()), (2, bytes(3)));
    let refused = house.write(by().charge(house.claim("site", bytes(7))).dry()).await;
    assert_eq!(refusals(refused), ["site: bytes limit 10, used 4, pending 0, asked 7"]);
    let limits = vec![(Resource::BYTES, Some(2))];
    let patch = AllotmentPatch { name: Some("other".parse().unwrap()), limits, ..AllotmentPatch::default() };
    let done = house.write(by().change_allotment(path("site"), patch).dry()).await.unwrap();
    let told = &done.allotments[0];
    assert_eq!((told.path.as_str(), told.balance(Resource::BYTES).limit), ("other", Some(2)));
    let gone = by().release(id).remove_allotment(path("site")).dry();
    house.write(gone).await.unwrap();
    let made = by().create_allotment(house.new_node("site/a", &[(Resource::BYTES, 7)])).dry();
    house.write(made).await.unwrap();
    house
        .write(by().insert(INTO_THINGS, params!["b", 1_i64].to_vec()).job("nothing", serde_json::json!({})).dry())
        .await
        .unwrap();
    // The next commit would write what was left of them.
    house.hold("site", 1).await.unwrap();
    let node = house.node("site").await;
    assert_eq!((node.balance(Resource::BYTES).limit, node.children), (Some(10), 0));
    assert_eq!(node.balance(Resource::BYTES).promised, 0);
    assert_eq!(house.load("site").await, (5, 0));
    assert_eq!(house.number("SELECT count(*) FROM things").await, 0);
    assert_eq!(house.number("SELECT count(*) FROM jobs").await, 0);
    assert_eq!(house.number("SELECT count(*) FROM journal").await, entries + 1);
}

async fn a_unit_may_hold_several_steps_on_one_claim(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let claim = house.claim("site", bytes(4));
    let id = claim.id;
    let done = house.write(by().charge(claim).set(id, bytes(10)).release(id)).await.unwrap();
    let sizes: Vec<u64> = done.claims.iter().map(|claim| claim.amounts.get(Resource::BYTES)).collect();
    assert_eq!(sizes, [4, 10, 10]);
    assert_eq!(house.load("site").await, (0, 0));
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 0);
    let claim = house.claim("site", bytes(4));
    let id = claim.id;
    let refused = refusals(house.write(by().charge(claim).set(id, bytes(11))).await);
    assert_eq!(refused, ["site: bytes limit 10, used 4, pending 0, asked 7"]);
    assert_eq!(house.find_claim(id).await, None);
}

async fn the_nouns_own_error_comes_out_as_it_went_in(house: &mut House) {
    let failed = house.write(by().rows(|_| Err::<(), _>(Error::noun(Mounted)))).await;
    assert_eq!(failed.unwrap_err().downcast::<Mounted>().unwrap(), Mounted);
}
