//! Events about connections and their memberships. Source: events-and-operations 1, 5.2 and 5.3.

#[path = "support/script.rs"]
mod script;

use script::{check, outputs};

/// events-and-operations 1, rule 3.
#[test]
fn connection_is_told_of_when_it_begins_and_when_it_ends() {
    check(
        "open a user=ann events=system
         gone a lost",
        r#"a opened
           a <- {"type":"system","event":"connected","userId":"ann","connectionId":"a"}
           notify a of ann/1 connected
           let in, 0 roles ignored
           notify a of ann/2 disconnected "The connection was lost."
           a of ann ended ConnectionLost "The connection was lost.""#,
    );
}

/// events-and-operations 1, rule 4.
#[test]
fn nothing_is_told_where_nobody_wants_to_know() {
    check(
        r#"given open a events=user groups=g roles=joinLeaveGroup
         a -> {"type":"joinGroup","group":"h"}
         a -> {"type":"leaveGroup","group":"g"}
         gone a lost"#,
        r#"a ended ConnectionLost "The connection was lost.""#,
    );
}

/// Sections 5.3 and 7.2: the texts.
#[test]
fn disconnected_says_why() {
    for (end, reason) in [
        ("peer_closed a 1000", ""),
        ("peer_closed a 1000 : done for today", ""),
        ("peer_closed a", ""),
        ("gone a lost", "The connection was lost."),
        (
            "gone a not_attached",
            "The connection could not be activated.",
        ),
        ("gone a error", "Internal server error"),
        ("close all", "Application server closed the connection."),
        (
            "close all : away",
            "Application server closed the connection. Reason: away",
        ),
        ("fault a too_large", "The client message is too large."),
        ("fault a queue_full", "The outbound message queue is full."),
        ("shutdown", "Service is restarting."),
        (
            r#"a -> {"type":"moon"}"#,
            "The client message is not a valid JSON protocol message.",
        ),
        ("+45s", "The client did not answer pings."),
    ] {
        let lines = outputs(&format!(
            "given open a events=system
             given attach a
             {end}"
        ));
        let told: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split_once("notify "))
            .map(|(_, event)| event)
            .collect();
        assert_eq!(told, [format!("a/2 disconnected {reason:?}")], "{end}");
    }
}

/// events-and-operations 1, rule 3: not on each drop, but when it finally ends.
#[test]
fn reliable_connection_is_told_of_once_whatever_its_sockets_do() {
    check(
        "given limits recovery_window=10s
         given open a reliable events=system,presence groups=g
         given attach a
         gone a lost
         +9s
         given recover a
         given attach a
         peer_closed a 1001
         given gone a dropped
         +10s",
        r#"a close 1001 ""
           19000ms: notify a/3 left g
           19000ms: notify a/4 disconnected "Connection recovery timed out."
           19000ms: a ended ConnectionLost "Connection recovery timed out.""#,
    );
}

/// Checklist 105.
#[test]
fn recovery_raises_nothing() {
    check(
        "given open a reliable events=system,presence groups=g
         given attach a
         gone a lost
         recover a",
        r#"a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a","reconnectionToken":"..."}
           recovered as json.reliable.webpubsub.azure.v1"#,
    );
}

/// client-protocols 1.4: whoever is let in has ended as well, attached or not.
#[test]
fn connection_whose_socket_never_comes_has_a_beginning_and_an_end() {
    for kind in ["", "reliable", "simple"] {
        let lines = outputs(&format!(
            "open a {kind} events=system
             gone a not_attached"
        ));
        let told = lines.iter().filter(|line| line.starts_with("notify "));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "notify a/1 connected",
                r#"notify a/2 disconnected "The connection could not be activated.""#
            ],
            "{kind}"
        );
    }
}

/// Checklist 18: until it is let in, nobody sees it; it then has the id that it was given.
#[test]
fn reserved_connection_has_an_id_and_nothing_else() {
    check(
        "reserve a
         count all
         list all
         close connection:a
         add connection:a g
         send connection:a : x
         shutdown
         open a reserved events=system
         count all",
        r#"reserved
           matched 0
           connections
           matched 0
           matched 0
           a opened
           a <- {"type":"system","event":"connected","userId":null,"connectionId":"a"}
           notify a/1 connected
           let in, 0 roles ignored
           matched 1"#,
    );
}

/// events-and-operations 1, rule 3: a client that is not let in.
#[test]
fn released_connection_has_neither_beginning_nor_end() {
    check(
        "given reserve a
         release a
         release a
         given open b events=system
         release a
         count all",
        "matched 1",
    );
}

/// A place can be taken once.
#[test]
fn released_place_cannot_be_taken() {
    check(
        "given reserve a
         given release a
         open a reserved events=system",
        "not found",
    );
    check(
        "given reserve a
         given open a reserved
         open a reserved
         count all",
        "not found
         matched 1",
    );
}

/// Section 5.3: by any means.
#[test]
fn memberships_are_told_of_whoever_changes_them() {
    check(
        r#"given open a user=ann groups=g roles=joinLeaveGroup events=presence
         a -> {"type":"joinGroup","group":"h"}
         a -> {"type":"leaveGroup","group":"h"}
         add connection:a h
         remove connection:a h
         add user:ann i
         remove user:ann i
         add group:g j
         remove_all user:ann"#,
        "notify a of ann/2 joined h
         notify a of ann/3 left h
         notify a of ann/4 joined h
         matched 1
         notify a of ann/5 left h
         matched 1
         notify a of ann/6 joined i
         matched 1
         notify a of ann/7 left i
         matched 1
         notify a of ann/8 joined j
         matched 1
         notify a of ann/9 left g
         notify a of ann/10 left j
         matched 1",
    );
}

/// Section 5.3: only an actual change.
#[test]
fn nothing_is_told_of_what_does_not_change() {
    check(
        r#"given open a groups=g roles=joinLeaveGroup.g events=presence
         a -> {"type":"joinGroup","group":"g"}
         a -> {"type":"leaveGroup","group":"h"}
         a -> {"type":"joinGroup","group":"h"}
         add connection:a g
         remove connection:a h
         given remove_all connection:a
         remove_all connection:a
         gone a lost"#,
        r#"matched 1
           matched 1
           matched 1
           a ended ConnectionLost "The connection was lost.""#,
    );
}

/// Section 5.3: `joined` precedes `left`; groups of the token too, each once.
#[test]
fn every_joined_has_a_left() {
    check(
        "open a simple groups=g,h,g events=system,presence
         gone a lost",
        r#"a opened
           notify a/1 connected
           notify a/2 joined g
           notify a/3 joined h
           let in, 0 roles ignored
           notify a/4 left g
           notify a/5 left h
           notify a/6 disconnected "The connection was lost."
           a ended ConnectionLost "The connection was lost.""#,
    );
}

/// Section 5.3: a connection without a socket leaves and joins as well.
#[test]
fn memberships_of_a_connection_without_a_socket_are_told_of() {
    check(
        "given open a reliable groups=g events=presence
         given attach a
         gone a lost
         add connection:a h
         remove connection:a g
         +30s",
        r#"notify a/2 joined h
           matched 1
           notify a/3 left g
           matched 1
           30000ms: notify a/4 left h
           30000ms: a ended ConnectionLost "Connection recovery timed out.""#,
    );
}
