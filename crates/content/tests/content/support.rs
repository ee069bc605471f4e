//! A site with one tenant and one pool, and the verbs of a caller that stores content in it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use content::{BlobId, BlobInfo, Content, Draft, Error, SiteKey, Staged};
use futures_util::{Stream, StreamExt, stream};
use ledger::{AllotmentId, Amounts, Limits, Resource, Side};
use store::{Actor, AllotmentRef, Clock, Managed, NewAllotment, Store, SupplyRef, Tx, Unit, Value};

pub const KEY: [u8; 32] = [9; 32];

/// What outlives a process: the database, the folder, and the time.
pub struct Ground {
    pub folder: tempfile::TempDir,
    pub database: support_store::Database,
    pub clock: Clock,
}

/// A running process on it.
pub struct Site {
    pub ground: Ground,
    pub store: Store,
    pub content: Content,
    pub acme: AllotmentId,
    pub pool: AllotmentId,
}

/// The grounds to run a test on.
pub fn grounds() -> Vec<Ground> {
    support_store::databases()
        .into_iter()
        .map(|(folder, database)| Ground { folder, database, clock: clock() })
        .collect()
}

fn clock() -> Clock {
    Clock::manual(1_700_000_000_000_000)
}

impl Ground {
    pub async fn open(&self) -> Store {
        support_store::open(&self.database, self.clock.clone()).await
    }

    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// A site whose tenant may have `limit` bytes.
    pub async fn site(self, limit: u64) -> Site {
        let store = self.open().await;
        let content = Content::new(store.clone(), self.files(), None);
        self.with(store, content, limit).await
    }

    pub async fn sealed_site(self, limit: u64) -> Site {
        let store = self.open().await;
        let content = Content::new(store.clone(), self.files(), Some(SiteKey::new(KEY)));
        self.with(store, content, limit).await
    }

    pub async fn with(self, store: Store, content: Content, limit: u64) -> Site {
        let (acme, pool) = (AllotmentId(store.new_id()), AllotmentId(store.new_id()));
        let limits = Limits::new().with(Resource::BYTES, limit).unwrap();
        let demand = NewAllotment { limits, ..NewAllotment::new(acme, None, "acme".parse().unwrap()) };
        let supply = NewAllotment { side: Side::Supply, ..NewAllotment::new(pool, None, "disk".parse().unwrap()) };
        store.write(Unit::by(tester()).create_allotment(demand).create_allotment(supply)).await.unwrap();
        content.start().await.unwrap();
        Site { ground: self, store, content, acme, pool }
    }
}

pub fn tester() -> Actor {
    Actor::system("test")
}

impl Site {
    pub fn draft(&self) -> Draft {
        Draft {
            by: tester(),
            demand: self.acme,
            supply: SupplyRef::At(self.pool.into()),
            extra: Amounts::new().with(Resource::OBJECTS, 1).unwrap(),
            managed_by: Managed::new("test", "file", "1"),
            declared_len: None,
            declared_is_exact: false,
        }
    }

    pub fn declared(&self, len: u64) -> Draft {
        Draft { declared_len: Some(len), declared_is_exact: true, ..self.draft() }
    }

    /// Stores bytes whose number is not said before.
    pub async fn put(&self, bytes: &[u8]) -> BlobId {
        let staged = self.content.receive(self.draft(), body(bytes)).await.unwrap();
        self.commit(staged).await
    }

    pub async fn commit(&self, staged: Staged) -> BlobId {
        let blob = staged.blob;
        staged.commit(Unit::by(tester())).await.unwrap();
        blob
    }

    pub async fn info(&self, blob: BlobId) -> Option<BlobInfo> {
        self.store.read(move |tx| content::info(tx, blob)).await.unwrap()
    }

    pub async fn get(&self, blob: BlobId, range: Option<(u64, u64)>) -> Result<Vec<u8>, Error> {
        let (_, mut stream) = self.content.open(blob, range).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    pub async fn doom(&self, blob: BlobId) {
        let info = self.info(blob).await.unwrap();
        self.store.write(content::doom(Unit::by(tester()), &info)).await.unwrap();
    }

    /// Bytes held and pending, at the tenant and in the pool.
    pub async fn bytes(&self) -> [(u64, u64); 2] {
        let leaves = [self.acme, self.pool];
        let read = self.store.read(move |tx| {
            let mut found = [(0, 0); 2];
            for (leaf, found) in leaves.into_iter().zip(&mut found) {
                let node = store::allotments::find(tx, &AllotmentRef::Id(leaf))?.expect("a site has both");
                let balance = node.balance(Resource::BYTES);
                *found = (balance.used, balance.pending);
            }
            Ok(found)
        });
        read.await.unwrap()
    }

    /// Nothing is stored, nothing is charged, and nothing is left of anything.
    pub async fn assert_empty(&self) {
        assert_eq!(self.bytes().await, [(0, 0), (0, 0)], "nothing is charged");
        assert_eq!(self.rows().await, [0, 0, 0], "nothing is in a row");
        assert_eq!(self.files(), 0, "nothing is in a file");
    }

    /// Rows live or doomed, staging, doomed.
    pub async fn rows(&self) -> [u64; 3] {
        let count = |tx: &mut Tx, table: &str| -> Result<u64, store::Error> {
            let row = tx.query_opt(&format!("SELECT count(*) FROM {table}"), &[])?.expect("a count is a row");
            row.get(0)
        };
        let read = self
            .store
            .read(move |tx| Ok([count(tx, "blobs")?, count(tx, "blobs_staging")?, count(tx, "blobs_doomed")?]));
        read.await.unwrap()
    }

    pub fn files(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
            entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(self.content.folder())
    }

    pub async fn execute(&self, sql: &'static str, values: Vec<Value>) {
        let unit = Unit::by(tester()).rows(move |tx| tx.execute(sql, &values));
        assert_eq!(self.store.write(unit).await.unwrap().value, 1, "{sql}");
    }

    /// The doctor finds nothing.
    pub async fn assert_sound(&self) {
        assert_eq!(self.content.audit().await.unwrap().drift, Vec::<String>::new());
    }

    /// The same ground under a new process.
    pub async fn restart(self) -> Site {
        let Site { ground, content, acme, pool, store } = self;
        drop((content, store));
        let store = ground.open().await;
        let content = Content::new(store.clone(), ground.files(), None);
        content.start().await.unwrap();
        Site { ground, store, content, acme, pool }
    }
}

/// Bytes that differ from place to place.
pub fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A body in frames of an odd size.
pub fn body(bytes: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    let frames: Vec<_> = bytes.chunks(60_001).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect();
    stream::iter(frames)
}

/// A body that breaks off after these bytes.
pub fn cut_body(bytes: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    body(bytes).chain(stream::iter([Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))]))
}

/// A body that stalls after these bytes.
pub fn stalled_body(bytes: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    body(bytes).chain(stream::pending())
}

/// Waits until it is so: for what a dropped future leaves to a task.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    for _ in 0..500 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not so after ten seconds");
}

/// The databases that every test runs on.
pub mod support_store {
    use super::*;
    pub use store::Database;

    /// A new SQLite file and, where `PLIMSOLL_TEST_POSTGRES` names a server, a new database there.
    pub fn databases() -> Vec<(tempfile::TempDir, Database)> {
        let folder = tempfile::tempdir().unwrap();
        let file = Database::Sqlite(folder.path().join("plimsoll.db"));
        let mut databases = vec![(folder, file)];
        if let Ok(base) = std::env::var("PLIMSOLL_TEST_POSTGRES") {
            databases.push((tempfile::tempdir().unwrap(), Database::Postgres(fresh_database(base))));
        }
        databases
    }

    /// In a thread of its own: the client must not wait within a runtime.
    fn fresh_database(url: String) -> String {
        let make = move || {
            let name = format!("content_{}", Clock::system().new_id().simple());
            let mut server = postgres::Client::connect(&url, postgres::NoTls).unwrap();
            server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
            let (server, _) = url.rsplit_once('/').unwrap();
            format!("{server}/{name}")
        };
        std::thread::spawn(make).join().unwrap()
    }

    pub async fn open(database: &Database, clock: Clock) -> Store {
        let migrations = vec![Content::migrations()];
        Store::open(store::Options { clock, migrations, ..store::Options::new(database.clone()) }).await.unwrap()
    }
}
