//! `hemostat healthcheck`: asks a running agent, for images that have no curl.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::HealthcheckArgs;
use crate::config::{Config, Listen};
use crate::exit::{Failure, OrFailure};
use crate::show;

/// A health check that takes longer is a failed one: container engines give up after 30 s by default.
const LIMIT: Duration = Duration::from_secs(5);
/// The answer is a line or two; more than this is not ours.
const ANSWER_MAX: u64 = 64 * 1024;

/// Asks and says what was answered.
///
/// # Errors
/// Exit 1 when the agent is not well, exit 3 when it does not answer.
pub(crate) async fn run(config: &Config, args: &HealthcheckArgs) -> Result<(), Failure> {
    let address = match (args.address, config.listen) {
        (Some(address), _) | (None, Listen::At(address) | Listen::Preferably(address)) => address,
        (None, Listen::Off) => {
            return Err(Failure::Usage(anyhow!("http.listen is off; say where to ask with --address")));
        }
    };
    let path = if args.ready { "/-/ready" } else { "/-/healthy" };
    let asked = timeout(LIMIT, ask(address, path)).await;
    let answer = asked.with_context(|| format!("no answer from {address} in {LIMIT:?}")).or_unreachable()?;
    let (status, body) = answer.with_context(|| format!("cannot ask {address}")).or_unreachable()?;
    show::line(body.trim())?;
    if status == 200 { Ok(()) } else { Err(Failure::Finding) }
}

/// One GET over HTTP/1.0, which needs no more than this: the agent closes the connection after its answer.
async fn ask(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let Some(status) = head.split(' ').nth(1).and_then(|status| status.parse().ok()) else {
        bail!("the answer is not HTTP");
    };
    Ok((status, body.to_owned()))
}
