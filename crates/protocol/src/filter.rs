//! The filter language: a boolean expression over one connection, a subset of OData `$filter`. Source: rest-api 5.
//!
//! A [`Filter`] is parsed and type-checked once, then evaluated for each receiver without allocating, unless a function makes a
//! new string.

mod eval;
mod parse;
mod print;

use std::borrow::Cow;

use eval::Model;

/// Deepest nesting of a filter. Source: rest-api 5.6.
pub const DEPTH_MAX: usize = 100;
/// Most operators in a filter. Source: ours, since a chain of operators nests as deep as it is long; users are told to stay
/// below about 100 clauses.
pub const OPERATORS_MAX: usize = 512;

/// A parsed filter that is well-typed for some connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Expression,
}

/// The text is not a filter. The message is the official one. Source: rest-api 5.7.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid syntax for '{expression}': {detail} (Parameter 'filter')")]
pub struct FilterError {
    /// The innermost expression that fails, printed anew; the whole filter where the syntax is wrong.
    expression: String,
    detail: String,
}

/// What a filter can know of a connection.
pub trait Subject {
    /// Returns the connection's id.
    fn connection_id(&self) -> Cow<'_, str>;
    /// Returns its user, if it has one.
    fn user_id(&self) -> Option<&str>;
    /// Returns the name of its subprotocol, if it has one, in the client's spelling.
    fn protocol(&self) -> Option<&str>;
    /// Tells whether it is a member of a group.
    fn is_member(&self, group: &str) -> bool;
    /// Returns the number of its groups.
    fn group_count(&self) -> usize;
}

impl Filter {
    /// Parses and type-checks a filter.
    ///
    /// # Errors
    ///
    /// [`FilterError`] with the official message for whatever is wrong first.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let root = parse::parse(text)?;
        eval::check(&root)?;
        Ok(Self { root })
    }

    /// Tells whether a connection matches. A type error that only shows for this connection is no match.
    pub fn matches(&self, subject: &impl Subject) -> bool {
        let model = Model::of(subject);
        eval::evaluate(&self.root, &model).is_ok_and(|value| value == eval::Value::Bool(true))
    }
}

/// A node of a filter.
#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Null,
    Bool(bool),
    Int(i32),
    String(String),
    Identifier(Identifier),
    /// A name or construct that the language does not have; an error as soon as it is looked at.
    Unknown(String),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    In(Box<Expression>, Set),
    Call(Function, Vec<Expression>),
    /// A known function with a wrong number of arguments.
    BadCall(Function, Vec<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
enum Set {
    Groups,
    List(Vec<Expression>),
    /// Something that is no collection.
    Other(Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identifier {
    ConnectionId,
    UserId,
    Groups,
    Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    ToLower,
    ToUpper,
    Trim,
    Concat,
    Contains,
    StartsWith,
    EndsWith,
    IndexOf,
    Length,
    Substring,
}

impl Identifier {
    const ALL: [(&str, Self); 4] = [
        ("connectionId", Self::ConnectionId),
        ("userId", Self::UserId),
        ("groups", Self::Groups),
        ("protocol", Self::Protocol),
    ];
}

impl Operator {
    const ALL: [(&str, Self); 8] = [
        ("eq", Self::Equal),
        ("ne", Self::NotEqual),
        ("gt", Self::Greater),
        ("ge", Self::GreaterOrEqual),
        ("lt", Self::Less),
        ("le", Self::LessOrEqual),
        ("and", Self::And),
        ("or", Self::Or),
    ];
}

impl Function {
    const ALL: [(&str, Self); 10] = [
        ("tolower", Self::ToLower),
        ("toupper", Self::ToUpper),
        ("trim", Self::Trim),
        ("concat", Self::Concat),
        ("contains", Self::Contains),
        ("startswith", Self::StartsWith),
        ("endswith", Self::EndsWith),
        ("indexof", Self::IndexOf),
        ("length", Self::Length),
        ("substring", Self::Substring),
    ];

    fn takes(self, arguments: usize) -> bool {
        match self {
            Self::ToLower | Self::ToUpper | Self::Trim | Self::Length => arguments == 1,
            Self::Concat | Self::Contains | Self::StartsWith | Self::EndsWith | Self::IndexOf => {
                arguments == 2
            }
            Self::Substring => arguments == 2 || arguments == 3,
        }
    }
}

fn name_of<T: Copy + PartialEq>(all: &[(&'static str, T)], value: T) -> &'static str {
    all.iter()
        .find(|(_, known)| *known == value)
        .map_or("", |(name, _)| name)
}
