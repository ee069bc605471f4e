//! From a socket to the router and back.
//!
//! **Shape.** [`listen`] accepts and bounds connections; [`pulse`] watches over each one's time; [`front`] wraps every
//! request on its way to the router: an id, a quiet path, panics caught, what was sent timed.
//! **Always.** A connection that sends nothing, sends slowly, or does not read what it asked for is closed in bounded time;
//! one request's panic harms no other. axum's own `serve` sets no timer, which is why this is here.
//! **Not here.** Routes, and who may call them.

mod bodies;
pub mod front;
pub mod listen;
mod pulse;
#[cfg(test)]
mod tests;
pub mod tls;
