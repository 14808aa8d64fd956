//! Event listeners. Source: events-and-operations 1, 8; test list 8.

use std::sync::{Arc, Mutex};

use hubwire_protocol::event::{EventFailure, EventKind};
use hubwire_protocol::payload::DataType;
use hubwire_upstream::{
    Ask, Handler, HubSettings, Listener, ListenerEvent, Settings, Sink, SinkError, SinkFuture,
    SystemEvent, Upstream, UserEventPattern,
};
use tokio::sync::Semaphore;

use crate::support::{
    Observed, TestHandler, connect, disconnected, drain, event, handles_all, hello, hub, joined,
    settings, user_event,
};

/// Remembers events, one for each permit, and fails if told so.
struct Memory {
    events: Mutex<Vec<ListenerEvent>>,
    permits: Semaphore,
    is_down: bool,
}

impl Memory {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            permits: Semaphore::new(permits),
            is_down: false,
        })
    }

    fn names(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        events
            .iter()
            .map(|event| event.event.event_name.clone())
            .collect()
    }
}

impl Sink for Memory {
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a> {
        Box::pin(async move {
            for event in events {
                self.permits.acquire().await.unwrap().forget();
                self.events.lock().unwrap().push(event.clone());
            }
            match self.is_down {
                true => Err(SinkError::all("it is down", events)),
                false => Ok(()),
            }
        })
    }
}

fn listener(sink: &Arc<Memory>) -> Listener {
    Listener {
        system_events: vec![
            SystemEvent::Connect,
            SystemEvent::Connected,
            SystemEvent::Disconnected,
        ],
        user_event_pattern: UserEventPattern::parse("*"),
        ..Listener::new(sink.clone())
    }
}

fn with_listeners(handlers: Vec<Handler>, listeners: Vec<Listener>) -> Settings {
    Settings {
        hubs: [(
            hub(),
            HubSettings {
                handlers,
                listeners,
            },
        )]
        .into(),
        ..settings(handles_all("http://example.com"))
    }
}

#[tokio::test]
async fn every_listener_that_matches_gets_an_event() {
    let [all, some, none] = [Memory::new(9), Memory::new(9), Memory::new(9)];
    let mut only_disconnected = listener(&some);
    only_disconnected.system_events = vec![SystemEvent::Disconnected];
    only_disconnected.user_event_pattern = UserEventPattern::parse("other");
    let listeners = vec![
        listener(&all),
        only_disconnected,
        Listener::new(none.clone()),
    ];
    let upstream = Upstream::new(with_listeners(Vec::new(), listeners));
    assert!(upstream.has_targets(&hub()) && !upstream.wants_connect(&hub()));
    upstream.connect(connect()).await.unwrap();
    for event in [event(EventKind::Connected), joined("g"), disconnected("")] {
        upstream.notify(event);
    }
    upstream.ask(hello(), Ask::Event).await.unwrap();
    drain(&upstream).await;
    assert_eq!(all.names(), ["connected", "disconnected", "hello"]);
    assert_eq!(some.names(), ["disconnected"]);
    assert!(none.names().is_empty());
}

#[tokio::test]
async fn a_listener_makes_an_event_succeed_but_not_an_invocation() {
    let sink = Memory::new(9);
    let upstream = Upstream::new(with_listeners(Vec::new(), vec![listener(&sink)]));
    assert_eq!(upstream.ask(hello(), Ask::Event).await, Ok(None));
    assert_eq!(
        upstream.ask(hello(), Ask::Invocation).await,
        Err(EventFailure::NotFound)
    );
    drain(&upstream).await;
    assert_eq!(sink.names(), ["hello", "hello"]);
}

#[tokio::test]
async fn a_failed_handler_fails_the_event_though_a_listener_has_it() {
    let sink = Memory::new(9);
    let test = TestHandler::answering(400, &[], "").await;
    let handlers = vec![handles_all(&test.url("/"))];
    let upstream = Upstream::new(with_listeners(handlers, vec![listener(&sink)]));
    upstream.ask(hello(), Ask::Event).await.unwrap_err();
    drain(&upstream).await;
    assert_eq!(sink.names(), ["hello"]);
}

#[tokio::test]
async fn listeners_get_attributes_data_and_state_but_no_empty_state() {
    let sink = Memory::new(9);
    let test = TestHandler::start(|request| match request.header("ce-eventname") {
        "connect" => crate::support::reply(200, &[("ce-connectionstate", "s")], ""),
        _ => crate::support::reply(200, &[("ce-connectionstate", "")], ""),
    })
    .await;
    let handlers = vec![handles_all(&test.url("/"))];
    let upstream = Upstream::new(with_listeners(handlers, vec![listener(&sink)]));
    upstream.connect(connect()).await.unwrap();
    upstream.ask(hello(), Ask::Event).await.unwrap();
    upstream.ask(hello(), Ask::Event).await.unwrap();
    drain(&upstream).await;
    let events = sink.events.lock().unwrap();
    let states: Vec<_> = events
        .iter()
        .map(|event| event.connection_state.as_deref())
        .collect();
    assert_eq!(states, [Some("s"), None]);
    let event = &events[0].event;
    assert_eq!(event.kind, "azure.webpubsub.user.hello");
    assert_eq!((event.id, &*event.connection_id), (7, "connection-1"));
    assert_eq!(
        (event.content_type, &event.body[..]),
        ("text/plain; charset=utf-8", &b"hi"[..])
    );
    // One event has one id, whoever gets it.
    assert_eq!(test.requests()[1].header("ce-id"), "7");
}

#[tokio::test]
async fn a_full_queue_drops_what_comes_and_counts_it() {
    for bytes in [false, true] {
        let observed = Arc::new(Observed::default());
        let sink = Memory::new(0);
        let mut slow = listener(&sink);
        match bytes {
            // Each event counts for a little more than 512 bytes.
            true => slow.queue_bytes_max = 2 * 600,
            false => slow.queue_events_max = 2,
        }
        let upstream = Upstream::new(Settings {
            observer: observed.clone(),
            ..with_listeners(Vec::new(), vec![slow])
        });
        // Nothing is taken out of the queue before this test waits.
        for _ in 0..5 {
            upstream.notify(event(EventKind::Connected));
        }
        assert_eq!(observed.count("listener dropped"), 3);
        sink.permits.add_permits(9);
        drain(&upstream).await;
        assert_eq!(sink.names().len(), 2);
        assert_eq!(observed.count("listener delivered"), 2);
    }
}

#[tokio::test]
async fn what_a_sink_cannot_deliver_is_counted_and_the_next_event_is_tried() {
    let observed = Arc::new(Observed::default());
    let sink = Arc::new(Memory {
        is_down: true,
        events: Mutex::default(),
        permits: Semaphore::new(9),
    });
    let upstream = Upstream::new(Settings {
        observer: observed.clone(),
        ..with_listeners(Vec::new(), vec![listener(&sink)])
    });
    for _ in 0..2 {
        upstream.ask(hello(), Ask::Event).await.unwrap();
        drain(&upstream).await;
    }
    assert_eq!(observed.lines(), ["listener dropped"; 2]);
}

#[tokio::test]
async fn queued_events_are_delivered_after_a_reload() {
    let sink = Memory::new(0);
    let upstream = Upstream::new(with_listeners(Vec::new(), vec![listener(&sink)]));
    upstream.ask(hello(), Ask::Event).await.unwrap();
    upstream.replace(Settings::default());
    sink.permits.add_permits(1);
    drain(&upstream).await;
    assert_eq!(sink.names(), ["hello"]);
}

/// Section 9.2: a listener that a reload leaves as it is goes on with its queue.
#[tokio::test]
async fn events_before_and_after_a_reload_keep_their_order() {
    let sink = Memory::new(0);
    let with = || with_listeners(Vec::new(), vec![listener(&sink)]);
    let upstream = Upstream::new(with());
    let events = 100;
    for number in 0..events {
        let name = format!("e{number}");
        upstream
            .ask(user_event(&name, DataType::Text, "hi"), Ask::Event)
            .await
            .unwrap();
        upstream.replace(with());
    }
    sink.permits.add_permits(events);
    drain(&upstream).await;
    let expected: Vec<String> = (0..events).map(|number| format!("e{number}")).collect();
    assert_eq!(sink.names(), expected);
}
