//! Servers of others that keep files, for as long as a bench runs: SeaweedFS's S3 and nginx's DAV, on free ports.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{clients, debian};

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The bucket that files are put in, which anyone may write to.
const BUCKET: &str = "bench";

/// A server in a folder of its own. Dropping it stops it and removes the folder.
pub struct Peer {
    server: Child,
    /// Where it takes files, as `ADDRESS:PORT`.
    pub address: String,
    /// The path that files are put under, without a slash at its end.
    pub path: String,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// SeaweedFS as delivered, or with a flush for each file.
    pub fn seaweed(fsync: bool) -> Result<Peer> {
        let weed = clients::python_program("weed")?;
        let folder = folder("plimsoll-seaweed-")?;
        let ports: Vec<u16> = (0..4).map(|_| port()).collect::<Result<_>>()?;
        let rights = folder.path().join("s3.json");
        std::fs::write(&rights, r#"{"identities":[{"name":"anonymous","actions":["Admin","Read","Write","List"]}]}"#)?;
        let mut command = debian::ordinary(&weed)?;
        command.args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-filer", "-s3"]);
        // Without what listens on ports of its own choice, and what reports to its makers.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.args(["-volume.max=20", "-master.volumeSizeLimitMB=1024"]);
        for (name, port) in ["master", "volume", "filer", "s3"].iter().zip(&ports) {
            command.arg(format!("-{name}.port={port}"));
        }
        command.arg(format!("-dir={}", folder.path().display())).arg(format!("-s3.config={}", rights.display()));
        let (address, path) = (format!("127.0.0.1:{}", ports[3]), format!("/{BUCKET}"));
        let peer = Peer::start(command, address, path, folder)?;
        peer.make_bucket()?;
        if fsync {
            let cluster = [format!("-master=127.0.0.1:{}", ports[0]), format!("-filer=127.0.0.1:{}", ports[2])];
            let rule = format!("fs.configure -locationPrefix=/buckets/{BUCKET}/ -fsync=true -apply\n");
            shell(&weed, &cluster, &rule)?;
        }
        Ok(peer)
    }

    /// nginx with its DAV module: writes a file beside, renames it, flushes nothing.
    pub fn nginx() -> Result<Peer> {
        let sbin = [PathBuf::from("/usr/sbin")];
        let nginx = debian::need("nginx-light", || debian::find("nginx", &sbin))?;
        let folder = folder("plimsoll-nginx-")?;
        let port = port()?;
        let mut temporary = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = write!(temporary, "{kind}_temp_path temporary; ");
        }
        let text = format!(
            "worker_processes 2; pid pid; error_log error.log; daemon off;\nevents {{ worker_connections 1024; }}\n\
             http {{ access_log off; {temporary}client_max_body_size 0; keepalive_requests 10000000; sendfile on;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ root files; dav_methods PUT DELETE; \
             create_full_put_path on; }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), text)?;
        let mut command = debian::ordinary(&nginx)?;
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        Peer::start(command, format!("127.0.0.1:{port}"), "/bench".to_owned(), folder)
    }

    fn start(mut command: Command, address: String, path: String, folder: tempfile::TempDir) -> Result<Peer> {
        let log = std::fs::File::create(folder.path().join("log"))?;
        let name = format!("{:?}", command.get_args().next().unwrap_or_default());
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = command.spawn().with_context(|| format!("{name} did not start"))?;
        let mut peer = Peer { server, address, path, _folder: folder };
        let since = Instant::now();
        while TcpStream::connect(&peer.address).is_err() {
            if peer.server.try_wait()?.is_some() || since.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(peer._folder.path().join("log")).unwrap_or_default();
                bail!("{name} does not listen on {}:\n{log}", peer.address);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(peer)
    }

    /// Until it is made: the parts of SeaweedFS come up one after the other.
    fn make_bucket(&self) -> Result<()> {
        let since = Instant::now();
        loop {
            match put(&self.address, &self.path).and_then(|()| put(&self.address, &format!("{}/first", self.path))) {
                Ok(()) => return Ok(()),
                Err(error) if since.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(200)),
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A folder on a disk: /var/tmp outlives a reboot, so it is one wherever /tmp may be memory.
fn folder(prefix: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in("/var/tmp")?;
    for name in ["files", "temporary"] {
        std::fs::create_dir(folder.path().join(name))?;
    }
    if debian::is_root() {
        let (user, group) = debian::ordinary_user()?;
        for path in [folder.path().to_owned(), folder.path().join("files"), folder.path().join("temporary")] {
            chown(path, Some(user), Some(group))?;
        }
    }
    Ok(folder)
}

/// A free port whose neighbour 10,000 above is free, too: SeaweedFS takes both.
fn port() -> Result<u16> {
    for _ in 0..1000 {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let port = if port > 55_000 { port - 20_000 } else { port };
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return Ok(port);
        }
    }
    bail!("no two free ports on this machine")
}

fn put(address: &str, path: &str) -> Result<()> {
    use std::io::Read as _;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "PUT {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.get(9..12).unwrap_or_default();
    ensure!(status == "200" || status == "409", "PUT {path}: {answer}");
    Ok(())
}

fn shell(weed: &Path, cluster: &[String], line: &str) -> Result<()> {
    let mut command = Command::new(weed);
    command.arg("shell").args(cluster).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut shell = command.spawn().context("weed shell did not start")?;
    shell.stdin.take().context("weed shell takes lines")?.write_all(line.as_bytes())?;
    ensure!(shell.wait()?.success(), "weed shell: {line}");
    Ok(())
}
