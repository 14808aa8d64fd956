//! Filters that choose connections, with values quoted so that they can hold anything.
//!
//! [`odata!`](crate::odata) puts values into a filter written by hand; [`user_id`], [`connection_id`], [`protocol`] and [`in_group`]
//! build one from parts.
//!
//! ```
//! use hubwire_service_client::{filter, odata};
//!
//! let user = "O'Brien";
//! let filter = odata!("userId eq {} and not ({} in groups)", user, "muted");
//! assert_eq!(filter, "userId eq 'O''Brien' and not ('muted' in groups)");
//!
//! let filter = filter::user_id().eq("O'Brien").and(filter::in_group("muted").not());
//! assert_eq!(filter.to_string(), "(userId eq 'O''Brien') and (not ('muted' in groups))");
//! ```

use std::fmt;

/// A value in a filter.
pub trait Value {
    /// Writes the value as a literal of the filter language.
    ///
    /// ```
    /// use hubwire_service_client::filter::{Quoted, Value};
    /// assert_eq!(Quoted(&"it's").to_string(), "'it''s'");
    /// assert_eq!(Quoted(&None::<&str>).to_string(), "null");
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the formatter.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Shows a [`Value`] as a literal. The macro [`odata!`](crate::odata) wraps every value in one.
pub struct Quoted<'v, V: ?Sized>(pub &'v V);

impl<V: Value + ?Sized> fmt::Display for Quoted<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

impl Value for str {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.replace('\'', "''"))
    }
}

impl Value for String {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().write(f)
    }
}

impl<V: Value + ?Sized> Value for &V {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).write(f)
    }
}

/// `None` is `null`.
impl<V: Value> Value for Option<V> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.write(f),
            None => f.write_str("null"),
        }
    }
}

/// A list for `in`, such as `('a','b')`.
impl<V: Value> Value for [V] {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, value) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            value.write(f)?;
        }
        f.write_str(")")
    }
}

impl<V: Value, const N: usize> Value for [V; N] {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().write(f)
    }
}

impl<V: Value> Value for Vec<V> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().write(f)
    }
}

macro_rules! plain_value {
    ($($type:ty),*) => {
        $(impl Value for $type {
            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        })*
    };
}

plain_value!(bool, i32, i64, u32);

/// Makes a filter of a template, in which each `{}` becomes a quoted value. See [`mod@crate::filter`].
///
/// A name inside the braces is refused by the compiler, so no value gets in without quotes.
///
/// ```
/// use hubwire_service_client::odata;
/// let nobody: Option<&str> = None;
/// assert_eq!(odata!("userId eq {}", nobody), "userId eq null");
/// assert_eq!(odata!("userId in {}", ["a", "b"]), "userId in ('a','b')");
/// ```
///
/// ```compile_fail
/// use hubwire_service_client::odata;
/// let user = "' or true or '";
/// let filter = odata!("userId eq {user}");
/// ```
#[macro_export]
macro_rules! odata {
    ($template:literal $(, $value:expr)* $(,)?) => {
        ::std::format!(::std::concat!($template) $(, $crate::filter::Quoted(&$value))*)
    };
}

/// What a comparison is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand(&'static str);

/// The id of the connection.
///
/// ```
/// # use hubwire_service_client::filter;
/// assert_eq!(filter::connection_id().ne("c1").to_string(), "connectionId ne 'c1'");
/// ```
pub fn connection_id() -> Operand {
    Operand("connectionId")
}

/// The user of the connection.
///
/// ```
/// # use hubwire_service_client::filter;
/// assert_eq!(filter::user_id().eq(None::<&str>).to_string(), "userId eq null");
/// ```
pub fn user_id() -> Operand {
    Operand("userId")
}

/// The subprotocol of the connection. The Azure service may not know it.
///
/// ```
/// # use hubwire_service_client::filter;
/// assert_eq!(filter::protocol().eq(None::<&str>).to_string(), "protocol eq null");
/// ```
pub fn protocol() -> Operand {
    Operand("protocol")
}

/// Connections that are in a group.
///
/// ```
/// # use hubwire_service_client::filter;
/// assert_eq!(filter::in_group("room").to_string(), "'room' in groups");
/// ```
pub fn in_group(name: &str) -> Filter {
    Filter(format!("{} in groups", Quoted(name)))
}

impl Operand {
    /// Is equal to the value; `None` for none at all.
    ///
    /// ```
    /// # use hubwire_service_client::filter;
    /// assert_eq!(filter::user_id().eq("alice").to_string(), "userId eq 'alice'");
    /// ```
    pub fn eq(self, value: impl Value) -> Filter {
        Filter(format!("{} eq {}", self.0, Quoted(&value)))
    }

    /// Is not equal to the value.
    ///
    /// ```
    /// # use hubwire_service_client::filter;
    /// assert_eq!(filter::user_id().ne("alice").to_string(), "userId ne 'alice'");
    /// ```
    pub fn ne(self, value: impl Value) -> Filter {
        Filter(format!("{} ne {}", self.0, Quoted(&value)))
    }

    /// Is one of the values.
    ///
    /// ```
    /// # use hubwire_service_client::filter;
    /// assert_eq!(filter::user_id().one_of(&["a", "b"]).to_string(), "userId in ('a','b')");
    /// ```
    pub fn one_of<V: Value>(self, values: &[V]) -> Filter {
        Filter(format!("{} in {}", self.0, Quoted(values)))
    }

    /// Begins with the text.
    ///
    /// ```
    /// # use hubwire_service_client::filter;
    /// assert_eq!(filter::user_id().starts_with("guest-").to_string(), "startswith(userId,'guest-')");
    /// ```
    pub fn starts_with(self, text: &str) -> Filter {
        Filter(format!("startswith({},{})", self.0, Quoted(text)))
    }
}

/// A filter built from parts. [`ToString`] gives what options take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Both hold.
    ///
    /// ```
    /// # use hubwire_service_client::filter::in_group;
    /// assert_eq!(in_group("a").and(in_group("b")).to_string(), "('a' in groups) and ('b' in groups)");
    /// ```
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(format!("({self}) and ({other})"))
    }

    /// At least one holds.
    ///
    /// ```
    /// # use hubwire_service_client::filter::in_group;
    /// assert_eq!(in_group("a").or(in_group("b")).to_string(), "('a' in groups) or ('b' in groups)");
    /// ```
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(format!("({self}) or ({other})"))
    }

    /// It does not hold.
    ///
    /// ```
    /// # use hubwire_service_client::filter::in_group;
    /// assert_eq!(in_group("a").not().to_string(), "not ('a' in groups)");
    /// ```
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a word of the filter language, like the other two"
    )]
    pub fn not(self) -> Self {
        Self(format!("not ({self})"))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}
