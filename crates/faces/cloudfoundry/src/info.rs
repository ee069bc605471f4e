//! Discovery: what is here, and where to log in. Needs nobody to be logged in (specification, section 1.1).

use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::Face;
use crate::body::Base;
use crate::error::Error;
use crate::reply::Reply;

/// What the server calls itself.
pub const NAME: &str = "plimsoll";
const V2_VERSION: &str = "2.293.0";
const V3_VERSION: &str = "3.228.0";
const BROKER_VERSION: &str = "2.15";

/// The links of `GET /`, for the binary, which adds those of other APIs. `base` has no slash at the end.
pub fn links(base: &str) -> Value {
    let link = |path: &str| json!({ "href": format!("{base}{path}") });
    let versioned =
        |path: &str, version: &str| json!({ "href": format!("{base}{path}"), "meta": { "version": version } });
    json!({
        "self": link(""),
        "cloud_controller_v2": versioned("/v2", V2_VERSION),
        "cloud_controller_v3": versioned("/v3", V3_VERSION),
        "network_policy_v0": link("/networking/v0/external"),
        "network_policy_v1": link("/networking/v1/external"),
        "login": link(""),
        "uaa": link(""),
        "credhub": null,
        "routing": null,
        "logging": null,
        "log_cache": null,
        "log_stream": null,
        "app_ssh": {
            "href": "localhost:2222",
            "meta": { "host_key_fingerprint": "", "oauth_client": "ssh-proxy" },
        },
    })
}

/// `GET /v2/info`: with a token, who that is, too.
pub async fn v2(State(face): State<Face>, Base(base): Base, headers: HeaderMap) -> Result<Reply, Error> {
    let mut info = json!({
        "name": NAME,
        "build": face.settings.version,
        "support": "",
        "version": 0,
        "description": "Plimsoll",
        "authorization_endpoint": base,
        "token_endpoint": base,
        "min_cli_version": null,
        "min_recommended_cli_version": null,
        "app_ssh_endpoint": "localhost:2222",
        "app_ssh_host_key_fingerprint": null,
        "app_ssh_oauth_client": "ssh-proxy",
        "doppler_logging_endpoint": null,
        "api_version": V2_VERSION,
        "osbapi_version": BROKER_VERSION,
    });
    if let Some(token) = identity::bearer_of(&headers)
        && let Ok(caller) = crate::auth::admit(&face, token).await
    {
        info["user"] = caller.who.user.to_string().into();
    }
    Ok(Reply::v2(StatusCode::OK, &info))
}

/// `GET /v3`: what of v3 is served.
pub async fn v3(Base(base): Base) -> Reply {
    let link = |path: &str| json!({ "href": format!("{base}/v3{path}") });
    let links = json!({
        "self": link(""),
        "apps": link("/apps"),
        "info": link("/info"),
        "jobs": link("/jobs"),
        "organization_quotas": link("/organization_quotas"),
        "organizations": link("/organizations"),
        "processes": link("/processes"),
        "roles": link("/roles"),
        "space_quotas": link("/space_quotas"),
        "spaces": link("/spaces"),
        "tasks": link("/tasks"),
        "users": link("/users"),
    });
    Reply::v3(StatusCode::OK, &json!({ "links": links }))
}

/// `GET /v3/info`.
pub async fn v3_info(State(face): State<Face>, Base(base): Base) -> Reply {
    Reply::v3(
        StatusCode::OK,
        &json!({
            "build": face.settings.version,
            "cli_version": { "minimum": "", "recommended": "" },
            "custom": {},
            "description": "Plimsoll",
            "name": NAME,
            "version": 0,
            "osbapi_version": BROKER_VERSION,
            "rate_limits": { "enabled": false, "general_limit": null, "reset_interval_in_minutes": null },
            "links": { "self": { "href": format!("{base}/v3/info") }, "support": { "href": "" } },
        }),
    )
}
