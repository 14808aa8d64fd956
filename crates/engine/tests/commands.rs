//! What is done to a hub from outside: by REST callers and by other nodes.

#[path = "support/script.rs"]
mod script;

use script::check;

/// Checklist 76.
#[test]
fn send_reaches_all_group_user_and_connection_of_its_hub() {
    check(
        "given open a user=ann groups=g
         given open b user=ann
         given open c hub=other user=ann groups=g
         send all : 1
         send group:g : 2
         send user:ann : 3
         send connection:b : 4
         send connection:c : 5
         send connection:c hub=other : 6",
        r#"a <- {"type":"message","from":"server","dataType":"text","data":"1"}
           b <- {"type":"message","from":"server","dataType":"text","data":"1"}
           a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"2"}
           b <- {"type":"message","from":"server","dataType":"text","data":"3"}
           a <- {"type":"message","from":"server","dataType":"text","data":"3"}
           b <- {"type":"message","from":"server","dataType":"text","data":"4"}
           c <- {"type":"message","from":"server","dataType":"text","data":"6"}"#,
    );
}

#[test]
fn send_to_nobody_does_nothing() {
    check(
        "send all : 1
         given open a
         send group:g : 2
         send user:ann : 3
         send connection:unknown : 4
         send all hub=other : 5",
        "",
    );
}

#[test]
fn excluded_connections_do_not_receive() {
    check(
        "given open a user=ann groups=g
         given open b user=ann groups=g
         given open c user=ann groups=g
         send all excluded=a,c : 1
         send group:g excluded=b,unknown,b : 2
         send user:ann excluded=a,b,c : 3
         send connection:a excluded=a : 4",
        r#"b <- {"type":"message","from":"server","dataType":"text","data":"1"}
           a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"2"}
           c <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"2"}"#,
    );
}

#[test]
fn connection_of_another_hub_cannot_be_excluded() {
    check(
        "given open a
         given open b hub=other
         send all excluded=b : 1",
        r#"a <- {"type":"message","from":"server","dataType":"text","data":"1"}"#,
    );
}

#[test]
fn every_kind_of_client_receives_its_own_form() {
    check(
        "given open a
         given open b simple
         given open c
         send all : hi",
        r#"a <- {"type":"message","from":"server","dataType":"text","data":"hi"}
           b <- hi
           c <- {"type":"message","from":"server","dataType":"text","data":"hi"}"#,
    );
}

/// Checklist 123.
#[test]
fn close_with_a_reason_tells_the_client_and_then_closes_with_1000() {
    check(
        "given open a user=ann
         close connection:a : maintenance: ünder way
         count user:ann",
        r#"a <- {"type":"system","event":"disconnected","message":"Application server closed the connection. Reason: maintenance: ünder way"}
           a of ann ended ClosedByAppServer "Application server closed the connection. Reason: maintenance: ünder way"
           a close 1000 ""
           matched 1
           matched 0"#,
    );
}

/// Checklist 123.
#[test]
fn close_without_a_reason_has_the_short_text() {
    check(
        "given open a
         close connection:a",
        r#"a <- {"type":"system","event":"disconnected","message":"Application server closed the connection."}
           a ended ClosedByAppServer "Application server closed the connection."
           a close 1000 ""
           matched 1"#,
    );
}

#[test]
fn close_takes_all_of_its_target_except_the_excluded() {
    check(
        "given open a simple user=ann groups=g
         given open b simple user=ann groups=g
         given open c simple user=bob groups=g
         given open d simple
         close user:ann excluded=a
         close group:g excluded=c
         close all excluded=d
         close all hub=other
         close connection:unknown
         count all",
        r#"b of ann ended ClosedByAppServer "Application server closed the connection."
           b close 1000 ""
           matched 1
           a of ann ended ClosedByAppServer "Application server closed the connection."
           a close 1000 ""
           matched 1
           c of bob ended ClosedByAppServer "Application server closed the connection."
           c close 1000 ""
           matched 1
           matched 0
           matched 0
           matched 1"#,
    );
}

#[test]
fn count_is_that_of_connections() {
    check(
        "given open a user=ann groups=g,h
         given open b user=ann groups=g
         given open c
         count all
         count group:g
         count group:h
         count group:i
         count user:ann
         count user:bob
         count connection:c
         count connection:unknown
         count all hub=other
         count connection:c hub=other",
        "matched 3
         matched 2
         matched 1
         matched 0
         matched 2
         matched 0
         matched 1
         matched 0
         matched 0
         matched 0",
    );
}

/// Checklist 154.
#[test]
fn memberships_need_no_permission_and_count_at_once() {
    check(
        "given open a user=ann
         given open b user=ann
         add connection:a g
         count group:g
         add user:ann g
         count group:g
         add connection:a g
         count group:g
         add all h
         count group:h
         add connection:unknown g",
        "matched 1
         matched 1
         matched 2
         matched 2
         matched 1
         matched 2
         matched 2
         matched 2
         matched 0",
    );
}

#[test]
fn memberships_end_one_by_one_or_all_together() {
    check(
        "given open a user=ann groups=g,h
         given open b user=ann groups=g,h
         remove connection:b g
         count group:g
         remove connection:b g
         remove_all connection:a
         count group:g
         count group:h
         remove_all user:ann
         count group:h
         remove_all connection:unknown",
        "matched 1
         matched 1
         matched 1
         matched 1
         matched 0
         matched 1
         matched 2
         matched 0
         matched 0",
    );
}

#[test]
fn user_does_not_join_by_connections_that_come_later() {
    check(
        "given open a user=ann
         given add user:ann g
         given open b user=ann
         count group:g",
        "matched 1",
    );
}

/// Checklist 133.
#[test]
fn grant_and_revoke_count_from_the_next_frame_on() {
    check(
        r#"given open a
         check a joinLeaveGroup : g
         grant a joinLeaveGroup : g
         check a joinLeaveGroup : g
         check a sendToGroup : g
         check a joinLeaveGroup : G
         a -> {"type":"joinGroup","group":"g","ackId":1}
         revoke a joinLeaveGroup : g
         check a joinLeaveGroup : g
         a -> {"type":"joinGroup","group":"g","ackId":2}
         count group:g"#,
        r#"denied
           matched 1
           matched 1
           denied
           denied
           a <- {"type":"ack","ackId":1,"success":true}
           matched 1
           denied
           a <- {"type":"ack","ackId":2,"success":false,"error":{"name":"Forbidden","message":"The client does not have permission to join group 'g'."}}
           matched 1"#,
    );
}

/// Checklist 132.
#[test]
fn revoke_overrides_a_role_until_it_is_granted_again() {
    check(
        "given open a roles=sendToGroups.room.*,joinLeaveGroup
         revoke a sendToGroup : room.1
         check a sendToGroup : room.1
         check a sendToGroup : room.2
         revoke a joinLeaveGroup : room.1
         check a joinLeaveGroup : room.1
         check a joinLeaveGroup : room.2
         grant a sendToGroup : room.1
         check a sendToGroup : room.1
         grant a joinLeaveGroup : room.1
         check a joinLeaveGroup : room.1",
        "matched 1
         denied
         matched 1
         matched 1
         denied
         matched 1
         matched 1
         matched 1
         matched 1
         matched 1",
    );
}

/// Checklist 132: also where the group is named by a role of its own.
#[test]
fn revoke_overrides_all_roles_that_allow_the_group() {
    check(
        "given open a roles=sendToGroup.g,sendToGroup,joinLeaveGroups.g*,joinLeaveGroup.g
         revoke a sendToGroup : g
         check a sendToGroup : g
         check a sendToGroup : h
         revoke a joinLeaveGroup : g
         check a joinLeaveGroup : g
         check a joinLeaveGroup : g2
         grant a sendToGroup : g
         check a sendToGroup : g
         grant a joinLeaveGroup : g
         check a joinLeaveGroup : g",
        "matched 1
         denied
         matched 1
         matched 1
         denied
         matched 1
         matched 1
         matched 1
         matched 1
         matched 1",
    );
}

#[test]
fn grant_takes_a_group_name_as_it_is() {
    check(
        "given open a
         grant a sendToGroup : *
         check a sendToGroup : *
         check a sendToGroup : g
         grant a sendToGroup : a/b+你好 x
         check a sendToGroup : a/b+你好 x",
        "matched 1
         matched 1
         denied
         matched 1
         matched 1",
    );
}

#[test]
fn permissions_of_a_missing_connection_are_not_found() {
    check(
        "given open a
         given open b
         given gone b lost
         grant unknown sendToGroup : g
         revoke unknown sendToGroup : g
         check unknown sendToGroup : g
         check b sendToGroup : g
         check a hub=other sendToGroup : g",
        "not found
         not found
         not found
         not found
         not found",
    );
}

#[test]
fn connection_holds_1000_rules_for_each_permission() {
    let grants: String = (0..1000)
        .map(|index| format!("given grant a sendToGroup : g{index}\n"))
        .collect();
    let script = format!(
        "given open a
         {grants}
         grant a sendToGroup : one more
         check a sendToGroup : one more
         grant a sendToGroup : g7
         grant a joinLeaveGroup : one more
         revoke a sendToGroup : g7
         grant a sendToGroup : one more
         check a sendToGroup : one more",
    );
    check(
        &script,
        "conflict
         denied
         matched 1
         matched 1
         matched 1
         matched 1
         matched 1",
    );
}

#[test]
fn a_filter_decides_who_is_selected_besides_target_and_exclusions() {
    check(
        "given open a user=ann groups=g,h
         given open b user=bob groups=g
         given open c groups=g
         given open d simple user=ann
         send group:g where=userId~eq~'ann' : 1
         send all where='h'~in~groups~or~userId~eq~null : 2
         send all where=userId~ne~'bob' excluded=a : 3
         send all where=protocol~eq~null : 4
         send all where=length(groups)~gt~1 : 5
         close all where=userId~in~('bob','eve')
         given gone b lost
         count all",
        r#"a <- {"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"1"}
           a <- {"type":"message","from":"server","dataType":"text","data":"2"}
           c <- {"type":"message","from":"server","dataType":"text","data":"2"}
           c <- {"type":"message","from":"server","dataType":"text","data":"3"}
           d <- 3
           d <- 4
           a <- {"type":"message","from":"server","dataType":"text","data":"5"}
           b <- {"type":"system","event":"disconnected","message":"Application server closed the connection."}
           b of bob ended ClosedByAppServer "Application server closed the connection."
           b close 1000 ""
           matched 1
           matched 3"#,
    );
}

#[test]
fn connections_are_listed_in_pages_that_survive_their_last_item() {
    check(
        "given open a groups=g
         given open b groups=g,h
         given open c groups=g
         list group:g
         list group:g limit=2
         given gone b lost
         list group:g after=b limit=2
         list group:none",
        "connections a/1 b/2 c/1
         connections a/1 b/2
         connections c/1
         connections",
    );
}

#[test]
fn groups_are_listed_by_name_with_how_many_of_the_connections_are_in_each() {
    check(
        "given open a user=ann groups=g,h
         given open b user=ann groups=g
         given open c groups=b,g
         groups all
         groups all after=b limit=1
         groups user:ann
         groups connection:c
         groups group:h",
        "groups b/1 g/3 h/1
         groups g/3
         groups g/2 h/1
         groups b/1 g/1
         groups g/1 h/1",
    );
}
