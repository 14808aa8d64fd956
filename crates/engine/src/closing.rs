//! How connections end, and their sockets. Source: client-protocols 5.3 and 7.2.

use hubwire_protocol::close::{Close, app_server_closed_message};
use hubwire_protocol::message::ControlMessage;

use crate::input::{ConnectionKey, SocketEnd};
use crate::output::{CloseCategory, Ended, Output, Outputs};
use crate::recovery::Link;
use crate::registry::State;
use crate::shard::Shard;
use crate::timers::{Time, Timer};

impl Shard {
    pub(crate) fn peer_closed(
        &mut self,
        now: Time,
        key: ConnectionKey,
        code: Option<u16>,
        reason: &str,
        out: &mut Outputs,
    ) {
        let close = Close::echo(code, reason);
        let is_reliable = self
            .registry
            .get(key.slot)
            .is_some_and(|connection| connection.reliable.is_some());
        if is_reliable && code != Some(1000) {
            self.close_socket(now, key, close, out);
            self.detach(now, key, Link::Leaving, out);
            return;
        }
        if !self.hold_close(key.slot, &close) {
            self.closed_by_client(now, key.slot, close, out);
        }
    }

    /// Ends a connection whose client has closed it, with the echo of its close frame. Nothing is said of why: that is the client's.
    pub(crate) fn closed_by_client(
        &mut self,
        now: Time,
        slot: u32,
        echo: Close,
        out: &mut Outputs,
    ) {
        let category = CloseCategory::Normal;
        self.close_because(now, slot, echo, category, String::new(), out);
    }

    pub(crate) fn socket_closed(
        &mut self,
        now: Time,
        key: ConnectionKey,
        end: SocketEnd,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(key.slot) else {
            return;
        };
        if connection.generation != key.generation {
            return;
        }
        let state = connection.state;
        let is_closed_behind = connection.is_closed_behind();
        if !is_closed_behind && self.outlives_socket(now, key, end, out) {
            return;
        }
        if state == State::Active {
            let (category, reason) = match end {
                // The client did not wait for the answer to its close.
                SocketEnd::Lost if is_closed_behind => (CloseCategory::Normal, ""),
                SocketEnd::Lost => (CloseCategory::ConnectionLost, "The connection was lost."),
                SocketEnd::Dropped => (CloseCategory::Normal, ""),
                SocketEnd::NotAttached => (
                    CloseCategory::ConnectionLost,
                    "The connection could not be activated.",
                ),
                SocketEnd::InternalError => (
                    CloseCategory::ServiceTransientError,
                    "Internal server error",
                ),
            };
            self.end(now, key.slot, category, reason.to_owned(), out);
        }
        self.registry.free(key.slot);
    }

    pub(crate) fn close_by_app_server(
        &mut self,
        now: Time,
        slot: u32,
        reason: Option<&str>,
        out: &mut Outputs,
    ) {
        let message = app_server_closed_message(reason);
        self.disconnected(slot, &message, out);
        let close = Close::closed_by_app_server();
        self.close_because(
            now,
            slot,
            close,
            CloseCategory::ClosedByAppServer,
            message,
            out,
        );
    }

    pub(crate) fn shutdown(&mut self, now: Time, out: &mut Outputs) {
        for slot in self.registry.slots() {
            let is_active = self
                .registry
                .get(slot)
                .is_some_and(|connection| connection.state == State::Active);
            if is_active {
                let close = Close::service_restarting();
                self.disconnected(slot, &close.reason, out);
                self.close(now, slot, close, CloseCategory::ServiceReload, out);
            }
        }
    }

    /// Closes a connection that is as old as it may get, unless it may live longer now. The client may open another at once.
    pub(crate) fn lifetime_due(&mut self, now: Time, key: ConnectionKey, out: &mut Outputs) {
        if !self.is_active(key) || self.end_of_life(key.slot).is_none_or(|end| end > now) {
            return;
        }
        let close = Close::lifetime_over();
        self.disconnected(key.slot, &close.reason, out);
        self.close(now, key.slot, close, CloseCategory::LifetimeOver, out);
    }

    /// Sends the `disconnected` frame where the subprotocol has one.
    fn disconnected(&self, slot: u32, message: &str, out: &mut Outputs) {
        self.send_control(slot, &ControlMessage::Disconnected { message }, out);
    }

    /// Ends an active connection and starts the closing handshake of its socket, if it has one that is open.
    pub(crate) fn close(
        &mut self,
        now: Time,
        slot: u32,
        close: Close,
        category: CloseCategory,
        out: &mut Outputs,
    ) {
        let reason = close.reason.clone();
        self.close_because(now, slot, close, category, reason, out);
    }

    /// Like [`Shard::close`], for a reason that the close frame does not tell.
    fn close_because(
        &mut self,
        now: Time,
        slot: u32,
        close: Close,
        category: CloseCategory,
        reason: String,
        out: &mut Outputs,
    ) {
        let Some(connection) = self.registry.get(slot) else {
            return;
        };
        let link = connection.link();
        let is_reading_held = connection.is_reading_held();
        let key = ConnectionKey {
            slot,
            generation: connection.generation,
        };
        self.end(now, slot, category, reason, out);
        match link {
            Link::Opening | Link::Recovering | Link::Attached => {
                if is_reading_held {
                    // The client's close frame is behind what it has sent before.
                    out.push(Output::ReadOn { to: slot });
                }
                self.close_socket(now, key, close, out);
            }
            Link::Leaving => {}
            Link::Lost => self.registry.free(slot),
        }
    }

    /// Starts the closing handshake of a socket.
    fn close_socket(&mut self, now: Time, key: ConnectionKey, close: Close, out: &mut Outputs) {
        out.push(Output::Close {
            to: key.slot,
            close: Box::new(close),
        });
        let deadline = now.after_ms(self.settings.limits.close_timeout_ms);
        self.timers.set(deadline, Timer::CloseDeadline(key));
    }

    /// Ends an active connection: from here on nobody sees it, and only its socket is left, if it has one.
    pub(crate) fn end(
        &mut self,
        now: Time,
        slot: u32,
        category: CloseCategory,
        reason: String,
        out: &mut Outputs,
    ) {
        let Some(id) = self.id_of(slot) else {
            return;
        };
        let Some(connection) = self.registry.get_mut(slot) else {
            return;
        };
        let extras = connection.extras.take();
        if let Some(reliable) = &mut connection.reliable {
            self.detached -= usize::from(reliable.link.is_detached());
            reliable.unacked.acknowledge(u64::MAX, &mut self.unacked);
            reliable.unacked.shrink();
        }
        let connection = &*connection;
        let ended = Ended {
            id,
            subprotocol: connection.subprotocol,
            user: connection.user.clone(),
            hub: self.registry.hub_name(slot),
            category,
            reason,
        };
        self.notify_ended(now, slot, &ended, out);
        if let Some(extras) = extras {
            self.end_extras(slot, &ended, *extras, out);
        }
        self.registry.unlink(slot, out);
        out.push(Output::Ended(Box::new(ended)));
    }
}
