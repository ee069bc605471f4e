//! The store, on both databases. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES` names a server, on PostgreSQL;
//! at the end of each the doctor recounts everything, and must find nothing.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

#[macro_use]
mod house;
mod admission;
mod batches;
mod concurrency;
mod doctor;
mod expiry;
mod idempotency;
mod jobs;
mod journal;
mod limits;
mod moves;
mod nodes;
mod opening;
mod random;
mod readers;
mod tenants;
mod tree;
