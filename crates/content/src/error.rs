//! What can go wrong with content.

use std::io::{self, ErrorKind};

use crate::BlobId;

/// Why bytes were not taken in or not given out. What was taken in is freed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused: a limit, a full disk, a blob that is not there.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The body broke off: its sender is gone, or sent what is no body.
    #[error("the body broke off: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The body is not as long as was said.
    #[error("the body was to have {declared} bytes and has {received}")]
    Length {
        /// What was said.
        declared: u64,
        /// What had come when it was clear that it was not so.
        received: u64,
    },
    /// What is on disk is not what was written, or was sealed with another key.
    #[error("blob {0} is damaged: its bytes are not those that were stored")]
    Damaged(BlobId),
    /// It was sealed, and this server has no key.
    #[error("blob {0} is sealed, and this server has no key")]
    Locked(BlobId),
    /// The disk failed.
    #[error("the disk failed: {what}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

impl Error {
    /// What the disk answered to `what`; no room is [`store::Error::Full`], as everywhere.
    pub(crate) fn disk(what: &'static str) -> impl Fn(io::Error) -> Error {
        move |cause| match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Store(store::Error::Full),
            _ => Error::Disk { what, cause },
        }
    }

    /// The blob is not there.
    pub(crate) fn not_there(blob: BlobId) -> Error {
        Error::Store(store::Error::not_found("blob", blob))
    }
}

/// What a blocking call answered; one that did not come back is a fault of ours.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    joined(tokio::task::spawn_blocking(call).await)
}

pub(crate) fn joined<T>(answer: Result<T, tokio::task::JoinError>) -> Result<T, Error> {
    answer.map_err(|lost| Error::Store(store::Error::Broken(format!("a task of the disk was lost: {lost}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_or_a_quota_without_room_is_full_and_nothing_else_is() {
        let told = |code: rustix::io::Errno| Error::disk("write")(io::Error::from(code));
        assert!(matches!(told(rustix::io::Errno::NOSPC), Error::Store(store::Error::Full)));
        assert!(matches!(told(rustix::io::Errno::DQUOT), Error::Store(store::Error::Full)));
        assert!(matches!(told(rustix::io::Errno::IO), Error::Disk { .. }));
    }
}
