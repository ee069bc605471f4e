//! Values in and out of SQL, the same for both databases.

use std::sync::Arc;

use ledger::{AllotmentId, ClaimId};
use uuid::Uuid;

use crate::{Error, JobId, TenantId, UserId};

/// A parameter or a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// BIGINT; also a BOOLEAN read from SQLite.
    Int(i64),
    /// BOOLEAN.
    Bool(bool),
    /// TEXT.
    Text(String),
    /// TEXT that others hold, too.
    Shared(Arc<str>),
    /// A UUID, stored as TEXT in lower case.
    Id(Uuid),
    /// BLOB or BYTEA.
    Bytes(Vec<u8>),
}

macro_rules! value_from {
    ($($from:ty => |$v:ident| $make:expr;)*) => {
        $(impl From<$from> for Value { fn from($v: $from) -> Value { $make } })*
    };
}

value_from! {
    i64 => |v| Value::Int(v);
    i32 => |v| Value::Int(v.into());
    u32 => |v| Value::Int(v.into());
    bool => |v| Value::Bool(v);
    &str => |v| Value::Text(v.to_owned());
    &String => |v| Value::Text(v.clone());
    String => |v| Value::Text(v);
    Arc<str> => |v| Value::Shared(v);
    Vec<u8> => |v| Value::Bytes(v);
    &[u8] => |v| Value::Bytes(v.to_vec());
    Uuid => |v| Value::Id(v);
    AllotmentId => |v| Value::Id(v.0);
    ClaimId => |v| Value::Id(v.0);
    TenantId => |v| Value::Id(v.0);
    UserId => |v| Value::Id(v.0);
    JobId => |v| Value::Id(v.0);
    // Amounts are at most 2^63 − 1; a larger number is a fault that the database's own checks would not see.
    u64 => |v| Value::Int(i64::try_from(v).unwrap_or(i64::MAX));
    usize => |v| Value::Int(i64::try_from(v).unwrap_or(i64::MAX));
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Makes each ID type of another crate a [`Value`] and back.
#[macro_export]
macro_rules! sql_id {
    ($($id:ty),*) => {
        $(
            impl From<$id> for $crate::Value {
                fn from(id: $id) -> $crate::Value { $crate::Value::Id(id.0) }
            }
            impl $crate::FromValue for $id {
                fn from_value(value: $crate::Value) -> Option<Self> {
                    <uuid::Uuid as $crate::FromValue>::from_value(value).map(Self)
                }
            }
        )*
    };
}

/// `params![id, name]`: the parameters of a statement.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::Value::from($value)),*] };
}

/// What a column can be read as.
pub trait FromValue: Sized {
    /// The value as this type; none when it is of another.
    fn from_value(value: Value) -> Option<Self>;
}

impl FromValue for Value {
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}
impl FromValue for i64 {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Int(v) => Some(v),
            Value::Bool(v) => Some(v.into()),
            _ => None,
        }
    }
}
impl FromValue for u64 {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).and_then(|v| u64::try_from(v).ok())
    }
}
impl FromValue for bool {
    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).map(|v| v != 0)
    }
}
impl FromValue for String {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(v) => Some(v),
            Value::Shared(v) => Some(v.to_string()),
            _ => None,
        }
    }
}
impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Bytes(v) => Some(v),
            _ => None,
        }
    }
}
impl FromValue for Uuid {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(v) => Uuid::try_parse(&v).ok(),
            Value::Id(v) => Some(v),
            _ => None,
        }
    }
}
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
macro_rules! id_from_value {
    ($($id:ident),*) => {
        $(impl FromValue for $id { fn from_value(value: Value) -> Option<Self> { Uuid::from_value(value).map($id) } })*
    };
}
id_from_value!(AllotmentId, ClaimId, TenantId, UserId, JobId);

/// A row that was read.
#[derive(Clone, Debug)]
pub struct Row(pub(crate) Vec<Value>);

impl Row {
    /// Column `index`, from 0. A column of another type is a fault of ours, so [`Error::Broken`].
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, Error> {
        let value = self.0.get(index).cloned().unwrap_or(Value::Null);
        T::from_value(value).ok_or_else(|| {
            Error::Broken(format!("column {index} is no {}: {:?}", std::any::type_name::<T>(), self.0.get(index)))
        })
    }
}
