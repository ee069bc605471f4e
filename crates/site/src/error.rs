//! What is wrong with a site file.

/// One fault in a site file: where, what, and what may help. Never holds a secret's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteError {
    /// The line of the text, counted from 1.
    pub line: Option<usize>,
    /// Which object: `tenant acme, user ana@acme.example`. Empty at the top.
    pub place: String,
    /// What is wrong, as a sentence.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl std::error::Error for SiteError {}

impl std::fmt::Display for SiteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
