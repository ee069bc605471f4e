//! A store in a database of its own, with the clock in the test's hand, and the words the tests are written in.

use std::sync::{Arc, Condvar, Mutex};

use ledger::{AllotmentId, Amounts, Balance, ClaimId, Limits, Refusal, Resource, Side};
use store::{
    Actor, Allotment, AllotmentPatch, AllotmentRef, Claim, Clock, Database, Done, Error, Event, EventFilter,
    Migrations, NewAllotment, NewClaim, Options, Store, SupplyRef, Tx, Unit,
};
use tokio::task::JoinHandle;

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const SECOND: i64 = 1_000_000;

/// A table of a noun that takes space.
pub const THINGS: Migrations = Migrations {
    owner: "things",
    steps: &[("V1__things", "CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, size BIGINT NOT NULL);")],
};

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let mut house = crate::house::House::sqlite().await;
                super::$name(&mut house).await;
                house.finds_nothing().await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(mut house) = crate::house::House::postgres().await {
                    super::$name(&mut house).await;
                    house.finds_nothing().await;
                }
            })*
        }
    };
}

pub struct House {
    pub store: Store,
    pub clock: Clock,
    pub database: Database,
    _folder: Option<tempfile::TempDir>,
}

pub fn by() -> Unit {
    Unit::by(Actor::system("test"))
}

pub fn bytes(units: u64) -> Amounts {
    Amounts::new().with(Resource::BYTES, units).unwrap()
}

pub fn amounts(of: &[(Resource, u64)]) -> Amounts {
    of.iter().fold(Amounts::new(), |amounts, (resource, units)| amounts.with(*resource, *units).unwrap())
}

pub fn path(text: &str) -> AllotmentRef {
    match text.strip_prefix("supply:") {
        Some(path) => AllotmentRef::Path(Side::Supply, path.to_owned()),
        None => AllotmentRef::Path(Side::Demand, text.to_owned()),
    }
}

impl House {
    pub async fn sqlite() -> House {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plimsoll.db");
        House::over(Database::Sqlite(file), Some(folder)).await
    }

    pub async fn postgres() -> Option<House> {
        let base = std::env::var("PLIMSOLL_TEST_POSTGRES").ok()?;
        let url = tokio::task::spawn_blocking(move || fresh_database(&base)).await.unwrap();
        Some(House::over(Database::Postgres(url), None).await)
    }

    async fn over(database: Database, folder: Option<tempfile::TempDir>) -> House {
        let clock = Clock::manual(START);
        let store = Store::open(options(&database, &clock)).await.unwrap();
        House { store, clock, database, _folder: folder }
    }

    /// How this house opens its store.
    pub fn options(&self) -> Options {
        options(&self.database, &self.clock)
    }

    /// The same database after a restart.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Store::open(self.options()).await.unwrap();
    }

    pub async fn write<T: Send + 'static>(&self, unit: Unit<T>) -> Result<Done<T>, Error> {
        self.store.write(unit).await
    }

    /// Writes in a task of its own, so that many wait at once.
    pub fn send<T: Send + 'static>(&self, unit: Unit<T>) -> JoinHandle<Result<Done<T>, Error>> {
        let store = self.store.clone();
        tokio::spawn(async move { store.write(unit).await })
    }

    /// Makes a node with limits: `site/acme`, or `supply:pool` on the other side. Those above it must be there.
    pub async fn make(&self, at: &str, limits: &[(Resource, u64)]) -> AllotmentId {
        let new = self.new_node(at, limits);
        let id = new.id;
        self.write(by().create_allotment(new)).await.unwrap();
        id
    }

    pub fn new_node(&self, at: &str, limits: &[(Resource, u64)]) -> NewAllotment {
        let id = AllotmentId(self.store.new_id());
        let (parent, name) = match at.rsplit_once('/') {
            Some((above, name)) => (Some(path(above)), name),
            None => (None, at.trim_start_matches("supply:")),
        };
        let limits: Limits = amounts(limits);
        let side = if at.starts_with("supply:") { Side::Supply } else { Side::Demand };
        NewAllotment { side, limits, ..NewAllotment::new(id, parent, name.parse().unwrap()) }
    }

    pub async fn limit(&self, at: &str, resource: Resource, units: impl Into<Option<u64>>) -> Result<(), Error> {
        let patch = AllotmentPatch { limits: vec![(resource, units.into())], ..AllotmentPatch::default() };
        self.write(by().change_allotment(path(at), patch)).await.map(drop)
    }

    /// A claim on demand alone, not yet made.
    pub fn claim(&self, at: &str, amounts: Amounts) -> NewClaim {
        let id = ClaimId(self.store.new_id());
        NewClaim { supply: SupplyRef::None, ..NewClaim::held(id, path(at), amounts) }
    }

    pub async fn hold(&self, at: &str, units: u64) -> Result<ClaimId, Error> {
        let claim = self.claim(at, bytes(units));
        Ok(self.write(by().charge(claim)).await?.claims[0].id)
    }

    pub async fn reserve(&self, at: &str, units: u64, seconds: i64) -> Result<ClaimId, Error> {
        let claim = NewClaim { lease: Some(seconds), ..self.claim(at, bytes(units)) };
        Ok(self.write(by().charge(claim)).await?.claims[0].id)
    }

    pub async fn find_node(&self, at: &str) -> Option<Allotment> {
        let at = path(at);
        self.store.read(move |tx| store::allotments::find(tx, &at)).await.unwrap()
    }

    pub async fn node(&self, at: &str) -> Allotment {
        self.find_node(at).await.unwrap_or_else(|| panic!("{at} is not there"))
    }

    pub async fn find_claim(&self, id: ClaimId) -> Option<Claim> {
        self.store.read(move |tx| store::claims::find(tx, id)).await.unwrap()
    }

    pub async fn balance(&self, at: &str, resource: Resource) -> Balance {
        self.node(at).await.balance(resource)
    }

    /// Used and pending bytes of a node.
    pub async fn load(&self, at: &str) -> (u64, u64) {
        let balance = self.balance(at, Resource::BYTES).await;
        (balance.used, balance.pending)
    }

    /// One number out of the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        self.store.read(move |tx| tx.query_opt(sql, &[])?.unwrap().get::<i64>(0)).await.unwrap()
    }

    /// Runs SQL behind the store's back.
    pub async fn tamper(&self, sql: &'static str) {
        self.write(by().rows(move |tx| tx.execute(sql, &[]))).await.unwrap();
    }

    /// The journal so far, at least `count` entries. On PostgreSQL an entry is shown when no older transaction of the whole
    /// server is open, those of other tests included, so it may take a look or two.
    pub async fn events(&self, count: usize, filter: EventFilter) -> Vec<Event> {
        loop {
            let filter = EventFilter { limit: 1000, ..filter.clone() };
            let found = self.store.read(move |tx| store::events::list(tx, &filter)).await.unwrap();
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Holds the writer until the gate is opened, so that what is sent meanwhile comes in one batch.
    pub async fn hold_writer(&self) -> Gate {
        let gate = Gate::default();
        let (held, (reached, wait)) = (gate.clone(), tokio::sync::oneshot::channel());
        let reached = Mutex::new(Some(reached));
        drop(self.send(by().rows(move |_| {
            if let Some(reached) = reached.lock().unwrap().take() {
                let _ = reached.send(());
            }
            held.pass();
            Ok(())
        })));
        wait.await.unwrap();
        gate
    }

    /// Until so many units wait behind a held writer.
    pub async fn waits(&self, units: u64) {
        while self.store.stats().waiting < units {
            tokio::task::yield_now().await;
        }
    }

    /// Has these units come in one batch, in this order, and answers what came of each.
    pub async fn in_one_batch<T: Send + 'static>(&self, units: Vec<Unit<T>>) -> Vec<Result<Done<T>, Error>> {
        let gate = self.hold_writer().await;
        let mut sent = Vec::new();
        for unit in units {
            sent.push(self.send(unit));
            self.waits(sent.len() as u64).await;
        }
        gate.open();
        all(sent).await
    }

    pub fn later(&self, seconds: i64) {
        self.clock.advance(seconds * SECOND);
    }

    pub async fn finds_nothing(&self) {
        let doctor = self.store.doctor().await.unwrap();
        assert_eq!(doctor.drift, vec![], "what the doctor finds");
        assert_eq!(self.store.stats().breaches, 0);
    }
}

fn options(database: &Database, clock: &Clock) -> Options {
    Options { clock: clock.clone(), migrations: vec![THINGS], ..Options::new(database.clone()) }
}

/// Where a closure waits until the test lets it pass.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |is_open| !*is_open).unwrap());
    }
}

/// What came of tasks, in their order.
pub async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// A row as data.
pub const INTO_THINGS: &str = "things (name, size)";

/// A row by a closure.
pub fn insert_thing(tx: &mut Tx, name: &str) -> Result<(), Error> {
    tx.execute("INSERT INTO things (name, size) VALUES ($1, $2)", &store::params![name, 1_i64]).map(drop)
}

/// A noun's own reason.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the drive is mounted")]
pub struct Mounted;

/// The refusals of a refused unit, a sentence each.
pub fn refusals<T: std::fmt::Debug>(answer: Result<T, Error>) -> Vec<String> {
    match answer {
        Err(Error::Refused(refusals)) => refusals.iter().map(Refusal::to_string).collect(),
        other => panic!("it was not refused: {other:?}"),
    }
}

/// The name of an answer: `ok`, or the error's.
pub fn word<T>(answer: &Result<T, Error>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(Error::Refused(_)) => "refused",
        Err(Error::Overcommitted(_)) => "overcommitted",
        Err(Error::Frozen(_)) => "frozen",
        Err(Error::NotFound { .. }) => "not found",
        Err(Error::Conflict(_)) => "conflict",
        Err(Error::Stale) => "stale",
        Err(Error::Managed(_)) => "managed",
        Err(Error::Invalid(_)) => "invalid",
        Err(Error::KeyReused) => "key reused",
        Err(Error::Replayed(_)) => "replayed",
        Err(Error::Noun(_)) => "noun",
        Err(Error::Full) => "full",
        Err(Error::Busy { .. }) => "busy",
        Err(Error::Broken(_)) => "broken",
        Err(Error::Retry(_)) => "retry",
    }
}

pub fn words<T>(answers: &[Result<T, Error>]) -> Vec<&'static str> {
    answers.iter().map(word).collect()
}

pub fn fresh_database(base: &str) -> String {
    use std::hash::BuildHasher;
    let mut server = postgres::Client::connect(base, postgres::NoTls).unwrap();
    let name = format!("store_{:016x}_{}", std::hash::RandomState::new().hash_one(0), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}
