//! Expressions as text, for error messages. Source: rest-api 5.7.

use std::fmt;

use super::{Expression, Function, Identifier, Operator, Set, name_of};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::String(value) => write!(f, "'{}'", value.replace('\'', "''")),
            Self::Identifier(name) => f.write_str(name_of(&Identifier::ALL, *name)),
            Self::Unknown(text) => f.write_str(text),
            Self::Not(operand) => write!(f, "not {}", Operand(operand)),
            Self::Binary(operator, left, right) => {
                let operator = name_of(&Operator::ALL, *operator);
                write!(f, "{} {operator} {}", Operand(left), Operand(right))
            }
            Self::In(item, set) => write!(f, "{} in {set}", Operand(item)),
            Self::Call(function, arguments) | Self::BadCall(function, arguments) => {
                let name = name_of(&Function::ALL, *function);
                write!(f, "{name}({})", List(arguments))
            }
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Groups => f.write_str("groups"),
            Self::List(items) => write!(f, "({})", List(items)),
            Self::Other(expression) => write!(f, "{}", Operand(expression)),
        }
    }
}

/// An operand of another operator, in parentheses if it has an operator itself.
pub(super) struct Operand<'a>(pub(super) &'a Expression);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expression::Not(_) | Expression::Binary(..) | Expression::In(..) => {
                write!(f, "({})", self.0)
            }
            Expression::Null
            | Expression::Bool(_)
            | Expression::Int(_)
            | Expression::String(_)
            | Expression::Identifier(_)
            | Expression::Unknown(_)
            | Expression::Call(..)
            | Expression::BadCall(..) => write!(f, "{}", self.0),
        }
    }
}

struct List<'a>(&'a [Expression]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}
