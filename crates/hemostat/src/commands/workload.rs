//! What runs inside the demo's containers: a process that is sick at first and well after a restart.
//!
//! The number of starts is kept in the container's writable layer, which a restart leaves alone. So every
//! sickness is real (the memory is allocated, the processor burns, the kernel kills) and so is its cure.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use crate::exit::{Failure, OrFailure};

/// Where the starts are counted.
const RUNS: &str = "/runs";
/// While this file is there the health check fails.
const SICK: &str = "/sick";
const MIB: usize = 1 << 20;

/// Behaves like `kind`.
///
/// # Errors
/// Exit 2 for a kind that does not exist, exit 1 where that is the sickness.
pub(crate) fn run(kind: &str) -> Result<(), Failure> {
    if kind == "check" {
        return if Path::new(SICK).exists() {
            println!("GET /health: 503 Service Unavailable (worker pool exhausted)");
            Err(Failure::Finding)
        } else {
            println!("GET /health: 200 OK");
            Ok(())
        };
    }
    if std::process::id() != 1 {
        return Err(Failure::Usage(anyhow!(
            "workloads run as the first process of a container of `hemostat demo`"
        )));
    }
    exit_on_sigterm()?;
    let run = count_run()?;
    match (kind, run) {
        ("healthy" | "stopped", _) => say("serving"),
        ("leak", 1) => leak(),
        ("burn", 1) => burn(),
        ("oom", 1) => out_of_memory(),
        ("crash", 1) => return crash("cannot reach its work queue: stale lock /var/lock/worker"),
        ("crash-loop", 1..=4) => return crash("configuration is incomplete: DATABASE_URL is not set"),
        ("unhealthy", 1) => turn_unhealthy()?,
        ("leak" | "burn" | "oom" | "crash" | "crash-loop" | "unhealthy", _) => {
            let _was_well = fs::remove_file(SICK);
            say("serving again after a restart");
        }
        _ => return Err(Failure::Usage(anyhow!("there is no workload `{kind}`"))),
    }
    idle()
}

fn say(text: &str) {
    println!("worker: {text}");
}

/// As process 1 of a container nothing ends us by default: SIGTERM has to be listened to.
fn exit_on_sigterm() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to start the runtime")?;
    let mut terminate = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .context("cannot listen to signals")
            .or_unreachable()?
    };
    thread::spawn(move || {
        runtime.block_on(terminate.recv());
        say("stopping as asked");
        std::process::exit(0);
    });
    Ok(())
}

fn count_run() -> Result<u32, Failure> {
    let before = fs::read_to_string(RUNS).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0u32);
    let run = before + 1;
    fs::write(RUNS, run.to_string()).context("cannot count this start; is this a container?")?;
    Ok(run)
}

fn idle() -> ! {
    loop {
        thread::park();
    }
}

/// Grows by 2 MiB twice a second up to 56 MiB: in a limit of 64 MiB that is a leak about to hit it. It takes 12 s to
/// 80 % of the limit, so that a monitor that looks every 2 s sees it rise at least six times before.
fn leak() {
    say("caching every request");
    let mut kept: Vec<Vec<u8>> = Vec::new();
    while kept.len() < 28 {
        kept.push(touched(2 * MIB));
        thread::sleep(Duration::from_millis(500));
    }
    thread::spawn(move || {
        black_box(&kept);
        idle()
    });
}

/// Allocates without end: the kernel kills it at its limit.
fn out_of_memory() {
    say("loading the whole table");
    thread::sleep(Duration::from_secs(2));
    let mut kept = Vec::new();
    loop {
        kept.push(touched(4 * MIB));
        black_box(&kept);
    }
}

/// Memory that is really there: pages count only once they are written.
fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0u8; bytes];
    for page in memory.iter_mut().step_by(4_096) {
        *page = 1;
    }
    memory
}

fn burn() {
    say("parsing in a loop that never ends");
    let began = Instant::now();
    let mut sum = 0u64;
    loop {
        sum = black_box(
            sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(began.elapsed().subsec_nanos().into()),
        );
    }
}

fn crash(reason: &str) -> Result<(), Failure> {
    say("starting");
    thread::sleep(Duration::from_secs(1));
    println!("worker: fatal: {reason}");
    Err(Failure::Finding)
}

fn turn_unhealthy() -> Result<(), Failure> {
    say("serving");
    thread::sleep(Duration::from_secs(3));
    fs::write(SICK, "").context("cannot turn unhealthy")?;
    say("all workers are waiting for a lock");
    Ok(())
}
