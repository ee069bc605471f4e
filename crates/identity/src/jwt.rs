//! Signed tokens (JWT): the keys they are signed with, and whether the one they name still stands.
//!
//! **Shape.** [`SigningKeys`] signs claims and reads them back; what the claims say is the caller's. [`Identity::standing`]
//! says who a token's user is by now, if it was not taken back.
//! **Always.** Keys are Ed25519: the private half is 32 bytes from the store's door and never leaves this file; the public
//! half is anyone's. A new key signs after [`ROTATE_US`], and one that signs no more verifies until what it signed is over.
//! Tokens carry a mark that changes with their user's password, so a new password ends them all.
//! **Bounds.** What is remembered of tokens; how long a token can live ([`LIFE_MAX_US`]).

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Actor, Error, Micros, Row, Store, Tx, Unit, UserId, params};
use uuid::Uuid;

use crate::seal::{Kept, Seal};
use crate::secret::digest;
use crate::{Identity, Principal, account, principal};

/// How long one key signs.
const ROTATE_US: Micros = 30 * 24 * 3_600_000_000;
/// The longest that a token may live: its key must still be there to verify it.
pub const LIFE_MAX_US: Micros = 30 * 24 * 3_600_000_000;
/// How many tokens are remembered as rightly signed.
const VERIFIED_MAX: u64 = 65_536;
/// The longest token that is looked at, in bytes.
const TOKEN_MAX: usize = 8192;
/// What stands before the 32 bytes of an Ed25519 key in PKCS #8, and before those of its public half in X.509.
const PRIVATE_DER: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PUBLIC_DER: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// The keys of this site. A cheap handle.
#[derive(Clone)]
pub struct SigningKeys {
    store: Store,
    seal: Seal,
    known: Arc<RwLock<Arc<Vec<Key>>>>,
    verified: moka::sync::Cache<[u8; 32], Arc<Value>>,
}

struct Key {
    id: String,
    created_at: Micros,
    public: [u8; 32],
    signs: EncodingKey,
    verifies: DecodingKey,
}

/// The public half of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    /// By which tokens name it.
    pub id: String,
    /// As a JWK has it: base64url without padding.
    pub x: String,
    /// As text for programs: PEM.
    pub pem: String,
}

impl SigningKeys {
    /// The keys in this store; `site_key` seals new ones.
    pub fn new(store: Store, site_key: Option<[u8; 32]>) -> SigningKeys {
        let seal = Seal::new(site_key, "plimsoll signing keys");
        SigningKeys { store, seal, known: Arc::default(), verified: moka::sync::Cache::new(VERIFIED_MAX) }
    }

    /// Signs these claims with the newest key.
    pub async fn sign(&self, claims: &Value) -> Result<String, Error> {
        let keys = self.current().await?;
        let newest = keys.iter().max_by_key(|key| key.created_at).ok_or_else(no_key)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(newest.id.clone());
        jsonwebtoken::encode(&header, claims, &newest.signs).map_err(|error| Error::Broken(format!("a token: {error}")))
    }

    /// The claims of a token that one of our keys has signed and that is not over; none otherwise.
    pub async fn read(&self, token: &str) -> Result<Option<Arc<Value>>, Error> {
        if token.len() > TOKEN_MAX {
            return Ok(None);
        }
        let name = digest(token);
        let claims = match self.verified.get(&name) {
            Some(claims) => claims,
            None => {
                let Some(claims) = self.verify(token).await? else { return Ok(None) };
                let claims = Arc::new(claims);
                self.verified.insert(name, claims.clone());
                claims
            }
        };
        let ends_s = claims["exp"].as_i64();
        let now_s = self.store.now() / 1_000_000;
        Ok(ends_s.is_some_and(|end| end > now_s).then_some(claims))
    }

    /// The public halves of all keys that verify, the newest first.
    pub async fn public(&self) -> Result<Vec<PublicKey>, Error> {
        let keys = self.current().await?;
        let mut sorted: Vec<&Key> = keys.iter().collect();
        sorted.sort_by_key(|key| std::cmp::Reverse(key.created_at));
        Ok(sorted.into_iter().map(Key::shown).collect())
    }

    async fn verify(&self, token: &str) -> Result<Option<Value>, Error> {
        let Ok(header) = jsonwebtoken::decode_header(token) else { return Ok(None) };
        let Some(kid) = header.kid.filter(|_| header.alg == Algorithm::EdDSA) else { return Ok(None) };
        // A key's id is an id of ours: nothing else is worth a look.
        if Uuid::try_parse(&kid).is_err() {
            return Ok(None);
        }
        let mut keys = self.remembered();
        if !keys.iter().any(|key| key.id == kid) {
            keys = self.load().await?;
        }
        let Some(key) = keys.iter().find(|key| key.id == kid) else { return Ok(None) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        // Time is the store's, and whom it is for is the caller's to say.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Ok(jsonwebtoken::decode::<Value>(token, &key.verifies, &validation).ok().map(|token| token.claims))
    }

    fn remembered(&self) -> Arc<Vec<Key>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All keys, with one that may still sign.
    async fn current(&self) -> Result<Arc<Vec<Key>>, Error> {
        let now = self.store.now();
        let is_young = |keys: &[Key]| keys.iter().any(|key| now - key.created_at < ROTATE_US);
        let keys = self.remembered();
        if is_young(&keys) {
            return Ok(keys);
        }
        let keys = self.load().await?;
        if is_young(&keys) {
            return Ok(keys);
        }
        self.make().await?;
        self.load().await
    }

    async fn load(&self) -> Result<Arc<Vec<Key>>, Error> {
        let sql = "SELECT id, sealed, secret, created_at FROM signing_keys ORDER BY created_at DESC LIMIT 16";
        let rows = self.store.read(move |tx| tx.query(sql, &[])).await?;
        let keys = rows.iter().map(|row| self.opened(row)).collect::<Result<Vec<_>, _>>()?;
        let keys = Arc::new(keys);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        Ok(keys)
    }

    /// A new key; those whose last token is over go.
    async fn make(&self) -> Result<(), Error> {
        let (id, secret) = (self.store.new_id(), self.store.secret());
        let Kept { sealed, bytes } = self.seal.keep(&secret, &id.to_string(), self.store.secret())?;
        let unit = Unit::by(Actor::system("identity")).rows(move |tx| {
            let now = tx.now();
            tx.execute("DELETE FROM signing_keys WHERE created_at < $1", &params![now - ROTATE_US - LIFE_MAX_US])?;
            let sql = "INSERT INTO signing_keys (id, sealed, secret, created_at) VALUES ($1, $2, $3, $4)";
            tx.execute(sql, &params![id, sealed, bytes.as_slice(), now]).map(drop)
        });
        self.store.write(unit).await.map(drop)
    }

    fn opened(&self, row: &Row) -> Result<Key, Error> {
        let id: String = row.get(0)?;
        let secret = self.seal.open(&Kept { sealed: row.get(1)?, bytes: row.get(2)? }, &id)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&secret).map_err(|_| no_key())?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().map_err(|_| no_key())?;
        Ok(Key {
            id,
            created_at: row.get(3)?,
            public,
            signs: EncodingKey::from_ed_der(&[&PRIVATE_DER[..], &secret[..]].concat()),
            verifies: DecodingKey::from_ed_der(&public),
        })
    }
}

impl Key {
    fn shown(&self) -> PublicKey {
        let der = [&PUBLIC_DER[..], &self.public[..]].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(der));
        PublicKey { id: self.id.clone(), x: URL_SAFE_NO_PAD.encode(self.public), pem }
    }
}

fn no_key() -> Error {
    Error::Broken("a signing key cannot be used".to_owned())
}

/// A user as they stand now.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who they are.
    pub who: Principal,
    /// Changes with their password.
    pub mark: String,
}

impl Identity {
    /// Who a token's user is by now; none when they are gone or kept out, or the token was taken back.
    pub async fn standing(&self, user: UserId, jti: &str) -> Result<Option<Standing>, Error> {
        let name = format!("{user}/{jti}");
        let (stamp, now) = (self.people_stamp(), self.store.now());
        if let Some(known) = self.shared.standings.get(name.as_str(), stamp, now) {
            return Ok(Some(known.value.clone()));
        }
        let jti = jti.to_owned();
        let Some(found) = self.store.read(move |tx| stands(tx, user, &jti)).await? else { return Ok(None) };
        self.shared.standings.put(name, found.clone(), stamp, now, None);
        Ok(Some(found))
    }

    /// Takes a signed token back; it would be over at `expires_at` anyway.
    pub async fn revoke_jwt(&self, by: Actor, jti: &str, expires_at: Micros) -> Result<(), Error> {
        let (jti, subject) = (jti.to_owned(), jti.to_owned());
        let unit = Unit::by(by).note("token.revoked", None, Some(subject), serde_json::json!({}));
        let unit = unit.rows(move |tx| {
            let now = tx.now();
            tx.execute("DELETE FROM revoked_jwts WHERE expires_at < $1", &params![now])?;
            let sql = "INSERT INTO revoked_jwts (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING";
            tx.execute(sql, &params![&jti, expires_at]).map(drop)
        });
        self.change_people(unit).await.map(drop)
    }
}

fn stands(tx: &mut Tx, user: UserId, jti: &str) -> Result<Option<Standing>, Error> {
    if tx.query_opt("SELECT 1 FROM revoked_jwts WHERE jti = $1", &params![jti])?.is_some() {
        return Ok(None);
    }
    let sql = format!("SELECT {} FROM users WHERE id = $1 AND NOT disabled", principal::COLUMNS);
    let Some(row) = tx.query_opt(&sql, &params![user])? else { return Ok(None) };
    let who = principal::from_row(&row)?;
    let hash = account::stored_hash(tx, user)?;
    let told = Sha256::new().chain_update(user.0.as_bytes());
    let told = told.chain_update(hash.as_ref().map(|hash| hash.expose()).unwrap_or_default()).finalize();
    let mark = told.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(Standing { who, mark }))
}
