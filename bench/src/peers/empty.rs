//! The empty handler: axum reads the same request as our claims, parses its JSON, keeps nothing and answers. What HTTP
//! and JSON cost on this machine, and so the most that any server here can do.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::tests::Client;
use anyhow::{Context, Result, bail};
use axum::http::StatusCode;
use axum::serve::ListenerExt;
use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Charge {
    allotment_id: String,
    amounts: HashMap<String, u64>,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
}

async fn charge(Json(charge): Json<Charge>) -> (StatusCode, Json<Answer>) {
    let ok = !charge.allotment_id.is_empty() && charge.amounts.values().sum::<u64>() > 0;
    (StatusCode::CREATED, Json(Answer { ok }))
}

/// Serves until it is killed.
pub fn serve(listen: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await?.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let router = Router::new().route(super::ours::CLAIMS, post(charge));
        axum::serve(listener, router).await.context("serve")
    })
}

/// The empty handler in a process of its own, as ours is.
pub struct Empty {
    server: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Empty {
    /// Starts it on a free port.
    pub fn start() -> Result<Empty> {
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["empty", "--listen", &address.to_string()]).stdin(Stdio::null());
        let empty = Empty { server: command.spawn()?, address };
        let since = Instant::now();
        while Client::anonymous(address).get("/").is_err() {
            if since.elapsed() > Duration::from_secs(10) {
                bail!("the empty handler does not listen on {address}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(empty)
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::{http, load};

    #[test]
    fn a_charge_is_parsed_and_answered() {
        let address = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        std::thread::spawn(move || serve(address));
        while Client::anonymous(address).get("/").is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let body = json!({"allotment_id": "x", "amounts": {"bytes": 1000, "objects": 1}});
        let requests = Arc::new(vec![http::post(address, super::super::ours::CLAIMS, "t", &body)]);
        let wires = (0..4).map(|number| http::Http::client(number, &requests, http::CREATED)).collect();
        let turn = load::tcp(address, wires, Duration::from_millis(50)).unwrap();
        assert!(turn.served > 0 && turn.wrong == 0, "{:?}", turn.first_wrong);
    }
}
