//! Accepting connections, and letting go of them.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::front::{Front, Peer, Stage};
use super::pulse::{HEAD_MAX, Pulse, Watched};
use crate::fault::{Doing, Fault};

/// How many connections there may be over the network; one more is closed at once. Each costs some 10 KiB.
pub const CONNECTIONS_MAX: usize = 10_000;
/// How many through the socket in the data folder, so that a full network does not lock the operator out.
const LOCAL_CONNECTIONS_MAX: usize = 256;
/// How long a request's head may be.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How much of a body is taken from the socket at once: larger saves wake-ups on uploads, and costs memory only then.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(HEAD_BYTES_MAX < BUFFER_BYTES_MAX, "a head must fit the buffer");
/// How long to wait when the system has no descriptor left for one more connection.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// The socket's name in the data folder.
const SOCKET: &str = "plimsoll.sock";

/// Held by each connection for as long as it lives; when all are gone, so is the last of the server.
pub type Alive = mpsc::Sender<()>;

/// Serves the network until the stage says otherwise.
pub async fn serve_net(listener: TcpListener, tls: Option<TlsAcceptor>, front: Front, alive: Alive) {
    let (room, mut stage) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), front.stage());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped(&mut stage) => return,
        };
        let Some((stream, peer)) = admitted(accepted).await else { continue };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            tracing::debug!(connections_max = CONNECTIONS_MAX, "a connection too many was closed");
            continue;
        };
        // Answers are short and waited for; Nagle's delay helps nobody here.
        let _ = stream.set_nodelay(true);
        let (front, alive, peer) = (front.clone(), alive.clone(), Peer::Net(peer));
        match tls.clone() {
            None => drop(tokio::spawn(connection(stream, front, peer, (permit, alive)))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_MAX, tls.accept(stream)).await {
                    connection(stream, front, peer, (permit, alive)).await;
                }
            })),
        }
    }
}

/// Serves the socket in the data folder, whose callers are the operator.
pub async fn serve_local(listener: UnixListener, front: Front, alive: Alive) {
    let (room, mut stage) = (Arc::new(Semaphore::new(LOCAL_CONNECTIONS_MAX)), front.stage());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped(&mut stage) => return,
        };
        let Some((stream, _)) = admitted(accepted).await else { continue };
        if let Ok(permit) = room.clone().try_acquire_owned() {
            drop(tokio::spawn(connection(stream, front.clone(), Peer::Local, (permit, alive.clone()))));
        }
    }
}

async fn admitted<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(connection) => Some(connection),
        Err(error) => {
            // A client that was gone again is nothing; no descriptors left would make this loop spin.
            if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
            None
        }
    }
}

async fn stopped(stage: &mut watch::Receiver<Stage>) {
    // A sender that is gone means the same.
    let _ = stage.wait_for(|stage| *stage > Stage::Serving).await;
}

async fn connection<S>(stream: S, front: Front, peer: Peer, _held: (OwnedSemaphorePermit, Alive))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (pulse, mut stage) = (Arc::new(Pulse::default()), front.stage());
    let stream = TokioIo::new(Watched::new(stream, pulse.clone()));
    let service = service_fn(|request| front.serve(request, peer, pulse.clone()));
    let mut builder = http1::Builder::new();
    // Our own timers, see `pulse`: hyper's begins while a connection is idle and would end keep-alive after 10 seconds.
    builder.header_read_timeout(None).max_header_size(HEAD_BYTES_MAX).max_buf_size(BUFFER_BYTES_MAX);
    let mut serving = std::pin::pin!(builder.serve_connection(stream, service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped(&mut stage) => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving.as_mut() => ended,
                _ = stage.wait_for(|stage| *stage == Stage::Gone) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

/// Where the socket of a data folder is, in a form that fits: the system allows some 100 bytes for it, so a long path is
/// reached through the folder's descriptor.
pub struct SocketPath {
    path: PathBuf,
    _folder: Option<std::fs::File>,
}

/// What fits into a `sockaddr_un` everywhere.
const SOCKET_PATH_MAX: usize = 100;

impl SocketPath {
    /// The socket of the data folder `data`.
    pub fn of(data: &Path) -> io::Result<SocketPath> {
        let path = data.join(SOCKET);
        if path.as_os_str().len() <= SOCKET_PATH_MAX {
            return Ok(SocketPath { path, _folder: None });
        }
        use std::os::fd::AsRawFd;
        let folder = std::fs::File::open(data)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_fd().as_raw_fd()));
        Ok(SocketPath { path, _folder: Some(folder) })
    }

    /// The path to bind or connect to, while this value lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Listens on the socket of a data folder. The folder's lock is held, so what lies there is left over and nobody's.
pub fn bind_local(data: &Path) -> Result<UnixListener, Fault> {
    use std::os::unix::fs::PermissionsExt;
    let socket = SocketPath::of(data).doing("open the data folder")?;
    match std::fs::remove_file(socket.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).doing("remove an old socket")?,
        _ => {}
    }
    let listener = UnixListener::bind(socket.path()).doing("make the socket in the data folder")?;
    // Nobody else can be in between: the folder is private.
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(socket.path(), private).doing("make the socket private")?;
    Ok(listener)
}

/// Listens on the network.
pub async fn bind_net(address: std::net::SocketAddr) -> Result<TcpListener, Fault> {
    TcpListener::bind(address).await.map_err(|error| {
        let fault = Fault::new(format!("cannot listen on {address}: {error}"));
        match error.kind() {
            io::ErrorKind::AddrInUse => fault.hint("another program has this port; choose one with --listen"),
            io::ErrorKind::PermissionDenied => fault.hint("ports below 1024 need rights; try one above with --listen"),
            _ => fault,
        }
    })
}
