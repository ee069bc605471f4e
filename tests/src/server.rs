//! The built binary, serving a folder on a free port of this machine.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Client;

/// How long a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test: PLIMSOLL_BIN, or what cargo has built beside the running program.
///
/// # Panics
/// When it is not there.
pub fn plimsoll() -> PathBuf {
    if let Some(given) = std::env::var_os("PLIMSOLL_BIN") {
        // The server runs in a folder of its own, where a relative path would mean something else.
        return Path::new(&given).canonicalize().expect("PLIMSOLL_BIN is a file");
    }
    let here = std::env::current_exe().expect("a running program has a path");
    let built = here.ancestors().skip(1).take(3).map(|folder| folder.join("plimsoll")).find(|file| file.is_file());
    built.expect("the binary is not built: cargo build -p plimsoll")
}

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Start {
    binary: Option<PathBuf>,
    data: PathBuf,
    arguments: Vec<String>,
}

impl Start {
    /// On this data folder.
    pub fn on(data: &Path) -> Start {
        Start { binary: None, data: data.to_owned(), arguments: Vec::new() }
    }

    /// With this binary, instead of the one under test.
    pub fn binary(self, file: &Path) -> Start {
        Start { binary: Some(file.to_owned()), ..self }
    }

    /// With a site file.
    pub fn site(self, file: &Path) -> Start {
        self.argument("--site").argument(&file.to_string_lossy())
    }

    /// With one more word on its command line.
    pub fn argument(mut self, word: &str) -> Start {
        self.arguments.push(word.to_owned());
        self
    }

    /// The command, listening on a free port. No setting of ours reaches it but what is said here.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.binary.clone().unwrap_or_else(plimsoll));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PLIMSOLL_")) {
            command.env_remove(name);
        }
        command.current_dir(self.data.parent().expect("a data folder lies in a folder"));
        command.arg("serve").arg("--data").arg(&self.data).args(["--listen", "127.0.0.1:0"]);
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    /// When it is not ready in time, with what it said.
    pub fn start(&self) -> Server {
        let log = self.data.with_extension("log");
        let file = File::create(&log).expect("a log beside the data folder");
        let mut command = self.command();
        command.stdout(file.try_clone().expect("a second handle on the log")).stderr(file);
        let since = Instant::now();
        let child = command.spawn().expect("the binary starts");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child, address: nowhere, log, started_in: Duration::ZERO };
        server.address = server.wait_for("its address", |server| server.announced());
        server
            .wait_for("/readyz", |server| server.anonymous().get("/readyz").ok().filter(|answer| answer.status == 200));
        server.started_in = since.elapsed();
        server
    }
}

/// What the server prints before its address.
const READY: &str = "plimsoll is ready: http://";

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    started_in: Duration,
}

impl Server {
    fn wait_for<T>(&mut self, what: &str, look: impl Fn(&Server) -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status} instead of starting:\n{}", self.said());
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain for {what}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn announced(&self) -> Option<SocketAddr> {
        let said = self.said();
        said.lines().find_map(|line| line.strip_prefix(READY)?.trim_end_matches('/').parse().ok())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long it took from the program's start to the first `/readyz` that said yes.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A caller with this token.
    pub fn client(&self, token: &str) -> Client {
        Client::bearer(self.address, token)
    }

    /// A caller nobody knows.
    pub fn anonymous(&self) -> Client {
        Client::anonymous(self.address)
    }

    /// What it has printed.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: what a crash is to it.
    pub fn kill(mut self) {
        self.child.kill().expect("the server is ours to kill");
        self.child.wait().expect("and ours to wait for");
    }

    /// SIGTERM, without waiting.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the server is ours to end");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the server is ours to wait for") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the server does not end:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server said:\n{}", self.said());
        }
    }
}
