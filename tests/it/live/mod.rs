//! `GET /live`: what happens, as it happens, to those who may know.

mod ending;
mod limits;
mod resuming;
mod watching;

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{Caller, TestClinic};

const TEN: &str = "2099-01-05T04:30:00Z";
const HALF_PAST: &str = "2099-01-05T05:00:00Z";
const ELEVEN: &str = "2099-01-05T05:30:00Z";

/// Long enough for a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a stream said.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    id: Option<String>,
    event: String,
    data: Value,
}

/// Somebody who listens, as a browser does.
struct Watcher {
    response: reqwest::Response,
    buffer: Vec<u8>,
    /// What a browser would send as `Last-Event-ID`.
    last_id: Option<String>,
}

impl Watcher {
    async fn new(caller: &Caller) -> Self {
        Self::of(caller.request(Method::GET, "/live")).await
    }

    async fn from(caller: &Caller, id: &str) -> Self {
        Self::of(caller.request(Method::GET, "/live").header("last-event-id", id)).await
    }

    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let mut watcher = Self { response, buffer: Vec::new(), last_id: None };
        let greeting = watcher.block().await.expect("a greeting");
        assert!(greeting.contains("retry: "), "{greeting}");
        watcher
    }

    /// The next block; none once the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(ends) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..ends + 2).collect();
                let block = String::from_utf8(block).unwrap();
                let id = block.lines().find_map(|line| line.strip_prefix("id: "));
                self.last_id = id.map(str::to_owned).or(self.last_id.take());
                return Some(block);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("nothing was heard");
            self.buffer.extend(chunk.unwrap()?);
        }
    }

    /// The next event; comments and bare ids are none.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            let block = self.block().await?;
            let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = line("data: ") {
                return Some(Heard {
                    id: line("id: ").map(str::to_owned),
                    event: line("event: ").unwrap_or("message").to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
        }
    }

    /// The kind of the next event, and the visit that it is about.
    async fn hears(&mut self) -> (String, String) {
        let heard = self.next().await.expect("the stream goes on");
        let text = |name: &str| heard.data[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(heard.event, text("kind").split('.').next().unwrap_or_default(), "{heard:?}");
        (text("kind"), text("appointment_id"))
    }

    /// Reads on until this is heard.
    async fn hears_at_last(&mut self, kind: &str, visit: &str) {
        while self.hears().await != pair(kind, visit) {}
    }

    /// Reads to the end, and says why it came.
    async fn ends(mut self) -> String {
        let mut last = Heard::default();
        while let Some(heard) = self.next().await {
            last = heard;
        }
        assert_eq!(last.event, "end", "{last:?}");
        last.data["reason"].as_str().unwrap().to_owned()
    }

    fn last_id(&self) -> &str {
        self.last_id.as_deref().expect("an id")
    }
}

/// Books a visit; its id.
async fn book(clinic: &TestClinic, desk: &Caller, patient: usize, at: &str) -> String {
    let visit = clinic.visit_of(clinic.patients[patient], at);
    desk.post("/appointments", &visit).await.expect(201).id()
}

fn pair(kind: &str, visit: &str) -> (String, String) {
    (format!("appointment.{kind}"), visit.to_owned())
}
