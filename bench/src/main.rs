//! Measures us beside what one would use instead, on one machine, in turns.
//!
//! **Shape.** `charge.rs` says whose turn it is; a side is a server we load over TCP ([`load::tcp`]) or a database we call
//! from threads ([`load::threads`]); [`report`] makes medians, ranges and ratios of the turns, and sets them beside the
//! goals in [`goals`].
//! **Always.** A refused or wrong answer is not a request served; a sum that does not come out fails the bench. Ratios are
//! taken within a round, because the machine drifts between rounds.
//! **Bounded.** Every turn has an end, and so has every wait for an answer.

mod cf;
mod charge;
mod files;
mod goals;
mod http;
mod load;
mod peers;
mod report;
mod rng;

use std::net::SocketAddr;

use clap::Parser;

/// Measures Plimsoll beside its peers.
#[derive(Parser)]
enum Verb {
    /// Charges on a path of four levels, all through one root.
    Charge(charge::Options),
    /// Small files, each a new one, through the CarrierX face.
    Files(files::Options),
    /// Quotas read and apps scaled through the Cloud Foundry face, beside the empty handler.
    Cf(cf::Options),
    /// The empty handler: parses a charge, keeps nothing, answers.
    #[command(hide = true)]
    Empty {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
    },
}

fn main() -> anyhow::Result<()> {
    match Verb::parse() {
        Verb::Charge(options) => charge::run(&options),
        Verb::Files(options) => files::run(&options),
        Verb::Cf(options) => cf::run(&options),
        Verb::Empty { listen } => peers::empty::serve(listen),
    }
}
