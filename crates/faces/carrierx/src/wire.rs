//! JSON out, and nothing else. Keys come in alphabetical order, as in every sample.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use store::Micros;

use crate::ids::{ContainerId, FileId, PartnerId};

/// A moment: RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct At(pub Micros);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = Offset::UTC.to_datetime(Timestamp::from_microsecond(self.0).unwrap_or_default());
        let millis = self.0.rem_euclid(1_000_000) / 1000;
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        serializer
            .collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"))
    }
}

/// A container.
#[derive(Serialize)]
pub struct Container {
    pub allow_publish: bool,
    pub allowed_classifications: Vec<&'static str>,
    pub available_bytes_percent: u64,
    pub available_files_percent: u64,
    pub blocked_classifications: Vec<&'static str>,
    pub container_sid: ContainerId,
    pub default_file_lifecycle_action: &'static str,
    pub default_file_lifecycle_ttl: i64,
    pub default_file_publish: &'static str,
    pub default_file_threshold_include: bool,
    pub default_file_unique: bool,
    pub durability_class: &'static str,
    pub encrypted: bool,
    pub external_attributes: Map<String, Value>,
    pub integer_key_1: Option<i64>,
    pub integer_key_2: Option<i64>,
    pub name: String,
    pub parent_container_sid: Option<ContainerId>,
    pub partner_sid: PartnerId,
    pub publish_domain: String,
    pub quota_bytes: Option<u64>,
    pub quota_files: Option<u64>,
    pub string_key_1: Option<String>,
    pub string_key_2: Option<String>,
    pub string_key_3: Option<String>,
    pub string_key_4: Option<String>,
    pub threshold_action: Option<&'static str>,
    pub threshold_available_bytes_percent: Option<u64>,
    pub threshold_available_files_percent: Option<u64>,
    pub threshold_bytes: Option<u64>,
    pub threshold_bytes_target: Option<u64>,
    pub threshold_files: Option<u64>,
    pub threshold_files_target: Option<u64>,
    pub threshold_grace_period: u64,
    pub threshold_total_bytes: u64,
    pub threshold_total_files: u64,
    pub total_bytes: u64,
    pub total_files: u64,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub unique: bool,
}

/// A file.
#[derive(Serialize)]
pub struct File {
    pub container_sid: ContainerId,
    pub content_classification: String,
    pub content_duration: Option<u64>,
    pub content_format: Option<String>,
    pub content_transcoding_progress: Option<u64>,
    pub date_last_accessed: Option<At>,
    pub date_modified: At,
    pub desired_bitrate: Option<i64>,
    pub desired_format: Option<String>,
    pub file_access_name: String,
    pub file_bytes: u64,
    pub file_sid: FileId,
    pub integer_key_1: Option<i64>,
    pub integer_key_2: Option<i64>,
    pub lifecycle_action: &'static str,
    pub lifecycle_ttl: i64,
    pub mime_type: String,
    pub name: String,
    pub parent_file_sid: Option<FileId>,
    pub partner_sid: PartnerId,
    pub publish: &'static str,
    pub publish_uri: Option<String>,
    pub string_key_1: Option<String>,
    pub string_key_2: Option<String>,
    pub string_key_3: Option<String>,
    pub string_key_4: Option<String>,
    pub threshold_include: bool,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub unique: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_milliseconds() {
        let told = serde_json::to_string(&At(1_642_875_210_900_123)).unwrap();
        assert_eq!(told, "\"2022-01-22T18:13:30.900Z\"");
    }
}
