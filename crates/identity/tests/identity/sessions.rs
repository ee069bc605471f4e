//! Sessions.

use identity::{Face, UserPatch};

use crate::house::{House, SECOND, START, by, principal};

on_both! {
    a_cookie_stands_for_its_user_on_its_own_face_only
    a_session_ends_with_its_time_and_is_swept
    a_session_that_is_prolonged_lives_on_and_an_ended_one_does_not
    a_closed_session_is_closed_at_once
    a_session_survives_a_restart
    a_user_who_is_less_than_before_has_to_log_in_again
    the_hundred_and_first_session_ends_the_first
    a_forms_token_belongs_to_one_session
}

const HOUR: i64 = 3600;

async fn a_cookie_stands_for_its_user_on_its_own_face_only(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let session = house.identity.open_session(&who, Face::Console, HOUR).await.unwrap();
    assert_eq!(session.expires_at, START + HOUR * SECOND);
    for face in [Face::Allocations, Face::Native, Face::CloudFoundry, Face::KooDrive, Face::CarrierX, Face::CloudSigma]
    {
        assert!(house.identity.session(&session.cookie, face).await.unwrap().is_none(), "{face:?}");
    }
    for _ in 0..2 {
        let (found, again) = house.identity.session(&session.cookie, Face::Console).await.unwrap().unwrap();
        assert_eq!((found.user, found.token), (user.id, None));
        assert_eq!((&again.cookie, again.expires_at), (&session.cookie, session.expires_at));
        assert!(again.is_csrf(&session.csrf));
    }
    assert!(house.identity.session(&house.token(user.id).await, Face::Console).await.unwrap().is_none());
    assert!(!format!("{session:?}").contains(&session.cookie));
}

async fn a_session_ends_with_its_time_and_is_swept(house: House) {
    let (_, who) = house.member("ana@acme.example").await;
    let short = house.identity.open_session(&who, Face::Console, 10).await.unwrap();
    let long = house.identity.open_session(&who, Face::Console, 1000).await.unwrap();
    assert!(house.identity.session(&short.cookie, Face::Console).await.unwrap().is_some());
    house.later(10);
    assert!(house.identity.session(&short.cookie, Face::Console).await.unwrap().is_none());
    assert!(house.identity.session(&long.cookie, Face::Console).await.unwrap().is_some());
    assert_eq!(house.identity.sweep().await.unwrap(), 1);
    assert_eq!(house.number("SELECT count(*) FROM sessions").await, 1);
}

async fn a_session_that_is_prolonged_lives_on_and_an_ended_one_does_not(house: House) {
    let (_, who) = house.member("ana@acme.example").await;
    let session = house.identity.open_session(&who, Face::KooDrive, 10).await.unwrap();
    let ends = async || {
        let found = house.identity.session(&session.cookie, Face::KooDrive).await.unwrap();
        found.map(|(_, session)| session.expires_at)
    };
    assert_eq!(ends().await, Some(START + 10 * SECOND));
    house.later(9);
    house.identity.prolong_session(&session.cookie, 10).await.unwrap();
    assert_eq!(ends().await, Some(START + 19 * SECOND));
    house.identity.prolong_session(&session.cookie, 5).await.unwrap();
    assert_eq!(ends().await, Some(START + 19 * SECOND), "it is not made shorter");
    house.later(10);
    house.identity.prolong_session(&session.cookie, 10).await.unwrap();
    assert_eq!(ends().await, None);
}

async fn a_closed_session_is_closed_at_once(house: House) {
    let (_, who) = house.member("ana@acme.example").await;
    let session = house.identity.open_session(&who, Face::Allocations, HOUR).await.unwrap();
    assert!(house.identity.session(&session.cookie, Face::Allocations).await.unwrap().is_some());
    for _ in 0..2 {
        house.identity.close_session(&session.cookie).await.unwrap();
        assert!(house.identity.session(&session.cookie, Face::Allocations).await.unwrap().is_none());
    }
}

async fn a_session_survives_a_restart(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let session = house.identity.open_session(&who, Face::Allocations, HOUR).await.unwrap();
    let (found, again) = house.restarted().session(&session.cookie, Face::Allocations).await.unwrap().unwrap();
    assert_eq!(found.user, user.id);
    assert!(again.is_csrf(&session.csrf));
    assert_eq!(house.number("SELECT count(*) FROM sessions WHERE length(sha256) = 32").await, 1);
}

async fn a_user_who_is_less_than_before_has_to_log_in_again(house: House) {
    let (admin, who) = house.admin_of(house.acme, "admin@acme.example").await;
    let patch = |disabled, admin, password: Option<&str>| UserPatch {
        disabled,
        admin,
        password: password.map(|text| Some(text.into())),
        ..UserPatch::default()
    };
    let console = |cookie: String| {
        let identity = house.identity.clone();
        async move { identity.session(&cookie, Face::Console).await.unwrap() }
    };
    let same = UserPatch { name: Some("Admin".to_owned()), admin: Some(true), ..UserPatch::default() };
    let session = house.identity.open_session(&who, Face::Console, HOUR).await.unwrap();
    house.identity.change_user(by(), admin.id, same).await.unwrap();
    assert_eq!(&*console(session.cookie.clone()).await.unwrap().0.name, "Admin");
    for less in [patch(None, None, Some("another")), patch(None, Some(false), None), patch(Some(true), None, None)] {
        let session = house.identity.open_session(&who, Face::Console, HOUR).await.unwrap();
        assert!(console(session.cookie.clone()).await.is_some());
        house.identity.change_user(by(), admin.id, less.clone()).await.unwrap();
        assert!(console(session.cookie).await.is_none(), "{less:?}");
    }
    house.identity.change_user(by(), admin.id, patch(Some(false), None, None)).await.unwrap();
    assert!(console(session.cookie).await.is_none());
}

async fn the_hundred_and_first_session_ends_the_first(house: House) {
    let (ana, as_ana) = house.member("ana@acme.example").await;
    let (_, as_ben) = house.member("ben@acme.example").await;
    let bens = house.identity.open_session(&as_ben, Face::Console, HOUR).await.unwrap();
    let mut cookies = Vec::new();
    for _ in 0..100 {
        house.clock.advance(1);
        cookies.push(house.identity.open_session(&as_ana, Face::Console, HOUR).await.unwrap().cookie);
    }
    assert!(house.identity.session(&cookies[0], Face::Console).await.unwrap().is_some());
    house.clock.advance(1);
    let last = principal(&house.identity, &ana).await;
    house.identity.open_session(&last, Face::Console, HOUR).await.unwrap();
    assert!(house.identity.session(&cookies[0], Face::Console).await.unwrap().is_none());
    assert!(house.identity.session(&cookies[1], Face::Console).await.unwrap().is_some());
    assert!(house.identity.session(&bens.cookie, Face::Console).await.unwrap().is_some());
}

async fn a_forms_token_belongs_to_one_session(house: House) {
    let (_, who) = house.member("ana@acme.example").await;
    let one = house.identity.open_session(&who, Face::Console, HOUR).await.unwrap();
    let two = house.identity.open_session(&who, Face::Console, HOUR).await.unwrap();
    assert!(one.is_csrf(&one.csrf) && !one.is_csrf(&two.csrf) && !one.is_csrf("") && !one.is_csrf(&one.cookie));
}
