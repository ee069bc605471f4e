//! What can go wrong, and what it is in this API: the one place of its codes, statuses and error bodies.
//!
//! **Shape.** A handler answers an [`Error`], which knows no dialect. On the way out [`crate::reply::finish`] sees under which
//! path the call came and has [`told`] make of it what v2 or v3 says (specification, section 1.5).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use identity::LoginError;
use std::sync::Arc;
use store::Error as StoreError;

use crate::over::{self, Over, Subject};

/// Which of the two APIs, told by the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// `/v2/…`
    V2,
    /// `/v3/…`
    V3,
    /// The user accounts' own endpoints: OAuth's errors.
    Uaa,
}

/// What a sentence is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noun {
    /// An organization.
    Organization,
    /// A space.
    Space,
    /// A quota of spaces.
    SpaceQuota,
    /// A quota of organizations.
    OrgQuota,
    /// An app.
    App,
    /// A process of an app.
    Process,
    /// A task.
    Task,
    /// A domain.
    Domain,
    /// A route.
    Route,
    /// A service instance.
    ServiceInstance,
    /// A service key.
    ServiceKey,
    /// A service, or a plan of one.
    Service,
    /// A role.
    Role,
    /// A user.
    User,
    /// A job.
    Job,
}

/// Why a call was not done.
#[derive(Debug)]
pub enum Error {
    /// Nobody says who they are.
    NotAuthenticated,
    /// The token is none, or over.
    InvalidToken,
    /// The token does not reach that far.
    Scope,
    /// They may not do this.
    Denied,
    /// Their organization is suspended.
    Suspended,
    /// No such path, or no such method on it.
    UnknownRequest,
    /// The call makes no sense as it came.
    BadRequest,
    /// The body is not what is read here; the sentence says why.
    Parse(String),
    /// The query is not (v2, and organization quotas of v3).
    Query(String),
    /// A list cannot be ordered by this.
    OrderBy(String),
    /// It names something that is not there, by the name of its class.
    Relation(String),
    /// What v3 says of a body or query that it does not take, and of most else.
    Unprocessable(String),
    /// It is not there, or not theirs to know of.
    NotFound(Noun, String),
    /// There is one of this name.
    Taken(Noun, String),
    /// A rule of the noun's own, in the words of v2.
    Invalid(Noun, String),
    /// The organization of a thing cannot change.
    OrganizationSet,
    /// Something still hangs on it: what, and on which table.
    NotEmpty(&'static str, &'static str),
    /// No amount of memory.
    NoMemory,
    /// A quota's memory below −1.
    QuotaMemory,
    /// The app is stopped.
    AppStopped(String),
    /// A user by this id is known already.
    UserTaken(String),
    /// A route that is there already: by host, path or port.
    RouteTaken(&'static str, String),
    /// Quotas that would be exceeded, in order.
    Over(Subject, Vec<Over>),
    /// A domain more than the organization's quota has; its name.
    Domains(String),
    /// Somebody else changed it meanwhile: to be tried again.
    Moved,
    /// OAuth's: status, `error`, `error_description`.
    OAuth(StatusCode, &'static str, String),
    /// A login that was not let in.
    Login(LoginError),
    /// The store's answer.
    Store(StoreError),
}

impl Error {
    /// Through the store's closures and back: see the conversion below.
    pub fn noun(self) -> StoreError {
        match self {
            Error::Store(error) => error,
            own => StoreError::noun(own),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        error.downcast::<Error>().unwrap_or_else(Error::Store)
    }
}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Error {
        Error::Login(error)
    }
}

/// The error on its way to [`crate::reply::finish`].
#[derive(Clone)]
pub struct Carried(pub Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

/// An error as it is told.
pub struct Told {
    /// The status.
    pub status: u16,
    /// The number clients compare.
    pub code: u32,
    /// The name, without `CF-`.
    pub name: &'static str,
    /// The sentence.
    pub message: String,
    /// When to come again, in seconds.
    pub retry_after_s: Option<u64>,
}

fn told_as(status: u16, code: u32, name: &'static str, message: impl Into<String>) -> Told {
    Told { status, code, name, message: message.into(), retry_after_s: None }
}

fn unprocessable(message: impl Into<String>) -> Told {
    told_as(422, 10008, "UnprocessableEntity", message)
}

/// What this API says of it.
pub fn told(error: &Error, dialect: Dialect) -> Told {
    let v3 = dialect == Dialect::V3;
    match error {
        Error::NotAuthenticated => told_as(401, 10002, "NotAuthenticated", "Authentication error"),
        Error::InvalidToken => told_as(401, 1000, "InvalidAuthToken", "Invalid Auth Token"),
        Error::Scope if !v3 => {
            let message = "Your token lacks the necessary scopes to access this resource.";
            told_as(403, 10007, "InsufficientScope", message)
        }
        Error::Suspended if v3 => told_as(403, 10017, "OrgSuspended", "The organization is suspended"),
        Error::Scope | Error::Denied | Error::Suspended => {
            told_as(403, 10003, "NotAuthorized", "You are not authorized to perform the requested action")
        }
        Error::UnknownRequest => told_as(404, 10000, "NotFound", "Unknown request"),
        Error::BadRequest => told_as(400, 10004, "InvalidRequest", "The request is invalid"),
        Error::Parse(why) => {
            told_as(400, 1001, "MessageParseError", format!("Request invalid due to parse error: {why}"))
        }
        Error::Query(why) => told_as(400, 10005, "BadQueryParameter", format!("The query parameter is invalid: {why}")),
        Error::OrderBy(key) => told_as(500, 10012, "OrderByParameterInvalid", format!("Cannot order by: {key}")),
        Error::Relation(why) if v3 => unprocessable(why),
        Error::Relation(why) => told_as(400, 1002, "InvalidRelation", why),
        Error::Unprocessable(why) => unprocessable(why),
        Error::NotFound(noun, _) if v3 => {
            told_as(404, 10010, "ResourceNotFound", format!("{} not found", human(*noun)))
        }
        Error::NotFound(noun, guid) => not_found(*noun, guid),
        Error::Taken(noun, name) if v3 => unprocessable(taken_v3(*noun, name)),
        Error::Taken(noun, name) => taken_v2(*noun, name),
        Error::Invalid(_, why) if v3 => unprocessable(why),
        Error::Invalid(noun, why) => invalid(*noun, why),
        Error::OrganizationSet => told_as(400, 30007, "OrganizationAlreadySet", "Cannot change organization"),
        Error::NotEmpty(what, of) => {
            let message = format!("Please delete the {what} associations for your {of}.");
            told_as(400, 10006, "AssociationNotEmpty", message)
        }
        Error::NoMemory if v3 => unprocessable("Memory in mb must be greater than 0"),
        Error::NoMemory => {
            let message = "You have specified an invalid amount of memory for your application.";
            told_as(400, 100_006, "AppMemoryInvalid", message)
        }
        Error::QuotaMemory => {
            let message = "Quota Definition memory limit cannot be less than -1";
            told_as(400, 240_004, "QuotaDefinitionMemoryLimitInvalid", message)
        }
        Error::AppStopped(name) => {
            let why = format!("Request failed for app: {name} as the app is in stopped state.");
            told_as(400, 220_001, "InstancesError", format!("Instances error: {why}"))
        }
        Error::UserTaken(guid) if v3 => unprocessable(format!("User with guid '{guid}' already exists.")),
        Error::UserTaken(guid) => told_as(400, 20002, "UaaIdTaken", format!("The UAA ID is taken: {guid}")),
        Error::RouteTaken(what, which) if v3 => unprocessable(format!("Route already exists: {what} {which}")),
        Error::RouteTaken(what, which) => route_taken(what, which),
        Error::Over(subject, overs) if v3 => unprocessable(over::sentences(*subject, overs)),
        Error::Over(subject, overs) => over_v2(*subject, overs),
        Error::Domains(name) => {
            let message = format!("The number of private domains exceeds the quota for organization: {name}");
            told_as(400, 130_005, "TotalPrivateDomainsExceeded", message)
        }
        Error::Moved => busy(1),
        Error::OAuth(status, name, why) => told_as(status.as_u16(), 0, name, why.as_str()),
        Error::Login(error) => login(error),
        Error::Store(error) => store(error),
    }
}

fn human(noun: Noun) -> &'static str {
    match noun {
        Noun::Organization => "Organization",
        Noun::Space => "Space",
        Noun::SpaceQuota => "Space quota",
        Noun::OrgQuota => "Organization quota",
        Noun::App => "App",
        Noun::Process => "Process",
        Noun::Task => "Task",
        Noun::Domain => "Domain",
        Noun::Route => "Route",
        Noun::ServiceInstance => "Service instance",
        Noun::ServiceKey => "Service credential binding",
        Noun::Service => "Service offering",
        Noun::Role => "Role",
        Noun::User => "User",
        Noun::Job => "Job",
    }
}

fn not_found(noun: Noun, guid: &str) -> Told {
    let (code, name, what) = match noun {
        Noun::Organization => (30003, "OrganizationNotFound", "organization"),
        Noun::Space => (40004, "SpaceNotFound", "app space"),
        Noun::SpaceQuota => {
            let message = format!("Space Quota Definition could not be found: {guid}");
            return told_as(404, 310_007, "SpaceQuotaDefinitionNotFound", message);
        }
        Noun::OrgQuota => {
            let message = format!("Quota Definition could not be found: {guid}");
            return told_as(404, 240_001, "QuotaDefinitionNotFound", message);
        }
        Noun::App => (100_004, "AppNotFound", "app"),
        Noun::Process => (350_003, "ProcessNotFound", "process"),
        Noun::Domain => (130_002, "DomainNotFound", "domain"),
        Noun::Route => (210_002, "RouteNotFound", "route"),
        Noun::ServiceInstance => (60004, "ServiceInstanceNotFound", "service instance"),
        Noun::ServiceKey => (360_003, "ServiceKeyNotFound", "service key"),
        Noun::User => (20003, "UserNotFound", "user"),
        Noun::Service => (120_003, "ServiceNotFound", "service"),
        Noun::Task | Noun::Role | Noun::Job => {
            return told_as(404, 10010, "ResourceNotFound", format!("{} not found", human(noun)));
        }
    };
    told_as(404, code, name, format!("The {what} could not be found: {guid}"))
}

fn taken_v2(noun: Noun, name: &str) -> Told {
    let (code, title, message) = match noun {
        Noun::Organization => (30002, "OrganizationNameTaken", "The organization name is taken"),
        Noun::Space => (40002, "SpaceNameTaken", "The app space name is taken"),
        Noun::SpaceQuota => (310_002, "SpaceQuotaDefinitionNameTaken", "The space quota definition name is taken"),
        Noun::OrgQuota => (240_002, "QuotaDefinitionNameTaken", "Quota Definition is taken"),
        Noun::App | Noun::Process => (100_002, "AppNameTaken", "The app name is taken"),
        Noun::Domain => (130_003, "DomainNameTaken", "The domain name is taken"),
        Noun::ServiceInstance | Noun::Service => {
            (60002, "ServiceInstanceNameTaken", "The service instance name is taken")
        }
        Noun::ServiceKey => (360_001, "ServiceKeyNameTaken", "The service key name is taken"),
        Noun::Route => (210_003, "RouteHostTaken", "The host is taken"),
        Noun::Task | Noun::Role | Noun::User | Noun::Job => (10008, "UnprocessableEntity", "This is there already"),
    };
    told_as(400, code, title, format!("{message}: {name}"))
}

fn taken_v3(noun: Noun, name: &str) -> String {
    match noun {
        Noun::Space => "Name must be unique per organization".to_owned(),
        Noun::Organization => format!("Organization '{name}' already exists."),
        Noun::SpaceQuota => format!("Space Quota '{name}' already exists."),
        Noun::OrgQuota => format!("Organization Quota '{name}' already exists."),
        Noun::App | Noun::Process => format!("App with the name '{name}' already exists."),
        Noun::Domain => format!("The domain name \"{name}\" is already in use"),
        Noun::ServiceInstance | Noun::Service => format!("The service instance name is taken: {name}."),
        Noun::ServiceKey => format!("The binding name is invalid. Key binding names must be unique. {name} is taken."),
        // The name is the whole sentence: it speaks of a user and of a place.
        Noun::Role | Noun::Route | Noun::Task | Noun::User | Noun::Job => name.to_owned(),
    }
}

fn invalid(noun: Noun, why: &str) -> Told {
    let (code, name, message) = match noun {
        Noun::Organization => (30001, "OrganizationInvalid", "The organization info is invalid"),
        Noun::Space => (40001, "SpaceInvalid", "The app space info is invalid"),
        Noun::SpaceQuota => (310_001, "SpaceQuotaDefinitionInvalid", "Space Quota Definition is invalid"),
        Noun::OrgQuota => (240_003, "QuotaDefinitionInvalid", "Quota Definition is invalid"),
        Noun::App | Noun::Process | Noun::Task => (100_001, "AppInvalid", "The app is invalid"),
        Noun::Domain => (130_001, "DomainInvalid", "The domain is invalid"),
        Noun::Route => (210_001, "RouteInvalid", "The route is invalid"),
        Noun::ServiceInstance | Noun::Service => (60003, "ServiceInstanceInvalid", "The service instance is invalid"),
        Noun::ServiceKey => (360_002, "ServiceKeyInvalid", "The service key is invalid"),
        Noun::User | Noun::Role | Noun::Job => (20001, "UserInvalid", "The user info is invalid"),
    };
    told_as(400, code, name, format!("{message}: {why}"))
}

fn route_taken(what: &str, which: &str) -> Told {
    match what {
        "path" => told_as(400, 210_004, "RoutePathTaken", format!("The path is taken: {which}")),
        "port" => told_as(400, 210_005, "RoutePortTaken", format!("The port is taken: {which}")),
        _ => told_as(400, 210_003, "RouteHostTaken", format!("The host is taken: {which}")),
    }
}

/// v2 tells one: the first.
fn over_v2(subject: Subject, overs: &[Over]) -> Told {
    if subject == Subject::Key {
        return invalid(Noun::ServiceKey, &over::key_symbols(overs));
    }
    let Some(first) = overs.first() else { return told_as(400, 10004, "InvalidRequest", "The request is invalid") };
    let (code, name, message) = over::code(*first);
    told_as(400, code, name, message)
}

fn busy(retry_after_s: u64) -> Told {
    let message = "The server is busy or its database is away; try again.";
    Told { retry_after_s: Some(retry_after_s), ..told_as(503, 10015, "ServiceUnavailable", message) }
}

fn broken(error: &dyn std::fmt::Display) -> Told {
    tracing::error!(%error, "a call failed");
    told_as(500, 10001, "ServerError", "Server error")
}

fn login(error: &LoginError) -> Told {
    match error {
        LoginError::Wrong => told_as(401, 0, "unauthorized", "Bad credentials"),
        LoginError::Throttled { retry_after_s } => {
            let message = "Your account has been locked because of too many failed attempts to login.";
            Told { retry_after_s: Some(*retry_after_s), ..told_as(401, 0, "unauthorized", message) }
        }
        LoginError::Busy => busy(1),
        LoginError::Store(error) => store(error),
    }
}

fn store(error: &StoreError) -> Told {
    match error {
        // A refusal is read where it is known what was asked for, so this is one of a limit above the organization.
        StoreError::Refused(_) | StoreError::Overcommitted(_) => unprocessable(error.to_string()),
        StoreError::Invalid(why) => unprocessable(why),
        StoreError::NotFound { .. } => told_as(404, 10010, "ResourceNotFound", "Resource not found"),
        StoreError::Frozen(why) | StoreError::Conflict(why) => unprocessable(why),
        StoreError::Replayed(_) | StoreError::Stale | StoreError::Managed(_) | StoreError::KeyReused => {
            unprocessable(error.to_string())
        }
        StoreError::Full => told_as(507, 10001, "ServerError", "The storage of this server is full."),
        StoreError::Busy { retry_after_s } => busy(*retry_after_s),
        StoreError::Noun(_) | StoreError::Broken(_) | StoreError::Retry(_) => broken(error),
    }
}
