//! Lists of connections and groups, a page at a time. Source: rest-api 1.6.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use hubwire_protocol::names::{GroupName, Hub};

use crate::command::Target;
use crate::connection_id::ConnectionId;
use crate::output::{ListedConnection, ListedGroup};
use crate::shard::Shard;

impl Shard {
    /// Returns the next connections of a target behind `after`, in the order of their ids as text.
    pub(crate) fn list_connections(
        &self,
        hub: &Hub,
        of: &Target,
        after: Option<&ConnectionId>,
        limit: usize,
    ) -> Vec<ListedConnection> {
        let after = after.map(ConnectionId::text);
        let mut ids = Vec::new();
        self.for_each(hub, of, |receiver| {
            if let Some(id) = self.id_of(receiver.slot) {
                let text = id.text();
                if after.is_none_or(|after| text > after) {
                    ids.push((text, id));
                }
            }
        });
        let by_text = |a: &([u8; 32], _), b: &([u8; 32], _)| a.0.cmp(&b.0);
        keep_smallest(&mut ids, limit, by_text);
        ids.into_iter()
            .filter_map(|(_, id)| {
                let connection = self.registry.get(id.slot)?;
                Some(ListedConnection {
                    id,
                    user: connection.user.clone(),
                    protocol: connection.protocol().map(str::to_owned),
                    group_count: connection.group_count(),
                    since: connection.since,
                })
            })
            .collect()
    }

    /// Returns the next groups that the target's connections are in, behind `after`, in the order of their names.
    pub(crate) fn list_groups(
        &self,
        hub: &Hub,
        of: &Target,
        after: Option<&GroupName>,
        limit: usize,
    ) -> Vec<ListedGroup> {
        let is_behind = |name: &GroupName| after.is_none_or(|after| name > after);
        let mut groups: Vec<(&GroupName, usize)> = match of {
            Target::All => self
                .registry
                .groups_of_hub(hub)
                .filter(|(name, _)| is_behind(name))
                .collect(),
            Target::Group(_) | Target::User(_) | Target::Connection(_) | Target::Watchers(_) => {
                let mut counts = BTreeMap::new();
                self.for_each(hub, of, |receiver| {
                    let names = self.registry.groups_of_connection(receiver.slot);
                    for name in names.filter(|name| is_behind(name)) {
                        *counts.entry(name).or_insert(0) += 1;
                    }
                });
                counts.into_iter().collect()
            }
        };
        keep_smallest(&mut groups, limit, |a, b| a.0.cmp(b.0));
        groups
            .into_iter()
            .map(|(name, connections)| ListedGroup {
                name: name.clone(),
                connections,
            })
            .collect()
    }
}

/// Sorts, and keeps the first `limit`, without sorting the rest.
fn keep_smallest<T>(items: &mut Vec<T>, limit: usize, compare: impl Fn(&T, &T) -> Ordering) {
    if limit < items.len() {
        if limit > 0 {
            items.select_nth_unstable_by(limit - 1, &compare);
        }
        items.truncate(limit);
    }
    items.sort_unstable_by(compare);
}
