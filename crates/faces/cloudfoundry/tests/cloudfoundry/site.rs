//! The site file's hands.

use cloudfoundry::apply::{self, OrganizationChanges, OrganizationWanted, SpaceWanted};
use serde_json::json;
use store::{Error, EventFilter};

use crate::house::{House, by};

on_both! {
    an_organization_is_made_taken_over_changed_and_removed
}

const ID: &str = "77e1c6ab-d6c7-4ad1-9341-8118a3aa8521";

async fn entries(house: &House) -> usize {
    let filter = EventFilter { limit: 1000, ..EventFilter::default() };
    house.store.read(move |tx| store::events::list(tx, &filter)).await.unwrap().len()
}

async fn an_organization_is_made_taken_over_changed_and_removed(house: House) {
    let space =
        |name: &str| SpaceWanted { id: None, name: name.to_owned(), developers: vec!["ben@acme.example".to_owned()] };
    let wanted = OrganizationWanted {
        id: Some(ID.parse().unwrap()),
        tenant: house.acme,
        name: "file".to_owned(),
        managers: vec!["ana@acme.example".to_owned()],
        spaces: vec![space("dev")],
    };
    apply::put_organization(&house.store, by(), wanted.clone()).await.unwrap();
    let before = entries(&house).await;
    apply::put_organization(&house.store, by(), wanted.clone()).await.unwrap();
    assert_eq!(entries(&house).await, before, "done again it is nothing");
    let told = house.ana.get(&format!("/v2/organizations/{ID}")).await.expect(200).json();
    assert_eq!(told["entity"]["name"], "file");
    let spaces = house.ben.get("/v2/spaces").await.expect(200).json();
    assert_eq!(spaces["resources"][0]["entity"]["name"], "dev");
    let other = OrganizationWanted { id: Some(house.store.new_id()), ..wanted };
    assert!(matches!(apply::put_organization(&house.store, by(), other).await, Err(Error::Conflict(_))));
    let changes = OrganizationChanges {
        managers: vec![("ana@acme.example".to_owned(), false), ("ben@acme.example".to_owned(), true)],
        spaces: vec![space("prod")],
        spaces_gone: vec!["dev".to_owned()],
        developers: Vec::new(),
    };
    apply::change_organization(&house.store, by(), house.acme, "file", changes).await.unwrap();
    let spaces = house.ben.get("/v2/spaces").await.expect(200).json();
    assert_eq!(spaces["resources"][0]["entity"]["name"], "prod");
    assert_eq!(house.ana.get("/v2/space_quota_definitions").await.expect(200).json()["total_results"], 0);
    house.ben.put(&format!("/v2/organizations/{ID}"), json!({ "name": "file" })).await.expect(201);
    let node = apply::organization_node(&house.store, house.acme, "file").await.unwrap().unwrap();
    assert_eq!(node.id.to_string(), ID);
    assert!(apply::remove_organization(&house.store, by(), house.acme, "file").await.unwrap());
    assert!(!apply::remove_organization(&house.store, by(), house.acme, "file").await.unwrap());
    house.assert_sound().await;
}
