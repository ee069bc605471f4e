//! Identity over a real store. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES` names a server, on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

#[macro_use]
mod house;
mod keys;
mod login;
mod people;
mod rights;
mod sessions;
mod site;
mod tokens;
