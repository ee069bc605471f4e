//! `/docs`: the description as a page, whole in itself: no script, and no style but our own.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::Api;

const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /docs`.
pub async fn show(State(api): State<Api>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, api.docs.clone()).into_response()
}

/// `GET /docs/style.css`.
pub async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("max-age=3600")),
    ];
    (headers, include_str!("docs.css")).into_response()
}

/// The page of a description.
pub fn page(description: &Value) -> String {
    let info = &description["info"];
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (text(&info["title"])) " API" }
                link rel="stylesheet" href="/docs/style.css";
            }
            body {
                header {
                    h1 { (text(&info["title"])) " API" small { " " (text(&info["version"])) } }
                    p { (text(&info["description"])) }
                    p {
                        "Everything below lies under " code { (crate::BASE) } ". Send "
                        code { "Authorization: Bearer <token>" } ". Errors are problems (RFC 9457). Lists come in pages: "
                        code { "limit" } " and " code { "after" } ". The same as data: "
                        a href="/plimsoll/v1/openapi.json" { "openapi.json" } "."
                    }
                }
                main {
                    h2 { "Calls" }
                    @for (path, operations) in fields(&description["paths"]) {
                        @for (method, operation) in fields(operations) { (call(method, path, operation)) }
                    }
                    h2 { "Schemas" }
                    @for (name, schema) in fields(&description["components"]["schemas"]) {
                        section id=(format!("schema-{name}")) { h3 { (name) } (shape(schema)) }
                    }
                    h2 { "Problems" }
                    dl {
                        @for (_, problem) in fields(&description["components"]["responses"]) {
                            dd { (text(&problem["description"])) }
                        }
                    }
                }
            }
        }
    };
    markup.into_string()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn call(method: &str, path: &str, operation: &Value) -> Markup {
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    html! {
        section.call id=(text(&operation["operationId"])) {
            h3 { span class=(format!("method {method}")) { (method.to_uppercase()) } " " code { (path) } }
            p { (text(&operation["summary"])) }
            @let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            @if !parameters.is_empty() {
                table {
                    @for parameter in parameters {
                        tr {
                            td { code { (text(&parameter["name"])) } }
                            td { (text(&parameter["in"])) }
                            td { (text(&parameter["description"])) }
                        }
                    }
                }
            }
            @if !body.is_null() { p { "Takes " (named(body)) } }
            p {
                "Answers "
                @for (status, response) in fields(&operation["responses"]) {
                    code { (status) } " "
                    @let schema = &response["content"]["application/json"]["schema"];
                    @if !schema.is_null() { (named(schema)) " " }
                }
            }
        }
    }
}

/// A schema by its name, or by what it is.
fn named(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        return html! { a href=(format!("#schema-{name}")) { (name) } };
    }
    for (word, joint) in [("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[word].as_array() {
            return html! { @for (at, part) in parts.iter().enumerate() { @if at > 0 { (joint) } (named(part)) } };
        }
    }
    if !schema["items"].is_null() {
        return html! { "list of " (named(&schema["items"])) };
    }
    if let Some(words) = schema["enum"].as_array() {
        return html! { @for (at, word) in words.iter().enumerate() { @if at > 0 { " | " } code { (text(word)) } } };
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        kind => text(kind).to_owned(),
    };
    let format = text(&schema["format"]);
    html! { (if kinds.is_empty() { "any" } else { &kinds }) @if !format.is_empty() { " (" (format) ")" } }
}

fn shape(schema: &Value) -> Markup {
    if schema["properties"].is_null() {
        return html! { p { (named(schema)) } };
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    html! {
        table {
            @for (name, field) in fields(&schema["properties"]) {
                tr {
                    td { code { (name) } @if !required.contains(&name.as_str()) { " ?" } }
                    td { (named(field)) }
                    td { (text(&field["description"])) }
                }
            }
        }
    }
}
