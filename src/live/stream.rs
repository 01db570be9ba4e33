//! One client's stream: no task and no timer of its own, a place in its room's ring, and bytes that it shares with all others.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use futures_util::stream;
use poem::http::header;
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{
    MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use tokio::sync::broadcast::{self, error::RecvError};

use super::event::End;
use super::hub::Place;
use super::room::Item;

const EVENT_STREAM: &str = "text/event-stream";

/// What somebody hears, until he may not or will not any more.
pub struct Stream {
    /// Told before anything else.
    first: VecDeque<Bytes>,
    items: broadcast::Receiver<Item>,
    /// None once the last word has been said.
    place: Option<Place>,
}

impl Stream {
    pub(super) fn new(place: Place, first: Vec<Bytes>, items: broadcast::Receiver<Item>) -> Self {
        Self { first: first.into(), items, place: Some(place) }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let place = self.place.as_ref()?;
            if let Some(why) = place.seat.over() {
                return Some(self.end(why));
            }
            if let Some(words) = self.first.pop_front() {
                return Some(words);
            }
            match self.items.recv().await {
                // Between the news and this moment the seat may have gone.
                Ok(_) if place.seat.over().is_some() => {}
                Ok(Item::News(batch)) => {
                    if let Some(seen) = batch.seen_by(place.seat.rights.eyes) {
                        return Some(seen);
                    }
                }
                Ok(Item::Beat(words)) => return Some(words),
                Ok(Item::Look) => {}
                Err(RecvError::Lagged(_)) => return Some(self.end(End::Behind)),
                Err(RecvError::Closed) => return Some(self.end(End::Broken)),
            }
        }
    }

    fn end(&mut self, why: End) -> Bytes {
        self.place = None;
        crate::metrics::LIVE_ENDED.with_label_values(&[why.as_str()]).inc();
        why.frame()
    }
}

impl IntoResponse for Stream {
    fn into_response(self) -> Response {
        let words = stream::unfold(self, async |mut stream| {
            let words = stream.next().await?;
            Some((Ok::<_, io::Error>(words), stream))
        });
        Response::builder()
            .content_type(EVENT_STREAM)
            .header(header::CACHE_CONTROL, "no-store")
            .header("x-accel-buffering", "no") // nginx would keep it until it is worth sending
            .body(Body::from_bytes_stream(words))
    }
}

impl ApiResponse for Stream {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "A stream of server-sent events, until it ends",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: EVENT_STREAM,
                    schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
                }],
                headers: vec![],
            }],
        }
    }

    fn register(_: &mut Registry) {}
}
