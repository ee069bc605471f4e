//! `POST /plimsoll/v1/site/apply?dry_run=&folder=`: a site file's text in, the plan out. For operators.

use std::path::{Path, PathBuf};

use axum::extract::{DefaultBodyLimit, Extension, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use site::{Action, Change};
use store::Error;

use super::{Applier, ApplyError, Report};
use crate::problem;

/// The longest site file. Ten thousand users are some 2 MiB.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The route, to be merged with the others.
pub fn router(applier: Applier) -> Router {
    let route = post(apply).layer(DefaultBodyLimit::max(TEXT_BYTES_MAX));
    Router::new().route("/plimsoll/v1/site/apply", route).with_state(applier)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    dry_run: bool,
    /// Where `file:PATH` is looked for.
    #[serde(default)]
    folder: PathBuf,
}

async fn apply(
    State(applier): State<Applier>,
    local: Option<Extension<api::LocalOperator>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    text: String,
) -> Response {
    if local.is_none()
        && let Err(response) = operator(&applier, &headers).await
    {
        return response;
    }
    let Asked { dry_run, folder } = match asked {
        Ok(Query(asked)) => asked,
        Err(wrong) => return problem::invalid(&wrong.body_text(), &[]),
    };
    // Over the network nobody has this machine read its files and environment.
    let folder: Option<&Path> = local.is_some().then_some(&folder);
    let site = match super::parse(&text, folder) {
        Ok(site) => site,
        Err(error) => return refused(error),
    };
    match applier.apply(site, dry_run).await {
        Ok(report) => Json(shown(&report)).into_response(),
        Err(error) => refused(error),
    }
}

/// Whether the token is an operator's; else what to answer.
async fn operator(applier: &Applier, headers: &HeaderMap) -> Result<(), Response> {
    let token = identity::bearer_of(headers);
    let who = match token {
        Some(token) => applier.identity.bearer(token).await.map_err(|error| refused(error.into()))?,
        None => None,
    };
    match who {
        Some(who) if who.is_operator() => Ok(()),
        Some(_) => {
            let detail = "a site is applied by its operators";
            Err(problem::answer(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail))
        }
        None => {
            let mut response =
                problem::answer(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", "no valid token was given");
            response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            Err(response)
        }
    }
}

fn shown(report: &Report) -> Value {
    json!({ "changes": report.changes.iter().map(change).collect::<Vec<_>>(), "notes": report.notes })
}

fn change(change: &Change) -> Value {
    let action = match change.action {
        Action::Create => "create",
        Action::Update { .. } => "update",
        Action::Remove => "remove",
    };
    let fields = change.fields().iter().map(|field| match field.is_secret() {
        true => json!({ "pointer": field.pointer, "secret": true }),
        false => json!({ "pointer": field.pointer, "from": field.from, "to": field.to }),
    });
    let fields: Vec<Value> = fields.collect();
    json!({ "key": change.key.to_string(), "action": action, "fields": fields, "line": change.to_string() })
}

fn refused(error: ApplyError) -> Response {
    let sentence = error.to_string();
    match error {
        ApplyError::Faults(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            problem::invalid(&sentence, &faults)
        }
        ApplyError::Refused(reasons) => problem::conflict(&sentence, &reasons, "nothing was changed"),
        ApplyError::Failed { error: Error::Broken(_) | Error::Retry(_), .. } => broken(&sentence),
        ApplyError::Failed { error: Error::Busy { retry_after_s }, .. } => problem::unavailable(retry_after_s),
        ApplyError::Failed { .. } => {
            problem::conflict(&sentence, &[], "the changes before it were made; apply again when it is put right")
        }
        ApplyError::Store(Error::Busy { retry_after_s }) => problem::unavailable(retry_after_s),
        ApplyError::Store(Error::Invalid(why)) => problem::invalid(&why, &[]),
        ApplyError::Store(_) => broken(&sentence),
    }
}

fn broken(sentence: &str) -> Response {
    tracing::error!(why = sentence, "a site could not be applied");
    let detail = "this is a fault of ours; it is in the server's log";
    problem::answer(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
}
