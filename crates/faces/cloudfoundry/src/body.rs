//! Bodies in: v2's fields with their types, v3's with its sentences (specification, sections 1.6 and 1.8).

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};

use crate::Face;
use crate::error::Error;

/// The longest body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest text of a field that is kept.
pub const TEXT_MAX: usize = 4096;

/// A body as it came, within its bound.
pub struct Raw(pub Bytes);

impl FromRequest<Face> for Raw {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Face) -> Result<Self, Error> {
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        body.map(|body| Raw(body.to_bytes())).map_err(|_| Error::BadRequest)
    }
}

/// The query: pairs in order.
pub struct Params(pub Vec<(String, String)>);

impl FromRequestParts<Face> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Face) -> Result<Self, Error> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        Ok(Params(pairs.map(|Query(pairs)| pairs).unwrap_or_default()))
    }
}

impl Params {
    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}

/// Where the caller reaches us, without a slash at the end.
pub struct Base(pub String);

impl FromRequestParts<Face> for Base {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        Ok(Base(base(face.settings.public_url.as_deref(), &parts.headers)))
    }
}

/// The address under which the server was called; the one it is known by comes first.
pub fn base(public_url: Option<&str>, headers: &HeaderMap) -> String {
    match public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
            format!("http://{host}")
        }
    }
}

/// What a field of v2 holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Int,
    /// true or false.
    Flag,
    /// A list of texts.
    List,
    /// An object.
    Object,
}

/// A field of v2: name, what it holds, whether it must be there.
pub type Field = (&'static str, Kind, bool);

/// A body of v2: an object, its nulls dropped, its fields of the right types. Fields not named are ignored.
pub fn v2(body: &Bytes, fields: &[Field]) -> Result<Map<String, Value>, Error> {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    let Ok(Value::Object(mut map)) = parsed else {
        return Err(Error::Parse("expected an object".to_owned()));
    };
    map.retain(|_, value| !value.is_null());
    let mut faults = Vec::new();
    for (name, kind, required) in fields {
        match map.get(*name) {
            None if *required => faults.push(format!("Field: {name}, Error: Missing field {name}")),
            None => {}
            Some(value) => faults.extend(mismatch(value, *kind).map(|why| format!("Field: {name}, Error: {why}"))),
        }
    }
    if faults.is_empty() { Ok(map) } else { Err(Error::Parse(faults.join(", "))) }
}

/// The same of a change: nothing must be there.
pub fn v2_change(body: &Bytes, fields: &[Field]) -> Result<Map<String, Value>, Error> {
    let optional: Vec<Field> = fields.iter().map(|(name, kind, _)| (*name, *kind, false)).collect();
    v2(body, &optional)
}

fn mismatch(value: &Value, kind: Kind) -> Option<String> {
    let (fits, wanted) = match kind {
        Kind::Text => (value.is_string(), "String"),
        Kind::Int => (value.is_i64() || value.is_u64(), "Integer"),
        Kind::Flag if !value.is_boolean() => {
            return Some(format!("Expected instance of true or false, given {}", inspect(value)));
        }
        Kind::Flag => (true, ""),
        Kind::List => (value.as_array().is_some_and(|list| list.iter().all(Value::is_string)), "Array"),
        Kind::Object => (value.is_object(), "Hash"),
    };
    if let (Kind::Text, Some(text)) = (kind, value.as_str())
        && text.len() > TEXT_MAX
    {
        return Some(format!("Expected at most {TEXT_MAX} bytes"));
    }
    (!fits).then(|| format!("Expected instance of {wanted}, given an instance of {}", class(value)))
}

/// As Ruby calls it.
fn class(value: &Value) -> &'static str {
    match value {
        Value::Null => "NilClass",
        Value::Bool(true) => "TrueClass",
        Value::Bool(false) => "FalseClass",
        Value::Number(number) if number.is_f64() => "Float",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Hash",
    }
}

fn inspect(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A body of v3: an object. None at all is an object without fields.
pub fn v3(body: &Bytes) -> Result<Map<String, Value>, Error> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Error::Parse("invalid request body".to_owned())),
    }
}

/// The faults of a v3 body, in the order in which they were found.
#[derive(Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// One more.
    pub fn add(&mut self, sentence: impl Into<String>) {
        self.0.push(sentence.into());
    }

    /// One more if some field is not among those that are known.
    pub fn unknown(&mut self, before: &str, map: &Map<String, Value>, known: &[&str]) {
        let unknown: Vec<String> =
            map.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("'{key}'")).collect();
        if !unknown.is_empty() {
            self.add(format!("{before}Unknown field(s): {}", unknown.join(", ")));
        }
    }

    /// A name, which must be there when `required`.
    pub fn name(&mut self, map: &Map<String, Value>, required: bool) -> Option<String> {
        self.name_within(map, required, 250)
    }

    /// The same, of at most so many letters.
    pub fn name_within(&mut self, map: &Map<String, Value>, required: bool, max: usize) -> Option<String> {
        match map.get("name") {
            None if !required => None,
            None | Some(Value::Null) => {
                self.add("Name can't be blank");
                None
            }
            Some(Value::String(name)) if name.is_empty() => {
                self.add("Name is too short (minimum is 1 character)");
                None
            }
            Some(Value::String(name)) if name.chars().count() > max => {
                self.add(format!("Name is too long (maximum is {max} characters)"));
                None
            }
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => {
                self.add("Name must be a string");
                None
            }
        }
    }

    /// A relation to one thing: `{"data": {"guid": …}}`.
    pub fn relation(&mut self, map: &Map<String, Value>, name: &str, required: bool) -> Option<String> {
        match map.get("relationships") {
            None | Some(Value::Null) => {
                if required {
                    self.add("Relationships 'relationships' is not an object");
                }
                return None;
            }
            Some(value) if !value.is_object() => {
                self.add("Relationships 'relationships' is not an object");
                return None;
            }
            Some(_) => {}
        }
        let found = &map["relationships"][name];
        if found.is_null() && !required {
            return None;
        }
        match found["data"]["guid"].as_str() {
            Some(guid) => Some(guid.to_owned()),
            None => {
                let mut title = name.to_owned();
                title[..1].make_ascii_uppercase();
                self.add(format!(
                    "Relationships {title} must be structured like this: \
                     \"{name}: {{\"data\": {{\"guid\": \"valid-guid\"}}}}\""
                ));
                None
            }
        }
    }

    /// A relation to many: a list of guids at `data`.
    pub fn guids(&mut self, data: &Value) -> Vec<String> {
        let Some(list) = data.as_array().filter(|list| !list.is_empty()) else {
            self.add(if data.is_array() || data.is_null() { "Data can't be blank" } else { "Data must be an array" });
            return Vec::new();
        };
        let mut guids = Vec::new();
        for (at, item) in list.iter().enumerate() {
            match item["guid"].as_str() {
                Some(guid) => guids.push(guid.to_owned()),
                None => {
                    self.add(format!("Invalid data type: Data[{at}] guid should be a string."));
                    return Vec::new();
                }
            }
        }
        guids
    }

    /// Nothing was wrong; or all that was.
    pub fn end(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Unprocessable(self.0.join(", "))) }
    }
}
