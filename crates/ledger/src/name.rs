//! Names in paths.

/// One segment of a path: `[a-z0-9][a-z0-9._-]{0,62}`, unique among its siblings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit")]
pub struct NameError(pub String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Name, NameError> {
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let later = |b: u8| first(b) || matches!(b, b'.' | b'_' | b'-');
        match text.as_bytes() {
            [head, tail @ ..] if first(*head) && tail.len() <= 62 && tail.iter().all(|b| later(*b)) => {
                Ok(Name(text.to_owned()))
            }
            _ => Err(NameError(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_path_form_allows() {
        for good in ["a", "0", "acme", "cold-store", "a.b_c-d", &"x".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "A", "a/b", "a b", "ä", &"x".repeat(64)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
