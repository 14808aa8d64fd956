//! What a shard tells the others about the hubs, groups and users it has connections of.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "support/script.rs"]
mod script;

use hubwire_engine::{BUCKETS, Bucket};
use hubwire_protocol::names::{GroupName, Hub, UserId};
use script::check;

#[test]
fn interest_begins_with_the_first_and_ends_with_the_last_connection() {
    check(
        "show interest
         given open z simple hub=other
         open a simple user=ann groups=g
         open b simple user=ann groups=g
         gone a lost
         gone b lost",
        r#"interest hub:chat true
           interest user:ann true
           a opened
           interest group:g true
           let in, 0 roles ignored
           b opened
           let in, 0 roles ignored
           a of ann ended ConnectionLost "The connection was lost."
           interest group:g false
           interest user:ann false
           interest hub:chat false
           b of ann ended ConnectionLost "The connection was lost.""#,
    );
}

#[test]
fn interest_in_a_group_comes_before_the_ack_of_the_join() {
    check(
        r#"show interest
         given open a roles=joinLeaveGroup
         a -> {"type":"joinGroup","group":"g","ackId":1}
         a -> {"type":"joinGroup","group":"g","ackId":2}
         a -> {"type":"leaveGroup","group":"g","ackId":3}
         a -> {"type":"leaveGroup","group":"g","ackId":4}"#,
        r#"interest group:g true
           a <- {"type":"ack","ackId":1,"success":true}
           a <- {"type":"ack","ackId":2,"success":true}
           interest group:g false
           a <- {"type":"ack","ackId":3,"success":true}
           a <- {"type":"ack","ackId":4,"success":true}"#,
    );
}

#[test]
fn interest_follows_memberships_from_outside() {
    check(
        "show interest
         given open a
         given open b
         add connection:a g
         add connection:b g
         remove connection:a g
         remove_all connection:b",
        "interest group:g true
         matched 1
         matched 1
         matched 1
         interest group:g false
         matched 1",
    );
}

#[test]
fn interest_ends_when_a_close_begins() {
    check(
        "show interest
         given open a simple
         close all
         gone a dropped",
        r#"interest hub:chat false
           a ended ClosedByAppServer "Application server closed the connection."
           a close 1000 ""
           matched 1"#,
    );
}

/// All nodes must come to the same number, so it must not change.
#[test]
fn buckets_are_the_same_on_every_node() {
    let hub = Hub::new("Chat").unwrap();
    let buckets = [
        Bucket::of_hub(&hub),
        Bucket::of_group(&hub, &GroupName::new("g").unwrap()),
        Bucket::of_user(&hub, &UserId::new("g").unwrap()),
    ];
    assert_eq!(buckets.map(Bucket::index), [2969, 559, 1547]);
    assert!(buckets.iter().all(|bucket| bucket.index() < BUCKETS));
}
