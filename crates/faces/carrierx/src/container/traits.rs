//! What of a container its partner says: the writable fields, their defaults and their rules (section 2).

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::class::CLASSES;
use crate::ids::ContainerId;
use crate::input::{Fields, TEXT_MAX, amount, boolean, choice, choices, integer, text, uuid};
use crate::keys::Keys;

/// What a file does when its time is over.
pub const LIFECYCLE_ACTIONS: &[&str] = &["no_action", "delete"];
/// How a file can be published.
pub const PUBLISH: &[&str] = &["file_sid", "file_access_name", "none"];
/// What is done about a threshold that was passed.
pub const THRESHOLD_ACTIONS: &[&str] = &["no_action", "delete_oldest", "delete_least_recent"];

/// The longest time, in seconds: some 100 years, so that no moment is out of reach.
pub const SECONDS_MAX: i64 = 3_155_760_000;
/// The longest `external_attributes` as JSON.
const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;

/// The writable fields of a container. Quotas and the name are here as they were read from the container's allotment, or
/// as they are to be written there.
#[derive(Clone, PartialEq, Debug)]
pub struct Traits {
    pub allow_publish: bool,
    pub allowed_classifications: Vec<&'static str>,
    pub blocked_classifications: Vec<&'static str>,
    pub default_file_lifecycle_action: &'static str,
    pub default_file_lifecycle_ttl: i64,
    pub default_file_publish: &'static str,
    pub default_file_threshold_include: bool,
    pub default_file_unique: bool,
    pub external_attributes: Map<String, Value>,
    pub keys: Keys,
    pub name: String,
    pub parent: Option<ContainerId>,
    pub quota_bytes: Option<u64>,
    pub quota_files: Option<u64>,
    pub threshold_action: Option<&'static str>,
    pub threshold_bytes: Option<u64>,
    pub threshold_bytes_target: Option<u64>,
    pub threshold_files: Option<u64>,
    pub threshold_files_target: Option<u64>,
    pub threshold_grace_period: u64,
    pub unique: bool,
}

impl Default for Traits {
    fn default() -> Traits {
        Traits {
            allow_publish: true,
            allowed_classifications: Vec::new(),
            blocked_classifications: Vec::new(),
            default_file_lifecycle_action: "no_action",
            default_file_lifecycle_ttl: -1,
            default_file_publish: "file_sid",
            default_file_threshold_include: true,
            default_file_unique: false,
            external_attributes: Map::new(),
            keys: Keys::default(),
            name: "N/A".to_owned(),
            parent: None,
            quota_bytes: Some(1 << 30),
            quota_files: Some(100),
            threshold_action: None,
            threshold_bytes: None,
            threshold_bytes_target: None,
            threshold_files: None,
            threshold_files_target: None,
            threshold_grace_period: 0,
            unique: false,
        }
    }
}

impl Traits {
    /// These with what is given in `fields`, whose faults are noted there.
    pub fn with(mut self, fields: &mut Fields) -> Traits {
        fields.set("allow_publish", &mut self.allow_publish, boolean);
        fields.set("allowed_classifications", &mut self.allowed_classifications, choices(CLASSES));
        fields.set("blocked_classifications", &mut self.blocked_classifications, choices(CLASSES));
        fields.set("default_file_lifecycle_action", &mut self.default_file_lifecycle_action, choice(LIFECYCLE_ACTIONS));
        fields.set("default_file_lifecycle_ttl", &mut self.default_file_lifecycle_ttl, integer(-1, SECONDS_MAX));
        fields.set("default_file_publish", &mut self.default_file_publish, choice(PUBLISH));
        fields.set("default_file_threshold_include", &mut self.default_file_threshold_include, boolean);
        fields.set("default_file_unique", &mut self.default_file_unique, boolean);
        fields.set("external_attributes", &mut self.external_attributes, attributes);
        self.keys.read(fields);
        fields.set("name", &mut self.name, text(TEXT_MAX));
        let mut parent: Option<Uuid> = self.parent.map(|parent| parent.0);
        fields.set_or_null("parent_container_sid", &mut parent, uuid);
        self.parent = parent.map(ContainerId);
        fields.set_or_null("quota_bytes", &mut self.quota_bytes, amount(0));
        // The vendor's client has an older name; where both are given, the documented one counts.
        fields.set_or_null("quota_count", &mut self.quota_files, amount(0));
        fields.set_or_null("quota_files", &mut self.quota_files, amount(0));
        fields.set_or_null("threshold_action", &mut self.threshold_action, choice(THRESHOLD_ACTIONS));
        fields.set_or_null("threshold_bytes", &mut self.threshold_bytes, amount(1));
        fields.set_or_null("threshold_bytes_target", &mut self.threshold_bytes_target, amount(0));
        fields.set_or_null("threshold_files", &mut self.threshold_files, amount(1));
        fields.set_or_null("threshold_files_target", &mut self.threshold_files_target, amount(0));
        let mut grace = i64::try_from(self.threshold_grace_period).unwrap_or(SECONDS_MAX);
        fields.set("threshold_grace_period", &mut grace, integer(0, SECONDS_MAX));
        self.threshold_grace_period = grace.unsigned_abs();
        fields.set("unique", &mut self.unique, boolean);
        self.check_thresholds(fields);
        self
    }

    /// Where thresholds and their targets may lie. Only what is spoken of is looked at: an operator may have set a quota
    /// elsewhere.
    fn check_thresholds(&self, fields: &mut Fields) {
        let rules = [
            ("threshold_bytes", self.threshold_bytes, "quota_bytes", self.quota_bytes),
            ("threshold_files", self.threshold_files, "quota_files", self.quota_files),
            ("threshold_bytes_target", self.threshold_bytes_target, "threshold_bytes", self.threshold_bytes),
            ("threshold_files_target", self.threshold_files_target, "threshold_files", self.threshold_files),
        ];
        for (name, value, bound_name, bound) in rules {
            let is_asked = fields.says(name) || fields.says(bound_name);
            if is_asked && value.zip(bound).is_some_and(|(value, bound)| value > bound) {
                fields.fault(name, format!("must be at most {bound_name}"));
            }
        }
    }

    /// What stands for the keys, if they may be there only once.
    pub fn unique_key(&self) -> Option<String> {
        self.unique.then(|| self.keys.digest())
    }
}

/// Whether files of this class may come in. What is blocked is blocked even if it is allowed.
pub fn takes(allowed: &[&str], blocked: &[&str], class: &str) -> bool {
    !blocked.contains(&class) && (allowed.is_empty() || allowed.contains(&class))
}

/// An object of bounded length, kept as it is.
fn attributes(value: &Value) -> Result<Map<String, Value>, String> {
    let map = value.as_object().ok_or("must be an object")?;
    let text = value.to_string();
    if text.len() > ATTRIBUTES_BYTES_MAX {
        return Err(format!("must have at most {ATTRIBUTES_BYTES_MAX} bytes"));
    }
    // PostgreSQL has no null character in a text.
    if text.contains("\\u0000") {
        return Err("must not hold a null character".to_owned());
    }
    Ok(map.clone())
}

/// The values in an object that are no objects, by their dotted names: what a filter reaches.
pub fn flat(map: &Map<String, Value>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, &Map<String, Value>)> = vec![(String::new(), map)];
    while let Some((prefix, map)) = open.pop() {
        for (name, value) in map {
            let name = format!("{prefix}{name}");
            match value {
                Value::Object(inner) => open.push((format!("{name}."), inner)),
                Value::String(text) => found.push((name, text.clone())),
                Value::Null => {}
                other => found.push((name, other.to_string())),
            }
        }
    }
    // `{"a.b": 1, "a": {"b": 2}}` says one name twice.
    found.sort();
    found.dedup_by(|(a, _), (b, _)| a == b);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_go_by_their_dotted_names() {
        let Value::Object(map) = json!({ "bucket": "b", "s3": { "region": "eu", "port": 1 }, "none": null }) else {
            panic!("an object")
        };
        let name = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(flat(&map), [name("bucket", "b"), name("s3.port", "1"), name("s3.region", "eu")]);
    }

    #[test]
    fn what_is_blocked_is_blocked_even_if_allowed() {
        assert!(takes(&[], &[], "media") && takes(&["media"], &[], "media"));
        assert!(!takes(&["media"], &[], "unknown") && !takes(&["media"], &["media"], "media"));
    }
}
