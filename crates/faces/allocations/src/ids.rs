//! The ids of this face's nouns.

use ledger::AllotmentId;

ledger::id! {
    /// An allocation; its allotment has the same id.
    AllocationId
}
ledger::id! {
    /// A repository; its allotment on the supply side has the same id.
    RepositoryId
}
ledger::id! {
    /// A project; its allotment has the same id.
    ProjectId
}
ledger::id! {
    /// A collection.
    CollectionId
}
ledger::id! {
    /// An asset.
    AssetId
}
ledger::id! {
    /// A record.
    RecordId
}
ledger::id! {
    /// A transfer.
    TransferId
}
store::sql_id!(AllocationId, RepositoryId, ProjectId, CollectionId, AssetId, RecordId, TransferId);

macro_rules! has_allotment {
    ($($id:ident),*) => {
        $(impl $id {
            /// The node that stands for it.
            pub fn allotment(self) -> AllotmentId {
                AllotmentId(self.0)
            }
        })*
    };
}
has_allotment!(AllocationId, RepositoryId, ProjectId);
