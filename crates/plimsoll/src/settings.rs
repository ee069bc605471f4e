//! What the operator has set: flags before environment (both come from clap), before `plimsoll.toml` in the working folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::fault::{Doing, Fault};

/// The file in the working folder.
const FILE: &str = "plimsoll.toml";
/// Where the data lies when nothing is said.
const DATA: &str = "plimsoll-data";
/// Where the server listens when nothing is said: on this machine only.
const LISTEN: &str = "127.0.0.1:8080";

/// The keys of the file, which are the long names of the flags.
const KEYS: [&str; 7] = ["data", "listen", "site", "database", "blobs", "tls_cert", "tls_key"];

/// The settings as they were found, or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Settings {
    /// Where to listen: address and port; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", env = "PLIMSOLL_LISTEN")]
    pub listen: Option<String>,
    /// The site file: what there is to hand out, and to whom. Applied at start [default: a small sample site is made]
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_SITE")]
    pub site: Option<PathBuf>,
    /// A PostgreSQL database instead of the embedded one: postgres://user:password@host/name
    #[arg(long, value_name = "URL", env = "PLIMSOLL_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// Where large content lies, if not in the data folder
    #[arg(long, value_name = "URL", env = "PLIMSOLL_BLOBS", hide_env_values = true)]
    pub blobs: Option<String>,
    /// The certificate chain (PEM) for https
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
}

/// The data folder, which every command needs, as the flag or the environment said it.
pub fn data(said: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let from_file = || File::in_folder(Path::new("."))?.path("data");
    Ok(match said {
        Some(data) => data,
        None => from_file()?.unwrap_or_else(|| DATA.into()),
    })
}

impl Settings {
    /// Fills in what flags and environment left open, from `plimsoll.toml` in `folder`.
    pub fn or_file(self, folder: &Path) -> Result<Settings, Fault> {
        let file = File::in_folder(folder)?;
        Ok(Settings {
            listen: self.listen.or(file.text("listen")?),
            site: self.site.or(file.path("site")?),
            database: self.database.or(file.text("database")?),
            blobs: self.blobs.or(file.text("blobs")?),
            tls_cert: self.tls_cert.or(file.path("tls_cert")?),
            tls_key: self.tls_key.or(file.path("tls_key")?),
        })
    }

    /// The address to listen on.
    pub fn address(&self) -> Result<SocketAddr, Fault> {
        let text = self.listen.as_deref().unwrap_or(LISTEN);
        text.parse().map_err(|_| {
            Fault::new(format!("cannot listen on {text:?}: that is no address and port"))
                .hint("write 127.0.0.1:8080, or 0.0.0.0:8080 for every interface")
        })
    }
}

/// `plimsoll.toml`, read and with every key known.
struct File {
    folder: PathBuf,
    values: Vec<(String, String)>,
}

impl File {
    fn in_folder(folder: &Path) -> Result<File, Fault> {
        let path = folder.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(File { folder: folder.to_owned(), values: read(&text)? }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(File { folder: folder.to_owned(), values: Vec::new() })
            }
            Err(error) => Err(error).doing(format_args!("read {}", path.display())),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        Ok(self.values.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone()))
    }

    /// A path in the file is meant from where the file is.
    fn path(&self, key: &str) -> Result<Option<PathBuf>, Fault> {
        Ok(self.text(key)?.map(|path| self.folder.join(path)))
    }
}

fn read(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Fault::new(format!("{FILE}, line {}: {}", line(at), error.message()))
    })?;
    let mut values = Vec::new();
    for (key, value) in table.get_ref() {
        let (name, at) = (key.get_ref().as_ref(), line(key.span().start));
        if !KEYS.contains(&name) {
            let hint = site::suggest::nearest(name, KEYS).map(|near| format!("did you mean `{near}`?"));
            return Err(Fault {
                what: format!("{FILE}, line {at}: there is no setting `{name}`"),
                hint: hint.or_else(|| Some(format!("the settings are {}", KEYS.join(", ")))),
            });
        }
        let DeValue::String(value) = value.get_ref() else {
            return Err(Fault::new(format!("{FILE}, line {at}: `{name}` must be a string")));
        };
        values.push((name.to_owned(), value.to_string()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_before_the_file_and_paths_are_from_where_the_file_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "listen = \"0.0.0.0:80\"\nsite = \"my/site.toml\"").unwrap();
        let flags = Settings { listen: Some("127.0.0.1:0".into()), ..Settings::default() };
        let settings = flags.or_file(folder.path()).unwrap();
        assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:0"));
        assert_eq!(settings.site, Some(folder.path().join("my/site.toml")));
    }

    #[test]
    fn an_unknown_setting_is_an_error_with_a_suggestion() {
        let told = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(
            told("\nlisten_ = \"x\""),
            "plimsoll.toml, line 2: there is no setting `listen_`\nhint: did you mean `listen`?"
        );
        assert!(told("zzzzz = 1").ends_with("tls_cert, tls_key"));
        assert_eq!(told("listen = 8080"), "plimsoll.toml, line 1: `listen` must be a string");
    }

    #[test]
    fn a_wrong_address_is_told() {
        let settings = Settings { listen: Some("8080".into()), ..Settings::default() };
        assert!(settings.address().unwrap_err().what.contains("no address and port"));
    }
}
