//! The command line: what a person types, and what is done about it.
//!
//! Every command but `serve` and `completions` speaks to a running server through the socket in its data folder, with the
//! native API and the operator's rights: whoever may read the folder needs no token.

mod apply;
mod bench;
mod drives;
mod events;
mod files;
mod people;
mod progress;
mod space;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use http::Method;

use crate::client::Client;
use crate::fault::Fault;
use crate::settings::{self, Settings};
use crate::show::{self, Output};

/// Plimsoll hands out storage, and not one byte past the line.
#[derive(Parser, Debug)]
#[command(
    version,
    propagate_version = true,
    after_help = "Examples:\n  plimsoll serve                           a server on 127.0.0.1:8080 with a small sample site\n  \
                  plimsoll serve --site site.toml          one with your own site\n  \
                  plimsoll tree                            who may use how much, and does\n  \
                  plimsoll limit acme bytes=10TB --dry-run what would happen\n\n\
                  Logs go to standard error; PLIMSOLL_LOG=debug shows more of them."
)]
pub struct Cli {
    /// The data folder: the server's home, and where commands find it [default: ./plimsoll-data]
    #[arg(long, global = true, value_name = "DIR", env = "PLIMSOLL_DATA")]
    pub data: Option<PathBuf>,
    /// Answer in JSON, as the API does
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the server
    #[command(
        after_help = "Settings come from flags, then the environment (PLIMSOLL_LISTEN and so on), then plimsoll.toml\n\
                            in the working folder, whose keys are the flags' names with _ for -.\n\n\
                            Examples:\n  plimsoll serve\n  \
                            plimsoll serve --data /srv/plimsoll --listen 0.0.0.0:443 --site site.toml \\\n      \
                            --tls-cert chain.pem --tls-key key.pem\n\n\
                            Ctrl-C or SIGTERM finishes what runs, and ends it."
    )]
    Serve(Settings),
    /// Make the site as a file says
    #[command(
        after_help = "Compared is what the file says now with what it said when it was last applied: that is changed,\n\
                            and nothing else. Applying a file twice changes nothing.\n\n\
                            Examples:\n  plimsoll apply site.toml --dry-run\n  plimsoll apply site.toml"
    )]
    Apply(apply::Apply),
    /// Show the tree: who may use how much, and does
    #[command(
        after_help = "Examples:\n  plimsoll tree\n  plimsoll tree acme --depth 1\n  plimsoll tree supply:disk\n  \
                            plimsoll tree | awk -F'\\t' '$6 > 90'      one line a path and resource: path, resource,\n\
                            \u{20}                                            used, pending, limit, percent"
    )]
    Tree(space::Tree),
    /// Show one allotment
    #[command(after_help = "Examples:\n  plimsoll show acme/projects/climate\n  plimsoll show supply:disk")]
    Show(space::Show),
    /// Change limits
    #[command(
        after_help = "A limit may be lowered below what is used: nothing is lost, and nothing more is let in.\n\n\
                            Examples:\n  plimsoll limit acme bytes=10TB\n  \
                            plimsoll limit acme/projects/climate bytes=\"1.5 TiB\" objects=1000000\n  \
                            plimsoll limit supply:disk bytes=unlimited\n  \
                            plimsoll limit acme bytes=1GB --dry-run      who would be over then"
    )]
    Limit(space::Limit),
    /// List what takes space
    #[command(after_help = "Examples:\n  plimsoll claims\n  plimsoll claims acme/projects/climate --state pending")]
    Claims(space::Claims),
    /// List what has happened, oldest first
    #[command(after_help = "Examples:\n  plimsoll events\n  plimsoll events --follow\n  \
                            plimsoll events acme --kind claim.charged")]
    Events(events::Events),
    /// Recount everything and compare; fails if anything differs
    Doctor,
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Token(people::Token),
    /// Make, list and remove people
    #[command(subcommand)]
    User(people::User),
    /// Store a file in a container of a CarrierX partner
    #[command(
        after_help = "The token is one of the partner's, from the site file. A container and a file go by their names or SIDs.\n\n\
                            Examples:\n  plimsoll put song.mp3 acme-voice/greetings\n  \
                            plimsoll put song.mp3 acme-voice/greetings --url http://127.0.0.1:8080 --token TOKEN"
    )]
    Put(files::Put),
    /// Fetch a file from a container of a CarrierX partner
    #[command(
        after_help = "What was cut off goes on where it stopped: the part that is here stays in OUT.part until it is whole, and\n\
                            is compared with the server's checksum then.\n\n\
                            Examples:\n  plimsoll get acme-voice/greetings/song.mp3\n  \
                            plimsoll get acme-voice/greetings/song.mp3 -o copy.mp3"
    )]
    Get(files::Get),
    /// List, make, clone, snapshot, export and import drives
    #[command(subcommand)]
    Drive(drives::Drive),
    /// Put load on a server, and report
    #[command(
        after_help = "Charges small claims on an allotment from many clients at once, and gives them all back.\n\n\
                            Examples:\n  plimsoll bench acme --clients 64 --seconds 10\n  \
                            plimsoll bench acme --url http://127.0.0.1:8080 --token acme-native-token"
    )]
    Bench(bench::Bench),
    /// Print the native API's description (OpenAPI 3.1)
    Openapi,
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  plimsoll completions bash > ~/.local/share/bash-completion/completions/plimsoll"
    )]
    Completions(Completions),
}

/// For which shell.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

impl Cli {
    /// Does what was asked, for all commands but `serve`.
    pub async fn run(self) -> Result<(), Fault> {
        let output = Output::standard(self.json);
        if let Command::Completions(Completions { shell }) = self.command {
            return completions(shell);
        }
        let data = settings::data(self.data)?;
        if let Command::Bench(bench) = self.command {
            return bench.run(&data, output).await;
        }
        match self.command {
            Command::Put(put) => return put.run(&data, output).await,
            Command::Get(get) => return get.run(&data, output).await,
            Command::Drive(drive) => return drive.run(&data, output).await,
            _ => {}
        }
        let mut client = Client::local(&data).await?;
        match self.command {
            Command::Apply(apply) => apply.run(&mut client, output).await,
            Command::Tree(tree) => tree.run(&mut client, output).await,
            Command::Show(show) => show.run(&mut client, output).await,
            Command::Limit(limit) => limit.run(&mut client, output).await,
            Command::Claims(claims) => claims.run(&mut client, output).await,
            Command::Events(events) => events.run(&mut client, output).await,
            Command::Doctor => doctor(&mut client, output).await,
            Command::Token(token) => token.run(&mut client, output).await,
            Command::User(user) => user.run(&mut client, output).await,
            Command::Openapi => show::print_json(&client.get("/openapi.json").await?),
            Command::Serve(_) | Command::Bench(_) | Command::Completions(_) => Ok(()),
            Command::Put(_) | Command::Get(_) | Command::Drive(_) => Ok(()),
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Fault> {
    let mut command = <Cli as clap::CommandFactory>::command();
    // Into memory first: clap's own writing panics when a reader like `head` has gone.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "plimsoll", &mut text);
    show::print([String::from_utf8_lossy(&text).trim_end().to_owned()])
}

async fn doctor(client: &mut Client, output: Output) -> Result<(), Fault> {
    let report = client.call(Method::GET, "/doctor", None).await?;
    if output.is_json {
        show::print_json(&report)?;
    } else {
        let checked = report["checked"].as_object().into_iter().flatten();
        let checked: Vec<String> = checked.map(|(noun, count)| format!("{count} {noun}")).collect();
        show::print([format!("checked {}", checked.join(", "))])?;
    }
    let drift = report["drift"].as_array().map(Vec::as_slice).unwrap_or_default();
    if report["ok"].as_bool() == Some(true) && drift.is_empty() {
        return if output.is_json { Ok(()) } else { show::print(["everything adds up".to_owned()]) };
    }
    if !output.is_json {
        show::print(drift.iter().map(|drift| drift.as_str().map_or_else(|| drift.to_string(), str::to_owned)))?;
    }
    Err(Fault::new(format!("{} sums or files are not as they should be", drift.len()))
        .hint("this is a fault of the program: keep the data folder as it is, and report it"))
}
