//! Which crate may use which. The table is the architecture; the rest of the file checks it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Every crate of the workspace with the crates of the workspace it may use. Dependencies of
/// tests are free.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hubwire-protocol", &[]),
    ("hubwire-ws", &[]),
    ("hubwire-engine", &["hubwire-protocol"]),
    ("hubwire-backplane", &["hubwire-engine", "hubwire-protocol"]),
    ("hubwire-upstream", &["hubwire-protocol"]),
    ("hubwire-sinks", &["hubwire-upstream"]),
    (
        "hubwire-server",
        &[
            "hubwire-protocol",
            "hubwire-ws",
            "hubwire-engine",
            "hubwire-backplane",
            "hubwire-upstream",
            "hubwire-sinks",
        ],
    ),
    (
        "hubwire-cli",
        &["hubwire-server", "hubwire-protocol", "hubwire-client"],
    ),
    ("hubwire-service-client", &["hubwire-protocol"]),
    ("hubwire-client", &["hubwire-protocol"]),
    ("hubwire-event-handler", &["hubwire-protocol"]),
    ("hubwire-bench", &["hubwire-protocol"]),
    ("hubwire-simulator", &["hubwire-engine", "hubwire-protocol"]),
    ("xtask", &[]),
];

/// Crates without input and output, which therefore reach no runtime, directly or otherwise.
const PURE: &[&str] = &["hubwire-protocol", "hubwire-ws", "hubwire-engine"];
const RUNTIMES: &[&str] = &["tokio", "mio", "hyper"];

/// Names every dependency that the tables do not allow.
pub(super) fn check(metadata: &Value) -> Vec<String> {
    let graph = Graph::read(metadata);
    let mut faults = check_arrows(&graph);
    for package in PURE {
        for runtime in RUNTIMES {
            if let Some(path) = graph.path(package, runtime) {
                faults.push(format!(
                    "{package} reaches {runtime}: {}",
                    path.join(" -> ")
                ));
            }
        }
    }
    faults
}

fn check_arrows(graph: &Graph<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for &member in &graph.members {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member) else {
            faults.push(format!(
                "crate {member} has no row in the table of allowed arrows"
            ));
            continue;
        };
        for used in graph.uses(member) {
            if graph.members.contains(used) && !allowed.contains(&used) {
                faults.push(format!("crate {member} may not use {used}"));
            }
        }
    }
    faults
}

/// Package names and, for each, the names it needs to be built (not tested). Two versions of one
/// package are one node, which can only make the check stricter.
struct Graph<'a> {
    members: BTreeSet<&'a str>,
    edges: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Self {
        let names: BTreeMap<&str, &str> = array(&metadata["packages"])
            .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
            .collect();
        let name = |id: &'a Value| names.get(id.as_str()?).copied();

        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for node in array(&metadata["resolve"]["nodes"]) {
            let Some(from) = name(&node["id"]) else {
                continue;
            };
            let needed = array(&node["deps"]).filter(|dependency| !is_for_tests_only(dependency));
            let needed = needed.filter_map(|dependency| name(&dependency["pkg"]));
            edges.entry(from).or_default().extend(needed);
        }
        Self {
            members: array(&metadata["workspace_members"])
                .filter_map(name)
                .collect(),
            edges,
        }
    }

    fn uses(&self, package: &str) -> impl Iterator<Item = &'a str> + '_ {
        self.edges.get(package).into_iter().flatten().copied()
    }

    /// A shortest chain of dependencies between two packages.
    fn path(&self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut seen = BTreeSet::from([from]);
        let mut paths = vec![vec![from]];
        while !paths.is_empty() {
            let mut longer = Vec::new();
            for path in paths {
                let last = path[path.len() - 1];
                if last == to {
                    return Some(path);
                }
                for next in self.uses(last).filter(|next| seen.insert(next)) {
                    let mut extended = path.clone();
                    extended.push(next);
                    longer.push(extended);
                }
            }
            paths = longer;
        }
        None
    }
}

fn is_for_tests_only(dependency: &Value) -> bool {
    array(&dependency["dep_kinds"]).all(|kind| kind["kind"] == "dev")
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Metadata of a workspace given as `from > to`, `from >dev to` lines; names with a hyphen
    /// are its members.
    fn check_lines(lines: &[&str]) -> Vec<String> {
        let mut nodes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for line in lines {
            let (from, to) = line.split_once(" >").expect("a line holds an arrow");
            let (kind, to) = to.split_once(' ').expect("a space follows the arrow");
            let kind = if kind.is_empty() {
                Value::Null
            } else {
                kind.into()
            };
            nodes.entry(to).or_default();
            nodes
                .entry(from)
                .or_default()
                .push(json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] }));
        }
        let names: Vec<&str> = nodes.keys().copied().collect();
        let members: Vec<&&str> = names.iter().filter(|name| name.contains('-')).collect();
        check(&json!({
            "packages": names.iter().map(|name| json!({ "id": name, "name": name })).collect::<Vec<_>>(),
            "workspace_members": members,
            "resolve": { "nodes": nodes.iter().map(|(id, deps)| json!({ "id": id, "deps": deps })).collect::<Vec<_>>() },
        }))
    }

    #[test]
    fn an_allowed_arrow_passes() {
        assert!(check_lines(&["hubwire-engine > hubwire-protocol"]).is_empty());
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_a_fault() {
        let faults = check_lines(&["hubwire-protocol > hubwire-engine"]);
        assert_eq!(
            faults,
            ["crate hubwire-protocol may not use hubwire-engine"]
        );
    }

    #[test]
    fn tests_may_use_what_they_like() {
        assert!(
            check_lines(&["hubwire-ws >dev hubwire-server", "hubwire-ws >dev tokio"]).is_empty()
        );
    }

    #[test]
    fn a_runtime_behind_another_package_is_found() {
        let faults = check_lines(&["hubwire-ws > helper", "helper > tokio"]);
        assert_eq!(
            faults,
            ["hubwire-ws reaches tokio: hubwire-ws -> helper -> tokio"]
        );
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        let faults = check_lines(&["hubwire-new > serde"]);
        assert_eq!(
            faults,
            ["crate hubwire-new has no row in the table of allowed arrows"]
        );
    }
}
