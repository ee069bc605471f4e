//! Content on a real store and a real disk. Every test runs on SQLite, and on PostgreSQL when `PLIMSOLL_TEST_POSTGRES` says
//! where one is.

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
