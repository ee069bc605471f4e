//! Bearer tokens.

use identity::{Forbidden, NewToken, NewUser, Secret, TokensOf, UserPatch};
use store::Error;

use crate::house::{House, SECOND, START, by, new_user};

on_both! {
    a_token_lets_its_user_in_until_it_is_revoked
    a_token_over_its_time_lets_nobody_in
    what_a_user_no_longer_may_their_token_no_longer_may
    a_kept_out_user_has_no_token_until_they_are_let_in_again
    nobody_makes_a_token_stronger_than_themselves
    a_secret_is_there_once_and_in_no_table
    a_users_tokens_are_listed_in_pages_and_bounded
    a_caller_who_hangs_up_does_not_keep_a_revoked_token_alive
    what_is_no_token_lets_nobody_in
}

async fn a_token_lets_its_user_in_until_it_is_revoked(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let (token, secret) = house.identity.create_token(&who, user.id, NewToken::default()).await.unwrap();
    for _ in 0..3 {
        let found = house.identity.bearer(secret.expose()).await.unwrap().unwrap();
        assert_eq!((found.user, found.tenant, found.token), (user.id, Some(house.acme), Some(token.id)));
        assert_eq!((&*found.email, found.allotment), ("ana@acme.example", user.allotment));
    }
    house.identity.revoke_token(by(), token.id).await.unwrap();
    assert!(house.identity.bearer(secret.expose()).await.unwrap().is_none());
    let again = house.identity.revoke_token(by(), token.id).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");
}

async fn a_token_over_its_time_lets_nobody_in(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let new = NewToken { expires_at: Some(START + 30 * SECOND), ..NewToken::default() };
    let (token, secret) = house.identity.create_token(&who, user.id, new).await.unwrap();
    assert!(house.identity.bearer(secret.expose()).await.unwrap().is_some());
    house.later(29);
    assert!(house.identity.bearer(secret.expose()).await.unwrap().is_some());
    house.later(1);
    assert!(house.identity.bearer(secret.expose()).await.unwrap().is_none());
    assert!(house.identity.token(token.id).await.unwrap().is_some());
    house.later(31 * 86_400);
    assert_eq!(house.identity.sweep().await.unwrap(), 1);
    assert!(house.identity.token(token.id).await.unwrap().is_none());
}

async fn what_a_user_no_longer_may_their_token_no_longer_may(house: House) {
    let (admin, who) = house.admin_of(house.acme, "admin@acme.example").await;
    let token = house.token(admin.id).await;
    assert!(who.is_admin_of(house.acme) && !who.is_admin_of(house.globex));
    assert!(house.identity.bearer(&token).await.unwrap().unwrap().admin);
    let demoted = UserPatch { admin: Some(false), ..UserPatch::default() };
    house.identity.change_user(by(), admin.id, demoted).await.unwrap();
    assert!(!house.identity.bearer(&token).await.unwrap().unwrap().admin);
}

async fn a_kept_out_user_has_no_token_until_they_are_let_in_again(house: House) {
    let (user, _) = house.member("ana@acme.example").await;
    let token = house.token(user.id).await;
    for (disabled, lets_in) in [(true, false), (false, true)] {
        let patch = UserPatch { disabled: Some(disabled), ..UserPatch::default() };
        house.identity.change_user(by(), user.id, patch).await.unwrap();
        assert_eq!(house.identity.bearer(&token).await.unwrap().is_some(), lets_in);
    }
}

async fn nobody_makes_a_token_stronger_than_themselves(house: House) {
    let (ana, as_ana) = house.member("ana@acme.example").await;
    let (admin, as_admin) = house.admin_of(house.acme, "admin@acme.example").await;
    let (mallory, as_mallory) = house.admin_of(house.globex, "mallory@globex.example").await;
    let operator = house.operator.user;
    let may =
        async |by: &identity::Principal, user| match house.identity.create_token(by, user, NewToken::default()).await {
            Ok((token, _)) => {
                if token.user == user {
                    "made"
                } else {
                    "of another"
                }
            }
            Err(Error::NotFound { .. }) => "not there",
            Err(error) => error.downcast::<Forbidden>().map(|_| "forbidden").unwrap(),
        };
    let users = [ana.id, admin.id, mallory.id, operator];
    for (who, wanted) in [
        (&as_ana, ["made", "forbidden", "not there", "not there"]),
        (&as_admin, ["made", "made", "not there", "not there"]),
        (&as_mallory, ["not there", "not there", "made", "not there"]),
        (&house.operator, ["made", "made", "made", "made"]),
    ] {
        let mut answers = Vec::new();
        for user in users {
            answers.push(may(who, user).await);
        }
        assert_eq!(answers, wanted, "{}", who.email);
    }
}

async fn a_secret_is_there_once_and_in_no_table(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let given = NewToken { secret: Some(Secret::from("acme-native-token")), ..NewToken::default() };
    let (_, secret) = house.identity.create_token(&who, user.id, given.clone()).await.unwrap();
    assert_eq!(format!("{secret:?} {given:?}").matches("acme-native-token").count(), 0);
    assert!(house.identity.bearer("acme-native-token").await.unwrap().is_some());
    let twice = house.identity.create_token(&house.operator, house.operator.user, given).await;
    assert!(matches!(twice, Err(Error::Conflict(_))), "{twice:?}");
    let (_, made) = house.identity.create_token(&who, user.id, NewToken::default()).await.unwrap();
    assert_eq!(made.expose().len(), 43);
    assert_eq!(house.number("SELECT count(*) FROM tokens WHERE length(sha256) <> 32").await, 0);
    assert_eq!(house.number("SELECT count(*) FROM journal WHERE detail LIKE '%native-token%'").await, 0);
}

async fn a_users_tokens_are_listed_in_pages_and_bounded(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    for n in 0..4 {
        let new = NewToken { name: format!("token {n}"), ..NewToken::default() };
        house.identity.create_token(&who, user.id, new).await.unwrap();
    }
    let first = house.identity.tokens(TokensOf::User(user.id), None, 3).await.unwrap();
    let rest = house.identity.tokens(TokensOf::User(user.id), Some(first[2].id), 3).await.unwrap();
    assert_eq!((first.len(), rest.len()), (3, 2));
    assert!(first.iter().chain(&rest).all(|token| token.tenant == Some(house.acme)));
    assert_eq!(house.identity.tokens(TokensOf::Tenant(house.acme), None, 100).await.unwrap().len(), 5);
    assert_eq!(house.identity.tokens(TokensOf::Tenant(house.globex), None, 100).await.unwrap(), []);
    assert_eq!(house.identity.tokens(TokensOf::Site, None, 100).await.unwrap().len(), 6);
    let long = NewToken { name: "x".repeat(256), ..NewToken::default() };
    assert!(matches!(house.identity.create_token(&who, user.id, long).await, Err(Error::Invalid(_))));
}

async fn a_caller_who_hangs_up_does_not_keep_a_revoked_token_alive(house: House) {
    let (user, who) = house.member("ana@acme.example").await;
    let (token, secret) = house.identity.create_token(&who, user.id, NewToken::default()).await.unwrap();
    assert!(house.identity.bearer(secret.expose()).await.unwrap().is_some());
    let identity = house.identity.clone();
    let revoking = tokio::spawn(async move { identity.revoke_token(by(), token.id).await });
    while house.identity.token(token.id).await.unwrap().is_some() && !revoking.is_finished() {
        tokio::task::yield_now().await;
    }
    revoking.abort();
    let _ = revoking.await;
    for _ in 0..200 {
        if house.identity.bearer(secret.expose()).await.unwrap().is_none() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the token is revoked and lets its user in");
}

async fn what_is_no_token_lets_nobody_in(house: House) {
    let (_, who) = house.person(NewUser { admin: true, ..new_user(house.acme, "admin@acme.example") }).await;
    let session = house.identity.open_session(&who, identity::Face::Native, 3600).await.unwrap();
    for none in ["", "nonsense", session.cookie.as_str(), &"x".repeat(100_000)] {
        assert!(house.identity.bearer(none).await.unwrap().is_none());
    }
}
