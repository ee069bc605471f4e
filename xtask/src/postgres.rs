//! A PostgreSQL server of our own, in a folder of its own, for as long as a verb runs.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{debian, run};

/// How long the server may take to come up, or to go down: it has an empty database.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Dropping it stops it and removes its folder.
pub struct Postgres {
    server: Child,
    folder: tempfile::TempDir,
    port: u16,
    version: String,
}

/// How safe the data must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// For tests: a crash of the machine may lose all of it.
    None,
    /// As delivered: a commit is on disk.
    Stock,
}

impl Postgres {
    /// Starts a server with an empty database, as an ordinary user. `settings` are `name=value`.
    pub fn start(durability: Durability, settings: &[&str]) -> Result<Postgres> {
        let initdb = debian::need("postgresql", || debian::find("initdb", &folders()))?;
        let programs = initdb.canonicalize().unwrap_or(initdb);
        let programs = programs.parent().context("initdb lies in a folder")?;
        let folder = tempfile::Builder::new().prefix("plimsoll-postgres-").tempdir()?;
        if debian::is_root() {
            let (user, group) = debian::ordinary_user()?;
            chown(folder.path(), Some(user), Some(group))?;
        }
        init(&programs.join("initdb"), folder.path(), durability)?;
        let version = run::output(std::process::Command::new(programs.join("postgres")).arg("--version"))?;
        let version = version.split_whitespace().nth(2).unwrap_or("of unknown version").to_owned();
        // Between this look and the server's bind another program may take the port; then the start says so.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let server = serve(&programs.join("postgres"), folder.path(), port, durability, settings)?;
        let mut postgres = Postgres { server, folder, port, version };
        postgres.wait_until_ready(&programs.join("pg_isready"))?;
        Ok(postgres)
    }

    /// Where it listens, for any client.
    pub fn url(&self) -> String {
        format!("postgres://plimsoll@127.0.0.1:{}/postgres", self.port)
    }

    /// Its version, as it says.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn wait_until_ready(&mut self, pg_isready: &Path) -> Result<()> {
        let since = Instant::now();
        let asks = ["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()].map(str::to_owned);
        while !std::process::Command::new(pg_isready).args(&asks).status()?.success() {
            if self.server.try_wait()?.is_some() || since.elapsed() > PATIENCE {
                bail!("PostgreSQL did not start:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Interrupt is its fast shutdown: sessions are cut, shared memory is given back.
        let _ = kill_process(Pid::from_child(&self.server), Signal::INT);
        let since = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where Debian keeps the server's programs, the newest version first; they are not in PATH.
fn folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut numbered: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    numbered.sort();
    numbered.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn init(initdb: &Path, folder: &Path, durability: Durability) -> Result<()> {
    let mut command = debian::ordinary(initdb)?;
    command.arg("-D").arg(folder.join("data"));
    command.args(["-U", "plimsoll", "-A", "trust", "-E", "UTF8", "--locale=C"]);
    if durability == Durability::None {
        command.arg("--no-sync");
    }
    run::output(command.current_dir(folder)).context("initdb").map(drop)
}

fn serve(postgres: &Path, folder: &Path, port: u16, durability: Durability, settings: &[&str]) -> Result<Child> {
    let mut command = debian::ordinary(postgres)?;
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    if durability == Durability::None {
        command.args(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    let log = std::fs::File::create(folder.join("log"))?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("postgres did not start")
}
