//! Who may do what to an allotment: the table "Rights" of the native API's specification, and nothing beside it.
//!
//! | | operator | admin of the tenant | member |
//! |---|---|---|---|
//! | [`Right::Read`], [`Right::Claim`] | all | the tenant's | at and below what they own or were given |
//! | [`Right::Make`] | all | the tenant's | at and below what they own |
//! | [`Right::Limit`], [`Right::Administer`] | all | below the tenant's root | below what they own |
//!
//! **Always.** Another tenant's allotment is nobody's but an operator's, whatever was granted. The supply side belongs to
//! no tenant, so only operators have rights on it; to *name* a place there, as a claim does, takes none.

use ledger::AllotmentId;
use store::{Allotment, Error, Tx, UserId, params};

use crate::{Identity, Principal, Role};

/// What somebody wants to do to an allotment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Right {
    /// See it, its claims, and what was written of it.
    Read,
    /// Take room from it, and change or release what was taken.
    Claim,
    /// Make children under it.
    Make,
    /// Change its limits, load lines, overcommit or end.
    Limit,
    /// Rename, move or remove it, or say whose it is.
    Administer,
}

/// How close somebody is to an allotment that is of their own tenant.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Reach {
    /// They own a node above it.
    owns_above: bool,
    /// They own it, or a node above it.
    owns: bool,
    /// They were given it, or a node above it.
    belongs: bool,
}

impl Reach {
    fn allows(self, right: Right) -> bool {
        match right {
            Right::Read | Right::Claim => self.owns || self.belongs,
            Right::Make => self.owns,
            Right::Limit | Right::Administer => self.owns_above,
        }
    }
}

impl Identity {
    /// Whether they may. Only for members does this look at the database, once.
    pub async fn may(&self, who: &Principal, allotment: &Allotment, right: Right) -> Result<bool, Error> {
        let Some(tenant) = who.tenant else { return Ok(true) };
        if allotment.tenant() != Some(tenant) {
            return Ok(false);
        }
        if who.admin {
            let is_root = allotment.parent.is_none();
            return Ok(!(is_root && matches!(right, Right::Limit | Right::Administer)));
        }
        let own = Reach { owns: allotment.owner == Some(who.user), ..Reach::default() };
        if own.allows(right) {
            return Ok(true);
        }
        let (user, id) = (who.user, allotment.id);
        let reach = self.store.read(move |tx| reach(tx, user, id)).await?;
        Ok(reach.allows(right))
    }

    /// The allotments that a member owns or was given, without what lies below them: where a list of what they may see
    /// begins. At most [`crate::PAGE_MAX`], in the order of their ids, after `after`.
    pub async fn holdings(
        &self,
        who: &Principal,
        after: Option<AllotmentId>,
    ) -> Result<Vec<(AllotmentId, Role)>, Error> {
        let (user, tenant) = (who.user, who.tenant);
        let after = after.map_or(store::Value::from(""), store::Value::from);
        let sql = "SELECT a.id, a.owner_id = $1, g.role FROM allotments a \
            LEFT JOIN grants g ON g.allotment_id = a.id AND g.user_id = $1 \
            WHERE a.id IN (SELECT id FROM allotments WHERE owner_id = $1 \
                UNION SELECT allotment_id FROM grants WHERE user_id = $1) \
            AND a.root_id = $2 AND a.id > $3 ORDER BY a.id LIMIT $4";
        let values = params![user, tenant, after, crate::PAGE_MAX];
        let read = self.store.read(move |tx| {
            let rows = tx.query(sql, &values)?;
            let holding = |row: &store::Row| {
                let owns = row.get::<Option<bool>>(1)?.unwrap_or(false);
                let given = row.get::<Option<String>>(2)?.as_deref().map(Role::from_text).transpose()?;
                Ok((row.get(0)?, if owns { Role::Owner } else { given.unwrap_or(Role::Member) }))
            };
            rows.iter().map(holding).collect()
        });
        read.await
    }
}

/// One walk up the tree; its depth is bounded by the ledger.
fn reach(tx: &mut Tx, user: UserId, allotment: AllotmentId) -> Result<Reach, Error> {
    let sql = "WITH RECURSIVE up (id, parent_id, owner_id, above) AS ( \
            SELECT id, parent_id, owner_id, FALSE FROM allotments WHERE id = $1 \
            UNION ALL SELECT a.id, a.parent_id, a.owner_id, TRUE FROM allotments a JOIN up ON a.id = up.parent_id) \
        SELECT up.above, up.owner_id = $2, g.role FROM up \
        LEFT JOIN grants g ON g.allotment_id = up.id AND g.user_id = $2 \
        WHERE up.owner_id = $2 OR g.role IS NOT NULL";
    let mut reach = Reach::default();
    for row in tx.query(sql, &params![allotment, user])? {
        let given = row.get::<Option<String>>(2)?.as_deref().map(Role::from_text).transpose()?;
        let owns = row.get::<Option<bool>>(1)?.unwrap_or(false) || given == Some(Role::Owner);
        reach.owns |= owns;
        reach.owns_above |= owns && row.get::<bool>(0)?;
        reach.belongs |= given.is_some();
    }
    Ok(reach)
}
