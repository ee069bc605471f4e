//! A house of two tenants with drives, users and apps, in a database of its own; and the verbs of a caller.

use axum::Router;
use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use identity::{Identity, NewTenant, NewUser};
use koodrive::Face;
use koodrive::apply::{self, AppWanted, Callers, UserWanted};
use ledger::{AllotmentId, Amounts, ClaimId, Limits, Resource, Side};
use serde_json::{Value, json};
use store::{Actor, AllotmentRef, Claim, Clock, NewAllotment, NewClaim, Store, SupplyRef, TenantId, Unit, params};
use tower::ServiceExt;

use crate::signer::Signer;

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const MINUTE: i64 = 60_000_000;
pub const PASSWORD: &str = "a long password";
pub const HOST: &str = "drive.example";
pub const ADMIN: &str = "1505084218764547200";
pub const MEMBER: &str = "1505084218764547209";
pub const STRANGER: &str = "1505084218764547201";
pub const TOKEN: &str = "acme-koodrive-token";
pub const V1: &str = "/koodrive/ose/v1/space";
pub const GET: &str = "/koodrive/ose/v1/space/allocation/get";
pub const GB: u64 = 1 << 30;

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
    pub store: Store,
    pub identity: Identity,
    pub clock: Clock,
    pub acme: TenantId,
    pub door: Router,
    _folder: tempfile::TempDir,
}

pub fn by() -> Actor {
    Actor::system("test")
}

pub fn user(email: &str, admin: bool) -> Option<UserWanted> {
    Some(UserWanted { email: email.to_owned(), admin })
}

pub fn app(secret: &str, form: &str) -> Option<AppWanted> {
    Some(AppWanted { secret: secret.into(), response_form: form.to_owned() })
}

impl House {
    pub async fn sqlite() -> House {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plimsoll.db");
        House::over(store::Database::Sqlite(file), folder).await
    }

    pub async fn postgres() -> Option<House> {
        let base = std::env::var("PLIMSOLL_TEST_POSTGRES").ok()?;
        let url = tokio::task::spawn_blocking(move || fresh_database(&base)).await.unwrap();
        Some(House::over(store::Database::Postgres(url), tempfile::tempdir().unwrap()).await)
    }

    async fn over(database: store::Database, folder: tempfile::TempDir) -> House {
        let clock = Clock::manual(START);
        let cache = matches!(database, store::Database::Sqlite(_));
        let migrations = vec![Identity::migrations(), koodrive::migrations()];
        let options = store::Options { clock: clock.clone(), migrations, ..store::Options::new(database) };
        let store = Store::open(options).await.unwrap();
        let identity = Identity::new(store.clone(), identity::Settings { cache }).sealing_with(Some([7; 32]));
        let (acme, globex) = (tenant(&identity, "acme").await, tenant(&identity, "globex").await);
        for (tenant, email) in
            [(acme, "admin@acme.example"), (acme, "ana@acme.example"), (globex, "admin@globex.example")]
        {
            identity.create_user(by(), new_user(tenant, email)).await.unwrap();
        }
        pool(&store).await;
        let callers = Callers {
            users: vec![
                (ADMIN.into(), user("admin@acme.example", true)),
                (MEMBER.into(), user("ana@acme.example", false)),
            ],
            apps: vec![("app".into(), app("secret", "table")), ("example".into(), app("other", "example"))],
            tokens: vec![(sha256(TOKEN), Some(ADMIN.into()))],
        };
        apply::put_drive(&store, &identity, by(), acme, [2000 * GB, 1000 * GB, 500 * GB], callers).await.unwrap();
        let callers = Callers {
            users: vec![(STRANGER.into(), user("admin@globex.example", true))],
            apps: vec![("globex".into(), app("globex secret", "table"))],
            tokens: Vec::new(),
        };
        apply::put_drive(&store, &identity, by(), globex, [100 * GB, 100 * GB, 0], callers).await.unwrap();
        let door = koodrive::router(Face::new(store.clone(), identity.clone()));
        House { store, identity, clock, acme, door, _folder: folder }
    }

    /// Acme's app, signing for its admin, now.
    pub fn signer(&self) -> Signer {
        Signer {
            app: "app".into(),
            secret: "secret".into(),
            user: ADMIN.into(),
            date: self.date(0),
            host: HOST.into(),
            more: Vec::new(),
            slash: true,
        }
    }

    /// Now, so many minutes from now, as a signature has it.
    pub fn date(&self, minutes: i64) -> String {
        let at = jiff::Timestamp::from_microsecond(self.store.now() + minutes * MINUTE).unwrap();
        at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// Sends what is given, and no more.
    pub async fn send(&self, method: &str, uri: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        send(&self.door, method, uri, headers, body).await
    }

    /// Signed as acme's admin.
    pub async fn call(&self, method: &str, path: &str, query: &[(&str, &str)], body: Option<Value>) -> Answer {
        self.call_as(&self.signer(), method, path, query, body).await
    }

    pub async fn call_as(
        &self,
        signer: &Signer,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let headers = signer.headers(method, path, query, body.as_bytes());
        self.send(method, &uri(path, query), &headers, body.as_bytes()).await
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        self.call("GET", path, query, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &[], Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, &[], Some(body)).await
    }

    /// Makes a space of so many GB.
    pub async fn make(&self, owner: &str, kind: u64, gb: u64) -> Answer {
        self.post(&format!("{V1}/{owner}"), json!({ "type": kind, "capacity": gb })).await
    }

    /// What is handed out and what there is, by type.
    pub async fn figures(&self) -> [(u64, u64); 3] {
        let told = self.get(GET, &[]).await.expect(0).json();
        let figure = |at: usize| {
            let entry = &told["data"][at];
            assert_eq!(entry["type"], at);
            (entry["allocateCapacity"].as_u64().unwrap(), entry["totalCapacity"].as_u64().unwrap())
        };
        [figure(0), figure(1), figure(2)]
    }

    /// The one space of an owner.
    pub async fn space(&self, owner: &str, kind: &str) -> Value {
        self.get(&format!("{V1}/{owner}"), &[("type", kind)]).await.expect(0).json()["data"].take()
    }

    /// Claims bytes under a space, as the native API does.
    pub async fn claim(&self, space: &Value, bytes: u64) -> Result<Claim, store::Error> {
        let id: uuid::Uuid = space["containerId"].as_str().unwrap().parse().unwrap();
        let amounts = Amounts::new().with(Resource::BYTES, bytes).unwrap();
        let demand = Some(AllotmentRef::Id(AllotmentId(id)));
        let new = NewClaim {
            demand,
            supply: SupplyRef::Default,
            ..NewClaim::held(ClaimId(self.store.new_id()), AllotmentId(id), amounts)
        };
        let done = self.store.write(Unit::by(by()).charge(new)).await?;
        Ok(done.claims.into_iter().next().unwrap())
    }

    pub async fn release(&self, claim: &Claim) {
        self.store.write(Unit::by(by()).release(claim.id)).await.unwrap();
    }

    /// Whether the sums come out.
    pub async fn assert_sound(&self) {
        assert_eq!(self.store.doctor().await.unwrap().drift, Vec::new());
    }
}

/// A path and its query, percent-encoded.
pub fn uri(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "%20"))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

pub async fn send(door: &Router, method: &str, uri: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = door.clone().oneshot(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.status, self.body))
    }

    /// That this is the outcome: its code, and the status and the form that go with it.
    #[track_caller]
    pub fn expect(self, code: u32) -> Answer {
        let told = self.json();
        assert_eq!(told["code"], code, "{} {told}", self.status);
        assert!(told["msg"].is_string(), "{told}");
        let status = match code {
            0 => 200,
            13_000_201 => 401,
            13_000_102.. => 400,
            other => other as u16,
        };
        assert_eq!(self.status.as_u16(), status, "{told}");
        if code != 0 {
            let keys: Vec<_> = told.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["code", "msg"], "an error has no data");
        }
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_owned(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
}

pub fn new_user(tenant: TenantId, email: &str) -> NewUser {
    NewUser {
        id: None,
        tenant: Some(tenant),
        email: email.to_owned(),
        name: email.split('@').next().unwrap().to_owned(),
        password: Some(PASSWORD.into()),
        admin: false,
        repository_admin: false,
        limits: Limits::new(),
    }
}

pub fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).into()
}

/// The default pool, of 10 TiB.
async fn pool(store: &Store) {
    let id = AllotmentId(store.new_id());
    let limits = Limits::new().with(Resource::BYTES, 10 << 40).unwrap();
    let new = NewAllotment {
        side: Side::Supply,
        kind: "pool".to_owned(),
        limits,
        ..NewAllotment::new(id, None, "disk".parse().unwrap())
    };
    let unit = Unit::by(by()).create_allotment(new).rows(move |tx| {
        let sql = "INSERT INTO settings (key, value) VALUES ($1, $2)";
        tx.execute(sql, &params![store::DEFAULT_POOL, id]).map(drop)
    });
    store.write(unit).await.unwrap();
}

fn fresh_database(base: &str) -> String {
    let mut server = postgres::Client::connect(base, postgres::NoTls).unwrap();
    let name = format!("koodrive_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}
