//! How turns, sockets and runs end.

use hubwire_engine::{ConnectionKey, Fault, Input, Outputs, SocketEnd};

use super::{FollowUp, World};
use crate::model::Link;
use crate::promise::{Checked, Promise, broken};

/// Rounds after which a world that nobody disturbs has come to rest.
const ROUNDS_MAX: usize = 10_000;

impl World {
    /// Ends a turn: what follows is told to the engine, and sockets are written.
    pub(super) fn end_turn(&mut self) -> Checked {
        loop {
            while let Some(follow_up) = self.follow_ups.pop_front() {
                match follow_up {
                    FollowUp::Gone { client, key, end } => self.gone(client, key, end)?,
                    FollowUp::Overflow { client, key } => self.overflow(client, key)?,
                }
            }
            self.write_sockets();
            if self.follow_ups.is_empty() {
                return Ok(());
            }
        }
    }

    fn gone(&mut self, client: usize, key: ConnectionKey, end: SocketEnd) -> Checked {
        let shard = self.shard_of(client);
        self.note(&[client], || format!("its socket is gone: {end:?}"));
        self.begin(shard);
        if self.clients[client].key == key {
            self.model.socket_closed(client, end);
        }
        self.input(shard, Input::SocketClosed { key, end })
    }

    fn overflow(&mut self, client: usize, key: ConnectionKey) -> Checked {
        let shard = self.shard_of(client);
        self.begin(shard);
        if self.clients[client].key == key {
            self.model.queue_full(client);
        }
        let fault = Fault::OutboundQueueFull;
        self.input(shard, Input::Fault { key, fault })
    }

    fn write_sockets(&mut self) {
        let (pipe_bytes, now) = (self.settings.pipe_bytes, self.now);
        for node in &mut self.nodes {
            let mut finished = Vec::new();
            for (slot, socket) in &mut node.sockets {
                socket.write(pipe_bytes, now);
                if socket.is_finished() {
                    finished.push(*slot);
                }
            }
            for slot in finished {
                if let Some(socket) = node.sockets.remove(&slot) {
                    self.follow_ups.push_back(FollowUp::Gone {
                        client: socket.client,
                        key: socket.key,
                        end: SocketEnd::Dropped,
                    });
                }
            }
        }
    }

    /// Drops a client's socket.
    pub(super) fn drop_socket(&mut self, number: usize, end: SocketEnd) {
        let shard = self.shard_of(number);
        let key = self.clients[number].key;
        if self.socket(number).is_some() {
            self.nodes[shard].sockets.remove(&key.slot);
            self.clients[number].lose_socket(key);
            self.follow_ups.push_back(FollowUp::Gone {
                client: number,
                key,
                end,
            });
        }
    }

    /// A fault of the service concerns a client: it is dropped.
    pub(crate) fn drop_by_fault(&mut self, number: usize) -> Checked {
        self.note(&[number], || {
            "is dropped for a fault of the service".to_owned()
        });
        self.drop_socket(number, SocketEnd::InternalError);
        self.end_turn()
    }

    /// The network loses a client's socket: what was on its way is lost, but for the first `kept` frames of the client. The
    /// service does not know yet.
    pub(crate) fn cut(&mut self, number: usize, kept: usize) {
        self.note(&[number], || {
            format!("is cut off, {kept} of its frames still arrive")
        });
        self.clients[number].is_open = false;
        if let Some(socket) = self.socket(number) {
            socket.up.truncate(kept);
            socket.is_cut = true;
        }
    }

    /// The service notices that a socket is lost. Returns whether it was.
    pub(crate) fn notice(&mut self, number: usize) -> Checked<bool> {
        let is_lost = self
            .socket(number)
            .is_some_and(|socket| socket.is_cut && socket.up.is_empty());
        if is_lost {
            self.drop_socket(number, SocketEnd::Lost);
            self.end_turn()?;
        }
        Ok(is_lost)
    }

    /// Lets everything that is under way arrive, without time passing and without anybody doing anything new.
    pub(crate) fn settle(&mut self) -> Checked {
        for client in &mut self.clients {
            client.is_blocked = false;
        }
        for _ in 0..ROUNDS_MAX {
            let mut is_quiet = true;
            for shard in 0..self.shards() {
                is_quiet &= !self.retry(shard)?;
                for producer in self.waiting(shard) {
                    self.deliver(shard, producer)?;
                    is_quiet = false;
                }
            }
            is_quiet &= !self.answer_all()?;
            for number in 0..self.clients.len() {
                if self.clients[number].awaits_socket {
                    self.attach(number)?;
                    is_quiet = false;
                }
                is_quiet &= !self.read(number)?;
                is_quiet &= !self.receive(number)?;
            }
            if is_quiet {
                return self.check_rest();
            }
        }
        broken(Promise::NothingLost, [], "the world does not come to rest")
    }

    /// Checks what must hold when nothing is under way.
    fn check_rest(&self) -> Checked {
        for shard in 0..self.shards() {
            let expected = self.model.interest(shard);
            let mine = |bucket: &usize| self.interest[*bucket] & 1 << shard != 0;
            if !(0..self.interest.len()).filter(mine).eq(expected) {
                let detail = format!("shard {shard} says other than what it has");
                return broken(Promise::Interest, [], detail);
            }
        }
        self.model.nobody_waits_for_states()?;
        for client in &self.clients {
            if self.model.is_reading_held(client.number) {
                let detail = "nothing is asked, and it is not read";
                return broken(Promise::EventsOneByOne, [client.number], detail);
            }
        }
        for client in &self.clients {
            let is_there = client.is_open
                && self.model.connections[client.number].is_active
                && self.model.connections[client.number].link == Link::Attached;
            if is_there {
                client.check_rest(&self.model, self.now)?;
            }
        }
        Ok(())
    }

    /// Lets time pass until every connection has ended, then checks that nothing is left of them.
    pub(crate) fn run_out(&mut self) -> Checked {
        while !self.reservations.is_empty() {
            self.release()?;
        }
        for _ in 0..20 {
            self.settle()?;
            for number in 0..self.clients.len() {
                if self.clients[number].is_open {
                    self.cut(number, 0);
                }
                self.notice(number)?;
            }
            let has_sockets = self.nodes.iter().any(|node| !node.sockets.is_empty());
            if self.model.active().next().is_none() && !has_sockets {
                return self.check_nothing_left();
            }
            self.advance(self.settings.recovery_window_ms)?;
        }
        let clients: Vec<usize> = self.model.active().collect();
        broken(
            Promise::NothingLeft,
            clients,
            "there is still a connection or a socket",
        )
    }

    fn check_nothing_left(&mut self) -> Checked {
        self.settle()?;
        for shard in 0..self.shards() {
            let engine = &mut self.nodes[shard].engine;
            let left = [
                ("groups", engine.group_count()),
                ("unacknowledged messages", engine.unacked_message_count()),
                ("detached connections", engine.detached_count()),
            ];
            for (what, count) in left {
                if count > 0 {
                    return broken(
                        Promise::NothingLeft,
                        [],
                        format!("{count} {what} in shard {shard}"),
                    );
                }
            }
            // A timer that means nothing any more is not cancelled, but nothing comes of it, not even another one.
            let mut outputs = Outputs::default();
            for _ in 0..ROUNDS_MAX {
                let Some(due) = engine.next_timeout() else {
                    break;
                };
                engine.handle(due, Input::Timeout, &mut outputs);
            }
            if engine.next_timeout().is_some() || !outputs.list.is_empty() {
                return broken(
                    Promise::NothingLeft,
                    [],
                    format!("a timer still works in shard {shard}"),
                );
            }
        }
        // A shared frame is counted where it was kept first and given back where it was let go last.
        let bytes: isize = self
            .nodes
            .iter()
            .map(|node| node.engine.unacked_bytes())
            .sum();
        if bytes != 0 {
            let detail = format!("{bytes} unacknowledged bytes");
            return broken(Promise::NothingLeft, [], detail);
        }
        match self.interest.iter().all(|mask| *mask == 0) {
            true => Ok(()),
            false => broken(
                Promise::NothingLeft,
                [],
                "a shard is still interested in something",
            ),
        }
    }

    /// Tells the shards that the process is about to stop.
    pub(crate) fn shut_down(&mut self) -> Checked {
        self.note(&[], || "shuts down".to_owned());
        for shard in 0..self.shards() {
            self.begin(shard);
            self.model.shutdown(shard);
            self.input(shard, Input::Shutdown)?;
            self.end_turn()?;
        }
        Ok(())
    }
}
