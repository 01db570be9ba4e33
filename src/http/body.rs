//! A request's body, taken whole by whoever wants it so: within its size, and within its time.

use std::time::Duration;

use poem::Body;
use poem::http::{HeaderMap, StatusCode, header};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::error::Problem;

/// How long a body may take to arrive: one that comes in drops is not waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// So much is made ready for a body before any of it has come, whatever its length is said to be.
const ROOM: usize = 16 * 1024;

/// All of it, if that is `at_most` so many bytes; `what` names it in the refusal (`a JSON body`). What is left unread, the edge
/// reads and drops (`rest.rs`).
///
/// # Errors
/// `413`, `408`, and `400` where it broke off.
pub async fn whole(
    headers: &HeaderMap,
    body: Body,
    at_most: usize,
    what: &str,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let words = format!("{what} may have at most {at_most} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", words)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    if announced.is_some_and(|length| length > at_most) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(ROOM));
    let mut reader = body.into_async_read().take(at_most as u64 + 1);
    let read = timeout(PATIENCE, reader.read_to_end(&mut bytes)).await;
    read.map_err(|_| too_slow())?.map_err(|_| Problem::bad_request("the body broke off"))?;
    match bytes.len() > at_most {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

fn too_slow() -> Problem {
    let words = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", words)
}
