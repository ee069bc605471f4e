//! The ids of this face's nouns: its "secure IDs".

use ledger::AllotmentId;

ledger::id! {
    /// A partner; its allotment has the same id.
    PartnerId
}
ledger::id! {
    /// A container; its allotment has the same id.
    ContainerId
}
ledger::id! {
    /// A file.
    FileId
}
store::sql_id!(PartnerId, ContainerId, FileId);

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
has_allotment!(PartnerId, ContainerId);
