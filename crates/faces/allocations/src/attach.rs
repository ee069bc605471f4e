//! How assets and collections are bound to an allocation: what is stored in them goes there.

use identity::Principal;
use store::{Error as StoreError, TenantId, Tx, params};

use crate::access::{self, Reach};
use crate::ids::{AllocationId, AssetId, CollectionId};
use crate::{allocation, asset, collection};

/// Whether the caller may bind this asset to an allocation of this tenant.
pub fn asset_can(tx: &mut Tx, who: &Principal, id: AssetId, tenant: Option<TenantId>) -> Result<bool, StoreError> {
    let Some(found) = asset::find(tx, id)? else { return Ok(false) };
    let fits = tenant.is_none_or(|tenant| tenant == found.tenant);
    Ok(fits && access::reach(tx, who, found.tenant, found.owner)? == Reach::Write)
}

/// The same of a collection.
pub fn collection_can(
    tx: &mut Tx,
    who: &Principal,
    id: CollectionId,
    tenant: Option<TenantId>,
) -> Result<bool, StoreError> {
    let Some(found) = collection::find(tx, id)? else { return Ok(false) };
    let fits = tenant.is_none_or(|tenant| tenant == found.tenant);
    Ok(fits && access::reach(tx, who, found.tenant, found.owner)? == Reach::Write)
}

/// Whether the caller may have something of this tenant stored in this allocation.
pub fn allocation_can(tx: &mut Tx, who: &Principal, id: AllocationId, tenant: TenantId) -> Result<bool, StoreError> {
    let Some(found) = allocation::find(tx, id)?.filter(|found| found.tenant == tenant) else { return Ok(false) };
    Ok(access::reach(tx, who, found.tenant, found.owner)? == Reach::Write)
}

/// Binds to a new allocation.
pub fn set(
    tx: &mut Tx,
    to: AllocationId,
    asset: Option<AssetId>,
    collection: Option<CollectionId>,
) -> Result<(), StoreError> {
    let now = tx.now();
    if let Some(asset) = asset {
        let sql = "UPDATE assets SET allocation_id = $2, updated_at = $3 WHERE id = $1";
        tx.execute(sql, &params![asset, to, now])?;
    }
    if let Some(collection) = collection {
        let sql = "UPDATE collections SET allocation_id = $2, updated_at = $3 WHERE id = $1";
        tx.execute(sql, &params![collection, to, now])?;
    }
    Ok(())
}

/// What was bound to an allocation that goes falls back to its owner's default.
pub fn clear(tx: &mut Tx, from: AllocationId) -> Result<(), StoreError> {
    let now = tx.now();
    for table in ["assets", "collections"] {
        let sql = format!("UPDATE {table} SET allocation_id = NULL, updated_at = $2 WHERE allocation_id = $1");
        tx.execute(&sql, &params![from, now])?;
    }
    Ok(())
}
