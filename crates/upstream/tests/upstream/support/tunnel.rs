use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hubwire_protocol::names::Hub;
use hubwire_upstream::{Tunnel, TunnelError, TunnelFuture, TunnelRequest};
use hyper::{Response, StatusCode};
use tokio::time::Instant;

use super::Recorded;

/// After a time, this.
type Timed = (Duration, Result<Response<Bytes>, TunnelError>);
type Answer = dyn Fn(usize) -> Timed + Send + Sync;

/// A handler without sockets, so that time may be paused. It remembers when it got what.
pub(crate) struct TestTunnel {
    start: Instant,
    answer: Box<Answer>,
    requests: Mutex<Vec<(u64, Recorded)>>,
}

pub(crate) fn status(status: u16) -> Result<Response<Bytes>, TunnelError> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}

impl TestTunnel {
    /// Makes one that answers its requests, by their number from 0 on, after a time.
    pub(crate) fn new(answer: impl Fn(usize) -> Timed + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            answer: Box::new(answer),
            requests: Mutex::default(),
        })
    }

    /// Makes one that answers at once with these statuses.
    pub(crate) fn with_statuses(statuses: &'static [u16]) -> Arc<Self> {
        Self::new(move |index| (Duration::ZERO, status(statuses[index])))
    }

    /// The seconds at which requests came.
    pub(crate) fn times(&self) -> Vec<u64> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(time, _)| *time).collect()
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|(_, request)| request.clone())
            .collect()
    }
}

impl Tunnel for TestTunnel {
    fn request<'a>(&'a self, _: &'a Hub, _: &'a str, request: TunnelRequest) -> TunnelFuture<'a> {
        let TunnelRequest { url, request } = request;
        let (head, body) = request.into_parts();
        let recorded = Recorded {
            method: head.method,
            uri: url.strip_prefix("tunnel://").unwrap().parse().unwrap(),
            version: head.version,
            headers: head.headers,
            body,
        };
        let mut requests = self.requests.lock().unwrap();
        let (time, answer) = (self.answer)(requests.len());
        requests.push((self.start.elapsed().as_secs(), recorded));
        Box::pin(async move {
            tokio::time::sleep(time).await;
            answer
        })
    }
}
