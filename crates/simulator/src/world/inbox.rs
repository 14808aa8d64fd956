//! What waits for a shard: first in, first out for each producer, with a bound.

use std::collections::VecDeque;
use std::sync::Arc;

use hubwire_engine::Command;

use crate::model::Rest;

/// What a command is to the model.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Publication(usize),
    Rest(Rest),
    /// Group state, which the model follows from the outside.
    State,
}

#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) command: Arc<Command>,
    pub(crate) work: Work,
}

#[derive(Debug)]
pub(crate) struct Inbox {
    /// One for each shard, and one for REST.
    producers: Vec<VecDeque<Letter>>,
    capacity: usize,
}

impl Inbox {
    pub(crate) fn new(shards: usize, capacity: usize) -> Self {
        Self {
            producers: vec![VecDeque::new(); shards + 1],
            capacity,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.producers.iter().map(VecDeque::len).sum::<usize>() < self.capacity
    }

    /// Puts a letter in, whether there is room or not.
    pub(crate) fn push(&mut self, producer: usize, letter: Letter) {
        self.producers[producer].push_back(letter);
    }

    pub(crate) fn pop(&mut self, producer: usize) -> Option<Letter> {
        self.producers[producer].pop_front()
    }

    /// Returns the producers that something waits from.
    pub(crate) fn waiting(&self) -> Vec<usize> {
        (0..self.producers.len())
            .filter(|&producer| !self.producers[producer].is_empty())
            .collect()
    }
}
