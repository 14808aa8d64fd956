//! Drives a shard by a script: input text in, output text out.
//!
//! Inputs, one a line; `given` before one throws its outputs away, `show interest` adds interest to the outputs, and
//! `limits` (first of all) sets limits. Options may be left out; text behind ` : ` is taken as it is. The clock starts at 0.
//!
//! | line | input |
//! | --- | --- |
//! | `open a hub=chat user=ann groups=g,h roles=sendToGroup,joinLeaveGroup.g` | a client is let in, in JSON |
//! | `open a simple publish=g no_echo` | ... a simple one |
//! | `open a keep_alive=20s drop_on_event_failure` | ... with settings of its hub |
//! | `attach a`, `heard a` | its socket is there; bytes came from it |
//! | `a -> ...`, `a => ...` | a text, a binary message from it |
//! | `fault a invalid_frame`, `peer_closed a 1000 : ...`, `gone a lost` | it did wrong, sent a close frame, its socket is gone |
//! | `send group:g hub=chat excluded=a,b ttl=5 : ...` | a message to `all`, `group:`, `user:` or `connection:` |
//! | `close user:ann excluded=a : reason`, `count all` | connections are closed, counted |
//! | `list all after=a limit=2`, `groups user:ann after=g limit=2` | connections and their groups are listed, each with a number |
//! | `... where=userId~eq~'ann'` | ... of those that a filter lets pass; `~` is a space |
//! | `add connection:a g`, `remove user:ann g`, `remove_all user:ann` | memberships begin and end |
//! | `grant a sendToGroup : g`, `revoke ...`, `check ...` | permissions |
//! | `shutdown` | the process is about to stop |
//! | `+20s`, `+1ms` | time passes; timeouts that come due on the way are fired at their time, which their outputs begin with |

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hubwire_engine::{
    Action, Bucket, Command, ConnectionId, ConnectionKey, Fault, FrameKind, HubSettings, Input,
    Limits, Message, Open, Output, Outputs, Permission, RawMode, Reply, ReplyToken, Selection,
    Shard, SocketEnd, Target, Time,
};
use hubwire_protocol::filter::Filter;
use hubwire_protocol::message::{Content, DataMessage, From};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};

const NODE: u16 = 3;
const SHARD: u16 = 7;

/// Runs a script and compares what came out, line by line. Indentation does not matter.
#[track_caller]
pub(crate) fn check(script: &str, expected: &str) {
    let mut world = World::new();
    for line in lines(script) {
        world.run(line);
    }
    let expected: Vec<&str> = lines(expected).collect();
    assert_eq!(
        world.output.join("\n"),
        expected.join("\n"),
        "left is what came out"
    );
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

struct World {
    shard: Shard,
    now: Time,
    outputs: Outputs,
    /// Every connection there ever was, by its name in the script.
    connections: HashMap<String, (ConnectionKey, ConnectionId)>,
    /// Who is in a slot now.
    slots: HashMap<u32, String>,
    /// What the script has named, to read buckets back.
    buckets: Vec<(Bucket, String)>,
    shows_interest: bool,
    output: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            shard: Shard::new(NODE, SHARD, Limits::default()),
            now: Time::from_ms(0),
            outputs: Outputs::default(),
            connections: HashMap::new(),
            slots: HashMap::new(),
            buckets: Vec::new(),
            shows_interest: false,
            output: Vec::new(),
        }
    }

    fn run(&mut self, line: &str) {
        if let Some(line) = line.strip_prefix("given ") {
            let kept = self.output.len();
            self.run(line);
            self.output.truncate(kept);
            return;
        }
        if let Some(step) = line.strip_prefix('+') {
            return self.pass(milliseconds(step));
        }
        if let Some((name, text)) = line.split_once(" ->") {
            return self.message(name, WireKind::Text, text);
        }
        if let Some((name, text)) = line.split_once(" =>") {
            return self.message(name, WireKind::Binary, text);
        }
        let line = Line::parse(line);
        match line.verb {
            "show" => self.shows_interest = true,
            "limits" => self.limits(&line),
            "open" => self.open(&line),
            "attach" => {
                let key = self.key(line.words[0]);
                self.handle(Input::Attached { key });
            }
            "heard" => {
                let key = self.key(line.words[0]);
                self.shard.heard(key, self.now);
            }
            "fault" => {
                let (key, fault) = (self.key(line.words[0]), fault(line.words[1]));
                self.handle(Input::Fault { key, fault });
            }
            "peer_closed" => {
                let key = self.key(line.words[0]);
                let code = line
                    .words
                    .get(1)
                    .map(|code| code.parse().expect("a close code"));
                let reason = line.text;
                self.handle(Input::PeerClosed { key, code, reason });
            }
            "gone" => {
                let (key, end) = (self.key(line.words[0]), socket_end(line.words[1]));
                self.handle(Input::SocketClosed { key, end });
            }
            "shutdown" => self.handle(Input::Shutdown),
            _ => self.command(&line),
        }
    }

    fn pass(&mut self, milliseconds: u64) {
        let end = self.now.after_ms(milliseconds);
        while let Some(due) = self.shard.next_timeout()
            && due <= end
        {
            self.now = self.now.max(due);
            let from = self.output.len();
            self.handle(Input::Timeout);
            for line in &mut self.output[from..] {
                *line = format!("{}ms: {line}", self.now.as_ms());
            }
        }
        self.now = end;
    }

    fn limits(&mut self, line: &Line<'_>) {
        let mut limits = Limits::default();
        if let Some(count) = line.option("remembered_ack_ids") {
            limits.remembered_ack_ids = count.parse().expect("a number");
        }
        if let Some(step) = line.option("close_timeout") {
            limits.close_timeout_ms = milliseconds(step);
        }
        self.shard = Shard::new(NODE, SHARD, limits);
    }

    fn open(&mut self, line: &Line<'_>) {
        let name = line.words[0].to_owned();
        let hub = line.hub();
        let user = line.option("user").map(user_id);
        let groups: Vec<GroupName> = line.list("groups").map(group_name).collect();
        self.know(&hub, &groups, user.as_ref());
        let mut settings = HubSettings {
            drop_connection_on_event_failure: line.has("drop_on_event_failure"),
            ..HubSettings::default()
        };
        if let Some(step) = line.option("keep_alive") {
            settings.keep_alive_interval_ms = milliseconds(step);
        }
        let open = Open {
            hub,
            settings: Arc::new(settings),
            subprotocol: match line.has("simple") {
                true => Subprotocol::Simple,
                false => Subprotocol::Json,
            },
            spelling: None,
            user,
            groups,
            roles: line
                .list("roles")
                .map(|role| format!("webpubsub.{role}"))
                .collect(),
            raw_mode: match line.option("publish") {
                None => RawMode::Event,
                Some(group) => RawMode::Publish {
                    group: group_name(group),
                    no_echo: line.has("no_echo"),
                },
            },
            random: [self.connections.len() as u8; 16],
        };
        let input = Input::Open {
            open: Box::new(open),
            reply: ReplyToken(1),
        };
        self.shard.handle(self.now, input, &mut self.outputs);
        let opened = self.outputs.list.iter().find_map(|output| match output {
            Output::Reply {
                token: ReplyToken(1),
                reply: Reply::Opened { key, id, .. },
            } => Some((*key, *id)),
            _ => None,
        });
        let (key, id) = opened.expect("an open is answered");
        self.connections.insert(name.clone(), (key, id));
        self.slots.insert(key.slot, name);
        self.take_outputs();
    }

    fn message(&mut self, name: &str, kind: WireKind, text: &str) {
        let key = self.key(name);
        let text = text.trim_start();
        if let Some(group) = group_of_frame(text) {
            self.know(&Hub::new("chat").expect("a hub name"), &[group], None);
        }
        self.handle(Input::Message {
            key,
            kind,
            payload: text.as_bytes(),
        });
    }

    fn selection(&self, line: &Line<'_>) -> Selection {
        Selection {
            target: self.target(line.words[0]),
            excluded: self.ids(line.list("excluded")),
            filter: line.option("where").map(|text| {
                let filter = Filter::parse(&text.replace('~', " "));
                Arc::new(filter.expect("a good filter"))
            }),
        }
    }

    fn command(&mut self, line: &Line<'_>) {
        let group = || group_name(line.words[1]);
        let permission = || permission(line.words[1]);
        let action = match line.verb {
            "send" => Action::Send {
                to: self.selection(line),
                message: self.data_message(line),
            },
            "close" => Action::Close {
                connections: self.selection(line),
                reason: (!line.text.is_empty()).then(|| line.text.to_owned()),
            },
            "count" => Action::Count {
                of: self.target(line.words[0]),
            },
            "list" => Action::ListConnections {
                of: self.target(line.words[0]),
                after: line.option("after").map(|name| self.id(name)),
                limit: line.limit(),
            },
            "groups" => Action::ListGroups {
                of: self.target(line.words[0]),
                after: line.option("after").map(group_name),
                limit: line.limit(),
            },
            "add" => Action::AddToGroups {
                members: self.selection(line),
                groups: vec![group()],
            },
            "remove" => Action::RemoveFromGroups {
                members: self.selection(line),
                groups: Some(vec![group()]),
            },
            "remove_all" => Action::RemoveFromGroups {
                members: self.selection(line),
                groups: None,
            },
            "grant" => Action::Grant {
                connection: self.id(line.words[0]),
                permission: permission(),
                group: group_name(line.text),
            },
            "revoke" => Action::Revoke {
                connection: self.id(line.words[0]),
                permission: permission(),
                group: group_name(line.text),
            },
            "check" => Action::CheckPermission {
                connection: self.id(line.words[0]),
                permission: permission(),
                group: group_name(line.text),
            },
            verb => panic!("no such input: {verb}"),
        };
        let hub = line.hub();
        if let Action::AddToGroups { groups, .. } = &action {
            self.know(&hub, groups, None);
        }
        let reply = (line.verb != "send").then_some(ReplyToken(2));
        let command = Command { hub, action };
        self.handle(Input::Command {
            command: &command,
            reply,
        });
    }

    fn data_message(&self, line: &Line<'_>) -> Arc<Message> {
        let from = match self.target(line.words[0]) {
            Target::Group(group) => From::Group { group, user: None },
            Target::All | Target::User(_) | Target::Connection(_) => From::Server,
        };
        let payload = Payload {
            data_type: DataType::Text,
            data: Bytes::copy_from_slice(line.text.as_bytes()),
        };
        let content = Content {
            payload,
            metadata: Metadata::default(),
        };
        let ttl = line
            .option("ttl")
            .map_or(0, |ttl| ttl.parse().expect("seconds"));
        Arc::new(Message::new(DataMessage { from, content }, self.now, ttl))
    }

    fn handle(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input, &mut self.outputs);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        let Outputs { list, frames } = std::mem::take(&mut self.outputs);
        for output in list {
            let line = match output {
                Output::Opened { key } => format!("{} opened", self.name(key.slot)),
                Output::Send { to, frame } => {
                    let queued = &frames[frame.0 as usize];
                    let text = String::from_utf8_lossy(queued.frame.payload());
                    let arrow = match queued.frame.kind() {
                        FrameKind::Text => "<-",
                        FrameKind::Binary => "<=",
                        kind => panic!("a shard sends no {kind:?}"),
                    };
                    let until = queued
                        .expires
                        .map(|time| format!(" until {}ms", time.as_ms()));
                    let until = until.unwrap_or_default();
                    self.with_names(&format!("{} {arrow}{until} {text}", self.name(to)))
                }
                Output::Ping { to } => format!("{} ping", self.name(to)),
                Output::Close { to, close } => {
                    let code = close
                        .code
                        .map_or("none".to_owned(), |code| code.to_string());
                    format!("{} close {code} {:?}", self.name(to), close.reason)
                }
                Output::Abort { to } => format!("{} abort", self.name(to)),
                Output::Forward { from, command } => {
                    self.with_names(&format!("{} forward {}", self.name(from), sent(&command)))
                }
                Output::Interest {
                    bucket,
                    is_interested,
                } => match self.shows_interest {
                    true => format!("interest {} {is_interested}", self.bucket(bucket)),
                    false => continue,
                },
                Output::Reply { reply, .. } => match reply {
                    Reply::Opened { ignored_roles, .. } => {
                        format!("let in, {ignored_roles} roles ignored")
                    }
                    Reply::Matched(count) => format!("matched {count}"),
                    Reply::Connections(found) => {
                        let found: Vec<String> = found
                            .iter()
                            .map(|connection| {
                                let name = self.with_names(&connection.id.to_string());
                                format!("{name}/{}", connection.group_count)
                            })
                            .collect();
                        format!("connections {}", found.join(" "))
                            .trim_end()
                            .to_owned()
                    }
                    Reply::Groups(found) => {
                        let found: Vec<String> = found
                            .iter()
                            .map(|group| format!("{}/{}", group.name, group.connections))
                            .collect();
                        format!("groups {}", found.join(" "))
                    }
                    Reply::NotFound => "not found".to_owned(),
                    Reply::Denied => "denied".to_owned(),
                    Reply::Conflict => "conflict".to_owned(),
                },
                Output::Ended(ended) => {
                    let name = self.with_names(&ended.id.to_string());
                    let user = ended
                        .user
                        .map(|user| format!(" of {user}"))
                        .unwrap_or_default();
                    let category = ended.category.as_str();
                    format!("{name}{user} ended {category} {:?}", ended.reason)
                }
            };
            self.output.push(line);
        }
    }

    fn know(&mut self, hub: &Hub, groups: &[GroupName], user: Option<&UserId>) {
        self.buckets
            .push((Bucket::of_hub(hub), format!("hub:{hub}")));
        for group in groups {
            self.buckets
                .push((Bucket::of_group(hub, group), format!("group:{group}")));
        }
        if let Some(user) = user {
            self.buckets
                .push((Bucket::of_user(hub, user), format!("user:{user}")));
        }
    }

    fn bucket(&self, bucket: Bucket) -> &str {
        let known = self.buckets.iter().find(|(known, _)| *known == bucket);
        known.map_or("unknown", |(_, name)| name)
    }

    fn name(&self, slot: u32) -> &str {
        &self.slots[&slot]
    }

    fn with_names(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, (_, id)) in &self.connections {
            text = text.replace(&id.to_string(), name);
        }
        text
    }

    fn key(&self, name: &str) -> ConnectionKey {
        self.connections[name].0
    }

    /// Returns a connection's id; of a name that the script does not know, one that no connection has.
    fn id(&self, name: &str) -> ConnectionId {
        let unknown = ConnectionId {
            node: NODE,
            shard: SHARD,
            slot: 0,
            random: [0xFF; 16],
        };
        self.connections.get(name).map_or(unknown, |(_, id)| *id)
    }

    fn ids<'n>(&self, names: impl Iterator<Item = &'n str>) -> Vec<ConnectionId> {
        names.map(|name| self.id(name)).collect()
    }

    fn target(&self, text: &str) -> Target {
        match text.split_once(':') {
            None if text == "all" => Target::All,
            Some(("group", name)) => Target::Group(group_name(name)),
            Some(("user", name)) => Target::User(user_id(name)),
            Some(("connection", name)) => Target::Connection(self.id(name)),
            _ => panic!("no such target: {text}"),
        }
    }
}

/// A line cut into its words: `verb word word key=value : text`.
struct Line<'a> {
    verb: &'a str,
    words: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let (head, text) = line.split_once(" : ").unwrap_or((line, ""));
        let mut words = head.split_whitespace();
        let verb = words.next().expect("a line is not empty");
        let (options, words): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        let options = options
            .into_iter()
            .filter_map(|option| option.split_once('='))
            .collect();
        Self {
            verb,
            words,
            options,
            text,
        }
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        self.options
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }

    fn limit(&self) -> usize {
        self.option("limit")
            .map_or(100, |limit| limit.parse().expect("a number"))
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.option(name)
            .into_iter()
            .flat_map(|value| value.split(','))
    }

    fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn hub(&self) -> Hub {
        Hub::new(self.option("hub").unwrap_or("chat")).expect("a hub name")
    }
}

fn sent(command: &Command) -> String {
    match &command.action {
        Action::Send { to, .. } => {
            let group = match &to.target {
                Target::Group(group) => format!("group:{group}"),
                to => panic!("a client does not send to {to:?}"),
            };
            let excluded: Vec<String> = to.excluded.iter().map(ToString::to_string).collect();
            format!("send {group} excluded={}", excluded.join(","))
        }
        action => panic!("a client does not cause {action:?}"),
    }
}

fn group_of_frame(frame: &str) -> Option<GroupName> {
    let frame: serde_json::Value = serde_json::from_str(frame).ok()?;
    GroupName::new(frame.get("group")?.as_str()?).ok()
}

fn group_name(name: &str) -> GroupName {
    GroupName::new(name).expect("a group name")
}

fn user_id(id: &str) -> UserId {
    UserId::new(id).expect("a user id")
}

fn permission(name: &str) -> Permission {
    match name {
        "sendToGroup" => Permission::SendToGroup,
        "joinLeaveGroup" => Permission::JoinLeaveGroup,
        name => panic!("no such permission: {name}"),
    }
}

fn fault(name: &str) -> Fault {
    match name {
        "invalid_frame" => Fault::InvalidFrame,
        "invalid_utf8" => Fault::InvalidUtf8,
        "too_large" => Fault::MessageTooLarge,
        "queue_full" => Fault::OutboundQueueFull,
        name => panic!("no such fault: {name}"),
    }
}

fn socket_end(name: &str) -> SocketEnd {
    match name {
        "lost" => SocketEnd::Lost,
        "dropped" => SocketEnd::Dropped,
        "not_attached" => SocketEnd::NotAttached,
        "error" => SocketEnd::InternalError,
        name => panic!("no such end: {name}"),
    }
}

fn milliseconds(step: &str) -> u64 {
    let (number, unit) = match (step.strip_suffix("ms"), step.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => panic!("no unit: {step}"),
    };
    number.parse::<u64>().expect("a number") * unit
}
