//! The JSON form of CloudEvents. Source: events-and-operations 8.2; JSON event format of CloudEvents 1.0.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubwire_upstream::ListenerEvent;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::attributes::{attributes, media_type, metadata};

/// Appends the JSON object of an event, without a line break in it or behind it.
pub(crate) fn append(event: &ListenerEvent, text: &mut Vec<u8>) {
    serde_json::to_writer(text, &Structured(event))
        .expect("text has a JSON form, and a vector takes it");
}

struct Structured<'a>(&'a ListenerEvent);

impl Serialize for Structured<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(event) = self;
        let mut object = serializer.serialize_map(None)?;
        for (name, value) in attributes(event) {
            object.serialize_entry(name, value)?;
            if name == "specversion" {
                object.serialize_entry("id", &event.event.id.to_string())?;
            }
        }
        object.serialize_entry("datacontenttype", media_type(event))?;
        let metadata: BTreeMap<String, &str> = metadata(event).into_iter().collect();
        if !metadata.is_empty() {
            // An attribute is a text, and names of attributes hold letters and digits only, which those of entries need not.
            let text = serde_json::to_string(&metadata).map_err(serde::ser::Error::custom)?;
            object.serialize_entry("metadata", &text)?;
        }
        match Data::of(event) {
            Data::None => {}
            Data::Json(value) => object.serialize_entry("data", &value)?,
            Data::Text(text) => object.serialize_entry("data", text)?,
            Data::Binary(bytes) => {
                object.serialize_entry("data_base64", &STANDARD.encode(bytes))?;
            }
        }
        object.end()
    }
}

/// The data of an event as its media type wants it.
enum Data<'a> {
    None,
    Json(Box<RawValue>),
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Data<'a> {
    fn of(event: &'a ListenerEvent) -> Self {
        let body = &*event.event.body;
        if body.is_empty() {
            return match media_type(event) {
                "text/plain" => Self::Text(""),
                _ => Self::None,
            };
        }
        match (media_type(event), std::str::from_utf8(body)) {
            ("application/json", Ok(text)) => match RawValue::from_string(on_one_line(text)) {
                Ok(value) => Self::Json(value),
                Err(_) => Self::Binary(body),
            },
            ("text/plain", Ok(text)) => Self::Text(text),
            _ => Self::Binary(body),
        }
    }
}

/// Returns JSON with the same meaning on one line: a line break can only be white space in it.
fn on_one_line(json: &str) -> String {
    let text = json.trim();
    let text = match text.contains(['\r', '\n']) {
        true => Cow::Owned(text.replace(['\r', '\n'], " ")),
        false => Cow::Borrowed(text),
    };
    text.into_owned()
}
