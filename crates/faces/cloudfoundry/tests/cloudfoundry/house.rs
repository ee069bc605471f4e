//! A house of two tenants with people, an organization and a space, in a database of its own; and the verbs of a caller.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use base64::Engine;
use cloudfoundry::{Face, Settings};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use identity::apply::UserWanted;
use identity::{Identity, NewTenant, PasswordHash, SigningKeys};
use ledger::Limits;
use serde_json::{Value, json};
use store::{Actor, Clock, Store, TenantId};
use tokio::sync::OnceCell;
use tower::ServiceExt;

/// 2026-01-01.
pub const START: i64 = 1_767_225_600_000_000;
pub const PASSWORD: &str = "a long password";
pub const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
/// The seed's organization.
pub const ORG: &str = "c9b4ac17-ab4b-4368-b3e2-5cbf09b17a24";
/// `cf:`, the client without a secret.
pub const CF: &str = "Basic Y2Y6";

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
    /// The admins of their tenants.
    pub admin: Client,
    pub mallory: Client,
    /// Members of acme; what they are is for a test to say.
    pub ana: Client,
    pub ben: Client,
    pub operator: Client,
    pub stranger: Client,
    _folder: tempfile::TempDir,
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
        let migrations = vec![Identity::migrations(), cloudfoundry::migrations()];
        let options = store::Options { clock: clock.clone(), migrations, ..store::Options::new(database) };
        let store = Store::open(options).await.unwrap();
        let identity = Identity::new(store.clone(), identity::Settings { cache });
        let keys = SigningKeys::new(store.clone(), None);
        let settings = Settings { public_url: None, version: "0".to_owned() };
        let door = cloudfoundry::router(Face::new(store.clone(), identity.clone(), keys, settings));
        let (acme, globex) = (tenant(&identity, "acme").await, tenant(&identity, "globex").await);
        let hash = password_hash(&identity).await;
        let enter = async |tenant, email: &str, admin| {
            let id = user(&identity, tenant, email, admin, hash.clone()).await;
            Client { door: door.clone(), email: email.to_owned(), id, token: Arc::default(), scope: "" }
        };
        let wanted = cloudfoundry::apply::OrganizationWanted {
            id: Some(ORG.parse().unwrap()),
            tenant: acme,
            name: "acme-org".to_owned(),
            managers: Vec::new(),
            spaces: Vec::new(),
        };
        let house = House {
            admin: enter(Some(acme), "admin@acme.example", true).await,
            mallory: enter(Some(globex), "mallory@globex.example", true).await,
            ana: enter(Some(acme), "ana@acme.example", false).await,
            ben: enter(Some(acme), "ben@acme.example", false).await,
            operator: enter(None, "operator@site.example", false).await,
            stranger: Client {
                door: door.clone(),
                email: String::new(),
                id: String::new(),
                token: Arc::default(),
                scope: "",
            },
            store,
            identity,
            clock,
            acme,
            _folder: folder,
        };
        cloudfoundry::apply::put_organization(&house.store, by(), wanted).await.unwrap();
        house
    }

    /// A space of the organization, made by the admin.
    pub async fn space(&self, name: &str) -> String {
        let body = json!({ "name": name, "organization_guid": ORG });
        self.admin.post("/v2/spaces", body).await.expect(201).guid()
    }

    /// A quota of spaces of the organization; unlimited but for what `but` says.
    pub async fn space_quota(&self, name: &str, but: Value) -> String {
        let body = with(space_quota(name), but);
        self.admin.post("/v2/space_quota_definitions", body).await.expect(201).guid()
    }

    /// The same, applied to a space.
    pub async fn limit_space(&self, space: &str, but: Value) -> String {
        let quota = self.space_quota(&format!("of {space}"), but).await;
        self.admin.put(&format!("/v2/space_quota_definitions/{quota}/spaces/{space}"), json!({})).await.expect(201);
        quota
    }

    /// A quota of organizations, unlimited but for what `but` says, given to the organization.
    pub async fn limit_org(&self, but: Value) -> String {
        let body = with(org_quota("of the org"), but);
        let quota = self.admin.post("/v2/quota_definitions", body).await.expect(201).guid();
        let body = json!({ "quota_definition_guid": quota });
        self.admin.put(&format!("/v2/organizations/{ORG}"), body).await.expect(201);
        quota
    }

    /// An app, stopped.
    pub async fn app(&self, space: &str, name: &str, memory: u64, instances: u64) -> String {
        let body = json!({ "name": name, "space_guid": space, "memory": memory, "instances": instances });
        self.admin.post("/v2/apps", body).await.expect(201).guid()
    }

    pub async fn start(&self, app: &str) -> Answer {
        self.admin.put(&format!("/v2/apps/{app}"), json!({ "state": "STARTED" })).await
    }

    pub async fn stop(&self, app: &str) {
        self.admin.put(&format!("/v2/apps/{app}"), json!({ "state": "STOPPED" })).await.expect(201);
    }

    /// What a space and its organization use, by v3's names.
    pub async fn usage(&self, space: &str) -> (Value, Value) {
        let of_space = self.admin.get(&format!("/v3/spaces/{space}/usage_summary")).await.expect(200).json();
        let of_org = self.admin.get(&format!("/v3/organizations/{ORG}/usage_summary")).await.expect(200).json();
        (of_space["usage_summary"].clone(), of_org["usage_summary"].clone())
    }

    /// Makes somebody a manager of the organization.
    pub async fn make_manager(&self, who: &Client) {
        let path = format!("/v2/organizations/{ORG}/managers/{}", who.id);
        self.admin.put(&path, json!({})).await.expect(201);
    }

    /// Takes somebody into the organization.
    pub async fn make_member(&self, who: &Client) {
        let path = format!("/v2/organizations/{ORG}/users/{}", who.id);
        self.admin.put(&path, json!({})).await.expect(201);
    }

    /// Makes somebody a developer of a space.
    pub async fn make_developer(&self, space: &str, who: &Client) {
        self.make_member(who).await;
        let path = format!("/v2/spaces/{space}/developers/{}", who.id);
        self.admin.put(&path, json!({})).await.expect(201);
    }

    /// Whether the sums come out, and everything that takes has exactly its claim.
    pub async fn assert_sound(&self) {
        assert_eq!(self.store.doctor().await.unwrap().drift, Vec::new());
        let read = self.store.read(|tx| {
            let sql = "SELECT (SELECT COUNT(*) FROM claims), (SELECT COUNT(*) FROM cf_apps) \
                + (SELECT COUNT(*) FROM cf_tasks WHERE running) + (SELECT COUNT(*) FROM cf_routes) \
                + (SELECT COUNT(*) FROM cf_domains WHERE organization_id IS NOT NULL) \
                + (SELECT COUNT(*) FROM cf_service_instances WHERE plan_id IS NOT NULL) \
                + (SELECT COUNT(*) FROM cf_service_keys)";
            let row = tx.query_opt(sql, &[])?.unwrap();
            Ok((row.get::<u64>(0)?, row.get::<u64>(1)?))
        });
        let (claims, things) = read.await.unwrap();
        assert_eq!(claims, things, "one claim each");
    }
}

/// A quota of spaces without a limit, as v2 takes it.
pub fn space_quota(name: &str) -> Value {
    json!({
        "name": name, "non_basic_services_allowed": true, "total_services": -1, "total_routes": -1, "memory_limit": -1,
        "organization_guid": ORG, "app_task_limit": -1,
    })
}

/// The same of organizations.
pub fn org_quota(name: &str) -> Value {
    json!({
        "name": name, "non_basic_services_allowed": true, "total_services": -1, "total_routes": -1, "memory_limit": -1,
        "total_reserved_route_ports": -1,
    })
}

/// One object over another.
pub fn with(mut body: Value, but: Value) -> Value {
    let Value::Object(but) = but else { panic!("not an object: {but}") };
    body.as_object_mut().unwrap().extend(but);
    body
}

/// Somebody who calls; they log in when they first do.
#[derive(Clone)]
pub struct Client {
    door: Router,
    pub email: String,
    pub id: String,
    token: Arc<OnceCell<String>>,
    scope: &'static str,
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

    /// v2's error: status, code; answers the sentence.
    #[track_caller]
    pub fn refused(self, status: u16, code: u64) -> String {
        let told = self.expect(status).json();
        assert_eq!(told["code"], code, "{told}");
        told["description"].as_str().unwrap().to_owned()
    }

    /// v3's error, likewise.
    #[track_caller]
    pub fn refused_v3(self, status: u16, code: u64) -> String {
        let told = self.expect(status).json();
        assert_eq!(told["errors"][0]["code"], code, "{told}");
        assert_eq!(told["errors"].as_array().unwrap().len(), 1);
        told["errors"][0]["detail"].as_str().unwrap().to_owned()
    }

    pub fn guid(&self) -> String {
        let json = self.json();
        json["metadata"]["guid"].as_str().or(json["guid"].as_str()).unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// The same person, with a token of these scopes.
    pub fn scoped(&self, scope: &'static str) -> Client {
        Client { scope, token: Arc::default(), ..self.clone() }
    }

    /// The same, with this token, whatever it is.
    pub fn with_token(&self, token: &str) -> Client {
        Client { token: Arc::new(OnceCell::new_with(Some(token.to_owned()))), ..self.clone() }
    }

    pub async fn login(&self) -> Answer {
        let form = format!(
            "grant_type=password&username={}&password={}&scope={}",
            self.email.replace('@', "%40"),
            PASSWORD.replace(' ', "+"),
            self.scope.replace(' ', "+")
        );
        self.form("/oauth/token", CF, &form).await
    }

    /// Sends a form as a client.
    pub async fn form(&self, path: &str, client: &str, form: &str) -> Answer {
        let headers = [("authorization", client), ("content-type", "application/x-www-form-urlencoded")];
        self.raw("POST", path, &headers, form.to_owned().into()).await
    }

    pub async fn token(&self) -> String {
        let token = self.token.get_or_init(async || {
            let told = self.login().await.expect(200).json();
            told["access_token"].as_str().unwrap().to_owned()
        });
        token.await.clone()
    }

    /// A call with these headers and no others.
    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("host", "api.example.org");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.door.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    pub async fn call(&self, method: &str, path: &str, body: Body) -> Answer {
        if self.email.is_empty() && self.token.get().is_none() {
            return self.raw(method, path, &[], body).await;
        }
        let bearer = format!("bearer {}", self.token().await);
        self.raw(method, path, &[("authorization", &bearer)], body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Body::empty()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, body.to_string().into()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, body.to_string().into()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, body.to_string().into()).await
    }
}

/// What a token claims.
pub fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_owned(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
}

/// Hashed once for all: it takes time by design.
async fn password_hash(identity: &Identity) -> PasswordHash {
    static HASH: OnceLock<PasswordHash> = OnceLock::new();
    let identity = identity.clone();
    let hashing =
        move || HASH.get_or_init(|| identity::apply::keep_password(&identity, PASSWORD, None).unwrap()).clone();
    tokio::task::spawn_blocking(hashing).await.unwrap()
}

pub async fn user(
    identity: &Identity,
    tenant: Option<TenantId>,
    email: &str,
    admin: bool,
    hash: PasswordHash,
) -> String {
    let wanted = UserWanted {
        id: None,
        tenant,
        email: email.to_owned(),
        name: email.split('@').next().unwrap().to_owned(),
        password: Some(hash),
        admin,
        repository_admin: false,
        limits: Limits::new(),
    };
    identity::apply::put_user(identity, by(), wanted).await.unwrap().to_string()
}

fn fresh_database(base: &str) -> String {
    let mut server = postgres::Client::connect(base, postgres::NoTls).unwrap();
    let name = format!("cloudfoundry_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}
