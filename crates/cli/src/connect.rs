//! `hubwire connect`: a client for a terminal, or for a script that writes commands to it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use clap::builder::PossibleValuesParser;
use hubwire_client::{Client, Content, DataType, Error, Event, Events, Protocol};
use hubwire_protocol::connection_string::ConnectionString;
use hubwire_protocol::http::encode_component;
use hubwire_protocol::names::Hub;
use hubwire_protocol::token::{ClientTokenClaims, sign_client_token};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::failure::Failure;

const EXAMPLES: &str = "\
Commands, a line each:
  TEXT                  send to the current group, the one that was joined last
  /join GROUP           join a group and make it the current one
  /leave GROUP          leave a group
  /send GROUP TEXT      send to any group
  /event NAME TEXT      raise an event for the app server
  /invoke NAME TEXT     raise an event and print the answer
  /help                 print these lines
  /quit                 close the connection and exit, as the end of the input does
  //TEXT                send a text that begins with /

Examples:
  export HUBWIRE_CONNECTION_STRING='Endpoint=http://localhost:8080;AccessKey=...;Version=1.0;'
  hubwire connect --hub chat --user alice --group room
      Connect as alice and join the group room. Both roles are given unless --role names others.
  printf 'hello\\n' | hubwire connect --hub chat --group room --json
      Send one message from a script and print what comes as JSON lines.
  hubwire connect 'wss://pubsub.example.com/client/hubs/chat?access_token=...'
      Connect with a URL that an app server has made.

Exit codes: 0 ended as asked, 1 not connected, given up, or a command failed, 2 wrong usage.";
/// Lifetime of the tokens that are made here. Seconds.
const TOKEN_LIFETIME: u64 = 3600;
/// Input lines that may wait.
const LINES_MAX: usize = 16;
const ROLES: [&str; 2] = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];
const PROTOCOLS: [(&str, Protocol); 4] = [
    ("json", Protocol::Json),
    ("reliable-json", Protocol::ReliableJson),
    ("protobuf", Protocol::Protobuf),
    ("reliable-protobuf", Protocol::ReliableProtobuf),
];

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConnectArguments {
    /// Client URL with its token, such as wss://HOST/client/hubs/HUB?access_token=TOKEN
    ///
    /// WARNING: visible in the process list. [default: made from the connection string and --hub]
    #[arg(value_name = "URL", conflicts_with_all = ["connection_string", "hub", "user", "role"])]
    url: Option<String>,
    /// Connection string that the token is made with; WARNING: visible in the process list
    ///
    /// Prefer the environment variable. [env: HUBWIRE_CONNECTION_STRING]
    #[arg(long, value_name = "TEXT")]
    connection_string: Option<String>,
    /// Hub to connect to
    #[arg(long, value_name = "HUB", required_unless_present = "url")]
    hub: Option<String>,
    /// User to connect as
    ///
    /// [default: none, an anonymous connection]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Role of the connection; repeatable
    ///
    /// [default: webpubsub.joinLeaveGroup and webpubsub.sendToGroup]
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// Group to join; repeatable; the last one is the current group
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// What to speak
    #[arg(long, value_name = "PROTOCOL", default_value = "reliable-json", value_parser = PossibleValuesParser::new(PROTOCOLS.map(|(name, _)| name)))]
    protocol: String,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl std::fmt::Debug for ConnectArguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectArguments")
            .field("hub", &self.hub)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// Connects, carries commands out and prints events until the input ends.
pub(crate) fn run(arguments: &ConnectArguments) -> Result<(), Failure> {
    let source = Source::new(arguments).map_err(Failure::Usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Work(error.into()))?;
    let outcome = runtime.block_on(session(arguments, source));
    // A line that a thread still waits for is of no interest.
    runtime.shutdown_background();
    outcome.map_err(Failure::Work)
}

/// Where URLs come from.
enum Source {
    Url(String),
    Key {
        key: ConnectionString,
        hub: Hub,
        user: Option<String>,
        roles: Vec<String>,
    },
}

impl Source {
    fn new(arguments: &ConnectArguments) -> anyhow::Result<Self> {
        if let Some(url) = &arguments.url {
            return Ok(Self::Url(url.clone()));
        }
        let text = match &arguments.connection_string {
            Some(text) => text.clone(),
            None => std::env::var("HUBWIRE_CONNECTION_STRING").map_err(|_| {
                anyhow!(
                    "give a client URL, or set HUBWIRE_CONNECTION_STRING to a connection string"
                )
            })?,
        };
        let key = ConnectionString::parse(&text)?;
        key.access_key()?;
        let hub = arguments.hub.as_deref().unwrap_or_default();
        let hub = Hub::new(hub).map_err(|_| anyhow!("--hub {hub} is not a hub name"))?;
        let roles = match arguments.role.is_empty() {
            true => ROLES.map(str::to_owned).to_vec(),
            false => arguments.role.clone(),
        };
        Ok(Self::Key {
            key,
            hub,
            user: arguments.user.clone(),
            roles,
        })
    }

    /// Makes a URL with a fresh token.
    fn url(&self) -> anyhow::Result<String> {
        let (key, hub, user, roles) = match self {
            Self::Url(url) => return Ok(url.clone()),
            Self::Key {
                key,
                hub,
                user,
                roles,
            } => (key, hub, user, roles),
        };
        let endpoint = key.endpoint().trim_end_matches('/');
        let path = "/client/hubs/";
        let claims = ClientTokenClaims {
            audience: format!("{endpoint}{path}{hub}"),
            issued_at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
            lifetime: TOKEN_LIFETIME,
            user_id: user.clone(),
            roles: roles.clone(),
            groups: Vec::new(),
        };
        let token = sign_client_token(&claims, key.access_key()?, None);
        // http becomes ws, and https wss.
        let endpoint = endpoint.strip_prefix("http").unwrap_or(endpoint);
        let hub = encode_component(hub.as_str());
        Ok(format!("ws{endpoint}{path}{hub}?access_token={token}"))
    }
}

async fn session(arguments: &ConnectArguments, source: Source) -> anyhow::Result<()> {
    let protocol = PROTOCOLS
        .iter()
        .find(|(name, _)| *name == arguments.protocol);
    let protocol = protocol.map_or(Protocol::default(), |(_, protocol)| *protocol);
    let builder = Client::with_credential(move || {
        let url = source.url();
        async move { url }
    });
    let (client, events) = builder
        .protocol(protocol)
        .connect()
        .await
        .context("cannot connect")?;
    let screen = Screen {
        is_json: arguments.json,
        has_colours: !arguments.json
            && io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none(),
    };
    let printing = tokio::spawn(print(events, screen));
    let outcome = commands(&client, &arguments.group, screen).await;
    client.stop().await;
    let given_up = printing.await.context("printing failed")??;
    let failures = outcome?;
    match (given_up, failures) {
        (Some(error), _) => Err(error.into()),
        (None, 0) => Ok(()),
        (None, 1) => Err(anyhow!("a command failed")),
        (None, count) => Err(anyhow!("{count} commands failed")),
    }
}

/// Prints events to the end, and returns why the client gave up if it did.
async fn print(mut events: Events, screen: Screen) -> anyhow::Result<Option<Error>> {
    while let Some(event) = events.next().await {
        screen.event(&event)?;
        if let Event::Stopped { error } = event {
            return Ok(error);
        }
    }
    Ok(None)
}

/// Carries commands out until the input or the client ends, or a signal comes. Returns how many failed; on a terminal a person has
/// seen that, and it counts no longer.
async fn commands(client: &Client, groups: &[String], screen: Screen) -> anyhow::Result<usize> {
    let is_terminal = io::stdin().is_terminal();
    let mut current = None;
    for group in groups {
        client
            .join_group(group)
            .await
            .with_context(|| format!("cannot join {group}"))?;
        current = Some(group.clone());
    }
    let mut lines = lines();
    let mut failures = 0;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = client.ended() => return Ok(failures),
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else {
            return Ok(failures);
        };
        let line = line.context("the input cannot be read")?;
        match command(client, &mut current, line.trim_end(), screen).await {
            Ok(true) => {}
            Ok(false) => return Ok(failures),
            Err(error) => {
                eprintln!("error: {}", crate::failure::describe(&error));
                failures += usize::from(!is_terminal);
            }
        }
    }
}

/// Reads lines in a thread, since a terminal cannot be waited for in any other way.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Carries one command out; false ends the session.
async fn command(
    client: &Client,
    current: &mut Option<String>,
    line: &str,
    screen: Screen,
) -> anyhow::Result<bool> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let pair = |usage: &str| match rest.split_once(' ') {
        Some((name, text)) if !name.is_empty() => Ok((name.to_owned(), text.to_owned())),
        _ => Err(anyhow!("write {usage}")),
    };
    match word {
        "" if rest.is_empty() => {}
        "/quit" => return Ok(false),
        "/help" => {
            let help = EXAMPLES.split("\n\n").next().unwrap_or_default();
            eprintln!("{help}");
        }
        "/join" => {
            client.join_group(rest).await?;
            *current = Some(rest.to_owned());
        }
        "/leave" => {
            client.leave_group(rest).await?;
            if current.as_deref() == Some(rest) {
                *current = None;
            }
        }
        "/send" => {
            let (group, text) = pair("/send GROUP TEXT")?;
            client.send_to_group(&group, text).await?;
        }
        "/event" => {
            let (name, text) = pair("/event NAME TEXT")?;
            client.send_event(&name, text).await?;
        }
        "/invoke" => {
            let (name, text) = pair("/invoke NAME TEXT")?;
            let answer = client.invoke(&name, text).await?;
            screen.answer(&name, answer.as_ref())?;
        }
        word if word.starts_with('/') && !word.starts_with("//") => {
            return Err(anyhow!("{word} is not a command; /help lists them"));
        }
        _ => {
            let group = current
                .as_deref()
                .context("there is no current group; join one with /join GROUP")?;
            let text = match line.strip_prefix("//") {
                Some(text) => format!("/{text}"),
                None => line.to_owned(),
            };
            client.send_to_group(group, text).await?;
        }
    }
    Ok(true)
}

/// How events are printed.
#[derive(Clone, Copy)]
struct Screen {
    is_json: bool,
    has_colours: bool,
}

impl Screen {
    fn event(self, event: &Event) -> io::Result<()> {
        match self.is_json {
            true => write_line(&json_of(event).to_string()),
            false => {
                let (head, text) = words_of(event);
                self.words(&head, &text)
            }
        }
    }

    fn answer(self, name: &str, content: Option<&Content>) -> io::Result<()> {
        match self.is_json {
            true => {
                let mut line = json!({ "type": "answer", "event": name });
                if let Some(content) = content {
                    add_content(&mut line, content);
                }
                write_line(&line.to_string())
            }
            false => {
                let text = content.map(text_of).unwrap_or_default();
                self.words(&format!("answer {name}"), &text)
            }
        }
    }

    fn words(self, head: &str, text: &str) -> io::Result<()> {
        let head = printable(head);
        let text = printable(text);
        let line = match self.has_colours {
            true => format!("\u{1b}[36m{head}:\u{1b}[0m {text}"),
            false => format!("{head}: {text}"),
        };
        write_line(line.trim_end())
    }
}

/// Others' text must neither break the line nor steer the terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() && character != '\t' {
            true => printable.extend(character.escape_default()),
            false => printable.push(character),
        }
    }
    printable
}

fn write_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush()
}

fn words_of(event: &Event) -> (String, String) {
    match event {
        Event::Connected {
            connection_id,
            user_id,
        } => {
            let user = user_id.as_ref().map(|user| format!(" as {user}"));
            let text = format!("{connection_id}{}", user.unwrap_or_default());
            ("connected".to_owned(), text)
        }
        Event::Recovered { connection_id } => ("recovered".to_owned(), connection_id.clone()),
        Event::Disconnected {
            close_code, reason, ..
        } => {
            let code = close_code
                .map(|code| format!("{code} "))
                .unwrap_or_default();
            ("disconnected".to_owned(), format!("{code}{reason}"))
        }
        Event::Stopped { error } => {
            let text = error.as_ref().map(ToString::to_string);
            ("stopped".to_owned(), text.unwrap_or_default())
        }
        Event::ServerMessage(message) => ("server".to_owned(), text_of(&message.content)),
        Event::GroupMessage(message) => {
            let user = message.from_user_id.as_deref().unwrap_or("-");
            let head = format!("[{}] {user}", message.group);
            (head, text_of(&message.content))
        }
        Event::GroupState { group, items, .. } => (
            format!("[{group}] state"),
            format!("{} members", items.len()),
        ),
        Event::RejoinFailed { group, error } => {
            (format!("[{group}] not joined"), error.to_string())
        }
        other => ("event".to_owned(), format!("{other:?}")),
    }
}

fn text_of(content: &Content) -> String {
    match content.payload.as_text() {
        Some(text) => text.to_owned(),
        None => format!(
            "{} bytes, base64 {}",
            content.payload.data.len(),
            STANDARD.encode(&content.payload.data)
        ),
    }
}

fn json_of(event: &Event) -> Value {
    match event {
        Event::Connected {
            connection_id,
            user_id,
        } => json!({ "type": "connected", "connectionId": connection_id, "userId": user_id }),
        Event::Recovered { connection_id } => {
            json!({ "type": "recovered", "connectionId": connection_id })
        }
        Event::Disconnected {
            connection_id,
            close_code,
            reason,
        } => {
            json!({ "type": "disconnected", "connectionId": connection_id, "closeCode": close_code, "reason": reason })
        }
        Event::Stopped { error } => {
            json!({ "type": "stopped", "error": error.as_ref().map(ToString::to_string) })
        }
        Event::ServerMessage(message) => {
            let mut line = json!({ "type": "message", "from": "server" });
            add_content(&mut line, &message.content);
            line
        }
        Event::GroupMessage(message) => {
            let mut line = json!({ "type": "message", "from": "group", "group": message.group, "fromUserId": message.from_user_id });
            add_content(&mut line, &message.content);
            if let Some(fragment) = &message.stream {
                line["stream"] = json!({
                    "streamId": fragment.stream,
                    "streamSequenceId": fragment.sequence_id,
                    "endOfStream": fragment.end.is_some(),
                });
            }
            line
        }
        Event::GroupState { group, items, .. } => {
            let items: Vec<Value> = items
                .iter()
                .map(|item| json!({ "connectionId": item.connection_id, "userId": item.user_id, "state": item.state }))
                .collect();
            json!({ "type": "groupState", "group": group, "items": items })
        }
        Event::RejoinFailed { group, error } => {
            json!({ "type": "rejoinFailed", "group": group, "error": error.to_string() })
        }
        other => json!({ "type": "other", "text": format!("{other:?}") }),
    }
}

fn add_content(line: &mut Value, content: &Content) {
    let payload = &content.payload;
    line["dataType"] = payload.data_type.name().into();
    let parsed = match payload.data_type {
        DataType::Json => serde_json::from_slice(&payload.data).ok(),
        DataType::Text => Some(String::from_utf8_lossy(&payload.data).into()),
        DataType::Binary | DataType::Protobuf => None,
    };
    line["data"] = parsed.unwrap_or_else(|| STANDARD.encode(&payload.data).into());
}
