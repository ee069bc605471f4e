//! The site file: what there is to hand out and to whom, from its text to a list of changes.
//!
//! **Shape.** [`Site::parse`] reads and checks a whole file and tells every fault at once, each with its line.
//! [`Site::objects`] makes a flat map of it, secrets replaced. [`plan`] compares that with the map of the last
//! application: what is different is done, what is not was perhaps changed elsewhere and stays. Whoever applies the plan
//! keeps the map for the next time ([`settle`]).
//! **Always.** No secret can be printed, and none is in the map or in a fault. Equal files give an empty plan.
//! **Not here.** The store, files, the environment, hashing of passwords: the caller hands in what reaches them.

mod check;
mod error;
mod key;
mod model;
mod objects;
mod parse;
mod parse_tenant;
mod plan;
mod read;
mod secret;
pub mod size;
pub mod suggest;
#[cfg(test)]
mod tests;

pub use error::SiteError;
pub use key::{Key, KeyError, Kind};
pub use model::*;
pub use objects::{KeepPassword, Objects, fingerprint, from_json, to_json};
pub use plan::{Action, Change, Field, plan, settle};
pub use secret::Secret;

/// Where a secret's text is, when it is not in the file itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source<'a> {
    /// An environment variable's name.
    Env(&'a str),
    /// A file's path.
    File(&'a str),
}
