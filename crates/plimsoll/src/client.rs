//! A small client of the native API: JSON over HTTP, through the socket in the data folder or over the network.

use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::fault::{Doing, Fault};
use crate::net::listen::SocketPath;

/// Where the native API begins.
pub const BASE: &str = "/plimsoll/v1";
/// The most items a page holds, by the API's contract.
const PAGE: usize = 1000;

/// A request's body: whole, or a file on its way.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One connection to a server.
pub struct Client {
    sender: SendRequest<Body>,
    host: String,
    authorization: Option<HeaderValue>,
}

/// What a server answered.
pub struct Answer {
    /// How it went.
    pub status: StatusCode,
    /// The body, null if there was none.
    pub body: Value,
}

impl Client {
    /// To the server that holds the data folder `data`, as its operator.
    pub async fn local(data: &Path) -> Result<Client, Fault> {
        let nobody = || {
            Fault::new(format!("no server is running on the data folder {}", data.display()))
                .hint(format!("start one with: plimsoll serve --data {}", data.display()))
        };
        let socket = SocketPath::of(data).map_err(|_| nobody())?;
        match tokio::net::UnixStream::connect(socket.path()).await {
            Ok(stream) => Client::over(stream, "localhost", None).await,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Err(nobody()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Err(Fault::new(format!("the data folder {} belongs to another user", data.display()))
                    .hint("run this as the user that runs the server"))
            }
            Err(error) => Err(error).doing("reach the server"),
        }
    }

    /// To a server at `http://host:port`, with a bearer token.
    pub async fn net(url: &str, token: Option<&str>) -> Result<Client, Fault> {
        let host = url.strip_prefix("http://").map(|host| host.trim_end_matches('/')).ok_or_else(|| {
            Fault::new(format!("cannot use {url:?}")).hint("write it as http://HOST:PORT; https is not supported here")
        })?;
        let stream = tokio::net::TcpStream::connect(host).await.doing(format_args!("connect to {host}"))?;
        stream.set_nodelay(true).doing("set up the connection")?;
        let client = Client::over(stream, host, None).await?;
        match token {
            Some(token) => client.with_token(token),
            None => Ok(client),
        }
    }

    /// The same, calling with a bearer token.
    pub fn with_token(self, token: &str) -> Result<Client, Fault> {
        let authorization = HeaderValue::from_str(&format!("Bearer {token}")).doing("use this token")?;
        Ok(Client { authorization: Some(authorization), ..self })
    }

    /// The same, calling with an e-mail address and a password (HTTP Basic).
    pub fn with_basic(self, email: &str, password: &str) -> Result<Client, Fault> {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{email}:{password}"));
        let authorization = HeaderValue::from_str(&format!("Basic {pair}")).doing("use this password")?;
        Ok(Client { authorization: Some(authorization), ..self })
    }

    async fn over<S>(stream: S, host: &str, authorization: Option<HeaderValue>) -> Result<Client, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.doing("speak to the server")?;
        // Ends with the sender or the server; either is seen by the next request.
        tokio::spawn(connection);
        Ok(Client { sender, host: host.to_owned(), authorization })
    }

    /// Asks, and answers what came back, whatever its status.
    pub async fn ask(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Fault> {
        let (kind, bytes) = match body {
            Some(body) => (Some("application/json"), Bytes::from(body.to_string())),
            None => (None, Bytes::new()),
        };
        let response = self.send(method, path, kind, "application/json", bytes).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await.doing("read the answer")?.to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(Answer { status, body: if bytes.is_empty() { Value::Null } else { body } })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        kind: Option<&'static str>,
        accept: &'static str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, Fault> {
        let mut request = self.request(method, path).header(ACCEPT, accept);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        self.exchange(request, whole(body)).await
    }

    /// Sends a request that is put together but for whom it is to and from; answers before the body of the answer is here.
    pub async fn exchange(
        &mut self,
        request: http::request::Builder,
        body: Body,
    ) -> Result<http::Response<Incoming>, Fault> {
        let request = request.body(body).doing("put the request together")?;
        self.sender.ready().await.doing("reach the server")?;
        self.sender.send_request(request).await.doing("reach the server")
    }

    /// A request by this caller, still without headers of its own.
    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        }
    }

    /// Asks for something below the API's base, and fails if the server does not do it.
    pub async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let answer = self.ask(method, &format!("{BASE}{path}"), body).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refused(&answer)) }
    }

    /// Reads something.
    pub async fn get(&mut self, path: &str) -> Result<Value, Fault> {
        self.call(Method::GET, path, None).await
    }

    /// Sends a text that is not JSON, and answers what came back, whatever its status.
    pub async fn post_text(&mut self, path: &str, text: String) -> Result<Answer, Fault> {
        let path = format!("{BASE}{path}");
        let response =
            self.send(Method::POST, &path, Some("application/toml"), "application/json", Bytes::from(text)).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await.doing("read the answer")?.to_bytes();
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }

    /// All items of a list, page by page; `at_most` bounds them.
    pub async fn list(&mut self, path: &str, at_most: usize) -> Result<Vec<Value>, Fault> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let limit = PAGE.min(at_most - items.len());
            let joint = if path.contains('?') { '&' } else { '?' };
            let cursor = after.map_or(String::new(), |after| format!("&after={}", encoded(&after)));
            let mut page = self.get(&format!("{path}{joint}limit={limit}{cursor}")).await?;
            if let Some(found) = page["items"].as_array_mut() {
                items.append(found);
            }
            match &page["next"] {
                Value::Null => return Ok(items),
                _ if items.len() >= at_most => return Ok(items),
                Value::String(next) => after = Some(next.clone()),
                next => after = Some(next.to_string()),
            }
        }
    }

    /// Follows a stream of events, giving the data of each to `each`, until the server ends it.
    pub async fn follow(&mut self, path: &str, mut each: impl FnMut(Value)) -> Result<(), Fault> {
        let path = format!("{BASE}{path}");
        let response = self.send(Method::GET, &path, None, "text/event-stream", Bytes::new()).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let bytes = body.collect().await.doing("read the answer")?.to_bytes();
            return Err(refused(&Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_default() }));
        }
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.doing("read the stream")?.into_data() else { continue };
            text.extend_from_slice(&data);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                if let Ok(value) = serde_json::from_str(data.trim()) {
                    each(value);
                }
            }
        }
        Ok(())
    }
}

/// A body that is in hand.
pub fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// What an error's body says, as one line.
pub fn refused(Answer { status, body }: &Answer) -> Fault {
    let text = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
    let what = text("detail").or(text("title")).map_or_else(|| format!("the server answered {status}"), str::to_owned);
    let wrong = body["errors"].as_array().into_iter().flatten();
    let wrong: Vec<String> = wrong
        .map(|error| match (error["pointer"].as_str(), error["detail"].as_str()) {
            (Some(pointer), Some(detail)) if !pointer.is_empty() => format!("{pointer}: {detail}"),
            (_, Some(detail)) => detail.to_owned(),
            _ => error.to_string(),
        })
        .collect();
    let mut what = lower_first(what.trim_end_matches('.'));
    if !wrong.is_empty() {
        what = format!("{what}: {}", wrong.join("; "));
    }
    let fault = Fault::new(what);
    match text("hint") {
        Some(hint) => fault.hint(hint),
        None if status.as_u16() == 404 => fault.hint("`plimsoll tree` shows what there is"),
        None => fault,
    }
}

/// A sentence as it goes on after `error: `; names in capitals stay.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// A text as one segment of a path or one value of a query.
pub fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => write!(encoded, "%{byte:02X}").expect("a string takes all"),
        }
        encoded
    })
}

/// How a person names an allotment, as the API wants it: a bare path is one of the demand side.
pub fn reference(path: &str) -> String {
    let is_named = path.starts_with("path:") || path.starts_with("supply:") || uuid::Uuid::try_parse(path).is_ok();
    encoded(&if is_named { path.to_owned() } else { format!("path:{}", path.trim_matches('/')) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_becomes_one_line() {
        let body = json!({ "title": "Invalid", "detail": "The body is not valid.",
            "errors": [{ "pointer": "/limits/bytes", "detail": "must be a number" }] });
        let fault = refused(&Answer { status: StatusCode::UNPROCESSABLE_ENTITY, body });
        assert_eq!(fault.to_string(), "the body is not valid: /limits/bytes: must be a number");
        let fault = refused(&Answer { status: StatusCode::BAD_GATEWAY, body: Value::Null });
        assert_eq!(fault.to_string(), "the server answered 502 Bad Gateway");
    }

    #[test]
    fn an_allotment_is_named_as_people_do() {
        assert_eq!(reference("acme/projects/climate"), "path%3Aacme%2Fprojects%2Fclimate");
        assert_eq!(reference("supply:disk"), "supply%3Adisk");
        let id = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
        assert_eq!(reference(id), id);
    }
}
