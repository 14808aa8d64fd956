//! Settings as they were written, each with the place it comes from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};

/// Settings under their names.
pub(super) type Table = BTreeMap<String, Node>;

/// One setting as it was written.
pub(super) struct Node {
    /// Where the name stands; the same as `place` outside files.
    pub(super) key_place: Place,
    /// Where the value stands.
    pub(super) place: Place,
    /// What was written.
    pub(super) value: Value,
}

/// A value as it was written.
pub(super) enum Value {
    Text(String),
    /// Text of an environment variable, whose type only its reader knows.
    Untyped(String),
    Path(PathBuf),
    Number(i64),
    Truth(bool),
    List(Vec<Node>),
    Table(Table),
    /// A TOML value that no setting has, as it was written.
    Other(String),
}

impl Node {
    pub(super) fn new(place: Place, value: Value) -> Self {
        Self {
            key_place: place.clone(),
            place,
            value,
        }
    }

    pub(super) fn text(place: &Place, text: impl Into<String>) -> Self {
        Self::new(place.clone(), Value::Text(text.into()))
    }
}

impl Value {
    /// Shows the value as an error message does; not meant for secrets.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Untyped(text) => format!("{text:?}"),
            Self::Path(path) => format!("{path:?}"),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Other(text) => text.clone(),
        }
    }
}

/// Reads a TOML document.
pub(super) fn parse_document(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let source = Source::File {
        path: path.into(),
        text,
    };
    match DeTable::parse(text) {
        Ok(document) => Ok(convert_table(&source, document.into_inner())),
        Err(error) => {
            let place = source.place(error.span().unwrap_or(0..0));
            Err(place.refuse(format!("not valid TOML: {}", one_line(error.message()))))
        }
    }
}

/// Reads one TOML value that an environment variable holds.
pub(super) fn parse_value(place: &Place, text: &str) -> Result<Value, String> {
    match DeValue::parse(text) {
        Ok(value) => Ok(convert_value(
            &Source::Elsewhere(place.clone()),
            value.into_inner(),
        )),
        Err(error) => Err(one_line(error.message())),
    }
}

/// Knows the place of a span.
enum Source<'a> {
    File { path: Arc<Path>, text: &'a str },
    Elsewhere(Place),
}

impl Source<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        match self {
            Self::Elsewhere(place) => place.clone(),
            Self::File { path, text } => {
                let before = text.get(..span.start).unwrap_or(text);
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                Place::File {
                    path: Arc::clone(path),
                    line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
                    column: before[line_start..].chars().count() + 1,
                }
            }
        }
    }
}

fn convert_table(source: &Source<'_>, table: DeTable<'_>) -> Table {
    let mut converted = Table::new();
    for (key, value) in table {
        let key_place = source.place(key.span());
        let place = match value.get_ref() {
            // The span of a table with its own header does not start where a reader would look for it.
            DeValue::Table(_) => key_place.clone(),
            _ => source.place(value.span()),
        };
        let value = convert_value(source, value.into_inner());
        converted.insert(
            key.into_inner().into_owned(),
            Node {
                key_place,
                place,
                value,
            },
        );
    }
    converted
}

fn convert_value(source: &Source<'_>, value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::Other(integer.to_string()),
        },
        DeValue::Boolean(truth) => Value::Truth(truth),
        DeValue::Array(array) => {
            let mut list = Vec::new();
            for item in array {
                let place = source.place(item.span());
                list.push(Node::new(place, convert_value(source, item.into_inner())));
            }
            Value::List(list)
        }
        DeValue::Table(table) => Value::Table(convert_table(source, table)),
        DeValue::Float(number) => Value::Other(number.to_string()),
        DeValue::Datetime(time) => Value::Other(time.to_string()),
    }
}

fn one_line(message: &str) -> String {
    message.replace('\n', ", ")
}
