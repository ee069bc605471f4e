//! The router: which paths are whose.

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use content::Content;
use http::header::ACCEPT;
use http::{HeaderMap, Uri};
use identity::{Identity, SigningKeys};
use serde_json::json;
use store::{Migrations, Store};

use crate::apply::{Applier, route};
use crate::fault::Fault;
use crate::problem;
use crate::startup::Startup;

/// What the faces are made of.
pub struct Parts {
    /// The one way to disk.
    pub store: Store,
    /// The people.
    pub identity: Identity,
    /// The bytes.
    pub content: Content,
    /// The site file's hands.
    pub applier: Applier,
    /// What the site file said at the start.
    pub startup: Startup,
}

/// The tables of all crates, in the order in which they refer to each other.
pub fn migrations() -> Vec<Migrations> {
    vec![
        Identity::migrations(),
        Content::migrations(),
        allocations::migrations(),
        carrierx::migrations(),
        cloudfoundry::migrations(),
        cloudsigma::migrations(),
        koodrive::migrations(),
    ]
}

/// Every path, and one answer for all that are nobody's.
pub async fn router(parts: Parts) -> Result<Router, Fault> {
    let Parts { store, identity, content, applier, startup } = parts;
    let disks = cloudsigma::Face::new(store.clone(), identity.clone(), content.clone());
    // What ends a copy of a drive is told to this face, so it is asked before content goes on with copies.
    disks.prepare().await?;
    content.start().await.map_err(|error| Fault::new(error.to_string()))?;
    disks.start().await?;
    let public_url = startup.public_url.clone();
    let settings = allocations::Settings { strict_csrf: startup.strict_csrf, public_url: public_url.clone() };
    let face = allocations::Face::new(store.clone(), identity.clone(), content.clone(), settings);
    let drives = koodrive::Face::new(store.clone(), identity.clone());
    let settings = carrierx::Settings { public_url, is_sealed: startup.content_key()?.is_some() };
    let storage = carrierx::Face::new(store.clone(), identity.clone(), content.clone(), settings);
    storage.start();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let settings = cloudfoundry::Settings { public_url: startup.public_url.clone(), version: version.clone() };
    let keys = SigningKeys::new(store.clone(), startup.site_key()?);
    let quotas = cloudfoundry::Face::new(store.clone(), identity.clone(), keys, settings);
    let native = api::router(api::Parts { store, identity, content, version });
    let router = Router::new()
        .route("/", get(move |headers: HeaderMap| async move { root(startup.public_url.as_deref(), &headers) }))
        .merge(native)
        .merge(allocations::router(face))
        .merge(carrierx::router(storage))
        .merge(cloudfoundry::router(quotas))
        .merge(cloudsigma::router(disks))
        .merge(koodrive::router(drives));
    Ok(router.merge(route::router(applier)).fallback(nobodys))
}

/// `/`: a person is sent to what is there to read, a program gets links.
fn root(public_url: Option<&str>, headers: &HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        return Redirect::to("/docs").into_response();
    }
    let link = |path: &str| json!({ "href": path });
    let mut links = json!({
        "native": link("/plimsoll/v1"),
        "openapi": link("/plimsoll/v1/openapi.json"),
        "docs": link("/docs"),
        "allocations": link("/api/allocations/"),
        "cloudsigma": link("/api/2.0/"),
        "health": link("/healthz"),
        "ready": link("/readyz"),
        "metrics": link("/metrics"),
    });
    // Cloud Foundry's clients read nothing else of a server, and take its addresses as they stand here.
    let theirs = cloudfoundry::links(&cloudfoundry::base(public_url, headers));
    if let (Some(links), serde_json::Value::Object(theirs)) = (links.as_object_mut(), theirs) {
        links.extend(theirs);
    }
    axum::Json(json!({ "links": links })).into_response()
}

async fn nobodys(uri: Uri) -> Response {
    problem::no_such_path(uri.path())
}
