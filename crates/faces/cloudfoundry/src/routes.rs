//! The table of contents: method, path, handler.

use axum::Router;
use axum::routing::{any, delete, get, patch, post, put};

use crate::error::Error;
use crate::{
    Face, app_v2, app_v3, domain, info, job, key, org_v2, org_v3, quota_v2, quota_v3, role_v2, role_v3, route, service,
    space_v2, space_v3, task, uaa, usage, user,
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
    // Login
    post   "/oauth/token"                                       uaa::token;
    get    "/oauth/token_key"                                   uaa::token_key;
    get    "/oauth/token_keys"                                  uaa::token_keys;
    get    "/token_key"                                         uaa::token_key;
    get    "/token_keys"                                        uaa::token_keys;
    post   "/check_token"                                       uaa::check_token;
    delete "/oauth/token/revoke/{jti}"                          uaa::revoke;
    get    "/.well-known/openid-configuration"                  uaa::openid;
    get    "/login"                                             uaa::prompts;
    get    "/info"                                              uaa::prompts;
    get    "/userinfo"                                          uaa::userinfo;
    get    "/Users"                                             user::scim_list;
    post   "/Users"                                             user::create;
    get    "/Users/{id}"                                        user::scim_get;
    delete "/Users/{id}"                                        user::scim_remove;
    put    "/Users/{id}/password"                               user::password;

    // v2
    get    "/v2/info"                                           info::v2;
    get    "/v2/space_quota_definitions"                        quota_v2::list_spaces;
    post   "/v2/space_quota_definitions"                        quota_v2::create_space;
    get    "/v2/space_quota_definitions/{guid}"                 quota_v2::get_space;
    put    "/v2/space_quota_definitions/{guid}"                 quota_v2::change_space;
    delete "/v2/space_quota_definitions/{guid}"                 quota_v2::remove_space;
    get    "/v2/space_quota_definitions/{guid}/spaces"          quota_v2::spaces;
    put    "/v2/space_quota_definitions/{guid}/spaces/{space}"  quota_v2::apply;
    delete "/v2/space_quota_definitions/{guid}/spaces/{space}"  quota_v2::withdraw;
    get    "/v2/quota_definitions"                              quota_v2::list_orgs;
    post   "/v2/quota_definitions"                              quota_v2::create_org;
    get    "/v2/quota_definitions/{guid}"                       quota_v2::get_org;
    put    "/v2/quota_definitions/{guid}"                       quota_v2::change_org;
    delete "/v2/quota_definitions/{guid}"                       quota_v2::remove_org;

    get    "/v2/organizations"                                  org_v2::list;
    post   "/v2/organizations"                                  org_v2::create;
    get    "/v2/organizations/{guid}"                           org_v2::get;
    put    "/v2/organizations/{guid}"                           org_v2::change;
    delete "/v2/organizations/{guid}"                           org_v2::remove;
    get    "/v2/organizations/{guid}/summary"                   org_v2::summary;
    get    "/v2/organizations/{guid}/memory_usage"              usage::memory;
    get    "/v2/organizations/{guid}/instance_usage"            usage::instances;
    get    "/v2/organizations/{guid}/spaces"                    space_v2::list_of_org;
    get    "/v2/organizations/{guid}/space_quota_definitions"   quota_v2::list_of_org;
    get    "/v2/organizations/{guid}/private_domains"           domain::list_of_org;
    get    "/v2/organizations/{guid}/{kind}"                    role_v2::list_in_org;
    put    "/v2/organizations/{guid}/{kind}"                    role_v2::put_in_org_by_name;
    put    "/v2/organizations/{guid}/{kind}/{user}"             role_v2::put_in_org;
    delete "/v2/organizations/{guid}/{kind}/{user}"             role_v2::take_in_org;

    get    "/v2/spaces"                                         space_v2::list;
    post   "/v2/spaces"                                         space_v2::create;
    get    "/v2/spaces/{guid}"                                  space_v2::get;
    put    "/v2/spaces/{guid}"                                  space_v2::change;
    delete "/v2/spaces/{guid}"                                  space_v2::remove;
    get    "/v2/spaces/{guid}/summary"                          app_v2::space_summary;
    get    "/v2/spaces/{guid}/apps"                             app_v2::list_in_space;
    get    "/v2/spaces/{guid}/routes"                           route::list_in_space;
    get    "/v2/spaces/{guid}/service_instances"                service::list_in_space;
    get    "/v2/spaces/{guid}/user_roles"                       role_v2::roles_in_space;
    get    "/v2/spaces/{guid}/{kind}"                           role_v2::list_in_space;
    put    "/v2/spaces/{guid}/{kind}"                           role_v2::put_in_space_by_name;
    put    "/v2/spaces/{guid}/{kind}/{user}"                    role_v2::put_in_space;
    delete "/v2/spaces/{guid}/{kind}/{user}"                    role_v2::take_in_space;

    get    "/v2/users"                                          user::list_v2;
    post   "/v2/users"                                          user::tell_v2;
    get    "/v2/users/{guid}"                                   user::get_v2;
    delete "/v2/users/{guid}"                                   user::forget;
    get    "/v2/users/{guid}/organizations"                     role_v2::orgs_of;

    get    "/v2/apps"                                           app_v2::list;
    post   "/v2/apps"                                           app_v2::create;
    get    "/v2/apps/{guid}"                                    app_v2::get;
    put    "/v2/apps/{guid}"                                    app_v2::change;
    delete "/v2/apps/{guid}"                                    app_v2::remove;
    get    "/v2/apps/{guid}/summary"                            app_v2::summary;
    get    "/v2/apps/{guid}/instances"                          app_v2::instances;
    get    "/v2/apps/{guid}/stats"                              app_v2::stats;
    get    "/v2/apps/{guid}/env"                                app_v2::environment;

    get    "/v2/shared_domains"                                 domain::list_shared;
    post   "/v2/shared_domains"                                 domain::create_shared;
    get    "/v2/shared_domains/{guid}"                          domain::get_shared;
    delete "/v2/shared_domains/{guid}"                          domain::remove_shared;
    get    "/v2/private_domains"                                domain::list_private;
    post   "/v2/private_domains"                                domain::create_private;
    get    "/v2/private_domains/{guid}"                         domain::get_private;
    delete "/v2/private_domains/{guid}"                         domain::remove_private;
    get    "/v2/routes"                                         route::list;
    post   "/v2/routes"                                         route::create;
    get    "/v2/routes/{guid}"                                  route::get;
    delete "/v2/routes/{guid}"                                  route::remove;

    get    "/v2/services"                                       service::offerings;
    get    "/v2/services/{guid}"                                service::offering;
    get    "/v2/services/{guid}/service_plans"                  service::plans_of;
    get    "/v2/service_plans"                                  service::plans;
    get    "/v2/service_plans/{guid}"                           service::plan;
    get    "/v2/service_instances"                              service::list;
    post   "/v2/service_instances"                              service::create;
    get    "/v2/service_instances/{guid}"                       service::get;
    put    "/v2/service_instances/{guid}"                       service::change;
    delete "/v2/service_instances/{guid}"                       service::remove;
    get    "/v2/service_instances/{guid}/service_keys"          key::list_of;
    get    "/v2/user_provided_service_instances"                service::list_provided;
    post   "/v2/user_provided_service_instances"                service::create_provided;
    get    "/v2/user_provided_service_instances/{guid}"         service::get;
    put    "/v2/user_provided_service_instances/{guid}"         service::change_provided;
    delete "/v2/user_provided_service_instances/{guid}"         service::remove;
    get    "/v2/service_keys"                                   key::list;
    post   "/v2/service_keys"                                   key::create;
    get    "/v2/service_keys/{guid}"                            key::get;
    get    "/v2/service_keys/{guid}/parameters"                 key::parameters;
    delete "/v2/service_keys/{guid}"                            key::remove;

    // v3
    get    "/v3"                                                info::v3;
    get    "/v3/info"                                           info::v3_info;
    get    "/v3/info/usage_summary"                             usage::site_summary;
    get    "/v3/jobs/{guid}"                                    job::get;
    get    "/v3/space_quotas"                                   quota_v3::list_spaces;
    post   "/v3/space_quotas"                                   quota_v3::create_space;
    get    "/v3/space_quotas/{guid}"                            quota_v3::get_space;
    patch  "/v3/space_quotas/{guid}"                            quota_v3::change_space;
    delete "/v3/space_quotas/{guid}"                            quota_v3::remove_space;
    post   "/v3/space_quotas/{guid}/relationships/spaces"       quota_v3::apply_spaces;
    delete "/v3/space_quotas/{guid}/relationships/spaces/{space}"   quota_v3::withdraw;
    get    "/v3/organization_quotas"                            quota_v3::list_orgs;
    post   "/v3/organization_quotas"                            quota_v3::create_org;
    get    "/v3/organization_quotas/{guid}"                     quota_v3::get_org;
    patch  "/v3/organization_quotas/{guid}"                     quota_v3::change_org;
    delete "/v3/organization_quotas/{guid}"                     quota_v3::remove_org;
    post   "/v3/organization_quotas/{guid}/relationships/organizations"     quota_v3::apply_orgs;

    get    "/v3/organizations"                                  org_v3::list;
    post   "/v3/organizations"                                  org_v3::create;
    get    "/v3/organizations/{guid}"                           org_v3::get;
    patch  "/v3/organizations/{guid}"                           org_v3::change;
    delete "/v3/organizations/{guid}"                           org_v3::remove;
    get    "/v3/organizations/{guid}/usage_summary"             usage::org_summary;
    get    "/v3/spaces"                                         space_v3::list;
    post   "/v3/spaces"                                         space_v3::create;
    get    "/v3/spaces/{guid}"                                  space_v3::get;
    patch  "/v3/spaces/{guid}"                                  space_v3::change;
    delete "/v3/spaces/{guid}"                                  space_v3::remove;
    get    "/v3/spaces/{guid}/usage_summary"                    usage::space_summary;
    get    "/v3/roles"                                          role_v3::list;
    post   "/v3/roles"                                          role_v3::create;
    get    "/v3/roles/{guid}"                                   role_v3::get;
    delete "/v3/roles/{guid}"                                   role_v3::remove;
    get    "/v3/users"                                          user::list_v3;
    post   "/v3/users"                                          user::tell_v3;
    get    "/v3/users/{guid}"                                   user::get_v3;

    get    "/v3/apps"                                           app_v3::list;
    post   "/v3/apps"                                           app_v3::create;
    get    "/v3/apps/{guid}"                                    app_v3::get;
    patch  "/v3/apps/{guid}"                                    app_v3::change;
    delete "/v3/apps/{guid}"                                    app_v3::remove;
    post   "/v3/apps/{guid}/actions/start"                      app_v3::start;
    post   "/v3/apps/{guid}/actions/restart"                    app_v3::start;
    post   "/v3/apps/{guid}/actions/stop"                       app_v3::stop;
    get    "/v3/apps/{guid}/processes"                          app_v3::list_processes_of;
    get    "/v3/apps/{guid}/processes/{kind}"                   app_v3::get_process_of;
    post   "/v3/apps/{guid}/processes/{kind}/actions/scale"     app_v3::scale_of;
    get    "/v3/apps/{guid}/tasks"                              task::list_of;
    post   "/v3/apps/{guid}/tasks"                              task::create;
    get    "/v3/processes"                                      app_v3::list_processes;
    get    "/v3/processes/{guid}"                               app_v3::get_process;
    post   "/v3/processes/{guid}/actions/scale"                 app_v3::scale;
    get    "/v3/tasks"                                          task::list;
    get    "/v3/tasks/{guid}"                                   task::get;
    post   "/v3/tasks/{guid}/actions/cancel"                    task::cancel;
}

/// Mounts the table, and this API's own answers for what is not in it.
pub(crate) fn mount(router: Router<Face>) -> Router<Face> {
    let nobodys = any(async || Error::UnknownRequest);
    let mut router = listed(router);
    for path in ["/v2", "/v2/", "/v2/{*rest}", "/v3/", "/v3/{*rest}", "/oauth/{*rest}"] {
        router = router.route(path, nobodys.clone());
    }
    router
}
