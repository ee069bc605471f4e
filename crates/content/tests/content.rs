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
