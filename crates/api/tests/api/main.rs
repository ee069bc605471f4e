//! The native API over a real store, through its router. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES` names
//! a server, on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

#[macro_use]
mod house;
mod allotments;
mod batch;
mod claims;
mod events;
mod idempotency;
mod open;
mod people;
mod rights;
