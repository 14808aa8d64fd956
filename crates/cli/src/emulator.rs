//! The settings file of Microsoft's emulator, for those who come from it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use hubwire_protocol::names::Hub;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Reads the `WebPubSub` section of an emulator's settings file and returns what it asks for and is not served, a line each.
///
/// Comments and trailing commas are accepted and names match whatever their letter case, as the emulator reads the file. Address,
/// key and limits are no concern of the section: they are the same here by default.
pub(crate) fn not_served(path: &Path) -> Result<Vec<String>, Failure> {
    read(path)
        .with_context(|| format!("cannot use the emulator settings {}", path.display()))
        .map_err(Failure::Usage)
}

fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).context("the file cannot be read")?;
    let file: Value = json5::from_str(&text).context("the file is not JSON")?;
    let file = object(&file, "the file")?;
    let section = get(file, "WebPubSub").ok_or_else(|| {
        let names: Vec<&str> = file.keys().map(String::as_str).collect();
        anyhow!(
            "there is no section \"WebPubSub\", only {}",
            names.join(", ")
        )
    })?;
    let mut lines = Vec::new();
    for (name, value) in object(section, "WebPubSub")? {
        match name.eq_ignore_ascii_case("Hubs") {
            true => read_hubs(object(value, "WebPubSub:Hubs")?, &mut lines)?,
            false => lines.push(format!("WebPubSub:{name} is not known")),
        }
    }
    Ok(lines)
}

fn read_hubs(hubs: &Map<String, Value>, lines: &mut Vec<String>) -> anyhow::Result<()> {
    for (hub, settings) in hubs {
        if Hub::new(hub).is_err() {
            bail!("WebPubSub:Hubs:{hub} is no hub name");
        }
        for (name, value) in object(settings, &format!("WebPubSub:Hubs:{hub}"))? {
            let path = format!("WebPubSub:Hubs:{hub}:{name}");
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("EventHandlers") || is("EventListeners") {
                let count = value.as_array().map(Vec::len);
                let count = count.with_context(|| format!("{path} is not a list"))?;
                if count > 0 {
                    lines.push(format!(
                        "{path} ({count}) is not served, events of this hub fail"
                    ));
                }
            } else {
                lines.push(format!("{path} is not known"));
            }
        }
    }
    Ok(())
}

fn object<'a>(value: &'a Value, path: &str) -> anyhow::Result<&'a Map<String, Value>> {
    value
        .as_object()
        .with_context(|| format!("{path} is not an object"))
}

fn get<'a>(object: &'a Map<String, Value>, wanted: &str) -> Option<&'a Value> {
    object
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value)
}
