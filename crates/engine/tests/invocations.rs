//! Invocations: events that are answered by name. Source: client-protocols 3.9, events-and-operations 5.5.

#[path = "support/script.rs"]
mod script;

use script::{check, outputs};

/// Checklist 117.
#[test]
fn invocation_of_an_event_that_nothing_handles_is_not_found() {
    check(
        r#"given open a
         a -> {"type":"invoke","invocationId":"1","target":"event","event":"sum","dataType":"json","data":[1,2]}
         a -> {"type":"invoke","invocationId":"1","event":"sum"}"#,
        r#"a <- {"type":"invokeResponse","invocationId":"1","success":false,"error":{"name":"NotFound","message":"Nothing handles the event."}}
           a <- {"type":"invokeResponse","invocationId":"1","success":false,"error":{"name":"NotFound","message":"Nothing handles the event."}}"#,
    );
}

/// Checklist 117.
#[test]
fn invocation_of_anything_else_is_a_bad_request() {
    check(
        r#"given open a
         a -> {"type":"invoke","invocationId":"1","target":"moon"}"#,
        r#"a <- {"type":"invokeResponse","invocationId":"1","success":false,"error":{"name":"BadRequest","message":"The target of an invocation is an event."}}"#,
    );
}

/// Checklist 118.
#[test]
fn cancelling_is_not_answered() {
    check(
        r#"given open a
         a -> {"type":"cancelInvocation","invocationId":"1"}"#,
        "",
    );
}

/// The hub's switch.
#[test]
fn frames_of_invocations_are_violations_where_the_hub_has_none() {
    for frame in [
        r#"{"type":"invoke","invocationId":"1","event":"sum"}"#,
        r#"{"type":"cancelInvocation","invocationId":"1"}"#,
    ] {
        check(
            &format!("given open a no_invocation\na -> {frame}"),
            r#"a ended BadRequest "The client message is not a valid JSON protocol message."
               a close 1007 "The client message is not a valid JSON protocol message.""#,
        );
    }
}

const INVOKE: &str =
    r#"a -> {"type":"invoke","invocationId":"i","event":"sum","dataType":"text","data":"x"}"#;

/// Checklist 117.
#[test]
fn answer_of_the_handler_is_the_response() {
    for (answer, response) in [
        (
            "json : {\"n\":1.0}",
            r#""dataType":"json","data":{"n":1.0}"#,
        ),
        ("text : hi", r#""dataType":"text","data":"hi""#),
        ("binary : hi", r#""dataType":"binary","data":"aGk=""#),
    ] {
        check(
            &format!(
                "given open a events=user
                 {INVOKE}
                 answer a 1 {answer}"
            ),
            &format!(
                r#"invoke 1 a/1 sum text x
                   a <- {{"type":"invokeResponse","invocationId":"i","success":true,{response}}}"#
            ),
        );
    }
}

/// Checklist 117: the official client drops a response with `null` in it.
#[test]
fn empty_answer_and_null_are_a_success_without_data() {
    for answer in ["", "json : null"] {
        check(
            &format!(
                "given open a events=user
                 given {INVOKE}
                 answer a 1 {answer}"
            ),
            r#"a <- {"type":"invokeResponse","invocationId":"i","success":true}"#,
        );
    }
}

/// Section 3.9.
#[test]
fn response_has_the_metadata_of_the_answer() {
    check(
        &format!(
            "given open a events=user
             given {INVOKE}
             answer a 1 text metadata=k~v : hi"
        ),
        r#"a <- {"type":"invokeResponse","invocationId":"i","success":true,"dataType":"text","data":"hi","metadata":{"k":"v"}}"#,
    );
}

/// Checklist 117: each row of the table.
#[test]
fn failure_has_its_name() {
    for (failure, name) in [
        ("not_found", "NotFound"),
        ("400", "BadRequest"),
        ("401", "Unauthorized"),
        ("403", "Forbidden"),
        ("404", "BadRequest"),
        ("408", "Timeout"),
        ("429", "BadRequest"),
        ("302", "InternalServerError"),
        ("500", "InternalServerError"),
        ("503", "InternalServerError"),
        ("timeout", "Timeout"),
        ("failed", "InternalServerError"),
    ] {
        let lines = outputs(&format!(
            "given open a events=user
             given {INVOKE}
             fail a 1 {failure}"
        ));
        let start = format!(
            r#"a <- {{"type":"invokeResponse","invocationId":"i","success":false,"error":{{"name":"{name}","message":""#
        );
        assert!(
            lines.len() == 1 && lines[0].starts_with(&start),
            "{failure}: {lines:?}"
        );
    }
}

/// Checklist 117, first row of the table.
#[test]
fn error_of_the_handler_itself_is_copied() {
    check(
        &format!(
            "given open a events=user
             given {INVOKE}
             fail a 1 403 : OutOfPaper tray \"2\" is empty"
        ),
        r#"a <- {"type":"invokeResponse","invocationId":"i","success":false,"error":{"name":"OutOfPaper","message":"tray \"2\" is empty"}}"#,
    );
}

/// Section 3.9: they have nothing to do with the failures of events.
#[test]
fn failed_invocation_closes_nobody() {
    check(
        &format!(
            "given open a events=user drop_on_event_failure
             given {INVOKE}
             given fail a 1 500
             count all"
        ),
        "matched 1",
    );
}

/// Section 3.9: they run beside each other and beside later frames.
#[test]
fn invocations_are_answered_in_any_order() {
    check(
        r#"given open a events=user
         a -> {"type":"invoke","invocationId":"i","event":"sum","data":1}
         a -> {"type":"invoke","invocationId":"j","event":"sum","data":2}
         a -> {"type":"ping"}
         answer a 2
         answer a 1"#,
        r#"invoke 1 a/1 sum json 1
           invoke 2 a/2 sum json 2
           a <- {"type":"pong"}
           a <- {"type":"invokeResponse","invocationId":"j","success":true}
           a <- {"type":"invokeResponse","invocationId":"i","success":true}"#,
    );
}

/// Section 3.9: data may be left out.
#[test]
fn invocation_without_data_is_an_empty_text() {
    check(
        r#"given open a events=user
         a -> {"type":"invoke","invocationId":"i","event":"sum"}"#,
        "invoke 1 a/1 sum text ",
    );
}

/// Checklist 117.
#[test]
fn id_is_in_use_until_it_is_answered_or_cancelled() {
    check(
        &format!(
            r#"given open a events=user
             given open b events=user
             given {INVOKE}
             {INVOKE}
             b -> {{"type":"invoke","invocationId":"i","event":"sum"}}
             given answer a 1
             {INVOKE}
             given a -> {{"type":"cancelInvocation","invocationId":"i"}}
             {INVOKE}"#
        ),
        r#"a <- {"type":"invokeResponse","invocationId":"i","success":false,"error":{"name":"BadRequest","message":"The invocation is open already."}}
           invoke 2 b/1 sum text 
           invoke 3 a/2 sum text x
           invoke 4 a/3 sum text x"#,
    );
}

/// Checklist 117: at most 64 are open.
#[test]
fn one_invocation_too_many_is_refused() {
    let invoke = |number: usize| {
        format!(r#"a -> {{"type":"invoke","invocationId":"{number}","event":"sum","data":1}}"#)
    };
    let open: Vec<String> = (1..=64).map(|n| format!("given {}", invoke(n))).collect();
    check(
        &format!(
            "given open a events=user
             {}
             {}
             given answer a 7
             {}",
            open.join("\n"),
            invoke(65),
            invoke(66)
        ),
        r#"a <- {"type":"invokeResponse","invocationId":"65","success":false,"error":{"name":"BadRequest","message":"A connection has at most 64 open invocations."}}
           invoke 65 a/65 sum json 1"#,
    );
}

/// Ours: an id is kept until the answer.
#[test]
fn id_has_a_length() {
    let id = "i".repeat(1025);
    check(
        &format!(
            r#"given open a events=user
             a -> {{"type":"invoke","invocationId":"{id}","event":"sum"}}
             given a -> {{"type":"invoke","invocationId":"{}","event":"sum"}}
             given fail a 1 500"#,
            &id[1..]
        ),
        &format!(
            r#"a <- {{"type":"invokeResponse","invocationId":"{id}","success":false,"error":{{"name":"BadRequest","message":"The id of an invocation has at most 1024 bytes."}}}}"#
        ),
    );
}

/// Checklist 118.
#[test]
fn cancelled_invocation_yields_no_frame() {
    check(
        &format!(
            r#"given open a events=user
             given {INVOKE}
             a -> {{"type":"cancelInvocation","invocationId":"other"}}
             a -> {{"type":"cancelInvocation","invocationId":"i"}}
             a -> {{"type":"cancelInvocation","invocationId":"i"}}
             answer a 1 text : late"#
        ),
        "forget 1",
    );
}

/// Section 3.9: pending invocations are lost when the transport drops.
#[test]
fn invocations_are_lost_with_the_socket() {
    for loss in [
        "gone a lost",
        "peer_closed a 1001\ngone a dropped",
        "+45s\ngone a dropped",
    ] {
        let lines = outputs(&format!(
            "given open a reliable events=user
             given attach a
             given {INVOKE}
             {loss}
             answer a 1 text : late
             given recover a
             answer a 1 text : later
             {INVOKE}"
        ));
        let told: Vec<&str> = lines
            .iter()
            .map(|line| {
                line.split_once("ms: ")
                    .map_or(line.as_str(), |(_, line)| line)
            })
            .filter(|line| {
                !line.contains(" close ") && !line.contains(" abort") && !line.contains(" ping")
            })
            .collect();
        assert_eq!(told, ["forget 1", "invoke 2 a/2 sum text x"], "{loss}");
    }
}

/// Section 5.5: a client that takes over has a new transport, too.
#[test]
fn invocations_are_lost_when_another_socket_takes_over() {
    check(
        &format!(
            "given open a reliable events=user
             given attach a
             given {INVOKE}
             recover a
             answer a 1 text : late
             {INVOKE}"
        ),
        r#"forget 1
           a abort
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           recovered as json.reliable.webpubsub.azure.v1
           invoke 2 a/2 sum text x"#,
    );
}

/// Section 3.9: no sequence id, so it is no message that is replayed.
#[test]
fn response_is_not_replayed() {
    check(
        &format!(
            "given open a reliable events=user
             given attach a
             given {INVOKE}
             answer a 1 text : hi
             given gone a lost
             recover a"
        ),
        r#"a <- {"type":"invokeResponse","invocationId":"i","success":true,"dataType":"text","data":"hi"}
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// The hub of a connection decides, and its switch.
#[test]
fn hubs_do_not_share_their_handlers() {
    check(
        &format!(
            r#"given open a hub=chat events=user
             given open b hub=other
             {INVOKE}
             b -> {{"type":"invoke","invocationId":"i","event":"sum"}}
             given open c hub=third events=user no_invocation
             given c -> {{"type":"invoke","invocationId":"i","event":"sum"}}
             count all hub=third"#
        ),
        r#"invoke 1 a/1 sum text x
           b <- {"type":"invokeResponse","invocationId":"i","success":false,"error":{"name":"NotFound","message":"Nothing handles the event."}}
           matched 0"#,
    );
}

/// client-protocols 4.2: `invoke_response_message`.
#[test]
fn protobuf_clients_invoke_too() {
    check(
        // invoke_event_message { event: "sum", invocation_id: "i", data { text_data: "x" } }
        "given open a protobuf events=user
         a =hex> 520D 0A0373756D 120169 1A030A0178
         answer a 1 text : hi
         a =hex> 520D 0A0373756D 120169 1A030A0178
         fail a 2 401",
        r#"invoke 1 a/1 sum text x
          a <= *\x0b\n\x01i\x10\x01\x1a\x04\n\x02hi
          invoke 2 a/2 sum text x
          a <= *9\n\x01i\"4\n\x0cUnauthorized\x12$The event handler wants credentials."#,
    );
}
