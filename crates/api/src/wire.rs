//! The JSON in and out, and nothing else. The store's types become these by hand, so that it may change without a client
//! noticing.

mod answered;
mod asked;

pub use answered::*;
pub use asked::*;
