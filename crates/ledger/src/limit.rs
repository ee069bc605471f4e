//! Limits that move by an amount, and limits that must cover what there is.

use crate::{AMOUNT_MAX, Balance, Denied, Node, Refusal, Resource};

impl Node {
    /// The limit of `resource` when it has grown or shrunk by so much. None: it would be more than an amount holds.
    ///
    /// A node without such a limit has nothing that could move, so it stays unlimited; one that has less than what is to be
    /// taken away refuses.
    pub fn shifted(&self, resource: Resource, by: i64) -> Result<Option<u64>, Denied> {
        let balance = self.balance(resource);
        let Some(limit) = balance.limit else { return Ok(None) };
        match limit.checked_add_signed(by) {
            Some(limit) => Ok(Some(limit).filter(|limit| *limit <= AMOUNT_MAX)),
            None => Err(Denied::Refused(vec![self.short(resource, balance, limit, by.unsigned_abs())])),
        }
    }

    /// Whether `limit` would cover what is used and pending, and what the children were promised, where promises are checked.
    pub fn covers(&self, resource: Resource, limit: u64) -> Result<(), Denied> {
        let balance = self.balance(resource);
        if (Balance { limit: Some(limit), ..balance }).is_over() {
            return Err(Denied::Refused(vec![self.short(resource, balance, limit, 0)]));
        }
        let Some(overcommit) = self.overcommit else { return Ok(()) };
        let most = u128::from(limit) * u128::from(overcommit.permille) / 1000;
        if balance.promised > most {
            let (path, overcommit, asked) = (self.path.clone(), overcommit.to_string(), balance.promised);
            return Err(Denied::Overcommitted { path, resource, limit, overcommit, most, asked });
        }
        Ok(())
    }

    fn short(&self, resource: Resource, balance: Balance, limit: u64, asked: u64) -> Refusal {
        let Balance { used, pending, .. } = balance;
        Refusal { allotment: self.id, path: self.path.clone(), side: self.side, resource, limit, used, pending, asked }
    }
}
