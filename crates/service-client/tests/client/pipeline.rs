//! Policies and tracers of the application in the pipeline.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_core::tracing::{
    AsAny, Attribute, AttributeValue, Span, SpanGuard, SpanKind, SpanStatus, Tracer, TracerProvider,
};
use hubwire_service_client::{LoggingOptions, Message, WebPubSubServiceClientOptions};
use tracing::Level;

use crate::support::{Answer, Fake, Log};

/// Adds a header, one more character for each time it is passed.
#[derive(Debug)]
struct Mark(&'static str);

#[async_trait]
impl Policy for Mark {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let header = azure_core::http::headers::HeaderName::from_static(self.0);
        let passed = request.headers().get_optional_string(&header);
        request.insert_header(self.0, passed.unwrap_or_default() + "x");
        next[0].send(ctx, request, &next[1..]).await
    }
}

#[tokio::test]
async fn policies_are_passed_once_per_call_or_once_per_try_and_are_logged() {
    let fake = Fake::start([Answer::status(503), Answer::status(202)]).await;
    let mut options = WebPubSubServiceClientOptions {
        logging: LoggingOptions {
            enabled: true,
            ..LoggingOptions::default()
        },
        ..WebPubSubServiceClientOptions::default()
    };
    let client_options = &mut options.client_options;
    client_options.per_call_policies = vec![Arc::new(Mark("x-call"))];
    client_options.per_try_policies = vec![Arc::new(Mark("x-try"))];
    client_options.user_agent.application_id = Some("my-app".to_owned());
    let service = fake.client_with(options);
    let (log, _guard) = Log::begin(Level::DEBUG);
    service.send_to_all(Message::text("x"), None).await.unwrap();
    let second = &fake.got()[1];
    assert_eq!(second.header("x-call"), Some("x"));
    assert_eq!(second.header("x-try"), Some("xx"));
    let agent = second.header("user-agent").unwrap();
    assert!(agent.starts_with("my-app "), "{agent}");
    let trace = log.of("hubwire_service_client::http::trace");
    assert!(trace[0].contains("x-try"), "{}", trace[0]);
}

/// Remembers the names of spans, and those that have ended.
#[derive(Clone, Debug, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

struct Named(String, Spans);

impl TracerProvider for Spans {
    fn get_tracer(
        &self,
        _: Option<&'static str>,
        _: &'static str,
        _: Option<&'static str>,
    ) -> Arc<dyn Tracer> {
        Arc::new(self.clone())
    }
}

impl Tracer for Spans {
    fn start_span(&self, name: Cow<'static, str>, _: SpanKind, _: Vec<Attribute>) -> Arc<dyn Span> {
        self.0.lock().unwrap().push(format!("begin {name}"));
        Arc::new(Named(name.into_owned(), self.clone()))
    }

    fn start_span_with_parent(
        &self,
        name: Cow<'static, str>,
        kind: SpanKind,
        attributes: Vec<Attribute>,
        _: Arc<dyn Span>,
    ) -> Arc<dyn Span> {
        self.start_span(name, kind, attributes)
    }

    fn namespace(&self) -> Option<&'static str> {
        None
    }
}

impl Span for Named {
    fn is_recording(&self) -> bool {
        true
    }

    fn span_id(&self) -> [u8; 8] {
        [1; 8]
    }

    fn end(&self) {
        self.1.0.lock().unwrap().push(format!("end {}", self.0));
    }

    fn set_status(&self, _: SpanStatus) {}

    fn set_attribute(&self, _: &'static str, _: AttributeValue) {}

    fn record_error(&self, _: &dyn Error) {}

    fn set_current(&self, _: &Context) -> Box<dyn SpanGuard> {
        unreachable!("nothing runs inside a span of this test")
    }

    fn propagate_headers(&self, request: &mut Request) {
        request.insert_header("traceparent", "00-test");
    }
}

impl AsAny for Named {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[tokio::test]
async fn a_tracer_gets_a_span_for_the_method_and_one_for_each_try() {
    let fake = Fake::start([Answer::status(503), Answer::status(202)]).await;
    let spans = Spans::default();
    let mut options = WebPubSubServiceClientOptions::default();
    options.client_options.instrumentation.tracer_provider = Some(Arc::new(spans.clone()));
    let service = fake.client_with(options);
    service.send_to_all(Message::text("x"), None).await.unwrap();
    let seen = spans.0.lock().unwrap().clone();
    let expected = [
        "begin WebPubSub.sendToAll",
        "begin POST",
        "end POST",
        "begin POST",
        "end POST",
        "end WebPubSub.sendToAll",
    ];
    assert_eq!(seen, expected);
    for got in fake.got() {
        assert_eq!(got.header("traceparent"), Some("00-test"));
    }
}
