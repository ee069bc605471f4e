//! A house of two tenants with a partner each, in a database of its own; and the verbs of a caller.

use axum::Router;
use axum::body::{Body, Bytes};
use carrierx::apply::{self, PartnerWanted, Terms};
use carrierx::{Face, Settings};
use content::Content;
use futures_util::stream;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use identity::{Identity, NewTenant};
use ledger::{AllotmentId, Limits, Resource, Side};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Actor, Clock, NewAllotment, Store, TenantId, Unit, params};
use tower::ServiceExt;

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const SECOND: i64 = 1_000_000;
pub const PASSWORD: &str = "acme-voice-secret";
pub const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
pub const CONTAINERS: &str = "/core/v2/storage/containers";
pub const FILES: &str = "/core/v2/storage/files";
/// The partner of the seed's sample, and its token.
pub const PARTNER: &str = "e00430c3-a7d0-4666-ab5c-f7202448382f";
pub const TOKEN: &str = "5ebc03d6-8b2b-44ad-bf65-72d4f1491dda";

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
    pub face: Face,
    pub acme: TenantId,
    /// Acme's partner with `storage.manage`; and with one scope each.
    pub ana: Client,
    pub reader: Client,
    pub creator: Client,
    /// Globex's partner.
    pub mallory: Client,
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
        let migrations = vec![Identity::migrations(), Content::migrations(), carrierx::migrations()];
        let options = store::Options { clock: clock.clone(), migrations, ..store::Options::new(database) };
        let store = Store::open(options).await.unwrap();
        let identity = Identity::new(store.clone(), identity::Settings { cache: false });
        let content = Content::new(store.clone(), folder.path().join("blobs"), None);
        content.start().await.unwrap();
        let face = Face::new(store.clone(), identity.clone(), content.clone(), Settings::default());
        let door = carrierx::router(face.clone());
        let (acme, globex) = (tenant(&identity, "acme").await, tenant(&identity, "globex").await);
        pool(&store).await;
        let tokens = [(TOKEN, "storage.manage"), ("reads", "storage.read"), ("creates", "storage.create")];
        put(&store, &identity, acme, "acme-voice", Some(PARTNER), &tokens).await;
        put(&store, &identity, globex, "globex-voice", None, &[("globex-token", "storage.manage")]).await;
        let enter =
            |token: &str| Client { door: door.clone(), headers: vec![("authorization", format!("Bearer {token}"))] };
        House {
            ana: enter(TOKEN),
            reader: enter("reads"),
            creator: enter("creates"),
            mallory: enter("globex-token"),
            stranger: Client { door: door.clone(), headers: Vec::new() },
            face,
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
        carrierx::router(Face::new(self.store.clone(), identity, content, settings))
    }

    /// A container of ana's.
    pub async fn container(&self, body: Value) -> String {
        sid(&self.ana.post(CONTAINERS, body).await.expect(200).json(), "container_sid")
    }

    /// A container as the API tells it.
    pub async fn told(&self, container: &str) -> Value {
        self.ana.get(&format!("{CONTAINERS}/{container}")).await.expect(200).json()
    }

    /// Bytes and files in a container.
    pub async fn used(&self, container: &str) -> (u64, u64) {
        let told = self.told(container).await;
        (told["total_bytes"].as_u64().unwrap(), told["total_files"].as_u64().unwrap())
    }

    /// A file of ana's, of so many bytes.
    pub async fn file(&self, container: &str, size: usize, query: &str) -> String {
        let query = format!("container_sid={container}&{query}");
        sid(&self.ana.upload(&query, &bytes(size)).await.expect(201).json(), "file_sid")
    }

    /// Lets time pass, and looks for what is over.
    pub async fn after(&self, micros: i64) {
        self.clock.advance(micros);
        self.face.sweep().await.unwrap();
    }

    /// Whether the sums come out, and every blob is where its row says.
    pub async fn assert_sound(&self) {
        assert_eq!(self.store.doctor().await.unwrap().drift, Vec::new());
        assert_eq!(self.content.audit().await.unwrap().drift, Vec::<String>::new());
    }
}

pub fn sid(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap_or_else(|| panic!("no {field}: {object}")).to_owned()
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    pub door: Router,
    pub headers: Vec<(&'static str, String)>,
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

    /// The field of the first error of a 422 or 400.
    #[track_caller]
    pub fn field(self, status: u16) -> String {
        let told = self.expect(status).json();
        let message = if status == 400 { "Bad Request" } else { "object validation error" };
        assert_eq!(told["message"], message);
        sid(&told["errors"][0], "field")
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
        self.call("POST", &format!("{FILES}?{query}"), &headers, framed(bytes)).await
    }

    /// The same without saying how many there are.
    pub async fn upload_chunked(&self, query: &str, bytes: &[u8]) -> Answer {
        let headers = [("content-type", "application/octet-stream")];
        self.call("POST", &format!("{FILES}?{query}"), &headers, framed(bytes)).await
    }

    /// Uploads a form, its parts in this order.
    pub async fn form(&self, parts: &[Part<'_>]) -> Answer {
        let body = form(parts);
        let length = body.len().to_string();
        let headers = [("content-type", "multipart/form-data; boundary=xyz"), ("content-length", length.as_str())];
        self.call("POST", FILES, &headers, framed(&body)).await
    }
}

pub enum Part<'p> {
    Object(Value),
    Data(&'p str, &'p str, &'p [u8]),
}

pub fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(b"--xyz\r\n");
        match part {
            Part::Object(object) => body.extend_from_slice(
                format!("Content-Disposition: form-data; name=\"file_object\"\r\n\r\n{object}").as_bytes(),
            ),
            Part::Data(name, kind, bytes) => {
                let head = format!(
                    "Content-Disposition: form-data; name=\"data\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
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

pub fn terms(identity: &Identity, login: &str, tokens: &[(&str, &str)]) -> Terms {
    let token = |(token, scopes): &(&str, &str)| {
        (hex::encode(Sha256::digest(token)), scopes.split(' ').map(str::to_owned).collect())
    };
    let password = identity::apply::keep_password(identity, PASSWORD, None).unwrap();
    Terms {
        login: Some(login.to_owned()),
        password: Some(password),
        tokens: tokens.iter().map(token).collect(),
        default_container: None,
    }
}

async fn put(
    store: &Store,
    identity: &Identity,
    tenant: TenantId,
    name: &str,
    id: Option<&str>,
    tokens: &[(&str, &str)],
) {
    let wanted = PartnerWanted {
        id: id.map(|id| id.parse().unwrap()),
        tenant,
        name: name.parse().unwrap(),
        terms: terms(identity, name, tokens),
        limits: Limits::new().with(Resource::CONTAINERS, 100).unwrap(),
    };
    apply::put_partner(store, by(), wanted).await.unwrap();
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_owned(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
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
    let name = format!("carrierx_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}

/// What the file of a seed says a new container is.
pub fn sample() -> Value {
    json!({
        "allow_publish": true,
        "allowed_classifications": [],
        "available_bytes_percent": 100,
        "available_files_percent": 100,
        "blocked_classifications": [],
        "container_sid": "a291fe99-43d6-446f-a63e-91f93030dc7e",
        "default_file_lifecycle_action": "no_action",
        "default_file_lifecycle_ttl": -1,
        "default_file_publish": "file_sid",
        "default_file_threshold_include": true,
        "default_file_unique": false,
        "durability_class": "unassigned",
        "encrypted": false,
        "external_attributes": {},
        "integer_key_1": null,
        "integer_key_2": null,
        "name": "N/A",
        "parent_container_sid": null,
        "partner_sid": "e00430c3-a7d0-4666-ab5c-f7202448382f",
        "publish_domain": "https://storage.carrierx.com",
        "quota_bytes": 1073741824,
        "quota_files": 100,
        "string_key_1": null,
        "string_key_2": null,
        "string_key_3": null,
        "string_key_4": null,
        "threshold_action": null,
        "threshold_available_bytes_percent": null,
        "threshold_available_files_percent": null,
        "threshold_bytes": null,
        "threshold_bytes_target": null,
        "threshold_files": null,
        "threshold_files_target": null,
        "threshold_grace_period": 0,
        "threshold_total_bytes": 0,
        "threshold_total_files": 0,
        "total_bytes": 0,
        "total_files": 0,
        "type": "internal",
        "unique": false
    })
}
