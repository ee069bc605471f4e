//! What is limited: the built-in resources, and those a site adds.

use serde::{Serialize, Serializer};

/// One thing that is limited, in its own unit: bytes, MiB of memory, pieces.
///
/// Ordered as declared, which is the order in which refusals come.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    position: u16,
    name: &'static str,
}

macro_rules! built_in {
    ($($position:literal $constant:ident $name:literal $doc:literal;)*) => {
        impl Resource {
            $(#[doc = $doc] pub const $constant: Resource = Resource { position: $position, name: $name };)*
            const BUILT_IN: &[Resource] = &[$(Resource::$constant),*];
        }
    };
}

built_in! {
    0 BYTES "bytes" "Stored bytes.";
    1 OBJECTS "objects" "Files, records, blobs.";
    2 DRIVES "drives" "Disk images.";
    3 SNAPSHOTS "snapshots" "Snapshots of disk images.";
    4 CONTAINERS "containers" "Storage containers.";
    5 MEMORY_MB "memory_mb" "Memory, in MiB.";
    6 INSTANCES "instances" "Running instances of apps.";
    7 TASKS "tasks" "Running tasks of apps.";
    8 ROUTES "routes" "Routes.";
    9 RESERVED_PORTS "reserved_ports" "Routes with a reserved port.";
    10 DOMAINS "domains" "Private domains.";
    11 SERVICES "services" "Service instances.";
    12 SERVICE_KEYS "service_keys" "Service keys.";
}

impl Resource {
    /// The name on the wire and in the database.
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}
impl Eq for Resource {}
impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Resource {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}
impl std::hash::Hash for Resource {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.position.hash(state);
    }
}
impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// All resources of a site: the built-in ones, then the site's own in the order they were declared.
#[derive(Clone, Debug)]
pub struct Catalog {
    resources: Vec<Resource>,
}

/// Why a resource could not be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// The name has another form than `[a-z][a-z0-9_]{0,31}`.
    #[error("resource {0:?}: a name is 1 to 32 of a-z, 0-9 and _, and starts with a letter")]
    Name(String),
    /// There are [`Catalog::RESOURCES_MAX`] already.
    #[error("a site has at most {} resources", Catalog::RESOURCES_MAX)]
    TooMany,
}

impl Catalog {
    /// Bounds what a claim can name, and what [`Catalog::declare`] keeps for the life of the process.
    pub const RESOURCES_MAX: usize = 64;

    /// The built-in resources.
    pub fn built_in() -> Catalog {
        Catalog { resources: Resource::BUILT_IN.to_vec() }
    }

    /// Adds a resource of the site's own; one that exists is returned as it is.
    pub fn declare(&mut self, name: &str) -> Result<Resource, CatalogError> {
        if let Some(known) = self.find(name) {
            return Ok(known);
        }
        let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if name.len() > 32 || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !letters {
            return Err(CatalogError::Name(name.to_owned()));
        }
        if self.resources.len() >= Self::RESOURCES_MAX {
            return Err(CatalogError::TooMany);
        }
        // Kept for the life of the process, so that a `Resource` is a plain value with its name inside. Bounded above.
        let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
        let resource = Resource { position: self.resources.len() as u16, name };
        self.resources.push(resource);
        Ok(resource)
    }

    /// The resource of that name.
    pub fn find(&self, name: &str) -> Option<Resource> {
        self.resources.iter().copied().find(|resource| resource.name == name)
    }

    /// All of them, as declared.
    pub fn iter(&self) -> impl Iterator<Item = Resource> + '_ {
        self.resources.iter().copied()
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Catalog::built_in()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_declares_its_own_resource_after_the_built_in_ones() {
        let mut catalog = Catalog::built_in();
        let gpus = catalog.declare("gpus").expect("a good name");
        assert!(gpus > Resource::SERVICE_KEYS);
        assert_eq!(catalog.declare("gpus"), Ok(gpus));
        assert_eq!(catalog.declare("bytes"), Ok(Resource::BYTES));
        assert_eq!(catalog.declare("GPU"), Err(CatalogError::Name("GPU".into())));
    }
}
