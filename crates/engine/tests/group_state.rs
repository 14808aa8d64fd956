//! What connections show of themselves in a group. Source: client-protocols 3.10.

#[path = "support/script.rs"]
mod script;

use script::check;

/// Checklist 120.
#[test]
fn subscriber_gets_a_snapshot_and_then_every_change() {
    check(
        r#"given open a user=ann groups=g
         given open b groups=g
         a -> {"type":"setGroupState","group":"g","state":{"mood":"good"},"ackId":1}
         +5ms
         b -> {"type":"subscribeGroupState","group":"g","ackId":1}
         a -> {"type":"setGroupState","group":"g","state":{"mood":"bad","typing":""}}
         a -> {"type":"setGroupState","group":"g"}"#,
        r#"a forward send watchers:g excluded=
           a <- {"type":"ack","ackId":1,"success":true}
           b <- {"type":"ack","ackId":1,"success":true}
           b <- {"type":"groupStateSnapshot","group":"g","items":[{"connectionId":"a","userId":"ann","state":{"mood":"good"},"updatedAt":1000000}]}
           b <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"a","userId":"ann","state":{"mood":"bad","typing":""},"updatedAt":1000005}]}
           a forward send watchers:g excluded=
           b <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"a","userId":"ann","updatedAt":1000006}]}
           a forward send watchers:g excluded="#,
    );
}

/// Checklist 120.
#[test]
fn subscriber_sees_its_own_changes_and_an_empty_snapshot() {
    check(
        r#"given open a groups=g
         a -> {"type":"subscribeGroupState","group":"g"}
         a -> {"type":"setGroupState","group":"g","state":{}}"#,
        r#"a <- {"type":"groupStateSnapshot","group":"g","items":[]}
           a <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"a","state":{},"updatedAt":1000000}]}
           a forward send watchers:g excluded="#,
    );
}

/// Checklist 120.
#[test]
fn end_of_a_connection_clears_its_states() {
    check(
        r#"given open a groups=g,h
         given open b groups=g
         given b -> {"type":"subscribeGroupState","group":"g"}
         given a -> {"type":"setGroupState","group":"g","state":{"n":"1"}}
         given a -> {"type":"setGroupState","group":"h","state":{"n":"2"}}
         gone a lost
         b -> {"type":"subscribeGroupState","group":"g"}"#,
        r#"a ended ConnectionLost "The connection was lost."
           b <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"a","updatedAt":1000002}]}
           relay send watchers:g excluded=
           relay send watchers:h excluded=
           b <- {"type":"groupStateSnapshot","group":"g","items":[]}"#,
    );
}

/// Section 3.10: a reliable connection shows its states until it is gone for good.
#[test]
fn states_outlive_a_socket() {
    check(
        r#"given open a reliable groups=g
         given attach a
         given open b groups=g
         given a -> {"type":"setGroupState","group":"g","state":{"n":"1"}}
         gone a lost
         b -> {"type":"subscribeGroupState","group":"g"}
         given recover a
         gone a not_attached
         +30s"#,
        r#"b <- {"type":"groupStateSnapshot","group":"g","items":[{"connectionId":"a","state":{"n":"1"},"updatedAt":1000000}]}
           30000ms: a ended ConnectionLost "Connection recovery timed out."
           30000ms: b <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"a","updatedAt":1030000}]}
           30000ms: relay send watchers:g excluded="#,
    );
}

/// Section 3.10: sequenced and replayed like data.
#[test]
fn states_are_numbered_and_replayed_on_a_reliable_connection() {
    check(
        r#"given open a reliable groups=g
         given attach a
         a -> {"type":"subscribeGroupState","group":"g"}
         gone a lost
         given open b groups=g
         b -> {"type":"setGroupState","group":"g","state":{"n":"1"}}
         recover a"#,
        r#"a <- {"sequenceId":1,"type":"groupStateSnapshot","group":"g","items":[]}
           b forward send watchers:g excluded=
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           a <- {"sequenceId":1,"type":"groupStateSnapshot","group":"g","items":[]}
           a <- {"sequenceId":2,"type":"groupStateUpdate","group":"g","items":[{"connectionId":"b","state":{"n":"1"},"updatedAt":1000000}]}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// Section 3.10.
#[test]
fn only_a_member_shows_a_state() {
    check(
        r#"given open a roles=joinLeaveGroup
         a -> {"type":"setGroupState","group":"g","state":{},"ackId":1}
         given a -> {"type":"joinGroup","group":"g"}
         a -> {"type":"setGroupState","group":"g","state":{},"ackId":1}"#,
        r#"a <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"The client is not a member of group 'g'."}}
           a forward send watchers:g excluded=
           a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Section 3.10.
#[test]
fn members_subscribe_and_those_who_could_join() {
    check(
        r#"given open a groups=g
         given open b roles=joinLeaveGroup.g
         given open c
         a -> {"type":"subscribeGroupState","group":"g","ackId":1}
         b -> {"type":"subscribeGroupState","group":"g","ackId":1}
         c -> {"type":"subscribeGroupState","group":"g","ackId":1}"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}
           a <- {"type":"groupStateSnapshot","group":"g","items":[]}
           b <- {"type":"ack","ackId":1,"success":true}
           b <- {"type":"groupStateSnapshot","group":"g","items":[]}
           c <- {"type":"ack","ackId":1,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to watch group 'g'."}}"#,
    );
}

/// Section 3.10, by the client and by the app server.
#[test]
fn leaving_clears_the_state() {
    check(
        r#"given open a groups=g roles=joinLeaveGroup
         given open b groups=g roles=joinLeaveGroup
         given b -> {"type":"subscribeGroupState","group":"g"}
         given a -> {"type":"setGroupState","group":"g","state":{}}
         a -> {"type":"leaveGroup","group":"g","ackId":1}
         given b -> {"type":"setGroupState","group":"g","state":{}}
         remove_all connection:b"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}
           b <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"a","updatedAt":1000001}]}
           relay send watchers:g excluded=
           matched 1
           b <- {"type":"groupStateUpdate","group":"g","items":[{"connectionId":"b","updatedAt":1000003}]}
           relay send watchers:g excluded="#,
    );
}

/// Section 3.10: one who may not watch as an outsider stops to with the membership.
#[test]
fn subscription_ends_with_the_membership_that_it_needs() {
    check(
        r#"given open a groups=g
         given open b groups=g
         given a -> {"type":"subscribeGroupState","group":"g"}
         remove connection:a g
         b -> {"type":"setGroupState","group":"g","state":{}}"#,
        r#"matched 1
           b forward send watchers:g excluded="#,
    );
}

/// Section 3.10.
#[test]
fn subscription_can_be_ended() {
    check(
        r#"given open a groups=g
         given a -> {"type":"subscribeGroupState","group":"g"}
         a -> {"type":"unsubscribeGroupState","group":"g","ackId":1}
         a -> {"type":"unsubscribeGroupState","group":"h","ackId":2}
         a -> {"type":"setGroupState","group":"g","state":{}}"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}
           a <- {"type":"ack","ackId":2,"success":true}
           a forward send watchers:g excluded="#,
    );
}

/// Section 3.10.
#[test]
fn clearing_what_is_not_there_says_nothing() {
    check(
        r#"given open a groups=g
         given a -> {"type":"subscribeGroupState","group":"g"}
         a -> {"type":"setGroupState","group":"g","ackId":1}"#,
        r#"a <- {"type":"ack","ackId":1,"success":true}"#,
    );
}

/// Checklist 120.
#[test]
fn frames_of_group_state_are_violations_where_the_hub_has_none() {
    for frame in [
        r#"{"type":"setGroupState","group":"g"}"#,
        r#"{"type":"subscribeGroupState","group":"g"}"#,
        r#"{"type":"unsubscribeGroupState","group":"g"}"#,
    ] {
        check(
            &format!("given open a groups=g no_group_state\na -> {frame}"),
            r#"a ended BadRequest "The client message is not a valid JSON protocol message."
               a close 1007 "The client message is not a valid JSON protocol message.""#,
        );
    }
}
