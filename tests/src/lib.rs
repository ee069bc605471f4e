//! A real server and a small client: what the whole-system tests (`tests/tests/whole.rs`) and the benches start from.
//!
//! **Shape.** [`Server`] runs the built binary on a folder and a free port; [`Client`] speaks plain HTTP/1.1 to it.
//! **Always.** A server is stopped when its value is dropped; nothing is waited for without an end.
//! **Not here.** Any crate of ours: the tests see what a client sees.

mod client;
mod server;

pub use client::{Answer, Client};
pub use server::{Server, Start, plimsoll};
