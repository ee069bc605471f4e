//! What of a site file is read once, at the start: it shapes the server rather than the store.

use site::{Key, Kind, Objects, Secret, Site};

use crate::fault::Fault;

/// The settings at the top of a site file.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    /// Where clients reach the server.
    pub public_url: Option<String>,
    /// Whether the Allocations face demands a CSRF header always.
    pub strict_csrf: bool,
    encryption_key: Option<Secret>,
}

impl Startup {
    /// As a site file says.
    pub fn of(site: Option<&Site>) -> Startup {
        let Some(site) = site else { return Startup::default() };
        let (public_url, encryption_key) = (site.public_url.clone(), site.encryption_key.clone());
        Startup { public_url, strict_csrf: site.strict_csrf, encryption_key }
    }

    /// As was applied last, where this start has no site file. The key is nowhere but in the file, so a site with one
    /// cannot be started without.
    pub fn or_base(self, base: Option<&Objects>) -> Result<Startup, Fault> {
        let settings = base.and_then(|base| base.get(&Key::site(Kind::Site, "settings")));
        let Some(settings) = settings else { return Ok(self) };
        if self.encryption_key.is_none() && !settings["encryption_key"].is_null() {
            return Err(Fault::new("this site has an encryption_key, and this start was given none")
                .hint("start it with --site and the file that holds the key"));
        }
        let public_url = settings["public_url"].as_str().map(str::to_owned);
        Ok(Startup { public_url, strict_csrf: settings["strict_csrf"] == true, ..self })
    }

    /// The key that what must be read again is sealed with.
    pub fn site_key(&self) -> Result<Option<[u8; 32]>, Fault> {
        let Some(key) = &self.encryption_key else { return Ok(None) };
        let mut bytes = [0; 32];
        hex::decode_to_slice(key.expose(), &mut bytes)
            .map_err(|_| Fault::new("encryption_key is not 64 hex digits"))?;
        Ok(Some(bytes))
    }

    /// The same, for content.
    pub fn content_key(&self) -> Result<Option<content::SiteKey>, Fault> {
        Ok(self.site_key()?.map(content::SiteKey::new))
    }
}
