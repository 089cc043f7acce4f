//! The HTTP endpoint: `/metrics` for Prometheus and `/health` for monitoring. Any other request is refused. No client
//! waits for a slow one.
//!
//! The number of connections is bounded. At the limit, the oldest connection without a complete request is closed, so that
//! idle connections do not keep Prometheus out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::board::Board;
use super::exposition::{self, exposition};
use super::snapshot::State;

/// Serves requests for as long as the sensor runs. Each client has `client_timeout` for its request and the response.
pub(super) async fn serve(listener: TcpListener, board: Board, client_timeout: Duration) {
    let mut clients = Clients::default();
    loop {
        clients.make_room().await;
        match listener.accept().await {
            Ok((stream, _)) => clients.admit(stream, board.clone(), client_timeout),
            // A temporary shortage, such as of file descriptors.
            Err(error) => {
                tracing::debug!(%error, "A connection to the metrics endpoint cannot be accepted");
                sleep(PAUSE).await;
            }
        }
        // A client whose request has arrived is answered before its place is given away.
        yield_now().await;
    }
}

/// The open connections, oldest first.
#[derive(Default)]
struct Clients(VecDeque<Client>);

struct Client {
    since: Instant,
    /// Its complete request has arrived.
    has_requested: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Clients {
    /// Waits until there is room for one more client. Each one keeps its place for [`GRACE`], so that a flood of connections
    /// does not displace one that is about to send its request.
    async fn make_room(&mut self) {
        loop {
            self.0.retain(|client| !client.task.is_finished());
            let slow = self.0.iter().position(|client| !client.has_requested.load(Relaxed)).unwrap_or(0);
            let Some(end) = self.0.get(slow).map(|client| client.since + GRACE) else { return };
            if self.0.len() < MAX_CLIENTS {
                return;
            }
            if end <= now() {
                self.0.remove(slow).inspect(|client| client.task.abort());
                return;
            }
            sleep_until(end).await;
        }
    }

    fn admit(&mut self, stream: TcpStream, board: Board, client_timeout: Duration) {
        let has_requested = Arc::new(AtomicBool::new(false));
        let requested = Arc::clone(&has_requested);
        let task = tokio::spawn(async move {
            // A client that is too slow or gone gets no response.
            let _ = timeout(client_timeout, answer(stream, &board, &requested)).await;
        });
        self.0.push_back(Client { since: now(), has_requested, task: task.abort_handle() });
    }
}

async fn answer(mut client: TcpStream, board: &Board, has_requested: &AtomicBool) -> io::Result<()> {
    let Some(request) = read_head(&mut client).await? else { return Ok(()) };
    has_requested.store(true, Relaxed);
    let response = respond(&request, board);
    client.write_all(response.as_bytes()).await?;
    client.shutdown().await
}

/// Reads the head of a request, up to the empty line; `None` if it is too long, or ends before.
async fn read_head(client: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() < MAX_HEAD {
        let read = client.read(&mut part).await?;
        if read == 0 {
            break;
        }
        head.extend_from_slice(part.get(..read).unwrap_or_default());
        if head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            return Ok(String::from_utf8(head).ok());
        }
    }
    Ok(None)
}

fn respond(request: &str, board: &Board) -> String {
    let mut words = request.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    match (method, path) {
        ("GET" | "HEAD", "/metrics") => response("200 OK", exposition::CONTENT_TYPE, &exposition(board.read()), method),
        ("GET" | "HEAD", "/health") => {
            let snapshot = board.read();
            let status = if snapshot.state == State::Ready { "200 OK" } else { "503 Service Unavailable" };
            response(status, TEXT, &format!("{}\n", snapshot.line()), method)
        }
        ("GET" | "HEAD", _) => response("404 Not Found", TEXT, "there are /metrics and /health\n", method),
        _ => response("405 Method Not Allowed", TEXT, "only GET\n", method),
    }
}

fn response(status: &str, content_type: &str, body: &str, method: &str) -> String {
    let length = body.len();
    let shown = if method == "HEAD" { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n{shown}"
    )
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The current time, for the timeouts of clients.
#[expect(clippy::disallowed_methods, reason = "how long a client takes has nothing to do with packets")]
fn now() -> Instant {
    Instant::now()
}

/// Connections at once, at most.
const MAX_CLIENTS: usize = 32;
/// How long a client may take for its request and the response.
pub(super) const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept at least, at the limit.
const GRACE: Duration = Duration::from_millis(100);
/// The pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the head of a request, at most.
const MAX_HEAD: usize = 8192;

#[cfg(test)]
mod tests {
    use super::super::testing::snapshot;
    use super::*;

    fn asked(request: &str) -> String {
        let board = Board::new("lock-1", "lock");
        board.update(|now| *now = snapshot());
        respond(request, &board)
    }

    #[test]
    fn the_two_pages_are_served_and_every_other_request_is_refused() {
        let cases = [
            ("GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", "# EOF\n"),
            ("GET /metrics?name=x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK", "# EOF\n"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", "\r\n\r\n"),
            ("GET /health HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", "\r\n\r\nready\n"),
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404", "there are /metrics and /health\n"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405", "only GET\n"),
            ("\r\n\r\n", "HTTP/1.1 405", "only GET\n"),
        ];
        for (request, status, ending) in cases {
            let response = asked(request);
            assert!(response.starts_with(status) && response.ends_with(ending), "{request}: {response}");
        }
    }

    #[test]
    fn a_sensor_that_is_not_ready_shows_it_in_the_status_code() {
        let board = Board::new("lock-1", "lock");
        let response = respond("GET /health HTTP/1.1\r\n\r\n", &board);
        assert!(response.starts_with("HTTP/1.1 503") && response.ends_with("starting\n"), "{response}");
    }

    /// Runs a closure while the endpoint serves requests.
    fn while_serving<T>(client_timeout: Duration, action: impl AsyncFnOnce(std::net::SocketAddr) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            tokio::spawn(serve(listener, Board::new("lock-1", "lock"), client_timeout));
            action(address).await
        })
    }

    async fn connect(address: std::net::SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.expect("connected")
    }

    /// The page that Prometheus gets, within a second.
    async fn scrape(address: std::net::SocketAddr) -> String {
        let ask = async {
            let mut client = connect(address).await;
            client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await?;
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.map(|_| answer)
        };
        timeout(Duration::from_secs(1), ask).await.expect("in time").expect("answered")
    }

    #[test]
    fn a_hundred_idle_connections_do_not_keep_prometheus_out() {
        type Trick = fn(usize) -> &'static [u8];
        let tricks: [(&str, Trick); 3] = [
            ("sends nothing", |_| b""),
            ("sends an incomplete request", |_| b"GET /metrics HTTP/1.1\r\n"),
            ("is one of these in turn", |number| if number % 2 == 0 { b"" } else { b"GET " }),
        ];
        for (what, trick) in tricks {
            while_serving(CLIENT_TIMEOUT, async |address| {
                let mut held = Vec::new();
                for number in 0..100 {
                    let mut client = connect(address).await;
                    client.write_all(trick(number)).await.expect("sent");
                    held.push(client);
                }
                for _ in 0..3 {
                    assert!(scrape(address).await.ends_with("# EOF\n"), "{what}");
                }
                let mut oldest = held.swap_remove(0);
                let end = timeout(CLIENT_TIMEOUT, oldest.read(&mut [0; 16])).await.expect("closed in time");
                assert!(!end.is_ok_and(|read| read > 0), "{what}");
            });
        }
    }

    #[test]
    fn clients_that_send_slowly_or_never_read_get_no_more_time_than_others() {
        let client_timeout = Duration::from_millis(500);
        while_serving(client_timeout, async |address| {
            let mut dripping = connect(address).await;
            let drip = async {
                for letter in b"GET /metrics HTTP/1.1\r\nX: ".iter().cycle() {
                    if dripping.write_all(&[*letter]).await.is_err() {
                        break;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            };
            let silent = async {
                let mut clients = Vec::new();
                for _ in 0..100 {
                    let mut client = connect(address).await;
                    // It may have given up its place meanwhile.
                    let _ = client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await;
                    clients.push(client);
                }
                assert!(scrape(address).await.ends_with("# EOF\n"));
            };
            let ends = async { tokio::join!(drip, silent) };
            timeout(Duration::from_secs(3), ends).await.expect("both are over");
        });
    }

    #[test]
    fn a_client_has_a_moment_to_send_its_request_however_many_follow() {
        while_serving(CLIENT_TIMEOUT, async |address| {
            let mut client = connect(address).await;
            let mut held = Vec::new();
            for _ in 0..100 {
                held.push(connect(address).await);
            }
            client.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.expect("it still has its place");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("answered");
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        });
    }
}
