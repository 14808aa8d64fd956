//! Streams from a publisher to a group. Source: client-protocols 3.8.

#[path = "support/script.rs"]
mod script;

use script::check;

const START: &str =
    r#"p -> {"type":"sendToGroup","group":"g","noEcho":true,"stream":{"streamId":"s"}}"#;

#[track_caller]
fn check_stream(script: &str, expected: &str) {
    check(&script.replace("START", START), expected);
}

/// Checklist 109.
#[test]
fn start_is_acked() {
    check_stream(
        "given open p roles=sendToGroup
         START",
        r#"p <- {"type":"streamAck","streamId":"s","expectedSequenceId":1}"#,
    );
}

/// Checklist 109.
#[test]
fn start_without_permission_is_forbidden() {
    check_stream(
        "given open p
         START",
        r#"p <- {"type":"streamClosed","streamId":"s","error":{"name":"Forbidden","message":"The client does not have permission to send to group 'g'."}}"#,
    );
}

/// Checklist 114, rule 1, 2.
#[test]
fn start_with_the_id_of_an_open_stream_or_with_data_is_a_bad_request() {
    check_stream(
        r#"given open p roles=sendToGroup
         given START
         START
         p -> {"type":"sendToGroup","group":"g","data":1,"stream":{"streamId":"t"}}
         p -> {"type":"streamEnd","streamId":"t"}"#,
        r#"p <- {"type":"streamClosed","streamId":"s","error":{"name":"BadRequest","message":"The stream is open already."}}
           p <- {"type":"streamClosed","streamId":"t","error":{"name":"BadRequest","message":"The start of a stream carries no data."}}
           p <- {"type":"streamClosed","streamId":"t","error":{"name":"StreamNotFound","message":"There is no such stream."}}"#,
    );
}

/// Rule 2: an ack id on a start is ignored, and not used up.
#[test]
fn ack_id_of_a_start_is_ignored() {
    check(
        r#"given open p roles=sendToGroup
         p -> {"type":"sendToGroup","group":"g","stream":{"streamId":"s"},"ackId":1}
         p -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}"#,
        r#"p <- {"type":"streamAck","streamId":"s","expectedSequenceId":1}
           p forward send group:g excluded=
           p <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Checklist 110.
#[test]
fn fragments_are_delivered_with_their_place_and_acked_together() {
    check_stream(
        r#"given open p user=ann roles=sendToGroup groups=g
         given open a groups=g
         given START
         p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"json","data":{"n":1}}
         p -> {"type":"streamData","streamId":"s","streamSequenceId":2,"dataType":"text","data":"two"}
         +100ms
         +1s"#,
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":{"n":1},"stream":{"streamId":"s","streamSequenceId":1}}
           p forward send group:g excluded=p
           a <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"text","data":"two","stream":{"streamId":"s","streamSequenceId":2}}
           p forward send group:g excluded=p
           100ms: p <- {"type":"streamAck","streamId":"s","expectedSequenceId":3}"#,
    );
}

/// Rule 4.
#[test]
fn thirty_two_fragments_are_acked_at_once() {
    let fragments: Vec<String> = (1..=32)
        .map(|number| {
            format!(
                r#"p -> {{"type":"streamData","streamId":"s","streamSequenceId":{number},"dataType":"text","data":""}}"#
            )
        })
        .collect();
    let script = format!(
        "given open p roles=sendToGroup\ngiven START\n{}\n+1s",
        fragments.join("\n")
    );
    let mut expected = vec!["p forward send group:g excluded=p"; 32];
    expected.push(r#"p <- {"type":"streamAck","streamId":"s","expectedSequenceId":33}"#);
    check_stream(&script, &expected.join("\n"));
}

/// Checklist 110.
#[test]
fn repeated_fragment_is_acked_again_and_a_gap_is_refused() {
    check_stream(
        r#"given open p roles=sendToGroup
         given START
         given p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}
         p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}
         p -> {"type":"streamData","streamId":"s","streamSequenceId":3,"dataType":"text","data":"three"}
         p -> {"type":"streamData","streamId":"s","streamSequenceId":2,"dataType":"text","data":"two"}"#,
        r#"p <- {"type":"streamAck","streamId":"s","expectedSequenceId":2}
           p <- {"type":"streamNack","streamId":"s","expectedSequenceId":2,"name":"InvalidSequenceId","message":"Fragments are missing before this one."}
           p forward send group:g excluded=p"#,
    );
}

/// Checklist 111.
#[test]
fn keep_alive_extends_the_idle_timer_and_is_not_delivered() {
    check(
        r#"given open p roles=sendToGroup groups=g
         given attach p
         given p -> {"type":"sendToGroup","group":"g","stream":{"streamId":"s","idleTimeoutMs":1000}}
         +900ms
         p -> {"type":"streamData","streamId":"s"}
         +999ms
         p -> {"type":"streamData","streamId":"s"}
         +999ms
         +1ms"#,
        r#"2899ms: p <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true,"error":{"name":"IdleTimeout","message":"Nothing came for the idle timeout of the stream."}}}
           2899ms: p forward send group:g excluded=
           2899ms: p <- {"type":"streamClosed","streamId":"s","error":{"name":"IdleTimeout","message":"Nothing came for the idle timeout of the stream."}}"#,
    );
}

/// Checklist 112, rule 14: a simple client sees the data only.
#[test]
fn end_is_told_to_subscribers_and_confirmed() {
    check_stream(
        r#"given open p roles=sendToGroup
         given open a groups=g
         given open b simple groups=g
         given START
         p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}
         p -> {"type":"streamEnd","streamId":"s"}
         p -> {"type":"streamEnd","streamId":"s"}
         +1s"#,
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"one","stream":{"streamId":"s","streamSequenceId":1}}
           b <- one
           p forward send group:g excluded=p
           a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":2,"endOfStream":true}}
           p forward send group:g excluded=p
           p <- {"type":"streamAck","streamId":"s","expectedSequenceId":2}
           p <- {"type":"streamClosed","streamId":"s"}
           p <- {"type":"streamClosed","streamId":"s","error":{"name":"StreamNotFound","message":"There is no such stream."}}"#,
    );
}

/// Checklist 113.
#[test]
fn error_of_the_publisher_reaches_subscribers() {
    check_stream(
        r#"given open p roles=sendToGroup
         given open a groups=g
         given START
         p -> {"type":"streamEnd","streamId":"s","error":{"message":"no more","userErrorCode":"E1"}}"#,
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true,"error":{"name":"UserError","message":"no more","userErrorCode":"E1"}}}
           p forward send group:g excluded=p
           p <- {"type":"streamClosed","streamId":"s"}"#,
    );
}

/// Checklist 114.
#[test]
fn unknown_stream_is_not_found() {
    check(
        r#"given open p roles=sendToGroup
         p -> {"type":"streamData","streamId":"s"}
         p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}"#,
        r#"p <- {"type":"streamClosed","streamId":"s","error":{"name":"StreamNotFound","message":"There is no such stream."}}
           p <- {"type":"streamClosed","streamId":"s","error":{"name":"StreamNotFound","message":"There is no such stream."}}"#,
    );
}

/// Rule 9.
#[test]
fn revoked_permission_ends_the_stream_with_the_next_fragment() {
    check_stream(
        r#"given open p roles=sendToGroup
         given open a groups=g
         given START
         given revoke p sendToGroup : g
         p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}"#,
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true,"error":{"name":"Forbidden","message":"The client does not have permission to send to group 'g'."}}}
           p forward send group:g excluded=p
           p <- {"type":"streamClosed","streamId":"s","error":{"name":"Forbidden","message":"The client does not have permission to send to group 'g'."}}"#,
    );
}

/// Checklist 116, rule 11.
#[test]
fn stream_of_a_plain_connection_is_cancelled_with_it() {
    check_stream(
        r#"given open p roles=sendToGroup
         given open a groups=g
         given START
         gone p lost"#,
        r#"p ended ConnectionLost "The connection was lost."
           a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true,"error":{"name":"Cancelled","message":"The publisher is gone."}}}
           relay send group:g excluded="#,
    );
}

/// Checklist 116.
#[test]
fn stream_goes_on_after_a_recovery() {
    check_stream(
        r#"given open p reliable roles=sendToGroup
         given attach p
         given open a groups=g
         given START
         given p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}
         gone p lost
         +10s
         given recover p
         attach p
         p -> {"type":"streamData","streamId":"s","streamSequenceId":1,"dataType":"text","data":"one"}
         p -> {"type":"streamData","streamId":"s","streamSequenceId":2,"dataType":"text","data":"two"}
         +100ms"#,
        r#"p <- {"type":"streamAck","streamId":"s","expectedSequenceId":2}
           a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"two","stream":{"streamId":"s","streamSequenceId":2}}
           p forward send group:g excluded=p
           10100ms: p <- {"type":"streamAck","streamId":"s","expectedSequenceId":3}"#,
    );
}

/// Checklist 116.
#[test]
fn stream_of_a_publisher_that_does_not_come_back_is_cancelled() {
    check_stream(
        r#"given open p reliable roles=sendToGroup
         given attach p
         given open a groups=g
         given START
         gone p lost
         +30s"#,
        r#"30000ms: p ended ConnectionLost "Connection recovery timed out."
           30000ms: a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true,"error":{"name":"Cancelled","message":"The publisher is gone."}}}
           30000ms: relay send group:g excluded="#,
    );
}

/// Checklist 115, rule 11: the idle timer runs on without a socket.
#[test]
fn idle_stream_of_a_lost_publisher_ends() {
    check(
        r#"given open p reliable roles=sendToGroup
         given attach p
         given open a groups=g
         given p -> {"type":"sendToGroup","group":"g","stream":{"streamId":"s","idleTimeoutMs":5000}}
         gone p lost
         +3s
         given recover p
         attach p
         +2s"#,
        r#"5000ms: a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","stream":{"streamId":"s","streamSequenceId":1,"endOfStream":true,"error":{"name":"IdleTimeout","message":"Nothing came for the idle timeout of the stream."}}}
           5000ms: p forward send group:g excluded=
           5000ms: p <- {"type":"streamClosed","streamId":"s","error":{"name":"IdleTimeout","message":"Nothing came for the idle timeout of the stream."}}"#,
    );
}

/// Rule 15.
#[test]
fn connection_has_at_most_100_streams() {
    let starts: Vec<String> = (0..=100)
        .map(|number| {
            format!(
                r#"p -> {{"type":"sendToGroup","group":"g","stream":{{"streamId":"s{number}"}}}}"#
            )
        })
        .collect();
    let (last, first) = starts.split_last().expect("there are some");
    let given: Vec<String> = first.iter().map(|start| format!("given {start}")).collect();
    check(
        &format!(
            "given open p roles=sendToGroup\n{}\n{last}",
            given.join("\n")
        ),
        r#"p <- {"type":"streamClosed","streamId":"s100","error":{"name":"BadRequest","message":"A connection has at most 100 streams."}}"#,
    );
}

/// Rule 1: an id may be used again when its stream is closed.
#[test]
fn id_of_a_closed_stream_is_free() {
    check_stream(
        r#"given open p roles=sendToGroup
         given START
         given p -> {"type":"streamEnd","streamId":"s"}
         START"#,
        r#"p <- {"type":"streamAck","streamId":"s","expectedSequenceId":1}"#,
    );
}

/// The hub's switch.
#[test]
fn frames_of_streams_are_violations_where_the_hub_has_none() {
    check_stream(
        "given open p roles=sendToGroup no_streaming
         START",
        r#"p ended BadRequest "The client message is not a valid JSON protocol message."
           p close 1007 "The client message is not a valid JSON protocol message.""#,
    );
}
