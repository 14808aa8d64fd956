//! The settings file of Microsoft's emulator, for those who come from it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use hubwire_protocol::names::Hub;
use hubwire_server::config::{
    Config, EventHandlerConfig, HandlerUrl, PrivateAddresses, SystemEvent,
};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Reads the `WebPubSub` section of an emulator's settings file and adds its event handlers to a configuration. Returns what it
/// asks for and is not served, a line each.
///
/// Comments and trailing commas are accepted and names match whatever their letter case, as the emulator reads the file. Address,
/// key and limits are no concern of the section: they are the same here by default. A hub that has handlers in the configuration
/// keeps those.
pub(crate) fn apply(path: &Path, config: &mut Config) -> Result<Vec<String>, Failure> {
    read(path, config)
        .with_context(|| format!("cannot use the emulator settings {}", path.display()))
        .map_err(Failure::Usage)
}

fn read(path: &Path, config: &mut Config) -> anyhow::Result<Vec<String>> {
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
            true => read_hubs(object(value, "WebPubSub:Hubs")?, config, &mut lines)?,
            false => lines.push(format!("WebPubSub:{name} is not known")),
        }
    }
    Ok(lines)
}

fn read_hubs(
    hubs: &Map<String, Value>,
    config: &mut Config,
    lines: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (name, settings) in hubs {
        let path = format!("WebPubSub:Hubs:{name}");
        let Ok(hub) = Hub::new(name) else {
            bail!("{path} is no hub name");
        };
        for (name, value) in object(settings, &path)? {
            let path = format!("{path}:{name}");
            if name.eq_ignore_ascii_case("EventHandlers") {
                let handlers = read_handlers(value, &path, config.private_addresses(), lines)?;
                add_handlers(config, &hub, handlers, &path, lines);
            } else if name.eq_ignore_ascii_case("EventListeners") {
                let count = list(value, &path)?.len();
                if count > 0 {
                    lines.push(format!(
                        "{path} ({count}) is not served, since Event Hubs is reached through `event_listeners` of type kafka"
                    ));
                }
            } else {
                lines.push(format!("{path} is not known"));
            }
        }
    }
    Ok(())
}

fn add_handlers(
    config: &mut Config,
    hub: &Hub,
    handlers: Vec<EventHandlerConfig>,
    path: &str,
    lines: &mut Vec<String>,
) {
    let mut settings = config.hubs.get(hub.as_str()).clone();
    let has_own = config
        .hubs
        .iter()
        .any(|(name, own)| name == hub.as_str() && !own.event_handlers.is_empty());
    match has_own {
        true => lines.push(format!(
            "{path} is not used, since the configuration lists handlers of this hub"
        )),
        false => {
            settings.event_handlers = handlers;
            config.hubs.set(hub.as_str(), settings);
        }
    }
}

fn read_handlers(
    value: &Value,
    path: &str,
    private: PrivateAddresses,
    lines: &mut Vec<String>,
) -> anyhow::Result<Vec<EventHandlerConfig>> {
    let mut handlers = Vec::new();
    for (index, value) in list(value, path)?.iter().enumerate() {
        let path = format!("{path}:{index}");
        handlers.push(read_handler(object(value, &path)?, &path, private, lines)?);
    }
    Ok(handlers)
}

fn read_handler(
    value: &Map<String, Value>,
    path: &str,
    private: PrivateAddresses,
    lines: &mut Vec<String>,
) -> anyhow::Result<EventHandlerConfig> {
    let url =
        get(value, "UrlTemplate").with_context(|| format!("{path} has no \"UrlTemplate\""))?;
    let url = text(url, &format!("{path}:UrlTemplate"))?;
    let url = HandlerUrl::parse(url, private).with_context(|| format!("{path}:UrlTemplate"))?;
    let mut handler = EventHandlerConfig::new(url);
    for (name, value) in value {
        let path = format!("{path}:{name}");
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("EventPattern") || is("UserEventPattern") {
            handler.user_event_pattern = match value {
                Value::Null => String::new(),
                value => text(value, &path)?.to_owned(),
            };
        } else if is("SystemEvents") {
            for event in list(value, &path)? {
                let event = text(event, &path)?;
                let event = SystemEvent::from_name(event);
                handler.system_events.push(event.with_context(|| {
                    format!(
                        "{path} lists other than \"connect\", \"connected\" and \"disconnected\""
                    )
                })?);
            }
        } else if !is("UrlTemplate") {
            lines.push(format!("{path} is not known"));
        }
    }
    Ok(handler)
}

fn text<'a>(value: &'a Value, path: &str) -> anyhow::Result<&'a str> {
    value
        .as_str()
        .with_context(|| format!("{path} is not a text"))
}

fn list<'a>(value: &'a Value, path: &str) -> anyhow::Result<&'a Vec<Value>> {
    value
        .as_array()
        .with_context(|| format!("{path} is not a list"))
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
