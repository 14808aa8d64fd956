//! When a request is repeated. Source: events-and-operations 4.4.

use std::time::Duration;

use hyper::StatusCode;

/// Attempts until one has an outcome that is not transient, with these pauses in between; the last outcome counts.
///
/// Whoever calls it bounds the whole by a deadline.
pub(crate) async fn run<T, F: Future<Output = T>>(
    delays: &[Duration],
    mut attempt: impl FnMut() -> F,
    is_transient: impl Fn(&T) -> bool,
    on_retry: impl Fn(),
) -> T {
    for delay in delays {
        let outcome = attempt().await;
        if !is_transient(&outcome) {
            return outcome;
        }
        // It may hold a connection, which is not to wait too.
        drop(outcome);
        tokio::time::sleep(*delay).await;
        on_retry();
    }
    attempt().await
}

/// Tells whether a status may be another one soon.
pub(crate) fn is_transient_status(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;
    use crate::settings::RETRY_DELAYS_DEFAULT;

    /// Returns the seconds at which attempts were made that had these outcomes, and the last outcome.
    async fn attempts(statuses: &[u16]) -> (Vec<u64>, u16) {
        let start = Instant::now();
        let made = RefCell::new(Vec::new());
        let attempt = || {
            let index = made.borrow().len();
            made.borrow_mut().push(start.elapsed().as_secs());
            std::future::ready(StatusCode::from_u16(statuses[index]).unwrap())
        };
        let is_transient = |status: &StatusCode| is_transient_status(*status);
        let last = run(&RETRY_DELAYS_DEFAULT, attempt, is_transient, || {}).await;
        (made.into_inner(), last.as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn four_attempts_come_after_1_3_and_5_seconds() {
        for status in [408, 500, 503, 599] {
            assert_eq!(attempts(&[status; 4]).await, (vec![0, 1, 4, 9], status));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_transient_ends_it() {
        for status in [200, 204, 302, 400, 404, 429] {
            assert_eq!(attempts(&[status]).await, (vec![0], status));
            assert_eq!(attempts(&[503, status]).await, (vec![0, 1], status));
        }
    }
}
