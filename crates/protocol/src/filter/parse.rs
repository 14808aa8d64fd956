//! Text to expression. Source: rest-api 5.2.

use super::print::Operand;
use super::{
    DEPTH_MAX, Expression, FilterError, Function, Identifier, OPERATORS_MAX, Operator, Set,
};

/// Parses a whole filter. What the language does not know but could be an expression becomes [`Expression::Unknown`], which
/// fails when it is checked.
pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let failed = |detail| FilterError {
        expression: text.to_owned(),
        detail,
    };
    let tokens = tokens(text).map_err(failed)?;
    let mut parser = Parser {
        tokens: &tokens,
        depth: 0,
        operators: 0,
    };
    let root = parser.or().map_err(failed)?;
    match parser.tokens.first() {
        None => Ok(root),
        Some(token) => Err(failed(format!("Unexpected {}.", token.describe()))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    String(String),
    /// A run of characters that are none of the above: a name, a keyword, a number, or nothing known.
    Word(String),
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Open => "'('".to_owned(),
            Self::Close => "')'".to_owned(),
            Self::Comma => "','".to_owned(),
            Self::String(text) => format!("string '{text}'"),
            Self::Word(word) => format!("'{word}'"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let (string, after) = take_string(&rest[1..])?;
                tokens.push(Token::String(string));
                rest = after;
                continue;
            }
            space if space.is_whitespace() => {}
            _ => {
                let is_end = |char: char| char.is_whitespace() || "(),'".contains(char);
                let end = rest.find(is_end).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                rest = &rest[end..];
                continue;
            }
        }
        rest = &rest[first.len_utf8()..];
    }
    Ok(tokens)
}

/// Takes a string whose opening quote is gone; a doubled quote stands for one.
fn take_string(text: &str) -> Result<(String, &str), String> {
    let mut string = String::new();
    let mut rest = text;
    loop {
        let Some((part, after)) = rest.split_once('\'') else {
            return Err("A string is not closed.".to_owned());
        };
        string.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                string.push('\'');
                rest = after;
            }
            None => return Ok((string, after)),
        }
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    depth: usize,
    operators: usize,
}

type Parsed = Result<Expression, String>;

impl Parser<'_> {
    fn or(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("The filter is nested deeper than {DEPTH_MAX}."));
        }
        let mut left = self.and()?;
        while self.take_word("or") {
            self.count_operator()?;
            let right = self.and()?;
            left = Expression::Binary(Operator::Or, left.into(), right.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        while self.take_word("and") {
            self.count_operator()?;
            let right = self.comparison()?;
            left = Expression::Binary(Operator::And, left.into(), right.into());
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Parsed {
        let mut left = self.unary()?;
        loop {
            let word = match self.tokens.first() {
                Some(Token::Word(word)) => word.as_str(),
                Some(Token::Open | Token::Close | Token::Comma | Token::String(_)) | None => {
                    return Ok(left);
                }
            };
            let operator = Operator::ALL.iter().find(|(name, _)| *name == word);
            match operator {
                Some((_, Operator::And | Operator::Or)) => return Ok(left),
                Some((_, operator)) => {
                    self.tokens = &self.tokens[1..];
                    self.count_operator()?;
                    let right = self.unary()?;
                    left = Expression::Binary(*operator, left.into(), right.into());
                }
                None if word == "in" => {
                    self.tokens = &self.tokens[1..];
                    self.count_operator()?;
                    left = Expression::In(left.into(), self.set()?);
                }
                None if is_foreign_operator(word) => {
                    self.tokens = &self.tokens[1..];
                    self.count_operator()?;
                    let right = self.unary()?;
                    left = Expression::Unknown(format!(
                        "{} {word} {}",
                        Operand(&left),
                        Operand(&right)
                    ));
                }
                None => return Err(format!("Unexpected '{word}'.")),
            }
        }
    }

    fn set(&mut self) -> Result<Set, String> {
        if self.tokens.first() != Some(&Token::Open) {
            return Ok(match self.unary()? {
                Expression::Identifier(Identifier::Groups) => Set::Groups,
                other => Set::Other(other.into()),
            });
        }
        self.tokens = &self.tokens[1..];
        let mut items = self.list()?;
        if items.len() == 1 && items[0] == Expression::Identifier(Identifier::Groups) {
            return Ok(Set::Groups);
        }
        items.shrink_to_fit();
        Ok(Set::List(items))
    }

    /// Parses items up to the closing parenthesis; blank ones are skipped.
    fn list(&mut self) -> Result<Vec<Expression>, String> {
        let mut items = Vec::new();
        loop {
            match self.tokens.first() {
                Some(Token::Close) => {
                    self.tokens = &self.tokens[1..];
                    return Ok(items);
                }
                Some(Token::Comma) => self.tokens = &self.tokens[1..],
                Some(Token::Open | Token::String(_) | Token::Word(_)) => {
                    items.push(self.or()?);
                    if !matches!(self.tokens.first(), Some(Token::Comma | Token::Close)) {
                        return Err(self.unexpected());
                    }
                }
                None => return Err(self.unexpected()),
            }
        }
    }

    /// Parses arguments up to the closing parenthesis; none is blank.
    fn arguments(&mut self) -> Result<Vec<Expression>, String> {
        let mut arguments = Vec::new();
        if self.take(&Token::Close) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.or()?);
            if !self.take(&Token::Comma) {
                self.expect(&Token::Close)?;
                return Ok(arguments);
            }
        }
    }

    fn unary(&mut self) -> Parsed {
        if !self.take_word("not") {
            return self.primary();
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("The filter is nested deeper than {DEPTH_MAX}."));
        }
        let operand = self.unary()?;
        self.depth -= 1;
        Ok(Expression::Not(operand.into()))
    }

    fn primary(&mut self) -> Parsed {
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err(self.unexpected());
        };
        match token {
            Token::String(text) => {
                self.tokens = rest;
                Ok(Expression::String(text.clone()))
            }
            Token::Open => {
                self.tokens = rest;
                let inner = self.or()?;
                self.expect(&Token::Close)?;
                Ok(inner)
            }
            Token::Word(word) if rest.first() == Some(&Token::Open) => {
                // `not(...)` and the like are handled before; what is left is a call.
                self.tokens = &rest[1..];
                self.call(word)
            }
            Token::Word(word) => {
                self.tokens = rest;
                Ok(atom(word))
            }
            Token::Close | Token::Comma => Err(self.unexpected()),
        }
    }

    fn call(&mut self, name: &str) -> Parsed {
        let arguments = self.arguments()?;
        let function = Function::ALL.iter().find(|(known, _)| *known == name);
        Ok(match function {
            Some(&(_, function)) if function.takes(arguments.len()) => {
                Expression::Call(function, arguments)
            }
            Some(&(_, function)) => Expression::BadCall(function, arguments),
            None => {
                let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
                Expression::Unknown(format!("{name}({})", arguments.join(",")))
            }
        })
    }

    fn count_operator(&mut self) -> Result<(), String> {
        self.operators += 1;
        match self.operators <= OPERATORS_MAX {
            true => Ok(()),
            false => Err(format!(
                "The filter has more than {OPERATORS_MAX} operators."
            )),
        }
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        match self.tokens.split_first() {
            Some((Token::Word(word), rest)) if word == wanted => {
                self.tokens = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn take(&mut self, wanted: &Token) -> bool {
        match self.tokens.split_first() {
            Some((token, rest)) if token == wanted => {
                self.tokens = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), String> {
        match self.take(wanted) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> String {
        match self.tokens.first() {
            Some(token) => format!("Unexpected {}.", token.describe()),
            None => "Unexpected end.".to_owned(),
        }
    }
}

/// Operators of OData that the language does not have.
fn is_foreign_operator(word: &str) -> bool {
    matches!(
        word,
        "add" | "sub" | "mul" | "div" | "divby" | "mod" | "has"
    )
}

fn atom(word: &str) -> Expression {
    let identifier = Identifier::ALL
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    match (word, identifier) {
        ("null", _) => Expression::Null,
        ("true", _) => Expression::Bool(true),
        ("false", _) => Expression::Bool(false),
        (_, Some((_, identifier))) => Expression::Identifier(*identifier),
        (_, None) => match word.parse() {
            Ok(number) => Expression::Int(number),
            Err(_) => Expression::Unknown(word.to_owned()),
        },
    }
}
