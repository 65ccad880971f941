//! The command line: every command, flag, unit, default and example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::exit;

/// Ask for a fleet, get it from any cloud, keep it whole, leave nothing behind.
///
/// One config file says what is wanted; `provider` is the one value that changes when the cloud
/// changes. Without a config file, flags and the simulated cloud do: nothing here costs money
/// until a real cloud is named.
#[derive(Debug, Parser)]
#[command(
    name = "skyfleet",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Try:  skyfleet run --input . -- 'wc -w \"$SKYFLEET_INPUT\"'",
    after_long_help = long_help(
        "skyfleet offers --vcpus 4 --memory 16 --market spot\n\
         skyfleet plan -n 100 --vcpus 4\n\
         skyfleet up -n 20 --vcpus 2 && skyfleet ps && skyfleet down\n\
         skyfleet run --input . -- 'wc -w \"$SKYFLEET_INPUT\"'",
    ),
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The end of each long help: examples, files, environment, exit codes.
fn long_help(examples: &str) -> String {
    let examples: String = examples.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "Examples:\n{examples}\n\
         Environment:\n\
         \x20 SKYFLEET_CONFIG  the config file, as --config\n\
         \x20 SKYFLEET_LOG     what to log to standard error: error, warn (default), info, debug,\n\
         \x20                  trace, or per module (skyfleet=debug)\n\
         \x20 SKYFLEET_*       any key of the config: SKYFLEET_PROVIDER, SKYFLEET_OWNER; two\n\
         \x20                  underscores go one table deeper\n\
         \x20 NO_COLOR         no colours and no moving bars\n\n\
         A key of the config is taken from the file, then the environment, then the flags, then --set.\n\n\
         {}",
        exit::help_section()
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Offers(OffersArgs),
    Plan(PlanArgs),
    Up(UpArgs),
    Ps(PsArgs),
    Down(DownArgs),
    Run(RunArgs),
    Doctor(DoctorArgs),
    Sim(SimArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Which config, and what of it to change for this call.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Config")]
pub(crate) struct Common {
    /// The config file [default: fleet.toml, if there is one here]
    #[arg(long, short = 'c', global = true, value_name = "FILE", env = "SKYFLEET_CONFIG", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The cloud: `sim`, the simulated one, is the default without a config file
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Whose resources these are: the tag by which fleets are found [default: the login name]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// The fleet's name, unique for its owner [default: fleet]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Changes any key of the config for this call; may be repeated
    ///
    /// The key is dotted (`providers.sim.seed=7`), the value is TOML, or plain text.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Prints JSON: one document, or one object per line for events
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What each instance must be.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Each instance")]
pub(crate) struct NeedArgs {
    /// At least this many virtual processors
    #[arg(long, value_name = "COUNT")]
    pub(crate) vcpus: Option<u32>,
    /// At least this much memory, in GiB
    #[arg(long, value_name = "GIB")]
    pub(crate) memory: Option<u32>,
    /// The instruction set: x86_64 or arm64
    #[arg(long, value_name = "ARCH")]
    pub(crate) arch: Option<String>,
    /// The accelerator's model, without its vendor: T4, A100; `any` for whichever
    #[arg(long, value_name = "MODEL")]
    pub(crate) gpu: Option<String>,
    /// At least this many accelerators
    #[arg(long, value_name = "COUNT")]
    pub(crate) gpu_count: Option<u32>,
    /// At least this much memory on each accelerator, in GiB
    #[arg(long, value_name = "GIB")]
    pub(crate) gpu_memory: Option<u32>,
    /// At least this much local SSD, in GiB
    #[arg(long, value_name = "GIB")]
    pub(crate) local_ssd: Option<u32>,
    /// Only these instance types, separated by commas
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub(crate) types: Vec<String>,
    /// Only these regions, separated by commas
    #[arg(long = "region", value_name = "REGION", value_delimiter = ',')]
    pub(crate) regions: Vec<String>,
    /// Only these zones, separated by commas
    #[arg(long = "zone", value_name = "ZONE", value_delimiter = ',')]
    pub(crate) zones: Vec<String>,
    /// How instances are bought [default: what the config says, else spot]
    #[arg(long, value_enum, value_name = "MARKET")]
    pub(crate) market: Option<MarketArg>,
    /// The most that one instance may cost, in USD per hour [default: no limit]
    #[arg(long, value_name = "USD")]
    pub(crate) price_max: Option<f64>,
}

/// The markets by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MarketArg {
    /// Cheap, and the cloud may take it back
    Spot,
    /// At the list price, until it is given back
    OnDemand,
    /// Spot, with on-demand beside and behind it
    Mixed,
}

/// How many instances, and what they may cost.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The fleet")]
pub(crate) struct FleetArgs {
    /// How many instances [default: what the config says, else 1; `run`: one per processor here]
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(crate) instances: Option<u32>,
    /// Fewer instances than this and the launch failed [default: 1]
    #[arg(long, value_name = "COUNT")]
    pub(crate) min: Option<u32>,
    /// Puts all instances into one zone
    #[arg(long)]
    pub(crate) single_zone: bool,
    /// What to do when there are too few: all-or-nothing, greedy or best-effort [default: greedy]
    #[arg(long, value_name = "POLICY")]
    pub(crate) fulfilment: Option<String>,
    /// How long a launch may try: 90s, 10m [default: once through all offers]
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// All that the fleet may cost, in USD [default: no limit]
    #[arg(long, value_name = "USD")]
    pub(crate) budget: Option<f64>,
    /// What the whole fleet may cost in an hour, in USD [default: no limit]
    #[arg(long, value_name = "USD")]
    pub(crate) usd_per_hour_max: Option<f64>,
    /// The fleet ends itself after this long: 45m, 2h [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub(crate) lifetime: Option<String>,
}

/// Shows what could be bought, best first; buys nothing
///
/// An offer is an instance type in a zone on a market. The score is how likely it can be had,
/// from 0 to 100, where the cloud says; the price is for one instance, without disk and address.
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet offers --vcpus 4 --memory 16 --limit 10\n\
     skyfleet offers --gpu T4 --market spot\n\
     skyfleet offers --vcpus 4 --explain\n\
     skyfleet offers --memory 64 --explain --type m7g.large --zone us-east-1a\n\
     skyfleet offers --json --limit 0 | jq '.offers[0]'",
))]
pub(crate) struct OffersArgs {
    #[command(flatten)]
    pub(crate) need: NeedArgs,
    /// For how many instances the cloud's score is asked
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(crate) instances: Option<u32>,
    /// Says why offers are not candidates: how many for each reason
    ///
    /// With --type or --zone, also the reason of each such offer.
    #[arg(long)]
    pub(crate) explain: bool,
    /// At most this many rows; 0 for all
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    pub(crate) limit: usize,
}

/// Shows what `up` would buy and what it would cost at most; buys nothing
///
/// A lot is one bulk call: a region, a market, and the pools that it may draw from. The expected
/// cost is at the prices of now; the worst cost is what the fleet can never go beyond.
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet plan -n 100 --vcpus 4 --market spot\n\
     skyfleet plan -n 20 --vcpus 2 --budget 5 --lifetime 2h\n\
     skyfleet plan --config fleet.toml --provider sim --json",
))]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) need: NeedArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Examines whether the fleet could be had; changes nothing
///
/// On a real cloud: who calls, which regions answer, which permissions are missing, whether the
/// quotas have room for the fleet, and whether the clock is right. Calls that would change something
/// are sent as dry runs. The exit code is 0 when nothing is wrong, 4 when the cloud does not know
/// who calls or a permission is missing, 3 when a quota is too small, 1 for the rest.
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet doctor\n\
     skyfleet doctor --config fleet.toml --json\n\
     skyfleet doctor --provider aws --region us-east-1 -n 1000 --vcpus 2",
))]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) need: NeedArgs,
    /// How many instances the fleet has [default: what the config says]
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(crate) instances: Option<u32>,
}

/// Launches the fleet, or attaches to the one of this name that lives
///
/// Returns when every instance that was obtained is running, and leaves the fleet there: `skyfleet
/// ps` shows it, `skyfleet down` ends it. With --watch it stays, replaces what is preempted, and
/// ends the fleet at its limits. Ctrl-C while launching gives everything back; Ctrl-C while
/// watching stops the watching only, and the fleet lives on.
///
/// On the simulated cloud the command jumps over what it would wait for; with --watch time goes as
/// on the machine, or faster with --set providers.sim.clock=scaled:60.
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet up -n 20 --vcpus 2\n\
     skyfleet up --config fleet.toml --watch\n\
     skyfleet up -n 5 --vcpus 4 --detach --json",
))]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) need: NeedArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
    /// Returns when the instances are bought, before they are up
    #[arg(long, conflicts_with = "watch")]
    pub(crate) detach: bool,
    /// Stays, keeps the fleet whole and prints what happens
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Lists the instances of the fleet, as the cloud has them now
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet ps\n\
     skyfleet ps --all --owner ada\n\
     skyfleet ps --json | jq -r '.instances[].id'",
))]
pub(crate) struct PsArgs {
    /// All fleets of the owner
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
    /// Also instances that ended, as long as the cloud remembers them
    #[arg(long)]
    pub(crate) ended: bool,
}

/// Ends the fleet and proves that nothing is left
///
/// Everything that carries the fleet's tag is deleted, until a complete inventory shows that
/// nothing is left. What is left is named, and the exit code is 5. It needs no file of an earlier
/// run, and running it again is harmless.
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet down\n\
     skyfleet down --name words\n\
     skyfleet down --all --owner ada",
))]
pub(crate) struct DownArgs {
    /// Sweeps: everything of the owner, other fleets too
    #[arg(long, short = 'a')]
    pub(crate) all: bool,
}

/// Runs a command once per input file, or a number of times, on a fleet
///
/// Each task is a POSIX shell command, run in a fresh folder. It finds its input file's path in
/// $SKYFLEET_INPUT and that file's name below DIR in $SKYFLEET_INPUT_NAME, its number (from 0) in
/// $SKYFLEET_TASK_INDEX, the number of tasks in $SKYFLEET_TASK_COUNT, and a path for one result
/// file in $SKYFLEET_OUTPUT. A task whose instance is preempted runs again on the slot's next
/// instance and counts once; a task that fails is tried again --retries times.
///
/// What tasks print comes back in task order when the job ends. The fleet is launched for the job
/// and gone after it, also on Ctrl-C; a second Ctrl-C leaves at once and prints the command that
/// sweeps. Without a config file the simulated cloud runs the tasks as processes on this machine.
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet run --input . -- 'wc -w \"$SKYFLEET_INPUT\"'\n\
     skyfleet run --tasks 8 -n 4 -- 'echo task $SKYFLEET_TASK_INDEX'\n\
     skyfleet run --input docs --output results --timeline timeline.svg -- 'gzip -c \"$SKYFLEET_INPUT\" > \"$SKYFLEET_OUTPUT\"'\n\
     skyfleet run --config fleet.toml --provider sim --input . --json -- 'wc -w \"$SKYFLEET_INPUT\"'",
))]
pub(crate) struct RunArgs {
    /// The command, after `--`: one shell text, or words
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// A folder, or a store URL: each file in it and below is one task
    #[arg(long, short = 'i', value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "tasks", conflicts_with = "tasks")]
    pub(crate) input: Option<String>,
    /// This many tasks, without input
    #[arg(long, short = 't', value_name = "COUNT")]
    pub(crate) tasks: Option<u32>,
    /// The object store between here and the instances [default: a temporary folder]
    ///
    /// A path or a URL: file:///path, and where this build has them s3://bucket/prefix,
    /// gs://bucket/prefix, az://container/prefix. Inputs of a task come from --input, results go
    /// here.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// How often a task that fails is tried again
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub(crate) retries: u32,
    /// How long one task may take, in real time: 90s, 10m [default: no limit]
    #[arg(long, value_name = "TIME")]
    pub(crate) task_timeout: Option<String>,
    /// Writes each task's stdout, stderr and output into DIR/<task>/
    ///
    /// Then nothing of it is printed.
    #[arg(long, short = 'o', value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
    /// Draws the fleet's life: instances over time, preemptions, cost
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    pub(crate) timeline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) need: NeedArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

/// Serves the simulated clouds, or looks into the simulated world of the other commands
///
/// Without a command it serves EC2, and later the other clouds, on the loopback interface, by their
/// own protocols: their SDKs and command lines work with it unchanged, and nothing costs money. When
/// all ports answer it prints one line of JSON with their URLs; the one named `admin` is also a web
/// page. It ends on Ctrl-C or SIGTERM, and forgets everything.
///
/// The commands below look into another world, the one that offers, plan, up, ps and down share.
/// It is kept in a file between commands: the config's `[providers.sim] state`, else one in
/// $XDG_STATE_HOME/skyfleet. `run` has a world of its own and does not show here.
#[derive(Debug, Args)]
#[command(
    after_long_help = long_help(
        "skyfleet sim --processes\n\
         skyfleet sim --port 4700 --seed 7 --clock scaled:60 --scenario storm.toml\n\
         skyfleet sim --env > ~/sim.env &  # then: . ~/sim.env\n\
         skyfleet sim ledger\n\
         skyfleet sim fault '{\"kind\":\"preempt\",\"count\":1}'\n\
         skyfleet sim advance 30m\n\
         skyfleet sim events --json",
    )
)]
pub(crate) struct SimArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    #[command(subcommand)]
    pub(crate) command: Option<SimCommand>,
}

/// How the simulated clouds are served.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArgs {
    /// The address to listen on, loopback only [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    /// The first of four ports: admin, AWS, GCP, Azure [default: the system chooses]
    #[arg(long, value_name = "BASE")]
    pub(crate) port: Option<u16>,
    /// Where all chance comes from: the same seed and the same calls get the same answers [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How time goes: real, scaled:K (K times as fast), or manual [default: real]
    ///
    /// A manual clock stands still until POST /v1/clock {"advance_s":120} moves it.
    #[arg(long, value_name = "CLOCK")]
    pub(crate) clock: Option<String>,
    /// What happens in the clouds, told beforehand: faults by their time, markets, capacity
    #[arg(long, value_name = "FILE.toml", value_hint = ValueHint::FilePath)]
    pub(crate) scenario: Option<PathBuf>,
    /// Prints `export NAME=value` lines instead, which point SDKs and command lines here
    #[arg(long)]
    pub(crate) env: bool,
    /// Instances run their user data as processes on this machine
    #[arg(long)]
    pub(crate) processes: bool,
    /// Ends when standard input does
    #[arg(long)]
    pub(crate) exit_with_parent: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SimCommand {
    /// What still costs money, what blocks a deletion, and what was spent
    Ledger,
    /// Every instance of the world, whoever owns it
    Instances,
    /// How often each API action was called, failed and was throttled
    Calls,
    /// What happened, oldest first: launches, notices, reclaims, ends, faults
    Events {
        /// Only events with a higher number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
    },
    /// Makes something go wrong on purpose
    ///
    /// The body is JSON: {"kind":"capacity","zone":…,"instance_type":…,"available":0}, and
    /// likewise throttle, quota, preempt, sku-restriction, error, latency and stale.
    Fault {
        /// The fault, as a JSON object
        #[arg(value_name = "JSON")]
        body: String,
    },
    /// Lets time pass in the world: 30s, 10m, 2h
    Advance {
        /// How much
        #[arg(value_name = "TIME")]
        time: String,
    },
    /// Forgets the world: the next command finds an empty one
    Reset,
}

/// Prints a completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = long_help(
    "skyfleet completions bash > ~/.local/share/bash-completion/completions/skyfleet\n\
     skyfleet completions fish > ~/.config/fish/completions/skyfleet.fish",
))]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Prints the manual page, or writes one per command into a folder
#[derive(Debug, Args)]
#[command(after_long_help = long_help("skyfleet man | man -l -\nskyfleet man --dir ~/.local/share/man/man1"))]
pub(crate) struct ManArgs {
    /// Writes skyfleet.1 and a page per command here
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_of_the_help_parses() {
        let mut help = Cli::command();
        help.build();
        let mut commands: Vec<_> = help.get_subcommands().cloned().collect();
        commands.push(help.clone());
        let mut count = 0;
        for command in commands {
            let Some(text) = command.get_after_long_help() else { continue };
            for line in text.to_string().lines().filter_map(|line| line.trim().strip_prefix("skyfleet ")) {
                for part in line.split(" && ") {
                    let part = part.strip_prefix("skyfleet ").unwrap_or(part);
                    let end = part.find(" | ").or_else(|| part.find(" > ~")).unwrap_or(part.len());
                    let words = shell_words(&part[..end]);
                    let parsed =
                        Cli::try_parse_from(std::iter::once("skyfleet".to_owned()).chain(words.clone()));
                    assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                    count += 1;
                }
            }
        }
        assert!(count > 20, "{count} examples");
    }

    /// Splits as a shell does, for words with single quotes only.
    fn shell_words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().expect("never empty").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
