//! The sides of the bench: ours, and what one would use instead. Each is set up once and charges the same tree: a root, 10
//! below it, 100 below those and 1,000 leaves, with a limit of bytes and of objects on every node.

pub mod empty;
pub mod ours;
pub mod postgres;
pub mod redis;
pub mod sqlite;

/// How many leaves the tree has.
pub const LEAVES: usize = 1_000;

/// A limit that is checked and never reached.
pub const WIDE: u64 = 1 << 50;

/// The four nodes from a leaf to the root, numbered as the databases number them: leaves from 1000, their parents from
/// 100, theirs from 10, the root 1.
pub fn path(leaf: usize) -> [i64; 4] {
    let leaf = leaf as i64;
    [1_000 + leaf, 100 + leaf / 10, 10 + leaf / 100, 1]
}

/// Every node of the tree, by the same numbers.
pub fn nodes() -> impl Iterator<Item = i64> {
    (1_000..2_000).chain(100..200).chain(10..20).chain([1])
}
