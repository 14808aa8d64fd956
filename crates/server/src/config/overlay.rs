//! Settings that flags make, and the short environment variable for addresses.

use super::environment::LISTEN;
use super::error::Place;
use super::listener::ListenerConfig;
use super::logging::{Level, LogFormat};
use super::sources::Sources;
use super::tree::{Node, Table, Value};

/// Lays flags over the settings of file and environment.
pub(super) fn overlay(settings: &mut Table, sources: &Sources) {
    overlay_listeners(settings, sources);
    let flags = &sources.overrides;
    if let Some(key) = &flags.access_key {
        let place = Place::Flag("--access-key");
        set(
            settings,
            "keys",
            "primary",
            Node::text(&place, key.expose()),
        );
    }
    if let Some(shards) = flags.shards {
        let number = Value::Number(i64::try_from(shards).unwrap_or(i64::MAX));
        settings.insert(
            "shards".to_owned(),
            Node::new(Place::Flag("--shards"), number),
        );
    }
    if flags.allow_development_key {
        let node = Node::new(Place::Flag("--allow-development-key"), Value::Truth(true));
        set(settings, "auth", "allow_development_key", node);
    }
    if let Some(level) = flags.log_level {
        set(
            settings,
            "logging",
            "level",
            Node::text(&Place::Flag("--log-level"), word(Level::WORDS, level)),
        );
    }
    if let Some(format) = flags.log_format {
        set(
            settings,
            "logging",
            "format",
            Node::text(&Place::Flag("--log-format"), word(LogFormat::WORDS, format)),
        );
    }
}

/// Returns the word of a value in a closed set.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    for (word, candidate) in words {
        if *candidate == value {
            return word;
        }
    }
    unreachable!("every value of a closed set has its word")
}

fn overlay_listeners(settings: &mut Table, sources: &Sources) {
    let flags = &sources.overrides;
    if let Some(bind) = chosen_addresses(sources) {
        set_on_first_listener(settings, |listener| {
            listener.insert("bind".to_owned(), bind);
        });
    }
    for (flag, key, path) in [
        ("--tls-cert", "cert", &flags.tls_cert),
        ("--tls-key", "key", &flags.tls_key),
    ] {
        if let Some(path) = path {
            let node = Node::new(Place::Flag(flag), Value::Path(path.clone()));
            set_on_first_listener(settings, |listener| set(listener, "tls", key, node));
        }
    }
    if let Some(address) = flags.metrics_listen {
        let place = Place::Flag("--metrics-listen");
        let list = |words: &[&str]| {
            let items = words.iter().map(|word| Node::text(&place, *word)).collect();
            Node::new(place.clone(), Value::List(items))
        };
        let listener = Table::from([
            ("bind".to_owned(), list(&[&address.to_string()])),
            ("roles".to_owned(), list(&["metrics", "health"])),
        ]);
        if let Value::List(listeners) = &mut listeners(settings).value {
            listeners.push(Node::new(place, Value::Table(listener)));
        }
    }
}

/// Returns the addresses that the flag or else the environment variable lists.
fn chosen_addresses(sources: &Sources) -> Option<Node> {
    let (place, addresses) = if sources.overrides.listen.is_empty() {
        let (name, text) = sources
            .environment
            .iter()
            .find(|(name, _)| name == LISTEN)?;
        let addresses = text
            .split(',')
            .map(|address| address.trim().to_owned())
            .collect();
        (Place::Environment(name.clone()), addresses)
    } else {
        let addresses: Vec<String> = sources
            .overrides
            .listen
            .iter()
            .map(ToString::to_string)
            .collect();
        (Place::Flag("--listen"), addresses)
    };
    let items = addresses
        .into_iter()
        .map(|address| Node::text(&place, address))
        .collect();
    Some(Node::new(place, Value::List(items)))
}

/// Leaves a malformed list of listeners as it is, for its reader to refuse.
fn set_on_first_listener(settings: &mut Table, set: impl FnOnce(&mut Table)) {
    if let Value::List(listeners) = &mut listeners(settings).value
        && let Some(Node {
            value: Value::Table(listener),
            ..
        }) = listeners.first_mut()
    {
        set(listener);
    }
}

/// Returns the listeners, the default one where the file has none.
fn listeners(settings: &mut Table) -> &mut Node {
    settings.entry("listeners".to_owned()).or_insert_with(|| {
        let mut addresses = Vec::new();
        for address in ListenerConfig::default().bind {
            addresses.push(Node::text(&Place::Default, address.to_string()));
        }
        let bind = Node::new(Place::Default, Value::List(addresses));
        let listener = Value::Table(Table::from([("bind".to_owned(), bind)]));
        Node::new(
            Place::Default,
            Value::List(vec![Node::new(Place::Default, listener)]),
        )
    })
}

/// Leaves a malformed section as it is, for its reader to refuse.
fn set(settings: &mut Table, section: &str, key: &str, node: Node) {
    let empty = || Node::new(node.place.clone(), Value::Table(Table::new()));
    if let Value::Table(table) = &mut settings
        .entry(section.to_owned())
        .or_insert_with(empty)
        .value
    {
        table.insert(key.to_owned(), node);
    }
}
