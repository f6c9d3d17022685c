//! `hemostat demo`: the sick are healed, the well are left alone, nothing is left behind.

use hemostat_agent::containers::Containers as _;
use hemostat_docker::testing::Lab;

use crate::rig::{hemostat, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_heals_every_sick_container_and_cleans_up_and_touches_no_other() {
    let _engine = crate::rig::ENGINE.lock().await;
    let lab = Lab::start().await.expect("a container engine");
    // Somebody's own, sick, and open to be healed.
    let enable = |spec: &mut hemostat_docker::workload::WorkloadSpec| {
        spec.labels.insert("hemostat.enable".to_owned(), "true".to_owned());
    };
    let id = lab.run("bystander", "sleep 5; exit 4", enable).await.expect("a container");
    let begun = lab.engine().inspect(&id).await.expect("it is there").started_at;
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = hemostat(&["demo"]);
    command.env("TMPDIR", folder.path());
    let answer = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it runs");
    assert_eq!(answer.code, 0, "{}\n{}", answer.out, answer.err);
    let rows: Vec<_> = answer
        .out
        .lines()
        .map(str::trim_end)
        .filter(|line| line.ends_with("yes") || line.ends_with("NO"))
        .collect();
    assert_eq!(rows.len(), 8, "{}", answer.out);
    for name in ["leak", "burn", "crash", "crash-loop", "unhealthy", "oom"] {
        let row = rows
            .iter()
            .find(|row| row.contains(&format!("demo-{name} ")))
            .unwrap_or_else(|| panic!("{name}: {}", answer.out));
        assert!(row.contains("success") && row.contains("verified"), "{row}");
    }
    for name in ["healthy", "stopped"] {
        let row = rows
            .iter()
            .find(|row| row.contains(&format!("demo-{name} ")))
            .unwrap_or_else(|| panic!("{name}: {}", answer.out));
        assert!(row.contains("none"), "{row}");
    }
    let left = std::fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(left, 0, "no file is left behind");
    let bystander = lab.engine().inspect(&id).await.expect("it is there");
    assert_eq!((bystander.started_at, bystander.exit_code), (begun, Some(4)), "it was not restarted");
}
