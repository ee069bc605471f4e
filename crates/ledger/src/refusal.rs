//! Why a change was not admitted.

use std::sync::Arc;

use crate::{AllotmentId, Resource, Side};

/// One limit that a change would have passed: who refused, and by how much. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {resource} limit {limit}, used {used}, pending {pending}, asked {asked}")]
pub struct Refusal {
    /// Whose limit.
    pub allotment: AllotmentId,
    /// Its path, from the root of its side.
    pub path: Arc<str>,
    /// On which side of the tree.
    pub side: Side,
    /// Of which resource.
    pub resource: Resource,
    /// The limit, in the resource's unit.
    pub limit: u64,
    /// What held claims take of it.
    pub used: u64,
    /// What pending claims take of it.
    pub pending: u64,
    /// How much more was asked for.
    pub asked: u64,
}

impl Refusal {
    /// How much would still have been admitted here.
    pub fn headroom(&self) -> u64 {
        self.limit.saturating_sub(self.used).saturating_sub(self.pending)
    }
}

/// Why a change of the book was not made. The book is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It would pass limits: all of them, by resource as declared, and for each the demand path from the leaf up, then the
    /// supply path. Never empty.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Refused(Vec<Refusal>),
    /// A node on the path is frozen: its sums were found wrong, so it takes no new claims until somebody has looked.
    #[error("{0} is frozen: its sums were found wrong; releases go on, new claims wait for an operator")]
    Frozen(Arc<str>),
    /// A node on the path admits nothing new because its time is over.
    #[error("{0} has expired: it admits nothing new")]
    Expired(Arc<str>),
    /// The parent would promise its children more than its overcommit allows.
    #[error(
        "{path}: {resource} limit {limit} at overcommit {overcommit} promises at most {most}, asked {asked} in all"
    )]
    Overcommitted {
        /// The parent.
        path: Arc<str>,
        /// Of which resource.
        resource: Resource,
        /// The parent's own limit.
        limit: u64,
        /// Its ratio, as text.
        overcommit: String,
        /// Limit times ratio.
        most: u128,
        /// The sum of the children's limits as it would have been.
        asked: u128,
    },
    /// The book does not know the node.
    #[error("allotment {0} is not there")]
    Unknown(AllotmentId),
    /// The sums do not add up: something was taken away that had not been put there. A fault of ours.
    #[error("{path}: {resource} would fall below zero")]
    Breach {
        /// Where.
        path: Arc<str>,
        /// Of which resource.
        resource: Resource,
    },
}
