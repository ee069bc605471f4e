//! What is asked without credentials: whether the process is up, whether it can commit, and its figures.

use std::fmt::Write;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Api;
use crate::error::Error;

/// How long a commit may take before the server is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer stands: whoever asks often does not have us commit as often.
const STANDS_FOR: Duration = Duration::from_millis(250);

/// What was found out last of whether it can commit.
#[derive(Default)]
pub struct Ready(Mutex<Option<(Instant, bool)>>);

/// `GET /healthz`: the process is up.
pub async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`: it can commit.
pub async fn ready(State(api): State<Api>) -> Result<&'static str, Error> {
    let mut known = api.ready.0.lock().await;
    let is_ready = match *known {
        Some((at, is_ready)) if at.elapsed() < STANDS_FOR => is_ready,
        _ => {
            let is_ready = matches!(tokio::time::timeout(READY_WITHIN, api.store.ready()).await, Ok(Ok(())));
            *known = Some((Instant::now(), is_ready));
            is_ready
        }
    };
    if is_ready { Ok("ok") } else { Err(Error::NotReady) }
}

/// `GET /metrics`: in Prometheus' text form.
pub async fn metrics(State(api): State<Api>) -> Response {
    let (stats, logins) = (api.store.stats(), api.identity.login_counts());
    let mut text = String::with_capacity(2048);
    let seconds = stats.commit_us as f64 / 1e6;
    for (name, kind, help, value) in [
        ("commits_total", "counter", "Commits of batches.", stats.commits.to_string()),
        ("units_total", "counter", "Units of work that were committed.", stats.units.to_string()),
        ("units_refused_total", "counter", "Units of work that were refused for a limit.", stats.refused.to_string()),
        ("commit_seconds_total", "counter", "Time spent in commits.", seconds.to_string()),
        ("units_waiting", "gauge", "Units of work that wait for the writer.", stats.waiting.to_string()),
        ("breaches_total", "counter", "Sums that were found wrong; always 0.", stats.breaches.to_string()),
    ] {
        head(&mut text, name, kind, help);
        line(&mut text, name, "", &value);
    }
    head(&mut text, "logins_total", "counter", "Logins by password.");
    for (outcome, count) in
        [("succeeded", logins.succeeded), ("failed", logins.failed), ("throttled", logins.throttled)]
    {
        line(&mut text, "logins_total", &format!("{{outcome=\"{outcome}\"}}"), &count.to_string());
    }
    head(&mut text, "build_info", "gauge", "Which version runs.");
    let version = api.version.replace('\\', "\\\\").replace('"', "\\\"");
    line(&mut text, "build_info", &format!("{{version=\"{version}\"}}"), "1");
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], text).into_response()
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // A string takes all.
    let _ = writeln!(text, "# HELP plimsoll_{name} {help}\n# TYPE plimsoll_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: &str) {
    let _ = writeln!(text, "plimsoll_{name}{labels} {value}");
}
