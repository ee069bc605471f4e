//! The API's description, OpenAPI 3.1, made from the table of routes.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use ledger::Catalog;
use serde_json::{Map, Value, json};

use crate::routes::{Route, routes};
use crate::{Api, reply, schemas};

/// What is said of a route beside its method and path.
pub struct About {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Parameters of the query, by their names in [`PARAMS`].
    query: &'static [&'static str],
    /// The schema of the body.
    body: Option<&'static str>,
    status: u16,
    /// The schema of the answer.
    answer: Option<&'static str>,
    /// Problems beside those that every route has.
    problems: &'static [u16],
}

/// `GET`, answered with one or a page of something.
const fn read(
    path: &'static str,
    answer: &'static str,
    query: &'static [&'static str],
    summary: &'static str,
) -> About {
    About { method: "get", path, summary, query, body: None, status: 200, answer: Some(answer), problems: &[404, 422] }
}

/// A call with a body.
const fn write(
    method: &'static str,
    path: &'static str,
    (body, status, answer): (&'static str, u16, &'static str),
    summary: &'static str,
) -> About {
    let problems = &[404, 409, 413, 422, 507];
    About { method, path, summary, query: &[], body: Some(body), status, answer: Some(answer), problems }
}

const fn remove(path: &'static str, summary: &'static str) -> About {
    let problems = &[404, 409];
    About { method: "delete", path, summary, query: &[], body: None, status: 204, answer: None, problems }
}

const ABOUT: &[About] = &[
    read("/whoami", "Whoami", &[], "Who you are"),
    read(
        "/allotments",
        "Allotments",
        &["path", "parent", "kind", "side", "q", "limit", "after"],
        "Allotments that you may see, in the order of their paths",
    ),
    write("post", "/allotments", ("NewAllotment", 201, "Allotment"), "Make an allotment"),
    read("/allotments/{id}", "Allotment", &[], "One allotment"),
    About {
        query: &["dry_run"],
        problems: &[404, 409, 412, 413, 422, 507],
        ..write(
            "patch",
            "/allotments/{id}",
            ("AllotmentPatch", 200, "ChangedAllotment"),
            "Change an allotment (merge patch, inside limits, too); says who is over then",
        )
    },
    About {
        problems: &[404, 409, 412],
        ..remove("/allotments/{id}", "Remove an allotment that has no children and no claims")
    },
    read(
        "/claims",
        "Claims",
        &["allotment", "subject", "state", "limit", "after"],
        "Claims that you may see, in the order they were made",
    ),
    write("post", "/claims", ("NewClaim", 201, "Claim"), "Take an amount from an allotment and all above it"),
    write(
        "post",
        "/claims/batch",
        ("Batch", 200, "Results"),
        "Make up to 1,000 claims: each on its own, or all or none",
    ),
    write(
        "post",
        "/claims/check",
        ("NewClaimOrBatch", 200, "Checked"),
        "Ask whether claims would be admitted; changes nothing",
    ),
    read("/claims/{id}", "Claim", &[], "One claim"),
    write("patch", "/claims/{id}", ("ClaimPatch", 200, "Claim"), "Change what a claim takes, or renew a pending one"),
    remove("/claims/{id}", "Give back what a claim takes; never refused for a limit"),
    write("post", "/claims/{id}/settle", ("Settle", 200, "Claim"), "Make a pending claim held"),
    read(
        "/events",
        "Events",
        &["allotment", "kind", "limit", "after"],
        "The journal, oldest first; as text/event-stream it goes on with what happens",
    ),
    read("/doctor", "Doctor", &[], "Recount everything and compare"),
    read("/jobs/{id}", "Job", &[], "A job; as text/event-stream its progress"),
    read("/tenants", "Tenants", &["limit", "after"], "Tenants that you run, in the order of their names"),
    write("post", "/tenants", ("NewTenant", 201, "Tenant"), "Make a tenant"),
    read("/tenants/{id}", "Tenant", &[], "One tenant, by its id or name"),
    write("patch", "/tenants/{id}", ("TenantPatch", 200, "Tenant"), "Change a tenant's title and limits"),
    remove("/tenants/{id}", "Remove a tenant that has nothing left"),
    read("/users", "Users", &["tenant", "limit", "after"], "People whom you run, and yourself"),
    write("post", "/users", ("NewUser", 201, "User"), "Make a user"),
    read("/users/{id}", "User", &[], "One user"),
    write("patch", "/users/{id}", ("UserPatch", 200, "User"), "Change a user"),
    remove("/users/{id}", "Remove a user who has nothing left"),
    read("/tokens", "Tokens", &["user", "tenant", "limit", "after"], "Tokens of yours and of people whom you run"),
    write("post", "/tokens", ("NewToken", 201, "NewTokenAnswer"), "Make a token; its text is shown this once"),
    read("/tokens/{id}", "Token", &[], "One token, without its text"),
    remove("/tokens/{id}", "End a token, at once"),
];

/// Parameters of queries: name, schema, what for.
const PARAMS: &[(&str, &str, &str)] = &[
    ("path", "string", "This allotment and all below it, by its path; on the demand side unless `side` says otherwise"),
    ("parent", "string", "Direct children of this allotment: its id, `path:…` or `supply:…`"),
    ("kind", "string", "Of this kind; of events, `claim.` is all kinds that begin so"),
    ("side", "string", "`demand` or `supply`"),
    ("q", "string", "With this text in path or title, whatever the case"),
    ("limit", "integer", "How many items a page has: 1 to 1000, 100 by default"),
    ("after", "string", "The `next` of the page before"),
    ("dry_run", "boolean", "Say what would be, and change nothing"),
    ("allotment", "string", "Of this allotment (of events: and all below it): its id, `path:…` or `supply:…`"),
    ("subject", "string", "With this subject"),
    ("state", "string", "`pending` or `held`"),
    ("tenant", "string", "Of this tenant: its id or name"),
    ("user", "string", "Of this user: their id"),
];

/// What each problem is called, and what it means.
const PROBLEMS: &[(u16, &str)] = &[
    (401, "`unauthorized`: no credentials, or they are not valid"),
    (403, "`forbidden`: you may see it, and not do this"),
    (404, "`not-found`: not there, or not yours: the same answer"),
    (
        409,
        "`limit-exceeded`, `managed` or `conflict`: it does not fit, belongs to a face's noun, or cannot be done as things are",
    ),
    (412, "`precondition-failed`: If-Match was stale"),
    (413, "`too-large`: the body"),
    (422, "`invalid`: `errors` says what and where"),
    (503, "`unavailable`: try again after Retry-After seconds"),
    (507, "`insufficient-storage`: the server's disk is full; deletes still work"),
];

/// The document.
pub fn document(version: &str, catalog: &Catalog) -> Value {
    let mut paths = Map::new();
    for route in routes().into_iter().filter(|route| !route.is_open) {
        if let Some(about) = about(&route) {
            paths.entry(route.path).or_insert_with(|| json!({}))[route.method] = operation(about);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Plimsoll", "version": version, "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Who may use how much storage, who does, and not one byte past the line. An allotment is \
                named by its id, by `path:acme/projects/climate` or by `supply:disk`, wherever an id of one stands.",
        },
        "servers": [{ "url": crate::BASE }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas::all(catalog),
            "responses": PROBLEMS.iter().map(|(status, text)| (format!("Problem{status}"), problem(*status, text))).collect::<Map<_, _>>(),
        },
    })
}

/// What is said of a route.
pub fn about(route: &Route) -> Option<&'static About> {
    ABOUT.iter().find(|about| (about.method, about.path) == (route.method, route.path))
}

fn problem(status: u16, text: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    let mut problem = json!({ "description": text, "content": { "application/problem+json": { "schema": schema } } });
    if status == 503 {
        problem["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" } } });
    }
    problem
}

fn operation(about: &About) -> Value {
    let mut operation = json!({
        "summary": about.summary,
        "operationId": operation_id(about),
        "tags": [about.path.split('/').nth(1).unwrap_or_default()],
        "parameters": parameters(about),
        "responses": responses(about),
    });
    if let Some(body) = about.body {
        let is_needed = about.path != "/claims/{id}/settle";
        operation["requestBody"] = json!({ "required": is_needed, "content": json_of(body) });
    }
    operation
}

/// `post /claims/{id}/settle`: `postClaimsIdSettle`.
fn operation_id(about: &About) -> String {
    let words = about.path.split(['/', '{', '}']).filter(|word| !word.is_empty());
    words.fold(about.method.to_owned(), |id, word| {
        let (first, rest) = word.split_at(1);
        id + &first.to_uppercase() + rest
    })
}

fn json_of(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn parameters(about: &About) -> Vec<Value> {
    let mut parameters = Vec::new();
    if about.path.contains("{id}") {
        let schema = json!({ "type": "string" });
        parameters.push(json!({ "name": "id", "in": "path", "required": true, "schema": schema }));
    }
    for (name, kind, text) in PARAMS.iter().filter(|(name, ..)| about.query.contains(name)) {
        let schema = json!({ "type": kind });
        parameters.push(json!({ "name": name, "in": "query", "description": text, "schema": schema }));
    }
    let header = |name: &str, text: &str| {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "header", "description": text, "schema": schema })
    };
    if about.method == "post" {
        let text =
            "The same key with the same body has one effect, and the first success is answered again for 24 hours";
        parameters.push(header("Idempotency-Key", text));
    }
    if about.problems.contains(&412) {
        parameters.push(header("If-Match", "The ETag of the version to change"));
    }
    if about.path == "/events" {
        parameters.push(header("Last-Event-ID", "Where a stream goes on"));
    }
    parameters
}

fn responses(about: &About) -> Map<String, Value> {
    let mut responses = Map::new();
    let mut success = json!({ "description": about.summary });
    if let Some(answer) = about.answer {
        success["content"] = json_of(answer);
    }
    if matches!(about.path, "/events" | "/jobs/{id}") {
        success["content"]["text/event-stream"] = json!({ "schema": { "type": "string" } });
    }
    if about.path.starts_with("/allotments") && about.answer.is_some_and(|answer| answer != "Allotments") {
        success["headers"] = json!({ "ETag": { "schema": { "type": "string" } } });
    }
    responses.insert(about.status.to_string(), success);
    let mut problems: Vec<u16> = [401, 403, 503].into_iter().chain(about.problems.iter().copied()).collect();
    problems.sort_unstable();
    for status in problems {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/Problem{status}") }));
    }
    responses
}

/// `GET /plimsoll/v1/openapi.json`.
pub async fn show(State(api): State<Api>) -> Response {
    reply::bytes(StatusCode::OK, api.openapi.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_description_has_a_route() {
        let known = routes();
        let undescribed: Vec<_> = known.iter().filter(|route| !route.is_open && about(route).is_none()).collect();
        assert!(undescribed.is_empty(), "{undescribed:?}");
        let is_route = |about: &About| known.iter().any(|it| (it.method, it.path) == (about.method, about.path));
        assert!(ABOUT.iter().all(is_route));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document("1", &Catalog::built_in());
        let mut text = document.to_string();
        while let Some(at) = text.find("\"$ref\":\"#") {
            text = text.split_off(at + "\"$ref\":\"#".len());
            let pointer = text.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let named =
            ABOUT.iter().flat_map(|about| about.query).all(|name| PARAMS.iter().any(|(known, ..)| known == name));
        assert!(named);
    }
}
