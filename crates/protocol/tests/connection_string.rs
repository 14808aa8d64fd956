//! Connection strings (rest-api 3.8).

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use hubwire_protocol::connection_string::{ConnectionString, ConnectionStringError as Error};
use proptest::prelude::*;

const KEY: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH";

#[test]
fn a_printed_connection_string_is_read_and_written_unchanged() {
    let text = format!("Endpoint=http://localhost:8080;AccessKey={KEY};Version=1.0;");
    let parsed = ConnectionString::parse(&text).unwrap();
    assert_eq!(parsed.endpoint(), "http://localhost:8080");
    assert_eq!(parsed.access_key(), Ok(KEY));
    assert_eq!(parsed.version(), "1.0");
    assert_eq!(parsed.to_text(), text);
    assert_eq!(
        ConnectionString::new("http://localhost:8080", KEY),
        Ok(parsed)
    );
}

#[test]
fn each_way_to_write_one_comes_to_the_canonical_form() {
    let table = [
        // As portals and emulators print it, with and without the last semicolon.
        (
            "Endpoint=https://h;AccessKey=k;Version=1.0;",
            "Endpoint=https://h;AccessKey=k;Version=1.0;",
        ),
        (
            "Endpoint=https://h;AccessKey=k",
            "Endpoint=https://h;AccessKey=k;Version=1.0;",
        ),
        // Order, letter case, white space and empty parts do not matter.
        (
            " ;; version = 1.1 ;\taccesskey=k ;\nENDPOINT = HTTPS://Host ; ",
            "Endpoint=https://Host;AccessKey=k;Version=1.1;",
        ),
        // A value may contain `=`, and a key most else.
        (
            "Endpoint=https://h;AccessKey=a+b/c==;",
            "Endpoint=https://h;AccessKey=a+b/c==;Version=1.0;",
        ),
        (
            "Endpoint=https://h;AccessKey==a b,ü=;",
            "Endpoint=https://h;AccessKey==a b,ü=;Version=1.0;",
        ),
        // Slashes at the end go, a path stays.
        (
            "Endpoint=https://h/;AccessKey=k",
            "Endpoint=https://h;AccessKey=k;Version=1.0;",
        ),
        (
            "Endpoint=https://h:8443/a/b//;AccessKey=k",
            "Endpoint=https://h:8443/a/b;AccessKey=k;Version=1.0;",
        ),
        // A port replaces the one of the endpoint.
        (
            "Endpoint=http://h;AccessKey=k;Port=8080",
            "Endpoint=http://h:8080;AccessKey=k;Version=1.0;",
        ),
        (
            "port=1;Endpoint=http://h:80/x;AccessKey=k",
            "Endpoint=http://h:1/x;AccessKey=k;Version=1.0;",
        ),
        (
            "Endpoint=http://[::1]/;Port=65535;AccessKey=k",
            "Endpoint=http://[::1]:65535;AccessKey=k;Version=1.0;",
        ),
        (
            "Endpoint=http://[::1]:8080;Port=0080;AccessKey=k",
            "Endpoint=http://[::1]:80;AccessKey=k;Version=1.0;",
        ),
        // Unknown words, and what a key makes needless, are ignored.
        (
            "Endpoint=https://h;AccessKey=k;ResourceName=x;AuthType=aad;ClientEndpoint=",
            "Endpoint=https://h;AccessKey=k;Version=1.0;",
        ),
        // Without a key.
        (
            "Endpoint=https://h;AuthType=AAD",
            "Endpoint=https://h;AuthType=azure;Version=1.0;",
        ),
        (
            "Endpoint=https://h;AuthType=azure;Version=2.0",
            "Endpoint=https://h;AuthType=azure;Version=2.0;",
        ),
        (
            "Endpoint=https://h;AuthType=other",
            "Endpoint=https://h;Version=1.0;",
        ),
    ];
    for (text, canonical) in table {
        let parsed = ConnectionString::parse(text).unwrap();
        assert_eq!(parsed.to_text(), canonical, "{text}");
        assert_eq!(ConnectionString::parse(canonical), Ok(parsed), "{text}");
    }
}

/// What the official packages do with each is in the last column of rest-api 3.8; some take what is refused here.
#[test]
fn each_fault_is_told_by_its_word_and_without_any_value() {
    let table = [
        ("", Error::MissingEndpoint),
        (" ; ", Error::MissingEndpoint),
        ("AccessKey=SECRET;Version=1.0;", Error::MissingEndpoint),
        ("Endpoint=;AccessKey=SECRET", Error::MissingEndpoint),
        ("Endpoint=https://h;SECRET", Error::NotAPair(2)),
        ("Endpoint=https://h;;=SECRET", Error::NotAPair(3)),
        (
            "Endpoint=https://h;AccessKey=SECRET;accessKEY=SECRET",
            Error::Repeated("AccessKey"),
        ),
        (
            "Endpoint=https://h; endpoint =https://h;AccessKey=SECRET",
            Error::Repeated("Endpoint"),
        ),
        (
            "Endpoint=https://h;AccessKey=a;SECRET=;SECRET=",
            Error::Repeated("an unknown word"),
        ),
        ("Endpoint=SECRET;AccessKey=k", Error::Scheme),
        ("Endpoint=ftp://SECRET;AccessKey=k", Error::Scheme),
        ("Endpoint=//SECRET;AccessKey=k", Error::Scheme),
        ("Endpoint=https:SECRET;AccessKey=k", Error::Scheme),
        ("Endpoint=https://;AccessKey=SECRET", Error::Endpoint),
        ("Endpoint=https:///path;AccessKey=SECRET", Error::Endpoint),
        ("Endpoint=https://:80;AccessKey=SECRET", Error::Endpoint),
        (
            "Endpoint=https://user:SECRET@h;AccessKey=k",
            Error::Endpoint,
        ),
        ("Endpoint=https://SECRET@h;AccessKey=k", Error::Endpoint),
        (
            "Endpoint=https://h/?key=SECRET;AccessKey=k",
            Error::Endpoint,
        ),
        ("Endpoint=https://h#SECRET;AccessKey=k", Error::Endpoint),
        ("Endpoint=https://h\\SECRET;AccessKey=k", Error::Endpoint),
        ("Endpoint=https://SEC RET;AccessKey=k", Error::Endpoint),
        ("Endpoint=https://::1;AccessKey=SECRET", Error::Endpoint),
        ("Endpoint=https://[::1;AccessKey=SECRET", Error::Endpoint),
        ("Endpoint=https://[];AccessKey=SECRET", Error::Endpoint),
        ("Endpoint=https://h:;AccessKey=SECRET", Error::Port),
        ("Endpoint=https://h:0;AccessKey=SECRET", Error::Port),
        ("Endpoint=https://h:65536;AccessKey=SECRET", Error::Port),
        ("Endpoint=https://h:+80;AccessKey=SECRET", Error::Port),
        ("Endpoint=https://h;Port=0;AccessKey=SECRET", Error::Port),
        ("Endpoint=https://h;Port=;AccessKey=SECRET", Error::Port),
        ("Endpoint=https://h;Port=SECRET;AccessKey=k", Error::Port),
        ("Endpoint=https://h;Port=-1;AccessKey=k", Error::Port),
        ("Endpoint=https://h;AccessKey=", Error::AccessKey),
        ("Endpoint=https://h;AccessKey= ;", Error::AccessKey),
        ("Endpoint=https://h;AccessKey=SEC\nRET", Error::AccessKey),
        ("Endpoint=https://h;AccessKey=SEC\0RET", Error::AccessKey),
    ];
    for (text, expected) in table {
        let error = ConnectionString::parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("SEC"), "{text}: {shown}");
        }
    }
}

#[test]
fn a_missing_key_is_an_error_where_a_key_is_needed() {
    let key = |text: &str| {
        let parsed = ConnectionString::parse(text).unwrap();
        parsed.access_key().map(str::to_owned)
    };
    assert_eq!(key("Endpoint=https://h"), Err(Error::MissingAccessKey));
    assert_eq!(
        key("Endpoint=https://h;AuthType=key"),
        Err(Error::MissingAccessKey)
    );
    assert_eq!(key("Endpoint=https://h;AuthType=aad"), Err(Error::Identity));
    assert_eq!(
        key("AuthType= Azure ;Endpoint=https://h"),
        Err(Error::Identity)
    );
    assert_eq!(
        key("Endpoint=https://h;AuthType=aad;AccessKey=k"),
        Ok("k".to_owned())
    );
}

#[test]
fn only_versions_from_1_0_to_before_2_are_known() {
    for (version, is_known) in [
        ("1.0", true),
        ("1.9", true),
        ("2.0", false),
        ("1", false),
        ("", false),
    ] {
        let text = format!("Endpoint=https://h;AccessKey=k;Version={version}");
        let parsed = ConnectionString::parse(&text).unwrap();
        assert_eq!(parsed.version(), version);
        assert_eq!(parsed.has_known_version(), is_known, "{version}");
    }
}

#[test]
fn parts_that_a_text_cannot_hold_do_not_make_a_connection_string() {
    for key in ["", " k", "k ", "a;b", "a\nb", "\u{3000}"] {
        assert_eq!(
            ConnectionString::new("https://h", key),
            Err(Error::AccessKey),
            "{key:?}"
        );
    }
    for endpoint in ["https://h;x", "https://h;Port=1"] {
        assert_eq!(
            ConnectionString::new(endpoint, "k"),
            Err(Error::Endpoint),
            "{endpoint:?}"
        );
    }
    assert_eq!(ConnectionString::new("", "k"), Err(Error::MissingEndpoint));
    assert_eq!(ConnectionString::new("h:80", "k"), Err(Error::Scheme));
}

#[test]
fn debug_output_shows_everything_but_the_key() {
    let parsed = ConnectionString::new("https://pubsub.example.com", KEY).unwrap();
    let shown = format!("{parsed:?}");
    assert!(shown.contains("https://pubsub.example.com") && shown.contains("***"));
    assert!(!shown.contains(KEY));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        endpoint in "https?://([a-z][a-z0-9.-]{0,20}|\\[[0-9a-f:]{2,20}\\])(:[1-9][0-9]{0,3})?(/[a-z0-9._~%-]{1,8}){0,2}",
        key in "[!-:<-~]([ -:<-~]{0,60}[!-:<-~])?",
        slashes in "/{0,2}",
    ) {
        let made = ConnectionString::new(&format!("{endpoint}{slashes}"), &key).unwrap();
        prop_assert_eq!(made.endpoint(), &endpoint);
        prop_assert_eq!(made.access_key(), Ok(key.as_str()));
        prop_assert_eq!(ConnectionString::parse(&made.to_text()), Ok(made.clone()));
        prop_assert_eq!(made.to_text(), format!("Endpoint={endpoint};AccessKey={key};Version=1.0;"));
    }

    #[test]
    fn words_come_in_any_order_case_and_spacing(
        words in Just(["Endpoint=https://h:1", "AccessKey=k=", "Port=2", "Version=1.5", "Other=x"].to_vec()).prop_shuffle(),
        spaces in proptest::collection::vec("[ \t]{0,2}", 10),
        is_upper in any::<bool>(),
    ) {
        let mut text = String::new();
        for (index, word) in words.iter().enumerate() {
            let (word, value) = word.split_once('=').unwrap();
            let word = if is_upper { word.to_uppercase() } else { word.to_lowercase() };
            let (before, after) = (&spaces[2 * index], &spaces[2 * index + 1]);
            text.push_str(&format!("{before}{word}{after}={before}{value}{after};"));
        }
        let canonical = "Endpoint=https://h:2;AccessKey=k=;Version=1.5;";
        prop_assert_eq!(ConnectionString::parse(&text).unwrap().to_text(), canonical);
    }

    #[test]
    fn no_text_shows_its_key_in_an_error_or_debug_output(
        text in "(Endpoint=https://h;)?(AccessKey=)?[ -~\n]{0,8}SECRET[ -~\n]{0,8}(;Port=x)?(;AccessKey=SECRET)?",
    ) {
        let result = ConnectionString::parse(&text);
        let is_elsewhere = result
            .as_ref()
            .is_ok_and(|parsed| parsed.endpoint().contains("SECRET") || parsed.version().contains("SECRET"));
        let shown = format!("{result:?}");
        prop_assert!(is_elsewhere || !shown.contains("SECRET"), "{}", shown);
        if let Err(error) = result {
            prop_assert!(!error.to_string().contains("SECRET"));
        }
    }
}
