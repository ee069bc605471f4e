//! Applying the people of the site file.

use identity::apply::{self, TenantWanted, UserChanges, UserWanted};
use identity::{NewUser, PasswordHash, Secret, UserPatch};
use ledger::{Limits, Resource};
use store::Error;
use uuid::Uuid;

use crate::house::{HOME, House, by, new_user};

on_both! {
    what_the_file_names_is_made_and_a_second_time_nothing_changes
    what_is_there_is_taken_over_and_keeps_what_the_file_does_not_say
    what_the_file_says_anew_is_changed_and_nothing_else
    what_the_file_no_longer_names_is_removed
    an_id_that_differs_is_told
    a_token_of_the_file_moves_to_whom_the_file_says
}

fn bytes(units: u64) -> Limits {
    Limits::new().with(Resource::BYTES, units).unwrap()
}

fn hash(house: &House, password: &str) -> PasswordHash {
    apply::keep_password(&house.identity, password, None).unwrap()
}

fn ana(house: &House, password: PasswordHash) -> UserWanted {
    UserWanted {
        id: Some(Uuid::from_u128(7)),
        tenant: Some(house.acme),
        email: "ana@acme.example".to_owned(),
        name: "Ana".to_owned(),
        password: Some(password),
        admin: true,
        repository_admin: true,
        limits: bytes(100),
    }
}

fn initech() -> TenantWanted {
    TenantWanted { id: Some(Uuid::from_u128(9)), name: "initech".parse().unwrap(), title: None, limits: bytes(5) }
}

async fn what_the_file_names_is_made_and_a_second_time_nothing_changes(house: House) {
    let wanted = ana(&house, hash(&house, "ana-secret"));
    let operator = UserWanted { tenant: None, id: None, email: "root@site.example".to_owned(), ..wanted.clone() };
    let mut journal = 0;
    for turn in 0..2 {
        let tenant = apply::put_tenant(&house.identity, by(), initech()).await.unwrap();
        assert_eq!(tenant.0, Uuid::from_u128(9));
        let user = apply::put_user(&house.identity, by(), wanted.clone()).await.unwrap();
        assert_eq!(user.0, Uuid::from_u128(7));
        apply::put_user(&house.identity, by(), operator.clone()).await.unwrap();
        apply::put_token(&house.identity, by(), sha256("acme-native-token"), "ana@acme.example").await.unwrap();
        let written = house.number("SELECT count(*) FROM journal").await;
        assert!(turn == 0 || written == journal, "{written} entries, {journal} before");
        journal = written;
    }
    assert_eq!(house.node("path:initech").await.limits(), bytes(5));
    assert_eq!(house.identity.bearer("acme-native-token").await.unwrap().unwrap().user.0, Uuid::from_u128(7));
    let who = house.identity.password("ana@acme.example", "ana-secret", HOME).await.unwrap();
    assert!(who.admin && who.repository_admin);
}

async fn what_is_there_is_taken_over_and_keeps_what_the_file_does_not_say(house: House) {
    let limits = bytes(50).with(Resource::OBJECTS, 3).unwrap();
    let new = NewUser { limits, password: Some(Secret::from("kept")), ..new_user(house.acme, "ANA@acme.example") };
    let (user, _) = house.person(new).await;
    let wanted = UserWanted { id: None, password: None, ..ana(&house, hash(&house, "x")) };
    assert_eq!(apply::put_user(&house.identity, by(), wanted).await.unwrap(), user.id);
    let node = house.node_of(&user).await;
    assert_eq!((node.limits().get(Resource::BYTES), node.limits().get(Resource::OBJECTS)), (100, 3));
    assert_eq!(node.title, "Ana");
    assert!(house.identity.password("ana@acme.example", "kept", HOME).await.unwrap().admin);
    let elsewhere = UserWanted { tenant: Some(house.globex), id: None, ..ana(&house, hash(&house, "x")) };
    let refused = apply::put_user(&house.identity, by(), elsewhere).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
}

async fn what_the_file_says_anew_is_changed_and_nothing_else(house: House) {
    let user = apply::put_user(&house.identity, by(), ana(&house, hash(&house, "first"))).await.unwrap();
    let elsewhere = UserPatch { name: Some("Ana B.".to_owned()), ..UserPatch::default() };
    house.identity.change_user(by(), user, elsewhere).await.unwrap();
    let changes = UserChanges {
        password: Some(Some(hash(&house, "second"))),
        admin: Some(false),
        limits: vec![(Resource::BYTES, None), (Resource::DRIVES, Some(2))],
        ..UserChanges::default()
    };
    apply::change_user(&house.identity, by(), "ana@acme.example", changes).await.unwrap();
    let user = house.identity.user(user).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.admin, user.repository_admin), ("Ana B.", false, true));
    let limits = house.node_of(&user).await.limits();
    assert_eq!((limits.find(Resource::BYTES), limits.find(Resource::DRIVES)), (None, Some(2)));
    assert!(house.identity.password("ana@acme.example", "first", HOME).await.is_err());
    assert!(house.identity.password("ana@acme.example", "second", HOME).await.is_ok());

    let tenant = |title: Option<&str>, limits| {
        let (title, identity) = (title.map(ToOwned::to_owned), house.identity.clone());
        async move { apply::change_tenant(&identity, by(), "acme", title, limits).await.unwrap() }
    };
    tenant(Some("Acme Inc."), vec![(Resource::BYTES, Some(9))]).await;
    tenant(None, vec![]).await;
    let root = house.node("path:acme").await;
    assert_eq!((root.title.as_str(), root.limits()), ("Acme Inc.", bytes(9)));
    let gone = apply::change_user(&house.identity, by(), "nobody@acme.example", UserChanges::default()).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

async fn what_the_file_no_longer_names_is_removed(house: House) {
    apply::put_tenant(&house.identity, by(), initech()).await.unwrap();
    apply::put_user(&house.identity, by(), ana(&house, hash(&house, "x"))).await.unwrap();
    apply::put_token(&house.identity, by(), sha256("token"), "ana@acme.example").await.unwrap();
    assert!(house.identity.bearer("token").await.unwrap().is_some());
    for was_there in [true, false] {
        assert_eq!(apply::remove_token(&house.identity, by(), sha256("token")).await.unwrap(), was_there);
        assert!(house.identity.bearer("token").await.unwrap().is_none());
        assert_eq!(apply::remove_user(&house.identity, by(), "ana@acme.example").await.unwrap(), was_there);
        assert_eq!(apply::remove_tenant(&house.identity, by(), "initech").await.unwrap(), was_there);
    }
}

async fn an_id_that_differs_is_told(house: House) {
    apply::put_tenant(&house.identity, by(), initech()).await.unwrap();
    let other = TenantWanted { id: Some(Uuid::from_u128(10)), ..initech() };
    let refused = apply::put_tenant(&house.identity, by(), other).await;
    assert!(matches!(&refused, Err(Error::Conflict(why)) if why.contains("initech")), "{refused:?}");
    apply::put_user(&house.identity, by(), ana(&house, hash(&house, "x"))).await.unwrap();
    let other = UserWanted { id: Some(Uuid::from_u128(8)), ..ana(&house, hash(&house, "x")) };
    assert!(matches!(apply::put_user(&house.identity, by(), other).await, Err(Error::Conflict(_))));
}

async fn a_token_of_the_file_moves_to_whom_the_file_says(house: House) {
    let (ben, _) = house.member("ben@acme.example").await;
    house.member("cleo@acme.example").await;
    for email in ["cleo@acme.example", "ben@acme.example"] {
        apply::put_token(&house.identity, by(), sha256("token"), email).await.unwrap();
        assert_eq!(&*house.identity.bearer("token").await.unwrap().unwrap().email, email);
    }
    let tokens = house.identity.tokens(identity::TokensOf::User(ben.id), None, 10).await.unwrap();
    assert!(tokens.iter().any(|token| token.name == "site"));
}

fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text).into()
}
