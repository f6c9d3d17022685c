//! `hemostat demo`: the sick are healed, the well are left alone, nothing is left behind.

use crate::rig::{hemostat, run};

#[test]
fn the_demo_heals_every_sick_container_and_cleans_up() {
    let _engine = crate::rig::ENGINE.blocking_lock();
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = hemostat(&["demo"]);
    command.env("TMPDIR", folder.path());
    let answer = run(&mut command);
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
}
