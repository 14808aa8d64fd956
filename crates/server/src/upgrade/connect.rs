//! The event `connect`: a handler decides whether a client may connect, and as whom. Source: events-and-operations 5.1,
//! client-protocols 1.4 and 1.6.

use hubwire_protocol::event::{ConnectAnswer, ConnectRefusal, ConnectRequest, Event, EventKind};
use hubwire_protocol::http::Query;
use hubwire_protocol::names::{Hub, UserId};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, StatusCode};

use super::{Admission, Refusal, refuse};
use crate::clock::unix_milliseconds;
use crate::http::Peer;

/// Makes the event of a client's handshake.
pub(super) fn event(
    hub: &Hub,
    connection_id: &str,
    admission: &Admission,
    request: &Request<Incoming>,
    offered: &[String],
    peer: &Peer,
) -> Event {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let is_shown = |(name, _): &(String, Vec<String>)| !name.eq_ignore_ascii_case("access_token");
    let connect = ConnectRequest {
        claims: admission.claims.clone(),
        query: query.entries().into_iter().filter(is_shown).collect(),
        headers: headers(request.headers()),
        subprotocols: offered.to_vec(),
        client_certificates: peer.certificates.for_handler(),
    };
    Event {
        hub: hub.clone(),
        connection_id: connection_id.into(),
        user: admission.user.clone(),
        subprotocol: None,
        id: 0,
        time: unix_milliseconds(),
        kind: EventKind::Connect(Box::new(connect)),
    }
}

/// Lets a client in as a handler has decided. Returns the subprotocol that it has chosen, in the client's spelling.
pub(super) fn apply<'o>(
    answer: Result<ConnectAnswer, ConnectRefusal>,
    admission: &mut Admission,
    offered: &'o [String],
) -> Result<Option<&'o str>, Refusal> {
    let answer = answer.map_err(|refusal| match refusal {
        // Not a refusal but the begin of something else.
        ConnectRefusal::Rejected { status, .. } if status < 200 => failed(),
        ConnectRefusal::Rejected { status, body } => refuse(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body.unwrap_or_default(),
        ),
        ConnectRefusal::Failed => failed(),
    })?;
    if let Some(user) = answer.user_id {
        admission.user = match user.as_str() {
            "" => None,
            user => Some(UserId::new(user).map_err(|_| failed())?),
        };
    }
    if let Some(roles) = answer.roles {
        admission.roles = roles;
    }
    if let Some(groups) = answer.groups {
        admission.groups = groups;
    }
    let Some(chosen) = answer.subprotocol else {
        return Ok(None);
    };
    let is_it = |offered: &&String| offered.eq_ignore_ascii_case(&chosen);
    match offered.iter().find(is_it) {
        Some(offered) => Ok(Some(offered)),
        None => Err(failed()),
    }
}

fn failed() -> Refusal {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "")
}

/// Returns the headers for a handler: names as they are usually written, without those that prove who the client is and those that
/// handlers get from the service itself.
fn headers(headers: &HeaderMap) -> Vec<(String, Vec<String>)> {
    headers
        .keys()
        .filter(|name| is_shown(name.as_str()))
        .map(|name| {
            let values = headers.get_all(name).iter();
            let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            (usual_spelling(name.as_str()), values.collect())
        })
        .collect()
}

fn is_shown(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["ce-", "webhook-", "x-webpubsub-"];
    !matches!(name, "authorization" | "proxy-authorization")
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Writes a lower-case header name as clients do: handlers look names up as texts.
fn usual_spelling(name: &str) -> String {
    let word = |word: &str| match word {
        "websocket" => "WebSocket".to_owned(),
        word => {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_ascii_uppercase().to_string() + letters.as_str()
            })
        }
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_written_as_clients_write_them() {
        for name in [
            "User-Agent",
            "Cookie",
            "Sec-WebSocket-Key",
            "X-Forwarded-For",
        ] {
            assert_eq!(usual_spelling(&name.to_ascii_lowercase()), name);
        }
    }

    #[test]
    fn credentials_and_names_of_the_service_are_not_shown() {
        for name in ["authorization", "ce-userid", "webhook-request-origin"] {
            assert!(!is_shown(name), "{name}");
        }
        assert!(is_shown("cookie"));
    }
}
