//! The way from a socket to a router, over real sockets.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Router, http::HeaderMap};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use store::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::front::{Front, Stage};
use super::listen;
use crate::client::Client;

struct Running {
    address: std::net::SocketAddr,
    stage: watch::Sender<Stage>,
    gone: mpsc::Receiver<()>,
}

async fn run(router: Router) -> Running {
    let (stage, watching) = watch::channel(Stage::Serving);
    let (alive, gone) = mpsc::channel(1);
    let listener = listen::bind_net(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let front = Front::new(router, Clock::system(), watching);
    tokio::spawn(listen::serve_net(listener, None, front, alive));
    Running { address, stage, gone }
}

fn router() -> Router {
    async fn id(headers: HeaderMap) -> String {
        headers["x-request-id"].to_str().unwrap().to_owned()
    }
    async fn who(local: Option<Extension<api::LocalOperator>>) -> &'static str {
        if local.is_some() { "the operator" } else { "somebody" }
    }
    async fn panics() -> &'static str {
        panic!("on purpose")
    }
    async fn events() -> Sse<impl futures_util::Stream<Item = Result<Event, std::convert::Infallible>>> {
        let first = futures_util::stream::once(async { Ok(Event::default().data("1")) });
        Sse::new(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
    }
    async fn slow(body: Bytes) -> String {
        tokio::time::sleep(Duration::from_millis(100)).await;
        body.len().to_string()
    }
    Router::new()
        .route("/id", get(id))
        .route("/who", get(who))
        .route("/panics", get(panics))
        .route("/events", get(events))
        .route("/slow", post(slow))
        .route("/long", get(|| async { Body::from(vec![7; 1 << 20]) }))
}

async fn ask(server: &Running, method: Method, path: &str) -> (StatusCode, Value) {
    let mut client = Client::net(&format!("http://{}", server.address), None).await.unwrap();
    let answer = client.ask(method, path, None).await.unwrap();
    (answer.status, answer.body)
}

/// What comes back for `text`, until the server closes.
async fn say(server: &Running, text: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_panic_harms_its_own_request_only() {
    let server = run(router()).await;
    let mut client = Client::net(&format!("http://{}", server.address), None).await.unwrap();
    let answer = client.ask(Method::GET, "/panics", None).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body["type"]), (500, &Value::from("internal")));
    let again = client.ask(Method::GET, "/who", None).await.unwrap();
    assert_eq!(again.body, "somebody", "the connection goes on");
}

#[tokio::test]
async fn a_request_is_found_by_its_id() {
    let server = run(router()).await;
    let own = say(&server, "GET /id HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: mine-1\r\n\r\n").await;
    assert!(own.contains("x-request-id: mine-1\r\n") && own.ends_with("mine-1"), "{own}");
    let odd = say(&server, "GET /id HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: a b\"\r\n\r\n").await;
    assert!(!odd.contains("a b\""), "what could spoil a log is not taken over: {odd}");
}

#[tokio::test]
async fn a_head_past_its_bound_is_refused_and_one_below_is_not() {
    let server = run(router()).await;
    let with =
        |bytes: usize| format!("GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n", "a".repeat(bytes));
    assert!(say(&server, &with(30_000)).await.starts_with("HTTP/1.1 200"));
    assert!(say(&server, &with(40_000)).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_ends_what_has_no_end() {
    let mut server = run(router()).await;
    let slow = {
        let mut client = Client::net(&format!("http://{}", server.address), None).await.unwrap();
        tokio::spawn(async move { client.ask(Method::POST, "/slow", Some(&Value::from(12345))).await.unwrap().body })
    };
    let mut events = TcpStream::connect(server.address).await.unwrap();
    events.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 512];
    while !String::from_utf8_lossy(&first).contains("data: 1") {
        assert!(events.read(&mut first).await.unwrap() > 0);
    }
    let _idle = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    server.stage.send_replace(Stage::Draining);
    let gone = tokio::time::timeout(Duration::from_secs(5), server.gone.recv()).await;
    assert_eq!(gone, Ok(None), "every connection has ended");
    assert_eq!(slow.await.unwrap(), 5, "what ran was finished");
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n"), "the stream was ended, not cut");
    assert!(TcpStream::connect(server.address).await.is_err(), "and nobody listens");
}

#[tokio::test]
async fn a_large_answer_comes_whole() {
    let server = run(router()).await;
    let answer = say(&server, "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.len() > 1 << 20);
    assert_eq!(ask(&server, Method::GET, "/nowhere").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_opens_the_socket_in_the_folder_is_the_operator_however_long_its_path() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("a".repeat(120));
    std::fs::create_dir(&data).unwrap();
    let (_stage, watching) = watch::channel(Stage::Serving);
    let (alive, _gone) = mpsc::channel(1);
    let listener = listen::bind_local(&data).unwrap();
    tokio::spawn(listen::serve_local(listener, Front::new(router(), Clock::system(), watching), alive));
    let mut client = Client::local(&data).await.unwrap();
    assert_eq!(client.ask(Method::GET, "/who", None).await.unwrap().body, "the operator");
    let nobody = Client::local(place.path()).await.map(drop).unwrap_err();
    assert!(nobody.what.starts_with("no server is running on the data folder"), "{nobody}");
}
