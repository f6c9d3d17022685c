//! `hemostat-replay play`: the past once more, at any speed, in a shadow: a log under a namespace of its own.
//!
//! The only thing it writes to is the shadow. It knows neither engines nor channels: the package is not linked with what
//! reaches them, and what agents ask for in the shadow is answered by [`hands`].

mod agents;
mod clocked;
mod control;
mod display;
mod feed;
mod figures;
mod hands;
mod player;
mod schedule;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_agent::log::EventLog;
use hemostat_archive::Selection;
use hemostat_event::{Event, EventType, Timestamp};
use hemostat_redis::{RedisLog, RedisSettings};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli::{FromArgs, OutputArgs};
use crate::rules;
use crate::screen;
use crate::source::Source;
use crate::state::Point;

use agents::{Agents, Decided, decided, settled};
use clocked::Clocked;
use display::Display;
use feed::Feed;
use figures::{Ended, Figures};
use hands::Hands;
use player::{Player, decides};
use schedule::{Schedule, Speed};

/// `hemostat-replay play`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  hemostat-replay --file incident.hsrec play --into redis://127.0.0.1:6379 --speed 10
  hemostat-replay --file incident.hsrec play --into redis://127.0.0.1:6379 --speed step
  hemostat-replay --archive /var/lib/hemostat/archive play --into redis://127.0.0.1:6379 --speed max \\
      --until 2026-11-24T06:05:36Z --replace
  hemostat-replay --file incident.hsrec play --into redis://127.0.0.1:6379 --speed 20 --agents \\
      --set responder.cooldown=10m
  printf '%s\\n' 'speed 100' 'seek 0/512' | hemostat-replay --file … play --into … --commands

The shadow is a log like any other: hemostat incidents, with HEMOSTAT_REDIS_NAMESPACE=hemostat-shadow.

Keys at a terminal: space stops and goes on, n plays one entry, + and - change the speed, g goes to a point (a time,
PARTITION/NUMBER or the id of an event; Escape gives up), q ends. With --commands the same by lines on standard input:
pause, resume, step [N], speed X, faster, slower, seek POINT, quit.

What stands before a point that is gone to is written at once, so the shadow knows it; going back empties the shadow first.")]
pub(crate) struct PlayArgs {
    /// Redis of the shadow.
    #[arg(long, value_name = "URL")]
    into: String,
    /// Beginning of the shadow's keys.
    #[arg(long, value_name = "NAME", default_value = "hemostat-shadow")]
    into_namespace: String,
    /// Take out what was played into the shadow before.
    #[arg(long)]
    replace: bool,
    /// So many times as fast as it was: 0.1 to 1000, `max`, or `step` to stand still at first.
    #[arg(long, value_name = "TIMES", default_value = "1")]
    speed: Begin,
    /// Begin at this point: a time (UTC), PARTITION/NUMBER or the id of an event. What stands before is written at once.
    #[arg(long, value_name = "POINT")]
    from: Option<Point>,
    /// End behind this point.
    #[arg(long, value_name = "POINT")]
    until: Option<Point>,
    /// End behind the first event of this type: `remediation_complete`.
    #[arg(long, value_name = "TYPE")]
    until_type: Option<EventType>,
    /// Read commands from standard input, one on a line.
    #[arg(long)]
    commands: bool,
    /// Let analyzer, responder and alert agent decide anew in the shadow. Nothing is done and nobody is told: what they
    /// ask for is answered from the recording. Time stands still while they decide; their deadlines come a little late in
    /// log time at high speeds, and only with the next event at `max`.
    #[arg(long)]
    agents: bool,
    /// A setting of these agents: `responder.cooldown=10m`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", requires = "agents")]
    set: Vec<String>,
    /// How the report is shown.
    #[command(flatten)]
    output: OutputArgs,
}

/// How it begins.
#[derive(Debug, Clone, Copy)]
enum Begin {
    At(Speed),
    Still,
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "step" { Ok(Self::Still) } else { text.parse().map(Self::At) }
    }
}

/// What came of it.
#[derive(Serialize)]
struct Report<'a> {
    namespace: &'a str,
    #[serde(flatten)]
    figures: &'a Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    agents: Option<Decided>,
}

/// Plays.
///
/// # Errors
/// Those of the source and of the shadow, when a point is not there, and when the namespace is no shadow or not empty.
pub(crate) async fn run(from: &FromArgs, args: &PlayArgs) -> anyhow::Result<bool> {
    let rules = rules::rules(&args.set)?;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if matches!(args.speed, Begin::Still) && !is_terminal && !args.commands {
        bail!("--speed step needs a terminal, or --commands");
    }
    if from.file.is_empty() && from.redis.is_some() && from.namespace == args.into_namespace {
        // By name: one server has many addresses.
        bail!("`{}` is the namespace that is read; name another for the shadow", from.namespace);
    }
    let mut source = Source::open(from, Selection::default()).await?;
    let feed = Feed::read(&mut source).await?;
    let (first, end, ended) = bounds(&feed, args)?;

    let shadow = Arc::new(shadow(args).await?);
    let (speed, is_still) = match args.speed {
        Begin::At(speed) => (speed, false),
        Begin::Still => (Speed::Times(1.0), true),
    };
    let begin = feed.entries().first().map_or(Timestamp::EPOCH, |entry| entry.at);
    let schedule = Arc::new(Mutex::new(Schedule::new(speed, begin)));
    let recorded = if args.agents { recorded(&feed, end) } else { Vec::new() };
    let hands = args.agents.then(|| Arc::new(Hands::new(Arc::clone(&schedule), &recorded)));
    let recorded: Vec<Event> = recorded.into_iter().map(|(_, event)| event).collect();
    let agents = hands.as_ref().map(|hands| {
        let log = Arc::new(Clocked { log: Arc::clone(&shadow), schedule: Arc::clone(&schedule) });
        Agents::start(log, rules, &recorded, hosts(&feed, end), hands)
    });

    if let Some(agents) = &agents {
        agents.listen().await?;
    }

    let mut player = Player {
        feed: &feed,
        shadow: Arc::clone(&shadow),
        schedule: Arc::clone(&schedule),
        next: 0,
        end,
        hands: hands.clone(),
        figures: Figures { ended, ..Figures::default() },
        display: Display::new(end),
    };
    player.rush(first).await?;
    let (heard, _terminal) = match (args.commands, is_terminal) {
        (true, _) => (Some(control::lines()), None),
        (false, true) => {
            let (heard, terminal) = control::keys().context("failed to read keys from the terminal")?;
            (Some(heard), Some(terminal))
        }
        (false, false) => (None, None),
    };
    if !is_still && let Ok(mut schedule) = schedule.lock() {
        schedule.resume(Instant::now());
    }
    player.play(heard, told_to_end()?).await?;

    let mut report = Report { namespace: &args.into_namespace, figures: &player.figures, agents: None };
    if let (Some(agents), Some(hands)) = (agents, hands) {
        let unfinished =
            if report.figures.ended == Ended::Quit { 0 } else { settled(shadow.as_ref()).await? };
        agents.end().await?;
        let log: Arc<dyn EventLog> = Arc::clone(&shadow) as Arc<dyn EventLog>;
        report.agents = Some(decided(log, &recorded, &hands, unfinished).await?);
    }
    print(&report, args)?;
    Ok(true)
}

/// The first entry that is played by the clock, the one behind the last, and why it ends there.
fn bounds(feed: &Feed, args: &PlayArgs) -> anyhow::Result<(usize, usize, Ended)> {
    let point = |point: &Point, taken_in| feed.before(point, taken_in).map_err(anyhow::Error::msg);
    let first = args.from.as_ref().map_or(Ok(0), |from| point(from, false)).context("--from")?;
    let until = args.until.as_ref().map(|until| point(until, true)).transpose().context("--until")?;
    let of_type = args.until_type.map(|kind| feed.up_to(kind, first).map_err(anyhow::Error::msg));
    let of_type = of_type.transpose().context("--until-type")?;
    let all = feed.entries().len();
    let end = until.into_iter().chain(of_type).min();
    let ended = if end.is_some() { Ended::Until } else { Ended::End };
    let end = end.unwrap_or(all);
    if end < first {
        bail!("--from is behind the point where it would end");
    }
    Ok((first, end, ended))
}

/// Opens the shadow, empty.
async fn shadow(args: &PlayArgs) -> anyhow::Result<RedisLog> {
    let settings =
        RedisSettings { url: args.into.clone(), namespace: args.into_namespace.clone(), partitions: None };
    let shadow = RedisLog::shadow(settings).await.context("failed to open the shadow at --into")?;
    if args.replace {
        shadow.clear_shadow().await.context("failed to empty the shadow")?;
    }
    for partition in shadow.partitions() {
        if !shadow.streams(partition).await.context("failed to look into the shadow")?.is_empty() {
            bail!(
                "something was played into `{}` before; --replace takes it out, --into-namespace names another",
                args.into_namespace
            );
        }
    }
    Ok(shadow)
}

/// What the agents had decided in what is played, with the times of the entries.
fn recorded(feed: &Feed, end: usize) -> Vec<(Timestamp, Event)> {
    let decisions = feed.entries()[..end].iter().filter(|entry| entry.role.is_some_and(decides));
    decisions.filter_map(|entry| Some((entry.at, entry.record.event()?.ok()?))).collect()
}

/// The hosts that what is played is about.
fn hosts(feed: &Feed, end: usize) -> BTreeSet<hemostat_event::HostName> {
    let events = feed.entries()[..end].iter().filter_map(|entry| entry.record.event()?.ok());
    events.map(|event| event.envelope.host).collect()
}

/// Waits for Ctrl-C or SIGTERM.
fn told_to_end() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen to signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen to signals")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn print(report: &Report<'_>, args: &PlayArgs) -> anyhow::Result<()> {
    if args.output.is_json() {
        return screen::json(report);
    }
    for line in report.figures.lines() {
        screen::line(&line)?;
    }
    for line in report.agents.iter().flat_map(Decided::lines) {
        screen::line(&line)?;
    }
    screen::line(&format!("the shadow is `{}`", report.namespace))
}
