//! A service whose events go to a handler of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hubwire_server::config::{Config, Sources};
use serde_json::{Value, json};

use super::handler::{Recorded, Reply, TestHandler, reply};
use super::{Answer, Service};

/// All that a handler can handle.
pub(crate) const EVERYTHING: &str = r#"
user_event_pattern = "*"
system_events = ["connect", "connected", "disconnected"]
"#;
/// Besides, who joins and leaves.
pub(crate) const PRESENCE: &str = r#"group_presence_events = { event_names = ["joined", "left"] }"#;

/// A service with a handler.
pub(crate) struct WithHandler {
    pub(crate) service: Service,
    pub(crate) handler: TestHandler,
}

impl WithHandler {
    /// Starts both. The handler of the hub `chat` has these settings besides its URL, and answers by a function; it agrees to get
    /// events.
    pub(crate) async fn start(
        settings: &str,
        answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(settings, "", answer, |_| {}).await
    }

    /// Starts both, with further lines of the hub's and of other sections behind the handler's.
    pub(crate) async fn start_with(
        settings: &str,
        more: &str,
        answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let handler = TestHandler::start(move |request| match request.method.as_str() {
            "OPTIONS" => reply(200, &[("WebHook-Allowed-Origin", "*")], ""),
            _ => answer(request),
        })
        .await;
        let service = start(&toml(&handler.url("/events"), settings, more), change).await;
        Self { service, handler }
    }

    /// Returns the events so far that have this name, in their order.
    pub(crate) fn events(&self, name: &str) -> Vec<Recorded> {
        let mut requests = self.handler.requests();
        requests.retain(|request| {
            request.method == "POST" && (name.is_empty() || request.header("ce-eventname") == name)
        });
        requests
    }

    /// Waits until so many events with this name have come, and returns them.
    pub(crate) async fn until(&self, name: &str, count: usize) -> Vec<Recorded> {
        loop {
            let all = self.handler.requests().len();
            let events = self.events(name);
            if events.len() >= count {
                return events;
            }
            self.handler.got(all + 1).await;
        }
    }

    /// Makes the handshake of a client, up to the answer.
    pub(crate) async fn knock(&self, claims: Value, offered: &str) -> Answer {
        let path = self.service.client_path("chat", claims);
        let head = match offered {
            "" => String::new(),
            offered => format!("Sec-WebSocket-Protocol: {offered}\r\n"),
        };
        self.service.handshake(&path, &head).await
    }
}

/// Returns the configuration of a handler of the hub `chat`, without pauses between attempts.
pub(crate) fn toml(url: &str, settings: &str, more: &str) -> String {
    format!(
        "[upstream]\nretry_delays = [\"1ms\"]\nprivate_addresses = \"allow\"\n\n[[hubs.chat.event_handlers]]\nurl_template = \
         \"{url}\"\n{settings}\n{more}\n"
    )
}

/// Starts a service from a file with one shard.
pub(crate) async fn start(toml: &str, change: impl FnOnce(&mut Config)) -> Service {
    let loaded = load(toml);
    Service::start_with(|config| {
        let listeners = std::mem::take(&mut config.listeners);
        *config = Config {
            listeners,
            shards: 1,
            ..loaded
        };
        change(config);
    })
    .await
}

/// Reads a configuration as the service does.
pub(crate) fn load(toml: &str) -> Config {
    static COUNTER: AtomicUsize = AtomicUsize::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = format!("hubwire-events-{}-{number}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, toml).unwrap();
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    let config = Config::load(&sources);
    std::fs::remove_file(path).unwrap();
    config.unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

/// Answers `connect` by a function, and everything else by nothing.
pub(crate) fn on_connect(
    answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Recorded) -> Reply + Send + Sync + 'static {
    let answer = Arc::new(answer);
    move |request| match request.header("ce-eventname") {
        "connect" => answer(request),
        _ => reply(200, &[], ""),
    }
}

/// Answers user events by a function, and everything else by nothing.
pub(crate) fn on_user_event(
    answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Recorded) -> Reply + Send + Sync + 'static {
    move |request| match request.header("ce-type") {
        kind if kind.starts_with("azure.webpubsub.user.") => answer(request),
        _ => reply(200, &[], ""),
    }
}

/// A reply with a body of this type.
pub(crate) fn typed(content_type: &str, body: impl Into<Bytes>) -> Reply {
    match content_type {
        "" => reply(200, &[], body),
        content_type => reply(200, &[("Content-Type", content_type)], body),
    }
}

/// A reply of JSON.
pub(crate) fn json_reply(body: &Value) -> Reply {
    typed("application/json", body.to_string())
}

/// An event frame of a client.
pub(crate) fn event(name: &str, data_type: &str, data: Value) -> Value {
    json!({ "type": "event", "event": name, "dataType": data_type, "data": data })
}

pub(crate) fn with_ack(mut frame: Value, ack_id: u64) -> Value {
    frame["ackId"] = json!(ack_id);
    frame
}
