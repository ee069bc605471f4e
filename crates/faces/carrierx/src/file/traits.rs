//! What of a file its partner says: the writable fields and their rules (section 5).

use uuid::Uuid;

use crate::class;
use crate::container::{LIFECYCLE_ACTIONS, PUBLISH, SECONDS_MAX};
use crate::ids::FileId;
use crate::input::{Fields, TEXT_MAX, boolean, choice, integer, text, uuid};
use crate::keys::Keys;

/// What a file can be.
pub const KINDS: &[&str] = &["file", "directory"];
/// The bitrates that can be wished for.
const BITRATES: &[i64] = &[8, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// What a container says of its files, where they say nothing themselves.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub lifecycle_action: &'static str,
    pub lifecycle_ttl: i64,
    pub publish: &'static str,
    pub threshold_include: bool,
    pub unique: bool,
}

/// The writable fields of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Traits {
    pub access_name: Option<String>,
    pub desired_bitrate: Option<i64>,
    pub desired_format: Option<String>,
    pub keys: Keys,
    pub lifecycle_action: &'static str,
    pub lifecycle_ttl: i64,
    pub mime_type: Option<String>,
    pub name: Option<String>,
    pub parent: Option<FileId>,
    pub publish: &'static str,
    pub threshold_include: bool,
    pub kind: &'static str,
    pub unique: bool,
}

impl Traits {
    /// Of a file of which nothing is said.
    pub fn of(defaults: &Defaults) -> Traits {
        Traits {
            access_name: None,
            desired_bitrate: None,
            desired_format: None,
            keys: Keys::default(),
            lifecycle_action: defaults.lifecycle_action,
            lifecycle_ttl: defaults.lifecycle_ttl,
            mime_type: None,
            name: None,
            parent: None,
            publish: defaults.publish,
            threshold_include: defaults.threshold_include,
            kind: KINDS[0],
            unique: defaults.unique,
        }
    }

    /// These with what is given in `fields`, whose faults are noted there.
    pub fn with(mut self, fields: &mut Fields) -> Traits {
        fields.set("file_access_name", &mut self.access_name, |value| access_name(value).map(Some));
        fields.set_or_null("desired_bitrate", &mut self.desired_bitrate, bitrate);
        fields.set_or_null("desired_format", &mut self.desired_format, text(TEXT_MAX));
        self.keys.read(fields);
        fields.set("lifecycle_action", &mut self.lifecycle_action, choice(LIFECYCLE_ACTIONS));
        fields.set("lifecycle_ttl", &mut self.lifecycle_ttl, integer(-1, SECONDS_MAX));
        fields.set("mime_type", &mut self.mime_type, |value| mime(value).map(Some));
        fields.set("name", &mut self.name, |value| text(TEXT_MAX)(value).map(Some));
        let mut parent: Option<Uuid> = self.parent.map(|parent| parent.0);
        fields.set_or_null("parent_file_sid", &mut parent, uuid);
        self.parent = parent.map(FileId);
        fields.set("publish", &mut self.publish, choice(PUBLISH));
        fields.set("threshold_include", &mut self.threshold_include, boolean);
        fields.set("type", &mut self.kind, choice(KINDS));
        fields.set("unique", &mut self.unique, boolean);
        self
    }

    /// What stands for the keys, if they may be there only once.
    pub fn unique_key(&self) -> Option<String> {
        self.unique.then(|| self.keys.digest())
    }
}

fn bitrate(value: &serde_json::Value) -> Result<i64, String> {
    let rate = value.as_i64().filter(|rate| BITRATES.contains(rate));
    rate.ok_or_else(|| "must be a known bitrate".to_owned())
}

fn mime(value: &serde_json::Value) -> Result<String, String> {
    let text = text(TEXT_MAX)(value)?.to_ascii_lowercase();
    if class::is_mime(&text) { Ok(text) } else { Err("must be a content type".to_owned()) }
}

/// A path inside a container: segments that can stand in a URL and lead nowhere else.
fn access_name(value: &serde_json::Value) -> Result<String, String> {
    let name = text(TEXT_MAX)(value)?;
    let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
    if name.split('/').any(is_odd) || name.contains('\\') || name.chars().any(char::is_control) {
        return Err("must be a path of names with / between".to_owned());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_access_name_leads_nowhere_else() {
        for good in ["a", "a/b.mp3", "a b"] {
            assert_eq!(access_name(&json!(good)), Ok(good.to_owned()));
        }
        for odd in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\\b", "a\nb"] {
            assert!(access_name(&json!(odd)).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_bitrate_is_one_of_the_list() {
        assert_eq!(bitrate(&json!(128)), Ok(128));
        assert!(bitrate(&json!(100)).is_err() && bitrate(&json!("128")).is_err());
    }
}
