//! Nothing crosses tenants, and what a face manages is the face's.

use ledger::{AllotmentId, Resource};
use store::{AllotmentFilter, AllotmentPatch, Managed, NewAllotment, NewClaim, SupplyRef, TenantId};

use crate::house::{House, by, bytes, path, word};

on_both! {
    another_tenants_allotments_are_not_there
    another_tenants_claims_are_not_there
    a_tenant_may_claim_on_supply_and_change_nothing_of_it
    a_tenant_sees_its_own_nodes_and_supply_if_asked
    what_a_face_manages_is_changed_by_the_face_alone
}

async fn two_tenants(house: &House) -> (TenantId, AllotmentId) {
    let acme = house.make("acme", &[(Resource::BYTES, 100)]).await;
    house.make("acme/a", &[]).await;
    let globex = house.make("globex", &[(Resource::BYTES, 100)]).await;
    house.make("globex/g", &[]).await;
    (TenantId(acme.0), globex)
}

async fn another_tenants_allotments_are_not_there(house: &mut House) {
    let (acme, globex) = two_tenants(house).await;
    let mine = house.hold("acme/a", 5).await.unwrap();
    let patch = || AllotmentPatch { title: Some("mine".into()), ..AllotmentPatch::default() };
    let units = [
        by().charge(house.claim("globex", bytes(1))),
        by().charge(house.claim("globex/g", bytes(1))),
        by().relocate(mine, Some(globex)),
        by().create_allotment(house.new_node("globex/x", &[])),
        by().change_allotment(path("globex/g"), patch()),
        by().change_allotment(globex, patch()),
        by().remove_allotment(path("globex/g")),
        // The first step is its own, and goes with the rest.
        by().charge(house.claim("acme", bytes(1))).charge(house.claim("globex", bytes(1))),
    ];
    for unit in units {
        assert_eq!(word(&house.write(unit.within(acme)).await), "not found");
    }
    let root = by().create_allotment(house.new_node("another", &[])).within(acme);
    assert_eq!(word(&house.write(root).await), "invalid");
    assert_eq!((house.load("acme").await, house.load("globex").await), ((5, 0), (0, 0)));
    house.write(by().charge(house.claim("acme/a", bytes(1))).within(acme)).await.unwrap();
    house.write(by().change_allotment(path("acme/a"), patch()).within(acme)).await.unwrap();
}

async fn another_tenants_claims_are_not_there(house: &mut House) {
    let (acme, _) = two_tenants(house).await;
    let held = house.hold("globex/g", 5).await.unwrap();
    let pending = house.reserve("globex/g", 5, 60).await.unwrap();
    let a = house.node("acme/a").await.id;
    let units = [
        by().set(held, bytes(1)),
        by().settle(pending, None),
        by().renew(pending, 60),
        by().relocate(held, Some(a)),
        by().relocate(held, None),
        by().release(held),
    ];
    for unit in units {
        assert_eq!(word(&house.write(unit.within(acme)).await), "not found");
    }
    house.write(by().relocate(held, None)).await.unwrap();
    let nobodys = house.write(by().release(held).within(acme)).await;
    assert_eq!(word(&nobodys), "not found", "what is nobody's is not the tenant's either");
}

async fn a_tenant_may_claim_on_supply_and_change_nothing_of_it(house: &mut House) {
    let (acme, _) = two_tenants(house).await;
    let pool = house.make("supply:pool", &[(Resource::BYTES, 10)]).await;
    let claim = NewClaim { supply: SupplyRef::At(pool.into()), ..house.claim("acme/a", bytes(5)) };
    house.write(by().charge(claim).within(acme)).await.unwrap();
    let units = [
        by().change_allotment(pool, AllotmentPatch::default()),
        by().create_allotment(house.new_node("supply:pool/x", &[])),
        by().remove_allotment(pool),
    ];
    for unit in units {
        assert_eq!(word(&house.write(unit.within(acme)).await), "not found");
    }
}

async fn a_tenant_sees_its_own_nodes_and_supply_if_asked(house: &mut House) {
    let (acme, _) = two_tenants(house).await;
    house.make("supply:pool", &[]).await;
    let list = async |supply_too| {
        let filter = AllotmentFilter { tenant: Some(acme), supply_too, limit: 10, ..AllotmentFilter::default() };
        let found = house.store.read(move |tx| store::allotments::list(tx, &filter)).await.unwrap();
        found.into_iter().map(|node| node.path).collect::<Vec<_>>()
    };
    assert_eq!(list(false).await, ["acme", "acme/a"]);
    assert_eq!(list(true).await, ["acme", "acme/a", "pool"]);
}

async fn what_a_face_manages_is_changed_by_the_face_alone(house: &mut House) {
    house.make("site", &[]).await;
    let drive = Some(Managed::new("cloudsigma", "drive", 7));
    let node = NewAllotment { managed_by: drive.clone(), ..house.new_node("site/owner", &[(Resource::BYTES, 10)]) };
    house.write(by().create_allotment(node)).await.unwrap();
    let held = NewClaim { managed_by: drive.clone(), ..house.claim("site/owner", bytes(5)) };
    let pending =
        NewClaim { lease: Some(60), ..NewClaim { id: ledger::ClaimId(house.store.new_id()), ..held.clone() } };
    let (held_id, pending_id) = (held.id, pending.id);
    house.write(by().charge(held).charge(pending)).await.unwrap();
    let renamed = AllotmentPatch { name: Some("other".parse().unwrap()), ..AllotmentPatch::default() };
    let titled = AllotmentPatch { title: Some("other".into()), ..AllotmentPatch::default() };
    let units = [
        by().set(held_id, bytes(1)),
        by().settle(pending_id, None),
        by().renew(pending_id, 60),
        by().relocate(held_id, None),
        by().release(held_id),
        by().change_allotment(path("site/owner"), renamed),
        by().change_allotment(path("site/owner"), titled),
        by().remove_allotment(path("site/owner")),
    ];
    for unit in units {
        let answer = house.write(unit.unmanaged()).await;
        assert_eq!(word(&answer), "managed");
        assert_eq!(answer.unwrap_err().to_string(), "it is managed by cloudsigma/drive/7");
    }
    let limits = vec![(Resource::BYTES, Some(20))];
    let lowered = AllotmentPatch { limits, expires_at: Some(None), ..AllotmentPatch::default() };
    house.write(by().change_allotment(path("site/owner"), lowered).unmanaged()).await.unwrap();
    house.write(by().charge(house.claim("site/owner", bytes(1))).unmanaged()).await.unwrap();
    house.write(by().release(held_id)).await.unwrap();
}
