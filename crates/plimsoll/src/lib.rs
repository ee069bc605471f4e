//! The program: one server that composes the crates, and the command line that speaks to it.
//!
//! **Shape.** [`Server::start`] takes a [`Config`] and answers when it serves: data folder, store, people, content, site,
//! faces, sockets. `main.rs` is [`cli`] and nothing more. [`net`] is the way from a socket to the router, [`compose`] the
//! router, [`apply`] the site file's hands.
//! **Always.** One server a data folder. Whoever opens the socket in it is the operator, by the file system's rights. No
//! secret is printed but at the terminal, once, when it is made.
//! **Not here.** Rules about space, people or content; a face's wire forms.

pub mod apply;
pub mod cli;
pub mod client;
pub mod compose;
pub mod config;
mod fault;
mod folder;
pub mod logs;
pub mod net;
mod password;
mod problem;
pub mod sample;
pub mod serve;
mod server;
pub mod settings;
mod show;
mod startup;

pub use config::{Config, SiteText};
pub use fault::Fault;
pub use server::Server;
