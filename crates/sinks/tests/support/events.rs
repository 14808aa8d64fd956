//! Events for sinks.

use std::sync::Arc;

use bytes::Bytes;
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{Hub, UserId};
use hubwire_upstream::{CloudEvent, ListenerEvent};

pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// A user event with this data, without anything that may be absent.
pub(crate) fn user_event(
    connection_id: &str,
    id: u64,
    content_type: &'static str,
    body: &[u8],
) -> ListenerEvent {
    ListenerEvent {
        event: Arc::new(CloudEvent {
            hub: Hub::new("chat").unwrap(),
            connection_id: Arc::from(connection_id),
            id,
            kind: "azure.webpubsub.user.message".to_owned(),
            source: format!("/hubs/chat/client/{connection_id}"),
            time: "2024-02-29T12:34:56Z".to_owned(),
            event_name: "message".to_owned(),
            user: None,
            subprotocol: None,
            content_type,
            body: Bytes::copy_from_slice(body),
            metadata: Metadata::default(),
        }),
        connection_state: None,
    }
}

/// The same event with changes.
pub(crate) fn with(event: ListenerEvent, change: impl FnOnce(&mut CloudEvent)) -> ListenerEvent {
    let mut inner = (*event.event).clone();
    change(&mut inner);
    ListenerEvent {
        event: Arc::new(inner),
        ..event
    }
}

/// An event that has everything.
pub(crate) fn full_event(connection_id: &str, id: u64) -> ListenerEvent {
    let event = with(
        user_event(connection_id, id, JSON, b"{\"a\":\n1.50}"),
        |event| {
            event.user = Some(UserId::new("Zoë \"✓\" 50%").unwrap());
            event.subprotocol = Some(Arc::from("json.webpubsub.azure.v1"));
            event.kind = "azure.webpubsub.user.order.created".to_owned();
            event.event_name = "order.created".to_owned();
            for (key, value) in [("Trace-Id", "a, b"), ("trace-id", "c d")] {
                event
                    .metadata
                    .insert(key.to_owned(), value.to_owned())
                    .unwrap();
            }
        },
    );
    ListenerEvent {
        connection_state: Some(Arc::from("c3RhdGU=")),
        ..event
    }
}
