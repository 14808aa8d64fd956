//! Expression to value, for one connection. Source: rest-api 5.3 to 5.5.

use std::borrow::Cow;

use super::{Expression, FilterError, Function, Identifier, Operator, Set, Subject};

/// A value while a filter is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i32),
    String(Cow<'a, str>),
    /// An identifier of type string that the connection has no value for: null, but a string to operators.
    NullString,
    Groups,
}

impl Value<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::String(_) | Self::NullString => "string",
            Self::Groups => "collection",
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullString)
    }

    fn equals(&self, other: &Self) -> bool {
        self == other || (self.is_null() && other.is_null())
    }
}

/// What expressions are evaluated against.
pub(super) struct Model<'a, S> {
    /// Absent while a filter is checked.
    subject: Option<&'a S>,
}

impl<'a, S: Subject> Model<'a, S> {
    pub(super) fn of(subject: &'a S) -> Self {
        Self {
            subject: Some(subject),
        }
    }
}

/// Nobody: what a filter is checked against.
struct Nobody;

impl Subject for Nobody {
    fn connection_id(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn user_id(&self) -> Option<&str> {
        None
    }

    fn protocol(&self) -> Option<&str> {
        None
    }

    fn is_member(&self, _group: &str) -> bool {
        false
    }

    fn group_count(&self) -> usize {
        0
    }
}

/// What is wrong, and with which expression.
pub(super) struct Failure<'e> {
    expression: &'e Expression,
    detail: Detail<'e>,
}

enum Detail<'e> {
    Type(&'static str, &'static str),
    Unsupported(&'e Expression),
    Invalid(&'e Expression),
}

/// Checks the types of a filter by evaluating it against a connection without user, subprotocol and groups.
pub(super) fn check(root: &Expression) -> Result<(), FilterError> {
    let model = Model::<Nobody> { subject: None };
    let outcome = evaluate(root, &model).and_then(|value| expect_bool(root, &value));
    outcome.map(|_| ()).map_err(|failure| FilterError {
        expression: failure.expression.to_string(),
        detail: match failure.detail {
            Detail::Type(found, expected) => format!("Type '{found}', expect '{expected}'."),
            Detail::Unsupported(token) => format!("Token '{token}' is not supported."),
            Detail::Invalid(token) => format!("Invalid token '{token}'."),
        },
    })
}

type Evaluated<'e, T> = Result<T, Failure<'e>>;

/// Evaluates an expression.
pub(super) fn evaluate<'e, S: Subject>(
    expression: &'e Expression,
    model: &Model<'e, S>,
) -> Evaluated<'e, Value<'e>> {
    Ok(match expression {
        Expression::Null => Value::Null,
        Expression::Bool(value) => Value::Bool(*value),
        Expression::Int(value) => Value::Int(*value),
        Expression::String(value) => Value::String(Cow::Borrowed(value)),
        Expression::Identifier(identifier) => identify(*identifier, model),
        Expression::Unknown(_) => return Err(unsupported(expression, expression)),
        Expression::BadCall(..) => {
            return Err(Failure {
                expression,
                detail: Detail::Invalid(expression),
            });
        }
        Expression::Not(operand) => {
            let value = operand_of(expression, operand, model)?;
            Value::Bool(!expect_bool(expression, &value)?)
        }
        Expression::Binary(operator, left, right) => {
            let left = operand_of(expression, left, model)?;
            let right = operand_of(expression, right, model)?;
            Value::Bool(operate(expression, *operator, &left, &right)?)
        }
        Expression::In(item, set) => {
            let item = operand_of(expression, item, model)?;
            Value::Bool(is_in(expression, &item, set, model)?)
        }
        Expression::Call(function, arguments) => call(expression, *function, arguments, model)?,
    })
}

/// Evaluates an operand. A name that the language does not have is the fault of the expression around it.
fn operand_of<'e, S: Subject>(
    around: &'e Expression,
    operand: &'e Expression,
    model: &Model<'e, S>,
) -> Evaluated<'e, Value<'e>> {
    match operand {
        Expression::Unknown(_) => Err(unsupported(around, operand)),
        _ => evaluate(operand, model),
    }
}

fn unsupported<'e>(expression: &'e Expression, token: &'e Expression) -> Failure<'e> {
    Failure {
        expression,
        detail: Detail::Unsupported(token),
    }
}

fn identify<'e, S: Subject>(identifier: Identifier, model: &Model<'e, S>) -> Value<'e> {
    let text = |text: Option<&'e str>| match text {
        Some(text) => Value::String(Cow::Borrowed(text)),
        None => Value::NullString,
    };
    match (identifier, model.subject) {
        (Identifier::Groups, _) => Value::Groups,
        (Identifier::ConnectionId, Some(subject)) => Value::String(subject.connection_id()),
        (Identifier::ConnectionId, None) => Value::String(Cow::Borrowed("")),
        (Identifier::UserId, Some(subject)) => text(subject.user_id()),
        (Identifier::Protocol, Some(subject)) => text(subject.protocol()),
        (Identifier::UserId | Identifier::Protocol, None) => Value::NullString,
    }
}

fn expect_bool<'e>(expression: &'e Expression, value: &Value<'_>) -> Evaluated<'e, bool> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(wrong_type(expression, other, "bool")),
    }
}

fn wrong_type<'e>(
    expression: &'e Expression,
    value: &Value<'_>,
    expected: &'static str,
) -> Failure<'e> {
    Failure {
        expression,
        detail: Detail::Type(value.type_name(), expected),
    }
}

fn operate<'e>(
    expression: &'e Expression,
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Evaluated<'e, bool> {
    let both = || -> Evaluated<'e, (bool, bool)> {
        Ok((
            expect_bool(expression, left)?,
            expect_bool(expression, right)?,
        ))
    };
    let compare = |holds: fn(&i32, &i32) -> bool| -> Evaluated<'e, bool> {
        if *left == Value::Null || *right == Value::Null {
            return Ok(false);
        }
        match (left, right) {
            (Value::Int(left), Value::Int(right)) => Ok(holds(left, right)),
            (Value::Int(_), other) | (other, _) => Err(wrong_type(expression, other, "int")),
        }
    };
    match operator {
        Operator::Equal => Ok(left.equals(right)),
        Operator::NotEqual => Ok(!left.equals(right)),
        Operator::Greater => compare(i32::gt),
        Operator::GreaterOrEqual => compare(i32::ge),
        Operator::Less => compare(i32::lt),
        Operator::LessOrEqual => compare(i32::le),
        Operator::And => both().map(|(left, right)| left && right),
        Operator::Or => both().map(|(left, right)| left || right),
    }
}

fn is_in<'e, S: Subject>(
    expression: &'e Expression,
    item: &Value<'e>,
    set: &'e Set,
    model: &Model<'e, S>,
) -> Evaluated<'e, bool> {
    match set {
        Set::Groups => Ok(match (item, model.subject) {
            (Value::String(group), Some(subject)) => subject.is_member(group),
            _ => false,
        }),
        Set::List(items) => {
            let mut is_found = false;
            for candidate in items {
                let value = operand_of(expression, candidate, model)?;
                is_found |= item.equals(&value);
            }
            Ok(is_found)
        }
        Set::Other(other) => {
            let value = operand_of(expression, other, model)?;
            Err(wrong_type(expression, &value, "collection"))
        }
    }
}

fn call<'e, S: Subject>(
    expression: &'e Expression,
    function: Function,
    arguments: &'e [Expression],
    model: &Model<'e, S>,
) -> Evaluated<'e, Value<'e>> {
    let value = |index: usize| operand_of(expression, &arguments[index], model);
    let string = |index: usize| -> Evaluated<'e, Option<Cow<'e, str>>> {
        match value(index)? {
            Value::String(text) => Ok(Some(text)),
            Value::Null | Value::NullString => Ok(None),
            other @ (Value::Bool(_) | Value::Int(_) | Value::Groups) => {
                Err(wrong_type(expression, &other, "string"))
            }
        }
    };
    let map = |change: fn(&str) -> String| -> Evaluated<'e, Value<'e>> {
        Ok(string(0)?.map_or(Value::Null, |text| Value::String(change(&text).into())))
    };
    let test = |holds: fn(&str, &str) -> bool| -> Evaluated<'e, Value<'e>> {
        let (left, right) = (string(0)?, string(1)?);
        Ok(Value::Bool(
            left.zip(right)
                .is_some_and(|(left, right)| holds(&left, &right)),
        ))
    };
    match function {
        Function::ToLower => map(|text| map_chars(text, |char| single(char.to_lowercase(), char))),
        Function::ToUpper => map(|text| map_chars(text, |char| single(char.to_uppercase(), char))),
        Function::Trim => map(|text| text.trim().to_owned()),
        Function::Contains => test(|text, part| text.contains(part)),
        Function::StartsWith => test(|text, part| text.starts_with(part)),
        Function::EndsWith => test(|text, part| text.ends_with(part)),
        Function::Concat => Ok(match (string(0)?, string(1)?) {
            (Some(left), Some(right)) => Value::String(format!("{left}{right}").into()),
            (Some(one), None) | (None, Some(one)) => Value::String(one),
            (None, None) => Value::Null,
        }),
        Function::IndexOf => Ok(Value::Int(match (string(0)?, string(1)?) {
            (Some(text), Some(part)) => text.find(&*part).map_or(-1, |at| utf16_len(&text[..at])),
            (None, _) | (_, None) => -1,
        })),
        Function::Length => Ok(match value(0)? {
            Value::String(text) => Value::Int(utf16_len(&text)),
            Value::Groups => {
                let count = model.subject.map_or(0, |subject| subject.group_count());
                Value::Int(i32::try_from(count).unwrap_or(i32::MAX))
            }
            Value::Null | Value::NullString => Value::Null,
            other @ (Value::Bool(_) | Value::Int(_)) => {
                return Err(wrong_type(expression, &other, "string"));
            }
        }),
        Function::Substring => {
            let text = string(0)?;
            let mut bounds = [0, i32::MAX];
            for (bound, index) in bounds.iter_mut().zip(1..arguments.len()) {
                *bound = match value(index)? {
                    Value::Int(number) => number,
                    other => return Err(wrong_type(expression, &other, "int")),
                };
            }
            let has_len = arguments.len() == 3;
            Ok(match (text, model.subject) {
                (None, _) => Value::Null,
                // While a filter is checked its strings are empty and every range would be outside.
                (Some(_), None) => Value::String(Cow::Borrowed("")),
                (Some(text), Some(_)) => {
                    let [start, len] = bounds;
                    substring(&text, start, has_len.then_some(len))
                        .map_or(Value::Null, |part| Value::String(part.into()))
                }
            })
        }
    }
}

/// Cuts UTF-16 code units out of a text; `None` if the range is not all inside.
fn substring(text: &str, start: i32, len: Option<i32>) -> Option<String> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let start = usize::try_from(start).ok()?;
    let rest = units.get(start..)?;
    let part = match len {
        Some(len) => rest.get(..usize::try_from(len).ok()?)?,
        None => rest,
    };
    Some(String::from_utf16_lossy(part))
}

fn utf16_len(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}

fn map_chars(text: &str, change: fn(char) -> char) -> String {
    text.chars().map(change).collect()
}

/// Returns the only character of a case mapping, or the original where the mapping makes several.
fn single(mut mapped: impl Iterator<Item = char>, original: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(char), None) => char,
        _ => original,
    }
}
