//! Identity over a real store. Every test runs on SQLite and, when `PLIMSOLL_TEST_POSTGRES` names a server, on PostgreSQL.

#[macro_use]
mod house;
mod login;
mod people;
mod rights;
mod sessions;
mod site;
mod tokens;
