//! A text that must not be seen.

/// A password, token or key. It cannot be printed, compared or serialised; who needs it must say [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Each call is a place where it could leak: to a hash, to a terminal once, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Some(Secret::from("hunter2"))), "Some(Secret(…))");
    }
}
