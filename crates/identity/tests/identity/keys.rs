//! Keys that callers sign with.

use hmac::{Hmac, Mac};
use identity::{Face, Identity, Settings};
use store::{Actor, Error, Unit};

use crate::house::{House, by};

on_both! {
    a_key_verifies_what_was_signed_with_it_and_nothing_else
    a_key_belongs_to_its_face
    a_key_is_sealed_where_the_site_has_a_key
}

fn signed(secret: &str, message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

async fn put(house: &House, identity: &Identity, face: Face, id: &str, secret: &str) {
    let key = identity.new_hmac_key(face, id, &secret.into()).unwrap();
    house.store.write(Unit::by(by()).rows(move |tx| key.put(tx))).await.unwrap();
}

async fn verifies(house: &House, identity: &Identity, face: Face, signature: Vec<u8>) -> Result<Option<bool>, Error> {
    let identity = identity.clone();
    let read = house.store.read(move |tx| identity.hmac_key(tx, face, "app"));
    Ok(read.await?.map(|key| key.verifies(b"message", &signature)))
}

async fn a_key_verifies_what_was_signed_with_it_and_nothing_else(house: House) {
    let identity = &house.identity;
    assert_eq!(verifies(&house, identity, Face::KooDrive, signed("old", b"message")).await.unwrap(), None);
    assert!(!identity.nobodys_hmac_key().verifies(b"message", &signed("", b"message")));
    put(&house, identity, Face::KooDrive, "app", "old").await;
    put(&house, identity, Face::KooDrive, "app", "new").await;
    for (secret, message, right) in [("new", "message", true), ("old", "message", false), ("new", "messagf", false)] {
        let signature = signed(secret, message.as_bytes());
        assert_eq!(verifies(&house, identity, Face::KooDrive, signature).await.unwrap(), Some(right), "{secret}");
    }
    let half = signed("new", b"message")[..16].to_vec();
    assert_eq!(verifies(&house, identity, Face::KooDrive, half).await.unwrap(), Some(false));
    let long = identity.new_hmac_key(Face::KooDrive, "app", &"x".repeat(513).into());
    assert!(matches!(long, Err(Error::Invalid(_))));
}

async fn a_key_belongs_to_its_face(house: House) {
    put(&house, &house.identity, Face::KooDrive, "app", "secret").await;
    let signature = signed("secret", b"message");
    assert_eq!(verifies(&house, &house.identity, Face::CarrierX, signature.clone()).await.unwrap(), None);
    let remove = |face| Unit::by(Actor::system("test")).rows(move |tx| identity::remove_hmac_key(tx, face, "app"));
    house.store.write(remove(Face::CarrierX)).await.unwrap();
    assert_eq!(verifies(&house, &house.identity, Face::KooDrive, signature.clone()).await.unwrap(), Some(true));
    house.store.write(remove(Face::KooDrive)).await.unwrap();
    assert_eq!(verifies(&house, &house.identity, Face::KooDrive, signature).await.unwrap(), None);
}

async fn a_key_is_sealed_where_the_site_has_a_key(house: House) {
    let with = |key| Identity::new(house.store.clone(), Settings { cache: false }).sealing_with(key);
    let sealing = with(Some([7; 32]));
    put(&house, &sealing, Face::KooDrive, "app", "a secret to keep").await;
    let stored = house.store.read(|tx| tx.query_opt("SELECT secret FROM hmac_keys", &[])?.unwrap().get::<Vec<u8>>(0));
    let stored = stored.await.unwrap();
    assert!(!stored.windows(8).any(|part| part == b"a secret"), "{stored:?}");
    let signature = signed("a secret to keep", b"message");
    assert_eq!(verifies(&house, &sealing, Face::KooDrive, signature.clone()).await.unwrap(), Some(true));
    for other in [None, Some([8; 32])] {
        let opened = verifies(&house, &with(other), Face::KooDrive, signature.clone()).await;
        assert!(matches!(opened, Err(Error::Broken(_))), "{opened:?}");
    }
    // Moved to another's row it does not open either.
    let moved = Unit::by(by()).rows(|tx| tx.execute("UPDATE hmac_keys SET face = 'carrierx'", &[]).map(drop));
    house.store.write(moved).await.unwrap();
    let opened = verifies(&house, &sealing, Face::CarrierX, signature).await;
    assert!(matches!(opened, Err(Error::Broken(_))), "{opened:?}");
}
