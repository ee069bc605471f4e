//! A house of two tenants with people, a pool and storage types, in a database of its own; and the verbs of a caller.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudsigma::Face;
use cloudsigma::apply::{self, LibraryDriveWanted, StorageTypeWanted};
use content::Content;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use identity::{Identity, NewTenant, NewUser};
use ledger::{AllotmentId, Limits, Resource, Side};
use serde_json::{Value, json};
use store::{Actor, AllotmentPatch, Clock, NewAllotment, Store, TenantId, Unit, params};
use tower::ServiceExt;

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const PASSWORD: &str = "a long password";
pub const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
pub const GIB: u64 = 1 << 30;
/// As the seed's Basic header has it (spec, section 7.11).
pub const SEED_LOGIN: (&str, &str) = ("If you found this, have a cookie, you deserve it ", ")");

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::house::House::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    /// Two members of acme, and an administrator of globex.
    pub ana: Client,
    pub ben: Client,
    pub mallory: Client,
    pub operator: Client,
    pub stranger: Client,
    pub face: Face,
    pub folder: tempfile::TempDir,
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
        let migrations = vec![Identity::migrations(), Content::migrations(), cloudsigma::migrations()];
        let options = store::Options { clock: clock.clone(), migrations, ..store::Options::new(database) };
        let store = Store::open(options).await.unwrap();
        // Passwords are remembered as in production; nobody else changes this database.
        let identity = Identity::new(store.clone(), identity::Settings { cache: true });
        let content = Content::new(store.clone(), folder.path().to_owned(), None);
        let face = Face::new(store.clone(), identity.clone(), content.clone());
        face.prepare().await.unwrap();
        content.start().await.unwrap();
        face.start().await.unwrap();
        let door = cloudsigma::router(face.clone());
        let (acme, globex) = (tenant(&identity, "acme").await, tenant(&identity, "globex").await);
        pool(&store).await;
        let enter = async |tenant, email: &str, password: &str| {
            let admin = email.starts_with("mallory");
            let new = NewUser {
                id: None,
                tenant,
                email: email.to_owned(),
                name: "Ana Example".to_owned(),
                password: Some(password.into()),
                admin,
                repository_admin: false,
                limits: Limits::new(),
            };
            let user = identity.create_user(by(), new).await.unwrap();
            let id = user.id.to_string();
            Client { door: door.clone(), headers: vec![basic(email, password)], id, node: user.allotment }
        };
        House {
            ana: enter(Some(acme), "ana@acme.example", PASSWORD).await,
            ben: enter(Some(acme), "ben@acme.example", PASSWORD).await,
            mallory: enter(Some(globex), "mallory@globex.example", PASSWORD).await,
            operator: enter(None, "operator@site.example", PASSWORD).await,
            stranger: Client { door: door.clone(), headers: Vec::new(), id: String::new(), node: None },
            store,
            identity,
            content,
            clock,
            acme,
            face,
            folder,
        }
    }

    /// Limits what lies at or below a node of the demand side.
    pub async fn limit(&self, node: impl Into<store::AllotmentRef>, resource: Resource, units: Option<u64>) {
        let patch = AllotmentPatch { limits: vec![(resource, units)], ..AllotmentPatch::default() };
        self.store.write(Unit::by(by()).change_allotment(node, patch)).await.unwrap();
    }

    /// Limits a storage type, or the pool.
    pub async fn limit_supply(&self, path: &str, bytes: u64) {
        let node = store::AllotmentRef::Path(Side::Supply, path.to_owned());
        self.limit(node, Resource::BYTES, Some(bytes)).await;
    }

    /// Bytes used at a node of the supply side.
    pub async fn used(&self, path: &str) -> u64 {
        let node = store::AllotmentRef::Path(Side::Supply, path.to_owned());
        let node = self.store.read(move |tx| store::allotments::find(tx, &node)).await.unwrap().unwrap();
        node.balance(Resource::BYTES).used
    }

    /// Bytes used by somebody.
    pub async fn used_by(&self, client: &Client) -> u64 {
        let node = client.node.unwrap().into();
        let node = self.store.read(move |tx| store::allotments::find(tx, &node)).await.unwrap().unwrap();
        node.balance(Resource::BYTES).used
    }

    /// A library image without bytes; its id.
    pub async fn library(&self, name: &str, media: &str, meta: Value) -> String {
        let id = self.store.new_id();
        let wanted = LibraryDriveWanted {
            id: Some(id),
            name: name.to_owned(),
            media: media.to_owned(),
            size: GIB,
            image: None,
            meta,
        };
        apply::put_library_drive(&self.store, by(), wanted).await.unwrap();
        id.to_string()
    }

    /// Puts a drive into a status that it only passes through.
    pub async fn set_status(&self, drive: &str, status: &'static str) {
        let id: uuid::Uuid = drive.parse().unwrap();
        let unit = Unit::by(by())
            .rows(move |tx| tx.execute("UPDATE drives SET status = $2 WHERE id = $1", &params![id, status]).map(drop));
        self.store.write(unit).await.unwrap();
    }

    /// Writes bytes into a drive, as a server would.
    pub async fn write(&self, drive: &str, offset: u64, bytes: &[u8]) {
        let volume = content::volume::VolumeId(drive.parse().unwrap());
        let handle = self.content.volumes().open(volume).await.unwrap();
        handle.write(offset, Bytes::copy_from_slice(bytes)).await.unwrap();
        handle.flush().await.unwrap();
        handle.close().await.unwrap();
    }

    /// Whether the sums come out, and every image is where its row says; and each drive is charged its size.
    pub async fn assert_sound(&self) {
        assert_eq!(self.store.doctor().await.unwrap().drift, Vec::new());
        assert_eq!(self.content.audit().await.unwrap().drift, Vec::<String>::new());
        let read = self.store.read(|tx| {
            let sql = "SELECT id, COALESCE(wanted_bytes, size_bytes) FROM drives ORDER BY id";
            let mut wrong = Vec::new();
            for row in tx.query(sql, &[])? {
                let (id, size): (uuid::Uuid, u64) = (row.get(0)?, row.get(1)?);
                let info = content::volume::info(tx, content::volume::VolumeId(id))?;
                let claim = match &info {
                    Some(info) => store::claims::find(tx, info.claim)?,
                    None => None,
                };
                let charged = claim.map(|claim| claim.amounts.get(Resource::BYTES));
                if charged != Some(size) || info.map(|info| info.size) != Some(size) {
                    wrong.push((id, size, charged));
                }
            }
            Ok(wrong)
        });
        assert_eq!(read.await.unwrap(), Vec::new());
    }
}

/// A header of Basic credentials.
pub fn basic(email: &str, password: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{email}:{password}"))))
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Client {
    pub door: Router,
    pub headers: Vec<(&'static str, String)>,
    pub id: String,
    pub node: Option<AllotmentId>,
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
        // Checklist 5 and 6, on whatever is asked in any test.
        assert!(self.headers.contains_key("x-request-id"));
        if status >= 400 {
            let list = self.json();
            let entries = list.as_array().expect("an error is a list");
            assert!(!entries.is_empty());
            for entry in entries {
                for key in ["error_type", "error_message", "error_point"] {
                    assert!(entry.get(key).is_some(), "{key} is not in {entry}");
                }
            }
        }
        self
    }

    /// What is told of the first fault: type, point, message.
    pub fn fault(&self) -> (String, Value, String) {
        let first = self.json()[0].clone();
        let text = |key: &str| first[key].as_str().unwrap().to_owned();
        (text("error_type"), first["error_point"].clone(), text("error_message"))
    }

    /// The objects of a list or a create.
    pub fn objects(&self) -> Vec<Value> {
        self.json()["objects"].as_array().expect("a list of objects").clone()
    }

    /// The id of the one object, bare or wrapped.
    pub fn id(&self) -> String {
        let json = self.json();
        let one = json.get("objects").map_or(&json, |objects| &objects[0]);
        one["uuid"].as_str().unwrap().to_owned()
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

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let path = if path.starts_with("/api") { path.to_owned() } else { format!("/api/2.0/{path}") };
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.door.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
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

    /// A call with a body as it is.
    pub async fn text(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call(method, path, &[("content-type", "application/json")], body.to_owned()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.text("POST", path, &body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.text("PUT", path, &body.to_string()).await
    }

    /// Makes a drive of 1 GiB; its id.
    pub async fn drive(&self, name: &str) -> String {
        self.post("drives/", disk(name, GIB)).await.expect(201).id()
    }

    /// A drive as it is now.
    pub async fn show(&self, drive: &str) -> Value {
        self.get(&format!("drives/{drive}/")).await.expect(200).json()
    }

    /// A drive once it is in this status: what clients do that poll for it.
    pub async fn until(&self, drive: &str, status: &str) -> Value {
        for _ in 0..1000 {
            let shown = self.show(drive).await;
            if shown["status"] == status {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain for {drive} to be {status}: {}", self.show(drive).await);
    }

    /// Makes a server with these drives; its id.
    pub async fn server(&self, drives: &[&str]) -> String {
        self.post("servers/", server(drives)).await.expect(201).id()
    }

    /// Does something to a server.
    pub async fn act(&self, server: &str, action: &str) -> Answer {
        self.post(&format!("servers/{server}/action/?do={action}"), json!({})).await
    }

    /// Part of a drive's bytes.
    pub async fn read(&self, drive: &str, first: u64, last: u64) -> Bytes {
        let range = format!("bytes={first}-{last}");
        let path = format!("drives/{drive}/download/");
        self.call("GET", &path, &[("range", range.as_str())], Body::empty()).await.expect(206).body
    }
}

/// What asks for a disk.
pub fn disk(name: &str, size: u64) -> Value {
    json!({ "name": name, "media": "disk", "size": size })
}

/// What asks for a server with these drives.
pub fn server(drives: &[&str]) -> Value {
    json!({ "name": "server", "cpu": 1000, "mem": GIB, "vnc_password": "secret", "drives": drives })
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_owned(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
}

/// The default pool, and storage types in it: two with room, and one that is known and has none.
async fn pool(store: &Store) {
    let pool = AllotmentId(store.new_id());
    let new = NewAllotment {
        side: Side::Supply,
        kind: "pool".to_owned(),
        ..NewAllotment::new(pool, None, "disk".parse().unwrap())
    };
    let unit = Unit::by(by()).create_allotment(new).rows(move |tx| {
        let sql = "INSERT INTO settings (key, value) VALUES ($1, $2)";
        tx.execute(sql, &params![store::DEFAULT_POOL, pool]).map(drop)
    });
    store.write(unit).await.unwrap();
    for (name, bytes, folders) in [("dssd", 64 * 1024 * GIB, 2), ("zadara", 64 * 1024 * GIB, 1), ("nvme", 0, 1)] {
        let allotment = AllotmentId(store.new_id());
        let new = NewAllotment {
            side: Side::Supply,
            kind: "storage_type".to_owned(),
            limits: Limits::new().with(Resource::BYTES, bytes).unwrap(),
            ..NewAllotment::new(allotment, Some(pool.into()), name.parse().unwrap())
        };
        let wanted = StorageTypeWanted {
            name: name.to_owned(),
            allotment,
            default: name == "dssd",
            size_min: None,
            size_max: None,
            places: json!({ "folders": folders }),
        };
        let unit = Unit::by(by()).create_allotment(new);
        store.write(unit.rows(move |tx| apply::put_storage_type(tx, &wanted))).await.unwrap();
    }
}

fn fresh_database(base: &str) -> String {
    let mut server = postgres::Client::connect(base, postgres::NoTls).unwrap();
    let name = format!("cloudsigma_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}
