//! Memberships at the running service.

use hubwire_service_client::models::ChangeGroupsOptions;
use hubwire_service_client::{filter, odata};

use crate::support::{Client, Service};

#[tokio::test]
async fn connections_and_users_join_and_leave_groups() {
    let running = Service::start().await;
    let service = running.client();
    let client = Client::json(&service, "alice").await;
    let id = client.id.as_str();
    assert!(service.connection_exists(id, None).await.unwrap());
    assert!(service.user_exists("alice", None).await.unwrap());
    let exists = async |group: &str| service.group_exists(group, None).await.unwrap();
    let room = "room/ü [1]";
    service
        .add_connection_to_group(room, id, None)
        .await
        .unwrap();
    assert!(exists(room).await);
    service
        .remove_connection_from_group(room, id, None)
        .await
        .unwrap();
    assert!(!exists(room).await);
    service
        .add_connection_to_group(room, id, None)
        .await
        .unwrap();
    service
        .remove_connection_from_all_groups(id, None)
        .await
        .unwrap();
    assert!(!exists(room).await);
    service
        .add_user_to_group(room, "alice", None)
        .await
        .unwrap();
    assert!(exists(room).await);
    service
        .remove_user_from_group(room, "alice", None)
        .await
        .unwrap();
    assert!(!exists(room).await);
    service
        .add_user_to_group(room, "alice", None)
        .await
        .unwrap();
    service
        .remove_user_from_all_groups("alice", None)
        .await
        .unwrap();
    assert!(!exists(room).await);
}

#[tokio::test]
async fn many_connections_are_added_and_removed_by_filter() {
    let running = Service::start().await;
    let service = running.client();
    let _alice = Client::json(&service, "O'Brien").await;
    let _bob = Client::json(&service, "bob").await;
    let members = async |group: &str| {
        let members = service.list_connections(group, None).unwrap();
        let members: Vec<_> = futures_util::TryStreamExt::try_collect(members)
            .await
            .unwrap();
        members
            .into_iter()
            .filter_map(|member| member.user_id)
            .collect::<Vec<_>>()
    };
    let by = |filter: String| {
        Some(ChangeGroupsOptions {
            filter: Some(filter),
            ..ChangeGroupsOptions::default()
        })
    };
    let obrien = odata!("userId eq {}", "O'Brien");
    let groups = ["red", "blue"];
    service
        .add_connections_to_groups(&groups, by(obrien))
        .await
        .unwrap();
    assert_eq!(members("red").await, ["O'Brien"]);
    assert_eq!(members("blue").await, ["O'Brien"]);
    service
        .add_connections_to_groups(&["red"], None)
        .await
        .unwrap();
    assert_eq!(members("red").await.len(), 2);
    let in_blue = filter::in_group("blue").and(filter::user_id().starts_with("O'"));
    let in_blue = by(in_blue.to_string());
    service
        .remove_connections_from_groups(&["red"], in_blue)
        .await
        .unwrap();
    assert_eq!(members("red").await, ["bob"]);
    let either = filter::user_id()
        .one_of(&["bob", "x"])
        .or(filter::connection_id().eq("y"));
    service
        .remove_connections_from_groups(&["red"], by(either.into()))
        .await
        .unwrap();
    assert!(members("red").await.is_empty());
    let nobody = filter::user_id()
        .ne(None::<&str>)
        .not()
        .and(filter::protocol().ne("x"));
    service
        .add_connections_to_groups(&["red"], by(nobody.into()))
        .await
        .unwrap();
    assert!(members("red").await.is_empty());
}
