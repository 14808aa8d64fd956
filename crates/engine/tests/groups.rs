//! What clients of the JSON subprotocol do with groups, and how it is acknowledged.

#[path = "support/script.rs"]
mod script;

use script::check;

/// Checklist 44.
#[test]
fn join_and_leave_are_acked() {
    check(
        r#"given open a roles=joinLeaveGroup
         a -> {"type":"joinGroup","group":"g","ackId":1}
         count group:g
         a -> {"type":"joinGroup","group":"g","ackId":2}
         count group:g
         a -> {"type":"leaveGroup","group":"g","ackId":3}
         count group:g"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}
           matched 1
           a <- {"type":"ack","ackId":2,"success":true}
           matched 1
           a <- {"type":"ack","ackId":3,"success":true}
           matched 0"#,
    );
}

/// Checklist 53.
#[test]
fn leaving_a_group_without_being_a_member_succeeds() {
    check(
        r#"given open a roles=joinLeaveGroup
         a -> {"type":"leaveGroup","group":"g","ackId":1}
         given open b groups=g
         a -> {"type":"leaveGroup","group":"g","ackId":2}
         count group:g"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}
           a <- {"type":"ack","ackId":2,"success":true}
           matched 1"#,
    );
}

/// Checklist 45.
#[test]
fn request_without_permission_is_forbidden() {
    check(
        r#"given open a groups=h
         a -> {"type":"joinGroup","group":"g","ackId":1}
         a -> {"type":"leaveGroup","group":"h","ackId":2}
         a -> {"type":"sendToGroup","group":"h","data":1,"ackId":3}
         count group:g
         count group:h"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to join group 'g'."}}
           a <- {"type":"ack","ackId":2,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to leave group 'h'."}}
           a <- {"type":"ack","ackId":3,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to send to group 'h'."}}
           matched 0
           matched 1"#,
    );
}

/// Checklist 46, 52.
#[test]
fn request_without_ack_id_fails_and_succeeds_in_silence() {
    check(
        r#"given open a roles=joinLeaveGroup
         given open b
         b -> {"type":"joinGroup","group":"g"}
         b -> {"type":"joinGroup","group":"g","ackId":null}
         count group:g
         a -> {"type":"joinGroup","group":"g"}
         count group:g
         count all"#,
        "matched 0
         matched 1
         matched 2",
    );
}

#[test]
fn each_permission_counts_for_itself() {
    check(
        r#"given open a roles=sendToGroup
         given open b roles=joinLeaveGroup
         a -> {"type":"joinGroup","group":"g","ackId":1}
         a -> {"type":"sendToGroup","group":"g","data":1,"ackId":2}
         b -> {"type":"joinGroup","group":"g","ackId":1}
         b -> {"type":"sendToGroup","group":"g","data":1,"ackId":2}"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to join group 'g'."}}
           a forward send group:g excluded=
           a <- {"type":"ack","ackId":2,"success":true}
           b <- {"type":"ack","ackId":1,"success":true}
           b <- {"type":"ack","ackId":2,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to send to group 'g'."}}"#,
    );
}

/// Checklist 58, 59, 75: members receive, the sender need not be one, and the echo comes before the ack.
#[test]
fn members_receive_what_is_sent_to_their_group() {
    check(
        r#"given open a user=ann groups=g roles=sendToGroup
         given open b groups=g,h
         given open c groups=h
         given open d hub=other groups=g
         a -> {"type":"sendToGroup","group":"g","data":{"n":1.0},"ackId":1}
         a -> {"type":"sendToGroup","group":"h","dataType":"text","data":"x"}"#,
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":{"n":1.0}}
           b <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":{"n":1.0}}
           a forward send group:g excluded=
           a <- {"type":"ack","ackId":1,"success":true}
           b <- {"type":"message","from":"group","group":"h","fromUserId":"ann","dataType":"text","data":"x"}
           c <- {"type":"message","from":"group","group":"h","fromUserId":"ann","dataType":"text","data":"x"}
           a forward send group:h excluded="#,
    );
}

/// Checklist 58.
#[test]
fn no_echo_leaves_out_the_sender_alone() {
    check(
        r#"given open a user=ann groups=g roles=sendToGroup
         given open b user=ann groups=g
         a -> {"type":"sendToGroup","group":"g","data":1,"noEcho":true,"ackId":1}"#,
        r#"b <- {"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":1}
           a forward send group:g excluded=a
           a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Checklist 59.
#[test]
fn send_to_an_empty_group_succeeds() {
    check(
        r#"given open a roles=sendToGroup
         a -> {"type":"sendToGroup","group":"nobody","data":1,"ackId":1}"#,
        r#"a forward send group:nobody excluded=
           a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Checklist 77.
#[test]
fn group_names_are_case_sensitive() {
    check(
        r#"given open a groups=Room roles=sendToGroup
         given a -> {"type":"sendToGroup","group":"room","data":1}
         count group:room
         count group:Room"#,
        "matched 0
         matched 1",
    );
}

/// Checklist 60, 151.
#[test]
fn message_with_a_time_to_live_carries_its_end() {
    check(
        r#"given open a groups=g roles=sendToGroup
         +500ms
         a -> {"type":"sendToGroup","group":"g","data":1,"ttlSeconds":2}
         send group:g ttl=300 : hi"#,
        r#"a <- until 2500ms {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"json","data":1}
           a forward send group:g excluded=
           a <- until 300500ms {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"hi"}"#,
    );
}

/// Checklist 61.
#[test]
fn metadata_reaches_the_members() {
    check(
        r#"given open a groups=g roles=sendToGroup
         a -> {"type":"sendToGroup","group":"g","metadata":{"Trace":"A"}}"#,
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"","metadata":{"Trace":"A"}}
           a forward send group:g excluded="#,
    );
}

/// Checklist 47.
#[test]
fn ack_id_of_a_success_is_not_executed_again() {
    check(
        r#"given open a groups=g roles=sendToGroup,joinLeaveGroup
         given a -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}
         a -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}
         a -> {"type":"leaveGroup","group":"g","ackId":1}
         a -> {"type":"event","event":"e","data":1,"ackId":1}
         count group:g"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}
           a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}
           a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}
           matched 1"#,
    );
}

#[test]
fn duplicate_is_noticed_before_a_missing_permission() {
    check(
        r#"given open a roles=joinLeaveGroup
         given a -> {"type":"joinGroup","group":"g","ackId":1}
         a -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}"#,
    );
}

/// Checklist 48.
#[test]
fn ack_id_of_a_failure_may_be_used_again() {
    check(
        r#"given open a roles=joinLeaveGroup
         given a -> {"type":"sendToGroup","group":"g","data":1,"ackId":1}
         a -> {"type":"joinGroup","group":"g","ackId":1}"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

#[test]
fn ack_ids_of_connections_are_independent() {
    check(
        r#"given open a roles=joinLeaveGroup
         given open b roles=joinLeaveGroup
         given a -> {"type":"joinGroup","group":"g","ackId":1}
         b -> {"type":"joinGroup","group":"g","ackId":1}"#,
        r#"b <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Checklist 49.
#[test]
fn smallest_and_largest_ack_ids_work() {
    check(
        r#"given open a roles=joinLeaveGroup
         a -> {"type":"joinGroup","group":"g","ackId":18446744073709551615}
         a -> {"type":"joinGroup","group":"g","ackId":0}
         a -> {"type":"joinGroup","group":"g","ackId":0}"#,
        r#"a <- {"type":"ack","ackId":18446744073709551615,"success":true}
           a <- {"type":"ack","ackId":0,"success":true}
           a <- {"type":"ack","ackId":0,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 0 has been processed"}}"#,
    );
}

/// Checklist 50.
#[test]
fn ack_id_is_forgotten_after_1000_newer_successes() {
    let request =
        |ack_id: u32| format!(r#"a -> {{"type":"joinGroup","group":"g","ackId":{ack_id}}}"#);
    let newer = |count: u32| {
        (2..2 + count)
            .map(|ack_id| format!("given {}\n", request(ack_id)))
            .collect::<String>()
    };
    let script = |count| {
        format!(
            "given open a roles=joinLeaveGroup\ngiven {}\n{}{}",
            request(1),
            newer(count),
            request(1)
        )
    };
    check(
        &script(999),
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}"#,
    );
    check(
        &script(1000),
        r#"a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Checklist 50.
#[test]
fn failures_push_no_ack_id_out() {
    check(
        r#"limits remembered_ack_ids=2
         given open a roles=joinLeaveGroup
         given a -> {"type":"joinGroup","group":"g","ackId":1}
         given a -> {"type":"joinGroup","group":"g","ackId":2}
         given a -> {"type":"sendToGroup","group":"g","data":1,"ackId":3}
         given a -> {"type":"joinGroup","group":"g","ackId":2}
         a -> {"type":"joinGroup","group":"g","ackId":1}
         given a -> {"type":"joinGroup","group":"g","ackId":3}
         a -> {"type":"joinGroup","group":"g","ackId":1}
         a -> {"type":"joinGroup","group":"g","ackId":3}"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 1 has been processed"}}
           a <- {"type":"ack","ackId":1,"success":true}
           a <- {"type":"ack","ackId":3,"success":false,"error":{"name":"Duplicate","message":"Message with ack-id: 3 has been processed"}}"#,
    );
}

/// Checklist 68.
#[test]
fn ping_is_answered_by_pong() {
    check(
        r#"given open a
         a -> {"type":"ping"}"#,
        r#"a <- {"type":"pong"}"#,
    );
}

/// Checklist 69.
#[test]
fn sequence_ack_is_ignored() {
    check(
        r#"given open a
         a -> {"type":"sequenceAck","sequenceId":7}
         count all"#,
        "matched 1",
    );
}

/// The specification lets a service accept JSON in binary messages (client-protocols 11, row 4).
#[test]
fn binary_message_with_json_is_accepted() {
    check(
        r#"given open a
         a => {"type":"ping"}"#,
        r#"a <- {"type":"pong"}"#,
    );
}

/// Checklist 65, 66: nothing handles events.
#[test]
fn event_fails_and_the_connection_stays() {
    check(
        r#"given open a roles=joinLeaveGroup
         a -> {"type":"event","event":"e","data":1,"ackId":1}
         a -> {"type":"event","event":"e","data":1,"ackId":1}
         a -> {"type":"event","event":"e","data":1}
         a -> {"type":"joinGroup","group":"g","ackId":1}"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}
           a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"InternalServerError","message":"Internal server error"}}
           a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

#[test]
fn failed_event_closes_the_connection_where_the_hub_says_so() {
    check(
        r#"given open a drop_on_event_failure
         a -> {"type":"event","event":"e","data":1,"ackId":1}"#,
        r#"a ended EventHandlerNotFound "Internal server error"
           a close 1011 "Internal server error""#,
    );
}

/// Checklist 152.
#[test]
fn receiver_sees_the_order_of_the_sender() {
    check(
        r#"given open a roles=sendToGroup,joinLeaveGroup
         given open b groups=g
         a -> {"type":"sendToGroup","group":"g","data":1}
         given a -> {"type":"joinGroup","group":"g"}
         a -> {"type":"sendToGroup","group":"g","dataType":"text","data":"2","noEcho":true}
         given a -> {"type":"leaveGroup","group":"g"}
         a -> {"type":"sendToGroup","group":"g","dataType":"binary","data":"Mw=="}"#,
        r#"b <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"json","data":1}
           a forward send group:g excluded=
           b <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"2"}
           a forward send group:g excluded=a
           b <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"binary","data":"Mw=="}
           a forward send group:g excluded="#,
    );
}
