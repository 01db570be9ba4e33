//! Providers that answer as the real ones do, refuse what those refuse, and misbehave when told to. Each keeps a log of
//! what came. A server that had to refuse something nobody announced fails the test when it is dropped.
//!
//! ```ignore
//! let meta = WhatsappServer::start().await;
//! meta.play(Fault::status(503));                      // the next call; `play_to`, `play_on` are more particular
//! … the application runs with `meta.setting()` …
//! meta.sent()[0].to == "919876543210";                // what it took over
//! Webhook::status(PHONE, &wamid, "delivered", to).signed(APP_SECRET).post(address, host).await;
//! ```

mod gateway;
mod msg91;
mod server;
mod twilio;
mod webhook;
mod whatsapp;

pub use gateway::GatewayServer;
pub use msg91::Msg91Server;
pub use server::{Call, Fault, Judged, ProviderServer, Taken};
pub use twilio::TwilioServer;
pub use webhook::Webhook;
pub use whatsapp::{APP_SECRET, PHONE, TOKEN, WhatsappServer};
