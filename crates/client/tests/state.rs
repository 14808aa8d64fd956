//! The state machine without I/O: time is given, and every frame and action is looked at.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use hubwire_client::state::{
    AccessUrl, Action, Answer, IN_FLIGHT_MAX, Input, Machine, Request, SEQUENCE_ACK_DELAY,
    SEQUENCE_ACK_MESSAGES_MAX,
};
use hubwire_client::{Backoff, Content, Error, ErrorKind, Event, Options, Payload, Protocol};
use hubwire_protocol::message::{
    ClientMessage, ReceivedData, ReceivedError, ReceivedFrom, ReconnectionToken, ServiceMessage,
};
use hubwire_protocol::names::{EventName, GroupName, StreamId};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "wss://host/client/hubs/chat?access_token=SECRET";

/// A machine with its time.
struct Bench {
    machine: Machine,
    now: Duration,
    socket: u64,
    next_id: u64,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        options.ping_interval = None;
        options.silence_timeout = None;
        change(&mut options);
        Self {
            machine: Machine::new(options, 1),
            now: Duration::ZERO,
            socket: 0,
            next_id: 0,
        }
    }

    fn connected(change: impl FnOnce(&mut Options)) -> Self {
        let mut bench = Self::new(change);
        assert!(matches!(bench.put(Input::Start)[..], [Action::AskUrl]));
        bench.connect("c1");
        bench
    }

    /// Gives a URL, opens its socket and greets. Returns what follows the greeting.
    fn connect(&mut self, id: &str) -> Vec<Action> {
        let actions = self.put(Input::Url(Ok(AccessUrl::new(URL))));
        self.opening(&actions);
        let socket = self.socket;
        assert!(self.put(Input::Opened { socket }).is_empty());
        self.greet(id)
    }

    fn greet(&mut self, id: &str) -> Vec<Action> {
        self.frame(ServiceMessage::Connected {
            connection_id: id.to_owned(),
            user_id: None,
            reconnection_token: Some(ReconnectionToken::new("TICKET".to_owned())),
        })
    }

    fn put(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.handle(self.now, input, &mut actions);
        actions
    }

    fn frame(&mut self, message: ServiceMessage) -> Vec<Action> {
        let socket = self.socket;
        self.put(Input::Frame { socket, message })
    }

    fn closed(&mut self, code: Option<u16>) -> Vec<Action> {
        let socket = self.socket;
        let reason = "why".to_owned();
        self.put(Input::Closed {
            socket,
            code,
            reason,
        })
    }

    fn request(&mut self, request: Request) -> (u64, Vec<Action>) {
        self.next_id += 1;
        let id = self.next_id;
        (id, self.put(Input::Request { id, request }))
    }

    fn join(&mut self, group: &str) -> (u64, Vec<Action>) {
        self.request(Request::Acked(join(group, None)))
    }

    fn ack(&mut self, ack_id: u64, error: Option<&str>) -> Vec<Action> {
        let outcome = match error {
            None => Ok(()),
            Some(name) => Err(service_error(name)),
        };
        self.frame(ServiceMessage::Ack { ack_id, outcome })
    }

    /// Lets the time come that the machine waits for.
    fn wait(&mut self) -> Vec<Action> {
        self.now = self.machine.next_timeout().unwrap().max(self.now);
        self.put(Input::Timeout)
    }

    /// Takes the number of the socket that is to be opened.
    fn opening(&mut self, actions: &[Action]) -> String {
        match actions {
            [.., Action::Open { socket, url }] => {
                self.socket = *socket;
                url.as_str().to_owned()
            }
            other => panic!("nothing is opened: {other:?}"),
        }
    }

    fn data(&mut self, number: u64) -> Vec<Action> {
        self.frame(ServiceMessage::Data(ReceivedData {
            from: ReceivedFrom::Server,
            content: Content::from(number.to_string()),
            stream: None,
            sequence_id: Some(number),
        }))
    }
}

fn join(group: &str, ack_id: Option<u64>) -> ClientMessage {
    let group = GroupName::new(group).unwrap();
    ClientMessage::JoinGroup { group, ack_id }
}

fn service_error(name: &str) -> ReceivedError {
    ReceivedError {
        name: name.to_owned(),
        message: String::new(),
    }
}

fn sent(actions: &[Action]) -> Vec<&ClientMessage> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send(message) => Some(message),
        _ => None,
    });
    sent.collect()
}

fn outcome(actions: &[Action], wanted: u64) -> Option<Result<Answer, ErrorKind>> {
    actions.iter().find_map(|action| match action {
        Action::Done { id, outcome } if *id == wanted => {
            Some(outcome.clone().map_err(|error| error.kind()))
        }
        _ => None,
    })
}

#[test]
fn every_kind_of_ack_has_its_outcome() {
    let table = [
        (None, Some(Ok(Answer::Done))),
        (Some("Duplicate"), Some(Ok(Answer::Duplicate))),
        (Some("Forbidden"), Some(Err(ErrorKind::Service))),
        (Some("BadRequest"), Some(Err(ErrorKind::Service))),
        (Some("InternalServerError"), None),
    ];
    for (error, expected) in table {
        let mut bench = Bench::connected(|_| {});
        let (id, actions) = bench.join("room");
        assert_eq!(sent(&actions), [&join("room", Some(1))]);
        let actions = bench.ack(1, error);
        assert_eq!(outcome(&actions, id), expected, "{error:?}");
    }
}

#[test]
fn what_the_service_failed_at_is_sent_again_with_the_same_number_and_not_for_ever() {
    let mut bench = Bench::connected(|options| options.message_retries = 2);
    let (id, _) = bench.join("room");
    for _ in 0..2 {
        assert!(bench.ack(1, Some("InternalServerError")).is_empty());
        assert_eq!(sent(&bench.wait()), [&join("room", Some(1))]);
    }
    let actions = bench.ack(1, Some("InternalServerError"));
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Service)));
}

#[test]
fn a_request_without_an_answer_ends_after_its_time() {
    let mut bench = Bench::connected(|options| options.ack_timeout = 7 * SECOND);
    let (id, _) = bench.join("room");
    let actions = bench.wait();
    assert_eq!(bench.now, 7 * SECOND);
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Timeout)));
    assert!(bench.ack(1, None).is_empty(), "a late answer is nobody's");
}

#[test]
fn only_what_can_be_recovered_is() {
    for code in [None, Some(1001), Some(1006), Some(1011), Some(4000)] {
        let mut bench = Bench::connected(|_| {});
        let actions = bench.closed(code);
        let url = bench.opening(&actions);
        assert_eq!(
            url,
            format!("{URL}&awps_connection_id=c1&awps_reconnection_token=TICKET")
        );
        assert!(!format!("{actions:?}").contains("SECRET"));
        assert!(!format!("{actions:?}").contains("TICKET"));
    }
    for code in [1000, 1002, 1003, 1007, 1008, 1009] {
        let mut bench = Bench::connected(|_| {});
        let actions = bench.closed(Some(code));
        assert!(
            matches!(&actions[..], [Action::Emit(Event::Disconnected { close_code, .. })] if *close_code == Some(code))
        );
        assert!(matches!(bench.wait()[..], [Action::AskUrl]));
    }
    let mut bench = Bench::connected(|options| options.protocol = Protocol::Json);
    let actions = bench.closed(None);
    assert!(matches!(
        actions[..],
        [Action::Emit(Event::Disconnected { .. })]
    ));
}

#[test]
fn a_recovery_counts_once_the_service_has_said_a_word_and_then_everything_goes_on() {
    let mut bench = Bench::connected(|_| {});
    bench.join("room");
    bench.data(1);
    let actions = bench.closed(None);
    bench.opening(&actions);
    let socket = bench.socket;
    let actions = bench.put(Input::Opened { socket });
    assert_eq!(sent(&actions), [&ClientMessage::Ping]);
    assert!(!bench.machine.is_connected());
    let actions = bench.frame(ServiceMessage::Pong);
    assert!(matches!(actions[0], Action::Emit(Event::Recovered { .. })));
    assert_eq!(sent(&actions), [&join("room", Some(1))]);
    // What is replayed is not told twice.
    assert!(bench.data(1).is_empty());
    assert!(matches!(
        bench.data(2)[..],
        [Action::Emit(Event::ServerMessage(_))]
    ));
}

#[test]
fn a_refused_recovery_gives_way_to_a_new_connection_which_joins_the_groups_again() {
    let mut bench = Bench::connected(|_| {});
    for (ack_id, group) in [(1, "kept"), (2, "left"), (3, "gone")] {
        bench.join(group);
        bench.ack(ack_id, None);
    }
    let group = GroupName::new("left").unwrap();
    let leave = ClientMessage::LeaveGroup {
        group,
        ack_id: None,
    };
    bench.request(Request::Acked(leave));
    bench.ack(4, None);
    let actions = bench.closed(None);
    bench.opening(&actions);
    let socket = bench.socket;
    bench.put(Input::Opened { socket });
    assert!(matches!(
        bench.closed(Some(1008))[..],
        [Action::Emit(Event::Disconnected { .. })]
    ));
    assert!(matches!(bench.wait()[..], [Action::AskUrl]));
    let actions = bench.connect("c2");
    assert_eq!(
        sent(&actions),
        [&join("gone", Some(5)), &join("kept", Some(6))]
    );
    let actions = bench.ack(5, Some("Forbidden"));
    assert!(
        matches!(&actions[..], [Action::Emit(Event::RejoinFailed { group, .. })] if group == "gone")
    );
    assert!(bench.ack(6, None).is_empty());
}

#[test]
fn a_socket_that_is_lost_again_and_again_is_not_recovered_at_full_speed() {
    let mut bench = Bench::connected(|_| {});
    let recover = |bench: &mut Bench, actions: &[Action]| {
        bench.opening(actions);
        let socket = bench.socket;
        bench.put(Input::Opened { socket });
        bench.frame(ServiceMessage::Pong);
        assert!(bench.machine.is_connected());
    };
    let actions = bench.closed(None);
    recover(&mut bench, &actions);
    for _ in 0..3 {
        let lost_at = bench.now;
        assert!(bench.closed(None).is_empty());
        let actions = bench.wait();
        assert!((SECOND / 20..=SECOND / 10).contains(&(bench.now - lost_at)));
        recover(&mut bench, &actions);
    }
    bench.now += SECOND;
    let actions = bench.closed(None);
    recover(&mut bench, &actions);
}

#[test]
fn a_recovery_is_tried_for_its_window_and_no_longer() {
    let mut bench = Bench::connected(|options| options.recovery_window = 10 * SECOND);
    let mut actions = bench.closed(None);
    let mut attempts = 0;
    while matches!(actions[..], [Action::Open { .. }]) {
        attempts += 1;
        bench.opening(&actions);
        let socket = bench.socket;
        let error = Error::from(GroupName::new("").unwrap_err());
        actions = bench.put(Input::OpenFailed { socket, error });
        if actions.is_empty() {
            actions = bench.wait();
        }
    }
    assert!((10..=20).contains(&attempts), "{attempts} attempts");
    assert!(bench.now <= 10 * SECOND);
    assert!(matches!(
        actions[..],
        [Action::Emit(Event::Disconnected { .. })]
    ));
}

#[test]
fn numbered_messages_are_confirmed_after_a_second_and_at_once_when_they_are_many() {
    let mut bench = Bench::connected(|_| {});
    bench.data(1);
    bench.data(2);
    let actions = bench.wait();
    assert_eq!(bench.now, SEQUENCE_ACK_DELAY);
    assert_eq!(
        sent(&actions),
        [&ClientMessage::SequenceAck { sequence_id: 2 }]
    );
    assert_eq!(bench.machine.next_timeout(), None);
    for number in 3..2 + SEQUENCE_ACK_MESSAGES_MAX {
        assert!(sent(&bench.data(number)).is_empty());
    }
    let last = 2 + SEQUENCE_ACK_MESSAGES_MAX;
    let actions = bench.data(last);
    assert_eq!(
        sent(&actions),
        [&ClientMessage::SequenceAck { sequence_id: last }]
    );
}

#[test]
fn pings_are_sent_and_a_silent_socket_is_dropped_unless_it_is_not_read() {
    let mut bench = Bench::connected(|options| {
        options.ping_interval = Some(20 * SECOND);
        options.silence_timeout = Some(50 * SECOND);
    });
    for seconds in [20, 40] {
        assert_eq!(sent(&bench.wait()), [&ClientMessage::Ping]);
        assert_eq!(bench.now, seconds * SECOND);
    }
    let actions = bench.wait();
    assert_eq!(bench.now, 50 * SECOND);
    assert!(matches!(actions[..], [Action::Drop, Action::Open { .. }]));

    let mut bench = Bench::connected(|options| options.silence_timeout = Some(50 * SECOND));
    bench.put(Input::HeldBack(true));
    assert_eq!(bench.machine.next_timeout(), None);
    bench.now = 100 * SECOND;
    bench.put(Input::HeldBack(false));
    assert_eq!(bench.machine.next_timeout(), Some(150 * SECOND));
}

#[test]
fn without_retries_what_is_cut_off_fails() {
    let mut bench = Bench::connected(|options| options.message_retries = 0);
    let (id, _) = bench.join("room");
    let actions = bench.closed(None);
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Disconnected)));
    let (id, actions) = bench.join("room");
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Disconnected)));
}

#[test]
fn an_invocation_fails_with_its_socket_and_is_cancelled_when_nobody_waits() {
    let invoke = || Request::Invoke {
        event: EventName::new("sum").unwrap(),
        content: None,
        timeout: 5 * SECOND,
    };
    let cancelled = |number: &str| ClientMessage::CancelInvocation {
        invocation_id: number.to_owned(),
    };
    let mut bench = Bench::connected(|_| {});
    let (id, _) = bench.request(invoke());
    let actions = bench.put(Input::Cancel { id });
    assert_eq!(sent(&actions), [&cancelled("1")]);
    let (id, _) = bench.request(invoke());
    let actions = bench.wait();
    assert_eq!(sent(&actions), [&cancelled("2")]);
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Timeout)));
    let (id, _) = bench.request(invoke());
    let actions = bench.frame(ServiceMessage::InvokeResponse {
        invocation_id: "3".to_owned(),
        outcome: Ok(Some("six".into())),
    });
    let answer = Answer::Invocation(Some("six".into()));
    assert_eq!(outcome(&actions, id), Some(Ok(answer)));
    let (id, _) = bench.request(invoke());
    let actions = bench.closed(None);
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Disconnected)));
}

#[test]
fn a_stream_holds_its_window_sends_again_what_is_missing_and_ends_when_all_is_confirmed() {
    let mut bench = Bench::connected(|_| {});
    let open = Request::OpenStream {
        group: GroupName::new("room").unwrap(),
        no_echo: false,
        idle_timeout_ms: 1000,
    };
    let (id, _) = bench.request(open);
    let ack = |expected_sequence_id| ServiceMessage::StreamAck {
        stream: "s1".to_owned(),
        expected_sequence_id,
    };
    let actions = bench.frame(ack(1));
    let stream = StreamId::new("s1").unwrap();
    let answer = Answer::Stream(stream.clone());
    assert_eq!(outcome(&actions, id), Some(Ok(answer)));

    let send = |stream: &StreamId| Request::StreamSend {
        stream: stream.clone(),
        payload: Payload::text("x"),
    };
    for _ in 0..64 {
        let (id, actions) = bench.request(send(&stream));
        assert_eq!(outcome(&actions, id), Some(Ok(Answer::Done)));
    }
    let (waiting, actions) = bench.request(send(&stream));
    assert!(actions.is_empty(), "the window is full");
    let actions = bench.frame(ack(2));
    assert_eq!(outcome(&actions, waiting), Some(Ok(Answer::Done)));

    let numbers = |actions: &[Action]| -> Vec<u64> {
        let numbers = sent(actions)
            .into_iter()
            .filter_map(|message| match message {
                ClientMessage::StreamData {
                    fragment: Some((number, _)),
                    ..
                } => Some(*number),
                _ => None,
            });
        numbers.collect()
    };
    let actions = bench.frame(ServiceMessage::StreamNack {
        stream: "s1".to_owned(),
        expected_sequence_id: 60,
        error: service_error("InvalidSequenceId"),
    });
    assert_eq!(numbers(&actions), [60, 61, 62, 63, 64, 65]);

    let (id, actions) = bench.request(Request::StreamEnd {
        stream: stream.clone(),
    });
    assert!(actions.is_empty(), "fragments are without confirmation");
    let actions = bench.closed(None);
    bench.opening(&actions);
    let socket = bench.socket;
    bench.put(Input::Opened { socket });
    let actions = bench.greet("c1");
    assert_eq!(numbers(&actions), [60, 61, 62, 63, 64, 65]);
    let end = ClientMessage::EndStream {
        stream,
        error: None,
    };
    assert_eq!(sent(&bench.frame(ack(66))), [&end]);
    let actions = bench.frame(ServiceMessage::StreamClosed {
        stream: "s1".to_owned(),
        error: None,
    });
    assert_eq!(outcome(&actions, id), Some(Ok(Answer::Done)));
}

#[test]
fn a_stop_confirms_closes_and_is_the_last_thing() {
    let mut bench = Bench::connected(|_| {});
    bench.data(1);
    let (id, _) = bench.join("room");
    let actions = bench.put(Input::Stop);
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Stopped)));
    assert_eq!(
        sent(&actions),
        [&ClientMessage::SequenceAck { sequence_id: 1 }]
    );
    assert!(matches!(actions.last(), Some(Action::Close)));
    let actions = bench.closed(Some(1000));
    assert!(matches!(
        actions[..],
        [
            Action::Emit(Event::Disconnected { .. }),
            Action::Emit(Event::Stopped { error: None }),
            Action::Ended
        ]
    ));
    let (id, actions) = bench.join("room");
    assert_eq!(outcome(&actions, id), Some(Err(ErrorKind::Stopped)));

    let mut bench = Bench::connected(|_| {});
    bench.put(Input::Stop);
    let actions = bench.wait();
    assert!(matches!(actions.first(), Some(Action::Drop)));
    assert!(matches!(actions.last(), Some(Action::Ended)));
}

#[test]
fn the_first_attempt_is_the_only_one_and_later_ones_have_their_bound() {
    let mut bench = Bench::new(|_| {});
    bench.put(Input::Start);
    let error = Error::from(GroupName::new("").unwrap_err());
    let actions = bench.put(Input::Url(Err(error.clone())));
    assert!(matches!(actions.first(), Some(Action::Started(Err(_)))));
    assert!(matches!(actions.last(), Some(Action::Ended)));

    let mut bench = Bench::connected(|options| options.reconnect.attempts_max = Some(3));
    let mut actions = bench.closed(Some(1000));
    for _ in 0..3 {
        assert!(!matches!(actions.last(), Some(Action::Ended)));
        assert!(matches!(bench.wait()[..], [Action::AskUrl]));
        actions = bench.put(Input::Url(Err(error.clone())));
    }
    assert!(matches!(actions.last(), Some(Action::Ended)));
}

#[test]
fn what_old_sockets_say_is_of_no_interest() {
    let mut bench = Bench::connected(|_| {});
    let old = bench.socket;
    let actions = bench.closed(None);
    bench.opening(&actions);
    for input in [
        Input::Opened { socket: old },
        Input::Closed {
            socket: old,
            code: Some(1008),
            reason: String::new(),
        },
        Input::Frame {
            socket: old,
            message: ServiceMessage::Pong,
        },
    ] {
        assert!(bench.put(input).is_empty());
    }
    let socket = bench.socket;
    assert_eq!(sent(&bench.put(Input::Opened { socket })).len(), 1);
}

proptest! {
    #[test]
    fn waits_grow_stay_within_their_bound_and_are_shortened_by_a_half_at_most(
        attempt in 0..100_u32, random in any::<u64>(), first_ms in 1..5000_u64, max_ms in 1..100_000_u64,
    ) {
        let backoff = Backoff { first: Duration::from_millis(first_ms), max: Duration::from_millis(max_ms), attempts_max: None };
        let longest = backoff.wait(attempt, 0).unwrap();
        let wait = backoff.wait(attempt, random).unwrap();
        prop_assert!(wait <= longest && wait >= longest / 2);
        prop_assert!(longest <= backoff.max);
        prop_assert!(longest <= backoff.wait(attempt + 1, 0).unwrap());
    }

    /// Whatever happens in whatever order: each request is answered once at most, and all of them by the end; numbers of acks do not
    /// repeat; events of data come in their order and once; the end is the end.
    #[test]
    fn whatever_happens_every_request_has_one_answer(steps in prop::collection::vec((0..14_u8, any::<u8>()), 1..200), protocol in 0..4_usize) {
        let mut bench = Bench::new(|options| {
            options.protocol = Protocol::ALL[protocol];
            options.ping_interval = Some(20 * SECOND);
            options.silence_timeout = Some(60 * SECOND);
        });
        let mut answers: BTreeMap<u64, u32> = BTreeMap::new();
        let mut has_ended = false;
        let mut sequence_id = 0;
        let mut last_told = 0;
        let group = |byte: u8| GroupName::new(&format!("g{}", byte % 4)).unwrap();
        let stream = |byte: u8| StreamId::new(&format!("s{}", byte % 4)).unwrap();
        let steps = [(20, 0)].into_iter().chain(steps).chain([(21, 0), (22, 0)]);
        for (step, byte) in steps {
            let socket = bench.socket;
            let id = bench.next_id + 1;
            let frame = |message| Input::Frame { socket, message };
            let mut request = |request| {
                bench.next_id = id;
                answers.insert(id, 0);
                Input::Request { id, request }
            };
            let input = match step {
                0 => request(Request::Acked(ClientMessage::JoinGroup { group: group(byte), ack_id: None })),
                1 => request(Request::Acked(ClientMessage::LeaveGroup { group: group(byte), ack_id: None })),
                2 => request(Request::Invoke { event: EventName::message(), content: None, timeout: SECOND }),
                3 => request(Request::OpenStream { group: group(byte), no_echo: false, idle_timeout_ms: 1000 }),
                4 => request(Request::StreamSend { stream: stream(byte), payload: Payload::text("x") }),
                5 => request(Request::StreamEnd { stream: stream(byte) }),
                6 => frame(ServiceMessage::Ack { ack_id: u64::from(byte % 16), outcome: match byte % 3 {
                    0 => Ok(()),
                    1 => Err(service_error("InternalServerError")),
                    _ => Err(service_error("Forbidden")),
                } }),
                7 => frame(ServiceMessage::StreamAck { stream: stream(byte).as_str().to_owned(), expected_sequence_id: u64::from(byte % 8) }),
                8 => frame(ServiceMessage::StreamClosed { stream: stream(byte).as_str().to_owned(), error: (byte > 128).then(|| service_error("Forbidden")) }),
                9 => {
                    sequence_id += u64::from(byte % 2);
                    frame(ServiceMessage::Data(ReceivedData { from: ReceivedFrom::Server, content: "x".into(), stream: None, sequence_id: Some(sequence_id.max(1)) }))
                }
                10 => Input::Closed { socket, code: [None, Some(1000), Some(1008), Some(1011)][usize::from(byte % 4)], reason: String::new() },
                11 => Input::Opened { socket },
                12 => {
                    sequence_id = match bench.machine.connection_id() { None => 0, Some(_) => sequence_id };
                    frame(ServiceMessage::Connected { connection_id: "c".to_owned(), user_id: None, reconnection_token: (byte > 30).then(|| ReconnectionToken::new("t".to_owned())) })
                }
                13 => {
                    bench.now = bench.machine.next_timeout().unwrap_or(bench.now).max(bench.now);
                    Input::Timeout
                }
                20 => Input::Start,
                21 => Input::Stop,
                _ => {
                    bench.now += 3600 * SECOND;
                    Input::Timeout
                }
            };
            let mut queue = bench.put(input);
            while !queue.is_empty() {
                let mut more = Vec::new();
                for action in queue {
                    prop_assert!(!has_ended || matches!(action, Action::Done { .. }), "{action:?} after the end");
                    match action {
                        Action::AskUrl => more.extend(bench.put(Input::Url(Ok(AccessUrl::new(URL))))),
                        Action::Open { socket, .. } => bench.socket = socket,
                        Action::Done { id, .. } => *answers.get_mut(&id).unwrap() += 1,
                        Action::Emit(Event::ServerMessage(message)) => {
                            prop_assert!(message.sequence_id.unwrap() > last_told);
                            last_told = message.sequence_id.unwrap();
                        }
                        Action::Emit(Event::Connected { .. }) => last_told = 0,
                        Action::Ended => has_ended = true,
                        _ => {}
                    }
                }
                queue = more;
            }
            prop_assert!(bench.machine.has_room() || answers.len() >= IN_FLIGHT_MAX);
        }
        prop_assert!(has_ended);
        prop_assert!(answers.values().all(|&count| count == 1), "{answers:?}");
        prop_assert_eq!(bench.machine.next_timeout(), None);
    }
}
