//! The face from outside: its HTTP, on both databases.

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
