//! Loading a configuration: precedence, checks, the exact text of errors, and secrets that stay unseen.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hubwire_server::config::{
    AclAction, AnonymousConnectPolicy, AudienceHost, Config, ConfigError, ConnectionCountRule,
    DEVELOPMENT_KEY, Endpoint, EventHandlerConfig, EventListenerConfig, HandlerAuth, HubConfig,
    IdentityRole, Level, ListenerEndpoint, LogCategory, LogFormat, NetworkRules, OidcConfig,
    Overrides, Place, PresenceEvent, PrincipalClaim, PrivateAddressPolicy, PublicNetworkAccess,
    RequestRules, RequestType, RoleAssignment, Roles, Scheme, Secret, SecretText, Sources,
    SystemEvent, ThrottleKey, TlsConfig, TlsVersion, TrafficControlRule, UpstreamConfig,
};

const KEY: &str = "a-key-of-our-own-that-nobody-knows-1234";
const OTHER_KEY: &str = "another-key-that-nobody-knows-at-all-99";
/// What references of the files here stand for.
const REFERENCED: &[(&str, &str)] = &[("SECRET", "a-secret"), ("USER", "a-user")];
const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn without_sources_the_documented_defaults_hold() {
    let config = load("");

    assert_eq!(config, Config::default());
    assert_eq!(
        config.listeners[0].bind,
        addresses(&["127.0.0.1:8080", "[::1]:8080"])
    );
    assert_eq!(
        config.listeners[0].roles,
        Roles {
            client: true,
            rest: true,
            tunnel: true,
            health: true,
            metrics: false,
        }
    );
    assert_eq!(config.keys.primary.expose(), DEVELOPMENT_KEY);
    assert_eq!(config.keys.secondary, None);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(5));
    assert_eq!(config.auth.clock_skew, Duration::from_secs(300));
    assert_eq!(config.rest.body_max, 1_048_576);
    assert_eq!(config.limits.outbound_queue_bytes, 16_777_216);
    assert_eq!(config.limits.recovery_window, Duration::from_secs(30));
    assert_eq!(config.limits.reconnection_token_lifetime, 7 * DAY);
    assert_eq!(config.limits.connections_max, 0);
    let hub = config.hubs.get("chat");
    assert_eq!(hub.reliable_buffer_messages, 1000);
    assert_eq!(hub.reliable_buffer_bytes, 16_777_216);
    assert!(hub.streaming && hub.group_state && hub.invocation);
    assert!(hub.event_handlers.is_empty() && hub.event_listeners.is_empty());
    let upstream = &config.upstream;
    assert_eq!(upstream.request_origins, Vec::<String>::new());
    assert_eq!(upstream.timeout, Duration::from_secs(100));
    assert_eq!(upstream.retry_delays, [1, 3, 5].map(Duration::from_secs));
    assert_eq!(upstream.response_body_max, 16_777_216);
    assert_eq!(upstream.private_addresses, PrivateAddressPolicy::Auto);
    assert!(!upstream.validate_on_load);
    assert_eq!(upstream.requests_per_host_max, 256);
    assert_eq!(upstream.notifications_max, 100_000);
    assert_eq!(config.logging.level, Level::Info);
    assert_eq!(config.logging.format, LogFormat::Text);
    assert_eq!(config.logging.categories, []);
    assert!((1..=64).contains(&config.shards));
}

#[test]
fn every_key_of_the_file_is_read() {
    let config = load(EVERYTHING);

    assert_eq!(
        config.public_endpoints[0].to_string(),
        "https://pubsub.example.com"
    );
    assert_eq!(config.public_endpoints[1].to_string(), "http://[::1]:8081");
    assert_eq!(config.shutdown_timeout, Duration::from_millis(1500));
    assert_eq!(config.shards, 3);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[0].bind, addresses(&["0.0.0.0:8443"]));
    let tls = TlsConfig {
        cert: PathBuf::from("/etc/tls.crt"),
        key: PathBuf::from("/etc/tls.key"),
        min_version: TlsVersion::V1_3,
        request_client_certificate: true,
        client_ca: Some(PathBuf::from("/etc/clients.pem")),
    };
    assert_eq!(config.listeners[0].tls, Some(tls));
    assert_eq!(
        config.listeners[1].roles,
        Roles {
            client: false,
            rest: false,
            tunnel: false,
            health: true,
            metrics: true,
        }
    );
    assert_eq!(config.keys.primary, Secret::new(KEY));
    assert_eq!(config.keys.secondary, Some(Secret::new(OTHER_KEY)));
    assert_eq!(config.keys.internal, Some(Secret::new(KEY)));
    assert_eq!(config.auth.audience_host, AudienceHost::Configured);
    assert!(!config.auth.generate_token_with_access_key);
    assert!(config.auth.allow_development_key);
    assert_eq!(config.auth.clock_skew, Duration::ZERO);
    assert!(!config.auth.disable_identity_auth);
    assert!(config.auth.allow_unvalidated_identity_tokens);
    let assignment = |claim, value: &str, roles: &[IdentityRole]| RoleAssignment {
        claim,
        value: value.to_owned(),
        roles: roles.to_vec(),
    };
    let both = [IdentityRole::Owner, IdentityRole::Reader];
    let second = OidcConfig {
        issuer: "http://127.0.0.1:8000".to_owned(),
        audience: "api://pubsub".to_owned(),
        role_claim: "entitlements".to_owned(),
        jwks_file: Some(PathBuf::from("/etc/jwks.json")),
        allow_http: true,
        role_assignments: vec![
            assignment(PrincipalClaim::Oid, "1234", &both),
            assignment(PrincipalClaim::Groups, "56", &[]),
        ],
    };
    let first = OidcConfig::new("https://login.example.com/tenant/v2.0");
    assert_eq!(config.auth.oidc, [first, second]);
    let upstream = UpstreamConfig {
        request_origins: vec![
            "pubsub.example.com".to_owned(),
            "pubsub.example.com:8443".to_owned(),
        ],
        timeout: Duration::from_millis(1),
        retry_delays: vec![Duration::ZERO, Duration::from_millis(250)],
        response_body_max: 1024,
        private_addresses: PrivateAddressPolicy::Allow,
        validate_on_load: true,
        requests_per_host_max: 1,
        notifications_max: 2,
    };
    assert_eq!(config.upstream, upstream);
    assert!(config.rest.keep_encoded_slash);
    assert!(config.rest.require_content_length);
    assert_eq!(config.rest.body_max, 16_000_000);
    assert_eq!(config.limits.message_max, 512 << 10);
    assert_eq!(config.limits.outbound_queue_messages, 7);
    assert_eq!(config.limits.outbound_queue_bytes, 2 << 30);
    assert_eq!(config.limits.recovery_window, Duration::ZERO);
    assert_eq!(config.limits.reconnection_token_lifetime, 365 * DAY);
    assert_eq!(config.limits.remembered_ack_ids, 0);
    assert_eq!(config.limits.close_timeout, Duration::from_secs(3600));
    assert_eq!(config.limits.connections_max, 9);
    assert_eq!(config.limits.handshake_timeout, Duration::from_millis(1));
    assert_eq!(config.limits.handshakes_max, 11);
    assert_eq!(config.logging.level, Level::Trace);
    assert_eq!(config.logging.format, LogFormat::Json);
    assert_eq!(
        config.logging.categories,
        [LogCategory::Connectivity, LogCategory::HttpRequest]
    );
}

/// Source: events-and-operations 9.3.
#[test]
fn every_key_of_the_network_is_read() {
    let network = load(EVERYTHING).network;

    assert_eq!(network.public_network_access, PublicNetworkAccess::Disabled);
    assert_eq!(network.trusted_proxies, nets(&["10.0.0.0/8", "::1/128"]));
    let acl = network.acl;
    assert_eq!(acl.default_action, AclAction::Deny);
    let rules = RequestRules {
        allow: vec![RequestType::ClientConnection, RequestType::RestApi],
        deny: vec![RequestType::Trace],
    };
    assert_eq!(acl.public_network, rules);
    let vpc = NetworkRules {
        name: "vpc".to_owned(),
        cidr: nets(&["10.1.0.0/16", "fd00::/8"]),
        rules: RequestRules {
            allow: vec![RequestType::RestApi, RequestType::Trace],
            deny: vec![RequestType::ServerConnection],
        },
    };
    let quoted = NetworkRules {
        name: "a \"quoted\" name".to_owned(),
        cidr: nets(&["192.168.1.1/32"]),
        rules: RequestRules::default(),
    };
    assert_eq!(acl.networks, [vpc, quoted]);
    let [deny, allow] = acl.ip_rules.as_slice() else {
        panic!("{:?}", acl.ip_rules);
    };
    assert_eq!(
        (deny.value.to_string().as_str(), deny.action),
        ("203.0.113.0/24", AclAction::Deny)
    );
    assert_eq!(
        (allow.value.to_string().as_str(), allow.action),
        ("2001:db8::1/128", AclAction::Allow)
    );
}

/// Source: events-and-operations 9.4.
#[test]
fn every_key_of_the_firewall_is_read() {
    let firewall = load(EVERYTHING).firewall;

    let claim = |name: &str| ThrottleKey::JwtCustomClaim(name.to_owned());
    let count = |key, max_count| ConnectionCountRule { key, max_count };
    assert_eq!(
        firewall.client_connection_count_rules,
        [
            count(ThrottleKey::UserId, 20),
            count(ThrottleKey::JwtSignature, 1),
            count(claim("https://example.com/tenant"), 7),
        ]
    );
    let traffic = |key, max_inbound_message_bytes, seconds| TrafficControlRule {
        key,
        max_inbound_message_bytes,
        aggregation_window: Duration::from_secs(seconds),
    };
    assert_eq!(
        firewall.client_traffic_control_rules,
        [
            traffic(ThrottleKey::UserId, 1 << 30, 60),
            traffic(ThrottleKey::JwtSignature, 1, 1),
            traffic(claim("tenant"), 512 << 30, 3600),
        ]
    );
    assert_eq!(firewall.max_client_connection_lifetime, DAY / 2);
}

#[test]
fn lists_of_network_and_firewall_can_be_set_by_the_environment() {
    let config = load_environment(&[
        ("HUBWIRE__NETWORK__ACL__DEFAULT_ACTION", "deny"),
        (
            "HUBWIRE__NETWORK__ACL__PUBLIC_NETWORK__ALLOW",
            r#"["rest_api"]"#,
        ),
        (
            "HUBWIRE__NETWORK__ACL__IP_RULES",
            r#"[{ value = "203.0.113.1", action = "deny" }]"#,
        ),
        (
            "HUBWIRE__FIREWALL__CLIENT_CONNECTION_COUNT_RULES",
            r#"[{ type = "throttle_by_user_id_rule", max_count = 3 }]"#,
        ),
        ("HUBWIRE__FIREWALL__MAX_CLIENT_CONNECTION_LIFETIME", "1d"),
    ])
    .expect("valid");

    let acl = &config.network.acl;
    assert_eq!(acl.public_network.allow, [RequestType::RestApi]);
    assert_eq!(acl.ip_rules.len(), 1);
    let rules = &config.firewall.client_connection_count_rules;
    assert_eq!(rules[0].max_count, 3);
    assert_eq!(config.firewall.max_client_connection_lifetime, DAY);
}

#[test]
fn network_rules_that_cannot_be_meant_are_refused() {
    let cases = [
        (
            "[network]\npublic_network_access = \"off\"\n",
            "2:25: network.public_network_access is \"off\", expected one of `enabled`, `disabled`",
        ),
        (
            "[network]\ntrusted_proxies = [\"proxy\"]\n",
            "2:20: network.trusted_proxies[0] is \"proxy\", is neither an address nor a network such as \
             \"10.0.0.0/8\"",
        ),
        (
            "[network]\nacls = 1\n",
            "2:1: unknown key `network.acls`, did you mean `acl`?",
        ),
        (
            "[network.acl]\npublic_network = { deny = [\"rest\"] }\n",
            "2:28: network.acl.public_network.deny[0] is \"rest\", expected one of `client_connection`, \
             `server_connection`, `rest_api`, `trace`",
        ),
        (
            "[network.acl]\npublic_network = { allow = [\"client_connection\"] }\n",
            "2:1: network.acl.public_network allows some request types by `allow`, and the others are allowed \
             too, since network.acl.default_action is \"allow\"; make that \"deny\", or list the others in \
             `deny`",
        ),
        (
            "[network.acl]\nnetworks = [{ cidr = [\"10.0.0.0/8\"] }]\n",
            "2:13: network.acl.networks[0] has no `name`, such as name = \"office\"",
        ),
        (
            "[[network.acl.networks]]\nname = \"vpc\"\n",
            "1:1: network.acl.networks[0] has no `cidr`, such as cidr = [\"10.0.0.0/8\"]",
        ),
        (
            "[network.acl]\nip_rules = [{ value = \"AzureCloud\", action = \"deny\" }]\n",
            "2:23: network.acl.ip_rules[0].value is \"AzureCloud\", is neither an address nor a network such \
             as \"10.0.0.0/8\"",
        ),
        (
            "[network.acl]\nip_rules = [{ action = \"deny\" }]\n",
            "2:13: network.acl.ip_rules[0] has no `value`, such as value = \"203.0.113.0/24\"",
        ),
        (
            "[network.acl]\nip_rules = [{ value = \"203.0.113.1\" }]\n",
            "2:13: network.acl.ip_rules[0] has no `action`, which is \"allow\" or \"deny\"",
        ),
    ];
    for (file, expected) in cases {
        check_error(file, &format!("hubwire.toml:{expected}"));
    }
    let all = "[\"client_connection\", \"server_connection\", \"rest_api\", \"trace\"]";
    load(&format!(
        "[network.acl]\npublic_network = {{ allow = {all} }}\n"
    ));
    let many = "{ value = \"203.0.113.1\", action = \"deny\" },".repeat(1001);
    check_error(
        &format!("[network.acl]\nip_rules = [{many}]\n"),
        "hubwire.toml:2:12: network.acl.ip_rules has more than 1000 items",
    );
}

#[test]
fn firewall_rules_that_cannot_be_meant_are_refused() {
    let count = "[[firewall.client_connection_count_rules]]\n";
    let traffic = "[[firewall.client_traffic_control_rules]]\n";
    let cases = [
        (
            count,
            "max_count = 3\n",
            "1:1: firewall.client_connection_count_rules[0] has no `type`, such as type = \
             \"throttle_by_user_id_rule\"",
        ),
        (
            count,
            "type = \"throttle_by_user_id\"\n",
            "2:8: firewall.client_connection_count_rules[0].type is \"throttle_by_user_id\", did you mean \
             \"throttle_by_user_id_rule\"?",
        ),
        (
            count,
            "type = \"throttle_by_user_id_rule\"\nmax_count = 0\n",
            "3:13: firewall.client_connection_count_rules[0].max_count is 0, allowed is 1 to 1000000000",
        ),
        (
            count,
            "type = \"throttle_by_user_id_rule\"\nclaim_name = \"tenant\"\n",
            "3:14: firewall.client_connection_count_rules[0].claim_name belongs to rules by custom claim; \
             remove it or change `type`",
        ),
        (
            count,
            "type = \"throttle_by_jwt_custom_claim_rule\"\n",
            "1:1: firewall.client_connection_count_rules[0] has no `claim_name`, such as claim_name = \
             \"tenant\"",
        ),
        (
            count,
            "type = \"throttle_by_user_id_rule\"\nmax_inbound_message_bytes = \"1MiB\"\n",
            "3:1: unknown key `firewall.client_connection_count_rules[0].max_inbound_message_bytes`, the keys \
             here are `type`, `claim_name`, `max_count`",
        ),
        (
            traffic,
            "type = \"traffic_throttle_by_user_id_rule\"\nmax_inbound_message_bytes = 1024\n",
            "3:29: firewall.client_traffic_control_rules[0].max_inbound_message_bytes is 1024, a size needs its \
             unit, such as \"512KiB\", \"1MiB\" or \"16MB\"",
        ),
        (
            traffic,
            "type = \"traffic_throttle_by_user_id_rule\"\naggregation_window = \"2h\"\n",
            "3:22: firewall.client_traffic_control_rules[0].aggregation_window is \"2h\", allowed is 1s to 1h",
        ),
        (
            "[firewall]\n",
            "max_client_connection_lifetime = \"500ms\"\n",
            "2:34: firewall.max_client_connection_lifetime is \"500ms\", allowed is 0s, which is no limit, or \
             1s to 365d",
        ),
    ];
    for (head, rest, expected) in cases {
        check_error(
            &format!("{head}{rest}"),
            &format!("hubwire.toml:{expected}"),
        );
    }
    let many = format!("{count}type = \"throttle_by_user_id_rule\"\n").repeat(33);
    let error = load_from(&many, &[], Overrides::default()).expect_err("too many");
    let text = error.to_string();
    assert!(
        text.ends_with("firewall.client_connection_count_rules has more than 32 items"),
        "{text}"
    );
}

#[test]
fn a_hub_without_its_own_entry_uses_the_default_one_and_an_entry_inherits_nothing() {
    let config = load(EVERYTHING);

    let listed = config.hubs.get("chat");
    assert_eq!(
        listed.anonymous_connect_policy,
        AnonymousConnectPolicy::Allow
    );
    assert_eq!(
        listed.web_socket_keep_alive_interval,
        Duration::from_secs(20)
    );
    assert_eq!(listed.allowed_origins, Vec::<String>::new());
    assert_eq!(listed.reliable_buffer_messages, 1000);
    assert!(listed.streaming && listed.group_state && listed.invocation);
    let unlisted = config.hubs.get("default");
    assert_eq!(
        unlisted.anonymous_connect_policy,
        AnonymousConnectPolicy::Deny
    );
    assert_eq!(
        unlisted.web_socket_keep_alive_interval,
        Duration::from_secs(120)
    );
    assert_eq!(unlisted.allowed_origins, ["https://app.example.com"]);
    assert!(unlisted.drop_connection_on_event_failure);
    assert_eq!(unlisted.reliable_buffer_messages, 1);
    assert_eq!(unlisted.reliable_buffer_bytes, 1024);
    assert!(!unlisted.streaming && !unlisted.group_state && !unlisted.invocation);
    let names: Vec<&str> = config.hubs.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.b[1]`,_", "chat"]);
}

#[test]
fn every_key_of_an_event_handler_is_read() {
    let config = load(EVERYTHING);

    let handlers = &config.hubs.get("chat").event_handlers;
    let EventHandlerConfig {
        url_template,
        user_event_pattern,
        system_events,
        group_presence_events,
        auth,
        timeout,
        abuse_protection,
        forward_reject_body,
    } = &handlers[0];
    assert_eq!(
        url_template.to_string(),
        "https://10.0.0.7:8443/{hub}/events/{event}"
    );
    assert_eq!(user_event_pattern, "message, join");
    assert_eq!(
        *system_events,
        [
            SystemEvent::Connect,
            SystemEvent::Connected,
            SystemEvent::Disconnected
        ]
    );
    let presence = group_presence_events.as_ref().expect("set");
    let names = [PresenceEvent::Joined, PresenceEvent::Left];
    assert_eq!(presence.event_names, names);
    assert_eq!(presence.group_filters[0].as_str(), "room.*");
    assert_eq!(*auth, HandlerAuth::None);
    assert_eq!(*timeout, Some(Duration::from_secs(3600)));
    assert!(!abuse_protection && *forward_reject_body);
    assert!(handlers[1].url_template.template().is_tunnel());
    assert!(matches!(handlers[1].auth, HandlerAuth::ManagedIdentity(_)));
    let HandlerAuth::ClientCredentials {
        token_url,
        client_id,
        client_secret,
        scope,
    } = &handlers[2].auth
    else {
        panic!("{:?}", handlers[2].auth)
    };
    assert_eq!(
        token_url.text.secret().expose(),
        "https://login.example.com/token"
    );
    assert_eq!((client_id.as_str(), scope.as_str()), ("hubwire", "events"));
    assert_eq!(client_secret.secret().expose(), "a-secret");
    assert!(matches!(handlers[3].auth, HandlerAuth::StaticHeader(_)));
    assert!(handlers[3].abuse_protection && !handlers[3].forward_reject_body);
    assert_eq!(handlers[3].timeout, None);
}

#[test]
fn every_key_of_an_event_listener_is_read() {
    let config = load(EVERYTHING);

    let listeners = &config.hubs.get("chat").event_listeners;
    let EventListenerConfig {
        system_events,
        user_event_pattern,
        endpoint,
        queue_events,
        queue_bytes,
    } = &listeners[0];
    // `connect` is ignored.
    let events = [SystemEvent::Connected, SystemEvent::Disconnected];
    assert_eq!(*system_events, events);
    assert_eq!(user_event_pattern, "*");
    assert_eq!((*queue_events, *queue_bytes), (1, 1024));
    let ListenerEndpoint::Nats {
        url,
        subject,
        jetstream,
        credentials,
    } = endpoint
    else {
        panic!("{endpoint:?}")
    };
    let url = url.secret().expose();
    assert_eq!(url, "nats://a-user:a-secret@nats:4222,tls://other");
    assert_eq!((subject.as_str(), *jetstream), ("hub.wire", true));
    assert_eq!(*credentials, None);
    let ListenerEndpoint::Http { url, batch: true } = &listeners[1].endpoint else {
        panic!("{:?}", listeners[1])
    };
    assert_eq!(url.url.to_string(), "http://127.0.0.1:9");
    let text = url.text.secret().expose();
    assert_eq!(text, "http://127.0.0.1:9/events?code=a-secret");
    assert_eq!(listeners[1].queue_events, 10_000);
    assert_eq!(listeners[1].queue_bytes, 64 << 20);
    let path = PathBuf::from("/var/log/events.jsonl");
    assert_eq!(listeners[2].endpoint, ListenerEndpoint::File { path });
    assert_eq!(listeners[3].endpoint, ListenerEndpoint::Stdout);
    #[cfg(feature = "kafka")]
    assert_kafka(&listeners[4].endpoint);
}

#[cfg(feature = "kafka")]
fn assert_kafka(endpoint: &ListenerEndpoint) {
    let ListenerEndpoint::Kafka {
        brokers,
        topic,
        sasl,
        tls: true,
    } = endpoint
    else {
        panic!("{endpoint:?}")
    };
    assert_eq!(*brokers, ["kafka:9092", "[::1]:9093"]);
    assert_eq!(topic, "hubwire");
    let sasl = sasl.as_ref().expect("set");
    assert_eq!(sasl.username, "$ConnectionString");
    assert_eq!(sasl.password.secret().expose(), "a-secret");
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_program_without_kafka_says_so() {
    let file = "[[hubs.chat.event_listeners]]\nendpoint = { type = \"kafka\", brokers = [\"a:1\"], topic = \"a\" }\n";
    let error = load_from(file, REFERENCED, Overrides::default()).expect_err("refused");
    let expected = "2:21: hubs.chat.event_listeners[0].endpoint.type is \"kafka\", but this program was built without Kafka; build it with `--features kafka`";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn handlers_are_checked() {
    for (handler, expected) in [
        ("", "2:1: hubs.chat.event_handlers[0] has no `url_template`"),
        (
            "url_template = \"ftp://a/\"",
            "3:16: hubs.chat.event_handlers[0].url_template is refused: `ftp://a/` is not an absolute URL of http, https or tunnel",
        ),
        (
            "url_template = \"https://{hub}.example.com/\"",
            "3:16: hubs.chat.event_handlers[0].url_template is refused: `https://{hub}.example.com/` has a parameter in its host",
        ),
        (
            "url_template = \"https://a/{colour}?code=unseen\"",
            "3:16: hubs.chat.event_handlers[0].url_template is refused: `https://a/{colour}` holds `{colour}`; parameters are {hub} and {event}, other braces are written %7B and %7D",
        ),
        (
            "url_template = \"https://a/${env:ABSENT}\"",
            "3:16: hubs.chat.event_handlers[0].url_template: environment variable ABSENT of `${env:ABSENT}` is not set",
        ),
        (
            "url_template = \"http://169.254.169.254/\"",
            "3:16: hubs.chat.event_handlers[0].url_template is refused: `http://169.254.169.254/` is at a metadata address, which is never allowed",
        ),
        (
            "url_template = \"http://a/\"\nsystem_events = [\"conected\"]",
            "4:18: hubs.chat.event_handlers[0].system_events[0] is \"conected\", did you mean \"connected\"?",
        ),
        (
            "url_template = \"http://a/\"\nuser_event_pattern = \"join*\"",
            "4:22: hubs.chat.event_handlers[0].user_event_pattern is \"join*\", but \"join*\" is no name of an event; write \"*\" for all, or names with commas between them, without wildcards",
        ),
        (
            "url_template = \"http://a/\"\ngroup_presence_events = { group_filters = [\"a*b*c*d*e*f*\"] }",
            "4:44: hubs.chat.event_handlers[0].group_presence_events.group_filters[0] is \"a*b*c*d*e*f*\", expected a pattern of group names, such as \"room.*\", with at most 5 wildcards",
        ),
        (
            "url_template = \"http://a/\"\nauth = { type = \"static\" }",
            "4:17: hubs.chat.event_handlers[0].auth.type is \"static\", expected one of `none`, `managed_identity`, `oauth2_client_credentials`, `static_header`",
        ),
        (
            "url_template = \"http://a/\"\nauth = { type = \"static_header\", name = \"ce-id\", value = \"a\" }",
            "4:41: hubs.chat.event_handlers[0].auth.name is refused: `ce-id` is not the name of a header that a handler may be sent",
        ),
        (
            "url_template = \"http://a/\"\nauth = { type = \"oauth2_client_credentials\", token_url = \"https://a/\", client_id = \"a\" }",
            "4:1: hubs.chat.event_handlers[0].auth has no `client_secret`",
        ),
        (
            "url_template = \"http://a/\"\nauth = { type = \"none\", resource = \"a\" }",
            "4:25: unknown key `hubs.chat.event_handlers[0].auth.resource`, the keys here are `type`",
        ),
        (
            "url_template = \"http://a/\"\ntimeout = \"0s\"",
            "4:11: hubs.chat.event_handlers[0].timeout is \"0s\", allowed is 1ms to 1h",
        ),
        (
            "url_template = \"http://a/\"\nurl = \"\"",
            "4:1: unknown key `hubs.chat.event_handlers[0].url`, the keys here are `url_template`, `user_event_pattern`, `system_events`, `group_presence_events`, `auth`, `timeout`, `abuse_protection`, `forward_reject_body`",
        ),
    ] {
        check_error(
            &format!("\n[[hubs.chat.event_handlers]]\n{handler}\n"),
            &format!("hubwire.toml:{expected}"),
        );
    }
    check_error(
        "[hubs.chat.event_handlers]\nurl_template = \"http://a/?code=unseen\"\n",
        "hubwire.toml:1:12: hubs.chat.event_handlers is a list of tables, each under [[hubs.chat.event_handlers]]",
    );
    check_environment_error(
        &[("HUBWIRE__HUBS__CHAT__EVENT_HANDLERS", "[]")],
        "environment variable HUBWIRE__HUBS__CHAT__EVENT_HANDLERS: `event_handlers` is a list of tables, which belongs in the file",
    );
}

#[test]
fn a_literal_private_address_is_refused_unless_it_is_allowed() {
    let file = |policy: &str, bind: &str| {
        format!(
            "listeners = [{{ bind = [\"{bind}:8080\"] }}]\nkeys.primary = \"{KEY}\"\n\
             upstream.private_addresses = \"{policy}\"\n\
             [[hubs._default.event_handlers]]\nurl_template = \"http://10.1.2.3/\"\n"
        )
    };
    let refused = "hubwire.toml:5:16: hubs._default.event_handlers[0].url_template is refused: `http://10.1.2.3/` is at \
        a private address, which `upstream.private_addresses` does not allow; set that to \"allow\" where handlers are in \
        your own network";
    check_error(&file("auto", "0.0.0.0"), refused);
    check_error(&file("deny", "127.0.0.1"), refused);
    load(&file("auto", "127.0.0.1"));
    load(&file("allow", "0.0.0.0"));
}

#[test]
fn event_listeners_are_checked() {
    for (endpoint, expected) in [
        (
            "{ }",
            "3:1: hubs.chat.event_listeners[0].endpoint has no `type`",
        ),
        (
            "{ type = \"event_hub\" }",
            "3:21: hubs.chat.event_listeners[0].endpoint.type is \"event_hub\", expected one of `nats`, `http`, `file`, `stdout`, `kafka`",
        ),
        (
            "{ type = \"nats\", url = \"http://a:unseen@b\", subject = \"a\" }",
            "3:35: hubs.chat.event_listeners[0].endpoint.url is no URL of NATS, such as \"nats://nats:4222\" or \"tls://nats.example.com:4222\"; several are separated by commas",
        ),
        (
            "{ type = \"nats\", url = \"nats://a\", subject = \"a.>\" }",
            "3:57: hubs.chat.event_listeners[0].endpoint.subject is \"a.>\", expected the beginning of a subject, such as \"hubwire\", without wildcards",
        ),
        (
            "{ type = \"http\", url = \"nats://a\" }",
            "3:35: hubs.chat.event_listeners[0].endpoint.url is refused: `nats://a` is not an absolute URL of http, https or tunnel",
        ),
        (
            "{ type = \"kafka\", brokers = [\"kafka\"], topic = \"a\" }",
            "3:41: hubs.chat.event_listeners[0].endpoint.brokers[0] is \"kafka\", expected a host and a port, such as \"kafka:9092\"",
        ),
        (
            "{ type = \"kafka\", brokers = [], topic = \"a\" }",
            "3:40: hubs.chat.event_listeners[0].endpoint.brokers is empty, list at least one broker, such as \"kafka:9092\"",
        ),
        (
            "{ type = \"kafka\", brokers = [\"a:1\"], topic = \"a b\" }",
            "3:57: hubs.chat.event_listeners[0].endpoint.topic is \"a b\", expected 1 to 249 letters, digits or . _ -",
        ),
        (
            "{ type = \"kafka\", brokers = [\"a:1\"], topic = \"a\", sasl = { mechanism = \"plain\", username = \"a\" } }",
            "3:62: hubs.chat.event_listeners[0].endpoint.sasl has no `password`",
        ),
        (
            "{ type = \"file\" }",
            "3:1: hubs.chat.event_listeners[0].endpoint has no `path`",
        ),
    ] {
        check_error(
            &format!("\n[[hubs.chat.event_listeners]]\nendpoint = {endpoint}\n"),
            &format!("hubwire.toml:{expected}"),
        );
    }
    check_error(
        "\n[[hubs.chat.event_listeners]]\nfilter = { type = \"event_name\" }\n",
        "hubwire.toml:2:1: hubs.chat.event_listeners[0] has no `endpoint`",
    );
}

#[test]
fn what_holds_for_all_handlers_is_checked() {
    for (line, expected) in [
        (
            "request_origins = [\"https://a.example\"]",
            "2:20: upstream.request_origins[0] is \"https://a.example\", expected a host name without scheme and path, such as \"pubsub.example.com\"",
        ),
        (
            "retry_delays = [\"1\"]",
            "2:17: upstream.retry_delays[0] is \"1\", a duration needs its unit, such as \"500ms\", \"30s\", \"5m\" or \"7d\"",
        ),
        (
            "retry_delays = [\"1s\",\"1s\",\"1s\",\"1s\",\"1s\",\"1s\",\"1s\",\"1s\",\"1s\",\"1s\",\"1s\"]",
            "2:16: upstream.retry_delays has too many entries, allowed are 10",
        ),
        (
            "private_addresses = \"never\"",
            "2:21: upstream.private_addresses is \"never\", expected one of `auto`, `allow`, `deny`",
        ),
        (
            "notifications_max = 0",
            "2:21: upstream.notifications_max is 0, allowed is 1 to 1000000000",
        ),
    ] {
        check_error(
            &format!("[upstream]\n{line}\n"),
            &format!("hubwire.toml:{expected}"),
        );
    }
}

/// Source: events-and-operations 2.4, the identity of a workload.
#[test]
fn a_managed_identity_is_that_of_the_workload_where_the_platform_names_one() {
    let file = "[[hubs.chat.event_handlers]]\nurl_template = \"http://a/\"\n\
        auth = { type = \"managed_identity\", resource = \"api://chat\" }\n";
    let environment = [
        ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"),
        ("AZURE_TENANT_ID", "a-tenant"),
        ("AZURE_CLIENT_ID", "a-client"),
    ];
    let auth = |environment: &[(&str, &str)]| {
        let config = load_from(file, environment, Overrides::default()).expect("valid");
        config.hubs.get("chat").event_handlers[0].auth.clone()
    };

    let workload = auth(&environment);
    let shown = format!("{workload:?}");
    let origin = "token_url: https://login.microsoftonline.com,";
    assert!(shown.contains(origin), "{shown}");
    let other_tenant = [environment[0], ("AZURE_TENANT_ID", "b"), environment[2]];
    assert_ne!(auth(&other_tenant), workload);
    let machine = format!("{:?}", auth(&[]));
    assert!(machine.contains("InstanceMetadata"), "{machine}");
}

/// Source: events-and-operations 9.1, secrets.
#[test]
fn what_a_reference_stands_for_is_not_searched_for_parameters_and_is_never_seen() {
    let file = "[[hubs.chat.event_handlers]]\nurl_template = \"http://a/{event}/${env:CODE}?code=${env:CODE}\"\n";

    // Written in the file, this parameter would be refused.
    load_from(file, &[("CODE", "{hub}{x}")], Overrides::default()).expect("valid");
    let config = load_from(file, &[("CODE", "unseen")], Overrides::default()).expect("valid");
    let shown = format!(
        "{config:?} {:?} {}",
        config.hubs.get("chat"),
        config.to_toml()
    );
    assert!(!shown.contains("unseen"), "{shown}");
}

#[test]
fn the_printed_configuration_holds_references_and_hides_what_is_written_in_their_place() {
    let file = r#"
        [[hubs.chat.event_handlers]]
        url_template = "https://a/?code=unseen&event={event}&key=${env:SECRET}#unseen"
        auth = { type = "static_header", name = "X-Api-Key", value = "unseen ${env:SECRET}unseen" }
        [[hubs.chat.event_handlers]]
        url_template = "https://b/?unseen"
        auth = { type = "oauth2_client_credentials", token_url = "https://b/?unseen", client_id = "a", client_secret = "unseen" }
        [[hubs.chat.event_listeners]]
        endpoint = { type = "nats", url = "nats://unseen:${env:SECRET}@nats:4222", subject = "a" }
        [[hubs.chat.event_listeners]]
        endpoint = { type = "nats", url = "nats://unseen:un#seen?unseen@nats:4222", subject = "a" }
        [[hubs.chat.event_listeners]]
        endpoint = { type = "kafka", brokers = ["a:1"], topic = "a", sasl = { mechanism = "plain", username = "a", password = "unseen" } }
    "#;

    let printed = load(&supported(file)).to_toml();

    assert!(
        !printed.contains("unseen") && !printed.contains("a-secret"),
        "{printed}"
    );
    for line in [
        "url_template = \"https://a/?code=***&event={event}&key=***\"  # *** is set, and not printed\n",
        "auth = { type = \"static_header\", name = \"X-Api-Key\", value = \"***\" }  # *** is set, and not printed\n",
        "url_template = \"https://b/?***\"  # *** is set, and not printed\n",
        "url = \"nats://***@nats:4222\", subject = \"a\", jetstream = false",
    ] {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    load(&printed);
    let secret = SecretText::new(KEY);
    assert_unseen(&format!("{secret:?}"));
}

#[test]
fn hubs_can_be_set_by_programs() {
    let mut config = Config::default();
    let dropping = HubConfig {
        drop_connection_on_event_failure: true,
        ..HubConfig::default()
    };

    config.hubs.set("chat", dropping.clone());

    assert_eq!(config.hubs.get("chat"), &dropping);
    assert_eq!(config.hubs.get("other"), &HubConfig::default());
    config.hubs.set("_default", dropping.clone());
    assert_eq!(config.hubs.get("other"), &dropping);
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_file() {
    let file = "shards = 2\n[logging]\nlevel = \"error\"\nformat = \"json\"\n";
    let environment = [
        ("HUBWIRE__SHARDS", "3"),
        ("HUBWIRE__LOGGING__LEVEL", "debug"),
    ];
    let flags = Overrides {
        shards: Some(4),
        ..Overrides::default()
    };

    let config = load_from(file, &environment, flags).expect("valid");

    assert_eq!(config.shards, 4);
    assert_eq!(config.logging.level, Level::Debug);
    assert_eq!(config.logging.format, LogFormat::Json);
}

#[test]
fn every_flag_is_applied() {
    let flags = Overrides {
        listen: addresses(&["0.0.0.0:9000"]),
        access_key: Some(Secret::new(DEVELOPMENT_KEY)),
        tls_cert: Some("c.pem".into()),
        tls_key: Some("k.pem".into()),
        shards: Some(5),
        allow_development_key: true,
        metrics_listen: Some("127.0.0.1:9090".parse().expect("an address")),
        log_level: Some(Level::Warn),
        log_format: Some(LogFormat::Json),
    };

    let config = load_from("", &[], flags).expect("valid");

    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[0].bind, addresses(&["0.0.0.0:9000"]));
    assert_eq!(config.listeners[0].roles, Roles::default());
    let tls = config.listeners[0].tls.as_ref().expect("set by flags");
    assert_eq!(
        (tls.cert.as_path(), tls.key.as_path()),
        (Path::new("c.pem"), Path::new("k.pem"))
    );
    assert_eq!(tls.min_version, TlsVersion::V1_2);
    assert_eq!(config.listeners[1].bind, addresses(&["127.0.0.1:9090"]));
    assert_eq!(
        config.listeners[1].roles,
        Roles {
            client: false,
            rest: false,
            tunnel: false,
            health: true,
            metrics: true,
        }
    );
    assert_eq!(config.shards, 5);
    assert!(config.auth.allow_development_key);
    assert_eq!(
        (config.logging.level, config.logging.format),
        (Level::Warn, LogFormat::Json)
    );
}

#[test]
fn listen_replaces_the_addresses_of_the_first_listener_and_keeps_its_roles_and_certificate() {
    let file = r#"
        [[listeners]]
        bind = ["127.0.0.1:1"]
        roles = ["rest"]
        tls = { cert = "c", key = "k" }
        [[listeners]]
        bind = ["127.0.0.1:2"]
    "#;
    let flags = Overrides {
        listen: addresses(&["127.0.0.1:3"]),
        ..Overrides::default()
    };

    let config = load_from(file, &[("HUBWIRE_LISTEN", "127.0.0.1:4")], flags).expect("valid");

    assert_eq!(config.listeners[0].bind, addresses(&["127.0.0.1:3"]));
    assert_eq!(
        config.listeners[0].roles,
        Roles {
            rest: true,
            ..Roles::NONE
        }
    );
    assert!(config.listeners[0].tls.is_some());
    assert_eq!(config.listeners[1].bind, addresses(&["127.0.0.1:2"]));
}

#[test]
fn the_metrics_flag_keeps_the_listeners_of_the_file() {
    let file = "[[listeners]]\nbind = [\"127.0.0.1:1\"]\n";
    let metrics = Some("127.0.0.1:2".parse().expect("an address"));
    let flags = Overrides {
        metrics_listen: metrics,
        ..Overrides::default()
    };

    let config = load_from(file, &[], flags).expect("valid");

    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[0].bind, addresses(&["127.0.0.1:1"]));
}

#[test]
fn the_environment_reaches_every_section() {
    let config = load_environment(&[
        ("HUBWIRE_LISTEN", "127.0.0.1:0, [::1]:0"),
        ("HUBWIRE_ACCESS_KEY", KEY),
        ("HUBWIRE__KEYS__SECONDARY", OTHER_KEY),
        ("HUBWIRE__PUBLIC_ENDPOINTS", r#"["https://A.example:8443"]"#),
        ("HUBWIRE__SHUTDOWN_TIMEOUT", "7s"),
        ("HUBWIRE__AUTH__GENERATE_TOKEN_WITH_ACCESS_KEY", "false"),
        ("HUBWIRE__AUTH__AUDIENCE_HOST", "\"any\""),
        (
            "HUBWIRE__HUBS__CHAT__ALLOWED_ORIGINS",
            r#"["https://App.example"]"#,
        ),
        (
            "HUBWIRE__HUBS___DEFAULT__DROP_CONNECTION_ON_EVENT_FAILURE",
            "true",
        ),
        ("HUBWIRE__HUBS___DEFAULT__GROUP_STATE", "false"),
        ("HUBWIRE__HUBS___DEFAULT__RELIABLE_BUFFER_MESSAGES", "6"),
        ("HUBWIRE__LIMITS__RECOVERY_WINDOW", "2m"),
        ("HUBWIRE__LIMITS__HANDSHAKES_MAX", "5"),
        ("HUBWIRE__LIMITS__MESSAGE_MAX", "2MiB"),
        ("HUBWIRE__LOGGING__CATEGORIES", r#"["connectivity"]"#),
        ("HUBWIRE_CONFIG", "elsewhere.toml"),
        ("HUBWIRE_SERVICE_PORT", "80"),
        ("PATH", "/bin"),
    ])
    .expect("valid");

    assert_eq!(
        config.listeners[0].bind,
        addresses(&["127.0.0.1:0", "[::1]:0"])
    );
    assert_eq!(config.keys.primary.expose(), KEY);
    assert_eq!(config.keys.secondary, Some(Secret::new(OTHER_KEY)));
    assert_eq!(
        config.public_endpoints[0].to_string(),
        "https://a.example:8443"
    );
    assert_eq!(config.shutdown_timeout, Duration::from_secs(7));
    assert!(!config.auth.generate_token_with_access_key);
    assert_eq!(config.auth.audience_host, AudienceHost::Any);
    assert_eq!(
        config.hubs.get("chat").allowed_origins,
        ["https://app.example"]
    );
    assert!(config.hubs.get("other").drop_connection_on_event_failure);
    assert!(!config.hubs.get("other").group_state);
    assert_eq!(config.hubs.get("other").reliable_buffer_messages, 6);
    assert_eq!(config.limits.recovery_window, Duration::from_secs(120));
    assert_eq!(config.limits.handshakes_max, 5);
    assert_eq!(config.limits.message_max, 2 << 20);
    assert_eq!(config.logging.categories, [LogCategory::Connectivity]);
}

#[test]
fn hub_names_of_file_and_environment_meet_in_lower_case() {
    let file = "[hubs.Chat]\nanonymous_connect_policy = \"allow\"\n";
    let variable = ("HUBWIRE__HUBS__CHAT__WEB_SOCKET_KEEP_ALIVE_INTERVAL", "5s");

    let config = load_from(file, &[variable], Overrides::default()).expect("valid");

    let chat = config.hubs.get("chat");
    assert_eq!(chat.anonymous_connect_policy, AnonymousConnectPolicy::Allow);
    assert_eq!(chat.web_socket_keep_alive_interval, Duration::from_secs(5));
    assert_eq!(config.hubs.iter().len(), 1);
}

#[test]
fn secrets_follow_references_to_the_environment_and_to_files() {
    let directory = TempDir::new();
    let path = directory.write("key", &format!("{KEY}\n"));
    let file = format!(
        "[keys]\nprimary = \"${{file:{}}}\"\nsecondary = \"${{env:FIRST}}-and-${{env:SECOND}}\"\n",
        path.display()
    );
    let environment = [
        ("FIRST", "sixteen-bytes-ab"),
        ("SECOND", "${env:FIRST}-more"),
    ];

    let config = load_from(&file, &environment, Overrides::default()).expect("valid");

    assert_eq!(config.keys.primary.expose(), KEY);
    let secondary = config.keys.secondary.expect("set");
    assert_eq!(secondary.expose(), "sixteen-bytes-ab-and-${env:FIRST}-more");
}

#[test]
fn only_one_final_newline_of_a_secret_file_is_dropped() {
    let directory = TempDir::new();
    for (ending, is_valid) in [("", true), ("\n", true), ("\r\n", true), ("\n\n", false)] {
        let path = directory.write("key", &format!("{KEY}{ending}"));
        let reference = format!("${{file:{}}}", path.display());

        let result = load_environment(&[("HUBWIRE_ACCESS_KEY", &reference)]);

        assert_eq!(result.is_ok(), is_valid, "{ending:?}");
    }
}

#[test]
fn the_flag_for_the_key_follows_references_too() {
    let flags = Overrides {
        access_key: Some(Secret::new("${env:MY_KEY}")),
        ..Overrides::default()
    };

    let config = load_from("", &[("MY_KEY", KEY)], flags).expect("valid");

    assert_eq!(config.keys.primary.expose(), KEY);
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_key() {
    check_error(
        "[limits]\n  message_mx = \"1MiB\"\n",
        "hubwire.toml:2:3: unknown key `limits.message_mx`, did you mean `message_max`?",
    );
    check_error(
        "[limit]\n",
        "hubwire.toml:1:2: unknown key `limit`, did you mean `limits`?",
    );
    check_error(
        "[rest]\nfilters = true\n",
        "hubwire.toml:2:1: unknown key `rest.filters`, the keys here are `keep_encoded_slash`, \
         `require_content_length`, `body_max`, `cors`",
    );
    check_error(
        "[hubs.chat]\nsubscribers = []\n",
        "hubwire.toml:2:1: unknown key `hubs.chat.subscribers`, the keys here are \
         `anonymous_connect_policy`, `web_socket_keep_alive_interval`, `allowed_origins`, \
         `drop_connection_on_event_failure`, `connections_max`, `rest_requests_per_second`, \
         `messages_per_second`, `reliable_buffer_messages`, `reliable_buffer_bytes`, `streaming`, \
         `group_state`, `invocation`, `event_handlers`, `event_listeners`",
    );
    check_error(
        "[[listeners]]\nbind = [\"127.0.0.1:1\"]\nrole = [\"rest\"]\n",
        "hubwire.toml:3:1: unknown key `listeners[0].role`, did you mean `roles`?",
    );
    check_environment_error(
        &[("HUBWIRE__LIMITS__MESAGE_MAX", "1MiB")],
        "environment variable HUBWIRE__LIMITS__MESAGE_MAX: unknown key `limits.mesage_max`, did \
         you mean `message_max`?",
    );
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_position() {
    check_error(
        "shards = 1\n[keys]\nprimary = supersecret\n",
        "hubwire.toml:3:11: not valid TOML: string values must be quoted, expected literal string",
    );
    check_error(
        "shards = 1\nshards = 2\n",
        "hubwire.toml:2:1: not valid TOML: duplicate key",
    );
}

#[test]
fn an_unreadable_file_is_named() {
    let sources = Sources {
        file: Some("/nowhere/hubwire.toml".into()),
        ..Sources::default()
    };

    let error = Config::load(&sources).expect_err("there is no such file");

    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_eq!(
        error.to_string(),
        "cannot read the configuration file /nowhere/hubwire.toml: No such file or directory (os \
         error 2); check --config and HUBWIRE_CONFIG"
    );
}

#[test]
fn durations_need_a_unit_and_stay_in_range() {
    check_error(
        "shutdown_timeout = 5\n",
        "hubwire.toml:1:20: shutdown_timeout is 5, a duration needs its unit, such as \"500ms\", \
         \"30s\", \"5m\" or \"7d\"",
    );
    check_error(
        "shutdown_timeout = \"5\"\n",
        "hubwire.toml:1:20: shutdown_timeout is \"5\", a duration needs its unit, such as \
         \"500ms\", \"30s\", \"5m\" or \"7d\"",
    );
    check_error(
        "shutdown_timeout = \"5 minutes\"\n",
        "hubwire.toml:1:20: shutdown_timeout is \"5 minutes\", expected a duration with its unit, \
         such as \"500ms\", \"30s\", \"5m\" or \"7d\"",
    );
    check_error(
        "[hubs.chat]\nweb_socket_keep_alive_interval = \"500ms\"\n",
        "hubwire.toml:2:34: hubs.chat.web_socket_keep_alive_interval is \"500ms\", allowed is 1s \
         to 2m",
    );
    check_error(
        "[auth]\nclock_skew = \"7d\"\n",
        "hubwire.toml:2:14: auth.clock_skew is \"7d\", allowed is 0s to 1h",
    );
    check_error(
        "[limits]\nhandshake_timeout = \"0s\"\n",
        "hubwire.toml:2:21: limits.handshake_timeout is \"0s\", allowed is 1ms to 1h",
    );
    check_error(
        "[limits]\nrecovery_window = \"61m\"\n",
        "hubwire.toml:2:19: limits.recovery_window is \"61m\", allowed is 0s to 1h",
    );
    for wrong in ["59s", "366d"] {
        check_error(
            &format!("[limits]\nreconnection_token_lifetime = \"{wrong}\"\n"),
            &format!(
                "hubwire.toml:2:31: limits.reconnection_token_lifetime is \"{wrong}\", allowed is \
                 1m to 365d"
            ),
        );
    }
}

#[test]
fn sizes_need_a_unit_and_stay_in_range() {
    check_environment_error(
        &[("HUBWIRE__REST__BODY_MAX", "1048576")],
        "environment variable HUBWIRE__REST__BODY_MAX: rest.body_max is \"1048576\", a size needs \
         its unit, such as \"512KiB\", \"1MiB\" or \"16MB\"",
    );
    check_error(
        "[limits]\nmessage_max = \"1mb\"\n",
        "hubwire.toml:2:15: limits.message_max is \"1mb\", expected a size with its unit, such as \
         \"512KiB\", \"1MiB\" or \"16MB\"",
    );
    check_error(
        "[limits]\nmessage_max = \"2GiB\"\n",
        "hubwire.toml:2:15: limits.message_max is \"2GiB\", allowed is 1KiB to 1GiB",
    );
    check_error(
        "[limits]\noutbound_queue_bytes = \"1B\"\n",
        "hubwire.toml:2:24: limits.outbound_queue_bytes is \"1B\", allowed is 1KiB or more",
    );
    check_error(
        "[hubs.chat]\nreliable_buffer_bytes = \"1023B\"\n",
        "hubwire.toml:2:25: hubs.chat.reliable_buffer_bytes is \"1023B\", allowed is 1KiB or more",
    );
    check_error(
        "[limits]\nmessage_max = \"99999999999999999999GiB\"\n",
        "hubwire.toml:2:15: limits.message_max is \"99999999999999999999GiB\", expected a size \
         with its unit, such as \"512KiB\", \"1MiB\" or \"16MB\"",
    );
}

#[test]
fn counts_are_plain_numbers_in_range() {
    check_error(
        "[limits]\nhandshakes_max = \"5\"\n",
        "hubwire.toml:2:18: limits.handshakes_max is \"5\", expected a number without quotes and \
         unit",
    );
    check_error(
        "[limits]\nhandshakes_max = 0\n",
        "hubwire.toml:2:18: limits.handshakes_max is 0, allowed is 1 or more",
    );
    check_error(
        "[hubs.chat]\nreliable_buffer_messages = 0\n",
        "hubwire.toml:2:28: hubs.chat.reliable_buffer_messages is 0, allowed is 1 or more",
    );
    check_error(
        "[limits]\nconnections_max = -1\n",
        "hubwire.toml:2:19: limits.connections_max is -1, allowed is 0 or more",
    );
    check_error(
        "shards = 1.5\n",
        "hubwire.toml:1:10: shards is 1.5, expected a number without quotes and unit",
    );
    let flags = Overrides {
        shards: Some(65),
        ..Overrides::default()
    };
    let error = load_from("", &[], flags).expect_err("too many");
    assert_eq!(
        error.to_string(),
        "flag --shards: shards is 65, allowed is 1 to 64"
    );
}

#[test]
fn words_and_truths_are_taken_from_closed_sets() {
    check_error(
        "[logging]\nlevel = \"inf\"\n",
        "hubwire.toml:2:9: logging.level is \"inf\", did you mean \"info\"?",
    );
    check_error(
        "[logging]\ncategories = [\"messaging\"]\n",
        "hubwire.toml:2:15: logging.categories[0] is \"messaging\", expected one of \
         `connectivity`, `http_request`",
    );
    check_error(
        "[rest]\nkeep_encoded_slash = \"yes\"\n",
        "hubwire.toml:2:22: rest.keep_encoded_slash is \"yes\", expected true or false",
    );
    check_environment_error(
        &[("HUBWIRE__HUBS__CHAT__GROUP_STATE", "off")],
        "environment variable HUBWIRE__HUBS__CHAT__GROUP_STATE: hubs.chat.group_state is \"off\", \
         expected true or false",
    );
    check_environment_error(
        &[("HUBWIRE__AUTH__ALLOW_DEVELOPMENT_KEY", "1")],
        "environment variable HUBWIRE__AUTH__ALLOW_DEVELOPMENT_KEY: auth.allow_development_key is \
         \"1\", expected true or false",
    );
    check_error(
        "[auth]\naudience_host = true\n",
        "hubwire.toml:2:17: auth.audience_host is true, expected text in quotes",
    );
}

#[test]
fn lists_of_the_environment_are_toml_arrays() {
    check_environment_error(
        &[("HUBWIRE__PUBLIC_ENDPOINTS", "https://a.example")],
        "environment variable HUBWIRE__PUBLIC_ENDPOINTS: public_endpoints is \
         \"https://a.example\", expected a TOML array, such as [\"one\", \"two\"]",
    );
    check_error(
        "public_endpoints = \"https://a.example\"\n",
        "hubwire.toml:1:20: public_endpoints is \"https://a.example\", expected a list in square \
         brackets",
    );
}

#[test]
fn variables_that_name_no_single_setting_are_refused() {
    check_environment_error(
        &[("HUBWIRE__LISTENERS", "x")],
        "environment variable HUBWIRE__LISTENERS: `listeners` is a list of tables, which belongs \
         in the file; the addresses of the first one can be set by HUBWIRE_LISTEN",
    );
    check_environment_error(
        &[("HUBWIRE__LIMITS__", "x")],
        "environment variable HUBWIRE__LIMITS__: two underscores separate a section from its key, \
         as in HUBWIRE__LIMITS__MESSAGE_MAX",
    );
    check_environment_error(
        &[("HUBWIRE__LIMITS", "x")],
        "environment variable HUBWIRE__LIMITS: limits is a section, its keys are set one by one",
    );
    check_environment_error(
        &[("HUBWIRE__SHARDS", "2"), ("HUBWIRE__SHARDS__MAX", "x")],
        "environment variable HUBWIRE__SHARDS__MAX: unknown key `shards.max`, `shards` is no \
         section",
    );
    check_environment_error(
        &[
            ("HUBWIRE_ACCESS_KEY", KEY),
            ("HUBWIRE__KEYS__PRIMARY", OTHER_KEY),
        ],
        "environment variable HUBWIRE__KEYS__PRIMARY: `keys.primary` is set by HUBWIRE_ACCESS_KEY \
         too, keep one of them",
    );
}

#[test]
fn keys_follow_the_official_rules() {
    let cases = [
        (
            "short",
            "has 5 bytes, a key has at least 32; `hubwire keygen` prints a good one",
        ),
        (
            "this-key-contains-a-semicolon;as-you-see",
            "contains `;`, which would end it in a connection string; `hubwire keygen` prints a \
             good one",
        ),
        (
            "this-key-contains-a-line-break\\nas-you-see",
            "contains a control character, such as a line break; `hubwire keygen` prints a good \
             one",
        ),
        (
            " this-key-begins-with-a-space-as-you-see",
            "begins or ends with white space; remove it",
        ),
    ];
    for name in ["primary", "secondary", "internal"] {
        for (key, wrong) in cases {
            let file = format!("[keys]\n{name} = \"{key}\"\n");
            let column = name.len() + 4;
            check_error(
                &file,
                &format!("hubwire.toml:2:{column}: keys.{name} {wrong}"),
            );
        }
    }
    assert!(load_environment(&[("HUBWIRE_ACCESS_KEY", "ü".repeat(16).as_str())]).is_ok());
}

#[test]
fn references_that_cannot_be_followed_are_refused() {
    check_error(
        "[keys]\nprimary = \"${env:NOT_THERE}\"\n",
        "hubwire.toml:2:11: keys.primary: environment variable NOT_THERE of `${env:NOT_THERE}` is \
         not set",
    );
    check_error(
        "[keys]\nprimary = \"${file:/nowhere/key}\"\n",
        "hubwire.toml:2:11: keys.primary: cannot read /nowhere/key of `${file:/nowhere/key}`: No \
         such file or directory (os error 2)",
    );
    for malformed in ["${env:NAME", "${vault:key}", "${}"] {
        check_environment_error(
            &[("HUBWIRE_ACCESS_KEY", malformed)],
            "environment variable HUBWIRE_ACCESS_KEY: keys.primary: after `${` comes `env:NAME}` \
             or `file:/path}`; a secret that contains `${` itself belongs in a file",
        );
    }
}

#[test]
fn the_development_key_is_refused_beyond_loopback() {
    let advice = "(see `hubwire keygen`) or, in a throw-away container, pass \
                  --allow-development-key";
    let flags = Overrides {
        listen: addresses(&["0.0.0.0:8080"]),
        ..Overrides::default()
    };
    let error = load_from("", &[], flags.clone()).expect_err("everybody knows the key");
    assert_eq!(
        error.to_string(),
        format!(
            "flag --listen: refusing to listen on 0.0.0.0:8080 with the development key that \
             everybody knows; set keys.primary {advice}"
        )
    );
    let own = [("HUBWIRE_ACCESS_KEY", KEY)];
    assert!(load_from("", &own, flags.clone()).is_ok());
    let error = load_from(
        &format!("[keys]\nsecondary = \"{DEVELOPMENT_KEY}\"\n"),
        &own,
        flags.clone(),
    )
    .expect_err("a secondary key opens the same doors");
    assert!(error.to_string().contains("set keys.secondary"), "{error}");
    let allowed = Overrides {
        allow_development_key: true,
        ..flags
    };
    assert!(load_from("", &[], allowed).is_ok());
    for loopback in ["127.8.9.1:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert!(
            load_environment(&[("HUBWIRE_LISTEN", loopback)]).is_ok(),
            "{loopback}"
        );
    }
    check_environment_error(
        &[("HUBWIRE_LISTEN", "127.0.0.1:1,[::]:2")],
        &format!(
            "environment variable HUBWIRE_LISTEN: refusing to listen on [::]:2 with the \
             development key that everybody knows; set keys.primary {advice}"
        ),
    );
}

#[test]
fn listeners_are_checked() {
    check_error(
        "[[listeners]]\nroles = [\"rest\"]\n",
        "hubwire.toml:1:1: listeners[0] has no `bind`, such as bind = [\"127.0.0.1:8080\"]",
    );
    check_error(
        "[[listeners]]\nbind = [\"localhost:8080\"]\n",
        "hubwire.toml:2:9: listeners[0].bind[0] is \"localhost:8080\", expected an IP address and \
         a port, such as \"127.0.0.1:8080\", \"[::1]:8080\" or \"0.0.0.0:8080\"",
    );
    check_error(
        "[[listeners]]\nbind = [\"127.0.0.1:1\"]\n[[listeners]]\nbind = [\"127.0.0.1:1\"]\n",
        "hubwire.toml:4:9: listeners[1].bind[0] is \"127.0.0.1:1\", this address is bound already, \
         list it once",
    );
    check_error(
        "[[listeners]]\nbind = [\"127.0.0.1:1\"]\nroles = [\"metrics\", \"health\"]\n",
        "hubwire.toml:1:1: no listener serves clients or REST; give one of `listeners` the role \
         \"client\" or \"rest\"",
    );
    check_error(
        "[[listeners]]\nbind = [\"127.0.0.1:1\"]\nroles = []\n",
        "hubwire.toml:3:9: listeners[0].roles is empty, leave it out for the default or list some \
         of \"client\", \"rest\", \"tunnel\", \"health\", \"metrics\"",
    );
    check_error(
        "[[listeners]]\nbind = [\"127.0.0.1:1\"]\nroles = [\"trace\"]\n",
        "hubwire.toml:3:10: listeners[0].roles[0] is \"trace\", expected one of `client`, `rest`, `tunnel`, \
         `health`, `metrics`",
    );
    let flags = Overrides {
        metrics_listen: Some("127.0.0.1:8080".parse().expect("an address")),
        ..Overrides::default()
    };
    let error = load_from("", &[], flags).expect_err("bound by the default listener");
    assert_eq!(
        error.to_string(),
        "flag --metrics-listen: listeners[1].bind[0] is \"127.0.0.1:8080\", this address is bound \
         already, list it once"
    );
    assert!(load_environment(&[("HUBWIRE_LISTEN", "127.0.0.1:0,127.0.0.1:0")]).is_ok());
}

#[test]
fn a_certificate_and_its_key_go_together() {
    check_error(
        "[[listeners]]\nbind = [\"127.0.0.1:1\"]\ntls = { cert = \"c.pem\" }\n",
        "hubwire.toml:3:1: listeners[0].tls has no `key`; a certificate and its private key go \
         together (flags --tls-cert and --tls-key)",
    );
    let flags = Overrides {
        tls_key: Some("k.pem".into()),
        ..Overrides::default()
    };
    let error = load_from("", &[], flags).expect_err("no certificate");
    assert_eq!(
        error.to_string(),
        "flag --tls-key: listeners[0].tls has no `cert`; a certificate and its private key go \
         together (flags --tls-cert and --tls-key)"
    );
}

#[test]
fn hub_names_follow_the_official_pattern() {
    check_error(
        "[hubs.1st]\n",
        "hubwire.toml:1:7: \"1st\" is no hub name, which is a letter and then up to 127 letters, \
         digits or _ ` , . [ ]",
    );
    check_error(
        "[hubs.chat]\n[hubs.Chat]\n",
        "hubwire.toml:1:7: hub \"chat\" is listed twice; names that differ only in case are one \
         hub, merge the entries",
    );
    let longest = format!("[hubs.{}]\n", "a".repeat(128));
    assert!(load_from(&longest, &[], Overrides::default()).is_ok());
    let longer = format!("[hubs.{}]\n", "a".repeat(129));
    assert!(load_from(&longer, &[], Overrides::default()).is_err());
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    check_error(
        "[hubs.chat]\nallowed_origins = [\"*\"]\n",
        "hubwire.toml:2:20: hubs.chat.allowed_origins[0] is \"*\", name each origin; for a \
         hub, an empty list allows every one",
    );
    for wrong in [
        "app.example.com",
        "https://app.example.com/",
        "https://*.example.com",
    ] {
        check_error(
            &format!("[hubs.chat]\nallowed_origins = [\"{wrong}\"]\n"),
            &format!(
                "hubwire.toml:2:20: hubs.chat.allowed_origins[0] is \"{wrong}\", expected an \
                 origin as browsers send it, such as \"https://app.example.com\", without a path"
            ),
        );
    }
    let config = load("[hubs.chat]\nallowed_origins = [\"null\", \"tauri://localhost\"]\n");
    assert_eq!(
        config.hubs.get("chat").allowed_origins,
        ["null", "tauri://localhost"]
    );
}

#[test]
fn endpoints_are_scheme_host_and_port() {
    let cases = [
        (
            "https://Pubsub.Example.com",
            "https://pubsub.example.com",
            443,
        ),
        ("HTTPS://a.example:443/", "https://a.example", 443),
        ("http://localhost:8080", "http://localhost:8080", 8080),
        ("http://[::1]:80", "http://[::1]", 80),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]", 443),
    ];
    for (text, shown, port) in cases {
        let endpoint: Endpoint = text.parse().expect(text);
        assert_eq!(
            (endpoint.to_string().as_str(), endpoint.port),
            (shown, port)
        );
    }
    let endpoint: Endpoint = "https://a.example:8443".parse().expect("an endpoint");
    assert_eq!(
        (endpoint.scheme, endpoint.host.as_str()),
        (Scheme::Https, "a.example")
    );
}

#[test]
fn texts_that_are_no_endpoints_are_refused() {
    let cases = [
        (
            "pubsub.example.com",
            "an endpoint begins with http:// or https://, such as https://pubsub.example.com",
        ),
        (
            "wss://a.example",
            "an endpoint begins with http:// or https://, such as https://pubsub.example.com",
        ),
        (
            "https://a.example/base",
            "an endpoint under a path is not supported, leave out everything behind host and port",
        ),
        (
            "https://a.example?x=1",
            "an endpoint under a path is not supported, leave out everything behind host and port",
        ),
        (
            "https://a.example:0",
            "the port is not a number from 1 to 65535",
        ),
        (
            "https://a.example:+1",
            "the port is not a number from 1 to 65535",
        ),
        (
            "https://a.example:",
            "the port is not a number from 1 to 65535",
        ),
        (
            "https://::1",
            "the host is neither a name nor an IP address; IPv6 addresses are written in brackets",
        ),
        (
            "https://",
            "the host is neither a name nor an IP address; IPv6 addresses are written in brackets",
        ),
    ];
    for (text, wrong) in cases {
        check_error(
            &format!("public_endpoints = [\"{text}\"]\n"),
            &format!("hubwire.toml:1:21: public_endpoints[0] is {text:?}, but {wrong}"),
        );
    }
    check_error(
        "public_endpoints = [\"https://me:hunter2@a.example\"]\n",
        "hubwire.toml:1:21: public_endpoints[0] is refused: an endpoint carries no user name or \
         password",
    );
}

#[test]
fn the_printed_configuration_loads_back() {
    for file in ["", EVERYTHING] {
        let config = load(file);

        let printed = config.to_toml();

        let mut reloaded = load(&printed);
        assert_eq!(reloaded.keys.primary.expose(), DEVELOPMENT_KEY);
        reloaded.keys = config.keys.clone();
        assert_eq!(reloaded, config, "{printed}");
    }
}

#[test]
fn the_printed_configuration_says_which_keys_are_set_but_not_what_they_are() {
    let printed = load(&format!("[keys]\nprimary = \"{KEY}\"\n")).to_toml();

    assert!(!printed.contains(KEY));
    assert!(
        printed.contains("\n# primary = \"***\"  (set, and not printed)\n"),
        "{printed}"
    );
    assert!(printed.contains("\n# secondary is not set\n"), "{printed}");
}

#[test]
fn a_secret_is_in_no_debug_text_display_text_or_error() {
    let secret = Secret::new(KEY);
    assert_eq!(
        (format!("{secret:?}"), format!("{secret}")),
        ("***".to_owned(), "***".to_owned())
    );
    let flags = Overrides {
        access_key: Some(Secret::new(KEY)),
        ..Overrides::default()
    };
    let sources = Sources {
        file: None,
        environment: pairs(&[("HUBWIRE__KEYS__SECONDARY", OTHER_KEY)]),
        overrides: flags,
    };
    assert_unseen(&format!("{sources:?} {sources:#?}"));
    let config = Config::load(&sources).expect("valid");
    assert_unseen(&format!("{config:?} {config:#?}"));

    let broken = [
        format!("[keys]\nprimary = {KEY}\n"),
        format!("[keys]\nprimary = \"{KEY}\n"),
        format!("[keys]\nprimary = \"{KEY};\"\n"),
        format!("[keys]\nprimary = \" {KEY}\"\n"),
        format!("[keys]\nprimary = \"{KEY}\\u0007\"\n"),
        format!("[keys]\nprimary = \"${{{KEY}\"\n"),
        format!("[keys]\nprimary = [\"{KEY}\"]\n"),
        format!("[keys]\nprimary = {{ value = \"{KEY}\" }}\n"),
        format!("[keys]\nprimry = \"{KEY}\"\n"),
        format!("keys = \"{KEY}\"\n"),
        format!("key = \"{KEY}\"\n"),
    ];
    for file in broken {
        let error = load_from(&file, &[], Overrides::default()).expect_err(&file);
        assert_unseen(&format!("{error} {error:?} {error:#?}"));
    }
    for name in [
        "HUBWIRE__KEYS",
        "HUBWIRE__KEYS__PRIMRY",
        "HUBWIRE__X",
        "HUBWIRE__KEYS__PRIMARY",
    ] {
        let error = load_environment(&[(name, &format!("{KEY};"))]).expect_err(name);
        assert_unseen(&format!("{error} {error:?} {error:#?}"));
    }
}

#[test]
fn an_error_carries_its_place() {
    let error = load_environment(&[("HUBWIRE__SHARDS", "0")]).expect_err("out of range");

    let ConfigError::Invalid { place, reason } = error else {
        panic!("unexpected: {error}")
    };
    assert_eq!(place, Place::Environment("HUBWIRE__SHARDS".to_owned()));
    assert_eq!(reason, "shards is \"0\", allowed is 1 to 64");
}

const EVERYTHING: &str = r#"
public_endpoints = ["https://Pubsub.example.com", "http://[::1]:8081"]
shutdown_timeout = "1500ms"
shards = 3

[[listeners]]
bind = ["0.0.0.0:8443"]
tls = { cert = "/etc/tls.crt", key = "/etc/tls.key", min_version = "1.3", request_client_certificate = true, client_ca = "/etc/clients.pem" }

[[listeners]]
bind = ["127.0.0.1:9090", "[::1]:9090"]
roles = ["metrics", "health"]

[keys]
primary = "a-key-of-our-own-that-nobody-knows-1234"
secondary = "another-key-that-nobody-knows-at-all-99"
internal = "a-key-of-our-own-that-nobody-knows-1234"

[auth]
audience_host = "configured"
generate_token_with_access_key = false
allow_development_key = true
allow_unvalidated_identity_tokens = true
clock_skew = "0s"

[[auth.oidc]]
issuer = "https://login.example.com/tenant/v2.0"

[[auth.oidc]]
issuer = "http://127.0.0.1:8000"
audience = "api://pubsub"
role_claim = "entitlements"
jwks_file = "/etc/jwks.json"
allow_http = true
role_assignments = [
    { claim = "oid", value = "1234", roles = ["web pubsub service owner", "bfb1c7d2-fb1a-466b-b2ba-aee63b92deaf"] },
    { claim = "groups", value = "56", roles = [] },
]

[rest]
keep_encoded_slash = true
require_content_length = true
body_max = "16MB"

[hubs._default]
web_socket_keep_alive_interval = "120s"
allowed_origins = ["https://App.example.com"]
drop_connection_on_event_failure = true
reliable_buffer_messages = 1
reliable_buffer_bytes = "1KiB"
streaming = false
group_state = false
invocation = false

[upstream]
request_origins = ["Pubsub.example.com", "pubsub.example.com:8443"]
timeout = "1ms"
retry_delays = ["0s", "250ms"]
response_body_max = "1KiB"
private_addresses = "allow"
validate_on_load = true
requests_per_host_max = 1
notifications_max = 2

[hubs.Chat]
anonymous_connect_policy = "allow"

[[hubs.Chat.event_handlers]]
url_template = "https://10.0.0.7:8443/{hub}/events/{event}?hub={HUB}"
user_event_pattern = "message, join"
system_events = ["Connect", "connected", "disconnected"]
group_presence_events = { event_names = ["joined", "Left"], group_filters = ["room.*", "a**"] }
auth = { type = "none" }
timeout = "1h"
abuse_protection = false
forward_reject_body = true

[[hubs.Chat.event_handlers]]
url_template = "tunnel:///eventhandler"
auth = { type = "managed_identity", resource = "api://chat", client_id = "1234" }

[[hubs.Chat.event_handlers]]
url_template = "http://handler/"
auth = { type = "oauth2_client_credentials", token_url = "https://login.example.com/token", client_id = "hubwire", client_secret = "${env:SECRET}", scope = "events" }

[[hubs.Chat.event_handlers]]
url_template = "http://handler/?code=${env:SECRET}&event={event}"
auth = { type = "static_header", name = "X-Api-Key", value = "Bearer ${env:SECRET}" }

[[hubs.Chat.event_listeners]]
filter = { type = "event_name", system_events = ["connect", "connected", "disconnected"], user_event_pattern = "*" }
endpoint = { type = "nats", url = "nats://${env:USER}:${env:SECRET}@nats:4222,tls://other", subject = "hub.wire", jetstream = true }
queue_events = 1
queue_bytes = "1KiB"

[[hubs.Chat.event_listeners]]
endpoint = { type = "http", url = "http://127.0.0.1:9/events?code=${env:SECRET}", batch = true }

[[hubs.Chat.event_listeners]]
endpoint = { type = "file", path = "/var/log/events.jsonl" }

[[hubs.Chat.event_listeners]]
endpoint = { type = "stdout" }

[[hubs.Chat.event_listeners]]
endpoint = { type = "kafka", brokers = ["kafka:9092", "[::1]:9093"], topic = "hubwire", sasl = { mechanism = "plain", username = "$ConnectionString", password = "${env:SECRET}" }, tls = true }

[hubs."a.b[1]`,_"]

[limits]
message_max = "512KiB"
outbound_queue_messages = 7
outbound_queue_bytes = "2GiB"
recovery_window = "0s"
reconnection_token_lifetime = "365d"
remembered_ack_ids = 0
close_timeout = "1h"
connections_max = 9
handshake_timeout = "1ms"
handshakes_max = 11

[network]
public_network_access = "disabled"
trusted_proxies = ["10.0.0.0/8", "::1"]

[network.acl]
default_action = "deny"
public_network = { allow = ["client_connection", "rest_api"], deny = ["trace"] }
networks = [
  { name = "vpc", cidr = ["10.1.0.0/16", "fd00::/8"], allow = ["rest_api", "trace"], deny = ["server_connection"] },
  { name = "a \"quoted\" name", cidr = ["192.168.1.1"] },
]
ip_rules = [{ value = "203.0.113.0/24", action = "deny" }, { value = "2001:db8::1", action = "allow" }]

[firewall]
max_client_connection_lifetime = "12h"

[[firewall.client_connection_count_rules]]
type = "throttle_by_user_id_rule"

[[firewall.client_connection_count_rules]]
type = "throttle_by_jwt_signature_rule"
max_count = 1

[[firewall.client_connection_count_rules]]
type = "throttle_by_jwt_custom_claim_rule"
claim_name = "https://example.com/tenant"
max_count = 7

[[firewall.client_traffic_control_rules]]
type = "traffic_throttle_by_user_id_rule"

[[firewall.client_traffic_control_rules]]
type = "traffic_throttle_by_jwt_signature_rule"
max_inbound_message_bytes = "1B"
aggregation_window = "1s"

[[firewall.client_traffic_control_rules]]
type = "traffic_throttle_by_jwt_custom_claim_rule"
claim_name = "tenant"
max_inbound_message_bytes = "512GiB"
aggregation_window = "1h"

[logging]
level = "trace"
format = "json"
categories = ["connectivity", "http_request"]
"#;

/// Directory that is removed at the end of its test.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hubwire-config-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a temporary file can be written");
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A directory that stays behind harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Leaves out the listeners that this program was built without.
fn supported(file: &str) -> String {
    let mut lines = Vec::new();
    for line in file.lines() {
        match line.contains("type = \"kafka\"") && !cfg!(feature = "kafka") {
            // Its table has no other line but its head.
            true => drop(lines.pop()),
            false => lines.push(line),
        }
    }
    lines.join("\n")
}

fn load(file: &str) -> Config {
    load_from(&supported(file), REFERENCED, Overrides::default())
        .unwrap_or_else(|error| panic!("{error}\n{file}"))
}

fn load_environment(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load_from("", environment, Overrides::default())
}

fn load_from(
    file: &str,
    environment: &[(&str, &str)],
    overrides: Overrides,
) -> Result<Config, ConfigError> {
    let directory = TempDir::new();
    let path = directory.write("hubwire.toml", file);
    Config::load(&Sources {
        file: Some(path),
        environment: pairs(environment),
        overrides,
    })
}

/// Source: rest-api 3.6 and 3.7.
#[test]
fn identities_are_enabled_by_an_issuer_or_by_leaving_out_the_validation() {
    let issuer = "[[auth.oidc]]\nissuer = \"https://login.example.com\"\n";
    for (file, is_disabled) in [
        (String::new(), true),
        (issuer.to_owned(), false),
        (
            "[auth]\nallow_unvalidated_identity_tokens = true\n".to_owned(),
            false,
        ),
        (
            format!("[auth]\ndisable_identity_auth = true\n{issuer}"),
            true,
        ),
        (
            format!("[auth]\ndisable_identity_auth = false\n{issuer}"),
            false,
        ),
    ] {
        let config = load(&file);
        assert_eq!(config.auth.disable_identity_auth, is_disabled, "{file}");
        let printed = config.to_toml();
        assert_eq!(load(&printed).auth, config.auth, "{printed}");
    }
    check_error(
        "[auth]\ndisable_identity_auth = false\n",
        "hubwire.toml:2:25: auth.disable_identity_auth is false, but there is no issuer whose tokens could be accepted; \
         add one under [[auth.oidc]]",
    );
}

#[test]
fn issuers_are_checked() {
    let good = "issuer = \"https://login.example.com\"";
    for (issuer, expected) in [
        (
            "".to_owned(),
            "1:1: auth.oidc[0] has no `issuer`, which is the URL that tokens name in `iss`",
        ),
        (
            "issuer = \"http://login.example.com\"\nallow_http = true".to_owned(),
            "2:10: auth.oidc[0].issuer is refused: it is not one of https",
        ),
        (
            "issuer = \"http://127.0.0.1:8000\"".to_owned(),
            "2:10: auth.oidc[0].issuer is refused: it is not one of https; `allow_http` lets one on loopback be",
        ),
        (
            "issuer = \"login.example.com\"".to_owned(),
            "2:10: auth.oidc[0].issuer is refused: it is no URL of https that the service connects to",
        ),
        (
            format!("{good}\naudience = \"\""),
            "3:12: auth.oidc[0].audience is \"\", expected text that is not empty",
        ),
        (
            format!("{good}\nclient_id = \"a\""),
            "3:1: unknown key `auth.oidc[0].client_id`, the keys here are `issuer`, `audience`, `role_claim`, `jwks_file`, \
             `allow_http`, `role_assignments`",
        ),
        (
            format!("{good}\nrole_assignments = [{{ claim = \"oid\", value = \"a\" }}]"),
            "3:21: auth.oidc[0].role_assignments[0] needs `claim`, `value` and `roles`",
        ),
        (
            format!(
                "{good}\nrole_assignments = [{{ claim = \"name\", value = \"a\", roles = [] }}]"
            ),
            "3:31: auth.oidc[0].role_assignments[0].claim is \"name\", expected one of `oid`, `appid`, `azp`, `groups`, `sub`",
        ),
        (
            format!(
                "{good}\nrole_assignments = [{{ claim = \"oid\", value = \"a\", roles = [\"Owner\"] }}]"
            ),
            "3:60: auth.oidc[0].role_assignments[0].roles[0] is \"Owner\", expected one of `Web PubSub Service Owner`, \
             `Web PubSub Service Reader`, or its id",
        ),
        (
            format!("{good}\n[[auth.oidc]]\nissuer = \"https://login.example.com/\""),
            "3:1: auth.oidc[1] names an issuer that another entry has named; it has one entry",
        ),
    ] {
        check_error(
            &format!("[[auth.oidc]]\n{issuer}\n"),
            &format!("hubwire.toml:{expected}"),
        );
    }
}

#[test]
fn disabled_local_authentication_needs_an_internal_key() {
    let error = load_from(
        "[auth]\ndisable_local_auth = true\n",
        &[],
        Overrides::default(),
    );
    let text = error.unwrap_err().to_string();
    assert!(text.contains("keys.internal is not set"), "{text}");
}

fn nets(texts: &[&str]) -> Vec<ipnet::IpNet> {
    let parsed = texts.iter().map(|text| text.parse());
    parsed.map(|net| net.expect("a network")).collect()
}

fn check_error(file: &str, expected: &str) {
    let error = load_from(file, &[], Overrides::default()).expect_err(file);
    let text = error.to_string();
    let (_, shown) = text.split_once("hubwire.toml:").expect(&text);
    assert_eq!(format!("hubwire.toml:{shown}"), expected);
}

fn check_environment_error(environment: &[(&str, &str)], expected: &str) {
    let error = load_environment(environment).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

fn assert_unseen(text: &str) {
    assert!(
        !text.contains(KEY) && !text.contains(OTHER_KEY),
        "a secret is seen in {text}"
    );
}

fn pairs(environment: &[(&str, &str)]) -> Vec<(String, String)> {
    environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect()
}
