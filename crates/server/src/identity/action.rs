//! What callers with an identity may do. Source: rest-api 3.6.

use serde_json::{Map, Value};

use super::token::strings;
use crate::config::{IdentityRole, OidcConfig, PrincipalClaim};

/// What an operation needs its caller to be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataAction {
    GenerateClientToken,
    SendToHub,
    SendToGroup,
    SendToUser,
    SendToConnection,
    ReadConnection,
    WriteConnection,
    ReadGroup,
    WriteGroup,
    ReadUser,
}

impl DataAction {
    /// Returns its official name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GenerateClientToken => {
                "Microsoft.SignalRService/WebPubSub/auth/clientToken/action"
            }
            Self::SendToHub => "Microsoft.SignalRService/WebPubSub/hub/send/action",
            Self::SendToGroup => "Microsoft.SignalRService/WebPubSub/group/send/action",
            Self::SendToUser => "Microsoft.SignalRService/WebPubSub/user/send/action",
            Self::SendToConnection => {
                "Microsoft.SignalRService/WebPubSub/clientConnection/send/action"
            }
            Self::ReadConnection => "Microsoft.SignalRService/WebPubSub/clientConnection/read",
            Self::WriteConnection => "Microsoft.SignalRService/WebPubSub/clientConnection/write",
            Self::ReadGroup => "Microsoft.SignalRService/WebPubSub/group/read",
            Self::WriteGroup => "Microsoft.SignalRService/WebPubSub/group/write",
            Self::ReadUser => "Microsoft.SignalRService/WebPubSub/user/read",
        }
    }
}

/// What a caller is allowed to do, by all of its roles together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    everything: bool,
    reading: bool,
}

impl Grant {
    /// Whatever there is.
    pub(crate) const EVERYTHING: Self = Self {
        everything: true,
        reading: true,
    };

    /// Returns what the claims of a verified token give: by the roles that they list, and by who they say the caller is.
    pub(super) fn of(claims: &Map<String, Value>, issuer: &OidcConfig) -> Self {
        let mut grant = Self::default();
        for role in strings(claims.get(&issuer.role_claim)).filter_map(IdentityRole::find) {
            grant.add(role);
        }
        for assignment in &issuer.role_assignments {
            if has(claims, assignment.claim, &assignment.value) {
                assignment.roles.iter().for_each(|role| grant.add(*role));
            }
        }
        grant
    }

    fn add(&mut self, role: IdentityRole) {
        match role {
            IdentityRole::Owner => *self = Self::EVERYTHING,
            IdentityRole::Reader => self.reading = true,
        }
    }

    pub(crate) fn allows(self, action: DataAction) -> bool {
        self.everything || (self.reading && action.name().ends_with("/read"))
    }
}

fn has(claims: &Map<String, Value>, claim: PrincipalClaim, value: &str) -> bool {
    let mut words = PrincipalClaim::WORDS.iter();
    let name = words.find(|(_, known)| *known == claim);
    let values = name.and_then(|(name, _)| claims.get(*name));
    strings(values).any(|known| known == value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::RoleAssignment;

    fn grant(claims: Value) -> Grant {
        let oidc = OidcConfig {
            role_assignments: vec![
                RoleAssignment {
                    claim: PrincipalClaim::Oid,
                    value: "of an operator".to_owned(),
                    roles: vec![IdentityRole::Owner],
                },
                RoleAssignment {
                    claim: PrincipalClaim::Groups,
                    value: "lookers".to_owned(),
                    roles: vec![IdentityRole::Reader],
                },
            ],
            ..OidcConfig::new("https://login.example.com")
        };
        Grant::of(claims.as_object().unwrap(), &oidc)
    }

    #[test]
    fn roles_come_from_the_claim_of_roles_by_name_or_id_and_from_who_the_caller_is() {
        let reader = Grant {
            everything: false,
            reading: true,
        };
        let nothing = Grant::default();
        for (claims, wanted) in [
            (
                json!({ "roles": ["Web PubSub Service Owner"] }),
                Grant::EVERYTHING,
            ),
            (
                json!({ "roles": "12CF5A90-567b-43ae-8102-96cf46c7d9b4" }),
                Grant::EVERYTHING,
            ),
            (
                json!({ "roles": ["x", "web pubsub service reader"] }),
                reader,
            ),
            (json!({ "oid": "of an operator" }), Grant::EVERYTHING),
            (json!({ "groups": ["a", "lookers"] }), reader),
            (
                json!({ "groups": ["lookers"], "roles": ["Web PubSub Service Owner"] }),
                Grant::EVERYTHING,
            ),
            (json!({}), nothing),
            (
                json!({ "roles": ["Owner"], "role": "Web PubSub Service Owner" }),
                nothing,
            ),
            (
                json!({ "groups": ["of an operator"], "sub": "of an operator" }),
                nothing,
            ),
            (json!({ "oid": "Of an operator" }), nothing),
            (
                json!({ "roles": { "Web PubSub Service Owner": true } }),
                nothing,
            ),
        ] {
            assert_eq!(grant(claims.clone()), wanted, "{claims}");
        }
    }
}
