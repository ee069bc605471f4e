//! The objects of v3, key for key in Cloud Controller's order (specification, section 4).

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::time;
use crate::app::App;
use crate::cap::CAPS;
use crate::org::Org;
use crate::quota::Quota;
use crate::role::Role;
use crate::space::Space;
use crate::task::Task;
use crate::user::Person;

/// `{"href": …}`.
pub fn link(base: &str, path: &str) -> Value {
    json!({ "href": format!("{base}/v3/{path}") })
}

fn to_one(id: Option<Uuid>) -> Value {
    json!({ "data": id.map(|id| json!({ "guid": id })) })
}

/// `{"data": [{"guid": …}]}`.
pub fn to_many(ids: &[Uuid]) -> Value {
    json!({ "data": ids.iter().map(|id| json!({ "guid": id })).collect::<Vec<_>>() })
}

fn metadata(text: &str) -> Value {
    let kept: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let part = |name: &str| kept.get(name).filter(|part| part.is_object()).cloned().unwrap_or_else(|| json!({}));
    json!({ "labels": part("labels"), "annotations": part("annotations") })
}

/// A quota, of either kind; `to` are those it is applied to, as far as the caller sees them.
pub fn quota(base: &str, quota: &Quota, to: &[Uuid]) -> Value {
    let block = |name: &str| -> Map<String, Value> {
        let caps = CAPS.iter().zip(&quota.caps).filter(|(cap, _)| cap.v3.0 == name);
        // v2 takes numbers below -1; here they are what they mean.
        caps.map(|(cap, value)| (cap.v3.1.to_owned(), value.map(|value| value.max(0)).into())).collect()
    };
    let mut services = Map::new();
    services.insert("paid_services_allowed".to_owned(), quota.paid.into());
    services.extend(block("services"));
    let mut object = json!({
        "guid": quota.id,
        "created_at": time(quota.created_at),
        "updated_at": time(quota.updated_at),
        "name": quota.name,
        "apps": block("apps"),
        "services": services,
        "routes": block("routes"),
    });
    match quota.org {
        Some(org) => {
            object["relationships"] = json!({ "organization": to_one(Some(org.0)), "spaces": to_many(to) });
            object["links"] = json!({
                "self": link(base, &format!("space_quotas/{}", quota.id)),
                "organization": link(base, &format!("organizations/{org}")),
            });
        }
        None => {
            object["domains"] = block("domains").into();
            object["relationships"] = json!({ "organizations": to_many(to) });
            object["links"] = json!({ "self": link(base, &format!("organization_quotas/{}", quota.id)) });
        }
    }
    object
}

/// An organization.
pub fn org(base: &str, org: &Org) -> Value {
    let path = format!("organizations/{}", org.id);
    json!({
        "guid": org.id,
        "created_at": time(org.created_at),
        "updated_at": time(org.updated_at),
        "name": org.name,
        "suspended": org.suspended,
        "relationships": { "quota": to_one(Some(org.quota.0)) },
        "metadata": metadata(&org.metadata),
        "links": {
            "self": link(base, &path),
            "domains": link(base, &format!("{path}/domains")),
            "default_domain": link(base, &format!("{path}/domains/default")),
            "quota": link(base, &format!("organization_quotas/{}", org.quota)),
        },
    })
}

/// A space; `suspended` is its organization's.
pub fn space(base: &str, space: &Space) -> Value {
    let path = format!("spaces/{}", space.id);
    let apply = json!({ "href": format!("{base}/v3/{path}/actions/apply_manifest"), "method": "POST" });
    let mut object = json!({
        "guid": space.id,
        "created_at": time(space.created_at),
        "updated_at": time(space.updated_at),
        "name": space.name,
        "suspended": space.suspended,
        "relationships": {
            "organization": to_one(Some(space.org.0)),
            "quota": to_one(space.quota.map(|quota| quota.0)),
        },
        "metadata": metadata(&space.metadata),
        "links": {
            "self": link(base, &path),
            "organization": link(base, &format!("organizations/{}", space.org)),
            "features": link(base, &format!("{path}/features")),
            "apply_manifest": apply,
        },
    });
    if let Some(quota) = space.quota {
        object["links"]["quota"] = link(base, &format!("space_quotas/{quota}"));
    }
    object
}

/// An app.
pub fn app(base: &str, app: &App) -> Value {
    let path = format!("apps/{}", app.id);
    let metadata = app.detail.get("metadata").map(Value::to_string).unwrap_or_default();
    json!({
        "guid": app.id,
        "created_at": time(app.created_at),
        "updated_at": time(app.updated_at),
        "name": app.name,
        "state": if app.started { "STARTED" } else { "STOPPED" },
        "lifecycle": { "type": "buildpack", "data": { "buildpacks": [], "stack": "cflinuxfs4" } },
        "relationships": { "space": to_one(Some(app.space.0)), "current_droplet": to_one(None) },
        "metadata": self::metadata(&metadata),
        "links": {
            "self": link(base, &path),
            "space": link(base, &format!("spaces/{}", app.space)),
            "processes": link(base, &format!("{path}/processes")),
            "tasks": link(base, &format!("{path}/tasks")),
            "start": { "href": format!("{base}/v3/{path}/actions/start"), "method": "POST" },
            "stop": { "href": format!("{base}/v3/{path}/actions/stop"), "method": "POST" },
        },
    })
}

/// The one process of an app.
pub fn process(base: &str, app: &App) -> Value {
    let path = format!("processes/{}", app.id);
    json!({
        "guid": app.id,
        "created_at": time(app.created_at),
        "updated_at": time(app.updated_at),
        "version": app.version_guid(),
        "type": "web",
        "command": app.detail.get("command"),
        "instances": app.instances,
        "memory_in_mb": app.memory_mb,
        "disk_in_mb": app.disk_mb,
        "log_rate_limit_in_bytes_per_second": -1,
        "health_check": { "type": "port", "data": { "timeout": null, "invocation_timeout": null } },
        "relationships": { "app": to_one(Some(app.id.0)), "revision": null },
        "metadata": { "labels": {}, "annotations": {} },
        "links": {
            "self": link(base, &path),
            "scale": { "href": format!("{base}/v3/{path}/actions/scale"), "method": "POST" },
            "app": link(base, &format!("apps/{}", app.id)),
            "space": link(base, &format!("spaces/{}", app.space)),
        },
    })
}

/// A task.
pub fn task(base: &str, task: &Task) -> Value {
    let path = format!("tasks/{}", task.id);
    json!({
        "guid": task.id,
        "created_at": time(task.created_at),
        "updated_at": time(task.updated_at),
        "sequence_id": task.number,
        "name": task.name,
        "command": task.command,
        "state": task.state,
        "memory_in_mb": task.memory_mb,
        "disk_in_mb": task.disk_mb,
        "log_rate_limit_in_bytes_per_second": -1,
        "result": { "failure_reason": (task.state == "FAILED").then_some("task was cancelled") },
        "droplet_guid": null,
        "relationships": { "app": to_one(Some(task.app.0)) },
        "metadata": { "labels": {}, "annotations": {} },
        "links": {
            "self": link(base, &path),
            "app": link(base, &format!("apps/{}", task.app)),
            "cancel": { "href": format!("{base}/v3/{path}/actions/cancel"), "method": "POST" },
        },
    })
}

/// A role.
pub fn role(base: &str, role: &Role) -> Value {
    let space = role.space.map(|space| space.0);
    // A role in a space is told of the space alone.
    let org = Some(role.org.0).filter(|_| space.is_none());
    let mut links = json!({
        "self": link(base, &format!("roles/{}", role.id)),
        "user": link(base, &format!("users/{}", role.user)),
    });
    match space {
        Some(space) => links["space"] = link(base, &format!("spaces/{space}")),
        None => links["organization"] = link(base, &format!("organizations/{}", role.org)),
    }
    json!({
        "guid": role.id,
        "created_at": time(role.created_at),
        "updated_at": time(role.created_at),
        "type": role.kind,
        "relationships": {
            "user": to_one(Some(role.user.0)),
            "organization": to_one(org),
            "space": to_one(space),
        },
        "links": links,
    })
}

/// A person.
pub fn user(base: &str, person: &Person) -> Value {
    json!({
        "guid": person.id,
        "created_at": time(person.created_at),
        "updated_at": time(person.created_at),
        "username": person.email,
        "presentation_name": person.email,
        "origin": "uaa",
        "metadata": { "labels": {}, "annotations": {} },
        "links": { "self": link(base, &format!("users/{}", person.id)) },
    })
}
