//! What is logged when handlers fail. Source: events-and-operations 3, 10.3.

use std::io::Write;
use std::sync::{Arc, Mutex};

use hubwire_protocol::event::EventKind;
use hubwire_upstream::{
    Ask, Auth, ClientCredentials, Handler, PrivateAddresses, Secret, Settings, StaticHeader,
    Upstream, Url,
};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, filter, fmt};

use crate::support::{
    Recorded, Reply, TestHandler, connect, drain, event, handles_all, hello, raw_handler, raw_url,
    reply, settings,
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Logs all that the crate says on this thread, until the guard is dropped.
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let ours = filter::Targets::new().with_target("hubwire_upstream", LevelFilter::TRACE);
        let layer = fmt::layer().with_writer(self.clone()).with_ansi(false);
        tracing::subscriber::set_default(Registry::default().with(layer.with_filter(ours)))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Returns what is logged of an event whose handler does this.
async fn logged(
    answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    protected: bool,
) -> String {
    let log = Log::default();
    let _guard = log.start();
    let test = TestHandler::start(answer).await;
    let upstream = Upstream::new(settings(Handler {
        abuse_protection: protected,
        ..handles_all(&test.url("/{event}?code=hunter2"))
    }));
    upstream.ask(hello(), Ask::Event).await.unwrap_err();
    log.text()
}

#[tokio::test]
async fn an_unexpected_status_is_logged_with_hub_event_type_and_status() {
    let text = logged(|_| reply(418, &[], ""), false).await;
    for part in [
        "WARN",
        "HttpHandlerUnexpectedResponse",
        "hub=chat",
        "hello",
        "azure.webpubsub.user.hello",
        "418",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn failures_of_abuse_protection_have_the_names_that_operators_know() {
    for (status, name) in [
        (200, "AbuseProtectionResponseMissingAllowedOrigin"),
        (403, "AbuseProtectionResponseInvalidStatusCode"),
    ] {
        let text = logged(move |_| reply(status, &[], ""), true).await;
        assert!(text.contains(name), "{text}");
    }
    let log = Log::default();
    let _guard = log.start();
    let address = raw_handler(Vec::new()).await;
    let upstream = Upstream::new(settings(Handler {
        abuse_protection: true,
        ..handles_all(&raw_url(address))
    }));
    upstream.ask(hello(), Ask::Event).await.unwrap_err();
    assert!(
        log.text().contains("AbuseProtectionResponseFailed"),
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn nothing_secret_is_logged() {
    const SECRET: &str = "hunter2";
    let log = Log::default();
    let _guard = log.start();
    let issuer = TestHandler::answering(401, &[], SECRET).await;
    let test = TestHandler::start(|request| match request.header("ce-eventname") {
        "connect" => reply(200, &[("content-type", "text/html")], "{hunter2"),
        _ => reply(
            500,
            &[("set-cookie", "hunter2"), ("ce-connectionstate", "hunter2")],
            SECRET,
        ),
    })
    .await;
    let url = |path: &str| test.url(&format!("{path}?code={SECRET}"));
    let static_header = StaticHeader::new("x-api-key", &Secret::new(SECRET)).unwrap();
    let credentials = ClientCredentials {
        token_url: Url::parse(&issuer.url("/?code=hunter2"), PrivateAddresses::Allow).unwrap(),
        client_id: "me".to_owned(),
        client_secret: Secret::new(SECRET),
        scope: String::new(),
    };
    for auth in [
        Auth::StaticHeader(static_header),
        Auth::ClientCredentials(credentials),
    ] {
        for abuse_protection in [false, true] {
            let upstream = Upstream::new(Settings {
                access_keys: vec![Secret::new(SECRET)],
                ..settings(Handler {
                    auth: auth.clone(),
                    abuse_protection,
                    ..handles_all(&url("/{event}"))
                })
            });
            upstream.connect(connect()).await.unwrap_err();
            let event_with_secret =
                crate::support::user_event("e", hubwire_protocol::payload::DataType::Text, SECRET);
            upstream
                .ask(event_with_secret, Ask::Invocation)
                .await
                .unwrap_err();
            upstream.notify(event(EventKind::Connected));
            drain(&upstream).await;
        }
    }
    let text = log.text();
    assert!(text.lines().count() >= 6, "{text}");
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains("alice"), "{text}");
}
