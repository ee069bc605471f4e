//! JSON in and out, and nothing else. What goes out has its keys in the order of the API's own examples.

mod transfers;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};
use serde_json::Value;
use store::{Micros, UserId};
use uuid::Uuid;

pub use transfers::*;

use crate::access::Owner;
use crate::ids::{AllocationId, AssetId, CollectionId, ProjectId, RecordId, RepositoryId};
use crate::input::{self, Fields, Read, TEXT_MAX, blank, choice, integer, list, text, uuid, verbatim};

/// The longest address of a repository.
const ADDRESS_MAX: usize = 1024;
/// The longest description of an asset.
const DESCRIPTION_MAX: usize = 10_000;
/// How many members a project is made with, and how many tags an asset has.
const MEMBERS_MAX: usize = 1000;
const TAGS_MAX: usize = 100;

/// A moment: ISO 8601 in UTC, without a fraction of zero.
#[derive(Clone, Copy, Debug)]
pub struct At(pub Micros);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = Offset::UTC.to_datetime(Timestamp::from_microsecond(self.0).unwrap_or_default());
        let (day, micros) = (at.date(), self.0.rem_euclid(1_000_000));
        let (year, month, day) = (day.year(), day.month(), day.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        serializer
            .collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
    }
}

/// `POST /api/auth/login/`.
pub struct Login {
    pub email: String,
    pub password: String,
}

impl Read for Login {
    fn read(fields: &mut Fields) -> Option<Self> {
        let (email, password) = (fields.need("email", text(TEXT_MAX)), fields.need("password", verbatim(TEXT_MAX)));
        Some(Login { email: email?, password: password? })
    }
}

/// A person.
#[derive(Clone, Serialize, Debug)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub name: String,
    pub is_system_admin: bool,
    pub is_repository_admin: bool,
    pub date_joined: At,
}

/// `POST /api/users/`.
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub password: String,
    pub is_system_admin: bool,
    pub is_repository_admin: bool,
    /// Of an operator only: a user whose tenant the new one joins.
    pub owner_id: Option<Uuid>,
}

impl Read for NewUser {
    fn read(fields: &mut Fields) -> Option<Self> {
        let email = fields.need("email", text(TEXT_MAX));
        let name = fields.may("name", blank(TEXT_MAX)).unwrap_or_default();
        let password = fields.need("password", verbatim(TEXT_MAX));
        let is_system_admin = fields.may("is_system_admin", input::boolean).unwrap_or_default();
        let is_repository_admin = fields.may("is_repository_admin", input::boolean).unwrap_or_default();
        let owner_id = fields.nullable("owner_id", uuid).flatten();
        let (email, password) = (email?, password?);
        Some(NewUser { email, name, password, is_system_admin, is_repository_admin, owner_id })
    }
}

/// An allocation.
#[derive(Serialize)]
pub struct Allocation {
    pub id: AllocationId,
    pub repository_id: RepositoryId,
    pub owner_user: Option<User>,
    pub owner_project_id: Option<ProjectId>,
    pub parent_id: Option<AllocationId>,
    pub children_count: u64,
    pub alias: String,
    pub data_volume_limit: u64,
    pub max_records: u64,
    pub current_bytes: u64,
    pub current_record_count: u64,
    pub is_default: bool,
    pub created_at: At,
    pub updated_at: At,
}

/// `POST /api/allocations/`.
pub struct NewAllocation {
    pub owner: Owner,
    pub data_volume_limit: u64,
    pub max_records: u64,
    pub place: NewPlace,
    pub alias: String,
    pub attach_to_asset: Option<AssetId>,
    pub attach_to_collection: Option<CollectionId>,
}

/// Where a new allocation lies.
#[derive(Clone, Copy)]
pub enum NewPlace {
    /// In a repository.
    Repository(RepositoryId),
    /// Under another allocation, in its repository whatever else is said.
    Parent(AllocationId),
}

impl Read for NewAllocation {
    fn read(fields: &mut Fields) -> Option<Self> {
        let owner_type = fields.need("owner_type", choice(Owner::TYPES));
        let owner_id = fields.need("owner_id", uuid);
        let data_volume_limit = fields.need("data_volume_limit", integer(1));
        let max_records = fields.need("max_records", integer(1));
        let place = if fields.says("parent_id") {
            fields.may("parent_id", uuid).map(|id| NewPlace::Parent(AllocationId(id)))
        } else {
            fields.need("repository_id", uuid).map(|id| NewPlace::Repository(RepositoryId(id)))
        };
        let alias = fields.may("alias", blank(TEXT_MAX)).unwrap_or_default();
        let asset = fields.nullable("attach_to_asset_id", uuid).flatten();
        let collection = fields.nullable("attach_to_collection_id", uuid).flatten();
        Some(NewAllocation {
            owner: Owner::new(owner_type?, owner_id?),
            data_volume_limit: data_volume_limit?,
            max_records: max_records?,
            place: place?,
            alias,
            attach_to_asset: asset.map(AssetId),
            attach_to_collection: collection.map(CollectionId),
        })
    }
}

/// `PATCH /api/allocations/{id}/`.
pub struct AllocationChange {
    pub alias: Option<String>,
    pub data_volume_limit: Option<u64>,
    pub max_records: Option<u64>,
}

impl Read for AllocationChange {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(AllocationChange {
            alias: fields.may("alias", blank(TEXT_MAX)),
            data_volume_limit: fields.may("data_volume_limit", integer(1)),
            max_records: fields.may("max_records", integer(1)),
        })
    }
}

/// A repository.
#[derive(Serialize)]
pub struct Repository {
    pub id: RepositoryId,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub address: String,
    pub capacity: u64,
    pub usage_bytes: u64,
    pub asset_content_count: u64,
    pub access_key_id_masked: String,
    pub provider: String,
    pub status: &'static str,
    pub provisioning_error: String,
    pub is_active: bool,
    pub bucket: String,
    pub region: String,
    pub endpoint: String,
    pub irsa_role_arn: String,
    pub created_at: At,
    pub updated_at: At,
}

/// `POST` and `PATCH` of repositories: what is not said stays, or is empty in a new one.
#[derive(Clone, Default)]
pub struct RepositoryFields {
    pub name: Option<String>,
    pub kind: Option<&'static str>,
    pub capacity: Option<u64>,
    pub address: Option<String>,
    pub bucket: Option<String>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub irsa_role_arn: Option<String>,
    pub access_key_id: Option<String>,
    pub is_active: Option<bool>,
}

/// The kinds of repositories.
const REPOSITORY_KINDS: &[&str] = &["s3", "storj", "posix"];

impl Read for RepositoryFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        // Read to be checked, and kept nowhere: only posix is served, so nobody would ever use them.
        fields.may("secret_access_key", blank(TEXT_MAX));
        fields.may("access_grant", blank(ADDRESS_MAX * 8));
        Some(RepositoryFields {
            name: fields.may("name", text(TEXT_MAX)),
            kind: fields.may("type", choice(REPOSITORY_KINDS)),
            capacity: fields.may("capacity", integer(0)),
            address: fields.may("address", blank(ADDRESS_MAX)),
            bucket: fields.may("bucket", blank(TEXT_MAX)),
            region: fields.may("region", blank(64)),
            endpoint: fields.may("endpoint", blank(ADDRESS_MAX)),
            irsa_role_arn: fields.may("irsa_role_arn", blank(2048)),
            access_key_id: fields.may("access_key_id", blank(TEXT_MAX)),
            is_active: fields.may("is_active", input::boolean),
        })
    }
}

/// `POST /api/repositories/`: the same, with what a new one needs.
pub struct NewRepository(pub RepositoryFields);

impl Read for NewRepository {
    fn read(fields: &mut Fields) -> Option<Self> {
        ["name", "type", "capacity"].into_iter().for_each(|name| fields.require(name));
        RepositoryFields::read(fields).map(NewRepository)
    }
}

/// A project.
#[derive(Serialize)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub owner_id: Option<UserId>,
    pub members: Vec<Member>,
    pub created_at: At,
}

/// Somebody in a project.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Member {
    pub user_id: UserId,
    pub role: String,
}

/// `POST /api/projects/`.
pub struct NewProject {
    pub name: String,
    pub owner: Option<UserId>,
    pub members: Vec<Member>,
}

impl Read for NewProject {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.need("name", text(TEXT_MAX));
        let owner = fields.nullable("owner_id", uuid).flatten().map(UserId);
        let members = fields.may("members", list(MEMBERS_MAX, member)).unwrap_or_default();
        Some(NewProject { name: name?, owner, members })
    }
}

fn member(value: &Value) -> Result<Member, String> {
    let user_id = uuid(&value["user_id"]).map(UserId)?;
    let role = choice(&["member", "manager", "admin"])(&value["role"])?.to_owned();
    Ok(Member { user_id, role })
}

/// A collection.
#[derive(Serialize)]
pub struct Collection {
    pub id: CollectionId,
    pub title: String,
    pub owner_type: &'static str,
    pub owner_id: Uuid,
    pub parent_id: Option<CollectionId>,
    pub allocation_id: Option<AllocationId>,
    pub created_at: At,
    pub updated_at: At,
}

/// `POST` and `PATCH` of collections.
pub struct CollectionFields {
    pub title: Option<String>,
    pub owner: Option<Owner>,
    pub parent: Option<Option<CollectionId>>,
    pub allocation: Option<Option<AllocationId>>,
}

impl Read for CollectionFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(CollectionFields {
            title: fields.may("title", text(TEXT_MAX)),
            owner: owner(fields),
            parent: fields.nullable("parent_id", uuid).map(|id| id.map(CollectionId)),
            allocation: fields.nullable("allocation_id", uuid).map(|id| id.map(AllocationId)),
        })
    }
}

/// An owner as two fields that may be left out, but not one of them.
pub fn owner(fields: &mut Fields) -> Option<Owner> {
    let kind = fields.may("owner_type", choice(Owner::TYPES));
    let id = fields.nullable("owner_id", uuid).flatten();
    if id.is_none() && kind == Some("project") && !fields.has_fault("owner_id") {
        fields.fault("owner_id", "This field is required.");
    }
    id.map(|id| Owner::new(kind.unwrap_or("user"), id))
}

/// `POST /api/collections/`.
pub struct NewCollection(pub String, pub CollectionFields);

impl Read for NewCollection {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.require("title");
        let mut read = CollectionFields::read(fields)?;
        Some(NewCollection(read.title.take()?, read))
    }
}

/// An asset.
#[derive(Serialize)]
pub struct Asset {
    pub id: AssetId,
    pub title: String,
    pub owner_type: &'static str,
    pub owner_id: Uuid,
    pub creator_id: UserId,
    pub collection_id: Option<CollectionId>,
    pub allocation_id: Option<AllocationId>,
    pub description: String,
    pub alias: String,
    pub tags: Value,
    pub metadata: Value,
    pub is_locked: bool,
    pub current_content: Option<Record>,
    pub created_at: At,
    pub updated_at: At,
}

/// `POST` and `PATCH` of assets.
pub struct AssetFields {
    pub title: Option<String>,
    pub owner: Option<Owner>,
    pub collection: Option<Option<CollectionId>>,
    pub allocation: Option<Option<AllocationId>>,
    pub description: Option<String>,
    pub alias: Option<String>,
    pub tags: Option<Vec<String>>,
    pub metadata: Option<Value>,
    pub is_locked: Option<bool>,
}

impl Read for AssetFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(AssetFields {
            title: fields.may("title", text(TEXT_MAX)),
            owner: owner(fields),
            collection: fields.nullable("collection_id", uuid).map(|id| id.map(CollectionId)),
            allocation: fields.nullable("allocation_id", uuid).map(|id| id.map(AllocationId)),
            description: fields.may("description", blank(DESCRIPTION_MAX)),
            alias: fields.may("alias", blank(TEXT_MAX)),
            tags: fields.may("tags", list(TAGS_MAX, text(TEXT_MAX))),
            metadata: fields.may("metadata", input::dictionary),
            is_locked: fields.may("is_locked", input::boolean),
        })
    }
}

/// `POST /api/assets/`.
pub struct NewAsset(pub String, pub AssetFields);

impl Read for NewAsset {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.require("title");
        let mut read = AssetFields::read(fields)?;
        Some(NewAsset(read.title.take()?, read))
    }
}

/// A record.
#[derive(Serialize)]
pub struct Record {
    pub id: RecordId,
    pub asset_id: Option<AssetId>,
    pub allocation_id: AllocationId,
    pub storage_path: String,
    pub size_bytes: u64,
    pub data_type: String,
    pub files: Vec<File>,
    pub extracted_metadata: Option<Value>,
    pub created_at: At,
    pub updated_at: At,
}

/// A file of a record.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct File {
    pub filename: String,
    pub size: u64,
    pub checksum: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_six_digits_or_no_fraction() {
        let told = |micros| serde_json::to_string(&At(micros)).unwrap();
        assert_eq!(told(1_699_335_116_000_000), "\"2023-11-07T05:31:56Z\"");
        assert_eq!(told(1_699_335_116_123_456), "\"2023-11-07T05:31:56.123456Z\"");
        assert_eq!(told(1_699_335_116_000_007), "\"2023-11-07T05:31:56.000007Z\"");
        assert_eq!(told(0), "\"1970-01-01T00:00:00Z\"");
    }
}
