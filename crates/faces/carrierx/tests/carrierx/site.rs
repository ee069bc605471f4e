//! Partners as the site file has them.

use carrierx::apply::{self, PartnerWanted, Terms};
use ledger::{Limits, Resource};
use serde_json::json;
use store::Error;

use crate::house::{CONTAINERS, FILES, House, PARTNER, Part, TOKEN, by, bytes, terms};

on_both! {
    a_partner_can_be_put_again
    a_token_that_is_named_no_more_is_none
    a_limit_that_was_changed_elsewhere_stays
    a_partner_with_containers_cannot_be_removed
    a_default_container_takes_what_names_none_and_stays
}

fn wanted(house: &House, tokens: &[(&str, &str)]) -> PartnerWanted {
    PartnerWanted {
        id: Some(PARTNER.parse().unwrap()),
        tenant: house.acme,
        name: "acme-voice".parse().unwrap(),
        terms: terms(&house.identity, "acme-voice", tokens),
        limits: Limits::new().with(Resource::BYTES, 50).unwrap(),
    }
}

async fn a_partner_can_be_put_again(house: House) {
    let container = house.container(json!({})).await;
    apply::put_partner(&house.store, by(), wanted(&house, &[(TOKEN, "storage.manage")])).await.unwrap();
    assert_eq!(house.told(&container).await["partner_sid"], PARTNER);
    let told = house.ana.upload(&format!("container_sid={container}"), &[0; 51]).await.expect(422).json();
    assert_eq!(told["errors"][0]["reference_sid"], PARTNER);
    let other = PartnerWanted { id: Some(house.store.new_id()), ..wanted(&house, &[]) };
    assert!(matches!(apply::put_partner(&house.store, by(), other).await, Err(Error::Conflict(_))));
}

async fn a_token_that_is_named_no_more_is_none(house: House) {
    let change = async |tokens: &[(&str, &str)], limits| {
        let terms = terms(&house.identity, "acme-voice", tokens);
        apply::change_partner(&house.store, by(), house.acme, "acme-voice", terms, limits).await.unwrap();
    };
    change(&[("reads", "storage.read storage.update")], Vec::new()).await;
    house.ana.get(CONTAINERS).await.expect(401);
    house.reader.get(CONTAINERS).await.expect(200);
    house.reader.patch(&format!("{CONTAINERS}/{PARTNER}"), json!({})).await.expect(404);
    house.reader.post(CONTAINERS, json!({})).await.expect(403);
    change(&[(TOKEN, "storage.manage")], Vec::new()).await;
    house.ana.get(CONTAINERS).await.expect(200);
}

async fn a_limit_that_was_changed_elsewhere_stays(house: House) {
    for limits in [vec![(Resource::CONTAINERS, Some(1))], Vec::new()] {
        let terms = terms(&house.identity, "acme-voice", &[(TOKEN, "storage.manage")]);
        apply::change_partner(&house.store, by(), house.acme, "acme-voice", terms, limits).await.unwrap();
    }
    house.container(json!({})).await;
    assert_eq!(house.ana.post(CONTAINERS, json!({})).await.field(422), "partner_sid");
}

async fn a_partner_with_containers_cannot_be_removed(house: House) {
    let container = house.container(json!({})).await;
    let remove = async || apply::remove_partner(&house.store, by(), house.acme, "acme-voice").await;
    assert!(matches!(remove().await, Err(Error::Conflict(_))));
    house.told(&container).await;
    house.ana.delete(&format!("{CONTAINERS}/{container}")).await.expect(204);
    assert!(remove().await.unwrap());
    assert!(!remove().await.unwrap());
    house.ana.get(CONTAINERS).await.expect(401);
    house.identity.remove_tenant(by(), house.acme).await.unwrap();
    house.assert_sound().await;
}

async fn a_default_container_takes_what_names_none_and_stays(house: House) {
    let own = terms(&house.identity, "acme-voice", &[(TOKEN, "storage.manage")]);
    let container = house.store.new_id();
    let change = async |default| {
        let terms = Terms { default_container: default, ..own.clone() };
        apply::change_partner(&house.store, by(), house.acme, "acme-voice", terms, Vec::new()).await.unwrap();
    };
    change(Some(container)).await;
    change(Some(container)).await;
    for size in [10, 100_000] {
        house.ana.upload("name=a", &bytes(size)).await.expect(201);
        house.ana.form(&[Part::Data("a", "text/plain", &bytes(size))]).await.expect(201);
    }
    house.ana.post(FILES, json!({})).await.expect(201);
    assert_eq!(house.used(&container.to_string()).await, (200_020, 5));
    let told = house.ana.delete(&format!("{CONTAINERS}/{container}")).await.expect(409).json();
    assert_eq!(told["message"], "container is the partner's default");
    change(None).await;
    assert_eq!(house.ana.upload("", b"x").await.field(422), "container_sid");
    assert_eq!(house.used(&container.to_string()).await, (200_020, 5));
    house.assert_sound().await;
}
