//! The KooDrive API over a real store, through its router. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES`
//! names a server, on PostgreSQL. The numbers are those of the checklist in the API's specification.

#![expect(clippy::unwrap_used, reason = "in a test a failure is a panic")]

#[macro_use]
mod house;
mod concurrency;
mod example;
mod log;
mod routes;
mod sessions;
mod signatures;
mod signer;
mod site;
mod spaces;
mod speech;
mod transfers;
