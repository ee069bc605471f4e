//! CloudSigma 2.0: the API of a cloud's drives, `/api/2.0/…`.
//!
//! **What for.** A drive is a disk image that a hypervisor can use: created, resized, cloned, snapshotted, tagged, mounted on
//! servers (which run nothing: a started server's drives are exported by NBD), uploaded and downloaded.
//! **Shape.** `routes.rs` is the table of contents. One file a noun holds its handlers, its rules and its SQL; `drive/` and
//! `server/` have one a verb. `wire.rs` is JSON out, `input.rs` what comes in, `list.rs` windows and filters; `auth.rs` finds
//! who is calling; `error.rs` is the one place where what went wrong gets a status and a body.
//! **Always.** A drive's row is in the commit that charges its volume, under the same id; so is a snapshot's. A user sees and
//! touches what they own, and library drives; the rest is not there. An error is a list.
//! **Bounds.** Every body, list, name and batch has a named maximum. A drive's bytes are never in memory as a whole.
//! **Not here.** Arithmetic about space, which is the store's; images and their bytes, which are content's; other faces.

mod account;
pub mod apply;
mod auth;
mod capacity;
mod download;
mod drive;
mod driveuser;
mod error;
mod ids;
mod input;
mod job;
mod lenient;
mod library;
mod license;
mod list;
mod naming;
mod profile;
mod reply;
pub mod routes;
mod schema;
mod select;
mod server;
mod snapshot;
mod start;
mod storage_type;
mod tag;
mod upload;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use content::Content;
use identity::Identity;
use store::{Migrations, Store};

use crate::ids::DriveId;

/// The face: what its handlers reach. A cheap handle.
#[derive(Clone)]
pub struct Face {
    store: Store,
    identity: Identity,
    content: Content,
    /// Chunks that are being received: nobody else writes there meanwhile.
    receiving: Arc<Mutex<HashSet<(DriveId, u64)>>>,
    /// Held by whoever starts or stops a server: an export belongs to all that run with its drive.
    exports: Arc<tokio::sync::Mutex<()>>,
}

impl Face {
    /// The face over a site's store, people and content.
    pub fn new(store: Store, identity: Identity, content: Content) -> Face {
        Face { store, identity, content, receiving: Arc::default(), exports: Arc::default() }
    }
}

/// The tables of this crate. They refer to identity's, so they come after them.
pub fn migrations() -> Migrations {
    let steps = &[("V1__cloudsigma", include_str!("../migrations/V1__cloudsigma.sql"))];
    Migrations { owner: "cloudsigma", steps }
}

/// All paths below `/api/2.0`, to be merged with those of others. [`Face::prepare`], then content's start, then
/// [`Face::start`] come before.
pub fn router(face: Face) -> Router {
    routes::mount(face)
}
