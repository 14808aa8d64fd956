//! An application server of the test's own, and a service that asks it.

use axum::Router;
use hubwire_event_handler::{Builder, EventHandler, EventHandlerService};
use hubwire_server::config::DEVELOPMENT_KEY;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::support::Service;
use crate::support::events::start;

/// All that a handler can handle.
pub(crate) const EVERYTHING: &str = r#"
user_event_pattern = "*"
system_events = ["connect", "connected", "disconnected"]
group_presence_events = { event_names = ["joined", "left"] }
"#;

/// An application that serves until it is dropped.
pub(crate) struct Application<H> {
    pub(crate) service: EventHandlerService<H>,
    pub(crate) url: String,
    _stop: oneshot::Sender<()>,
}

impl<H: EventHandler> Application<H> {
    /// Starts an application that takes the events of the service under test.
    pub(crate) async fn start(handler: H) -> Self {
        Self::of(EventHandlerService::builder(handler).connection_string(&connection_string()))
            .await
    }

    pub(crate) async fn of(builder: Builder<H>) -> Self {
        let service = builder.build().unwrap();
        let app = Router::new().route_service("/eventhandler/{event}", service.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/eventhandler/{{event}}",
            listener.local_addr().unwrap()
        );
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, app).with_graceful_shutdown(async {
            stopped.await.ok();
        });
        tokio::spawn(server.into_future());
        Self {
            service,
            url,
            _stop: stop,
        }
    }

    /// Starts a service whose hub `chat` has this application as its handler, with these settings.
    pub(crate) async fn asked_by(&self, settings: &str) -> Service {
        start(&self.toml(settings), |_| {}).await
    }

    pub(crate) fn toml(&self, settings: &str) -> String {
        crate::support::events::toml(&self.url, settings, "")
    }
}

/// Returns what an application knows of the service under test, which names itself `localhost`.
pub(crate) fn connection_string() -> String {
    format!("Endpoint=http://localhost:8080;AccessKey={DEVELOPMENT_KEY};Version=1.0;")
}
