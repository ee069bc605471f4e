//! Limits that move by an amount, and limits that must cover what there is.

use ledger::{Overcommit, Resource};
use store::{AllotmentPatch, NewAllotment, Unit};

use crate::house::{House, all, by, path, refusals, word};

on_both! {
    a_limit_moves_by_an_amount_from_one_node_to_others
    a_limit_that_cannot_move_moves_nothing
    a_covering_change_leaves_what_is_used_pending_and_promised_covered
    moves_made_at_once_neither_lose_nor_add_anything
}

const BYTES: Resource = Resource::BYTES;

fn by_so_much(units: i64) -> AllotmentPatch {
    AllotmentPatch { limits_by: vec![(BYTES, units)], covering: true, ..AllotmentPatch::default() }
}

fn moving(from: &str, to: &[(&str, i64)]) -> Unit {
    let sum: i64 = to.iter().map(|(_, units)| units).sum();
    let unit = by().change_allotment(path(from), by_so_much(-sum));
    to.iter().fold(unit, |unit, (at, units)| unit.change_allotment(path(at), by_so_much(*units)))
}

/// Two nodes that promise no more than they have.
async fn pair(house: &House, a: u64, b: u64) {
    house.make("site", &[]).await;
    for (at, units) in [("site/a", a), ("site/b", b)] {
        let new = house.new_node(at, &[(BYTES, units)]);
        let new = NewAllotment { overcommit: Some(Overcommit { permille: 1000 }), ..new };
        house.write(by().create_allotment(new)).await.unwrap();
    }
}

async fn limits(house: &House) -> [u64; 2] {
    [house.balance("site/a", BYTES).await.limit.unwrap(), house.balance("site/b", BYTES).await.limit.unwrap()]
}

async fn a_limit_moves_by_an_amount_from_one_node_to_others(house: &mut House) {
    pair(house, 100, 10).await;
    let done = house.write(moving("site/a", &[("site/b", 30), ("site/a", 5)])).await.unwrap();
    assert_eq!(done.allotments.len(), 3);
    assert_eq!(limits(house).await, [70, 40]);
    assert_eq!(house.balance("site", BYTES).await.promised, 110);
    house.reopen().await;
    house.write(moving("site/a", &[("site/b", 70)])).await.unwrap();
    assert_eq!(limits(house).await, [0, 110]);
}

async fn a_limit_that_cannot_move_moves_nothing(house: &mut House) {
    pair(house, 100, 10).await;
    house.make("site/a/child", &[(BYTES, 40)]).await;
    assert_eq!(word(&house.write(moving("site/a", &[("site/b", 30), ("site/b", 31)])).await), "overcommitted");
    assert_eq!(word(&house.write(moving("site/a", &[("site/a", 61)])).await), "overcommitted", "not even for a moment");
    let refused = refusals(house.write(moving("site/a", &[("site/b", 101)])).await);
    assert_eq!(refused, ["site/a: bytes limit 100, used 0, pending 0, asked 101"]);
    let most = AllotmentPatch { limits_by: vec![(BYTES, i64::MAX)], ..AllotmentPatch::default() };
    assert_eq!(word(&house.write(by().change_allotment(path("site/b"), most)).await), "invalid");
    let unlimited = AllotmentPatch { limits_by: vec![(Resource::OBJECTS, 1)], ..AllotmentPatch::default() };
    assert_eq!(word(&house.write(by().change_allotment(path("site/b"), unlimited)).await), "invalid");
    assert_eq!(word(&house.write(moving("site/a", &[("site/nowhere", 1)])).await), "not found");
    assert_eq!(limits(house).await, [100, 10]);
    house.write(moving("site/a", &[("site/b", 60)])).await.unwrap();
    assert_eq!(limits(house).await, [40, 70]);
}

async fn a_covering_change_leaves_what_is_used_pending_and_promised_covered(house: &mut House) {
    pair(house, 100, 100).await;
    let to = |units: Option<u64>, covering| AllotmentPatch {
        limits: vec![(BYTES, units)],
        covering,
        ..AllotmentPatch::default()
    };
    let set = async |units, covering| house.write(by().change_allotment(path("site/a"), to(units, covering))).await;
    house.hold("site/a", 50).await.unwrap();
    house.reserve("site/a", 20, 60).await.unwrap();
    assert_eq!(refusals(set(Some(69), true).await), ["site/a: bytes limit 69, used 50, pending 20, asked 0"]);
    assert_eq!(word(&set(Some(70), true).await), "ok");
    assert_eq!(word(&set(Some(10), false).await), "ok", "who does not ask for it may go below");
    assert_eq!(word(&set(Some(20), true).await), "ok", "and back up, though it is still below");
    assert_eq!(word(&set(None, true).await), "ok");
    assert_eq!(word(&set(Some(20), true).await), "refused", "from unlimited it is a lower one");
    house.make("site/b/child", &[(BYTES, 80)]).await;
    assert_eq!(word(&house.write(by().change_allotment(path("site/b"), to(Some(79), true))).await), "overcommitted");
    assert_eq!(word(&house.write(by().change_allotment(path("site/b"), to(Some(80), true))).await), "ok");
}

async fn moves_made_at_once_neither_lose_nor_add_anything(house: &mut House) {
    pair(house, 50, 50).await;
    let there = (0..80).map(|_| house.send(moving("site/a", &[("site/b", 1)])));
    let back = (0..80).map(|_| house.send(moving("site/b", &[("site/a", 1)])));
    let sent = there.chain(back).collect::<Vec<_>>();
    let done = all(sent).await;
    let count = |answers: &[Result<_, _>]| answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    let (there, back) = (count(&done[..80]), count(&done[80..]));
    assert!(done.iter().all(|answer| matches!(word(answer), "ok" | "refused")));
    assert_eq!(limits(house).await, [50 + back - there, 50 + there - back]);
}
