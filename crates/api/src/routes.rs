//! The table of contents: method, path, handler.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, any, delete, get, patch, post};
use http::Uri;

use crate::error::{Error, log_faults};
use crate::{Api, Parts, allotments, batch, claims, docs, doctor, events, health, jobs, openapi, people};
use crate::{tenants, tokens, users};

/// Where the API begins.
pub const BASE: &str = "/plimsoll/v1";

/// One way to call the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The method, in lower case.
    pub method: &'static str,
    /// The path, below [`BASE`].
    pub path: &'static str,
    /// Whether it is answered without credentials. Then its path is the whole of it.
    pub is_open: bool,
}

struct Entry {
    route: Route,
    handler: MethodRouter<Api>,
}

/// A row of the table, for those who have credentials.
macro_rules! row {
    ($method:ident $path:literal => $handler:path) => {
        entry(stringify!($method), $path, false, $method($handler))
    };
}

fn table() -> Vec<Entry> {
    vec![
        row!(get "/whoami" => people::whoami),
        row!(get "/allotments" => allotments::list),
        row!(post "/allotments" => allotments::create),
        row!(get "/allotments/{id}" => allotments::show),
        row!(patch "/allotments/{id}" => allotments::change),
        row!(delete "/allotments/{id}" => allotments::remove),
        row!(get "/claims" => claims::list),
        row!(post "/claims" => claims::create),
        row!(post "/claims/batch" => batch::create),
        row!(post "/claims/check" => batch::check),
        row!(get "/claims/{id}" => claims::show),
        row!(patch "/claims/{id}" => claims::change),
        row!(delete "/claims/{id}" => claims::release),
        row!(post "/claims/{id}/settle" => claims::settle),
        row!(get "/events" => events::list),
        row!(get "/doctor" => doctor::run),
        row!(get "/jobs/{id}" => jobs::show),
        row!(get "/tenants" => tenants::list),
        row!(post "/tenants" => tenants::create),
        row!(get "/tenants/{id}" => tenants::show),
        row!(patch "/tenants/{id}" => tenants::change),
        row!(delete "/tenants/{id}" => tenants::remove),
        row!(get "/users" => users::list),
        row!(post "/users" => users::create),
        row!(get "/users/{id}" => users::show),
        row!(patch "/users/{id}" => users::change),
        row!(delete "/users/{id}" => users::remove),
        row!(get "/tokens" => tokens::list),
        row!(post "/tokens" => tokens::create),
        row!(get "/tokens/{id}" => tokens::show),
        row!(delete "/tokens/{id}" => tokens::revoke),
        open("/plimsoll/v1/openapi.json", openapi::show),
        open("/docs", docs::show),
        open("/docs/style.css", docs::style),
        open("/healthz", health::alive),
        open("/readyz", health::ready),
        open("/metrics", health::metrics),
    ]
}

fn entry(method: &'static str, path: &'static str, is_open: bool, handler: MethodRouter<Api>) -> Entry {
    Entry { route: Route { method, path, is_open }, handler }
}

/// A row for everybody.
fn open<H, T>(path: &'static str, handler: H) -> Entry
where
    H: Handler<T, Api>,
    T: 'static,
{
    entry("get", path, true, get(handler))
}

impl Route {
    /// The path with the base, where it is below it.
    pub fn whole_path(&self) -> String {
        if self.is_open { self.path.to_owned() } else { format!("{BASE}{}", self.path) }
    }
}

/// Every route there is, as data: for the description, and for tests that walk them.
pub fn routes() -> Vec<Route> {
    table().into_iter().map(|entry| entry.route).collect()
}

/// The API, to be merged with the other faces.
pub fn router(parts: Parts) -> Router {
    let router = table()
        .into_iter()
        .fold(Router::new(), |router, Entry { route, handler }| router.route(&route.whole_path(), handler));
    router
        .route(BASE, any(no_such_path))
        .route(&format!("{BASE}/{{*rest}}"), any(no_such_path))
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn(log_faults))
        .with_state(Api::new(parts))
}

async fn no_such_path(uri: Uri) -> Error {
    Error::NoSuchPath(uri.path().to_owned())
}

async fn no_such_method() -> Error {
    Error::NoSuchMethod
}
