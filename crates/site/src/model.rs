//! A site as the file says it, checked. Limits and secrets are values of their own; names are still text where a face
//! allows free text.

use ledger::{Catalog, Limits, Name, Overcommit};
use uuid::Uuid;

use crate::Secret;

/// Everything a site file can say.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The built-in resources and the file's own, in its order.
    pub catalog: Catalog,
    /// Where clients reach the server, without a slash at the end. None: taken from each request.
    pub public_url: Option<String>,
    /// 64 hex digits: the key that content is sealed with, where a face asks for it.
    pub encryption_key: Option<Secret>,
    /// Whether the Allocations face demands a CSRF header always.
    pub strict_csrf: bool,
    /// Who runs the site.
    pub operators: Vec<Operator>,
    /// Stocks of storage.
    pub pools: Vec<Pool>,
    /// Allocations: where allocations lie.
    pub repositories: Vec<Repository>,
    /// CloudSigma: where drives are made.
    pub storage_types: Vec<StorageType>,
    /// CloudSigma: images that anyone may clone.
    pub library_drives: Vec<LibraryDrive>,
    /// CloudSigma: licences that an image may need.
    pub licenses: Vec<License>,
    /// The customers.
    pub tenants: Vec<Tenant>,
}

/// Somebody who runs the site and belongs to no tenant.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The login.
    pub email: String,
    /// The person.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// The password to log in with; none: there is none.
    pub password: Option<Secret>,
    /// A token for the native API.
    pub token: Option<Secret>,
    pub(crate) line: usize,
}

/// A stock of storage: a root of the supply side.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its segment of the path.
    pub name: Name,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// Whether content lies here when nothing else is said.
    pub default: bool,
    /// What there is.
    pub limits: Limits,
    /// How much of it may be promised.
    pub overcommit: Option<Overcommit>,
    pub(crate) line: usize,
}

/// An Allocations repository, in a pool.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Its segment of the path, and its name.
    pub name: Name,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// The pool it is in.
    pub pool: Name,
    /// `posix`, `s3` or `storj`.
    pub kind: String,
    /// Its capacity.
    pub limits: Limits,
    pub(crate) line: usize,
}

/// The places of a storage type, for drives that must not lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// So many folders of the data folder.
    Folders(u32),
    /// Folders of the operator's own.
    Paths(Vec<String>),
}

/// A CloudSigma storage type, in a pool.
#[derive(Clone, Debug)]
pub struct StorageType {
    /// Its segment of the path, and the word in the API.
    pub name: Name,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// Whether drives are made here when nothing else is said.
    pub default: bool,
    /// The pool it is in.
    pub pool: Name,
    /// What there is; 0 bytes: known, and nothing left.
    pub limits: Limits,
    /// Its separate places.
    pub places: Places,
    /// The smallest drive, in bytes; none: the face's own bound.
    pub size_min: Option<u64>,
    /// The largest drive, in bytes; none: the face's own bound.
    pub size_max: Option<u64>,
    pub(crate) line: usize,
}

/// A CloudSigma library drive.
#[derive(Clone, Debug)]
pub struct LibraryDrive {
    /// What it is called.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// `disk` or `cdrom`.
    pub media: String,
    /// In bytes.
    pub size: u64,
    /// A file to fill it from; none: empty.
    pub image: Option<String>,
    /// What is told of it, as text by key.
    pub meta: Vec<(String, String)>,
    pub(crate) line: usize,
}

/// A CloudSigma licence.
#[derive(Clone, Debug)]
pub struct License {
    /// The word in the API.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// What people call it.
    pub long_name: String,
    /// What it is counted by.
    pub user_metric: String,
    pub(crate) line: usize,
}

/// One customer: a root of the demand side.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its segment of the path.
    pub name: Name,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// What people call it.
    pub title: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Its people.
    pub users: Vec<User>,
    /// Their tokens.
    pub tokens: Vec<Token>,
    /// Allocations: its projects.
    pub projects: Vec<Project>,
    /// CarrierX: its partners.
    pub partners: Vec<Partner>,
    /// Cloud Foundry: its organizations.
    pub organizations: Vec<Organization>,
    /// KooDrive: its space types, users and apps.
    pub koodrive: Option<KooDrive>,
    pub(crate) line: usize,
}

/// A person of a tenant, on every face.
#[derive(Clone, Debug)]
pub struct User {
    /// The login.
    pub email: String,
    /// The person.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// The password to log in with; none: there is none, or it is made elsewhere.
    pub password: Option<Secret>,
    /// Whether all of the tenant is theirs to run.
    pub admin: bool,
    /// Whether they hand out allocations.
    pub repository_admin: bool,
    /// What they may use themselves.
    pub limits: Limits,
    pub(crate) line: usize,
}

/// A bearer token for the native API and Allocations.
#[derive(Clone, Debug)]
pub struct Token {
    /// Whose, by e-mail.
    pub user: String,
    /// Its text.
    pub token: Secret,
    pub(crate) line: usize,
}

/// An Allocations project.
#[derive(Clone, Debug)]
pub struct Project {
    /// What it is called.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// Who is in it, as what.
    pub members: Vec<Member>,
    /// What it may use.
    pub limits: Limits,
    pub(crate) line: usize,
}

/// Somebody in a project.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who, by e-mail.
    pub user: String,
    /// `member`, `manager` or `admin`.
    pub role: String,
    pub(crate) line: usize,
}

/// A CarrierX partner.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Its segment of the path.
    pub name: Name,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// For Basic authentication.
    pub login: Option<String>,
    /// For Basic authentication.
    pub password: Option<Secret>,
    /// How many containers it may have; none: the face's default.
    pub max_containers: Option<u64>,
    /// The container for files of which nothing is said.
    pub default_container: Option<Uuid>,
    /// What it may use.
    pub limits: Limits,
    /// Its tokens.
    pub tokens: Vec<PartnerToken>,
    pub(crate) line: usize,
}

/// A token of a partner.
#[derive(Clone, Debug)]
pub struct PartnerToken {
    /// Its text.
    pub token: Secret,
    /// `storage.manage` and the like.
    pub scopes: Vec<String>,
    pub(crate) line: usize,
}

/// A Cloud Foundry organization.
#[derive(Clone, Debug)]
pub struct Organization {
    /// What it is called.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// Who manages it, by e-mail.
    pub managers: Vec<String>,
    /// Its spaces.
    pub spaces: Vec<Space>,
    pub(crate) line: usize,
}

/// A Cloud Foundry space.
#[derive(Clone, Debug)]
pub struct Space {
    /// What it is called.
    pub name: String,
    /// The id to keep.
    pub uuid: Option<Uuid>,
    /// Who develops in it, by e-mail.
    pub developers: Vec<String>,
    pub(crate) line: usize,
}

/// What KooDrive knows of a tenant.
#[derive(Clone, Debug)]
pub struct KooDrive {
    /// Bytes for spaces of type 0.
    pub department: u64,
    /// Bytes for spaces of type 1.
    pub individual: u64,
    /// Bytes for spaces of type 2.
    pub group: u64,
    /// Its users.
    pub users: Vec<KooUser>,
    /// Its apps.
    pub apps: Vec<KooApp>,
    /// Tokens that do not idle out.
    pub tokens: Vec<KooToken>,
}

/// A KooDrive user.
#[derive(Clone, Debug)]
pub struct KooUser {
    /// The id on the wire.
    pub id: String,
    /// Who that is, by e-mail.
    pub user: String,
    /// Whether they may change spaces.
    pub admin: bool,
    pub(crate) line: usize,
}

/// A KooDrive app.
#[derive(Clone, Debug)]
pub struct KooApp {
    /// The id on the wire.
    pub id: String,
    /// What it signs with.
    pub secret: Secret,
    /// `table` or `example`: which of the two documented forms it gets.
    pub response_form: String,
    pub(crate) line: usize,
}

/// A KooDrive token.
#[derive(Clone, Debug)]
pub struct KooToken {
    /// Its text.
    pub token: Secret,
    /// Whose, by KooDrive user id.
    pub user: String,
    pub(crate) line: usize,
}

impl Site {
    /// The pool where content lies when nothing else is said.
    pub fn default_pool(&self) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.default)
    }

    /// The tenant of that name.
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.name.as_str() == name)
    }
}

impl Tenant {
    /// The user with that e-mail.
    pub fn user(&self, email: &str) -> Option<&User> {
        self.users.iter().find(|user| user.email == email)
    }
}
