//! Clients that come back.

use hubwire_engine::{Input, Recover, Reply};

use super::{REPLY, World};
use crate::model::{Link, hub_name};
use crate::promise::{Checked, Promise, broken};
use crate::settings::UNIX_ORIGIN_MS;

/// What a client shows when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// One of its tokens, by age; 0 is the newest.
    Token(usize),
    /// A token of another client.
    OtherToken(usize),
    /// A token of its own with a letter changed.
    ForgedToken,
    /// A good token, at another hub.
    OtherHub,
}

impl World {
    /// A client wants to go on with its connection over a new socket.
    pub(crate) fn recover(&mut self, number: usize, shown: Shown) -> Checked {
        let Some(id) = self.clients[number].id.clone() else {
            return Ok(());
        };
        let Some(token) = self.token(number, shown) else {
            return Ok(());
        };
        self.note(&[number], || format!("comes back with {shown:?}"));
        let now_s = (UNIX_ORIGIN_MS + self.now) / 1000;
        let is_good = matches!(shown, Shown::Token(_) | Shown::OtherHub);
        if self.key.verify(&id, &token, now_s) != is_good {
            let detail = format!("{shown:?} is judged wrongly");
            return broken(Promise::Recovery, [number], detail);
        }
        if !is_good {
            return Ok(());
        }
        let hub = match shown {
            Shown::OtherHub => self.model.other_hub(number),
            Shown::Token(_) | Shown::OtherToken(_) | Shown::ForgedToken => {
                self.model.connections[number].hub
            }
        };
        self.let_in_again(number, hub, shown == Shown::OtherHub)
    }

    fn let_in_again(&mut self, number: usize, hub: &str, is_elsewhere: bool) -> Checked {
        let shard = self.shard_of(number);
        let Some(id) = self.model.connections[number].id else {
            return Ok(());
        };
        let is_in_progress = matches!(
            self.model.connections[number].link,
            Link::Opening | Link::Recovering
        );
        self.opening = number;
        self.begin(shard);
        let must_succeed = self.model.recover(number, hub);
        if must_succeed && self.clients[number].is_open {
            // The client has given its old socket up, whether or not the service knows.
            self.clients[number].is_open = false;
        }
        let recover = Recover {
            hub: hub_name(hub),
            id,
        };
        self.input(
            shard,
            Input::Recover {
                recover: &recover,
                reply: REPLY,
            },
        )?;
        let usual = self.clients[number].subprotocol.name();
        match (must_succeed, self.take_reply()) {
            (true, Some(Reply::Recovered { protocol, .. })) if Some(&*protocol) == usual => {
                self.clients[number].awaits_socket = true;
                self.totals.recoveries += 1;
            }
            (false, Some(Reply::NotFound)) => {
                if !is_in_progress && !is_elsewhere {
                    self.clients[number].is_over = true;
                }
                self.note(&[number], || "is refused".to_owned());
            }
            (_, reply) => {
                let detail = format!("{reply:?}, expected success: {must_succeed}");
                return broken(Promise::Recovery, [number], detail);
            }
        }
        self.end_turn()
    }

    fn token(&self, number: usize, shown: Shown) -> Option<String> {
        let own = &self.clients[number].tokens;
        match shown {
            Shown::Token(age) => own.iter().rev().nth(age).cloned(),
            Shown::OtherHub => own.last().cloned(),
            Shown::OtherToken(other) if other == number => None,
            Shown::OtherToken(other) => self.clients[other].tokens.last().cloned(),
            Shown::ForgedToken => {
                let token = own.last()?;
                let changed = if token.starts_with('A') { "B" } else { "A" };
                Some(format!("{changed}{}", &token[1..]))
            }
        }
    }
}
