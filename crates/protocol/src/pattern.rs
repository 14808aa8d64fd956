//! Patterns that match several group names: of roles, and of the group filters of event handlers.

/// Longest pattern. UTF-16 code units. Source: client-protocols 8.
const PATTERN_MAX: usize = 1024;
/// Most `*` characters, and most wildcards of all kinds, in a pattern.
const WILDCARDS_MAX: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This UTF-16 code unit.
    Unit(u16),
    /// `?`: one unit that is not a dot.
    One,
    /// `*`: any units that are not dots.
    Run,
    /// `**`: any units.
    Any,
}

/// A group name pattern. Source: client-protocols 8, rest-api 4.2, events-and-operations 2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    tokens: Box<[Token]>,
}

const DOT: u16 = b'.' as u16;
const STAR: u16 = b'*' as u16;
const QUESTION_MARK: u16 = b'?' as u16;
const BACKSLASH: u16 = b'\\' as u16;

impl Pattern {
    /// Parses a pattern; `None` is an invalid one.
    pub fn parse(text: &str) -> Option<Self> {
        let units: Vec<u16> = text.encode_utf16().collect();
        if units.is_empty() || units.len() > PATTERN_MAX {
            return None;
        }
        let mut tokens = Vec::with_capacity(units.len());
        let mut stars = 0;
        let mut rest = units.as_slice();
        while let [first, tail @ ..] = rest {
            rest = tail;
            tokens.push(match *first {
                STAR => {
                    let more = tail.iter().take_while(|&&unit| unit == STAR).count();
                    stars += 1 + more;
                    rest = &tail[more..];
                    if more > 0 { Token::Any } else { Token::Run }
                }
                QUESTION_MARK => Token::One,
                BACKSLASH => {
                    let [escaped @ (STAR | QUESTION_MARK | BACKSLASH), tail @ ..] = tail else {
                        return None;
                    };
                    rest = tail;
                    Token::Unit(*escaped)
                }
                unit => Token::Unit(unit),
            });
        }
        let wildcards = tokens
            .iter()
            .filter(|token| !matches!(token, Token::Unit(_)))
            .count();
        (stars <= WILDCARDS_MAX && wildcards <= WILDCARDS_MAX).then(|| Self {
            tokens: tokens.into(),
        })
    }

    /// Tells whether every group matches.
    pub fn is_everything(&self) -> bool {
        *self.tokens == [Token::Any]
    }

    /// Returns the one group that a pattern without wildcards names.
    pub fn literal(&self) -> Option<String> {
        let units: Option<Vec<u16>> = self
            .tokens
            .iter()
            .map(|token| match token {
                Token::Unit(unit) => Some(*unit),
                Token::One | Token::Run | Token::Any => None,
            })
            .collect();
        String::from_utf16(&units?).ok()
    }

    /// Tells whether the whole name matches. Walks the name once with the set of tokens reached, so no pattern is
    /// slower than tokens times units.
    pub fn matches(&self, name: &str) -> bool {
        let tokens = &self.tokens;
        let mut reached = vec![false; tokens.len() + 1];
        reached[0] = true;
        self.skip_empty_runs(&mut reached);
        for unit in name.encode_utf16() {
            let mut next = vec![false; tokens.len() + 1];
            for (index, token) in tokens
                .iter()
                .enumerate()
                .filter(|(index, _)| reached[*index])
            {
                match token {
                    Token::Unit(wanted) => next[index + 1] |= *wanted == unit,
                    Token::One => next[index + 1] |= unit != DOT,
                    Token::Run => next[index] |= unit != DOT,
                    Token::Any => next[index] = true,
                }
            }
            self.skip_empty_runs(&mut next);
            reached = next;
        }
        reached[tokens.len()]
    }

    fn skip_empty_runs(&self, reached: &mut [bool]) {
        for (index, token) in self.tokens.iter().enumerate() {
            if matches!(token, Token::Run | Token::Any) && reached[index] {
                reached[index + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_specification_match_as_they_should() {
        let matching = [
            ("ab*", "ab"),
            ("ab*", "abc"),
            ("a.**.b", "a..b"),
            ("a.**.b", "a.x.y.b"),
            (r"a\?*", "a?bc"),
            ("**", "any.thing"),
            ("clientA.*", "clientA.x"),
            ("clientA.**", "clientA.x"),
            ("clientA.**", "clientA.x.y"),
            ("clientA.rooms.?1", "clientA.rooms.a1"),
            (r"\*\?\\", r"*?\"),
            ("***", "a.b"),
        ];
        for (pattern, name) in matching {
            assert!(
                Pattern::parse(pattern).unwrap().matches(name),
                "{pattern} should match {name}"
            );
        }
        let others = [
            ("ab*", "ab.cd"),
            ("a?c", "a.c"),
            (r"a\?*", "abc"),
            ("?", ""),
            ("Room*", "room1"),
            ("clientA.*", "clientA.x.y"),
            ("clientA.rooms.?1", "clientA.rooms.1"),
        ];
        for (pattern, name) in others {
            assert!(
                !Pattern::parse(pattern).unwrap().matches(name),
                "{pattern} should not match {name}"
            );
        }
    }

    #[test]
    fn bad_escapes_and_too_many_wildcards_are_invalid() {
        for pattern in [
            "",
            r"a\b",
            r"a\",
            "******",
            "?????*",
            "*a*a*a*a*a*",
            "??????",
        ] {
            assert_eq!(Pattern::parse(pattern), None, "{pattern}");
        }
        assert!(Pattern::parse("*a*a*a*a*").is_some());
        assert!(Pattern::parse(&"x".repeat(1024)).is_some());
        assert_eq!(Pattern::parse(&"x".repeat(1025)), None);
    }

    #[test]
    fn worst_patterns_take_time_in_proportion_to_the_name() {
        let name = "a".repeat(1024);
        assert!(!Pattern::parse("*a*a*a*a*b").unwrap().matches(&name));
    }
}
