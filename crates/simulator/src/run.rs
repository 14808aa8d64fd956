//! One run: what happens next, drawn from the seed.

use std::collections::BTreeSet;

use hubwire_engine::{Fault, Permission};
use hubwire_protocol::payload::DataType;
use hubwire_protocol::subprotocol::Subprotocol;

use crate::client::{DATA_TYPES, payload};
use crate::model::{
    Done, Having, NewConnection, Outcome, Publication, Rest, Roles, Selected, Source, To,
};
use crate::promise::Checked;
use crate::random::Random;
use crate::settings::{GROUPS, HUBS, HubEvents, Settings, USERS};
use crate::trace::Trace;
use crate::world::{Shown, Up, World};

/// What may happen, with its usual weight.
const STEPS: [(Step, u32); 22] = [
    (Step::Open, 6),
    (Step::Act, 30),
    (Step::Read, 40),
    (Step::Receive, 50),
    (Step::Deliver, 40),
    (Step::Retry, 6),
    (Step::RestSend, 8),
    (Step::RestCall, 4),
    (Step::Attach, 16),
    (Step::Cut, 4),
    (Step::Notice, 4),
    (Step::Recover, 10),
    (Step::Leave, 1),
    (Step::Fault, 1),
    (Step::Block, 2),
    (Step::Wait, 6),
    (Step::WaitLong, 1),
    (Step::Settle, 1),
    (Step::Answer, 20),
    (Step::Reserve, 2),
    (Step::Release, 1),
    (Step::Reload, 1),
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Act,
    Read,
    Receive,
    Deliver,
    Retry,
    RestSend,
    RestCall,
    Attach,
    Cut,
    Notice,
    Recover,
    Leave,
    Fault,
    Block,
    Wait,
    WaitLong,
    Settle,
    Answer,
    Reserve,
    Release,
    Reload,
}

impl Step {
    /// Tells whether it is about events.
    fn is_about_events(self) -> bool {
        matches!(self, Self::Answer | Self::Reload)
    }
}

pub(crate) struct Run {
    random: Random,
    pub(crate) world: World,
    weights: Vec<u32>,
    /// What clients like to do.
    tastes: [u32; 10],
    next_payload: u64,
}

impl Run {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings::choose(&mut random);
        // Every run prefers some things and does without others, so that rare things meet.
        let weights = STEPS
            .iter()
            .map(|(step, weight)| match step.is_about_events() {
                true if !settings.has_events => 0,
                true => weight * random.pick(&[0, 1, 2, 4]) / 2,
                false => weight * random.pick(&[1, 2, 2, 4]) / 2,
            })
            .collect();
        let mut tastes = [6, 8, 4, 4, 4, 2, 1, 1, 6, 3];
        if !settings.has_states {
            tastes[3] = 0;
        }
        if !settings.has_events {
            tastes[8..].fill(0);
        }
        for taste in &mut tastes {
            *taste *= random.pick(&[0, 1, 1, 3]);
        }
        tastes[7] = 1;
        Self {
            random,
            world: World::new(settings, trace),
            weights,
            tastes,
            next_payload: 0,
        }
    }

    /// Does everything, to the end of the last connection.
    pub(crate) fn run(&mut self) -> Checked {
        if self.world.settings.has_events {
            for hub in &HUBS[..self.world.settings.hubs] {
                let events = HubEvents::choose(&mut self.random);
                self.world.reload(hub, events)?;
            }
        }
        for _ in 0..self.random.between(2, 5) {
            self.step(Step::Open)?;
        }
        for _ in 0..self.world.settings.steps {
            let (step, _) = STEPS[self.random.weighted(&self.weights)];
            self.step(step)?;
            self.world.totals.steps += 1;
        }
        self.world.settle()?;
        if self.random.percent(50) {
            // The end comes while things are under way.
            for _ in 0..30 {
                let (step, _) = STEPS[self.random.weighted(&self.weights)];
                self.step(step)?;
            }
        }
        self.say_goodbye()?;
        self.world.run_out()
    }

    fn step(&mut self, step: Step) -> Checked {
        match step {
            Step::Open => self.open(),
            Step::Act => self.act(),
            Step::Read => self.read(),
            Step::Receive => self.receive(),
            Step::Deliver => {
                let shards = 0..self.world.shards();
                let waiting: Vec<(usize, usize)> = shards
                    .flat_map(|shard| {
                        self.world
                            .waiting(shard)
                            .into_iter()
                            .map(move |producer| (shard, producer))
                    })
                    .collect();
                match self.random.choose(&waiting) {
                    Some((shard, producer)) => self.world.deliver(shard, producer),
                    None => Ok(()),
                }
            }
            Step::Retry => {
                let shard = self.shard();
                self.world.retry(shard).map(drop)
            }
            Step::RestSend => {
                for _ in 0..self.random.pick(&[1, 1, 2, 6]) {
                    self.rest_send()?;
                }
                Ok(())
            }
            Step::RestCall => self.rest_call(),
            Step::Attach => self.attach(),
            Step::Cut => self.cut(),
            Step::Notice => {
                let is_cut = |world: &mut World, number: usize| {
                    world.socket(number).is_some_and(|socket| socket.is_cut)
                };
                match self.client_with(is_cut) {
                    Some(number) => self.world.notice(number).map(drop),
                    None => Ok(()),
                }
            }
            Step::Recover => self.recover(),
            Step::Leave => {
                self.leave();
                Ok(())
            }
            Step::Fault => self.fault(),
            Step::Block => {
                if let Some(number) = self.client() {
                    let client = &mut self.world.clients[number];
                    client.is_blocked = !client.is_blocked;
                }
                Ok(())
            }
            Step::Wait => {
                let milliseconds = self.random.pick(&[1, 20, 120, 700]);
                self.world.advance(milliseconds)
            }
            Step::WaitLong => {
                let milliseconds = self.random.pick(&[3_000, 8_000, 31_000, 60_000]);
                self.world.advance(milliseconds)
            }
            Step::Settle => self.world.settle(),
            Step::Answer => self.answer(),
            Step::Reserve => {
                let (shard, bytes) = (self.shard(), self.random.bytes());
                self.world.reserve(shard, bytes)
            }
            Step::Release => self.world.release(),
            Step::Reload => {
                let hub = self.random.pick(&HUBS[..self.world.settings.hubs]);
                let events = match self.random.percent(10) {
                    true => HubEvents::default(),
                    false => HubEvents::choose(&mut self.random),
                };
                self.world.reload(hub, events)
            }
        }
    }

    fn read(&mut self) -> Checked {
        let waiting = |world: &mut World, number: usize| {
            world
                .socket(number)
                .is_some_and(|socket| !socket.up.is_empty())
        };
        if let Some(number) = self.client_with(waiting) {
            for _ in 0..self.random.between(1, 10) {
                self.world.read(number)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Checked {
        let waiting = |world: &mut World, number: usize| {
            !world.clients[number].is_blocked
                && world
                    .socket(number)
                    .is_some_and(|socket| !socket.down.is_empty())
        };
        if let Some(number) = self.client_with(waiting) {
            for _ in 0..self.random.between(1, 12) {
                self.world.receive(number)?;
            }
        }
        Ok(())
    }

    fn client_with(&mut self, is_wanted: impl Fn(&mut World, usize) -> bool) -> Option<usize> {
        let wanted: Vec<usize> = (0..self.world.clients.len())
            .filter(|&number| is_wanted(&mut self.world, number))
            .collect();
        self.random.choose(&wanted)
    }

    fn shard(&mut self) -> usize {
        let shards = self.world.shards();
        self.random.below(shards)
    }

    /// Returns a client whose connection is not over, mostly.
    fn client(&mut self) -> Option<usize> {
        let mut alive: Vec<usize> = self.world.model.active().collect();
        if alive.is_empty() || self.random.percent(5) {
            alive = (0..self.world.clients.len()).collect();
        }
        self.random.choose(&alive)
    }

    fn open(&mut self) -> Checked {
        if self.world.model.active().count() >= self.world.settings.clients_max {
            return Ok(());
        }
        let random = &mut self.random;
        let subprotocol = match random.percent(60) {
            true => random.pick(&[Subprotocol::ReliableJson, Subprotocol::ReliableProtobuf]),
            false => random.pick(&Subprotocol::ALL),
        };
        let groups = 0..random.below(4);
        let groups: BTreeSet<&str> = groups.map(|_| random.pick(&GROUPS)).collect();
        let publishes = subprotocol == Subprotocol::Simple && random.percent(60);
        let new = NewConnection {
            shard: random.below(self.world.settings.shards),
            hub: random.pick(&HUBS[..self.world.settings.hubs]),
            user: random.percent(70).then(|| random.pick(&USERS)),
            subprotocol,
            raw_publish: publishes.then(|| (random.pick(&GROUPS), random.percent(50))),
            groups,
            roles: Roles::choose(random),
        };
        let bytes = random.bytes();
        self.world.open(new, bytes)
    }

    fn act(&mut self) -> Checked {
        let open: Vec<usize> = self
            .world
            .clients
            .iter()
            .filter(|client| client.is_open)
            .map(|client| client.number)
            .collect();
        let Some(number) = self.random.choose(&open) else {
            return Ok(());
        };
        let len_max = self.world.settings.payload_max;
        let client = &mut self.world.clients[number];
        let mut frames = Vec::new();
        for _ in 0..self.random.pick(&[1, 2, 4, 8]) {
            frames.push(client.act(&mut self.random, &self.tastes, len_max));
        }
        if self.random.percent(3) {
            frames.extend(client.act_much(&mut self.random));
        }
        if self.world.settings.has_events && self.random.percent(2) {
            frames.extend(client.act_behind_event(&mut self.random));
        }
        for frame in frames {
            self.world.client_sends(number, Up::Frame(frame));
        }
        Ok(())
    }

    /// Handlers answer what they were asked, mostly.
    fn answer(&mut self) -> Checked {
        let many = self.random.pick(&[1, 1, 2, 40]);
        for _ in 0..many {
            let (asked, stale) = self.world.questions();
            let outcome = self.outcome();
            if asked > 0 {
                let index = self.random.below(asked);
                self.world.answer(index, &outcome)?;
            }
            if stale > 0 && self.random.percent(3) {
                let index = self.random.below(stale);
                self.world.answer_again(index, &outcome)?;
            }
        }
        Ok(())
    }

    fn outcome(&mut self) -> Outcome {
        match self.random.below(20) {
            0..6 => Outcome::Nothing,
            6..13 => {
                let data_type = self.random.pick(&DATA_TYPES);
                let padding = self.random.below(self.world.settings.payload_max + 1);
                self.world.answer_content(data_type, padding)
            }
            13 => Outcome::Null,
            14 => Outcome::NotFound,
            15 => Outcome::Timeout,
            16 => Outcome::Failed,
            17 => Outcome::Own,
            _ => Outcome::Status(
                self.random
                    .pick(&[302, 400, 401, 403, 404, 408, 429, 500, 503]),
            ),
        }
    }

    fn selected(&mut self) -> Selected {
        let random = &mut self.random;
        let clients = self.world.clients.len();
        let hub = random.pick(&HUBS[..self.world.settings.hubs]);
        let to = match random.below(8) {
            0 => To::All,
            1..4 => To::Group(random.pick(&GROUPS)),
            4 => To::User(random.pick(&USERS)),
            5..7 => To::Client(random.below(clients)),
            _ => To::Nobody,
        };
        let excluded = match random.percent(25) {
            true => (0..random.between(1, 2))
                .map(|_| random.below(clients))
                .collect(),
            false => Vec::new(),
        };
        let filter = random.percent(25).then(|| match random.below(4) {
            0 => Having::User(random.pick(&USERS)),
            1 => Having::NoUser,
            2 => Having::Group(random.pick(&GROUPS)),
            _ => Having::NotGroup(random.pick(&GROUPS)),
        });
        Selected {
            hub,
            to,
            excluded,
            filter,
        }
    }

    fn rest_send(&mut self) -> Checked {
        let to = self.selected();
        let data_type = self
            .random
            .pick(&[DataType::Json, DataType::Text, DataType::Binary]);
        self.next_payload += 1;
        let padding = self.random.below(self.world.settings.payload_max + 1);
        let ttl_seconds = self.random.pick(&[0, 0, 0, 1, 3]);
        let publication = Publication {
            from: Source::Rest,
            group: match to.to {
                To::Group(group) => Some(group),
                To::All | To::User(_) | To::Client(_) | To::Nobody => None,
            },
            to,
            user: None,
            data_type,
            data: payload(&format!("r{}", self.next_payload), data_type, padding),
            expires: (ttl_seconds > 0).then(|| self.world.now + 1000 * u64::from(ttl_seconds)),
            part: None,
            or_part: None,
        };
        self.world.rest_send(publication, ttl_seconds)
    }

    fn rest_call(&mut self) -> Checked {
        let mut selected = self.selected();
        let random = &mut self.random;
        let group = random.pick(&GROUPS);
        let permission = random.pick(&[Permission::SendToGroup, Permission::JoinLeaveGroup]);
        let done = match random.below(12) {
            0 => Done::Close,
            1..4 => Done::Add(vec![group]),
            4..6 => Done::Remove(random.percent(70).then(|| vec![group])),
            6 => Done::Count,
            7..9 => Done::Grant(permission, group),
            9..11 => Done::Revoke(permission, group),
            _ => Done::CheckPermission(permission, group),
        };
        if !matches!(done, Done::Close | Done::Add(_) | Done::Remove(_)) {
            selected.excluded.clear();
            selected.filter = None;
            let is_of_one = !matches!(done, Done::Count);
            if is_of_one && !matches!(selected.to, To::Client(_) | To::Nobody) {
                selected.to = To::Client(random.below(self.world.clients.len()));
            }
        }
        self.world.rest_call(Rest { selected, done })
    }

    fn attach(&mut self) -> Checked {
        let waiting: Vec<usize> = self
            .world
            .clients
            .iter()
            .filter(|client| client.awaits_socket)
            .map(|client| client.number)
            .collect();
        match self.random.choose(&waiting) {
            Some(number) if self.random.percent(10) => self.world.abandon(number),
            Some(number) => self.world.attach(number),
            None => Ok(()),
        }
    }

    fn cut(&mut self) -> Checked {
        if let Some(number) = self.client()
            && self.world.clients[number].is_open
        {
            let kept = self.random.below(3);
            self.world.cut(number, kept);
            if self.random.percent(50) {
                self.world.notice(number)?;
            }
        }
        Ok(())
    }

    fn recover(&mut self) -> Checked {
        let candidates: Vec<usize> = self
            .world
            .clients
            .iter()
            .filter(|client| client.can_come_back())
            .map(|client| client.number)
            .collect();
        // Mostly those who have no socket: a takeover is rarer.
        let without: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|&number| !self.world.clients[number].is_open)
            .collect();
        let candidates = match self.random.percent(85) {
            true => without,
            false => candidates,
        };
        let Some(number) = self.random.choose(&candidates) else {
            return Ok(());
        };
        let shown = match self.random.below(12) {
            0 => Shown::OtherToken(self.random.below(self.world.clients.len())),
            1 => Shown::ForgedToken,
            2 => Shown::OtherHub,
            3 | 4 => Shown::Token(1),
            _ => Shown::Token(0),
        };
        self.world.recover(number, shown)
    }

    fn leave(&mut self) {
        if let Some(number) = self.client()
            && self.world.clients[number].is_open
        {
            let code = self.random.pick(&[Some(1000), Some(1001), None]);
            self.world.client_sends(number, Up::Close(code));
            self.world.clients[number].is_over |= code == Some(1000);
        }
    }

    fn fault(&mut self) -> Checked {
        let Some(number) = self.client() else {
            return Ok(());
        };
        let faults = [
            Fault::InvalidFrame,
            Fault::InvalidUtf8,
            Fault::MessageTooLarge,
        ];
        if self.random.percent(20) {
            return self.world.drop_by_fault(number);
        }
        if self.world.clients[number].is_open {
            let fault = self.random.pick(&faults);
            self.world.client_sends(number, Up::Broken(fault));
        }
        Ok(())
    }

    /// Ends what is left, each connection in its own way.
    fn say_goodbye(&mut self) -> Checked {
        match self.random.below(4) {
            0 => self.world.shut_down()?,
            1 => {
                for hub in &HUBS[..self.world.settings.hubs] {
                    let selected = Selected {
                        hub,
                        to: To::All,
                        excluded: Vec::new(),
                        filter: None,
                    };
                    self.world.rest_call(Rest {
                        selected,
                        done: Done::Close,
                    })?;
                }
            }
            2 => {
                for number in 0..self.world.clients.len() {
                    if self.world.clients[number].is_open {
                        self.world.client_sends(number, Up::Close(Some(1000)));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
