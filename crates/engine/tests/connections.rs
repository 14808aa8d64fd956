//! How connections begin and end.

#[path = "support/script.rs"]
mod script;

use script::check;

/// Checklist 30, 43.
#[test]
fn connected_comes_before_anything_else() {
    check(
        "open a user=ann groups=g
         send all : hi
         open b",
        r#"a opened
           a <- {"type":"system","event":"connected","userId":"ann","connectionId":"a"}
           let in, 0 roles ignored
           a <- {"type":"message","from":"server","dataType":"text","data":"hi"}
           b opened
           b <- {"type":"system","event":"connected","userId":null,"connectionId":"b"}
           let in, 0 roles ignored"#,
    );
}

/// Checklist 30.
#[test]
fn simple_client_is_told_nothing_when_it_connects() {
    check(
        "open a simple user=ann",
        "a opened
         let in, 0 roles ignored",
    );
}

/// Checklist 18, 134: neither socket nor role is needed.
#[test]
fn groups_of_the_token_are_joined_before_the_socket_is_there() {
    check(
        "given open a groups=g,h,g
         send group:g : one
         send group:h : two
         count group:g",
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"one"}
           a <- {"type":"message","from":"group","group":"h","fromUserId":null,"dataType":"text","data":"two"}
           matched 1"#,
    );
}

#[test]
fn roles_that_are_not_understood_are_counted() {
    check(
        "given open a
         open b simple roles=sendToGroup,unknown,sendToGroups.******,joinLeaveGroup.",
        "b opened
         let in, 3 roles ignored",
    );
}

/// Checklist 102.
#[test]
fn close_of_the_client_is_answered_and_ends_the_connection() {
    check(
        "given open a user=ann groups=g
         peer_closed a 1000 : bye
         count all
         count group:g
         count user:ann
         gone a dropped",
        r#"a of ann ended Normal ""
           a close 1000 "bye"
           matched 0
           matched 0
           matched 0"#,
    );
}

#[test]
fn close_without_code_is_answered_without_code() {
    check(
        "given open a
         peer_closed a",
        r#"a ended Normal ""
           a close none """#,
    );
}

#[test]
fn faults_close_with_the_code_of_the_table() {
    check(
        "given open a
         given open b
         given open c
         given open d
         fault a invalid_frame
         fault b invalid_utf8
         fault c too_large
         fault d queue_full",
        r#"a ended BadRequest "The client frame is invalid."
           a close 1002 "The client frame is invalid."
           b ended BadRequest "The client frame is invalid."
           b close 1007 "The client frame is invalid."
           c ended BadRequest "The client message is too large."
           c close 1009 "The client message is too large."
           d ended SlowClient "The outbound message queue is full."
           d close 1008 "The outbound message queue is full.""#,
    );
}

/// Checklist 126.
#[test]
fn slow_client_does_not_touch_the_others() {
    check(
        "given open a groups=g
         given open b groups=g
         given fault a queue_full
         send group:g : hi",
        r#"b <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"hi"}"#,
    );
}

#[test]
fn lost_socket_ends_the_connection() {
    check(
        "given open a
         given open b
         given open c
         given open d
         gone a lost
         gone b not_attached
         gone c error
         gone d dropped",
        r#"a ended ConnectionLost "The connection was lost."
           b ended ConnectionLost "The connection could not be activated."
           c ended ServiceTransientError "Internal server error"
           d ended Normal """#,
    );
}

#[test]
fn connection_ends_only_once() {
    check(
        r#"given open a
         given peer_closed a 1000
         peer_closed a 1001
         fault a invalid_frame
         a -> {"type":"ping"}
         shutdown
         close all
         close connection:a
         gone a lost
         gone a lost"#,
        "matched 0
         matched 0",
    );
}

/// Checklist 71: the close has no `disconnected` frame before it.
#[test]
fn message_that_is_not_understood_closes_with_1007() {
    check(
        "given open a
         a -> {}",
        r#"a ended BadRequest "The client message is not a valid JSON protocol message."
           a close 1007 "The client message is not a valid JSON protocol message.""#,
    );
}

#[test]
fn messages_behind_a_close_are_ignored() {
    check(
        r#"given open a groups=g roles=sendToGroup
         given open b groups=g
         given a -> nonsense
         a -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}"#,
        "",
    );
}

#[test]
fn socket_that_does_not_close_in_time_is_dropped() {
    check(
        "given open a
         given close all
         +4999ms
         +1ms
         +60s",
        "5000ms: a abort",
    );
}

#[test]
fn close_timeout_is_a_limit() {
    check(
        "limits close_timeout=250ms
         given open a
         given peer_closed a 1000
         +1s",
        "250ms: a abort",
    );
}

#[test]
fn socket_that_closed_in_time_is_not_dropped() {
    check(
        "given open a
         given close all
         given gone a dropped
         given open b keep_alive=120s
         +60s",
        "",
    );
}

/// Checklist 125.
#[test]
fn client_is_pinged_at_the_interval_and_given_up_after_two_and_five_seconds() {
    check(
        "given open a user=ann
         given attach a
         +44999ms
         +1ms
         +100s
         count all",
        r#"20000ms: a ping
           40000ms: a ping
           45000ms: a of ann ended PingTimeout "The client did not answer pings."
           45000ms: a abort
           matched 0"#,
    );
}

/// Checklist 125.
#[test]
fn interval_is_a_setting_of_the_hub() {
    check(
        "given open a keep_alive=1s
         given attach a
         +10s",
        r#"1000ms: a ping
           2000ms: a ping
           3000ms: a ping
           4000ms: a ping
           5000ms: a ping
           6000ms: a ping
           7000ms: a ended PingTimeout "The client did not answer pings."
           7000ms: a abort"#,
    );
}

#[test]
fn client_that_is_heard_is_not_given_up() {
    check(
        "given open a
         given attach a
         given +40s
         heard a
         +40s
         heard a
         +44999ms
         +1ms",
        r#"45000ms: a ping
           65000ms: a ping
           85000ms: a ping
           105000ms: a ping
           125000ms: a ended PingTimeout "The client did not answer pings."
           125000ms: a abort"#,
    );
}

#[test]
fn connection_without_socket_is_not_pinged() {
    check(
        "given open a
         +100s
         attach a
         +20s",
        "120000ms: a ping",
    );
}

#[test]
fn closing_connection_is_not_pinged() {
    check(
        "given open a
         given attach a
         given +18s
         given close all
         +60s",
        "23000ms: a abort",
    );
}

#[test]
fn late_inputs_do_not_reach_the_next_connection_in_the_slot() {
    check(
        r#"given open a roles=sendToGroup
         given attach a
         given gone a lost
         given open b groups=g keep_alive=120s
         a -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}
         fault a invalid_frame
         peer_closed a 1000
         gone a lost
         attach a
         heard a
         close connection:a
         send connection:a : hi
         count connection:a
         +60s
         count connection:b"#,
        "matched 0
         matched 0
         matched 1",
    );
}

#[test]
fn late_close_deadline_does_not_reach_the_next_connection_in_the_slot() {
    check(
        "given open a
         given close all
         given gone a dropped
         given open b
         given peer_closed b 1000
         given +1s
         given gone b dropped
         given open c
         given +2s
         close connection:c
         +4999ms
         +1ms",
        r#"c <- {"type":"system","event":"disconnected","message":"Application server closed the connection."}
           c ended ClosedByAppServer "Application server closed the connection."
           c close 1000 ""
           matched 1
           8000ms: c abort"#,
    );
}

#[test]
fn shutdown_sends_every_client_away() {
    check(
        "given open a user=ann
         given open b simple hub=other
         given open c
         given peer_closed c 1000
         shutdown
         shutdown
         count all",
        r#"a <- {"type":"system","event":"disconnected","message":"Service is restarting."}
           a of ann ended ServiceReload "Service is restarting."
           a close 1001 "Service is restarting."
           b ended ServiceReload "Service is restarting."
           b close 1001 "Service is restarting."
           matched 0"#,
    );
}
