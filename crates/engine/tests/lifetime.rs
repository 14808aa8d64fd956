//! Connections that may not get older than so long, and clients that send too much. Source: events-and-operations 9.4.

#[path = "support/script.rs"]
mod script;

use script::check;

#[test]
fn connection_is_closed_at_its_maximum_age_however_alive_it_is() {
    check(
        "given open a user=ann lifetime=50s
         given attach a
         given +30s
         heard a
         +19999ms
         +1ms
         count all
         gone a dropped
         +100s",
        r#"40000ms: a ping
           50000ms: a <- {"type":"system","event":"disconnected","message":"The connection has reached its maximum lifetime."}
           50000ms: a of ann ended LifetimeOver "The connection has reached its maximum lifetime."
           50000ms: a close 1001 "The connection has reached its maximum lifetime."
           matched 0"#,
    );
}

#[test]
fn simple_client_is_closed_at_its_maximum_age_without_a_frame() {
    check(
        "given open a simple lifetime=1s
         given attach a
         +1s",
        r#"1000ms: a ended LifetimeOver "The connection has reached its maximum lifetime."
           1000ms: a close 1001 "The connection has reached its maximum lifetime.""#,
    );
}

#[test]
fn without_a_maximum_a_connection_lives_on() {
    check(
        "given open a simple keep_alive=1000s
         given attach a
         +999s
         count all",
        "matched 1",
    );
}

/// The age counts from the activation, not from the socket.
#[test]
fn socket_that_comes_late_does_not_make_the_life_longer() {
    check(
        "given open a simple lifetime=5s
         given +7s
         given attach a
         +0ms",
        r#"7000ms: a ended LifetimeOver "The connection has reached its maximum lifetime."
           7000ms: a close 1001 "The connection has reached its maximum lifetime.""#,
    );
}

#[test]
fn detached_connection_ends_at_its_maximum_age_and_cannot_be_recovered() {
    check(
        "given open a reliable lifetime=15s
         given attach a
         given +10s
         gone a lost
         +4999ms
         +1ms
         recover a
         +100s",
        r#"15000ms: a ended LifetimeOver "The connection has reached its maximum lifetime."
           not found"#,
    );
}

#[test]
fn recovery_does_not_make_the_life_longer() {
    check(
        "given open a reliable lifetime=30s keep_alive=100s
         given attach a
         given +10s
         given gone a lost
         given +10s
         given recover a
         given attach a
         +9999ms
         +1ms",
        r#"30000ms: a <- {"type":"system","event":"disconnected","message":"The connection has reached its maximum lifetime."}
           30000ms: a ended LifetimeOver "The connection has reached its maximum lifetime."
           30000ms: a close 1001 "The connection has reached its maximum lifetime.""#,
    );
}

#[test]
fn life_that_ends_while_the_socket_is_closing_ends_the_connection_only() {
    check(
        "given open a reliable lifetime=12s
         given attach a
         given +10s
         peer_closed a 1001 : away
         +2s
         gone a dropped
         count all",
        r#"a close 1001 "away"
           12000ms: a ended LifetimeOver "The connection has reached its maximum lifetime."
           matched 0"#,
    );
}

/// Source: events-and-operations 9.2.
#[test]
fn maximum_age_that_is_set_later_counts_from_the_next_ping_on() {
    check(
        "given open a simple
         given attach a
         given +15s
         settings lifetime=10s
         +4999ms
         +1ms",
        r#"20000ms: a ping
           20000ms: a ended LifetimeOver "The connection has reached its maximum lifetime."
           20000ms: a close 1001 "The connection has reached its maximum lifetime.""#,
    );
}

#[test]
fn maximum_age_that_is_taken_back_in_time_closes_nobody() {
    check(
        "given open a simple lifetime=10s
         given attach a
         settings keep_alive=20s
         +19s
         count all",
        "matched 1",
    );
}

#[test]
fn client_that_sends_more_than_it_may_is_closed_for_good() {
    check(
        "given open a reliable user=ann
         given attach a
         fault a throttled
         recover a",
        r#"a of ann ended Throttled "The client has sent more than it may."
           a close 1008 "The client has sent more than it may."
           not found"#,
    );
}
