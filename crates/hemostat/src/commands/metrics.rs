//! `hemostat metrics`: the log as Prometheus metrics.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hemostat_agent::exporter::{Exporter, Settings};
use hemostat_agent::log::EventLog;
use hemostat_agent::lookout;
use hemostat_web::{Surface, VersionInfo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::run_agents;
use crate::agents::Shared;
use crate::cli::MetricsArgs;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};
use crate::show;

/// Where `hemostat metrics` listens unless told otherwise: Prometheus is usually on another host or in another container.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9_090);
/// The exporter reads at least once a second.
const TICKS: Duration = Duration::from_secs(5);

/// Exports until a signal comes, or prints the reference of all metrics.
///
/// # Errors
/// Exit 3 when the log is out of reach at the start or the address is taken; later losses of the log are waited out.
pub(crate) async fn run(config: Config, args: &MetricsArgs) -> Result<(), Failure> {
    if args.reference {
        return show::line(reference::text().trim_end());
    }
    let stop = run_agents::stop_on_signal()?;
    let Some(log) = connect::log_of_others(&config, &stop).await? else { return Ok(()) };
    let log: Arc<dyn EventLog> = Arc::new(log);
    let host = connect::own_host(&config);
    let shared = run_agents::share(config, log, None, host);
    let mut tasks = start(&shared, shared.config.metrics.listen.unwrap_or(LISTEN), &stop).await?;
    tasks.spawn(lookout::run(Arc::clone(&shared.log), Arc::clone(&shared.telemetry), stop.clone()));
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task of the exporter failed")?;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Starts the exporter of a process and what shows it at `address`; they end when `stop` is cancelled.
///
/// # Errors
/// Exit 3 when the address is taken.
pub(crate) async fn start(
    shared: &Shared,
    address: SocketAddr,
    stop: &CancellationToken,
) -> Result<JoinSet<()>, Failure> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("failed to listen on {address} (metrics.listen)"))
        .or_unreachable()?;
    let address = listener.local_addr().context("the listener has no address")?;
    tracing::info!(%address, "metrics of the log at /metrics");
    let settings =
        Settings { silence: shared.config.metrics.silence, policy: shared.config.responder.clone() };
    let exporter = Arc::new(Exporter::new(settings));
    let surface = Surface {
        registry: shared.telemetry.registry().clone(),
        exporter: Some(Arc::clone(&exporter)),
        health: Arc::clone(&shared.board) as _,
        version: VersionInfo::new("hemostat", env!("CARGO_PKG_VERSION")),
    };
    let mut tasks = JoinSet::new();
    let (log, tick, ended) = (Arc::clone(&shared.log), shared.board.part("metrics", TICKS), stop.clone());
    tasks.spawn(async move { exporter.run(log, tick, ended).await });
    let stop = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = hemostat_web::serve(listener, surface, stop).await {
            tracing::warn!(%error, "the metrics cannot be served any more");
        }
    });
    Ok(tasks)
}

mod reference {
    //! The reference of all metrics, from the table that declares them.

    use std::fmt::Write as _;

    use hemostat_agent::telemetry::metric::{By, Metric};
    use hemostat_agent::telemetry::names;

    /// The text of `docs/metrics.md`.
    pub(super) fn text() -> String {
        let mut text = String::from(HEAD);
        for (title, by) in [
            ("The exporter", By::Exporter),
            ("Every process, about the log", By::Everybody),
            ("Every process, about itself", By::Process),
        ] {
            write!(
                text,
                "\n## {title}\n\n{}\n\n| metric | kind | unit | labels | says |\n|---|---|---|---|---|\n",
                said(by)
            )
            .expect(FITS);
            for metric in names::ALL.iter().filter(|metric| metric.by == by) {
                row(&mut text, metric);
            }
        }
        text
    }

    fn row(text: &mut String, metric: &Metric) {
        let Metric { name, kind, unit, labels, help, .. } = metric;
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        writeln!(text, "| `{name}` | {} | {unit} | {labels} | {help} |", kind.as_str()).expect(FITS);
    }

    const fn said(by: By) -> &'static str {
        match by {
            By::Exporter => {
                "`hemostat metrics` (or `hemostat up` with `metrics.listen`) reads the log along. It has no group and no state: two show the same.\n\n\
                 Counters count the events of one UTC day by the time of their append; a day's counters are shown until a minute after its end and then the next day's, which to Prometheus is a counter that was reset. After a restart they go on where they were. It reads one to two days of the log, so `retention.events` must not be shorter than two days.\n\n\
                 What has a closed list of labels is shown with 0 until something happens, `hemostat_host_*` too. What names a container begins with its first event of the day, which `rate()` cannot see: make rates of `hemostat_host_*`, and tables of the others.\n\n\
                 Containers have series until they are removed or have been silent for `metrics.silence`; what was counted about one, a while longer. Figures that the engine did not give are absent. `hemostat_remediation_cooldown_active` and `_breaker_open` take `responder.*` of the exporter's own configuration."
            }
            By::Everybody => {
                "How far each group has come in each stream and partition. Every process shows all of it, so aggregate with `max`, never with `sum`. What is not known is absent, and `hemostat_group_lag_known` is 0."
            }
            By::Process => {
                "Shown by the process that did it; counters begin with the process. Aggregate with `sum`."
            }
        }
    }

    const FITS: &str = "writing to a string does not fail";
    const HEAD: &str = "# Metrics\n\nMade by `hemostat metrics --reference`; a test holds it to the code.\n";
}
