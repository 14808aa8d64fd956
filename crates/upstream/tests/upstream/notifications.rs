//! Events that nobody waits for. Source: events-and-operations 1, 5.2, 5.3.

use std::sync::Arc;
use std::time::Duration;

use hubwire_protocol::event::{ConnectRefusal, EventKind};
use hubwire_protocol::pattern::Pattern;
use hubwire_upstream::{
    Ask, GroupPresence, Handler, PresenceEvent, Settings, SystemEvent, Upstream,
};
use tokio::time::Instant;

use crate::support::{
    Observed, Reply, TestHandler, TestTunnel, connect, disconnected, drain, event, handles_all,
    hello, joined, left, of_connection, reply, settings, settings_of, status, upstream,
    upstream_to,
};

fn presence(filters: &[&str]) -> GroupPresence {
    let filters = filters.iter().map(|filter| Pattern::parse(filter).unwrap());
    GroupPresence {
        event_names: vec![PresenceEvent::Joined, PresenceEvent::Left],
        group_filters: filters.collect(),
    }
}

/// An upstream whose only handler wants everything.
pub(crate) fn with_presence(test: &TestHandler) -> Upstream {
    upstream(Handler {
        group_presence: Some(presence(&[])),
        ..handles_all(&test.url("/"))
    })
}

fn names(test: &TestHandler) -> Vec<String> {
    let requests = test.requests();
    requests
        .iter()
        .map(|request| request.header("ce-eventname").to_owned())
        .collect()
}

#[tokio::test]
async fn only_the_system_events_of_the_settings_are_sent() {
    let test = TestHandler::answering(200, &[], "").await;
    let upstream = upstream(Handler {
        system_events: vec![SystemEvent::Disconnected],
        ..handles_all(&test.url("/"))
    });
    upstream.notify(event(EventKind::Connected));
    upstream.notify(disconnected(""));
    drain(&upstream).await;
    assert_eq!(names(&test), ["disconnected"]);
}

#[tokio::test]
async fn presence_is_for_groups_that_match_a_filter() {
    let test = TestHandler::answering(200, &[], "").await;
    let upstream = upstream(Handler {
        group_presence: Some(presence(&["room1", "team.*"])),
        ..handles_all(&test.url("/"))
    });
    for group in ["room1", "room2", "team.a", "team.a.b", "Team.a"] {
        upstream.notify(joined(group));
        drain(&upstream).await;
    }
    let bodies: Vec<_> = test
        .requests()
        .into_iter()
        .map(|request| request.body)
        .collect();
    assert_eq!(bodies, [r#"{"group":"room1"}"#, r#"{"group":"team.a"}"#]);
}

#[tokio::test]
async fn presence_without_names_is_none() {
    let test = TestHandler::answering(200, &[], "").await;
    let upstream = upstream(Handler {
        group_presence: Some(GroupPresence::default()),
        ..handles_all(&test.url("/"))
    });
    upstream.notify(joined("g"));
    drain(&upstream).await;
    assert!(test.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn left_waits_for_the_joined_before_it() {
    // Each request takes less time than the one before.
    let tunnel = TestTunnel::new(|index| (Duration::from_secs(9 - index as u64), status(200)));
    let upstream = Upstream::new(Settings {
        tunnel: Some(tunnel.clone()),
        ..settings(Handler {
            group_presence: Some(presence(&[])),
            ..handles_all("tunnel:///events")
        })
    });
    for event in [joined("g"), left("g"), joined("g"), joined("other")] {
        upstream.notify(event);
    }
    drain(&upstream).await;
    let requests = tunnel.requests();
    let order: Vec<String> = requests
        .iter()
        .filter(|request| request.body == r#"{"group":"g"}"#)
        .map(|request| request.header("ce-eventname").to_owned())
        .collect();
    assert_eq!(order, ["joined", "left", "joined"]);
    // The other group does not wait.
    assert_eq!(tunnel.times()[..2], [0, 0]);
}

#[tokio::test]
async fn failures_of_handlers_change_nothing() {
    let observed = Arc::new(Observed::default());
    let test = TestHandler::answering(400, &[], "").await;
    let upstream = Upstream::new(Settings {
        observer: observed.clone(),
        ..settings(handles_all(&test.url("/")))
    });
    upstream.notify(event(EventKind::Connected));
    drain(&upstream).await;
    assert_eq!(observed.lines(), ["chat connected rejected"]);
}

#[tokio::test]
async fn notifications_beyond_the_bound_are_dropped_and_counted() {
    let observed = Arc::new(Observed::default());
    let test = TestHandler::start(|_| Reply::Never).await;
    let upstream = Upstream::new(Settings {
        observer: observed.clone(),
        notifications_max: 2,
        ..settings(handles_all(&test.url("/")))
    });
    for id in ["a", "b", "c", "d"] {
        upstream.notify(of_connection(id, event(EventKind::Connected)));
    }
    test.got(2).await;
    assert_eq!(upstream.notifications_dropped(), 2);
    assert_eq!(observed.count("notification dropped"), 2);
    // What was dropped keeps nothing.
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn notifications_may_come_from_any_thread() {
    let test = TestHandler::answering(200, &[], "").await;
    let upstream = upstream_to(&test);
    let clone = upstream.clone();
    std::thread::spawn(move || clone.notify(event(EventKind::Connected)))
        .join()
        .unwrap();
    drain(&upstream).await;
    assert_eq!(names(&test), ["connected"]);
}

#[tokio::test(start_paused = true)]
async fn draining_ends_with_the_last_notification_or_at_the_deadline() {
    let tunnel = TestTunnel::new(|_| (Duration::from_secs(3), status(200)));
    let upstream = Upstream::new(Settings {
        tunnel: Some(tunnel),
        ..settings(handles_all("tunnel:///events"))
    });
    for (deadline, expected) in [(10, 3), (2, 2)] {
        upstream.notify(event(EventKind::Connected));
        let start = Instant::now();
        upstream.drain(start + Duration::from_secs(deadline)).await;
        assert_eq!(start.elapsed().as_secs(), expected);
    }
}

#[tokio::test]
async fn requests_to_one_host_wait_for_a_place_within_their_time() {
    let test = TestHandler::start(|request| match request.uri.path() {
        "/hangs" => Reply::Never,
        _ => reply(200, &[], ""),
    })
    .await;
    let hanging = Handler {
        system_events: Vec::new(),
        ..handles_all(&test.url("/hangs"))
    };
    let waiting = Handler {
        timeout: Duration::from_millis(100),
        ..handles_all(&test.url("/waits"))
    };
    let upstream = Upstream::new(Settings {
        requests_per_host_max: 1,
        ..settings_of(vec![hanging, waiting])
    });
    let asking = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.ask(hello(), Ask::Event).await }
    });
    test.got(1).await;
    assert_eq!(
        upstream.connect(connect()).await,
        Err(ConnectRefusal::Failed)
    );
    assert_eq!(test.requests().len(), 1);
    asking.abort();
    test.lost(1).await;
    upstream.connect(connect()).await.unwrap();
}
