//! What is found out when settings are made. Source: events-and-operations 2.1, 9.1.

use hubwire_upstream::{
    PresenceEvent, PrivateAddresses, Secret, StaticHeader, SystemEvent, TemplatePart, Url,
    UrlError, UrlTemplate,
};

fn error(text: &str) -> String {
    UrlTemplate::parse(text, PrivateAddresses::Deny)
        .unwrap_err()
        .to_string()
}

#[test]
fn absolute_urls_of_http_https_and_tunnels_are_accepted() {
    for url in [
        "http://example.com",
        "HTTPS://example.com:8443/a/{hub}/{event}?code=x{event}",
        "https://[2606:4700::1111]/",
        "tunnel:///eventhandler/{event}",
        "tunnel://host/path?query",
    ] {
        let template = UrlTemplate::parse(url, PrivateAddresses::Deny).unwrap();
        assert_eq!(template.is_tunnel(), url.starts_with("tunnel"), "{url}");
    }
}

#[test]
fn anything_else_is_malformed() {
    for url in [
        "",
        "/path",
        "example.com",
        "ftp://example.com/",
        "https://",
        "http://a b/",
        "tunnel://",
        "http://example.com:99999/",
    ] {
        let expected = format!("`{url}` is not an absolute URL of http, https or tunnel");
        assert_eq!(error(url), expected);
    }
}

#[test]
fn parameters_are_not_allowed_in_the_host() {
    for url in [
        "http://{hub}.example.com/",
        "http://example.com:{event}/",
        "http://{HUB}",
        "http://{hub}?x",
    ] {
        assert!(error(url).ends_with("has a parameter in its host"), "{url}");
    }
}

#[test]
fn other_braces_are_named() {
    assert!(error("http://example.com/{user}").contains("holds `{user}`"));
    assert!(error("http://example.com/{").contains("holds `{`"));
    assert!(error("http://example.com/}").contains("holds `}`"));
    let vault = "http://example.com/{@Microsoft.KeyVault(SecretUri=https://vault/x)}";
    assert!(error(vault).contains("holds `{@Microsoft.KeyVault"));
}

#[test]
fn literal_private_addresses_are_refused_unless_allowed() {
    for url in [
        "http://127.0.0.1/",
        "http://10.1.2.3:8080/{event}",
        "https://[::1]/",
        "http://[fd00::1]/",
    ] {
        assert!(error(url).contains("private address"), "{url}");
        UrlTemplate::parse(url, PrivateAddresses::Allow).unwrap();
    }
}

#[test]
fn metadata_addresses_are_refused_always() {
    for url in [
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
    ] {
        let error = UrlTemplate::parse(url, PrivateAddresses::Allow).unwrap_err();
        assert!(matches!(error, UrlError::MetadataAddress(_)), "{url}");
        Url::parse(url, PrivateAddresses::Allow).unwrap_err();
    }
}

#[test]
fn errors_show_neither_queries_nor_passwords_nor_secrets() {
    for url in [
        "ftp://example.com/?code=hunter2",
        "http://user:hunter2@example.com/",
        "http://10.0.0.1/?hunter2#x",
    ] {
        assert!(!error(url).contains("hunter2"), "{}", error(url));
    }
    let parts = [
        TemplatePart::Template("http://10.0.0.1/"),
        TemplatePart::Secret("hunter2"),
    ];
    let error = UrlTemplate::from_parts(parts, PrivateAddresses::Deny).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn secrets_are_not_searched_for_parameters() {
    let secret = |text| {
        let parts = [
            TemplatePart::Template("http://example.com/?code="),
            TemplatePart::Secret(text),
        ];
        UrlTemplate::from_parts(parts, PrivateAddresses::Deny)
    };
    secret("a{hub}b").unwrap();
    secret("a{b").unwrap();
}

#[test]
fn a_header_for_a_handler_is_none_of_the_service_s_own() {
    let value = Secret::new("key");
    for name in ["authorization", "X-Api-Key"] {
        StaticHeader::new(name, &value).unwrap();
    }
    for name in [
        "",
        "a b",
        "ce-type",
        "WebHook-Request-Origin",
        "Content-Length",
        "host",
        "cookie",
    ] {
        StaticHeader::new(name, &value).unwrap_err();
    }
    for value in ["a\nb", "ü"] {
        let error = StaticHeader::new("x-api-key", &Secret::new(value)).unwrap_err();
        assert!(!error.to_string().contains(value));
    }
}

#[test]
fn names_of_events_have_no_case() {
    assert_eq!(
        SystemEvent::from_name("CONNECTED"),
        Some(SystemEvent::Connected)
    );
    assert_eq!(SystemEvent::from_name("joined"), None);
    assert_eq!(PresenceEvent::from_name("Left"), Some(PresenceEvent::Left));
}
