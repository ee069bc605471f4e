//! The ledger by scripts and by random steps. Whatever is done here is done to the book and to the reference model, and
//! both must give the same answer and count the same.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

mod admission;
mod edges;
mod lines;
mod pair;
mod random;
mod script;
mod shape;
mod undo;

use script::check;
