//! The native API, `/plimsoll/v1`: what the command line, automation and whoever has a token use.
//!
//! **Shape.** [`router`] is all there is to mount; `routes.rs` is its table of contents. A handler says who calls, what is
//! asked, decides, writes one unit of work, answers. `wire.rs` is the JSON, `error.rs` the one place of statuses.
//! **Always.** Another tenant's is answered like what is not there. What a face manages is changed by that face. A charge by
//! an operator or an admin reads nothing before its commit: the writer itself keeps them within their tenant.
//! **Bounds.** Bodies, pages, batches, how much of batches waits in the writer's queue, streams; each has a name and a
//! reason.
//! **Not here.** Arithmetic about space, SQL, passwords; the site file, whose route is the binary's.

mod access;
mod allotments;
mod auth;
mod batch;
mod claims;
mod docs;
mod doctor;
mod error;
mod events;
mod health;
mod idempotency;
mod input;
mod jobs;
mod openapi;
mod people;
mod reply;
mod room;
mod routes;
mod schemas;
mod tenants;
mod tokens;
mod users;
mod wire;

use std::sync::Arc;

use bytes::Bytes;
use content::Content;
use identity::Identity;
use store::Store;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

pub use auth::{LocalOperator, SESSION_COOKIES};
pub use routes::{BASE, Route, router, routes};

/// How many claims of batches may wait in the writer's queue at once. Less than the queue holds, so that batches wait for
/// their turn here and leave room for single claims, rather than being turned away.
const BATCHED_MAX: usize = 3000;
const _: () = assert!(BATCHED_MAX >= claims::BATCH_MAX, "a whole batch must fit");

/// How many streams there are at once, of all callers: each looks at the database again and again, and there are few readers.
const STREAMS_MAX: usize = 256;

/// What the API stands on.
pub struct Parts {
    /// The one way to disk.
    pub store: Store,
    /// The people.
    pub identity: Identity,
    /// The bytes, for the doctor.
    pub content: Content,
    /// What version the server says it is.
    pub version: String,
}

/// The parts, in every handler's hands. A cheap handle.
#[derive(Clone)]
struct Api {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    identity: Identity,
    content: Content,
    version: String,
    /// The description as it is sent, and the page made from it.
    openapi: Bytes,
    docs: Bytes,
    batched: Semaphore,
    streams: Arc<Semaphore>,
    /// A recount reads everything: one at a time.
    doctor: Mutex<()>,
    ready: health::Ready,
}

impl std::ops::Deref for Api {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Api {
    fn new(parts: Parts) -> Api {
        let Parts { store, identity, content, version } = parts;
        let description = openapi::document(&version, store.catalog());
        let shared = Shared {
            store,
            identity,
            content,
            version,
            openapi: description.to_string().into(),
            docs: docs::page(&description).into(),
            batched: Semaphore::new(BATCHED_MAX),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            doctor: Mutex::default(),
            ready: health::Ready::default(),
        };
        Api { shared: Arc::new(shared) }
    }

    /// A stream's place among those that may be at once, which it has until it ends.
    fn stream(&self) -> Result<OwnedSemaphorePermit, error::Error> {
        self.streams.clone().try_acquire_owned().map_err(|_| error::Error::TooManyStreams)
    }
}
