//! A shard beside a model that does the same with plain sets: after every step, whoever receives in one receives in the
//! other, and what the shard says it is interested in is what the model has.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use hubwire_engine::{
    Action, Bucket, Command, ConnectionId, ConnectionKey, Fault, HubSettings, Input, Limits,
    Message, Open, Output, Outputs, RawMode, Reply, ReplyToken, Selection, Shard, ShardSettings,
    SocketEnd, Target, Time,
};
use hubwire_protocol::message::{Content, DataMessage, From};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};
use hubwire_protocol::token::ReconnectionKey;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const HUBS: [&str; 2] = ["chat", "other"];
const GROUPS: [&str; 3] = ["g", "h", "i"];
const USERS: [&str; 2] = ["ann", "bob"];

proptest! {
    #[test]
    fn shard_and_model_agree_after_every_step(steps in vec(step(), 1..80)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
            pair.compare();
        }
        pair.close_everything();
        pair.compare();
        prop_assert!(pair.interest.is_empty());
        prop_assert_eq!(pair.shard.group_count(), 0);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open {
        hub: usize,
        user: Option<usize>,
        groups: Vec<usize>,
        is_simple: bool,
    },
    /// A client's frame; `connection` may be one that is gone.
    Join {
        connection: Index,
        group: usize,
    },
    Leave {
        connection: Index,
        group: usize,
    },
    Publish {
        connection: Index,
        group: usize,
        no_echo: bool,
    },
    /// The first half of an end: the connection is gone, its socket is not.
    PeerClosed {
        connection: Index,
    },
    Fault {
        connection: Index,
    },
    /// The socket is gone, whatever was before.
    SocketClosed {
        connection: Index,
    },
    Send {
        hub: usize,
        to: Whom,
        excluded: Vec<Index>,
    },
    Close {
        hub: usize,
        to: Whom,
        excluded: Vec<Index>,
    },
    Add {
        hub: usize,
        members: Whom,
        group: usize,
    },
    Remove {
        hub: usize,
        members: Whom,
        group: Option<usize>,
    },
    Count {
        hub: usize,
        of: Whom,
    },
}

#[derive(Clone, Debug)]
enum Whom {
    All,
    Group(usize),
    User(usize),
    Connection(Index),
}

/// What the model knows of a connection that is active.
#[derive(Debug)]
struct Member {
    hub: usize,
    user: Option<usize>,
    groups: BTreeSet<usize>,
    is_simple: bool,
}

/// A connection that was opened at some time. Its number is its place in the list.
#[derive(Clone, Copy)]
struct Opened {
    key: ConnectionKey,
    id: ConnectionId,
}

struct Pair {
    shard: Shard,
    model: BTreeMap<usize, Member>,
    opened: Vec<Opened>,
    /// The connection whose socket is in a slot.
    slots: BTreeMap<u32, usize>,
    /// What the shard has said so far.
    interest: BTreeSet<usize>,
    /// What the last step made of it.
    received: Vec<usize>,
    ended: Vec<usize>,
    reply: Option<Reply>,
}

impl Pair {
    fn new() -> Self {
        Self {
            shard: Shard::new(ShardSettings {
                node: 1,
                number: 2,
                shards: 3,
                unix_origin_ms: 0,
                reconnection_key: ReconnectionKey::new(b"key"),
                limits: Limits::default(),
            }),
            model: BTreeMap::new(),
            opened: Vec::new(),
            slots: BTreeMap::new(),
            interest: BTreeSet::new(),
            received: Vec::new(),
            ended: Vec::new(),
            reply: None,
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Open {
                hub,
                user,
                groups,
                is_simple,
            } => self.open(*hub, *user, groups, *is_simple),
            Step::Join { connection, group } => {
                if let Some(number) = self.frame(connection, "joinGroup", *group, "")
                    && let Some(member) = self.model.get_mut(&number)
                {
                    member.groups.insert(*group);
                }
            }
            Step::Leave { connection, group } => {
                if let Some(number) = self.frame(connection, "leaveGroup", *group, "")
                    && let Some(member) = self.model.get_mut(&number)
                {
                    member.groups.remove(group);
                }
            }
            Step::Publish {
                connection,
                group,
                no_echo,
            } => self.publish(connection, *group, *no_echo),
            Step::PeerClosed { connection } => self.with(connection, |pair, number| {
                let key = pair.opened[number].key;
                pair.handle(Input::PeerClosed {
                    key,
                    code: Some(1000),
                    reason: "",
                });
                pair.end_in_model(number);
            }),
            Step::Fault { connection } => self.with(connection, |pair, number| {
                let key = pair.opened[number].key;
                let fault = Fault::OutboundQueueFull;
                pair.handle(Input::Fault { key, fault });
                pair.end_in_model(number);
            }),
            Step::SocketClosed { connection } => self.with(connection, |pair, number| {
                let key = pair.opened[number].key;
                let end = SocketEnd::Lost;
                pair.handle(Input::SocketClosed { key, end });
                pair.end_in_model(number);
            }),
            Step::Send { hub, to, excluded } => {
                let expected = self.chosen(*hub, to, excluded);
                let action = Action::Send {
                    to: self.selection(to, excluded),
                    message: message(),
                };
                self.command(*hub, action);
                self.received.sort_unstable();
                assert_eq!(self.received, expected);
            }
            Step::Close { hub, to, excluded } => {
                let expected = self.chosen(*hub, to, excluded);
                let action = Action::Close {
                    connections: self.selection(to, excluded),
                    reason: None,
                };
                self.command(*hub, action);
                self.ended.sort_unstable();
                assert_eq!(self.ended, expected);
                assert_eq!(self.reply, Some(Reply::Matched(expected.len())));
                self.model.retain(|number, _| !expected.contains(number));
            }
            Step::Add {
                hub,
                members,
                group,
            } => {
                let chosen = self.chosen(*hub, members, &[]);
                let action = Action::AddToGroups {
                    members: self.target(members).into(),
                    groups: vec![group_name(*group)],
                };
                self.command(*hub, action);
                assert_eq!(self.reply, Some(Reply::Matched(chosen.len())));
                for number in chosen {
                    self.model.get_mut(&number).unwrap().groups.insert(*group);
                }
            }
            Step::Remove {
                hub,
                members,
                group,
            } => {
                let chosen = self.chosen(*hub, members, &[]);
                let action = Action::RemoveFromGroups {
                    members: self.target(members).into(),
                    groups: group.map(|group| vec![group_name(group)]),
                };
                self.command(*hub, action);
                assert_eq!(self.reply, Some(Reply::Matched(chosen.len())));
                for number in chosen {
                    let groups = &mut self.model.get_mut(&number).unwrap().groups;
                    groups.retain(|member_of| group.is_some_and(|group| group != *member_of));
                }
            }
            Step::Count { hub, of } => {
                let expected = self.chosen(*hub, of, &[]);
                self.command(
                    *hub,
                    Action::Count {
                        of: self.target(of),
                    },
                );
                assert_eq!(self.reply, Some(Reply::Matched(expected.len())));
            }
        }
    }

    /// Compares what there is now: who would receive what is sent to each target, and what the shard is interested in.
    fn compare(&mut self) {
        let mut expected = BTreeSet::new();
        for member in self.model.values() {
            let hub = hub_name(member.hub);
            expected.insert(Bucket::of_hub(&hub).index());
            expected.extend(
                member
                    .user
                    .map(|user| Bucket::of_user(&hub, &user_id(user)).index()),
            );
            let groups = member.groups.iter();
            expected
                .extend(groups.map(|group| Bucket::of_group(&hub, &group_name(*group)).index()));
        }
        assert_eq!(self.interest, expected);
        for hub in 0..HUBS.len() {
            let all = [Whom::All];
            let groups = (0..GROUPS.len()).map(Whom::Group);
            let users = (0..USERS.len()).map(Whom::User);
            for to in all.into_iter().chain(groups).chain(users) {
                let excluded = Vec::new();
                self.apply(&Step::Send { hub, to, excluded });
            }
        }
    }

    fn close_everything(&mut self) {
        for hub in 0..HUBS.len() {
            let excluded = Vec::new();
            let to = Whom::All;
            self.apply(&Step::Close { hub, to, excluded });
        }
        for Opened { key, .. } in self.opened.clone() {
            let end = SocketEnd::Dropped;
            self.handle(Input::SocketClosed { key, end });
        }
    }

    fn open(&mut self, hub: usize, user: Option<usize>, groups: &[usize], is_simple: bool) {
        let number = self.opened.len();
        let open = Open {
            hub: hub_name(hub),
            settings: Arc::new(HubSettings::default()),
            subprotocol: match is_simple {
                true => Subprotocol::Simple,
                false => Subprotocol::Json,
            },
            spelling: None,
            user: user.map(user_id),
            groups: groups.iter().copied().map(group_name).collect(),
            roles: vec![
                "webpubsub.sendToGroup".to_owned(),
                "webpubsub.joinLeaveGroup".to_owned(),
            ],
            raw_mode: RawMode::Event,
            random: [number as u8; 16],
        };
        let mut outputs = Outputs::default();
        let input = Input::Open {
            open: Box::new(open),
            reply: ReplyToken(1),
        };
        self.shard.handle(Time::from_ms(0), input, &mut outputs);
        let opened = outputs.list.iter().find_map(|output| match output {
            Output::Reply {
                reply: Reply::Opened { key, id, .. },
                ..
            } => Some(Opened { key: *key, id: *id }),
            _ => None,
        });
        let opened = opened.unwrap();
        self.opened.push(opened);
        self.slots.insert(opened.key.slot, number);
        self.read(outputs);
        let member = Member {
            hub,
            user,
            groups: groups.iter().copied().collect(),
            is_simple,
        };
        self.model.insert(number, member);
    }

    /// Sends a frame of a connection that speaks JSON, whether or not it is still there.
    fn frame(
        &mut self,
        connection: &Index,
        frame_type: &str,
        group: usize,
        more: &str,
    ) -> Option<usize> {
        let number = self.pick(connection)?;
        if self
            .model
            .get(&number)
            .is_some_and(|member| member.is_simple)
        {
            return None;
        }
        let frame = format!(
            r#"{{"type":"{frame_type}","group":"{}"{more}}}"#,
            GROUPS[group]
        );
        self.handle(Input::Message {
            key: self.opened[number].key,
            kind: WireKind::Text,
            payload: frame.as_bytes(),
        });
        Some(number)
    }

    fn publish(&mut self, connection: &Index, group: usize, no_echo: bool) {
        let more = format!(r#","data":1,"noEcho":{no_echo}"#);
        let Some(number) = self.frame(connection, "sendToGroup", group, &more) else {
            return;
        };
        let expected = match self.model.get(&number) {
            None => Vec::new(),
            Some(sender) => {
                let mut members = self.chosen(sender.hub, &Whom::Group(group), &[]);
                members.retain(|member| !(no_echo && *member == number));
                members
            }
        };
        self.received.sort_unstable();
        assert_eq!(self.received, expected);
    }

    fn command(&mut self, hub: usize, action: Action) {
        let command = Command {
            hub: hub_name(hub),
            action,
        };
        self.handle(Input::Command {
            command: &command,
            reply: Some(ReplyToken(2)),
        });
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut outputs = Outputs::default();
        self.shard.handle(Time::from_ms(0), input, &mut outputs);
        self.read(outputs);
    }

    fn read(&mut self, outputs: Outputs) {
        self.received.clear();
        self.ended.clear();
        self.reply = None;
        for output in outputs.list {
            match output {
                Output::Send { to, frame, .. } => {
                    let payload = outputs.frames[frame.0 as usize].payload();
                    if !payload.starts_with(br#"{"type":"system""#) {
                        self.received.push(self.slots[&to]);
                    }
                }
                Output::Interest {
                    bucket,
                    is_interested: true,
                } => assert!(self.interest.insert(bucket.index()), "said twice"),
                Output::Interest {
                    bucket,
                    is_interested: false,
                } => assert!(self.interest.remove(&bucket.index()), "taken back twice"),
                Output::Ended(ended) => {
                    let number = self.opened.iter().position(|opened| opened.id == ended.id);
                    self.ended.push(number.unwrap());
                }
                Output::Reply { reply, .. } => self.reply = Some(reply),
                Output::Opened { .. }
                | Output::Ping { .. }
                | Output::Close { .. }
                | Output::Abort { .. }
                | Output::Forward { .. }
                | Output::Relay(_)
                | Output::Started(_) => {}
            }
        }
    }

    fn with(&mut self, connection: &Index, act: impl FnOnce(&mut Self, usize)) {
        if let Some(number) = self.pick(connection) {
            act(self, number);
        }
    }

    fn end_in_model(&mut self, number: usize) {
        let expected: Vec<usize> = self
            .model
            .remove(&number)
            .map(|_| number)
            .into_iter()
            .collect();
        assert_eq!(self.ended, expected);
    }

    fn pick(&self, connection: &Index) -> Option<usize> {
        (!self.opened.is_empty()).then(|| connection.index(self.opened.len()))
    }

    /// Returns the model's connections of a target, in ascending order.
    fn chosen(&self, hub: usize, whom: &Whom, excluded: &[Index]) -> Vec<usize> {
        let excluded: Vec<_> = excluded
            .iter()
            .filter_map(|index| self.pick(index))
            .collect();
        self.model
            .iter()
            .filter(|(number, member)| {
                member.hub == hub
                    && !excluded.contains(number)
                    && match whom {
                        Whom::All => true,
                        Whom::Group(group) => member.groups.contains(group),
                        Whom::User(user) => member.user == Some(*user),
                        Whom::Connection(index) => self.pick(index) == Some(**number),
                    }
            })
            .map(|(number, _)| *number)
            .collect()
    }

    fn selection(&self, whom: &Whom, excluded: &[Index]) -> Selection {
        Selection {
            excluded: self.ids(excluded),
            ..self.target(whom).into()
        }
    }

    fn target(&self, whom: &Whom) -> Target {
        match whom {
            Whom::All => Target::All,
            Whom::Group(group) => Target::Group(group_name(*group)),
            Whom::User(user) => Target::User(user_id(*user)),
            Whom::Connection(index) => Target::Connection(match self.pick(index) {
                Some(number) => self.opened[number].id,
                None => ConnectionId::parse(&"A".repeat(32)).unwrap(),
            }),
        }
    }

    fn ids(&self, connections: &[Index]) -> Vec<ConnectionId> {
        let numbers = connections.iter().filter_map(|index| self.pick(index));
        numbers.map(|number| self.opened[number].id).collect()
    }
}

fn step() -> impl Strategy<Value = Step> {
    let hub = || 0..HUBS.len();
    let group = || 0..GROUPS.len();
    let connection = any::<Index>;
    let excluded = || vec(any::<Index>(), 0..3);
    prop_oneof![
        6 => (hub(), proptest::option::of(0..USERS.len()), vec(group(), 0..3), any::<bool>())
            .prop_map(|(hub, user, groups, is_simple)| Step::Open { hub, user, groups, is_simple }),
        4 => (connection(), group()).prop_map(|(connection, group)| Step::Join { connection, group }),
        2 => (connection(), group()).prop_map(|(connection, group)| Step::Leave { connection, group }),
        2 => (connection(), group(), any::<bool>())
            .prop_map(|(connection, group, no_echo)| Step::Publish { connection, group, no_echo }),
        1 => connection().prop_map(|connection| Step::PeerClosed { connection }),
        1 => connection().prop_map(|connection| Step::Fault { connection }),
        3 => connection().prop_map(|connection| Step::SocketClosed { connection }),
        2 => (hub(), whom(), excluded()).prop_map(|(hub, to, excluded)| Step::Send { hub, to, excluded }),
        1 => (hub(), whom(), excluded()).prop_map(|(hub, to, excluded)| Step::Close { hub, to, excluded }),
        1 => (hub(), whom(), group()).prop_map(|(hub, members, group)| Step::Add { hub, members, group }),
        1 => (hub(), whom(), proptest::option::of(group()))
            .prop_map(|(hub, members, group)| Step::Remove { hub, members, group }),
        1 => (hub(), whom()).prop_map(|(hub, of)| Step::Count { hub, of }),
    ]
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        1 => Just(Whom::All),
        2 => (0..GROUPS.len()).prop_map(Whom::Group),
        2 => (0..USERS.len()).prop_map(Whom::User),
        2 => any::<Index>().prop_map(Whom::Connection),
    ]
}

fn message() -> Arc<Message> {
    let payload = Payload {
        data_type: DataType::Json,
        data: Bytes::from_static(b"1"),
    };
    let content = Content {
        payload,
        metadata: Metadata::default(),
    };
    let from = From::Server;
    Arc::new(Message::new(
        DataMessage {
            from,
            content,
            stream: None,
        },
        Time::from_ms(0),
        0,
    ))
}

fn hub_name(hub: usize) -> Hub {
    Hub::new(HUBS[hub]).unwrap()
}

fn group_name(group: usize) -> GroupName {
    GroupName::new(GROUPS[group]).unwrap()
}

fn user_id(user: usize) -> UserId {
    UserId::new(USERS[user]).unwrap()
}
