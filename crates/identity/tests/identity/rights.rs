//! The table "Rights" of the native API's specification.

use identity::{Grant, Principal, Right, Role, insert_grant};
use ledger::AllotmentId;
use store::{Allotment, Error, NewAllotment, Unit};

use crate::house::{House, by};

on_both! {
    the_table_of_rights_holds_for_everybody
    what_is_given_reaches_below_and_no_further
    nothing_is_given_across_tenants
    a_grant_changes_its_role_and_goes_with_its_allotment
    a_face_gives_in_the_commit_of_its_own_noun
    holdings_are_where_a_members_list_begins
}

const ALL: [(Right, char); 5] =
    [(Right::Read, 'r'), (Right::Claim, 'c'), (Right::Make, 'm'), (Right::Limit, 'l'), (Right::Administer, 'a')];

/// A letter a right, in the order of the table.
async fn rights(house: &House, who: &Principal, node: &Allotment) -> String {
    let mut letters = String::new();
    for (right, letter) in ALL {
        let may = house.identity.may(who, node, right).await.unwrap();
        letters.push(if may { letter } else { '-' });
    }
    letters
}

async fn the_table_of_rights_holds_for_everybody(house: House) {
    let (ana, as_ana) = house.member("ana@acme.example").await;
    let (_, as_ben) = house.member("ben@acme.example").await;
    let (_, as_admin) = house.admin_of(house.acme, "admin@acme.example").await;
    let (_, as_mallory) = house.admin_of(house.globex, "mallory@globex.example").await;
    let root = house.node("path:acme").await;
    let own = house.node_of(&ana).await;
    let child = house.make(own.id, "drives", None).await;
    let pool = AllotmentId(house.store.new_id());
    let new = NewAllotment { side: ledger::Side::Supply, ..NewAllotment::new(pool, None, "disk".parse().unwrap()) };
    house.store.write(Unit::by(by()).create_allotment(new)).await.unwrap();
    let pool = house.node("supply:disk").await;
    for (who, on_root, on_own, on_child, on_pool) in [
        (&house.operator, "rcmla", "rcmla", "rcmla", "rcmla"),
        (&as_admin, "rcm--", "rcmla", "rcmla", "-----"),
        (&as_ana, "-----", "rcm--", "rcmla", "-----"),
        (&as_ben, "-----", "-----", "-----", "-----"),
        (&as_mallory, "-----", "-----", "-----", "-----"),
    ] {
        let found = [
            rights(&house, who, &root).await,
            rights(&house, who, &own).await,
            rights(&house, who, &child).await,
            rights(&house, who, &pool).await,
        ];
        assert_eq!(found, [on_root, on_own, on_child, on_pool], "{}", who.email);
    }
}

async fn what_is_given_reaches_below_and_no_further(house: House) {
    let (ben, as_ben) = house.member("ben@acme.example").await;
    let (cleo, as_cleo) = house.member("cleo@acme.example").await;
    let top = house.make(house.node("path:acme/projects").await.id, "climate", None).await;
    let below = house.make(top.id, "models", None).await;
    let deep = house.make(below.id, "runs", None).await;
    for (user, role) in [(ben.id, Role::Member), (cleo.id, Role::Owner)] {
        house.identity.grant(by(), Grant { user, allotment: below.id, role }).await.unwrap();
    }
    for (node, bens, cleos) in [(&top, "-----", "-----"), (&below, "rc---", "rcm--"), (&deep, "rc---", "rcmla")] {
        assert_eq!(rights(&house, &as_ben, node).await, bens, "{}", node.path);
        assert_eq!(rights(&house, &as_cleo, node).await, cleos, "{}", node.path);
    }
    house.identity.revoke(by(), ben.id, below.id).await.unwrap();
    assert_eq!(rights(&house, &as_ben, &deep).await, "-----");
    let twice = house.identity.revoke(by(), ben.id, below.id).await;
    assert!(matches!(twice, Err(Error::NotFound { .. })), "{twice:?}");
}

async fn nothing_is_given_across_tenants(house: House) {
    let (mallory, as_mallory) = house.admin_of(house.globex, "mallory@globex.example").await;
    let root = house.node("path:acme").await;
    let grant = Grant { user: mallory.id, allotment: root.id, role: Role::Owner };
    for grant in [grant, Grant { user: house.operator.user, ..grant }] {
        let refused = house.identity.grant(by(), grant).await;
        assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    }
    // Not even what got there some other way.
    house.store.write(insert_grant(Unit::by(by()), grant)).await.unwrap();
    let owned = house.make(root.id, "shared", Some(mallory.id)).await;
    assert_eq!(rights(&house, &as_mallory, &root).await, "-----");
    assert_eq!(rights(&house, &as_mallory, &owned).await, "-----");
    let own = mallory.allotment.unwrap();
    assert_eq!(house.identity.holdings(&as_mallory, None).await.unwrap(), [(own, Role::Owner)]);
}

async fn a_grant_changes_its_role_and_goes_with_its_allotment(house: House) {
    let (ben, _) = house.member("ben@acme.example").await;
    let node = house.make(house.node("path:acme/projects").await.id, "climate", None).await;
    let grant = Grant { user: ben.id, allotment: node.id, role: Role::Member };
    for role in [Role::Member, Role::Owner] {
        house.identity.grant(by(), Grant { role, ..grant }).await.unwrap();
        assert_eq!(house.identity.grants(node.id, None).await.unwrap(), [Grant { role, ..grant }]);
    }
    house.store.write(Unit::by(by()).remove_allotment(node.id)).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM grants").await, 0);
}

async fn a_face_gives_in_the_commit_of_its_own_noun(house: House) {
    let (ben, as_ben) = house.member("ben@acme.example").await;
    let id = AllotmentId(house.store.new_id());
    let folder = house.node("path:acme/projects").await.id;
    let new = NewAllotment::new(id, Some(folder.into()), "climate".parse().unwrap());
    let grant = Grant { user: ben.id, allotment: id, role: Role::Member };
    house.store.write(insert_grant(Unit::by(by()).create_allotment(new), grant)).await.unwrap();
    assert_eq!(rights(&house, &as_ben, &house.node("path:acme/projects/climate").await).await, "rc---");
}

async fn holdings_are_where_a_members_list_begins(house: House) {
    let (ben, as_ben) = house.member("ben@acme.example").await;
    let folder = house.node("path:acme/projects").await.id;
    let owned = house.make(folder, "own", Some(ben.id)).await.id;
    let given = house.make(folder, "given", None).await.id;
    house.make(given, "below", None).await;
    house.make(folder, "other", None).await;
    let both = [(owned, Role::Owner), (given, Role::Member)];
    for (allotment, role) in both {
        house.identity.grant(by(), Grant { user: ben.id, allotment, role }).await.unwrap();
    }
    let mut wanted = vec![(ben.allotment.unwrap(), Role::Owner), both[0], both[1]];
    wanted.sort_by_key(|(id, _)| *id);
    assert_eq!(house.identity.holdings(&as_ben, None).await.unwrap(), wanted);
    assert_eq!(house.identity.holdings(&as_ben, Some(wanted[0].0)).await.unwrap(), wanted[1..]);
}
