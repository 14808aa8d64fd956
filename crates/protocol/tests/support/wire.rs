//! The wire format of protocol buffers, as much of it as the tests need and without the codec's library.

#![allow(dead_code, reason = "each test file uses a part of it")]

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Varint(u64),
    Len(Vec<u8>),
}

/// Bytes as hexadecimal digits, and between `'` as text.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        for byte in part.split_whitespace() {
            assert_eq!(byte.len(), 2, "{text}");
            bytes.push(u8::from_str_radix(byte, 16).expect("two hexadecimal digits"));
        }
    }
    bytes
}

/// A field that is a number.
pub(crate) fn varint(field: u32, number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_varint(&mut bytes, u64::from(field) << 3);
    push_varint(&mut bytes, number);
    bytes
}

/// A field that is text or bytes.
pub(crate) fn len(field: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let mut bytes = Vec::new();
    push_varint(&mut bytes, u64::from(field) << 3 | 2);
    push_varint(&mut bytes, value.len() as u64);
    bytes.extend_from_slice(value);
    bytes
}

/// A field that is a message of these fields.
pub(crate) fn message(field: u32, fields: &[Vec<u8>]) -> Vec<u8> {
    len(field, fields.concat())
}

/// A field that is an entry of a map.
pub(crate) fn entry(field: u32, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    message(field, &[len(1, key), len(2, value)])
}

/// The fields of a message, in their order.
pub(crate) fn fields(mut message: &[u8]) -> Vec<(u32, Value)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = take_varint(&mut message);
        let number = take_varint(&mut message);
        let value = match tag & 7 {
            0 => Value::Varint(number),
            2 => {
                let (value, rest) = message.split_at(number as usize);
                message = rest;
                Value::Len(value.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push(((tag >> 3) as u32, value));
    }
    fields
}

fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return number;
        }
    }
    panic!("a varint has at most 10 bytes");
}
