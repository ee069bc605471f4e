//! Readers: one picture of the database, and nobody waits for them.

use ledger::Resource;
use store::Error;

use crate::house::{Gate, House, by, insert_thing, word};

on_both! {
    a_long_read_sees_one_picture_and_does_not_hold_up_the_writer
    a_reader_sees_only_what_is_committed
    a_read_that_panics_fails_alone
    a_read_cannot_write
    the_store_is_ready_until_it_is_closed
}

async fn a_long_read_sees_one_picture_and_does_not_hold_up_the_writer(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.hold("site", 1).await.unwrap();
    let gate = Gate::default();
    let (began, wait) = tokio::sync::oneshot::channel();
    let (store, held) = (house.store.clone(), gate.clone());
    let reading = tokio::spawn(async move {
        let read = store.read(move |tx| {
            let count = "SELECT count(*), (SELECT used FROM balances) FROM claims";
            let look = |tx: &mut store::Tx| {
                let row = tx.query_opt(count, &[])?.unwrap();
                Ok::<_, Error>((row.get::<i64>(0)?, row.get::<i64>(1)?))
            };
            let before = look(tx)?;
            began.send(()).unwrap();
            held.pass();
            Ok((before, look(tx)?))
        });
        read.await.unwrap()
    });
    wait.await.unwrap();
    for _ in 0..50 {
        house.hold("site", 1).await.unwrap();
    }
    assert_eq!(house.load("site").await, (51, 0));
    gate.open();
    assert_eq!(reading.await.unwrap(), ((1, 1), (1, 1)));
}

async fn a_reader_sees_only_what_is_committed(house: &mut House) {
    let gate = Gate::default();
    let (began, wait) = tokio::sync::oneshot::channel();
    let (held, began) = (gate.clone(), std::sync::Mutex::new(Some(began)));
    // The first read of all lets go what has expired, and for that it waits for the writer.
    assert_eq!(house.number("SELECT count(*) FROM things").await, 0);
    let writing = house.send(by().rows(move |tx| {
        insert_thing(tx, "a")?;
        if let Some(began) = began.lock().unwrap().take() {
            let _ = began.send(());
        }
        held.pass();
        Ok(())
    }));
    wait.await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM things").await, 0);
    gate.open();
    writing.await.unwrap().unwrap();
    assert_eq!(house.number("SELECT count(*) FROM things").await, 1);
}

async fn a_read_that_panics_fails_alone(house: &mut House) {
    for _ in 0..4 {
        let failed = house.store.read(|_| -> Result<(), Error> { panic!("a fault of the reader's") }).await;
        assert_eq!(word(&failed), "broken");
    }
    assert_eq!(house.number("SELECT count(*) FROM things").await, 0);
}

async fn a_read_cannot_write(house: &mut House) {
    let wrote = house.store.read(|tx| insert_thing(tx, "a")).await;
    assert!(wrote.is_err());
    assert_eq!(house.number("SELECT count(*) FROM things").await, 0);
}

async fn the_store_is_ready_until_it_is_closed(house: &mut House) {
    house.store.ready().await.unwrap();
    let sent = house.send(by().rows(|tx| insert_thing(tx, "a")));
    house.waits(0).await;
    sent.await.unwrap().unwrap();
    house.store.close().await;
    assert_eq!(word(&house.store.ready().await), "busy");
    assert_eq!(word(&house.store.read(|_| Ok(())).await), "busy");
    house.reopen().await;
    assert_eq!(house.number("SELECT count(*) FROM things").await, 1);
}
