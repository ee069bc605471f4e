//! Keys that callers sign their requests with, by HMAC-SHA256.
//!
//! **Always.** To verify a signature the key itself is needed, so unlike passwords and tokens these can be read again: they
//! are sealed if the site has a key to seal with (`seal.rs`), else whoever reads the database can sign. Nothing but
//! [`HmacKey::verifies`] uses one, and its time does not depend on where a signature differs.
//! **Not here.** What is signed, and for whom a key stands: that is the faces'.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use store::{Error, Tx, params};

use crate::seal::{Kept, Seal};
use crate::{Face, Identity, Secret};

/// The longest key, in bytes.
const KEY_MAX: usize = 512;

/// A key.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

/// A key on its way to the database.
#[derive(Clone)]
pub struct NewHmacKey {
    face: Face,
    id: String,
    kept: Kept,
}

impl Identity {
    /// The key of this id on this face.
    pub fn hmac_key(&self, tx: &mut Tx, face: Face, id: &str) -> Result<Option<HmacKey>, Error> {
        let secret = self.hmac_secret(tx, face, id)?;
        Ok(secret.map(|secret| HmacKey::of(&secret)))
    }

    /// Whether the key of this id is this one.
    pub fn is_hmac_key(&self, tx: &mut Tx, face: Face, id: &str, secret: &Secret) -> Result<bool, Error> {
        Ok(self.hmac_secret(tx, face, id)?.is_some_and(|known| known == secret.expose().as_bytes()))
    }

    /// A key that is nobody's: what is verified against where there is none, so that it costs the same.
    pub fn nobodys_hmac_key(&self) -> HmacKey {
        HmacKey::of(&self.store.secret())
    }

    /// Readies a key for [`NewHmacKey::put`].
    pub fn new_hmac_key(&self, face: Face, id: &str, secret: &Secret) -> Result<NewHmacKey, Error> {
        if !(1..=KEY_MAX).contains(&secret.expose().len()) {
            return Err(Error::Invalid(format!("a key has 1 to {KEY_MAX} bytes")));
        }
        let kept = self.hmac_seal().keep(secret.expose().as_bytes(), &owner(face, id), self.store.secret())?;
        Ok(NewHmacKey { face, id: id.to_owned(), kept })
    }

    fn hmac_secret(&self, tx: &mut Tx, face: Face, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT sealed, secret FROM hmac_keys WHERE face = $1 AND id = $2";
        let Some(row) = tx.query_opt(sql, &params![face.as_str(), id])? else { return Ok(None) };
        let kept = Kept { sealed: row.get(0)?, bytes: row.get(1)? };
        self.hmac_seal().open(&kept, &owner(face, id)).map(Some)
    }

    fn hmac_seal(&self) -> Seal {
        Seal::new(self.site_key, "plimsoll hmac keys")
    }
}

/// What a sealed key is bound to.
fn owner(face: Face, id: &str) -> String {
    format!("{} {id}", face.as_str())
}

impl HmacKey {
    fn of(secret: &[u8]) -> HmacKey {
        HmacKey(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// Whether `signature` is this key's, of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.clone().chain_update(message).verify_slice(signature).is_ok()
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl NewHmacKey {
    /// The key of its id is this one from now on. The caller has checked that the id is theirs to have.
    pub fn put(&self, tx: &mut Tx) -> Result<(), Error> {
        let sql = "INSERT INTO hmac_keys (face, id, sealed, secret, created_at) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (face, id) DO UPDATE SET sealed = excluded.sealed, secret = excluded.secret";
        let Kept { sealed, bytes } = &self.kept;
        tx.execute(sql, &params![self.face.as_str(), &self.id, *sealed, bytes.as_slice(), tx.now()]).map(drop)
    }
}

/// The key of this id is none any more.
pub fn remove_hmac_key(tx: &mut Tx, face: Face, id: &str) -> Result<(), Error> {
    let sql = "DELETE FROM hmac_keys WHERE face = $1 AND id = $2";
    tx.execute(sql, &params![face.as_str(), id]).map(drop)
}
