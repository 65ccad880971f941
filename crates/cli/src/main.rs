//! The command `skyfleet`.

mod args;
mod doctor;
mod down;
mod exit;
mod interrupt;
mod manual;
mod offers;
mod output;
mod plan;
mod progress;
mod ps;
mod run;
#[cfg(feature = "sim")]
mod serve;
mod settings;
#[cfg(feature = "sim")]
mod sim;
mod up;
#[cfg(feature = "sim")]
mod world;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
#[cfg(feature = "sim")]
use args::{ServeArgs, SimArgs};
use exit::{Exit, Failure};
use interrupt::Interrupt;
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version go to standard output with code 0, mistakes to standard error with 2.
            let _ = answer.print();
            return if answer.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let mut output = Output::new(cli.common.json);
    let ended = start(cli, &mut output).and_then(|exit| output.flush().map(|()| exit));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let _ = output.flush();
            output::note(failure.to_string());
            failure.exit.into()
        }
    }
}

fn start(cli: Cli, output: &mut Output) -> Result<Exit, Failure> {
    log()?;
    let interrupt = Interrupt::listen()?;
    // One thread: a simulated clock that jumps when everybody waits needs to see everybody.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        match dispatch(cli, output, &interrupt).await {
            None => {
                output::note("interrupted");
                Ok(Exit::Interrupted)
            }
            Some(ended) => ended,
        }
    });
    // Nothing is waited for here: a blocking read that never ends must not hold the program.
    runtime.shutdown_background();
    exit
}

/// `None` when somebody asked the program to end and the command had nothing to put right.
async fn dispatch(cli: Cli, output: &mut Output, interrupt: &Interrupt) -> Option<Result<Exit, Failure>> {
    let common = cli.common;
    match cli.command {
        Command::Offers(args) => interrupt.unless(offers::offers(&common, args, output)).await,
        Command::Plan(args) => interrupt.unless(plan::plan(&common, args, output)).await,
        Command::Ps(args) => interrupt.unless(ps::ps(&common, args, output)).await,
        Command::Doctor(args) => interrupt.unless(doctor::doctor(&common, args, output)).await,
        Command::Up(args) => Some(Box::pin(up::up(&common, args, output, interrupt)).await),
        Command::Down(args) => Some(Box::pin(down::down(&common, args, output, interrupt)).await),
        Command::Run(args) => Some(Box::pin(run::run(&common, args, output, interrupt)).await),
        #[cfg(feature = "sim")]
        Command::Sim(SimArgs { serve, command: None }) => {
            Some(Box::pin(serve::serve(serve, output, interrupt)).await)
        }
        #[cfg(feature = "sim")]
        Command::Sim(SimArgs { serve, command: Some(command) }) => {
            match serve == ServeArgs::default() {
                true => interrupt.unless(sim::sim(&common, command, output)).await,
                false => Some(Err(Failure::usage("the flags of serving go without a command")
                    .help("skyfleet sim --processes"))),
            }
        }
        #[cfg(not(feature = "sim"))]
        Command::Sim(_) => {
            Some(Err(Failure::usage("this build has no simulated cloud")
                .help("build skyfleet with the feature `sim`")))
        }
        Command::Completions(args) => Some(manual::completions(args, output)),
        Command::Man(args) => Some(manual::man(args, output)),
    }
}

/// Logs go to standard error, as much as `SKYFLEET_LOG` asks for.
fn log() -> Result<(), Failure> {
    let wanted = std::env::var("SKYFLEET_LOG").unwrap_or_else(|_| "warn".to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(&wanted).map_err(|error| {
        Failure::usage(format!("SKYFLEET_LOG: {wanted:?} is no log filter: {error}"))
            .help("error, warn, info, debug, trace, or per module: skyfleet=debug")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::stderr_is_lively())
        .init();
    Ok(())
}
