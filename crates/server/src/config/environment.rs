//! Settings that environment variables make.

use super::error::{ConfigError, Place};
use super::tree::{Node, Table, Value};

/// Name that sets the primary key.
const ACCESS_KEY: &str = "HUBWIRE_ACCESS_KEY";
/// Name that sets the addresses of the first listener.
pub(super) const LISTEN: &str = "HUBWIRE_LISTEN";
/// What every other name begins with.
const PREFIX: &str = "HUBWIRE__";

/// Lays the settings of environment variables over those of the file.
pub(super) fn overlay(
    settings: &mut Table,
    environment: &[(String, String)],
) -> Result<(), ConfigError> {
    for (name, text) in environment {
        let place = Place::Environment(name.clone());
        if name == ACCESS_KEY {
            set(settings, &["keys", "primary"], &place, text)?;
        } else if let Some(path) = name.strip_prefix(PREFIX) {
            let path = path.to_lowercase();
            let keys: Vec<&str> = path.split("__").collect();
            check_shape(&keys, &place)?;
            set(settings, &keys, &place, text)?;
        }
    }
    Ok(())
}

fn check_shape(keys: &[&str], place: &Place) -> Result<(), ConfigError> {
    if keys.contains(&"") {
        return Err(place.refuse(
            "two underscores separate a section from its key, as in HUBWIRE__LIMITS__MESSAGE_MAX",
        ));
    }
    if keys[0] == "listeners" {
        return Err(place.refuse(format!(
            "`listeners` is a list of tables, which belongs in the file; the addresses of \
             the first one can be set by {LISTEN}"
        )));
    }
    if let ["hubs", _, list @ ("event_handlers" | "event_listeners"), ..] = keys {
        return Err(place.refuse(format!(
            "`{list}` is a list of tables, which belongs in the file"
        )));
    }
    Ok(())
}

fn set(settings: &mut Table, keys: &[&str], place: &Place, text: &str) -> Result<(), ConfigError> {
    let (last, sections) = match keys.split_last() {
        Some(split) => split,
        None => return Ok(()),
    };
    let mut table = settings;
    for (depth, section) in sections.iter().enumerate() {
        let node = table
            .entry((*section).to_owned())
            .or_insert_with(|| Node::new(place.clone(), Value::Table(Table::new())));
        let Value::Table(inner) = &mut node.value else {
            let section = keys[..=depth].join(".");
            return Err(place.refuse(format!(
                "unknown key `{}`, `{section}` is no section",
                keys.join(".")
            )));
        };
        table = inner;
    }
    if let Some(Node {
        place: Place::Environment(other),
        ..
    }) = table.get(*last)
    {
        return Err(place.refuse(format!(
            "`{}` is set by {other} too, keep one of them",
            keys.join(".")
        )));
    }
    if let Some(Node {
        value: Value::Table(_),
        ..
    }) = table.get(*last)
    {
        return Err(place.refuse(format!(
            "`{}` is a section, its keys are set one by one",
            keys.join(".")
        )));
    }
    table.insert(
        (*last).to_owned(),
        Node::new(place.clone(), Value::Untyped(text.to_owned())),
    );
    Ok(())
}
