//! REST calls as the acceptance tests make them.

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Answer, Client, Received, Service, answer, sign};

/// Percent-encodes a text as the official packages do for a path segment or a query value.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(
            |byte| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            },
        )
        .collect()
}

impl Service {
    /// Makes a REST call without a body.
    pub(crate) async fn call(&self, method: &str, path: &str) -> Answer {
        self.rest(method, path, "", b"").await
    }

    /// Makes a REST call without a body and returns the status.
    pub(crate) async fn status(&self, method: &str, path: &str) -> u16 {
        self.call(method, path).await.status
    }

    /// Gets a JSON document.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("application/json; charset=utf-8"));
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Posts a JSON document.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.rest("POST", path, "application/json", body.as_bytes())
            .await
    }

    /// Makes a request with a token of these claims and further header lines.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        claims: &Value,
        key: &str,
        head: &str,
    ) -> Answer {
        let head = format!("Authorization: Bearer {}\r\n{head}", sign(claims, key));
        self.request(method, path, &head, b"").await
    }

    /// Makes a REST call with further header lines.
    pub(crate) async fn rest_with_head(
        &self,
        path: &str,
        head: &str,
        content_type: &str,
        body: &[u8],
    ) -> Answer {
        let request = self.rest_request("POST", path, content_type, body);
        let at = request.windows(4).position(|four| four == b"\r\n\r\n");
        let (start, end) = request.split_at(at.unwrap() + 2);
        self.raw(&[start, head.as_bytes(), end].concat()).await
    }

    /// Makes a REST call whose body comes in chunks, without a length. What an early answer keeps from being sent is left out.
    pub(crate) async fn chunked(&self, path: &str, content_type: &str, chunks: &[&[u8]]) -> Answer {
        let request = self.rest_request("POST", path, content_type, b"");
        let head = String::from_utf8(request).unwrap();
        let head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let mut tcp = TcpStream::connect(self.addr).await.unwrap();
        tcp.write_all(head.as_bytes()).await.unwrap();
        for chunk in chunks {
            let size = format!("{:x}\r\n", chunk.len());
            let bytes = [size.as_bytes(), chunk, b"\r\n"].concat();
            if tcp.write_all(&bytes).await.is_err() {
                return answer(&mut tcp).await;
            }
        }
        tcp.write_all(b"0\r\n\r\n").await.ok();
        answer(&mut tcp).await
    }

    /// Returns the number of connections at a path that ends in `/:count`.
    pub(crate) async fn count(&self, path: &str) -> u64 {
        let counted = self.get(path).await;
        assert_eq!(counted.as_object().unwrap().len(), 1, "{counted}");
        counted["connections"].as_u64().unwrap()
    }

    /// Sends a text to everybody in a hub. What was sent before and reached a client comes to it before this.
    pub(crate) async fn mark(&self, hub: &str, text: &str) {
        let path = format!("/api/hubs/{hub}/:send");
        self.send(&path, "text/plain", text.as_bytes()).await;
    }
}

impl Client {
    /// Asserts that the next message is a text that [`Service::mark`] has sent.
    pub(crate) async fn expect_mark(&mut self, text: &str) {
        let received = self.text().await;
        match &self.subprotocol {
            None => assert_eq!(received, text),
            Some(_) => {
                let message: Value = serde_json::from_str(&received).unwrap();
                assert_eq!(message["data"], text, "{message}");
            }
        }
    }

    /// Asserts that the service ends the connection, whatever it says before.
    pub(crate) async fn expect_end(&mut self) {
        while !matches!(self.next().await, Received::Close(..) | Received::End) {}
    }
}

/// Asserts that a request was refused with this status, code, target and message.
pub(crate) fn assert_refused(
    answer: &Answer,
    status: u16,
    code: &str,
    target: &str,
    message: &str,
) {
    let body: Value = serde_json::from_str(&answer.body)
        .unwrap_or_else(|_| panic!("{}: {}", answer.status, answer.body));
    let expected = serde_json::json!({ "code": code, "message": message, "target": target });
    assert_eq!((answer.status, &body), (status, &expected));
    assert_eq!(answer.header("x-ms-error-code"), Some(code));
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/json; charset=utf-8"));
}

/// Asserts that a request was refused as invalid with this message.
pub(crate) fn assert_bad_request(answer: &Answer, message: &str) {
    assert_refused(answer, 400, "Error.BadRequest", "Request", message);
}

/// Asserts that a request was refused as invalid because of a parameter, with any message.
pub(crate) fn assert_bad_parameter(answer: &Answer, target: &str) {
    let body: Value = serde_json::from_str(&answer.body)
        .unwrap_or_else(|_| panic!("{}: {}", answer.status, answer.body));
    let message = body["message"].as_str().unwrap();
    assert_refused(answer, 400, "Error.BadRequest", target, message);
}
