//! Permissions at the running service.

use hubwire_service_client::Permission;
use serde_json::json;

use crate::support::{Client, Service};

#[tokio::test]
async fn a_permission_is_granted_checked_used_and_revoked() {
    let running = Service::start().await;
    let service = running.client();
    let mut client = Client::json(&service, "alice").await;
    let id = client.id.clone();
    let join = Permission::JoinLeaveGroup;
    let has = async |permission| {
        let has = service.has_permission(permission, &id, "room", None);
        has.await.unwrap()
    };
    assert!(!has(join).await);
    service
        .grant_permission(join, &id, "room", None)
        .await
        .unwrap();
    assert!(has(join).await);
    assert!(!has(Permission::SendToGroup).await);
    let frame = json!({ "type": "joinGroup", "group": "room", "ackId": 1 });
    client.send(&frame.to_string()).await;
    assert_eq!(client.frame().await["success"], true);
    service
        .revoke_permission(join, &id, "room", None)
        .await
        .unwrap();
    assert!(!has(join).await);
    let gone = service.has_permission(join, "gone", "room", None);
    assert!(!gone.await.unwrap());
    service
        .revoke_permission(join, "gone", "room", None)
        .await
        .unwrap();
}
