//! A house of two tenants and an operator, in a database of its own, behind the API's router.

use axum::Router;
use axum::body::{Body, Bytes};
use content::Content;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use identity::{Identity, NewTenant, NewToken, NewUser, Principal, Settings, User};
use ledger::{AllotmentId, Amounts, ClaimId, Limits, Resource};
use serde_json::{Value, json};
use store::{Actor, Managed, NewAllotment, NewClaim, Store, TenantId, Unit};
use tower::ServiceExt;

pub const BASE: &str = "/plimsoll/v1";

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

/// Everybody who calls: of acme its admin, Ana who owns her node, and Bob, another member; of globex its admin, Mallory.
pub struct House {
    pub store: Store,
    pub identity: Identity,
    router: Router,
    pub acme: TenantId,
    pub ana: User,
    pub bob: User,
    tokens: Tokens,
    _folder: tempfile::TempDir,
}

struct Tokens {
    operator: String,
    admin: String,
    ana: String,
    bob: String,
    mallory: String,
}

fn by() -> Actor {
    Actor::system("test")
}

impl House {
    pub async fn sqlite() -> House {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plimsoll.db");
        House::over(store::Database::Sqlite(file), true, folder).await
    }

    pub async fn postgres() -> Option<House> {
        let base = std::env::var("PLIMSOLL_TEST_POSTGRES").ok()?;
        let url = tokio::task::spawn_blocking(move || fresh_database(&base)).await.unwrap();
        Some(House::over(store::Database::Postgres(url), false, tempfile::tempdir().unwrap()).await)
    }

    async fn over(database: store::Database, cache: bool, folder: tempfile::TempDir) -> House {
        let options = store::Options {
            migrations: vec![Identity::migrations(), Content::migrations()],
            resources: vec!["gpus".to_owned()],
            ..store::Options::new(database)
        };
        let store = Store::open(options).await.unwrap();
        let identity = Identity::new(store.clone(), Settings { cache });
        let content = Content::new(store.clone(), folder.path().to_owned(), None);
        let parts =
            api::Parts { store: store.clone(), identity: identity.clone(), content, version: "1.2.3".to_owned() };
        let acme = tenant(&identity, "acme").await;
        let globex = tenant(&identity, "globex").await;
        let person = |email: &str, tenant, admin| new_user(email, tenant, admin);
        let (_, operator) = make(&identity, person("operator@site.example", None, false)).await;
        let (_, admin) = make(&identity, person("admin@acme.example", Some(acme), true)).await;
        let (ana, ana_token) = make(&identity, person("ana@acme.example", Some(acme), false)).await;
        let (bob, bob_token) = make(&identity, person("bob@acme.example", Some(acme), false)).await;
        let (_, mallory) = make(&identity, person("mallory@globex.example", Some(globex), true)).await;
        let tokens = Tokens { operator, admin, ana: ana_token, bob: bob_token, mallory };
        House { store, identity, router: api::router(parts), acme, ana, bob, tokens, _folder: folder }
    }

    fn who(&self, token: &str) -> Who {
        Who { router: self.router.clone(), token: Some(token.to_owned()), is_local: false, headers: Vec::new() }
    }

    pub fn operator(&self) -> Who {
        self.who(&self.tokens.operator)
    }

    pub fn admin(&self) -> Who {
        self.who(&self.tokens.admin)
    }

    pub fn ana(&self) -> Who {
        self.who(&self.tokens.ana)
    }

    pub fn bob(&self) -> Who {
        self.who(&self.tokens.bob)
    }

    pub fn mallory(&self) -> Who {
        self.who(&self.tokens.mallory)
    }

    /// Somebody with another token.
    pub fn bearer(&self, token: &str) -> Who {
        self.who(token)
    }

    pub fn stranger(&self) -> Who {
        Who { token: None, ..self.who("") }
    }

    /// Whoever can open the data folder.
    pub fn local(&self) -> Who {
        Who { is_local: true, ..self.stranger() }
    }

    /// An allotment that a face manages.
    pub async fn managed_allotment(&self, name: &str) -> AllotmentId {
        let id = AllotmentId(self.store.new_id());
        let new = NewAllotment {
            managed_by: Some(Managed::new("allocations", "allocation", id)),
            ..NewAllotment::new(id, Some(self.acme.into()), name.parse().unwrap())
        };
        self.store.write(Unit::by(by()).create_allotment(new)).await.unwrap();
        id
    }

    /// Many allotments below another, each named by its number, in one unit.
    pub async fn allotments_below(&self, parent: AllotmentId, numbers: std::ops::Range<usize>) -> Vec<AllotmentId> {
        let new = |number: usize| {
            let id = AllotmentId(self.store.new_id());
            NewAllotment::new(id, Some(parent.into()), format!("n{number}").parse().unwrap())
        };
        let unit = numbers.map(new).fold(Unit::by(by()), Unit::create_allotment);
        self.store.write(unit).await.unwrap().allotments.iter().map(|made| made.id).collect()
    }

    /// A claim that a face manages.
    pub async fn managed_claim(&self, at: AllotmentId, bytes: u64) -> ClaimId {
        let id = ClaimId(self.store.new_id());
        let amounts = Amounts::new().with(Resource::BYTES, bytes).unwrap();
        let managed_by = Some(Managed::new("allocations", "record", "r1"));
        let claim = NewClaim { managed_by, ..NewClaim::held(id, at, amounts) };
        self.store.write(Unit::by(by()).charge(claim)).await.unwrap();
        id
    }

    /// Makes an allotment as the operator, and answers its id.
    pub async fn allotment(&self, parent: &str, name: &str, limits: Value) -> String {
        let body = json!({ "parent_id": parent, "name": name, "limits": limits });
        self.operator().post("/allotments", &body).await.expect(201).id()
    }

    /// Charges as the operator, and answers the claim's id.
    pub async fn claim(&self, at: &str, bytes: u64) -> String {
        let body = json!({ "allotment_id": at, "amounts": { "bytes": bytes } });
        self.operator().post("/claims", &body).await.expect(201).id()
    }
}

async fn tenant(identity: &Identity, name: &str) -> TenantId {
    let new = NewTenant { id: None, name: name.parse().unwrap(), title: name.to_uppercase(), limits: Limits::new() };
    identity.create_tenant(by(), new).await.unwrap().id
}

fn new_user(email: &str, tenant: Option<TenantId>, admin: bool) -> NewUser {
    NewUser {
        id: None,
        tenant,
        email: email.to_owned(),
        name: String::new(),
        password: None,
        admin,
        repository_admin: false,
        limits: Limits::new(),
    }
}

async fn make(identity: &Identity, new: NewUser) -> (User, String) {
    let user = identity.create_user(by(), new).await.unwrap();
    let maker = principal(&user);
    let (_, secret) = identity.create_token(&maker, user.id, NewToken::default()).await.unwrap();
    (user, secret.expose().to_owned())
}

/// A user as they would come in.
pub fn principal(user: &User) -> Principal {
    Principal {
        user: user.id,
        tenant: user.tenant,
        email: user.email.as_str().into(),
        name: user.name.as_str().into(),
        admin: user.admin,
        repository_admin: user.repository_admin,
        allotment: user.allotment,
        token: None,
    }
}

fn fresh_database(base: &str) -> String {
    let mut server = postgres::Client::connect(base, postgres::NoTls).unwrap();
    let name = format!("api_{:016x}_{}", rand(), std::process::id());
    server.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (server, _) = base.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn rand() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0)
}

/// Somebody who calls.
#[derive(Clone)]
pub struct Who {
    router: Router,
    token: Option<String>,
    is_local: bool,
    headers: Vec<(String, String)>,
}

impl Who {
    /// With another header.
    pub fn with(mut self, name: &str, value: &str) -> Who {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Body::empty()).await
    }

    /// A list once it has so many items. On PostgreSQL the journal is shown up to the oldest transaction that is open on the
    /// whole server, and other tests have some.
    pub async fn get_all(&self, path: &str, count: usize) -> Answer {
        for _ in 0..500 {
            let answer = self.get(path).await.expect(200);
            if answer.json()["items"].as_array().is_some_and(|items| items.len() >= count) {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.get(path).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Body::from(body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call("PATCH", path, Body::from(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, Body::empty()).await
    }

    /// A call below the base, or of a path that begins with `//`.
    pub async fn call(&self, method: &str, path: &str, body: Body) -> Answer {
        let response = self.send(method, path, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The same, with the answer's body still to come.
    pub async fn send(&self, method: &str, path: &str, body: Body) -> http::Response<Body> {
        let path =
            path.strip_prefix('/').filter(|path| path.starts_with('/')).map_or(format!("{BASE}{path}"), str::to_owned);
        let mut request = Request::builder().method(method).uri(path).header("host", "plimsoll.example");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(body).unwrap();
        if self.is_local {
            request.extensions_mut().insert(api::LocalOperator);
        }
        self.router.clone().oneshot(request).await.unwrap()
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// The answer, which must be this problem.
    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem.header("content-type"), Some("application/problem+json"));
        let json = problem.json();
        assert_eq!((json["type"].as_str(), json["status"].as_u64()), (Some(kind), Some(status.into())), "{json}");
        assert!(json["title"].is_string() && json["detail"].is_string(), "{json}");
        json
    }

    /// The pointers of an invalid body's faults.
    #[track_caller]
    pub fn faults(self) -> Vec<String> {
        let problem = self.problem(422, "invalid");
        let errors = problem["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// A field of each item of a list.
    #[track_caller]
    pub fn items(&self, field: &str) -> Vec<String> {
        let json = self.json();
        let items = json["items"].as_array().unwrap_or_else(|| panic!("no list: {json}"));
        items.iter().map(|item| item[field].as_str().map_or_else(|| item[field].to_string(), str::to_owned)).collect()
    }
}
