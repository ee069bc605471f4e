//! The CloudSigma API over a real store and real volumes, through its router. Every test runs on SQLite and, when
//! `PLIMSOLL_TEST_POSTGRES` names a server, on PostgreSQL. The numbers are those of the checklist in the API's specification.

#![expect(clippy::unwrap_used, reason = "in a test a failure is a panic")]

#[macro_use]
mod house;

mod clones;
mod conventions;
mod creates;
mod deletes;
mod driveusers;
mod edits;
mod limits;
mod lists;
mod routes;
mod seed;
mod servers;
mod site;
mod snapshots;
mod tags;
mod uploads;
