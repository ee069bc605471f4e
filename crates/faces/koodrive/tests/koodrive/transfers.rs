//! What is not handed out goes from one type to another.

use serde_json::{Value, json};

use crate::house::{Answer, GB, House, V1};

on_both! {
    a_transfer_moves_totals_and_keeps_their_sum
    a_transfer_of_too_much_moves_nothing
    a_target_may_be_one_object
    a_transfer_to_where_it_came_from_nets_to_zero
    what_makes_no_sense_is_told
}

async fn transfer(house: &House, body: Value) -> Answer {
    house.post(&format!("{V1}/allocation/transfer"), body).await
}

// Checklist 21 and 22.

async fn a_transfer_moves_totals_and_keeps_their_sum(house: House) {
    house.make("600", 0, 1000).await.expect(0);
    let target = json!([{ "type": 1, "expandCapacity": 400 }, { "type": "2", "expandCapacity": "600" }]);
    let told = transfer(&house, json!({ "originType": 0, "target": target })).await.expect(0).json();
    assert_eq!(told, json!({ "code": 0, "msg": "Successful" }));
    assert_eq!(house.figures().await, [(1000, 1000), (0, 1400), (0, 1100)]);
    house.make("601", 0, 1).await.expect(13_000_311);
    house.assert_sound().await;
}

async fn a_transfer_of_too_much_moves_nothing(house: House) {
    house.make("600", 0, 1000).await.expect(0);
    let before = house.figures().await;
    for target in [
        json!([{ "type": 1, "expandCapacity": 1001 }]),
        json!([{ "type": 1, "expandCapacity": 600 }, { "type": 2, "expandCapacity": 401 }]),
        json!([{ "type": 0, "expandCapacity": 600 }, { "type": 2, "expandCapacity": 401 }]),
        json!([{ "type": 1, "expandCapacity": 3000 }]),
        json!([{ "type": 1, "expandCapacity": 1_u64 << 40 }]),
    ] {
        transfer(&house, json!({ "originType": 0, "target": target })).await.expect(13_000_311);
        assert_eq!(house.figures().await, before);
    }
    // What is used is not there to be moved, even if nothing of it was handed out as a space.
    let used = house.store.read({
        let acme = house.acme;
        move |tx| {
            let sql = "SELECT n.id FROM allotments f JOIN allotments n ON n.parent_id = f.id \
                WHERE f.parent_id = $1 AND f.name = 'koodrive' AND n.name = 'group'";
            tx.query_opt(sql, &store::params![acme])?.unwrap().get::<uuid::Uuid>(0)
        }
    });
    let group = json!({ "containerId": used.await.unwrap().to_string() });
    house.claim(&group, 400 * GB).await.unwrap();
    let target = json!({ "type": 0, "expandCapacity": 101 });
    transfer(&house, json!({ "originType": 2, "target": target })).await.expect(13_000_311);
    let target = json!({ "type": 0, "expandCapacity": 100 });
    transfer(&house, json!({ "originType": 2, "target": target })).await.expect(0);
}

async fn a_target_may_be_one_object(house: House) {
    transfer(&house, json!({ "originType": "2", "target": { "type": 0, "expandCapacity": 5 } })).await.expect(0);
    assert_eq!(house.figures().await, [(0, 2005), (0, 1000), (0, 495)]);
}

async fn a_transfer_to_where_it_came_from_nets_to_zero(house: House) {
    house.make("600", 0, 1990).await.expect(0);
    transfer(&house, json!({ "originType": 0, "target": [{ "type": 0, "expandCapacity": 10 }] })).await.expect(0);
    transfer(&house, json!({ "originType": 0, "target": [{ "type": 0, "expandCapacity": 11 }] }))
        .await
        .expect(13_000_311);
    assert_eq!(house.figures().await[0], (1990, 2000));
}

async fn what_makes_no_sense_is_told(house: House) {
    let before = house.figures().await;
    let many: Vec<_> = (0..17).map(|_| json!({ "type": 1, "expandCapacity": 1 })).collect();
    for body in [
        json!({}),
        json!({ "originType": 0 }),
        json!({ "target": [{ "type": 1, "expandCapacity": 1 }] }),
        json!({ "originType": 3, "target": [{ "type": 1, "expandCapacity": 1 }] }),
        json!({ "originType": 0, "target": [] }),
        json!({ "originType": 0, "target": "1" }),
        json!({ "originType": 0, "target": [1] }),
        json!({ "originType": 0, "target": [{ "type": 1, "expandCapacity": 0 }] }),
        json!({ "originType": 0, "target": [{ "type": 1, "expandCapacity": -5 }] }),
        json!({ "originType": 0, "target": [{ "type": 9, "expandCapacity": 1 }] }),
        json!({ "originType": 0, "target": [{ "type": 1, "expandCapacity": 1 }, { "type": 2 }] }),
        json!({ "originType": 0, "target": many }),
    ] {
        transfer(&house, body).await.expect(13_000_102);
    }
    let commas = br#"{ "originType": 0, "target": { "type": 1, "expandCapacity": 5, }, }"#;
    let path = format!("{V1}/allocation/transfer");
    let headers = house.signer().headers("POST", &path, &[], commas);
    house.send("POST", &path, &headers, commas).await.expect(13_000_102);
    assert_eq!(house.figures().await, before);
}
