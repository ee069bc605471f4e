//! Tenants and users.

use identity::{NewUser, UserPatch};
use ledger::{Limits, Resource};
use store::{Error, Unit};
use uuid::Uuid;

use crate::house::{House, by, new_user};

on_both! {
    a_tenant_is_a_root_with_folders_that_are_managed
    a_tenant_is_removed_when_nothing_is_left_in_it
    a_user_has_a_node_of_their_own_in_the_commit_of_their_row
    an_email_is_there_once_on_the_whole_site_whatever_its_case
    what_is_no_user_is_told_so_and_leaves_nothing
    users_and_tenants_are_listed_in_pages
    a_user_with_claims_or_children_or_other_nodes_stays
    a_removed_user_takes_everything_along
    an_operator_has_no_node_and_no_flags
}

async fn a_tenant_is_a_root_with_folders_that_are_managed(house: House) {
    let acme = house.identity.tenant_by_name("acme").await.unwrap().unwrap();
    assert_eq!((acme.id, acme.title.as_str()), (house.acme, "ACME"));
    let root = house.node("path:acme").await;
    assert_eq!((root.kind.as_str(), root.tenant(), root.children), ("tenant", Some(house.acme), 2));
    for path in ["path:acme/users", "path:acme/projects"] {
        let folder = house.node(path).await;
        assert_eq!((folder.kind.as_str(), folder.managed_by.unwrap().face.as_str()), ("folder", "site"));
    }
    let limits = vec![(Resource::BYTES, Some(7))];
    house.identity.set_tenant_limits(by(), house.acme, limits).await.unwrap();
    assert_eq!(house.node("path:acme").await.limits().find(Resource::BYTES), Some(7));
}

async fn a_tenant_is_removed_when_nothing_is_left_in_it(house: House) {
    let (user, _) = house.member("ana@acme.example").await;
    let refused = house.identity.remove_tenant(by(), house.acme).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    house.identity.remove_user(by(), user.id).await.unwrap();
    house.identity.remove_tenant(by(), house.acme).await.unwrap();
    assert_eq!(house.identity.tenant(house.acme).await.unwrap(), None);
    assert_eq!(house.number("SELECT count(*) FROM allotments WHERE path LIKE 'acme%'").await, 0);
    let gone = house.identity.remove_tenant(by(), house.acme).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

async fn a_user_has_a_node_of_their_own_in_the_commit_of_their_row(house: House) {
    let limits = Limits::new().with(Resource::BYTES, 100).unwrap();
    let new = NewUser { name: "Ana".to_owned(), limits, ..new_user(house.acme, "ana@acme.example") };
    let user = house.identity.create_user(by(), new).await.unwrap();
    let node = house.node(&format!("path:acme/users/{}", user.id)).await;
    assert_eq!(Some(node.id), user.allotment);
    assert_eq!((node.title.as_str(), node.kind.as_str(), node.owner), ("Ana", "user", Some(user.id)));
    assert_eq!(node.managed_by.as_ref().unwrap().to_string(), format!("site/user/{}", user.id));
    assert_eq!(node.balance(Resource::BYTES).limit, Some(100));
    let patch = UserPatch { name: Some("Ana B.".to_owned()), ..UserPatch::default() };
    house.identity.change_user(by(), user.id, patch).await.unwrap();
    assert_eq!(house.node_of(&user).await.title, "Ana B.");
    assert_eq!(house.identity.user(user.id).await.unwrap().unwrap().name, "Ana B.");
}

async fn an_email_is_there_once_on_the_whole_site_whatever_its_case(house: House) {
    let (ana, _) = house.member("Ana@Acme.example").await;
    let again = house.identity.create_user(by(), new_user(house.globex, "aNA@acme.EXAMPLE")).await;
    assert!(matches!(&again, Err(Error::Conflict(why)) if why.contains("ana@acme.example")), "{again:?}");
    let found = house.identity.user_by_email("ANA@ACME.EXAMPLE").await.unwrap().unwrap();
    assert_eq!((found.id, found.email.as_str()), (ana.id, "Ana@Acme.example"));
    let same_id = NewUser { id: Some(ana.id.0), ..new_user(house.acme, "ben@acme.example") };
    let same_id = house.identity.create_user(by(), same_id).await;
    assert!(matches!(same_id, Err(Error::Conflict(_))), "{same_id:?}");
    assert_eq!(house.node("path:acme/users").await.children, 1);
}

async fn what_is_no_user_is_told_so_and_leaves_nothing(house: House) {
    let long = format!("{}@acme.example", "a".repeat(250));
    for bad in ["", "ana", "@acme", "ana@", "a na@acme", long.as_str()] {
        let refused = house.identity.create_user(by(), new_user(house.acme, bad)).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}: {refused:?}");
    }
    let empty = NewUser { password: Some("".into()), ..new_user(house.acme, "ana@acme.example") };
    assert!(matches!(house.identity.create_user(by(), empty).await, Err(Error::Invalid(_))));
    let nowhere = new_user(store::TenantId(Uuid::from_u128(1)), "ana@acme.example");
    assert!(matches!(house.identity.create_user(by(), nowhere).await, Err(Error::NotFound { .. })));
    assert_eq!(house.identity.user_by_email("ana@acme.example").await.unwrap(), None);
}

async fn users_and_tenants_are_listed_in_pages(house: House) {
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(house.member(&format!("user-{n}@acme.example")).await.0);
    }
    let first = house.identity.users(Some(house.acme), None, 3).await.unwrap();
    let rest = house.identity.users(Some(house.acme), Some(first[2].id), 3).await.unwrap();
    made.sort_by_key(|user| user.id);
    assert_eq!([first, rest].concat(), made);
    assert_eq!(house.identity.users(None, None, 100).await.unwrap().len(), 6);
    let tenants = house.identity.tenants(None, 1).await.unwrap();
    assert_eq!(tenants[0].name, "acme");
    assert_eq!(house.identity.tenants(Some("acme"), 9).await.unwrap()[0].name, "globex");
}

async fn a_user_with_claims_or_children_or_other_nodes_stays(house: House) {
    let (user, _) = house.member("ana@acme.example").await;
    let node = user.allotment.unwrap();
    let stays = async |why: &str| {
        let refused = house.identity.remove_user(by(), user.id).await;
        assert!(matches!(refused, Err(Error::Conflict(_))), "{why}: {refused:?}");
        assert!(house.identity.user(user.id).await.unwrap().is_some());
    };
    let claim = house.claim(node, 5).await;
    stays("a claim").await;
    house.store.write(Unit::by(by()).release(claim)).await.unwrap();
    let child = house.make(node, "drives", None).await;
    stays("a child").await;
    house.store.write(Unit::by(by()).remove_allotment(child.id)).await.unwrap();
    let other = house.make(house.node("path:acme").await.id, "shared", Some(user.id)).await;
    stays("a node elsewhere").await;
    house.store.write(Unit::by(by()).remove_allotment(other.id)).await.unwrap();
    house.identity.remove_user(by(), user.id).await.unwrap();
}

async fn a_removed_user_takes_everything_along(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let token = house.token(user.id).await;
    let session = house.identity.open_session(&who, identity::Face::Console, 3600).await.unwrap();
    let root = house.node("path:acme").await.id;
    let grant = identity::Grant { user: user.id, allotment: root, role: identity::Role::Member };
    house.identity.grant(by(), grant).await.unwrap();
    assert!(house.identity.bearer(&token).await.unwrap().is_some());
    assert!(house.identity.session(&session.cookie, identity::Face::Console).await.unwrap().is_some());

    house.identity.remove_user(by(), user.id).await.unwrap();
    assert!(house.identity.bearer(&token).await.unwrap().is_none());
    assert!(house.identity.session(&session.cookie, identity::Face::Console).await.unwrap().is_none());
    assert_eq!(house.identity.grants(root, None).await.unwrap(), []);
    assert_eq!(house.node("path:acme/users").await.children, 0);
    let opened = house.identity.open_session(&who, identity::Face::Console, 3600).await;
    assert!(matches!(opened, Err(Error::NotFound { .. })), "{opened:?}");
}

async fn an_operator_has_no_node_and_no_flags(house: House) {
    let new = NewUser { tenant: None, admin: true, ..new_user(house.acme, "second@site.example") };
    let (user, who) = house.person(new).await;
    assert!(who.is_operator() && who.is_admin_of(house.acme) && who.tenant_scope().is_none());
    assert_eq!((user.allotment, user.admin), (None, false));
    let patch = UserPatch { admin: Some(true), name: Some("Second".to_owned()), ..UserPatch::default() };
    let user = house.identity.change_user(by(), user.id, patch).await.unwrap();
    assert_eq!((user.admin, user.name.as_str()), (false, "Second"));
    house.identity.remove_user(by(), user.id).await.unwrap();
}
