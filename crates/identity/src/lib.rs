//! Identity: who is calling, how that was proved, and what they may do.
//!
//! **Shape.** [`Identity`] is a cheap handle. Four ways in: [`Identity::bearer`], [`Identity::password`],
//! [`Identity::session`], and the site file's hand ([`apply`]). Each answers a [`Principal`]; what that one may do to an
//! allotment is asked of [`Identity::may`].
//! **Always.** Tokens and cookies are stored as their SHA-256, passwords as argon2id. A [`Principal`] has the rights of the
//! user's row and no others, so a token is never stronger than its user. What is remembered in memory carries a
//! generation: a change of people made through this process is seen by the next call. Two tenants never meet.
//! **Bounds.** Every cache, queue and count has a named maximum.
//! **Not here.** HTTP answers, cookies' attributes, the faces' own credentials (partners, apps): they are the faces'.

mod account;
pub mod apply;
mod grant;
mod headers;
mod hmac_key;
mod jwt;
mod login;
mod password;
mod principal;
mod recall;
mod rights;
mod seal;
mod secret;
mod session;
mod tenant;
mod throttle;
mod token;
mod user;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{Done, Error, Migrations, Store, Unit};

pub use grant::{Grant, Role, insert_grant, put_grant, remove_grant};
pub use headers::{basic_of, bearer_of, cookie_of};
pub use hmac_key::{HmacKey, NewHmacKey, remove_hmac_key};
pub use jwt::{LIFE_MAX_US, PublicKey, SigningKeys, Standing};
pub use login::LoginError;
pub use password::PasswordHash;
pub use principal::{Face, Principal};
pub use rights::Right;
pub use secret::Secret;
pub use session::Session;
pub use tenant::{NewTenant, Tenant};
pub use token::{Forbidden, NewToken, Token, TokenId, TokensOf};
pub use user::{NewUser, User, UserPatch};

/// The most items of a list that are read at once.
pub const PAGE_MAX: usize = 1000;

/// What an operator chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether what was looked up may be remembered in this process. Only where no other process changes the database:
    /// another's revocations would be seen late.
    pub cache: bool,
}

/// How often people tried to get in, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LoginCounts {
    /// Logins that were let in, remembered ones included.
    pub succeeded: u64,
    /// Wrong passwords and unknown users.
    pub failed: u64,
    /// Turned away without a look, because of failures before.
    pub throttled: u64,
}

/// The people of a site, and the doors they come in by.
#[derive(Clone)]
pub struct Identity {
    store: Store,
    site_key: Option<[u8; 32]>,
    shared: Arc<Shared>,
}

/// What all handles share: nothing that is lost with the process matters.
struct Shared {
    people: AtomicU64,
    sessions: AtomicU64,
    bearers: recall::Recall<[u8; 32], Principal>,
    cookies: recall::Recall<[u8; 32], session::Known>,
    accounts: recall::Recall<String, Option<account::Account>>,
    standings: recall::Recall<String, Standing>,
    passwords: password::Passwords,
    throttle: throttle::Throttle,
    counts: login::Counts,
}

impl Identity {
    /// The people in this store.
    pub fn new(store: Store, settings: Settings) -> Identity {
        let shared = Shared {
            people: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            bearers: recall::Recall::new(settings.cache),
            cookies: recall::Recall::new(settings.cache),
            accounts: recall::Recall::new(settings.cache),
            standings: recall::Recall::new(settings.cache),
            passwords: password::Passwords::new(store.secret()),
            throttle: throttle::Throttle::default(),
            counts: login::Counts::default(),
        };
        Identity { store, site_key: None, shared: Arc::new(shared) }
    }

    /// The same people, with the key that secrets are sealed with which must be read again.
    pub fn sealing_with(self, site_key: Option<[u8; 32]>) -> Identity {
        Identity { site_key, ..self }
    }

    /// The tables of this crate. They refer to the store's, so they come after them.
    pub fn migrations() -> Migrations {
        let steps = &[
            ("V1__identity", include_str!("../migrations/V1__identity.sql")),
            ("V2__jwt", include_str!("../migrations/V2__jwt.sql")),
            ("V3__hmac_keys", include_str!("../migrations/V3__hmac_keys.sql")),
        ];
        Migrations { owner: "identity", steps }
    }

    /// Deletes what is over: sessions, and tokens that expired a month ago. Says how many.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let unit = Unit::by(store::Actor::system("identity")).rows(|tx| {
            let sessions = session::delete_expired(tx)?;
            Ok(sessions + token::delete_expired(tx)?)
        });
        self.store.write(unit).await.map(|done| done.value)
    }

    /// The logins counted since the start.
    pub fn login_counts(&self) -> LoginCounts {
        self.shared.counts.read()
    }

    /// The generation of users and tokens: what was looked up under another one is looked up again.
    fn people_stamp(&self) -> u64 {
        self.shared.people.load(Ordering::Acquire)
    }

    /// The generation of sessions, which changes with people, too. Both only grow, so equal sums are equal parts.
    fn sessions_stamp(&self) -> u64 {
        self.people_stamp() + self.shared.sessions.load(Ordering::Acquire)
    }

    /// Writes a change of users or tokens; from its answer on nobody is taken for what they were.
    async fn change_people<T: Send + 'static>(&self, unit: Unit<T>) -> Result<Done<T>, Error> {
        self.write_and_bump(unit, |shared| &shared.people).await
    }

    /// Writes the end of sessions, likewise.
    async fn change_sessions<T: Send + 'static>(&self, unit: Unit<T>) -> Result<Done<T>, Error> {
        self.write_and_bump(unit, |shared| &shared.sessions).await
    }

    /// In a task of its own: were the caller to hang up between the commit and the new generation, a revoked token would
    /// live on. A failed write bumps, too, for its outcome may be unknown.
    async fn write_and_bump<T: Send + 'static>(
        &self,
        unit: Unit<T>,
        generation: fn(&Shared) -> &AtomicU64,
    ) -> Result<Done<T>, Error> {
        let identity = self.clone();
        let writing = tokio::spawn(async move {
            let done = identity.store.write(unit).await;
            generation(&identity.shared).fetch_add(1, Ordering::AcqRel);
            done
        });
        writing.await.unwrap_or_else(|stopped| Err(Error::Broken(format!("a write was stopped: {stopped}"))))
    }
}
