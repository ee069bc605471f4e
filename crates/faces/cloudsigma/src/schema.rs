//! Schemas: the one of drives word for word as the API's page has it, of the others what can be filtered by (spec, section
//! 2).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::Face;
use crate::auth::Caller;
use crate::list::LIMIT;
use crate::reply::{self, Bare};

/// `GET drives/schema/`: not what is validated against. It lacks a storage type that there is.
pub async fn drives(State(_): State<Face>, _: Caller) -> Response {
    ([(CONTENT_TYPE, reply::JSON)], include_str!("schema/drives.json")).into_response()
}

/// `GET snapshots/schema/`.
pub async fn snapshots(State(_): State<Face>, _: Caller) -> Bare<Value> {
    of(
        &["allocated_size", "drive", "meta", "name", "owner", "resource_uri", "status", "tags", "timestamp", "uuid"],
        &["drive", "name", "name__contains", "tag", "uuid"],
    )
}

/// `GET servers/schema/`.
pub async fn servers(State(_): State<Face>, _: Caller) -> Bare<Value> {
    of(
        &["cpu", "drives", "mem", "meta", "name", "owner", "resource_uri", "status", "tags", "uuid", "vnc_password"],
        &["name", "name__contains", "tag", "uuid"],
    )
}

/// `GET tags/schema/`.
pub async fn tags(State(_): State<Face>, _: Caller) -> Bare<Value> {
    of(&["meta", "name", "owner", "resource_uri", "resources", "uuid"], &["name", "name__contains", "uuid"])
}

/// `GET jobs/schema/`.
pub async fn jobs(State(_): State<Face>, _: Caller) -> Bare<Value> {
    of(
        &["children", "created", "data", "last_modified", "operation", "resource_uri", "resources", "state", "uuid"],
        &["state", "uuid"],
    )
}

/// `GET libdrives/schema/`.
pub async fn libdrives(State(_): State<Face>, _: Caller) -> Bare<Value> {
    of(
        &["arch", "category", "distribution", "image_type", "media", "meta", "name", "os", "size", "uuid", "version"],
        &["arch", "category", "distribution", "image_type", "name", "name__icontains", "os", "uuid", "version"],
    )
}

fn of(fields: &[&str], filters: &[&str]) -> Bare<Value> {
    let field = |name: &&str| ((*name).to_owned(), json!({ "readonly": false, "required": false }));
    let filter = |name: &&str| ((*name).to_owned(), json!("exact"));
    Bare(json!({
        "default_format": "application/json",
        "default_limit": LIMIT,
        "fields": fields.iter().map(field).collect::<serde_json::Map<_, _>>(),
        "filtering": filters.iter().map(filter).collect::<serde_json::Map<_, _>>(),
    }))
}
