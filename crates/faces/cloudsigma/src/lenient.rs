//! Bodies that are not quite JSON: two examples of the API's own page are not, and clients copy examples.
//!
//! A comma before a closing bracket is skipped, and a closer first closes what is open inside it (spec, section 7.1). The
//! text is mended, and then read as strictly as any other.

use serde_json::Value;

/// How deep brackets may lie in each other: as deep as the strict reader goes.
const DEPTH_MAX: usize = 128;

/// Reads a body: strictly, and if that fails, mended. None: it is no JSON either way.
pub fn read(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok().or_else(|| {
        let mended = mend(std::str::from_utf8(body).ok()?)?;
        serde_json::from_str(&mended).ok()
    })
}

fn mend(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len() + 8);
    let (mut open, mut comma) = (Vec::new(), false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let is_closer = matches!(letter, '}' | ']');
        if comma && !letter.is_whitespace() {
            if !is_closer {
                mended.push(',');
            }
            comma = false;
        }
        match letter {
            ',' => {
                comma = true;
                continue;
            }
            '{' if open.len() < DEPTH_MAX => open.push('}'),
            '[' if open.len() < DEPTH_MAX => open.push(']'),
            '{' | '[' => return None,
            '}' | ']' => loop {
                let closer = open.pop()?;
                if closer == letter {
                    break;
                }
                mended.push(closer);
            },
            '"' => {
                mended.push('"');
                string(&mut letters, &mut mended)?;
                continue;
            }
            _ => {}
        }
        mended.push(letter);
    }
    Some(mended)
}

/// The rest of a string, up to its closing quote.
fn string(letters: &mut std::str::Chars<'_>, mended: &mut String) -> Option<()> {
    loop {
        let letter = letters.next()?;
        mended.push(letter);
        match letter {
            '"' => return Some(()),
            '\\' => mended.push(letters.next()?),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_two_bodies_of_the_page_that_are_no_json_are_understood() {
        let nvme = br#"{ "objects": [ { "media": "disk", "name": "test_nvme_drive" } }"#;
        assert_eq!(read(nvme), Some(json!({ "objects": [{ "media": "disk", "name": "test_nvme_drive" }] })));
        let bulk = b"{\"objects\":\n[ {\n \"uuid\":\"a\",\n },\n { \"uuid\":\"b\", } ] }";
        assert_eq!(read(bulk), Some(json!({ "objects": [{ "uuid": "a" }, { "uuid": "b" }] })));
    }

    #[test]
    fn strings_are_left_alone_and_the_rest_stays_strict() {
        assert_eq!(read(br#"{"a": ",}\"]",}"#), Some(json!({ "a": ",}\"]" })));
        for none in ["", "{", "[1", "]", "{\"a\"}", "{,}x", "nope", "\"a", "[1 2]", "{\"a\":1]"] {
            assert_eq!(read(none.as_bytes()), None, "{none}");
        }
        assert_eq!(read("[".repeat(100_000).as_bytes()), None);
    }
}
