//! Retries and deadlines, in paused time. Source: events-and-operations 4.4; test list 3.

use std::sync::Arc;
use std::time::Duration;

use hubwire_protocol::event::{ConnectRefusal, EventFailure, EventKind};
use hubwire_upstream::{
    Ask, RETRY_DELAYS_DEFAULT, Settings, TIMEOUT_DEFAULT, TunnelError, Upstream,
};
use tokio::time::Instant;

use crate::support::{
    Observed, TestHandler, TestTunnel, connect, drain, event, handles_all, hello, raw_handler,
    raw_url, settings, status, upstream,
};

fn through(tunnel: &Arc<TestTunnel>) -> Settings {
    let mut handler = handles_all("tunnel:///events/{event}?code=1");
    handler.timeout = TIMEOUT_DEFAULT;
    Settings {
        tunnel: Some(tunnel.clone()),
        retry_delays: RETRY_DELAYS_DEFAULT.to_vec(),
        ..settings(handler)
    }
}

#[tokio::test(start_paused = true)]
async fn transient_statuses_are_tried_four_times() {
    for statuses in [&[408; 4], &[500; 4], &[503; 4]] {
        let tunnel = TestTunnel::with_statuses(statuses);
        Upstream::new(through(&tunnel))
            .ask(hello(), Ask::Event)
            .await
            .unwrap_err();
        assert_eq!(tunnel.times(), [0, 1, 4, 9], "{statuses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_statuses_are_tried_once() {
    for statuses in [&[429], &[404], &[400], &[302]] {
        let tunnel = TestTunnel::with_statuses(statuses);
        Upstream::new(through(&tunnel))
            .ask(hello(), Ask::Event)
            .await
            .unwrap_err();
        assert_eq!(tunnel.times(), [0], "{statuses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_flaps_gets_the_same_event_until_it_takes_it() {
    let tunnel = TestTunnel::with_statuses(&[503, 500, 200]);
    Upstream::new(through(&tunnel))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    let requests = tunnel.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.uri, "/events/hello?code=1");
        assert_eq!(request.headers, requests[0].headers);
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.header("ce-id"), "7");
    }
}

#[tokio::test(start_paused = true)]
async fn connect_and_notifications_are_repeated_too() {
    let tunnel = TestTunnel::with_statuses(&[503, 503, 503, 503]);
    let refusal = Upstream::new(through(&tunnel)).connect(connect()).await;
    let expected = ConnectRefusal::Rejected {
        status: 503,
        body: None,
    };
    assert_eq!(refusal, Err(expected));
    assert_eq!(tunnel.times(), [0, 1, 4, 9]);

    let tunnel = TestTunnel::with_statuses(&[503, 200]);
    let upstream = Upstream::new(through(&tunnel));
    upstream.notify(event(EventKind::Connected));
    drain(&upstream).await;
    assert_eq!(tunnel.times(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_not_repeated() {
    let tunnel = TestTunnel::new(|_| (Duration::from_secs(3600), status(200)));
    let start = Instant::now();
    let outcome = Upstream::new(through(&tunnel))
        .ask(hello(), Ask::Event)
        .await;
    assert_eq!(outcome, Err(EventFailure::Timeout));
    assert_eq!((tunnel.times(), start.elapsed().as_secs()), (vec![0], 100));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_for_all_attempts_and_pauses_together() {
    let tunnel = TestTunnel::new(|_| (Duration::from_secs(40), status(503)));
    let start = Instant::now();
    let outcome = Upstream::new(through(&tunnel))
        .ask(hello(), Ask::Event)
        .await;
    assert_eq!(outcome, Err(EventFailure::Timeout));
    assert_eq!(
        (tunnel.times(), start.elapsed().as_secs()),
        (vec![0, 41, 84], 100)
    );
}

#[tokio::test(start_paused = true)]
async fn connect_in_vain_for_the_whole_time_is_a_failure() {
    let tunnel = TestTunnel::new(|_| (Duration::from_secs(3600), status(200)));
    let refusal = Upstream::new(through(&tunnel)).connect(connect()).await;
    assert_eq!(refusal, Err(ConnectRefusal::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_lost_is_tried_again_and_one_that_never_was_too() {
    let tunnel = TestTunnel::new(|index| match index {
        0 => (Duration::ZERO, Err(TunnelError)),
        _ => (Duration::ZERO, status(200)),
    });
    Upstream::new(through(&tunnel))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
    assert_eq!(tunnel.times(), [0, 1]);

    let start = Instant::now();
    let none = Upstream::new(Settings {
        tunnel: None,
        ..through(&tunnel)
    });
    assert_eq!(
        none.ask(hello(), Ask::Event).await,
        Err(EventFailure::Failed)
    );
    assert_eq!(start.elapsed().as_secs(), 9);
}

#[tokio::test]
async fn connections_that_break_are_tried_again() {
    let fine = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let address = raw_handler(vec![Vec::new(), b"nonsense\r\n\r\n".to_vec(), fine]).await;
    upstream(handles_all(&raw_url(address)))
        .ask(hello(), Ask::Event)
        .await
        .unwrap();
}

#[tokio::test]
async fn retries_are_counted() {
    let observed = Arc::new(Observed::default());
    let test = TestHandler::answering(503, &[], "").await;
    let upstream = Upstream::new(Settings {
        observer: observed.clone(),
        ..settings(handles_all(&test.url("/")))
    });
    upstream.ask(hello(), Ask::Event).await.unwrap_err();
    assert_eq!(observed.count("retried"), 3);
    assert_eq!(observed.count("chat user rejected"), 1);
}
