//! Events of clients: asking the handler, what waits for its answer, what becomes of the answer.
//! Source: client-protocols 2 and 3.7, events-and-operations 1 and 5.4.

#[path = "support/script.rs"]
mod script;

use script::check;

const EVENT: &str = r#"{"type":"event","event":"hi","dataType":"text","data":"x","ackId":1}"#;
const ACKED: &str = r#"{"type":"ack","ackId":1,"success":true}"#;
const FAILED: &str = r#"{"type":"ack","ackId":1,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}"#;
const DUPLICATE: &str = r#"{"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}"#;

/// events-and-operations 1, rule 1.
#[test]
fn events_of_a_connection_count_from_1_whatever_they_are() {
    check(
        r#"given open a events=user,system,presence groups=g roles=joinLeaveGroup
         given open b events=user,system,presence
         a -> {"type":"event","event":"hi","dataType":"text","data":"x"}
         answer a 1
         a -> {"type":"invoke","invocationId":"1","event":"sum","dataType":"text","data":"y"}
         b -> {"type":"event","event":"hi","dataType":"text","data":"x"}
         a -> {"type":"joinGroup","group":"h"}
         a -> {"type":"leaveGroup","group":"g"}
         gone a lost"#,
        r#"ask 1 a/3 hi text x
           invoke 2 a/4 sum text y
           ask 3 b/2 hi text x
           notify a/5 joined h
           notify a/6 left g
           notify a/7 left h
           notify a/8 disconnected "The connection was lost."
           forget 2
           a ended ConnectionLost "The connection was lost.""#,
    );
}

/// Checklist 63.
#[test]
fn event_reaches_the_handler_with_its_name_and_data_type_and_user() {
    for (data_type, data, seen) in [
        ("text", r#""x""#, "text x"),
        ("json", r#"{"a": [1, 2.50]}"#, r#"json {"a": [1, 2.50]}"#),
        ("binary", r#""AQI=""#, "binary \u{1}\u{2}"),
    ] {
        check(
            &format!(
                r#"given open a user=ann events=user
                 a -> {{"type":"event","event":"Up.date_1","dataType":"{data_type}","data":{data}}}"#
            ),
            &format!("ask 1 a of ann/1 Up.date_1 {seen}"),
        );
    }
}

/// Checklist 64: the reply precedes the ack.
#[test]
fn answer_is_sent_before_the_ack() {
    check(
        &format!(
            "given open a events=user
             a -> {EVENT}
             answer a 1 text : hello"
        ),
        &format!(
            r#"ask 1 a/1 hi text x
               a <- {{"type":"message","from":"server","dataType":"text","data":"hello"}}
               a <- {ACKED}"#
        ),
    );
}

/// events-and-operations 5.4: an empty body, or a listener alone, is a success without a message.
#[test]
fn empty_answer_is_an_ack_alone() {
    check(
        &format!(
            "given open a events=user
             a -> {EVENT}
             answer a 1"
        ),
        &format!(
            "ask 1 a/1 hi text x
             a <- {ACKED}"
        ),
    );
}

/// events-and-operations 5.4.
#[test]
fn event_without_ack_id_is_answered_by_the_message_alone() {
    check(
        r#"given open a events=user
         given open b
         a -> {"type":"event","event":"hi","data":1}
         answer a 1 json : {"n":1.0}"#,
        r#"ask 1 a/1 hi json 1
           a <- {"type":"message","from":"server","dataType":"json","data":{"n":1.0}}"#,
    );
}

/// events-and-operations 5.4: metadata of the answer.
#[test]
fn answer_keeps_its_type_and_metadata() {
    check(
        &format!(
            "given open a events=user
             given a -> {EVENT}
             answer a 1 binary metadata=trace~7 : hi"
        ),
        &format!(
            r#"a <- {{"type":"message","from":"server","dataType":"binary","data":"aGk=","metadata":{{"trace":"7"}}}}
               a <- {ACKED}"#
        ),
    );
}

/// Checklist 65 and 48: only successes are remembered.
#[test]
fn failed_event_may_be_tried_again_with_the_same_ack_id() {
    check(
        &format!(
            "given open a events=user
             a -> {EVENT}
             fail a 1 500
             a -> {EVENT}
             fail a 2 timeout
             a -> {EVENT}
             answer a 3"
        ),
        &format!(
            "ask 1 a/1 hi text x
             a <- {FAILED}
             ask 2 a/2 hi text x
             a <- {FAILED}
             ask 3 a/3 hi text x
             a <- {ACKED}"
        ),
    );
}

/// events-and-operations 1, rule 6.
#[test]
fn repeated_event_is_a_duplicate_and_asks_nobody() {
    check(
        &format!(
            "given open a events=user
             a -> {EVENT}
             a -> {EVENT}
             answer a 1
             a -> {EVENT}"
        ),
        &format!(
            "ask 1 a/1 hi text x
             a <- {ACKED}
             a <- {DUPLICATE}
             a <- {DUPLICATE}"
        ),
    );
}

/// client-protocols 3.6: repeated before the first was answered, which then fails.
#[test]
fn repeated_event_is_asked_again_if_the_first_failed() {
    check(
        &format!(
            "given open a events=user
             a -> {EVENT}
             a -> {EVENT}
             fail a 1 failed"
        ),
        &format!(
            "ask 1 a/1 hi text x
             a <- {FAILED}
             ask 2 a/2 hi text x"
        ),
    );
}

/// Checklist 65: nothing in the hub handles events of users, so nobody is asked.
#[test]
fn event_of_a_hub_without_handlers_fails_at_once() {
    check(
        &format!(
            "given open a events=system,presence
             a -> {EVENT}"
        ),
        &format!("a <- {FAILED}"),
    );
}

/// Checklist 66.
#[test]
fn failure_without_ack_id_is_silent() {
    for failure in ["not_found", "timeout", "failed", "403 : Mine no"] {
        check(
            &format!(
                r#"given open a events=user
                 given a -> {{"type":"event","event":"hi","data":1}}
                 fail a 1 {failure}
                 count all"#
            ),
            "matched 1",
        );
    }
}

/// Section 7.2, and the categories of events-and-operations 10.2.
#[test]
fn failure_closes_where_the_hub_says_so() {
    for (failure, category) in [
        ("not_found", "EventHandlerNotFound"),
        ("timeout", "SendEventFailed"),
        ("failed", "SendEventFailed"),
        ("500", "SendEventFailed"),
    ] {
        check(
            &format!(
                "given open a events=user drop_on_event_failure
                 given a -> {EVENT}
                 fail a 1 {failure}"
            ),
            &format!(
                r#"a ended {category} "Internal server error"
                   a close 1011 "Internal server error""#
            ),
        );
    }
}

/// The hub's setting at the time of the failure decides.
#[test]
fn failure_follows_the_settings_of_its_time() {
    check(
        &format!(
            "given open a events=user drop_on_event_failure
             given a -> {EVENT}
             settings events=user
             fail a 1 500"
        ),
        &format!("a <- {FAILED}"),
    );
}

/// client-protocols 2: if the client drops, the call is cancelled.
#[test]
fn end_of_the_connection_forgets_what_it_has_asked() {
    for (end, outcome) in [
        (
            "gone a lost",
            r#"a ended ConnectionLost "The connection was lost.""#,
        ),
        (
            "fault a too_large",
            r#"a ended BadRequest "The client message is too large."
               a close 1009 "The client message is too large.""#,
        ),
        (
            "gone a error",
            r#"a ended ServiceTransientError "Internal server error""#,
        ),
    ] {
        check(
            &format!(
                r#"given open a events=user
                 given a -> {EVENT}
                 given a -> {{"type":"invoke","invocationId":"i","event":"sum","data":1}}
                 given a -> {{"type":"event","event":"held","data":1}}
                 {end}
                 answer a 1
                 answer a 2"#
            ),
            &format!(
                "forget 1
                 forget 2
                 {outcome}"
            ),
        );
    }
}

/// events-and-operations 1, rule 7.
#[test]
fn shutdown_forgets_what_was_asked() {
    check(
        &format!(
            "given open a events=user,system
             given open b reliable events=user,system
             given attach b
             given a -> {EVENT}
             given b -> {EVENT}
             given gone b lost
             shutdown
             answer a 1 text : late
             answer b 2 text : late"
        ),
        r#"a <- {"type":"system","event":"disconnected","message":"Service is restarting."}
           notify a/3 disconnected "Service is restarting."
           forget 1
           a ended ServiceReload "Service is restarting."
           a close 1001 "Service is restarting."
           notify b/3 disconnected "Service is restarting."
           forget 2
           b ended ServiceReload "Service is restarting.""#,
    );
}

/// A slot is given away again; an id never is.
#[test]
fn late_answer_does_not_reach_the_next_connection_in_the_slot() {
    check(
        &format!(
            "given open a events=user
             given a -> {EVENT}
             given gone a lost
             given open b events=user
             given b -> {EVENT}
             answer a 1 text : for a
             answer a 2 text : for a
             answer b 1 text : not asked
             answer b 2 text : for b
             answer b 2 text : again"
        ),
        &format!(
            r#"b <- {{"type":"message","from":"server","dataType":"text","data":"for b"}}
               b <- {ACKED}"#
        ),
    );
}

/// A reload must not lose an answer that is under way.
#[test]
fn answer_arrives_though_the_hub_has_no_handler_any_more() {
    check(
        &format!(
            r#"given open a events=user
             given a -> {EVENT}
             given a -> {{"type":"invoke","invocationId":"i","event":"sum","data":1}}
             given a -> {{"type":"event","event":"held","data":1,"ackId":2}}
             settings
             answer a 1 text : hello
             answer a 2 json : 3"#
        ),
        &format!(
            r#"a <- {{"type":"message","from":"server","dataType":"text","data":"hello"}}
               a <- {ACKED}
               a <- {{"type":"ack","ackId":2,"success":false,"error":{{"name":"InternalServerError","message":"Internal server error"}}}}
               a <- {{"type":"invokeResponse","invocationId":"i","success":true,"dataType":"json","data":3}}"#
        ),
    );
}

/// Settings hold from the moment at which they change, for connections that are there too.
#[test]
fn events_begin_and_end_with_the_settings_of_the_hub() {
    check(
        &format!(
            r#"given open a roles=joinLeaveGroup
             given open b hub=other
             settings events=user,system,presence
             settings hub=nobody events=user
             a -> {{"type":"joinGroup","group":"g"}}
             a -> {EVENT}
             answer a 1
             b -> {EVENT}
             settings
             a -> {{"type":"leaveGroup","group":"g"}}
             gone a lost"#
        ),
        &format!(
            r#"notify a/1 joined g
               ask 1 a/2 hi text x
               a <- {ACKED}
               b <- {FAILED}
               a ended ConnectionLost "The connection was lost.""#
        ),
    );
}

/// A client that was let in before a reload, and comes after it, does not take the hub back to the settings of its time.
#[test]
fn new_connection_does_not_bring_older_settings_back() {
    check(
        &format!(
            "given open a events=user
             settings
             given open b events=user
             a -> {EVENT}
             b -> {EVENT}"
        ),
        &format!(
            "a <- {FAILED}
             b <- {FAILED}"
        ),
    );
}

/// client-protocols 7.1: a changed interval holds from the next ping, and no client pays for the one before.
#[test]
fn keep_alive_may_change_under_a_connection() {
    check(
        "given open a keep_alive=100s
         given attach a
         given +50s
         settings keep_alive=10s
         +80s",
        r#"100000ms: a ping
           110000ms: a ping
           120000ms: a ping
           125000ms: a ended PingTimeout "The client did not answer pings."
           125000ms: a abort"#,
    );
    check(
        "given open a keep_alive=10s
         given attach a
         settings keep_alive=100s
         +110s
         heard a
         +110s",
        "10000ms: a ping
         110000ms: a ping
         210000ms: a ping",
    );
}

/// Checklist 31 and 32.
#[test]
fn message_of_a_simple_client_is_the_event_message() {
    check(
        "given open a simple user=ann events=user
         a -> text
         answer a 1
         a => bytes",
        "ask 1 a of ann/1 message text text
         ask 2 a of ann/2 message binary bytes",
    );
}

/// Checklist 33 and 34.
#[test]
fn answer_to_a_simple_client_is_a_frame_of_its_own_kind() {
    for (answer, frame) in [
        ("text : hi", "a <- hi"),
        ("json : [1]", "a <- [1]"),
        ("binary : hi", "a <= hi"),
        ("protobuf : hi", "a <= hi"),
        ("", ""),
        // Metadata without a body is an empty text.
        ("text metadata=k~v", "a <- "),
    ] {
        check(
            &format!(
                "given open a simple events=user
                 given a -> x
                 answer a 1 {answer}
                 count all"
            ),
            &format!("{frame}\nmatched 1"),
        );
    }
}

/// Checklist 35 and 36.
#[test]
fn failure_closes_a_simple_client() {
    for (failure, category) in [
        ("not_found", "EventHandlerNotFound"),
        ("timeout", "SendEventFailed"),
        ("failed", "SendEventFailed"),
        ("404 : Mine secret", "SendEventFailed"),
    ] {
        check(
            &format!(
                "given open a simple events=user
                 given a -> x
                 given a -> held
                 fail a 1 {failure}"
            ),
            &format!(
                r#"a ended {category} "Internal server error"
                   a close 1011 "Internal server error""#
            ),
        );
    }
}

/// client-protocols 2.
#[test]
fn messages_in_publish_mode_are_no_events() {
    check(
        "given open a simple publish=g roles=sendToGroup events=user
         a -> x",
        "a forward send group:g excluded=",
    );
}

/// Checklist 85, and client-protocols 4.
#[test]
fn protobuf_clients_raise_events_and_get_answers() {
    // event_message { event: "hi", data { text_data: "x" }, ack_id: 1 }
    const EVENT: &str = "2A0B 0A026869 12030A0178 1801";
    check(
        &format!(
            "given open a protobuf events=user
             a =hex> {EVENT}
             answer a 1 text : yo"
        ),
        // data_message { from: "server", data { text_data: "yo" } }, then ack_message { ack_id: 1, success: true }
        r"ask 1 a/1 hi text x
          a <= \x12\x0e\n\x06server\x1a\x04\n\x02yo
          a <= \n\x04\x08\x01\x10\x01",
    );
    check(
        &format!(
            "given open a protobuf reliable events=user
             a =hex> {EVENT}
             answer a 1 protobuf : any"
        ),
        // The same with sequence_id: 1, and protobuf_data.
        r#"ask 1 a/1 hi text x
           a <= \x12\x11 \x01\n\x06server\x1a\x05\x1a\x03any
           a <= \n\x04\x08\x01\x10\x01"#,
    );
}

/// events-and-operations 5.4: an `Any` for JSON clients.
#[test]
fn protobuf_answer_reaches_json_clients_in_base64() {
    check(
        &format!(
            "given open a events=user
             given a -> {EVENT}
             answer a 1 protobuf : any"
        ),
        &format!(
            r#"a <- {{"type":"message","from":"server","dataType":"protobuf","data":"YW55"}}
               a <- {ACKED}"#
        ),
    );
}

/// Checklist 107.
#[test]
fn answer_to_a_reliable_client_is_numbered_and_replayed_without_asking_again() {
    check(
        &format!(
            "given open a reliable events=user,system
             given attach a
             given a -> {EVENT}
             answer a 1 text : hello
             given gone a lost
             recover a
             a -> {EVENT}"
        ),
        &format!(
            r#"a <- {{"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hello"}}
               a <- {ACKED}
               a opened
               a <- {{"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}}
               a <- {{"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hello"}}
               recovered as json.reliable.webpubsub.azure.v1
               a <- {DUPLICATE}"#
        ),
    );
}

/// Checklist 107: the answer comes while there is no socket.
#[test]
fn answer_without_a_socket_waits_for_the_client_and_its_ack_is_lost() {
    check(
        &format!(
            "given open a reliable events=user,system
             given attach a
             given a -> {EVENT}
             gone a lost
             answer a 1 text : hello
             recover a
             a -> {EVENT}"
        ),
        &format!(
            r#"a opened
               a <- {{"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}}
               a <- {{"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hello"}}
               recovered as json.reliable.webpubsub.azure.v1
               a <- {DUPLICATE}"#
        ),
    );
}

/// Checklist 107: the answer comes to the next socket.
#[test]
fn answer_after_a_recovery_reaches_the_connection() {
    check(
        &format!(
            "given open a reliable events=user
             given attach a
             given a -> {EVENT}
             given gone a lost
             given recover a
             given attach a
             a -> {EVENT}
             answer a 1 text : hello"
        ),
        &format!(
            r#"a <- {{"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hello"}}
               a <- {ACKED}
               a <- {DUPLICATE}"#
        ),
    );
}
