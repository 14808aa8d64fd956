//! The client against the running server, in process, through a proxy that fails on demand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::Duration;

use hubwire_client::{
    Backoff, Client, Content, ErrorKind, Event, Payload, Protocol, SendOptions, StreamOptions,
    UserStreamError,
};
use support::{Receiving, Service, text};

const RELIABLE: [Protocol; 2] = [Protocol::ReliableJson, Protocol::ReliableProtobuf];

#[tokio::test]
async fn members_of_a_group_receive_what_is_sent_in_every_protocol() {
    let service = Service::start().await;
    for protocol in Protocol::ALL {
        let (alice, mut alice_events) = service.connect("alice", protocol).await;
        let (bob, mut bob_events) = service.connect("bob", protocol).await;
        for client in [&alice, &bob] {
            client.join_group("room").await.unwrap();
        }
        let json = Payload::json(&serde_json::json!({ "n": [1, 2.5, "ü"] })).unwrap();
        let payloads = [
            Payload::text("hello \"room\""),
            json,
            Payload::binary(vec![0, 255, 1]),
        ];
        for payload in payloads {
            let acked = alice.send_to_group("room", payload.clone()).await.unwrap();
            assert!(!acked.is_duplicate);
            for events in [&mut alice_events, &mut bob_events] {
                let message = events.group_message().await;
                assert_eq!(message.group, "room");
                assert_eq!(message.content, Content::from(payload.clone()));
                assert_eq!(message.sequence_id.is_some(), protocol.is_reliable());
                let tells_user = matches!(protocol, Protocol::Json | Protocol::ReliableJson);
                assert_eq!(
                    message.from_user_id.as_deref(),
                    tells_user.then_some("alice")
                );
            }
        }
        for client in [alice, bob] {
            client.stop().await;
        }
    }
}

#[tokio::test]
async fn no_echo_leaves_the_sender_out_and_nobody_waits_for_what_is_fired() {
    let service = Service::start().await;
    for protocol in Protocol::ALL {
        let (alice, mut events) = service.connect("alice", protocol).await;
        alice.join_group("room").await.unwrap();
        let quiet = SendOptions::default().no_echo(true);
        alice
            .send_to_group_with("room", "quiet", quiet)
            .await
            .unwrap();
        let fired = SendOptions::default().fire_and_forget(true);
        alice
            .send_to_group_with("room", "fired", fired)
            .await
            .unwrap();
        assert_eq!(text(&events.group_message().await.content), "fired");
        alice.leave_group("room").await.unwrap();
        alice.send_to_group("room", "to nobody").await.unwrap();
        alice.stop().await;
        let rest = events.rest().await;
        assert!(
            matches!(
                rest[..],
                [Event::Disconnected { .. }, Event::Stopped { error: None }]
            ),
            "{rest:?}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let service = Service::start().await;
    for protocol in Protocol::ALL {
        let url = service.url_with("mallory", &[]);
        let (client, _events) = Client::builder(url)
            .protocol(protocol)
            .message_retries(0)
            .connect()
            .await
            .unwrap();
        let error = client.join_group("room").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.name()),
            (ErrorKind::Service, Some("Forbidden"))
        );
        let error = client.send_event("nobody", "x").await.unwrap_err();
        assert_eq!(error.name(), Some("InternalServerError"));
        let error = client.invoke("nobody", "x").await.unwrap_err();
        assert_eq!(error.name(), Some("NotFound"));
        let error = client
            .open_stream("room", StreamOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.name(), Some("Forbidden"));
        let null = Payload::json(&()).unwrap();
        let error = client.send_to_group("room", null).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let error = client.join_group(" ").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        client.stop().await;
        let error = client.join_group("room").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stopped);
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_with_its_status_and_never_shown() {
    let service = Service::start().await;
    let url = service.url("alice");
    let url = format!("{}broken", url);
    let error = Client::builder(url.clone()).connect().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.status()),
        (ErrorKind::Rejected, Some(401))
    );
    let builder = Client::builder(url.clone());
    let token = url.split('=').nth(1).unwrap();
    for shown in [
        format!("{error:?}"),
        error.to_string(),
        format!("{builder:?}"),
    ] {
        assert!(!shown.contains(token), "{shown}");
    }
    let error = Client::with_credential(|| async { Err::<String, _>("no identity") })
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    let error = Client::builder("no url").connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
}

#[tokio::test]
async fn a_reliable_connection_survives_cuts_without_losing_or_doubling_messages() {
    let service = Service::start().await;
    for protocol in RELIABLE {
        let (alice, mut events) = service.connect_through_proxy("alice", protocol).await;
        let id = alice.connection_id().unwrap();
        let (bob, _bob_events) = service.connect("bob", protocol).await;
        alice.join_group("room").await.unwrap();
        let asked = service.proxy.asked();
        for round in 0..5 {
            for n in 0..20 {
                let text = format!("{round}-{n}");
                bob.send_to_group("room", text).await.unwrap();
            }
            service.proxy.cut();
            bob.send_to_group("room", format!("{round}-20"))
                .await
                .unwrap();
            let mut n = 0;
            while n <= 20 {
                match events.event().await {
                    Event::GroupMessage(message) => {
                        assert_eq!(text(&message.content), format!("{round}-{n}"));
                        n += 1;
                    }
                    Event::Recovered { connection_id } => assert_eq!(connection_id, id),
                    other => panic!("{other:?}"),
                }
            }
            // A request goes through whatever state the socket is in.
            alice.send_to_group("elsewhere", "x").await.unwrap();
        }
        assert_eq!(alice.connection_id(), Some(id));
        assert_eq!(
            service.proxy.asked(),
            asked,
            "a recovery needs no credential"
        );
        alice.stop().await;
        bob.stop().await;
    }
}

#[tokio::test]
async fn requests_that_are_cut_off_are_repeated_and_carried_out_once() {
    let service = Service::start().await;
    for protocol in RELIABLE {
        let (alice, _events) = service.connect_through_proxy("alice", protocol).await;
        let (bob, mut bob_events) = service.connect("bob", protocol).await;
        bob.join_group("room").await.unwrap();
        for n in 0..10 {
            let send = alice.send_to_group("room", n.to_string());
            service.proxy.cut();
            send.await.unwrap();
            assert_eq!(
                text(&bob_events.group_message().await.content),
                n.to_string()
            );
        }
        alice.stop().await;
        bob.stop().await;
    }
}

#[tokio::test]
async fn a_plain_connection_is_replaced_and_its_groups_are_joined_again() {
    let service = Service::start().await;
    for protocol in [Protocol::Json, Protocol::Protobuf] {
        let (alice, mut events) = service.connect_through_proxy("alice", protocol).await;
        let id = alice.connection_id().unwrap();
        alice.join_group("room").await.unwrap();
        alice.join_group("left").await.unwrap();
        alice.leave_group("left").await.unwrap();
        let asked = service.proxy.asked();
        service.proxy.cut();
        let Event::Disconnected { connection_id, .. } = events.event().await else {
            panic!("no Disconnected");
        };
        assert_eq!(connection_id, id);
        let Event::Connected { connection_id, .. } = events.event().await else {
            panic!("no Connected");
        };
        assert_ne!(connection_id, id);
        assert_eq!(
            service.proxy.asked(),
            asked + 1,
            "a new connection asks for a new URL"
        );
        // Sent after the group was asked for, and acknowledged in this order.
        alice.send_to_group("left", "not for me").await.unwrap();
        alice.send_to_group("room", "back").await.unwrap();
        assert_eq!(text(&events.group_message().await.content), "back");
        alice.stop().await;
    }
}

#[tokio::test]
async fn a_restarted_server_is_found_again_in_every_protocol() {
    for protocol in Protocol::ALL {
        let service = Service::start().await;
        let (alice, mut events) = service.connect_through_proxy("alice", protocol).await;
        alice.join_group("room").await.unwrap();
        let service = service.restart().await;
        let Event::Disconnected { reason, .. } = events.event().await else {
            panic!("no Disconnected");
        };
        assert_eq!(reason, "Service is restarting.");
        assert!(matches!(events.event().await, Event::Connected { .. }));
        alice.send_to_group("room", "again").await.unwrap();
        assert_eq!(text(&events.group_message().await.content), "again");
        alice.stop().await;
        drop(service);
    }
}

#[tokio::test]
async fn the_reason_of_a_close_is_told_and_a_client_that_shall_not_reconnect_ends() {
    let service = Service::start().await;
    for protocol in Protocol::ALL {
        let (client, mut events) = Client::builder(service.url("alice"))
            .protocol(protocol)
            .auto_reconnect(false)
            .connect()
            .await
            .unwrap();
        events.connected().await;
        service
            .close(&client.connection_id().unwrap(), "maintenance")
            .await;
        let rest = events.rest().await;
        let [
            Event::Disconnected {
                close_code, reason, ..
            },
            Event::Stopped { error },
        ] = &rest[..]
        else {
            panic!("{rest:?}");
        };
        assert_eq!(*close_code, Some(1000));
        assert!(reason.ends_with("Reason: maintenance"), "{reason}");
        assert!(error.is_some());
        assert_eq!(client.connection_id(), None);
    }
}

#[tokio::test]
async fn a_client_gives_up_after_its_attempts() {
    let service = Service::start().await;
    let backoff = Backoff {
        first: Duration::from_millis(1),
        max: Duration::from_millis(2),
        attempts_max: Some(3),
    };
    let (_client, mut events) = service
        .builder_through_proxy("alice", Protocol::Json)
        .reconnect(backoff)
        .connect()
        .await
        .unwrap();
    events.connected().await;
    let asked = service.proxy.asked();
    service.proxy.refuse();
    service.proxy.cut();
    let rest = events.rest().await;
    assert!(
        matches!(rest.last(), Some(Event::Stopped { error: Some(error) }) if error.kind() == ErrorKind::Connect)
    );
    assert_eq!(service.proxy.asked(), asked + 3);
}

#[tokio::test]
async fn a_stream_arrives_in_order_and_ends_well_or_with_its_error() {
    let service = Service::start().await;
    for protocol in Protocol::ALL {
        let (alice, mut events) = service.connect("alice", protocol).await;
        alice.join_group("room").await.unwrap();
        let mut stream = alice
            .open_stream("room", StreamOptions::default())
            .await
            .unwrap();
        let id = stream.id().to_owned();
        for n in 1..=200 {
            stream.send(n.to_string()).await.unwrap();
        }
        stream.keep_alive().await.unwrap();
        stream.close().await.unwrap();
        for n in 1..=200 {
            let message = events.group_message().await;
            let fragment = message.stream.unwrap();
            assert_eq!((fragment.stream.as_str(), fragment.sequence_id), (&*id, n));
            assert_eq!(text(&message.content), n.to_string());
        }
        let end = events.group_message().await.stream.unwrap().end.unwrap();
        assert_eq!(end.error, None);

        let mut stream = alice
            .open_stream("room", StreamOptions::default())
            .await
            .unwrap();
        stream.send("only").await.unwrap();
        let error = UserStreamError {
            message: Some("no more".to_owned()),
            user_error_code: Some("E7".to_owned()),
        };
        stream.abort(error).await.unwrap();
        events.group_message().await;
        let end = events.group_message().await.stream.unwrap().end.unwrap();
        assert_eq!(end.error.unwrap().name, "UserError");
        assert_eq!(end.user_error_code.as_deref(), Some("E7"));

        let stream = alice
            .open_stream("room", StreamOptions::default())
            .await
            .unwrap();
        drop(stream);
        let end = events.group_message().await.stream.unwrap().end.unwrap();
        assert_eq!(end.error.unwrap().name, "UserError");
        alice.stop().await;
    }
}

#[tokio::test]
async fn a_stream_goes_on_after_a_recovery_without_losing_or_doubling_fragments() {
    let service = Service::start().await;
    for protocol in RELIABLE {
        let (alice, _events) = service.connect_through_proxy("alice", protocol).await;
        let (bob, mut bob_events) = service.connect("bob", protocol).await;
        bob.join_group("room").await.unwrap();
        let mut stream = alice
            .open_stream("room", StreamOptions::default())
            .await
            .unwrap();
        for n in 1..=100 {
            stream.send(n.to_string()).await.unwrap();
            if n % 20 == 0 {
                service.proxy.cut();
            }
        }
        stream.close().await.unwrap();
        for n in 1..=100 {
            assert_eq!(
                text(&bob_events.group_message().await.content),
                n.to_string()
            );
        }
        let end = bob_events
            .group_message()
            .await
            .stream
            .unwrap()
            .end
            .unwrap();
        assert_eq!(end.error, None);
        alice.stop().await;
        bob.stop().await;
    }
}

#[tokio::test]
async fn a_consumer_that_takes_its_time_gets_every_event() {
    let service = Service::start().await;
    let (alice, mut events) = Client::builder(service.url("alice"))
        .events_max(1)
        .connect()
        .await
        .unwrap();
    events.connected().await;
    alice.join_group("room").await.unwrap();
    let (bob, _) = service.connect("bob", Protocol::ReliableJson).await;
    for n in 0..300 {
        bob.send_to_group("room", n.to_string()).await.unwrap();
    }
    for n in 0..300 {
        assert_eq!(text(&events.group_message().await.content), n.to_string());
    }
    alice.stop().await;
}

#[tokio::test]
async fn members_see_each_others_state() {
    let service = Service::start().await;
    for protocol in Protocol::ALL {
        let (alice, mut events) = service.connect("alice", protocol).await;
        alice.join_group("room").await.unwrap();
        alice
            .set_group_state("room", Some([("mood", "good")]))
            .await
            .unwrap();
        alice.subscribe_group_state("room").await.unwrap();
        let Event::GroupState {
            group,
            is_snapshot: true,
            items,
        } = events.event().await
        else {
            panic!("no snapshot");
        };
        assert_eq!(group, "room");
        assert_eq!(items[0].state.as_ref().unwrap()["mood"], "good");
        alice.stop().await;
    }
}

#[tokio::test]
async fn wss_needs_a_certificate_that_is_trusted() {
    let (_server, url, tls) = support::start_tls_server().await;
    let (client, mut events) = Client::builder(url.clone())
        .tls(tls)
        .connect()
        .await
        .unwrap();
    events.connected().await;
    client.join_group("room").await.unwrap();
    client.send_to_group("room", "over TLS").await.unwrap();
    assert_eq!(text(&events.group_message().await.content), "over TLS");
    client.stop().await;
    // The roots of the system, if there are any, do not know it.
    let error = Client::builder(url).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
}
