//! The site file's hands.

use allocations::apply::{self, ProjectWanted, RepositoryWanted};
use ledger::{Limits, Resource};
use serde_json::json;
use store::{Error, EventFilter};

use crate::house::{House, by};

on_both! {
    a_repository_is_made_taken_over_changed_and_removed
    a_project_is_made_taken_over_changed_and_removed
    a_tenants_repository_is_not_taken_over
}

fn limits(bytes: u64) -> Limits {
    Limits::new().with(Resource::BYTES, bytes).unwrap()
}

async fn entries(house: &House) -> usize {
    let filter = EventFilter { limit: 1000, ..EventFilter::default() };
    house.store.read(move |tx| store::events::list(tx, &filter)).await.unwrap().len()
}

async fn a_repository_is_made_taken_over_changed_and_removed(house: House) {
    let wanted = RepositoryWanted {
        id: None,
        name: "warm".parse().unwrap(),
        pool: "disk".to_owned(),
        kind: "posix".to_owned(),
        limits: limits(100),
    };
    apply::put_repository(&house.store, by(), wanted.clone()).await.unwrap();
    let before = entries(&house).await;
    apply::put_repository(&house.store, by(), wanted.clone()).await.unwrap();
    apply::change_repository(&house.store, by(), "warm", Some("posix".into()), vec![]).await.unwrap();
    assert_eq!(entries(&house).await, before, "done again it is nothing");
    let node = apply::repository_node(&house.store, "warm").await.unwrap().unwrap();
    assert_eq!((node.path.as_str(), node.limits()), ("disk/warm", limits(100)));
    let told = house.mallory.get(&format!("/api/repositories/{}/", node.id)).await.expect(200).json();
    assert_eq!((&told["name"], &told["capacity"]), (&json!("warm"), &json!(100)));
    let more = vec![(Resource::BYTES, None)];
    apply::change_repository(&house.store, by(), "warm", Some("s3".into()), more).await.unwrap();
    let told = house.mallory.get(&format!("/api/repositories/{}/", node.id)).await.expect(200).json();
    assert_eq!((&told["type"], &told["capacity"]), (&json!("s3"), &json!(0)));
    let other = RepositoryWanted { id: Some(house.store.new_id()), ..wanted };
    let other = apply::put_repository(&house.store, by(), other).await;
    assert!(matches!(other, Err(Error::Conflict(_))), "{other:?}");
    assert!(apply::remove_repository(&house.store, by(), "warm").await.unwrap());
    assert!(!apply::remove_repository(&house.store, by(), "warm").await.unwrap());
    house.give(&house.ana, 10, 10).await;
    let used = apply::remove_repository(&house.store, by(), "cold-store").await;
    assert!(matches!(used, Err(Error::Conflict(_))), "{used:?}");
    house.assert_sound().await;
}

async fn a_project_is_made_taken_over_changed_and_removed(house: House) {
    let member = |email: &str, role: &str| (email.to_owned(), role.to_owned());
    let wanted = ProjectWanted {
        id: None,
        tenant: house.acme,
        name: "climate".to_owned(),
        members: vec![member("Ana@acme.example", "manager")],
        limits: limits(100),
    };
    apply::put_project(&house.store, by(), wanted.clone()).await.unwrap();
    let before = entries(&house).await;
    apply::put_project(&house.store, by(), wanted.clone()).await.unwrap();
    assert_eq!(entries(&house).await, before, "done again it is nothing");
    let node = apply::project_node(&house.store, house.acme, "climate").await.unwrap().unwrap();
    assert_eq!((node.path.as_str(), node.limits()), ("acme/projects/climate", limits(100)));
    let path = format!("/api/projects/{}/", node.id);
    let told = house.ana.get(&path).await.expect(200).json();
    assert_eq!(told["members"], json!([{ "user_id": house.ana.id, "role": "manager" }]));
    let changes = vec![
        ("ana@acme.example".to_owned(), None),
        ("ben@acme.example".to_owned(), Some("member".to_owned())),
        ("gone@acme.example".to_owned(), None),
    ];
    let lower = vec![(Resource::BYTES, Some(50))];
    apply::change_project(&house.store, by(), house.acme, "climate", changes, lower).await.unwrap();
    house.ana.get(&path).await.expect(404);
    house.ben.get(&path).await.expect(200);
    let given = house.identity.grants(node.id, None).await.unwrap();
    assert_eq!(given.iter().map(|grant| grant.user.to_string()).collect::<Vec<_>>().join(" "), house.ben.id);
    let unknown = ProjectWanted { members: vec![member("nobody@acme.example", "member")], ..wanted };
    let unknown = apply::put_project(&house.store, by(), unknown).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    assert!(apply::remove_project(&house.store, by(), house.acme, "climate").await.unwrap());
    assert!(!apply::remove_project(&house.store, by(), house.acme, "climate").await.unwrap());
    house.assert_sound().await;
}

async fn a_tenants_repository_is_not_taken_over(house: House) {
    let new = json!({ "name": "fast", "type": "posix", "capacity": 5 });
    let tenants = house.admin.post("/api/repositories/", new).await.expect(201).id();
    let wanted = RepositoryWanted {
        id: None,
        name: "fast".parse().unwrap(),
        pool: "disk".to_owned(),
        kind: "posix".to_owned(),
        limits: limits(100),
    };
    apply::put_repository(&house.store, by(), wanted).await.unwrap();
    let node = apply::repository_node(&house.store, "fast").await.unwrap().unwrap();
    assert_ne!(node.id.to_string(), tenants);
    house.mallory.get(&format!("/api/repositories/{}/", node.id)).await.expect(200);
    house.mallory.get(&format!("/api/repositories/{tenants}/")).await.expect(404);
}
