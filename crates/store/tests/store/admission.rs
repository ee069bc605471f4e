//! Claims: by identity, and never past a limit.

use ledger::{AMOUNT_MAX, ClaimState, Resource};
use store::{ClaimFilter, DEFAULT_POOL, Managed, NewClaim, SupplyRef, params};

use crate::house::{House, amounts, by, bytes, path, refusals, word};

on_both! {
    a_claim_is_charged_settled_set_and_released_by_its_id
    a_refusal_names_every_limit_and_changes_nothing
    a_limit_is_filled_exactly_and_given_back
    lowering_a_limit_under_use_admits_nothing_more_and_loses_nothing
    a_claim_moves_between_leaves_within_a_full_root
    what_is_handed_over_belongs_to_the_other_noun_and_lies_on_supply_alone
    what_does_not_say_where_it_lies_lies_in_the_default_pool
    the_largest_amounts_are_counted_to_the_last_unit
    a_unit_of_many_charges_is_admitted_as_a_whole_or_not_at_all
    what_is_not_there_is_not_found
    a_claim_cannot_lie_on_the_wrong_side
    claims_are_listed_by_what_they_are
}

async fn a_claim_is_charged_settled_set_and_released_by_its_id(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    let id = house.reserve("site", 60, 100).await.unwrap();
    assert_eq!(house.load("site").await, (0, 60));
    let done = house.write(by().settle(id, Some(bytes(50)))).await.unwrap();
    assert_eq!((done.claims[0].state, done.claims[0].amounts.clone()), (ClaimState::Held, bytes(50)));
    assert_eq!(done.claims[0].expires_at, None);
    assert_eq!(house.load("site").await, (50, 0));
    assert_eq!(word(&house.write(by().settle(id, None)).await), "conflict");
    house.write(by().set(id, bytes(100))).await.unwrap();
    assert_eq!(house.load("site").await, (100, 0));
    let gone = house.write(by().release(id)).await.unwrap();
    assert_eq!(gone.claims[0].amounts, bytes(100));
    assert_eq!(house.load("site").await, (0, 0));
    assert_eq!(house.find_claim(id).await, None);
    for unit in [by().release(id), by().set(id, bytes(1)), by().settle(id, None), by().renew(id, 5)] {
        assert_eq!(word(&house.write(unit).await), "not found");
    }
}

async fn a_refusal_names_every_limit_and_changes_nothing(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100), (Resource::OBJECTS, 5)]).await;
    house.make("site/acme", &[(Resource::BYTES, 60)]).await;
    house.make("site/acme/team", &[(Resource::BYTES, 10), (Resource::OBJECTS, 2)]).await;
    house.make("supply:pool", &[(Resource::BYTES, 80)]).await;
    house.make("supply:pool/fast", &[(Resource::BYTES, 20), (Resource::OBJECTS, 3)]).await;
    let small = house.claim("site/acme/team", amounts(&[(Resource::BYTES, 4), (Resource::OBJECTS, 1)]));
    house.write(by().charge(small)).await.unwrap();
    house.reserve("site/acme", 1, 100).await.unwrap();
    let large = amounts(&[(Resource::OBJECTS, 9), (Resource::BYTES, 200)]);
    let claim = NewClaim { supply: SupplyRef::At(path("supply:pool/fast")), ..house.claim("site/acme/team", large) };
    let answer = house.write(by().charge(claim)).await;
    assert_eq!(
        refusals(answer),
        [
            "site/acme/team: bytes limit 10, used 4, pending 0, asked 200",
            "site/acme: bytes limit 60, used 4, pending 1, asked 200",
            "site: bytes limit 100, used 4, pending 1, asked 200",
            "pool/fast: bytes limit 20, used 0, pending 0, asked 200",
            "pool: bytes limit 80, used 0, pending 0, asked 200",
            "site/acme/team: objects limit 2, used 1, pending 0, asked 9",
            "site: objects limit 5, used 1, pending 0, asked 9",
            "pool/fast: objects limit 3, used 0, pending 0, asked 9",
        ]
    );
    assert_eq!(house.load("site").await, (4, 1));
    assert_eq!(house.load("supply:pool").await, (0, 0));
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 2);
}

async fn a_limit_is_filled_exactly_and_given_back(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.hold("site", 99).await.unwrap();
    let last = house.hold("site", 1).await.unwrap();
    assert_eq!(refusals(house.hold("site", 1).await), ["site: bytes limit 100, used 100, pending 0, asked 1"]);
    house.hold("site", 0).await.unwrap();
    house.write(by().release(last)).await.unwrap();
    house.hold("site", 1).await.unwrap();
}

async fn lowering_a_limit_under_use_admits_nothing_more_and_loses_nothing(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    let id = house.hold("site", 80).await.unwrap();
    house.limit("site", Resource::BYTES, 50).await.unwrap();
    assert!(house.balance("site", Resource::BYTES).await.is_over());
    assert_eq!(refusals(house.hold("site", 1).await), ["site: bytes limit 50, used 80, pending 0, asked 1"]);
    house.write(by().set(id, bytes(79))).await.unwrap();
    house.write(by().set(id, bytes(40))).await.unwrap();
    house.hold("site", 10).await.unwrap();
    house.limit("site", Resource::BYTES, None).await.unwrap();
    house.hold("site", 1 << 40).await.unwrap();
}

async fn a_claim_moves_between_leaves_within_a_full_root(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    let a = house.make("site/a", &[]).await;
    let b = house.make("site/b", &[(Resource::BYTES, 70)]).await;
    let c = house.make("site/b/c", &[]).await;
    let id = house.hold("site/a", 100).await.unwrap();
    let refused = refusals(house.write(by().relocate(id, Some(c))).await);
    assert_eq!(refused, ["site/b: bytes limit 70, used 0, pending 0, asked 100"]);
    house.write(by().set(id, bytes(70))).await.unwrap();
    house.write(by().relocate(id, Some(c))).await.unwrap();
    assert_eq!((house.load("site/a").await, house.load("site/b").await), ((0, 0), (70, 0)));
    house.write(by().relocate(id, Some(b)).relocate(id, Some(a))).await.unwrap();
    assert_eq!((house.load("site/a").await, house.load("site/b/c").await), ((70, 0), (0, 0)));
    assert_eq!(house.load("site").await, (70, 0));
    assert_eq!(house.find_claim(id).await.unwrap().demand, Some(a));
}

async fn what_is_handed_over_belongs_to_the_other_noun_and_lies_on_supply_alone(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    house.make("supply:pool", &[(Resource::BYTES, 10)]).await;
    let drive = Managed::new("cloudsigma", "drive", 7);
    let supply = SupplyRef::At(path("supply:pool"));
    let claim = NewClaim { supply, managed_by: Some(drive), ..house.claim("site", bytes(10)) };
    let id = claim.id;
    house.write(by().charge(claim)).await.unwrap();
    let blob = Managed::new("content", "blob", "b/1");
    house.write(by().hand_over(id, None, blob.clone())).await.unwrap();
    let claim = house.find_claim(id).await.unwrap();
    assert_eq!((claim.demand, claim.managed_by), (None, Some(blob)));
    assert_eq!((house.load("site").await, house.load("supply:pool").await), ((0, 0), (10, 0)));
    house.hold("site", 10).await.unwrap();
    house.write(by().release(id)).await.unwrap();
    assert_eq!(house.load("supply:pool").await, (0, 0));
}

async fn what_does_not_say_where_it_lies_lies_in_the_default_pool(house: &mut House) {
    house.make("site", &[]).await;
    let default = |house: &House| NewClaim { supply: SupplyRef::Default, ..house.claim("site", bytes(5)) };
    let before = house.write(by().charge(default(house))).await.unwrap();
    assert_eq!(before.claims[0].supply, None, "a site without a default pool");
    let pool = house.new_node("supply:pool", &[(Resource::BYTES, 8)]);
    let id = pool.id;
    let set = "INSERT INTO settings (key, value) VALUES ($1, $2)";
    let unit = by().create_allotment(pool).rows(move |tx| tx.execute(set, &params![DEFAULT_POOL, id]));
    house.write(unit).await.unwrap();
    let after = house.write(by().charge(default(house))).await.unwrap();
    assert_eq!(after.claims[0].supply, Some(id));
    assert_eq!(house.load("supply:pool").await, (5, 0));
    let full = refusals(house.write(by().charge(default(house))).await);
    assert_eq!(full, ["pool: bytes limit 8, used 5, pending 0, asked 5"]);
    house.hold("site", 5).await.unwrap();
    house.reopen().await;
    let full = refusals(house.write(by().charge(default(house))).await);
    assert_eq!(full, ["pool: bytes limit 8, used 5, pending 0, asked 5"]);
}

async fn the_largest_amounts_are_counted_to_the_last_unit(house: &mut House) {
    house.make("site", &[(Resource::BYTES, AMOUNT_MAX)]).await;
    house.make("site/a", &[(Resource::BYTES, AMOUNT_MAX)]).await;
    house.make("site/b", &[(Resource::BYTES, AMOUNT_MAX)]).await;
    let id = house.hold("site/a", AMOUNT_MAX - 1).await.unwrap();
    house.reopen().await;
    house.reserve("site/b", 1, 100).await.unwrap();
    let full = format!("site: bytes limit {AMOUNT_MAX}, used {}, pending 1, asked 1", AMOUNT_MAX - 1);
    assert_eq!(refusals(house.hold("site", 1).await), std::slice::from_ref(&full));
    assert_eq!(refusals(house.write(by().set(id, bytes(AMOUNT_MAX))).await), [full]);
    assert_eq!(house.load("site").await, (AMOUNT_MAX - 1, 1));
    let promised = house.balance("site", Resource::BYTES).await.promised;
    assert_eq!(promised, 2 * u128::from(AMOUNT_MAX));
}

async fn a_unit_of_many_charges_is_admitted_as_a_whole_or_not_at_all(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 1000)]).await;
    let many = |house: &House, last| {
        let unit = (0..999).fold(by(), |unit, _| unit.charge(house.claim("site", bytes(1))));
        unit.charge(house.claim("site", bytes(last)))
    };
    let refused = refusals(house.write(many(house, 2)).await);
    assert_eq!(refused, ["site: bytes limit 1000, used 999, pending 0, asked 2"]);
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 0);
    assert_eq!(house.load("site").await, (0, 0));
    let done = house.write(many(house, 1)).await.unwrap();
    assert_eq!(done.claims.len(), 1000);
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 1000);
    let all = done.claims.iter().fold(by(), |unit, claim| unit.release(claim.id));
    house.write(all).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM claims").await, 0);
}

async fn what_is_not_there_is_not_found(house: &mut House) {
    house.make("site", &[]).await;
    let id = house.hold("site", 1).await.unwrap();
    let nowhere = ledger::AllotmentId(house.store.new_id());
    assert_eq!(word(&house.hold("site/nobody", 1).await), "not found");
    assert_eq!(word(&house.write(by().relocate(id, Some(nowhere))).await), "not found");
    let supply = SupplyRef::At(path("supply:nothing"));
    let claim = NewClaim { supply, ..house.claim("site", bytes(1)) };
    assert_eq!(word(&house.write(by().charge(claim)).await), "not found");
    let claim = NewClaim { demand: Some(nowhere.into()), ..house.claim("site", bytes(1)) };
    assert_eq!(word(&house.write(by().charge(claim)).await), "not found");
}

async fn a_claim_cannot_lie_on_the_wrong_side(house: &mut House) {
    house.make("site", &[]).await;
    let pool = house.make("supply:pool", &[]).await;
    let id = house.hold("site", 1).await.unwrap();
    assert_eq!(word(&house.hold("supply:pool", 1).await), "invalid");
    assert_eq!(word(&house.write(by().relocate(id, Some(pool))).await), "invalid");
    let claim = NewClaim { supply: SupplyRef::At(path("site")), ..house.claim("site", bytes(1)) };
    assert_eq!(word(&house.write(by().charge(claim)).await), "invalid");
}

async fn claims_are_listed_by_what_they_are(house: &mut House) {
    let site = house.make("site", &[]).await;
    house.make("site/a", &[]).await;
    let pending = house.reserve("site", 1, 100).await.unwrap();
    let held = house.hold("site", 2).await.unwrap();
    let drive = Managed::new("cloudsigma", "drive", "x");
    let subject = Some("photo.jpg".to_owned());
    let claim = NewClaim { managed_by: Some(drive), subject, ..house.claim("site/a", bytes(3)) };
    let managed = claim.id;
    house.write(by().charge(claim)).await.unwrap();
    let list = async |filter: ClaimFilter| {
        let filter = ClaimFilter { limit: 10, ..filter };
        let found = house.store.read(move |tx| store::claims::list(tx, &filter)).await.unwrap();
        let mut ids: Vec<_> = found.iter().map(|claim| claim.id).collect();
        ids.sort_by_key(|id| [pending, held, managed].iter().position(|known| known == id));
        ids
    };
    let all = ClaimFilter::default();
    assert_eq!(list(all.clone()).await, [pending, held, managed]);
    assert_eq!(list(ClaimFilter { allotment: Some(site), ..all.clone() }).await, [pending, held]);
    assert_eq!(list(ClaimFilter { state: Some(ClaimState::Pending), ..all.clone() }).await, [pending]);
    assert_eq!(list(ClaimFilter { subject: Some("photo.jpg".into()), ..all.clone() }).await, [managed]);
    assert_eq!(list(ClaimFilter { managed: Some("cloudsigma/drive".into()), ..all.clone() }).await, [managed]);
    assert_eq!(list(ClaimFilter { managed: Some("cloudsigma/driv".into()), ..all.clone() }).await, []);
    let tenant = store::TenantId(site.0);
    assert_eq!(list(ClaimFilter { tenant: Some(tenant), ..all.clone() }).await, [pending, held, managed]);
    assert_eq!(list(ClaimFilter { tenant: Some(store::TenantId(held.0)), ..all }).await, []);
}
