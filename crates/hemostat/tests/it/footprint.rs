//! What it costs: memory on a host with twenty containers, and processor time. `docs/sizing.md` has what is printed.

use std::time::Duration;

use hemostat_docker::testing::{IDLE, Lab};

use crate::archiving::with_archive;
use crate::rig::{LIMIT, Process, Rig};

/// The promise to operators.
const RESIDENT_MAX_KIB: u64 = 40 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_less_than_40_mib_on_twenty_containers() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    // More than twenty show what each of them needs.
    let count =
        std::env::var("HEMOSTAT_FOOTPRINT_CONTAINERS").map_or(20, |count| count.parse().expect("a number"));
    for number in 0..count {
        lab.run(&format!("c{number}"), IDLE, |_| {}).await.expect("a container");
    }
    let mut command = rig.command(&["up"]);
    command.env("HEMOSTAT_MONITOR_INTERVAL", "500ms");
    let hemostat = Process::start(&mut command);
    // The start is none of the costs of a sample.
    let first = sampled(&rig, 2 * count).await;
    let before = processor_ticks(hemostat.pid());
    // Ten polls of every container.
    let last = sampled(&rig, 10 * count).await;
    let ticks = processor_ticks(hemostat.pid()) - before;
    let resident = resident_kib(hemostat.pid());
    println!("resident: {:.1} MiB", resident as f64 / 1024.0);
    println!("processor time of a sample: {:.2} ms", ticks as f64 * 10.0 / f64::from(last - first));
    assert!(20 < count || resident < RESIDENT_MAX_KIB, "{resident} KiB");
    drop(hemostat);
    lab.cleanup().await.expect("the lab is cleaned up");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_agent_of_its_own_needs_more_than_all_of_them_together() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..5 {
        lab.run(&format!("c{number}"), IDLE, |_| {}).await.expect("a container");
    }
    let started = AGENTS.map(|name| {
        let mut command = rig.command(&[name]);
        command.env("HEMOSTAT_MONITOR_INTERVAL", "500ms").env("HEMOSTAT_METRICS_LISTEN", "127.0.0.1:0");
        (name, Process::start(with_archive(&mut command, &folder)))
    });
    sampled(&rig, 50).await;
    for (name, process) in &started {
        let resident = resident_kib(process.pid());
        println!("resident: {name} {:.1} MiB", resident as f64 / 1024.0);
        assert!(resident < RESIDENT_MAX_KIB, "{name}: {resident} KiB");
    }
    drop(started);
    lab.cleanup().await.expect("the lab is cleaned up");
}

/// Those that run all the time.
const AGENTS: [&str; 7] = ["monitor", "analyzer", "responder", "alert", "archiver", "metrics", "bridge"];

/// Waits until there are so many samples; how many there are then.
async fn sampled(rig: &Rig, least: u32) -> u32 {
    let look = || async {
        let count = rig.redis_says(&["XLEN", "hemostat:{0}:container_sample"]).await;
        count.parse().ok().filter(|count| least <= *count)
    };
    hemostat_docker::testing::eventually("samples", LIMIT + Duration::from_secs(60), look).await
}

/// Time on a processor, in hundredths of a second (`USER_HZ`, proc_pid_stat(5)).
fn processor_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // Behind the name, which may have spaces: utime and stime are the 12th and 13th fields from there.
    let fields: Vec<_> = stat.rsplit(')').next().expect("it has a name").split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
