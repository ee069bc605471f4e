//! An HTTP/1.1 client that blocks: one connection, kept alive, and no cleverness in the way of a test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take before the call fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One caller: where to, and who it is.
pub struct Client {
    address: SocketAddr,
    headers: String,
    connection: Option<BufReader<TcpStream>>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Client {
    /// A caller nobody knows.
    pub fn anonymous(address: SocketAddr) -> Client {
        Client { address, headers: String::new(), connection: None }
    }

    /// A caller with a token.
    pub fn bearer(address: SocketAddr, token: &str) -> Client {
        Client::anonymous(address).with("Authorization", &format!("Bearer {token}"))
    }

    /// The same caller, sending one header more.
    pub fn with(mut self, name: &str, value: &str) -> Client {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Asks for `path`.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, "", b"")
    }

    /// Sends `method` without a body.
    pub fn call(&mut self, method: &str, path: &str) -> io::Result<Answer> {
        self.send(method, path, "", b"")
    }

    /// Sends JSON.
    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        self.send(method, path, "Content-Type: application/json\r\n", body.to_string().as_bytes())
    }

    /// Sends bytes as they are.
    pub fn bytes(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        self.send(method, path, "Content-Type: application/octet-stream\r\n", body)
    }

    /// Sends a request with further header lines (each ended by CR LF), and reads the whole answer. After an error it
    /// is unknown whether the request had its effect; the next call opens a new connection.
    pub fn send(&mut self, method: &str, path: &str, lines: &str, body: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        let host = self.address;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{}{lines}", self.headers).into_bytes();
        if !body.is_empty() || !matches!(method, "GET" | "HEAD" | "DELETE") {
            write!(request, "Content-Length: {}\r\n", body.len())?;
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        let sent = connection.get_mut().write_all(&request);
        // A server that refuses early answers before it has read the body: the answer counts, not our broken pipe.
        let answer = match Answer::read(&mut connection, method) {
            Err(_) if sent.is_err() => return Err(sent.expect_err("just looked")),
            other => other?,
        };
        if sent.is_ok() && answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

impl Answer {
    /// Reads one answer to a request by `method`.
    pub fn read(from: &mut impl BufRead, method: &str) -> io::Result<Answer> {
        let first = line(from)?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not an HTTP answer: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let text = line(from)?;
            let Some((name, value)) = text.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if method != "HEAD" && status != 204 && status != 304 {
            answer.read_body(from)?;
        }
        Ok(answer)
    }

    fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = line(from)?;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16);
                let size = size.map_err(io::Error::other)?;
                self.take(from, size)?;
                line(from)?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        match self.header("content-length") {
            Some(length) => {
                let length = length.parse().map_err(io::Error::other)?;
                self.take(from, length)
            }
            None => from.read_to_end(&mut self.body).map(drop),
        }
    }

    fn take(&mut self, from: &mut impl BufRead, length: usize) -> io::Result<()> {
        let start = self.body.len();
        self.body.resize(start + length, 0);
        from.read_exact(&mut self.body[start..])
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The same answer, if its status is the one expected; else it panics with what came instead.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    // A head is a few hundred bytes; who sends a line without an end is not answering.
    from.take(64 << 10).read_line(&mut text)?;
    if !text.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}
