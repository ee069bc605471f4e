//! Logging in with a password.

use std::net::IpAddr;
use std::time::Instant;

use identity::{LoginError, NewUser, UserPatch};

use crate::house::{HOME, House, by, new_user};

on_both! {
    the_right_password_lets_in_and_any_other_does_not
    a_changed_password_is_the_only_one_from_then_on
    a_kept_out_or_removed_user_does_not_get_in_by_a_remembered_password
    after_five_failures_even_the_right_password_has_to_wait
    a_remembered_login_is_not_throttled_by_anothers_guesses
    an_unknown_user_is_throttled_like_a_known_one
    an_address_is_throttled_whoever_it_tries
    of_many_guesses_at_once_no_more_than_five_are_looked_at
    twenty_right_logins_at_once_are_hashed_once
    a_remembered_password_is_looked_at_again_after_ten_minutes
}

async fn login(house: &House, email: &str, password: &str) -> &'static str {
    from(house, email, password, HOME).await
}

async fn from(house: &House, email: &str, password: &str, address: IpAddr) -> &'static str {
    match house.identity.password(email, password, address).await {
        Ok(_) => "in",
        Err(LoginError::Wrong) => "wrong",
        Err(LoginError::Throttled { retry_after_s: 1.. }) => "throttled",
        Err(error) => panic!("{error:?}"),
    }
}

async fn the_right_password_lets_in_and_any_other_does_not(house: House) {
    let ana = house.with_password("ana@acme.example").await;
    house.member("ben@acme.example").await;
    for _ in 0..2 {
        let who = house.identity.password("Ana@ACME.example", "right", HOME).await.unwrap();
        assert_eq!((who.user, who.token), (ana.id, None));
    }
    assert_eq!(login(&house, "ana@acme.example", "wrong").await, "wrong");
    assert_eq!(login(&house, "ana@acme.example", "").await, "wrong");
    assert_eq!(login(&house, "ben@acme.example", "right").await, "wrong");
    assert_eq!(login(&house, &"x".repeat(1000), "right").await, "wrong");
    let counts = house.identity.login_counts();
    assert_eq!((counts.succeeded, counts.failed, counts.throttled), (2, 4, 0));
}

async fn a_changed_password_is_the_only_one_from_then_on(house: House) {
    let ana = house.with_password("ana@acme.example").await;
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    let patch = UserPatch { password: Some(Some("newer".into())), ..UserPatch::default() };
    house.identity.change_user(by(), ana.id, patch).await.unwrap();
    assert_eq!(login(&house, "ana@acme.example", "right").await, "wrong");
    assert_eq!(login(&house, "ana@acme.example", "newer").await, "in");
    let none = UserPatch { password: Some(None), ..UserPatch::default() };
    house.identity.change_user(by(), ana.id, none).await.unwrap();
    assert_eq!(login(&house, "ana@acme.example", "newer").await, "wrong");
}

async fn a_kept_out_or_removed_user_does_not_get_in_by_a_remembered_password(house: House) {
    let ana = house.with_password("ana@acme.example").await;
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    for (disabled, answer) in [(true, "wrong"), (false, "in")] {
        let patch = UserPatch { disabled: Some(disabled), ..UserPatch::default() };
        house.identity.change_user(by(), ana.id, patch).await.unwrap();
        assert_eq!(login(&house, "ana@acme.example", "right").await, answer);
    }
    house.identity.remove_user(by(), ana.id).await.unwrap();
    assert_eq!(login(&house, "ana@acme.example", "right").await, "wrong");
}

async fn after_five_failures_even_the_right_password_has_to_wait(house: House) {
    house.with_password("ana@acme.example").await;
    for _ in 0..5 {
        assert_eq!(login(&house, "ana@acme.example", "wrong").await, "wrong");
    }
    assert_eq!(login(&house, "ana@acme.example", "right").await, "throttled");
    house.later(1);
    assert_eq!(login(&house, "ana@acme.example", "wrong").await, "wrong");
    house.later(1);
    assert_eq!(login(&house, "ana@acme.example", "right").await, "throttled");
    house.later(1);
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    // The failures are forgiven.
    assert_eq!(login(&house, "ana@acme.example", "wrong").await, "wrong");
    assert_eq!(login(&house, "ana@acme.example", "wrong").await, "wrong");
}

async fn a_remembered_login_is_not_throttled_by_anothers_guesses(house: House) {
    house.with_password("ana@acme.example").await;
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    let elsewhere = "203.0.113.9".parse().unwrap();
    for _ in 0..5 {
        from(&house, "ana@acme.example", "guess", elsewhere).await;
    }
    assert_eq!(from(&house, "ana@acme.example", "guess", elsewhere).await, "throttled");
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
}

async fn an_unknown_user_is_throttled_like_a_known_one(house: House) {
    for _ in 0..5 {
        assert_eq!(login(&house, "nobody@acme.example", "guess").await, "wrong");
    }
    assert_eq!(login(&house, "NOBODY@acme.example", "guess").await, "throttled");
}

async fn an_address_is_throttled_whoever_it_tries(house: House) {
    house.with_password("ana@acme.example").await;
    for n in 0..20 {
        assert_eq!(login(&house, &format!("user-{n}@acme.example"), "guess").await, "wrong");
    }
    assert_eq!(login(&house, "ana@acme.example", "right").await, "throttled");
    assert_eq!(from(&house, "ana@acme.example", "right", "203.0.113.9".parse().unwrap()).await, "in");
}

async fn of_many_guesses_at_once_no_more_than_five_are_looked_at(house: House) {
    house.with_password("ana@acme.example").await;
    let guesses = (0..30).map(|n| {
        let identity = house.identity.clone();
        tokio::spawn(async move { identity.password("ana@acme.example", &format!("guess {n}"), HOME).await })
    });
    for guess in guesses.collect::<Vec<_>>() {
        assert!(guess.await.unwrap().is_err());
    }
    let counts = house.identity.login_counts();
    assert_eq!((counts.failed, counts.throttled), (5, 25));
}

async fn twenty_right_logins_at_once_are_hashed_once(house: House) {
    house.with_password("ana@acme.example").await;
    let alone = Instant::now();
    assert_eq!(login(&house, "nobody@acme.example", "guess").await, "wrong");
    let alone = alone.elapsed();
    let began = Instant::now();
    let logins = (0..20).map(|_| {
        let identity = house.identity.clone();
        tokio::spawn(async move { identity.password("ana@acme.example", "right", HOME).await })
    });
    for login in logins.collect::<Vec<_>>() {
        login.await.unwrap().unwrap();
    }
    assert!(began.elapsed() < 10 * alone, "{:?} for twenty, {alone:?} for one", began.elapsed());
}

async fn a_remembered_password_is_looked_at_again_after_ten_minutes(house: House) {
    let user = NewUser { password: Some("right".into()), ..new_user(house.acme, "ana@acme.example") };
    house.identity.create_user(by(), user).await.unwrap();
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    for _ in 0..5 {
        login(&house, "ana@acme.example", "wrong").await;
    }
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    house.later(599);
    assert_eq!(login(&house, "ana@acme.example", "wrong").await, "wrong");
    assert_eq!(login(&house, "ana@acme.example", "right").await, "in");
    house.later(1);
    assert_eq!(login(&house, "ana@acme.example", "right").await, "throttled");
}
