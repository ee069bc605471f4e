//! The tree: nodes made, changed and removed.

use ledger::{AllotmentId, DEPTH_MAX, LoadLine, Mark, Overcommit, Resource, Side};
use store::{AllotmentFilter, AllotmentPatch, Error, Managed, NewAllotment, UserId};

use crate::house::{House, START, by, bytes, path, refusals, word};

on_both! {
    a_node_is_read_as_it_was_made
    a_path_and_an_id_are_there_once
    a_rename_changes_the_paths_of_all_below_and_of_nothing_else
    a_node_with_children_or_claims_is_not_removed
    a_removed_node_gives_its_limits_back_to_what_was_promised
    a_path_is_free_again_after_its_node_is_gone
    a_node_promises_no_more_than_its_overcommit_allows
    a_change_of_an_outdated_version_is_stale
    what_is_not_said_stays
    a_unit_makes_a_branch_and_charges_on_it
    a_unit_may_make_change_and_remove_one_node
    a_failed_unit_takes_its_nodes_with_it
    a_tree_has_a_greatest_depth
    nodes_are_listed_in_the_order_of_their_paths
    what_lies_above_is_told_leaf_first
}

async fn a_node_is_read_as_it_was_made(house: &mut House) {
    let site = house.make("site", &[]).await;
    let new = NewAllotment {
        title: "Acme GmbH".into(),
        kind: "project".into(),
        overcommit: Some(Overcommit { permille: 1500 }),
        load_lines: vec![
            LoadLine { resource: Resource::BYTES, mark: Mark::Percent(80) },
            LoadLine { resource: Resource::OBJECTS, mark: Mark::Amount(7) },
        ],
        expires_at: Some(START + 5),
        managed_by: Some(Managed::new("carrierx", "partner", "a/b")),
        owner: Some(UserId(house.store.new_id())),
        ..house.new_node("site/acme", &[(Resource::BYTES, 0), (Resource::OBJECTS, 9)])
    };
    let done = house.write(by().create_allotment(new.clone())).await.unwrap();
    let read = house.node("site/acme").await;
    assert_eq!(done.allotments, std::slice::from_ref(&read));
    assert_eq!((read.id, read.parent, read.root, read.depth), (new.id, Some(site), site, 1));
    assert_eq!(
        (&read.path, &read.name, &read.title, &read.kind),
        (&"site/acme".into(), &"acme".into(), &new.title, &new.kind)
    );
    assert_eq!((read.overcommit, &read.load_lines, read.expires_at), (new.overcommit, &new.load_lines, new.expires_at));
    assert_eq!((&read.managed_by, read.owner, read.limits()), (&new.managed_by, new.owner, new.limits));
    assert_eq!((read.children, read.frozen, read.version, read.created_at), (0, false, 1, START));
    assert_eq!(house.node("site").await.children, 1);
}

async fn a_path_and_an_id_are_there_once(house: &mut House) {
    let site = house.make("site", &[]).await;
    house.make("site/a", &[]).await;
    house.make("supply:site", &[]).await;
    assert_eq!(word(&house.write(by().create_allotment(house.new_node("site/a", &[]))).await), "conflict");
    let same_id = NewAllotment { id: site, ..house.new_node("site/b", &[]) };
    assert_eq!(word(&house.write(by().create_allotment(same_id)).await), "conflict");
    let orphan = house.new_node("nowhere/b", &[]);
    assert_eq!(word(&house.write(by().create_allotment(orphan)).await), "not found");
    assert_eq!(house.number("SELECT count(*) FROM allotments").await, 3);
}

async fn a_rename_changes_the_paths_of_all_below_and_of_nothing_else(house: &mut House) {
    for at in ["a", "a/b", "a/b/c", "a/bc", "a.b", "a0", "supply:a", "supply:a/b"] {
        house.make(at, &[(Resource::BYTES, 10)]).await;
    }
    let id = house.hold("a/b/c", 4).await.unwrap();
    let rename = |to: &str| AllotmentPatch { name: Some(to.parse().unwrap()), ..AllotmentPatch::default() };
    let done = house.write(by().change_allotment(path("a"), rename("longer.name"))).await.unwrap();
    assert_eq!((done.allotments[0].path.as_str(), done.allotments[0].version), ("longer.name", 2));
    house.write(by().change_allotment(path("longer.name/b"), rename("x"))).await.unwrap();
    let all = AllotmentFilter { limit: 99, ..AllotmentFilter::default() };
    let paths = house.store.read(move |tx| store::allotments::list(tx, &all)).await.unwrap();
    let paths: Vec<_> = paths.into_iter().map(|node| node.path).collect();
    let wanted = ["a.b", "a0", "longer.name", "longer.name/bc", "longer.name/x", "longer.name/x/c", "a", "a/b"];
    assert_eq!(paths, wanted);
    assert_eq!(word(&house.hold("a/b/c", 1).await), "not found");
    let refused = refusals(house.write(by().set(id, bytes(11))).await);
    let wanted = ["longer.name/x/c", "longer.name/x", "longer.name"];
    assert_eq!(refused, wanted.map(|path| format!("{path}: bytes limit 10, used 4, pending 0, asked 7")));
    house.hold("longer.name/x/c", 6).await.unwrap();
    assert_eq!(word(&house.write(by().change_allotment(path("a0"), rename("a.b"))).await), "conflict");
    house.write(by().change_allotment(path("a0"), rename("a0"))).await.unwrap();
}

async fn a_node_with_children_or_claims_is_not_removed(house: &mut House) {
    house.make("site", &[]).await;
    house.make("site/a", &[]).await;
    house.make("supply:pool", &[]).await;
    let remove = async |at: &str| house.write(by().remove_allotment(path(at))).await;
    assert_eq!(word(&remove("site").await), "conflict");
    let nothing = house.hold("site/a", 0).await.unwrap();
    assert_eq!(word(&remove("site/a").await), "conflict", "a claim of nothing is a claim");
    house.write(by().release(nothing)).await.unwrap();
    house.reserve("site/a", 1, 60).await.unwrap();
    assert_eq!(word(&remove("site/a").await), "conflict");
    house.later(60);
    assert_eq!(word(&remove("site/a").await), "ok");
    let supply = store::SupplyRef::At(path("supply:pool"));
    let claim = store::NewClaim { supply, demand: None, ..house.claim("site", bytes(1)) };
    let id = claim.id;
    house.write(by().charge(claim)).await.unwrap();
    assert_eq!(word(&remove("supply:pool").await), "conflict");
    house.write(by().release(id)).await.unwrap();
    assert_eq!(word(&remove("supply:pool").await), "ok");
    assert_eq!(word(&remove("site").await), "ok");
    assert_eq!(word(&remove("site").await), "not found");
}

async fn a_removed_node_gives_its_limits_back_to_what_was_promised(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.make("site/a", &[(Resource::BYTES, 60), (Resource::OBJECTS, 5)]).await;
    house.make("site/b", &[(Resource::BYTES, 60)]).await;
    assert_eq!(house.balance("site", Resource::BYTES).await.promised, 120);
    let gone = house.write(by().remove_allotment(path("site/a"))).await.unwrap();
    assert_eq!((gone.allotments[0].path.as_str(), gone.allotments[0].limits().get(Resource::BYTES)), ("site/a", 60));
    assert_eq!(house.balance("site", Resource::BYTES).await.promised, 60);
    assert_eq!(house.balance("site", Resource::OBJECTS).await.promised, 0);
    house.limit("site/b", Resource::BYTES, None).await.unwrap();
    assert_eq!(house.balance("site", Resource::BYTES).await.promised, 0);
    assert_eq!(house.node("site").await.children, 1);
}

async fn a_path_is_free_again_after_its_node_is_gone(house: &mut House) {
    house.make("site", &[]).await;
    let first = house.make("site/a", &[(Resource::BYTES, 1)]).await;
    let id = house.hold("site/a", 1).await.unwrap();
    house.write(by().release(id).remove_allotment(path("site/a"))).await.unwrap();
    let second = house.make("site/a", &[(Resource::BYTES, 2)]).await;
    assert_ne!(first, second);
    house.hold("site/a", 2).await.unwrap();
    assert_eq!(word(&house.write(by().remove_allotment(first)).await), "not found");
}

async fn a_node_promises_no_more_than_its_overcommit_allows(house: &mut House) {
    let ratio = |permille| AllotmentPatch { overcommit: Some(permille), ..AllotmentPatch::default() };
    house.make("site", &[(Resource::BYTES, 100)]).await;
    house.make("site/a", &[(Resource::BYTES, 100)]).await;
    house.write(by().change_allotment(path("site"), ratio(Some(Overcommit { permille: 1500 })))).await.unwrap();
    let made = house.write(by().create_allotment(house.new_node("site/b", &[(Resource::BYTES, 51)]))).await;
    let Err(Error::Overcommitted(told)) = made else { panic!("{made:?}") };
    assert_eq!(told, "site: bytes limit 100 at overcommit 1.5 promises at most 150, asked 151 in all");
    assert_eq!(house.find_node("site/b").await, None);
    assert_eq!(house.node("site").await.children, 1);
    house.make("site/b", &[(Resource::BYTES, 50)]).await;
    assert_eq!(word(&house.limit("site/a", Resource::BYTES, 101).await), "overcommitted");
    house.limit("site/a", Resource::BYTES, 99).await.unwrap();
    house.reopen().await;
    assert_eq!(word(&house.limit("site/a", Resource::BYTES, 101).await), "overcommitted");
    house.write(by().change_allotment(path("site"), ratio(None))).await.unwrap();
    house.limit("site/a", Resource::BYTES, 1000).await.unwrap();
}

async fn a_change_of_an_outdated_version_is_stale(house: &mut House) {
    house.make("site", &[]).await;
    let title = |title: &str, version| AllotmentPatch {
        title: Some(title.into()),
        if_version: Some(version),
        ..AllotmentPatch::default()
    };
    house.write(by().change_allotment(path("site"), title("one", 1))).await.unwrap();
    assert_eq!(word(&house.write(by().change_allotment(path("site"), title("two", 1))).await), "stale");
    house.hold("site", 5).await.unwrap();
    house.write(by().change_allotment(path("site"), title("three", 2))).await.unwrap();
    let site = house.node("site").await;
    assert_eq!((site.title.as_str(), site.version), ("three", 3));
}

async fn what_is_not_said_stays(house: &mut House) {
    let line = LoadLine { resource: Resource::BYTES, mark: Mark::Percent(50) };
    let new = NewAllotment {
        title: "Site".into(),
        load_lines: vec![line],
        overcommit: Some(Overcommit { permille: 1000 }),
        expires_at: Some(START + 1_000_000),
        ..house.new_node("site", &[(Resource::BYTES, 10), (Resource::OBJECTS, 5)])
    };
    house.write(by().create_allotment(new)).await.unwrap();
    let before = house.node("site").await;
    house.clock.advance(7);
    house.limit("site", Resource::BYTES, 20).await.unwrap();
    let after = house.node("site").await;
    let mut wanted = before.clone();
    (wanted.version, wanted.updated_at) = (2, START + 7);
    wanted.balances[0].1.limit = Some(20);
    assert_eq!(after, wanted);
    // What is in memory has stayed, too.
    house.make("site/a", &[(Resource::BYTES, 20)]).await;
    let more = house.write(by().create_allotment(house.new_node("site/b", &[(Resource::BYTES, 1)]))).await;
    assert_eq!(word(&more), "overcommitted");
}

async fn a_unit_makes_a_branch_and_charges_on_it(house: &mut House) {
    let root = house.new_node("site", &[(Resource::BYTES, 10)]);
    let leaf = NewAllotment { parent: Some(root.id.into()), ..house.new_node("leaf", &[(Resource::BYTES, 5)]) };
    let claim = store::NewClaim { demand: Some(leaf.id.into()), ..house.claim("site", bytes(5)) };
    let done = house.write(by().create_allotment(root).create_allotment(leaf).charge(claim)).await.unwrap();
    assert_eq!((done.allotments.len(), done.claims.len()), (2, 1));
    assert_eq!(done.allotments[0].balance(Resource::BYTES).used, 5, "as it is after all the steps");
    assert_eq!(house.load("site/leaf").await, (5, 0));
    let gone = by().release(done.claims[0].id).remove_allotment(path("site/leaf")).remove_allotment(path("site"));
    house.write(gone).await.unwrap();
    assert_eq!(house.number("SELECT count(*) FROM allotments").await, 0);
    assert_eq!(house.number("SELECT count(*) FROM balances").await, 0);
}

async fn a_unit_may_make_change_and_remove_one_node(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let limits = vec![(Resource::BYTES, Some(7))];
    let lowered = AllotmentPatch { limits, ..AllotmentPatch::default() };
    let made = by().create_allotment(house.new_node("site/a", &[(Resource::BYTES, 5)]));
    let unit = made.change_allotment(path("site/a"), lowered).remove_allotment(path("site/a"));
    let done = house.write(unit).await.unwrap();
    let told: Vec<_> = done.allotments.iter().map(|node| (&*node.path, node.limits().get(Resource::BYTES))).collect();
    assert_eq!(told, [("site/a", 7); 3], "as it was when it was removed");
    let site = house.node("site").await;
    assert_eq!((site.children, site.balance(Resource::BYTES).promised), (0, 0));
}

async fn a_failed_unit_takes_its_nodes_with_it(house: &mut House) {
    house.make("site", &[(Resource::BYTES, 10)]).await;
    let node = house.new_node("site/a", &[(Resource::BYTES, 7)]);
    let claim = store::NewClaim { demand: Some(node.id.into()), ..house.claim("site", bytes(8)) };
    let rename = AllotmentPatch { name: Some("other".parse().unwrap()), ..AllotmentPatch::default() };
    let unit = by().change_allotment(path("site"), rename).create_allotment(house.new_node("other/b", &[]));
    let unit = unit.create_allotment(NewAllotment { parent: Some(path("other")), ..node }).charge(claim);
    let refused = refusals(house.write(unit).await);
    assert_eq!(refused.len(), 1);
    assert_eq!(house.find_node("other").await, None);
    let site = house.node("site").await;
    assert_eq!((site.children, site.balance(Resource::BYTES).promised, site.version), (0, 0, 1));
    house.make("site/a", &[(Resource::BYTES, 8)]).await;
    house.hold("site/a", 8).await.unwrap();
}

async fn a_tree_has_a_greatest_depth(house: &mut House) {
    let mut unit = by();
    let mut parent: Option<AllotmentId> = None;
    for level in 0..DEPTH_MAX {
        let new = NewAllotment { parent: parent.map(Into::into), ..house.new_node(&format!("n{level}"), &[]) };
        parent = Some(new.id);
        unit = unit.create_allotment(new);
    }
    let deepest = house.write(unit).await.unwrap().allotments.pop().unwrap();
    assert_eq!(deepest.depth as usize, DEPTH_MAX - 1);
    let deeper = NewAllotment { parent: Some(deepest.id.into()), ..house.new_node("x", &[]) };
    assert_eq!(word(&house.write(by().create_allotment(deeper)).await), "conflict");
    let id = house.hold(&deepest.path, 3).await.unwrap();
    assert_eq!(house.load("n0").await, (3, 0));
    house.write(by().release(id)).await.unwrap();
}

async fn nodes_are_listed_in_the_order_of_their_paths(house: &mut House) {
    for at in ["b", "a", "a/z", "a/y", "a.x", "supply:a"] {
        house.make(at, &[]).await;
    }
    let list = async |filter: AllotmentFilter| {
        let filter = AllotmentFilter { limit: filter.limit.max(1), ..filter };
        let found = house.store.read(move |tx| store::allotments::list(tx, &filter)).await.unwrap();
        found.into_iter().map(|node| node.path).collect::<Vec<_>>()
    };
    let all = AllotmentFilter { limit: 99, ..AllotmentFilter::default() };
    assert_eq!(list(all.clone()).await, ["a", "a.x", "a/y", "a/z", "b", "a"]);
    let below = AllotmentFilter { at_or_below: Some(path("a")), ..all.clone() };
    assert_eq!(list(below).await, ["a", "a/y", "a/z"]);
    let page = AllotmentFilter { after: Some((Side::Demand, "a.x".into())), limit: 2, ..all.clone() };
    assert_eq!(list(page).await, ["a/y", "a/z"]);
    let children = AllotmentFilter { parent: Some(house.node("a").await.id), ..all.clone() };
    assert_eq!(list(children).await, ["a/y", "a/z"]);
    let found = AllotmentFilter { q: Some("X".into()), ..all.clone() };
    assert_eq!(list(found).await, ["a.x"]);
    assert_eq!(list(AllotmentFilter { q: Some("_".into()), ..all }).await, [""; 0]);
}

async fn what_lies_above_is_told_leaf_first(house: &mut House) {
    for at in ["a", "a/b", "a/b/c", "a/d"] {
        house.make(at, &[(Resource::BYTES, 9)]).await;
    }
    let leaf = house.node("a/b/c").await.id;
    let above = house.store.read(move |tx| store::allotments::above(tx, leaf)).await.unwrap();
    assert_eq!(above.iter().map(|node| node.path.as_str()).collect::<Vec<_>>(), ["a/b/c", "a/b", "a"]);
    assert!(above.iter().all(|node| node.balance(Resource::BYTES).limit == Some(9)));
}
