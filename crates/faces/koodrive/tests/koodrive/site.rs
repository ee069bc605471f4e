//! The site file's hand.

use koodrive::apply::{self, Callers};
use store::{Error, EventFilter};

use crate::house::{ADMIN, GB, GET, House, MEMBER, STRANGER, TOKEN, app, by, sha256, user};
use crate::signer::Signer;

on_both! {
    a_drive_is_made_once_and_taken_over
    what_the_file_says_anew_is_changed_and_the_rest_stays
    a_drive_with_spaces_is_not_removed
    what_is_not_of_the_form_is_told
}

const SIZES: [u64; 3] = [2000 * GB, 1000 * GB, 500 * GB];
const UNKNOWN: u32 = 13_000_201;

fn callers() -> Callers {
    Callers {
        users: vec![(ADMIN.into(), user("Admin@acme.example", true))],
        apps: vec![("app".into(), app("secret", "table"))],
        tokens: vec![(sha256(TOKEN), Some(ADMIN.into()))],
    }
}

async fn entries(house: &House) -> usize {
    let filter = EventFilter { limit: 1000, ..EventFilter::default() };
    house.store.read(move |tx| store::events::list(tx, &filter)).await.unwrap().len()
}

async fn put(house: &House, sizes: [u64; 3], callers: Callers) -> Result<(), Error> {
    apply::put_drive(&house.store, &house.identity, by(), house.acme, sizes, callers).await
}

async fn a_drive_is_made_once_and_taken_over(house: House) {
    let before = (entries(&house).await, house.store.stats().units);
    put(&house, SIZES, callers()).await.unwrap();
    apply::change_drive(&house.store, &house.identity, by(), house.acme, Vec::new(), callers()).await.unwrap();
    assert_eq!((entries(&house).await, house.store.stats().units), before, "done again it is nothing");
    let node = apply::drive_node(&house.store, house.acme).await.unwrap().unwrap();
    assert_eq!((node.path.as_str(), node.children), ("acme/koodrive", 3));
    put(&house, [5 * GB, 1000 * GB, 500 * GB], Callers::default()).await.unwrap();
    assert_eq!(house.figures().await[0], (0, 5));
}

async fn what_the_file_says_anew_is_changed_and_the_rest_stays(house: House) {
    house.make("600", 1, 700).await.expect(0);
    let change = async |sizes, callers| {
        apply::change_drive(&house.store, &house.identity, by(), house.acme, sizes, callers).await
    };
    let kind = |word| apply::kind(word).unwrap();
    change(vec![(kind("individual"), 800 * GB)], Callers::default()).await.unwrap();
    assert_eq!(house.figures().await, [(0, 2000), (700, 800), (0, 500)]);
    let less = change(vec![(kind("individual"), 699 * GB)], Callers::default()).await;
    assert!(matches!(less, Err(Error::Overcommitted(_))), "{less:?}");
    let apps = vec![("app".into(), app("new secret", "example"))];
    change(Vec::new(), Callers { apps, ..Callers::default() }).await.unwrap();
    house.get(GET, &[]).await.expect(UNKNOWN);
    let signer = Signer { secret: "new secret".into(), ..house.signer() };
    let told = house.call_as(&signer, "GET", GET, &[], None).await.expect(0).json();
    assert_eq!(told["data"]["totalCapacity"], "2000");
    let gone = Callers {
        users: vec![(MEMBER.into(), None)],
        apps: vec![("app".into(), None)],
        tokens: vec![(sha256(TOKEN), None), (sha256("other"), Some(ADMIN.into()))],
    };
    change(Vec::new(), gone).await.unwrap();
    house.call_as(&signer, "GET", GET, &[], None).await.expect(UNKNOWN);
    for (token, code) in [(TOKEN, UNKNOWN), ("other", 0)] {
        house.send("GET", GET, &[("authorization", format!("Bearer {token}"))], b"").await.expect(code);
    }
}

async fn a_drive_with_spaces_is_not_removed(house: House) {
    house.make("600", 1, 1).await.expect(0);
    let refused = apply::remove_drive(&house.store, by(), house.acme).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    house.get(GET, &[]).await.expect(0);
    house.call("DELETE", &format!("{}/600", crate::house::V1), &[("type", "1")], None).await.expect(0);
    assert!(apply::remove_drive(&house.store, by(), house.acme).await.unwrap());
    assert!(!apply::remove_drive(&house.store, by(), house.acme).await.unwrap());
    house.get(GET, &[]).await.expect(UNKNOWN);
    house.send("GET", GET, &[("authorization", TOKEN.into())], b"").await.expect(UNKNOWN);
    let globex =
        Signer { app: "globex".into(), secret: "globex secret".into(), user: STRANGER.into(), ..house.signer() };
    house.call_as(&globex, "GET", GET, &[], None).await.expect(0);
    put(&house, SIZES, callers()).await.unwrap();
    house.get(GET, &[]).await.expect(0);
    house.assert_sound().await;
}

async fn what_is_not_of_the_form_is_told(house: House) {
    let of = |users, apps| Callers { users, apps, ..Callers::default() };
    let unknown = put(&house, SIZES, of(vec![("7".into(), user("nobody@acme.example", true))], vec![])).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    let another = put(&house, SIZES, of(vec![("7".into(), user("admin@globex.example", true))], vec![])).await;
    assert!(matches!(another, Err(Error::NotFound { .. })), "{another:?}");
    for (id, secret, form) in [("a,b", "s", "table"), ("", "s", "table"), ("a", "", "table"), ("a", "s", "chair")] {
        let wrong = put(&house, SIZES, of(vec![], vec![(id.into(), app(secret, form))])).await;
        assert!(matches!(wrong, Err(Error::Invalid(_))), "{id:?}: {wrong:?}");
    }
}
