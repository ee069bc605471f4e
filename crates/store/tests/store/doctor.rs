//! The doctor finds what is wrong, and says where.

use ledger::Resource;
use store::TenantId;

use crate::house::{House, by};

on_both! {
    a_healthy_house_is_counted_whole
    drift_is_found_and_named
}

async fn a_healthy_house_is_counted_whole(house: &mut House) {
    house.make("site", &[]).await;
    house.make("site/a", &[(Resource::BYTES, 10)]).await;
    house.make("supply:pool", &[]).await;
    house.hold("site/a", 1).await.unwrap();
    house.reserve("site", 1, 60).await.unwrap();
    house.reserve("site", 1, 30).await.unwrap();
    house.later(30);
    let doctor = house.store.doctor().await.unwrap();
    assert_eq!((doctor.allotments, doctor.claims, doctor.drift), (3, 2, vec![]));
}

async fn drift_is_found_and_named(house: &mut House) {
    let site = house.make("site", &[(Resource::BYTES, 50)]).await;
    house.make("site/a", &[(Resource::BYTES, 10)]).await;
    house.make("supply:pool", &[]).await;
    let id = house.hold("site/a", 4).await.unwrap();
    let mine = |text: &str| (Some(TenantId(site.0)), text.to_owned());
    let cases = [
        (
            "UPDATE balances SET used = used + 1 WHERE quota = 50",
            "UPDATE balances SET used = used - 1 WHERE quota = 50",
            vec![mine("site: bytes used is noted as 5 and counted as 4")],
        ),
        (
            "UPDATE balances SET pending = 7 WHERE quota = 10",
            "UPDATE balances SET pending = 0 WHERE quota = 10",
            vec![mine("site/a: bytes pending is noted as 7 and counted as 0")],
        ),
        (
            "UPDATE balances SET promised = '11' WHERE quota = 50",
            "UPDATE balances SET promised = '10' WHERE quota = 50",
            vec![mine("site: bytes promised is noted as 11 and counted as 10")],
        ),
        (
            "UPDATE allotments SET children = 2 WHERE path = 'site'",
            "UPDATE allotments SET children = 1 WHERE path = 'site'",
            vec![mine("site: 2 children are noted and 1 are there")],
        ),
        (
            "UPDATE allotments SET path = 'site/b' WHERE path = 'site/a'",
            "UPDATE allotments SET path = 'site/a' WHERE path = 'site/b'",
            vec![mine("site/b does not lie where its parent site does")],
        ),
        (
            "UPDATE claims SET amounts = '{\"bytes\":3}'",
            "UPDATE claims SET amounts = '{\"bytes\":4}'",
            vec![
                mine("site: bytes used is noted as 4 and counted as 3"),
                mine("site/a: bytes used is noted as 4 and counted as 3"),
            ],
        ),
        (
            "UPDATE claims SET supply_id = (SELECT id FROM allotments WHERE side = 'supply')",
            "UPDATE claims SET supply_id = NULL",
            vec![(None, "pool: bytes used is noted as 0 and counted as 4".to_owned())],
        ),
        (
            "UPDATE claims SET demand_id = (SELECT id FROM allotments WHERE side = 'supply')",
            "UPDATE claims SET demand_id = (SELECT id FROM allotments WHERE path = 'site/a')",
            vec![
                (None, format!("claim {id} lies on the wrong side, on pool")),
                mine("site: bytes used is noted as 4 and counted as 0"),
                mine("site/a: bytes used is noted as 4 and counted as 0"),
            ],
        ),
    ];
    for (plant, undo, wanted) in cases {
        house.tamper(plant).await;
        assert_eq!(house.store.doctor().await.unwrap().drift, wanted, "after {plant}");
        house.tamper(undo).await;
        house.finds_nothing().await;
    }
    house.write(by().release(id)).await.unwrap();
}
