//! Many at once.

use serde_json::json;
use tokio::task::JoinSet;

use crate::house::{Answer, House, V1, send};

on_both! {
    of_twenty_creates_on_ten_gb_ten_succeed
    creates_changes_and_transfers_at_once_never_promise_more_than_there_is
    of_two_department_spaces_made_at_once_one_is_made
}

/// Sends them all at once, signed now.
async fn all(house: &House, calls: Vec<(String, serde_json::Value)>) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for (at, (path, body)) in calls.into_iter().enumerate() {
        let (door, body) = (house.door.clone(), body.to_string());
        let headers = house.signer().headers("POST", &path, &[], body.as_bytes());
        tasks.spawn(async move { (at, send(&door, "POST", &path, &headers, body.as_bytes()).await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn count(answers: &[Answer], code: u32) -> usize {
    answers.iter().filter(|answer| answer.json()["code"] == code).count()
}

/// Checklist 23.
async fn of_twenty_creates_on_ten_gb_ten_succeed(house: House) {
    house.make("big", 1, 990).await.expect(0);
    let calls = (0..20).map(|owner| (format!("{V1}/{owner}"), json!({ "type": 1, "capacity": 1 }))).collect();
    let answers = all(&house, calls).await;
    assert_eq!((count(&answers, 0), count(&answers, 13_000_311)), (10, 10));
    assert_eq!(house.figures().await[1], (1000, 1000));
    house.assert_sound().await;
}

async fn creates_changes_and_transfers_at_once_never_promise_more_than_there_is(house: House) {
    house.make("big", 1, 980).await.expect(0);
    let mut calls = Vec::new();
    for at in 0..30 {
        calls.push((format!("{V1}/{at}"), json!({ "type": 1, "capacity": 1 })));
        let (from, to) = if at % 2 == 0 { (1, 0) } else { (2, 1) };
        let target = json!([{ "type": to, "expandCapacity": 1 }]);
        calls.push((format!("{V1}/allocation/transfer"), json!({ "originType": from, "target": target })));
    }
    let answers = all(&house, calls).await;
    let creates = answers.iter().step_by(2).filter(|answer| answer.json()["code"] == 0).count() as u64;
    let moved: Vec<u64> =
        answers.iter().skip(1).step_by(2).map(|answer| u64::from(answer.json()["code"] == 0)).collect();
    let away: u64 = moved.iter().step_by(2).sum();
    let back: u64 = moved.iter().skip(1).step_by(2).sum();
    assert_eq!(count(&answers, 0) + count(&answers, 13_000_311), 60);
    let wanted = [(0, 2000 + away), (980 + creates, 1000 + back - away), (0, 500 - back)];
    assert_eq!(house.figures().await, wanted);
    assert!(980 + creates <= 1000 + back - away);
    // Whatever the order, nothing is left over that somebody was refused for at the end.
    assert_eq!(back, 15);
    house.assert_sound().await;
}

async fn of_two_department_spaces_made_at_once_one_is_made(house: House) {
    let calls = (0..8).map(|_| (format!("{V1}/600"), json!({ "type": 0, "capacity": 1 }))).collect();
    let answers = all(&house, calls).await;
    assert_eq!((count(&answers, 0), count(&answers, 13_000_102)), (1, 7));
    assert_eq!(house.figures().await[0], (1, 2000));
    house.assert_sound().await;
}
