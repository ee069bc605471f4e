//! Logging in with e-mail and password.
//!
//! **Order.** A password that was right a short while ago is let in at once, throttled or not. Else: throttled? → wait for a
//! turn → throttled by now? → hash → count. An unknown user takes the same way.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use store::{Error, UserId};
use uuid::Uuid;

use crate::account::{Account, EMAIL_MAX, email_key};
use crate::password::{PasswordHash, QueueFull};
use crate::{Identity, LoginCounts, Principal, Secret};

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no such user, they are disabled, or it is not their password: which of these is not told.
    #[error("wrong e-mail address or password")]
    Wrong,
    /// Too many failures: the password was not looked at.
    #[error("too many failed logins")]
    Throttled {
        /// When to try again, in seconds.
        retry_after_s: u64,
    },
    /// Too many logins at once.
    #[error("too many logins at once")]
    Busy,
    /// The store's own.
    #[error(transparent)]
    Store(#[from] Error),
}

#[derive(Default)]
pub(crate) struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
    throttled: AtomicU64,
}

impl Counts {
    pub fn read(&self) -> LoginCounts {
        LoginCounts {
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
        }
    }
}

impl Identity {
    /// Who logs in with this e-mail and password, from this address.
    pub async fn password(&self, email: &str, password: &str, from: IpAddr) -> Result<Principal, LoginError> {
        let key = if email.len() <= EMAIL_MAX { email_key(email) } else { String::new() };
        let account = self.account(&key).await?;
        if let Some(principal) = self.remembered(account.as_ref(), password) {
            return Ok(principal);
        }
        self.check_throttle(&key, from)?;
        let turn = self.shared.passwords.turn(Some(&key)).await.map_err(|QueueFull| LoginError::Busy)?;
        // What the one before found out counts for this one.
        let account = self.account(&key).await?;
        if let Some(principal) = self.remembered(account.as_ref(), password) {
            return Ok(principal);
        }
        self.check_throttle(&key, from)?;
        let hash = account.as_ref().map(|account| account.hash.clone());
        let then = self.clone().counting(key.clone(), from, account);
        if !self.shared.passwords.verify(turn, hash.clone(), Secret::from(password), then).await? {
            return Err(LoginError::Wrong);
        }
        // They may have been changed in the meantime.
        let account = self.account(&key).await?.filter(|account| Some(&account.hash) == hash.as_ref());
        let account = account.ok_or(LoginError::Wrong)?;
        self.shared.counts.succeeded.fetch_add(1, Relaxed);
        Ok(account.principal)
    }

    /// Whether a password fits a hash that a face keeps, of somebody who is no user: with the same care, and at the same
    /// cost where there is no hash. `key` is what failures are counted by.
    pub async fn check_password(
        &self,
        key: &str,
        whose: Uuid,
        hash: Option<PasswordHash>,
        password: Secret,
        from: IpAddr,
    ) -> Result<(), LoginError> {
        let (shared, whose) = (&self.shared, UserId(whose));
        let remembered =
            |now| hash.as_ref().is_some_and(|hash| shared.passwords.remembers(whose, hash, password.expose(), now));
        if remembered(self.store.now()) {
            shared.counts.succeeded.fetch_add(1, Relaxed);
            return Ok(());
        }
        self.check_throttle(key, from)?;
        let turn = shared.passwords.turn(Some(key)).await.map_err(|QueueFull| LoginError::Busy)?;
        if remembered(self.store.now()) {
            shared.counts.succeeded.fetch_add(1, Relaxed);
            return Ok(());
        }
        self.check_throttle(key, from)?;
        let (identity, counted, known) = (self.clone(), key.to_owned(), hash.clone());
        let then = move |right: bool, password: &str| {
            let (shared, now) = (&identity.shared, identity.store.now());
            match known.filter(|_| right) {
                Some(hash) => {
                    shared.throttle.succeeded(&counted);
                    shared.passwords.remember(whose, &hash, password, now);
                }
                None => {
                    shared.counts.failed.fetch_add(1, Relaxed);
                    shared.throttle.failed(&counted, from, now);
                }
            }
        };
        if !shared.passwords.verify(turn, hash.clone(), password.clone(), then).await? {
            return Err(LoginError::Wrong);
        }
        shared.counts.succeeded.fetch_add(1, Relaxed);
        Ok(())
    }

    fn remembered(&self, account: Option<&Account>, password: &str) -> Option<Principal> {
        let Account { principal, hash } = account?;
        let right = self.shared.passwords.remembers(principal.user, hash, password, self.store.now());
        right.then(|| {
            self.shared.counts.succeeded.fetch_add(1, Relaxed);
            principal.clone()
        })
    }

    fn check_throttle(&self, key: &str, from: IpAddr) -> Result<(), LoginError> {
        let Some(retry_after_s) = self.shared.throttle.wait_s(key, from, self.store.now()) else { return Ok(()) };
        self.shared.counts.throttled.fetch_add(1, Relaxed);
        Err(LoginError::Throttled { retry_after_s })
    }

    /// Takes down what came of a look at a password. Not left to the caller's task: to hang up must not save a failure, and
    /// the next in turn is to find a right one remembered.
    fn counting(self, key: String, from: IpAddr, account: Option<Account>) -> impl FnOnce(bool, &str) + Send + 'static {
        move |right, password| {
            let (shared, now) = (&self.shared, self.store.now());
            match account.filter(|_| right) {
                Some(Account { principal, hash }) => {
                    shared.throttle.succeeded(&key);
                    shared.passwords.remember(principal.user, &hash, password, now);
                }
                None => {
                    shared.counts.failed.fetch_add(1, Relaxed);
                    shared.throttle.failed(&key, from, now);
                }
            }
        }
    }
}
