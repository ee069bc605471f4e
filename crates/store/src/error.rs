//! What can go wrong with a read or a write.

use ledger::{Denied, Refusal};

use crate::Managed;

/// Why a read or a unit of work did not happen. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would pass limits: every one, by resource, the demand path from the leaf up, then supply. Never empty.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Refused(Vec<Refusal>),
    /// A parent would promise its children more than it may.
    #[error("{0}")]
    Overcommitted(String),
    /// An allotment takes no new claims: its sums were found wrong, or its time is over.
    #[error("{0}")]
    Frozen(String),
    /// It is not there, or it is another tenant's.
    #[error("{noun} {id} is not there")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// By which id or path.
        id: String,
    },
    /// It cannot be done in the state things are in; the sentence says which.
    #[error("{0}")]
    Conflict(String),
    /// It has been changed since the version the caller saw.
    #[error("it has been changed since")]
    Stale,
    /// It belongs to a face's noun, which has to do this itself.
    #[error("it is managed by {0}")]
    Managed(Managed),
    /// What was asked makes no sense; the sentence says why.
    #[error("{0}")]
    Invalid(String),
    /// The idempotency key was used with another body.
    #[error("this idempotency key was used with another request")]
    KeyReused,
    /// It was done before, under the same idempotency key: what was answered then.
    #[error("it was done before under this idempotency key")]
    Replayed(String),
    /// The noun's own reason, from the closure.
    #[error(transparent)]
    Noun(Box<dyn std::error::Error + Send + Sync>),
    /// The disk has no room for more. Deletes still work.
    #[error("the storage of this server is full")]
    Full,
    /// Too much is waiting, or the database is away; whether the change was made is only known by its idempotency key.
    #[error("the store is busy or its database is away")]
    Busy {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// A fault of ours or of the disk.
    #[error("{0}")]
    Broken(String),
    /// Inside the store only: to be tried again from the start (a deadlock, a lost connection before the commit).
    #[doc(hidden)]
    #[error("to be tried again: {0}")]
    Retry(String),
}

impl Error {
    /// The noun's own error, to come out of [`crate::Store::write`] as [`Error::Noun`].
    pub fn noun(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Noun(Box::new(error))
    }

    /// Something is not there.
    pub fn not_found(noun: &'static str, id: impl std::fmt::Display) -> Error {
        Error::NotFound { noun, id: id.to_string() }
    }

    /// The noun's own error again.
    pub fn downcast<E: std::error::Error + 'static>(self) -> Result<E, Error> {
        match self {
            Error::Noun(inner) => inner.downcast::<E>().map(|found| *found).map_err(Error::Noun),
            other => Err(other),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Error {
        match denied {
            Denied::Refused(refusals) => Error::Refused(refusals),
            Denied::Frozen(_) | Denied::Expired(_) => Error::Frozen(denied.to_string()),
            Denied::Overcommitted { .. } => Error::Overcommitted(denied.to_string()),
            Denied::Unknown(id) => Error::not_found("allotment", id),
            Denied::Breach { .. } => Error::Broken(denied.to_string()),
        }
    }
}
