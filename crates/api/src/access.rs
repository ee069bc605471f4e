//! What a caller may do and see: the table of rights is identity's; what is not to be seen is not there.

use identity::Right;
use ledger::AllotmentId;
use store::{Allotment, AllotmentRef, TenantId, Tx};

use crate::Api;
use crate::auth::Caller;
use crate::error::Error;

/// Where what a caller may see begins.
#[derive(Clone, Debug)]
pub enum View {
    /// Everywhere.
    All,
    /// At a tenant's root.
    Tenant(TenantId),
    /// At these allotments, none of which lies below another, in the order of their paths.
    Below(Vec<Allotment>),
}

impl View {
    /// The tenant that what is listed must be of, if there is one.
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            View::All | View::Below(_) => None,
            View::Tenant(tenant) => Some(*tenant),
        }
    }
}

/// Whether `path` is at or below `top`.
pub fn is_within(path: &str, top: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Api {
    /// The allotment, if the caller may do this to it.
    pub async fn allotment(&self, caller: &Caller, reference: AllotmentRef, right: Right) -> Result<Allotment, Error> {
        let found = self.store.read(move |tx| store::allotments::find(tx, &reference)).await?;
        let found = found.ok_or(Error::NotFound("allotment"))?;
        self.check(caller, &found, right).await?;
        Ok(found)
    }

    /// That the caller may do this. What they may not even see is not there.
    pub async fn check(&self, caller: &Caller, allotment: &Allotment, right: Right) -> Result<(), Error> {
        let Caller::User(who) = caller else { return Ok(()) };
        if self.identity.may(who, allotment, right).await? {
            return Ok(());
        }
        if right != Right::Read && self.identity.may(who, allotment, Right::Read).await? {
            return Err(Error::Forbidden("you may see this allotment, and not do this to it"));
        }
        Err(Error::NotFound("allotment"))
    }

    /// The same for what is charged on a leaf. What is left of deleted things has none, and is for operators.
    pub async fn check_leaf(&self, caller: &Caller, leaf: Option<AllotmentId>, right: Right) -> Result<(), Error> {
        if caller.is_operator() {
            return Ok(());
        }
        let leaf = leaf.ok_or(Error::NotFound("claim"))?;
        match self.allotment(caller, leaf.into(), right).await {
            Err(Error::NotFound(_)) => Err(Error::NotFound("claim")),
            other => other.map(drop),
        }
    }

    /// What the caller may see. Only for members does this look at the database.
    pub async fn view(&self, caller: &Caller) -> Result<View, Error> {
        let Some(tenant) = caller.tenant_scope() else { return Ok(View::All) };
        let Some(member) = caller.member() else { return Ok(View::Tenant(tenant)) };
        let holdings = self.identity.holdings(member, None).await?;
        let tops = self.store.read(move |tx| tops(tx, holdings.into_iter().map(|(id, _)| id).collect()));
        Ok(View::Below(tops.await?))
    }
}

fn tops(tx: &mut Tx, holdings: Vec<AllotmentId>) -> Result<Vec<Allotment>, store::Error> {
    let mut found = Vec::with_capacity(holdings.len());
    for id in holdings {
        found.extend(store::allotments::find(tx, &id.into())?);
    }
    // Shorter paths first: what lies above is met before what lies below it.
    found.sort_by(|a, b| (a.depth, &a.path).cmp(&(b.depth, &b.path)));
    let mut tops: Vec<Allotment> = Vec::new();
    for allotment in found {
        if !tops.iter().any(|top| is_within(&allotment.path, &top.path)) {
            tops.push(allotment);
        }
    }
    tops.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tops)
}
