//! The ids of this face's nouns, which it calls guids.

use ledger::{AllotmentId, ClaimId};
use store::Store;
use uuid::{Builder, Uuid};

ledger::id! {
    /// An organization; its allotment has the same id.
    OrgId
}
ledger::id! {
    /// A space; its allotment has the same id.
    SpaceId
}
ledger::id! {
    /// A quota.
    QuotaId
}
ledger::id! {
    /// An app; its claim has the same id.
    AppId
}
store::sql_id!(OrgId, SpaceId, QuotaId, AppId);

impl OrgId {
    /// The node that stands for it.
    pub fn allotment(self) -> AllotmentId {
        AllotmentId(self.0)
    }
}

impl SpaceId {
    /// The node that stands for it.
    pub fn allotment(self) -> AllotmentId {
        AllotmentId(self.0)
    }
}

impl AppId {
    /// What it takes.
    pub fn claim(self) -> ClaimId {
        ClaimId(self.0)
    }
}

/// A new guid. Cloud Foundry's are of version 4, and some of its clients look (specification, section 1.4).
pub fn guid(store: &Store) -> Uuid {
    let secret = store.secret();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&secret[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// The guid in a path or body; what is none names nothing.
pub fn parse(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}
