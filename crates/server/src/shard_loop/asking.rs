//! Events whose handlers are asked, each by a task of its own.

use std::collections::HashMap;
use std::sync::Arc;

use hubwire_engine::{ConnectionId, EventAnswer, Question};
use hubwire_protocol::event::{EventFailure, EventKind};
use hubwire_upstream::Ask;
use tokio::task::AbortHandle;

use crate::metrics::ShardMetrics;
use crate::node::Node;

/// The tasks by the numbers of their questions. A connection has at most one event and 64 invocations among them.
#[derive(Debug, Default)]
pub(super) struct Questions(HashMap<u64, AbortHandle>);

impl Questions {
    /// Asks the handler of an event. The shard gets the answer as a message.
    pub(super) fn ask(
        &mut self,
        node: &Arc<Node>,
        shard: u16,
        question: Question,
        metrics: &ShardMetrics,
    ) {
        let bytes = match &question.event.kind {
            EventKind::User { content, .. } => content.payload.data.len(),
            _ => 0,
        };
        let waiting = metrics.count_waiting(bytes);
        let mut answering = Answering {
            node: node.clone(),
            shard,
            connection: question.connection,
            question: question.number,
            answer: Err(EventFailure::Failed),
        };
        let kind = match question.is_invocation {
            true => Ask::Invocation,
            false => Ask::Event,
        };
        // Listeners are told before anything else comes of the connection.
        let asking = node.upstream.ask(question.event, kind);
        let task = node.runtime.spawn(async move {
            let _waiting = waiting;
            answering.set(asking.await);
        });
        self.0.insert(question.number, task.abort_handle());
    }

    /// Takes a request back whose answer nobody wants any more.
    pub(super) fn abort(&mut self, question: u64) {
        if let Some(task) = self.0.remove(&question) {
            task.abort();
        }
    }

    /// Drops what is known of a question that has its answer.
    pub(super) fn forget(&mut self, question: u64) {
        self.0.remove(&question);
    }
}

/// Sees to it that a question has an answer, also if the task that asks is aborted or panics.
struct Answering {
    node: Arc<Node>,
    shard: u16,
    connection: ConnectionId,
    question: u64,
    answer: EventAnswer,
}

impl Answering {
    fn set(&mut self, answer: EventAnswer) {
        self.answer = answer;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let answer = std::mem::replace(&mut self.answer, Ok(None));
        self.node
            .answer(self.shard, self.connection, self.question, answer);
    }
}
