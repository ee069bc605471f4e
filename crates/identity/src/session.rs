//! Sessions: a cookie stands for somebody who has logged in, on one face.
//!
//! **Always.** The database knows a cookie's SHA-256 only. The CSRF token is derived from the cookie and tells nothing of it,
//! so it needs no row. A session ends with its time, with its user's power, and at the hundredth after it.

use std::sync::Arc;

use store::{Error, Micros, Tx, UserId, params};

use crate::secret::digest;
use crate::{Face, Identity, Principal, Secret, principal};

/// The sessions one user can have on one site; the oldest make room.
const SESSIONS_MAX: u64 = 100;
/// The longest cookie that is looked up.
const COOKIE_MAX: usize = 256;

/// Somebody's session, as the face hands it to a browser.
#[derive(Clone)]
pub struct Session {
    /// The cookie's value.
    pub cookie: String,
    /// What a form must send along, so that it was made by our own page.
    pub csrf: String,
    /// When it is over.
    pub expires_at: Micros,
}

impl Session {
    /// Whether what a request sent is this session's CSRF token; takes as long for a near miss as for a far one.
    pub fn is_csrf(&self, sent: &str) -> bool {
        digest(sent) == digest(&self.csrf)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What is remembered of a session.
pub(crate) struct Known {
    principal: Principal,
    face: Arc<str>,
    csrf: String,
    expires_at: Micros,
}

impl Identity {
    /// Begins a session of `ttl_s` seconds.
    pub async fn open_session(&self, who: &Principal, face: Face, ttl_s: i64) -> Result<Session, Error> {
        let cookie = Secret::random(self.store.secret());
        let (sha256, user) = (digest(cookie.expose()), who.user);
        let unit = store::Unit::by(who.actor()).rows(move |tx| {
            let expires_at = tx.now().saturating_add(ttl_s.max(0).saturating_mul(1_000_000));
            let ended = insert(tx, user, face, &sha256, expires_at)?;
            Ok((expires_at, ended))
        });
        let (expires_at, ended) = self.store.write(unit).await?.value;
        if ended > 0 {
            self.shared.sessions.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        }
        Ok(Session { csrf: csrf(cookie.expose()), cookie: cookie.expose().to_owned(), expires_at })
    }

    /// Whose session this cookie is, on this face.
    pub async fn session(&self, cookie: &str, face: Face) -> Result<Option<(Principal, Session)>, Error> {
        if cookie.len() > COOKIE_MAX {
            return Ok(None);
        }
        let (sha256, stamp, now) = (digest(cookie), self.sessions_stamp(), self.store.now());
        if let Some(known) = self.shared.cookies.get(&sha256, stamp, now) {
            return Ok(known.value.of(cookie, face));
        }
        let Some(known) = self.store.read(move |tx| find(tx, &sha256)).await? else { return Ok(None) };
        let known = Known { csrf: csrf(cookie), ..known };
        let answer = known.of(cookie, face);
        let ends = Some(known.expires_at);
        self.shared.cookies.put(sha256, known, stamp, now, ends);
        Ok(answer)
    }

    /// Lets a session live for `ttl_s` seconds from now, if it is not over and would not live longer anyway.
    pub async fn prolong_session(&self, cookie: &str, ttl_s: i64) -> Result<(), Error> {
        let sha256 = digest(cookie);
        let unit = store::Unit::by(store::Actor::system("identity")).rows(move |tx| {
            let ends = tx.now().saturating_add(ttl_s.max(0).saturating_mul(1_000_000));
            let sql = "UPDATE sessions SET expires_at = $2 WHERE sha256 = $1 AND expires_at < $2 AND expires_at > $3";
            tx.execute(sql, &params![sha256.as_slice(), ends, tx.now()]).map(drop)
        });
        self.store.write(unit).await?;
        // What is remembered ends too early: that does no harm, but it would be prolonged again and again.
        self.shared.cookies.forget(&sha256);
        Ok(())
    }

    /// Ends a session, whichever face's it is. That there is none is no error.
    pub async fn close_session(&self, cookie: &str) -> Result<(), Error> {
        let sha256 = digest(cookie);
        let unit = store::Unit::by(store::Actor::system("identity")).rows(move |tx| {
            tx.execute("DELETE FROM sessions WHERE sha256 = $1", &params![sha256.as_slice()]).map(drop)
        });
        self.change_sessions(unit).await.map(drop)
    }
}

impl Known {
    fn of(&self, cookie: &str, face: Face) -> Option<(Principal, Session)> {
        let session = || Session { cookie: cookie.to_owned(), csrf: self.csrf.clone(), expires_at: self.expires_at };
        (*self.face == *face.as_str()).then(|| (self.principal.clone(), session()))
    }
}

fn csrf(cookie: &str) -> String {
    Secret::random(digest(&format!("plimsoll csrf\0{cookie}"))).expose().to_owned()
}

/// Adds a session; says how many old ones had to go.
fn insert(tx: &mut Tx, user: UserId, face: Face, sha256: &[u8], expires_at: Micros) -> Result<u64, Error> {
    let known = tx.query_opt("SELECT 1 FROM users WHERE id = $1 AND NOT disabled", &params![user])?;
    known.ok_or_else(|| Error::not_found("user", user))?;
    let oldest = "DELETE FROM sessions WHERE user_id = $1 AND sha256 IN (SELECT sha256 FROM sessions \
        WHERE user_id = $1 ORDER BY created_at DESC, sha256 LIMIT 1000 OFFSET $2)";
    let ended = tx.execute(oldest, &params![user, SESSIONS_MAX - 1])?;
    let sql = "INSERT INTO sessions (sha256, user_id, face, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, &params![sha256, user, face.as_str(), tx.now(), expires_at])?;
    Ok(ended)
}

fn find(tx: &mut Tx, sha256: &[u8]) -> Result<Option<Known>, Error> {
    let sql = format!(
        "SELECT {}, sessions.face, sessions.expires_at FROM sessions JOIN users ON users.id = sessions.user_id \
         WHERE sessions.sha256 = $1 AND sessions.expires_at > $2 AND NOT users.disabled",
        principal::COLUMNS
    );
    let row = tx.query_opt(&sql, &params![sha256, tx.now()])?;
    let known = row.map(|row| -> Result<Known, Error> {
        let principal = principal::from_row(&row)?;
        let face = row.get::<String>(7)?.into();
        Ok(Known { principal, face, csrf: String::new(), expires_at: row.get(8)? })
    });
    known.transpose()
}

/// Ends all sessions of a user, because they are no longer who they were.
pub(crate) fn delete_of(tx: &mut Tx, user: UserId) -> Result<(), Error> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1", &params![user]).map(drop)
}

pub(crate) fn delete_expired(tx: &mut Tx) -> Result<u64, Error> {
    tx.execute("DELETE FROM sessions WHERE expires_at <= $1", &params![tx.now()])
}
