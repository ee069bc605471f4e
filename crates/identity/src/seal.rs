//! Secrets that must be read again, at rest.
//!
//! **Always.** Where the site has a key, they are sealed by AES-256-GCM under a key of their own kind (HKDF-SHA256 of the
//! site's), bound to what they belong to: one that was changed, or moved to another's row, does not open. Where it has none
//! they are stored as they are.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use store::Error;

const NONCE_BYTES: usize = 12;

/// A secret as it is stored.
#[derive(Clone)]
pub(crate) struct Kept {
    pub sealed: bool,
    pub bytes: Vec<u8>,
}

/// Seals secrets of one kind.
#[derive(Clone)]
pub(crate) struct Seal(Option<Aes256Gcm>);

impl Seal {
    /// For secrets of this kind, under the site's key if it has one.
    pub fn new(site_key: Option<[u8; 32]>, kind: &str) -> Seal {
        Seal(site_key.map(|site_key| {
            let mut key = [0; 32];
            let derived = Hkdf::<Sha256>::new(None, &site_key).expand(kind.as_bytes(), &mut key);
            derived.expect("32 bytes are one block of HKDF");
            Aes256Gcm::new(&key.into())
        }))
    }

    /// `random` is never used again.
    pub fn keep(&self, secret: &[u8], owner: &str, random: [u8; 32]) -> Result<Kept, Error> {
        let Some(cipher) = &self.0 else { return Ok(Kept { sealed: false, bytes: secret.to_vec() }) };
        let nonce = &random[..NONCE_BYTES];
        let sealed = cipher.encrypt(Nonce::from_slice(nonce), Payload { msg: secret, aad: owner.as_bytes() });
        let sealed = sealed.map_err(|_| Error::Broken("a secret could not be sealed".to_owned()))?;
        Ok(Kept { sealed: true, bytes: [nonce, &sealed].concat() })
    }

    pub fn open(&self, kept: &Kept, owner: &str) -> Result<Vec<u8>, Error> {
        let broken = |why: &str| Error::Broken(format!("the secret of {owner} {why}"));
        if !kept.sealed {
            return Ok(kept.bytes.clone());
        }
        let cipher = self.0.as_ref().ok_or_else(|| broken("is sealed, and the site has no key"))?;
        let parts = kept.bytes.split_at_checked(NONCE_BYTES);
        let opened = parts.and_then(|(nonce, msg)| {
            cipher.decrypt(Nonce::from_slice(nonce), Payload { msg, aad: owner.as_bytes() }).ok()
        });
        opened.ok_or_else(|| broken("does not open"))
    }
}
