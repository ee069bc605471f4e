//! The table of contents: method, path, handler.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, delete, get, patch, post, put};
use http::HeaderValue;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;

use crate::{Face, container, download, error, file, upload};

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
    get    "/core/v2/storage/containers"        container::list;
    post   "/core/v2/storage/containers"        container::create;
    get    "/core/v2/storage/containers/{sid}"  container::get;
    patch  "/core/v2/storage/containers/{sid}"  container::change;
    put    "/core/v2/storage/containers/{sid}"  container::replace;
    delete "/core/v2/storage/containers/{sid}"  container::remove;

    get    "/core/v2/storage/files"             file::list;
    post   "/core/v2/storage/files"             upload::create;
    get    "/core/v2/storage/files/{sid}"       file::get;
    patch  "/core/v2/storage/files/{sid}"       file::change;
    put    "/core/v2/storage/files/{sid}"       file::replace;
    delete "/core/v2/storage/files/{sid}"       file::remove;
    get    "/core/v2/storage/files/{sid}/data"  download::data;

    get    "/f/{sid}"                           download::by_sid;
    get    "/f/{sid}/{*name}"                   download::by_name;
}

/// Mounts the table, this API's own answers for what is not in it, and the header by which pages of others may read them
/// (section 1: CORS is allowed).
pub(crate) fn mount(router: Router<Face>) -> Router<Face> {
    let nobodys = any(error::no_such_path);
    let router = listed(router).method_not_allowed_fallback(error::other_method);
    let router = ["/core/v2", "/core/v2/", "/core/v2/{*rest}", "/f", "/f/"]
        .into_iter()
        .fold(router, |router, path| router.route(path, nobodys.clone()));
    router.layer(middleware::from_fn(open_to_all))
}

async fn open_to_all(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}
