//! Content on a real store and a real disk. Every test runs on SQLite, and on PostgreSQL when `PLIMSOLL_TEST_POSTGRES` says
//! where one is.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

#[path = "content/damage.rs"]
mod damage;
#[path = "content/freed.rs"]
mod freed;
#[path = "content/limits.rs"]
mod limits;
#[path = "content/round_trip.rs"]
mod round_trip;
#[path = "content/support.rs"]
mod support;
#[path = "content/volume_bytes.rs"]
mod volume_bytes;
#[path = "content/volume_charges.rs"]
mod volume_charges;
#[path = "content/volume_crash.rs"]
mod volume_crash;
#[path = "content/volume_hostile.rs"]
mod volume_hostile;
#[path = "content/volume_jobs.rs"]
mod volume_jobs;
#[path = "content/volume_nbd.rs"]
mod volume_nbd;
#[path = "content/volume_support.rs"]
mod volume_support;
