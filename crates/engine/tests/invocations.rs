//! Invocations, which nothing answers yet. Source: client-protocols 3.9.

#[path = "support/script.rs"]
mod script;

use script::check;

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
