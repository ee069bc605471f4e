//! The table of contents: method, path, handler.

use axum::Router;
use axum::routing::{any, delete, get, patch, post, put};

use crate::{
    Face, allocation, asset, auth, collection, download, error, project, record, repository, transfer, upload, user,
};

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
    post   "/api/auth/login/"                   auth::login;
    post   "/api/auth/logout/"                  auth::logout;
    get    "/api/auth/me/"                      auth::me;

    get    "/api/allocations/"                  allocation::list;
    post   "/api/allocations/"                  allocation::create;
    get    "/api/allocations/{id}/"             allocation::get;
    patch  "/api/allocations/{id}/"             allocation::change;
    delete "/api/allocations/{id}/"             allocation::remove;
    post   "/api/allocations/{id}/default/"     allocation::make_default;

    get    "/api/repositories/"                 repository::list;
    post   "/api/repositories/"                 repository::create;
    get    "/api/repositories/{id}/"            repository::get;
    patch  "/api/repositories/{id}/"            repository::change;
    delete "/api/repositories/{id}/"            repository::remove;

    get    "/api/users/"                        user::list;
    post   "/api/users/"                        user::create;
    get    "/api/projects/"                     project::list;
    post   "/api/projects/"                     project::create;
    get    "/api/projects/{id}/"                project::get;

    get    "/api/collections/"                  collection::list;
    post   "/api/collections/"                  collection::create;
    get    "/api/collections/{id}/"             collection::get;
    patch  "/api/collections/{id}/"             collection::change;
    get    "/api/collections/{id}/assets/"      collection::assets;
    get    "/api/assets/"                       asset::list;
    post   "/api/assets/"                       asset::create;
    get    "/api/assets/{id}/"                  asset::get;
    patch  "/api/assets/{id}/"                  asset::change;
    delete "/api/assets/{id}/"                  asset::remove;

    get    "/api/records/"                      record::list;
    post   "/api/records/"                      upload::create;
    get    "/api/records/{id}/"                 record::get;
    delete "/api/records/{id}/"                 record::remove;
    get    "/api/records/{id}/download/"        download::whole;

    get    "/api/transfers/"                    transfer::list;
    post   "/api/transfers/"                    transfer::create;
    get    "/api/transfers/{id}/"               transfer::get;
    patch  "/api/transfers/{id}/"               transfer::change;
    put    "/api/transfers/{id}/files/{*name}"  upload::file;
    get    "/api/transfers/{id}/files/{*name}"  download::file;
}

/// Mounts the table, and this API's own answers for what is not in it.
pub(crate) fn mount(router: Router<Face>) -> Router<Face> {
    let nobodys = any(error::no_such_path);
    let router = listed(router).method_not_allowed_fallback(error::method_not_allowed);
    router.route("/api", nobodys.clone()).route("/api/", nobodys.clone()).route("/api/{*rest}", nobodys)
}

/// Whether a path is in the table, whatever the method.
pub(crate) fn is_known(path: &str) -> bool {
    let fits = |pattern: &str| {
        let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == found => {}
                (Some(wanted), Some(found)) if wanted.starts_with('{') && !found.is_empty() => {}
                _ => return false,
            }
        }
    };
    ROUTES.iter().any(|(_, pattern)| fits(pattern))
}
