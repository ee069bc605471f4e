//! Reading TOML tables key by key, so that every key is asked for by name, each fault is told with its line, and all faults
//! are told at once.
//!
//! **Shape.** A [`Table`] answers `text("name")`, `limits("limits")` …; each call notes the key as known. [`Table::finish`]
//! then finds the keys that nobody asked for. A fault leaves a stand-in behind and reading goes on: the stand-in is never
//! seen, because a [`crate::Site`] comes out only if there was no fault.

use std::cell::RefCell;

use ledger::{AMOUNT_MAX, Catalog, Limits, Name, Overcommit};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use uuid::Uuid;

use crate::{Secret, SiteError, Source, size, suggest};

/// The longest text of a name, title or login.
const TEXT_CHARS_MAX: usize = 255;
/// The longest secret: longer ones are files named by mistake.
const SECRET_BYTES_MAX: usize = 4096;

type Value<'t> = &'t Spanned<DeValue<'t>>;

/// What all tables of one text share.
pub(crate) struct Reading<'r> {
    text: &'r str,
    resolve: &'r dyn Fn(Source<'_>) -> Result<String, String>,
    pub(crate) catalog: RefCell<Catalog>,
    faults: RefCell<Vec<SiteError>>,
}

impl<'r> Reading<'r> {
    pub(crate) fn new(text: &'r str, resolve: &'r dyn Fn(Source<'_>) -> Result<String, String>) -> Reading<'r> {
        Reading { text, resolve, catalog: RefCell::default(), faults: RefCell::default() }
    }

    /// The line of a byte of the text, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub(crate) fn fault(&self, line: usize, place: &str, what: impl Into<String>) {
        self.hinted(line, place, what, None);
    }

    pub(crate) fn hinted(&self, line: usize, place: &str, what: impl Into<String>, hint: Option<String>) {
        let (place, what) = (place.to_owned(), what.into());
        self.faults.borrow_mut().push(SiteError { line: Some(line), place, what, hint });
    }

    /// All faults, in the order of the text.
    pub(crate) fn into_faults(self) -> Vec<SiteError> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        faults
    }
}

/// One table of the text.
pub(crate) struct Table<'t> {
    reading: &'t Reading<'t>,
    entries: &'t DeTable<'t>,
    /// The line where it starts.
    pub(crate) line: usize,
    /// What people call it: `tenant acme, user ana@acme.example`.
    pub(crate) place: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'t> Table<'t> {
    pub(crate) fn root(reading: &'t Reading<'t>, entries: &'t DeTable<'t>) -> Table<'t> {
        Table { reading, entries, line: 1, place: String::new(), known: RefCell::default() }
    }

    /// A table inside this one, called by its noun and, if it has one, its name.
    fn inner(&self, noun: &str, named_by: &str, value: Value<'t>) -> Option<Table<'t>> {
        let line = self.reading.line(value.span().start);
        let DeValue::Table(entries) = value.get_ref() else {
            self.fault(line, format!("`{noun}` must be a table, not {}", kind(value)));
            return None;
        };
        let called = entries.get(named_by).and_then(|name| name.get_ref().as_str());
        let called = called.map_or(noun.to_owned(), |name| format!("{noun} {name}"));
        let place = if self.place.is_empty() { called } else { format!("{}, {called}", self.place) };
        Some(Table { reading: self.reading, entries, line, place, known: RefCell::default() })
    }

    fn fault(&self, line: usize, what: impl Into<String>) {
        self.reading.fault(line, &self.place, what);
    }

    /// The line of a key's value; the table's own if there is none.
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.entries.get(key).map_or(self.line, |value| self.reading.line(value.span().start))
    }

    fn find(&self, key: &'static str) -> Option<(usize, Value<'t>)> {
        self.known.borrow_mut().push(key);
        let value = self.entries.get(key)?;
        Some((self.reading.line(value.span().start), value))
    }

    /// The same, where it must be there.
    fn need(&self, key: &'static str) -> Option<(usize, Value<'t>)> {
        let found = self.find(key);
        if found.is_none() {
            self.fault(self.line, format!("`{key}` is missing"));
        }
        found
    }

    fn expected(&self, line: usize, key: &str, wanted: &str, value: Value<'t>) {
        self.fault(line, format!("`{key}` must be {wanted}, not {}", kind(value)));
    }

    fn as_text(&self, key: &str, (line, value): (usize, Value<'t>)) -> Option<String> {
        let text = value.get_ref().as_str();
        match text.map(|text| (text, text.chars().count())) {
            None => self.expected(line, key, "a string", value),
            Some((_, 0)) => self.fault(line, format!("`{key}` must not be empty")),
            Some((_, chars)) if chars > TEXT_CHARS_MAX => {
                self.fault(line, format!("`{key}` has {chars} characters, and {TEXT_CHARS_MAX} are the most"));
            }
            Some((text, _)) if text.chars().any(char::is_control) => {
                self.fault(line, format!("`{key}` must not hold control characters"));
            }
            Some((text, _)) => return Some(text.to_owned()),
        }
        None
    }

    /// Free text, if it is there.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.as_text(key, self.find(key)?)
    }

    /// Free text that must be there.
    pub(crate) fn need_text(&self, key: &'static str) -> String {
        self.need(key).and_then(|found| self.as_text(key, found)).unwrap_or_default()
    }

    /// A segment of a path, if it is there.
    pub(crate) fn name(&self, key: &'static str) -> Option<Name> {
        let found @ (line, _) = self.find(key)?;
        let text = self.as_text(key, found)?;
        text.parse().map_err(|error: ledger::NameError| self.fault(line, format!("`{key}`: {error}"))).ok()
    }

    /// A segment of a path that must be there.
    pub(crate) fn need_name(&self, key: &'static str) -> Name {
        if !self.entries.contains_key(key) {
            self.need(key);
        }
        self.name(key).unwrap_or_else(|| "x".parse().expect("a letter is a name"))
    }

    /// An e-mail address that must be there. Only its shape is checked: the rest is for the mail to find out.
    pub(crate) fn need_email(&self, key: &'static str) -> String {
        let Some(found @ (line, _)) = self.need(key) else { return String::new() };
        let Some(text) = self.as_text(key, found) else { return String::new() };
        let halves = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
        let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '"' | '<' | '>' | ',' | ';');
        if halves.is_none_or(|(user, host)| user.contains(odd) || host.contains(odd)) {
            self.fault(line, format!("`{key}`: {text:?} is not an e-mail address"));
        }
        text
    }

    /// One of a few words, if it is there.
    pub(crate) fn choice(&self, key: &'static str, words: &[&str]) -> Option<String> {
        let found @ (line, _) = self.find(key)?;
        let text = self.as_text(key, found)?;
        self.check_word(line, key, &text, words);
        Some(text)
    }

    fn check_word(&self, line: usize, key: &str, text: &str, words: &[&str]) {
        if !words.contains(&text) {
            let what = format!("`{key}`: {text:?} is not one of {}", words.join(", "));
            self.reading.hinted(line, &self.place, what, did_you_mean(text, words.iter().copied()));
        }
    }

    /// The number or list of texts behind a key, with the line of each.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<(usize, String)> {
        let items = self.array(key).into_iter();
        items.filter_map(|(line, item)| Some((line, self.as_text(key, (line, item))?))).collect()
    }

    /// A list of texts, each one of a few words.
    pub(crate) fn words(&self, key: &'static str, words: &[&str]) -> Vec<String> {
        let texts = self.texts(key);
        texts.iter().for_each(|(line, text)| self.check_word(*line, key, text, words));
        texts.into_iter().map(|(_, text)| text).collect()
    }

    /// `true` or `false`, if it is there.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let (line, value) = self.find(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.expected(line, key, "true or false", value);
        }
        flag
    }

    /// A UUID, if it is there.
    pub(crate) fn uuid(&self, key: &'static str) -> Option<Uuid> {
        let found @ (line, _) = self.find(key)?;
        let text = self.as_text(key, found)?;
        Uuid::try_parse(&text).map_err(|_| self.fault(line, format!("`{key}`: {text:?} is not a UUID"))).ok()
    }

    /// A number of pieces, if it is there.
    pub(crate) fn count(&self, key: &'static str) -> Option<u64> {
        let (line, value) = self.find(key)?;
        self.amount(line, key, value, false)
    }

    /// A size in bytes, if it is there.
    pub(crate) fn size(&self, key: &'static str) -> Option<u64> {
        let (line, value) = self.find(key)?;
        self.amount(line, key, value, true)
    }

    /// A size in bytes that must be there.
    pub(crate) fn need_size(&self, key: &'static str) -> u64 {
        self.need(key).and_then(|(line, value)| self.amount(line, key, value, true)).unwrap_or_default()
    }

    fn amount(&self, line: usize, key: &str, value: Value<'t>, is_size: bool) -> Option<u64> {
        match value.get_ref() {
            DeValue::Integer(number) => {
                let units = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let amount = units.and_then(|units| u64::try_from(units).ok()).filter(|units| *units <= AMOUNT_MAX);
                if amount.is_none() {
                    self.fault(line, format!("`{key}` must be 0 to {AMOUNT_MAX}, not {}", number.as_str()));
                }
                amount
            }
            DeValue::String(text) if is_size => {
                size::parse(text).map_err(|error| self.fault(line, format!("`{key}`: {error}"))).ok()
            }
            _ if is_size => {
                self.expected(line, key, "a number of bytes or a size such as \"20 TiB\"", value);
                None
            }
            _ => {
                self.expected(line, key, "a whole number", value);
                None
            }
        }
    }

    /// A ratio from 0 up, in thousandths, if it is there.
    pub(crate) fn overcommit(&self, key: &'static str) -> Option<Overcommit> {
        let (line, value) = self.find(key)?;
        let ratio: Option<f64> = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let permille = ratio.map(|ratio| (ratio * 1000.0).round()).filter(|p| (0.0..=f64::from(u32::MAX)).contains(p));
        if permille.is_none() {
            self.expected(line, key, "a ratio from 0 to 4294967, such as 1.5", value);
        }
        permille.map(|permille| Overcommit { permille: permille as u32 })
    }

    /// Limits by resource: none is there, none is set.
    pub(crate) fn limits(&self, key: &'static str) -> Limits {
        let mut limits = Limits::new();
        let Some((line, value)) = self.find(key) else { return limits };
        let DeValue::Table(entries) = value.get_ref() else {
            self.expected(line, key, "a table such as { bytes = \"4 TiB\" }", value);
            return limits;
        };
        let catalog = self.reading.catalog.borrow();
        for (name, value) in entries {
            let line = self.reading.line(name.span().start);
            let name = name.get_ref().as_ref();
            let Some(resource) = catalog.find(name) else {
                let hint = did_you_mean(name, catalog.iter().map(ledger::Resource::name));
                self.reading.hinted(line, &self.place, format!("`{key}`: there is no resource `{name}`"), hint);
                continue;
            };
            if let Some(units) = self.amount(line, name, value, resource == ledger::Resource::BYTES) {
                limits.insert(resource, units).expect("an amount that was read is in range");
            }
        }
        limits
    }

    /// A secret, its reference followed, if it is there.
    pub(crate) fn secret(&self, key: &'static str) -> Option<Secret> {
        let (line, value) = self.find(key)?;
        let Some(text) = value.get_ref().as_str() else {
            // Not `expected`: what stands there may be the secret itself, unquoted.
            self.fault(line, format!("`{key}` must be a string: the secret, `env:NAME` or `file:PATH`"));
            return None;
        };
        let source = match (text.strip_prefix("env:"), text.strip_prefix("file:")) {
            (Some(name), _) => Some(Source::Env(name)),
            (_, Some(path)) => Some(Source::File(path)),
            _ => None,
        };
        let secret = match source.map(|source| (self.reading.resolve)(source)) {
            None => text.to_owned(),
            // Editors end a file with a newline; nobody means it.
            Some(Ok(found)) => found.trim_end_matches(['\n', '\r']).to_owned(),
            Some(Err(why)) => {
                self.fault(line, format!("`{key}`: {text}: {why}"));
                return None;
            }
        };
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            self.fault(line, format!("`{key}` must have 1 to {SECRET_BYTES_MAX} bytes, not {}", secret.len()));
        }
        Some(Secret::from(secret))
    }

    /// A secret that must be there.
    pub(crate) fn need_secret(&self, key: &'static str) -> Secret {
        if !self.entries.contains_key(key) {
            self.need(key);
        }
        self.secret(key).unwrap_or_else(|| Secret::from(String::new()))
    }

    fn array(&self, key: &'static str) -> Vec<(usize, Value<'t>)> {
        let Some((line, value)) = self.find(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.expected(line, key, "a list", value);
            return Vec::new();
        };
        items.iter().map(|item| (self.reading.line(item.span().start), item)).collect()
    }

    /// The tables of a list, each called by the key that names it.
    pub(crate) fn tables(&self, key: &'static str, named_by: &str) -> Vec<Table<'t>> {
        self.array(key).into_iter().filter_map(|(_, item)| self.inner(key, named_by, item)).collect()
    }

    /// One table, if it is there.
    pub(crate) fn table(&self, key: &'static str) -> Option<Table<'t>> {
        let (_, value) = self.find(key)?;
        self.inner(key, "", value)
    }

    /// Every key of the table with its text, where the keys are the file's own.
    pub(crate) fn pairs(&self, key: &'static str) -> Vec<(String, String)> {
        let Some((line, value)) = self.find(key) else { return Vec::new() };
        let DeValue::Table(entries) = value.get_ref() else {
            self.expected(line, key, "a table", value);
            return Vec::new();
        };
        let pair = |(name, value): (&Spanned<toml::de::DeString<'t>>, Value<'t>)| {
            let name = name.get_ref().as_ref();
            Some((name.to_owned(), self.as_text(name, (self.reading.line(value.span().start), value))?))
        };
        entries.iter().filter_map(pair).collect()
    }

    /// Tells of every key that was not asked for.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        for key in self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let (line, name) = (self.reading.line(key.span().start), key.get_ref().as_ref());
            let hint =
                did_you_mean(name, known.iter().copied()).or_else(|| Some(format!("known: {}", known.join(", "))));
            self.reading.hinted(line, &self.place, format!("unknown key `{name}`"), hint);
        }
    }
}

fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    suggest::nearest(word, known).map(|near| format!("did you mean `{near}`?"))
}

fn kind(value: Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "a true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
