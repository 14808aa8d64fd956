//! Lists, a page at a time, with authenticated continuation tokens. Source: rest-api 1.6.

use http_body_util::Full;
use hubwire_engine::{Action, ConnectionId, ListedConnection, ListedGroup, Reply, Target};
use hubwire_protocol::names::{GroupName, Hub};
use hubwire_protocol::rest::API_VERSIONS;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;

use super::Call;
use super::continuation::{self, TOKEN_MAX};
use super::error::RestError;
use crate::http::{Response, empty, with_header};

const PAGE_MAX: i32 = 200;

/// A page on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    value: Vec<T>,
    next_link: Option<String>,
}

/// A connection in the published list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    connection_id: String,
    user_id: Option<String>,
}

/// A connection in our own lists.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    connection_id: String,
    user_id: Option<String>,
    protocol: Option<String>,
    group_count: usize,
    age_seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    group: String,
    connection_count: usize,
}

/// What a request asks of a list.
struct Asked {
    page_size: usize,
    top: Option<usize>,
    /// The last item of the page before.
    after: Option<String>,
}

impl Asked {
    fn limit(&self) -> usize {
        self.top
            .map_or(self.page_size, |top| top.min(self.page_size))
    }
}

impl Call<'_> {
    /// Answers with the members of a group, as the published operation does.
    pub(super) async fn members(&self, hub: Hub, of: Target) -> Result<Response, RestError> {
        self.connections_page(hub, of, |connection, _| Member {
            connection_id: connection.id.to_string(),
            user_id: connection.user.map(|user| user.to_string()),
        })
        .await
    }

    /// Answers with connections and what is known of them.
    pub(super) async fn connections(&self, hub: Hub, of: Target) -> Result<Response, RestError> {
        self.connections_page(hub, of, |connection, now| Connection {
            connection_id: connection.id.to_string(),
            user_id: connection.user.map(|user| user.to_string()),
            protocol: connection.protocol,
            group_count: connection.group_count,
            age_seconds: now.since_ms(connection.since) / 1000,
        })
        .await
    }

    async fn connections_page<T: Serialize>(
        &self,
        hub: Hub,
        of: Target,
        show: impl Fn(ListedConnection, hubwire_engine::Time) -> T,
    ) -> Result<Response, RestError> {
        let asked = self.asked()?;
        let after = match &asked.after {
            None => None,
            Some(id) => Some(ConnectionId::parse(id).ok_or_else(invalid_token)?),
        };
        // One more tells whether there is a next page.
        let limit = asked.limit() + 1;
        let mut found = match self
            .ask(hub, Action::ListConnections { of, after, limit })
            .await?
        {
            Reply::Connections(found) => found,
            _ => Vec::new(),
        };
        found.sort_unstable_by_key(|connection| connection.id.text());
        let next_link = self.next_link(&asked, &found, |connection| connection.id.to_string());
        found.truncate(asked.limit());
        let now = self.app.node.clock.now();
        Ok(page(Page {
            value: found
                .into_iter()
                .map(|connection| show(connection, now))
                .collect(),
            next_link,
        }))
    }

    /// Answers with groups and how many of the target's connections are in each.
    pub(super) async fn groups(&self, hub: Hub, of: Target) -> Result<Response, RestError> {
        let asked = self.asked()?;
        let after = match &asked.after {
            None => None,
            Some(name) => Some(GroupName::new(name).map_err(|_| invalid_token())?),
        };
        let limit = asked.limit() + 1;
        let mut found = match self
            .ask(hub, Action::ListGroups { of, after, limit })
            .await?
        {
            Reply::Groups(found) => found,
            _ => Vec::new(),
        };
        found.sort_unstable_by(|a: &ListedGroup, b| a.name.cmp(&b.name));
        found.dedup_by(|later, earlier| {
            let is_same = later.name == earlier.name;
            if is_same {
                earlier.connections += later.connections;
            }
            is_same
        });
        let next_link = self.next_link(&asked, &found, |group| group.name.to_string());
        found.truncate(asked.limit());
        Ok(page(Page {
            value: found
                .into_iter()
                .map(|group| Group {
                    group: group.name.to_string(),
                    connection_count: group.connections,
                })
                .collect(),
            next_link,
        }))
    }

    fn asked(&self) -> Result<Asked, RestError> {
        let page_size = self.query.number("maxpagesize", 1..=PAGE_MAX)?;
        let top = self.query.number("top", 1..=i32::MAX)?;
        let mut tokens = self.query.all("continuationToken");
        let after = match (tokens.next(), tokens.next()) {
            (None, _) => None,
            (Some(token), None) if (1..=TOKEN_MAX).contains(&token.len()) => {
                Some(self.open_token(token)?)
            }
            (Some(_), _) => return Err(invalid_token()),
        };
        Ok(Asked {
            page_size: page_size.unwrap_or(PAGE_MAX) as usize,
            top: top.map(|top| top as usize),
            after,
        })
    }

    /// Returns the link to the next page, if there are more items than this page shows and the caller wants them.
    fn next_link<T>(
        &self,
        asked: &Asked,
        found: &[T],
        key: impl Fn(&T) -> String,
    ) -> Option<String> {
        let shown = asked.limit();
        let rest = asked.top.map(|top| top - shown);
        if found.len() <= shown || rest == Some(0) {
            return None;
        }
        let token = self.seal_token(&key(&found[shown - 1]));
        let version = API_VERSIONS[API_VERSIONS.len() - 1];
        let mut link = format!(
            "{}?api-version={version}&maxpagesize={}&continuationToken={token}",
            self.origin.url(self.parts.uri.path()),
            asked.page_size
        );
        if let Some(rest) = rest {
            link.push_str(&format!("&top={rest}"));
        }
        Some(link)
    }

    fn seal_token(&self, last: &str) -> String {
        let hub = self.params.hub.to_ascii_lowercase();
        continuation::seal(self.app.auth.continuation_key(), &self.list(&hub), last)
    }

    fn open_token(&self, token: &str) -> Result<String, RestError> {
        let hub = self.params.hub.to_ascii_lowercase();
        continuation::open(self.app.auth.continuation_key(), &self.list(&hub), token)
            .ok_or_else(invalid_token)
    }

    /// Returns what tells the list that is asked for from all others.
    fn list<'a>(&'a self, hub: &'a str) -> [&'a str; 5] {
        let params = self.params;
        let category = self.operation.category();
        [
            category,
            hub,
            &params.group,
            &params.user,
            &params.connection,
        ]
    }
}

fn page<T: Serialize>(page: Page<T>) -> Response {
    json(&page)
}

/// Makes a good answer with a JSON body.
pub(super) fn json<T: Serialize>(body: &T) -> Response {
    let mut response = empty(StatusCode::OK);
    let body = serde_json::to_vec(body).expect("strings and numbers always serialize into memory");
    *response.body_mut() = Full::from(body);
    with_header(response, CONTENT_TYPE, "application/json; charset=utf-8")
}

fn invalid_token() -> RestError {
    RestError::bad_request("Invalid continuationToken.").with_target("continuationToken")
}
