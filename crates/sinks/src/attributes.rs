//! What every form of an event says of it. Source: events-and-operations 8.1.

use hubwire_upstream::ListenerEvent;

/// What comes before the name of a metadata entry where it is a header. Source: events-and-operations 8.1.
pub(crate) const METADATA_PREFIX: &str = "x-webpubsub-metadata-";

/// An attribute: its name in CloudEvents and its value.
pub(crate) type Attribute<'a> = (&'static str, &'a str);

/// Returns the attributes of an event but `id` and `datacontenttype`; those that are not set are absent.
pub(crate) fn attributes(event: &ListenerEvent) -> impl Iterator<Item = Attribute<'_>> {
    let inner = &*event.event;
    let always = [
        ("specversion", "1.0"),
        ("type", &*inner.kind),
        ("source", &*inner.source),
        ("time", &*inner.time),
        ("awpsversion", "1.0"),
        ("hub", inner.hub.as_str()),
        ("eventname", &*inner.event_name),
        ("connectionid", &*inner.connection_id),
    ];
    let sometimes = [
        ("userid", inner.user.as_ref().map(|user| user.as_str())),
        ("subprotocol", inner.subprotocol.as_deref()),
        ("connectionstate", event.connection_state.as_deref()),
    ];
    let sometimes = sometimes
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    always.into_iter().chain(sometimes)
}

/// Returns the media type of an event's data without parameters, as listeners get it.
pub(crate) fn media_type(event: &ListenerEvent) -> &str {
    let content_type = event.event.content_type;
    content_type
        .split_once(';')
        .map_or(content_type, |(media_type, _)| media_type)
}

/// Returns the metadata with keys in lower case; among keys equal ignoring case the last wins. Source: events-and-operations 4.
pub(crate) fn metadata(event: &ListenerEvent) -> Vec<(String, &str)> {
    let mut entries: Vec<(String, &str)> = Vec::new();
    for (key, value) in event.event.metadata.iter() {
        let key = key.to_ascii_lowercase();
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => entries.push((key, value)),
        }
    }
    entries
}

/// Returns what is unique among all events: the counter of a connection's events starts anew in each.
pub(crate) fn global_id(event: &ListenerEvent) -> String {
    format!("{}/{}", event.event.connection_id, event.event.id)
}
