//! Ours: the real binary on an empty folder, durable as delivered, called over HTTP with a token.
//!
//! The site has one tenant for the hot root, one whose root has no room (for refusals), and a tenant a client for paths
//! that share nothing. The trees below the tenants are made through the API.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tests::{Client, Server, Start};

use super::{LEAVES, WIDE};
use crate::http::{self, Http};
use crate::load::{self, Turn};
use crate::rng::Rng;

/// The call that charges.
pub const CLAIMS: &str = "/plimsoll/v1/claims";
/// The call that charges many at once.
const BATCH: &str = "/plimsoll/v1/claims/batch";
/// How many claims one batch holds: the most the API takes.
pub const BATCH_CLAIMS: usize = 1_000;
/// Batches prepared; each is 100 kB of JSON.
const BATCHES_PREPARED: usize = 16;
/// Requests prepared for a load of single claims.
const REQUESTS_PREPARED: usize = 4_096;
/// How many clients can have a path of their own.
pub const LANES_MAX: usize = 64;

const ADMIN: &str = "bench-admin-token";
const OPERATOR: &str = "bench-operator-token";

/// What is charged in a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Leaves of one tree, through one root.
    Hot,
    /// A path of its own for every client.
    Disjoint,
    /// Leaves of a tree whose root has no room: every answer is a refusal.
    Full,
    /// The hot root, 1,000 claims a request.
    Batch,
}

/// The server and its trees.
pub struct Ours {
    server: Server,
    hot: Arc<Vec<Vec<u8>>>,
    full: Arc<Vec<Vec<u8>>>,
    batches: Arc<Vec<Vec<u8>>>,
    lanes: Vec<Arc<Vec<Vec<u8>>>>,
}

impl Ours {
    /// Starts `binary` on an empty folder in `folder`, and makes the trees.
    pub fn set_up(binary: &Path, folder: &Path) -> Result<Ours> {
        let site = folder.join("bench.toml");
        std::fs::write(&site, site_file())?;
        let server = Start::on(&folder.join("data")).binary(binary).site(&site).start();
        let address = server.address();
        let mut operator = server.client(OPERATOR);
        let hot = tree(&mut server.client(ADMIN), "hot")?;
        let full = tree(&mut operator, "full")?;
        let mut lanes = Vec::new();
        for lane in 0..LANES_MAX {
            let leaf = chain(&mut operator, &lane_name(lane))?;
            lanes.push(singles(address, OPERATOR, &[leaf], LEAVES));
        }
        Ok(Ours {
            hot: singles(address, ADMIN, &hot, REQUESTS_PREPARED),
            full: singles(address, OPERATOR, &full, REQUESTS_PREPARED),
            batches: batches(address, &hot),
            lanes,
            server,
        })
    }

    /// One turn. What was acknowledged in it must be what the root has counted.
    pub fn turn(&self, work: Work, clients: usize, length: Duration) -> Result<Turn> {
        let requests = |number: usize| match work {
            Work::Hot => &self.hot,
            Work::Disjoint => &self.lanes[number % LANES_MAX],
            Work::Full => &self.full,
            Work::Batch => &self.batches,
        };
        let status = if work == Work::Batch { 200 } else { http::CREATED };
        let wires: Vec<Http> = (0..clients).map(|number| Http::client(number, requests(number), status)).collect();
        let before = self.counted(work)?;
        let turn = load::tcp(self.server.address(), wires, length)?;
        let each = if work == Work::Batch { BATCH_CLAIMS as u64 } else { 1 };
        let (counted, acknowledged) = (self.counted(work)? - before, turn.served * each);
        ensure!(counted == acknowledged, "the roots counted {counted} claims, acknowledged were {acknowledged}");
        Ok(turn)
    }

    /// The requests of the hot root.
    pub fn hot_requests(&self) -> &Arc<Vec<Vec<u8>>> {
        &self.hot
    }

    /// How many claims the roots of this work count now.
    fn counted(&self, work: Work) -> Result<u64> {
        let mut operator = self.server.client(OPERATOR);
        let roots: Vec<String> = match work {
            Work::Hot | Work::Batch => vec!["hot".into()],
            Work::Full => vec!["full".into()],
            Work::Disjoint => (0..LANES_MAX).map(lane_name).collect(),
        };
        let mut sum = 0;
        for root in roots {
            let answer = operator.get(&format!("/plimsoll/v1/allotments/path:{root}"))?.expect(200);
            sum += answer.json()["used"]["objects"].as_u64().unwrap_or(0);
        }
        Ok(sum)
    }
}

fn lane_name(lane: usize) -> String {
    format!("lane-{lane:02}")
}

fn site_file() -> String {
    let mut text = format!(
        "[[operator]]\nemail = \"operator@bench.example\"\nname = \"Operator\"\npassword = \"bench-operator-secret\"\n\
         token = \"{OPERATOR}\"\n\n\
         [[tenant]]\nname = \"hot\"\nlimits = {{ bytes = {WIDE}, objects = {WIDE} }}\n\
         [[tenant.user]]\nemail = \"admin@bench.example\"\nname = \"Admin\"\npassword = \"bench-admin-secret\"\n\
         roles = [\"admin\"]\n\
         [[tenant.token]]\nuser = \"admin@bench.example\"\ntoken = \"{ADMIN}\"\n\n\
         [[tenant]]\nname = \"full\"\nlimits = {{ bytes = 0, objects = 0 }}\n\n"
    );
    for lane in 0..LANES_MAX {
        let name = lane_name(lane);
        text.push_str(&format!("[[tenant]]\nname = \"{name}\"\nlimits = {{ bytes = {WIDE}, objects = {WIDE} }}\n\n"));
    }
    text
}

/// Makes 10, 100 and 1,000 nodes below a tenant's root; the leaves' ids.
fn tree(client: &mut Client, root: &str) -> Result<Vec<String>> {
    let mut level = vec![format!("path:{root}")];
    for _ in 0..3 {
        let mut below = Vec::new();
        for parent in &level {
            for number in 0..10 {
                below.push(node(client, parent, &format!("n{number}"))?);
            }
        }
        level = below;
    }
    Ok(level)
}

/// Makes three nodes in a row below a tenant's root; the last one's id.
fn chain(client: &mut Client, root: &str) -> Result<String> {
    let mut parent = format!("path:{root}");
    for name in ["a", "b", "c"] {
        parent = node(client, &parent, name)?;
    }
    Ok(parent)
}

fn node(client: &mut Client, parent: &str, name: &str) -> Result<String> {
    let body = json!({"parent_id": parent, "name": name, "limits": {"bytes": WIDE, "objects": WIDE}});
    let answer = client.json("POST", "/plimsoll/v1/allotments", &body)?;
    if answer.status != 201 {
        bail!("{parent}/{name} was not made: {} {}", answer.status, answer.text());
    }
    answer.json()["id"].as_str().map(str::to_owned).context("an allotment has an id")
}

fn claim(leaf: &str, random: &mut Rng) -> Value {
    json!({"allotment_id": leaf, "amounts": {"bytes": random.bytes(), "objects": 1}})
}

fn singles(address: SocketAddr, token: &str, leaves: &[String], count: usize) -> Arc<Vec<Vec<u8>>> {
    let mut random = Rng::of(count);
    let request = |number: usize| {
        let leaf = &leaves[number % leaves.len()];
        http::post(address, CLAIMS, token, &claim(leaf, &mut random))
    };
    Arc::new((0..count).map(request).collect())
}

fn batches(address: SocketAddr, leaves: &[String]) -> Arc<Vec<Vec<u8>>> {
    let mut random = Rng::of(0);
    let mut batch = || {
        let claims: Vec<Value> =
            (0..BATCH_CLAIMS).map(|_| claim(&leaves[random.below(leaves.len())], &mut random)).collect();
        http::post(address, BATCH, ADMIN, &json!({"claims": claims, "atomic": false}))
    };
    Arc::new((0..BATCHES_PREPARED).map(|_| batch()).collect())
}
