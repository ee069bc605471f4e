//! Cloud Foundry: quotas and what they bite, `/v2` and `/v3`, and the login that its clients use.
//!
//! **What for.** Organizations and their spaces get quotas: named sets of limits. Starting an app, running a task, making a
//! route, a domain, a service instance or a key takes from them, or is refused in Cloud Controller's own words.
//! **Shape.** `routes.rs` is the table of contents. One file a noun holds its rules and its SQL, with its handlers of v2 and v3
//! beside it (`quota.rs`, `quota_v2.rs`, `quota_v3.rs`); `wire.rs` is JSON out, `body.rs` JSON in; `uaa.rs` is the login;
//! `error.rs` and `over.rs` are the one place where what went wrong gets a code. `rule.rs` has what is no sum.
//! **Always.** An organization and a space are allotments with the same id. A quota's row is the set of limits as it was
//! given; those that are sums are written on the allotments of all it is applied to, in the commit that changes or applies
//! it, and are enforced there and nowhere else. What takes has a claim of its own id in the commit of its row; a stopped
//! app's takes nothing. Both APIs show the same rows.
//! **Bounds.** Every body, list, page and name has a named maximum.
//! **Not here.** Arithmetic about space, which is the store's; people and their passwords, which are identity's.

mod access;
mod app;
mod app_v2;
mod app_v3;
pub mod apply;
mod auth;
mod body;
mod cap;
mod domain;
mod error;
mod ids;
mod info;
mod job;
mod key;
mod list;
mod org;
mod org_v2;
mod org_v3;
mod over;
mod quota;
mod quota_v2;
mod quota_v3;
mod reply;
mod role;
mod role_v2;
mod role_v3;
mod route;
pub mod routes;
mod rule;
mod select;
mod service;
mod space;
mod space_v2;
mod space_v3;
mod task;
mod token;
mod uaa;
mod usage;
mod user;
mod wire;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use identity::{Identity, SigningKeys};
use store::{Migrations, Store, TenantId};

pub use body::base;
pub use info::links;

use crate::error::Error;

/// How often a change is tried again that somebody else's crossed.
const TRIES_MAX: usize = 16;

/// What an operator chooses.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Where clients reach the server; none: what the request calls it.
    pub public_url: Option<String>,
    /// The server's version.
    pub version: String,
}

/// The face: what its handlers reach. A cheap handle.
#[derive(Clone)]
pub struct Face {
    store: Store,
    identity: Identity,
    keys: SigningKeys,
    settings: Arc<Settings>,
    settled: Arc<Mutex<HashSet<TenantId>>>,
}

impl Face {
    /// The face over a site's store, people and signing keys.
    pub fn new(store: Store, identity: Identity, keys: SigningKeys, settings: Settings) -> Face {
        Face { store, identity, keys, settings: Arc::new(settings), settled: Arc::default() }
    }

    /// A tenant's first call: what every tenant has, the quota `default` and two domains, is there from then on.
    async fn settle(&self, tenant: TenantId) -> Result<(), Error> {
        let is_settled = |face: &Face| face.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(&tenant);
        if is_settled(self) {
            return Ok(());
        }
        quota::settle(&self.store, tenant).await?;
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        Ok(())
    }
}

/// Does it again while somebody else's change crosses it.
async fn again<T, F>(mut once: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..TRIES_MAX {
        match once().await {
            // A row of the other's broke a constraint, or something is on a node that looked empty.
            Err(Error::Moved | Error::Store(store::Error::Conflict(_) | store::Error::NotFound { .. })) => {}
            other => return other,
        }
    }
    once().await
}

/// The tables of this crate. They refer to identity's, so they come after them.
pub fn migrations() -> Migrations {
    let steps = &[("V1__cloudfoundry", include_str!("../migrations/V1__cloudfoundry.sql"))];
    Migrations { owner: "cloudfoundry", steps }
}

/// All paths of the face, to be merged with those of others.
pub fn router(face: Face) -> Router {
    let inside = routes::mount(Router::new());
    let around = axum::middleware::from_fn_with_state(face.clone(), reply::finish);
    inside.layer(around).with_state(face)
}
