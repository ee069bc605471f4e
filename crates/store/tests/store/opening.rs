//! Opening: what was there is there, and what is too new is left alone.

use ledger::Resource;
use store::{Error, Migrations, Options, Store};

use crate::house::{House, THINGS, by, bytes, insert_thing, refusals};

on_both! {
    what_was_committed_is_there_after_a_restart
    a_database_of_a_newer_version_is_refused_with_a_sentence
    tables_are_brought_up_to_date
    a_sites_own_resources_stay_declared_in_their_order
    a_wrong_name_of_a_resource_is_refused
}

async fn what_was_committed_is_there_after_a_restart(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.make("site/a", &[(Resource::OBJECTS, 3)]).await;
    let held = house.hold("site/a", 10).await.unwrap();
    let pending = house.reserve("site", 5, 60).await.unwrap();
    house.write(by().rows(|tx| insert_thing(tx, "a"))).await.unwrap();
    let before = (house.node("site").await, house.node("site/a").await);
    let claims = (house.find_claim(held).await, house.find_claim(pending).await);
    for _ in 0..2 {
        house.reopen().await;
        assert_eq!((house.node("site").await, house.node("site/a").await), before);
        assert_eq!((house.find_claim(held).await, house.find_claim(pending).await), claims);
        assert_eq!(house.number("SELECT count(*) FROM things").await, 1);
        assert_eq!(refusals(house.hold("site/a", 86).await), ["site: bytes limit 100, used 10, pending 5, asked 86"]);
    }
}

const NEWER: Migrations = Migrations {
    owner: "things",
    steps: &[THINGS.steps[0], ("V2__colours", "ALTER TABLE things ADD COLUMN colour TEXT;")],
};

async fn open(options: Options) -> Result<Store, Error> {
    Store::open(options).await
}

async fn a_database_of_a_newer_version_is_refused_with_a_sentence(house: &mut House) {
    house.store.close().await;
    open(Options { migrations: vec![NEWER], ..house.options() }).await.unwrap().close().await;
    let refused = open(house.options()).await.err().unwrap();
    assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    let told = refused.to_string();
    assert!(told.starts_with("this database is not one this version of Plimsoll can use (things): "), "{told}");
    house.store = open(Options { migrations: vec![NEWER], ..house.options() }).await.unwrap();
}

async fn tables_are_brought_up_to_date(house: &mut House) {
    house.write(by().rows(|tx| insert_thing(tx, "a"))).await.unwrap();
    house.store.close().await;
    house.store = open(Options { migrations: vec![NEWER], ..house.options() }).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM things WHERE colour IS NULL").await, 1);
}

async fn a_sites_own_resources_stay_declared_in_their_order(house: &mut House) {
    house.store.close().await;
    let with =
        |names: &[&str]| Options { resources: names.iter().map(ToString::to_string).collect(), ..house.options() };
    let store = open(with(&["gpus", "bytes", "seats"])).await.unwrap();
    let gpus = store.catalog().find("gpus").unwrap();
    assert!(gpus < store.catalog().find("seats").unwrap());
    store.close().await;
    // Declared the other way round, and one more: what was there stays where it was.
    house.store = open(with(&["tapes", "seats"])).await.unwrap();
    let own: Vec<&str> = house.store.catalog().iter().skip(13).map(|resource| resource.name()).collect();
    assert_eq!(own, ["gpus", "seats", "tapes"]);
    house.make("site", &[(gpus, 2)]).await;
    let claim = house.claim("site", bytes(1).with(gpus, 2).unwrap());
    house.write(by().charge(claim)).await.unwrap();
    house.reopen().await;
    let claim = house.claim("site", bytes(1).with(gpus, 1).unwrap());
    assert_eq!(refusals(house.write(by().charge(claim)).await), ["site: gpus limit 2, used 2, pending 0, asked 1"]);
}

async fn a_wrong_name_of_a_resource_is_refused(house: &mut House) {
    house.store.close().await;
    let options = Options { resources: vec!["No Name".to_owned()], ..house.options() };
    assert!(matches!(open(options).await, Err(Error::Invalid(_))));
    house.reopen().await;
}
