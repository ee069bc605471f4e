//! KooDrive: the spaces of a cloud drive, `/koodrive/ose/…`.
//!
//! **What for.** A tenant has so much room for each type of space (department, individual, group), hands out spaces from it,
//! and moves what is not handed out from one type to another.
//! **Shape.** `routes.rs` is the table of contents. `kind.rs` (the types) and `space.rs` hold handlers, rules and SQL;
//! `wire.rs` is JSON in and out; `auth.rs` finds who is calling, by token or by signature; `speech.rs` says the outcome in the
//! caller's language; `error.rs` is the one place where what went wrong gets a status and a code.
//! **Always.** A type is an allotment under its tenant's `koodrive`, with an overcommit of 1.0; a space is one under its type,
//! with the same id. `totalCapacity` and `capacity` are their limits, `allocateCapacity` is what the type has promised,
//! `spaceUsed` what is claimed under the space: read from there and written there.
//! **Bounds.** Every body, list and text has a named maximum.
//! **Not here.** Arithmetic about space, which is the store's; bytes, for which this API has no call; other faces.

pub mod apply;
mod auth;
mod call;
mod error;
mod kind;
mod person;
pub mod routes;
mod session;
mod space;
mod speech;
mod wire;

use axum::Router;
use identity::Identity;
use store::{Migrations, Store};

/// The face: what its handlers reach. A cheap handle.
#[derive(Clone)]
pub struct Face {
    store: Store,
    identity: Identity,
}

impl Face {
    /// The face over a site's store and people.
    pub fn new(store: Store, identity: Identity) -> Face {
        Face { store, identity }
    }
}

/// The tables of this crate. They refer to identity's, so they come after them.
pub fn migrations() -> Migrations {
    Migrations { owner: "koodrive", steps: &[("V1__koodrive", include_str!("../migrations/V1__koodrive.sql"))] }
}

/// All paths below `/koodrive`, to be merged with those of others.
pub fn router(face: Face) -> Router {
    routes::mount(Router::new()).with_state(face)
}
