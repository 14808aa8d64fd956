use std::borrow::Cow;

/// What a `Content-Type` header says, as far as it matters here. Source: rest-api 2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType<'a> {
    /// Type and subtype as given; letter case does not matter.
    pub media_type: &'a str,
    /// The first `charset`, without its quotes.
    pub charset: Option<Cow<'a, str>>,
}

impl<'a> ContentType<'a> {
    /// Parses the value of a header; `None` if it is malformed.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (media_type, mut rest) = match text.split_once(';') {
            Some((media_type, rest)) => (media_type.trim(), rest),
            None => (text, ""),
        };
        let (kind, subkind) = media_type.split_once('/')?;
        if !is_token(kind) || !is_token(subkind) {
            return None;
        }
        let mut charset = None;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Some(Self {
                    media_type,
                    charset,
                });
            }
            let (name, value, after) = take_parameter(rest)?;
            rest = after;
            if name.eq_ignore_ascii_case("charset") && charset.is_none() {
                charset = Some(value);
            }
        }
    }
}

/// Takes a parameter off the front, up to the next `;`.
fn take_parameter(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, value) = text.split_once('=')?;
    if !is_token(name) {
        return None;
    }
    let (value, rest) = match value.strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = take_quoted(quoted)?;
            (Cow::Owned(value), rest)
        }
        None => {
            let (value, rest) = value.split_at(value.find([';', ' ', '\t']).unwrap_or(value.len()));
            if !is_token(value) {
                return None;
            }
            (Cow::Borrowed(value), rest)
        }
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    (rest.is_empty() || rest.starts_with(';')).then_some((name, value, rest))
}

fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
