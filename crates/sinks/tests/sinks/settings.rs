//! Settings of sinks. Source: events-and-operations 8.2, 9.1.

use std::path::PathBuf;

use hubwire_sinks::{
    HttpSettings, KafkaSettings, NatsSettings, Sasl, SaslMechanism, SinkSettings,
    SinkSettingsError, sink,
};
use hubwire_upstream::{PrivateAddresses, Secret, StaticHeader, Url};

fn error(settings: SinkSettings) -> SinkSettingsError {
    match sink(settings) {
        Ok(_) => panic!("the settings were accepted"),
        Err(error) => error,
    }
}

fn nats(url: &str, subject: &str) -> SinkSettings {
    SinkSettings::Nats(Box::new(NatsSettings::new(Secret::new(url), subject)))
}

fn kafka(broker: &str, topic: &str) -> SinkSettings {
    SinkSettings::Kafka(Box::new(KafkaSettings::new(vec![broker.to_owned()], topic)))
}

#[test]
fn what_holds_secrets_does_not_show_them() {
    let url = Url::parse("https://example.com/a?code=s3cret", PrivateAddresses::Deny).unwrap();
    let header = StaticHeader::new("authorization", &Secret::new("Bearer s3cret")).unwrap();
    let mut http = HttpSettings::new(url);
    http.headers.push(header);
    let mut nats = NatsSettings::new(Secret::new("nats://user:s3cret@127.0.0.1"), "hubwire");
    nats.credentials = Some(Secret::new("s3cret"));
    let mut kafka = KafkaSettings::new(vec!["kafka:9092".to_owned()], "events");
    kafka.sasl = Some(Sasl {
        mechanism: SaslMechanism::Plain,
        username: "$ConnectionString".to_owned(),
        password: Secret::new("Endpoint=sb://x;SharedAccessKey=s3cret"),
    });
    for settings in [
        SinkSettings::Http(Box::new(http)),
        SinkSettings::Nats(Box::new(nats)),
        SinkSettings::Kafka(Box::new(kafka)),
    ] {
        let shown = format!("{settings:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn a_nats_server_is_a_url_with_or_without_credentials() {
    for url in [
        "nats://127.0.0.1:4222",
        "nats://nats",
        "nats:4222",
        "tls://user:pass%40word@nats.example.com:4222",
        "nats://token@[::1]:4222, nats://other:4222",
    ] {
        assert!(sink(nats(url, "hubwire")).is_ok(), "{url}");
    }
    for (url, number) in [
        ("http://nats:4222", 1),
        ("nats://", 1),
        ("nats://nats:4222,", 2),
        ("nats://u:p@nats:4222/path", 1),
        ("nats://nats:port", 1),
    ] {
        let error = error(nats(url, "hubwire"));
        assert_eq!(error, SinkSettingsError::NatsUrl(number), "{url}");
        assert!(!error.to_string().contains("u:p"), "{error}");
    }
}

#[test]
fn a_prefix_of_subjects_has_no_wildcard_and_no_empty_token() {
    assert!(sink(nats("nats://nats", "events.of.hubwire")).is_ok());
    for subject in ["", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "ä"] {
        let error = error(nats("nats://nats", subject));
        assert_eq!(error, SinkSettingsError::Subject(subject.to_owned()));
    }
}

#[test]
fn nats_credentials_are_checked_and_come_from_one_place() {
    let with = |url: &str, credentials: &str| {
        let mut settings = NatsSettings::new(Secret::new(url), "hubwire");
        settings.credentials = Some(Secret::new(credentials));
        error(SinkSettings::Nats(Box::new(settings)))
    };
    assert_eq!(
        with("nats://nats", "nonsense"),
        SinkSettingsError::NatsCredentials
    );
    let twice = with("nats://user:password@nats", "nonsense");
    assert_eq!(twice, SinkSettingsError::NatsCredentialsTwice);
}

#[test]
fn a_file_needs_a_name() {
    for path in ["/", "/tmp", "/tmp/..", ""] {
        let error = error(SinkSettings::File(PathBuf::from(path)));
        assert_eq!(error, SinkSettingsError::Path(PathBuf::from(path)));
    }
}

#[test]
fn the_names_of_kafka_are_checked() {
    for broker in [
        "kafka",
        "kafka:",
        ":9092",
        "kafka:0",
        "kafka:99999",
        "http://kafka:9092",
        "[::1]:9092",
    ] {
        let error = error(kafka(broker, "events"));
        assert_eq!(error, SinkSettingsError::Broker(broker.to_owned()));
    }
    for topic in ["", ".", "..", "a b", "ä", &"a".repeat(250)] {
        let error = error(kafka("kafka:9092", topic));
        assert_eq!(error, SinkSettingsError::Topic(topic.to_owned()));
    }
    let none = SinkSettings::Kafka(Box::new(KafkaSettings::new(Vec::new(), "events")));
    assert_eq!(error(none), SinkSettingsError::NoBroker);
}

#[test]
fn kafka_is_there_if_it_was_built_in() {
    let made = sink(kafka("kafka:9092", "events"));
    match cfg!(feature = "kafka") {
        true => assert!(made.is_ok()),
        false => assert_eq!(made.err(), Some(SinkSettingsError::NoKafka)),
    }
}
