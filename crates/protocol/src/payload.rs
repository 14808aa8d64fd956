//! The user's data with its type.

use bytes::Bytes;

/// What the bytes of a [`Payload`] are. Source: client-protocols 3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// One JSON value as UTF-8, kept byte for byte.
    Json,
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
    /// A serialized `google.protobuf.Any`.
    Protobuf,
}

impl DataType {
    /// Parses a `dataType` value; letter case does not matter.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Text, Self::Binary, Self::Protobuf]
            .into_iter()
            .find(|data_type| name.eq_ignore_ascii_case(data_type.name()))
    }

    /// Returns the `dataType` value on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Protobuf => "protobuf",
        }
    }
}

/// The user's data with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What the bytes are.
    pub data_type: DataType,
    /// The bytes, shared by all receivers. Text may hold invalid UTF-8 when it came by REST (rest-api 2.1).
    pub data: Bytes,
}

impl Payload {
    /// Makes text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            data_type: DataType::Text,
            data: text.into().into(),
        }
    }

    /// Makes binary data.
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self {
            data_type: DataType::Binary,
            data: data.into(),
        }
    }

    /// Makes JSON of a value.
    ///
    /// # Errors
    ///
    /// The value cannot be written as JSON.
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self {
            data_type: DataType::Json,
            data: serde_json::to_vec(value)?.into(),
        })
    }

    /// Returns text or JSON as text; `None` for other types and for what is not UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self.data_type {
            DataType::Text | DataType::Json => std::str::from_utf8(&self.data).ok(),
            DataType::Binary | DataType::Protobuf => None,
        }
    }

    /// Tells whether it is nothing to answer an invocation with: empty, or the JSON value `null`. Official clients drop a frame with
    /// `"data":null` and would wait for ever. Source: client-protocols 3.9.
    pub(crate) fn is_nothing(&self) -> bool {
        let is_null = self.data_type == DataType::Json && self.data.trim_ascii() == b"null";
        self.data.is_empty() || is_null
    }
}

/// Tells whether `bytes` parse as a `google.protobuf.Any`: field 1 a UTF-8 string, field 2 bytes, others skipped.
pub fn is_any(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some(tag) = take_varint(&mut bytes) else {
            return false;
        };
        let (field, wire_type) = (tag >> 3, tag & 7);
        if field == 0 || tag > u64::from(u32::MAX) {
            return false;
        }
        let value = match wire_type {
            0 => take_varint(&mut bytes).map(|_| [].as_slice()),
            1 => take(&mut bytes, 8),
            2 => take_varint(&mut bytes).and_then(|len| take(&mut bytes, len)),
            5 => take(&mut bytes, 4),
            _ => None,
        };
        let Some(value) = value else { return false };
        let is_well_typed = match field {
            1 => wire_type == 2 && std::str::from_utf8(value).is_ok(),
            2 => wire_type == 2,
            _ => true,
        };
        if !is_well_typed {
            return false;
        }
    }
    true
}

/// Deepest nesting of arrays and objects in JSON that is accepted, by REST and from clients. Source: rest-api 6.
pub const JSON_DEPTH_MAX: usize = 64;

/// Tells whether `bytes` are exactly one JSON value in UTF-8, nested at most [`JSON_DEPTH_MAX`] deep.
pub fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
        && !is_too_deep(bytes)
}

/// Tells whether a valid JSON value is nested deeper than [`JSON_DEPTH_MAX`].
pub(crate) fn is_too_deep(json: &[u8]) -> bool {
    count_openings(json) > JSON_DEPTH_MAX && json_depth(json) > JSON_DEPTH_MAX
}

/// Counts brackets, in strings too. Nothing is nested deeper, and few values have many, so that this is mostly all there is to do.
/// Sums of bytes are what the compiler makes a few wide instructions of.
fn count_openings(json: &[u8]) -> usize {
    json.chunks(usize::from(u8::MAX))
        .map(|chunk| {
            let openings = chunk
                .iter()
                .map(|byte| u8::from(matches!(byte, b'[' | b'{')));
            usize::from(openings.sum::<u8>())
        })
        .sum()
}

/// Counts the nesting of a valid JSON value.
fn json_depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut is_in_string = false;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if is_in_string => {
                bytes.next();
            }
            b'"' => is_in_string = !is_in_string,
            b'[' | b'{' if !is_in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (value, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(value)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift.min(63);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
