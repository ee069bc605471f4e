//! What comes in: paths, queries and bodies, read field by field, with every fault told at once.

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::{Error, Fault};
use crate::{Face, lenient};

/// The longest JSON body (spec, section 1.1).
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most objects of one call (spec, section 1.1).
pub const OBJECTS_MAX: usize = 1000;
/// The longest name, in characters.
pub const NAME_MAX: usize = 255;
/// The longest key of meta, in characters (spec, section 1.5).
const META_KEY_MAX: usize = 32;

/// A JSON body; nothing is null. What it calls itself does not matter: clients forget to say it.
pub struct Body(pub Value);

impl FromRequest<Face> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Face) -> Result<Self, Error> {
        if declared_len(request.headers()).is_some_and(|length| length > BODY_BYTES_MAX as u64) {
            return Err(Error::TooLarge);
        }
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => Error::TooLarge,
            None => Error::whole("The body broke off"),
        })?;
        let body = body.to_bytes();
        if body.trim_ascii().is_empty() {
            return Ok(Body(Value::Null));
        }
        lenient::read(&body).map(Body).ok_or_else(|| Error::whole("Invalid JSON"))
    }
}

impl Body {
    /// The objects of a create or a bulk delete: one bare, wrapped, or a bare list (spec, section 1.5).
    pub fn objects(self) -> Result<Vec<Map<String, Value>>, Error> {
        let list = match self.0 {
            Value::Null => return Ok(Vec::new()),
            Value::Array(list) => list,
            Value::Object(mut map) => match map.remove("objects") {
                Some(Value::Array(list)) => list,
                Some(Value::Object(one)) => vec![Value::Object(one)],
                Some(_) => return Err(Error::field("objects", "This field should be a list of objects")),
                None => vec![Value::Object(map)],
            },
            _ => return Err(Error::whole("An object or a list of objects is expected")),
        };
        if list.len() > OBJECTS_MAX {
            return Err(Error::whole(format!("More than {OBJECTS_MAX} objects in one call")));
        }
        let object = |value| match value {
            Value::Object(map) => Ok(map),
            _ => Err(Error::whole("An object or a list of objects is expected")),
        };
        list.into_iter().map(object).collect()
    }

    /// The one object of an update or an action; none is one without fields. A wrapper around one is taken off.
    pub fn object(self) -> Result<Fields, Error> {
        let mut objects = self.objects()?;
        if objects.len() > 1 {
            return Err(Error::whole("One object is expected"));
        }
        Ok(Fields::new(objects.pop().unwrap_or_default()))
    }
}

/// A header as text; nothing when it is not there or no text.
pub fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `Content-Length`.
pub fn declared_len(headers: &HeaderMap) -> Option<u64> {
    header(headers, &CONTENT_LENGTH).parse().ok()
}

/// The query.
#[derive(Clone, Default)]
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
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a name.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What an action is to do. Another word is no action (spec, section 3).
    pub fn action(&self) -> &str {
        self.get("do").unwrap_or_default()
    }
}

/// An action that there is none of.
pub fn no_such_action(action: &str) -> Error {
    Error::field("do", format!("\"{action}\" is no action here"))
}

/// The id in a path. What is no id names nothing.
pub struct At<T>(pub T);

impl<T: From<Uuid>> FromRequestParts<Face> for At<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let text = path_param(parts, face, "id").await.unwrap_or_default();
        id(&text).map(|id| At(T::from(id))).ok_or(Error::NotThere(text))
    }
}

/// A parameter of the path.
pub async fn path_param(parts: &mut Parts, face: &Face, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, face).await.ok()?;
    params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// An id as text: 8-4-4-4-12, in any case, of whatever version (spec, section 1.5).
pub fn id(text: &str) -> Option<Uuid> {
    let has_form = text.len() == 36 && text.as_bytes()[8] == b'-';
    Uuid::try_parse(text).ok().filter(|_| has_form)
}

/// Fields on their way from JSON to values, and what is wrong with them.
pub struct Fields {
    given: Map<String, Value>,
    faults: Vec<Fault>,
}

/// Reads one value, or says why it is none.
pub trait Kind<T>: Fn(&Value) -> Result<T, String> {}
impl<T, F: Fn(&Value) -> Result<T, String>> Kind<T> for F {}

impl Fields {
    /// Of an object. Fields that nobody reads are ignored.
    pub fn new(given: Map<String, Value>) -> Fields {
        Fields { given, faults: Vec::new() }
    }

    /// A field that must be there.
    pub fn need<T>(&mut self, name: &str, kind: impl Kind<T>) -> Option<T> {
        if !self.says(name) {
            self.fault(name, "This field is required");
        }
        self.may(name, kind)
    }

    /// A field that may be left out; null is left out (spec, section 1.5).
    pub fn may<T>(&mut self, name: &str, kind: impl Kind<T>) -> Option<T> {
        match self.given.get(name)? {
            Value::Null => None,
            value => match kind(value) {
                Ok(read) => Some(read),
                Err(why) => {
                    self.fault(name, why);
                    None
                }
            },
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, name: &str, why: impl Into<String>) {
        self.faults.push(Fault::at(name, why));
    }

    /// Whether a field is there and not null, whatever it is.
    pub fn says(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|value| !value.is_null())
    }

    /// The faults found so far.
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The faults, as an error if there are any.
    pub fn end(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Faults(self.faults)) }
    }
}

/// A name: 1 to 255 characters, up to the first NUL.
pub fn name(value: &Value) -> Result<String, String> {
    match text(value)? {
        name if name.is_empty() => Err("This field may not be empty".to_owned()),
        name => Ok(name),
    }
}

/// Text of at most 255 characters, up to the first NUL.
pub fn text(value: &Value) -> Result<String, String> {
    let Value::String(text) = value else { return Err("This field should be a string".to_owned()) };
    let text = text.split('\0').next().unwrap_or_default();
    match text.chars().count() > NAME_MAX {
        true => Err(format!("This field may have at most {NAME_MAX} characters")),
        false => Ok(text.to_owned()),
    }
}

/// A whole number from 0 on; digits in a string and a fraction of zero are taken, too (spec, section 1.5).
pub fn integer(value: &Value) -> Result<u64, String> {
    let wrong = || "This field should be a whole number from 0 on".to_owned();
    let number = match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            // Beyond 2^53 a float is no exact number any more, and no drive is so large.
            Some(float) if float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float) => float as u64,
            Some(_) => return Err(wrong()),
            None => number.as_u64().ok_or_else(wrong)?,
        },
        Value::String(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().map_err(|_| wrong())?
        }
        _ => return Err(wrong()),
    };
    if number > ledger::AMOUNT_MAX { Err(wrong()) } else { Ok(number) }
}

/// Yes or no.
pub fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "This field should be true or false".to_owned())
}

/// One of some words.
pub fn choice(words: &'static [&'static str]) -> impl Kind<&'static str> {
    move |value| {
        let found = value.as_str().and_then(|text| words.iter().find(|word| **word == text));
        found.copied().ok_or_else(|| format!("This field should be one of {}", words.join(", ")))
    }
}

/// A list of at most `max` things of one kind.
pub fn list<T>(max: usize, kind: impl Kind<T>) -> impl Kind<Vec<T>> {
    move |value| {
        let Value::Array(items) = value else { return Err("This field should be a list".to_owned()) };
        if items.len() > max {
            return Err(format!("This field may have at most {max} elements"));
        }
        items.iter().map(&kind).collect()
    }
}

/// What is named by its uuid, by an object with its uuid, or by its URI (spec, section 1.5).
pub fn reference(value: &Value) -> Result<Uuid, String> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Object(map) => {
            let text = map.get("uuid").or_else(|| map.get("resource_uri")).and_then(Value::as_str);
            text.unwrap_or_default()
        }
        _ => "",
    };
    let last = text.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    id(last).ok_or_else(|| format!("{value} names nothing"))
}

/// A user's own words: an object of texts, numbers and truths, kept as given (spec, section 1.5).
pub fn meta(value: &Value) -> Result<Value, String> {
    let Value::Object(map) = value else { return Err("This field should be an object".to_owned()) };
    for (key, value) in map {
        if key.chars().count() > META_KEY_MAX {
            return Err(format!("A key may have at most {META_KEY_MAX} characters"));
        }
        if matches!(value, Value::Array(_) | Value::Object(_) | Value::Null) {
            return Err(format!("The value of {key} should be a string"));
        }
    }
    // PostgreSQL keeps no NUL in a text.
    if value.to_string().contains("\\u0000") {
        return Err("Null characters are not allowed".to_owned());
    }
    Ok(value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_come_as_numbers_digits_and_fractions_of_zero() {
        for one in [json!(1024000000), json!("1024000000"), json!(1024000000.0)] {
            assert_eq!(integer(&one), Ok(1_024_000_000), "{one}");
        }
        for none in [json!(-1), json!("-1"), json!(1.5), json!("x"), json!(""), json!(true), json!([1]), json!(1e30)] {
            assert!(integer(&none).is_err(), "{none}");
        }
        assert!(integer(&json!(9_223_372_036_854_775_808_u64)).is_err());
    }

    #[test]
    fn a_reference_is_an_id_an_object_or_a_uri() {
        let id = "0840ecd2-46b3-40c7-249d-02a4024a350e";
        let uri = format!("/api/2.0/drives/{id}/");
        let forms =
            [json!(id), json!(id.to_uppercase()), json!(uri), json!({ "uuid": id }), json!({ "resource_uri": uri })];
        for form in forms {
            assert_eq!(reference(&form).map(|id| id.to_string()), Ok(id.to_owned()), "{form}");
        }
        for none in [json!("x"), json!(1), json!({}), json!(id.replace('-', "")), json!(format!("{{{id}}}"))] {
            assert!(reference(&none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_nul_ends_a_text() {
        assert_eq!(name(&json!("a\0b")), Ok("a".to_owned()));
        assert!(name(&json!("\0b")).is_err());
        assert!(name(&json!("x".repeat(256))).is_err());
    }
}
