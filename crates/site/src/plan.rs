//! What an application will do: the difference between what the file said last and what it says now.
//!
//! Only that is looked at, never what the server holds: so what was changed elsewhere, and is not spoken of anew, stays.

use serde_json::Value;

use crate::key::{Key, Kind};
use crate::objects::Objects;
use crate::size;

/// One thing to do.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// To which object.
    pub key: Key,
    /// What.
    pub action: Action,
}

/// What to do to an object.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// The file names it for the first time. If it is there already it is taken over.
    Create,
    /// The file says something else of it. Fields that are not listed stay as they are.
    Update {
        /// What is different, in the order of the pointers.
        fields: Vec<Field>,
    },
    /// The file named it, and no longer does.
    Remove,
}

/// One value that is different.
#[derive(Clone, PartialEq, Debug)]
pub struct Field {
    /// Where it is in the object: a JSON pointer.
    pub pointer: String,
    /// What the file said; null: nothing.
    pub from: Value,
    /// What it says; null: nothing any more.
    pub to: Value,
}

/// What leads from `base` to `want`, in an order that can be followed.
///
/// First what gives back: removals, children before parents, then lowered limits. Then the rest, parents before children.
/// So room that moves from one object to another is free when it is needed, and a name that moves is, too.
pub fn plan(base: &Objects, want: &Objects) -> Vec<Change> {
    let removed = base.keys().rev().filter(|key| !want.contains_key(key));
    let removed = removed.map(|key| Change { key: key.clone(), action: Action::Remove });
    let mut later: Vec<Change> = want.iter().filter_map(|(key, to)| change(key, base.get(key), to)).collect();
    later.sort_by_key(|change| !change.only_lowers());
    removed.chain(later).collect()
}

fn change(key: &Key, from: Option<&Value>, to: &Value) -> Option<Change> {
    let Some(from) = from else { return Some(Change { key: key.clone(), action: Action::Create }) };
    let mut fields = Vec::new();
    differences(from, to, String::new(), &mut fields);
    fields.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    (!fields.is_empty()).then(|| Change { key: key.clone(), action: Action::Update { fields } })
}

fn differences(from: &Value, to: &Value, pointer: String, fields: &mut Vec<Field>) {
    match (from, to) {
        (Value::Object(before), Value::Object(after)) => {
            let gone = before.keys().filter(|name| !after.contains_key(*name));
            for name in gone.chain(after.keys()) {
                let inner = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                let null = Value::Null;
                differences(before.get(name).unwrap_or(&null), after.get(name).unwrap_or(&null), inner, fields);
            }
        }
        // A table that comes or goes is its leaves: `limits` as a whole is not a field, each limit in it is.
        (Value::Object(before), Value::Null) if !before.is_empty() => {
            differences(from, &Value::Object(Default::default()), pointer, fields);
        }
        (Value::Null, Value::Object(after)) if !after.is_empty() => {
            differences(&Value::Object(Default::default()), to, pointer, fields);
        }
        _ if from != to => fields.push(Field { pointer, from: from.clone(), to: to.clone() }),
        _ => {}
    }
}

/// What is at a JSON pointer, null counted as nothing.
pub(crate) fn at<'v>(value: &'v Value, pointer: &str) -> Option<&'v Value> {
    value.pointer(pointer).filter(|value| !value.is_null())
}

/// Brings `base` up to date with one change that was made.
pub fn settle(base: &mut Objects, change: &Change, want: &Objects) {
    match want.get(&change.key) {
        Some(value) => base.insert(change.key.clone(), value.clone()),
        None => base.remove(&change.key),
    };
}

impl Change {
    fn only_lowers(&self) -> bool {
        let Action::Update { fields } = &self.action else { return false };
        fields.iter().all(|field| {
            let is_limit =
                field.pointer.starts_with("/limits/") && matches!(self.key.kind, Kind::Repository | Kind::StorageType);
            is_limit && field.to.as_u64().is_some_and(|to| field.from.as_u64().is_none_or(|from| to < from))
        })
    }

    /// The fields of an update.
    pub fn fields(&self) -> &[Field] {
        match &self.action {
            Action::Update { fields } => fields,
            Action::Create | Action::Remove => &[],
        }
    }

    /// The mark of the action in a list of changes.
    pub fn sign(&self) -> char {
        match self.action {
            Action::Create => '+',
            Action::Update { .. } => '~',
            Action::Remove => '-',
        }
    }
}

/// A line for people: `~ tenant/acme: limits.bytes 4 TiB -> 5 TiB`.
impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = match self.key.kind {
            // A whole fingerprint says no more than its first letters.
            Kind::Token => Key { name: self.key.name.chars().take(12).collect(), ..self.key.clone() }.to_string(),
            _ => self.key.to_string(),
        };
        write!(f, "{} {key}", self.sign())?;
        for (place, field) in self.fields().iter().enumerate() {
            write!(f, "{} {field}", if place == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl Field {
    /// Whether it stands for a secret: then that it changed is all there is to tell.
    pub fn is_secret(&self) -> bool {
        self.pointer.ends_with("/argon2") || self.pointer.ends_with("/sha256") || self.pointer.starts_with("/tokens/")
    }

    fn name(&self) -> String {
        let name = self.pointer.trim_start_matches('/');
        let name = name.strip_suffix("/argon2").or_else(|| name.strip_suffix("/sha256")).unwrap_or(name);
        let name = if name.starts_with("tokens/") { "tokens" } else { name };
        name.replace('/', ".").replace("~1", "/").replace("~0", "~")
    }

    fn shown(&self, value: &Value) -> String {
        let is_size = ["bytes", "size", "min", "max", "department", "individual", "group"];
        let last = self.pointer.rsplit('/').next().unwrap_or_default();
        match value {
            Value::Null => "none".to_owned(),
            Value::Number(number) if is_size.contains(&last) => number.as_u64().map(size::show).unwrap_or_default(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_secret() {
            return write!(f, "{} changed", self.name());
        }
        write!(f, "{} {} -> {}", self.name(), self.shown(&self.from), self.shown(&self.to))
    }
}
