//! The load: many clients, each with one question under way, for a given time.
//!
//! **Shape.** Over TCP a client is a task, and at most two threads run them all: the load shares the machine with what it
//! measures. A library is called from a thread a client.
//! **Always.** The clock starts when every client is connected. A client that gets no answer in [`ANSWER_MAX`] counts as
//! wrong and stops.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Threads that make load over TCP, as `wrk -t2` has.
const THREADS_MAX: usize = 2;
/// How much of an answer that was wrong is kept, to be shown.
const WRONG_SHOWN_BYTES: usize = 600;

/// What one answer was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done as asked.
    Served,
    /// Refused for a limit, as it should be where a limit is full.
    Refused,
    /// Anything else.
    Wrong,
}

/// One client's side of a protocol.
pub trait Wire: Send + 'static {
    /// The next request, whole.
    fn request(&mut self) -> &[u8];
    /// Looks for one whole answer at the start of what has arrived: its length, and what it says.
    fn answer(&self, arrived: &[u8]) -> Option<(usize, Outcome)>;
}

/// What came of one turn.
#[derive(Clone, Default, Debug)]
pub struct Turn {
    /// Done as asked.
    pub served: u64,
    /// Refused for a limit.
    pub refused: u64,
    /// Neither.
    pub wrong: u64,
    /// The first answer that was neither.
    pub first_wrong: Option<String>,
    /// From the start to the last answer.
    pub seconds: f64,
    /// Microseconds each answer took, sorted.
    pub latencies_us: Vec<u32>,
}

impl Turn {
    fn count(&mut self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Served => self.served += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Wrong => self.wrong += 1,
        }
        self.latencies_us.push(took.as_micros().min(u128::from(u32::MAX)) as u32);
    }

    fn wrong(&mut self, what: String) {
        self.wrong += 1;
        self.first_wrong.get_or_insert(what);
    }

    fn sum(turns: impl IntoIterator<Item = Turn>, since: Instant) -> Turn {
        let mut sum = Turn { seconds: since.elapsed().as_secs_f64(), ..Turn::default() };
        for mut turn in turns {
            sum.served += turn.served;
            sum.refused += turn.refused;
            sum.wrong += turn.wrong;
            sum.first_wrong = sum.first_wrong.or(turn.first_wrong);
            sum.latencies_us.append(&mut turn.latencies_us);
        }
        sum.latencies_us.sort_unstable();
        sum
    }

    /// The latency that `share` (0 to 1) of the answers did not exceed.
    pub fn percentile_us(&self, share: f64) -> u32 {
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us.get((last as f64 * share) as usize).copied().unwrap_or(0)
    }
}

/// Loads a server over TCP, one connection for each of `wires`.
pub fn tcp<W: Wire>(address: SocketAddr, wires: Vec<W>, length: Duration) -> Result<Turn> {
    let threads = THREADS_MAX.min(wires.len());
    let started = Arc::new(Barrier::new(threads + 1));
    let mut shares: Vec<Vec<W>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, wire) in wires.into_iter().enumerate() {
        shares[number % threads].push(wire);
    }
    let running: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let started = Arc::clone(&started);
            std::thread::spawn(move || run_share(address, share, length, &started))
        })
        .collect();
    started.wait();
    let since = Instant::now();
    let turns: Result<Vec<Vec<Turn>>> =
        running.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect();
    Ok(Turn::sum(turns?.into_iter().flatten(), since))
}

fn run_share<W: Wire>(address: SocketAddr, share: Vec<W>, length: Duration, started: &Barrier) -> Result<Vec<Turn>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut clients = Vec::new();
        for wire in share {
            clients.push(connect(address).await.map(|stream| (wire, stream)));
        }
        // Everyone must pass the barrier, also who could not connect, or the others wait forever.
        started.wait();
        let end = Instant::now() + length;
        let mut tasks = Vec::new();
        for client in clients {
            let (wire, stream) = client?;
            tasks.push(tokio::spawn(talk(wire, stream, end)));
        }
        let mut turns = Vec::new();
        for task in tasks {
            turns.push(task.await?);
        }
        Ok(turns)
    })
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One client: asks, reads the answer, asks again, until the time is over.
async fn talk<W: Wire>(mut wire: W, mut stream: TcpStream, end: Instant) -> Turn {
    let mut turn = Turn::default();
    let mut arrived = Vec::with_capacity(64 << 10);
    while Instant::now() < end {
        let since = Instant::now();
        arrived.clear();
        match tokio::time::timeout(ANSWER_MAX, ask(&mut wire, &mut stream, &mut arrived)).await {
            Ok(Ok(outcome)) => {
                turn.count(outcome, since.elapsed());
                if outcome == Outcome::Wrong && turn.first_wrong.is_none() {
                    arrived.truncate(WRONG_SHOWN_BYTES);
                    turn.first_wrong = Some(String::from_utf8_lossy(&arrived).into_owned());
                }
            }
            Ok(Err(error)) => {
                turn.wrong(error.to_string());
                break;
            }
            Err(_) => {
                turn.wrong(format!("no answer in {} s", ANSWER_MAX.as_secs()));
                break;
            }
        }
    }
    turn
}

async fn ask<W: Wire>(wire: &mut W, stream: &mut TcpStream, arrived: &mut Vec<u8>) -> std::io::Result<Outcome> {
    stream.write_all(wire.request()).await?;
    loop {
        if stream.read_buf(arrived).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((length, outcome)) = wire.answer(arrived) {
            // One question at a time: what comes beyond the answer was not asked for.
            return Ok(if length == arrived.len() { outcome } else { Outcome::Wrong });
        }
    }
}

/// Calls a library from one thread for each of `clients`.
pub fn threads<C>(clients: Vec<C>, length: Duration) -> Turn
where
    C: FnMut() -> Result<Outcome> + Send + 'static,
{
    let started = Arc::new(Barrier::new(clients.len() + 1));
    let running: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let started = Arc::clone(&started);
            std::thread::spawn(move || {
                started.wait();
                call(client, Instant::now() + length)
            })
        })
        .collect();
    started.wait();
    let since = Instant::now();
    let turns: Vec<Turn> = running.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect();
    Turn::sum(turns, since)
}

fn call(mut client: impl FnMut() -> Result<Outcome>, end: Instant) -> Turn {
    let mut turn = Turn::default();
    while Instant::now() < end {
        let since = Instant::now();
        match client() {
            Ok(outcome) => turn.count(outcome, since.elapsed()),
            Err(error) => {
                turn.wrong(format!("{error:#}"));
                break;
            }
        }
    }
    turn
}
