//! `plimsoll bench`: many clients charging at once, and a report.
//!
//! What was refused or failed is counted apart: it is not a request served. All that was charged is given back, on an
//! allotment made for the purpose, so a bench leaves nothing behind but its entries in the journal.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{BASE, Client, reference};
use crate::fault::Fault;
use crate::show::{self, Output};

/// More clients than this say nothing more about the server, and much about the machine.
const CLIENTS_MAX: u64 = 4096;

/// How much load, on what.
#[derive(Args, Debug, Clone)]
pub struct Bench {
    /// The allotment to charge below: its path or id
    pub path: String,
    /// How many clients at once
    #[arg(long, short, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=CLIENTS_MAX))]
    pub clients: u64,
    /// For how long
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// How many bytes a claim takes
    #[arg(long, default_value_t = 1)]
    pub bytes: u64,
    /// How many claims a request makes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub batch: u64,
    /// A server on the network, as http://HOST:PORT [default: the one that holds the data folder]
    #[arg(long, requires = "token")]
    pub url: Option<String>,
    /// The token to use there
    #[arg(long, env = "PLIMSOLL_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// What one client, or all of them, have done.
#[derive(Default)]
struct Tally {
    /// How long each served request took, in microseconds.
    took_us: Vec<u32>,
    refused: u64,
    failed: u64,
    claims: Vec<String>,
}

impl Bench {
    pub(super) async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let mut client = self.connect(data).await?;
        let allotment = self.make_room(&mut client).await?;
        let body = self.body(&allotment);
        let clients = try_join_all((0..self.clients).map(|_| self.connect(data))).await?;
        let (start, until) = (Instant::now(), Duration::from_secs(self.seconds));
        let charging =
            clients.into_iter().map(|client| tokio::spawn(charge(client, body.clone(), start, until, self.batch)));
        let mut tally = Tally::default();
        let mut clients = Vec::new();
        for done in try_join_all(charging).await.map_err(|error| Fault::new(error.to_string()))? {
            let (client, part) = done?;
            clients.push(client);
            tally.add(part);
        }
        let took = start.elapsed();
        let released = release(clients, &tally.claims).await;
        client.call(Method::DELETE, &format!("/allotments/{allotment}"), None).await?;
        let report = self.report(tally, took, released?);
        if output.is_json { show::print_json(&report) } else { show::print(lines(&report)) }
    }

    async fn connect(&self, data: &Path) -> Result<Client, Fault> {
        match &self.url {
            Some(url) => Client::net(url, self.token.as_deref()).await,
            None => Client::local(data).await,
        }
    }

    async fn make_room(&self, client: &mut Client) -> Result<String, Fault> {
        let parent = client.get(&format!("/allotments/{}", reference(&self.path))).await?;
        let name = format!("bench-{}", std::process::id());
        let body = json!({ "parent_id": parent["id"], "name": name, "title": "plimsoll bench" });
        let made = client.call(Method::POST, "/allotments", Some(&body)).await?;
        made["id"].as_str().map(str::to_owned).ok_or_else(|| Fault::new("the server made an allotment without an id"))
    }

    fn body(&self, allotment: &str) -> Value {
        let claim = json!({ "allotment_id": allotment, "amounts": { "bytes": self.bytes } });
        match self.batch {
            1 => claim,
            claims => json!({ "claims": vec![claim; claims as usize], "atomic": false }),
        }
    }

    fn report(&self, mut tally: Tally, took: Duration, released_per_s: f64) -> Value {
        tally.took_us.sort_unstable();
        let at = |permille: usize| match tally.took_us.len() {
            0 => 0,
            served => tally.took_us[(served * permille / 1000).min(served - 1)],
        };
        let per_s = |count: u64| (count as f64 / took.as_secs_f64()).round();
        let served = tally.took_us.len() as u64;
        json!({
            "clients": self.clients, "batch": self.batch, "seconds": took.as_secs_f64(),
            "requests_per_s": per_s(served), "claims_per_s": per_s(tally.claims.len() as u64),
            "served": served, "refused": tally.refused, "failed": tally.failed, "released_per_s": released_per_s,
            "took_us": { "p50": at(500), "p90": at(900), "p99": at(990), "p999": at(999), "max": at(1000) },
        })
    }
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.took_us.extend(other.took_us);
        self.claims.extend(other.claims);
        self.refused += other.refused;
        self.failed += other.failed;
    }

    fn note(&mut self, status: StatusCode, body: &Value, took: Duration) {
        let results = body["results"].as_array();
        let claims = results.map_or(std::slice::from_ref(body), Vec::as_slice);
        let made: Vec<String> = claims.iter().filter_map(|claim| claim["id"].as_str()).map(str::to_owned).collect();
        match status {
            StatusCode::CONFLICT => self.refused += 1,
            _ if !status.is_success() => self.failed += 1,
            _ => {
                self.refused += (claims.len() - made.len()) as u64;
                self.took_us.push(took.as_micros() as u32);
                self.claims.extend(made);
            }
        }
    }
}

async fn charge(
    mut client: Client,
    body: Value,
    start: Instant,
    until: Duration,
    batch: u64,
) -> Result<(Client, Tally), Fault> {
    let path = format!("{BASE}/claims{}", if batch > 1 { "/batch" } else { "" });
    let mut tally = Tally::default();
    while start.elapsed() < until {
        let sent = Instant::now();
        let answer = client.ask(Method::POST, &path, Some(&body)).await?;
        tally.note(answer.status, &answer.body, sent.elapsed());
    }
    Ok((client, tally))
}

/// Gives everything back, shared among the clients; how many a second.
async fn release(clients: Vec<Client>, claims: &[String]) -> Result<f64, Fault> {
    let (start, count) = (Instant::now(), claims.len());
    let share = count.div_ceil(clients.len().max(1)).max(1);
    let parts: Vec<Vec<String>> = claims.chunks(share).map(<[String]>::to_vec).collect();
    let give_back = |(mut client, part): (Client, Vec<String>)| {
        tokio::spawn(async move {
            for claim in part {
                client.call(Method::DELETE, &format!("/claims/{claim}"), None).await?;
            }
            Ok::<(), Fault>(())
        })
    };
    let done = try_join_all(clients.into_iter().zip(parts).map(give_back)).await;
    done.map_err(|error| Fault::new(error.to_string()))?.into_iter().collect::<Result<Vec<()>, Fault>>()?;
    Ok((count as f64 / start.elapsed().as_secs_f64()).round())
}

fn lines(report: &Value) -> Vec<String> {
    let took = |at: &str| format!("{at} {:.2} ms", report["took_us"][at].as_f64().unwrap_or_default() / 1000.0);
    let took: Vec<String> = ["p50", "p90", "p99", "p999", "max"].into_iter().map(took).collect();
    vec![
        format!("clients     {}, {} claims a request", report["clients"], report["batch"]),
        format!("charged     {} claims/s in {} requests/s", report["claims_per_s"], report["requests_per_s"]),
        format!("took        {}", took.join(", ")),
        format!("refused     {}", report["refused"]),
        format!("failed      {}", report["failed"]),
        format!("given back  {} claims/s", report["released_per_s"]),
    ]
}
