//! Where an upload goes: what was said of it, and the allocation that follows from that.

use identity::Principal;
use store::{TenantId, Tx};

use crate::access::{self, Owner, Reach};
use crate::allocation::{self, Known};
use crate::error::Error;
use crate::ids::{AllocationId, AssetId, CollectionId, RepositoryId};
use crate::input::{Fields, uuid};
use crate::{asset, collection, wire};

/// The fields that say where an upload goes, in a form or in the query.
pub const FIELDS: [&str; 5] = ["allocation_id", "asset_id", "collection_id", "owner_type", "owner_id"];

/// What was said.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Asked {
    allocation: Option<AllocationId>,
    asset: Option<AssetId>,
    collection: Option<CollectionId>,
    owner: Option<Owner>,
}

/// Where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    pub tenant: TenantId,
    pub allocation: AllocationId,
    pub repository: RepositoryId,
    pub asset: Option<AssetId>,
}

impl Asked {
    /// Reads the fields.
    pub fn read(mut fields: Fields) -> Result<Asked, Error> {
        let asked = Asked {
            allocation: fields.may("allocation_id", uuid).map(AllocationId),
            asset: fields.may("asset_id", uuid).map(AssetId),
            collection: fields.may("collection_id", uuid).map(CollectionId),
            owner: wire::owner(&mut fields),
        };
        fields.end()?;
        Ok(asked)
    }

    /// Whether anything was said.
    pub fn is_anything(&self) -> bool {
        *self != Asked::default()
    }

    /// The allocation: the one named; else the asset's; else the collection's; else the default of the owner, who is the
    /// asset's or the collection's where there is one, and the caller where nothing is said.
    pub fn find(self, tx: &mut Tx, who: &Principal) -> Result<Target, Error> {
        let mut bound = None;
        let mut owner = self.owner;
        if let Some(id) = self.asset {
            let found = asset::find(tx, id)?.filter(|found| access::is_within(who, found.tenant));
            let found = found.ok_or_else(|| unknown("asset_id", "asset"))?;
            check(access::reach(tx, who, found.tenant, found.owner)?)?;
            if found.is_locked {
                return Err(Error::Denied);
            }
            bound = found.allocation;
            owner = owner.or(Some(found.owner));
        }
        if let Some(id) = self.collection {
            let found = collection::find(tx, id)?.filter(|found| access::is_within(who, found.tenant));
            let found = found.ok_or_else(|| unknown("collection_id", "collection"))?;
            check(access::reach(tx, who, found.tenant, found.owner)?)?;
            bound = bound.or(found.allocation);
            owner = owner.or(Some(found.owner));
        }
        let found = match self.allocation.or(bound) {
            Some(id) => {
                let found = allocation::find(tx, id)?.filter(|found| access::is_within(who, found.tenant));
                found.ok_or_else(|| unknown("allocation_id", "allocation"))?
            }
            None => default_of(tx, who, owner.unwrap_or(Owner::User(who.user)))?,
        };
        check(access::reach(tx, who, found.tenant, found.owner)?)?;
        let Known { id, tenant, repository, .. } = found;
        Ok(Target { tenant, allocation: id, repository, asset: self.asset })
    }
}

fn default_of(tx: &mut Tx, who: &Principal, owner: Owner) -> Result<Known, Error> {
    // An operator has no home, and no default.
    if owner != Owner::User(who.user) && access::home(tx, who, owner)?.is_none() {
        return Err(Error::field("owner_id", "Invalid owner - object does not exist."));
    }
    allocation::default_of(tx, owner)?.ok_or_else(|| Error::Refused("No allocation available".to_owned()))
}

fn unknown(field: &str, noun: &str) -> Error {
    Error::field(field, format!("Invalid {noun} - object does not exist."))
}

fn check(reach: Reach) -> Result<(), Error> {
    if reach == Reach::Write { Ok(()) } else { Err(Error::Denied) }
}
