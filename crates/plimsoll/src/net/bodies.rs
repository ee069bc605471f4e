//! The bodies of requests and answers, with an eye on the time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::pulse::Pulse;

/// How long a body may pause.
pub const STALL_MAX: Duration = Duration::from_secs(30);

/// What a handler sees of a body that did not come.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// No byte for [`STALL_MAX`].
    #[error("the request's body paused for more than {} seconds", STALL_MAX.as_secs())]
    Stalled,
    /// The connection broke, or the body was not well formed.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// A request's body that may not pause for too long while somebody waits for it.
pub struct Arriving {
    inner: Incoming,
    /// Made when the body first lets somebody wait: most bodies are here with their head.
    waiting: Option<Pin<Box<Sleep>>>,
    moved: bool,
}

impl Arriving {
    pub fn new(inner: Incoming) -> Arriving {
        Arriving { inner, waiting: None, moved: false }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.moved = true;
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(STALL_MAX)));
        // The timer is moved on once a pause rather than once a frame; a pause that follows none does not restart it.
        if std::mem::take(&mut this.moved) {
            waiting.as_mut().reset(Instant::now() + STALL_MAX);
        }
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyError::Stalled)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body. When it is gone the connection is idle again.
pub struct Outgoing {
    inner: Body,
    pulse: Arc<Pulse>,
    /// For a body without an end of its own: ends it.
    until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Outgoing {
    pub fn new(inner: Body, pulse: Arc<Pulse>, until: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) -> Outgoing {
        Outgoing { inner, pulse, until }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.pulse.idle();
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if let Some(until) = &mut this.until
            && until.as_mut().poll(cx).is_ready()
        {
            this.until = None;
            this.inner = Body::empty();
        }
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
