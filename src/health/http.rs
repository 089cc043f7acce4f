//! A page for Prometheus, and one for whoever only wants to know whether all is well. Two answers to `GET`, and a
//! refusal to everything else: nothing that a caller sends is kept, and nothing waits for a slow one.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::board::Board;
use super::exposition::{self, exposition};
use super::snapshot::State;

/// Answers for as long as the sensor runs.
pub(super) async fn serve(listener: TcpListener, board: Board) {
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((caller, _)) => {
                let board = board.clone();
                tokio::spawn(async move {
                    // A caller that is too slow, or gone, is no loss.
                    let _ = timeout(PATIENCE, answer(caller, &board)).await;
                    drop(place);
                });
            }
            // No file descriptor left, or the like: others may give some back.
            Err(error) => {
                tracing::debug!(%error, "A caller of the metrics could not be answered");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut caller: TcpStream, board: &Board) -> io::Result<()> {
    let Some(request) = head(&mut caller).await? else { return Ok(()) };
    let response = respond(&request, board);
    caller.write_all(response.as_bytes()).await?;
    caller.shutdown().await
}

/// The head of a request, up to the empty line; none if it is too long, or ends before.
async fn head(caller: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while head.len() < LONGEST_HEAD {
        let read = caller.read(&mut part).await?;
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
/// Callers that are answered at once; more wait.
const CALLERS: usize = 8;
/// How long one may take to ask and to listen.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a request that are read.
const LONGEST_HEAD: usize = 8192;

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
    fn the_two_pages_are_served_and_all_else_is_refused() {
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
    fn a_sensor_that_is_not_well_says_so_in_the_status() {
        let board = Board::new("lock-1", "lock");
        let response = respond("GET /health HTTP/1.1\r\n\r\n", &board);
        assert!(response.starts_with("HTTP/1.1 503") && response.ends_with("starting\n"), "{response}");
    }

    #[test]
    fn a_caller_that_says_nothing_keeps_nobody_else_from_an_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answered = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            tokio::spawn(serve(listener, Board::new("lock-1", "lock")));
            let mut silent = Vec::new();
            for _ in 0..CALLERS - 1 {
                silent.push(TcpStream::connect(address).await.expect("connected"));
            }
            let mut caller = TcpStream::connect(address).await.expect("connected");
            caller.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.expect("asked");
            let mut answer = String::new();
            timeout(PATIENCE / 2, caller.read_to_string(&mut answer)).await.map(|_| answer)
        });
        assert!(answered.expect("in time").starts_with("HTTP/1.1 503"));
    }
}
