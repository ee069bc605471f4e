//! The Cloud Foundry API over a real store, through its router. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES`
//! names a server, on PostgreSQL. The numbers are those of the checklist in the API's specification.

#![expect(clippy::unwrap_used, reason = "in a test a failure is a panic")]

#[macro_use]
mod house;
mod charges;
mod login;
mod memory;
mod model;
mod owners;
mod roles;
mod routes;
mod site;
mod space_quotas;
mod v3;
mod v3_owners;
