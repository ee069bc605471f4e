//! What comes in: bodies and queries, read field by field onto what is there already, with every fault told at once.
//!
//! **Always.** A field that is not given leaves what it would change as it is, so that one reading serves a create (on the
//! defaults), a PATCH (on what is there) and a PUT. Fields that nobody reads are ignored (section 2).

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Face;
use crate::error::{Error, Fault};

/// The longest JSON body.
pub const JSON_BYTES_MAX: usize = 256 * 1024;
/// The longest text of a field.
pub const TEXT_MAX: usize = 255;

/// A JSON object.
pub struct Input(pub Map<String, Value>);

impl FromRequest<Face> for Input {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Face) -> Result<Self, Error> {
        if !essence(header(request.headers(), &CONTENT_TYPE)).eq_ignore_ascii_case("application/json") {
            return Err(Error::MediaType);
        }
        if declared_len(request.headers()).is_some_and(|length| length > JSON_BYTES_MAX as u64) {
            return Err(Error::TooLarge);
        }
        let body = Limited::new(request.into_body(), JSON_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => Error::TooLarge,
            None => Error::Body("the body broke off".to_owned()),
        })?;
        object(&body.to_bytes()).map(Input)
    }
}

/// The object that a text is.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Error::NotJson),
    }
}

/// A header as text; nothing when it is not there or no text.
pub fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A media type without its parameters.
pub fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// `Content-Length`.
pub fn declared_len(headers: &HeaderMap) -> Option<u64> {
    header(headers, &CONTENT_LENGTH).parse().ok()
}

/// Where the caller reaches us, and what was asked: for links.
pub struct Here {
    /// `https://host`, without a slash at the end; nothing when the request does not say.
    pub origin: String,
    /// What was asked.
    pub uri: Uri,
}

impl FromRequestParts<Face> for Here {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let origin = match (&face.settings.public_url, header(&parts.headers, &HOST)) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, "") => String::new(),
            (None, host) => format!("http://{host}"),
        };
        Ok(Here { origin, uri: parts.uri.clone() })
    }
}

/// The query: what is blank is not given.
pub struct Params(Vec<(String, String)>);

impl FromRequestParts<Face> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Face) -> Result<Self, Error> {
        // A query that is no list of pairs says nothing.
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        Ok(Params(pairs.map(|Query(pairs)| pairs).unwrap_or_default()))
    }
}

impl Params {
    /// The last value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// As an object of texts.
    pub fn object(&self) -> Map<String, Value> {
        let given = self.0.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
    }
}

/// The id in a path. What is no id names nothing.
pub struct At<T>(pub T);

impl<T: std::str::FromStr> FromRequestParts<Face> for At<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let id = param(parts, face, "sid").await.and_then(|id| id.parse().ok());
        id.map(At).ok_or(Error::NotFound)
    }
}

/// The rest of a path, after an id: a file's name.
pub struct Named(pub String);

impl FromRequestParts<Face> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        param(parts, face, "name").await.map(Named).ok_or(Error::NotFound)
    }
}

async fn param(parts: &mut Parts, face: &Face, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, face).await.ok()?;
    params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Fields on their way from JSON to values, and what is wrong with them.
pub struct Fields {
    given: Map<String, Value>,
    /// Whether they come from a query, where everything is text.
    is_text: bool,
    faults: Vec<Fault>,
}

/// Reads one value, or says why it is none.
pub trait Kind<T>: Fn(&Value) -> Result<T, String> {}
impl<T, F: Fn(&Value) -> Result<T, String>> Kind<T> for F {}

impl Fields {
    /// Of a JSON object.
    pub fn of(given: Map<String, Value>) -> Fields {
        Fields { given, is_text: false, faults: Vec::new() }
    }

    /// Of a query.
    pub fn of_text(given: Map<String, Value>) -> Fields {
        Fields { is_text: true, ..Fields::of(given) }
    }

    /// Whether a field is there, whatever it is.
    pub fn says(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Reads a field, if it is there, into `slot`.
    pub fn set<T>(&mut self, name: &str, slot: &mut T, kind: impl Kind<T>) {
        let Some(value) = self.given.get(name) else { return };
        let read = match value {
            Value::String(text) if self.is_text => kind(&parsed(text, value)).or_else(|_| kind(value)),
            value => kind(value),
        };
        match read {
            Ok(read) => *slot = read,
            Err(why) => self.fault(name, why),
        }
    }

    /// The same for one that may be null.
    pub fn set_or_null<T>(&mut self, name: &str, slot: &mut Option<T>, kind: impl Kind<T>) {
        self.set(name, slot, move |value| match value {
            Value::Null => Ok(None),
            value => kind(value).map(Some),
        });
    }

    /// Notes a fault.
    pub fn fault(&mut self, name: &str, why: impl Into<String>) {
        self.faults.push(Fault::new(name, why));
    }

    /// The faults, as an error if there are any.
    pub fn end(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Fields(self.faults)) }
    }
}

/// What a text of a query may stand for beside itself: a number, a flag, null, an object, a list.
fn parsed(text: &str, value: &Value) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| value.clone())
}

/// Text of at most `max` characters.
pub fn text(max: usize) -> impl Kind<String> {
    move |value| match value {
        Value::String(text) if text.contains('\0') => Err("must not hold a null character".to_owned()),
        Value::String(text) if text.chars().count() > max => Err(format!("must have at most {max} characters")),
        Value::String(text) => Ok(text.clone()),
        _ => Err("must be a string".to_owned()),
    }
}

/// A whole number from `min` to `max`.
pub fn integer(min: i64, max: i64) -> impl Kind<i64> {
    move |value| match value.as_i64() {
        Some(number) if number < min => Err(format!("must be at least {min}")),
        Some(number) if number > max => Err(format!("must be at most {max}")),
        Some(number) => Ok(number),
        None if value.is_u64() => Err(format!("must be at most {max}")),
        None => Err("must be an integer".to_owned()),
    }
}

/// An amount from `min` on.
pub fn amount(min: u64) -> impl Kind<u64> {
    move |value| {
        integer(0, i64::MAX)(value).map(i64::unsigned_abs).and_then(|units| match units < min {
            true => Err(format!("must be at least {min}")),
            false => Ok(units),
        })
    }
}

/// Yes or no.
pub fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be a boolean".to_owned())
}

/// One of some words.
pub fn choice(words: &'static [&'static str]) -> impl Kind<&'static str> {
    move |value| {
        let text = value.as_str().ok_or("must be a string")?;
        let found = words.iter().find(|word| **word == text);
        found.copied().ok_or_else(|| format!("must be one of {}", words.join(", ")))
    }
}

/// A list of some words, each once.
pub fn choices(words: &'static [&'static str]) -> impl Kind<Vec<&'static str>> {
    move |value| {
        let items = value.as_array().ok_or("must be an array")?;
        let mut found = Vec::new();
        for item in items {
            let word = choice(words)(item)?;
            if !found.contains(&word) {
                found.push(word);
            }
        }
        Ok(found)
    }
}

/// An id.
pub fn uuid(value: &Value) -> Result<Uuid, String> {
    let id = value.as_str().and_then(|text| Uuid::try_parse(text).ok());
    id.ok_or_else(|| "must be a SID".to_owned())
}

/// Text in a URL: all but what never needs it is escaped.
pub fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(given: Value, is_text: bool) -> Fields {
        let Value::Object(given) = given else { panic!("an object") };
        Fields { given, is_text, faults: Vec::new() }
    }

    #[test]
    fn what_is_not_given_stays_and_what_is_given_must_be_of_its_type() {
        let mut read = fields(json!({ "a": 5, "b": "5", "c": null }), false);
        let (mut a, mut b, mut c, mut d) = (0, 7, Some(1), 9);
        read.set("a", &mut a, integer(0, 10));
        read.set("b", &mut b, integer(0, 10));
        read.set_or_null("c", &mut c, integer(0, 10));
        read.set("d", &mut d, integer(0, 10));
        assert_eq!((a, b, c, d), (5, 7, None, 9));
        assert!(matches!(read.end(), Err(Error::Fields(faults)) if faults[0].field == "b" && faults.len() == 1));
    }

    #[test]
    fn in_a_query_numbers_and_flags_are_text() {
        let mut read = fields(json!({ "a": "5", "b": "false", "c": "null", "d": "39" }), true);
        let (mut a, mut b, mut c, mut d) = (0, true, Some(1), String::new());
        read.set("a", &mut a, integer(0, 10));
        read.set("b", &mut b, boolean);
        read.set_or_null("c", &mut c, integer(0, 10));
        read.set("d", &mut d, text(10));
        assert_eq!((a, b, c, d.as_str()), (5, false, None, "39"));
        assert!(read.end().is_ok());
    }

    #[test]
    fn a_number_says_where_it_must_lie() {
        assert_eq!(amount(0)(&json!(-1)), Err("must be at least 0".to_owned()));
        assert_eq!(amount(1)(&json!(0)), Err("must be at least 1".to_owned()));
        assert_eq!(amount(0)(&json!(u64::MAX)), Err(format!("must be at most {}", i64::MAX)));
        assert_eq!(amount(0)(&json!(1.5)), Err("must be an integer".to_owned()));
    }
}
