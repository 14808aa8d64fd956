//! Sends requests again. Source: rest-api 9.4.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{Headers, RETRY_AFTER, USER_AGENT};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Method, Request};
use azure_core::time::parse_rfc7231;

use crate::options::{Clock, RetryOptions};
use crate::policies::Call;

#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) clock: Clock,
    pub(crate) user_agent: Option<String>,
}

#[async_trait]
impl Policy for Retry {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        if let Some(user_agent) = &self.user_agent {
            request.insert_header(USER_AGENT, user_agent);
        }
        let Some(call) = ctx.value::<Call>().copied() else {
            return next[0].send(ctx, request, &next[1..]).await;
        };
        match call.timeout {
            None => self.run(call, ctx, request, next).await,
            Some(bound) => tokio::time::timeout(bound, self.run(call, ctx, request, next))
                .await
                .unwrap_or_else(|_| Err(timed_out(bound))),
        }
    }
}

impl Retry {
    async fn run(
        &self,
        call: Call,
        ctx: &Context<'_>,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let mut budget = Budget::new(call.retry, request.method(), call.is_send);
        // A stream that has been read before must not go out as an empty message.
        request.body_mut().reset().await?;
        loop {
            let result = next[0].send(ctx, request, &next[1..]).await;
            let wait = match &result {
                Ok(response) if *response.status() < 400 => return result,
                Ok(response) => {
                    let retry_after = retry_after(response.headers(), &self.clock);
                    budget.after_status(*response.status(), retry_after)
                }
                Err(error) => budget.after_error(error.kind()),
            };
            let Some(wait) = wait else { return result };
            if request.body_mut().reset().await.is_err() {
                return result;
            }
            drop(result);
            tokio::time::sleep(wait).await;
        }
    }
}

fn timed_out(bound: Duration) -> Error {
    Error::with_message(
        ErrorKind::Io,
        format!("the call took longer than its timeout of {bound:?}"),
    )
}

/// Reads `Retry-After`: seconds or a date.
fn retry_after(headers: &Headers, clock: &Clock) -> Option<Duration> {
    let text = headers.get_optional_str(&RETRY_AFTER)?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = parse_rfc7231(text).ok()?.unix_timestamp();
    let now = i64::try_from(clock.unix_seconds()).ok()?;
    let seconds = date.saturating_sub(now).max(0);
    Some(Duration::from_secs(seconds.unsigned_abs()))
}

/// What is left of a call's retries.
struct Budget {
    options: RetryOptions,
    is_post: bool,
    is_send: bool,
    retries: u32,
    connects: u32,
    reads: u32,
    statuses: u32,
}

impl Budget {
    fn new(options: RetryOptions, method: Method, is_send: bool) -> Self {
        Self {
            options,
            is_post: matches!(method, Method::Post | Method::Patch),
            is_send,
            retries: 0,
            connects: 0,
            reads: 0,
            statuses: 0,
        }
    }

    /// Returns how long to wait before the next try, if there is to be one, after an answer.
    fn after_status(&mut self, status: u16, retry_after: Option<Duration>) -> Option<Duration> {
        let is_harmless = self.options.sends || !self.is_send || status == 429;
        let is_worth = retry_after.is_some()
            || match self.is_post {
                true => matches!(status, 500 | 503 | 504),
                false => matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 506..),
            };
        if !is_harmless || !is_worth || self.statuses >= self.options.status {
            return None;
        }
        self.statuses += 1;
        self.next(retry_after)
    }

    /// Returns how long to wait before the next try, if there is to be one, after a failure.
    fn after_error(&mut self, kind: &ErrorKind) -> Option<Duration> {
        match kind {
            ErrorKind::Connection if self.connects < self.options.connect => self.connects += 1,
            ErrorKind::Io if !self.is_post && self.reads < self.options.read => self.reads += 1,
            _ => return None,
        }
        self.next(None)
    }

    fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        if self.retries >= self.options.total {
            return None;
        }
        self.retries += 1;
        match retry_after {
            Some(wait) => (wait <= self.options.max_delay).then_some(wait),
            None if self.retries == 1 => Some(Duration::ZERO),
            None => {
                let factor = 1_u32.checked_shl(self.retries - 1).unwrap_or(u32::MAX);
                let wait = self.options.backoff.saturating_mul(factor);
                Some(wait.min(self.options.max_delay))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn budget(method: Method, options: RetryOptions) -> Budget {
        Budget::new(options, method, method == Method::Post)
    }

    fn is_retried(method: Method, status: u16) -> bool {
        budget(method, RetryOptions::default())
            .after_status(status, None)
            .is_some()
    }

    #[test]
    fn statuses_that_are_retried_depend_on_the_method() {
        let retried = |method| {
            (400..=520)
                .filter(|status| is_retried(method, *status))
                .collect::<Vec<_>>()
        };
        let mut expected = vec![408, 429, 500, 502, 503, 504];
        expected.extend(506..=520);
        for method in [Method::Get, Method::Head, Method::Put, Method::Delete] {
            assert_eq!(retried(method), expected, "{method}");
        }
        assert_eq!(retried(Method::Post), [500, 503, 504]);
    }

    #[test]
    fn the_first_retry_is_at_once_and_waits_double_up_to_the_longest() {
        let options = RetryOptions {
            status: 10,
            ..RetryOptions::default()
        };
        let mut budget = budget(Method::Get, options);
        let waits: Vec<_> = std::iter::from_fn(|| budget.after_status(503, None))
            .map(|wait| wait.as_millis())
            .collect();
        let expected = [
            0, 1600, 3200, 6400, 12800, 25600, 51200, 102_400, 120_000, 120_000,
        ];
        assert_eq!(waits, expected);
    }

    #[test]
    fn each_cause_has_its_own_number_of_retries_and_all_share_one() {
        let mut each = budget(Method::Get, RetryOptions::default());
        for _ in 0..3 {
            assert!(each.after_error(&ErrorKind::Connection).is_some());
            assert!(each.after_error(&ErrorKind::Io).is_some());
            assert!(each.after_status(503, None).is_some());
        }
        assert!(each.after_error(&ErrorKind::Connection).is_none());
        assert!(each.after_error(&ErrorKind::Io).is_none());
        assert!(each.after_status(503, None).is_none());
        let few = RetryOptions {
            total: 2,
            ..RetryOptions::default()
        };
        let mut all = budget(Method::Get, few);
        assert!(all.after_error(&ErrorKind::Connection).is_some());
        assert!(all.after_status(503, None).is_some());
        assert!(all.after_error(&ErrorKind::Io).is_none());
    }

    #[test]
    fn a_lost_answer_to_a_post_is_not_asked_for_again() {
        let mut budget = budget(Method::Post, RetryOptions::default());
        assert!(budget.after_error(&ErrorKind::Io).is_none());
        assert!(budget.after_error(&ErrorKind::Connection).is_some());
        assert!(budget.after_error(&ErrorKind::Credential).is_none());
    }

    #[test]
    fn sends_can_be_kept_from_being_delivered_twice() {
        let options = RetryOptions {
            sends: false,
            ..RetryOptions::default()
        };
        let second = Some(Duration::from_secs(1));
        let mut send = budget(Method::Post, options);
        assert_eq!(send.after_status(503, second), None);
        assert_eq!(send.after_status(429, second), second);
        assert!(send.after_error(&ErrorKind::Connection).is_some());
        let mut other = Budget::new(options, Method::Post, false);
        assert!(other.after_status(503, None).is_some());
    }

    #[test]
    fn an_answer_that_asks_for_too_long_a_wait_is_final() {
        let mut budget = budget(Method::Get, RetryOptions::default());
        let minutes = |count: u64| Some(Duration::from_secs(count * 60));
        assert_eq!(budget.after_status(503, minutes(2)), minutes(2));
        assert_eq!(budget.after_status(503, minutes(3)), None);
    }

    #[test]
    fn the_wanted_wait_is_given_in_seconds_or_as_a_date() {
        let clock = Clock::new(|| UNIX_EPOCH + Duration::from_secs(784_111_777));
        let read = |text: &'static str| {
            let mut headers = Headers::new();
            headers.insert("retry-after", text);
            retry_after(&headers, &clock).map(|wait| wait.as_secs())
        };
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:27 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
