//! Events, settings, and handlers to send them to.

mod handler;
mod observed;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubwire_protocol::event::{ConnectRequest, Event, EventKind};
use hubwire_protocol::message::Content;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{EventName, GroupName, Hub, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_upstream::{
    Handler, HubSettings, PrivateAddresses, Settings, SystemEvent, Upstream, UrlTemplate,
    UserEventPattern,
};

pub(crate) use handler::{Recorded, Reply, TestHandler, raw_handler, raw_url, reply};
pub(crate) use observed::Observed;
pub(crate) use tunnel::{TestTunnel, status};

/// A time that tests never reach unless something hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn hub() -> Hub {
    Hub::new("chat").unwrap()
}

pub(crate) fn template(text: &str) -> UrlTemplate {
    UrlTemplate::parse(text, PrivateAddresses::Allow).unwrap()
}

/// A handler of everything but presence, that need not agree to anything.
pub(crate) fn handles_all(url: &str) -> Handler {
    Handler {
        user_event_pattern: UserEventPattern::parse("*"),
        system_events: vec![
            SystemEvent::Connect,
            SystemEvent::Connected,
            SystemEvent::Disconnected,
        ],
        abuse_protection: false,
        timeout: LONG,
        ..Handler::new(template(url))
    }
}

/// Settings with one handler for the hub, and no patience.
pub(crate) fn settings(handler: Handler) -> Settings {
    settings_of(vec![handler])
}

pub(crate) fn settings_of(handlers: Vec<Handler>) -> Settings {
    let hub_settings = HubSettings {
        handlers,
        ..HubSettings::default()
    };
    Settings {
        hubs: [(hub(), hub_settings)].into(),
        request_origins: vec!["pubsub.example.com".to_owned()],
        retry_delays: vec![Duration::from_millis(1); 3],
        private_addresses: PrivateAddresses::Allow,
        ..Settings::default()
    }
}

pub(crate) fn upstream(handler: Handler) -> Upstream {
    Upstream::new(settings(handler))
}

/// An upstream whose only handler is this one.
pub(crate) fn upstream_to(handler: &TestHandler) -> Upstream {
    upstream(handles_all(&handler.url("/events")))
}

/// An event of the connection that most tests have.
pub(crate) fn event(kind: EventKind) -> Event {
    Event {
        hub: hub(),
        connection_id: Arc::from("connection-1"),
        user: Some(UserId::new("alice").unwrap()),
        subprotocol: Some(Arc::from("json.webpubsub.azure.v1")),
        id: 7,
        time: 1_709_210_096_789,
        kind,
    }
}

pub(crate) fn connect() -> Event {
    Event {
        subprotocol: None,
        id: 0,
        ..event(EventKind::Connect(Box::default()))
    }
}

pub(crate) fn connect_with(request: ConnectRequest) -> Event {
    Event {
        kind: EventKind::Connect(Box::new(request)),
        ..connect()
    }
}

pub(crate) fn user_event(name: &str, data_type: DataType, data: &str) -> Event {
    event(EventKind::User {
        name: EventName::new(name).unwrap(),
        content: content(data_type, data),
    })
}

pub(crate) fn hello() -> Event {
    user_event("hello", DataType::Text, "hi")
}

pub(crate) fn content(data_type: DataType, data: &str) -> Content {
    Content {
        payload: Payload {
            data_type,
            data: Bytes::copy_from_slice(data.as_bytes()),
        },
        metadata: Metadata::default(),
    }
}

pub(crate) fn disconnected(reason: &str) -> Event {
    event(EventKind::Disconnected {
        reason: reason.to_owned(),
    })
}

pub(crate) fn joined(group: &str) -> Event {
    event(EventKind::Joined {
        group: GroupName::new(group).unwrap(),
    })
}

pub(crate) fn left(group: &str) -> Event {
    event(EventKind::Left {
        group: GroupName::new(group).unwrap(),
    })
}

/// The same event of another connection.
pub(crate) fn of_connection(id: &str, event: Event) -> Event {
    Event {
        connection_id: Arc::from(id),
        ..event
    }
}

pub(crate) async fn drain(upstream: &Upstream) {
    upstream.drain(tokio::time::Instant::now() + LONG).await;
}
