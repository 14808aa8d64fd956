//! Without local authentication: rest-api 3.7.

use hubwire_server::config::Secret;
use serde_json::json;

use crate::support::{Service, sign, unix_seconds};

const INTERNAL: &str = "a key that only the service itself knows";

/// Acceptance 14.
#[tokio::test]
async fn key_tokens_are_refused_everywhere_and_tokens_of_the_service_still_connect() {
    let service = Service::start_with(|config| {
        config.auth.disable_local_auth = true;
        config.keys.internal = Some(Secret::new(INTERNAL));
    })
    .await;
    let answer = service
        .rest("POST", "/api/hubs/chat/:send", "text/plain", b"hi")
        .await;
    assert_eq!(answer.status, 401);
    let refused = service
        .handshake(&service.client_path("chat", json!({})), "")
        .await;
    assert_eq!(refused.status, 401);
    let token = sign(
        &json!({
            "aud": format!("http://{}/client/hubs/chat", service.addr),
            "exp": unix_seconds() + 60,
        }),
        INTERNAL,
    );
    service
        .connect_path(&format!("/client/hubs/chat?access_token={token}"), &[])
        .await;
}
