//! Cloud Foundry: quotas read and apps scaled over HTTP, beside the empty handler in the same round.
//!
//! Each client scales an app of its own, up and down; all are in one space under one quota, so every change is charged on
//! the same path. What the space has counted after a turn must be what its apps say they take.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{Client, Server, Start};

use crate::http::{self, Http};
use crate::load::{self, Turn};
use crate::peers::empty::Empty;
use crate::peers::ours::CLAIMS;
use crate::report::{Spread, grouped};

/// How many clients there can be: each has an app.
const CLIENTS_MAX: u32 = 64;
/// The memory of an instance, one way and the other.
const MEMORY_MB: [u64; 2] = [64, 128];

/// Of all of it.
#[derive(clap::Args)]
pub struct Options {
    /// The release binary of ours.
    #[arg(long)]
    plimsoll: PathBuf,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long a turn is.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// How many clients, one turn for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [64])]
    clients: Vec<u32>,
    /// Keep every figure in this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Who has a turn, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Read,
    Scale,
    Empty,
}

impl Side {
    const ALL: [Side; 3] = [Side::Read, Side::Scale, Side::Empty];

    fn label(self) -> &'static str {
        match self {
            Side::Read => "plimsoll, a quota read",
            Side::Scale => "plimsoll, an app scaled",
            Side::Empty => "axum, nothing kept",
        }
    }

    fn differs(self) -> &'static str {
        match self {
            Side::Read => "auth, from the database",
            Side::Scale => "auth, charged, durable",
            Side::Empty => "not durable, no auth",
        }
    }
}

/// One side's rate in one round.
struct Measured {
    side: Side,
    clients: u32,
    round: u32,
    rate: f64,
    p99_ms: f64,
}

/// Measures, prints the table, and fails where an answer was wrong or a sum does not come out.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.plimsoll.is_file(), "{} is not there", options.plimsoll.display());
    ensure!(options.clients.iter().all(|clients| *clients <= CLIENTS_MAX), "at most {CLIENTS_MAX} clients");
    let folder = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir_in("/var/tmp")?;
    let (ours, empty) = (Ours::set_up(&options.plimsoll, folder.path())?, Empty::start()?);
    let mut measured = Vec::new();
    for round in 1..=options.rounds {
        for &clients in &options.clients {
            for side in Side::ALL {
                let turn = turn(&ours, &empty, side, clients as usize, options)?;
                let rate = turn.served as f64 / turn.seconds;
                eprintln!("round {round} {clients:>3} clients  {:<26} {rate:>8.0}/s", side.label());
                let p99_ms = f64::from(turn.percentile_us(0.99)) / 1e3;
                measured.push(Measured { side, clients, round, rate, p99_ms });
            }
        }
    }
    for &clients in &options.clients {
        table(&measured, clients);
    }
    if let Some(file) = &options.json {
        let turns: Vec<Value> = measured.iter().map(Measured::json).collect();
        std::fs::write(file, format!("{:#}\n", json!({ "turns": turns })))?;
    }
    Ok(())
}

fn turn(ours: &Ours, empty: &Empty, side: Side, clients: usize, options: &Options) -> Result<Turn> {
    let length = Duration::from_secs(options.seconds.into());
    let address = if side == Side::Empty { empty.address } else { ours.server.address() };
    let wires = (0..clients).map(|number| match side {
        Side::Read => Http::client(number, &ours.read, 200),
        Side::Scale => Http::client(number, &ours.scale[number], 202),
        Side::Empty => Http::client(number, &ours.empty, http::CREATED),
    });
    let turn = load::tcp(address, wires.collect(), length)?;
    let wrong = turn.first_wrong.as_deref().unwrap_or("refused");
    ensure!(turn.wrong + turn.refused == 0, "{}: {} wrong answers, the first: {wrong}", side.label(), turn.wrong);
    if side == Side::Scale {
        ours.check()?;
    }
    Ok(turn)
}

fn table(measured: &[Measured], clients: u32) {
    println!("\n{clients} client(s){:>39}{:>12}  beside the empty handler", "requests/s (range)", "p99 ms");
    for side in Side::ALL {
        let own = || measured.iter().filter(|it| it.side == side && it.clients == clients);
        let (Some(rate), Some(p99)) =
            (Spread::of(own().map(|it| it.rate).collect()), Spread::of(own().map(|it| it.p99_ms).collect()))
        else {
            continue;
        };
        let mut line = format!(
            "{:<26}{:>8} ({}–{}){:>10.1}",
            side.label(),
            grouped(rate.median),
            grouped(rate.least),
            grouped(rate.most),
            p99.median
        );
        let ratios = own().filter_map(|it| {
            let same =
                |empty: &&Measured| empty.side == Side::Empty && (empty.clients, empty.round) == (clients, it.round);
            Some(it.rate / measured.iter().find(same)?.rate)
        });
        if let Some(ratio) = Spread::of(ratios.collect()).filter(|_| side != Side::Empty) {
            line += &format!("  {:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most);
        }
        println!("{line}  [{}]", side.differs());
    }
}

impl Measured {
    fn json(&self) -> Value {
        json!({"side": self.side.label(), "clients": self.clients, "round": self.round, "per_second": self.rate,
            "p99_ms": self.p99_ms})
    }
}

/// Ours: one space under one quota, with an app for each client, and the requests made ahead of time.
struct Ours {
    server: Server,
    token: String,
    space: String,
    read: Arc<Vec<Vec<u8>>>,
    scale: Vec<Arc<Vec<Vec<u8>>>>,
    empty: Arc<Vec<Vec<u8>>>,
}

impl Ours {
    fn set_up(binary: &Path, folder: &Path) -> Result<Ours> {
        let site = folder.join("bench.toml");
        let text = "[[tenant]]\nname = \"acme\"\n[[tenant.user]]\nemail = \"admin@acme.example\"\nname = \"Admin\"\n\
            password = \"bench-secret\"\nroles = [\"admin\"]\n[[tenant.organization]]\nname = \"bench\"\n\
            spaces = [{ name = \"bench\" }]\n";
        std::fs::write(&site, text)?;
        let server = Start::on(&folder.join("data")).binary(binary).site(&site).start();
        let address = server.address();
        let form = b"grant_type=password&username=admin%40acme.example&password=bench-secret";
        let mut door = server.anonymous().with("Authorization", "Basic Y2Y6");
        let token = text_at(&door.bytes("POST", "/oauth/token", form)?.expect(200).json(), "/access_token")?;
        let mut admin = Client::bearer(address, &token);
        let space = text_at(&admin.get("/v3/spaces")?.expect(200).json(), "/resources/0/guid")?;
        let org = text_at(&admin.get("/v3/organizations")?.expect(200).json(), "/resources/0/guid")?;
        let unlimited = json!({ "name": "bench", "apps": { "total_memory_in_mb": null } });
        let made = admin.json("POST", "/v3/organization_quotas", &unlimited)?.expect(201).json();
        let path = format!("/v3/organization_quotas/{}/relationships/organizations", text_at(&made, "/guid")?);
        admin.json("POST", &path, &json!({ "data": [{ "guid": org }] }))?.expect(200);
        let quota = json!({
            "name": "bench", "apps": { "total_memory_in_mb": 1_000_000 },
            "relationships": { "organization": { "data": { "guid": org } }, "spaces": { "data": [{ "guid": space }] } },
        });
        let quota = text_at(&admin.json("POST", "/v3/space_quotas", &quota)?.expect(201).json(), "/guid")?;
        let mut scale = Vec::new();
        for number in 0..CLIENTS_MAX {
            let app = json!({ "name": format!("app-{number}"), "space_guid": space, "memory": 64, "state": "STARTED" });
            let app = text_at(&admin.json("POST", "/v2/apps", &app)?.expect(201).json(), "/metadata/guid")?;
            let path = format!("/v3/processes/{app}/actions/scale");
            let way = |memory: u64| http::post(address, &path, &token, &json!({ "memory_in_mb": memory }));
            scale.push(Arc::new(MEMORY_MB.map(way).to_vec()));
        }
        let read = vec![get(address, &format!("/v2/space_quota_definitions/{quota}"), &token)];
        let body = json!({"allotment_id": quota, "amounts": {"memory_mb": 64}});
        let empty = vec![http::post(address, CLAIMS, &token, &body)];
        Ok(Ours { server, token, space, read: Arc::new(read), scale, empty: Arc::new(empty) })
    }

    /// The space has counted what its apps say they take.
    fn check(&self) -> Result<()> {
        let mut admin = Client::bearer(self.server.address(), &self.token);
        let used = admin.get(&format!("/v3/spaces/{}/usage_summary", self.space))?.expect(200).json();
        let used = used["usage_summary"]["memory_in_mb"].as_u64().context("a space counts its memory")?;
        let apps = admin.get("/v3/processes?per_page=5000")?.expect(200).json();
        let apps = apps["resources"].as_array().context("a list of processes")?;
        let told: u64 = apps.iter().filter_map(|app| app["memory_in_mb"].as_u64()).sum();
        ensure!(used == told, "the space counted {used} MiB, its apps say {told}");
        Ok(())
    }
}

fn text_at(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {pointer} in {value}"))?.to_owned())
}

/// A GET, as the bytes that go over the wire.
fn get(address: SocketAddr, path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}
