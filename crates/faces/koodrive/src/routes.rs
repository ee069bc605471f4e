//! The table of contents: method, path, handler.

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{any, delete, get, post, put};

use crate::{Face, error, kind, session, space, speech};

/// Makes of the lines below the router and the list of them.
macro_rules! table {
    ($($method:ident $path:literal $handler:path;)*) => {
        /// Every route, as method and path: for a test that asks each of them as a stranger.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        fn listed(router: Router<Face>) -> Router<Face> {
            router$(.route($path, $method($handler)))*
        }
    };
}

table! {
    post   "/koodrive/ose/v1/session/login"             session::login;

    get    "/koodrive/ose/v1/space/allocation/get"      kind::status;
    post   "/koodrive/ose/v1/space/allocation/transfer" kind::transfer;
    get    "/koodrive/ose/v1/space/usage/overview"      kind::overview;

    post   "/koodrive/ose/v1/space/{owner}"             space::create;
    get    "/koodrive/ose/v1/space/{owner}"             space::get;
    put    "/koodrive/ose/v1/space/{owner}"             space::change;
    delete "/koodrive/ose/v1/space/{owner}"             space::remove;
    get    "/koodrive/ose/v2/space/{owner}"             space::list;
}

/// Mounts the table, and this API's own answers for what is not in it.
pub(crate) fn mount(router: Router<Face>) -> Router<Face> {
    let nobodys = any(error::no_such_path);
    let router = listed(router).method_not_allowed_fallback(error::method_not_allowed);
    let router = router.route("/koodrive", nobodys.clone()).route("/koodrive/", nobodys.clone());
    router.route("/koodrive/{*rest}", nobodys).layer(from_fn(speech::speak))
}
