//! Reliable connections: numbers, acknowledgements, and what outlives a socket. Source: client-protocols 5.

#[path = "support/script.rs"]
mod script;

use script::check;

/// Checklist 90.
#[test]
fn connected_carries_a_reconnection_token() {
    check(
        "open a reliable user=ann",
        r#"a opened
           a <- {"type":"system","event":"connected","userId":"ann","connectionId":"a","reconnectionToken":"..."}
           let in, 0 roles ignored"#,
    );
}

/// Checklist 91.
#[test]
fn data_is_numbered_from_1_on_without_gaps_and_other_frames_are_not() {
    check(
        r#"given open a reliable groups=g roles=joinLeaveGroup
         given attach a
         send all : one
         a -> {"type":"joinGroup","group":"h","ackId":1}
         a -> {"type":"ping"}
         send group:g : two
         send connection:a : three"#,
        r#"a <- {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"one"}
           a <- {"type":"ack","ackId":1,"success":true}
           a <- {"type":"pong"}
           a <- {"sequenceId":2,"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"two"}
           a <- {"sequenceId":3,"type":"message","from":"server","dataType":"text","data":"three"}"#,
    );
}

/// Checklist 91.
#[test]
fn each_connection_has_numbers_of_its_own() {
    check(
        r#"given open a reliable user=ann
         given open b reliable
         given open c
         given send user:ann : one
         send all : two"#,
        r#"c <- {"type":"message","from":"server","dataType":"text","data":"two"}
           a <- {"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"two"}
           b <- {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"two"}"#,
    );
}

/// Checklist 92.
#[test]
fn recovered_connection_gets_connected_and_then_the_unacknowledged_frames_as_they_were() {
    check(
        r#"given open a reliable user=ann groups=g
         given attach a
         given send all : one
         given send group:g : two
         gone a lost
         recover a"#,
        r#"a opened
           a <- {"type":"system","event":"connected","userId":"ann","connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"one"}
           a <- {"sequenceId":2,"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"two"}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Checklist 93.
#[test]
fn acknowledgement_covers_all_before_it_and_an_old_one_nothing() {
    check(
        r#"given open a reliable
         given attach a
         given send all : one
         given send all : two
         given send all : three
         a -> {"type":"sequenceAck","sequenceId":2}
         a -> {"type":"sequenceAck","sequenceId":1}
         a -> {"type":"sequenceAck","sequenceId":0}
         gone a lost
         given recover a
         given attach a
         gone a lost
         recover a"#,
        r#"a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":3,"type":"message","from":"server","dataType":"text","data":"three"}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Checklist 93.
#[test]
fn acknowledgement_of_a_number_never_sent_covers_everything_and_the_count_goes_on() {
    check(
        r#"given open a reliable
         given attach a
         given send all : one
         a -> {"type":"sequenceAck","sequenceId":18446744073709551615}
         send all : two
         gone a lost
         recover a"#,
        r#"a <- {"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"two"}
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"two"}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Checklist 94.
#[test]
fn what_is_sent_without_a_socket_comes_after_what_was_sent_before() {
    check(
        r#"given open a reliable groups=g
         given attach a
         given send group:g : one
         gone a lost
         send group:g : two
         recover a
         send group:g : three"#,
        r#"a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":1,"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"one"}
           a <- {"sequenceId":2,"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"two"}
           recovered as json.reliable.webpubsub.azure.v1
           a <- {"sequenceId":3,"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"three"}"#,
    );
}

/// Checklist 95, 133.
#[test]
fn groups_user_permissions_and_ack_ids_survive() {
    check(
        r#"given open a reliable user=ann groups=g
         given attach a
         given grant a sendToGroup : g
         given a -> {"type":"sendToGroup","group":"g","data":1,"noEcho":true,"ackId":7}
         gone a lost
         count group:g
         count user:ann
         given recover a
         attach a
         a -> {"type":"sendToGroup","group":"g","data":2,"noEcho":true,"ackId":7}
         a -> {"type":"sendToGroup","group":"g","data":2,"noEcho":true,"ackId":8}
         count group:g"#,
        r#"matched 1
           matched 1
           a <- {"type":"ack","ackId":7,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 7 has been processed"}}
           a forward send group:g excluded=a
           a <- {"type":"ack","ackId":8,"success":true}
           matched 1"#,
    );
}

/// Checklist 96: another id, another hub, a connection that is not reliable.
#[test]
fn what_is_not_there_cannot_be_recovered() {
    check(
        "given open a reliable hub=chat
         given attach a
         given open b
         given attach b
         recover nobody
         recover a hub=other
         recover b",
        "not found
         not found
         not found",
    );
}

/// Checklist 97.
#[test]
fn refused_recovery_does_not_disturb_the_connection() {
    check(
        r#"given open a reliable
         given attach a
         recover a hub=other
         send all : hi"#,
        r#"not found
           a <- {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"hi"}"#,
    );
}

/// Checklist 100.
#[test]
fn recovery_takes_over_from_a_socket_that_is_still_open() {
    check(
        r#"given open a reliable
         given attach a
         given send all : one
         recover a
         attach a
         a -> {"type":"ping"}"#,
        r#"a abort
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"one"}
           recovered as json.reliable.webpubsub.azure.v1
           a <- {"type":"pong"}"#,
    );
}

/// Section 5.4: no other recovery of the same connection in progress.
#[test]
fn recovery_is_refused_while_another_is_under_way() {
    check(
        "given open a reliable
         recover a
         given attach a
         gone a lost
         given recover a
         recover a
         attach a",
        "not found
         not found",
    );
}

/// Section 5.4.
#[test]
fn connection_whose_new_socket_never_comes_can_be_recovered_again() {
    check(
        r#"given open a reliable
         given attach a
         given send all : one
         gone a lost
         given recover a
         gone a not_attached
         +20s
         recover a"#,
        r#"a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":1,"type":"message","from":"server","dataType":"text","data":"one"}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Section 1.4: nobody holds a token before the first socket is there.
#[test]
fn connection_whose_first_socket_never_comes_ends() {
    check(
        "given open a reliable
         gone a not_attached",
        r#"a ended ConnectionLost "The connection could not be activated.""#,
    );
}

/// Checklist 101.
#[test]
fn connection_that_is_not_recovered_in_time_ends() {
    check(
        "given open a reliable user=ann groups=g
         given attach a
         +1s
         gone a lost
         +29999ms
         count all
         +1ms
         count all
         recover a
         +60s",
        r#"matched 1
           31000ms: a of ann ended ConnectionLost "Connection recovery timed out."
           matched 0
           not found"#,
    );
}

/// Section 5.3.
#[test]
fn recovery_window_begins_anew_with_each_loss() {
    check(
        "limits recovery_window=10s
         given open a reliable
         given attach a
         gone a lost
         +9s
         given recover a
         attach a
         +9s
         gone a lost
         +9s
         count all
         +1s",
        r#"matched 1
           28000ms: a ended ConnectionLost "Connection recovery timed out.""#,
    );
}

/// Section 0, 5.3: a window of no length is no recovery.
#[test]
fn connection_without_recovery_window_ends_with_its_socket() {
    check(
        "limits recovery_window=0s
         given open a reliable
         given attach a
         gone a lost
         +0s
         recover a",
        r#"0ms: a ended ConnectionLost "Connection recovery timed out."
           not found"#,
    );
}

/// Checklist 102.
#[test]
fn close_of_the_client_with_1000_ends_the_connection() {
    check(
        "given open a reliable
         given attach a
         peer_closed a 1000 : bye
         gone a dropped
         recover a",
        r#"a ended Normal ""
           a close 1000 "bye"
           not found"#,
    );
}

/// Checklist 102.
#[test]
fn close_of_the_client_with_another_code_or_none_can_be_recovered() {
    check(
        "given open a reliable
         given attach a
         given open b reliable
         given attach b
         peer_closed a 1001 : going
         gone a dropped
         peer_closed b
         gone b dropped
         count all
         given recover a
         given recover b
         count all",
        r#"a close 1001 "going"
           b close none ""
           matched 2
           matched 2"#,
    );
}

/// Section 5.3, 7.2: a client that has said goodbye may still be recovered while its old socket closes.
#[test]
fn closing_socket_is_dropped_after_the_close_timeout_and_the_connection_stays() {
    check(
        "given open a reliable
         given attach a
         given peer_closed a 1001 : going
         +5s
         gone a dropped
         count all
         +25s",
        r#"5000ms: a abort
           matched 1
           30000ms: a ended ConnectionLost "Connection recovery timed out.""#,
    );
}

/// Section 5.3.
#[test]
fn recovery_takes_over_from_a_socket_that_is_closing() {
    check(
        r#"given open a reliable
         given attach a
         given peer_closed a 1001 : going
         recover a
         attach a
         +5s
         a -> {"type":"ping"}"#,
        r#"a abort
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           recovered as json.reliable.webpubsub.azure.v1
           a <- {"type":"pong"}"#,
    );
}

/// Section 5.3.
#[test]
fn silent_client_loses_its_socket_and_may_recover() {
    check(
        "given open a reliable keep_alive=10s
         given attach a
         given +24s
         +1s
         gone a dropped
         count all
         given recover a
         attach a
         +10s",
        "25000ms: a abort
         matched 1
         35000ms: a ping",
    );
}

/// Section 5.3.
#[test]
fn violation_ends_the_connection_for_good() {
    check(
        "given open a reliable
         given attach a
         a -> {}
         gone a dropped
         recover a
         given open b reliable
         given attach b
         fault b too_large
         gone b dropped
         recover b",
        r#"a ended BadRequest "The client message is not a valid JSON protocol message."
           a close 1007 "The client message is not a valid JSON protocol message."
           not found
           b ended BadRequest "The client message is too large."
           b close 1009 "The client message is too large."
           not found"#,
    );
}

/// Checklist 103.
#[test]
fn one_unacknowledged_message_too_many_ends_the_connection() {
    check(
        r#"given open a reliable buffer=2 groups=g
         given open b groups=g
         given attach a
         given send all : one
         given send all : two
         send group:g : three
         count group:g
         gone a dropped
         recover a"#,
        r#"b <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"three"}
           a ended SlowClient "The reliable message buffer is full."
           a close 1008 "The reliable message buffer is full."
           matched 1
           not found"#,
    );
}

/// Checklist 103.
#[test]
fn acknowledgement_makes_room() {
    check(
        r#"given open a reliable buffer=2
         given attach a
         given send all : one
         given send all : two
         a -> {"type":"sequenceAck","sequenceId":1}
         send all : three
         count all"#,
        r#"a <- {"sequenceId":3,"type":"message","from":"server","dataType":"text","data":"three"}
           matched 1"#,
    );
}

/// Checklist 104: the frames are 80 bytes each.
#[test]
fn one_unacknowledged_byte_too_many_ends_the_connection_also_without_a_socket() {
    check(
        "given open a reliable buffer_bytes=160
         given attach a
         settings buffer_bytes=159
         given open b reliable
         given attach b
         gone b lost
         given send all : one
         send all : two
         count all
         recover b
         gone a lost
         send all : three
         count all
         recover a",
        r#"a <- {"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"two"}
           b ended SlowClient "The reliable message buffer is full."
           matched 1
           not found
           a ended SlowClient "The reliable message buffer is full."
           matched 0
           not found"#,
    );
}

/// Checklist 106.
#[test]
fn connection_without_a_socket_is_closed_at_once_by_the_app_server() {
    check(
        "given open a reliable user=ann
         given attach a
         gone a lost
         close connection:a : away
         recover a
         given open b
         count all",
        r#"a of ann ended ClosedByAppServer "Application server closed the connection. Reason: away"
           matched 1
           not found
           matched 1"#,
    );
}

/// Checklist 106, 123.
#[test]
fn connection_with_a_socket_is_told_and_closed_for_good() {
    check(
        r#"given open a reliable
         given attach a
         close all : away
         gone a dropped
         recover a"#,
        r#"a <- {"type":"system","event":"disconnected","message":"Application server closed the connection. Reason: away"}
           a ended ClosedByAppServer "Application server closed the connection. Reason: away"
           a close 1000 ""
           matched 1
           not found"#,
    );
}

/// Section 7.2.
#[test]
fn shutdown_sends_everybody_away_and_forgets_those_who_are_away() {
    check(
        r#"given open a reliable
         given attach a
         given open b reliable
         given attach b
         gone b lost
         shutdown
         count all"#,
        r#"a <- {"type":"system","event":"disconnected","message":"Service is restarting."}
           a ended ServiceReload "Service is restarting."
           a close 1001 "Service is restarting."
           b ended ServiceReload "Service is restarting."
           matched 0"#,
    );
}

/// Checklist 151, and decisions: what has expired is not replayed and its number is skipped.
#[test]
fn expired_message_is_not_replayed_and_its_number_is_skipped() {
    check(
        r#"given open a reliable
         given attach a
         gone a lost
         send all ttl=1 : short
         send all ttl=300 : long
         +2s
         recover a"#,
        r#"a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- until 300000ms {"sequenceId":2,"type":"message","from":"server","dataType":"text","data":"long"}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Section 9: what has expired makes room first.
#[test]
fn expired_messages_make_room_in_the_buffer() {
    check(
        "given open a reliable buffer=2
         given attach a
         gone a lost
         send all ttl=1 : one
         send all : two
         +1s
         send all : three
         count all
         send all : four
         count all",
        r#"matched 1
           a ended SlowClient "The reliable message buffer is full."
           matched 0"#,
    );
}

/// Section 2 of the decisions: late news of an old socket is ignored.
#[test]
fn news_of_a_socket_that_was_taken_over_mean_nothing() {
    check(
        r#"given open a reliable
         given attach a
         given fork a as old
         given recover a
         gone old lost
         heard old
         old -> {}
         attach a
         a -> {"type":"ping"}"#,
        r#"a <- {"type":"pong"}"#,
    );
}
