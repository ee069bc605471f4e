//! Passwords: how they are kept, how many are looked at at once, and which need no second look.
//!
//! **Always.** A password's text is dropped with the call. What is remembered of a right one is a MAC under a key that dies
//! with the process, over the stored hash, too: a changed password finds nothing.
//! **Bounds.** [`PERMITS`] hashes at a time (19 MiB each), [`WAITING_MAX`] callers waiting, one at a time for an account.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use store::{Error, Micros, UserId};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::Secret;

/// Hashes at a time.
const PERMITS: usize = 2;
/// Callers that wait for a hash; one more is turned away.
const WAITING_MAX: usize = 64;
/// Locks that accounts share, so that the locks are bounded.
const TURNS: usize = 64;
/// The longest password, in bytes: hashing is paid for by length, too.
const PASSWORD_MAX: usize = 1024;
/// How long a right password needs no second look.
const REMEMBERED_US: Micros = 600_000_000;
/// How many right passwords are remembered.
const REMEMBERED_MAX: u64 = 16_384;

/// What is verified when there is no such user or they have no password, so that it costs the same. Nobody's: its hash part
/// is zeros.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password as it is stored: an argon2id hash in PHC form.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<str>);

impl PasswordHash {
    /// The text as it is stored; kept out of logs like the password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Hashes; takes some 20 ms and 19 MiB. The salt comes from the store's door.
    fn of(password: &str, salt: [u8; 32]) -> Result<PasswordHash, Error> {
        check(password)?;
        let fault = |error: argon2::password_hash::Error| Error::Broken(format!("argon2: {error}"));
        let salt = SaltString::encode_b64(&salt[..16]).map_err(fault)?;
        let hash = argon2().hash_password(password.as_bytes(), &salt).map_err(fault)?;
        Ok(PasswordHash(hash.to_string().into()))
    }

    fn matches(&self, password: &str) -> bool {
        let parsed = argon2::PasswordHash::new(&self.0);
        parsed.is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

impl std::str::FromStr for PasswordHash {
    type Err = Error;
    fn from_str(text: &str) -> Result<PasswordHash, Error> {
        let hash = argon2::PasswordHash::new(text).ok().filter(|hash| hash.algorithm.as_str() == "argon2id");
        hash.map(|_| PasswordHash(text.into())).ok_or_else(|| Error::Invalid("this is no argon2id hash".to_owned()))
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// OWASP's parameters.
fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("the parameters are in argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn check(password: &str) -> Result<(), Error> {
    match password.len() {
        0 => Err(Error::Invalid("a password is not empty".to_owned())),
        1..=PASSWORD_MAX => Ok(()),
        _ => Err(Error::Invalid(format!("a password has at most {PASSWORD_MAX} bytes"))),
    }
}

/// Answers `before` while it is a hash of this password, else a new hash. For the site file, which compares hashes: blocks
/// for some 20 ms, so not for an async task.
pub(crate) fn keep(password: &str, before: Option<&str>, salt: [u8; 32]) -> Result<PasswordHash, Error> {
    let before = before.and_then(|text| text.parse::<PasswordHash>().ok());
    match before.filter(|hash| hash.matches(password)) {
        Some(hash) => Ok(hash),
        None => PasswordHash::of(password, salt),
    }
}

/// The pool that hashes, and what it remembers.
pub(crate) struct Passwords {
    mac: Hmac<Sha256>,
    right: moka::sync::Cache<[u8; 32], Micros>,
    queue: Arc<Semaphore>,
    pool: Arc<Semaphore>,
    turns: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

/// The right to hash now. Goes along to where it is done: a caller who hangs up does not free what still runs.
pub(crate) struct Turn {
    _queued: OwnedSemaphorePermit,
    _account: Option<OwnedMutexGuard<()>>,
    _permit: OwnedSemaphorePermit,
}

/// Too many wait already.
pub(crate) struct QueueFull;

impl Passwords {
    pub fn new(key: [u8; 32]) -> Passwords {
        Passwords {
            mac: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"),
            right: moka::sync::Cache::new(REMEMBERED_MAX),
            queue: Arc::new(Semaphore::new(PERMITS + WAITING_MAX)),
            pool: Arc::new(Semaphore::new(PERMITS)),
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits until a password may be hashed; of one account one at a time, so that what the one before found out is known
    /// to the next: that it is right, or that there were enough failures.
    pub async fn turn(&self, account: Option<&str>) -> Result<Turn, QueueFull> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| QueueFull)?;
        let account = match account {
            Some(account) => {
                let turn = self.hasher.hash_one(account) % TURNS as u64;
                Some(self.turns[turn as usize].clone().lock_owned().await)
            }
            None => None,
        };
        let permit = self.pool.clone().acquire_owned().await.map_err(|_| QueueFull)?;
        Ok(Turn { _queued: queued, _account: account, _permit: permit })
    }

    /// Whether the password fits; without a hash it never does, and costs the same. `then` is told, with the password, before
    /// the turn ends, even when nobody waits for the answer any more.
    pub async fn verify(
        &self,
        turn: Turn,
        hash: Option<PasswordHash>,
        password: Secret,
        then: impl FnOnce(bool, &str) + Send + 'static,
    ) -> Result<bool, Error> {
        let work = move || {
            let against = hash.clone().unwrap_or_else(|| PasswordHash(NOBODYS.into()));
            let right = against.matches(password.expose()) && hash.is_some();
            then(right, password.expose());
            drop(turn);
            right
        };
        blocking(work).await
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Secret, salt: [u8; 32]) -> Result<PasswordHash, Error> {
        check(password.expose())?;
        let turn = self.turn(None).await.map_err(|QueueFull| Error::Busy { retry_after_s: 1 })?;
        let work = move || {
            let hash = PasswordHash::of(password.expose(), salt);
            drop(turn);
            hash
        };
        blocking(work).await?
    }

    /// Whether this was found right a short while ago, under this very hash.
    pub fn remembers(&self, user: UserId, hash: &PasswordHash, password: &str, now: Micros) -> bool {
        let found = self.right.get(&self.name(user, hash, password));
        found.is_some_and(|at| now - at < REMEMBERED_US)
    }

    pub fn remember(&self, user: UserId, hash: &PasswordHash, password: &str, now: Micros) {
        self.right.insert(self.name(user, hash, password), now);
    }

    fn name(&self, user: UserId, hash: &PasswordHash, password: &str) -> [u8; 32] {
        let mac = self.mac.clone().chain_update(user.0.as_bytes());
        let mac = mac.chain_update((hash.0.len() as u64).to_le_bytes()).chain_update(hash.0.as_bytes());
        mac.chain_update(password.as_bytes()).finalize().into_bytes().into()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|stopped| Error::Broken(format!("hashing was stopped: {stopped}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_kept_while_it_fits_and_made_anew_when_it_does_not() {
        let first = keep("right", None, [1; 32]).unwrap();
        assert!(first.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.expose());
        assert_eq!(keep("right", Some(first.expose()), [2; 32]).unwrap(), first);
        assert_ne!(keep("wrong", Some(first.expose()), [2; 32]).unwrap(), first);
        assert_ne!(keep("right", Some("no hash"), [2; 32]).unwrap(), first);
        assert_eq!(format!("{first:?}"), "***");
    }

    #[test]
    fn nobodys_hash_is_a_hash_of_the_same_cost_that_nothing_fits() {
        let nobodys: PasswordHash = NOBODYS.parse().unwrap();
        assert!(!nobodys.matches(""));
        let parsed = argon2::PasswordHash::new(NOBODYS).unwrap();
        let params = Params::try_from(&parsed).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19 * 1024, 2, 1));
        assert_eq!(parsed.hash.unwrap().len(), 32);
    }

    #[tokio::test]
    async fn one_caller_more_than_can_wait_is_turned_away() {
        let passwords = Arc::new(Passwords::new([0; 32]));
        let working = [passwords.turn(None).await.ok().unwrap(), passwords.turn(None).await.ok().unwrap()];
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.turn(None).await.is_ok() })
            })
            .collect();
        while passwords.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(passwords.turn(None).await.is_err());
        drop(working);
        for waiter in waiting {
            assert!(waiter.await.unwrap());
        }
    }
}
