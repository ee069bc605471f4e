//! A text that must not be seen.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A password or token. It cannot be printed, compared or serialised; who needs the text must say [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Each call is a place where it could leak: to a hash, to a caller once, nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// 256 random bits as text.
    pub(crate) fn random(bits: [u8; 32]) -> Secret {
        Secret(URL_SAFE_NO_PAD.encode(bits))
    }
}

/// What of a token or cookie is stored and looked up. A fast hash is enough for 256 random bits.
pub(crate) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
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
        f.write_str("***")
    }
}
