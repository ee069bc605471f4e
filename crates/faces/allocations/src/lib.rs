//! Allocations: the API of research-data platforms, `/api/…`.
//!
//! **What for.** Users and projects are given allocations (so many bytes, so many records) in repositories, and store
//! records in them. Collections and assets say where what belongs to them is stored.
//! **Shape.** `routes.rs` is the table of contents. One file a noun holds its handlers, its rules and its SQL; `wire.rs` is
//! JSON in and out; `auth.rs` finds who is calling, `access.rs` how close they are to what they name; `error.rs` is the one
//! place where what went wrong gets a status and a body.
//! **Always.** A limit lives on its allotment and nowhere else: `data_volume_limit`, `max_records` and a repository's
//! `capacity` are read from there and written there. An allocation, a project and a repository have the id of their
//! allotment. A record's rows are in the commit of its charge. What the caller may not see is not there.
//! **Bounds.** Every body, list, page and name has a named maximum. A large body is never in memory as a whole.
//! **Not here.** Arithmetic about space, which is the store's; bytes on disk, which are content's; other faces.

mod access;
mod allocation;
pub mod apply;
mod asset;
mod attach;
mod auth;
mod collection;
mod download;
mod error;
mod ids;
mod input;
mod page;
mod project;
mod record;
mod reply;
mod repository;
pub mod routes;
mod select;
mod target;
mod transfer;
mod upload;
mod user;
mod wire;

use std::sync::Arc;

use axum::Router;
use content::Content;
use identity::Identity;
use store::{Migrations, Store};

/// What an operator chooses.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Whether every unsafe call on a session must bring the session's CSRF token, not only those that bring one.
    pub strict_csrf: bool,
    /// Where clients reach the server; none: what the request calls it.
    pub public_url: Option<String>,
}

/// The face: what its handlers reach. A cheap handle.
#[derive(Clone)]
pub struct Face {
    store: Store,
    identity: Identity,
    content: Content,
    settings: Arc<Settings>,
}

impl Face {
    /// The face over a site's store, people and content.
    pub fn new(store: Store, identity: Identity, content: Content, settings: Settings) -> Face {
        Face { store, identity, content, settings: Arc::new(settings) }
    }
}

/// The tables of this crate. They refer to identity's, so they come after them.
pub fn migrations() -> Migrations {
    let steps = &[("V1__allocations", include_str!("../migrations/V1__allocations.sql"))];
    Migrations { owner: "allocations", steps }
}

/// All paths below `/api`, to be merged with those of others. Content must have been started.
pub fn router(face: Face) -> Router {
    routes::mount(Router::new()).with_state(face)
}
