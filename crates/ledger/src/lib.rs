//! The ledger: who may use how much, and what happens when somebody asks for more.
//!
//! **What for.** Everything that has to be right about space is decided here: admission, limits, the sums up the two
//! sides of the tree, load lines, promises. The store loads nodes into a [`Book`], asks, and writes down what changed.
//!
//! **Shape.** A claim has a [`Weight`]: an amount, at a [`Place`], in a state. Every change of a claim (charge, resize,
//! settle, move, release, expiry) is one call, [`Book::shift`], from the weight before to the weight after. What grows is
//! checked against every limit on its path; what shrinks is never refused.
//!
//! **Always.** used and pending of a node are the sums of the claims at and below it; arithmetic is checked; a refused
//! change leaves the book as it was.
//!
//! **Not here.** I/O, clocks, randomness, async, SQL, JSON, HTTP: the manifest has no crate that could do any of them.

mod amounts;
mod book;
mod limit;
mod load_line;
#[cfg(feature = "model")]
pub mod model;
mod name;
mod refusal;
mod resource;

pub use amounts::{AMOUNT_MAX, AmountError, Amounts, Limits};
pub use book::{Balance, Book, Change, ClaimState, DEPTH_MAX, Node, Overcommit, Place, Shape, Side, Weight};
pub use load_line::{Crossing, Direction, LoadLine, Mark, crossings};
pub use name::{Name, NameError};
pub use refusal::{Denied, Refusal};
pub use resource::{Catalog, CatalogError, Resource};

/// Declares an id: a UUID that cannot be mistaken for another noun's.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                uuid::Uuid::try_parse(text).map($name)
            }
        }
    };
}

id! {
    /// A node of the tree of limits.
    AllotmentId
}
id! {
    /// An amount taken from allotments.
    ClaimId
}
