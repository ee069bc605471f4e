//! An account: what is known of a user by e-mail, before they have proved anything.

use store::{Error, Tx, UserId, params};

use crate::password::PasswordHash;
use crate::{Identity, Principal, principal};

/// The longest e-mail address (RFC 5321's path, less its brackets).
pub(crate) const EMAIL_MAX: usize = 254;

/// A user who can log in with a password.
#[derive(Clone)]
pub(crate) struct Account {
    pub principal: Principal,
    pub hash: PasswordHash,
}

/// What e-mail addresses are compared by: unique on the whole site, whatever the case.
pub(crate) fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

impl Identity {
    /// The account of an e-mail address; none when there is none, it is disabled, or it has no password. That there is none
    /// is remembered, too, so that the time it takes does not tell.
    pub(crate) async fn account(&self, key: &str) -> Result<Option<Account>, Error> {
        let (stamp, now) = (self.people_stamp(), self.store.now());
        if let Some(known) = self.shared.accounts.get(key, stamp, now) {
            return Ok(known.value.clone());
        }
        let wanted = key.to_owned();
        let found = self.store.read(move |tx| find(tx, &wanted)).await?;
        self.shared.accounts.put(key.to_owned(), found.clone(), stamp, now, None);
        Ok(found)
    }
}

fn find(tx: &mut Tx, key: &str) -> Result<Option<Account>, Error> {
    let sql = format!(
        "SELECT {}, users.password FROM users WHERE email_key = $1 AND NOT disabled AND password IS NOT NULL",
        principal::COLUMNS
    );
    let Some(row) = tx.query_opt(&sql, &params![key])? else { return Ok(None) };
    // What is stored and no hash lets nobody in.
    let hash = row.get::<String>(7)?.parse().ok();
    let principal = principal::from_row(&row)?;
    Ok(hash.map(|hash| Account { principal, hash }))
}

/// A user's password as it is stored, whether they may log in or not.
pub(crate) fn stored_hash(tx: &mut Tx, user: UserId) -> Result<Option<PasswordHash>, Error> {
    let row = tx.query_opt("SELECT password FROM users WHERE id = $1", &params![user])?;
    let text = row.map(|row| row.get::<Option<String>>(0)).transpose()?.flatten();
    Ok(text.and_then(|text| text.parse().ok()))
}
