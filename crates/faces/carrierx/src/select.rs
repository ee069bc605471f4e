//! A SELECT whose conditions come one by one: filters and what the caller may see.

use store::Value;

/// The conditions of a SELECT, and the values they name.
#[derive(Default)]
pub struct Select {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Select {
    /// No condition yet.
    pub fn new() -> Select {
        Select::default()
    }

    /// Names a value; answers its place, `$n`.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Adds a condition.
    pub fn and(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    /// Adds `column = value`, if there is a value.
    pub fn and_equal<T: Into<Value>>(&mut self, column: &str, value: Option<T>) {
        if let Some(value) = value {
            let place = self.bind(value);
            self.and(format!("{column} = {place}"));
        }
    }

    /// What follows WHERE.
    pub fn conditions(&self) -> String {
        if self.conditions.is_empty() { "TRUE".to_owned() } else { self.conditions.join(" AND ") }
    }

    /// The values, in the order of their places.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
}
