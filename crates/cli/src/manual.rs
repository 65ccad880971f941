//! `skyfleet completions` and `skyfleet man`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};

pub(crate) fn completions(args: CompletionsArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "skyfleet", &mut script);
    output.bytes(&script)?;
    Ok(Exit::Ok)
}

pub(crate) fn man(args: ManArgs, output: &mut Output) -> Result<Exit, Failure> {
    let command = Cli::command().disable_help_subcommand(true);
    match args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            output.bytes(&page)?;
        }
        Some(dir) => {
            let failed = |error: std::io::Error| {
                Failure::usage(format!("--dir {}: {error}", dir.display()))
                    .help("name a folder that can be written")
            };
            std::fs::create_dir_all(&dir).map_err(failed)?;
            clap_mangen::generate_to(command, &dir).map_err(failed)?;
            output::note(format!("wrote the pages of skyfleet and its commands to {}", dir.display()));
        }
    }
    Ok(Exit::Ok)
}
