//! The filter language (rest-api 5). Filters and their results are in `filters.txt`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::borrow::Cow;

use hubwire_protocol::filter::{DEPTH_MAX, Filter, OPERATORS_MAX, Subject};
use proptest::prelude::*;

/// A connection that a filter looks at.
#[derive(Clone, Copy, Debug)]
struct Connection {
    /// What the table calls it.
    name: &'static str,
    id: &'static str,
    user: Option<&'static str>,
    protocol: Option<&'static str>,
    groups: &'static [&'static str],
}

const JSON: Option<&str> = Some("json.webpubsub.azure.v1");
const PROTOBUF: Option<&str> = Some("protobuf.webpubsub.azure.v1");

const CONNECTIONS: [Connection; 5] = [
    Connection {
        name: "alice",
        id: "c1",
        user: Some("alice"),
        protocol: JSON,
        groups: &["room", "a.b"],
    },
    Connection {
        name: "nobody",
        id: "c2",
        user: None,
        protocol: None,
        groups: &[],
    },
    Connection {
        name: "jane",
        id: "c3",
        user: Some("O'Brien, Jane"),
        protocol: None,
        groups: &["Doe, John"],
    },
    Connection {
        name: "crab",
        id: "C4",
        user: Some("a🦀b"),
        protocol: PROTOBUF,
        groups: &["room", "ROOM", "x"],
    },
    Connection {
        name: "padded",
        id: "c5",
        user: Some("\u{A0} Älice\u{3000}"),
        protocol: JSON,
        groups: &["a/b", "*"],
    },
];

impl Subject for Connection {
    fn connection_id(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.id)
    }

    fn user_id(&self) -> Option<&str> {
        self.user
    }

    fn protocol(&self) -> Option<&str> {
        self.protocol
    }

    fn is_member(&self, group: &str) -> bool {
        self.groups.contains(&group)
    }

    fn group_count(&self) -> usize {
        self.groups.len()
    }
}

/// Acceptance 11, and all of rest-api 5.
#[test]
fn each_filter_of_the_table_selects_or_fails_as_it_says() {
    let table = include_str!("filters.txt");
    let mut lines = table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut differences = Vec::new();
    let (mut good, mut bad) = (0, 0);
    while let Some(filter) = lines.next() {
        let expected = lines.next().unwrap().strip_prefix("    ").unwrap();
        match expected.starts_with('=') {
            true => good += 1,
            false => bad += 1,
        }
        let found = outcome(filter);
        if found != expected {
            differences.push(format!(
                "{filter}\n    expected {expected}\n    found    {found}"
            ));
        }
    }
    assert!(good >= 100 && bad >= 50, "{good} good, {bad} bad");
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// Acceptance 11: blank is not empty.
#[test]
fn a_blank_filter_is_invalid() {
    for blank in [" ", "\t\r\n", "\u{A0}", ""] {
        let message = format!("Invalid syntax for '{blank}': Unexpected end. (Parameter 'filter')");
        assert_eq!(error(blank), message);
    }
}

#[test]
fn white_space_of_any_kind_separates_tokens() {
    for space in [" ", "\t", "\n", "\r\n", "  \t ", "\u{A0}"] {
        let filter = format!("userId{space}eq{space}'alice'{space}and{space}true{space}");
        assert_eq!(outcome(&filter), "= alice", "{filter:?}");
    }
}

#[test]
fn strings_hold_any_character() {
    for text in [
        "\n", "\t", "\0", "\\", "\"", "%20", "+", "\u{FEFF}", "🦀", "e\u{301}",
    ] {
        let units = text.encode_utf16().count();
        let filter = format!("'{text}' eq '{text}' and length('{text}') eq {units}");
        assert_eq!(outcome(&filter), "= all", "{filter:?}");
    }
}

/// rest-api 5.4: strings are compared by their code points, so what only looks the same is different.
#[test]
fn strings_are_compared_as_they_are() {
    let pairs = [("é", "e\u{301}"), ("ﬁ", "fi"), ("ı", "i"), ("a\u{AD}", "a")];
    for (one, other) in pairs {
        for filter in [
            format!("'{one}' eq '{other}'"),
            format!("'{one}' in ('{other}')"),
            format!("indexof('{one}','{other}') gt 0"),
        ] {
            assert_eq!(outcome(&filter), "= none", "{filter}");
        }
    }
}

/// rest-api 5.6: the filter itself is the first level.
#[test]
fn a_filter_may_be_nested_100_deep() {
    assert_eq!(DEPTH_MAX, 100);
    let in_parentheses =
        |depth: usize| format!("{}true{}", "(".repeat(depth - 1), ")".repeat(depth - 1));
    let negated = |depth: usize| format!("{}true", "not ".repeat(depth - 1));
    let in_calls = |depth: usize| {
        let (open, close) = ("trim(".repeat(depth - 1), ")".repeat(depth - 1));
        format!("{open}userId{close} eq 'alice'")
    };
    let in_lists = |depth: usize| {
        let (open, close) = ("true in (".repeat(depth - 1), ")".repeat(depth - 1));
        format!("{open}true{close}")
    };
    assert_eq!(outcome(&in_parentheses(100)), "= all");
    assert_eq!(outcome(&negated(100)), "= none");
    assert_eq!(outcome(&in_calls(100)), "= alice");
    assert_eq!(outcome(&in_lists(100)), "= all");
    for filter in [
        in_parentheses(101),
        negated(101),
        in_calls(101),
        in_lists(101),
        in_parentheses(100_000),
        negated(100_000),
        in_calls(100_000),
        in_lists(100_000),
    ] {
        let found = error(&filter);
        assert!(
            found.ends_with("The filter is nested deeper than 100. (Parameter 'filter')"),
            "{}",
            found.len()
        );
    }
}

/// Levels are left again: as many as one likes stand beside each other.
#[test]
fn depth_is_not_length() {
    let filter = vec!["(not(true))"; 200].join(" or ");
    assert_eq!(outcome(&filter), "= none");
    let list = vec!["('a')"; 10_000].join(",");
    assert_eq!(outcome(&format!("userId in ({list})")), "= none");
}

#[test]
fn a_filter_may_have_as_many_operators_as_documented() {
    for (chained, operator) in [("true", "and"), ("true", "or"), ("true", "eq")] {
        let filter = |operators: usize| {
            let separator = format!(" {operator} ");
            vec![chained; operators + 1].join(&separator)
        };
        assert_eq!(outcome(&filter(OPERATORS_MAX)), "= all", "{operator}");
        for operators in [OPERATORS_MAX + 1, 50_000] {
            let message =
                format!("The filter has more than {OPERATORS_MAX} operators. (Parameter 'filter')");
            assert!(error(&filter(operators)).ends_with(&message), "{operator}");
        }
    }
}

/// Users are told to stay below about 100 clauses.
#[test]
fn a_filter_of_a_hundred_clauses_is_good() {
    let clauses: Vec<String> = (0..100)
        .map(|index| format!("userId eq 'user{index}'"))
        .collect();
    let filter = format!("{} or userId eq 'alice'", clauses.join(" or "));
    assert_eq!(outcome(&filter), "= alice");
}

fn outcome(filter: &str) -> String {
    let parsed = match Filter::parse(filter) {
        Ok(parsed) => parsed,
        Err(error) => return format!("! {error}"),
    };
    let matching: Vec<&str> = CONNECTIONS
        .iter()
        .filter(|connection| parsed.matches(*connection))
        .map(|connection| connection.name)
        .collect();
    match matching.len() {
        0 => "= none".to_owned(),
        len if len == CONNECTIONS.len() => "= all".to_owned(),
        _ => format!("= {}", matching.join(" ")),
    }
}

fn error(filter: &str) -> String {
    Filter::parse(filter).unwrap_err().to_string()
}

/// Pieces of filters, so that most of what is made of them gets past the tokenizer and some past the parser.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "(",
        ")",
        ",",
        "'",
        "''",
        "'a'",
        "'🦀'",
        "not",
        "and",
        "or",
        "eq",
        "ne",
        "gt",
        "ge",
        "lt",
        "le",
        "in",
        "add",
        "has",
        "userId",
        "groups",
        "connectionId",
        "protocol",
        "(groups)",
        "null",
        "true",
        "false",
        "1",
        "-1",
        "+2147483647",
        "2147483648",
        "length(",
        "substring(",
        "indexof(",
        "concat(",
        "trim(",
        "contains(",
        "unknown(",
        "ab",
        " ",
        "\u{0}",
        "ﬁ",
    ]);
    (
        prop::collection::vec(piece, 0..30),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(pieces, is_spaced)| pieces.join(if is_spaced { " " } else { "" }))
}

/// Well-typed filters with the value that they have for everybody, worked out while they are made.
fn known() -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|value| (value.to_string(), value)),
        (any::<i32>(), any::<i32>()).prop_map(|(a, b)| (format!("{a} lt {b}"), a < b)),
        (any::<i32>(), any::<i32>()).prop_map(|(a, b)| (format!("{a} ge {b}"), a >= b)),
        ("[a-c']{0,3}", "[a-c']{0,3}").prop_map(|(a, b)| {
            (
                format!("contains({},{})", quoted(&a), quoted(&b)),
                a.contains(&b),
            )
        }),
        ("[a-c,']{0,2}", "[a-c,']{0,2}").prop_map(|(a, b)| {
            (
                format!("{} in ('x',{})", quoted(&a), quoted(&b)),
                a == b || a == "x",
            )
        }),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("({a}) and ({b})"), x && y)),
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("({a}) or ({b})"), x || y)),
            (inner.clone(), inner.clone())
                .prop_map(|((a, x), (b, y))| (format!("({a}) eq ({b})"), x == y)),
            inner.prop_map(|(a, x)| (format!("not ({a})"), !x)),
        ]
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        outcome(&text);
    }

    #[test]
    fn no_sequence_of_tokens_makes_it_panic(text in pieces()) {
        outcome(&text);
    }

    #[test]
    fn operators_mean_what_they_say((filter, value) in known()) {
        let expected = if value { "= all" } else { "= none" };
        prop_assert_eq!(outcome(&filter), expected);
    }

    #[test]
    fn offsets_and_lengths_are_counted_in_utf16(text in "[a-cä🦀]{0,6}", start in 0..8_usize, len in 0..8_usize) {
        let units: Vec<u16> = text.encode_utf16().collect();
        let part = units.get(start..).and_then(|rest| rest.get(..len));
        // Half a character has no spelling to compare with.
        let part = part.map(String::from_utf16);
        prop_assume!(!matches!(part, Some(Err(_))));
        let expected = match part {
            Some(Ok(part)) => quoted(&part),
            _ => "null".to_owned(),
        };
        let text = quoted(&text);
        let filter = format!(
            "length({text}) eq {} and substring({text},{start},{len}) eq {expected}",
            units.len()
        );
        // The check sees strings and no ranges, and a null is only found out there.
        prop_assert_eq!(outcome(&filter), "= all");
    }
}
