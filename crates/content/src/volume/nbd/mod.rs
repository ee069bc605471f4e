//! Volumes for a hypervisor: a server of NBD, the protocol of `qemu`, `nbdkit` and the kernel's client.
//!
//! **Shape.** One socket for all exports, told apart by name: `FOLDER/nbd.sock`, whose folder only the server's user may enter;
//! TCP only where the site says so, as nobody logs in. A thread a connection, which does one request at a time; clients
//! that want more open more connections, for what one has flushed all have.
//! **Bounds.** Connections, the time for the first words, the length of an option and of a request: each has a name.
//! **Not here.** TLS, structured replies, resizing of a running export.

mod serve;
mod shake;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::handle::Handle;
use super::{VolumeId, Volumes};
use crate::Error;
use crate::error::blocking;
use wire::Socket;

/// The most connections at once, all together: each may hold a request of 32 MiB.
const CONNECTIONS_MAX: usize = 128;
/// The longest name of an export, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Who may come in, and to what.
pub(super) struct Doors {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    exports: HashMap<String, Export>,
    connections: HashMap<u64, Connection>,
    next: u64,
    is_open: bool,
    tcp: Option<SocketAddr>,
    is_closing: bool,
}

/// What is given out under a name.
#[derive(Clone)]
struct Export {
    volume: VolumeId,
    handle: Handle,
    is_read_only: bool,
}

/// Somebody who has come in.
struct Connection {
    socket: Socket,
    /// To what, once it is known.
    export: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doors {
    pub(super) fn new(folder: &Path) -> Doors {
        Doors { path: folder.join("nbd.sock"), shared: Arc::default() }
    }

    /// Opens the socket if it is not open.
    fn open(&self) -> io::Result<()> {
        let mut state = self.shared.state();
        if state.is_open {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&self.path)?;
        std::fs::set_permissions(&self.path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        state.is_open = true;
        let shared = self.shared.clone();
        spawn("nbd", move || accept(&shared, || listener.accept().map(|(socket, _)| Socket::Unix(socket))))
    }

    /// Listens on TCP, too; answers where.
    fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        self.shared.state().tcp = Some(address);
        let shared = self.shared.clone();
        spawn("nbd-tcp", move || {
            accept(&shared, || {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            })
        })?;
        Ok(address)
    }

    /// Ends an export: nobody comes in any more, and who is in is cut off. Answers its handle when nobody uses it. Blocks.
    fn end(&self, name: &str) -> Option<Export> {
        let mut state = self.shared.state();
        let export = state.exports.remove(name);
        let is_in = |connection: &Connection| connection.export.as_deref() == Some(name);
        state.connections.values().filter(|it| is_in(it)).for_each(|it| it.socket.shutdown());
        while state.connections.values().any(is_in) {
            state = self.shared.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        export
    }

    /// Ends all exports of a volume.
    pub(super) fn end_volume(&self, volume: VolumeId) {
        let exports = |state: &State| -> Vec<String> {
            let of = state.exports.iter().filter(|(_, export)| export.volume == volume);
            of.map(|(name, _)| name.clone()).collect()
        };
        let names = exports(&self.shared.state());
        names.iter().for_each(|name| drop(self.end(name)));
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_closing = true;
        state.exports.clear();
        state.connections.values().for_each(|connection| connection.socket.shutdown());
        let (is_open, tcp) = (state.is_open, state.tcp);
        drop(state);
        // Who waits for somebody to come in sees that it is over when somebody does.
        if is_open {
            let _ = UnixStream::connect(&self.path);
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(address) = tcp {
            let _ = TcpStream::connect(address);
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Lets in who comes, until the doors close.
fn accept(shared: &Arc<Shared>, next: impl Fn() -> io::Result<Socket>) {
    loop {
        let came = next();
        let mut state = shared.state();
        if state.is_closing {
            return;
        }
        let socket = match came {
            Ok(socket) if state.connections.len() < CONNECTIONS_MAX => socket,
            Ok(_) => continue,
            Err(error) => {
                drop(state);
                tracing::warn!(%error, "nobody could be let in to a volume");
                // Files have run out, mostly: a moment later some may be free again.
                std::thread::sleep(std::time::Duration::from_millis(100));
                continue;
            }
        };
        let Ok(kept) = socket.try_clone() else { continue };
        let id = state.next;
        state.next += 1;
        state.connections.insert(id, Connection { socket: kept, export: None });
        let served = shared.clone();
        let is_served = spawn("nbd-client", move || {
            let guest = Guest { shared: served, id };
            if let Err(error) = serve::serve(&guest, socket) {
                tracing::debug!(%error, "somebody left a volume without a word");
            }
        });
        if is_served.is_err() {
            state.connections.remove(&id);
        }
    }
}

/// Somebody who has come in, until it is dropped.
struct Guest {
    shared: Arc<Shared>,
    id: u64,
}

impl Guest {
    /// The names of all exports; none to who came by TCP.
    fn names(&self) -> Option<Vec<String>> {
        let state = self.shared.state();
        let is_local = matches!(state.connections.get(&self.id)?.socket, Socket::Unix(_));
        is_local.then(|| state.exports.keys().cloned().collect())
    }

    fn export(&self, name: &str) -> Option<Export> {
        self.shared.state().exports.get(name).cloned()
    }

    /// Goes in to an export, if it is still there.
    fn enter(&self, name: &str) -> Option<Export> {
        let mut state = self.shared.state();
        let export = state.exports.get(name).cloned()?;
        state.connections.get_mut(&self.id)?.export = Some(name.to_owned());
        Some(export)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shared.state().connections.remove(&self.id);
        self.shared.left.notify_all();
    }
}

impl Volumes {
    /// Gives a volume out by NBD under a name of 1 to 255 letters, digits, `-`, `_` and `.`; answers the URL at which clients
    /// on this machine find it. A name that is taken is [`store::Error::Conflict`].
    pub async fn export_nbd(&self, name: &str, volume: VolumeId, is_read_only: bool) -> Result<String, Error> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(is_plain) {
            return Err(Error::Store(store::Error::Invalid(format!("{name:?} is no name of an export"))));
        }
        let handle = self.open(volume).await?;
        let (house, name) = (self.house.clone(), name.to_owned());
        blocking(move || {
            house.doors.open().map_err(Error::disk("opening the socket of volumes"))?;
            let mut state = house.doors.shared.state();
            if state.exports.contains_key(&name) {
                return Err(Error::Store(store::Error::Conflict(format!("{name} is given out already"))));
            }
            let url = format!("nbd+unix:///{name}?socket={}", house.doors.path.display());
            state.exports.insert(name, Export { volume, handle, is_read_only });
            Ok(url)
        })
        .await?
    }

    /// Ends an export. What its clients wrote is on disk when this is back; a name that is not there is no error.
    pub async fn end_nbd(&self, name: &str) -> Result<(), Error> {
        let (house, name) = (self.house.clone(), name.to_owned());
        let ended = blocking(move || house.doors.end(&name)).await?;
        match ended {
            Some(export) => export.handle.close().await,
            None => Ok(()),
        }
    }

    /// The names of what is given out.
    pub fn exported(&self) -> Vec<String> {
        self.house.doors.shared.state().exports.keys().cloned().collect()
    }

    /// Gives volumes out by TCP, too; answers where. Whoever reaches that address and knows a name may read and write.
    pub async fn listen_tcp(&self, address: SocketAddr) -> Result<SocketAddr, Error> {
        let house = self.house.clone();
        blocking(move || house.doors.listen(address)).await?.map_err(Error::disk("listening for clients of volumes"))
    }

    /// Ends all exports, so that nothing has to be repaired at the next start.
    pub async fn stop(&self) {
        for name in self.exported() {
            if let Err(error) = self.end_nbd(&name).await {
                tracing::warn!(name, %error, "a volume was not closed well; it is repaired when it is opened");
            }
        }
    }
}
