//! HTTP as nobody should speak it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::Server;

use crate::site::{self, ADMIN};

/// How long half a header may stand. The server's own bound is 10 s.
const HALF_HEAD_MAX: Duration = Duration::from_secs(15);
/// How long a call may take beside clients who do not finish theirs.
const FAST: Duration = Duration::from_secs(2);

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = site::start_in(folder.path()).start();
    (folder, server)
}

/// Sends `text` as it is; what comes back until the server closes, or a second passes in silence.
fn say(server: &Server, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    // It may close before it has read all.
    let _ = stream.write_all(text);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of the only answer in what came back.
fn status(answer: &str) -> &str {
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "two answers to one request: {answer}");
    answer.get(9..12).unwrap_or("")
}

#[test]
fn half_a_header_is_closed_in_time_and_nobody_else_waits() {
    let (_folder, server) = server();
    let since = Instant::now();
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).expect("the server listens");
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Never-").expect("half a header goes");
            stream.set_read_timeout(Some(HALF_HEAD_MAX)).expect("a timeout");
            stream
        })
        .collect();
    let mut admin = server.client(ADMIN);
    for _ in 0..100 {
        let call = Instant::now();
        admin.get("/plimsoll/v1/whoami").expect("an answer").expect(200);
        assert!(call.elapsed() < FAST, "a call took {:?} beside slow clients", call.elapsed());
    }
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed, or reset: either way it is let go.
        let ended = stream.read_to_end(&mut rest);
        let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "half a header still stands after {:?}", since.elapsed());
        assert!(since.elapsed() < HALF_HEAD_MAX, "closed only after {:?}", since.elapsed());
    }
}

#[test]
fn oversized_heads_are_refused() {
    let (_folder, server) = server();
    let long = "a".repeat(1 << 20);
    let header = say(&server, format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n").as_bytes());
    assert!(matches!(status(&header), "431" | "400" | ""), "{header}");
    let path = say(&server, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert!(matches!(status(&path), "414" | "431" | "400" | ""), "{path}");
    let many = "X-Many: 1\r\n".repeat(10_000);
    let many = say(&server, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes());
    assert!(matches!(status(&many), "431" | "400" | ""), "{many}");
    server.anonymous().get("/healthz").expect("the server goes on").expect(200);
}

/// Two readings of where a body ends are how one request is smuggled inside another: each of these has one answer, a
/// refusal, and what follows the head is not taken for a request.
#[test]
fn what_is_not_http_is_refused_and_smuggles_nothing() {
    let (_folder, server) = server();
    let inside = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let wrong = [
        format!("hello\r\n\r\n{inside}"),
        format!("GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n{inside}"),
        format!("GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n{inside}"),
        format!(
            "POST /plimsoll/v1/claims HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 40\r\n\r\n{inside}"
        ),
        format!("POST /plimsoll/v1/claims HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{inside}"),
        format!("POST /plimsoll/v1/claims HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{inside}"),
        format!(
            "POST /plimsoll/v1/claims HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{inside}"
        ),
        format!("POST /plimsoll/v1/claims HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n{inside}"),
    ];
    for text in wrong {
        let answer = say(&server, text.as_bytes());
        assert!(answer.is_empty() || status(&answer).starts_with('4'), "{text:?} was answered {answer}");
    }
    server.anonymous().get("/healthz").expect("the server goes on").expect(200);
}

#[test]
fn a_path_of_no_face_is_a_problem() {
    let (_folder, server) = server();
    for path in ["/nothing/here", "/plimsoll/v1/nothing", "/plimsoll/v2/claims"] {
        let answer = server.client(ADMIN).get(path).expect("an answer").expect(404);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json()["status"], 404, "{path}");
    }
}
