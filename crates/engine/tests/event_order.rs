//! What waits while the handler of an event is asked, and what does not. Source: client-protocols 3.7.

#[path = "support/script.rs"]
mod script;

use script::check;

const EVENT: &str = r#"{"type":"event","event":"hi","dataType":"text","data":"x","ackId":1}"#;
/// A line of a script: another event, without an ack id.
const EVENT_2: &str = r#"a -> {"type":"event","event":"two","data":2}"#;
const ACKED: &str = r#"{"type":"ack","ackId":1,"success":true}"#;

/// Makes as many lines of a script whose outputs are not looked at.
fn given(count: usize, line: impl Fn(usize) -> String) -> String {
    let lines = (1..=count).map(|number| format!("given {}", line(number)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Checklist 79.
#[test]
fn what_follows_an_event_waits_for_its_answer_in_order() {
    check(
        &format!(
            r#"given open a events=user,presence roles=joinLeaveGroup,sendToGroup
             a -> {EVENT}
             a -> {{"type":"joinGroup","group":"g","ackId":2}}
             a -> {{"type":"event","event":"two","data":2}}
             a -> {{"type":"sendToGroup","group":"g","data":3}}
             a -> {{"type":"leaveGroup","group":"g","ackId":4}}
             answer a 1 text : hello
             answer a 2"#
        ),
        &format!(
            r#"ask 1 a/1 hi text x
               a <- {{"type":"message","from":"server","dataType":"text","data":"hello"}}
               a <- {ACKED}
               notify a/2 joined g
               a <- {{"type":"ack","ackId":2,"success":true}}
               ask 2 a/3 two json 2
               a <- {{"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"json","data":3}}
               a forward send group:g excluded=
               notify a/4 left g
               a <- {{"type":"ack","ackId":4,"success":true}}"#
        ),
    );
}

/// Checklist 68, 118 and 119.
#[test]
fn pings_and_invocations_pass_an_event_that_waits() {
    check(
        &format!(
            r#"given open a events=user
             given a -> {EVENT}
             a -> {{"type":"ping"}}
             a -> {{"type":"invoke","invocationId":"i","event":"sum","data":1}}
             a -> {{"type":"sequenceAck","sequenceId":1}}
             answer a 2 json : 2
             a -> {{"type":"invoke","invocationId":"j","event":"sum","data":2}}
             a -> {{"type":"cancelInvocation","invocationId":"j"}}
             answer a 1"#
        ),
        &format!(
            r#"a <- {{"type":"pong"}}
               invoke 2 a/2 sum json 1
               a <- {{"type":"invokeResponse","invocationId":"i","success":true,"dataType":"json","data":2}}
               invoke 3 a/3 sum json 2
               forget 3
               a <- {ACKED}"#
        ),
    );
}

/// Checklist 68.
#[test]
fn sequence_ack_makes_room_while_an_event_waits() {
    check(
        &format!(
            r#"given open a reliable events=user buffer=1
             given a -> {EVENT}
             given send all : one
             a -> {{"type":"sequenceAck","sequenceId":1}}
             send all : two"#
        ),
        r#"a <- {"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"two"}"#,
    );
}

/// Checklist 79: 64 are held, then the socket is not read until fewer than half of them are.
#[test]
fn socket_is_not_read_beyond_64_messages() {
    check(
        &format!(
            r#"given open a events=user
             {}
             {EVENT_2}
             a -> {{"type":"ping"}}"#,
            given(64, |_| EVENT_2.to_owned()),
        ),
        r#"a hold reading
           a <- {"type":"pong"}"#,
    );
    check(
        &format!(
            "given open a events=user
             {}
             {}
             answer a 33",
            given(65, |_| EVENT_2.to_owned()),
            given(32, |number| format!("answer a {number}")),
        ),
        "ask 34 a/34 two json 2
         a read on",
    );
}

/// Checklist 79: or 1 MiB.
#[test]
fn socket_is_not_read_beyond_1_mib() {
    let large = "x".repeat(1 << 19);
    let event = format!(r#"{{"type":"event","event":"hi","dataType":"text","data":"{large}"}}"#);
    check(
        &format!(
            r#"given open a events=user
             given a -> {event}
             a -> {event}
             a -> {event}
             given answer a 1
             given answer a 2
             given answer a 3
             a -> {{"type":"ping"}}"#
        ),
        r#"a hold reading
           a <- {"type":"pong"}"#,
    );
    check(
        &format!(
            r#"given open a events=user
             given a -> {EVENT}
             given a -> {event}
             a -> {event}
             answer a 1"#
        ),
        &format!(
            "a hold reading
             a <- {ACKED}
             ask 2 a/2 hi text {large}"
        ),
    );
}

/// Checklist 79 and 125: silence of a client that is not read says nothing.
#[test]
fn client_that_is_not_read_is_not_dropped_as_silent() {
    let events = given(65, |_| EVENT_2.to_owned());
    check(
        &format!(
            "given open a events=user keep_alive=20s
             given attach a
             {events}
             +100s
             given close all
             given gone a dropped"
        ),
        "20000ms: a ping
         40000ms: a ping
         60000ms: a ping
         80000ms: a ping
         100000ms: a ping",
    );
    // Read again, it is.
    let answers = given(65, |number| format!("answer a {number}"));
    check(
        &format!(
            "given open a events=user keep_alive=20s
             given attach a
             {events}
             given +60s
             {answers}
             +50s"
        ),
        r#"80000ms: a ping
           100000ms: a ping
           105000ms: a ended PingTimeout "The client did not answer pings."
           105000ms: a abort"#,
    );
}

/// A client that is closed must be read again: its close frame is behind what waits.
#[test]
fn client_that_is_not_read_is_read_again_to_close() {
    let events = given(65, |_| EVENT_2.to_owned());
    check(
        &format!(
            "given open a events=user
             {events}
             close all"
        ),
        r#"a <- {"type":"system","event":"disconnected","message":"Application server closed the connection."}
           forget 1
           a ended ClosedByAppServer "Application server closed the connection."
           a read on
           a close 1000 ""
           matched 1"#,
    );
}

/// client-protocols 3.7: a violation is a frame like others.
#[test]
fn violation_waits_for_its_turn() {
    check(
        &format!(
            r#"given open a events=user
             given a -> {EVENT}
             a -> nonsense
             a -> {{"type":"event","event":"never","data":1}}
             answer a 1"#
        ),
        &format!(
            r#"a <- {ACKED}
               a ended BadRequest "The client message is not a valid JSON protocol message."
               a close 1007 "The client message is not a valid JSON protocol message.""#
        ),
    );
}

/// client-protocols 2: messages are processed one at a time.
#[test]
fn messages_of_a_simple_client_are_asked_about_one_after_the_other() {
    check(
        "given open a simple events=user
         a -> one
         a => two
         a -> three
         answer a 1 text : first
         answer a 2
         answer a 3 text : third",
        "ask 1 a/1 message text one
         a <- first
         ask 2 a/2 message binary two
         ask 3 a/3 message text three
         a <- third",
    );
}

/// Section 5.3: what had come is handled, with or without the socket that it came over.
#[test]
fn what_waits_is_handled_without_the_socket_too() {
    check(
        &format!(
            r#"given open a reliable events=user roles=joinLeaveGroup
             given attach a
             given a -> {EVENT}
             given a -> {{"type":"joinGroup","group":"g","ackId":2}}
             given a -> {{"type":"event","event":"two","data":2}}
             gone a lost
             answer a 1
             count group:g
             answer a 2"#
        ),
        "ask 2 a/2 two json 2
         matched 1",
    );
}

/// Checklist 79, across a recovery.
#[test]
fn new_socket_is_not_read_either_while_as_much_waits() {
    let events = given(65, |_| EVENT_2.to_owned());
    let answers = given(32, |number| format!("answer a {number}"));
    check(
        &format!(
            "given open a reliable events=user
             given attach a
             {events}
             given gone a lost
             recover a
             {answers}
             answer a 33"
        ),
        r#"a opened
           a hold reading
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           recovered as json.reliable.webpubsub.azure.v1
           ask 34 a/34 two json 2
           a read on"#,
    );
    check(
        &format!(
            "given open a reliable events=user
             given attach a
             {events}
             given gone a lost
             {answers}
             answer a 33
             recover a"
        ),
        r#"ask 34 a/34 two json 2
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Ours: as where frames are read one by one, a client's close comes behind what it has sent before.
#[test]
fn close_of_the_client_waits_behind_its_events() {
    check(
        &format!(
            r#"given open a events=user,system
             given a -> {EVENT}
             given {EVENT_2}
             given peer_closed a 1000 : bye
             answer a 1
             answer a 2 text : last"#
        ),
        &format!(
            r#"a <- {ACKED}
               ask 2 a/3 two json 2
               a <- {{"type":"message","from":"server","dataType":"text","data":"last"}}
               notify a/4 disconnected ""
               a ended Normal ""
               a close 1000 "bye""#
        ),
    );
}

/// A reliable client that does not close for good only detaches, and what it has sent is handled meanwhile.
#[test]
fn detaching_close_does_not_wait() {
    check(
        &format!(
            r#"given open a reliable events=user
             given a -> {EVENT}
             peer_closed a 1001 : away
             answer a 1"#
        ),
        r#"a close 1001 "away""#,
    );
}

/// A client that does not wait for the answer to its close has closed all the same; one that has closed answers no pings.
#[test]
fn client_that_has_closed_behind_its_event_is_not_lost() {
    check(
        &format!(
            r#"given open a reliable events=user,system keep_alive=1s
             given a -> {EVENT}
             given peer_closed a 1000
             given +60s
             gone a lost"#
        ),
        r#"notify a/3 disconnected ""
           forget 1
           a ended Normal """#,
    );
}
