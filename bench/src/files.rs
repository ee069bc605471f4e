//! Small files: each client puts one distinct new file after the other, on ours through the CarrierX face, beside others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{Server, Start};

use crate::load::{self, Outcome, Turn, Wire};
use crate::report::{Spread, grouped};

/// The container's token.
const TOKEN: &str = "5ebc03d6-8b2b-44ad-bf65-72d4f1491dda";
/// The bytes of a file.
const SIZES: [usize; 2] = [4 << 10, 64 << 10];

/// Of all of it.
#[derive(clap::Args)]
pub struct Options {
    /// The release binary of ours.
    #[arg(long)]
    plimsoll: PathBuf,
    /// SeaweedFS as delivered: `ADDRESS:PORT/path`.
    #[arg(long)]
    seaweed: Place,
    /// SeaweedFS with a flush for each file.
    #[arg(long)]
    seaweed_fsync: Place,
    /// nginx with its DAV module.
    #[arg(long)]
    nginx: Place,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long a turn is.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// How many clients, one turn for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64])]
    clients: Vec<u32>,
    /// Keep every figure in this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Where a peer takes files.
#[derive(Clone, Debug)]
struct Place {
    address: SocketAddr,
    path: String,
}

impl std::str::FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Place> {
        let (address, path) = text.split_once('/').context("ADDRESS:PORT/path")?;
        Ok(Place { address: address.parse()?, path: format!("/{path}") })
    }
}

/// Who has a turn, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Seaweed,
    SeaweedFsync,
    Nginx,
}

impl Side {
    const ALL: [Side; 4] = [Side::Ours, Side::Seaweed, Side::SeaweedFsync, Side::Nginx];

    fn label(self) -> &'static str {
        match self {
            Side::Ours => "plimsoll, CarrierX face",
            Side::Seaweed => "SeaweedFS S3, stock",
            Side::SeaweedFsync => "SeaweedFS S3, fsync",
            Side::Nginx => "nginx DAV",
        }
    }

    fn differs(self) -> &'static str {
        match self {
            Side::Ours => "durable, charged, auth",
            Side::Seaweed | Side::Nginx => "not durable, no limits, no auth",
            Side::SeaweedFsync => "data durable, no limits, no auth",
        }
    }

    /// What must hold at 64 clients, as a multiple of this peer's rate.
    fn floor(self, size: usize) -> Option<f64> {
        match (self, size) {
            (Side::Seaweed, 4096) => Some(3.0),
            (Side::SeaweedFsync, 4096) => Some(8.0),
            (Side::Nginx, 4096) => Some(0.6),
            (Side::Seaweed, _) => Some(1.5),
            _ => None,
        }
    }
}

/// One side's rate in one round.
struct Measured {
    side: Side,
    size: usize,
    clients: u32,
    round: u32,
    rate: f64,
    p99_ms: f64,
}

/// Measures, prints the table, and fails where an answer was wrong or a file was not counted.
pub fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir_in("/var/tmp")?;
    let ours = Ours::set_up(&options.plimsoll, folder.path())?;
    let mut measured = Vec::new();
    for round in 1..=options.rounds {
        for size in SIZES {
            for &clients in &options.clients {
                for side in Side::ALL {
                    let turn = turn(&ours, options, side, size, clients, round)?;
                    let rate = turn.served as f64 / turn.seconds;
                    eprintln!("round {round} {size:>6} B {clients:>3} clients  {:<26} {rate:>8.0}/s", side.label());
                    let p99_ms = f64::from(turn.percentile_us(0.99)) / 1e3;
                    measured.push(Measured { side, size, clients, round, rate, p99_ms });
                }
            }
        }
    }
    for size in SIZES {
        for &clients in &options.clients {
            table(&measured, size, clients);
        }
    }
    if let Some(file) = &options.json {
        let turns: Vec<Value> = measured.iter().map(Measured::json).collect();
        std::fs::write(file, format!("{:#}\n", json!({ "turns": turns })))?;
    }
    Ok(())
}

fn turn(ours: &Ours, options: &Options, side: Side, size: usize, clients: u32, round: u32) -> Result<Turn> {
    let length = Duration::from_secs(options.seconds.into());
    let place = match side {
        Side::Ours => None,
        Side::Seaweed => Some(&options.seaweed),
        Side::SeaweedFsync => Some(&options.seaweed_fsync),
        Side::Nginx => Some(&options.nginx),
    };
    let before = ours.files()?;
    let address = place.map_or(ours.server.address(), |place| place.address);
    let wires = (0..clients).map(|client| {
        let name = format!("r{round}-{size}-{clients}-{client}");
        match place {
            Some(place) => Files::put(place, name, size),
            None => Files::post(address, &ours.container, name, size),
        }
    });
    let turn = load::tcp(address, wires.collect(), length)?;
    let wrong = turn.first_wrong.as_deref().unwrap_or("refused");
    ensure!(turn.wrong + turn.refused == 0, "{}: {} wrong answers, the first: {wrong}", side.label(), turn.wrong);
    let counted = ours.files()? - before;
    let expected = if side == Side::Ours { turn.served } else { 0 };
    ensure!(counted == expected, "the container counted {counted} files, acknowledged were {expected}");
    Ok(turn)
}

fn table(measured: &[Measured], size: usize, clients: u32) {
    println!("\n{size} bytes, {clients} client(s){:>24}{:>12}  plimsoll beside it", "files/s (range)", "p99 ms");
    for side in Side::ALL {
        let own = || measured.iter().filter(|it| it.side == side && it.size == size && it.clients == clients);
        let (Some(rate), Some(p99)) =
            (Spread::of(own().map(|it| it.rate).collect()), Spread::of(own().map(|it| it.p99_ms).collect()))
        else {
            continue;
        };
        let ratios = own().filter_map(|peer| {
            let same = |it: &&Measured| {
                it.side == Side::Ours && (it.size, it.clients, it.round) == (size, clients, peer.round)
            };
            Some(measured.iter().find(same)?.rate / peer.rate)
        });
        let mut line = format!(
            "{:<26}{:>8} ({}–{}){:>10.1}",
            side.label(),
            grouped(rate.median),
            grouped(rate.least),
            grouped(rate.most),
            p99.median
        );
        if let Some(ratio) = Spread::of(ratios.collect()).filter(|_| side != Side::Ours) {
            line += &format!("  {:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most);
            if let Some(floor) = side.floor(size).filter(|_| clients == 64) {
                let verdict = if ratio.median >= floor { "held" } else { "BELOW THE FLOOR" };
                line += &format!("  floor {floor}: {verdict}");
            }
        }
        println!("{line}  [{}]", side.differs());
    }
}

impl Measured {
    fn json(&self) -> Value {
        json!({"side": self.side.label(), "bytes": self.size, "clients": self.clients, "round": self.round,
            "per_second": self.rate, "p99_ms": self.p99_ms})
    }
}

/// Ours, with one partner and one container.
struct Ours {
    server: Server,
    container: String,
}

impl Ours {
    fn set_up(binary: &Path, folder: &Path) -> Result<Ours> {
        ensure!(binary.is_file(), "{} is not there", binary.display());
        let site = folder.join("bench.toml");
        let text = format!(
            "[[tenant]]\nname = \"acme\"\nlimits = {{ bytes = \"1 PiB\", objects = 1_000_000_000 }}\n\
             [[tenant.partner]]\nname = \"voice\"\nlogin = \"voice\"\npassword = \"voice-secret\"\n\
             limits = {{ bytes = \"1 PiB\" }}\ntokens = [{{ token = \"{TOKEN}\", scopes = [\"storage.manage\"] }}]\n"
        );
        std::fs::write(&site, text)?;
        let server = Start::on(&folder.join("data")).binary(binary).site(&site).start();
        let body = json!({"name": "bench", "quota_bytes": 1_u64 << 45, "quota_files": null});
        let made = server.client(TOKEN).json("POST", "/core/v2/storage/containers", &body)?.expect(200);
        let container = made.json()["container_sid"].as_str().context("a container has a sid")?.to_owned();
        Ok(Ours { server, container })
    }

    /// How many files the container counts.
    fn files(&self) -> Result<u64> {
        let path = format!("/core/v2/storage/containers/{}", self.container);
        let container = self.server.client(TOKEN).get(&path)?.expect(200).json();
        container["total_files"].as_u64().context("a container counts its files")
    }
}

/// A client that puts files, no two of them the same.
struct Files {
    /// The request up to the file's name, and from there to the end of its head.
    head: (String, String),
    name: String,
    served: [u16; 2],
    body: Vec<u8>,
    number: u64,
    request: Vec<u8>,
}

impl Files {
    fn put(place: &Place, name: String, size: usize) -> Files {
        let Place { address, path } = place;
        let rest = format!(" HTTP/1.1\r\nHost: {address}\r\nContent-Length: {size}\r\n\r\n");
        Files::new((format!("PUT {path}/"), rest), name, size)
    }

    fn post(address: SocketAddr, container: &str, name: String, size: usize) -> Files {
        let rest = format!(
            " HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        );
        Files::new((format!("POST /core/v2/storage/files?container_sid={container}&name="), rest), name, size)
    }

    fn new(head: (String, String), name: String, size: usize) -> Files {
        // Nothing that a server could make small: what a generator of random numbers leaves is enough.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let body = (0..size).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        Files { head, name, served: [200, 201], body: body.collect(), number: 0, request: Vec::new() }
    }
}

impl Wire for Files {
    fn request(&mut self) -> &[u8] {
        self.number += 1;
        let name = format!("{}-{}", self.name, self.number);
        let start = name.len().min(self.body.len());
        self.body[..start].copy_from_slice(&name.as_bytes()[..start]);
        self.request.clear();
        for part in [self.head.0.as_bytes(), name.as_bytes(), self.head.1.as_bytes(), &self.body] {
            self.request.extend_from_slice(part);
        }
        &self.request
    }

    fn answer(&self, arrived: &[u8]) -> Option<(usize, Outcome)> {
        crate::http::answer(arrived, |status| match self.served.contains(&status) {
            true => Outcome::Served,
            false => Outcome::Wrong,
        })
    }
}
