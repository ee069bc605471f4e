//! A house of two tenants with people, a pool and a repository, in a database of its own; and the verbs of a caller.

use allocations::apply::{self, RepositoryWanted};
use allocations::{Face, Settings};
use axum::Router;
use axum::body::{Body, Bytes};
use content::Content;
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use identity::{Identity, NewTenant, NewToken, NewUser, Principal, User};
use ledger::{AllotmentId, Limits, Resource, Side};
use serde_json::{Value, json};
use store::{Actor, Clock, NewAllotment, Store, TenantId, Unit, params};
use tower::ServiceExt;

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const PASSWORD: &str = "a long password";
pub const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

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
    pub content: Content,
    pub clock: Clock,
    pub acme: TenantId,
    pub repository: String,
    /// Administrators of their tenants, who hand out allocations.
    pub admin: Client,
    pub mallory: Client,
    /// Members of acme.
    pub ana: Client,
    pub ben: Client,
    pub operator: Client,
    pub stranger: Client,
    folder: tempfile::TempDir,
}

pub fn by() -> Actor {
    Actor::system("test")
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
        let migrations = vec![Identity::migrations(), Content::migrations(), allocations::migrations()];
        let options = store::Options { clock: clock.clone(), migrations, ..store::Options::new(database) };
        let store = Store::open(options).await.unwrap();
        let identity = Identity::new(store.clone(), identity::Settings { cache });
        let content = Content::new(store.clone(), folder.path().join("blobs"), None);
        content.start().await.unwrap();
        let face = Face::new(store.clone(), identity.clone(), content.clone(), Settings::default());
        let door = allocations::router(face);
        let (acme, globex) = (tenant(&identity, "acme").await, tenant(&identity, "globex").await);
        pool(&store).await;
        let repository = store.new_id();
        let wanted = RepositoryWanted {
            id: Some(repository),
            name: "cold-store".parse().unwrap(),
            pool: "disk".to_owned(),
            kind: "posix".to_owned(),
            limits: Limits::new(),
        };
        apply::put_repository(&store, by(), wanted).await.unwrap();
        let enter = async |tenant, email: &str, admin| {
            let new = NewUser { admin, repository_admin: admin, ..new_user(tenant, email) };
            let user = identity.create_user(by(), new).await.unwrap();
            let token = token(&identity, &user).await;
            Client {
                door: door.clone(),
                headers: vec![("authorization", format!("Bearer {token}"))],
                id: user.id.to_string(),
            }
        };
        House {
            admin: enter(Some(acme), "admin@acme.example", true).await,
            mallory: enter(Some(globex), "mallory@globex.example", true).await,
            ana: enter(Some(acme), "ana@acme.example", false).await,
            ben: enter(Some(acme), "ben@acme.example", false).await,
            operator: enter(None, "operator@site.example", false).await,
            stranger: Client { door, headers: Vec::new(), id: String::new() },
            repository: repository.to_string(),
            store,
            identity,
            content,
            clock,
            acme,
            folder,
        }
    }

    /// A router over the same database, as after a restart or with other settings.
    pub fn restarted(&self, settings: Settings) -> Router {
        let identity = Identity::new(self.store.clone(), identity::Settings { cache: false });
        let content = Content::new(self.store.clone(), self.folder.path().join("blobs"), None);
        allocations::router(Face::new(self.store.clone(), identity, content, settings))
    }

    /// An allocation of so many bytes and records, made by the admin.
    pub async fn give(&self, owner: &Client, bytes: u64, records: u64) -> String {
        let body = self.asking(owner, bytes, records);
        self.admin.post("/api/allocations/", body).await.expect(201).id()
    }

    /// What asks for one.
    pub fn asking(&self, owner: &Client, bytes: u64, records: u64) -> Value {
        json!({
            "owner_type": "user", "owner_id": owner.id, "repository_id": self.repository,
            "data_volume_limit": bytes, "max_records": records,
        })
    }

    /// What asks for one that belongs to a project.
    pub fn asking_for(&self, project: &str, bytes: u64, records: u64) -> Value {
        json!({
            "owner_type": "project", "owner_id": project, "repository_id": self.repository,
            "data_volume_limit": bytes, "max_records": records,
        })
    }

    /// Bytes and records used, as the API tells them.
    pub async fn used(&self, allocation: &str) -> (u64, u64) {
        let told = self.admin.get(&format!("/api/allocations/{allocation}/")).await.expect(200).json();
        (told["current_bytes"].as_u64().unwrap(), told["current_record_count"].as_u64().unwrap())
    }

    /// Whether the sums come out, and every blob is where its row says.
    pub async fn assert_sound(&self) {
        assert_eq!(self.store.doctor().await.unwrap().drift, Vec::new());
        assert_eq!(self.content.audit().await.unwrap().drift, Vec::<String>::new());
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    pub door: Router,
    pub headers: Vec<(&'static str, String)>,
    pub id: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.status, self.body))
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    pub fn with(&self, name: &'static str, value: &str) -> Client {
        let mut client = self.clone();
        client.headers.push((name, value.to_owned()));
        client
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("host", "plimsoll.example");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.door.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Body::empty()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], Body::empty()).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(method, path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, body).await
    }

    /// Uploads bytes as they are.
    pub async fn upload(&self, query: &str, bytes: &[u8]) -> Answer {
        let length = bytes.len().to_string();
        let headers = [("content-type", "application/octet-stream"), ("content-length", length.as_str())];
        self.call("POST", &format!("/api/records/?{query}"), &headers, framed(bytes)).await
    }

    /// Uploads a form, its parts in this order.
    pub async fn form(&self, parts: &[Part<'_>]) -> Answer {
        let body = form(parts);
        let length = body.len().to_string();
        let headers = [("content-type", "multipart/form-data; boundary=xyz"), ("content-length", length.as_str())];
        self.call("POST", "/api/records/", &headers, framed(&body)).await
    }
}

pub enum Part<'p> {
    Field(&'p str, &'p str),
    File(&'p str, &'p [u8]),
}

pub fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(b"--xyz\r\n");
        match part {
            Part::Field(name, value) => body.extend_from_slice(
                format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}").as_bytes(),
            ),
            Part::File(name, bytes) => {
                let head = format!(
                    "Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/csv\r\n\r\n"
                );
                body.extend_from_slice(head.as_bytes());
                body.extend_from_slice(bytes);
            }
        }
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xyz--\r\n");
    body
}

/// A body in frames of an odd size.
pub fn framed(bytes: &[u8]) -> Body {
    let frames: Vec<_> =
        bytes.chunks(60_001).map(|frame| Ok::<_, std::io::Error>(Bytes::copy_from_slice(frame))).collect();
    Body::from_stream(stream::iter(frames))
}

/// A body that breaks off after these bytes.
pub fn cut(bytes: &[u8]) -> Body {
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let frames = bytes.chunks(60_001).map(|frame| Ok(Bytes::copy_from_slice(frame))).chain([Err(broken)]);
    Body::from_stream(stream::iter(frames.collect::<Vec<_>>()))
}

/// Bytes that differ from place to place.
pub fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_owned(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
}

pub fn new_user(tenant: Option<TenantId>, email: &str) -> NewUser {
    NewUser {
        id: None,
        tenant,
        email: email.to_owned(),
        name: email.split('@').next().unwrap().to_owned(),
        password: Some(PASSWORD.into()),
        admin: false,
        repository_admin: false,
        limits: Limits::new(),
    }
}

async fn token(identity: &Identity, user: &User) -> String {
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
    secret.expose().to_owned()
}

/// The default pool, of 1 TiB.
async fn pool(store: &Store) {
    let id = AllotmentId(store.new_id());
    let limits = Limits::new().with(Resource::BYTES, 1 << 40).unwrap();
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
    let name = format!("allocations_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}
