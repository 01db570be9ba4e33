//! The rest of a body: what an answer left unread is read and dropped before the answer goes out. A server that hangs up on
//! a client in the middle of its sentence is not heard, and the client's next request on that line fails for no reason.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{Body, Request, Response};
use tokio::time::{Instant, timeout_at};

use super::body::PATIENCE;

/// So much is heard out; who says more than that, or takes too long over it, is hung up on.
pub const LIMIT: usize = 32 * 1024 * 1024;

/// The body of a request, shared with whoever reads it.
#[derive(Clone)]
struct Shared(Arc<Mutex<BoxStream<'static, io::Result<Vec<u8>>>>>);

impl Shared {
    fn stream(self) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
        stream::poll_fn(move |context| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
        })
    }
}

/// What may be left of a request's body.
pub struct Rest {
    body: Option<Shared>,
    /// The client says nothing before we ask for it, and nothing is left that could be dropped.
    waits: bool,
    announced: usize,
}

impl Rest {
    /// Keeps a hold of the body that a request goes on with.
    pub fn of(request: &mut Request) -> Self {
        let number = |name| request.header(name).and_then(|text| text.parse().ok());
        let announced = number(header::CONTENT_LENGTH).unwrap_or(0);
        let waits = request.headers().contains_key(header::EXPECT);
        let body = request.take_body();
        if body.is_empty() {
            return Self { body: None, waits, announced };
        }
        let bytes = body.into_bytes_stream().map(|piece| piece.map(Vec::from)).boxed();
        let shared = Shared(Arc::new(Mutex::new(bytes)));
        request.set_body(Body::from_bytes_stream(shared.clone().stream()));
        Self { body: Some(shared), waits, announced }
    }

    /// Reads what is left, and drops it.
    pub async fn drop_before(self, response: &mut Response) {
        let Some(shared) = self.body else { return };
        let mut heard = 0;
        let mut rest = std::pin::pin!(shared.stream());
        let hopeless = self.announced > LIMIT
            || (self.waits && response.status().is_client_error())
            || response.status() == StatusCode::REQUEST_TIMEOUT; // it was waited for already
        let ends = Instant::now() + PATIENCE;
        while !hopeless && heard <= LIMIT {
            match timeout_at(ends, rest.next()).await {
                Ok(Some(Ok(piece))) => heard += piece.len(),
                Ok(_) => return, // it has ended, or broken off
                Err(_) => break,
            }
        }
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
