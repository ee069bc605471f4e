//! The CarrierX API over a real store, through its router. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES` names
//! a server, on PostgreSQL. The numbers are those of the checklist in the API's specification.

#![expect(clippy::unwrap_used, reason = "in a test a failure is a panic")]

#[macro_use]
mod house;
mod auth;
mod containers;
mod files;
mod keys;
mod limits;
mod lists;
mod moves;
mod publishing;
mod routes;
mod site;
mod sweeping;
