//! The table of contents: method, path, handler.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use http::header::ACCEPT;
use http::{HeaderName, HeaderValue};

use crate::drive::{action, create, edit, read, remove};
use crate::error::{self, Error};
use crate::{
    Face, account, capacity, download, driveuser, input, job, library, license, profile, schema, server, snapshot, tag,
    upload,
};

/// By which clients name a call to us.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes of the lines below the router and the list of them. Each path answers without its last slash, too, and by itself:
/// a redirect would make some clients turn POST into GET (spec, section 1.1).
macro_rules! table {
    ($($method:ident $path:literal $handler:path;)*) => {
        /// Every route, as method and path: for a test that asks each of them as a stranger.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn listed(router: Router<Face>) -> Router<Face> {
            router$(.route($path, $method($handler)).route(bare($path), $method($handler)))*
        }
    };
}

table! {
    get    "/api/2.0/drives/"                                read::list;
    post   "/api/2.0/drives/"                                create::create;
    delete "/api/2.0/drives/"                                remove::many;
    get    "/api/2.0/drives/detail/"                         read::detail;
    get    "/api/2.0/drives/schema/"                         schema::drives;
    get    "/api/2.0/drives/availability_groups/"            read::groups;
    get    "/api/2.0/drives/availability_groups/{id}/"       read::group;
    post   "/api/2.0/drives/upload/"                         upload::direct;
    post   "/api/2.0/drives/upload/{name}/"                  upload::direct;
    get    "/api/2.0/drives/{id}/"                           read::get;
    put    "/api/2.0/drives/{id}/"                           edit::put;
    delete "/api/2.0/drives/{id}/"                           remove::one;
    post   "/api/2.0/drives/{id}/action/"                    action::act;
    get    "/api/2.0/drives/{id}/download/"                  download::download;
    post   "/api/2.0/initupload/"                            create::init_upload;
    post   "/api/2.0/upload/{token}/"                        upload::chunk;

    get    "/api/2.0/libdrives/"                             library::all;
    get    "/api/2.0/libdrives/detail/"                      library::all;
    get    "/api/2.0/libdrives/schema/"                      schema::libdrives;
    get    "/api/2.0/libdrives/{id}/"                        library::get;
    post   "/api/2.0/libdrives/{id}/action/"                 action::act_on_library;

    get    "/api/2.0/driveusers/"                            driveuser::all;
    post   "/api/2.0/driveusers/"                            driveuser::create;
    get    "/api/2.0/driveusers/{id}/"                       driveuser::get;
    put    "/api/2.0/driveusers/{id}/"                       driveuser::put;
    delete "/api/2.0/driveusers/{id}/"                       driveuser::remove;

    get    "/api/2.0/snapshots/"                             snapshot::all;
    post   "/api/2.0/snapshots/"                             snapshot::create;
    delete "/api/2.0/snapshots/"                             snapshot::many;
    get    "/api/2.0/snapshots/detail/"                      snapshot::all;
    get    "/api/2.0/snapshots/schema/"                      schema::snapshots;
    get    "/api/2.0/snapshots/{id}/"                        snapshot::get;
    put    "/api/2.0/snapshots/{id}/"                        snapshot::put;
    delete "/api/2.0/snapshots/{id}/"                        snapshot::one;
    post   "/api/2.0/snapshots/{id}/action/"                 snapshot::act;
    get    "/api/2.0/remotesnapshots/"                       account::nothing;
    post   "/api/2.0/remotesnapshots/"                       account::refuse;

    get    "/api/2.0/jobs/"                                  job::list;
    get    "/api/2.0/jobs/detail/"                           job::list;
    get    "/api/2.0/jobs/schema/"                           schema::jobs;
    get    "/api/2.0/jobs/{id}/"                             job::get;

    get    "/api/2.0/servers/"                               server::list;
    post   "/api/2.0/servers/"                               server::write::create;
    get    "/api/2.0/servers/detail/"                        server::detail;
    get    "/api/2.0/servers/schema/"                        schema::servers;
    get    "/api/2.0/servers/availability_groups/"           server::groups;
    get    "/api/2.0/servers/availability_groups/{id}/"      server::group;
    get    "/api/2.0/servers/{id}/"                          server::get;
    put    "/api/2.0/servers/{id}/"                          server::write::put;
    delete "/api/2.0/servers/{id}/"                          server::remove::one;
    get    "/api/2.0/servers/{id}/runtime/"                  server::runtime;
    post   "/api/2.0/servers/{id}/action/"                   server::action::act;

    get    "/api/2.0/tags/"                                  tag::all;
    post   "/api/2.0/tags/"                                  tag::create;
    get    "/api/2.0/tags/detail/"                           tag::all;
    get    "/api/2.0/tags/schema/"                           schema::tags;
    get    "/api/2.0/tags/{id}/"                             tag::get;
    put    "/api/2.0/tags/{id}/"                             tag::put;
    delete "/api/2.0/tags/{id}/"                             tag::remove;
    get    "/api/2.0/tags/{id}/drives/"                      tag::drives;
    get    "/api/2.0/tags/{id}/drives/detail/"               tag::drives_detail;
    get    "/api/2.0/tags/{id}/servers/"                     tag::servers;
    get    "/api/2.0/tags/{id}/servers/detail/"              tag::servers_detail;

    get    "/api/2.0/profile/"                               profile::get;
    put    "/api/2.0/profile/"                               profile::put;
    get    "/api/2.0/balance/"                               account::balance;
    get    "/api/2.0/pricing/"                               account::pricing;
    get    "/api/2.0/currentusage/"                          capacity::usage;
    get    "/api/2.0/capabilities/"                          capacity::capabilities;
    get    "/api/2.0/subscriptions/"                         capacity::subscriptions;
    post   "/api/2.0/subscriptions/"                         account::refuse;
    get    "/api/2.0/licenses/"                              license::all;
    post   "/api/2.0/accounts/action/"                       account::absent;

    get    "/api/2.0/acls/"                                  account::nothing;
    post   "/api/2.0/acls/"                                  account::refuse;
    get    "/api/2.0/keypairs/"                              account::nothing;
    post   "/api/2.0/keypairs/"                              account::refuse;
    get    "/api/2.0/ips/"                                   account::nothing;
    get    "/api/2.0/ips/detail/"                            account::nothing;
    post   "/api/2.0/ips/"                                   account::refuse;
    get    "/api/2.0/vlans/"                                 account::nothing;
    get    "/api/2.0/vlans/detail/"                          account::nothing;
    post   "/api/2.0/vlans/"                                 account::refuse;
    get    "/api/2.0/fwpolicies/"                            account::nothing;
    get    "/api/2.0/fwpolicies/detail/"                     account::nothing;
    post   "/api/2.0/fwpolicies/"                            account::refuse;
    get    "/api/2.0/logs/"                                  account::nothing;
    post   "/api/2.0/logs/"                                  account::refuse;
    get    "/api/2.0/locations/"                             account::nothing;
    post   "/api/2.0/locations/"                             account::refuse;
    get    "/api/2.0/ledger/"                                account::nothing;
    post   "/api/2.0/ledger/"                                account::refuse;
    get    "/api/2.0/discount/"                              account::nothing;
    post   "/api/2.0/discount/"                              account::refuse;
}

/// A path without its last slash.
fn bare(path: &'static str) -> &'static str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The methods of a path in the table, as the router calls it.
pub fn methods_of(path: &str) -> Vec<String> {
    let is_it = |known: &str| known == path || bare_of(known) == path;
    ROUTES.iter().filter(|(_, known)| is_it(known)).map(|(method, _)| method.to_uppercase()).collect()
}

fn bare_of(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Mounts the table, and this API's own answers for what is not in it.
pub(crate) fn mount(face: Face) -> Router {
    let nobodys = any(error::no_such_path);
    let router = listed(Router::new()).method_not_allowed_fallback(error::method_not_allowed);
    let router = router.route("/api/2.0", nobodys.clone()).route("/api/2.0/", nobodys.clone());
    let router = router.route("/api/2.0/{*rest}", nobodys);
    router.layer(middleware::from_fn_with_state(face.clone(), around)).with_state(face)
}

/// What holds for every call: a name by which it can be spoken of, and that JSON is what the caller takes.
async fn around(State(face): State<Face>, request: Request, next: Next) -> Response {
    let accept = input::header(request.headers(), &ACCEPT);
    let gives_bytes = bare_of(request.uri().path()).ends_with("/download");
    let mut answer = match takes_json(accept) || gives_bytes {
        true => next.run(request).await,
        false => Error::NotAcceptable.into_response(),
    };
    if let Ok(id) = HeaderValue::try_from(face.store.new_id().to_string()) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// Whether `Accept` leaves room for JSON. Direct uploads answer text, and their clients say so.
fn takes_json(accept: &str) -> bool {
    let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let fits = |kind: &str| {
        matches!(kind.to_ascii_lowercase().as_str(), "" | "*/*" | "application/*" | "application/json" | "text/plain")
    };
    kinds.into_iter().any(fits)
}
