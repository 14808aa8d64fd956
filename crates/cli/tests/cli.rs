//! The `hubwire` binary as an operator meets it: output, errors, exit codes, signals.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const DEVELOPMENT_KEY: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH";
const KEY: &str = "a-key-of-our-own-that-nobody-knows-1234";
/// Bound on every wait; only a failing test reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_help_names_every_flag_and_variable() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["help", "serve"]] {
        let output = run(arguments, &[]);

        assert!(output.status.success());
        let help = stdout(&output);
        for word in [
            "--listen",
            "--access-key",
            "--config",
            "--tls-cert",
            "--tls-key",
            "--shards",
            "--metrics-listen",
            "--allow-development-key",
            "--log-level",
            "--log-format",
            "--emulator-settings",
            "HUBWIRE_LISTEN",
            "HUBWIRE_ACCESS_KEY",
            "HUBWIRE_CONFIG",
            "visible in the process list",
            "127.0.0.1:8080",
            "Examples:",
            "SIGHUP",
        ] {
            assert!(help.contains(word), "{word} is missing in {help}");
        }
    }
}

#[test]
fn the_help_names_every_command() {
    let help = stdout(&run(&["--help"], &[]));

    for command in ["serve", "check-config", "print-config", "keygen"] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} is missing in {help}"
        );
    }
}

#[test]
fn without_a_command_it_serves_says_where_and_ends_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut service = Service::start(&["--listen", "127.0.0.1:0"], &[]);

        let (connection, client, health) = (service.line(), service.line(), service.line());
        service.signal(signal);
        let (status, rest, errors) = service.end();

        let endpoint = endpoint_of(&connection);
        let key = DEVELOPMENT_KEY;
        let expected =
            format!("Connection string: Endpoint={endpoint};AccessKey={key};Version=1.0;");
        assert_eq!(connection, expected);
        let host = endpoint.strip_prefix("http://").expect("plain HTTP");
        assert!(!host.ends_with(":0"), "{connection}");
        let url = format!("Client URL: ws://{host}/client/hubs/sample?access_token=");
        assert!(client.starts_with(&url), "{client}");
        assert_eq!(health, format!("Health URL: {endpoint}/api/health"));
        assert_eq!(rest, Vec::<String>::new());
        assert_eq!(status.code(), Some(0), "{errors}");
    }
}

#[test]
fn the_printed_endpoint_accepts_connections() {
    let mut service = Service::start(&["serve", "--listen", "127.0.0.1:0"], &[]);

    let endpoint = endpoint_of(&service.line());

    let host = endpoint.strip_prefix("http://").expect("plain HTTP");
    TcpStream::connect(host).expect("it listens there");
}

#[test]
fn a_key_of_ones_own_is_not_written_where_output_may_end_in_a_log() {
    let mut service = Service::start(
        &["--listen", "127.0.0.1:0", "--log-level", "trace"],
        &[("HUBWIRE_ACCESS_KEY", KEY)],
    );

    let (connection, client, health) = (service.line(), service.line(), service.line());
    service.signal(Signal::TERM);
    let (status, _, errors) = service.end();

    assert!(connection.contains(";AccessKey=***;"), "{connection}");
    assert!(client.ends_with("/client/hubs/sample"), "{client}");
    let everything = format!("{connection}{client}{health}{errors}");
    assert!(
        !everything.contains(KEY) && !everything.contains("access_token"),
        "{everything}"
    );
    assert_eq!(status.code(), Some(0), "{errors}");
}

#[test]
fn a_hangup_does_not_end_it() {
    let mut service = Service::start(&["--listen", "127.0.0.1:0"], &[]);
    let endpoint = endpoint_of(&service.line());

    service.signal(Signal::HUP);

    let host = endpoint.strip_prefix("http://").expect("plain HTTP");
    TcpStream::connect(host).expect("it still listens");
    service.signal(Signal::TERM);
    let (status, _, errors) = service.end();
    assert_eq!(status.code(), Some(0), "{errors}");
}

/// Source: events-and-operations 9.2.
#[test]
fn a_hangup_loads_the_file_again_and_an_invalid_one_changes_nothing() {
    let directory = TempDir::new();
    let file = directory.write("[hubs.chat]\n");
    let arguments = ["--listen", "127.0.0.1:0", "--config", &file];
    let mut service = Service::start(&arguments, &[]);
    let endpoint = endpoint_of(&service.line());
    let host = endpoint.strip_prefix("http://").expect("plain HTTP");
    assert!(is_refused(host));

    directory.write("shards = 3\n[hubs.chat]\nanonymous_connect_policy = \"allow\"\n");
    service.signal(Signal::HUP);
    wait_until(|| !is_refused(host));
    directory.write("[hubs.chat]\nanonymous_connect_policy = \"denny\"\n");
    service.signal(Signal::HUP);
    service.wait_for_error("configuration not reloaded, the old one stays");
    assert!(!is_refused(host));
    directory.write("[logging]\nlevel = \"warn\"\n");
    service.signal(Signal::HUP);
    wait_until(|| is_refused(host));

    service.signal(Signal::TERM);
    let (status, _, errors) = service.end();
    assert!(status.success(), "{errors}");
    let restart = "changed settings take effect after a restart keys=shards";
    assert!(errors.contains(restart), "{errors}");
    let refused = format!(
        "{file}:2:28: hubs.chat.anonymous_connect_policy is \"denny\", did you mean \"deny\"?"
    );
    assert!(errors.contains(&refused), "{errors}");
    // The last file has raised the level.
    assert!(!errors.contains("shutting down"), "{errors}");
}

/// Source: events-and-operations 9.2.
#[test]
fn a_changed_file_is_loaded_without_a_signal_and_an_invalid_one_is_named() {
    let directory = TempDir::new();
    let key = directory.0.join("key");
    fs::write(&key, format!("{KEY}\n")).expect("a temporary file can be written");
    let keys = format!("[keys]\nprimary = \"${{file:{}}}\"\n", key.display());
    let file = directory.write(&keys);
    let arguments = ["--listen", "127.0.0.1:0", "--config", &file];
    let mut service = Service::start(&arguments, &[]);
    let endpoint = endpoint_of(&service.line());
    let host = endpoint.strip_prefix("http://").expect("plain HTTP");
    assert!(is_refused(host));

    directory.write(&format!(
        "{keys}[hubs.chat]\nanonymous_connect_policy = \"allow\"\n"
    ));
    wait_until(|| !is_refused(host));
    // A secret that is no key any more makes the configuration invalid, whatever else has changed.
    fs::write(&key, "short").expect("a temporary file can be written");
    service.wait_for_error("configuration not reloaded, the old one stays");
    assert!(!is_refused(host));

    service.signal(Signal::TERM);
    let (status, _, errors) = service.end();
    assert!(status.success(), "{errors}");
    let refused = format!("{file}:2:11: keys.primary has 5 bytes, a key has at least 32");
    assert!(errors.contains(&refused), "{errors}");
    assert!(!errors.contains(KEY), "{errors}");
}

#[test]
fn log_lines_are_json_when_asked_for() {
    let arguments = ["--listen", "127.0.0.1:0", "--log-format", "json"];
    let mut service = Service::start(&arguments, &[]);
    service.line();

    service.signal(Signal::TERM);
    let (_, _, errors) = service.end();

    assert!(errors.contains("\"message\":\"shutting down\""), "{errors}");
    for line in errors.lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    }
}

#[test]
fn log_lines_that_end_in_a_file_have_no_colour() {
    let mut service = Service::start(&["--listen", "127.0.0.1:0"], &[]);
    service.line();

    service.signal(Signal::TERM);
    let (_, _, errors) = service.end();

    assert!(errors.contains("shutting down"), "{errors}");
    assert!(!errors.contains('\u{1b}'), "{errors}");
}

#[test]
fn an_address_in_use_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();

    let output = run(&["--listen", &address], &[]);

    let line = error_line(&output, 1);
    assert!(
        line.contains(&address) && line.contains("--listen"),
        "{line}"
    );
}

#[test]
fn an_unreadable_certificate_is_named() {
    let output = run(
        &[
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            "/nowhere/c.pem",
            "--tls-key",
            "/nowhere/k.pem",
        ],
        &[],
    );

    let line = error_line(&output, 1);
    assert!(line.contains("/nowhere/"), "{line}");
}

#[test]
fn a_certificate_without_its_key_is_a_usage_error() {
    let output = run(&["--listen", "127.0.0.1:0", "--tls-cert", "c.pem"], &[]);

    let line = error_line(&output, 2);
    assert!(line.starts_with("error: flag --tls-cert: "), "{line}");
    assert!(line.contains("--tls-key"), "{line}");
}

#[test]
fn a_misspelt_key_is_named_with_the_right_one() {
    let directory = TempDir::new();
    let path = directory.write("[limits]\nmessage_mx = \"1MiB\"\n");
    for command in ["serve", "check-config", "print-config"] {
        let output = run(&[command, "--config", &path], &[]);

        let expected = format!(
            "error: {path}:2:1: unknown key `limits.message_mx`, did you mean `message_max`?"
        );
        assert_eq!(error_line(&output, 2), expected);
    }
}

#[test]
fn the_handlers_of_the_emulator_s_settings_are_part_of_the_configuration() {
    let directory = TempDir::new();
    let file = directory.write(
        r#"{
            // Comments and trailing commas are usual here.
            "WebPubSub": { "hubs": { "Chat": { "EventHandlers": [{
                "UrlTemplate": "http://localhost:3000/api/{event}",
                "EventPattern": "message, join",
                "systemEvents": ["Connect", "disconnected"],
            }], } } },
        }"#,
    );

    let output = run(&["print-config", "--emulator-settings", &file], &[]);

    let printed = stdout(&output);
    let wanted = "\n[[hubs.chat.event_handlers]]\n\
        url_template = \"http://localhost:3000/api/{event}\"\n\
        user_event_pattern = \"message, join\"\n\
        system_events = [\"connect\", \"disconnected\"]\n";
    assert!(printed.contains(wanted), "{printed}");
}

#[test]
fn what_the_settings_of_the_emulator_ask_for_and_is_not_served_is_named() {
    let directory = TempDir::new();
    let file = directory.write(
        r#"{ "WebPubSub": { "Hubs": { "chat": { "EventListeners": [{}], "Colour": 1 } } } }"#,
    );
    let mut service = Service::start(
        &["--listen", "127.0.0.1:0", "--emulator-settings", &file],
        &[],
    );

    service.line();
    service.signal(Signal::TERM);
    let (status, _, errors) = service.end();

    assert!(status.success(), "{errors}");
    for line in [
        "WebPubSub:Hubs:chat:EventListeners (1) is not served",
        "WebPubSub:Hubs:chat:Colour is not known",
    ] {
        assert!(errors.contains(line), "{errors}");
    }
}

#[test]
fn handlers_of_the_emulator_that_cannot_be_used_are_refused() {
    let directory = TempDir::new();
    for (handler, wanted) in [
        (
            r#"{}"#,
            "WebPubSub:Hubs:chat:EventHandlers:0 has no \"UrlTemplate\"",
        ),
        (
            r#"{ "UrlTemplate": "http://{hub}.example/" }"#,
            "WebPubSub:Hubs:chat:EventHandlers:0:UrlTemplate: `http://{hub}.example/` has a parameter in its host",
        ),
        (
            r#"{ "UrlTemplate": "http://a.example/", "SystemEvents": ["conect"] }"#,
            "WebPubSub:Hubs:chat:EventHandlers:0:SystemEvents lists other than \"connect\", \"connected\" and \"disconnected\"",
        ),
    ] {
        let file = directory.write(&format!(
            r#"{{ "WebPubSub": {{ "Hubs": {{ "chat": {{ "EventHandlers": [{handler}] }} }} }} }}"#
        ));

        let output = run(&["check-config", "--emulator-settings", &file], &[]);

        let expected = format!("error: cannot use the emulator settings {file}: {wanted}");
        assert_eq!(error_line(&output, 2), expected);
    }
}

#[test]
fn settings_of_the_emulator_without_their_section_are_refused() {
    let directory = TempDir::new();
    let file = directory.write(r#"{ "Logging": {} }"#);

    let output = run(&["--emulator-settings", &file], &[]);

    assert_eq!(output.status.code(), Some(2));
    let wanted = format!(
        "error: cannot use the emulator settings {file}: there is no section \"WebPubSub\", only Logging\n"
    );
    assert_eq!(stderr(&output), wanted);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let output = run(
        &["check-config"],
        &[("HUBWIRE_CONFIG", "/nowhere/hubwire.toml")],
    );

    let line = error_line(&output, 2);
    assert!(
        line.contains("cannot read the configuration file /nowhere/hubwire.toml"),
        "{line}"
    );
}

#[test]
fn the_development_key_is_refused_beyond_loopback() {
    let output = run(&["--listen", "0.0.0.0:0"], &[]);

    let expected = "error: flag --listen: refusing to listen on 0.0.0.0:0 with the development key \
                    that everybody knows; set keys.primary (see `hubwire keygen`) or, in a \
                    throw-away container, pass --allow-development-key";
    assert_eq!(error_line(&output, 2), expected);
    let allowed = run(
        &[
            "check-config",
            "--listen",
            "0.0.0.0:0",
            "--allow-development-key",
        ],
        &[],
    );
    assert!(allowed.status.success(), "{}", stderr(&allowed));
}

#[test]
fn an_address_that_is_none_is_a_usage_error_with_examples() {
    let output = run(&["--listen", ":8080"], &[]);

    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("such as 127.0.0.1:8080"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_printed_key_is_long_random_and_accepted() {
    let (first, second) = (
        stdout(&run(&["keygen"], &[])),
        stdout(&run(&["keygen"], &[])),
    );

    let key = first.strip_suffix('\n').expect("one line");
    assert!(key.len() >= 44 && !key.contains([';', '=', '\n']), "{key}");
    assert_ne!(first, second);
    let accepted = run(
        &["check-config", "--listen", "0.0.0.0:0"],
        &[("HUBWIRE_ACCESS_KEY", key)],
    );
    assert!(accepted.status.success(), "{}", stderr(&accepted));
}

#[test]
fn a_key_can_be_printed_as_a_connection_string() {
    let output = run(
        &[
            "keygen",
            "--connection-string",
            "HTTPS://Pubsub.example.com:443/",
        ],
        &[],
    );

    let line = stdout(&output);
    let key = line
        .strip_prefix("Endpoint=https://pubsub.example.com;AccessKey=")
        .and_then(|rest| rest.strip_suffix(";Version=1.0;\n"))
        .expect(&line);
    assert!(key.len() >= 44 && !key.contains(';'), "{line}");
    let refused = run(
        &["keygen", "--connection-string", "https://a.example/base"],
        &[],
    );
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_valid_configuration_is_called_valid() {
    let directory = TempDir::new();
    let path = directory.write("[hubs._default]\n[hubs.chat]\n[hubs.news]\n");

    let output = run(&["check-config", "--config", &path], &[]);

    assert!(output.status.success(), "{}", stderr(&output));
    let expected =
        format!("configuration is valid\nfile: {path}\nhubs with their own settings: 2\n");
    assert_eq!(stdout(&output), expected);
}

#[test]
fn a_configuration_whose_certificate_cannot_be_read_is_not_valid() {
    let directory = TempDir::new();
    let path = directory.write(
        "[[listeners]]\nbind = [\"127.0.0.1:0\"]\ntls = { cert = \"/nowhere/c.pem\", key = \"k\" }\n",
    );

    let output = run(&["check-config", "--config", &path], &[]);

    let line = error_line(&output, 2);
    assert!(
        line.starts_with("error: cannot read /nowhere/c.pem of a TLS listener: "),
        "{line}"
    );
}

#[test]
fn the_printed_configuration_loads_back() {
    let directory = TempDir::new();
    let environment = [("HUBWIRE__HUBS__CHAT__WEB_SOCKET_KEEP_ALIVE_INTERVAL", "90s")];
    let flags = [
        "print-config",
        "--shards",
        "3",
        "--metrics-listen",
        "127.0.0.1:9090",
    ];
    let first = stdout(&run(&flags, &environment));

    let path = directory.write(&first);
    let second = stdout(&run(&["print-config", "--config", &path], &[]));

    assert!(
        first.contains("\n[hubs.chat]\n") && first.contains("shards = 3\n"),
        "{first}"
    );
    assert_eq!(first, second);
}

#[test]
fn the_printed_configuration_holds_no_key() {
    let environment = [
        ("HUBWIRE_ACCESS_KEY", KEY),
        ("HUBWIRE__KEYS__SECONDARY", "${env:OTHER}"),
        ("OTHER", "another-key-that-nobody-knows-at-all-99"),
    ];

    let output = run(&["print-config"], &environment);

    let text = stdout(&output);
    assert!(
        text.contains("# primary = \"***\"") && text.contains("# secondary = \"***\""),
        "{text}"
    );
    assert!(!text.contains("nobody-knows"), "{text}");
}

/// A running service; it is killed at the end of its test if it still runs.
struct Service {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    seen_errors: String,
}

impl Service {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = spawn(arguments, environment);
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let error_output = BufReader::new(child.stderr.take().expect("piped"));
        let (line_sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                // The test may have ended before the service.
                let _ = line_sender.send(line.expect("UTF-8"));
            }
        });
        let (error_sender, errors) = channel();
        thread::spawn(move || {
            for line in error_output.lines() {
                let _ = error_sender.send(line.expect("UTF-8"));
            }
        });
        Self {
            child,
            lines,
            errors,
            seen_errors: String::new(),
        }
    }

    fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(_) => {
                let _ = self.child.kill();
                self.take_errors();
                panic!("no line came; stderr: {}", self.seen_errors);
            }
        }
    }

    /// Waits for a line on standard error.
    fn wait_for_error(&mut self, text: &str) {
        while !self.seen_errors.contains(text) {
            let line = self.errors.recv_timeout(PATIENCE);
            self.note_error(&line.unwrap_or_else(|_| panic!("not logged: {text}")));
        }
    }

    fn note_error(&mut self, line: &str) {
        self.seen_errors.push_str(line);
        self.seen_errors.push('\n');
    }

    /// Takes what comes on standard error until it ends.
    fn take_errors(&mut self) {
        while let Ok(line) = self.errors.recv_timeout(PATIENCE) {
            self.note_error(&line);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the end and returns what was printed since, on standard output and error.
    fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        self.take_errors();
        let errors = std::mem::take(&mut self.seen_errors);
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        (
            self.child.wait().expect("it can be waited for"),
            lines,
            errors,
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already unless the test failed or did not care.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Directory with one file, removed at the end of its test.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hubwire-cli-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }

    fn write(&self, text: &str) -> String {
        let path = self.0.join("hubwire.toml");
        // By one step, so that nobody reads a part of it.
        let next = self.0.join("next");
        fs::write(&next, text).expect("a temporary file can be written");
        fs::rename(&next, &path).expect("a temporary file can be renamed");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Tells whether a client without a token is refused by the hub `chat`.
fn is_refused(host: &str) -> bool {
    let mut stream = TcpStream::connect(host).expect("it listens");
    let request = format!(
        "GET /client/hubs/chat HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("it answers");
    match &status {
        b"HTTP/1.1 101" => false,
        b"HTTP/1.1 401" => true,
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}

/// Asks again and again until something holds, since there is nothing to wait on.
fn wait_until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it did not come about");
        thread::yield_now();
    }
}

fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_hubwire"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started")
}

/// Runs a command that ends by itself.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let child = spawn(arguments, environment);
    let pid = Pid::from_child(&child);
    let (sender, output) = channel();
    thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    match output.recv_timeout(PATIENCE) {
        Ok(output) => output.expect("it can be waited for"),
        Err(_) => {
            let _ = kill_process(pid, Signal::KILL);
            panic!("hubwire {arguments:?} did not end");
        }
    }
}

/// Returns the only line that begins with `error:`, after checking the exit code and that nothing was printed.
fn error_line(output: &Output, code: i32) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(stdout(output), "");
    let mut lines = text.lines().filter(|line| line.starts_with("error: "));
    let line = lines.next().expect(&text).to_owned();
    assert_eq!(lines.next(), None, "{text}");
    assert_eq!(text.lines().last(), Some(line.as_str()), "{text}");
    line
}

fn endpoint_of(connection_line: &str) -> String {
    let rest = connection_line
        .strip_prefix("Connection string: Endpoint=")
        .expect(connection_line);
    rest.split(';')
        .next()
        .expect("split yields one part")
        .to_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}
