//! Credentials out of a request's headers, one function a scheme. The faces build their extractors on these.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::Secret;

/// Some clients leave out the padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token of `Authorization: Bearer <token>`.
pub fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// User and password of `Authorization: Basic <base64>`. The password is all after the first colon (RFC 7617).
pub fn basic_of(headers: &HeaderMap) -> Option<(String, Secret)> {
    let decoded = LENIENT.decode(credentials(headers, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::from(password)))
}

/// The value of the first cookie of that name, without quotes around it.
pub fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let value = pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name)?.1;
    Some(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
}

/// What follows the scheme, whose case does not matter.
fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let (said, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    (said.eq_ignore_ascii_case(scheme) && !rest.is_empty()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_is_what_follows_the_scheme_in_any_case() {
        assert_eq!(bearer_of(&headers(&[(AUTHORIZATION, "bearer abc")])), Some("abc"));
        for none in ["Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer_of(&headers(&[(AUTHORIZATION, none)])), None, "{none}");
        }
        assert_eq!(bearer_of(&HeaderMap::new()), None);
    }

    #[test]
    fn basic_credentials_part_at_the_first_colon_with_or_without_padding() {
        for text in ["Basic YTpiOmM=", "basic YTpiOmM"] {
            let (user, password) = basic_of(&headers(&[(AUTHORIZATION, text)])).unwrap();
            assert_eq!((user.as_str(), password.expose()), ("a", "b:c"));
        }
        for none in ["Basic YWJj", "Basic !!!", "Basic /w=="] {
            assert!(basic_of(&headers(&[(AUTHORIZATION, none)])).is_none(), "{none}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let headers = headers(&[(COOKIE, "xsessionid=1; sessionid=two"), (COOKIE, "a=\"three\"; sessionid=four")]);
        assert_eq!(cookie_of(&headers, "sessionid"), Some("two"));
        assert_eq!(cookie_of(&headers, "a"), Some("three"));
        assert_eq!(cookie_of(&headers, "session"), None);
    }
}
