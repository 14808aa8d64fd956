//! Drives a shard by a script: input text in, output text out.
//!
//! Inputs, one a line; `given` before one throws its outputs away, `show interest` adds interest to the outputs, and
//! `limits` (first of all) sets limits. Options may be left out; text behind ` : ` is taken as it is. The clock starts at 0.
//!
//! | line | input |
//! | --- | --- |
//! | `open a hub=chat user=ann groups=g,h roles=sendToGroup,joinLeaveGroup.g` | a client is let in, in JSON |
//! | `open a simple publish=g no_echo` | ... a simple one |
//! | `open a reliable` | ... a reliable one |
//! | `open a protobuf`, `open a protobuf reliable` | ... in protobuf |
//! | `open a keep_alive=20s lifetime=1000s drop_on_event_failure buffer=9 buffer_bytes=99` | ... with settings of its hub |
//! | `open a no_streaming no_group_state no_invocation` | ... with switches of its hub off |
//! | `fork a as old` | a name for the socket that a connection has now |
//! | `open a events=user,system,presence` | ... of a hub whose events somebody handles |
//! | `reserve a`, `open a reserved`, `release a` | a client has an id before it is let in or not |
//! | `answer a 1 text : hi`, `answer a 1`, `fail a 1 timeout` | question 1, which `a` asked, is answered |
//! | `answer a 1 binary metadata=k~v : hi` | ... with metadata |
//! | `settings hub=chat events=user` | the settings of a hub have changed |
//! | `recover a hub=chat` | a client wants to go on with a reliable connection |
//! | `attach a`, `heard a` | its socket is there; bytes came from it |
//! | `a -> ...`, `a => ...`, `a =hex> ...` | a text, a binary message from it, and one in hexadecimal |
//! | `fault a invalid_frame`, `peer_closed a 1000 : ...`, `gone a lost` | it did wrong, sent a close frame, its socket is gone |
//! | `send group:g hub=chat excluded=a,b ttl=5 : ...` | a message to `all`, `group:`, `user:` or `connection:` |
//! | `close user:ann excluded=a : reason`, `count all` | connections are closed, counted |
//! | `list all after=a limit=2`, `groups user:ann after=g limit=2` | connections and their groups are listed, each with a number |
//! | `... where=userId~eq~'ann'` | ... of those that a filter lets pass; `~` is a space |
//! | `add connection:a g`, `remove user:ann g`, `remove_all user:ann` | memberships begin and end |
//! | `grant a sendToGroup : g`, `revoke ...`, `check ...` | permissions |
//! | `shutdown` | the process is about to stop |
//! | `limits recovery_window=30s`, `close_timeout`, `remembered_ack_ids` | limits of the process |
//! | `+20s`, `+1ms` | time passes; timeouts that come due on the way are fired at their time, which their outputs begin with |

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hubwire_engine::{
    Action, Bucket, Command, ConnectionId, ConnectionKey, Delivery, EventSettings, Fault, Frame,
    FrameKind, HubSettings, Input, Limits, Message, Open, Output, Outputs, Permission, Place,
    RawMode, Recover, Reply, ReplyToken, Selection, Shard, ShardSettings, SocketEnd, Target, Time,
};
use hubwire_protocol::event::{Event, EventFailure, EventKind};
use hubwire_protocol::filter::Filter;
use hubwire_protocol::message::{Content, DataMessage, From};
use hubwire_protocol::metadata::Metadata;
use hubwire_protocol::names::{GroupName, Hub, UserId};
use hubwire_protocol::payload::{DataType, Payload};
use hubwire_protocol::subprotocol::{Subprotocol, WireKind};
use hubwire_protocol::token::ReconnectionKey;

const NODE: u16 = 3;
const SHARD: u16 = 0;

/// Runs a script and compares what came out, line by line. Indentation does not matter.
#[track_caller]
pub(crate) fn check(script: &str, expected: &str) {
    let expected: Vec<&str> = lines(expected).collect();
    assert_eq!(
        outputs(script).join("\n"),
        expected.join("\n"),
        "left is what came out"
    );
}

/// Runs a script and returns what came out.
pub(crate) fn outputs(script: &str) -> Vec<String> {
    let mut world = World::new();
    for line in lines(script) {
        world.run(line);
    }
    let trimmed = world.output.iter().map(|line| line.trim_end().to_owned());
    trimmed.collect()
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
            shard: shard(Limits::default()),
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
        if let Some((name, digits)) = line.split_once(" =hex> ") {
            let (key, payload) = (self.key(name), &bytes(digits));
            let kind = WireKind::Binary;
            return self.handle(Input::Message { key, kind, payload });
        }
        let line = Line::parse(line);
        match line.verb {
            "show" => self.shows_interest = true,
            "limits" => self.limits(&line),
            "open" => self.open(&line),
            "recover" => self.recover(&line),
            "reserve" => self.reserve(line.words[0]),
            "release" => {
                let key = self.key(line.words[0]);
                self.handle(Input::Release { key });
            }
            "answer" | "fail" => self.answer(&line),
            "settings" => {
                let (hub, settings) = (line.hub(), Arc::new(settings(&line)));
                let hub = &hub;
                self.handle(Input::Settings { hub, settings });
            }
            "fork" => {
                let connection = self.connections[line.words[0]];
                self.connections
                    .insert(line.words[2].to_owned(), connection);
            }
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
        if let Some(step) = line.option("recovery_window") {
            limits.recovery_window_ms = milliseconds(step);
        }
        self.shard = shard(limits);
    }

    fn open(&mut self, line: &Line<'_>) {
        let name = line.words[0].to_owned();
        let hub = line.hub();
        let user = line.option("user").map(user_id);
        let groups: Vec<GroupName> = line.list("groups").map(group_name).collect();
        self.know(&hub, &groups, user.as_ref());
        let open = Open {
            hub,
            settings: Arc::new(settings(line)),
            subprotocol: match (line.has("protobuf"), line.has("reliable")) {
                _ if line.has("simple") => Subprotocol::Simple,
                (true, true) => Subprotocol::ReliableProtobuf,
                (true, false) => Subprotocol::Protobuf,
                (false, true) => Subprotocol::ReliableJson,
                (false, false) => Subprotocol::Json,
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
            place: match line.has("reserved") {
                true => Place::Reserved(self.key(&name)),
                false => Place::Random([self.connections.len() as u8; 16]),
            },
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
        if let Some((key, id)) = opened {
            self.connections.insert(name.clone(), (key, id));
            self.slots.insert(key.slot, name);
        }
        self.take_outputs();
    }

    fn reserve(&mut self, name: &str) {
        let input = Input::Reserve {
            random: [self.connections.len() as u8; 16],
            reply: ReplyToken(4),
        };
        self.shard.handle(self.now, input, &mut self.outputs);
        for output in &self.outputs.list {
            if let Output::Reply {
                reply: Reply::Reserved { key, id },
                ..
            } = output
            {
                self.connections.insert(name.to_owned(), (*key, *id));
                self.slots.insert(key.slot, name.to_owned());
            }
        }
        self.take_outputs();
    }

    fn answer(&mut self, line: &Line<'_>) {
        let question = line.words[1].parse().expect("a number");
        let answer = match (line.verb, line.words.get(2).copied()) {
            ("answer", None) => Ok(None),
            ("answer", Some(data_type)) => Ok(Some(Content {
                payload: Payload {
                    data_type: DataType::from_name(data_type).expect("a data type"),
                    data: Bytes::copy_from_slice(line.text.as_bytes()),
                },
                metadata: line.option("metadata").map(metadata).unwrap_or_default(),
            })),
            (_, Some("not_found")) => Err(EventFailure::NotFound),
            (_, Some("timeout")) => Err(EventFailure::Timeout),
            (_, Some("failed")) => Err(EventFailure::Failed),
            (_, Some(status)) => Err(EventFailure::Rejected {
                status: status.parse().expect("a status"),
                error: line
                    .text
                    .split_once(' ')
                    .map(|(name, message)| (name.to_owned(), message.to_owned())),
            }),
            (_, None) => panic!("no failure"),
        };
        let connection = self.id(line.words[0]);
        self.handle(Input::Answered {
            connection,
            question,
            answer,
        });
    }

    fn recover(&mut self, line: &Line<'_>) {
        let name = line.words[0];
        let recover = Recover {
            hub: line.hub(),
            id: self.id(name),
        };
        let input = Input::Recover {
            recover: &recover,
            reply: ReplyToken(3),
        };
        self.shard.handle(self.now, input, &mut self.outputs);
        for output in &self.outputs.list {
            if let Output::Reply {
                reply: Reply::Recovered { key, .. },
                ..
            } = output
                && let Some(connection) = self.connections.get_mut(name)
            {
                connection.0 = *key;
            }
        }
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
            _ => From::Server,
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
        Arc::new(Message::new(
            DataMessage {
                from,
                content,
                stream: None,
            },
            self.now,
            ttl,
        ))
    }

    fn handle(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input, &mut self.outputs);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        let Outputs {
            list,
            deliveries,
            frames,
        } = std::mem::take(&mut self.outputs);
        for output in list {
            let line = match output {
                Output::Opened { key, .. } => format!("{} opened", self.name(key.slot)),
                Output::Deliver(range) => {
                    for delivery in &deliveries[range] {
                        let line = self.delivered(delivery, &frames);
                        self.output.push(line);
                    }
                    continue;
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
                Output::HoldReading { to } => format!("{} hold reading", self.name(to)),
                Output::ReadOn { to } => format!("{} read on", self.name(to)),
                Output::Ask(question) => {
                    let how = match question.is_invocation {
                        true => "invoke",
                        false => "ask",
                    };
                    let text = event_text(&question.event);
                    self.with_names(&format!("{how} {} {text}", question.number))
                }
                Output::Forget { question } => format!("forget {question}"),
                Output::Notify(event) => self.with_names(&format!("notify {}", event_text(&event))),
                Output::Relay(command) => self.with_names(&format!("relay {}", sent(&command))),
                Output::Started(_) => continue,
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
                    Reply::Reserved { .. } => "reserved".to_owned(),
                    Reply::Recovered { protocol, .. } => format!("recovered as {protocol}"),
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

    fn delivered(&self, delivery: &Delivery, frames: &[Frame]) -> String {
        let frame = &frames[delivery.frame.0 as usize];
        let text = without_token(&whole(frame, delivery.sequence_id));
        let arrow = match frame.kind() {
            FrameKind::Text => "<-",
            FrameKind::Binary => "<=",
            kind => panic!("a shard sends no {kind:?}"),
        };
        let until = frame
            .expires()
            .map(|time| format!(" until {}ms", time.as_ms()));
        let until = until.unwrap_or_default();
        self.with_names(&format!("{} {arrow}{until} {text}", self.name(delivery.to)))
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
        for (slot, name) in &self.slots {
            let (key, id) = self.connections[name];
            debug_assert_eq!(key.slot, *slot);
            text = text.replace(&id.to_string(), name);
        }
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

fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<char> = digits
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).expect("hexadecimal digits"))
        .collect()
}

fn metadata(entry: &str) -> Metadata {
    let (key, value) = entry.split_once('~').expect("a key and a value");
    let mut metadata = Metadata::default();
    let inserted = metadata.insert(key.to_owned(), value.to_owned());
    inserted.expect("good metadata");
    metadata
}

fn settings(line: &Line<'_>) -> HubSettings {
    let events: Vec<&str> = line.list("events").collect();
    let mut settings = HubSettings {
        drop_connection_on_event_failure: line.has("drop_on_event_failure"),
        streaming: !line.has("no_streaming"),
        group_state: !line.has("no_group_state"),
        invocation: !line.has("no_invocation"),
        events: EventSettings {
            user: events.contains(&"user"),
            system: events.contains(&"system"),
            presence: events.contains(&"presence"),
        },
        ..HubSettings::default()
    };
    if let Some(messages) = line.option("buffer") {
        settings.reliable_buffer.messages = messages.parse().expect("a number");
    }
    if let Some(bytes) = line.option("buffer_bytes") {
        settings.reliable_buffer.bytes = bytes.parse().expect("a number");
    }
    if let Some(step) = line.option("lifetime") {
        settings.connection_lifetime_ms = milliseconds(step);
    }
    if let Some(step) = line.option("keep_alive") {
        settings.keep_alive_interval_ms = milliseconds(step);
    }
    settings
}

fn event_text(event: &Event) -> String {
    let what = match &event.kind {
        EventKind::Connect(_) => panic!("a shard raises no connect"),
        EventKind::Connected => "connected".to_owned(),
        EventKind::Disconnected { reason } => format!("disconnected {reason:?}"),
        EventKind::User { name, content } => {
            let data = String::from_utf8_lossy(&content.payload.data);
            format!("{name} {} {data}", content.payload.data_type.name())
        }
        EventKind::Joined { group } => format!("joined {group}"),
        EventKind::Left { group } => format!("left {group}"),
    };
    let user = event.user.as_ref().map(|user| format!(" of {user}"));
    let (connection, user) = (&event.connection_id, user.unwrap_or_default());
    format!("{connection}{user}/{} {what}", event.id)
}

fn sent(command: &Command) -> String {
    match &command.action {
        Action::Send { to, .. } => {
            let target = match &to.target {
                Target::Group(group) => format!("group:{group}"),
                Target::Watchers(group) => format!("watchers:{group}"),
                to => panic!("a client does not send to {to:?}"),
            };
            let excluded: Vec<String> = to.excluded.iter().map(ToString::to_string).collect();
            format!("send {target} excluded={}", excluded.join(","))
        }
        action => panic!("a client does not cause {action:?}"),
    }
}

/// Puts a frame together as its receiver gets it.
fn whole(frame: &Frame, sequence_id: u64) -> String {
    let payload = frame.payload();
    let bytes = match frame.envelope() {
        None => {
            assert_eq!(sequence_id, 0, "a number without a place for it");
            payload.to_vec()
        }
        Some(envelope) => {
            let head = envelope.head(payload.len(), sequence_id);
            [head.as_bytes(), payload].concat()
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => text,
        Ok(text) => text.as_bytes().escape_ascii().to_string(),
        Err(error) => error.into_bytes().escape_ascii().to_string(),
    }
}

/// A reconnection token says nothing to the reader of a script.
fn without_token(text: &str) -> String {
    let marker = r#""reconnectionToken":""#;
    match text.split_once(marker) {
        None => text.to_owned(),
        Some((before, after)) => {
            let (token, after) = after.split_once('"').expect("a token ends");
            assert_eq!(token.len(), 64, "a reconnection token has 64 characters");
            format!("{before}{marker}...\"{after}")
        }
    }
}

fn shard(limits: Limits) -> Shard {
    Shard::new(ShardSettings {
        node: NODE,
        number: SHARD,
        shards: 1,
        unix_origin_ms: 1_000_000,
        reconnection_key: ReconnectionKey::new(b"key"),
        limits,
    })
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
        "throttled" => Fault::Throttled,
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
