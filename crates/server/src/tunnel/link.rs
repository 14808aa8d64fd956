//! The requests of one tunnel: which wait for their response, and what of it has come. Source: events-and-operations 7.3.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use hubwire_upstream::TunnelRequest;
use hyper::{HeaderMap, Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::frame::ResponsePart;

/// Requests that wait for a tunnel at once; further ones fail at once and are repeated.
const PENDING_MAX: usize = 1024;
/// Of these, the ones that wait for the socket without one more wait of theirs.
const QUEUE_MAX: usize = 64;
/// Longest body of a response. Bytes.
pub(super) const RESPONSE_MAX: usize = hubwire_upstream::RESPONSE_BODY_MAX_DEFAULT;
/// Bytes of the bodies of all unfinished responses together.
const UNFINISHED_MAX: usize = 4 * RESPONSE_MAX;

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("the tunnel was lost")]
    Lost,
    #[error("as many requests wait for the tunnel as may")]
    Busy,
    #[error("the request is longer than a message of a tunnel may be")]
    RequestTooLong,
    #[error("the response is longer than it may be")]
    ResponseTooLong,
}

type Reply = oneshot::Sender<Result<Response<Bytes>, Failure>>;

/// A request on its way to the socket.
pub(super) struct Queued {
    pub(super) ack_id: u32,
    pub(super) request: TunnelRequest,
}

/// What a tunnel's task shares with those who have requests for it.
pub(super) struct Link {
    pub(super) id: String,
    queue: mpsc::Sender<Queued>,
    pending: Mutex<Pending>,
}

impl Link {
    pub(super) fn new(id: String) -> (Self, mpsc::Receiver<Queued>) {
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        let link = Self {
            id,
            queue,
            pending: Mutex::default(),
        };
        (link, queued)
    }

    /// Sends a request and waits for its response, without bound. Dropping the future takes the request back if it is not sent yet.
    pub(super) async fn request(&self, request: TunnelRequest) -> Result<Response<Bytes>, Failure> {
        let (reply, response) = oneshot::channel();
        let ack_id = self.lock().start(reply)?;
        let _forget = Forget { link: self, ack_id };
        let queued = Queued { ack_id, request };
        self.queue.send(queued).await.map_err(|_| Failure::Lost)?;
        response.await.unwrap_or(Err(Failure::Lost))
    }

    /// Tells whether a request still waits for its response.
    pub(super) fn is_waiting(&self, ack_id: u32) -> bool {
        self.lock().waiting.contains_key(&ack_id)
    }

    /// Takes a response or a part of one. Nothing happens if nobody waits for it any more.
    pub(super) fn take(&self, part: ResponsePart) {
        if let Ok(ack_id) = u32::try_from(part.ack_id) {
            self.lock().take(ack_id, part);
        }
    }

    /// Ends a request without a response.
    pub(super) fn fail(&self, ack_id: u32, failure: Failure) {
        let waiting = self.lock().remove(ack_id);
        if let Some(waiting) = waiting {
            waiting.reply.send(Err(failure)).ok();
        }
    }

    /// Ends all requests, and every later one at once.
    pub(super) fn close(&self) {
        let mut pending = self.lock();
        pending.is_closed = true;
        pending.unfinished = 0;
        // Whoever waits finds the other end gone.
        pending.waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget<'a> {
    link: &'a Link,
    ack_id: u32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.link.lock().remove(self.ack_id);
    }
}

#[derive(Default)]
struct Pending {
    is_closed: bool,
    last_ack_id: u32,
    waiting: HashMap<u32, Waiting>,
    /// Bytes of the bodies in `waiting`.
    unfinished: usize,
}

struct Waiting {
    reply: Reply,
    head: Option<(StatusCode, HeaderMap)>,
    body: BytesMut,
}

impl Pending {
    fn start(&mut self, reply: Reply) -> Result<u32, Failure> {
        if self.is_closed {
            return Err(Failure::Lost);
        }
        if self.waiting.len() >= PENDING_MAX {
            return Err(Failure::Busy);
        }
        loop {
            // The official client keeps them as numbers of JavaScript, others may have 32 bits with a sign.
            self.last_ack_id = self.last_ack_id % i32::MAX as u32 + 1;
            if let Entry::Vacant(entry) = self.waiting.entry(self.last_ack_id) {
                entry.insert(Waiting {
                    reply,
                    head: None,
                    body: BytesMut::new(),
                });
                return Ok(self.last_ack_id);
            }
        }
    }

    fn remove(&mut self, ack_id: u32) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ack_id)?;
        self.unfinished -= waiting.body.len();
        Some(waiting)
    }

    fn take(&mut self, ack_id: u32, part: ResponsePart) {
        let Some(waiting) = self.waiting.get_mut(&ack_id) else {
            return;
        };
        let is_first = waiting.head.is_none();
        let head = waiting.head.take().unwrap_or((part.status, part.headers));
        let len = waiting.body.len() + part.content.len();
        let unfinished = self.unfinished + part.content.len();
        if len > RESPONSE_MAX || (!part.is_last && unfinished > UNFINISHED_MAX) {
            if let Some(waiting) = self.remove(ack_id) {
                waiting.reply.send(Err(Failure::ResponseTooLong)).ok();
            }
            return;
        }
        if !part.is_last {
            waiting.head = Some(head);
            waiting.body.extend_from_slice(&part.content);
            self.unfinished = unfinished;
            return;
        }
        let Some(Waiting {
            reply, mut body, ..
        }) = self.remove(ack_id)
        else {
            return;
        };
        // Nearly every response is in one part, which needs no copy.
        let body = match is_first {
            true => part.content,
            false => {
                body.extend_from_slice(&part.content);
                body.freeze()
            }
        };
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = head;
        reply.send(Ok(response)).ok();
    }
}
