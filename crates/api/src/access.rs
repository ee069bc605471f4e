//! What a caller may do and see: the table of rights is identity's; what is not to be seen is not there.

use identity::{Principal, Right, Role};
use ledger::AllotmentId;
use store::{Allotment, AllotmentRef, TenantId, Tx};

use crate::Api;
use crate::auth::Caller;
use crate::error::Error;

/// How many pages of what a member holds are read for one call: each holding is looked up, so there must be an end.
const HOLDING_PAGES_MAX: usize = 10;

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
        self.view_as(caller, &[Role::Owner, Role::Member]).await
    }

    /// What the caller administers: of a member's view only what they own, not what they were given to claim on.
    pub async fn owned(&self, caller: &Caller) -> Result<View, Error> {
        self.view_as(caller, &[Role::Owner]).await
    }

    async fn view_as(&self, caller: &Caller, roles: &'static [Role]) -> Result<View, Error> {
        let Some(tenant) = caller.tenant_scope() else { return Ok(View::All) };
        let Some(member) = caller.member() else { return Ok(View::Tenant(tenant)) };
        let holdings = self.holdings(member).await?.into_iter();
        let ids = holdings.filter(|(_, role)| roles.contains(role)).map(|(id, _)| id).collect();
        Ok(View::Below(self.store.read(move |tx| tops(tx, ids)).await?))
    }

    /// All that a member holds, page by page.
    async fn holdings(&self, member: &Principal) -> Result<Vec<(AllotmentId, Role)>, Error> {
        let mut holdings: Vec<(AllotmentId, Role)> = Vec::new();
        for _ in 0..HOLDING_PAGES_MAX {
            let page = self.identity.holdings(member, holdings.last().map(|(id, _)| *id)).await?;
            let is_last = page.len() < identity::PAGE_MAX;
            holdings.extend(page);
            if is_last {
                break;
            }
        }
        Ok(holdings)
    }
}

fn tops(tx: &mut Tx, holdings: Vec<AllotmentId>) -> Result<Vec<Allotment>, store::Error> {
    let mut found = Vec::with_capacity(holdings.len());
    for id in holdings {
        found.extend(store::allotments::find(tx, &id.into())?);
    }
    // Name by name, so that what lies below something comes right after it.
    found.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    let mut tops: Vec<Allotment> = Vec::new();
    for allotment in found {
        if !tops.last().is_some_and(|top| is_within(&allotment.path, &top.path)) {
            tops.push(allotment);
        }
    }
    tops.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tops)
}
