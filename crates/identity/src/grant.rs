//! Grants: a user was given an allotment, and all below it.
//!
//! As rows, so that a face can give in the commit of its own noun (a project and its members). The rows go with the user
//! and with the allotment.

use ledger::AllotmentId;
use serde_json::json;
use store::{Actor, Error, Tx, Unit, UserId, params};

use crate::Identity;

/// What a user is to an allotment that they were given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// As if it were theirs: they make children under it and set their limits.
    Owner,
    /// They read it and claim there.
    Member,
}

impl Role {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Member => "member",
        }
    }

    pub(crate) fn from_text(text: &str) -> Result<Role, Error> {
        [Role::Owner, Role::Member]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Error::Broken(format!("a grant's role is {text:?}")))
    }
}

/// One user at one allotment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Who.
    pub user: UserId,
    /// Where.
    pub allotment: AllotmentId,
    /// As what.
    pub role: Role,
}

/// Gives in the unit that makes the allotment or the user: as data, so without a look at either. A second grant of the same
/// two is a conflict.
pub fn insert_grant<T>(unit: Unit<T>, grant: Grant) -> Unit<T> {
    let values = params![grant.user, grant.allotment, grant.role.as_str()];
    unit.insert("grants (user_id, allotment_id, role)", values.to_vec())
}

/// Gives, or changes the role, in a unit's own rows. [`Error::NotFound`] unless both are there and of one tenant.
pub fn put_grant(tx: &mut Tx, grant: Grant) -> Result<(), Error> {
    let sql = "INSERT INTO grants (user_id, allotment_id, role) SELECT users.id, allotments.id, $3 FROM users \
        JOIN allotments ON allotments.root_id = users.tenant_id WHERE users.id = $1 AND allotments.id = $2 \
        ON CONFLICT (user_id, allotment_id) DO UPDATE SET role = excluded.role";
    match tx.execute(sql, &params![grant.user, grant.allotment, grant.role.as_str()])? {
        0 => Err(Error::not_found("user", grant.user)),
        _ => Ok(()),
    }
}

/// Takes back, in a unit's own rows. Says whether there was anything.
pub fn remove_grant(tx: &mut Tx, user: UserId, allotment: AllotmentId) -> Result<bool, Error> {
    let sql = "DELETE FROM grants WHERE user_id = $1 AND allotment_id = $2";
    tx.execute(sql, &params![user, allotment]).map(|removed| removed > 0)
}

impl Identity {
    /// [`put_grant`] in a commit of its own.
    pub async fn grant(&self, by: Actor, grant: Grant) -> Result<(), Error> {
        let detail = json!({ "user_id": grant.user, "role": grant.role.as_str() });
        let unit = Unit::by(by).note("grant.set", Some(grant.allotment), Some(grant.user.to_string()), detail);
        self.store.write(unit.rows(move |tx| put_grant(tx, grant))).await.map(drop)
    }

    /// [`remove_grant`] in a commit of its own.
    pub async fn revoke(&self, by: Actor, user: UserId, allotment: AllotmentId) -> Result<(), Error> {
        let detail = json!({ "user_id": user });
        let unit = Unit::by(by).note("grant.removed", Some(allotment), Some(user.to_string()), detail);
        let unit = unit.rows(move |tx| match remove_grant(tx, user, allotment)? {
            true => Ok(()),
            false => Err(Error::not_found("grant", user)),
        });
        self.store.write(unit).await.map(drop)
    }

    /// Who was given this very allotment, in the order of the users' ids; at most [`crate::PAGE_MAX`], after `after`.
    pub async fn grants(&self, allotment: AllotmentId, after: Option<UserId>) -> Result<Vec<Grant>, Error> {
        let sql = "SELECT user_id, role FROM grants WHERE allotment_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";
        let after = after.map_or(store::Value::from(""), store::Value::from);
        let read = self.store.read(move |tx| {
            let rows = tx.query(sql, &params![allotment, after, crate::PAGE_MAX])?;
            let grant = |row: &store::Row| {
                let role = Role::from_text(&row.get::<String>(1)?)?;
                Ok(Grant { user: row.get(0)?, allotment, role })
            };
            rows.iter().map(grant).collect()
        });
        read.await
    }
}
