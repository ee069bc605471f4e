//! Requests made ahead of time, and answers looked at no closer than needed: the load must stay cheap.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::load::{Outcome, Wire};
use crate::rng::Rng;

/// The status of an answer that made what was asked for.
pub const CREATED: u16 = 201;

/// A POST of JSON, as the bytes that go over the wire.
pub fn post(address: SocketAddr, path: &str, token: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A client that sends one of many prepared requests after the other, in random order.
pub struct Http {
    requests: Arc<Vec<Vec<u8>>>,
    random: Rng,
    served: u16,
}

impl Http {
    /// Client `number`; `served` is the status of an answer to a request that was done.
    pub fn client(number: usize, requests: &Arc<Vec<Vec<u8>>>, served: u16) -> Http {
        Http { requests: Arc::clone(requests), random: Rng::of(number), served }
    }
}

impl Wire for Http {
    fn request(&mut self) -> &[u8] {
        &self.requests[self.random.below(self.requests.len())]
    }

    fn answer(&self, arrived: &[u8]) -> Option<(usize, Outcome)> {
        answer(arrived, |status| match status {
            status if status == self.served => Outcome::Served,
            409 => Outcome::Refused,
            _ => Outcome::Wrong,
        })
    }
}

/// One whole answer at the start of what has arrived: its length, and what its status means.
pub fn answer(arrived: &[u8], outcome: impl Fn(u16) -> Outcome) -> Option<(usize, Outcome)> {
    let head = arrived.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    // An answer without a length cannot be told from its successor: wrong, and there is no waiting for its end.
    let Some(body) = content_length(&arrived[..head]) else { return Some((arrived.len(), Outcome::Wrong)) };
    let length = head + body;
    let status = arrived.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    (arrived.len() >= length).then(|| (length, status.map_or(Outcome::Wrong, &outcome)))
}

fn content_length(head: &[u8]) -> Option<usize> {
    let name = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
    std::str::from_utf8(&line[name.len()..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of it; an answer that is taken is taken whole.
    fn look(arrived: &str) -> Option<Outcome> {
        let (length, outcome) = Http::client(0, &Arc::new(vec![Vec::new()]), CREATED).answer(arrived.as_bytes())?;
        assert_eq!(length, arrived.len());
        Some(outcome)
    }

    #[test]
    fn an_answer_counts_when_it_is_whole_and_for_what_it_says() {
        assert_eq!(look("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{"), None);
        assert_eq!(look("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"), Some(Outcome::Served));
        assert_eq!(look("HTTP/1.1 409 Conflict\r\ncontent-length: 0\r\n\r\n"), Some(Outcome::Refused));
        assert_eq!(look("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"), Some(Outcome::Wrong));
        assert_eq!(look("HTTP/1.1 201 Created\r\n\r\n"), Some(Outcome::Wrong));
    }
}
