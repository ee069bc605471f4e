//! The schemas of the API's description.

use ledger::{AMOUNT_MAX, Catalog};
use serde_json::{Map, Value, json};

/// All schemas, by name.
pub fn all(catalog: &Catalog) -> Map<String, Value> {
    let mut all = Map::new();
    for part in [basics(catalog), allotments(), claims(), people(), rest()] {
        for (name, schema) in part {
            all.insert(name.to_owned(), schema);
        }
    }
    for (list, item) in [
        ("Allotments", "Allotment"),
        ("Claims", "Claim"),
        ("Events", "Event"),
        ("Tenants", "Tenant"),
        ("Users", "User"),
        ("Tokens", "Token"),
    ] {
        all.insert(list.to_owned(), page(item));
    }
    all
}

type Named = Vec<(&'static str, Value)>;

fn to(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn list_of(schema: &str) -> Value {
    json!({ "type": "array", "items": to(schema) })
}

fn or_null(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn page(item: &str) -> Value {
    let next = json!({ "type": ["string", "null"], "description": "The `after` of the next page; null on the last" });
    answer(json!({ "items": list_of(item), "next": next }))
}

/// An object as it is answered: every field is there.
fn answer(fields: Value) -> Value {
    let required: Vec<&String> = fields.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": fields })
}

/// An object as it is asked: nothing else may be in it.
fn asked(required: &[&str], fields: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": fields, "additionalProperties": false })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn reference() -> Value {
    json!({ "type": "string", "description": "An id, `path:acme/projects/climate` or `supply:disk`" })
}

fn basics(catalog: &Catalog) -> Named {
    let units = json!({ "type": "integer", "minimum": 0, "maximum": AMOUNT_MAX });
    let of = |value: Value| -> Value {
        let fields: Map<String, Value> = catalog.iter().map(|it| (it.name().to_owned(), value.clone())).collect();
        json!({ "type": "object", "properties": fields, "additionalProperties": false })
    };
    let fault = answer(json!({ "pointer": text(), "detail": text() }));
    let noun = answer(json!({ "face": text(), "noun": text(), "id": text() }));
    vec![
        ("Amounts", of(units.clone())),
        ("Limits", of(json!({ "type": ["integer", "null"], "minimum": 0, "maximum": AMOUNT_MAX }))),
        ("Managed", noun),
        ("Fault", fault),
        (
            "Problem",
            json!({ "type": "object", "required": ["type", "title", "status", "detail"], "properties": {
                "type": text(), "title": text(), "status": count(), "detail": text(),
                "errors": list_of("Fault"), "noun": to("Managed"),
                "allotment_id": id(), "path": text(), "resource": text(), "limit": units, "used": units,
                "pending": units, "requested": units, "headroom": units, "refusals": list_of("Refusal"),
            } }),
        ),
        (
            "Refusal",
            answer(json!({ "allotment_id": id(), "path": text(), "side": to("Side"), "resource": text(),
                "limit": units, "used": units, "pending": units, "requested": units, "headroom": units })),
        ),
        ("Side", json!({ "type": "string", "enum": ["demand", "supply"] })),
    ]
}

fn allotments() -> Named {
    let ratio = json!({ "type": ["number", "null"], "minimum": 0,
        "description": "How much of its limits it may promise to its children; null: not checked" });
    let line = json!({ "type": "object", "required": ["resource"], "additionalProperties": false,
        "properties": { "resource": text(), "percent": count(), "amount": count() } });
    let new = json!({ "parent_id": or_null(reference()), "name": text(), "title": text(), "kind": text(),
        "side": to("Side"), "limits": to("Limits"), "overcommit": ratio, "load_lines": list_of("LoadLine"),
        "expires_at": or_null(time()) });
    let patch = json!({ "name": text(), "title": or_null(text()), "kind": text(), "limits": to("Limits"),
        "overcommit": ratio, "load_lines": or_null(list_of("LoadLine")), "expires_at": or_null(time()) });
    let whole = json!({ "id": id(), "path": text(), "name": text(), "title": text(), "kind": text(),
        "side": to("Side"), "parent_id": or_null(id()), "tenant_id": or_null(id()),
        "managed_by": or_null(to("Managed")), "limits": to("Amounts"), "used": to("Amounts"),
        "pending": to("Amounts"), "promised": to("Amounts"), "headroom": to("Amounts"), "overcommit": ratio,
        "load_lines": list_of("LoadLine"), "expires_at": or_null(time()), "children_count": count(),
        "created_at": time(), "updated_at": time() });
    let over = answer(json!({ "id": id(), "path": text(), "resource": text(), "limit": count(), "used": count(),
        "pending": count() }));
    vec![
        ("LoadLine", line),
        ("NewAllotment", asked(&["parent_id", "name"], new)),
        ("AllotmentPatch", asked(&[], patch)),
        ("Allotment", answer(whole)),
        ("Over", over),
        ("ChangedAllotment", json!({ "allOf": [to("Allotment"), answer(json!({ "over": list_of("Over") }))] })),
    ]
}

fn claims() -> Named {
    let state = json!({ "type": "string", "enum": ["pending", "held"] });
    let seconds = json!({ "type": "integer", "minimum": 1, "maximum": 31_536_000 });
    let new = json!({ "allotment_id": reference(), "supply_id": or_null(reference()), "amounts": to("Amounts"),
        "subject": or_null(text()), "state": or_null(state.clone()), "expires_in": or_null(seconds.clone()) });
    let whole = json!({ "id": id(), "allotment_id": or_null(id()), "supply_id": or_null(id()),
        "amounts": to("Amounts"), "state": state, "subject": or_null(text()), "managed_by": or_null(to("Managed")),
        "expires_at": or_null(time()), "created_by": text(), "created_at": time() });
    let results = json!({ "type": "array", "items": { "anyOf": [to("Claim"), to("Problem")] } });
    let batch = json!({ "claims": { "type": "array", "maxItems": 1000, "items": to("NewClaim") }, "atomic": flag() });
    vec![
        ("NewClaim", asked(&["allotment_id", "amounts"], new)),
        ("Claim", answer(whole)),
        ("ClaimPatch", asked(&[], json!({ "amounts": or_null(to("Amounts")), "expires_in": or_null(seconds) }))),
        ("Settle", asked(&[], json!({ "amounts": or_null(to("Amounts")) }))),
        ("Batch", asked(&["claims"], batch)),
        ("NewClaimOrBatch", json!({ "anyOf": [to("NewClaim"), to("Batch")] })),
        ("Results", answer(json!({ "results": results }))),
        ("Checked", answer(json!({ "admitted": flag(), "refusals": list_of("Refusal") }))),
    ]
}

fn people() -> Named {
    let tenant = json!({ "id": id(), "name": text(), "title": text(), "limits": to("Amounts"), "used": to("Amounts"),
        "pending": to("Amounts"), "promised": to("Amounts"), "created_at": time() });
    let new_user = json!({ "tenant_id": or_null(text()), "email": text(), "name": or_null(text()),
        "password": or_null(text()), "admin": flag(), "repository_admin": flag(), "limits": to("Limits") });
    let user_patch = json!({ "name": text(), "password": or_null(text()), "admin": flag(), "repository_admin": flag(),
        "disabled": flag() });
    let user = json!({ "id": id(), "tenant_id": or_null(id()), "email": text(), "name": text(), "operator": flag(),
        "admin": flag(), "repository_admin": flag(), "disabled": flag(), "allotment_id": or_null(id()),
        "created_at": time() });
    let new_token = json!({ "user_id": or_null(id()), "name": or_null(text()),
        "expires_in": or_null(count()), "expires_at": or_null(time()) });
    let token = json!({ "id": id(), "user_id": id(), "tenant_id": or_null(id()), "name": text(),
        "created_at": time(), "expires_at": or_null(time()) });
    let whoami = json!({ "user_id": or_null(id()), "tenant_id": or_null(id()), "email": or_null(text()),
        "name": text(), "role": { "type": "string", "enum": ["operator", "admin", "member"] },
        "repository_admin": flag(), "allotment_id": or_null(id()), "token_id": or_null(id()) });
    vec![
        ("NewTenant", asked(&["name"], json!({ "name": text(), "title": or_null(text()), "limits": to("Limits") }))),
        ("TenantPatch", asked(&[], json!({ "title": or_null(text()), "limits": to("Limits") }))),
        ("Tenant", answer(tenant)),
        ("NewUser", asked(&["email"], new_user)),
        ("UserPatch", asked(&[], user_patch)),
        ("User", answer(user)),
        ("NewToken", asked(&[], new_token)),
        ("Token", answer(token)),
        ("NewTokenAnswer", json!({ "allOf": [to("Token"), answer(json!({ "token": text() }))] })),
        ("Whoami", answer(whoami)),
    ]
}

fn rest() -> Named {
    let event = json!({ "seq": count(), "at": time(), "actor": text(), "kind": text(), "allotment_id": or_null(id()),
        "path": or_null(text()), "subject": or_null(text()), "detail": {} });
    let checked = answer(json!({ "allotments": count(), "claims": count(), "blobs": count(), "volumes": count() }));
    let state = json!({ "type": "string", "enum": ["waiting", "running", "done", "failed"] });
    let job = json!({ "id": id(), "kind": text(), "state": state, "progress": count(), "tenant_id": or_null(id()),
        "attempts": count(), "error": or_null(text()), "created_by": text(), "created_at": time(),
        "updated_at": time() });
    let drift = json!({ "type": "array", "items": text() });
    vec![
        ("Event", answer(event)),
        ("Doctor", answer(json!({ "ok": flag(), "checked": checked, "drift": drift }))),
        ("Job", answer(job)),
    ]
}
