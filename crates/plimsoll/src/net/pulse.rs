//! How long a connection may take for what: nothing said, half a request said, an answer not read.

use std::future::Future;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may lie idle between requests.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a request's head may take, from its first byte.
pub const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long a client may take to read anything at all of what is being sent to it.
const UNREAD_MAX: Duration = Duration::from_secs(60);

const IDLE: u64 = 0;
const HEAD: u64 = 1;
const BUSY: u64 = 2;
const PHASES: u64 = 4;

/// What a connection is doing. Each change is told apart from all others, so that a timer that was set for one is not taken
/// for one of the next.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// A request has come in whole, as far as its head goes.
    pub fn busy(&self) {
        self.turn(BUSY);
    }

    /// Its answer is out.
    pub fn idle(&self) {
        self.turn(IDLE);
    }

    fn turn(&self, phase: u64) {
        let next = |state: u64| Some((state / PHASES + 1) * PHASES + phase);
        // The closure always answers something, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn state(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection under watch.
pub struct Watched<S> {
    inner: S,
    pulse: Arc<Pulse>,
    reading: Pin<Box<Sleep>>,
    /// The state that `reading` was set for.
    set_for: Option<u64>,
    /// Set while a write waits.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    pub fn new(inner: S, pulse: Arc<Pulse>) -> Watched<S> {
        Watched { inner, pulse, reading: Box::pin(sleep(IDLE_MAX)), set_for: None, writing: None }
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let state = self.pulse.state();
        let patience = match state % PHASES {
            IDLE => IDLE_MAX,
            HEAD => HEAD_MAX,
            // The handler is at work; a body that does not come is the body's business.
            _ => return Poll::Pending,
        };
        if self.set_for != Some(state) {
            self.reading.as_mut().reset(Instant::now() + patience);
            self.set_for = Some(state);
        }
        ready!(self.reading.as_mut().poll(cx));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client took too long")))
    }

    /// What became of a write: progress puts the timer away, waiting sets it.
    fn poll_written<T>(&mut self, cx: &mut Context<'_>, written: Poll<Result<T>>) -> Poll<Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let writing = self.writing.get_or_insert_with(|| Box::pin(sleep(UNREAD_MAX)));
        ready!(writing.as_mut().poll(cx));
        Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if read.is_pending() {
            return this.poll_patience(cx);
        }
        if buffer.filled().len() > before && this.pulse.state() % PHASES == IDLE {
            this.pulse.turn(HEAD);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.poll_written(cx, written)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, parts);
        this.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.poll_written(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.poll_written(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_and_so_is_half_a_head_sooner() {
        let pulse = Arc::new(Pulse::default());
        let (mut client, server) = duplex(64);
        let mut server = Watched::new(server, pulse.clone());
        let (start, mut buffer) = (Instant::now(), [0; 64]);
        assert_eq!(server.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), IDLE_MAX.as_secs());
        let start = Instant::now();
        client.write_all(b"GET").await.unwrap();
        server.read_exact(&mut buffer[..3]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        client.write_all(b" /").await.unwrap();
        server.read_exact(&mut buffer[..2]).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() < HEAD_MAX + Duration::from_secs(7), "a byte now and then buys no time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_is_left_alone_until_nobody_reads() {
        let pulse = Arc::new(Pulse::default());
        let (_client, server) = duplex(8);
        let mut server = Watched::new(server, pulse.clone());
        pulse.busy();
        let mut buffer = [0; 8];
        let read = tokio::time::timeout(Duration::from_secs(600), server.read(&mut buffer)).await;
        assert!(read.is_err(), "still waiting after ten minutes");
        assert_eq!(server.write_all(&[0; 64]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
