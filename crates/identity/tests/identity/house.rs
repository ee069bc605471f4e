//! A house of two tenants and an operator, in a database of its own, with the clock in the test's hand.

use identity::{Identity, NewTenant, NewToken, NewUser, Principal, Secret, Settings, User};
use ledger::{AllotmentId, Amounts, ClaimId, Limits, Resource};
use store::{Actor, Allotment, AllotmentRef, Clock, NewAllotment, NewClaim, Store, SupplyRef, TenantId, Unit, UserId};

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const SECOND: i64 = 1_000_000;
pub const HOME: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::house::House::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(house) = crate::house::House::postgres().await {
                    super::$name(house).await;
                }
            })*
        }
    };
}

pub struct House {
    pub identity: Identity,
    pub store: Store,
    pub clock: Clock,
    pub acme: TenantId,
    pub globex: TenantId,
    pub operator: Principal,
    _database: Option<tempfile::TempDir>,
}

pub fn by() -> Actor {
    Actor::system("test")
}

impl House {
    pub async fn sqlite() -> House {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plimsoll.db");
        House::over(store::Database::Sqlite(file), true, Some(folder)).await
    }

    pub async fn postgres() -> Option<House> {
        let base = std::env::var("PLIMSOLL_TEST_POSTGRES").ok()?;
        let url = tokio::task::spawn_blocking(move || fresh_database(&base)).await.unwrap();
        Some(House::over(store::Database::Postgres(url), false, None).await)
    }

    async fn over(database: store::Database, cache: bool, folder: Option<tempfile::TempDir>) -> House {
        let clock = Clock::manual(START);
        let options = store::Options {
            clock: clock.clone(),
            migrations: vec![Identity::migrations()],
            readers: 2,
            ..store::Options::new(database)
        };
        let store = Store::open(options).await.unwrap();
        let identity = Identity::new(store.clone(), Settings { cache });
        let acme = tenant(&identity, "acme").await;
        let globex = tenant(&identity, "globex").await;
        let operator = NewUser { tenant: None, ..new_user(acme, "operator@site.example") };
        let operator = principal(&identity, &identity.create_user(by(), operator).await.unwrap()).await;
        House { identity, store, clock, acme, globex, operator, _database: folder }
    }

    /// The same database under another process, as after a restart.
    pub fn restarted(&self) -> Identity {
        Identity::new(self.store.clone(), Settings { cache: true })
    }

    /// A member of acme without a password.
    pub async fn member(&self, email: &str) -> (User, Principal) {
        self.person(new_user(self.acme, email)).await
    }

    pub async fn admin_of(&self, tenant: TenantId, email: &str) -> (User, Principal) {
        self.person(NewUser { admin: true, ..new_user(tenant, email) }).await
    }

    pub async fn person(&self, new: NewUser) -> (User, Principal) {
        let user = self.identity.create_user(by(), new).await.unwrap();
        let principal = principal(&self.identity, &user).await;
        (user, principal)
    }

    /// A member of acme who logs in with the password `right`.
    pub async fn with_password(&self, email: &str) -> User {
        let new = NewUser { password: Some(Secret::from("right")), ..new_user(self.acme, email) };
        self.identity.create_user(by(), new).await.unwrap()
    }

    pub async fn token(&self, user: UserId) -> String {
        let made = self.identity.create_token(&self.operator, user, NewToken::default()).await;
        made.unwrap().1.expose().to_owned()
    }

    pub async fn node(&self, path: &str) -> Allotment {
        let reference: AllotmentRef = path.parse().unwrap();
        let found = self.store.read(move |tx| store::allotments::find(tx, &reference)).await;
        found.unwrap().unwrap_or_else(|| panic!("{path} is not there"))
    }

    pub async fn node_of(&self, user: &User) -> Allotment {
        self.node(&user.allotment.unwrap().to_string()).await
    }

    /// A node under `parent`, owned by somebody or by nobody.
    pub async fn make(&self, parent: AllotmentId, name: &str, owner: Option<UserId>) -> Allotment {
        let id = AllotmentId(self.store.new_id());
        let new = NewAllotment { owner, ..NewAllotment::new(id, Some(parent.into()), name.parse().unwrap()) };
        self.store.write(Unit::by(by()).create_allotment(new)).await.unwrap();
        self.node(&id.to_string()).await
    }

    pub async fn claim(&self, at: AllotmentId, bytes: u64) -> ClaimId {
        let id = ClaimId(self.store.new_id());
        let amounts = Amounts::new().with(Resource::BYTES, bytes).unwrap();
        let claim = NewClaim { supply: SupplyRef::None, ..NewClaim::held(id, at, amounts) };
        self.store.write(Unit::by(by()).charge(claim)).await.unwrap();
        id
    }

    pub fn later(&self, seconds: i64) {
        self.clock.advance(seconds * SECOND);
    }

    /// One number out of the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let read = self.store.read(move |tx| tx.query_opt(sql, &[])?.unwrap().get::<i64>(0));
        read.await.unwrap()
    }
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_uppercase(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
}

pub fn new_user(tenant: TenantId, email: &str) -> NewUser {
    NewUser {
        id: None,
        tenant: Some(tenant),
        email: email.to_owned(),
        name: String::new(),
        password: None,
        admin: false,
        repository_admin: false,
        limits: Limits::new(),
    }
}

/// As which a user comes in.
pub async fn principal(identity: &Identity, user: &User) -> Principal {
    let maker = Principal {
        user: user.id,
        tenant: user.tenant,
        email: user.email.as_str().into(),
        name: user.name.as_str().into(),
        admin: user.admin,
        repository_admin: user.repository_admin,
        allotment: user.allotment,
        token: None,
    };
    let (_, secret) = identity.create_token(&maker, user.id, NewToken::default()).await.unwrap();
    identity.bearer(secret.expose()).await.unwrap().unwrap()
}

fn fresh_database(base: &str) -> String {
    let mut server = postgres::Client::connect(base, postgres::NoTls).unwrap();
    let name = format!("identity_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}
