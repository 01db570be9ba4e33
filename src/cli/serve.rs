//! `nadi serve`

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Outcome, core};
use crate::app::{self, App, Mode};
use crate::http::host;

/// How long requests under way may take to finish once the process is told to stop.
const DRAIN: Duration = Duration::from_secs(25);

#[derive(Args)]
pub struct Serve {
    /// Serve this clinic alone
    #[arg(long, value_name = "SLUG")]
    clinic: Option<String>,
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<Outcome> {
        let core = core()?;
        if let Some(slug) = &self.clinic
            && !host::is_slug(slug)
        {
            anyhow::bail!("--clinic: `{slug}` is no clinic's name");
        }
        tracing::info!(master_key = core.central.master.fingerprint(), "starting");
        let mode = Mode { only_clinic: self.clinic, ..Mode::default() };
        serve(core, mode, None).await?;
        Ok(Outcome::Done)
    }
}

/// Serves until SIGTERM or Ctrl-C, then drains. `ready` runs once the listener is open.
pub async fn serve(
    core: app::Core,
    mode: Mode,
    ready: Option<Box<dyn FnOnce() + Send>>,
) -> anyhow::Result<()> {
    let (bind, metrics_bind) = (core.settings.bind, core.settings.metrics_bind);
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let app = App::new(core, mode).await?;
    let listener = std::net::TcpListener::bind(bind)
        .with_context(|| format!("NADI_BIND: cannot listen on {bind}"))?;
    app::serve_metrics(metrics_bind, stop.clone()).await?;
    tracing::info!(%bind, "ready");
    if let Some(ready) = ready {
        ready();
    }
    app.serve(listener, stop, DRAIN).await
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests under way are finished first");
        stop.cancel();
    });
    Ok(())
}
