//! Readers: threads with connections of their own, each read in a transaction that sees one picture of the database.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ledger::Catalog;

use crate::open::Opener;
use crate::queue::Queue;
use crate::tx::Conn;
use crate::writer::Pulse;
use crate::{Clock, Error, Tx};

/// The most reads that wait: more is a flood, and told so.
pub(crate) const WAITING_MAX: usize = 4096;
/// How long a thread sleeps when nothing is asked. It only bounds how late a thread sees that it should end.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A read that waits.
pub(crate) struct Ask(Run);

type Run = Box<dyn FnOnce(Result<&mut Tx, Error>) + Send>;

/// Runs `read` on one of the readers.
pub(crate) async fn ask<T: Send + 'static>(
    queue: &Queue<Ask>,
    read: impl FnOnce(&mut Tx) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let run = move |tx: Result<&mut Tx, Error>| drop(answer.send(tx.and_then(read)));
    if !queue.push(Ask(Box::new(run))) {
        return Err(Error::Busy { retry_after_s: 1 });
    }
    answered.await.unwrap_or_else(|_| Err(Error::Broken("a read was stopped".to_owned())))
}

/// One reader's thread.
pub(crate) struct Reader {
    pub opener: Opener,
    pub catalog: Catalog,
    pub clock: Clock,
    pub pulse: Arc<Pulse>,
    pub queue: Arc<Queue<Ask>>,
    pub conn: Option<Conn>,
}

impl Reader {
    pub(crate) fn run(mut self) {
        while let Some(asked) = self.queue.take(PATIENCE, |_| false) {
            for Ask(run) in asked {
                self.one(run);
            }
        }
    }

    fn one(&mut self, run: Run) {
        if let Err(error) = self.begin() {
            return run(Err(error));
        }
        let Some(conn) = &mut self.conn else { return };
        let now = self.pulse.now(&self.clock);
        let mut tx = Tx::new(conn, &self.catalog, now);
        // A panic is the read's own; the thread and the other reads go on.
        let panicked = catch_unwind(AssertUnwindSafe(|| run(Ok(&mut tx)))).is_err();
        if panicked || conn.batch("COMMIT").is_err() {
            self.conn = None;
        }
    }

    /// Begins on a connection that works, a new one if it must be.
    fn begin(&mut self) -> Result<(), Error> {
        for _ in 0..2 {
            if self.conn.as_ref().is_none_or(Conn::is_closed) {
                self.conn = None;
                let opened = self.opener.open(false).map_err(|error| {
                    tracing::debug!(%error, "a reader has no connection");
                    Error::Busy { retry_after_s: 1 }
                });
                self.conn = Some(opened?);
            }
            let Some(conn) = &mut self.conn else { continue };
            match conn.batch(conn.dialect().begin_read()) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::debug!(%error, "a read could not begin");
                    self.conn = None;
                }
            }
        }
        Err(Error::Busy { retry_after_s: 1 })
    }
}
