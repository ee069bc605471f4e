//! The ids of this face's nouns.

ledger::id! {
    /// A drive.
    DriveId
}
ledger::id! {
    /// A snapshot.
    SnapshotId
}
ledger::id! {
    /// A server.
    ServerId
}
ledger::id! {
    /// A tag.
    TagId
}
ledger::id! {
    /// A job, as the API tells it.
    JobId
}
store::sql_id!(DriveId, SnapshotId, ServerId, TagId, JobId);

macro_rules! from_uuid {
    ($($id:ident),*) => {
        $(impl From<uuid::Uuid> for $id {
            fn from(id: uuid::Uuid) -> $id {
                $id(id)
            }
        })*
    };
}
from_uuid!(DriveId, SnapshotId, ServerId, TagId, JobId);
