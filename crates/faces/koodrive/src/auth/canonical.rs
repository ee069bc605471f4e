//! What an app signs: its request in one form, however it was written (spec, section 2.2).
//!
//! **Always.** Pure: a request's head and the hash of its body in, text out. Percent-encoded and plain text are the same, so
//! both are decoded first and encoded again.

use http::request::Parts;
use http::{HeaderMap, HeaderName, Uri};
use sha2::{Digest, Sha256};

/// The algorithm's name, in the header and above what is signed.
pub const ALGORITHM: &str = "HMAC-SHA256";

/// Signed headers whose values tell no secret, so that they may be logged.
const OPEN_HEADERS: [&str; 8] =
    ["host", "x-date", "x-user-id", "x-traceid", "language", "content-type", "content-length", "accept"];

/// A request as it is signed.
pub struct Canonical {
    /// What was signed.
    pub text: String,
    /// The same for the log: no header's value that may be a secret.
    pub shown: String,
}

impl Canonical {
    /// The form of a request whose signature says that it covers these headers, in lower case. None: one of them is not
    /// there, or there twice.
    pub fn of(parts: &Parts, signed: &[String], body: &[u8]) -> Option<Canonical> {
        let (mut headers, mut shown) = (String::new(), String::new());
        for name in signed {
            let value = single(&parts.headers, name)?;
            headers.push_str(&format!("{name}:{value}\n"));
            let open = if OPEN_HEADERS.contains(&name.as_str()) { value } else { "***" };
            shown.push_str(&format!("{name}:{open}\n"));
        }
        let (uri, query) = (path(&parts.uri), query(&parts.uri));
        let (method, signed, hash) = (&parts.method, signed.join(";"), hex::encode(Sha256::digest(body)));
        let whole = |headers: &str| format!("{method}\n{uri}\n{query}\n{headers}\n{signed}\n{hash}");
        Some(Canonical { text: whole(&headers), shown: whole(&shown) })
    }

    /// What the signature is of. Unlike other schemes of this kind, there is no line with the date.
    pub fn string_to_sign(&self) -> String {
        format!("{ALGORITHM}\n{}", hex::encode(Sha256::digest(self.text.as_bytes())))
    }
}

/// The value of a header that is there once, without the spaces around it.
pub fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name.parse::<HeaderName>().ok()?).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value.trim())
}

/// The path without redundant and relative parts, with a slash at its end.
fn path(uri: &Uri) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in uri.path().split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(encode(&decode(segment, false))),
        }
    }
    let mut path = String::from("/");
    for segment in segments {
        path.push_str(&segment);
        path.push('/');
    }
    path
}

/// The query's pairs, by name and then by value.
fn query(uri: &Uri) -> String {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

/// Undoes percent-encoding; what is no such code stays as it is. In a query a plus is a space, as forms write it.
fn decode(text: &str, plus_is_space: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut code = [0];
        let is_code = byte == b'%'
            && bytes.get(at + 1..at + 3).is_some_and(|digits| hex::decode_to_slice(digits, &mut code).is_ok());
        decoded.push(match byte {
            _ if is_code => code[0],
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
        at += if is_code { 3 } else { 1 };
    }
    decoded
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_specifications_vector_comes_out() {
        let headers = [("host", "10.32.45.165"), ("x-date", "20240909T033325Z"), ("x-user-id", "1505084218764547200")];
        let parts = parts("/koodrive/ose/v1/space/allocation/get", &headers);
        let canonical = Canonical::of(&parts, &names(&["host", "x-date", "x-user-id"]), b"").unwrap();
        assert_eq!(
            canonical.text,
            "GET\n/koodrive/ose/v1/space/allocation/get/\n\nhost:10.32.45.165\nx-date:20240909T033325Z\n\
             x-user-id:1505084218764547200\n\nhost;x-date;x-user-id\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(canonical.shown, canonical.text);
        let hashed = "c125ee2b112b34c099bec32c4309cf53711739d159be74b6c832d90114436940";
        assert_eq!(canonical.string_to_sign(), format!("HMAC-SHA256\n{hashed}"));
    }

    #[test]
    fn a_path_has_no_redundant_parts_and_one_slash_at_its_end() {
        for (written, signed) in [
            ("/a/b", "/a/b/"),
            ("/a/b/", "/a/b/"),
            ("/a//./c/../b", "/a/b/"),
            ("/..", "/"),
            ("/", "/"),
            ("/a%20b/%7e/%e4", "/a%20b/~/%E4/"),
            ("/50%/x%2Fy", "/50%25/x%2Fy/"),
            ("/a+b", "/a%2Bb/"),
        ] {
            assert_eq!(path(&written.parse().unwrap()), signed, "{written}");
        }
    }

    #[test]
    fn a_query_is_sorted_by_code_and_encoded_one_way() {
        for (written, signed) in [
            ("/", ""),
            ("/?", ""),
            ("/?b=1&F=2&a=3", "F=2&a=3&b=1"),
            ("/?b=2&b=1", "b=1&b=2"),
            ("/?a&b=", "a=&b="),
            ("/?a=x+y&b=x%20y", "a=x%20y&b=x%20y"),
            ("/?a=%c3%a4&b=~_.-&c=a=b", "a=%C3%A4&b=~_.-&c=a%3Db"),
            ("/?&a=1&&", "a=1"),
        ] {
            assert_eq!(query(&written.parse().unwrap()), signed, "{written}");
        }
    }

    #[test]
    fn headers_are_trimmed_there_once_and_shown_only_when_they_tell_no_secret() {
        let headers = [("x-date", "  1 "), ("cookie", "secret"), ("x-twice", "1"), ("x-twice", "2")];
        let parts = parts("/", &headers);
        let canonical = Canonical::of(&parts, &names(&["cookie", "x-date"]), b"").unwrap();
        assert!(canonical.text.contains("\ncookie:secret\nx-date:1\n\ncookie;x-date\n"), "{}", canonical.text);
        assert!(canonical.shown.contains("\ncookie:***\nx-date:1\n\n"), "{}", canonical.shown);
        for none in ["x-twice", "x-none", "no name"] {
            assert!(Canonical::of(&parts, &names(&[none]), b"").is_none(), "{none}");
        }
    }
}
