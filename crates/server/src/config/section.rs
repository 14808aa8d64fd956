//! Typed reading of settings.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Place};
use super::secret::{Part, Secret, SecretText, resolve, resolve_parts};
use super::tree::{Node, Table, Value, parse_value};
use super::value::{format_duration, format_size, nearest, parse_duration, parse_size};

/// Takes known settings out of a table; what is left at the end is unknown.
pub(super) struct Section {
    path: String,
    place: Place,
    entries: Table,
    known: Vec<&'static str>,
}

impl Section {
    /// Opens the table of all settings.
    pub(super) fn root(entries: Table) -> Self {
        Self {
            path: String::new(),
            place: Place::Default,
            entries,
            known: Vec::new(),
        }
    }

    /// Replaces `target` by the setting of that name, if it was made.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        target: &mut T,
        read: impl FnOnce(Field) -> Result<T, ConfigError>,
    ) -> Result<(), ConfigError> {
        if let Some(field) = self.take(key) {
            *target = read(field)?;
        }
        Ok(())
    }

    /// Takes the setting of that name, if it was made.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field> {
        self.known.push(key);
        let node = self.entries.remove(key)?;
        Some(Field {
            path: join(&self.path, key),
            node,
        })
    }

    /// Takes all settings, whatever their names.
    pub(super) fn take_all(self) -> impl Iterator<Item = (String, Field)> {
        let path = self.path;
        self.entries.into_iter().map(move |(key, node)| {
            let field = Field {
                path: join(&path, &key),
                node,
            };
            (key, field)
        })
    }

    /// Refuses the section as a whole.
    pub(super) fn refuse(&self, what_is_wrong: &str) -> ConfigError {
        self.place.refuse(format!("{} {what_is_wrong}", self.path))
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let Some((key, node)) = self.entries.first_key_value() else {
            return Ok(());
        };
        let path = join(&self.path, key);
        let hint = match nearest(key, self.known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the keys here are {}", listed(self.known.iter().copied())),
        };
        Err(node
            .key_place
            .refuse(format!("unknown key `{path}`, {hint}")))
    }
}

/// One setting with its full name.
pub(super) struct Field {
    path: String,
    node: Node,
}

impl Field {
    /// Returns where the value stands.
    pub(super) fn place(&self) -> &Place {
        &self.node.place
    }

    /// Returns where the name stands.
    pub(super) fn key_place(&self) -> &Place {
        &self.node.key_place
    }

    /// Returns the full name.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Refuses the value, which is shown.
    pub(super) fn refuse(&self, what_is_right: &str) -> ConfigError {
        self.place().refuse(format!(
            "{} is {}, {what_is_right}",
            self.path,
            self.node.value.shown()
        ))
    }

    /// Refuses the value, which is not shown.
    pub(super) fn refuse_unseen(&self, what_is_wrong: &str) -> ConfigError {
        self.place()
            .refuse(format!("{} {what_is_wrong}", self.path))
    }

    /// Reads a table.
    pub(super) fn section(self) -> Result<Section, ConfigError> {
        match self.node.value {
            Value::Table(entries) => Ok(Section {
                path: self.path,
                place: self.node.place,
                entries,
                known: Vec::new(),
            }),
            // A secret may have been written to the wrong place, so the value is not shown.
            _ => Err(self.refuse_unseen("is a section, its keys are set one by one")),
        }
    }

    /// Reads a text.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match &self.node.value {
            Value::Text(text) => Ok(text.clone()),
            Value::Untyped(text) if text.starts_with(['"', '\'']) => {
                match parse_value(self.place(), text) {
                    Ok(Value::Text(text)) => Ok(text),
                    _ => Err(self.refuse("expected plain text or a quoted TOML string")),
                }
            }
            Value::Untyped(text) => Ok(text.clone()),
            _ => Err(self.refuse("expected text in quotes")),
        }
    }

    /// Reads a text that is not empty.
    pub(super) fn filled_text(&self) -> Result<String, ConfigError> {
        match self.text()? {
            text if text.is_empty() => Err(self.refuse("expected text that is not empty")),
            text => Ok(text),
        }
    }

    /// Reads the path of a file.
    pub(super) fn file_path(&self) -> Result<PathBuf, ConfigError> {
        let path = match &self.node.value {
            Value::Path(path) => path.clone(),
            _ => self.text()?.into(),
        };
        if path.as_os_str().is_empty() {
            Err(self.refuse("expected the path of a file"))
        } else {
            Ok(path)
        }
    }

    /// Reads a secret and follows its references.
    pub(super) fn secret(&self, environment: &[(String, String)]) -> Result<Secret, ConfigError> {
        let (Value::Text(text) | Value::Untyped(text)) = &self.node.value else {
            return Err(self.refuse_unseen("is no text; write it in quotes"));
        };
        resolve(text, environment)
            .map_err(|reason| self.place().refuse(format!("{}: {reason}", self.path)))
    }

    /// Reads a secret, follows its references, and keeps what was written with it.
    pub(super) fn secret_text(
        &self,
        environment: &[(String, String)],
    ) -> Result<SecretText, ConfigError> {
        let (written, parts) = self.secret_parts(environment)?;
        Ok(SecretText::of_parts(&written, &parts))
    }

    /// Reads a text with references to secrets, which are followed and kept apart from the rest.
    pub(super) fn secret_parts(
        &self,
        environment: &[(String, String)],
    ) -> Result<(String, Vec<Part>), ConfigError> {
        let Value::Text(text) = &self.node.value else {
            return Err(self.refuse_unseen("is no text; write it in quotes"));
        };
        let parts = resolve_parts(text, environment)
            .map_err(|reason| self.place().refuse(format!("{}: {reason}", self.path)))?;
        Ok((text.clone(), parts))
    }

    /// Reads one of a closed set of words, whatever their letter case.
    pub(super) fn name<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        self.choose(&self.text()?.to_ascii_lowercase(), words)
    }

    /// Reads one of a closed set of words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        self.choose(&self.text()?, words)
    }

    fn choose<T: Copy>(&self, text: &str, words: &[(&str, T)]) -> Result<T, ConfigError> {
        for (word, value) in words {
            if *word == text {
                return Ok(*value);
            }
        }
        let names = || words.iter().map(|(word, _)| *word);
        Err(match nearest(text, names()) {
            Some(name) => self.refuse(&format!("did you mean {name:?}?")),
            None => self.refuse(&format!("expected one of {}", listed(names()))),
        })
    }

    /// Reads true or false.
    pub(super) fn truth(&self) -> Result<bool, ConfigError> {
        match &self.node.value {
            Value::Truth(truth) => Ok(*truth),
            Value::Untyped(text) if text == "true" => Ok(true),
            Value::Untyped(text) if text == "false" => Ok(false),
            _ => Err(self.refuse("expected true or false")),
        }
    }

    /// Reads a number without a unit.
    pub(super) fn count(&self, range: RangeInclusive<usize>) -> Result<usize, ConfigError> {
        let number = match &self.node.value {
            Value::Number(number) => Some(*number),
            Value::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            return Err(self.refuse("expected a number without quotes and unit"));
        };
        self.within(usize::try_from(number).ok(), range, |bound| {
            bound.to_string()
        })
    }

    /// Reads a duration with its unit.
    pub(super) fn duration(
        &self,
        range: RangeInclusive<Duration>,
    ) -> Result<Duration, ConfigError> {
        let text = self.text_with_unit("duration", "\"500ms\", \"30s\", \"5m\" or \"7d\"")?;
        match parse_duration(&text) {
            Some(duration) => self.within(Some(duration), range, format_duration),
            None => Err(self.refuse(
                "expected a duration with its unit, such as \"500ms\", \"30s\", \"5m\" or \"7d\"",
            )),
        }
    }

    /// Reads a size with its unit.
    pub(super) fn size(&self, range: RangeInclusive<usize>) -> Result<usize, ConfigError> {
        let text = self.text_with_unit("size", "\"512KiB\", \"1MiB\" or \"16MB\"")?;
        match parse_size(&text) {
            Some(bytes) => self.within(Some(bytes), range, format_size),
            None => Err(self
                .refuse("expected a size with its unit, such as \"512KiB\", \"1MiB\" or \"16MB\"")),
        }
    }

    fn text_with_unit(&self, what: &str, examples: &str) -> Result<String, ConfigError> {
        let is_bare = match &self.node.value {
            Value::Number(_) => true,
            Value::Text(text) | Value::Untyped(text) => text.trim().parse::<u64>().is_ok(),
            _ => false,
        };
        if is_bare {
            return Err(self.refuse(&format!("a {what} needs its unit, such as {examples}")));
        }
        self.text()
    }

    fn within<T: PartialOrd + Copy>(
        &self,
        value: Option<T>,
        range: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Result<T, ConfigError> {
        match value {
            Some(value) if range.contains(&value) => Ok(value),
            _ => {
                let (least, most) = (show(*range.start()), show(*range.end()));
                Err(
                    if most == usize::MAX.to_string() || most == format_size(usize::MAX) {
                        self.refuse(&format!("allowed is {least} or more"))
                    } else {
                        self.refuse(&format!("allowed is {least} to {most}"))
                    },
                )
            }
        }
    }

    /// Reads a list of tables.
    pub(super) fn tables(self) -> Result<Vec<Section>, ConfigError> {
        // A secret may have been written to the wrong place, so the value is not shown.
        let wrong = self.refuse_unseen(&format!(
            "is a list of tables, each under [[{}]]",
            self.path
        ));
        if !matches!(self.node.value, Value::List(_)) {
            return Err(wrong);
        }
        self.list()?.into_iter().map(Self::section).collect()
    }

    /// Reads a list of at most so many.
    pub(super) fn list_of_at_most(self, most: usize) -> Result<Vec<Field>, ConfigError> {
        let too_long = self.refuse_unseen(&format!("has more than {most} items"));
        let items = self.list()?;
        match items.len() <= most {
            true => Ok(items),
            false => Err(too_long),
        }
    }

    /// Reads a list.
    pub(super) fn list(self) -> Result<Vec<Field>, ConfigError> {
        let value = match &self.node.value {
            Value::Untyped(text) => match parse_value(self.place(), text) {
                Ok(value) => value,
                Err(_) => {
                    return Err(self.refuse("expected a TOML array, such as [\"one\", \"two\"]"));
                }
            },
            _ => {
                let Value::List(items) = self.node.value else {
                    return Err(self.refuse("expected a list in square brackets"));
                };
                return Ok(name_items(&self.path, items));
            }
        };
        match value {
            Value::List(items) => Ok(name_items(&self.path, items)),
            _ => Err(self.refuse("expected a TOML array, such as [\"one\", \"two\"]")),
        }
    }
}

/// Names words in backticks, separated by commas.
pub(super) fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn name_items(path: &str, items: Vec<Node>) -> Vec<Field> {
    let mut fields = Vec::new();
    for (index, node) in items.into_iter().enumerate() {
        fields.push(Field {
            path: format!("{path}[{index}]"),
            node,
        });
    }
    fields
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
