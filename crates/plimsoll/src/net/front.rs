//! What happens to every request, whatever its face.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use store::Clock;
use tokio::sync::watch;
use tower::Service;

use super::bodies::{Arriving, Outgoing};
use super::pulse::Pulse;
use crate::problem;

/// The header by which an answer, and what is logged of it, are found together.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over from a client.
const REQUEST_ID_MAX: usize = 128;

/// How far the server has come with stopping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// It serves.
    Serving,
    /// It takes nothing new and finishes what runs.
    Draining,
    /// What still runs is cut off.
    Gone,
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// Over the network.
    Net(SocketAddr),
    /// Through the socket in the data folder, which only its owner can open.
    Local,
}

/// The router, and what is done on the way to it.
#[derive(Clone)]
pub struct Front {
    router: Router,
    clock: Clock,
    stage: watch::Receiver<Stage>,
}

impl Front {
    /// Over this router.
    pub fn new(router: Router, clock: Clock, stage: watch::Receiver<Stage>) -> Front {
        Front { router, clock, stage }
    }

    /// How far the server is with stopping.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// One request, to its answer.
    pub async fn serve(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        pulse: Arc<Pulse>,
    ) -> Result<http::Response<Outgoing>, Infallible> {
        pulse.busy();
        let mut request = request.map(|body| Body::new(Arriving::new(body)));
        let id = self.identify(&mut request);
        quiet_path(request.uri_mut());
        let extensions = request.extensions_mut();
        match peer {
            Peer::Net(address) => extensions.insert(ConnectInfo(address)).map(drop),
            Peer::Local => {
                extensions.insert(api::LocalOperator);
                extensions.insert(ConnectInfo(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))).map(drop)
            }
        };
        let line = Line::of(&request, &id);
        let mut response = self.route(request, &id).await;
        if let Some(line) = line {
            line.write(response.status());
        }
        response.headers_mut().insert(REQUEST_ID, id);
        let until = self.end_of(&response);
        Ok(response.map(|body| Outgoing::new(body, pulse, until)))
    }

    /// The client's own id if it is a quiet one, else a new one; handlers find it on the request.
    fn identify(&self, request: &mut Request<Body>) -> HeaderValue {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
        let given = request
            .headers()
            .get(&REQUEST_ID)
            .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.as_bytes().iter().all(plain));
        let id = given.cloned().unwrap_or_else(|| {
            let mut text = [0; 36];
            let text = self.clock.new_id().hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).expect("a UUID is plain text")
        });
        request.headers_mut().insert(REQUEST_ID, id.clone());
        id
    }

    async fn route(&self, request: Request<Body>, id: &HeaderValue) -> Response {
        let mut router = self.router.clone();
        let answer = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind().await;
        match answer {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            // The panic's own words are in the log already: std's hook wrote them.
            Err(_) => {
                let id = id.to_str().unwrap_or_default();
                tracing::error!(request.id = id, "a handler panicked");
                let detail = format!("this is a fault of ours; it is logged under request {id}");
                problem::answer(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", &detail)
                    .into_response()
            }
        }
    }

    /// A stream of events has no end of its own, so it would hold up every stop.
    fn end_of(&self, response: &Response) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let kind = response.headers().get(CONTENT_TYPE)?;
        if !kind.as_bytes().starts_with(b"text/event-stream") {
            return None;
        }
        let mut stage = self.stage.clone();
        Some(Box::pin(async move {
            // A sender that is gone means the same.
            let _ = stage.wait_for(|stage| *stage > Stage::Serving).await;
        }))
    }
}

/// Paths under which a slash at the end means nothing; elsewhere the face says what it means.
const SLASH_IS_NOTHING: [&str; 5] = ["/plimsoll/", "/docs", "/healthz", "/readyz", "/metrics"];

/// Takes away what makes one path look like two.
fn quiet_path(uri: &mut Uri) {
    let path = uri.path();
    let ends = path.len() > 1 && path.ends_with('/') && SLASH_IS_NOTHING.iter().any(|start| path.starts_with(start));
    if !ends && uri.authority().is_none() {
        return;
    }
    let path = if ends { path.trim_end_matches('/') } else { path };
    let path = if path.is_empty() { "/" } else { path };
    let text = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    // An absolute form (`GET http://host/path`) is a proxy's habit; only the path is ours.
    if let Ok(path) = PathAndQuery::try_from(text) {
        *uri = Uri::from(path);
    }
}

/// The line of the access log, begun only if somebody will read it.
struct Line {
    method: Method,
    path: String,
    id: HeaderValue,
    start: Instant,
}

impl Line {
    fn of(request: &Request<Body>, id: &HeaderValue) -> Option<Line> {
        tracing::enabled!(tracing::Level::DEBUG).then(|| Line {
            method: request.method().clone(),
            // Without the query: some faces carry tokens there.
            path: request.uri().path().to_owned(),
            id: id.clone(),
            start: Instant::now(),
        })
    }

    fn write(self, status: StatusCode) {
        let (took_us, id) = (self.start.elapsed().as_micros() as u64, self.id.to_str().unwrap_or_default());
        let status = status.as_u16();
        tracing::debug!(request.id = id, method = %self.method, path = self.path, status, took_us, "answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_too_many_is_taken_away_where_it_means_nothing() {
        for (from, to) in [
            ("/plimsoll/v1/claims/", "/plimsoll/v1/claims"),
            ("/plimsoll/v1/claims/?after=1", "/plimsoll/v1/claims?after=1"),
            ("/docs/", "/docs"),
            ("/", "/"),
            ("/api/allocations/", "/api/allocations/"),
            ("/api/allocations", "/api/allocations"),
            ("http://host:8080/api/x/?a=b", "/api/x/?a=b"),
        ] {
            let mut uri: Uri = from.parse().unwrap();
            quiet_path(&mut uri);
            assert_eq!(uri.to_string(), to);
        }
    }
}
