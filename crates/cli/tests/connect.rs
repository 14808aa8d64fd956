//! `hubwire connect` as a person or a script meets it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A running service.
struct Service {
    child: Child,
    connection_string: String,
    client_url: String,
}

impl Service {
    fn start() -> Self {
        let mut child = hubwire(&["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut value = |name: &str| {
            let mut lines = lines.by_ref().map(Result::unwrap);
            lines
                .find_map(|line| line.strip_prefix(name).map(str::to_owned))
                .unwrap()
        };
        Self {
            connection_string: value("Connection string: "),
            client_url: value("Client URL: "),
            child,
        }
    }

    fn connect(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = hubwire(&["connect"]);
        command
            .args(arguments)
            .env("HUBWIRE_CONNECTION_STRING", &self.connection_string);
        feed(&mut command, input)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn hubwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubwire"));
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HUBWIRE") {
            command.env_remove(name);
        }
    }
    command
}

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that has failed already reads nothing.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8(output.to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_hub_may_have_any_name_that_the_service_allows() {
    let service = Service::start();
    let output = service.connect(&["--hub", "Chat[1]`,.x"], "");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(lines(&output.stdout)[0].starts_with("connected: "));
}

#[test]
fn a_script_joins_sends_and_ends_with_its_input_in_every_protocol() {
    let service = Service::start();
    for protocol in ["json", "reliable-json", "protobuf", "reliable-protobuf"] {
        let arguments = [
            "--hub",
            "chat",
            "--user",
            "alice",
            "--group",
            "room",
            "--protocol",
            protocol,
        ];
        let input = "hello\n/join lobby\nto lobby\n/send room there\n//slash\n/leave room\n/send room unheard\n";

        let output = service.connect(&arguments, input);

        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let user = match protocol.contains("json") {
            true => "alice",
            false => "-",
        };
        let printed = lines(&output.stdout);
        assert!(printed[0].starts_with("connected: ") && printed[0].ends_with(" as alice"));
        assert_eq!(
            printed[1..],
            [
                format!("[room] {user}: hello"),
                format!("[lobby] {user}: to lobby"),
                format!("[room] {user}: there"),
                format!("[lobby] {user}: /slash"),
                "disconnected: 1000".to_owned(),
                "stopped:".to_owned(),
            ]
        );
    }
}

#[test]
fn json_lines_are_json() {
    let service = Service::start();
    let arguments = [
        "--hub", "chat", "--user", "bob", "--group", "room", "--json",
    ];

    let output = service.connect(&arguments, "a \"b\"\n/quit\nnever\n");

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let events: Vec<Value> = lines(&output.stdout)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<&str> = events
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["connected", "message", "disconnected", "stopped"]);
    assert_eq!(events[1]["data"], "a \"b\"");
    assert_eq!(events[1]["fromUserId"], "bob");
}

#[test]
fn others_text_cannot_steer_the_terminal() {
    let service = Service::start();

    let output = service.connect(&["--hub", "chat", "--group", "room"], "a\u{1b}[2Jb\n");

    assert!(lines(&output.stdout).contains(&"[room] -: a\\u{1b}[2Jb".to_owned()));
}

#[test]
fn commands_that_fail_say_so_and_count() {
    let service = Service::start();
    let arguments = ["--hub", "chat", "--role", "webpubsub.joinLeaveGroup"];

    let output = service.connect(
        &arguments,
        "text\n/nope\n/send room x\n/send room\n/join room\n",
    );

    assert_eq!(output.status.code(), Some(1));
    let errors = lines(&output.stderr);
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors[0].contains("/join GROUP"));
    assert!(errors[1].contains("/nope") && errors[1].contains("/help"));
    assert!(errors[2].contains("Forbidden"));
    assert!(errors[3].contains("/send GROUP TEXT"));
    assert_eq!(errors[4], "error: 4 commands failed");
}

#[test]
fn a_client_url_is_enough() {
    let service = Service::start();

    let output = feed(&mut hubwire(&["connect", &service.client_url]), "");

    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn what_cannot_connect_says_why_without_its_token() {
    let service = Service::start();
    let broken = format!("{}x", service.client_url);
    let nobody = "ws://127.0.0.1:1/client/hubs/chat?access_token=SECRET".to_owned();
    for (url, reason) in [(broken, "401"), (nobody, "cannot be reached")] {
        let output = feed(&mut hubwire(&["connect", &url]), "");

        assert_eq!(output.status.code(), Some(1));
        let errors = lines(&output.stderr);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(reason), "{errors:?}");
        let token = url.split('=').nth(1).unwrap();
        assert!(!errors[0].contains(token));
    }
}

#[test]
fn wrong_usage_says_what_to_write() {
    let table: [(&[&str], &str); 4] = [
        (&[], "--hub"),
        (&["--hub", "chat"], "HUBWIRE_CONNECTION_STRING"),
        (&["--hub", "chat", "--protocol", "mqtt"], "reliable-json"),
        (
            &[
                "--hub",
                "1",
                "--connection-string",
                "Endpoint=http://h;AccessKey=ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH;Version=1.0;",
            ],
            "not a hub name",
        ),
    ];
    for (arguments, words) in table {
        let output = feed(hubwire(&["connect"]).args(arguments), "");

        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = lines(&output.stderr).join("\n");
        assert!(errors.contains(words), "{errors}");
    }
}
