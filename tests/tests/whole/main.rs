//! The whole system, from outside: the real binary, a data folder, a network, a disk that fills, a process that dies.
//!
//! **Shape.** One file a question. [`site`] is the small site most of them start from; [`account`] is what the clients of a
//! crash remember.
//! **Always.** Each test has a server and a folder of its own, and waits for events, with an end to the wait.
//! **Not here.** What one crate can show alone.

mod account;
mod arrows;
mod carrierx_client;
mod cli;
mod cloudfoundry_client;
mod cloudsigma_client;
mod crash;
mod disk;
mod http;
mod koodrive_client;
mod one_truth;
mod process;
mod readme;
mod site;
mod store_away;
mod uploads;
