//! The demo's inbox: where messages go that no provider takes. A file, so that it outlives the process; it exists in demo
//! mode alone.

use std::path::PathBuf;

use html_escape::encode_text as escaped;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// A message as the inbox keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Item {
    pub clinic: String,
    pub channel: String,
    pub to: String,
    pub subject: String,
    pub body: String,
    pub at: String,
}

/// One line of JSON for each message.
pub struct Inbox {
    path: PathBuf,
    writing: Mutex<()>,
}

impl Inbox {
    pub fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::new(()) }
    }

    /// On disk when this returns.
    pub async fn put(&self, item: &Item) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(item)?;
        line.push(b'\n');
        let _turn = self.writing.lock().await;
        let mut file =
            tokio::fs::OpenOptions::new().create(true).append(true).open(&self.path).await?;
        file.write_all(&line).await?;
        file.sync_data().await
    }

    /// Newest first. A line cut off by a kill is passed over: its message is sent again.
    pub async fn items(&self) -> std::io::Result<Vec<Item>> {
        let text = match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The items as a page.
    pub async fn page(&self) -> std::io::Result<poem::Response> {
        let items = self.items().await?;
        let mut body = format!(
            "<h1>Inbox of the demo</h1>\n<p class=\"lead\">{} messages, newest first. They were sent nowhere. \
             <a href=\"/inbox.json\">As JSON</a></p>",
            items.len()
        );
        for item in items.iter().take(200) {
            body.push_str(&format!(
                "\n<article>\n<header>{} · {} by {} to {}</header>\n<h2>{}</h2>\n<pre>{}</pre>\n</article>",
                escaped(&item.at),
                escaped(&item.clinic),
                escaped(&item.channel),
                escaped(&item.to),
                escaped(&item.subject),
                escaped(&item.body),
            ));
        }
        Ok(crate::http::site::page("Inbox", &body))
    }
}
