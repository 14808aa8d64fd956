//! Reliable connections: numbered messages, and a life beyond the socket. Source: client-protocols 5.

use hubwire_protocol::close::Close;
use hubwire_protocol::message::ControlMessage;

use crate::fanout::FrameIds;
use crate::input::{ConnectionKey, Recover, ReplyToken, SocketEnd};
use crate::limits::BufferLimits;
use crate::outgoing::Message;
use crate::output::{CloseCategory, Output, Outputs, Reply};
use crate::registry::{Connection, State};
use crate::shard::Shard;
use crate::timers::{Time, Timer};
use crate::unacked::{Full, Unacked};

/// What a reliable connection has beyond a plain one.
#[derive(Debug)]
pub(crate) struct Reliable {
    pub(crate) unacked: Unacked,
    pub(crate) limits: BufferLimits,
    pub(crate) link: Link,
}

/// How a connection and its socket stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// The first socket is on its way.
    Opening,
    /// A new socket is on its way.
    Recovering,
    /// There is a socket.
    Attached,
    /// The socket is closing; the connection may recover.
    Leaving,
    /// There is no socket; the connection may recover.
    Lost,
}

impl Link {
    /// Tells whether the connection waits for a client that may come back.
    pub(crate) fn is_detached(self) -> bool {
        matches!(self, Self::Leaving | Self::Lost)
    }
}

impl Reliable {
    pub(crate) fn new(limits: BufferLimits) -> Self {
        Self {
            unacked: Unacked::default(),
            limits,
            link: Link::Opening,
        }
    }
}

impl Connection {
    /// Returns how the connection and its socket stand to each other; a plain connection is nothing without its socket.
    pub(crate) fn link(&self) -> Link {
        self.reliable
            .as_ref()
            .map_or(Link::Attached, |reliable| reliable.link)
    }
}

impl Shard {
    /// Sends a message to a reliable connection: it is kept until it is acknowledged. One message too many ends the connection.
    pub(crate) fn send_numbered(
        &mut self,
        now: Time,
        slot: u32,
        message: &Message,
        frames: &mut FrameIds,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get_mut(slot) else {
            return;
        };
        let Some(frame) = message.frame(connection.subprotocol) else {
            return;
        };
        let Some(reliable) = &mut connection.reliable else {
            return;
        };
        let total = &mut self.unacked;
        let kept = frames.kept(connection.subprotocol, frame, total);
        let pushed = reliable.unacked.push(now, kept, reliable.limits, total);
        match pushed {
            Ok(sequence_id) if !reliable.link.is_detached() => {
                let frame = frames.of(connection.subprotocol, frame, out);
                out.deliver(slot, frame, sequence_id);
            }
            Ok(_) => {}
            Err(Full) => {
                let close = Close::reliable_buffer_full();
                self.close(now, slot, close, CloseCategory::SlowClient, out);
            }
        }
    }

    /// Forgets what a client has acknowledged.
    pub(crate) fn acknowledge(&mut self, slot: u32, sequence_id: u64) {
        let Some(connection) = self.registry.get_mut(slot) else {
            return;
        };
        if let Some(reliable) = &mut connection.reliable {
            reliable.unacked.acknowledge(sequence_id, &mut self.unacked);
        }
    }

    /// Sends the `connected` frame, where the subprotocol has one.
    pub(crate) fn send_connected(&self, now: Time, slot: u32, out: &mut Outputs) {
        let (Some(connection), Some(id)) = (self.registry.get(slot), self.id_of(slot)) else {
            return;
        };
        let id = id.to_string();
        let token = connection.subprotocol.is_reliable().then(|| {
            let lifetime = self.settings.limits.reconnection_token_lifetime_s;
            let expires = self.settings.unix_ms(now) / 1000 + lifetime;
            let number = u64::from(connection.generation);
            self.settings.reconnection_key.sign(&id, expires, number)
        });
        let connected = ControlMessage::Connected {
            connection_id: &id,
            user: connection.user.as_ref(),
            reconnection_token: token.as_deref(),
        };
        self.send_control(slot, &connected, out);
    }

    /// Lets a client go on with its connection: what socket there still is, is dropped, and the new one gets `connected`, then
    /// everything that is not acknowledged, as it was sent first.
    pub(crate) fn recover(
        &mut self,
        now: Time,
        recover: &Recover,
        reply: ReplyToken,
        out: &mut Outputs,
    ) {
        let answer = match self.find(&recover.hub, &recover.id) {
            Some(slot) => self.recover_slot(now, slot, out),
            None => None,
        };
        out.push(Output::Reply {
            token: reply,
            reply: answer.unwrap_or(Reply::NotFound),
        });
    }

    fn recover_slot(&mut self, now: Time, slot: u32, out: &mut Outputs) -> Option<Reply> {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let connection = self.registry.get_mut(slot)?;
        let protocol = connection.protocol()?.to_owned();
        let reliable = connection.reliable.as_mut()?;
        let has_socket = match reliable.link {
            // The first has the connection until its socket is there or known to be lost.
            Link::Opening | Link::Recovering => return None,
            Link::Attached | Link::Leaving => true,
            Link::Lost => false,
        };
        if reliable.link.is_detached() {
            self.detached -= 1;
        }
        reliable.link = Link::Recovering;
        let reliable_buffer = Some(reliable.limits);
        reliable.unacked.drop_expired(now, &mut self.unacked);
        connection.generation = generation;
        connection.last_heard = now;
        let is_reading_held = connection.is_reading_held();
        let key = ConnectionKey { slot, generation };
        self.cancel_invocations(slot, out);
        if has_socket {
            out.push(Output::Abort { to: slot });
        }
        out.push(Output::Opened {
            key,
            reliable_buffer,
        });
        if is_reading_held {
            out.push(Output::HoldReading { to: slot });
        }
        self.send_connected(now, slot, out);
        let connection = self.registry.get(slot)?;
        let unacked = &connection.reliable.as_ref()?.unacked;
        for (sequence_id, frame) in unacked.iter(&self.unacked) {
            let frame = out.add_frame(frame.clone());
            out.deliver(slot, frame, sequence_id);
        }
        self.set_stream_timer(now, slot);
        Some(Reply::Recovered { key, protocol })
    }

    /// Keeps a reliable connection whose socket is gone or closing, for a while.
    pub(crate) fn detach(&mut self, now: Time, key: ConnectionKey, link: Link, out: &mut Outputs) {
        let Some(connection) = self.registry.get_mut(key.slot) else {
            return;
        };
        let Some(reliable) = &mut connection.reliable else {
            return;
        };
        debug_assert!(link.is_detached() && !reliable.link.is_detached());
        reliable.link = link;
        self.detached += 1;
        let deadline = now.after_ms(self.settings.limits.recovery_window_ms);
        self.timers.set(deadline, Timer::RecoveryWindow(key));
        self.set_lifetime_timer(key, deadline);
        self.cancel_invocations(key.slot, out);
    }

    /// Ends a connection that has waited long enough for its client.
    pub(crate) fn recovery_timed_out(&mut self, now: Time, key: ConnectionKey, out: &mut Outputs) {
        if !self.is_active(key) {
            return;
        }
        let link = self.registry.get(key.slot).map(Connection::link);
        if link.is_some_and(Link::is_detached) {
            let reason = "Connection recovery timed out.".to_owned();
            self.end(now, key.slot, CloseCategory::ConnectionLost, reason, out);
            if link == Some(Link::Lost) {
                self.registry.free(key.slot);
            }
        }
    }

    /// Tells whether the loss of its socket only detaches the connection. If so, it is done.
    pub(crate) fn outlives_socket(
        &mut self,
        now: Time,
        key: ConnectionKey,
        end: SocketEnd,
        out: &mut Outputs,
    ) -> bool {
        let Some(connection) = self.registry.get_mut(key.slot) else {
            return false;
        };
        if connection.state != State::Active {
            return false;
        }
        let Some(reliable) = &mut connection.reliable else {
            return false;
        };
        match (reliable.link, end) {
            (_, SocketEnd::InternalError) => false,
            (Link::Leaving, _) => {
                reliable.link = Link::Lost;
                true
            }
            (Link::Attached, SocketEnd::Lost)
            | (Link::Recovering, SocketEnd::Lost | SocketEnd::NotAttached) => {
                self.detach(now, key, Link::Lost, out);
                true
            }
            // Nobody holds a token yet.
            (Link::Opening, _) => false,
            (Link::Attached | Link::Recovering | Link::Lost, _) => false,
        }
    }
}
