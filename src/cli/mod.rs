//! The command line: one file for each command. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done for some clinics only.

mod admin;
mod clinic;
mod demo;
mod doctor;
mod migrate;
mod output;
mod seed;
mod serve;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{self, Core};
use crate::config::{LogFormat, SettingError, Settings};
use crate::time::Clock;

/// nadi: a clinic platform. One binary, one central PostgreSQL database, one database for each clinic.
///
/// Settings come from environment variables (NADI_…) or from the TOML file that NADI_CONFIG names; the README lists them.
#[derive(Parser)]
#[command(name = "nadi", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try it: from nothing to two clinics with realistic data, on a PostgreSQL of its own under ./.nadi
    Demo(demo::Demo),
    /// Serve, with the settings of the environment
    Serve(serve::Serve),
    /// Platform accounts
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Make, list, suspend and resume clinics
    #[command(subcommand)]
    Clinic(clinic::Clinic),
    /// Bring schemas up to this binary's level
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// Fill a clinic with realistic, repeatable data for a trial or a load test
    Seed(seed::Seed),
    /// Check settings, servers and schemas, and say what to do
    Doctor(doctor::Doctor),
    /// Print the OpenAPI description
    Openapi {
        /// Of the platform's API (`admin.`) instead of a clinic's
        #[arg(long)]
        platform: bool,
    },
}

/// What a command came to.
enum Outcome {
    Done,
    /// Some clinics, not all.
    Partly,
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    // One crypto provider for all TLS of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("nadi: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(dispatch(cli.command)) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Partly) => ExitCode::from(3),
        Err(error) => {
            eprintln!("nadi: {error:#}");
            ExitCode::from(if error.is::<SettingError>() { 2 } else { 1 })
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(demo) => demo.run().await,
        Command::Serve(serve) => serve.run().await,
        Command::Admin(admin) => admin.run().await,
        Command::Clinic(clinic) => clinic.run().await,
        Command::Migrate(migrate) => migrate.run().await,
        Command::Seed(seed) => seed.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Openapi { platform: false } => {
            output::json(&app::clinic_description())?;
            Ok(Outcome::Done)
        }
        Command::Openapi { platform: true } => {
            output::json(&app::platform_description())?;
            Ok(Outcome::Done)
        }
    }
}

/// Settings from the environment, and logging as they say.
fn settings() -> anyhow::Result<Settings> {
    let settings = Settings::load()?;
    start_logging(&settings);
    for name in &settings.unused {
        tracing::warn!("{name} is set, and this version cannot use it yet: nothing comes of it");
    }
    Ok(settings)
}

/// The way to the registry, for commands that need it.
fn core() -> anyhow::Result<Core> {
    Core::new(settings()?, Clock::system())
}

/// Logs go to standard error: standard output is for answers.
fn start_logging(settings: &Settings) {
    // The migration library tells every step; we tell what came of it. What NADI_LOG says of it still wins.
    let filter = format!("refinery_core=warn,{}", settings.log);
    let logging = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A test harness may have set one already.
    let _ = match settings.log_format {
        LogFormat::Text => logging.with_target(false).try_init(),
        LogFormat::Json => logging.json().flatten_event(true).try_init(),
    };
}
