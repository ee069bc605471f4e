//! The entities of v2, key for key in Cloud Controller's order (specification, sections 2 and 3).

use serde_json::{Map, Value, json};
use store::Micros;
use uuid::Uuid;

use super::time;
use crate::app::App;
use crate::cap::{self, CAPS};
use crate::domain::Domain;
use crate::key::Key;
use crate::org::Org;
use crate::quota::Quota;
use crate::route::Route;
use crate::service::{Instance, Plan};
use crate::space::Space;
use crate::user::Person;

/// The stack that every app is said to run on.
pub const STACK: &str = "6e9c2b4c-3f5c-4a6e-9d57-0f5c1d6a3b10";

/// A thing: its metadata and its entity.
pub fn thing(collection: &str, id: Uuid, created_at: Micros, updated_at: Micros, entity: Value) -> Value {
    let url = format!("/v2/{collection}/{id}");
    let times = (time(created_at), time(updated_at));
    json!({
        "metadata": { "guid": id, "url": url, "created_at": times.0, "updated_at": times.1 },
        "entity": entity,
    })
}

/// -1 is unlimited.
fn cap(quota: &Quota, at: usize) -> Value {
    quota.caps[at].unwrap_or(-1).into()
}

fn put_caps(entity: &mut Map<String, Value>, quota: &Quota, order: &[usize]) {
    for at in order {
        entity.insert(CAPS[*at].v2.to_owned(), cap(quota, *at));
    }
}

/// A quota of spaces: the seed's entity.
pub fn space_quota(quota: &Quota) -> Value {
    let org = quota.org.map(|org| org.to_string()).unwrap_or_default();
    let mut entity = Map::new();
    entity.insert("name".to_owned(), quota.name.as_str().into());
    entity.insert("organization_guid".to_owned(), org.as_str().into());
    entity.insert("non_basic_services_allowed".to_owned(), quota.paid.into());
    let order = [
        cap::SERVICES,
        cap::ROUTES,
        cap::MEMORY,
        cap::INSTANCE_MEMORY,
        cap::INSTANCES,
        cap::TASKS,
        cap::KEYS,
        cap::PORTS,
    ];
    put_caps(&mut entity, quota, &order);
    entity.insert("organization_url".to_owned(), format!("/v2/organizations/{org}").into());
    entity.insert("spaces_url".to_owned(), format!("/v2/space_quota_definitions/{}/spaces", quota.id).into());
    thing("space_quota_definitions", quota.id.0, quota.created_at, quota.updated_at, entity.into())
}

/// A quota of organizations.
pub fn org_quota(quota: &Quota) -> Value {
    let mut entity = Map::new();
    entity.insert("name".to_owned(), quota.name.as_str().into());
    entity.insert("non_basic_services_allowed".to_owned(), quota.paid.into());
    put_caps(&mut entity, quota, &[cap::SERVICES, cap::ROUTES, cap::DOMAINS, cap::MEMORY]);
    entity.insert("trial_db_allowed".to_owned(), false.into());
    put_caps(&mut entity, quota, &[cap::INSTANCE_MEMORY, cap::INSTANCES, cap::TASKS, cap::KEYS, cap::PORTS]);
    thing("quota_definitions", quota.id.0, quota.created_at, quota.updated_at, entity.into())
}

/// An organization.
pub fn org(org: &Org) -> Value {
    let url = format!("/v2/organizations/{}", org.id);
    let entity = json!({
        "name": org.name,
        "billing_enabled": org.billing_enabled,
        "quota_definition_guid": org.quota,
        "status": if org.suspended { "suspended" } else { "active" },
        "quota_definition_url": format!("/v2/quota_definitions/{}", org.quota),
        "spaces_url": format!("{url}/spaces"),
        "domains_url": format!("{url}/domains"),
        "private_domains_url": format!("{url}/private_domains"),
        "users_url": format!("{url}/users"),
        "managers_url": format!("{url}/managers"),
        "billing_managers_url": format!("{url}/billing_managers"),
        "auditors_url": format!("{url}/auditors"),
        "app_events_url": format!("{url}/app_events"),
        "space_quota_definitions_url": format!("{url}/space_quota_definitions"),
    });
    thing("organizations", org.id.0, org.created_at, org.updated_at, entity)
}

/// A space. The link to its quota is there only if it has one.
pub fn space(space: &Space) -> Value {
    let url = format!("/v2/spaces/{}", space.id);
    let mut entity = json!({
        "name": space.name,
        "organization_guid": space.org,
        "space_quota_definition_guid": space.quota,
        "allow_ssh": space.allow_ssh,
        "organization_url": format!("/v2/organizations/{}", space.org),
    });
    if let Some(quota) = space.quota {
        entity["space_quota_definition_url"] = format!("/v2/space_quota_definitions/{quota}").into();
    }
    let links = [
        "developers",
        "managers",
        "auditors",
        "apps",
        "routes",
        "domains",
        "service_instances",
        "app_events",
        "events",
        "security_groups",
        "staging_security_groups",
    ];
    for link in links {
        entity[format!("{link}_url")] = format!("{url}/{link}").into();
    }
    thing("spaces", space.id.0, space.created_at, space.updated_at, entity)
}

/// An app.
pub fn app(app: &App) -> Value {
    let url = format!("/v2/apps/{}", app.id);
    let detail = |name: &str| app.detail.get(name).cloned().unwrap_or(Value::Null);
    let entity = json!({
        "name": app.name,
        "production": false,
        "space_guid": app.space,
        "stack_guid": STACK,
        "buildpack": detail("buildpack"),
        "detected_buildpack": null,
        "detected_buildpack_guid": null,
        "environment_json": app.detail.get("environment_json").cloned().unwrap_or_else(|| json!({})),
        "memory": app.memory_mb,
        "instances": app.instances,
        "disk_quota": app.disk_mb,
        "state": if app.started { "STARTED" } else { "STOPPED" },
        "version": app.version_guid(),
        "command": detail("command"),
        "console": false,
        "debug": null,
        "staging_task_id": null,
        "package_state": if app.started { "STAGED" } else { "PENDING" },
        "health_check_http_endpoint": detail("health_check_http_endpoint"),
        "health_check_type": app.detail.get("health_check_type").cloned().unwrap_or_else(|| "port".into()),
        "health_check_timeout": detail("health_check_timeout"),
        "staging_failed_reason": null,
        "staging_failed_description": null,
        "diego": true,
        "docker_image": detail("docker_image"),
        "docker_credentials": { "username": null, "password": null },
        "package_updated_at": time(app.created_at),
        "detected_start_command": "",
        "enable_ssh": app.detail.get("enable_ssh").cloned().unwrap_or(true.into()),
        "ports": detail("ports"),
        "space_url": format!("/v2/spaces/{}", app.space),
        "stack_url": format!("/v2/stacks/{STACK}"),
        "routes_url": format!("{url}/routes"),
        "events_url": format!("{url}/events"),
        "service_bindings_url": format!("{url}/service_bindings"),
        "route_mappings_url": format!("{url}/route_mappings"),
    });
    thing("apps", app.id.0, app.created_at, app.updated_at, entity)
}

/// A domain: shared, or of one organization.
pub fn domain(domain: &Domain) -> Value {
    let (collection, entity) = match domain.org {
        Some(org) => {
            let url = format!("/v2/private_domains/{}", domain.id);
            let entity = json!({
                "name": domain.name,
                "owning_organization_guid": org,
                "owning_organization_url": format!("/v2/organizations/{org}"),
                "shared_organizations_url": format!("{url}/shared_organizations"),
            });
            ("private_domains", entity)
        }
        None => {
            let kind = domain.router_group.as_ref().map(|_| "tcp");
            let entity = json!({
                "name": domain.name,
                "internal": false,
                "router_group_guid": domain.router_group,
                "router_group_type": kind,
            });
            ("shared_domains", entity)
        }
    };
    thing(collection, domain.id, domain.created_at, domain.updated_at, entity)
}

/// A route.
pub fn route(route: &Route) -> Value {
    let url = format!("/v2/routes/{}", route.id);
    let entity = json!({
        "host": route.host,
        "path": route.path,
        "domain_guid": route.domain,
        "space_guid": route.space,
        "service_instance_guid": null,
        "port": (route.port > 0).then_some(route.port),
        "domain_url": format!("/v2/{}/{}", if route.private { "private_domains" } else { "shared_domains" }, route.domain),
        "space_url": format!("/v2/spaces/{}", route.space),
        "apps_url": format!("{url}/apps"),
        "route_mappings_url": format!("{url}/route_mappings"),
    });
    thing("routes", route.id, route.created_at, route.updated_at, entity)
}

/// A service instance, of a plan or of a user.
pub fn instance(instance: &Instance) -> Value {
    let detail = |name: &str, or: Value| instance.detail.get(name).cloned().unwrap_or(or);
    let Some(plan) = instance.plan else {
        let url = format!("/v2/user_provided_service_instances/{}", instance.id);
        let entity = json!({
            "name": instance.name,
            "credentials": detail("credentials", json!({})),
            "space_guid": instance.space,
            "type": "user_provided_service_instance",
            "syslog_drain_url": detail("syslog_drain_url", "".into()),
            "route_service_url": detail("route_service_url", "".into()),
            "tags": detail("tags", json!([])),
            "space_url": format!("/v2/spaces/{}", instance.space),
            "service_bindings_url": format!("{url}/service_bindings"),
            "routes_url": format!("{url}/routes"),
        });
        let (created_at, updated_at) = (instance.created_at, instance.updated_at);
        return thing("user_provided_service_instances", instance.id, created_at, updated_at, entity);
    };
    let url = format!("/v2/service_instances/{}", instance.id);
    let created = time(instance.created_at);
    let kind = if instance.created_at == instance.updated_at { "create" } else { "update" };
    let entity = json!({
        "name": instance.name,
        "credentials": {},
        "service_plan_guid": plan,
        "space_guid": instance.space,
        "gateway_data": null,
        "dashboard_url": null,
        "type": "managed_service_instance",
        "last_operation": {
            "type": kind, "state": "succeeded", "description": "",
            "updated_at": time(instance.updated_at), "created_at": created,
        },
        "tags": detail("tags", json!([])),
        "maintenance_info": {},
        "space_url": format!("/v2/spaces/{}", instance.space),
        "service_plan_url": format!("/v2/service_plans/{plan}"),
        "service_bindings_url": format!("{url}/service_bindings"),
        "service_keys_url": format!("{url}/service_keys"),
        "routes_url": format!("{url}/routes"),
        "shared_from_url": format!("{url}/shared_from"),
        "shared_to_url": format!("{url}/shared_to"),
    });
    thing("service_instances", instance.id, instance.created_at, instance.updated_at, entity)
}

/// A service key.
pub fn key(key: &Key) -> Value {
    let entity = json!({
        "name": key.name,
        "service_instance_guid": key.instance,
        "credentials": {},
        "service_instance_url": format!("/v2/service_instances/{}", key.instance),
        "service_key_parameters_url": format!("/v2/service_keys/{}/parameters", key.id),
    });
    thing("service_keys", key.id, key.created_at, key.updated_at, entity)
}

/// A plan of the built-in service.
pub fn plan(plan: &Plan) -> Value {
    let id = plan.guid;
    let entity = json!({
        "name": plan.name,
        "free": plan.free,
        "description": plan.description,
        "service_guid": crate::service::OFFERING,
        "extra": null,
        "unique_id": plan.guid,
        "public": true,
        "bindable": true,
        "active": true,
        "service_url": format!("/v2/services/{}", crate::service::OFFERING),
        "service_instances_url": format!("/v2/service_plans/{id}/service_instances"),
    });
    thing("service_plans", id, 0, 0, entity)
}

/// The built-in service.
pub fn offering() -> Value {
    let id = crate::service::OFFERING;
    let entity = json!({
        "label": "storage",
        "provider": null,
        "url": null,
        "description": "Plimsoll's own: nothing behind it, and counted as any other",
        "long_description": null,
        "version": null,
        "info_url": null,
        "active": true,
        "bindable": true,
        "unique_id": id,
        "extra": null,
        "tags": [],
        "requires": [],
        "documentation_url": null,
        "service_broker_guid": null,
        "plan_updateable": true,
        "service_plans_url": format!("/v2/services/{id}/service_plans"),
    });
    thing("services", id, 0, 0, entity)
}

/// A person.
pub fn user(person: &Person) -> Value {
    let url = format!("/v2/users/{}", person.id);
    let entity = json!({
        "admin": person.admin,
        "active": true,
        "default_space_guid": null,
        "username": person.email,
        "spaces_url": format!("{url}/spaces"),
        "organizations_url": format!("{url}/organizations"),
        "managed_organizations_url": format!("{url}/managed_organizations"),
        "billing_managed_organizations_url": format!("{url}/billing_managed_organizations"),
        "audited_organizations_url": format!("{url}/audited_organizations"),
        "managed_spaces_url": format!("{url}/managed_spaces"),
        "audited_spaces_url": format!("{url}/audited_spaces"),
    });
    thing("users", person.id.0, person.created_at, person.created_at, entity)
}
