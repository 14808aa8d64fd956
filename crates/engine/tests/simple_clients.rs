//! Simple WebSocket clients (client-protocols 2).

#[path = "support/script.rs"]
mod script;

use script::check;

/// Checklist 35.
#[test]
fn event_that_nobody_handles_closes_with_1011() {
    check(
        "given open a simple
         a -> hi",
        r#"a ended EventHandlerNotFound "Internal server error"
           a close 1011 "Internal server error""#,
    );
}

/// Checklist 37.
#[test]
fn publish_mode_sends_text_and_binary_to_the_group() {
    check(
        "given open a simple user=ann publish=g roles=sendToGroup.g
         given open b groups=g
         given open c simple groups=g
         a -> hi
         a => hi
         count group:g",
        r#"b <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"text","data":"hi"}
           c <- hi
           a forward send group:g excluded=
           b <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"binary","data":"aGk="}
           c <= hi
           a forward send group:g excluded=
           matched 2"#,
    );
}

#[test]
fn empty_message_is_published_too() {
    check(
        "given open a simple publish=g roles=sendToGroup
         given open b groups=g
         a ->",
        r#"b <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":""}
           a forward send group:g excluded="#,
    );
}

/// Checklist 39.
#[test]
fn publish_mode_echoes_to_a_member_unless_told_not_to() {
    check(
        "given open a simple publish=g roles=sendToGroup groups=g
         given open b simple publish=g roles=sendToGroup groups=g no_echo
         a -> one
         b -> two",
        "a <- one
         b <- one
         a forward send group:g excluded=
         a <- two
         b forward send group:g excluded=b",
    );
}

/// Checklist 38.
#[test]
fn publish_without_permission_closes_with_1008() {
    check(
        "given open a simple publish=g roles=sendToGroup.h
         given open b groups=g
         a -> hi",
        r#"a ended Unauthorized "The client does not have permission to send to the group."
           a close 1008 "The client does not have permission to send to the group.""#,
    );
}

#[test]
fn permission_to_publish_is_looked_at_for_every_message() {
    check(
        "given open a simple publish=g roles=sendToGroup groups=g
         a -> one
         revoke a sendToGroup : g
         a -> two",
        r#"a <- one
           a forward send group:g excluded=
           matched 1
           a ended Unauthorized "The client does not have permission to send to the group."
           a close 1008 "The client does not have permission to send to the group.""#,
    );
}

#[test]
fn close_by_the_app_server_is_a_close_frame_alone() {
    check(
        "given open a simple
         close connection:a : because",
        r#"a ended ClosedByAppServer "Application server closed the connection. Reason: because"
           a close 1000 ""
           matched 1"#,
    );
}
