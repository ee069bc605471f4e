//! Nodes that move under another parent, with all that lies below them.

use ledger::Resource;
use store::{AllotmentPatch, AllotmentRef, Error, Unit};

use crate::house::{House, by, bytes, path, refusals, word};

on_both! {
    what_is_charged_below_a_node_moves_with_it
    a_limit_above_the_new_place_may_refuse_and_nothing_has_moved
    a_node_stays_within_its_tree_and_out_of_itself
    what_comes_behind_a_move_in_its_batch_finds_it_moved
    a_move_whose_unit_fails_is_undone
}

fn to(parent: &str) -> AllotmentPatch {
    AllotmentPatch { parent: Some(path(parent)), ..AllotmentPatch::default() }
}

async fn lies(house: &House, reference: AllotmentRef) -> Option<(String, u64)> {
    let found = house.store.read(move |tx| store::allotments::find(tx, &reference)).await.unwrap();
    found.map(|node| (node.path, node.depth))
}

async fn what_is_charged_below_a_node_moves_with_it(house: &mut House) {
    for name in ["site", "site/a", "site/a/b", "site/a/b/c", "site/d", "site/d/e"] {
        house.make(name, &[(Resource::BYTES, 100)]).await;
    }
    let leaf = house.store.read(|tx| store::allotments::find(tx, &path("site/a/b/c"))).await.unwrap().unwrap().id;
    house.hold("site/a/b/c", 7).await.unwrap();
    house.hold("site/a/b", 2).await.unwrap();
    house.reserve("site/a/b/c", 5, 60).await.unwrap();
    house.write(by().change_allotment(path("site/a/b"), to("site/d/e"))).await.unwrap();
    assert_eq!(lies(house, leaf.into()).await, Some(("site/d/e/b/c".to_owned(), 4)));
    for (name, load) in [("site", (9, 5)), ("site/a", (0, 0)), ("site/d", (9, 5)), ("site/d/e", (9, 5))] {
        assert_eq!(house.load(name).await, load, "{name}");
    }
    house.hold("site/d/e/b/c", 1).await.unwrap();
    assert_eq!((house.load("site/d").await, house.load("site/a").await), ((10, 5), (0, 0)));
    assert_eq!(house.store.doctor().await.unwrap().drift, vec![]);
}

async fn a_limit_above_the_new_place_may_refuse_and_nothing_has_moved(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.make("site/a", &[]).await;
    house.make("site/full", &[(Resource::BYTES, 10)]).await;
    house.hold("site/a", 8).await.unwrap();
    house.hold("site/full", 3).await.unwrap();
    let refused = house.write(by().change_allotment(path("site/a"), to("site/full"))).await.map(drop);
    assert_eq!(refusals(refused), ["site/full: bytes limit 10, used 3, pending 0, asked 8"]);
    assert_eq!((house.load("site/full").await, house.load("site/a").await), ((3, 0), (8, 0)));
    assert_eq!(house.store.doctor().await.unwrap().drift, vec![]);
}

async fn a_node_stays_within_its_tree_and_out_of_itself(house: &mut House) {
    for name in ["site", "site/a", "site/a/b", "site/c", "site/c/a", "other"] {
        house.make(name, &[]).await;
    }
    for (node, parent, told) in [
        ("site/a", "site/a/b", "conflict"),
        ("site/a", "site/a", "conflict"),
        ("site/a", "site/c", "conflict"),
        ("site/a", "other", "invalid"),
        ("site", "other", "invalid"),
        ("site/a", "nowhere", "not found"),
    ] {
        let moved = house.write(by().change_allotment(path(node), to(parent))).await;
        assert_eq!(word(&moved), told, "{node} to {parent}");
    }
    // Where it lies already is no move.
    house.write(by().change_allotment(path("site/a"), to("site"))).await.unwrap();
    let managed = Unit::by(store::Actor::system("test")).unmanaged();
    let patch = AllotmentPatch { managed_by: Some(Some(store::Managed::new("f", "n", "i"))), ..to("site/c/a") };
    house.write(by().change_allotment(path("site/a/b"), patch)).await.unwrap();
    let moved = house.store.write(managed.change_allotment(path("site/c/a/b"), to("site/a"))).await;
    assert!(matches!(moved, Err(Error::Managed(_))));
    assert_eq!(house.store.doctor().await.unwrap().drift, vec![]);
}

async fn what_comes_behind_a_move_in_its_batch_finds_it_moved(house: &mut House) {
    for name in ["site", "site/a", "site/a/b", "site/c"] {
        house.make(name, &[]).await;
    }
    let leaf = house.store.read(|tx| store::allotments::find(tx, &path("site/a/b"))).await.unwrap().unwrap().id;
    let node = ledger::AllotmentId(house.store.new_id());
    let new = store::NewAllotment::new(node, Some(leaf.into()), "d".parse().unwrap());
    let claim = store::NewClaim::held(ledger::ClaimId(house.store.new_id()), node, bytes(3));
    let unit = by().change_allotment(path("site/a"), to("site/c")).create_allotment(new).charge(claim);
    house.write(unit).await.unwrap();
    assert_eq!(lies(house, node.into()).await, Some(("site/c/a/b/d".to_owned(), 4)));
    assert_eq!(house.load("site/c").await, (3, 0));
    assert_eq!(house.store.doctor().await.unwrap().drift, vec![]);
}

async fn a_move_whose_unit_fails_is_undone(house: &mut House) {
    for name in ["site", "site/a", "site/a/b", "site/c"] {
        house.make(name, &[(Resource::BYTES, 50)]).await;
    }
    house.hold("site/a/b", 5).await.unwrap();
    let failing = by()
        .change_allotment(path("site/a"), to("site/c"))
        .rows(|_| -> Result<(), Error> { Err(Error::Conflict("the noun does not want it".to_owned())) });
    // In one batch with a charge behind it, which finds everything where it was.
    let claim = house.claim("site/a/b", bytes(45));
    let answers = house.in_one_batch(vec![failing, by().charge(claim).rows(|_| Ok(()))]).await;
    assert_eq!(answers.iter().map(word).collect::<Vec<_>>(), ["conflict", "ok"]);
    assert_eq!((house.load("site/c").await, house.load("site/a").await), ((0, 0), (50, 0)));
    assert_eq!(refusals(house.hold("site/a/b", 1).await).len(), 3);
    assert_eq!(house.store.doctor().await.unwrap().drift, vec![]);
}
