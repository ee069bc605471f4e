//! CarrierX: storage containers and files, `/core/v2/…`, and published files, `/f/…`.
//!
//! **What for.** A partner makes containers with quotas, and stores files in them. Containers may lie in each other. A file
//! can be published, can end by itself, and can be cleared away when its container passes a threshold.
//! **Shape.** `routes.rs` is the table of contents. `container.rs` and `file.rs` hold the nouns: handlers, rules, and their SQL
//! in `rows.rs` beside them; `upload.rs` and `download.rs` are bytes in and out; `wire.rs` is JSON out, `input.rs` JSON in;
//! `auth.rs` finds which partner is calling; `error.rs` is the one place where what went wrong gets a status and a body;
//! `sweep.rs` does what nobody asks for at the time: lifecycles and thresholds.
//! **Always.** A quota lives on its allotment and nowhere else: `quota_bytes` and `quota_files` are read from there and
//! written there. A container and a partner have the id of their allotment. A file's row is in the commit of its charge.
//! What another partner has is not there.
//! **Bounds.** Every body, list, page, filter and name has a named maximum. A large body is never in memory as a whole.
//! **Not here.** Arithmetic about space, which is the store's; bytes on disk, which are content's; other faces.

pub mod apply;
mod auth;
mod class;
mod container;
mod download;
mod error;
mod file;
mod filter;
mod ids;
mod input;
mod keys;
mod list;
mod partner;
mod reply;
pub mod routes;
mod select;
mod sweep;
mod upload;
mod wire;

use std::sync::Arc;

use axum::Router;
use content::Content;
use identity::Identity;
use store::{Migrations, Store};

/// What an operator chooses.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Where clients reach the server; none: what the request calls it.
    pub public_url: Option<String>,
    /// Whether content is encrypted at rest: a container can be asked to be only then.
    pub is_sealed: bool,
}

/// The face: what its handlers reach. A cheap handle.
#[derive(Clone)]
pub struct Face {
    parts: Arc<Parts>,
}

/// What all handles share.
pub struct Parts {
    store: Store,
    identity: Identity,
    content: Content,
    settings: Settings,
}

impl std::ops::Deref for Face {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Face {
    /// The face over a site's store, people and content.
    pub fn new(store: Store, identity: Identity, content: Content, settings: Settings) -> Face {
        Face { parts: Arc::new(Parts { store, identity, content, settings }) }
    }
}

/// The tables of this crate.
pub fn migrations() -> Migrations {
    let steps = &[("V1__carrierx", include_str!("../migrations/V1__carrierx.sql"))];
    Migrations { owner: "carrierx", steps }
}

/// All paths below `/core/v2` and `/f`, to be merged with those of others. Content must have been started.
pub fn router(face: Face) -> Router {
    routes::mount(Router::new()).with_state(face)
}
