//! Where layers lie: a folder for each availability group of each storage type.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// A folder of layers: an availability group of a storage type, counted from 0. `dssd/0` in the database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    storage_type: String,
    group: u32,
}

impl Place {
    /// Names a place.
    pub fn new(storage_type: &str, group: u32) -> Place {
        Place { storage_type: storage_type.to_owned(), group }
    }

    /// The storage type.
    pub fn storage_type(&self) -> &str {
        &self.storage_type
    }

    /// The availability group.
    pub fn group(&self) -> u32 {
        self.group
    }

    pub(super) fn parse(text: &str) -> Result<Place, store::Error> {
        let parts = text.rsplit_once('/').and_then(|(kind, group)| Some(Place::new(kind, group.parse().ok()?)));
        parts.ok_or_else(|| store::Error::Broken(format!("{text:?} is no place of a layer")))
    }

    /// The folder, relative to that of all. What could be more than one plain name in a path is spelled in hexadecimal.
    pub(super) fn folder(&self) -> PathBuf {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let mut name = String::new();
        for byte in self.storage_type.bytes() {
            match is_plain(byte) {
                true => name.push(byte.into()),
                false => name.push_str(&format!("%{byte:02x}")),
            }
        }
        PathBuf::from(name).join(self.group.to_string())
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.storage_type, self.group)
    }
}

impl From<&Place> for store::Value {
    fn from(place: &Place) -> store::Value {
        store::Value::Text(place.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_never_leads_out_of_its_folder() {
        for name in ["dssd", "..", ".", "/etc", "a/b", "", "ä"] {
            let place = Place::new(name, 7);
            assert_eq!(Place::parse(&place.to_string()).expect("it was written so"), place);
            let folder = place.folder();
            assert!(folder.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{folder:?}");
        }
        assert!(Place::parse("dssd").is_err() && Place::parse("dssd/x").is_err());
    }
}
