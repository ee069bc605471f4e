//! Redis as one would charge on it without us: a script over four hashes, its log flushed before every answer
//! (`appendfsync always`). It serves no HTTP, checks no one and knows no tree.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{LEAVES, WIDE, nodes, path};
use crate::load::{self, Outcome, Turn, Wire};
use crate::rng::Rng;

/// Looks at all four, then changes all four and appends the claim; a script runs alone.
const SCRIPT: &str = "
local n = tonumber(ARGV[1])
for i = 1, 4 do
  local v = redis.call('HMGET', KEYS[i], 'objects', 'bytes', 'objects_max', 'bytes_max')
  if v[1] + 1 > tonumber(v[3]) or v[2] + n > tonumber(v[4]) then return 0 end
end
for i = 1, 4 do
  redis.call('HINCRBY', KEYS[i], 'objects', 1)
  redis.call('HINCRBY', KEYS[i], 'bytes', n)
end
redis.call('RPUSH', 'claims', KEYS[1] .. ' ' .. n)
return 1";

/// The server that `xtask` has started for the bench, with the script loaded.
pub struct Redis {
    address: SocketAddr,
    script: String,
}

impl Redis {
    /// Makes the tree.
    pub fn set_up(address: SocketAddr) -> Result<Redis> {
        let mut talk = Talk::to(address)?;
        talk.ask(&["FLUSHALL"])?;
        let wide = WIDE.to_string();
        for id in nodes() {
            let key = id.to_string();
            talk.ask(&["HSET", &key, "objects", "0", "bytes", "0", "objects_max", &wide, "bytes_max", &wide])?;
        }
        let script = talk.ask(&["SCRIPT", "LOAD", SCRIPT])?;
        Ok(Redis { address, script })
    }

    /// One turn. The sums are compared with the claims after it.
    pub fn turn(&self, clients: usize, length: Duration) -> Result<Turn> {
        let client = |number| Charge { script: self.script.clone(), random: Rng::of(number), request: Vec::new() };
        let turn = load::tcp(self.address, (0..clients).map(client).collect(), length)?;
        let mut talk = Talk::to(self.address)?;
        let (objects, claims) = (talk.ask(&["HGET", "1", "objects"])?, talk.ask(&["LLEN", "claims"])?);
        if objects != claims {
            bail!("Redis' sum {objects} is not its claims' {claims}");
        }
        Ok(turn)
    }
}

struct Charge {
    script: String,
    random: Rng,
    request: Vec<u8>,
}

impl Wire for Charge {
    fn request(&mut self) -> &[u8] {
        let [a, b, c, d] = path(self.random.below(LEAVES)).map(|id| id.to_string());
        let bytes = self.random.bytes().to_string();
        self.request = command(&["EVALSHA", &self.script, "4", &a, &b, &c, &d, &bytes]);
        &self.request
    }

    fn answer(&self, arrived: &[u8]) -> Option<(usize, Outcome)> {
        let length = arrived.iter().position(|byte| *byte == b'\n')? + 1;
        let outcome = match &arrived[..length] {
            b":1\r\n" => Outcome::Served,
            b":0\r\n" => Outcome::Refused,
            _ => Outcome::Wrong,
        };
        Some((length, outcome))
    }
}

/// A command as Redis reads it: how many words, and the length of each before it.
fn command(words: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        text.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    text
}

/// A connection for the few questions around the load.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn to(address: SocketAddr) -> Result<Talk> {
        Ok(Talk(BufReader::new(TcpStream::connect(address).context("Redis")?)))
    }

    fn ask(&mut self, words: &[&str]) -> Result<String> {
        self.0.get_mut().write_all(&command(words))?;
        let answer = self.line()?;
        match answer.chars().next() {
            Some('$') => self.line(),
            Some('-') => bail!("Redis: {answer}"),
            _ => Ok(answer.trim_start_matches(['+', ':']).to_owned()),
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut text = String::new();
        self.0.read_line(&mut text)?;
        Ok(text.trim_end().to_owned())
    }
}
