//! Always-holds 2: no claim passes a limit, whatever the concurrency.

use ledger::Resource;
use store::{Error, NewClaim, SupplyRef};

use crate::house::{House, all, by, bytes, path, word, words};

on_both! {
    of_a_hundred_concurrent_charges_into_room_for_forty_forty_succeed
    of_two_concurrent_releases_one_succeeds
    two_concurrent_resizes_leave_the_claim_at_one_of_the_two
    a_resize_beside_a_release_leaves_nothing
    of_two_concurrent_settlements_one_succeeds
    a_claim_moved_to_two_places_at_once_is_in_one
    of_two_concurrent_removals_one_succeeds
    an_allotment_is_not_removed_under_a_claim_that_is_being_made
    of_two_concurrent_allotments_of_one_path_one_is_made
}

async fn of_a_hundred_concurrent_charges_into_room_for_forty_forty_succeed(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 1000)]).await;
    house.make("supply:pool", &[(Resource::BYTES, 400)]).await;
    for n in 0..10 {
        house.make(&format!("site/n{n}"), &[]).await;
    }
    let charge = |n: usize| {
        let supply = SupplyRef::At(path("supply:pool"));
        house.send(by().charge(NewClaim { supply, ..house.claim(&format!("site/n{}", n % 10), bytes(10)) }))
    };
    let answers = all((0..100).map(charge).collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 40);
    assert_eq!(answers.iter().filter(|answer| matches!(answer, Err(Error::Refused(_)))).count(), 60);
    assert_eq!((house.load("site").await, house.load("supply:pool").await), ((400, 0), (400, 0)));
}

async fn of_two_concurrent_releases_one_succeeds(house: &mut House) {
    house.make("site", &[]).await;
    house.hold("site", 3).await.unwrap();
    for _ in 0..20 {
        let id = house.hold("site", 5).await.unwrap();
        let mut answers = words(&all(vec![house.send(by().release(id)), house.send(by().release(id))]).await);
        answers.sort_unstable();
        assert_eq!(answers, ["not found", "ok"]);
    }
    assert_eq!(house.load("site").await, (3, 0));
}

async fn two_concurrent_resizes_leave_the_claim_at_one_of_the_two(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let id = house.hold("site", 1).await.unwrap();
    for _ in 0..20 {
        let answers = all(vec![house.send(by().set(id, bytes(10))), house.send(by().set(id, bytes(3)))]).await;
        assert_eq!(words(&answers), ["ok", "ok"]);
        let size = house.find_claim(id).await.unwrap().amounts.get(Resource::BYTES);
        assert!(size == 10 || size == 3, "{size}");
        assert_eq!(house.load("site").await, (size, 0));
    }
}

async fn a_resize_beside_a_release_leaves_nothing(house: &mut House) {
    house.make("site", &[]).await;
    for _ in 0..20 {
        let id = house.hold("site", 1).await.unwrap();
        let answers = all(vec![house.send(by().set(id, bytes(10))), house.send(by().release(id))]).await;
        assert!(matches!(word(&answers[0]), "ok" | "not found"));
        assert_eq!(word(&answers[1]), "ok");
    }
    assert_eq!(house.load("site").await, (0, 0));
}

async fn of_two_concurrent_settlements_one_succeeds(house: &mut House) {
    house.make("site", &[]).await;
    let id = house.reserve("site", 5, 100).await.unwrap();
    let settle = |units| house.send(by().settle(id, Some(bytes(units))));
    let answers = all(vec![settle(4), settle(3)]).await;
    let mut told = words(&answers);
    told.sort_unstable();
    assert_eq!(told, ["conflict", "ok"]);
    let size = house.find_claim(id).await.unwrap().amounts.get(Resource::BYTES);
    assert_eq!(house.load("site").await, (size, 0));
}

async fn a_claim_moved_to_two_places_at_once_is_in_one(house: &mut House) {
    house.make("site", &[]).await;
    let (a, b) = (house.make("site/a", &[]).await, house.make("site/b", &[]).await);
    let id = house.hold("site", 5).await.unwrap();
    let answers = all(vec![house.send(by().relocate(id, Some(a))), house.send(by().relocate(id, Some(b)))]).await;
    assert_eq!(words(&answers), ["ok", "ok"]);
    let (a, b) = (house.load("site/a").await.0, house.load("site/b").await.0);
    assert_eq!((a + b, house.load("site").await), (5, (5, 0)));
}

async fn of_two_concurrent_removals_one_succeeds(house: &mut House) {
    house.make("site", &[]).await;
    house.make("site/a", &[(Resource::BYTES, 5)]).await;
    let remove = || house.send(by().remove_allotment(path("site/a")));
    let mut answers = words(&all(vec![remove(), remove()]).await);
    answers.sort_unstable();
    assert_eq!(answers, ["not found", "ok"]);
    assert_eq!(house.node("site").await.children, 0);
}

async fn an_allotment_is_not_removed_under_a_claim_that_is_being_made(house: &mut House) {
    house.make("site", &[]).await;
    for _ in 0..20 {
        house.make("site/a", &[(Resource::BYTES, 5)]).await;
        let charge = house.send(by().charge(house.claim("site/a", bytes(1))));
        let remove = house.send(by().remove_allotment(path("site/a")));
        let (charged, removed) = (charge.await.unwrap(), remove.await.unwrap());
        match (word(&charged), word(&removed)) {
            ("ok", "conflict") => {
                let id = charged.unwrap().claims[0].id;
                house.write(by().release(id).remove_allotment(path("site/a"))).await.unwrap();
            }
            ("not found", "ok") => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(house.load("site").await, (0, 0));
}

async fn of_two_concurrent_allotments_of_one_path_one_is_made(house: &mut House) {
    house.make("site", &[]).await;
    let make = || house.send(by().create_allotment(house.new_node("site/a", &[(Resource::BYTES, 5)])));
    let mut answers = words(&all(vec![make(), make()]).await);
    answers.sort_unstable();
    assert_eq!(answers, ["conflict", "ok"]);
    let site = house.node("site").await;
    assert_eq!((site.children, site.balance(Resource::BYTES).promised), (1, 5));
}
