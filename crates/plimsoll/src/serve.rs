//! `plimsoll serve`: from the settings to a running server, and to its end.

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, SiteText};
use crate::fault::{Doing, Fault};
use crate::server::Server;
use crate::settings::Settings;

/// Runs a server until a signal ends it.
pub async fn run(data: PathBuf, settings: Settings) -> Result<(), Fault> {
    allow_many_connections();
    panics_are_logged();
    let config = config(data, settings)?;
    let mut server = Server::start(config).await?;
    let url = server.url();
    if let Some(first) = server.take_first_login() {
        println!("{}", first.lines(&url));
    }
    println!("plimsoll is ready: {url}");
    until_told_to_stop().await?;
    println!("finishing what runs; once more to stop at once");
    tokio::select! {
        () = server.stop() => Ok(()),
        told = until_told_to_stop() => told.and(Err(Fault::new("stopped before everything had finished"))),
    }
}

fn config(data: PathBuf, settings: Settings) -> Result<Config, Fault> {
    if let Some(blobs) = &settings.blobs {
        let scheme = blobs.split(':').next().unwrap_or_default();
        return Err(Fault::new(format!(
            "content cannot lie on {scheme} yet: this version keeps it in the data folder"
        ))
        .hint("leave --blobs out"));
    }
    let tls = match (&settings.tls_cert, &settings.tls_key) {
        (Some(chain), Some(key)) => Some((chain.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(Fault::new("--tls-cert and --tls-key go together").hint("give both, or neither")),
    };
    let site = settings.site.as_deref().map(SiteText::of_file).transpose()?;
    let listen = settings.address()?;
    Ok(Config { listen, database: settings.database, tls, site, ..Config::new(data) })
}

async fn until_told_to_stop() -> Result<(), Fault> {
    let mut terminate = signal(SignalKind::terminate()).doing("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).doing("listen for signals")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Each connection is a descriptor; the soft limit is often 1024, and raising it up to the hard one is free.
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
}

/// A panic is a line of the log like any other fault, and not a backtrace across it.
fn panics_are_logged() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, what, "panicked");
    }));
}
