//! Time: what is pending counts until its end, and not from that moment on.

use ledger::{ClaimState, Resource};
use store::{AllotmentPatch, ClaimFilter, NewAllotment};

use crate::house::{House, SECOND, START, by, bytes, path, refusals, word};

on_both! {
    a_pending_claim_counts_until_its_end_and_not_from_then_on
    an_expired_claim_makes_room_in_the_very_batch_that_needs_it
    a_renewed_claim_lives_on
    an_expired_claim_is_not_there_whatever_is_asked_of_it
    a_settled_claim_does_not_expire
    what_expires_while_the_store_is_closed_is_gone_when_it_opens
    an_allotment_admits_until_its_end_and_not_from_then_on
}

async fn a_pending_claim_counts_until_its_end_and_not_from_then_on(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    house.make("site/a", &[]).await;
    let id = house.reserve("site/a", 10, 60).await.unwrap();
    assert_eq!(house.find_claim(id).await.unwrap().expires_at, Some(START + 60 * SECOND));
    house.clock.advance(60 * SECOND - 1);
    assert_eq!(house.load("site").await, (0, 10));
    assert_eq!(refusals(house.hold("site", 1).await), ["site: bytes limit 10, used 0, pending 10, asked 1"]);
    house.clock.advance(1);
    assert_eq!((house.load("site").await, house.load("site/a").await), ((0, 0), (0, 0)));
    assert_eq!(house.find_claim(id).await, None);
    let list = |tx: &mut store::Tx| store::claims::list(tx, &ClaimFilter { limit: 9, ..ClaimFilter::default() });
    assert_eq!(house.store.read(list).await.unwrap(), vec![]);
    house.hold("site", 10).await.unwrap();
}

async fn an_expired_claim_makes_room_in_the_very_batch_that_needs_it(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    house.reserve("site", 4, 60).await.unwrap();
    house.reserve("site", 6, 30).await.unwrap();
    house.later(30);
    house.hold("site", 6).await.unwrap();
    house.later(30);
    house.hold("site", 4).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 2);
}

async fn a_renewed_claim_lives_on(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let id = house.reserve("site", 10, 60).await.unwrap();
    house.later(59);
    let renewed = house.write(by().renew(id, 60)).await.unwrap();
    assert_eq!(renewed.claims[0].expires_at, Some(START + 119 * SECOND));
    house.later(59);
    assert_eq!(house.load("site").await, (0, 10));
    house.later(1);
    assert_eq!(house.load("site").await, (0, 0));
    let held = house.hold("site", 1).await.unwrap();
    assert_eq!(word(&house.write(by().renew(held, 60)).await), "conflict");
}

async fn an_expired_claim_is_not_there_whatever_is_asked_of_it(house: &mut House) {
    let site = house.make("site", &[(Resource::BYTES, 100)]).await;
    for step in 0..5 {
        let id = house.reserve("site", 10, 60).await.unwrap();
        house.later(60);
        let unit = match step {
            0 => by().settle(id, None),
            1 => by().set(id, bytes(1)),
            2 => by().renew(id, 60),
            3 => by().relocate(id, Some(site)),
            _ => by().release(id),
        };
        assert_eq!(word(&house.write(unit).await), "not found");
        assert_eq!(house.load("site").await, (0, 0));
    }
}

async fn a_settled_claim_does_not_expire(house: &mut House) {
    house.make("site", &[]).await;
    let id = house.reserve("site", 10, 60).await.unwrap();
    house.later(59);
    house.write(by().settle(id, None)).await.unwrap();
    house.later(1_000_000);
    assert_eq!(house.find_claim(id).await.unwrap().state, ClaimState::Held);
    assert_eq!(house.load("site").await, (10, 0));
}

async fn what_expires_while_the_store_is_closed_is_gone_when_it_opens(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    house.reserve("site", 6, 60).await.unwrap();
    house.reserve("site", 4, 600).await.unwrap();
    house.store.close().await;
    house.later(60);
    house.reopen().await;
    assert_eq!(house.load("site").await, (0, 4));
    house.later(540);
    assert_eq!(house.load("site").await, (0, 0));
}

async fn an_allotment_admits_until_its_end_and_not_from_then_on(house: &mut House) {
    house.make("site", &[]).await;
    let ends = NewAllotment { expires_at: Some(START + 60 * SECOND), ..house.new_node("site/a", &[]) };
    house.write(by().create_allotment(ends)).await.unwrap();
    let id = house.hold("site/a", 5).await.unwrap();
    house.later(60);
    assert_eq!(word(&house.hold("site/a", 1).await), "frozen");
    assert_eq!(word(&house.write(by().set(id, bytes(6))).await), "frozen");
    house.write(by().set(id, bytes(4))).await.unwrap();
    house.hold("site", 1).await.unwrap();
    let later = AllotmentPatch { expires_at: Some(Some(START + 61 * SECOND)), ..AllotmentPatch::default() };
    house.write(by().change_allotment(path("site/a"), later)).await.unwrap();
    house.write(by().set(id, bytes(6))).await.unwrap();
    house.later(1);
    house.write(by().release(id)).await.unwrap();
}
