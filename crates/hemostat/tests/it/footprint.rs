//! What it costs: memory on a host with twenty containers.

use std::time::Duration;

use hemostat_docker::testing::{IDLE, Lab};

use crate::rig::{LIMIT, Process, Rig};

/// The promise to operators.
const RESIDENT_MAX_KIB: u64 = 40 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn it_needs_less_than_40_mib_on_twenty_containers() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    for number in 0..20 {
        lab.run(&format!("c{number}"), IDLE, |_| {}).await.expect("a container");
    }
    let mut command = rig.command(&["up"]);
    command.env("HEMOSTAT_MONITOR_INTERVAL", "500ms");
    let hemostat = Process::start(&mut command);
    // Two hundred samples: ten polls of every container.
    let stream = "hemostat:{0}:container_sample";
    let sampled = || async {
        (rig.redis_says(&["XLEN", stream]).await.parse().is_ok_and(|count: u32| 200 <= count)).then_some(())
    };
    hemostat_docker::testing::eventually("ten polls", LIMIT + Duration::from_secs(60), sampled).await;
    let resident = resident_kib(hemostat.pid());
    println!("resident: {:.1} MiB", resident as f64 / 1024.0);
    assert!(resident < RESIDENT_MAX_KIB, "{resident} KiB");
    drop(hemostat);
    lab.cleanup().await.expect("the lab is cleaned up");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
