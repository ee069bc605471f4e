//! The partners of the site file, applied.
//!
//! **Shape.** As identity's: `put_…` for what the file names for the first time (made, or taken over if it is there),
//! `change_…` for what it says anew, `remove_…` for what it no longer names.
//! **Always.** Each can be done again and then does nothing. A limit that the file does not speak of stays. A partner's
//! node lies in its tenant's folder `partners` and has a folder `containers`.

use identity::PasswordHash;
use ledger::{AllotmentId, Limits, Name, Resource};
use store::{Actor, Allotment, AllotmentPatch, Error, Managed, NewAllotment, Store, TenantId, Tx, Unit, params};
use uuid::Uuid;

use crate::container::{self, Container};
use crate::ids::{ContainerId, PartnerId};

/// Limits that the file speaks of; none inside: unlimited from now on.
pub type LimitChanges = Vec<(Resource, Option<u64>)>;

/// How many containers a partner may have when nothing is said (section 3).
pub const CONTAINERS_DEFAULT: u64 = 2;

/// The folder of a tenant's partners, and that of a partner's containers.
const PARTNERS: &str = "partners";
const CONTAINERS: &str = "containers";

/// What only the file says of a partner: how it gets in, and where its files go.
#[derive(Clone, Default, Debug)]
pub struct Terms {
    /// For Basic authentication.
    pub login: Option<String>,
    /// Likewise.
    pub password: Option<PasswordHash>,
    /// Tokens, as the SHA-256 of each in hex, with their scopes.
    pub tokens: Vec<(String, Vec<String>)>,
    /// The container for files of which nothing is said; made if it is not there.
    pub default_container: Option<Uuid>,
}

/// A partner as the file has it.
#[derive(Clone, Debug)]
pub struct PartnerWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Whose customer.
    pub tenant: TenantId,
    /// Its name, by which it is found in its tenant.
    pub name: Name,
    /// How it gets in, and where its files go.
    pub terms: Terms,
    /// What it may use; `containers` is how many it may have.
    pub limits: Limits,
}

/// The partner is there, with these terms and limits.
pub async fn put_partner(store: &Store, by: Actor, wanted: PartnerWanted) -> Result<(), Error> {
    let PartnerWanted { id, tenant, name, terms, limits } = wanted;
    if let Some(node) = partner_node(store, tenant, name.as_str()).await? {
        if id.is_some_and(|id| id != node.id.0) {
            return Err(Error::Conflict(format!("partner {name} is there as {}", node.id)));
        }
        let limits = limits.iter().map(|(resource, units)| (resource, Some(units))).collect();
        return bring(store, by, &node, terms, limits).await;
    }
    let id = PartnerId(id.unwrap_or_else(|| store.new_id()));
    let folder = store.read(move |tx| folder_of(tx, tenant)).await?;
    let (under, mut unit) = (folder.unwrap_or_else(|| AllotmentId(store.new_id())), Unit::by(by.clone()));
    if folder.is_none() {
        unit = unit.create_allotment(self::folder(under, AllotmentId(tenant.0), PARTNERS)?);
    }
    let containers = AllotmentId(store.new_id());
    let node = NewAllotment {
        title: name.to_string(),
        kind: "partner".to_owned(),
        limits,
        managed_by: Some(Managed::new("carrierx", "partner", id)),
        ..NewAllotment::new(id.allotment(), Some(under.into()), name.clone())
    };
    let unit = unit.create_allotment(node).create_allotment(self::folder(containers, id.allotment(), CONTAINERS)?);
    let written = terms.clone();
    let unit = unit.rows(move |tx| {
        let sql = "INSERT INTO partners (id, tenant_id, folder_id, name, created_at) VALUES ($1, $2, $3, $4, $5)";
        tx.execute(sql, &params![id, tenant, containers, name.as_str(), tx.now()])?;
        write_terms(tx, id, &written)
    });
    store.write(unit).await?;
    bring_default(store, by, id, terms.default_container).await
}

/// The file says something else of a partner.
pub async fn change_partner(
    store: &Store,
    by: Actor,
    tenant: TenantId,
    name: &str,
    terms: Terms,
    limits: LimitChanges,
) -> Result<(), Error> {
    let node = partner_node(store, tenant, name).await?.ok_or_else(|| Error::not_found("partner", name))?;
    bring(store, by, &node, terms, limits).await
}

/// The file no longer names a partner. Says whether it was there.
pub async fn remove_partner(store: &Store, by: Actor, tenant: TenantId, name: &str) -> Result<bool, Error> {
    let Some(node) = partner_node(store, tenant, name).await? else { return Ok(false) };
    let id = PartnerId(node.id.0);
    let folder = store.read(move |tx| crate::partner::folder(tx, id)).await?;
    let unit = Unit::by(by).remove_allotment(folder).remove_allotment(node.id);
    let unit = unit.rows(move |tx| tx.execute("DELETE FROM partners WHERE id = $1", &params![id]).map(drop));
    store.write(unit).await.map(|_| true)
}

/// The node of the partner of this name.
pub async fn partner_node(store: &Store, tenant: TenantId, name: &str) -> Result<Option<Allotment>, Error> {
    let name = name.to_owned();
    let read = store.read(move |tx| {
        let sql = "SELECT id FROM partners WHERE tenant_id = $1 AND name = $2";
        match tx.query_opt(sql, &params![tenant, name])? {
            Some(row) => store::allotments::find(tx, &row.get::<AllotmentId>(0)?.into()),
            None => Ok(None),
        }
    });
    read.await
}

fn folder_of(tx: &mut Tx, tenant: TenantId) -> Result<Option<AllotmentId>, Error> {
    let sql = "SELECT id FROM allotments WHERE parent_id = $1 AND name = $2";
    tx.query_opt(sql, &params![tenant, PARTNERS])?.map(|row| row.get(0)).transpose()
}

fn folder(id: AllotmentId, under: AllotmentId, name: &str) -> Result<NewAllotment, Error> {
    let segment: Name = name.parse().map_err(|error: ledger::NameError| Error::Broken(error.to_string()))?;
    Ok(NewAllotment {
        kind: "folder".to_owned(),
        managed_by: Some(Managed::new("site", "folder", format!("{under}/{name}"))),
        ..NewAllotment::new(id, Some(under.into()), segment)
    })
}

async fn bring(store: &Store, by: Actor, node: &Allotment, terms: Terms, limits: LimitChanges) -> Result<(), Error> {
    let id = PartnerId(node.id.0);
    let limits: LimitChanges =
        limits.into_iter().filter(|(resource, to)| node.balance(*resource).limit != *to).collect();
    let mut unit = Unit::by(by.clone());
    if !limits.is_empty() {
        unit = unit.change_allotment(node.id, AllotmentPatch { limits, ..AllotmentPatch::default() });
    }
    let default = terms.default_container;
    store.write(unit.rows(move |tx| write_terms(tx, id, &terms))).await?;
    bring_default(store, by, id, default).await
}

/// The partner's default container is this one from now on, or none.
async fn bring_default(store: &Store, by: Actor, partner: PartnerId, wanted: Option<Uuid>) -> Result<(), Error> {
    let wanted = wanted.map(ContainerId);
    let known = store.read(move |tx| {
        let found = match wanted {
            Some(id) => container::find(tx, partner, id)?.is_some(),
            None => true,
        };
        Ok((found, crate::partner::default_container(tx, partner)?, crate::partner::folder(tx, partner)?))
    });
    let (is_there, before, folder) = known.await?;
    if is_there && before == wanted {
        return Ok(());
    }
    let new = wanted.filter(|_| !is_there).map(|id| Container::new(store, id, partner));
    let mut unit = Unit::by(by);
    if let Some(new) = &new {
        unit = new.made_by(unit, folder)?;
    }
    let unit = unit.rows(move |tx| {
        new.iter().try_for_each(|new| container::insert(tx, new))?;
        let sql = "UPDATE partners SET default_container_id = $2 WHERE id = $1";
        tx.execute(sql, &params![partner, wanted]).map(drop)
    });
    store.write(unit).await.map(drop)
}

/// Nobody but the file says how a partner gets in, so it is written as a whole.
fn write_terms(tx: &mut Tx, id: PartnerId, terms: &Terms) -> Result<(), Error> {
    let password = terms.password.as_ref().map(PasswordHash::expose);
    let sql = "UPDATE partners SET login = $2, password = $3 WHERE id = $1";
    tx.execute(sql, &params![id, terms.login.as_ref(), password])?;
    tx.execute("DELETE FROM partner_tokens WHERE partner_id = $1", &params![id])?;
    let row = |(sha256, scopes): &(String, Vec<String>)| params![sha256, id, scopes.join(" ")];
    let rows: Vec<_> = terms.tokens.iter().map(row).collect();
    tx.insert_rows("partner_tokens (sha256, partner_id, scopes)", "", &rows)
}
