//! What goes wrong, for the person at the terminal: one line, and a hint what to do.

/// A failure of a command. Lower case, no full stop, as it comes after `error: `.
#[derive(Debug)]
pub struct Fault {
    /// What was wrong; a line for each thing if there are several.
    pub what: String,
    /// What may help.
    pub hint: Option<String>,
}

impl Fault {
    /// A failure in one sentence.
    pub fn new(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), hint: None }
    }

    /// With what may help.
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }
}

impl std::error::Error for Fault {}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Fault {
        Fault::new(error.to_string())
    }
}

/// Adds to an error what was being done.
pub trait Doing<T> {
    /// `doing` is what was tried: "read site.toml".
    fn doing(self, doing: impl std::fmt::Display) -> Result<T, Fault>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl std::fmt::Display) -> Result<T, Fault> {
        self.map_err(|error| Fault::new(format!("cannot {doing}: {error}")))
    }
}
