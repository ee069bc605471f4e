//! Partners: whose the containers are. They come from the site file (`apply.rs`) and call by token or login.

use identity::PasswordHash;
use sha2::{Digest, Sha256};
use store::{Error, Row, TenantId, Tx, params};

use crate::ids::{ContainerId, PartnerId};

/// A partner, as far as a call needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Which one.
    pub id: PartnerId,
    /// Whose customer.
    pub tenant: TenantId,
}

fn account(row: &Row) -> Result<Account, Error> {
    Ok(Account { id: row.get(0)?, tenant: row.get(1)? })
}

/// What of a token is stored and looked up.
pub fn fingerprint(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// The partner that a token belongs to, and its scopes, divided by spaces.
pub fn by_token(tx: &mut Tx, sha256: &str) -> Result<Option<(Account, String)>, Error> {
    let sql = "SELECT p.id, p.tenant_id, t.scopes FROM partner_tokens t JOIN partners p ON p.id = t.partner_id \
        WHERE t.sha256 = $1";
    tx.query_opt(sql, &params![sha256])?.map(|row| Ok((account(&row)?, row.get(2)?))).transpose()
}

/// The partner with this login, and the hash of its password if it has one.
pub fn by_login(tx: &mut Tx, login: &str) -> Result<Option<(Account, Option<PasswordHash>)>, Error> {
    let sql = "SELECT id, tenant_id, password FROM partners WHERE login = $1";
    let Some(row) = tx.query_opt(sql, &params![login])? else { return Ok(None) };
    let hash = row.get::<Option<String>>(2)?.map(|text| text.parse()).transpose()?;
    Ok(Some((account(&row)?, hash)))
}

/// Where a partner's containers lie: the folder's node.
pub fn folder(tx: &mut Tx, id: PartnerId) -> Result<ledger::AllotmentId, Error> {
    let row = tx.query_opt("SELECT folder_id FROM partners WHERE id = $1", &params![id])?;
    row.ok_or_else(|| Error::not_found("partner", id))?.get(0)
}

/// Where a partner's files go when nothing else is said.
pub fn default_container(tx: &mut Tx, id: PartnerId) -> Result<Option<ContainerId>, Error> {
    let row = tx.query_opt("SELECT default_container_id FROM partners WHERE id = $1", &params![id])?;
    row.map_or(Ok(None), |row| row.get(0))
}
