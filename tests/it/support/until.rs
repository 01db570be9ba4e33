//! Waiting for something to become so, and never longer than is sane.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Long enough for a machine that does other things too: nobody waits as long when all is well.
const LIMIT: Duration = Duration::from_secs(60);

/// Polls until it is so.
pub async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !so().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(15)).await;
    }
}
