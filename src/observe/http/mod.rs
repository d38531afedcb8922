//! The HTTP endpoint: probes for Kubernetes and load balancers, metrics for Prometheus. HTTP/1.1 over TLS.
//!
//! It runs on a thread of its own with a runtime of its own, so that a probe is answered while the data is loaded and
//! however busy the workers are; the metrics, which wait for stripes' locks, are made one at a time on a thread beside it.
//!
//! Invariants: at most [`CONNECTIONS_MAX`] connections, each with a bounded head, time for it, and life; a request's body is
//! never read; the sockets come in bound, so that the start-up gate has passed.
//! Must never know: the node, commands, how the state came to be.

mod auth;
mod route;

use super::openmetrics::Format;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::RwLock;
use route::{Answer, Route};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Semaphore, watch};

/// A scraper, a load balancer and a kubelet need a handful.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head: hyper's least.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// For the handshake, and for each head, which is also how long a connection may be silent between requests.
const PATIENCE: Duration = Duration::from_secs(30);
/// However busy it is, a connection ends after this: nobody holds one for ever by reading slowly.
const LIFE_MAX: Duration = Duration::from_secs(300);
/// How long a scrape waits for locks, or for another scrape, before it is told to come again.
const SCRAPE_WAIT: Duration = Duration::from_secs(8);
/// After accept failed, for want of descriptors or memory.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Whom the server follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica {
        /// It has data to answer with: it was synchronised once, and may serve what is stale or is up to date.
        serves: bool,
        link_up: bool,
    },
}

/// What probes ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub loading: bool,
    pub ending: bool,
    pub role: Role,
}

impl State {
    /// The answer of `/readyz`.
    pub fn is_ready(&self) -> bool {
        matches!(route::route("GET", "/readyz", self), Route::Probe(Answer { status: 200, .. }))
    }
}

/// Where the endpoint gets its answers.
pub trait Source: Send + Sync + 'static {
    /// At once, without a lock that the data path holds.
    fn state(&self) -> State;
    /// May wait for locks.
    fn metrics(&self, format: Format) -> Vec<u8>;
    /// User and password the metrics ask for; `None` asks for none.
    fn credentials(&self) -> Option<(String, zeroize::Zeroizing<Vec<u8>>)>;
    /// How long a password from this address waits before it is looked at.
    fn login_wait(&self, from: &str) -> Duration;
    /// A password from there was wrong. How long the answer waits.
    fn login_failed(&self, from: &str, user: &str) -> Duration;
}

/// What new connections are given; without a configuration they are plaintext.
pub type Tls = Arc<RwLock<Option<Arc<ServerConfig>>>>;

/// Stops the endpoint when it is dropped.
pub struct Endpoint {
    _stop: watch::Sender<()>,
}

/// Serves on `listeners`, which are bound and do not block.
///
/// # Errors
/// The thread or its runtime cannot be made.
pub fn start(listeners: Vec<std::net::TcpListener>, tls: Tls, source: Arc<dyn Source>) -> std::io::Result<Endpoint> {
    let (stop, stopped) = watch::channel(());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // One scrape and, while it waits for locks, one more that will find it at work.
        .max_blocking_threads(2)
        .thread_name("http-metrics")
        .build()?;
    let guard = runtime.enter();
    let listeners = listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<Result<Vec<_>, _>>()?;
    drop(guard);
    std::thread::Builder::new().name("http".into()).spawn(move || {
        let shared = Arc::new(Shared { tls, source, scrape: Arc::default() });
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        runtime.block_on(async move {
            for listener in listeners {
                tokio::spawn(accept(listener, Arc::clone(&shared), Arc::clone(&places)));
            }
            let mut stopped = stopped;
            // An error is the handle's end: time to go.
            while stopped.changed().await.is_ok() {}
        });
    })?;
    Ok(Endpoint { _stop: stop })
}

struct Shared {
    tls: Tls,
    source: Arc<dyn Source>,
    /// Held by the scrape that is at work.
    scrape: Arc<Mutex<()>>,
}

async fn accept(listener: tokio::net::TcpListener, shared: Arc<Shared>, places: Arc<Semaphore>) {
    loop {
        // Who finds no place waits in the kernel's queue.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(e) => {
                tracing::debug!("HTTP endpoint: accepting: {e}");
                tokio::time::sleep(SHORTAGE).await;
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LIFE_MAX, connection(socket, shared)).await;
            drop(place);
        });
    }
}

async fn connection(socket: tokio::net::TcpStream, shared: Arc<Shared>) {
    let Ok(from) = socket.peer_addr() else { return };
    let _ = socket.set_nodelay(true);
    let tls = shared.tls.read().clone();
    match tls {
        None => serve(socket, from, shared).await,
        Some(config) => {
            let handshake = tokio_rustls::TlsAcceptor::from(config).accept(socket);
            match tokio::time::timeout(PATIENCE, handshake).await {
                Ok(Ok(stream)) => serve(stream, from, shared).await,
                Ok(Err(e)) => tracing::debug!("HTTP endpoint: TLS handshake: {e}"),
                Err(_) => {}
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, from: SocketAddr, shared: Arc<Shared>) {
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&request, from, &shared).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(e) = served {
        tracing::debug!("HTTP endpoint: {e}");
    }
}

async fn respond(request: &Request<Incoming>, from: SocketAddr, shared: &Arc<Shared>) -> Response<Once> {
    match route::route(request.method().as_str(), request.uri().path(), &shared.source.state()) {
        Route::Probe(answer) => plain(answer),
        Route::Metrics => {
            if let Some((user, password)) = shared.source.credentials() {
                let header = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
                let from = from.to_string();
                if header.is_some() {
                    tokio::time::sleep(shared.source.login_wait(&from)).await;
                }
                if !auth::basic(header, user.as_bytes(), &password) {
                    // Without a header nobody has guessed: that is how a browser asks whether it has to.
                    if header.is_some() {
                        tokio::time::sleep(shared.source.login_failed(&from, &user)).await;
                    }
                    let mut response = plain(Answer { status: 401, text: "user and password are needed\n" });
                    let realm = HeaderValue::from_static("Basic realm=\"holdfast\", charset=\"UTF-8\"");
                    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
                    return response;
                }
            }
            let accept = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
            metrics(Format::of(accept), shared).await
        }
    }
}

async fn metrics(format: Format, shared: &Arc<Shared>) -> Response<Once> {
    const BUSY: Answer = Answer { status: 503, text: "the key space is busy, come again\n" };
    let place = tokio::time::timeout(SCRAPE_WAIT, Arc::clone(&shared.scrape).lock_owned());
    let Ok(place) = place.await else { return plain(BUSY) };
    let source = Arc::clone(&shared.source);
    let made = tokio::task::spawn_blocking(move || {
        // Given back when the text is made, not when somebody stops waiting for it: scrapes never pile up.
        let _place = place;
        source.metrics(format)
    });
    match tokio::time::timeout(SCRAPE_WAIT, made).await {
        Ok(Ok(text)) => {
            let mut response = Response::new(Once::from(Bytes::from(text)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            response
        }
        _ => plain(BUSY),
    }
}

fn plain(answer: Answer) -> Response<Once> {
    let mut response = Response::new(Once::from(Bytes::from_static(answer.text.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// A body in one piece.
struct Once(Option<Bytes>);

impl From<Bytes> for Once {
    fn from(bytes: Bytes) -> Once {
        Once((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |b| b.len() as u64))
    }
}
