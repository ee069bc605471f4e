//! How to run a server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use store::Clock;

use crate::fault::{Doing, Fault};

/// How long a stop waits for what still runs.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How to run a server: settings that have been read, and the doors that a test may hold.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A PostgreSQL database; none: the embedded one, in the data folder.
    pub database: Option<String>,
    /// The certificate chain's file and its key's.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The site to apply at the start. None: what was applied last; on a new data folder a sample.
    pub site: Option<SiteText>,
    /// Where time comes from.
    pub clock: Clock,
    /// How long a stop waits for what still runs.
    pub drain: Duration,
}

/// A site file's text, and where it came from.
#[derive(Clone)]
pub struct SiteText {
    /// The text.
    pub text: String,
    /// Where `file:PATH` is looked for.
    pub folder: PathBuf,
}

impl std::fmt::Debug for SiteText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It may hold passwords.
        f.debug_struct("SiteText").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Config {
    /// A server on this data folder and a free port of this machine, with everything else as it is by default.
    pub fn new(data: impl Into<PathBuf>) -> Config {
        Config {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database: None,
            tls: None,
            site: None,
            clock: Clock::system(),
            drain: DRAIN_MAX,
        }
    }

    /// With the site that this text says.
    pub fn with_site(mut self, text: impl Into<String>) -> Config {
        self.site = Some(SiteText { text: text.into(), folder: PathBuf::from(".") });
        self
    }
}

impl SiteText {
    /// The text of a file.
    pub fn of_file(path: &Path) -> Result<SiteText, Fault> {
        let text = std::fs::read_to_string(path).doing(format_args!("read the site file {}", path.display()))?;
        let folder = path.parent().map(Path::to_owned).filter(|folder| !folder.as_os_str().is_empty());
        Ok(SiteText { text, folder: folder.unwrap_or_else(|| PathBuf::from(".")) })
    }
}
