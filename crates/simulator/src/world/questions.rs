//! Handlers of events: what they are asked, and what they answer in their own time.

use std::sync::Arc;

use hubwire_engine::{ConnectionId, HubSettings, Input, Question};
use hubwire_protocol::payload::DataType;

use super::World;
use crate::client::payload;
use crate::model::{Outcome, hub_name};
use crate::promise::{Checked, Promise, broken};
use crate::settings::HubEvents;

/// Questions that are answered although nobody waits for them any more.
const STALE_MAX: usize = 20;

/// A question of a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    number: u64,
    shard: usize,
    client: usize,
    id: ConnectionId,
}

impl World {
    pub(super) fn asked(&mut self, shard: usize, question: &Question) -> Checked {
        let Some(&client) = self.by_id.get(&question.connection) else {
            return broken(Promise::EventsOneByOne, [], "an unknown connection asks");
        };
        self.note(&[client], || format!("asks {question:?}"));
        self.model.asked(client, question)?;
        if self
            .questions
            .iter()
            .any(|asked| asked.is(shard, question.number))
        {
            let detail = "a question has the number of another";
            return broken(Promise::EventsOneByOne, [client], detail);
        }
        self.totals.questions += 1;
        self.questions.push(Asked {
            number: question.number,
            shard,
            client,
            id: question.connection,
        });
        Ok(())
    }

    pub(super) fn forgotten(&mut self, shard: usize, number: u64) -> Checked {
        let place = self
            .questions
            .iter()
            .position(|asked| asked.is(shard, number));
        let Some(place) = place else {
            return broken(
                Promise::CalledOff,
                [],
                "nobody was asked what is called off",
            );
        };
        let asked = self.questions.remove(place);
        self.note(&[asked.client], || format!("wants no answer to {number}"));
        self.model.forgot(asked.client, number)?;
        self.set_aside(asked);
        Ok(())
    }

    fn set_aside(&mut self, asked: Asked) {
        self.stale.push(asked);
        if self.stale.len() > STALE_MAX {
            self.stale.remove(0);
        }
    }

    /// Returns how many questions wait for their answer, and how many were answered or called off lately.
    pub(crate) fn questions(&self) -> (usize, usize) {
        (self.questions.len(), self.stale.len())
    }

    /// A handler answers the question with this index.
    pub(crate) fn answer(&mut self, index: usize, outcome: &Outcome) -> Checked {
        let asked = self.questions.remove(index);
        self.set_aside(asked);
        self.give_answer(asked, outcome)
    }

    /// A handler answers a question that nobody waits for.
    pub(crate) fn answer_again(&mut self, index: usize, outcome: &Outcome) -> Checked {
        self.give_answer(self.stale[index], outcome)
    }

    fn give_answer(&mut self, asked: Asked, outcome: &Outcome) -> Checked {
        self.note(&[asked.client], || {
            format!("is answered {}: {outcome:?}", asked.number)
        });
        self.begin(asked.shard);
        self.model.answered(asked.client, asked.number, outcome);
        let input = Input::Answered {
            connection: asked.id,
            question: asked.number,
            answer: outcome.answer(),
        };
        // Joins that have waited may follow, so that an ack is no sign that all of them are known to the others.
        self.is_answering = true;
        self.input(asked.shard, input)?;
        self.is_answering = false;
        self.covers_joins(asked.client)?;
        self.end_turn()
    }

    /// Makes up content for an answer that there is only one of.
    pub(crate) fn answer_content(&mut self, data_type: DataType, padding: usize) -> Outcome {
        self.next_answer += 1;
        let data = payload(&format!("e{}", self.next_answer), data_type, padding);
        Outcome::Content(data_type, data)
    }

    /// Answers everything. Returns whether there was something.
    pub(super) fn answer_all(&mut self) -> Checked<bool> {
        let has_some = !self.questions.is_empty();
        while !self.questions.is_empty() {
            let outcome = match self.next_answer % 3 {
                0 => Outcome::Nothing,
                1 => Outcome::Timeout,
                _ => Outcome::NotFound,
            };
            let outcome = match self.questions.len() % 2 {
                0 => outcome,
                _ => self.answer_content(DataType::Text, 1),
            };
            self.answer(0, &outcome)?;
        }
        Ok(has_some)
    }

    /// The settings of a hub change, in every shard.
    pub(crate) fn reload(&mut self, hub: &'static str, events: HubEvents) -> Checked {
        self.note(&[], || format!("hub {hub} has other settings: {events:?}"));
        self.model.set_hub_events(hub, events);
        for shard in 0..self.shards() {
            self.begin(shard);
            let settings = Arc::new(self.settings.hub_settings(events));
            let hub = &hub_name(hub);
            self.input(shard, Input::Settings { hub, settings })?;
            self.end_turn()?;
        }
        Ok(())
    }

    /// Returns the settings that a client is let in with: those of now, or older ones where its hub has connections already.
    pub(super) fn settings_for(&self, hub: &str, shard: usize) -> Arc<HubSettings> {
        let events = match self.model.is_hub_in(hub, shard) {
            true => HubEvents::default(),
            false => self.model.hub_events(hub),
        };
        Arc::new(self.settings.hub_settings(events))
    }
}

impl Asked {
    fn is(&self, shard: usize, number: u64) -> bool {
        self.shard == shard && self.number == number
    }
}
