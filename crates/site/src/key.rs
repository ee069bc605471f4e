//! Which object of a site is meant, as one text: `pool/disk`, `tenant/acme/user/ana@acme.example`.

use std::fmt::Write;

/// The kinds of objects, parents before children: the order in which they are made, and the reverse of that in which they
/// are removed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// The settings at the top of the file.
    Site,
    /// A resource of the site's own.
    Resource,
    /// Who runs the site.
    Operator,
    /// A pool.
    Pool,
    /// An Allocations repository.
    Repository,
    /// A CloudSigma storage type.
    StorageType,
    /// A CloudSigma library drive.
    LibraryDrive,
    /// A CloudSigma licence.
    License,
    /// A tenant.
    Tenant,
    /// A person.
    User,
    /// A bearer token, named by its fingerprint.
    Token,
    /// An Allocations project.
    Project,
    /// A CarrierX partner.
    Partner,
    /// A Cloud Foundry organization.
    Organization,
    /// What KooDrive knows of a tenant.
    KooDrive,
}

impl Kind {
    const ALL: [(Kind, &'static str); 15] = [
        (Kind::Site, "site"),
        (Kind::Resource, "resource"),
        (Kind::Operator, "operator"),
        (Kind::Pool, "pool"),
        (Kind::Repository, "repository"),
        (Kind::StorageType, "storage_type"),
        (Kind::LibraryDrive, "library_drive"),
        (Kind::License, "license"),
        (Kind::Tenant, "tenant"),
        (Kind::User, "user"),
        (Kind::Token, "token"),
        (Kind::Project, "project"),
        (Kind::Partner, "partner"),
        (Kind::Organization, "organization"),
        (Kind::KooDrive, "koodrive"),
    ];

    /// The word in a key, which is the one in the file.
    pub fn as_str(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, _)| *kind == self).map(|(_, word)| *word).expect("every kind is listed")
    }
}

/// One object of a site.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// The tenant it belongs to; none: the site itself.
    pub tenant: Option<String>,
    /// What it is called among its like.
    pub name: String,
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no object of a site")]
pub struct KeyError(pub String);

impl Key {
    /// An object of the site itself.
    pub fn site(kind: Kind, name: impl ToString) -> Key {
        Key { kind, tenant: None, name: name.to_string() }
    }

    /// An object of a tenant.
    pub fn of(tenant: impl ToString, kind: Kind, name: impl ToString) -> Key {
        Key { kind, tenant: Some(tenant.to_string()), name: name.to_string() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(tenant) = &self.tenant {
            write!(f, "tenant/{}/", escaped(tenant))?;
        }
        write!(f, "{}/{}", self.kind.as_str(), escaped(&self.name))
    }
}

impl std::str::FromStr for Key {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Key, KeyError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (tenant, kind, name) = match parts.as_slice() {
            [kind, name] => (None, *kind, *name),
            ["tenant", tenant, kind, name] => (Some(unescaped(tenant)), *kind, *name),
            _ => return Err(KeyError(text.to_owned())),
        };
        let kind = Kind::ALL.iter().find(|(_, word)| *word == kind).map(|(kind, _)| *kind);
        kind.map(|kind| Key { kind, tenant, name: unescaped(name) }).ok_or_else(|| KeyError(text.to_owned()))
    }
}

/// Names are free text; a slash in one must not read as a level.
fn escaped(name: &str) -> String {
    name.chars().fold(String::with_capacity(name.len()), |mut text, c| {
        match c {
            '/' | '%' => write!(text, "%{:02X}", c as u32).expect("a string takes all"),
            _ => text.push(c),
        }
        text
    })
}

fn unescaped(name: &str) -> String {
    name.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for key in [
            Key::site(Kind::Pool, "disk"),
            Key::of("acme", Kind::User, "ana@acme.example"),
            Key::site(Kind::LibraryDrive, "a/b %2F 100%"),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!(Key::of("acme", Kind::User, "ana@acme.example").to_string(), "tenant/acme/user/ana@acme.example");
        for bad in ["", "pool", "pool/a/b", "tenant/acme/planet/mars", "planet/mars"] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }
}
