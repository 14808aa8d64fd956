//! A chat room: whoever gives a name may come in, and is counted.
//!
//! ```sh
//! hubwire --config crates/event-handler/examples/chat.toml
//! HUBWIRE_CONNECTION_STRING='...what it prints...' cargo run -p hubwire-event-handler --example chat
//! ```
//!
//! Clients connect to `ws://localhost:8080/client/hubs/chat?name=alice` then, with any tool for WebSockets.

use std::sync::Mutex;

use axum::Router;
use axum::routing::get;
use hubwire_event_handler::{
    ConnectEvent, ConnectResponse, ConnectedEvent, ConnectionState, DisconnectedEvent,
    EventHandler, EventHandlerService, Rejection, StatusCode, UserEvent, UserEventResponse,
};
use serde::{Deserialize, Serialize};

/// Where the service finds this application.
const ADDRESS: &str = "127.0.0.1:3000";

/// Who is there.
#[derive(Default)]
struct Chat {
    names: Mutex<Vec<String>>,
}

/// What the service keeps with each connection.
#[derive(Serialize, Deserialize)]
struct Visit {
    messages: u32,
}

impl EventHandler for Chat {
    async fn on_connect(&self, event: ConnectEvent) -> Result<ConnectResponse, Rejection> {
        let Some(name) = event.query("name") else {
            return Err(Rejection::new(StatusCode::UNAUTHORIZED).with_text("what is your name?"));
        };
        Ok(ConnectResponse::new()
            .user_id(name)
            .groups(["lobby"])
            .roles([
                "webpubsub.sendToGroup.lobby",
                "webpubsub.joinLeaveGroup.lobby",
            ])
            .state(ConnectionState::new(&Visit { messages: 0 })?))
    }

    async fn on_user_event(&self, event: UserEvent) -> Result<UserEventResponse, Rejection> {
        let mut visit: Visit = event
            .context
            .state
            .value()?
            .unwrap_or(Visit { messages: 0 });
        visit.messages += 1;
        let text = format!("message {}: {}", visit.messages, event.text()?);
        Ok(UserEventResponse::text(text).state(ConnectionState::new(&visit)?))
    }

    async fn on_connected(&self, event: ConnectedEvent) -> Result<(), Rejection> {
        let name = event.context.user_id.unwrap_or_default();
        eprintln!("{name} is there");
        self.names().push(name);
        Ok(())
    }

    async fn on_disconnected(&self, event: DisconnectedEvent) -> Result<(), Rejection> {
        let name = event.context.user_id.unwrap_or_default();
        eprintln!("{name} is gone");
        let mut names = self.names();
        if let Some(index) = names.iter().position(|other| *other == name) {
            names.swap_remove(index);
        }
        Ok(())
    }
}

impl Chat {
    fn names(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.names
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let connection_string = std::env::var("HUBWIRE_CONNECTION_STRING")
        .map_err(|_| "HUBWIRE_CONNECTION_STRING is not set: the service prints it at its start")?;
    let chat = EventHandlerService::builder(Chat::default())
        .connection_string(&connection_string)
        .build()?;
    let for_page = chat.clone();
    let app = Router::new()
        .route_service("/eventhandler/{event}", chat)
        .route(
            "/names",
            get(|| async move { for_page.handler().names().join("\n") }),
        );
    let listener = tokio::net::TcpListener::bind(ADDRESS).await?;
    eprintln!("events are taken at http://{ADDRESS}/eventhandler/{{event}}, names are at /names");
    axum::serve(listener, app).await?;
    Ok(())
}
