use hubwire_protocol::http::decode_path;
use hyper::Method;

use crate::identity::DataAction;

/// What a request asks for. Source: rest-api 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Health,
    GenerateClientToken,
    SendToAll,
    CloseAllConnections,
    AddConnectionsToGroups,
    RemoveConnectionsFromGroups,
    ConnectionExists,
    CloseConnection,
    SendToConnection,
    RemoveConnectionFromAllGroups,
    GroupExists,
    SendToGroup,
    CloseGroupConnections,
    ListConnectionsInGroup,
    AddConnectionToGroup,
    RemoveConnectionFromGroup,
    UserExists,
    SendToUser,
    CloseUserConnections,
    AddUserToGroup,
    RemoveUserFromGroup,
    RemoveUserFromAllGroups,
    GrantPermission,
    CheckPermission,
    RevokePermission,
    // Ours: read-only listing beyond the published plane.
    CountConnections,
    ListConnections,
    ListGroups,
    ListGroupsOfConnection,
    CountConnectionsInGroup,
    CountConnectionsOfUser,
    ListConnectionsOfUser,
    ListGroupsOfUser,
}

impl Operation {
    /// Returns the official category of its metric. Source: events-and-operations 10.2.
    pub(super) fn category(self) -> &'static str {
        match self {
            Self::Health => "HealthCheck",
            Self::GenerateClientToken => "GenerateClientToken",
            Self::SendToAll => "SendToAll",
            Self::CloseAllConnections => "CloseAllConnections",
            Self::AddConnectionsToGroups => "AddConnectionsToGroups",
            Self::RemoveConnectionsFromGroups => "RemoveConnectionsFromGroups",
            Self::ListConnectionsInGroup => "ListConnectionsInGroup",
            Self::CountConnections => "CountConnections",
            Self::ListConnections => "ListConnections",
            Self::ListGroups => "ListGroups",
            Self::ListGroupsOfConnection => "ListGroupsOfConnection",
            Self::CountConnectionsInGroup => "CountConnectionsInGroup",
            Self::CountConnectionsOfUser => "CountConnectionsOfUser",
            Self::ListConnectionsOfUser => "ListConnectionsOfUser",
            Self::ListGroupsOfUser => "ListGroupsOfUser",
            Self::ConnectionExists => "CheckConnectionExists",
            Self::CloseConnection => "CloseConnection",
            Self::SendToConnection => "SendToConnection",
            Self::RemoveConnectionFromAllGroups => "RemoveConnectionFromAllGroups",
            Self::GroupExists => "CheckGroupExists",
            Self::SendToGroup => "SendToGroup",
            Self::CloseGroupConnections => "CloseGroupConnections",
            Self::AddConnectionToGroup => "AddConnectionToGroup",
            Self::RemoveConnectionFromGroup => "RemoveConnectionFromGroup",
            Self::UserExists => "CheckUserExists",
            Self::SendToUser => "SendToUser",
            Self::CloseUserConnections => "CloseUserConnections",
            Self::AddUserToGroup => "AddUserToGroup",
            Self::RemoveUserFromGroup => "RemoveUserFromGroup",
            Self::RemoveUserFromAllGroups => "RemoveUserFromAllGroups",
            Self::GrantPermission => "GrantPermission",
            Self::CheckPermission => "CheckPermission",
            Self::RevokePermission => "RevokePermission",
        }
    }

    /// Returns what an identity has to be allowed to do, if anything. Source: rest-api 3.6; ours are like the official ones about the
    /// same.
    pub(super) fn data_action(self) -> Option<DataAction> {
        Some(match self {
            Self::Health => return None,
            Self::GenerateClientToken => DataAction::GenerateClientToken,
            Self::SendToAll => DataAction::SendToHub,
            Self::SendToGroup => DataAction::SendToGroup,
            Self::SendToUser => DataAction::SendToUser,
            Self::SendToConnection => DataAction::SendToConnection,
            Self::ConnectionExists
            | Self::CheckPermission
            | Self::CountConnections
            | Self::ListConnections => DataAction::ReadConnection,
            Self::CloseAllConnections
            | Self::CloseConnection
            | Self::CloseGroupConnections
            | Self::CloseUserConnections
            | Self::GrantPermission
            | Self::RevokePermission => DataAction::WriteConnection,
            Self::GroupExists
            | Self::ListConnectionsInGroup
            | Self::CountConnectionsInGroup
            | Self::ListGroups
            | Self::ListGroupsOfConnection
            | Self::ListGroupsOfUser => DataAction::ReadGroup,
            Self::AddConnectionsToGroups
            | Self::RemoveConnectionsFromGroups
            | Self::RemoveConnectionFromAllGroups
            | Self::AddConnectionToGroup
            | Self::RemoveConnectionFromGroup
            | Self::AddUserToGroup
            | Self::RemoveUserFromGroup
            | Self::RemoveUserFromAllGroups => DataAction::WriteGroup,
            Self::UserExists | Self::CountConnectionsOfUser | Self::ListConnectionsOfUser => {
                DataAction::ReadUser
            }
        })
    }
}

/// The decoded variable segments of a path, unchecked; those that the path does not have are empty.
#[derive(Debug, Default)]
pub(super) struct Params {
    pub(super) hub: String,
    pub(super) group: String,
    pub(super) user: String,
    pub(super) connection: String,
    pub(super) permission: String,
}

type Row = &'static [(Method, Operation)];

/// Finds the operations of a path.
pub(super) fn resolve(raw_path: &str, keep_encoded_slash: bool) -> Option<(Params, Row)> {
    let segments = decode_path(raw_path, keep_encoded_slash);
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let mut params = Params::default();
    let row = match segments.as_slice() {
        ["api", "health"] => HEALTH,
        ["api", "hubs", hub, rest @ ..] => {
            params.hub = (*hub).to_owned();
            resolve_in_hub(rest, &mut params)?
        }
        _ => return None,
    };
    Some((params, row))
}

fn resolve_in_hub(segments: &[&str], params: &mut Params) -> Option<Row> {
    let row = match *segments {
        [":generateToken"] => GENERATE_TOKEN,
        [":send"] => SEND_TO_ALL,
        [":closeConnections"] => CLOSE_ALL,
        [":addToGroups"] => ADD_TO_GROUPS,
        [":removeFromGroups"] => REMOVE_FROM_GROUPS,
        [":count"] => COUNT,
        ["connections"] => CONNECTIONS,
        ["groups"] => GROUPS,
        ["connections", connection, ref rest @ ..] => {
            params.connection = connection.to_owned();
            match *rest {
                [] => CONNECTION,
                [":send"] => SEND_TO_CONNECTION,
                ["groups"] => CONNECTION_GROUPS,
                _ => return None,
            }
        }
        ["groups", group, ref rest @ ..] => {
            params.group = group.to_owned();
            match *rest {
                [] => GROUP,
                [":send"] => SEND_TO_GROUP,
                [":closeConnections"] => CLOSE_GROUP,
                [":count"] => COUNT_GROUP,
                ["connections"] => GROUP_CONNECTIONS,
                ["connections", connection] => {
                    params.connection = connection.to_owned();
                    GROUP_CONNECTION
                }
                _ => return None,
            }
        }
        ["users", user, ref rest @ ..] => {
            params.user = user.to_owned();
            match *rest {
                [] => USER,
                [":send"] => SEND_TO_USER,
                [":closeConnections"] => CLOSE_USER,
                [":count"] => COUNT_USER,
                ["connections"] => USER_CONNECTIONS,
                ["groups"] => USER_GROUPS,
                ["groups", group] => {
                    params.group = group.to_owned();
                    USER_GROUP
                }
                _ => return None,
            }
        }
        ["permissions", permission, "connections", connection] => {
            params.permission = permission.to_owned();
            params.connection = connection.to_owned();
            PERMISSION
        }
        _ => return None,
    };
    Some(row)
}

const HEALTH: Row = &[
    (Method::HEAD, Operation::Health),
    (Method::GET, Operation::Health),
];
const GENERATE_TOKEN: Row = &[(Method::POST, Operation::GenerateClientToken)];
const SEND_TO_ALL: Row = &[(Method::POST, Operation::SendToAll)];
const CLOSE_ALL: Row = &[(Method::POST, Operation::CloseAllConnections)];
const ADD_TO_GROUPS: Row = &[(Method::POST, Operation::AddConnectionsToGroups)];
const REMOVE_FROM_GROUPS: Row = &[(Method::POST, Operation::RemoveConnectionsFromGroups)];
const COUNT: Row = &[(Method::GET, Operation::CountConnections)];
const CONNECTIONS: Row = &[(Method::GET, Operation::ListConnections)];
const GROUPS: Row = &[(Method::GET, Operation::ListGroups)];
const CONNECTION: Row = &[
    (Method::HEAD, Operation::ConnectionExists),
    (Method::DELETE, Operation::CloseConnection),
];
const SEND_TO_CONNECTION: Row = &[(Method::POST, Operation::SendToConnection)];
const CONNECTION_GROUPS: Row = &[
    (Method::DELETE, Operation::RemoveConnectionFromAllGroups),
    (Method::GET, Operation::ListGroupsOfConnection),
];
const GROUP: Row = &[(Method::HEAD, Operation::GroupExists)];
const SEND_TO_GROUP: Row = &[(Method::POST, Operation::SendToGroup)];
const CLOSE_GROUP: Row = &[(Method::POST, Operation::CloseGroupConnections)];
const COUNT_GROUP: Row = &[(Method::GET, Operation::CountConnectionsInGroup)];
const GROUP_CONNECTIONS: Row = &[(Method::GET, Operation::ListConnectionsInGroup)];
const GROUP_CONNECTION: Row = &[
    (Method::PUT, Operation::AddConnectionToGroup),
    (Method::DELETE, Operation::RemoveConnectionFromGroup),
];
const USER: Row = &[(Method::HEAD, Operation::UserExists)];
const SEND_TO_USER: Row = &[(Method::POST, Operation::SendToUser)];
const CLOSE_USER: Row = &[(Method::POST, Operation::CloseUserConnections)];
const COUNT_USER: Row = &[(Method::GET, Operation::CountConnectionsOfUser)];
const USER_CONNECTIONS: Row = &[(Method::GET, Operation::ListConnectionsOfUser)];
const USER_GROUPS: Row = &[
    (Method::DELETE, Operation::RemoveUserFromAllGroups),
    (Method::GET, Operation::ListGroupsOfUser),
];
const USER_GROUP: Row = &[
    (Method::PUT, Operation::AddUserToGroup),
    (Method::DELETE, Operation::RemoveUserFromGroup),
];
const PERMISSION: Row = &[
    (Method::PUT, Operation::GrantPermission),
    (Method::HEAD, Operation::CheckPermission),
    (Method::DELETE, Operation::RevokePermission),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn segments_are_decoded_once_after_the_path_is_split() {
        let table = [
            ("tenant%2Falice", "tenant/alice", "tenant%2Falice"),
            ("tenant%252Falice", "tenant%2Falice", "tenant%2Falice"),
            ("alice%20smith", "alice smith", "alice smith"),
            ("alice+bob", "alice+bob", "alice+bob"),
            ("chat%5B1%5D", "chat[1]", "chat[1]"),
        ];
        for (segment, decoded, kept) in table {
            let path = format!("/api/hubs/h/users/{segment}/:send");
            for (keep, wanted) in [(false, decoded), (true, kept)] {
                let (params, row) = resolve(&path, keep).unwrap();
                assert_eq!(params.user, wanted, "{segment}, kept: {keep}");
                assert_eq!(row, SEND_TO_USER);
            }
        }
    }

    /// docs/openapi.json describes every operation that is found here, and no other.
    #[test]
    fn the_openapi_file_describes_these_operations() {
        let file: Value =
            serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
        let mut described = 0;
        for (path, item) in file["paths"].as_object().unwrap() {
            let example = path.replace(['{', '}'], "");
            let (_, row) = resolve(&example, false).unwrap_or_else(|| panic!("no route: {path}"));
            let mut found: Vec<String> = row
                .iter()
                .map(|(method, operation)| format!("{method} {operation:?}"))
                .collect();
            let mut wanted: Vec<String> = item
                .as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| {
                    let id = operation["operationId"].as_str().unwrap();
                    let name = id.strip_suffix("ByGet").unwrap_or(id);
                    format!("{} {name}", method.to_uppercase())
                })
                .collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{path}: served, and in docs/openapi.json");
            described += found.len();
        }
        // Every row has one path, so the rows of the source say how many operations there are to describe.
        let rows = include_str!("route.rs").matches("(Method::").count();
        assert_eq!(described, rows - 1, "operations of docs/openapi.json");
    }

    proptest! {
        #[test]
        fn any_names_come_out_of_a_path_as_they_were_encoded(names in proptest::array::uniform3(".{1,12}")) {
            let encoded = names.each_ref().map(|name| -> String {
                name.bytes().map(|byte| format!("%{byte:02X}")).collect()
            });
            let [hub, group, connection] = &encoded;
            let path = format!("/api/hubs/{hub}/groups/{group}/connections/{connection}");
            let (params, row) = resolve(&path, false).unwrap();
            prop_assert_eq!([params.hub, params.group, params.connection], names);
            prop_assert_eq!(row, GROUP_CONNECTION);
        }

        #[test]
        fn arbitrary_paths_never_panic(path in "(/api/hubs/h)?[/:a-z%2fF]{0,20}", keep in any::<bool>()) {
            resolve(&path, keep);
        }
    }

    #[test]
    fn a_raw_slash_makes_a_segment_and_an_encoded_colon_an_action() {
        assert!(resolve("/api/hubs/h/groups/a/b/:send", false).is_none());
        let (_, row) = resolve("/api/hubs/h/groups/g/%3Asend/", false).unwrap();
        assert_eq!(row, SEND_TO_GROUP);
    }
}
