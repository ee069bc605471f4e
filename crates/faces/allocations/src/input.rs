//! What comes in: bodies and queries, read field by field, with every fault told at once in the framework's words.

use std::marker::PhantomData;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Face;
use crate::error::{Error, Fault};

/// The longest JSON body: metadata of an asset are the largest thing in one.
const JSON_BYTES_MAX: usize = 1024 * 1024;

/// The longest text of most fields.
pub const TEXT_MAX: usize = 255;

/// A body that is read from an object's fields.
pub trait Read: Sized {
    /// Reads it; none when a field that is needed has a fault. Faults of others are in `fields`, too.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// A JSON body as `T`.
pub struct Input<T>(pub T);

impl<T: Read> FromRequest<Face> for Input<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Face) -> Result<Self, Error> {
        let mut fields = Fields::new(object(request).await?);
        match T::read(&mut fields) {
            Some(read) if fields.faults.is_empty() => Ok(Input(read)),
            _ => Err(Error::Fields(fields.faults)),
        }
    }
}

async fn object(request: Request) -> Result<Map<String, Value>, Error> {
    if declared_len(request.headers()).is_some_and(|length| length > JSON_BYTES_MAX as u64) {
        return Err(Error::TooLarge);
    }
    let kind = header(request.headers(), &CONTENT_TYPE).to_owned();
    let body = Limited::new(request.into_body(), JSON_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Error::TooLarge,
        None => Error::Parse("The request's body broke off.".to_owned()),
    })?;
    let body = body.to_bytes();
    // A body of nothing is an object without fields, whatever it says it is.
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !essence(&kind).eq_ignore_ascii_case("application/json") {
        return Err(Error::MediaType(kind));
    }
    match serde_json::from_slice(&body).map_err(|error| Error::Parse(format!("JSON parse error - {error}")))? {
        Value::Object(map) => Ok(map),
        other => {
            let why = format!("Invalid data. Expected a dictionary, but got {}.", name_of(&other));
            Err(Error::field("non_field_errors", why))
        }
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

/// As the framework's language calls it.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// The query, as fields: what is blank is not given.
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

    /// To be read field by field.
    pub fn fields(&self) -> Fields {
        let given = self.0.iter().filter(|(_, value)| !value.is_empty());
        Fields::new(given.map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect())
    }
}

/// The id in a path. What is no id names nothing.
pub struct At<T>(pub T);

impl<T: std::str::FromStr> FromRequestParts<Face> for At<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let id = param(parts, face, "id").await.and_then(|id| id.parse().ok());
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
        self.require(name);
        self.may(name, kind)
    }

    /// A field that may be left out.
    pub fn may<T>(&mut self, name: &str, kind: impl Kind<T>) -> Option<T> {
        match self.given.get(name)? {
            Value::Null => {
                self.fault(name, "This field may not be null.");
                None
            }
            value => match kind(value) {
                Ok(read) => Some(read),
                Err(why) => {
                    self.fault(name, why);
                    None
                }
            },
        }
    }

    /// A field that may be left out, or be null: then there is none inside.
    pub fn nullable<T>(&mut self, name: &str, kind: impl Kind<T>) -> Option<Option<T>> {
        match self.given.get(name) {
            Some(Value::Null) => Some(None),
            _ => self.may(name, kind).map(Some),
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, name: &str, why: impl Into<String>) {
        self.faults.push(Fault { field: name.to_owned(), why: why.into() });
    }

    /// Notes that a field is missing, if it is.
    pub fn require(&mut self, name: &str) {
        if !self.given.contains_key(name) {
            self.fault(name, "This field is required.");
        }
    }

    /// Whether a field was found faulty.
    pub fn has_fault(&self, name: &str) -> bool {
        self.faults.iter().any(|fault| fault.field == name)
    }

    /// Whether a field is there and not null, whatever it is.
    pub fn says(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|value| !value.is_null())
    }

    /// The faults, as an error if there are any.
    pub fn end(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Fields(self.faults)) }
    }
}

/// Text of at most `max` characters, not blank.
pub fn text(max: usize) -> impl Kind<String> {
    move |value| match some_text(value, max)? {
        text if text.is_empty() => Err("This field may not be blank.".to_owned()),
        text => Ok(text),
    }
}

/// Text of at most `max` characters, or none.
pub fn blank(max: usize) -> impl Kind<String> {
    move |value| some_text(value, max)
}

/// Text as it is: a password.
pub fn verbatim(max: usize) -> impl Kind<String> {
    move |value| match value {
        Value::String(text) if text.is_empty() => Err("This field may not be blank.".to_owned()),
        Value::String(text) => fitting(text, max).map(str::to_owned),
        _ => Err("Not a valid string.".to_owned()),
    }
}

fn some_text(value: &Value, max: usize) -> Result<String, String> {
    match value {
        Value::String(text) => fitting(text.trim(), max).map(str::to_owned),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("Not a valid string.".to_owned()),
    }
}

fn fitting(text: &str, max: usize) -> Result<&str, String> {
    if text.contains('\0') {
        return Err("Null characters are not allowed.".to_owned());
    }
    if text.chars().count() > max {
        return Err(format!("Ensure this field has no more than {max} characters."));
    }
    Ok(text)
}

/// A whole number from `min` on; digits in a string and a fraction of zero are taken, too.
pub fn integer(min: u64) -> impl Kind<u64> {
    move |value| {
        let (is_negative, digits) = digits(value).ok_or("A valid integer is required.")?;
        let number = digits.parse::<u64>().ok().filter(|number| *number <= ledger::AMOUNT_MAX);
        match number {
            Some(number) if (is_negative && number > 0) || number < min => {
                Err(format!("Ensure this value is greater than or equal to {min}."))
            }
            Some(number) => Ok(number),
            None if is_negative => Err(format!("Ensure this value is greater than or equal to {min}.")),
            None => Err(format!("Ensure this value is less than or equal to {}.", ledger::AMOUNT_MAX)),
        }
    }
}

/// Sign and digits of a whole number, however large.
fn digits(value: &Value) -> Option<(bool, String)> {
    let text = match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float.fract() == 0.0 => format!("{float:.0}"),
            Some(_) => return None,
            None => number.to_string(),
        },
        Value::String(text) if text.len() <= 1000 => text.trim().to_owned(),
        _ => return None,
    };
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|zero| zero == b'0') => whole,
        Some(_) => return None,
        None => &text,
    };
    let (is_negative, digits) = match whole.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, whole.strip_prefix('+').unwrap_or(whole)),
    };
    let is_whole = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_whole.then(|| (is_negative, digits.to_owned()))
}

/// An id.
pub fn uuid(value: &Value) -> Result<Uuid, String> {
    let id = value.as_str().and_then(|text| Uuid::try_parse(text.trim()).ok());
    id.ok_or_else(|| "Must be a valid UUID.".to_owned())
}

/// One of some words.
pub fn choice(words: &'static [&'static str]) -> impl Kind<&'static str> {
    move |value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let found = words.iter().find(|word| **word == text);
        found.copied().ok_or_else(|| format!("\"{text}\" is not a valid choice."))
    }
}

/// Yes or no.
pub fn boolean(value: &Value) -> Result<bool, String> {
    let text = match value {
        Value::Bool(set) => return Ok(*set),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    match text.as_str() {
        "true" | "t" | "1" | "yes" | "y" | "on" => Ok(true),
        "false" | "f" | "0" | "no" | "n" | "off" => Ok(false),
        _ => Err("Must be a valid boolean.".to_owned()),
    }
}

/// A list of at most `max` things of one kind.
pub fn list<T, K: Kind<T>>(max: usize, kind: K) -> impl Kind<Vec<T>> {
    list_of(max, kind, PhantomData)
}

fn list_of<T, K: Kind<T>>(max: usize, kind: K, _: PhantomData<T>) -> impl Kind<Vec<T>> {
    move |value| {
        let Value::Array(items) = value else {
            return Err(format!("Expected a list of items but got type \"{}\".", name_of(value)));
        };
        if items.len() > max {
            return Err(format!("Ensure this field has no more than {max} elements."));
        }
        items.iter().map(&kind).collect()
    }
}

/// An object, kept as it is.
pub fn dictionary(value: &Value) -> Result<Value, String> {
    match value {
        Value::Object(_) if value.to_string().contains("\\u0000") => Err("Null characters are not allowed.".to_owned()),
        Value::Object(_) => Ok(value.clone()),
        _ => Err(format!("Expected a dictionary of items but got type \"{}\".", name_of(value))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_come_as_numbers_strings_and_fractions_of_zero() {
        let read = integer(1);
        for one in [json!(1), json!("1"), json!(1.0), json!(" 1 "), json!("1.0"), json!("+1")] {
            assert_eq!(read(&one), Ok(1), "{one}");
        }
        for none in [json!(true), json!(1.5), json!("a"), json!(""), json!([1]), json!("1.5"), json!({})] {
            assert_eq!(read(&none), Err("A valid integer is required.".to_owned()), "{none}");
        }
        for small in [json!(0), json!(-1), json!("-99999999999999999999999"), json!(-1.0)] {
            assert_eq!(read(&small), Err("Ensure this value is greater than or equal to 1.".to_owned()), "{small}");
        }
        let most = "Ensure this value is less than or equal to 9223372036854775807.";
        for large in [json!(9_223_372_036_854_775_808_u64), json!(1e30), json!("99999999999999999999999")] {
            assert_eq!(read(&large), Err(most.to_owned()), "{large}");
        }
        assert_eq!(read(&json!(9_223_372_036_854_775_807_u64)), Ok(ledger::AMOUNT_MAX));
    }

    #[test]
    fn text_is_trimmed_counted_in_characters_and_free_of_nulls() {
        assert_eq!(text(3)(&json!(" äöü ")), Ok("äöü".to_owned()));
        assert!(text(3)(&json!("abcd")).unwrap_err().contains("no more than 3"));
        assert_eq!(text(3)(&json!(" ")), Err("This field may not be blank.".to_owned()));
        assert_eq!(blank(3)(&json!("")), Ok(String::new()));
        assert!(blank(3)(&json!("a\0")).is_err());
        assert_eq!(blank(3)(&json!(5)), Ok("5".to_owned()));
        assert_eq!(blank(3)(&json!(true)), Err("Not a valid string.".to_owned()));
    }

    #[test]
    fn a_choice_names_what_was_said() {
        assert_eq!(choice(&["a"])(&json!("x")), Err("\"x\" is not a valid choice.".to_owned()));
        assert_eq!(choice(&["a"])(&json!(5)), Err("\"5\" is not a valid choice.".to_owned()));
        assert_eq!(choice(&["a"])(&json!("a")), Ok("a"));
    }
}
