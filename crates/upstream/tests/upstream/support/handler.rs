use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A request that a handler got.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: hyper::Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// What a handler does with a request.
pub(crate) enum Reply {
    Now(Response<Full<Bytes>>),
    /// Waits for a `true`.
    Later(watch::Receiver<bool>, Response<Full<Bytes>>),
    Never,
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    Reply::Now(response)
}

type Answer = dyn Fn(&Recorded) -> Reply + Send + Sync;

/// A handler that does as a test says and remembers what it got.
pub(crate) struct TestHandler {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    counts: watch::Sender<(usize, usize)>,
}

impl TestHandler {
    /// Starts one that answers every request by a function.
    pub(crate) async fn start(answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        let (handler, listener) = Self::bind().await;
        let (requests, counts) = (Arc::clone(&handler.requests), handler.counts.clone());
        let answer: Arc<Answer> = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let served = serve(
                    socket,
                    Arc::clone(&requests),
                    counts.clone(),
                    Arc::clone(&answer),
                );
                tokio::spawn(served);
            }
        });
        handler
    }

    /// Starts one with TLS.
    pub(crate) async fn start_tls(
        acceptor: tokio_rustls::TlsAcceptor,
        answer: impl Fn(&Recorded) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let (handler, listener) = Self::bind().await;
        let (requests, counts) = (Arc::clone(&handler.requests), handler.counts.clone());
        let answer: Arc<Answer> = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (requests, counts, answer) =
                    (Arc::clone(&requests), counts.clone(), Arc::clone(&answer));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(socket) = acceptor.accept(socket).await {
                        serve(socket, requests, counts, answer).await;
                    }
                });
            }
        });
        handler
    }

    /// Starts one that gives all requests the same answer.
    pub(crate) async fn answering(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: impl Into<Bytes>,
    ) -> Self {
        let body = body.into();
        Self::start(move |_| reply(status, headers, body.clone())).await
    }

    async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let handler = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            counts: watch::channel((0, 0)).0,
        };
        (handler, listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn request(&self) -> Recorded {
        let [request] = self.requests().try_into().unwrap();
        request
    }

    /// Waits until there were so many requests.
    pub(crate) async fn got(&self, count: usize) {
        let mut counts = self.counts.subscribe();
        let got = counts.wait_for(|(requests, _)| *requests >= count);
        tokio::time::timeout(super::LONG, got)
            .await
            .unwrap()
            .unwrap();
    }

    /// Waits until so many connections have ended.
    pub(crate) async fn lost(&self, count: usize) {
        let mut counts = self.counts.subscribe();
        let lost = counts.wait_for(|(_, connections)| *connections >= count);
        tokio::time::timeout(super::LONG, lost)
            .await
            .unwrap()
            .unwrap();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: S,
    requests: Arc<Mutex<Vec<Recorded>>>,
    counts: watch::Sender<(usize, usize)>,
    answer: Arc<Answer>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (requests, answer, counts) =
            (Arc::clone(&requests), Arc::clone(&answer), counts.clone());
        async move {
            let (head, body) = request.into_parts();
            let recorded = Recorded {
                method: head.method,
                uri: head.uri,
                version: head.version,
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            };
            requests.lock().unwrap().push(recorded.clone());
            counts.send_modify(|(requests, _)| *requests += 1);
            match answer(&recorded) {
                Reply::Now(response) => Ok::<_, std::convert::Infallible>(response),
                Reply::Later(mut told, response) => {
                    told.wait_for(|is_told| *is_told).await.unwrap();
                    Ok(response)
                }
                Reply::Never => std::future::pending().await,
            }
        }
    });
    let connection = auto::Builder::new(TokioExecutor::new());
    let _ = connection
        .serve_connection(TokioIo::new(socket), service)
        .await;
    counts.send_modify(|(_, connections)| *connections += 1);
}

/// Starts a handler that answers each connection with the next of these bytes, and closes it. Returns its address.
pub(crate) async fn raw_handler(answers: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await;
            // The service may have closed it by now.
            let _ = socket.write_all(&answer).await;
        }
    });
    address
}

/// Reads a request whose body is shorter than its head.
async fn read_request(socket: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if socket.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
}

pub(crate) fn raw_url(address: SocketAddr) -> String {
    format!("http://{address}/events")
}
