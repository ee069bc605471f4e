//! JSON as this API has it: what goes out. What comes in is read field by field, in `input.rs` and by the nouns.
//!
//! **Always.** The keys come in the order in which the API's page prints them, which is that of the alphabet.

use serde::{Serialize, Serializer};
use serde_json::Value;
use store::Micros;

/// The root of all paths and URIs.
pub const ROOT: &str = "/api/2.0";

/// Where something is.
pub fn uri(kind: &str, id: impl std::fmt::Display) -> String {
    format!("{ROOT}/{kind}/{id}/")
}

/// A reference to something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ref {
    /// Where it is.
    pub resource_uri: String,
    /// Which one.
    pub uuid: String,
}

impl Ref {
    /// To one of a kind.
    pub fn to(kind: &str, id: impl std::fmt::Display) -> Ref {
        Ref { resource_uri: uri(kind, &id), uuid: id.to_string() }
    }
}

/// A time as jobs have it: `2014-06-05T09:52:53.896622+00:00`.
pub fn time(at: Micros) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S%.6f+00:00")
}

/// A time in a form of its own, in UTC.
pub fn written(at: Micros, form: &str) -> String {
    let at = jiff::Timestamp::from_microsecond(at).unwrap_or_default();
    at.strftime(form).to_string()
}

/// The keys of a drive on the short list.
pub const DRIVE_SHORT: &[&str] = &["owner", "resource_uri", "status", "uuid"];

/// A drive.
#[derive(Clone, Debug, Serialize)]
pub struct Drive {
    pub affinities: Value,
    pub allow_multimount: bool,
    pub backup_scheduler: Null,
    pub grantees: Empty,
    pub iops: Null,
    pub jobs: Vec<Ref>,
    pub licenses: Vec<DriveLicense>,
    pub media: String,
    pub meta: Value,
    pub mounted_on: Vec<Ref>,
    pub name: String,
    pub owner: Option<Ref>,
    pub permissions: Empty,
    pub remote_snapshots: Empty,
    pub resource_uri: String,
    pub runtime: Runtime,
    pub size: u64,
    pub snapshots: Vec<Ref>,
    pub status: String,
    pub storage_type: Option<String>,
    pub tags: Vec<Ref>,
    pub uuid: String,
}

/// What a drive is made of right now.
#[derive(Clone, Debug, Serialize)]
pub struct Runtime {
    pub is_snapshotable: Option<bool>,
    pub snapshots_allocated_size: u64,
    pub storage_type: String,
}

/// A licence on a drive.
#[derive(Clone, Debug, Serialize)]
pub struct DriveLicense {
    pub amount: u64,
    pub license: License,
    pub user: Option<Ref>,
}

/// A licence.
#[derive(Clone, Debug, Serialize)]
pub struct License {
    pub burstable: bool,
    pub long_name: String,
    pub name: String,
    pub resource_uri: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub user_metric: String,
}

/// An image that anyone may clone.
#[derive(Clone, Debug, Serialize)]
pub struct LibraryDrive {
    pub affinities: Value,
    pub allow_multimount: bool,
    pub arch: Value,
    pub category: Value,
    pub description: Value,
    pub distribution: Value,
    pub favourite: bool,
    pub image_type: Value,
    pub install_notes: Value,
    pub jobs: Vec<Ref>,
    pub licenses: Vec<DriveLicense>,
    pub media: String,
    pub meta: Value,
    pub mounted_on: Vec<Ref>,
    pub name: String,
    pub os: Value,
    pub owner: Null,
    pub paid: bool,
    pub resource_uri: String,
    pub size: u64,
    pub status: String,
    pub storage_type: Null,
    pub tags: Vec<Ref>,
    pub url: Value,
    pub uuid: String,
    pub version: Value,
}

/// How many people use a drive (RDS).
#[derive(Clone, Debug, Serialize)]
pub struct DriveUsers {
    pub amount: u64,
    pub drive: Ref,
}

/// A snapshot.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    pub allocated_size: Option<u64>,
    pub drive: Ref,
    pub grantees: Empty,
    pub meta: Value,
    pub name: String,
    pub owner: Ref,
    pub permissions: Empty,
    pub resource_uri: String,
    pub status: &'static str,
    pub tags: Vec<Ref>,
    pub timestamp: String,
    pub uuid: String,
}

/// A job.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    pub children: Vec<Job>,
    pub created: String,
    pub data: Progress,
    pub last_modified: String,
    pub operation: String,
    pub resource_uri: String,
    pub resources: Value,
    pub state: String,
    pub uuid: String,
}

/// How far a job is, in hundredths.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Progress {
    pub progress: u64,
}

/// A tag.
#[derive(Clone, Debug, Serialize)]
pub struct Tag {
    pub meta: Value,
    pub name: String,
    pub owner: Ref,
    pub resource_uri: String,
    pub resources: Vec<Tagged>,
    pub uuid: String,
}

/// What has a tag.
#[derive(Clone, Debug, Serialize)]
pub struct Tagged {
    pub owner: Ref,
    pub res_type: String,
    pub resource_uri: String,
    pub uuid: String,
}

/// The keys of a server on the short list.
pub const SERVER_SHORT: &[&str] = &["name", "owner", "resource_uri", "runtime", "status", "uuid"];

/// A drive on a server.
#[derive(Clone, Debug, Serialize)]
pub struct Mount {
    pub boot_order: Option<u64>,
    pub dev_channel: String,
    pub device: String,
    pub drive: Ref,
    pub runtime: Null,
}

/// Always null.
#[derive(Clone, Copy, Debug)]
pub struct Null;

impl Serialize for Null {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

/// Always an empty list.
#[derive(Clone, Copy, Debug)]
pub struct Empty;

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nothing: [(); 0] = [];
        nothing.serialize(serializer)
    }
}
