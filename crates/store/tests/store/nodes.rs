//! Two nodes on one PostgreSQL: nobody passes a limit, and each sees what the other has changed.

use ledger::{Amounts, ClaimId, Overcommit, Resource};
use store::{AllotmentPatch, Error, Idempotency, NewClaim, Store, SupplyRef, Unit};
use tokio::task::JoinHandle;

use crate::house::{House, all, by, bytes, path, refusals, word};

type Answer = Result<store::Done<()>, Error>;

async fn two() -> Option<(House, Store)> {
    let house = House::postgres().await?;
    let other = Store::open(house.options()).await.unwrap();
    Some((house, other))
}

fn send(store: &Store, unit: Unit) -> JoinHandle<Answer> {
    let store = store.clone();
    tokio::spawn(async move { store.write(unit).await })
}

fn charge(store: &Store, at: &str, amounts: Amounts) -> Unit {
    let id = ClaimId(store.new_id());
    by().charge(NewClaim { supply: SupplyRef::None, ..NewClaim::held(id, path(at), amounts) })
}

#[tokio::test]
async fn two_nodes_charge_one_hot_root_to_the_last_unit_and_not_past_it() {
    let Some((house, other)) = two().await else { return };
    house.make("site", &[(Resource::BYTES, 1_000)]).await;
    for n in 0..8 {
        house.make(&format!("site/n{n}"), &[]).await;
    }
    let stores = [&house.store, &other];
    let charge = |n: usize| send(stores[n % 2], charge(stores[n % 2], &format!("site/n{}", n / 2 % 8), bytes(2)));
    let answers: Vec<Answer> = all((0..1_200).map(charge).collect()).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 500);
    assert_eq!(answers.iter().filter(|answer| word(answer) == "refused").count(), 700);
    assert_eq!(house.load("site").await, (1_000, 0));
    house.finds_nothing().await;
}

#[tokio::test]
async fn two_nodes_release_and_resize_the_same_claims_once() {
    let Some((house, other)) = two().await else { return };
    house.make("site", &[]).await;
    house.make("site/a", &[]).await;
    for _ in 0..10 {
        let mut tasks = Vec::new();
        for _ in 0..10 {
            let id = house.hold("site/a", 5).await.unwrap();
            tasks.push(send(&house.store, by().release(id)));
            tasks.push(send(&other, by().set(id, bytes(9))));
            tasks.push(send(&other, by().release(id)));
        }
        let answers = all(tasks).await;
        for three in answers.chunks(3) {
            let released = [&three[0], &three[2]].into_iter().filter(|answer| answer.is_ok()).count();
            assert_eq!(released, 1, "{three:?}");
        }
    }
    assert_eq!(house.load("site").await, (0, 0));
    house.finds_nothing().await;
}

#[tokio::test]
async fn each_node_sees_at_once_what_the_other_has_made_of_the_tree() {
    let Some((house, other)) = two().await else { return };
    house.make("site", &[(Resource::BYTES, 10)]).await;
    house.make("site/a", &[]).await;
    other.write(charge(&other, "site/a", bytes(4))).await.unwrap();
    let patch = AllotmentPatch::default;
    house.limit("site", Resource::BYTES, 5).await.unwrap();
    let refused = refusals(other.write(charge(&other, "site/a", bytes(2))).await);
    assert_eq!(refused, ["site: bytes limit 5, used 4, pending 0, asked 2"]);
    let rename = AllotmentPatch { name: Some("b".parse().unwrap()), ..patch() };
    house.write(by().change_allotment(path("site/a"), rename)).await.unwrap();
    assert_eq!(word(&other.write(charge(&other, "site/a", bytes(1))).await), "not found");
    let refused = refusals(other.write(charge(&other, "site/b", bytes(2))).await);
    assert_eq!(refused, ["site: bytes limit 5, used 4, pending 0, asked 2"]);
    other.write(charge(&other, "site/b", bytes(1))).await.unwrap();
    let overcommit = AllotmentPatch { overcommit: Some(Some(Overcommit { permille: 1000 })), ..patch() };
    house.write(by().change_allotment(path("site"), overcommit)).await.unwrap();
    let new = house.new_node("site/c", &[(Resource::BYTES, 6)]);
    assert_eq!(word(&other.write(by().create_allotment(new)).await), "overcommitted");
    let ended = AllotmentPatch { expires_at: Some(Some(house.store.now())), ..patch() };
    house.write(by().change_allotment(path("site/b"), ended)).await.unwrap();
    assert_eq!(word(&other.write(charge(&other, "site/b", bytes(1))).await), "frozen");
    house.make("site/d", &[]).await;
    house.limit("site", Resource::BYTES, 100).await.unwrap();
    other.write(charge(&other, "site/d", bytes(1))).await.unwrap();
    house.tamper("UPDATE allotments SET frozen = TRUE WHERE path = 'site/d'").await;
    assert_eq!(word(&other.write(charge(&other, "site/d", bytes(1))).await), "frozen");
    house.make("site/e", &[]).await;
    other.write(by().remove_allotment(path("site/e"))).await.unwrap();
    assert_eq!(word(&house.hold("site/e", 1).await), "not found");
    house.finds_nothing().await;
}

#[tokio::test]
async fn a_key_sent_to_both_nodes_has_one_effect() {
    let Some((house, other)) = two().await else { return };
    house.make("site", &[]).await;
    for n in 0..10 {
        let key = || Idempotency {
            principal: "alice".to_owned(),
            route: "a".to_owned(),
            key: format!("k{n}"),
            fingerprint: [1; 32],
            render: Box::new(|_| "done".to_owned()),
        };
        let both = [&house.store, &other].map(|store| send(store, charge(store, "site", bytes(1)).idempotent(key())));
        let mut answers = all(both.into_iter().collect()).await.iter().map(word).collect::<Vec<_>>();
        answers.sort_unstable();
        assert_eq!(answers, ["ok", "replayed"]);
    }
    assert_eq!(house.load("site").await, (10, 0));
    house.finds_nothing().await;
}

#[tokio::test]
async fn nodes_that_change_the_tree_and_charge_on_it_at_once_stay_exact() {
    let Some((house, other)) = two().await else { return };
    house.make("site", &[(Resource::BYTES, 1_000_000)]).await;
    let mut tasks = Vec::new();
    for n in 0..40 {
        let (one, two) = if n % 2 == 0 { (&house.store, &other) } else { (&other, &house.store) };
        let at = format!("site/n{n}");
        house.make(&at, &[(Resource::BYTES, 10)]).await;
        for units in 1..6 {
            tasks.push(send(two, charge(two, &at, bytes(units))));
            let limits = vec![(Resource::BYTES, Some(10 + units))];
            tasks.push(send(
                one,
                by().change_allotment(path(&at), AllotmentPatch { limits, ..AllotmentPatch::default() }),
            ));
            tasks.push(send(two, by().remove_allotment(path(&at))));
        }
    }
    for answer in all(tasks).await {
        assert!(matches!(word(&answer), "ok" | "refused" | "not found" | "conflict"), "{answer:?}");
    }
    house.finds_nothing().await;
}
