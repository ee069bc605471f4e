//! What nobody asks for at the time: files whose time is over go, and containers that passed a threshold are cleared
//! (section 7).
//!
//! **Always.** What is to go is judged anew from what the database says at each look, so nothing is lost with the process,
//! and two processes that look at once do no more than one. Since when a container has been over is a column, so a
//! restart does not begin the grace period anew.
//! **Bounds.** A look takes so many rows at a time, and others write between two of its commits.

use std::sync::Arc;
use std::time::Duration;

use store::{Actor, Error as StoreError, Micros, Tx, Unit, params};

use crate::Face;
use crate::container::{self, Container};
use crate::error::Error;
use crate::file::{self, Going};
use crate::ids::{ContainerId, FileId};

/// How often it looks: what is over is free well within the two seconds of the specification.
const EVERY: Duration = Duration::from_millis(500);
/// How many files go in one commit.
const FILES_MAX: usize = 100;
/// How many containers are looked at in one read.
const CONTAINERS_MAX: usize = 200;

impl Face {
    /// Looks from now on, for as long as anybody holds this face.
    pub fn start(&self) {
        let parts = Arc::downgrade(&self.parts);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(parts) = parts.upgrade() else { return };
                if let Err(error) = (Face { parts }).sweep().await {
                    tracing::debug!(%error, "a sweep of files was given up; the next comes soon");
                }
            }
        });
    }

    /// One look: ends what is over, then clears what is over its threshold.
    pub async fn sweep(&self) -> Result<(), Error> {
        self.end_files(None).await?;
        self.clear_containers().await
    }

    /// Removes the files of a container whose time is over, without waiting for the next look.
    pub(crate) async fn end_files_of(&self, container: ContainerId) -> Result<(), Error> {
        self.end_files(Some(container)).await
    }

    async fn end_files(&self, within: Option<ContainerId>) -> Result<(), Error> {
        loop {
            let found = self.store.read(move |tx| over(tx, within)).await?;
            let count = found.len();
            self.remove(found).await?;
            if count < FILES_MAX {
                return Ok(());
            }
        }
    }

    /// Removes these files. One that has gone meanwhile does not keep the others.
    async fn remove(&self, going: Vec<Going>) -> Result<(), Error> {
        if going.is_empty() {
            return Ok(());
        }
        match self.store.write(file::doom_all(Unit::by(by()), going.clone())).await {
            Err(StoreError::NotFound { .. } | StoreError::Conflict(_)) if going.len() > 1 => {
                for one in going {
                    self.remove_one(one).await?;
                }
                Ok(())
            }
            Err(StoreError::NotFound { .. } | StoreError::Conflict(_)) => Ok(()),
            written => written.map(drop).map_err(Error::from),
        }
    }

    async fn remove_one(&self, going: Going) -> Result<(), Error> {
        match self.store.write(file::doom_all(Unit::by(by()), vec![going])).await {
            Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn clear_containers(&self) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.store.read(move |tx| clearing(tx, after)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.container.id);
            for found in page {
                self.clear(found).await?;
            }
        }
    }

    /// Notes when a container came over its threshold, or under it again; clears one whose grace period is over.
    async fn clear(&self, found: Clearing) -> Result<(), Error> {
        let Clearing { container, over_since } = found;
        let (id, now) = (container.id, self.store.now());
        let is_over = excess(&container, Bound::Threshold) != (0, 0);
        let since = if is_over { over_since.or(Some(now)) } else { None };
        let grace = Micros::try_from(container.traits.threshold_grace_period).unwrap_or(Micros::MAX);
        let due = since.is_some_and(|since| since.saturating_add(grace.saturating_mul(1_000_000)) <= now);
        if due {
            self.clear_to_target(container).await?;
        }
        // What was cleared is below its threshold now.
        let since = since.filter(|_| !due);
        if since == over_since {
            return Ok(());
        }
        let sql = "UPDATE containers SET over_since = $2 WHERE id = $1";
        let unit = Unit::by(by()).rows(move |tx| tx.execute(sql, &params![id, since]).map(drop));
        self.store.write(unit).await.map(drop).map_err(Error::from)
    }

    async fn clear_to_target(&self, mut container: Container) -> Result<(), Error> {
        loop {
            let wanted = container.clone();
            let found = self.store.read(move |tx| first_to_go(tx, &wanted)).await?;
            if found.is_empty() {
                return Ok(());
            }
            self.remove(found).await?;
            let (partner, id, before) = (container.partner, container.id, container.totals);
            match self.store.read(move |tx| container::find(tx, partner, id)).await? {
                // Where nothing could be removed now, the next look tries again.
                Some(now) if now.totals != before => container = now,
                _ => return Ok(()),
            }
        }
    }
}

/// As the journal names us.
fn by() -> Actor {
    Actor::system("carrierx")
}

/// Files whose time is over.
fn over(tx: &mut Tx, within: Option<ContainerId>) -> Result<Vec<Going>, StoreError> {
    let (condition, mut values) = ("expires_at <= $1", params![tx.now()].to_vec());
    let within = within.map(|container| {
        values.push(container.into());
        " AND container_id = $2"
    });
    let sql = format!(
        "SELECT id, blob_id FROM files WHERE {condition}{} ORDER BY expires_at LIMIT {FILES_MAX}",
        within.unwrap_or_default()
    );
    let rows = tx.query(&sql, &values)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.extend(file::going(tx, row.get(0)?, row.get(1)?)?);
    }
    Ok(found)
}

/// A container that would be cleared, and since when it has been over its threshold.
struct Clearing {
    container: Container,
    over_since: Option<Micros>,
}

fn clearing(tx: &mut Tx, after: Option<ContainerId>) -> Result<Vec<Clearing>, StoreError> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let sql = format!(
        "SELECT {}, containers.over_since FROM {} WHERE containers.threshold_action IS NOT NULL \
         AND containers.threshold_action <> 'no_action' AND containers.id > $1 ORDER BY containers.id \
         LIMIT {CONTAINERS_MAX}",
        container::columns(),
        container::FROM
    );
    let rows = tx.query(&sql, &params![after])?;
    let last = |row: &store::Row| row.get(container::WIDTH);
    rows.iter().map(|row| Ok(Clearing { container: container::from_row(row)?, over_since: last(row)? })).collect()
}

/// To which of the two a container is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Threshold,
    Target,
}

/// How many bytes and files are too many.
fn excess(container: &Container, bound: Bound) -> (u64, u64) {
    let (bytes, files) = container.totals.counted();
    let traits = &container.traits;
    let over = |total: u64, threshold: Option<u64>, target: Option<u64>| {
        let to = if bound == Bound::Target { target.or(threshold) } else { threshold };
        threshold.and(to).map_or(0, |to| total.saturating_sub(to))
    };
    (
        over(bytes, traits.threshold_bytes, traits.threshold_bytes_target),
        over(files, traits.threshold_files, traits.threshold_files_target),
    )
}

/// The files that go first, as many as must for both totals to come down to their targets, and as fit one commit.
fn first_to_go(tx: &mut Tx, container: &Container) -> Result<Vec<Going>, StoreError> {
    let (mut bytes, mut files) = excess(container, Bound::Target);
    if (bytes, files) == (0, 0) {
        return Ok(Vec::new());
    }
    let order = match container.traits.threshold_action {
        Some("delete_least_recent") => "f.date_last_accessed ASC NULLS FIRST, f.date_modified, f.id",
        _ => "f.date_modified, f.id",
    };
    let sql = format!(
        "SELECT f.id, f.blob_id, f.size_bytes FROM allotments n JOIN allotments d ON d.side = 'demand' \
         AND d.path >= n.path AND d.path < n.path || '0' AND (d.path = n.path OR d.path >= n.path || '/') \
         JOIN files f ON f.container_id = d.id WHERE n.id = $1 AND f.threshold_include ORDER BY {order} \
         LIMIT {FILES_MAX}"
    );
    let mut found = Vec::new();
    for row in tx.query(&sql, &params![container.id])? {
        if (bytes, files) == (0, 0) {
            break;
        }
        (bytes, files) = (bytes.saturating_sub(row.get(2)?), files.saturating_sub(1));
        found.extend(file::going(tx, row.get::<FileId>(0)?, row.get(1)?)?);
    }
    Ok(found)
}
