// For the examples of the documentation only: a service in this process, and a client that shows what it receives.

#[allow(dead_code, reason = "not every example uses everything")]
fn doc_service<F, R>(example: F)
where
    F: FnOnce(hubwire_service_client::WebPubSubServiceClient) -> R,
    R: Future<Output = azure_core::Result<()>>,
{
    doc_endpoint(|endpoint, key| {
        let text = format!("Endpoint={endpoint};AccessKey={key};Version=1.0;");
        let service = hubwire_service_client::WebPubSubServiceClient::with_connection_string(
            &text, "hub", None,
        );
        example(service.expect("a client"))
    });
}

#[allow(dead_code, reason = "not every example uses everything")]
fn doc_endpoint<F, R>(example: F)
where
    F: FnOnce(String, &'static str) -> R,
    R: Future<Output = azure_core::Result<()>>,
{
    use hubwire_server::config::{Config, DEVELOPMENT_KEY, ListenerConfig};

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = ListenerConfig {
            bind: vec!["127.0.0.1:0".parse().expect("an address")],
            ..ListenerConfig::default()
        };
        let config = Config {
            listeners: vec![listener],
            shards: 1,
            ..Config::default()
        };
        let server = hubwire_server::Server::start(config).await.expect("a server");
        let endpoint = format!("http://{}", server.listeners()[0].addr);
        example(endpoint, DEVELOPMENT_KEY).await.expect("the example works");
    });
}

#[allow(dead_code, reason = "not every example uses everything")]
struct DocClient(
    tokio_websockets::WebSocketStream<tokio_websockets::MaybeTlsStream<tokio::net::TcpStream>>,
);

#[allow(dead_code, reason = "not every example uses everything")]
impl DocClient {
    async fn connect(service: &hubwire_service_client::WebPubSubServiceClient) -> Self {
        let access = service.get_client_access_token(None).await.expect("a token");
        let url = access.url.parse().expect("an address");
        let builder = tokio_websockets::ClientBuilder::from_uri(url);
        Self(builder.connect().await.expect("a connection").0)
    }

    /// The next message; text and binary are told apart.
    async fn receive(&mut self) -> Result<String, Vec<u8>> {
        let message = futures_util::StreamExt::next(&mut self.0).await;
        let message = message.expect("a message").expect("a message");
        match message.as_text() {
            Some(text) => Ok(text.to_owned()),
            None => Err(message.into_payload().to_vec()),
        }
    }
}
